/* server/auth/authenticate.h - from a request's credential to a principal (facts/core.md 2.1). */
#pragma once

#include "core/task.h"

struct app;
struct request;
struct principal;

/* Refusals are all E_authentication_required; why is in the log and counted, never in the answer. */
SUSPENDS bool authenticate(struct task *t, struct app *app, const struct request *rq, bool is_read,
                           const struct principal **out, struct err *err);
