#include "server/auth/oidc.h"

#include "core/digest.h"
#include "core/log.h"
#include "drivers/oidc_keys.h"
#include "server/auth/github_subject.h"

#include <stdlib.h>
#include <string.h>

#define CACHE_SETS 512 /* a power of two */
#define CACHE_WAYS 4
#define TEXT_MAX   8192 /* bytes of a remembered token and its strings */

/* A token that passed. It is found by a keyed hash and then compared byte by byte: a digest that nobody can collide
 * costs four times as much, which is a tenth of a read. */
struct remembered {
	uint64_t hash;
	int64_t exp_ms, valid_from_ms;
	uint64_t generation; /* of the keys that verified it */
	size_t token_n, n;
	char *text;      /* the token, then n bytes of strings, one after the other; NULL: the place is free */
	uint32_t at[13]; /* behind the token, like the next two */
	uint32_t scope_at, actor_at;
};

struct oidc {
	struct loop *loop;
	char *issuer, *audience;
	struct oidc_keys *keys;
	struct oidc_stats stats;
	uint64_t seed; /* so that nobody can choose tokens that share a set */
	struct remembered cache[CACHE_SETS][CACHE_WAYS];
};

static void forget(struct remembered *r)
{
	if (r->text)
		explicit_bzero(r->text, r->token_n);
	free(r->text);
	memset(r, 0, sizeof(*r));
}

struct oidc *oidc_new(struct loop *l, const char *issuer, const char *audience, const char *jwks_url)
{
	struct oidc *o = calloc(1, sizeof(*o));
	if (!o)
		abort();
	o->loop = l;
	random_bytes(&o->seed, sizeof(o->seed));
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
		forget(&o->cache[i / CACHE_WAYS][i % CACHE_WAYS]);
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

/* A token as it was sent. */
struct presented {
	const char *p;
	size_t n;
	uint64_t hash;
};

static struct remembered *set_of(struct oidc *o, const struct presented *token)
{
	return o->cache[token->hash & (CACHE_SETS - 1)];
}

static struct remembered *recall(struct oidc *o, const struct presented *token)
{
	struct remembered *set = set_of(o, token);
	for (size_t i = 0; i < CACHE_WAYS; i++)
		if (set[i].text && set[i].hash == token->hash && set[i].token_n == token->n &&
		    memcmp(set[i].text, token->p, token->n) == 0)
			return &set[i];
	return NULL;
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

/* facts: what is known of the token beside its principal. */
static void remember(struct oidc *o, const struct presented *token, struct principal *p, const struct remembered *facts)
{
	size_t size = token->n + text_size(p);
	if (size > TEXT_MAX)
		return;
	/* A free place of the set, or the one that expires first. */
	struct remembered *set = set_of(o, token), *r = recall(o, token);
	for (size_t i = 0; !r && i < CACHE_WAYS; i++)
		r = set[i].text ? NULL : &set[i];
	if (!r) {
		r = set;
		for (size_t i = 1; i < CACHE_WAYS; i++)
			r = set[i].exp_ms < r->exp_ms ? &set[i] : r;
	}
	forget(r);
	*r = *facts;
	r->hash = token->hash;
	r->token_n = token->n;
	r->text = malloc(size);
	if (!r->text)
		abort();
	memcpy(r->text, token->p, token->n);
	char *strings = r->text + token->n;
	for (size_t i = 0; i < countof(claim_fields); i++)
		r->at[i] = append(strings, &r->n, *claim_of(&p->github, i));
	r->scope_at = append(strings, &r->n, p->scope);
	r->actor_at = append(strings, &r->n, p->actor);
}

static void hand_out(struct arena *a, const struct remembered *r, struct principal *out)
{
	char *text = arena_strndup(a, r->text + r->token_n, r->n);
	*out = (struct principal){ .kind = PRINCIPAL_GITHUB_ACTIONS, .subject = "", .token_label = "" };
	for (size_t i = 0; i < countof(claim_fields); i++)
		*claim_of(&out->github, i) = text + r->at[i];
	out->scope = text + r->scope_at;
	out->actor = text + r->actor_at;
}

/* What the cache knows of a token. False: it is to be verified. */
static bool from_cache(struct arena *a, struct oidc *o, const struct presented *token, struct principal *out,
                       enum token_refusal *why)
{
	struct remembered *r = recall(o, token);
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
	struct presented presented = { .p = token, .n = n };
	struct remembered facts = { .n = 0 };
	bool is_sized = n > 0 && n <= JWT_MAX_BYTES;
	if (is_sized)
		presented.hash = hash64(o->seed, token, n);
	if (!is_sized || !from_cache(t->arena, o, &presented, out, why)) {
		*why = verify(t, o, token, n, out, &facts);
		if (*why == TOKEN_ACCEPTED) {
			o->stats.verified++;
			remember(o, &presented, out, &facts);
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
