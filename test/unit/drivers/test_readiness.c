#include "../tiny_server.h"
#include "drivers/odoo/readiness.h"

#include "support.h"

#define BASE "https://shop.example.com"

static struct probe_answer page(int status, const char *type, const char *body)
{
	return (struct probe_answer){
		.reached = true, .status = status, .content_type = type, .body = body, .body_n = strlen(body)
	};
}
static const struct probe_answer nobody = { .detail = "connection refused" };

static void assert_class(const struct readiness_probe *p, const char *failure_class)
{
	if (strcmp(p->failure_class, failure_class) != 0)
		fail_msg("%s: %s (%s), not %s", p->probe, p->failure_class, p->detail, failure_class);
	assert_int_equal(p->status, failure_class[0] ? RELEASE_FAIL : RELEASE_PASS);
}

static void health_is_judged_by_status_and_payload(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *body, *failure_class;
	} cases[] = {
		{ 200, "{\"status\":\"ok\"}", "" },
		{ 200, "{\"status\":\"PASS\"}", "" },
		{ 204, "", "" },
		{ 200, "OK", "" },
		{ 301, "", "" },
		{ 200, "{\"healthy\":true}", "" },
		{ 200, "{\"status\":\"healthy\"}", "" },
		{ 200, "{\"status\":\"degraded\"}", "payload_status" },
		{ 200, "{\"status\":true}", "payload_status" },
		{ 404, "", "http" },
		{ 503, "{\"status\":\"ok\"}", "http" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct readiness_probe p;
		struct probe_answer answer = page(cases[i].status, "application/json", cases[i].body);
		readiness_judge_health(a, BASE "/launchplane/health", &answer, &p);
		assert_class(&p, cases[i].failure_class);
		assert_int_equal(p.status_code.value, cases[i].status);
		assert_int_equal(readiness_should_retry(&p), cases[i].failure_class[0] != 0);
	}
	struct readiness_probe p;
	readiness_judge_health(a, BASE, &nobody, &p);
	assert_class(&p, "unreachable");
	assert_false(p.status_code.is_set);
	assert_string_equal(p.detail, "connection refused");
}

static void the_page_must_name_its_own_address(void **state)
{
	(void)state;
	static const struct {
		const char *body, *failure_class;
	} cases[] = {
		{ "<link rel=\"canonical\" href=\"https://shop.example.com/\"/>", "" },
		{ "<link rel='canonical' href='https://shop.example.com'>", "" },
		{ "<link rel=\"canonical\" href=\"https://shop.example.com/en?x\"/>", "" },
		{ "<link rel=\"canonical\" href=\"https://shop.example.com.evil.test/\"/>", "canonical_missing" },
		{ "<link href=\"https://shop.example.com/\" rel=\"canonical\"/>", "canonical_missing" },
		{ "<link rel=\"canonical\" href=\"https://other.example.com/\"/>", "canonical_missing" },
		{ "", "canonical_missing" },
		{ "<link rel=\"canonical\" href=\"https://shop.example.com/\"/> <a "
		  "href='https://pr-1.Preview.example.com'>",
		  "stale_preview_marker" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct readiness_probe p;
		struct probe_answer answer = page(200, "text/html", cases[i].body);
		readiness_judge_canonical(a, BASE "/", ".preview.example.com", &answer, &p);
		assert_class(&p, cases[i].failure_class);
		assert_false(readiness_should_retry(&p));
	}
	struct readiness_probe p;
	readiness_judge_canonical(a, BASE, "", &nobody, &p);
	assert_class(&p, "unreachable");
	assert_true(readiness_should_retry(&p));
	struct probe_answer answer = page(500, "text/html", "");
	readiness_judge_canonical(a, BASE, "", &answer, &p);
	assert_class(&p, "http");
	/* A preview itself may speak of previews. */
	answer = page(200, "text/html", "<link rel=\"canonical\" href=\"https://pr-1.preview.example.com/\"/>");
	readiness_judge_canonical(a, "https://pr-1.preview.example.com", "preview.example.com", &answer, &p);
	assert_class(&p, "");
}

static void logos_of_the_same_origin_are_candidates(void **state)
{
	(void)state;
	static const struct {
		const char *page, *found;
	} cases[] = {
		{ "", "" },
		{ "<img src=\"/web/image/website/1/logo\">", "" },
		{ "<img src=\"/web/image/website/2/logo/My%20Shop?unique=1&amp;x=2\">",
		  BASE "/web/image/website/2/logo/My%20Shop?unique=1&x=2," },
		{ "<img src='https://shop.example.com/web/content/website/3/logo'>",
		  BASE "/web/content/website/3/logo," },
		{ "<img src='//shop.example.com/web/image/website/4/logo'>", BASE "/web/image/website/4/logo," },
		{ "<img src='https://cdn.example.net/web/image/website/1/logo'><img "
		  "src='//evil.test/web/image/website/1/logo'>",
		  "" },
		{ "<img src=\"/web/image/product/1/picture\"><img src=/web/image/x/logo><img src=\"/static/logo\">",
		  "" },
		{ "<img src=\"/web/image/a/logo", "" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct strings list = readiness_logo_candidates(a, BASE "/", cases[i].page);
		assert_string_equal(text_of_list(&list),
		                    arena_printf(a, "%s" BASE "/web/image/website/1/logo", cases[i].found));
	}
	struct buf many = buf_in(a);
	for (int i = 0; i < 50; i++)
		buf_printf(&many, "<img src=\"/web/image/website/%d/logo\">", i + 5);
	assert_int_equal(readiness_logo_candidates(a, BASE, many.p).n, 5);
	/* A base URL may have a path: the fallback is below it. */
	struct strings list = readiness_logo_candidates(a, "http://127.0.0.1:8080/shop/",
	                                                "<img src=\"/shop/web/image/website/2/logo\">");
	assert_string_equal(text_of_list(&list), "http://127.0.0.1:8080/shop/web/image/website/2/logo,"
	                                         "http://127.0.0.1:8080/shop/web/image/website/1/logo");
}

static void a_page_is_no_logo(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *type, *body, *failure_class;
	} cases[] = {
		{ 200, "image/png", "\x89PNG", "" },
		{ 200, "image/svg+xml", "<svg>404</svg>", "" },
		{ 404, "image/png", "", "http" },
		{ 200, "text/html; charset=utf-8", "<title>404: Not Found</title>", "html_404" },
		{ 200, "", " <!DOCTYPE html><p>Page not found", "html_404" },
		{ 200, "text/html", "<form>login</form>", "logo_unavailable" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct readiness_probe p;
		struct probe_answer answer = page(cases[i].status, cases[i].type, cases[i].body);
		readiness_judge_logo(a, BASE "/logo", &answer, &p);
		assert_class(&p, cases[i].failure_class);
	}
}

static void addresses_come_from_the_lane(void **state)
{
	(void)state;
	static const struct {
		const char *base, *lane, *path, *url;
	} cases[] = {
		{ BASE "/", "", "/web/health", BASE "/launchplane/health" },
		{ BASE, BASE "/web/health", "/web/health", BASE "/launchplane/health" },
		{ BASE, BASE "/other", "/web/health", BASE "/other" },
		{ BASE, " " BASE "/x ", "", BASE "/x" },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(readiness_health_url(a, cases[i].base, cases[i].lane, cases[i].path), cases[i].url);
}

static void evidence_keeps_the_last_attempt_of_each_probe(void **state)
{
	(void)state;
	struct verification_evidence e = { .base_url = BASE, .health_url = "", .canonical_url = "" }, again;
	struct readiness_probe p;
	struct probe_answer answer = page(200, "text/plain", "OK");
	readiness_judge_health(a, BASE, &nobody, &p);
	verification_add(a, &e, &p);
	readiness_judge_health(a, BASE, &answer, &p);
	verification_add(a, &e, &p);
	readiness_skip(&p, "logo", "");
	verification_add(a, &e, &p);
	const char *text = contract_text(a, &verification_evidence_contract, &e);
	assert_string_equal(text, "{\"base_url\":\"" BASE
	                          "\",\"health_url\":\"\",\"canonical_url\":\"\",\"logo_urls\":[],\"probes\":["
	                          "{\"probe\":\"health\",\"url\":\"" BASE "\",\"status\":\"pass\",\"status_code\":200,"
	                          "\"content_type\":\"text/plain\",\"failure_class\":\"\",\"detail\":\"\"},"
	                          "{\"probe\":\"logo\",\"url\":\"\",\"status\":\"skipped\",\"status_code\":null,"
	                          "\"content_type\":\"\",\"failure_class\":\"\",\"detail\":\"\"}]}");
	assert_true(
	        contract_read_text(a, &verification_evidence_contract, text, strlen(text), "evidence", &again, &err));
}

/* ---- probing ---- */

static struct loop l;
static struct tiny server;

static void behave(struct tiny_conn *conn, const char *method, const char *path, const char *text)
{
	(void)method;
	if (!strstr(text, "User-Agent: Launchplane-Odoo-Verify/1\r\n"))
		tiny_send(conn, "400 Bad Request", "", "who are you");
	else if (strcmp(path, "/health") == 0)
		tiny_send(conn, "200 OK", "Content-Type: application/json\r\n",
		          "{\"status\":\"ok\",\"runtime_identity\":null}");
	else if (strcmp(path, "/shop") == 0)
		tiny_send(conn, "200 OK", "Content-Type: text/html\r\n",
		          "<img src=\"/gone/web/image/website/9/logo\"/>");
	else if (strcmp(path, "/shop/web/image/website/1/logo") == 0)
		tiny_send(conn, "200 OK", "Content-Type: image/png\r\n", "png");
	else if (strcmp(path, "/bare") == 0)
		tiny_send(conn, "200 OK", "Content-Type: text/html\r\n", "");
	else if (strcmp(path, "/cut") == 0)
		tiny_close(conn);
	else
		tiny_send(conn, "404 Not Found", "", "");
}

struct story {
	char said[1000];
	bool is_finished;
};

static SUSPENDS void probe_all(struct task *t, void *arg)
{
	struct story *s = arg;
	struct buf b = buf_in(t->arena);
	struct readiness_probe p;
	struct strings urls;
	struct err e;
	const char *body;
	size_t n;
	const char *base = arena_printf(t->arena, "http://127.0.0.1:%d", server.port);
	if (readiness_probe_health(t, arena_printf(t->arena, "%s/health", base), 2000, &p, &body, &n, &e))
		buf_printf(&b, "%s %s|", release_status_names[p.status], body);
	if (readiness_probe_health(t, arena_printf(t->arena, "%s/cut", base), 2000, &p, &body, &n, &e))
		buf_printf(&b, "%s %s|", p.failure_class, body ? body : "(none)");
	if (readiness_probe_canonical(t, arena_printf(t->arena, "%s/shop", base), "", 2000, &p, &e))
		buf_printf(&b, "%s|", p.failure_class);
	if (readiness_probe_logo(t, arena_printf(t->arena, "%s/shop", base), 2000, &p, &urls, &e))
		buf_printf(&b, "%s %zu %s|", release_status_names[p.status], urls.n, strstr(urls.v[0], "/shop/"));
	if (readiness_probe_logo(t, arena_printf(t->arena, "%s/bare", base), 2000, &p, &urls, &e))
		buf_printf(&b, "%s %zu|", p.failure_class, urls.n);
	task_cancel(t);
	if (!readiness_probe_health(t, arena_printf(t->arena, "%s/health", base), 2000, &p, NULL, NULL, &e))
		buf_printf(&b, "%s", e.code->name);
	snprintf(s->said, sizeof(s->said), "%s", buf_cstr(&b));
	s->is_finished = true;
}

static void one_attempt_is_made_and_judged(void **state)
{
	(void)state;
	struct story s = { .said = "" };
	assert_true(loop_init(&l, NULL, &err));
	server = (struct tiny){ .answer = behave };
	tiny_start(&server, &l);
	assert_non_null(http_client_new(&l));
	task_spawn(&l, "probes", probe_all, &s);
	while (!s.is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_string_equal(s.said,
	                    "pass {\"status\":\"ok\",\"runtime_identity\":null}|unreachable (none)|canonical_missing|"
	                    "pass 1 /shop/web/image/website/1/logo|http 1|cancelled");
	http_client_free(l.http);
	tiny_stop(&server);
	loop_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(health_is_judged_by_status_and_payload),
		TEST(the_page_must_name_its_own_address),
		TEST(logos_of_the_same_origin_are_candidates),
		TEST(a_page_is_no_logo),
		TEST(addresses_come_from_the_lane),
		TEST(evidence_keeps_the_last_attempt_of_each_probe),
		TEST(one_attempt_is_made_and_judged),
	};
	return cmocka_run_group_tests_name("readiness", tests, NULL, NULL);
}
