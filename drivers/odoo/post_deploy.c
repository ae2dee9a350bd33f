#include "drivers/odoo/post_deploy.h"

#include "drivers/dokploy/credentials.h"
#include "drivers/odoo/target_env.h"
#include "storage/codes.h"

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(post_deploy_request),
	F_STR(post_deploy_request, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(post_deploy_request, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_ENUM(post_deploy_request, phase, 0, .names = override_phase_names, .fallback = "deploy",
	       .help = "Which override records apply; the data workflow runs in maintenance mode in any case"),
	F_MAP(post_deploy_request, env_overlay, NON_BLANK,
	      .help = "ODOO_DB_NAME, ODOO_FILESTORE_PATH, ODOO_DATA_WORKFLOW_LOCK_FILE for this run"),
	F_END,
};

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct post_deploy_request *r = record;
	return replacement_check_overlay(a, &r->env_overlay, path, err);
}
const struct contract post_deploy_request_contract =
        CONTRACT(post_deploy_request, request_fields, "A lane to be brought up to its records", .check = check_request);

bool lane_settle_target(struct task *t, struct operation *op, int64_t timeout_s, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct dokploy d;
	struct dokploy_compose live;
	bool has_target, has_id;
	if (!read_target(t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	if (!has_target || !has_id)
		return err_set(err, &E_operation_blocked,
		               "No Dokploy target is tracked for %s/%s: adopt it through target setup first",
		               op->context, op->instance);
	if (target.target_type != TARGET_COMPOSE)
		return err_set(err, &E_operation_blocked, "The tracked target of %s/%s is of type %s, not compose",
		               op->context, op->instance, target_type_names[target.target_type]);
	if (!dokploy_open(t, &d, err) || !dokploy_compose_one(t, &d, id.target_id, &live, err))
		return false;
	s->context = op->context;
	s->target_id = id.target_id;
	s->target_name = target.target_name[0] ? target.target_name : live.name;
	s->project_name = target.project_name;
	s->app_name = live.app_name;
	s->server_id = live.server_id;
	s->deploy_timeout_s = timeout_s > 0                          ? timeout_s
	                      : target.deploy_timeout_seconds.is_set ? target.deploy_timeout_seconds.value
	                                                             : 600;
	s->started_at = utc_now(t);
	return true;
}

/* ---- phases ---- */

/* *unproved: no run that passed says that web has these settings. */
static SUSPENDS bool wanted_env(struct task *t, struct operation *op, struct dokploy *d, struct target_env *env,
                                struct dokploy_compose *live, bool *unproved, struct err *err)
{
	struct replacement_state *s = op->state;
	struct odoo_override record;
	struct override_payload payload;
	bool found;
	if (!replacement_payload(t, op, INTENT_DEPLOY, &record, &found, &payload, err) || !dokploy_open(t, d, err) ||
	    !dokploy_compose_one(t, d, s->target_id, live, err))
		return false;
	*unproved = payload.is_rendered && record.last_apply.status != RELEASE_PASS;
	replacement_note_web(t, s, found, &payload);
	if (target_env_overrides(t->arena, live->env, &payload, env, err))
		return true;
	s->override_status = RELEASE_FAIL;
	return false;
}

/* Says whether web must be deployed anew before anything is written: a later run sees what this one wrote. Dokploy's
 * stored environment is no proof of what web has: a run may have written it and ended before its deploy did. */
SUSPENDS enum phase_outcome post_deploy_compare(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct dokploy d;
	struct target_env env;
	struct dokploy_compose live;
	bool unproved;
	s->post_deploy_status = RELEASE_PENDING;
	if (!wanted_env(t, op, &d, &env, &live, &unproved, err))
		return PHASE_FAILED;
	bool changed = target_env_differences(t->arena, &env, live.env).n > 0;
	s->skips_deploy = !changed && !unproved;
	replacement_note_bool(t, s, "environment_changed", changed);
	return PHASE_DONE;
}

SUSPENDS enum phase_outcome post_deploy_environment(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct dokploy d;
	struct target_env env;
	struct dokploy_compose live;
	bool unproved;
	if (s->skips_deploy)
		return PHASE_DONE;
	if (!wanted_env(t, op, &d, &env, &live, &unproved, err))
		return PHASE_FAILED;
	struct strings differing = target_env_differences(t->arena, &env, live.env);
	if (differing.n) {
		if (!dokploy_compose_set_env(t, &d, s->target_id, env.text, err) ||
		    !dokploy_compose_one(t, &d, s->target_id, &live, err))
			return PHASE_FAILED;
		differing = target_env_differences(t->arena, &env, live.env);
	}
	if (differing.n && !replacement_refuse_differences(t, &differing, err)) {
		s->override_status = RELEASE_FAIL;
		return PHASE_FAILED;
	}
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome post_deploy_target(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct post_deploy_request *r = op->request;
	s->override_phase = r->phase;
	s->order = ARENA_NEW(t->arena, struct replacement_request);
	contract_defaults(t->arena, &replacement_order_contract, s->order);
	s->order->product = op->product;
	s->order->instance = op->instance;
	s->order->env_overlay = r->env_overlay;
	return lane_settle_target(t, op, 0, err) ? post_deploy_compare(t, op, err) : PHASE_FAILED;
}

/* ---- the end ---- */

/* facts/odoo.md 8.1 */
static SUSPENDS void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	struct replacement_state *s = op->state;
	const struct post_deploy_request *r = op->request;
	struct arena *a = t->arena;
	struct json *o = ARENA_NEW(a, struct json), records = json_object(), keys = json_array();
	const char *phase = override_phase_names[r->phase];
	bool failed_override = failure && s->override_status == RELEASE_PENDING;
	replacement_write_last_apply(t, op, failure);
	*o = json_object();
	json_set_str(a, &records, "transition",
	             arena_printf(a, "odoo-post-deploy:%s:%s:%s", op->context, op->instance, phase));
	json_set(a, o, "records", records);
	json_set_str(a, o, "context", op->context);
	json_set_str(a, o, "instance", op->instance);
	json_set_str(a, o, "phase", phase);
	json_set_str(a, o, "post_deploy_status", failure ? "fail" : "pass");
	json_set_str(a, o, "override_status",
	             release_status_names[failed_override ? RELEASE_FAIL : s->override_status]);
	json_set(a, o, "override_record_found", json_of_bool(s->override_found));
	json_set(a, o, "override_payload_rendered", json_of_bool(s->override_rendered));
	json_set(a, o, "website_bootstrap_included", json_of_bool(s->override_website));
	json_set_str(a, o, "override_payload_sha256", s->override_sha256);
	json_set(a, o, "override_payload_schema_version", json_of_int(OVERRIDE_PAYLOAD_VERSION));
	json_set(a, o, "override_count", json_of_int(s->override_count));
	json_set_str(a, o, "workflow_intent", workflow_intent_names[INTENT_DEPLOY]);
	for (size_t i = 0; i < s->required_keys.n; i++)
		json_push(a, &keys, json_of_str(s->required_keys.v[i]));
	json_set(a, o, "required_container_environment_keys", keys);
	json_set(a, o, "override_evidence", json_of_map(a, &s->override_evidence));
	json_set_str(a, o, "applied_at", utc_now(t));
	json_set_str(a, o, "error_message", failure ? arena_strdup(a, failure->message) : "");
	op->result = o;
}

/* clang-format off */
static const struct phase phases[] = {
	{ "target",           "running",     post_deploy_target,           5, 1000, .cancel = CANCEL_ANY,
	  .help = "read the lane's records and its live environment, and build the override payload" },
	{ "environment",      "apply",       post_deploy_environment,      5, 1000, .cancel = CANCEL_ANY,
	  .help = "write the payload and its flags into the target's environment and read them back" },
	{ "deploy",           "apply",       replacement_deploy,           5, 1000, .cancel = CANCEL_FIRST,
	  .help = "ask Dokploy for a deploy, once, unless web has the settings already" },
	{ "deploy_wait",      "apply",       replacement_deploy_wait,      9, 1000, .limit_of = replacement_deploy_limit,
	  .help = "find that deploy by its title and wait for its end" },
	LANE_WORKFLOW_PHASES,
	{ 0 },
};
/* clang-format on */

const struct op_kind odoo_post_deploy_kind = {
	.name = "odoo_post_deploy",
	.id_prefix = "odoo-post-deploy",
	.help = "Applies a lane's typed settings and runs the data workflow in maintenance mode",
	.request = &post_deploy_request_contract,
	.state = &replacement_state_contract,
	.phases = phases,
	.conclude = conclude,
	.recover = lane_recover,
};
