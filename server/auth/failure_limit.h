/* server/auth/failure_limit.h - how often one address may fail to authenticate.
 *
 * A bucket for each address (for IPv6 each /64) holds `limit` failures and is refilled within a minute. An empty one
 * turns 401 into 429, and stops the guessing of what can be guessed: static tokens are not even compared, except for an
 * address that has presented the right one lately. A good OIDC token or session cookie is let in whatever its
 * neighbours did: nobody guesses a signature.
 *
 * The buckets are this process's own, a table of fixed size; when it is full, the address that failed longest ago makes
 * room. N workers therefore tolerate up to N times the limit. */
#pragma once

#include "core/settings.h"
#include "server/auth/principal.h"

struct failure_limit;
struct request;

extern const struct setting failure_limit_settings[];

/* Checks the settings; NULL with err when one is wrong. */
struct failure_limit *failure_limit_new(const struct settings *s, struct err *err);
void failure_limit_free(struct failure_limit *l);

/* Who is at the other end: the peer, or, when that is a trusted proxy, the last address in X-Forwarded-For that is
 * none.
 */
const char *failure_limit_address(const struct failure_limit *l, const struct request *rq);
/* Whether a static token from there is to be looked at. */
bool failure_limit_may_guess(struct failure_limit *l, const char *address, int64_t now_ms);
/* The address presented a right static token. */
void failure_limit_proved(struct failure_limit *l, const char *address, int64_t now_ms);
/* Counts a failure. 0, or, when the bucket was empty, the seconds until it is not. */
unsigned failure_limit_failed(struct failure_limit *l, const char *address, int64_t now_ms);
/* The seconds until the address may fail again; 0: now. Counts nothing. */
unsigned failure_limit_wait_s(struct failure_limit *l, const char *address, int64_t now_ms);
