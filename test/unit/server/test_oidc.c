#include "../tiny_server.h"
#include "../token_maker.h"
#include "core/http_client.h"
#include "core/log.h"
#include "drivers/oidc_keys.h"
#include "server/auth/oidc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>

#include <cmocka.h>

static struct loop l;
static struct tiny issuer;
static struct oidc *o;
static struct arena *a;
static EVP_PKEY *k1, *k2;
static int64_t *clock_ms; /* the test clock's offset */
static char clock_path[] = "/tmp/launchplane-clock-XXXXXX";
static char issuer_url[64];

/* What the issuer does. */
static struct {
	const char *jwks; /* NULL: as many keys as published says */
	int published;
	bool is_down, is_slow, names_another, points_elsewhere;
	int discoveries, key_sets;
} it;

static void serve(struct tiny_conn *conn, const char *method, const char *path, const char *text)
{
	(void)method, (void)text;
	if (strcmp(path, "/.well-known/openid-configuration") == 0) {
		it.discoveries++;
		if (it.is_down)
			tiny_close(conn);
		else
			tiny_send(conn, "200 OK", "",
			          arena_printf(a, "{\"issuer\":\"%s%s\",\"jwks_uri\":\"%s/jwks\"}", issuer_url,
			                       it.names_another ? "/x" : "",
			                       it.points_elsewhere ? "ftp://x" : issuer_url));
		return;
	}
	it.key_sets++;
	const char *body = it.jwks;
	if (!body)
		body = arena_printf(a, "{\"keys\":[%s%s%s]}",
		                    make_jwk(a, k1, "k1", ",\"use\":\"sig\",\"alg\":\"RS256\""),
		                    it.published > 1 ? "," : "", it.published > 1 ? make_jwk(a, k2, "k2", "") : "");
	if (it.is_down)
		tiny_send(conn, "503 Unavailable", "", "{}");
	else if (it.is_slow)
		tiny_later(conn, 30, body);
	else
		tiny_send(conn, "200 OK", "", body);
}

static int make_keys(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR + 1);
	k1 = make_rsa(2048);
	k2 = make_rsa(2048);
	int fd = mkstemp(clock_path);
	if (fd < 0 || ftruncate(fd, sizeof(int64_t)) != 0)
		return -1;
	clock_ms = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return clock_ms == MAP_FAILED ? -1 : 0;
}

static int drop_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(k1);
	EVP_PKEY_free(k2);
	munmap(clock_ms, sizeof(int64_t));
	unlink(clock_path);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	struct err err = { 0 };
	a = arena_new();
	*clock_ms = 0;
	memset(&it, 0, sizeof(it));
	it.published = 1;
	assert_true(loop_init(&l, clock_path, &err));
	issuer = (struct tiny){ .answer = serve };
	tiny_start(&issuer, &l);
	snprintf(issuer_url, sizeof(issuer_url), "http://127.0.0.1:%d", issuer.port);
	http_client_new(&l);
	o = oidc_new(&l, issuer_url, "launchplane", NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	oidc_free(o);
	http_client_free(l.http);
	tiny_stop(&issuer);
	loop_done(&l);
	arena_free(a);
	return 0;
}

/* GitHub-like claims; repository is that whole member with its comma, extra more members behind a comma. */
static char *claims(const char *repository, long lifetime_s, const char *extra)
{
	long now = (long)(loop_wall_ms(&l) / 1000);
	return arena_printf(a,
	                    "{\"iss\":\"%s\",\"aud\":\"launchplane\",\"iat\":%ld,\"nbf\":%ld,\"exp\":%ld,%s"
	                    "\"sub\":\"repo:acme/shop:ref:refs/heads/main\","
	                    "\"workflow_ref\":\"acme/shop/.github/workflows/deploy.yml@refs/heads/main\"%s}",
	                    issuer_url, now, now, now + lifetime_s, repository, extra);
}

static char *token(EVP_PKEY *key, const char *kid, long lifetime_s)
{
	return make_token(a, key, arena_printf(a, "{\"alg\":\"RS256\",\"kid\":\"%s\"}", kid),
	                  claims("\"repository\":\" acme/shop \",", lifetime_s,
	                         ",\"repository_id\":\"74\",\"ref\":\"refs/heads/main\",\"environment\":null"));
}

struct asked {
	const char *token;
	bool ok, is_finished;
	enum token_refusal why;
	struct err err;
	char repository[64], scope[200], actor[200], id[16], environment[16];
};

static SUSPENDS void ask_task(struct task *t, void *arg)
{
	struct asked *q = arg;
	struct principal p;
	q->ok = oidc_authenticate(t, o, q->token, strlen(q->token), &p, &q->why, &q->err);
	if (q->ok) {
		snprintf(q->repository, sizeof(q->repository), "%s", p.github.repository);
		snprintf(q->scope, sizeof(q->scope), "%s", p.scope);
		snprintf(q->actor, sizeof(q->actor), "%s", p.actor);
		snprintf(q->id, sizeof(q->id), "%s", p.github.repository_id);
		snprintf(q->environment, sizeof(q->environment), "%s", p.github.environment);
	}
	q->is_finished = true;
}

static const char *ask_for(struct asked *q, const char *text)
{
	*q = (struct asked){ .token = text };
	task_spawn(&l, "asks", ask_task, q);
	while (!q->is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
	if (!q->ok)
		assert_ptr_equal(q->err.code, q->why == REFUSED_keys_unavailable ? &E_service_unavailable
		                                                                 : &E_authentication_required);
	return token_refusal_name(q->why);
}

static const char *ask(const char *text)
{
	static struct asked q;
	return ask_for(&q, text);
}

static void settle(void)
{
	for (int i = 0; i < 50 && l.tasks_alive; i++)
		uv_run(&l.uv, UV_RUN_ONCE);
}

static void a_good_token_names_its_workflow(void **state)
{
	(void)state;
	static struct asked q;
	for (int round = 0; round < 2; round++) { /* verified, then from the cache */
		char *good = token(k1, "k1", 300);
		assert_string_equal(ask_for(&q, good), "accepted");
		assert_string_equal(ask_for(&q, good), "accepted");
		assert_string_equal(q.repository, "acme/shop");
		assert_string_equal(q.id, "74");
		assert_string_equal(q.environment, "");
		assert_string_equal(q.scope, "acme/shop|acme/shop/.github/workflows/deploy.yml@refs/heads/main|"
		                             "repo:acme/shop:ref:refs/heads/main");
		assert_string_equal(q.actor,
		                    "github-actions:acme/shop:acme/shop/.github/workflows/deploy.yml@refs/heads/main");
		*clock_ms += 2000;
	}
	assert_int_equal(oidc_stats(o)->verified, 2);
	assert_int_equal(oidc_stats(o)->from_cache, 2);
	assert_int_equal(it.discoveries, 1);
	assert_int_equal(it.key_sets, 1);
}

static void a_remembered_token_expires(void **state)
{
	(void)state;
	char *short_lived = token(k1, "k1", 10);
	assert_string_equal(ask(short_lived), "accepted");
	*clock_ms += 8000;
	assert_string_equal(ask(short_lived), "accepted");
	*clock_ms += 2001;
	assert_string_equal(ask(short_lived), "token_expired");
	assert_string_equal(ask(short_lived), "token_expired");
	*clock_ms -= 60000; /* a clock set back: not yet valid, whoever remembers it */
	assert_string_not_equal(ask(short_lived), "accepted");
	assert_int_equal(oidc_stats(o)->refused[REFUSED_token_expired], 2);
}

static void required_claims_are_required(void **state)
{
	(void)state;
	static const struct {
		const char *repository, *extra, *expected;
	} cases[] = {
		{ "", "", "repository_missing" },
		{ "\"repository\":\"\",", "", "repository_missing" },
		{ "\"repository\":\" \\t\",", "", "repository_missing" },
		{ "\"repository\":null,", "", "repository_missing" },
		{ "\"repository\":7,", "", "claim_type" },
		{ "\"repository\":[\"acme/shop\"],", "", "claim_type" },
		{ "\"repository\":\"acme/shop\",", ",\"ref\":1", "claim_type" },
		{ "\"repository\":\"acme/shop\",", ",\"environment\":{}", "claim_type" },
		{ "\"repository\":\"acme/shop\",", ",\"repository_id\":74", "claim_type" },
		{ "\"repository\":\"acme/shop\",", ",\"repository_id\":\"7x\"", "claim_type" },
		{ "\"repository\":\"acme/shop\",", ",\"repository_owner_id\":\"-1\"", "claim_type" },
		{ "\"repository\":\"acme/shop\",", ",\"sha\":true", "claim_type" },
		{ "\"repository\":\"acme/shop\",", ",\"actor\":1", "accepted" }, /* never looked at */
	};
	for (size_t i = 0; i < countof(cases); i++) {
		char *text = claims(cases[i].repository, 300, cases[i].extra);
		assert_string_equal(ask(make_token(a, k1, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", text)),
		                    cases[i].expected);
	}
	const char *bare = arena_printf(a,
	                                "{\"iss\":\"%s\",\"aud\":\"launchplane\",\"iat\":1,\"exp\":9999999999,"
	                                "\"repository\":\"a/b\",\"job_workflow_ref\":\"x\"}",
	                                issuer_url);
	assert_string_equal(ask(make_token(a, k1, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", bare)), "workflow_ref_missing");
}

static void bad_tokens_are_refused_each_for_its_reason(void **state)
{
	(void)state;
	assert_string_equal(ask(""), "token_missing");
	assert_string_equal(ask("abc"), "token_malformed");
	assert_string_equal(ask(token(k1, "k9", 300)), "unknown_key");
	assert_string_equal(ask(token(k2, "k1", 300)), "signature_invalid");
	assert_string_equal(ask(token(k1, "k1", 0)), "token_expired");
	assert_string_equal(ask(make_token(a, k1, "{\"alg\":\"none\"}", "{}")), "alg_none");
	char *huge = arena_alloc(a, JWT_MAX_BYTES + 2);
	memset(huge, 'A', JWT_MAX_BYTES + 1);
	assert_string_equal(ask(huge), "token_too_large");
	assert_int_equal(oidc_stats(o)->refused[REFUSED_unknown_key], 1);
	assert_int_equal(oidc_stats(o)->verified, 0);
}

static void a_new_key_is_fetched_when_a_token_names_it(void **state)
{
	(void)state;
	assert_string_equal(ask(token(k1, "k1", 300)), "accepted");
	it.published = 2;
	/* At most once in ten seconds. */
	assert_string_equal(ask(token(k2, "k2", 300)), "unknown_key");
	assert_int_equal(it.key_sets, 1);
	*clock_ms += OIDC_KEYS_PAUSE_MS + 1;
	assert_string_equal(ask(token(k2, "k2", 300)), "accepted");
	assert_int_equal(it.key_sets, 2);
	for (int i = 0; i < 20; i++)
		assert_string_equal(ask(token(k2, arena_printf(a, "made-up-%d", i), 300)), "unknown_key");
	assert_int_equal(it.key_sets, 2);
}

static void a_withdrawn_key_no_longer_counts(void **state)
{
	(void)state;
	it.published = 2;
	char *by_k2 = token(k2, "k2", 3000);
	assert_string_equal(ask(by_k2), "accepted");
	it.published = 1;
	*clock_ms += OIDC_KEYS_LATE_MS + 1;
	assert_string_equal(ask(by_k2), "unknown_key");
	/* The same kid with another key is another key. */
	it.jwks = arena_printf(a, "{\"keys\":[%s]}", make_jwk(a, k2, "k1", ""));
	char *by_k1 = token(k1, "k1", 30000);
	assert_string_equal(ask(by_k1), "accepted");
	*clock_ms += OIDC_KEYS_LATE_MS + 1;
	assert_string_equal(ask(by_k1), "signature_invalid");
}

static void late_keys_are_used_while_new_ones_come(void **state)
{
	(void)state;
	char *good = token(k1, "k1", 3000);
	assert_string_equal(ask(good), "accepted");
	*clock_ms += OIDC_KEYS_FRESH_MS + 1;
	it.is_slow = true;
	assert_string_equal(ask(good), "accepted");
	assert_int_equal(it.key_sets, 1); /* nobody waited for it */
	while (it.key_sets < 2)
		uv_run(&l.uv, UV_RUN_ONCE);
	settle();
}

static void keys_outlive_their_issuer_for_a_day(void **state)
{
	(void)state;
	char *good = token(k1, "k1", 100000);
	assert_string_equal(ask(good), "accepted");
	it.is_down = true;
	*clock_ms += OIDC_KEYS_LATE_MS + 1;
	for (int i = 0; i < 5; i++)
		assert_string_equal(ask(good), "accepted");
	assert_int_equal(it.key_sets, 2);
	*clock_ms += OIDC_KEYS_GRACE_MS - OIDC_KEYS_LATE_MS - 10000;
	assert_string_equal(ask(good), "accepted");
	*clock_ms += 20000;
	assert_string_equal(ask(good), "keys_unavailable");
	it.is_down = false;
	*clock_ms += OIDC_KEYS_PAUSE_MS + 1;
	assert_string_equal(ask(token(k1, "k1", 300)), "accepted");
}

static void without_keys_nothing_is_accepted(void **state)
{
	(void)state;
	it.is_down = true;
	assert_string_equal(ask(token(k1, "k1", 300)), "keys_unavailable");
	it.is_down = false;
	*clock_ms += 1001;
	assert_string_equal(ask(token(k1, "k1", 300)), "accepted");
}

static void who_asks_together_shares_one_fetch(void **state)
{
	(void)state;
	it.is_slow = true;
	static struct asked q[20];
	for (size_t i = 0; i < countof(q); i++) {
		q[i] = (struct asked){ .token = token(k1, "k1", 300) };
		struct task *t = task_spawn(&l, "asks", ask_task, &q[i]);
		if (i == 0) {
			uv_run(&l.uv, UV_RUN_NOWAIT);
			uv_run(&l.uv, UV_RUN_NOWAIT);
			task_cancel(t); /* the one who asked first leaves; the others are served all the same */
		}
	}
	for (size_t i = 0; i < countof(q); i++)
		while (!q[i].is_finished)
			uv_run(&l.uv, UV_RUN_ONCE);
	assert_false(q[0].ok);
	for (size_t i = 1; i < countof(q); i++)
		assert_true(q[i].ok);
	assert_int_equal(it.key_sets, 1);
	assert_int_equal(it.discoveries, 1);
}

static void odd_keys_are_left_out(void **state)
{
	(void)state;
	const char *one = make_jwk(a, k1, "k1", "");
	it.jwks = arena_printf(a, "{\"keys\":[{},7,null,{\"kty\":\"EC\",\"kid\":\"e\"},%s,%s,%s,%s,%s]}",
	                       make_jwk(a, k2, "", ""), make_jwk(a, k2, "enc", ",\"use\":\"enc\""), one,
	                       make_jwk(a, k2, "k1", ""), make_jwk(a, k2, "k3", ",\"alg\":\"RS512\""));
	assert_string_equal(ask(token(k1, "k1", 300)), "accepted");
	assert_string_equal(ask(token(k2, "k1", 300)), "signature_invalid"); /* the second of that kid was not taken */
	assert_string_equal(ask(token(k2, "enc", 300)), "unknown_key");
	assert_string_equal(ask(token(k2, "k3", 300)), "unknown_key");
}

static void a_flood_of_keys_is_bounded(void **state)
{
	(void)state;
	struct buf b = buf_in(a);
	buf_str(&b, "{\"keys\":[");
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "%s%s", i ? "," : "", make_jwk(a, k1, arena_printf(a, "n%d", i), ""));
	buf_str(&b, "]}");
	it.jwks = b.p;
	assert_string_equal(ask(token(k1, "n0", 300)), "accepted");
	assert_string_equal(ask(token(k1, "n63", 300)), "accepted");
	assert_string_equal(ask(token(k1, "n64", 300)), "unknown_key");
}

static void a_key_set_that_is_none_is_not_taken(void **state)
{
	(void)state;
	static const char *const sets[] = {
		"", "[]", "{}", "{\"keys\":{}}", "{\"keys\":[]}", "<html>", "{\"keys\":[{}]}"
	};
	for (size_t i = 0; i < countof(sets); i++) {
		it.jwks = sets[i];
		*clock_ms += 2000;
		assert_string_equal(ask(token(k1, "k1", 300)), "keys_unavailable");
	}
	it.jwks = NULL;
	*clock_ms += 2000;
	assert_string_equal(ask(token(k1, "k1", 300)), "accepted");
	/* Nor does a broken one replace what is there. */
	it.jwks = "{\"keys\":[]}";
	*clock_ms += OIDC_KEYS_LATE_MS + 1;
	assert_string_equal(ask(token(k1, "k1", 300)), "accepted");
}

static void a_discovery_document_must_be_the_issuers_own(void **state)
{
	(void)state;
	it.names_another = true;
	assert_string_equal(ask(token(k1, "k1", 300)), "keys_unavailable");
	assert_int_equal(it.key_sets, 0);
	it.names_another = false;
	it.points_elsewhere = true;
	*clock_ms += 2000;
	assert_string_equal(ask(token(k1, "k1", 300)), "keys_unavailable");
	assert_int_equal(it.key_sets, 0);
}

static void the_address_of_the_keys_can_be_given(void **state)
{
	(void)state;
	oidc_free(o);
	o = oidc_new(&l, issuer_url, "launchplane", arena_printf(a, "%s/elsewhere", issuer_url));
	assert_string_equal(ask(token(k1, "k1", 300)), "accepted");
	assert_int_equal(it.discoveries, 0);
}

static void a_full_cache_forgets_and_verifies_again(void **state)
{
	(void)state;
	char *first = token(k1, "k1", 300);
	assert_string_equal(ask(first), "accepted");
	EVP_PKEY *key = k1;
	for (int i = 0; i < 3000; i++) {
		char *c = claims("\"repository\":\"acme/shop\",", 400 + i, "");
		assert_string_equal(ask(make_token(a, key, "{\"alg\":\"RS256\",\"kid\":\"k1\"}", c)), "accepted");
	}
	assert_string_equal(ask(first), "accepted");
}

static void freeing_while_a_fetch_runs_is_fine(void **state)
{
	(void)state;
	it.is_slow = true;
	static struct asked q;
	q = (struct asked){ .token = token(k1, "k1", 300) };
	struct task *t = task_spawn(&l, "asks", ask_task, &q);
	while (!it.discoveries)
		uv_run(&l.uv, UV_RUN_ONCE);
	task_cancel(t);
	while (!q.is_finished)
		uv_run(&l.uv, UV_RUN_ONCE);
	oidc_free(o);
	o = NULL;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_good_token_names_its_workflow),
		T(a_remembered_token_expires),
		T(required_claims_are_required),
		T(bad_tokens_are_refused_each_for_its_reason),
		T(a_new_key_is_fetched_when_a_token_names_it),
		T(a_withdrawn_key_no_longer_counts),
		T(late_keys_are_used_while_new_ones_come),
		T(keys_outlive_their_issuer_for_a_day),
		T(without_keys_nothing_is_accepted),
		T(who_asks_together_shares_one_fetch),
		T(odd_keys_are_left_out),
		T(a_flood_of_keys_is_bounded),
		T(a_key_set_that_is_none_is_not_taken),
		T(a_discovery_document_must_be_the_issuers_own),
		T(the_address_of_the_keys_can_be_given),
		T(a_full_cache_forgets_and_verifies_again),
		T(freeing_while_a_fetch_runs_is_fine),
	};
	return cmocka_run_group_tests_name("oidc", tests, make_keys, drop_keys);
}
