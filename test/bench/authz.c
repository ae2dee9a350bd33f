/* What a decision costs: policies of 10,000 rules, RS256, and the cache of verified tokens. One line of JSON a figure;
 * run by authz.py. */
#include "../unit/tiny_server.h"
#include "../unit/token_maker.h"
#include "core/http_client.h"
#include "core/jwt.h"
#include "core/log.h"
#include "server/auth/oidc.h"
#include "server/auth/policy.h"

#include <time.h>

#define RULES        10000
#define ROUNDS       15 /* the median of these */
#define OWNER        "example-org/shop"
#define TOKENS_N     300
#define SIGNATURES_N 6000 /* a tenth of a second */

/* CPU time, as openssl speed counts: whoever else keeps the machine busy does not show. */
static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *x, const void *y)
{
	const double *a = x, *b = y;
	return (*a > *b) - (*a < *b);
}

static void tell(const char *what, double rounds[ROUNDS])
{
	qsort(rounds, ROUNDS, sizeof(*rounds), by_size);
	printf("{\"what\":\"%s\",\"us\":%.3f,\"least\":%.3f,\"most\":%.3f}\n", what, rounds[ROUNDS / 2], rounds[0],
	       rounds[ROUNDS - 1]);
	fflush(stdout);
}

/* ---- decisions ---- */

struct shape {
	const char *name;
	const char *rule; /* with the rule's number in each %d */
	const char *repository, *product, *context;
	const char *login; /* NULL: a workflow asks */
	bool allowed;
};

#define DEPLOY "\"actions\":[\"deployment.write\"]"
static const struct shape shapes[] = {
	{ "10 rules for each of 1,000 repositories, allowed",
	  "{\"repository\":\"example-org/r%1$d\",\"products\":[\"p%1$d\"],\"contexts\":[\"c%1$d\"]," DEPLOY "}",
	  "example-org/r777", "p777", "c777", NULL, true },
	{ "one repository, a product each, allowed",
	  "{\"repository\":\"" OWNER "\",\"products\":[\"p%1$d\"],\"contexts\":[\"c%1$d\"]," DEPLOY "}", OWNER, "p9999",
	  "c9999", NULL, true },
	{ "one repository, a product each, denied",
	  "{\"repository\":\"" OWNER "\",\"products\":[\"p%1$d\"],\"contexts\":[\"c%1$d\"]," DEPLOY "}", OWNER, "p9999",
	  "other", NULL, false },
	{ "one repository and product, a context each, denied",
	  "{\"repository\":\"" OWNER "\",\"products\":[\"p\"],\"contexts\":[\"c%1$d\"]," DEPLOY "}", OWNER, "p",
	  "other", NULL, false },
	{ "one repository, a product glob each, denied",
	  "{\"repository\":\"" OWNER "\",\"products\":[\"p%1$d-*\"],\"contexts\":[\"c\"]," DEPLOY "}", OWNER, "other",
	  "c", NULL, false },
	{ "a person each, allowed",
	  "{\"logins\":[\"login%1$d\"],\"products\":[\"p%1$d\"],\"contexts\":[\"c\"]," DEPLOY "}", NULL, "p9999", "c",
	  "login9999", true },
	{ "a person each, one product, denied",
	  "{\"logins\":[\"login%1$d\"],\"products\":[\"p\"],\"contexts\":[\"c\"]," DEPLOY "}", NULL, "p", "c", "nobody",
	  false },
};

static struct policy *policy_of_shape(const struct shape *s)
{
	struct arena *a = arena_new();
	struct buf b = buf_in(a);
	struct err err = { 0 };
	buf_printf(&b, "{\"%s\":[", s->login ? "github_humans" : "github_actions");
	for (int i = 0; i < RULES; i++) {
		if (i)
			buf_char(&b, ',');
		int number = strcmp(s->name, shapes[0].name) == 0 ? i / 10 : i;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		buf_printf(&b, s->rule, number);
#pragma GCC diagnostic pop
	}
	buf_str(&b, "]}");
	struct policy *p = policy_of_text(b.p, b.n, s->name, &err);
	if (!p) {
		fprintf(stderr, "%s: %s\n", s->name, err.message);
		exit(1);
	}
	arena_free(a);
	return p;
}

static void measure_decisions(const struct shape *s)
{
	struct policy *p = policy_of_shape(s);
	struct arena *a = arena_new();
	struct principal who;
	const char *none[] = { NULL };
	if (s->login) {
		struct human human = { .login = s->login, .organizations = none, .teams = none, .role = HUMAN_ADMIN };
		principal_of_human(a, &human, &who);
	} else {
		struct github_claims claims;
		const char *text = arena_printf(a, "{\"repository\":\"%s\",\"workflow_ref\":\"w\"}", s->repository);
		struct json j;
		struct err err = { 0 };
		if (!json_parse(a, text, strlen(text), "claims", &j, &err) ||
		    oidc_read_github_claims(a, &j, &claims) != TOKEN_ACCEPTED)
			abort();
		principal_of_workflow(a, &claims, &who);
	}
	double rounds[ROUNDS];
	for (int r = 0; r < ROUNDS; r++) {
		const int times = 200;
		int64_t begun = now_ns();
		for (int i = 0; i < times; i++)
			if (policy_allows(p, &who, "deployment.write", s->product, s->context) != s->allowed)
				abort();
		rounds[r] = (double)(now_ns() - begun) / times / 1000;
	}
	tell(s->name, rounds);
	arena_free(a);
	policy_free(p);
}

/* ---- tokens ---- */

static struct loop l;
static struct arena *keys;
static EVP_PKEY *key;
static char issuer_url[64];

static void serve(struct tiny_conn *conn, const char *method, const char *path, const char *text)
{
	(void)method, (void)text;
	if (strstr(path, "openid-configuration"))
		tiny_send(conn, "200 OK", "",
		          arena_printf(keys, "{\"issuer\":\"%s\",\"jwks_uri\":\"%s/jwks\"}", issuer_url, issuer_url));
	else
		tiny_send(conn, "200 OK", "", arena_printf(keys, "{\"keys\":[%s]}", make_jwk(keys, key, "k", "")));
}

static uint64_t hash(const char *name)
{
	uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT64_C(1099511628211);
	return h;
}

/* Where name is in the table, or would be. */
static const char **slot_of(const char **table, size_t slots, const char *name)
{
	size_t at = hash(name) % slots;
	while (table[at] && strcmp(table[at], name) != 0)
		at = (at + 1) % slots;
	return &table[at];
}

/* What a decision is measured beside: one name of as many as there are rules, found in a hash table. */
static void measure_look_up(void)
{
	enum { TIMES = 10, SLOTS = 1 << 15 };
	static char names[RULES][40];
	static const char *table[SLOTS];
	double rounds[ROUNDS];
	for (int i = 0; i < RULES; i++) {
		snprintf(names[i], sizeof(names[i]), "example-org/r%d", i);
		*slot_of(table, SLOTS, names[i]) = names[i];
	}
	for (int r = 0; r < ROUNDS; r++) {
		int64_t begun = now_ns();
		for (int i = 0; i < RULES * TIMES; i++)
			if (*slot_of(table, SLOTS, names[(i * 7919L) % RULES]) == NULL)
				abort();
		rounds[r] = (double)(now_ns() - begun) / RULES / TIMES / 1000;
	}
	tell("a hash look-up among 10,000 names", rounds);
}

/* As long as GitHub's. */
static char *token(int number)
{
	long now = (long)(loop_wall_ms(&l) / 1000);
	char *claims = arena_printf(
	        keys,
	        "{\"jti\":\"%08d-0000-0000-0000-000000000000\",\"iss\":\"%s\",\"aud\":\"launchplane\",\"iat\":%ld,"
	        "\"nbf\":%ld,"
	        "\"exp\":%ld,\"sub\":\"repo:example-org@65/shop@74:environment:production\",\"ref\":\"refs/heads/"
	        "main\","
	        "\"sha\":\"0123456789012345678901234567890123456789\",\"repository\":\"" OWNER "\","
	        "\"repository_owner\":\"example-org\",\"repository_owner_id\":\"65\",\"repository_id\":\"74\",\"run_"
	        "id\":\"1\","
	        "\"run_number\":\"1\",\"run_attempt\":\"1\",\"repository_visibility\":\"private\",\"actor_id\":\"1\","
	        "\"actor\":\"x\","
	        "\"workflow\":\"Deploy\",\"head_ref\":\"\",\"base_ref\":\"\",\"event_name\":\"workflow_dispatch\","
	        "\"ref_protected\":\"true\",\"ref_type\":\"branch\",\"environment\":\"production\","
	        "\"workflow_ref\":\"" OWNER "/.github/workflows/deploy.yml@refs/heads/main\","
	        "\"workflow_sha\":\"0123456789012345678901234567890123456789\","
	        "\"job_workflow_ref\":\"" OWNER "/.github/workflows/deploy.yml@refs/heads/main\","
	        "\"job_workflow_sha\":\"0123456789012345678901234567890123456789\",\"runner_environment\":\"github-"
	        "hosted\"}",
	        number, issuer_url, now, now, now + 3000);
	return make_token(keys, key, "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"k\",\"x5t\":\"k\"}", claims);
}

static void measure_signatures(char *const *tokens)
{
	double rounds[ROUNDS];
	struct arena *a = arena_new();
	struct jwt *jwts = arena_array(a, TOKENS_N, sizeof(*jwts));
	for (int i = 0; i < TOKENS_N; i++)
		if (jwt_parse(a, tokens[i], strlen(tokens[i]), &jwts[i]) != TOKEN_ACCEPTED)
			abort();
	for (int r = 0; r < ROUNDS; r++) {
		int64_t begun = now_ns();
		for (int i = 0; i < SIGNATURES_N; i++)
			if (!rs256_verify(&jwts[i % TOKENS_N], key))
				abort();
		rounds[r] = (double)(now_ns() - begun) / SIGNATURES_N / 1000;
	}
	arena_free(a);
	tell("RS256 of a token", rounds);
}

static SUSPENDS void authenticate_all(struct task *t, struct oidc *o, char *const *tokens, int times)
{
	for (int k = 0; k < times; k++)
		for (int i = 0; i < TOKENS_N; i++) {
			struct principal who;
			enum token_refusal why;
			struct err err = { 0 };
			if (!oidc_authenticate(t, o, tokens[i], strlen(tokens[i]), &who, &why, &err))
				abort();
			arena_reset(t->arena);
		}
}

static SUSPENDS void measure_tokens(struct task *t, void *arg)
{
	char *const *tokens = arg;
	double verified[ROUNDS], remembered[ROUNDS];
	for (int r = 0; r < ROUNDS; r++) {
		struct oidc *o = oidc_new(t->loop, issuer_url, "launchplane", NULL);
		struct principal who;
		enum token_refusal why;
		struct err err = { 0 };
		if (!oidc_authenticate(t, o, tokens[TOKENS_N], strlen(tokens[TOKENS_N]), &who, &why, &err))
			abort(); /* fetches the keys */
		int64_t begun = now_ns();
		authenticate_all(t, o, tokens, 1);
		verified[r] = (double)(now_ns() - begun) / TOKENS_N / 1000;
		begun = now_ns();
		authenticate_all(t, o, tokens, 10);
		remembered[r] = (double)(now_ns() - begun) / TOKENS_N / 10 / 1000;
		oidc_free(o);
	}
	tell("a token seen for the first time", verified);
	tell("a token seen before", remembered);
}

int main(void)
{
	struct err err = { 0 };
	static struct tiny issuer = { .answer = serve };
	log_set_level(LOG_ERROR + 1);
	for (size_t i = 0; i < countof(shapes); i++)
		measure_decisions(&shapes[i]);
	measure_look_up();
	keys = arena_new();
	key = make_rsa(2048);
	if (!loop_init(&l, NULL, &err))
		return 1;
	tiny_start(&issuer, &l);
	snprintf(issuer_url, sizeof(issuer_url), "http://127.0.0.1:%d", issuer.port);
	http_client_new(&l);
	static char *tokens[TOKENS_N + 1];
	for (int i = 0; i <= TOKENS_N; i++)
		tokens[i] = token(i);
	measure_signatures(tokens);
	task_spawn(&l, "bench", measure_tokens, tokens);
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	http_client_free(l.http);
	tiny_stop(&issuer);
	loop_done(&l);
	EVP_PKEY_free(key);
	arena_free(keys);
	return 0;
}
