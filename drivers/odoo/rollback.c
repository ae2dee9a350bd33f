#include "drivers/odoo/promotion.h"

#include "storage/promotion.sql.h"
#include "storage/promotion_hold.sql.h"

/* ---- the request ---- */

static bool check_rollback(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct rollback_request *r = record;
	if (strcmp(r->instance, "prod") != 0)
		return contract_fail(a, err, path, "instance", "must be prod");
	if (strcmp(r->source_channel, "testing") != 0)
		return contract_fail(a, err, path, "source_channel", "must be testing");
	if (!r->wait && r->verify_health)
		return contract_fail(a, err, path, "verify_health", "needs wait");
	return true;
}

static const struct field rollback_fields[] = {
	F_SCHEMA_VERSION(rollback_request),
	F_STR(rollback_request, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(rollback_request, instance, LOWERED, .fallback = "prod", .max = 100, .help = "Only prod"),
	F_STR(rollback_request, source_channel, LOWERED, .fallback = "testing", .max = 100, .help = "Only testing"),
	F_STR(rollback_request, artifact_id, TRIMMED, .max = 300,
	      .help = "An earlier artifact; default: what testing's release tuple names"),
	F_STR(rollback_request, promotion_record_id, TRIMMED, .max = 300,
	      .help = "What is rolled back; default: the promotion prod's inventory names"),
	F_STR(rollback_request, reason, TRIMMED, .max = 500),
	F_BOOL(rollback_request, wait, 0, .fallback = "true"),
	F_BOOL(rollback_request, verify_health, 0, .fallback = "true", .help = "Needs wait"),
	F_OPT_INT(rollback_request, timeout_seconds, 0, .min = 1, .max = 86400),
	F_OPT_INT(rollback_request, health_timeout_seconds, 0, .min = 1, .max = 86400),
	F_BOOL(rollback_request, no_cache, 0, .fallback = "false"),
	F_END,
};
const struct contract rollback_request_contract =
        CONTRACT(rollback_request, rollback_fields, "A prod lane to be rolled back", .check = check_rollback);

static SUSPENDS bool earlier_artifact(struct task *t, const struct rollback_request *r, struct rollback_source *out,
                                      struct err *err)
{
	struct artifact_manifest manifest;
	bool found;
	if (!read_manifest(t, r->artifact_id, &manifest, &found, err))
		return false;
	if (!found)
		return err_field(err, "rollback.artifact_id", "no manifest is stored for artifact %s", r->artifact_id);
	out->artifact_id = r->artifact_id;
	out->source_git_ref = manifest.source_commit;
	out->snapshot_name = arena_printf(t->arena, "artifact:%s", r->artifact_id);
	out->promoted_from = "explicit-artifact";
	out->source_channel = "artifact";
	return true;
}

static SUSPENDS bool testings_artifact(struct task *t, const struct rollback_request *r, struct rollback_source *out,
                                       struct err *err)
{
	struct promotion_source source;
	if (!promotion_read_source(t, r->context, r->source_channel, &source, err))
		return false;
	if (!source.has_tuple)
		return err_field(err, "rollback.source_channel",
		                 "%s/%s has no release tuple: name the earlier artifact with artifact_id", r->context,
		                 r->source_channel);
	if (!source.has_manifest)
		return err_field(err, "rollback.source_channel", "no manifest is stored for artifact %s, which %s runs",
		                 source.tuple.artifact_id, r->source_channel);
	const char *sha = map_get(&source.tuple.repo_shas, arena_printf(t->arena, "tenant-%s", r->context));
	out->artifact_id = source.tuple.artifact_id;
	out->source_git_ref = is_blank(sha) ? source.manifest.source_commit : sha;
	out->snapshot_name = arena_printf(t->arena, "release-tuple:%s", source.tuple.tuple_id);
	out->promoted_from = r->source_channel;
	out->source_channel = r->source_channel;
	return true;
}

static SUSPENDS bool read_promotion(struct task *t, const struct rollback_request *r, struct rollback_source *out,
                                    struct err *err)
{
	static const char field[] = "rollback.promotion_record_id";
	const struct lane lane = { .context = r->context, .instance = r->instance };
	struct inventory inventory;
	struct rows rows;
	bool found;
	if (!read_inventory(t, &lane, &inventory, &found, err))
		return false;
	out->promotion_record_id = r->promotion_record_id[0] ? r->promotion_record_id
	                           : found                   ? inventory.promotion_record_id
	                                                     : "";
	if (is_blank(out->promotion_record_id))
		return err_field(err, field, "is needed: prod's inventory names no promotion");
	if (!db_query(t, &Q_promotion_read, PARAMS(P_TEXT(out->promotion_record_id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_field(err, field, "there is no promotion %s", out->promotion_record_id);
	const char *text = row_text(&rows, 0, 1);
	if (!contract_read_text(t->arena, &promotion_contract, text, strlen(text), "the stored promotion",
	                        &out->promotion, err))
		return false;
	if (strcmp(out->promotion.context, r->context) != 0 || strcmp(out->promotion.to_instance, r->instance) != 0)
		return err_field(err, field, "promotion %s went to %s/%s, not to this lane", out->promotion_record_id,
		                 out->promotion.context, out->promotion.to_instance);
	return true;
}

bool rollback_check(struct task *t, const struct rollback_request *r, struct rollback_source *out, struct err *err)
{
	*out = (struct rollback_source){ 0 };
	return (r->artifact_id[0] ? earlier_artifact(t, r, out, err) : testings_artifact(t, r, out, err)) &&
	       read_promotion(t, r, out, err);
}

static void note_rollback(struct task *t, struct operation *op, bool ended, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	const struct rollback_request *r = op->request;
	struct deployment d;
	const struct rollback_evidence rollback = {
		.attempted = true,
		.status = !ended    ? RELEASE_PENDING
		          : failure ? RELEASE_FAIL
		                    : RELEASE_PASS,
		.detail = failure ? failure->message : r->reason,
		.snapshot_name = s->release.snapshot_name,
		.started_at = s->release.rollback_started_at,
		.finished_at = ended ? utc_now(t) : "",
	};
	replacement_deployment(t, op, failure, &d);
	struct promotion p = { .rollback = rollback, .rollback_health = d.destination_health };
	struct json whole = contract_json(t->arena, &promotion_contract, &p, false);
	operation_write(t, op, &Q_promotion_note_rollback,
	                PARAMS(P_TEXT(s->release.promotion_record_id),
	                       P_TEXT(json_text(t->arena, json_get(&whole, "rollback"))),
	                       P_TEXT(json_text(t->arena, json_get(&whole, "rollback_health")))));
}

static SUSPENDS enum phase_outcome rollback_check_phase(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct rollback_request *r = op->request;
	struct rollback_source source;
	if (!rollback_check(t, r, &source, err) || !promotion_read_target_name(t, op, err))
		return PHASE_FAILED;
	promotion_give_order(t, op, source.artifact_id, source.source_git_ref, r->verify_health, r->no_cache,
	                     r->timeout_seconds, r->health_timeout_seconds);
	s->order->context = op->context;
	s->order->without_profile = strcmp(op->product, "odoo") == 0;
	s->artifact_id = source.artifact_id;
	s->source_git_ref = source.source_git_ref;
	s->release.promotion_record_id = source.promotion_record_id;
	s->release.promoted_from = source.promoted_from;
	s->release.snapshot_name = source.snapshot_name;
	s->release.source_channel = source.source_channel;
	s->release.rollback_started_at = s->started_at = utc_now(t);
	note_rollback(t, op, false, NULL);
	/* From here on nothing is promoted by itself: whatever becomes of the rollback, somebody did not want what ran.
	 */
	operation_write(t, op, &Q_promotion_hold_set,
	                PARAMS(P_TEXT(arena_printf(t->arena, "promotion-hold-%s", op->operation_id)),
	                       P_TEXT(s->release.promotion_record_id), P_TEXT(r->reason),
	                       P_TEXT(s->release.rollback_started_at), P_TEXT(op->operation_id)));
	return PHASE_DONE;
}

/* facts/odoo.md 13.3 */
static void rollback_result(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	struct arena *a = t->arena;
	const struct text_pair both[] = {
		{ "promotion_record_id", s->release.promotion_record_id },
		{ "deployment_record_id", s->deployment_record_id },
		{ "release_tuple_id", op->release_tuple_id },
		{ "artifact_id", s->artifact_id },
		{ "rollback_status", failure ? "fail" : "pass" },
		{ "rollback_health_status", release_status_names[s->health_status] },
	};
	struct json *o = ARENA_NEW(a, struct json), records = json_object();
	*o = json_object();
	json_set_str(a, o, "context", op->context);
	json_set_str(a, o, "instance", op->instance);
	json_set_str(a, o, "source_channel", s->release.source_channel);
	for (size_t i = 0; i < countof(both); i++) {
		json_set_str(a, o, both[i].key, both[i].value);
		json_set_str(a, &records, both[i].key, both[i].value);
	}
	json_set_str(a, o, "rollback_started_at", s->release.rollback_started_at);
	json_set_str(a, o, "rollback_finished_at", utc_now(t));
	json_set_str(a, o, "post_deploy_status",
	             release_status_names[failure && s->post_deploy_status == RELEASE_PENDING ? RELEASE_FAIL
	                                                                                      : s->post_deploy_status]);
	json_set_str(a, o, "error_message", failure ? arena_strdup(a, failure->message) : "");
	json_set(a, o, "records", records);
	op->result = o;
}

static SUSPENDS void conclude_rollback(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	replacement_conclude(t, op, failure);
	if (s->release.promotion_record_id[0])
		note_rollback(t, op, true, failure);
	rollback_result(t, op, failure);
}

static const struct phase rollback_phases[] = {
	{ "check", "running", rollback_check_phase, 5, 1000, .cancel = CANCEL_ANY,
	  .help = "find the artifact to go back to and the promotion it takes back, hold automatic promotion" },
	REPLACEMENT_PHASES,
	{ 0 },
};

const struct op_kind odoo_rollback_kind = {
	.name = "odoo_prod_rollback",
	.id_prefix = "odoo-prod-rollback",
	.help = "Rolls a prod lane back to an earlier artifact, or to what testing runs",
	.request = &rollback_request_contract,
	.state = &replacement_state_contract,
	.phases = rollback_phases,
	.conclude = conclude_rollback,
	.recover = lane_recover,
};
