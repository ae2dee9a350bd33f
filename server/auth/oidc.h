/* server/auth/oidc.h - a workflow's OIDC token turned into a principal.
 *
 * The whole check: form, algorithm, key, signature, issuer, audience, times without leeway, and the claims a decision
 * needs. A token that passed is remembered until it expires, in memory only; its times are checked at each use, and
 * it is verified again when the issuer's keys have changed. */
#pragma once

#include "core/jwt.h"
#include "core/task.h"
#include "server/auth/principal.h"

#define OIDC_GITHUB_ISSUER "https://token.actions.githubusercontent.com"

struct oidc;

struct oidc_stats {
	uint64_t verified, from_cache, refused[TOKEN_REFUSALS_N];
};

/* jwks_url NULL or "": from the issuer's discovery document. */
struct oidc *oidc_new(struct loop *l, const char *issuer, const char *audience, const char *jwks_url);
void oidc_free(struct oidc *o);

/* Refuses with E_authentication_required; *why tells the reason, which is for the log and is counted. */
SUSPENDS OUTSIDE_TX bool oidc_authenticate(struct task *t, struct oidc *o, const char *token, size_t n,
                                           struct principal *out, enum token_refusal *why, struct err *err);
const struct oidc_stats *oidc_stats(const struct oidc *o);

/* The claims kept of a GitHub token, trimmed, and agreeing with its sub. Strings are copied to the arena. */
enum token_refusal oidc_read_github_claims(struct arena *a, const struct json *claims, struct github_claims *out);
