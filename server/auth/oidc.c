#include "server/auth/oidc.h"

#include "core/digest.h"
#include "core/log.h"
#include "drivers/oidc_keys.h"
#include "server/auth/github_subject.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_SETS 512 /* a power of two */
#define CACHE_WAYS 4
#define CLAIMS_MAX 8192 /* bytes of a remembered token's strings */

struct remembered {
	unsigned char digest[SHA256_N];
	int64_t exp_ms, valid_from_ms;
	uint64_t generation; /* of the keys that verified it */
	size_t n;
	char *text; /* all strings, one after the other; NULL: the place is free */
	uint32_t at[13];
	uint32_t scope_at, actor_at;
};

struct oidc {
	struct loop *loop;
	char *issuer, *audience;
	struct oidc_keys *keys;
	struct oidc_stats stats;
	struct remembered cache[CACHE_SETS][CACHE_WAYS];
};

struct oidc *oidc_new(struct loop *l, const char *issuer, const char *audience, const char *jwks_url)
{
	struct oidc *o = calloc(1, sizeof(*o));
	if (!o)
		abort();
	o->loop = l;
	o->issuer = strdup(issuer);
	o->audience = strdup(audience);
	o->keys = oidc_keys_new(l, issuer, jwks_url);
	return o;
}

void oidc_free(struct oidc *o)
{
	if (!o)
		return;
	for (size_t i = 0; i < (size_t)CACHE_SETS * CACHE_WAYS; i++)
		free(o->cache[i / CACHE_WAYS][i % CACHE_WAYS].text);
	oidc_keys_free(o->keys);
	free(o->issuer);
	free(o->audience);
	free(o);
}

const struct oidc_stats *oidc_stats(const struct oidc *o)
{
	return &o->stats;
}

/* ---- claims ---- */

static const struct {
	const char *name;
	size_t offset;
} claim_fields[] = {
#define X(claim) { #claim, offsetof(struct github_claims, claim) },
	GITHUB_CLAIMS(X)
#undef X
};
_Static_assert(countof(claim_fields) == countof(((struct remembered *)0)->at), "room for each claim's place");

static const char **claim_of(struct github_claims *claims, size_t i)
{
	return (const char **)((char *)claims + claim_fields[i].offset);
}

static bool is_number(const char *s)
{
	return strspn(s, "0123456789") == strlen(s);
}

enum token_refusal oidc_read_github_claims(struct arena *a, const struct json *claims, struct github_claims *out)
{
	for (size_t i = 0; i < countof(claim_fields); i++) {
		const struct json *j = json_get(claims, claim_fields[i].name);
		if (j && j->type != JSON_STRING && j->type != JSON_NULL)
			return REFUSED_claim_type;
		*claim_of(out, i) = j && j->type == JSON_STRING ? trimmed(a, j->string) : "";
	}
	if (!out->repository[0])
		return REFUSED_repository_missing;
	if (!out->workflow_ref[0])
		return REFUSED_workflow_ref_missing;
	if (!is_number(out->repository_id) || !is_number(out->repository_owner_id))
		return REFUSED_claim_type;
	return github_subject_check(a, out);
}

/* ---- the cache ---- */

static struct remembered *set_of(struct oidc *o, const unsigned char digest[SHA256_N])
{
	return o->cache[(digest[0] | (unsigned)digest[1] << 8) & (CACHE_SETS - 1)];
}

static struct remembered *recall(struct oidc *o, const unsigned char digest[SHA256_N])
{
	struct remembered *set = set_of(o, digest);
	for (size_t i = 0; i < CACHE_WAYS; i++)
		if (set[i].text && memcmp(set[i].digest, digest, SHA256_N) == 0)
			return &set[i];
	return NULL;
}

static void forget(struct remembered *r)
{
	free(r->text);
	memset(r, 0, sizeof(*r));
}

static uint32_t append(char *text, size_t *n, const char *s)
{
	uint32_t at = (uint32_t)*n;
	size_t size = strlen(s) + 1;
	memcpy(text + *n, s, size);
	*n += size;
	return at;
}

static size_t text_size(struct principal *p)
{
	size_t n = strlen(p->scope) + 1 + strlen(p->actor) + 1;
	for (size_t i = 0; i < countof(claim_fields); i++)
		n += strlen(*claim_of(&p->github, i)) + 1;
	return n;
}

static void remember(struct oidc *o, const unsigned char digest[SHA256_N], struct principal *p, int64_t exp_ms,
                     int64_t valid_from_ms, uint64_t generation)
{
	size_t size = text_size(p);
	if (size > CLAIMS_MAX)
		return;
	/* A free place of the set, or the one that expires first. */
	struct remembered *set = set_of(o, digest), *r = recall(o, digest);
	for (size_t i = 0; !r && i < CACHE_WAYS; i++)
		r = set[i].text ? NULL : &set[i];
	if (!r) {
		r = set;
		for (size_t i = 1; i < CACHE_WAYS; i++)
			r = set[i].exp_ms < r->exp_ms ? &set[i] : r;
	}
	forget(r);
	r->text = malloc(size);
	if (!r->text)
		abort();
	memcpy(r->digest, digest, SHA256_N);
	r->exp_ms = exp_ms;
	r->valid_from_ms = valid_from_ms;
	r->generation = generation;
	for (size_t i = 0; i < countof(claim_fields); i++)
		r->at[i] = append(r->text, &r->n, *claim_of(&p->github, i));
	r->scope_at = append(r->text, &r->n, p->scope);
	r->actor_at = append(r->text, &r->n, p->actor);
}

static void hand_out(struct arena *a, const struct remembered *r, struct principal *out)
{
	char *text = arena_strndup(a, r->text, r->n);
	*out = (struct principal){ .kind = PRINCIPAL_GITHUB_ACTIONS, .subject = "", .token_label = "" };
	for (size_t i = 0; i < countof(claim_fields); i++)
		*claim_of(&out->github, i) = text + r->at[i];
	out->scope = text + r->scope_at;
	out->actor = text + r->actor_at;
}

/* What the cache knows of a token. False: it is to be verified. */
static bool from_cache(struct arena *a, struct oidc *o, const unsigned char digest[SHA256_N], struct principal *out,
                       enum token_refusal *why)
{
	struct remembered *r = recall(o, digest);
	if (!r)
		return false;
	int64_t now = loop_wall_ms(o->loop);
	if (r->generation != oidc_keys_generation(o->keys) || !oidc_keys_are_fresh(o->keys))
		return false;
	if (now >= r->exp_ms || now < r->valid_from_ms) {
		*why = now >= r->exp_ms ? REFUSED_token_expired : REFUSED_token_not_yet_valid;
		if (now >= r->exp_ms)
			forget(r);
		return true;
	}
	hand_out(a, r, out);
	o->stats.from_cache++;
	*why = TOKEN_ACCEPTED;
	return true;
}

/* ---- the check ---- */

static void free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static SUSPENDS enum token_refusal verify(struct task *t, struct oidc *o, const char *token, size_t n,
                                          struct principal *out, struct remembered *facts)
{
	struct jwt jwt;
	enum token_refusal r = jwt_parse(t->arena, token, n, &jwt);
	if (r != TOKEN_ACCEPTED)
		return r;
	AUTO(free_key) EVP_PKEY *key = NULL;
	r = oidc_keys_find(t, o->keys, jwt.kid, &key, &facts->generation);
	if (r != TOKEN_ACCEPTED)
		return r;
	if (!rs256_verify(&jwt, key))
		return REFUSED_signature_invalid;
	r = jwt_check_claims(&jwt.claims, o->issuer, o->audience, loop_wall_ms(o->loop), &facts->exp_ms,
	                     &facts->valid_from_ms);
	if (r != TOKEN_ACCEPTED)
		return r;
	struct github_claims claims;
	r = oidc_read_github_claims(t->arena, &jwt.claims, &claims);
	if (r == TOKEN_ACCEPTED)
		principal_of_workflow(t->arena, &claims, out);
	return r;
}

bool oidc_authenticate(struct task *t, struct oidc *o, const char *token, size_t n, struct principal *out,
                       enum token_refusal *why, struct err *err)
{
	unsigned char digest[SHA256_N];
	struct remembered facts = { .n = 0 };
	bool is_sized = n > 0 && n <= JWT_MAX_BYTES;
	if (is_sized)
		sha256(token, n, digest);
	if (!is_sized || !from_cache(t->arena, o, digest, out, why)) {
		*why = verify(t, o, token, n, out, &facts);
		if (*why == TOKEN_ACCEPTED) {
			o->stats.verified++;
			remember(o, digest, out, facts.exp_ms, facts.valid_from_ms, facts.generation);
		}
	}
	if (*why == TOKEN_ACCEPTED)
		return true;
	o->stats.refused[*why]++;
	if (*why == REFUSED_keys_unavailable) /* nothing is known about the token */
		return err_set(
		        err, &E_service_unavailable,
		        "the bearer token cannot be checked: the issuer's keys could not be fetched; try again later");
	err_set(err, &E_authentication_required, "the bearer token is not accepted");
	return err_cause(err, "%s: %s", token_refusal_name(*why), token_refusal_help(*why));
}
