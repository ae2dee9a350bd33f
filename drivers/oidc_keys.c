#include "drivers/oidc_keys.h"

#include "core/http_client.h"
#include "core/log.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT_MAX     (256u << 10)
#define FETCH_TIMEOUT_MS 10000
#define WAIT_MS          12000 /* a caller's patience, longer than one fetch */
#define COLD_PAUSE_MS    1000  /* between fetches while there is no key at all */
#define DISCOVERY_MS     3600000

struct entry {
	char *kid;
	EVP_PKEY *key;
};

struct key_set {
	struct entry entries[OIDC_KEYS_MAX];
	size_t n;
};

/* A task that waits for the fetch; lives on its stack. */
struct waiter {
	struct task *task;
	struct waiter *next;
};

struct oidc_keys {
	struct loop *loop;
	char *issuer, *configured_url;
	char *jwks_url; /* from discovery, or NULL */
	uint64_t discovered_ms;
	struct key_set set;
	uint64_t generation, fetched_ms, tried_ms;
	bool has_fetched, has_tried, has_failed, is_fetching, is_freed; /* has_failed: the last time */
	struct waiter *waiters;
};

static void key_set_clear(struct key_set *set)
{
	for (size_t i = 0; i < set->n; i++) {
		free(set->entries[i].kid);
		EVP_PKEY_free(set->entries[i].key);
	}
	memset(set, 0, sizeof(*set));
}

static const struct entry *key_set_find(const struct key_set *set, const char *kid)
{
	for (size_t i = 0; i < set->n; i++)
		if (strcmp(set->entries[i].kid, kid) == 0)
			return &set->entries[i];
	return NULL;
}

static bool same_keys(const struct key_set *x, const struct key_set *y)
{
	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		const struct entry *e = key_set_find(y, x->entries[i].kid);
		if (!e || EVP_PKEY_eq(e->key, x->entries[i].key) != 1)
			return false;
	}
	return true;
}

static char *without_slash(const char *url)
{
	size_t n = strlen(url);
	return n && url[n - 1] == '/' ? strndup(url, n - 1) : strdup(url);
}

struct oidc_keys *oidc_keys_new(struct loop *l, const char *issuer, const char *jwks_url)
{
	struct oidc_keys *k = calloc(1, sizeof(*k));
	if (!k)
		abort();
	k->loop = l;
	k->issuer = strdup(issuer);
	k->configured_url = jwks_url && jwks_url[0] ? strdup(jwks_url) : NULL;
	return k;
}

static void really_free(struct oidc_keys *k)
{
	key_set_clear(&k->set);
	free(k->issuer);
	free(k->configured_url);
	free(k->jwks_url);
	free(k);
}

void oidc_keys_free(struct oidc_keys *k)
{
	if (!k)
		return;
	k->is_freed = true;
	if (!k->is_fetching)
		really_free(k);
}

uint64_t oidc_keys_generation(const struct oidc_keys *k)
{
	return k->generation;
}

static uint64_t age_ms(const struct oidc_keys *k)
{
	return k->has_fetched ? loop_now_ms(k->loop) - k->fetched_ms : UINT64_MAX;
}

bool oidc_keys_are_fresh(const struct oidc_keys *k)
{
	return age_ms(k) < OIDC_KEYS_FRESH_MS;
}

/* ---- fetching ---- */

static SUSPENDS bool get_document(struct task *t, const char *url, const char *what, struct json *out, struct err *err)
{
	const struct http_header accept = { "Accept", "application/json" };
	const struct http_call call = { .url = url,
		                        .headers = &accept,
		                        .headers_n = 1,
		                        .timeout_ms = FETCH_TIMEOUT_MS,
		                        .max_bytes = DOCUMENT_MAX,
		                        .what = what };
	struct http_answer answer;
	if (!http_fetch(t, &call, &answer, err))
		return false;
	if (answer.status != 200) {
		err_set(err, &E_upstream_failed, "%s answered with status %d", what, answer.status);
		err->provider_status = answer.status;
		return false;
	}
	if (!json_parse(t->arena, answer.body, answer.body_n, what, out, err)) {
		err->code = &E_upstream_failed;
		return false;
	}
	return true;
}

static bool is_secure_as(const char *issuer, const char *url)
{
	return strncmp(url, "https://", 8) == 0 ||
	       (strncmp(issuer, "http://", 7) == 0 && strncmp(url, "http://", 7) == 0);
}

static SUSPENDS bool discover(struct task *t, struct oidc_keys *k, struct err *err)
{
	const char *what = "the OIDC issuer's discovery document";
	char *base = without_slash(k->issuer);
	const char *url = arena_printf(t->arena, "%s/.well-known/openid-configuration", base);
	free(base);
	struct json document;
	if (!get_document(t, url, what, &document, err))
		return false;
	if (strcmp(json_str(&document, "issuer", ""), k->issuer) != 0)
		return err_set(err, &E_upstream_failed, "%s names another issuer", what);
	const char *jwks = json_str(&document, "jwks_uri", "");
	if (!is_secure_as(k->issuer, jwks))
		return err_set(err, &E_upstream_failed, "%s has no usable jwks_uri", what);
	free(k->jwks_url);
	k->jwks_url = strdup(jwks);
	k->discovered_ms = loop_now_ms(k->loop);
	return true;
}

static void take_key(struct task *t, const struct json *jwk, struct key_set *set)
{
	const char *kid = json_str(jwk, "kid", ""), *why = NULL;
	EVP_PKEY *key = NULL;
	if (!kid[0] || strlen(kid) > 256)
		why = "it has no usable kid";
	else if (set->n == OIDC_KEYS_MAX)
		why = "there are too many keys";
	else if (rs256_key_of_jwk(t->arena, jwk, &key, &why) && key_set_find(set, kid))
		why = "another key has the same kid";
	if (why) {
		EVP_PKEY_free(key);
		log_warn(t, "oidc.key_ignored", S("kid", kid), S("why", why));
		return;
	}
	set->entries[set->n++] = (struct entry){ .kid = strdup(kid), .key = key };
}

static bool read_keys(struct task *t, const struct json *document, struct key_set *set, struct err *err)
{
	const struct json *keys = json_get(document, "keys");
	if (!keys || keys->type != JSON_ARRAY)
		return err_set(err, &E_upstream_failed, "the OIDC issuer's key set has no list of keys");
	for (uint32_t i = 0; i < keys->n; i++)
		take_key(t, &keys->items[i], set);
	if (set->n == 0)
		return err_set(err, &E_upstream_failed, "the OIDC issuer's key set has no key for RS256 signatures");
	return true;
}

static SUSPENDS bool fetch_keys(struct task *t, struct oidc_keys *k, struct err *err)
{
	bool is_old = k->jwks_url && loop_now_ms(k->loop) - k->discovered_ms > DISCOVERY_MS;
	if (!k->configured_url && (!k->jwks_url || is_old) && !discover(t, k, err))
		return false;
	const char *url = arena_strdup(t->arena, k->configured_url ? k->configured_url : k->jwks_url);
	struct json document;
	struct key_set *set = ARENA_NEW(t->arena, struct key_set);
	if (!get_document(t, url, "the OIDC issuer's key set", &document, err) || !read_keys(t, &document, set, err)) {
		/* Perhaps the keys have moved. */
		free(k->jwks_url);
		k->jwks_url = NULL;
		return false;
	}
	if (same_keys(&k->set, set)) {
		key_set_clear(set);
	} else {
		key_set_clear(&k->set);
		k->set = *set;
		k->generation++;
		log_info(t, "oidc.keys_changed", I("keys", k->set.n));
	}
	k->fetched_ms = loop_now_ms(k->loop);
	k->has_fetched = true;
	return true;
}

static SUSPENDS void fetch_task(struct task *t, void *arg)
{
	struct oidc_keys *k = arg;
	struct err err = { 0 };
	k->has_failed = !fetch_keys(t, k, &err);
	if (k->has_failed && k->has_fetched)
		log_warn(t, "oidc.keys_stale", I("age_s", age_ms(k) / 1000), LOG_ERR(&err));
	else if (k->has_failed)
		log_error(t, "oidc.keys_missing", LOG_ERR(&err));
	k->is_fetching = false;
	for (struct waiter *w = k->waiters; w; w = w->next)
		task_wake(w->task);
	if (k->is_freed)
		really_free(k);
}

/* Starts a fetch unless one runs or the last was a moment ago. */
static bool start_fetch(struct oidc_keys *k)
{
	uint64_t now = loop_now_ms(k->loop);
	uint64_t pause = k->has_fetched ? OIDC_KEYS_PAUSE_MS : COLD_PAUSE_MS;
	if (k->is_fetching)
		return true;
	if (k->has_tried && now - k->tried_ms < pause)
		return false;
	k->tried_ms = now;
	k->has_tried = true;
	k->is_fetching = true;
	if (task_spawn(k->loop, "oidc.keys", fetch_task, k))
		return true;
	k->is_fetching = false;
	return false;
}

static SUSPENDS void wait_for_fetch(struct task *t, struct oidc_keys *k)
{
	struct waiter w = { .task = t, .next = k->waiters };
	struct err ignored = { 0 };
	k->waiters = &w;
	uint64_t until = loop_now_ms(k->loop) + WAIT_MS;
	while (k->is_fetching && loop_now_ms(k->loop) < until)
		if (!task_wait(t, until - loop_now_ms(k->loop), &ignored))
			break;
	struct waiter **at = &k->waiters;
	while (*at != &w)
		at = &(*at)->next;
	*at = w.next;
}

enum token_refusal oidc_keys_find(struct task *t, struct oidc_keys *k, const char *kid, EVP_PKEY **out,
                                  uint64_t *generation)
{
	uint64_t age = age_ms(k);
	bool is_known = key_set_find(&k->set, kid) != NULL;
	if (age >= OIDC_KEYS_FRESH_MS || !is_known) {
		/* While the issuer is down nobody waits for it who can do without. */
		bool must_wait = !is_known || age >= OIDC_KEYS_GRACE_MS || (age >= OIDC_KEYS_LATE_MS && !k->has_failed);
		if (start_fetch(k) && must_wait)
			wait_for_fetch(t, k);
	}
	if (age_ms(k) >= OIDC_KEYS_GRACE_MS)
		return REFUSED_keys_unavailable;
	const struct entry *e = key_set_find(&k->set, kid);
	if (!e)
		return k->has_failed ? REFUSED_keys_unavailable : REFUSED_unknown_key; /* it may be a new one */
	EVP_PKEY_up_ref(e->key);
	*out = e->key;
	*generation = k->generation;
	return TOKEN_ACCEPTED;
}
