/* drivers/oidc_keys.h - the signing keys of an OpenID Connect issuer.
 *
 * Found through the issuer's discovery document (or at a given address), kept for 300 s, and fetched again when a token
 * names a key that is not among them, at most once in 10 s. All who need a fetch share it, and it runs in a task of its
 * own, so that a caller that leaves does not take it along. While the issuer is down the keys stay good for a day.
 *
 * Times are the loop's, so that a test can pass them. */
#pragma once

#include "core/jwt.h"
#include "core/task.h"

#define OIDC_KEYS_FRESH_MS 300000   /* keys are used without a thought */
#define OIDC_KEYS_LATE_MS  600000   /* until here they are used while new ones are fetched; then one waits for those */
#define OIDC_KEYS_GRACE_MS 86400000 /* and until here they are used when fetching fails */
#define OIDC_KEYS_PAUSE_MS 10000    /* between fetches */
#define OIDC_KEYS_MAX      64

struct oidc_keys;

/* jwks_url NULL or "": ask the discovery document. */
struct oidc_keys *oidc_keys_new(struct loop *l, const char *issuer, const char *jwks_url);
/* When no task is in oidc_keys_find() any more. A running fetch ends by itself and then frees what it uses; the loop
 * must still turn (loop_done() does). */
void oidc_keys_free(struct oidc_keys *k);

/* The key of that kid, held for the caller: EVP_PKEY_free() it. May wait for a fetch. *generation tells one state of
 * the key set from another. */
SUSPENDS OUTSIDE_TX enum token_refusal oidc_keys_find(struct task *t, struct oidc_keys *k, const char *kid,
                                                      EVP_PKEY **out, uint64_t *generation);
/* Changes whenever a key was added, removed or replaced. A cached verdict of another generation is to be made again. */
uint64_t oidc_keys_generation(const struct oidc_keys *k);
/* False once the keys are older than is trusted without a fetch: then go through oidc_keys_find(). */
bool oidc_keys_are_fresh(const struct oidc_keys *k);
