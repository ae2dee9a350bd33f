#include "server/routes/dispatch.h"

#include "core/digest.h"
#include "core/log.h"
#include "server/auth/agent_audit.h"
#include "server/auth/authenticate.h"
#include "server/auth/policy_explain.h"
#include "server/auth/policy_store.h"
#include "server/measures.h"
#include "server/routes/route.h"
#include "storage/audit_log.h"
#include "storage/codes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_MAX ((size_t)2 << 20)

/* What the head of a request established; hangs on rq->route. */
struct head {
	const struct route *route; /* NULL: refused */
	struct path_params params;
	const char *trace_id, *allowed;
};

static void on_head(void *app, struct request *rq)
{
	(void)app;
	struct head *h = ARENA_NEW(rq->arena, struct head);
	h->trace_id = id_trace(rq->arena);
	h->route = route_match(rq->method, rq->path, &h->params, &h->allowed);
	rq->route = h;
	if (!h->route) {
		if (h->allowed[0])
			err_set(&rq->refuse, &E_method_not_allowed, "%s is not supported here; use %s", rq->method_name,
			        h->allowed);
		else
			err_set(&rq->refuse, &E_not_found, "there is no such route");
		return;
	}
	if (h->route->has_secrets)
		arena_wipe_on_reset(rq->arena); /* before the body comes */
	rq->body_max = h->route->body_max ? h->route->body_max : h->route->body ? BODY_MAX : 0;
}

static void on_error(struct arena *a, const struct request *rq, const struct err *err, struct response *rs)
{
	const struct head *h = rq->route;
	render_error(a, h ? h->trace_id : id_trace(a), err, "", rs);
	if (err->code == &E_method_not_allowed && h)
		response_header(rs, "Allow", h->allowed);
}

/* ---- the steps before a handler ---- */

static bool read_params(struct call *c, struct err *err)
{
	for (size_t i = 0; i < c->params.n; i++) {
		const char *value;
		if (!path_decode(c->arena, c->params.v[i].at, c->params.v[i].len, &value, err))
			return false;
		for (const char *p = value; *p; p++)
			if (*p == ' ' || (*p >= '\t' && *p <= '\r')) {
				char name[64];
				snprintf(name, sizeof(name), "%.*s", (int)strcspn(c->params.v[i].name, "}"),
				         c->params.v[i].name);
				return err_field(err, name, "must not contain white space");
			}
		c->params.v[i].at = value;
		c->params.v[i].len = strlen(value);
	}
	return true;
}

static bool is_json_type(const char *value)
{
	static const char json[] = "application/json";
	size_t n = strcspn(value, ";");
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	return n == sizeof(json) - 1 && strncasecmp(value, json, n) == 0;
}

static bool read_body(struct call *c, struct err *err)
{
	const struct route *r = c->route;
	c->fingerprint = "";
	c->applies = true;
	if (!r->body)
		return true;
	const char *type = request_header(c->rq, "content-type");
	if (type && !is_json_type(type))
		return err_field(err, "Content-Type", "must be application/json");
	struct json *j = ARENA_NEW(c->arena, struct json);
	if (!json_parse(c->arena, c->rq->body, c->rq->body_n, "body", j, err))
		return false;
	c->json = j;
	c->body = arena_alloc(c->arena, r->body->size);
	if (!contract_read(c->arena, r->body, j, "", c->body, err))
		return false;
	if (r->apply_action) {
		const char *mode = contract_str(r->body, c->body, "mode");
		c->applies = mode && strcasecmp(mode, r->apply_mode ? r->apply_mode : "apply") == 0;
	}
	if (r->method != HTTP_GET) {
		struct buf b = buf_in(c->arena);
		json_write_canonical(&b, j);
		c->fingerprint = sha256_text(c->arena, b.p, b.n);
	}
	return true;
}

/* The text a row's product or context stands for; false when a query parameter is bad. */
static bool source_text(struct call *c, const char *source, const char **out, struct err *err)
{
	if (source[0] == '=') {
		*out = source + 1;
	} else if (strncmp(source, "body:", 5) == 0) {
		const char *s = contract_str(c->route->body, c->body, source + 5);
		*out = s ? s : "";
	} else if (strncmp(source, "path:", 5) == 0) {
		*out = call_param(c, source + 5);
	} else {
		if (!request_query(c->rq, source + 6, out, err))
			return false;
		if (is_blank(*out))
			return err_set(err, &E_invalid_query, "the query parameter %s is required", source + 6);
	}
	return true;
}

/* Why not: for the log, and for programs that ask. */
static const char *denial_reason(const struct call *c, const char *action)
{
	if (principal_reads_only(c->principal) && c->route->method != HTTP_GET)
		return "read_only_caller";
	return policy_admits(c->principal, action) ? "no_matching_rule" : "action_beyond_caller";
}

static void explain_denial(struct call *c, const char *action, const char *product, const char *context)
{
	if (!c->route->is_for_agents && c->principal->kind != PRINCIPAL_TERMINAL_AGENT)
		return;
	const struct agent_decision d = { .is_allowed = false,
		                          .reason_code = denial_reason(c, action),
		                          .action = action,
		                          .product = product,
		                          .context = context };
	call_error_member(c, "agent_audit", agent_audit(c->arena, c->app->policy, c->principal, &d));
}

static bool deny(struct call *c, const char *action, const char *product, const char *context, struct err *err)
{
	explain_denial(c, action, product, context);
	const char *why = policy_denial(policy_store_current(c->app->policy), c->principal, action, product, context);
	log_info(c->t, "authz.denied", S("reason", why), S("action", action), S("product", product),
	         S("context", context), S("caller", c->principal->actor));
	if (c->route->method != HTTP_GET) {
		c->audit.action = action;
		c->audit.product = product;
		c->audit.context = context;
		audit_denied(c->app->audit, &c->audit);
	}
	return err_set(err, &E_authorization_denied, "the caller's grants do not allow this");
}

static bool authorize(struct call *c, struct err *err)
{
	const struct route *r = c->route;
	const char *product, *context, *action = r->apply_action && c->applies ? r->apply_action : r->action;
	if (r->decides_itself)
		return true;
	if (!policy_admits(c->principal, action))
		return deny(c, action, "", "",
		            err); /* before a handler looks for records: it must not tell what exists */
	if (strcmp(r->product, "handler") == 0 || strcmp(r->context, "handler") == 0)
		return true;
	if (!source_text(c, r->product, &product, err) || !source_text(c, r->context, &context, err))
		return false;
	return call_authorize(c, action, product, context, err);
}

bool call_authorize(struct call *c, const char *action, const char *product, const char *context, struct err *err)
{
	if (policy_allows(policy_store_current(c->app->policy), c->principal, action, product, context)) {
		c->audit.action = action;
		c->audit.product = product;
		c->audit.context = context;
		return true;
	}
	return deny(c, action, product, context, err);
}

/* Local operators and admins say why, planning or applying, wherever a body has room for it (facts/core.md 2.5). */
static bool check_reason(struct call *c, struct err *err)
{
	if (!c->body || (c->principal->kind != PRINCIPAL_LOCAL_OPERATOR && c->principal->kind != PRINCIPAL_LOCAL_ADMIN))
		return true;
	const char *reason = contract_str(c->route->body, c->body, "reason");
	if (!reason || !is_blank(reason))
		return true;
	return err_set(err, &E_reason_required,
	               "reason: is required from local operators and admins; say why this is done");
}

static bool read_key(struct call *c, struct err *err)
{
	const struct route *r = c->route;
	if (r->idempotency == IDEMPOTENCY_NONE)
		return true;
	if (request_header_count(c->rq, "idempotency-key") > 1)
		return err_field(err, "Idempotency-Key", "must be given once");
	const char *key = request_header(c->rq, "idempotency-key");
	key = key ? trimmed(c->arena, key) : "";
	if (strlen(key) > 500)
		return err_field(err, "Idempotency-Key", "must not be longer than 500 bytes");
	bool only_applies = r->idempotency == IDEMPOTENCY_APPLY || r->idempotency == IDEMPOTENCY_APPLY_REQUIRED ||
	                    r->idempotency == IDEMPOTENCY_OWN_APPLY_REQUIRED;
	bool required = r->idempotency == IDEMPOTENCY_OWN_REQUIRED ||
	                (c->applies && (r->idempotency == IDEMPOTENCY_APPLY_REQUIRED ||
	                                r->idempotency == IDEMPOTENCY_OWN_APPLY_REQUIRED));
	if (required && !key[0])
		return err_set(err, &E_idempotency_key_required,
		               "the Idempotency-Key header is required; send the same key to ask again about the same "
		               "request");
	c->idempotency_key = key[0] && (c->applies || !only_applies) ? key : NULL;
	return true;
}

/* ---- what the audit log is told ---- */

static void name_caller(struct call *c)
{
	struct json *caller = ARENA_NEW(c->arena, struct json);
	*caller = principal_audit(c->arena, c->principal);
	c->audit = (struct audit_entry){
		.type = "request",
		.event = "accepted",
		.route = arena_printf(c->arena, "%s %s", llhttp_method_name(c->route->method), c->route->path),
		.action = c->route->action,
		.actor = c->principal->actor,
		.caller = caller,
		.override = c->principal->kind == PRINCIPAL_LOCAL_ADMIN ? "admin" : NULL,
		.policy_sha256 = arena_strdup(c->arena, policy_store_digest(c->app->policy)),
		.trace_id = c->trace_id,
	};
}

/* From here on whatever the handler commits is told. The digest of a body with secrets would let them be guessed. */
static void begin_change(struct call *c)
{
	c->audit.reason = c->body ? contract_str(c->route->body, c->body, "reason") : NULL;
	c->audit.request_sha256 = c->route->has_secrets ? NULL : c->fingerprint;
	audit_begin(c->t, &c->audit);
}

void call_begin_change(struct call *c, const struct principal *who, const char *action)
{
	c->principal = who;
	name_caller(c);
	c->audit.action = action;
	begin_change(c);
}

static bool only_reads(const char *action)
{
	size_t n = strlen(action);
	return n > 5 && strcmp(action + n - 5, ".read") == 0;
}

/* A change that was accepted and left all as it was, is told as well: that it was allowed matters. */
static SUSPENDS bool end_change(struct call *c, struct err *err)
{
	if (c->audit.leaves || c->replayed || !c->applies || c->rs->status >= 300 || only_reads(c->audit.action))
		return true;
	return audit_append(c->t, &c->audit, err);
}

static bool is_own(enum idempotency i)
{
	return i == IDEMPOTENCY_OWN || i == IDEMPOTENCY_OWN_REQUIRED || i == IDEMPOTENCY_OWN_APPLY_REQUIRED;
}

bool call_authenticate(struct call *c, bool with_cookie, struct err *err)
{
	struct caller caller;
	if (!authenticate(c->t, c->app, c->rq, with_cookie, c->rs, &caller, err)) {
		call_retry_after(c, caller.retry_after_s);
		return false;
	}
	c->principal = caller.principal;
	c->session = caller.session;
	return true;
}

/* The token of this change is spent, and the next one handed out. */
bool call_spend_csrf(struct call *c, struct err *err)
{
	bool spent;
	if (!session_spend_csrf(c->t, c->session, &spent, err))
		return false;
	if (!spent)
		return err_set(err, &E_browser_mutation_denied,
		               "the X-CSRF-Token was spent by another request; GET /v1/auth/session shows the next");
	response_header(c->rs, "X-CSRF-Token", csrf_token(&c->app->sign_in, c->arena, c->session));
	return true;
}

static SUSPENDS bool serve(struct call *c, struct err *err)
{
	const struct route *r = c->route;
	if (!read_params(c, err))
		return false;
	if (r->callers == CALLERS_ANYONE)
		return r->handler(c, err);
	if (!call_authenticate(c, r->callers != CALLERS_WRITE, err))
		return false;
	c->t->actor = c->principal->actor;
	if (r->method != HTTP_GET)
		name_caller(c);
	if (principal_reads_only(c->principal) && r->method != HTTP_GET) {
		log_info(c->t, "authz.denied", S("reason", "reads_only"), S("action", r->action),
		         S("caller", c->principal->actor));
		audit_denied(c->app->audit, &c->audit);
		explain_denial(c, r->action, "", "");
		return err_set(err, &E_authorization_denied, "terminal agents may only read");
	}
	if (c->session && r->method != HTTP_GET && !browser_mutation_check(&c->app->sign_in, c->rq, c->session, err)) {
		audit_denied(c->app->audit, &c->audit);
		return false;
	}
	if (!read_body(c, err) || !authorize(c, err) || !check_reason(c, err) || !read_key(c, err))
		return false;
	if (c->idempotency_key && !is_own(r->idempotency)) {
		bool replayed;
		if (!call_replay(c, &replayed, err))
			return false;
		if (replayed)
			return true;
	}
	if (r->method == HTTP_GET)
		return r->handler(c, err);
	task_must_finish(c->t); /* a change that has started runs to its end, client or not */
	if (c->session && c->applies && !call_spend_csrf(c, err))
		return false;
	begin_change(c);
	return r->handler(c, err) && end_change(c, err);
}

/* ---- conditional reads ---- */

/* The tag is made from the answer without its trace id, which is new each time. */
static void tag_answer(struct call *c)
{
	if (c->route->method != HTTP_GET || c->rs->status != 200 || !c->rs->body || c->route->callers == CALLERS_ANYONE)
		return;
	const char *from = strstr(c->rs->body, c->trace_id);
	size_t skip = from ? (size_t)(from - c->rs->body) + strlen(c->trace_id) : 0;
	uint64_t hash = hash64(0, c->rs->body + skip, c->rs->body_n - skip);
	char hex[2 * sizeof(hash) + 1];
	hex_write(&hash, sizeof(hash), hex);
	struct buf b = buf_in(c->arena);
	buf_str(&b, "W/\"");
	buf_str(&b, hex);
	buf_char(&b, '"');
	const char *tag = b.p;
	response_header(c->rs, "ETag", tag);
	const char *seen = request_header(c->rq, "if-none-match");
	if (seen && (strstr(seen, tag + 2) || strcmp(seen, "*") == 0)) {
		c->rs->status = 304;
		c->rs->body = NULL;
		c->rs->body_n = 0;
	}
}

static struct call call_of(struct task *t, struct app *app, struct request *rq, struct response *rs)
{
	const struct head *h = rq->route;
	return (struct call){ .t = t,
		              .arena = rq->arena,
		              .app = app,
		              .rq = rq,
		              .rs = rs,
		              .route = h->route,
		              .params = h->params,
		              .trace_id = h->trace_id,
		              .fingerprint = "",
		              .error_members = "" };
}

/* The caller's trace context, when it has the form of one (W3C Trace Context, version 00). */
static const char *trace_context(const struct request *rq)
{
	const char *value = request_header(rq, "traceparent");
	if (!value || strlen(value) != 55 || value[2] != '-' || value[35] != '-' || value[52] != '-' ||
	    strspn(value, "0123456789abcdef-") != 55)
		return "";
	return value;
}

static SUSPENDS void on_request(struct task *t, void *app, struct request *rq, struct response *rs)
{
	struct call c = call_of(t, app, rq, rs);
	struct err err = { 0 };
	t->trace_id = c.trace_id;
	t->traceparent = trace_context(rq);
	task_set_deadline(t, 120000);
	if (serve(&c, &err)) {
		tag_answer(&c);
		return;
	}
	assert(err.code);
	if (err.code->status >= 500)
		log_error(t, "request.failed", S("route", c.route->path), LOG_ERR(&err));
	else if (err.cause[0])
		log_warn(t, "request.refused", S("route", c.route->path), LOG_ERR(&err));
	render_error(c.arena, c.trace_id, &err, c.error_members, rs);
}

static bool on_inline(void *app, struct request *rq, struct response *rs)
{
	const struct head *h = rq->route;
	if (!h || !h->route->is_inline)
		return false;
	struct call c = call_of(NULL, app, rq, rs);
	struct err err = { 0 };
	if (!h->route->handler(&c, &err))
		render_error(c.arena, c.trace_id, &err, "", rs);
	return true;
}

static void on_finished(void *app, const struct request *rq, int status, uint64_t micros, uint64_t bytes)
{
	(void)app;
	const struct head *h = rq->route;
	measure_request(status, micros);
	if (h && h->route && h->route->is_inline && !log_enabled(LOG_DEBUG))
		return; /* probes would drown the rest */
	if (!log_enabled(LOG_INFO))
		return;
	log_info(NULL, "request", S("trace_id", h ? h->trace_id : ""), S("method", rq->method_name),
	         S("route", h && h->route ? h->route->path : ""), S("path", rq->path), I("status", status),
	         I("us", micros), I("bytes", bytes), S("peer", rq->peer));
}

static void on_drained(void *app)
{
	struct app *a = app;
	a->drained = true;
	if (a->main_task)
		task_wake(a->main_task);
}

const struct http_app launchplane_app = {
	.head = on_head,
	.handle_inline = on_inline,
	.handle = on_request,
	.render_error = on_error,
	.finished = on_finished,
	.drained = on_drained,
};

const char *call_param(struct call *c, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < c->params.n; i++)
		if (strncmp(c->params.v[i].name, name, n) == 0 && c->params.v[i].name[n] == '}')
			return c->params.v[i].at;
	abort(); /* the path has no such parameter */
}
