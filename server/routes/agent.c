/* What agents read before they act, and what they may do, asked before they try (facts/core.md 3.8, config-health.md
 * 10.6). */
#include "core/digest.h"
#include "core/log.h"
#include "server/auth/agent_audit.h"
#include "server/auth/policy_store.h"
#include "server/routes/tables.h"
#include "storage/agent.sql.h"
#include "storage/codes.h"
#include "storage/operation.h"

#include <strings.h>

static SUSPENDS bool repository_asked(struct call *c, bool is_required, const char **out, struct err *err)
{
	if (!request_query(c->rq, "repository", out, err))
		return false;
	*out = is_blank(*out) ? NULL : trimmed(c->arena, *out);
	if (*out && (!strchr(*out, '/') || strlen(*out) > 200))
		return err_set(err, &E_invalid_query, "the query parameter repository must be owner/name");
	return *out || !is_required || err_set(err, &E_invalid_query, "the query parameter repository is required");
}

static SUSPENDS bool mapping_show(struct call *c, struct err *err)
{
	const char *repository;
	struct rows rows;
	if (!repository_asked(c, false, &repository, err) ||
	    !db_query(c->t, &Q_repo_product_mapping, PARAMS(P_TEXT(utc_now(c->t)), P_TEXT(repository)), &rows, err))
		return false;
	return call_answer_member(c, "mapping", row_text(&rows, 0, 0));
}

/* ---- the context of a repository ---- */

struct section {
	const char *name;
	const char *action;        /* on launchplane/launchplane */
	const struct query *query; /* NULL: this service keeps no such records */
	bool with_time;
};

static const struct section sections[] = {
	{ "repo_product_mapping", "product_environment.read", &Q_repo_product_mapping, true },
	{ "work_graph_snapshot", "work_graph.rank", NULL, false },
	{ "every_code_summary", "every_code_work_request.read", &Q_agent_every_code_summary, false },
	{ "preview_readiness", "every_code_preview_gate.read", &Q_agent_preview_readiness, false },
};

/* NULL with the reason when the section cannot be shown; false when nobody waits for it any more. */
static SUSPENDS bool section_read(struct call *c, const struct section *s, const char *repository, const char *now,
                                  const char **payload, const char **status, const char **reason, struct err *err)
{
	struct rows rows;
	*payload = NULL;
	*status = "unavailable";
	*reason = "";
	if (!policy_allows(policy_store_current(c->app->policy), c->principal, s->action, "launchplane",
	                   "launchplane")) {
		*status = "unauthorized";
		*reason = "authorization_denied";
		return true;
	}
	if (!s->query) {
		*reason = "source_not_configured";
		return true;
	}
	const struct param with_time[] = { P_TEXT(now), P_TEXT(repository) };
	bool ok = s->with_time ? db_query(c->t, s->query, with_time, 2, &rows, err)
	                       : db_query(c->t, s->query, with_time + 1, 1, &rows, err);
	if (!ok && (err_is(err, &E_cancelled) || err_is(err, &E_timeout)))
		return false;
	if (!ok) {
		log_warn(c->t, "agent_context.section_failed", S("section", s->name), LOG_ERR(err));
		memset(err, 0, sizeof(*err));
		*reason = "source_failed";
		return true;
	}
	*status = "available";
	*payload = row_text(&rows, 0, 0);
	return true;
}

static SUSPENDS bool context_show(struct call *c, struct err *err)
{
	const char *repository, *now = utc_now(c->t), *payload, *status, *reason;
	int64_t available = 0;
	struct buf parts = buf_in(c->arena), b;
	struct json_out po = { .buf = &parts }, o;
	if (!repository_asked(c, true, &repository, err))
		return false;
	jo_open(&po, '{');
	for (size_t i = 0; i < countof(sections); i++) {
		if (!section_read(c, &sections[i], repository, now, &payload, &status, &reason, err))
			return false;
		available += payload != NULL;
		jo_key(&po, sections[i].name);
		jo_open(&po, '{');
		jo_kv(&po, "status", status);
		jo_key(&po, "payload");
		if (payload)
			jo_raw(&po, payload, strlen(payload));
		else
			jo_null(&po);
		jo_kv(&po, "reason_code", reason);
		jo_close(&po, '}');
	}
	jo_close(&po, '}');
	call_open_ok(c, &o, &b);
	jo_key(&o, "context");
	jo_open(&o, '{');
	jo_kv_int(&o, "schema_version", 1);
	jo_kv(&o, "generated_at", now);
	jo_kv(&o, "repository", repository);
	jo_key(&o, "source");
	jo_open(&o, '{');
	jo_kv_int(&o, "section_count", (int64_t)countof(sections));
	jo_kv_int(&o, "available_section_count", available);
	jo_close(&o, '}');
	jo_key(&o, "sections");
	jo_raw(&o, parts.p, parts.n);
	jo_close(&o, '}');
	return call_close_ok(c, &o);
}

/* ---- write intents ---- */

enum { MODE_DRY_RUN, MODE_APPLY };
static const char *const modes[] = { "dry_run", "apply", NULL };

struct write_intent {
	int64_t schema_version;
	const char *intent;
	int mode;
	const char *product, *context, *instance, *reason;
};
static const struct field write_intent_fields[] = {
	F_SCHEMA_VERSION(write_intent),
	F_STR(write_intent, intent, REQUIRED | TRIMMED | NON_BLANK, .max = 200,
	      .help = "A writing route's action, as product_config.apply, or the part before the dot"),
	F_ENUM(write_intent, mode, 0, .names = modes, .fallback = "dry_run", .help = "To plan it or to do it"),
	F_STR(write_intent, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(write_intent, context, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(write_intent, instance, TRIMMED, .max = 200),
	F_STR(write_intent, reason, TRIMMED, .max = 1000, .help = "Why; local operators and admins must say"),
	F_END,
};
static const struct contract write_intent_contract =
        CONTRACT(write_intent, write_intent_fields, "What an agent wants to do");

static bool names(const char *intent, const char *action)
{
	size_t n = strlen(intent);
	return action && strncmp(action, intent, n) == 0 && (!action[n] || (action[n] == '.' && !strchr(intent, '.')));
}

/* The action that an intent stands for, from the table of routes: a new route needs nothing here. */
static bool action_of(const struct write_intent *w, const struct route **route, const char **action, struct err *err)
{
	*action = NULL;
	for (const struct route *const *table = all_routes; *table; table++)
		for (const struct route *r = *table; r->path; r++) {
			if (r->method == HTTP_GET || !r->action || r->decides_itself)
				continue;
			const char *found = r->apply_action && names(w->intent, r->apply_action) &&
			                                    (w->mode == MODE_APPLY || !names(w->intent, r->action))
			                            ? r->apply_action
			                    : names(w->intent, r->action) ? r->action
			                                                  : NULL;
			if (!found)
				continue;
			if (*action && strcmp(*action, found) != 0)
				return err_field(err, "intent", "stands for several actions, as %s and %s: name one",
				                 *action, found);
			*action = found;
			*route = *route ? *route : r;
		}
	return *action || err_field(err, "intent",
	                            "stands for no writing route: name the action of one, as the "
	                            "reference of routes lists them");
}

static void write_evaluation(struct json_out *o, const struct write_intent *w, const struct route *r,
                             const char *action)
{
	jo_kv(o, "intent", w->intent);
	jo_kv(o, "mode", modes[w->mode]);
	jo_kv(o, "status", "allowed");
	jo_kv(o, "authz_action", action);
	jo_kv(o, "action_safety", action_safety_name(action_safety(action)));
	jo_kv(o, "product", w->product);
	jo_kv(o, "context", w->context);
	jo_kv(o, "instance", w->instance);
	jo_kv(o, "method", "POST");
	jo_kv(o, "route_path", r->path);
}

static SUSPENDS bool intent_evaluate(struct call *c, struct err *err)
{
	const struct write_intent *w = c->body;
	const struct route *route = NULL;
	const char *action, *now = utc_now(c->t);
	if (!action_of(w, &route, &action, err) || !call_authorize(c, action, w->product, w->context, err))
		return false;
	const struct agent_decision d = { true, "matching_rule", action, w->product, w->context };
	const char *audit = agent_audit(c->arena, c->app->policy, c->principal, &d);
	const char *record_id = arena_printf(c->arena, "agent-write-intent-%s", random_hex(c->arena, 16));
	struct json caller = principal_audit(c->arena, c->principal);

	audit_record(c->t, "agent_write_intent_record_id", record_id);
	struct buf result = buf_in(c->arena), payload = buf_in(c->arena);
	struct json_out ro = { .buf = &result }, po = { .buf = &payload };
	jo_open(&ro, '{');
	write_evaluation(&ro, w, route, action);
	jo_key(&ro, "agent_audit");
	jo_raw(&ro, audit, strlen(audit));
	jo_close(&ro, '}');
	jo_open(&po, '{');
	jo_kv_int(&po, "schema_version", 1);
	jo_kv(&po, "record_id", record_id);
	jo_kv(&po, "recorded_at", now);
	jo_kv(&po, "trace_id", c->trace_id);
	write_evaluation(&po, w, route, action);
	jo_kv(&po, "reason", w->reason);
	jo_key(&po, "operator");
	jo_json(&po, &caller);
	jo_key(&po, "agent_audit");
	jo_raw(&po, audit, strlen(audit));
	jo_close(&po, '}');
	if (!db_write(c->t, record_id, &Q_agent_write_intent_insert,
	              PARAMS(P_TEXT(record_id), P_TEXT(now), P_TEXT(c->trace_id), P_TEXT(w->intent),
	                     P_TEXT(modes[w->mode]), P_TEXT("allowed"), P_TEXT(action), P_TEXT(w->product),
	                     P_TEXT(w->context), P_TEXT(buf_cstr(&payload))),
	              NULL, err))
		return false;
	struct json records = json_object();
	json_set_str(c->arena, &records, "agent_write_intent_record_id", record_id);
	return call_accept(c, &records, buf_cstr(&result));
}

const struct route agent_routes[] = {
	{ HTTP_GET, "/v1/repo-product-mapping", "Which repositories make which products; ?repository= for one",
	  mapping_show, .callers = CALLERS_READ, .action = "product_environment.read", .product = "=launchplane",
	  .context = "=launchplane", .is_for_agents = true },
	{ HTTP_GET, "/v1/agent/context", "What is known of a repository: ?repository=owner/name", context_show,
	  .callers = CALLERS_READ, .action = "product_environment.read", .product = "=launchplane",
	  .context = "=launchplane", .is_for_agents = true },
	{ HTTP_POST, "/v1/agent/write-intents/evaluate",
	  "Whether the caller may do what it intends: decided by the action the intent stands for, and recorded",
	  intent_evaluate, .callers = CALLERS_WRITE_HUMAN, .action = "agent_write_intent.evaluate",
	  .product = "handler", .context = "handler", .body = &write_intent_contract, .decides_itself = true,
	  .is_for_agents = true },
	{ 0 },
};
