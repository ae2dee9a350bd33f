/* server/auth/authenticate.h - from a request's credential to a principal (facts/core.md 2.1). */
#pragma once

#include "core/task.h"

struct app;
struct request;
struct response;
struct principal;
struct session;

struct caller {
	const struct principal *principal;
	struct session *session; /* of a person's browser; NULL for a bearer token */
	unsigned retry_after_s;  /* with E_too_many_requests */
};

/* A bearer token, else, where with_cookie allows, the session cookie; a cookie that was renewed goes into rs.
 * Refusals are E_authentication_required, or E_too_many_requests for an address that has failed too often; why is in
 * the log and counted, never in the answer. */
SUSPENDS bool authenticate(struct task *t, struct app *app, const struct request *rq, bool with_cookie,
                           struct response *rs, struct caller *out, struct err *err);
/* Counts a failed attempt to authenticate; false with E_too_many_requests when the address has had too many. */
bool authentication_failed(struct task *t, struct app *app, const struct request *rq, const char *reason,
                           struct caller *out, struct err *err);
