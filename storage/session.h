/* storage/session.h - people's browser sessions as PostgreSQL keeps them (facts/core.md 2.3).
 *
 * A session is found by the SHA-256 of its id: the id itself stands in the browser's cookie alone. It ends
 * SESSION_TTL_S after it was last renewed, at the latest SESSION_LONGEST_S after the sign-in, and at once when its row
 * is gone: every request reads the row, so that goes for all processes on all hosts. Times are the service's clock. */
#pragma once

#include "core/contract.h"
#include "core/task.h"
#include "storage/db.h"

#define SESSION_TTL_S     (14LL * 86400)
#define SESSION_RENEW_S   86400 /* a session used this long after its last renewal is renewed */
#define SESSION_LONGEST_S (30LL * 86400)

struct session_identity {
	const char *provider, *login;
	int64_t github_id;
	const char *name, *email;
	struct strings organizations, teams;
	const char *role; /* at sign-in */
};
extern const struct contract session_identity_contract;

struct session {
	const char *id;  /* as in the cookie */
	const char *key; /* what the table knows: its SHA-256 */
	struct session_identity identity;
	const char *created_at;
	int64_t expires_s; /* UTC */
	int64_t csrf_generation;
};

/* id is the one of a cookie that was found genuine. *found is false for none and for one that has expired, whose row is
 * removed. */
SUSPENDS bool session_load(struct task *t, const char *id, struct session *out, bool *found, struct err *err);
/* Makes a session with a new id; replaced is the key of the one the browser had, or NULL. */
SUSPENDS bool session_create(struct task *t, const struct session_identity *identity, const char *replaced,
                             struct session *out, struct err *err);
/* Moves the end, when a day has passed since the last time and the longest life allows. *renewed tells. */
SUSPENDS bool session_renew(struct task *t, struct session *s, bool *renewed, struct err *err);
/* Spends the session's current CSRF token. False in *spent: it was spent by another request. */
SUSPENDS bool session_spend_csrf(struct task *t, struct session *s, bool *spent, struct err *err);
/* Signs the session out, everywhere. */
SUSPENDS bool session_end(struct task *t, const struct session *s, struct err *err);
/* Registers that a sign-in's state has come back. *is_first is false for one that did before. */
SUSPENDS bool sign_in_state_use(struct task *t, const char *state, int64_t expires_ms, bool *is_first, struct err *err);
/* Seconds that a cookie of this session may live. */
int64_t session_left_s(const struct task *t, const struct session *s);
