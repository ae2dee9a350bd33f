/* server/auth/sign_in.h - people and their browsers: the settings of sign-in, the cookies, and what a browser must show
 * before its cookie may change anything (facts/core.md 2.3, 2.4).
 *
 * Cookies are proved by HMACs under the session secret. Labelled ones have a NUL behind the label, which no session id
 * holds, so that a proof made for one purpose never serves another. */
#pragma once

#include "core/settings.h"
#include "server/auth/policy.h"
#include "storage/session.h"

struct request;
struct response;

extern const struct setting sign_in_settings[];

struct sign_in {
	bool configured;     /* people can sign in */
	const char *missing; /* what is not set, for the log: "A, B"; "" */
	const char *client_id, *client_secret, *github_url, *api_url;
	const char *public_url;     /* without a trailing slash; "" */
	const char *origin;         /* of the public URL, as browsers send it */
	const char *session_secret; /* NULL: none */
	bool cookie_secure;
	const char *const *admin_emails; /* lower case, NULL-terminated */
};

/* False when a setting is wrong; one that is not set only leaves sign-in unconfigured. */
bool sign_in_read(struct arena *a, const struct settings *s, struct sign_in *out, struct err *err);
/* scheme://host[:port] in lower case, without the scheme's own port. False when url is no such thing. */
bool url_origin(struct arena *a, const char *url, const char **out);

/* ---- roles ---- */

/* What the policy in force and the bootstrap admins' addresses make of a person. emails ends with NULL. */
enum human_role sign_in_role(struct arena *a, const struct sign_in *s, const struct policy *p,
                             const struct session_identity *who, const char *const *emails);
/* The address that makes somebody an admin, or NULL. */
const char *sign_in_admin_email(const struct sign_in *s, const char *const *emails);
/* The caller a session stands for: the role is the one at sign-in, or less when the policy gives less now; false when
 * it gives none. */
bool session_principal(struct arena *a, const struct sign_in *s, const struct policy *p, const struct session *session,
                       struct principal *out);

/* ---- cookies ---- */

enum cookie_finding { COOKIE_NONE, COOKIE_FORGED, COOKIE_GENUINE };

/* The session id of the request's one session cookie. */
enum cookie_finding session_cookie_read(const struct sign_in *s, const struct request *rq, const char **id);
void session_cookie_set(const struct sign_in *s, struct arena *a, const struct session *session, int64_t max_age_s,
                        struct response *rs);
void session_cookie_clear(const struct sign_in *s, struct arena *a, struct response *rs);

#define SIGN_IN_STATE_MS 600000

/* A sign-in under way; everything about it is in the browser's cookie, so that any worker can go on with it. */
struct sign_in_state {
	const char *state; /* what GitHub hands back */
	const char *return_to;
	int64_t expires_ms;
};
/* Makes a state and sets its cookie. */
void sign_in_begin(const struct sign_in *s, struct arena *a, int64_t now_ms, const char *return_to, struct response *rs,
                   struct sign_in_state *out);
/* The state of this browser's cookie when it is genuine, has not expired and is the one given. */
bool sign_in_resume(const struct sign_in *s, const struct request *rq, int64_t now_ms, const char *state,
                    struct sign_in_state *out);
/* Tells caches to keep nothing of the answer. */
void response_no_store(struct response *rs);
void sign_in_cookie_clear(const struct sign_in *s, struct arena *a, struct response *rs);
/* PKCE: the verifier is derived from the state and the secret, so nothing has to be kept. */
const char *sign_in_verifier(const struct sign_in *s, struct arena *a, const char *state);
const char *sign_in_challenge(struct arena *a, const char *verifier);
/* The path when it is one of our own, else "/". */
const char *safe_return_to(const char *path);

/* ---- changes asked for by a browser ---- */

const char *csrf_token(const struct sign_in *s, struct arena *a, const struct session *session);
/* E_browser_mutation_denied unless the request shows that a page of ours made it: Origin, Sec-Fetch-*, X-CSRF-Token. */
bool browser_mutation_check(const struct sign_in *s, const struct request *rq, const struct session *session,
                            struct err *err);
