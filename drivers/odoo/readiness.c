#include "drivers/odoo/readiness.h"

#define CANDIDATES_MAX 4
#define PAGE_MAX       (2u << 20)

static const struct field probe_fields[] = {
	F_STR(readiness_probe, probe, REQUIRED | NON_BLANK),
	F_STR(readiness_probe, url, 0),
	F_ENUM(readiness_probe, status, 0, .names = release_status_names, .fallback = "skipped"),
	F_OPT_INT(readiness_probe, status_code, 0, .help = "HTTP status, null when there was no answer"),
	F_STR(readiness_probe, content_type, 0),
	F_STR(readiness_probe, failure_class, 0),
	F_STR(readiness_probe, detail, 0),
	F_END,
};
const struct contract readiness_probe_contract =
        CONTRACT(readiness_probe, probe_fields, "One look at a public address");

static const struct field verification_fields[] = {
	F_STR(verification_evidence, base_url, 0),
	F_STR(verification_evidence, health_url, 0),
	F_STR(verification_evidence, canonical_url, 0),
	F_STRINGS(verification_evidence, logo_urls, 0),
	F_LIST(verification_evidence, probes, 0, &readiness_probe_contract, .max = 10),
	F_END,
};
const struct contract verification_evidence_contract =
        CONTRACT(verification_evidence, verification_fields, "What the public addresses of a lane showed");

/* ---- judging ---- */

static void judge(struct readiness_probe *out, const char *probe, const char *url, const struct probe_answer *answer)
{
	*out = (struct readiness_probe){
		.probe = probe,
		.url = url,
		.status = RELEASE_PASS,
		.content_type = answer->content_type ? answer->content_type : "",
		.failure_class = "",
		.detail = "",
	};
	if (answer->reached)
		out->status_code = (struct opt_int){ true, answer->status };
}

static void fail(struct readiness_probe *out, const char *failure_class, const char *detail)
{
	out->status = RELEASE_FAIL;
	out->failure_class = failure_class;
	out->detail = detail;
}

static const char *where_to(struct arena *a, const struct probe_answer *answer)
{
	return is_blank(answer->moved_to) ? "" : arena_printf(a, "; the address redirects to %.100s", answer->moved_to);
}

/* What every probe asks first: an answer, below 400. */
static bool is_answer(struct arena *a, struct readiness_probe *out, const struct probe_answer *answer)
{
	if (!answer->reached)
		fail(out, "unreachable", answer->detail && answer->detail[0] ? answer->detail : "No answer");
	else if (answer->status >= 400)
		fail(out, "http",
		     arena_printf(a, "The address answered with HTTP status %d%s", answer->status,
		                  where_to(a, answer)));
	return out->status == RELEASE_PASS;
}

void readiness_judge_health(struct arena *a, const char *url, const struct probe_answer *answer,
                            struct readiness_probe *out)
{
	judge(out, "health", url, answer);
	if (!is_answer(a, out, answer))
		return;
	struct json j;
	struct err ignored = { 0 };
	if (!answer->body_n || !json_parse(a, answer->body, answer->body_n, "health", &j, &ignored))
		return; /* a plain "OK" is fine */
	const struct json *status = json_get(&j, "status");
	if (!status)
		return;
	const char *word = status->type == JSON_STRING ? lowered(a, trimmed(a, status->string)) : "";
	if (strcmp(word, "ok") != 0 && strcmp(word, "pass") != 0 && strcmp(word, "healthy") != 0)
		fail(out, "payload_status",
		     arena_printf(a, "The health answer's status is \"%.40s\", not ok, pass or healthy", word));
}

char *readiness_base_url(struct arena *a, const char *url)
{
	url = trimmed(a, url);
	size_t n = strlen(url);
	while (n && url[n - 1] == '/')
		n--;
	return arena_strndup(a, url, n);
}

static bool has_canonical(struct arena *a, const char *page, const char *base)
{
	static const char *const starts[] = { "rel=\"canonical\" href=\"", "rel='canonical' href='",
		                              "rel=\"canonical\" href='", "rel='canonical' href=\"" };
	for (size_t i = 0; i < countof(starts); i++) {
		const char *wanted = arena_printf(a, "%s%s", starts[i], base);
		size_t n = strlen(wanted);
		/* The base must end there: https://a.example must not be found in https://a.example.org. */
		for (const char *p = strcasestr(page, wanted); p; p = strcasestr(p + 1, wanted))
			if (strchr("/?#\"'", p[n]))
				return true;
	}
	return false;
}

void readiness_judge_canonical(struct arena *a, const char *base_url, const char *preview_host,
                               const struct probe_answer *answer, struct readiness_probe *out)
{
	judge(out, "canonical", base_url, answer);
	if (!is_answer(a, out, answer))
		return;
	const char *base = readiness_base_url(a, base_url), *page = answer->body ? answer->body : "";
	preview_host = trimmed(a, preview_host);
	if (preview_host[0] && !strcasestr(base, preview_host) && strcasestr(page, preview_host)) {
		fail(out, "stale_preview_marker", "The page still names the preview host");
		return;
	}
	if (!has_canonical(a, page, base))
		fail(out, "canonical_missing",
		     arena_printf(a, "The page has no canonical link to the lane's base URL%s", where_to(a, answer)));
}

static bool is_html(const struct probe_answer *answer)
{
	const char *body = answer->body ? answer->body : "";
	body += strspn(body, " \t\r\n");
	return strcasestr(answer->content_type ? answer->content_type : "", "text/html") ||
	       strncasecmp(body, "<!doctype html", 14) == 0 || strncasecmp(body, "<html", 5) == 0;
}

void readiness_judge_logo(struct arena *a, const char *url, const struct probe_answer *answer,
                          struct readiness_probe *out)
{
	judge(out, "logo", url, answer);
	if (!is_answer(a, out, answer))
		return;
	if (!is_html(answer))
		return;
	const char *body = answer->body ? answer->body : "";
	if (strstr(body, "404") || strcasestr(body, "not found"))
		fail(out, "html_404", "The logo's address answers with a page that says 404");
	else
		fail(out, "logo_unavailable", "The logo's address answers with a page, not an image");
}

bool readiness_should_retry(const struct readiness_probe *probe)
{
	return probe->status == RELEASE_FAIL &&
	       (strcmp(probe->probe, "health") == 0 || strcmp(probe->failure_class, "unreachable") == 0);
}

void readiness_skip(struct readiness_probe *out, const char *probe, const char *url)
{
	*out = (struct readiness_probe){ .probe = probe,
		                         .url = url,
		                         .status = RELEASE_SKIPPED,
		                         .content_type = "",
		                         .failure_class = "",
		                         .detail = "" };
}

/* ---- logo candidates ---- */

/* Bytes of scheme://authority. */
static size_t origin_length(const char *url)
{
	const char *p = strstr(url, "://");
	return p ? (size_t)(p + 3 - url) + strcspn(p + 3, "/?#") : 0;
}

/* An attribute's address made absolute; NULL when it is on another origin or no address of a website's logo. */
static const char *logo_address(struct arena *a, const char *base, const char *value, size_t n)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)value[i] <= ' ')
			return NULL;
		buf_char(&b, value[i]);
		if (n - i >= 5 && strncmp(value + i, "&amp;", 5) == 0)
			i += 4;
	}
	const char *s = buf_cstr(&b);
	size_t origin = origin_length(base), scheme = strcspn(base, ":");
	const char *path = s;
	if (strncmp(s, "//", 2) == 0) {
		if (strncasecmp(s, base + scheme + 1, origin - scheme - 1) != 0)
			return NULL;
		path = s + origin - scheme - 1;
	} else if (strstr(s, "://") && (size_t)(strstr(s, "://") - s) < strcspn(s, "/?#")) {
		if (strncasecmp(s, base, origin) != 0)
			return NULL;
		path = s + origin;
	}
	if (*path != '/')
		return NULL;
	size_t path_n = strcspn(path, "?#");
	const char *plain = arena_strndup(a, path, path_n);
	if (!strstr(plain, "/web/image") && !strstr(plain, "/web/content"))
		return NULL;
	bool ends_in_logo = path_n >= 5 && strcmp(plain + path_n - 5, "/logo") == 0;
	if (!ends_in_logo && !strstr(plain, "/logo/"))
		return NULL;
	return arena_printf(a, "%.*s%s", (int)origin, base, path);
}

struct strings readiness_logo_candidates(struct arena *a, const char *base_url, const char *page)
{
	struct strings found = { 0 };
	const char *base = readiness_base_url(a, base_url);
	for (const char *p = strcasestr(page, "src="); p && found.n < CANDIDATES_MAX; p = strcasestr(p + 4, "src=")) {
		char quote = p[4];
		if (quote != '"' && quote != '\'')
			continue;
		const char *end = strchr(p + 5, quote);
		const char *url = end && end - p < 2000 ? logo_address(a, base, p + 5, (size_t)(end - p - 5)) : NULL;
		if (url && !strings_have(&found, url))
			strings_add(a, &found, url);
	}
	const char *usual = arena_printf(a, "%s/web/image/website/1/logo", base);
	if (!strings_have(&found, usual))
		strings_add(a, &found, usual);
	return found;
}

/* ---- evidence and addresses ---- */

void verification_add(struct arena *a, struct verification_evidence *e, const struct readiness_probe *probe)
{
	for (size_t i = 0; i < e->probes.n; i++) {
		if (strcmp(e->probes.v[i].probe, probe->probe) == 0) {
			e->probes.v[i] = *probe;
			return;
		}
	}
	struct readiness_probe *v = arena_array(a, e->probes.n + 1, sizeof(*v));
	if (e->probes.n)
		memcpy(v, e->probes.v, e->probes.n * sizeof(*v));
	v[e->probes.n++] = *probe;
	e->probes.v = v;
}

char *readiness_health_url(struct arena *a, const char *base_url, const char *lane_health_url, const char *health_path)
{
	const char *base = readiness_base_url(a, base_url), *given = trimmed(a, lane_health_url);
	const char *derived = is_blank(health_path) ? "" : arena_printf(a, "%s%s", base, trimmed(a, health_path));
	if (!given[0] || strcmp(given, derived) == 0)
		return arena_printf(a, "%s" READINESS_HEALTH_PATH, base);
	return arena_strdup(a, given);
}

/* ---- probing ---- */

static SUSPENDS OUTSIDE_TX bool look(struct task *t, const char *url, uint32_t timeout_ms, struct probe_answer *out,
                                     struct err *err)
{
	const struct http_call call = {
		.url = url,
		.timeout_ms = timeout_ms,
		.connect_timeout_ms = timeout_ms,
		.max_bytes = PAGE_MAX,
		.follow_redirects = true,
		.what = "The lane",
		.user_agent = READINESS_USER_AGENT,
	};
	struct http_answer answer;
	struct err why = { 0 };
	*out = (struct probe_answer){ .content_type = "", .detail = "" };
	if (!http_fetch(t, &call, &answer, &why)) {
		if (err_is(&why, &E_cancelled) || task_left_ms(t) == 0) {
			*err = why;
			return false;
		}
		out->detail = arena_strdup(t->arena, why.message);
		return true;
	}
	*out = (struct probe_answer){ .reached = true,
		                      .status = answer.status,
		                      .content_type = answer.content_type,
		                      .moved_to = answer.moved_to,
		                      .body = answer.body,
		                      .body_n = answer.body_n,
		                      .detail = "" };
	return true;
}

bool readiness_probe_health(struct task *t, const char *url, uint32_t timeout_ms, struct readiness_probe *out,
                            const char **body, size_t *body_n, struct err *err)
{
	struct probe_answer answer;
	if (!look(t, url, timeout_ms, &answer, err))
		return false;
	readiness_judge_health(t->arena, url, &answer, out);
	if (body) {
		*body = answer.reached ? answer.body : NULL;
		*body_n = answer.body_n;
	}
	return true;
}

bool readiness_probe_canonical(struct task *t, const char *base_url, const char *preview_host, uint32_t timeout_ms,
                               struct readiness_probe *out, struct err *err)
{
	struct probe_answer answer;
	if (!look(t, base_url, timeout_ms, &answer, err))
		return false;
	readiness_judge_canonical(t->arena, base_url, preview_host, &answer, out);
	return true;
}

bool readiness_probe_logo(struct task *t, const char *base_url, uint32_t timeout_ms, struct readiness_probe *out,
                          struct strings *urls, struct err *err)
{
	struct probe_answer answer;
	if (!look(t, base_url, timeout_ms, &answer, err))
		return false;
	const char *page = answer.reached && answer.status < 400 ? answer.body : "";
	struct strings candidates = readiness_logo_candidates(t->arena, base_url, page);
	struct readiness_probe first = { 0 };
	for (size_t i = 0; i < candidates.n; i++) {
		if (!look(t, candidates.v[i], timeout_ms, &answer, err))
			return false;
		readiness_judge_logo(t->arena, candidates.v[i], &answer, out);
		if (out->status == RELEASE_PASS) {
			*urls = (struct strings){ 0 };
			strings_add(t->arena, urls, candidates.v[i]);
			return true;
		}
		/* An unreachable candidate says that another attempt may help; keep that above the other reasons. */
		if (i == 0 || strcmp(out->failure_class, "unreachable") == 0)
			first = *out;
	}
	*out = first;
	*urls = candidates;
	return true;
}
