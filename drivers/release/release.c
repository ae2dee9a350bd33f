#include "drivers/release/release.h"

#include "core/digest.h"
#include "storage/codes.h"
#include "storage/promotion.h"
#include "storage/promotion.sql.h"

/* ---- requests ---- */

static bool check_release(struct arena *a, void *record, const char *path, struct err *err)
{
	struct replacement_request *r = record;
	bool promotes = !is_blank(r->from_instance);
	if (!is_stable_lane(r->instance))
		return contract_fail(a, err, path, promotes ? "to_instance" : "instance", "must be testing or prod");
	if (promotes && !is_stable_lane(r->from_instance))
		return contract_fail(a, err, path, "from_instance", "must be testing or prod");
	if (promotes && strcmp(r->from_instance, r->instance) == 0)
		return contract_fail(a, err, path, "to_instance", "must differ from from_instance");
	return replacement_check_overlay(a, &r->env_overlay, path, err);
}

static bool check_ship(struct arena *a, void *record, const char *path, struct err *err)
{
	struct replacement_request *r = record;
	r->from_instance = r->backup_record_id = r->confirmation = "";
	return check_release(a, record, path, err);
}

static bool check_promote(struct arena *a, void *record, const char *path, struct err *err)
{
	struct replacement_request *r = record;
	r->confirmation = "";
	return check_release(a, record, path, err);
}

/* clang-format off */
#define LANE(member_, help_) \
	{ .name = (member_), .kind = FIELD_STR, .flags = REQUIRED | TRIMMED | NON_BLANK, .max = 100, \
	  .offset = offsetof(struct replacement_request, instance), .help = (help_) }
#define RELEASE_FIELDS \
	F_SCHEMA_VERSION(replacement_request), \
	F_STR(replacement_request, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200), \
	F_STR(replacement_request, context, REQUIRED | TRIMMED | NON_BLANK, .max = 200), \
	F_STR(replacement_request, artifact_id, REQUIRED | TRIMMED | NON_BLANK, .max = 300, .help = "Its manifest must be stored"), \
	F_STR(replacement_request, source_git_ref, TRIMMED, .max = 300, .help = "Default: the manifest's commit"), \
	F_STR(replacement_request, expected_current_artifact_id, TRIMMED, .max = 300, \
	      .help = "When set, what the inventory must say runs now"), \
	F_BOOL(replacement_request, verify_health, 0, .fallback = "true"), \
	F_BOOL(replacement_request, no_cache, 0, .fallback = "false", .help = "Redeploy instead of deploy"), \
	F_OPT_INT(replacement_request, timeout_seconds, 0, .min = 1, .max = 86400, .help = "Of the deploy; default: the target's, 600"), \
	F_OPT_INT(replacement_request, health_timeout_seconds, 0, .min = 1, .max = 86400, \
	          .help = "Of the verification; default: the target's, 180"), \
	F_MAP(replacement_request, env_overlay, NON_BLANK, \
	      .help = "ODOO_DB_NAME, ODOO_FILESTORE_PATH, ODOO_DATA_WORKFLOW_LOCK_FILE for the post-deploy update")
/* clang-format on */

static const struct field ship_fields[] = {
	RELEASE_FIELDS,
	LANE("instance", "The lane: testing or prod"),
	F_END,
};
const struct contract ship_request_contract = {
	.name = "ship_request",
	.help = "Which artifact to deploy to which lane",
	.size = sizeof(struct replacement_request),
	.fields = ship_fields,
	.check = check_ship,
};

static const struct field promote_fields[] = {
	RELEASE_FIELDS,
	F_STR(replacement_request, from_instance, REQUIRED | TRIMMED | NON_BLANK, .max = 100,
	      .help = "The lane whose release tuple is of the artifact"),
	LANE("to_instance", "The lane that shall run it"),
	F_STR(replacement_request, backup_record_id, REQUIRED | TRIMMED | NON_BLANK, .max = 300,
	      .help = "A passing backup gate of to_instance, made since its current deployment"),
	F_END,
};
const struct contract promote_request_contract = {
	.name = "promote_request",
	.help = "Which artifact to promote from lane to lane",
	.size = sizeof(struct replacement_request),
	.fields = promote_fields,
	.check = check_promote,
};

/* ---- the promotion's record ---- */

static void promotion_record(struct task *t, struct operation *op, const struct err *failure, struct promotion *out)
{
	const struct replacement_state *s = op->state;
	const struct replacement_request *r = op->request;
	struct deployment d;
	replacement_deployment(t, op, failure, &d);
	*out = (struct promotion){
		.schema_version = 1,
		.record_id = s->release.promotion_record_id,
		.artifact_identity = { s->artifact_id, 1 },
		.deployment_record_id = s->deployment_record_id,
		.backup_record_id = r->backup_record_id,
		.context = op->context,
		.from_instance = r->from_instance,
		.to_instance = op->instance,
		.backup_gate = { .required = true, .status = RELEASE_PASS },
		.deploy = d.deploy,
		.post_deploy_update = d.post_deploy_update,
		.destination_health = d.destination_health,
		.rollback = { .status = RELEASE_SKIPPED,
		              .detail = "",
		              .snapshot_name = "",
		              .started_at = "",
		              .finished_at = "" },
	};
	contract_defaults(t->arena, &healthcheck_evidence_contract, &out->source_health);
	contract_defaults(t->arena, &healthcheck_evidence_contract, &out->rollback_health);
	if (s->release.source_health)
		out->source_health = *s->release.source_health;
	map_set(t->arena, &out->backup_gate.evidence, "source", s->release.gate_source);
	map_set(t->arena, &out->backup_gate.evidence, "created_at", s->release.gate_created_at);
}

static void write_promotion(struct task *t, struct operation *op, const struct err *failure)
{
	struct promotion p;
	promotion_record(t, op, failure, &p);
	operation_write(t, op, &Q_promotion_upsert,
	                PARAMS(P_TEXT(p.record_id), P_TEXT(p.context), P_TEXT(p.from_instance), P_TEXT(p.to_instance),
	                       P_TEXT(p.artifact_identity.artifact_id), P_TEXT(p.deploy.started_at),
	                       P_TEXT(p.deploy.finished_at), P_TEXT(contract_text(t->arena, &promotion_contract, &p))));
}

/* ---- plan ---- */

static SUSPENDS bool check(struct task *t, struct operation *op, struct release_reading *r, struct err *err)
{
	if (!release_check(t, op->request, r, err))
		return false;
	return r->blockers.n == 0 ||
	       err_set(err, &E_operation_blocked, "%s", release_blocked_text(t->arena, &r->blockers));
}

static SUSPENDS enum phase_outcome ship_plan_phase(struct task *t, struct operation *op, struct err *err)
{
	struct release_reading r;
	return check(t, op, &r, err) ? replacement_settle(t, op, &r.target, err) : PHASE_FAILED;
}

static SUSPENDS enum phase_outcome promote_plan_phase(struct task *t, struct operation *op, struct err *err)
{
	struct release_reading r;
	struct replacement_state *s = op->state;
	const struct replacement_request *request = op->request;
	if (!check(t, op, &r, err))
		return PHASE_FAILED;
	enum phase_outcome outcome = replacement_settle(t, op, &r.target, err);
	if (outcome != PHASE_DONE)
		return outcome;
	s->release.promotion_record_id =
	        arena_printf(t->arena, "promotion-%s-%s-%s-to-%s-%.6s", utc_compact(t->arena, s->started_at),
	                     op->context, request->from_instance, op->instance,
	                     sha256_text(t->arena, op->operation_id, strlen(op->operation_id)));
	s->release.promoted_from = request->from_instance;
	s->release.gate_source = r.gate.source;
	s->release.gate_created_at = r.gate.created_at;
	s->release.source_tuple = ARENA_NEW(t->arena, struct release_tuple);
	*s->release.source_tuple = r.source_tuple;
	if (r.has_source_inventory) {
		s->release.source_health = ARENA_NEW(t->arena, struct healthcheck_evidence);
		*s->release.source_health = r.source_inventory.destination_health;
	}
	write_promotion(t, op, NULL);
	return PHASE_DONE;
}

static SUSPENDS void promote_conclude(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	replacement_conclude(t, op, failure);
	if (s->release.promotion_record_id[0])
		write_promotion(t, op, failure);
}

/* ---- the kinds ---- */

/* clang-format off */
#define DEPLOY_PHASES \
	{ "source",           "apply",        replacement_source,           5, 1000, .cancel = CANCEL_ANY, \
	  .help = "render the compose file of the artifact and make it the target's source" }, \
	{ "routes",           "apply",        replacement_routes,           5, 1000, .cancel = CANCEL_ANY, \
	  .help = "route every expected domain to service web" }, \
	{ "environment",      "apply",        replacement_environment,      5, 1000, .cancel = CANCEL_ANY, \
	  .help = "write DOCKER_IMAGE_REFERENCE and the lane's environment, and read it back" }, \
	{ "deploy",           "apply",        replacement_deploy,           5, 1000, .cancel = CANCEL_FIRST, \
	  .help = "ask Dokploy for the deploy, once" }, \
	{ "deploy_wait",      "apply",        replacement_deploy_wait,      9, 1000, .limit_of = replacement_deploy_limit, \
	  .help = "find the deploy by its title and wait for its end" }, \
	{ "inspect",          "apply",        replacement_inspect,          3, 1000, \
	  .help = "note what Dokploy and the containers say about the deploy" }, \
	LANE_WORKFLOW_PHASES, \
	{ "health",           "verification", replacement_health,           3, 1000, .limit_of = replacement_health_limit, \
	  .help = "ask the health URL until it is healthy" }, \
	{ "identity",         "verification", replacement_identity,         3, 1000, .limit_of = replacement_health_limit, \
	  .help = "compare the runtime identity that the health URL echoes" }, \
	{ 0 }

static const struct phase ship_phases[] = {
	{ "plan",             "plan",         ship_plan_phase,              5, 1000, .cancel = CANCEL_ANY,
	  .help = "prove every condition, write the pending deployment" },
	DEPLOY_PHASES,
};
static const struct phase promote_phases[] = {
	{ "plan",             "plan",         promote_plan_phase,           5, 1000, .cancel = CANCEL_ANY,
	  .help = "prove every condition, gate and source tuple included; write the pending deployment and promotion" },
	DEPLOY_PHASES,
};
/* clang-format on */

const struct op_kind ship_kind = {
	.name = "ship",
	.id_prefix = "ship",
	.help = "Deploys a stored artifact to a stable lane, then mints the lane's release tuple",
	.request = &ship_request_contract,
	.state = &replacement_state_contract,
	.phases = ship_phases,
	.conclude = replacement_conclude,
	.recover = lane_recover,
};
const struct op_kind promote_kind = {
	.name = "promote",
	.id_prefix = "promote",
	.help = "Deploys what another lane runs behind a backup gate, then promotes its release tuple",
	.request = &promote_request_contract,
	.state = &replacement_state_contract,
	.phases = promote_phases,
	.conclude = promote_conclude,
	.recover = lane_recover,
};
