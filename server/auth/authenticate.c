#include "server/auth/authenticate.h"

#include "core/log.h"
#include "server/app.h"
#include "server/auth/failure_limit.h"
#include "server/auth/oidc.h"
#include "server/auth/policy_store.h"
#include "server/http/server.h"
#include "server/measures.h"

#include <strings.h>

static bool refuse(struct task *t, struct app *app, const struct request *rq, const char *reason, struct err *err)
{
	measure_auth_refused();
	log_warn(t, "auth.refused", S("reason", reason), S("peer", failure_limit_address(app->failures, rq)));
	return err_set(err, &E_authentication_required, "a valid bearer token is required");
}

static bool too_many(struct task *t, const char *address, unsigned wait_s, struct caller *out, struct err *err)
{
	measure_auth_limited();
	log_warn(t, "auth.limited", S("address", address), I("retry_after_s", wait_s));
	out->retry_after_s = wait_s;
	return err_set(err, &E_too_many_requests,
	               "too many failed attempts to authenticate from this address; try again in %u s", wait_s);
}

bool authentication_failed(struct task *t, struct app *app, const struct request *rq, const char *reason,
                           struct caller *out, struct err *err)
{
	const char *address = failure_limit_address(app->failures, rq);
	unsigned wait_s = failure_limit_failed(app->failures, address, loop_wall_ms(t->loop));
	refuse(t, app, rq, reason, err);
	return wait_s ? too_many(t, address, wait_s, out, err) : false;
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

static SUSPENDS bool by_token(struct task *t, struct app *app, const struct request *rq, const char *token,
                              struct caller *out, struct err *err)
{
	struct principal *p = ARENA_NEW(t->arena, struct principal);
	enum token_refusal why;
	enum principal_kind kind;
	const char *address = failure_limit_address(app->failures, rq);
	int64_t now_ms = loop_wall_ms(t->loop);
	if (failure_limit_may_guess(app->failures, address, now_ms) && static_token_find(&app->tokens, token, &kind)) {
		if (!principal_of_token(t->arena, kind, app->tokens.of[kind].subject, app->tokens.of[kind].label, p))
			return refuse(t, app, rq, "token_without_subject_or_label", err);
		failure_limit_proved(app->failures, address, now_ms);
		out->principal = p;
		return true;
	}
	if (!oidc_authenticate(t, app->oidc, token, strlen(token), p, &why, err)) {
		if (err->code != &E_authentication_required)
			return false; /* cancelled, out of time, or the keys cannot be had */
		return authentication_failed(t, app, rq, token_refusal_name(why), out, err);
	}
	out->principal = p;
	return true;
}

/* missing: the reason when there is no cookie either. */
static SUSPENDS bool by_cookie(struct task *t, struct app *app, const struct request *rq, const char *missing,
                               struct response *rs, struct caller *out, struct err *err)
{
	const char *id;
	bool found, renewed;
	struct session *s = ARENA_NEW(t->arena, struct session);
	struct principal *p = ARENA_NEW(t->arena, struct principal);
	struct err unsure = { 0 };
	switch (session_cookie_read(&app->sign_in, rq, &id)) {
	case COOKIE_NONE:
		return refuse(t, app, rq, missing, err);
	case COOKIE_FORGED:
		return authentication_failed(t, app, rq, "cookie_forged", out, err);
	case COOKIE_GENUINE:
		break;
	}
	if (!session_load(t, id, s, &found, err))
		return false;
	if (!found)
		return refuse(t, app, rq, "session_ended", err);
	if (!session_principal(t->arena, &app->sign_in, policy_store_current(app->policy), s, p))
		return refuse(t, app, rq, "session_without_role", err);
	if (!session_renew(t, s, &renewed, &unsure))
		log_warn(t, "session.not_renewed", LOG_ERR(&unsure)); /* the next request tries again */
	else if (renewed)
		session_cookie_set(&app->sign_in, t->arena, s, session_left_s(t, s), rs);
	out->principal = p;
	out->session = s;
	return true;
}

bool authenticate(struct task *t, struct app *app, const struct request *rq, bool with_cookie, struct response *rs,
                  struct caller *out, struct err *err)
{
	*out = (struct caller){ 0 };
	if (request_header_count(rq, "authorization") > 1)
		return refuse(t, app, rq, "several_credentials", err);
	const char *why, *token = bearer(rq, &why);
	if (token)
		return by_token(t, app, rq, token, out, err);
	return with_cookie ? by_cookie(t, app, rq, why, rs, out, err) : refuse(t, app, rq, why, err);
}
