/* Browser sign-in with GitHub, and sessions (facts/core.md 2.3). */
#include "core/digest.h"
#include "core/log.h"
#include "drivers/github/sign_in.h"
#include "server/auth/authenticate.h"
#include "server/auth/failure_limit.h"
#include "server/auth/policy_store.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/operation.h"
#include "storage/session.sql.h"

static bool is_configured(struct call *c, struct err *err)
{
	return c->app->sign_in.configured ||
	       err_set(err, &E_auth_not_configured, "sign-in with a browser is not configured on this service");
}

static bool redirect(struct call *c, const char *to)
{
	response_no_store(c->rs);
	response_header(c->rs, "Location", to);
	c->rs->status = 302;
	return true;
}

static struct github_app app_of(const struct sign_in *s)
{
	return (struct github_app){ .web_url = s->github_url,
		                    .api_url = s->api_url,
		                    .client_id = s->client_id,
		                    .client_secret = s->client_secret };
}

static const char *redirect_uri(struct call *c)
{
	return arena_printf(c->arena, "%s/auth/github/callback", c->app->sign_in.public_url);
}

static SUSPENDS bool login(struct call *c, struct err *err)
{
	const struct sign_in *s = &c->app->sign_in;
	const struct github_app app = app_of(s);
	struct sign_in_state state;
	const char *return_to;
	if (!is_configured(c, err) || !request_query(c->rq, "return_to", &return_to, err))
		return false;
	sign_in_begin(s, c->arena, loop_wall_ms(c->t->loop), safe_return_to(return_to), c->rs, &state);
	const char *challenge = sign_in_challenge(c->arena, sign_in_verifier(s, c->arena, state.state));
	return redirect(c, github_authorize_url(c->arena, &app, redirect_uri(c), state.state, challenge));
}

/* ---- the way back ---- */

/* Whose session it is, whether the policy still knows them or not. */
static const struct principal *person_of(struct arena *a, const struct session_identity *who)
{
	struct principal *out = ARENA_NEW(a, struct principal);
	struct human human = { .login = who->login, .github_id = who->github_id };
	human_role_of(who->role, &human.role);
	principal_of_human(a, &human, out);
	return out;
}

static bool refuse_callback(struct call *c, const char *reason, const char *message, struct err *err)
{
	struct caller caller = { 0 };
	authentication_failed(c->t, c->app, c->rq, reason, &caller, err);
	call_retry_after(c, caller.retry_after_s);
	return err_is(err, &E_too_many_requests) ? false : err_set(err, &E_invalid_oauth_callback, "%s", message);
}

static bool is_limited(struct call *c, struct err *err)
{
	unsigned wait_s = failure_limit_wait_s(c->app->failures, failure_limit_address(c->app->failures, c->rq),
	                                       loop_wall_ms(c->t->loop));
	call_retry_after(c, wait_s);
	return wait_s > 0 && !err_set(err, &E_too_many_requests, "too many failed sign-ins; try again in %u s", wait_s);
}

/* Code and state, of a sign-in that this browser has begun and that has not come back before. */
static SUSPENDS bool read_callback(struct call *c, const char **code, struct sign_in_state *state, struct err *err)
{
	const char *error, *given;
	bool is_first;
	int64_t now_ms = loop_wall_ms(c->t->loop);
	if (!request_query(c->rq, "error", &error, err) || !request_query(c->rq, "code", code, err) ||
	    !request_query(c->rq, "state", &given, err))
		return err_set(err, &E_invalid_oauth_callback, "the query is not one that GitHub sends");
	if (is_blank(given) || !sign_in_resume(&c->app->sign_in, c->rq, now_ms, given, state))
		return refuse_callback(c, "sign_in_unknown_state",
		                       "this sign-in was not begun in this browser, or too long ago; begin again", err);
	if (!sign_in_state_use(c->t, state->state, state->expires_ms, &is_first, err))
		return false;
	if (!is_first)
		return refuse_callback(c, "sign_in_repeated", "this sign-in came back before; begin again", err);
	if (!is_blank(error))
		return err_set(err, &E_invalid_oauth_callback, "the sign-in was given up at GitHub; begin again");
	if (is_blank(*code))
		return refuse_callback(c, "sign_in_without_code", "the query has no code; begin again", err);
	return true;
}

static SUSPENDS bool ask_github(struct call *c, const char *code, const char *state, struct github_person *out,
                                struct err *err)
{
	const struct sign_in *s = &c->app->sign_in;
	const struct github_app app = app_of(s);
	const char *token;
	if (!github_exchange_code(c->t, &app, code, redirect_uri(c), sign_in_verifier(s, c->arena, state), &token,
	                          err)) {
		if (err_is(err, &E_cancelled))
			return false;
		log_warn(c->t, "sign_in.code_refused", LOG_ERR(err));
		return refuse_callback(c, "sign_in_code_refused",
		                       "GitHub did not accept the code of this sign-in; begin again", err);
	}
	if (github_person_read(c->t, &app, token, out, err))
		return true;
	if (!err_is(err, &E_provider_refused))
		return false;
	log_warn(c->t, "sign_in.person_refused", LOG_ERR(err));
	return refuse_callback(c, "sign_in_token_refused", "GitHub does not tell who signed in; begin again", err);
}

/* All addresses that may make an admin: verified ones, and the profile's. */
static const char *const *addresses_of(struct arena *a, const struct github_person *p)
{
	const char **out = arena_array(a, p->emails.n + 2, sizeof(*out));
	for (size_t i = 0; i < p->emails.n; i++)
		out[i] = p->emails.v[i];
	out[p->emails.n] = p->email[0] ? p->email : NULL;
	return out;
}

static const char *email_of(const struct sign_in *s, const struct github_person *p, const char *const *addresses)
{
	const char *admin = sign_in_admin_email(s, addresses);
	return admin            ? admin
	       : p->has_primary ? p->emails.v[0]
	       : p->email[0]    ? p->email
	       : p->emails.n    ? p->emails.v[0]
	                        : "";
}

static SUSPENDS bool callback(struct call *c, struct err *err)
{
	const struct sign_in *s = &c->app->sign_in;
	const char *code, *former;
	struct sign_in_state state;
	struct github_person person;
	struct session session;
	arena_wipe_on_reset(c->arena);                    /* the code, GitHub's token, our client secret */
	if (!is_configured(c, err) || is_limited(c, err)) /* which a sign-in outlives: it may come back later */
		return false;
	sign_in_cookie_clear(s, c->arena, c->rs);
	if (!read_callback(c, &code, &state, err) || !ask_github(c, code, state.state, &person, err))
		return false;
	const char *const *addresses = addresses_of(c->arena, &person);
	struct session_identity who = { .provider = "github",
		                        .login = person.login,
		                        .github_id = person.id,
		                        .name = person.name,
		                        .email = email_of(s, &person, addresses),
		                        .organizations = person.organizations,
		                        .teams = person.teams };
	enum human_role role = sign_in_role(c->arena, s, policy_store_current(c->app->policy), &who, addresses);
	if (role == HUMAN_NO_ROLE) {
		log_warn(c->t, "sign_in.no_role", S("login", who.login), I("github_id", who.github_id));
		return err_set(err, &E_authorization_denied, "no rule of the policy lets %s sign in", who.login);
	}
	who.role = human_role_name(role);
	bool had_one = session_cookie_read(s, c->rq, &former) == COOKIE_GENUINE;
	task_must_finish(c->t);
	call_begin_change(c, person_of(c->arena, &who), "human_session.create");
	audit_detail(c->t, "role", who.role);
	if (!session_create(c->t, &who, had_one ? sha256_text(c->arena, former, strlen(former)) : NULL, &session, err))
		return false;
	log_info(c->t, "session.created", S("login", who.login), I("github_id", who.github_id), S("role", who.role));
	session_cookie_set(s, c->arena, &session, SESSION_TTL_S, c->rs);
	return redirect(c, state.return_to);
}

/* ---- the session ---- */

static void write_identity(struct json_out *o, const struct session *s, const struct principal *p)
{
	jo_open(o, '{');
	jo_kv(o, "provider", s->identity.provider);
	jo_kv(o, "login", s->identity.login);
	jo_kv_int(o, "github_id", s->identity.github_id);
	jo_kv(o, "name", s->identity.name);
	jo_kv(o, "email", s->identity.email);
	jo_kv_strings(o, "organizations", &s->identity.organizations);
	jo_kv_strings(o, "teams", &s->identity.teams);
	jo_kv(o, "role", human_role_name(p->human.role));
	jo_close(o, '}');
}

static SUSPENDS bool session_show(struct call *c, struct err *err)
{
	struct buf b;
	struct json_out o;
	response_no_store(c->rs);
	if (!call_authenticate(c, true, err) || !c->session) {
		if (!err->code)
			err_set(err, &E_authentication_required,
			        "nobody is signed in: the credential is no session cookie");
		if (err_is(err, &E_authentication_required))
			call_error_member(c, "configured", c->app->sign_in.configured ? "true" : "false");
		return false;
	}
	call_open_ok(c, &o, &b);
	jo_key(&o, "identity");
	write_identity(&o, c->session, c->principal);
	jo_kv(&o, "csrf_token", csrf_token(&c->app->sign_in, c->arena, c->session));
	return call_close_ok(c, &o);
}

/* Without a session, or with one that has ended, the browser is told to forget its cookie, and that is all. */
static SUSPENDS bool logout(struct call *c, struct err *err)
{
	const struct sign_in *s = &c->app->sign_in;
	const char *id;
	bool found = false;
	struct session session;
	struct buf b;
	struct json_out o;
	if (session_cookie_read(s, c->rq, &id) == COOKIE_GENUINE && !session_load(c->t, id, &session, &found, err))
		return false;
	if (found) {
		task_must_finish(c->t);
		if (!browser_mutation_check(s, c->rq, &session, err))
			return false;
		call_begin_change(c, person_of(c->arena, &session.identity), "human_session.end");
		if (!session_end(c->t, &session, err))
			return false;
		log_info(c->t, "session.ended", S("login", session.identity.login));
	}
	session_cookie_clear(s, c->arena, c->rs);
	call_open_ok(c, &o, &b);
	return call_close_ok(c, &o);
}

/* ---- other people's sessions ---- */

struct session_revocation {
	int64_t schema_version;
	const char *login, *reason;
};
static const struct field session_revocation_fields[] = {
	F_SCHEMA_VERSION(session_revocation),
	F_STR(session_revocation, login, REQUIRED | TRIMMED | NON_BLANK, .max = 100,
	      .help = "Whose sessions, in any case"),
	F_STR(session_revocation, reason, REQUIRED | TRIMMED | NON_BLANK, .max = 1000, .help = "Why"),
	F_END,
};
static const struct contract session_revocation_contract =
        CONTRACT(session_revocation, session_revocation_fields, "Ends every session of a person");

static SUSPENDS bool sessions_revoke(struct call *c, struct err *err)
{
	const struct session_revocation *body = c->body;
	const struct json records = json_object();
	struct tx *tx;
	struct rows rows;
	audit_detail(c->t, "login", body->login);
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!tx_query(tx, &Q_session_delete_of_login, PARAMS(P_TEXT(body->login)), &rows, err)) {
		tx_rollback(tx);
		return false;
	}
	const char *result = arena_printf(c->arena, "{\"revoked_session_count\":%lld}", (long long)rows.changed);
	call_store_answer(c, tx, &records, result);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	log_info(c->t, "session.revoked", S("login", body->login), I("sessions", rows.changed),
	         S("caller", c->principal->actor), S("reason", body->reason));
	return call_accept(c, &records, result);
}

static SUSPENDS bool sessions_list(struct call *c, struct err *err)
{
	struct rows rows;
	const char *login_asked;
	if (!request_query(c->rq, "login", &login_asked, err) ||
	    !db_query(c->t, &Q_session_list,
	              PARAMS(P_TEXT(is_blank(login_asked) ? NULL : login_asked), P_TEXT(utc_now(c->t))), &rows, err))
		return false;
	return call_answer_member(c, "sessions", row_text(&rows, 0, 0));
}

const struct route auth_routes[] = {
	{ HTTP_GET, "/auth/github/login", "Begin to sign in: sends the browser to GitHub", login, .success = 302 },
	{ HTTP_GET, "/auth/github/callback", "Where GitHub sends the browser back: signs in", callback,
	  .success = 302 },
	{ HTTP_POST, "/auth/logout", "End the browser's session", logout, .success = 200, .body_max = 4096 },
	{ HTTP_GET, "/v1/auth/session", "Who is signed in, and the token for the next change", session_show },
	{ HTTP_GET, "/v1/auth/sessions", "People's sessions, newest first", sessions_list, .callers = CALLERS_READ,
	  .action = "human_session.read", .product = "=launchplane", .context = "=launchplane" },
	{ HTTP_POST, "/v1/auth/sessions/revocations", "End every session of a person", sessions_revoke,
	  .callers = CALLERS_WRITE_HUMAN, .action = "human_session.revoke", .product = "=launchplane",
	  .context = "=launchplane", .body = &session_revocation_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ 0 },
};
