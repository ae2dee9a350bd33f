#include "server/auth/authenticate.h"

#include "core/log.h"
#include "server/app.h"
#include "server/auth/oidc.h"
#include "server/http/server.h"
#include "server/measures.h"

#include <strings.h>

static bool refuse(struct task *t, const struct request *rq, const char *reason, struct err *err)
{
	measure_auth_refused();
	log_warn(t, "auth.refused", S("reason", reason), S("peer", rq->peer));
	return err_set(err, &E_authentication_required, "a valid bearer token is required");
}

/* The token of "Authorization: Bearer <token>", scheme in any case; NULL with the reason when there is none. */
static const char *bearer(const struct request *rq, const char **why)
{
	const char *value = request_header(rq, "authorization");
	*why = !value || !value[0] ? "no_credential" : "other_scheme";
	if (!value || strncasecmp(value, "bearer", 6) != 0 || (value[6] && value[6] != ' ' && value[6] != '\t'))
		return NULL;
	value += 6;
	while (*value == ' ' || *value == '\t')
		value++;
	*why = "empty_credential";
	return *value ? value : NULL;
}

bool authenticate(struct task *t, struct app *app, const struct request *rq, bool is_read, const struct principal **out,
                  struct err *err)
{
	(void)is_read;
	if (request_header_count(rq, "authorization") > 1)
		return refuse(t, rq, "several_credentials", err);
	const char *reason, *token = bearer(rq, &reason);
	if (!token)
		return refuse(t, rq, reason, err);
	struct principal *p = ARENA_NEW(t->arena, struct principal);
	enum token_refusal why;
	enum principal_kind kind;
	if (static_token_find(&app->tokens, token, &kind)) {
		if (!principal_of_token(t->arena, kind, app->tokens.of[kind].subject, app->tokens.of[kind].label, p))
			return refuse(t, rq, "token_without_subject_or_label", err);
		*out = p;
		return true;
	}
	if (!oidc_authenticate(t, app->oidc, token, strlen(token), p, &why, err)) {
		if (err->code != &E_authentication_required)
			return false; /* cancelled or out of time */
		return refuse(t, rq, token_refusal_name(why), err);
	}
	*out = p;
	return true;
}
