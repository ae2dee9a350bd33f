#include "drivers/odoo/promotion.h"

#include "core/digest.h"
#include "storage/codes.h"
#include "storage/promotion.sql.h"
#include "storage/promotion_hold.sql.h"
#include "storage/release.sql.h"

/* ---- the request ---- */

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct promotion_request *r = record;
	if (strcmp(r->from_instance, "testing") != 0)
		return contract_fail(a, err, path, "from_instance", "must be testing");
	if (strcmp(r->to_instance, "prod") != 0)
		return contract_fail(a, err, path, "to_instance", "must be prod");
	if (!r->wait)
		return contract_fail(a, err, path, "wait", "must be true: send \"Prefer: respond-async\" instead");
	return true;
}

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(promotion_request),
	F_STR(promotion_request, product, TRIMMED, .max = 200, .help = "When given, the product beside it"),
	F_STR(promotion_request, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(promotion_request, from_instance, LOWERED, .fallback = "testing", .max = 100, .help = "Only testing"),
	F_STR(promotion_request, to_instance, LOWERED, .fallback = "prod", .max = 100, .help = "Only prod"),
	F_STR(promotion_request, artifact_id, REQUIRED | TRIMMED | NON_BLANK, .max = 300,
	      .help = "What testing's release tuple names"),
	F_STR(promotion_request, backup_record_id, REQUIRED | TRIMMED | NON_BLANK, .max = 300,
	      .help = "A backup gate of the destination that passed"),
	F_STR(promotion_request, source_git_ref, TRIMMED, .max = 300, .help = "When given, the manifest's commit"),
	F_BOOL(promotion_request, wait, 0, .fallback = "true", .help = "Only true"),
	F_OPT_INT(promotion_request, timeout_seconds, 0, .min = 1, .max = 86400),
	F_OPT_INT(promotion_request, health_timeout_seconds, 0, .min = 1, .max = 86400),
	F_BOOL(promotion_request, verify_health, 0, .fallback = "true"),
	F_BOOL(promotion_request, no_cache, 0, .fallback = "false"),
	F_END,
};
const struct contract promotion_request_contract =
        CONTRACT(promotion_request, request_fields, "What to promote to prod", .check = check_request);

/* ---- reading ---- */

static SUSPENDS bool read_tuple(struct task *t, const char *context, const char *channel, struct release_tuple *out,
                                bool *found, struct err *err)
{
	struct rows rows;
	if (!db_query(t, &Q_release_tuple_read, PARAMS(P_TEXT(context), P_TEXT(channel)), &rows, err))
		return false;
	*found = rows.n > 0;
	if (!*found)
		return true;
	const char *text = row_text(&rows, 0, 0);
	return contract_read_text(t->arena, &release_tuple_contract, text, strlen(text), "the stored release tuple",
	                          out, err);
}

bool promotion_read_source(struct task *t, const char *context, const char *channel, struct promotion_source *out,
                           struct err *err)
{
	*out = (struct promotion_source){ 0 };
	if (!read_tuple(t, context, channel, &out->tuple, &out->has_tuple, err))
		return false;
	return !out->has_tuple || read_manifest(t, out->tuple.artifact_id, &out->manifest, &out->has_manifest, err);
}

const char *promotion_backup_id(struct arena *a, const char *context, const char *instance, const char *request_id)
{
	struct buf b = buf_in(a);
	for (const char *p = lowered(a, request_id); *p; p++) {
		bool plain = (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9');
		buf_char(&b, plain ? *p : '-');
	}
	const char *slug = buf_cstr(&b);
	slug += strspn(slug, "-");
	size_t n = strlen(slug);
	while (n && slug[n - 1] == '-')
		n--;
	return arena_printf(a, "backup-gate-%s-%s-%s", context, instance, n ? arena_strndup(a, slug, n) : "request");
}

bool promotion_is_free(struct task *t, const char *context, const char *instance, struct err *err)
{
	struct rows rows;
	if (!db_query(t, &Q_promotion_hold_active, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return true;
	const char *reason = row_text(&rows, 0, 3);
	return err_set(err, &E_promotion_held,
	               "promotion to %s/%s is held since the rollback of %s at %s%s%.120s%s; lift the hold, with a "
	               "reason, when it may go on",
	               context, instance, row_text(&rows, 0, 1), row_text(&rows, 0, 2), reason[0] ? " (" : "", reason,
	               reason[0] ? ")" : "");
}

static SUSPENDS bool check_gate(struct task *t, const struct promotion_request *r, struct backup_gate *gate,
                                struct err *err)
{
	static const char field[] = "promotion.backup_record_id";
	struct rows rows;
	if (!db_query(t, &Q_backup_gate_read, PARAMS(P_TEXT(r->backup_record_id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_field(err, field, "there is no backup gate %s: capture one", r->backup_record_id);
	const char *text = row_text(&rows, 0, 1);
	if (!contract_read_text(t->arena, &backup_gate_contract, text, strlen(text), "the stored backup gate", gate,
	                        err))
		return false;
	if (strcmp(gate->context, r->context) != 0 || strcmp(gate->instance, r->to_instance) != 0)
		return err_field(err, field, "backup gate %s is of lane %s/%s, not of the destination", gate->record_id,
		                 gate->context, gate->instance);
	if (!gate->required)
		return err_field(err, field, "backup gate %s is not a required one", gate->record_id);
	if (gate->status != RELEASE_PASS)
		return err_field(err, field, "backup gate %s has status %s, not pass", gate->record_id,
		                 release_status_names[gate->status]);
	if (!db_query(t, &Q_backup_gate_used_up,
	              PARAMS(P_TEXT(r->backup_record_id), P_TEXT(r->context), P_TEXT(r->to_instance)), &rows, err))
		return false;
	return rows.n == 0 || err_field(err, field, "backup gate %s cannot be used again, %s: capture a fresh one",
	                                gate->record_id, row_text(&rows, 0, 0));
}

bool promotion_check(struct task *t, const struct promotion_request *r, struct promotion_source *source,
                     struct backup_gate *gate, struct err *err)
{
	struct artifact_manifest manifest;
	bool found;
	if (!read_manifest(t, r->artifact_id, &manifest, &found, err))
		return false;
	if (!found)
		return err_field(err, "promotion.artifact_id", "no manifest is stored for artifact %s", r->artifact_id);
	if (r->source_git_ref[0] && strcmp(r->source_git_ref, manifest.source_commit) != 0)
		return err_field(err, "promotion.source_git_ref", "is not the commit artifact %s was built from",
		                 r->artifact_id);
	if (!promotion_read_source(t, r->context, r->from_instance, source, err))
		return false;
	if (!source->has_tuple)
		return err_field(err, "promotion.artifact_id",
		                 "%s/%s has no release tuple: deploy the artifact there first", r->context,
		                 r->from_instance);
	if (strcmp(source->tuple.artifact_id, r->artifact_id) != 0)
		return err_field(err, "promotion.artifact_id", "%s runs artifact %s now, not %s", r->from_instance,
		                 source->tuple.artifact_id, r->artifact_id);
	return check_gate(t, r, gate, err) && promotion_is_free(t, r->context, r->to_instance, err);
}

/* ---- the operation ---- */

void promotion_give_order(struct task *t, struct operation *op, const char *artifact_id, const char *source_git_ref,
                          bool verify_health, bool no_cache, struct opt_int timeout, struct opt_int health_timeout)
{
	struct replacement_state *s = op->state;
	struct replacement_request *order = ARENA_NEW(t->arena, struct replacement_request);
	contract_defaults(t->arena, &replacement_order_contract, order);
	order->product = op->product;
	order->instance = op->instance;
	order->artifact_id = artifact_id;
	order->source_git_ref = source_git_ref;
	order->verify_health = verify_health;
	order->no_cache = no_cache;
	order->timeout_seconds = timeout;
	order->health_timeout_seconds = health_timeout;
	s->order = order;
	s->delegates = true;
}

static void write_promotion(struct task *t, struct operation *op, const struct promotion *p)
{
	operation_write(t, op, &Q_promotion_upsert,
	                PARAMS(P_TEXT(p->record_id), P_TEXT(p->context), P_TEXT(p->from_instance),
	                       P_TEXT(p->to_instance), P_TEXT(p->artifact_identity.artifact_id),
	                       P_TEXT(p->deploy.started_at), P_TEXT(p->deploy.finished_at),
	                       P_TEXT(contract_text(t->arena, &promotion_contract, p))));
}

/* The record as far as the operation has come. */
static void promotion_now(struct task *t, struct operation *op, bool ended, const struct err *failure,
                          struct promotion *out)
{
	const struct replacement_state *s = op->state;
	const struct promotion_request *r = op->request;
	struct deployment d;
	replacement_deployment(t, op, failure, &d);
	*out = (struct promotion){
		.schema_version = 1,
		.record_id = s->release.promotion_record_id,
		.artifact_identity = { r->artifact_id, 1 },
		.deployment_record_id = s->deployment_record_id,
		.backup_record_id = r->backup_record_id,
		.context = r->context,
		.from_instance = r->from_instance,
		.to_instance = r->to_instance,
		.backup_gate = { .required = true, .status = RELEASE_PASS, .evidence = s->release.backup },
		.deploy = d.deploy,
		.post_deploy_update = d.post_deploy_update,
		.destination_health = d.destination_health,
		.rollback = { .status = RELEASE_SKIPPED,
		              .detail = "",
		              .snapshot_name = "",
		              .started_at = "",
		              .finished_at = "" },
		.rollback_health = { .status = RELEASE_SKIPPED, .runtime_identity_detail = "" },
	};
	if (s->release.source_health)
		out->source_health = *s->release.source_health;
	else
		contract_defaults(t->arena, &healthcheck_evidence_contract, &out->source_health);
	if (!ended)
		out->deploy.status = RELEASE_PENDING;
}

bool promotion_read_target_name(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	struct dokploy_target target;
	struct dokploy_target_id id;
	bool has_target, has_id;
	if (!read_target(t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	s->target_name = has_target && target.target_name[0]
	                         ? target.target_name
	                         : arena_printf(t->arena, "%s-%s", op->context, op->instance);
	return true;
}

static SUSPENDS enum phase_outcome promotion_check_phase(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct promotion_request *r = op->request;
	const struct lane from = { .context = r->context, .instance = r->from_instance };
	struct promotion_source source;
	struct backup_gate gate;
	struct inventory inventory;
	struct promotion p;
	bool found;
	if (!promotion_check(t, r, &source, &gate, err) || !promotion_read_target_name(t, op, err) ||
	    !read_inventory(t, &from, &inventory, &found, err))
		return PHASE_FAILED;
	promotion_give_order(t, op, r->artifact_id, source.manifest.source_commit, r->verify_health, r->no_cache,
	                     r->timeout_seconds, r->health_timeout_seconds);
	s->override_phase = OVERRIDE_PROMOTION;
	s->started_at = utc_now(t);
	s->release.promotion_record_id = arena_printf(
	        t->arena, "promotion-%s-%s-%s-to-%s-%.6s", utc_compact(t->arena, s->started_at), r->context,
	        r->from_instance, r->to_instance, sha256_text(t->arena, op->operation_id, strlen(op->operation_id)));
	s->release.promoted_from = r->from_instance;
	s->release.source_tuple = ARENA_NEW(t->arena, struct release_tuple);
	*s->release.source_tuple = source.tuple;
	s->release.backup = gate.evidence;
	s->artifact_id = r->artifact_id;
	s->source_git_ref = source.manifest.source_commit;
	if (found) {
		s->release.source_health = ARENA_NEW(t->arena, struct healthcheck_evidence);
		*s->release.source_health = inventory.destination_health;
	}
	promotion_now(t, op, false, NULL, &p);
	write_promotion(t, op, &p);
	return PHASE_DONE;
}

/* facts/odoo.md 13.2 */
static void promotion_result(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	const struct promotion_request *r = op->request;
	struct arena *a = t->arena;
	const char *post_deploy =
	        release_status_names[failure && s->post_deploy_status == RELEASE_PENDING ? RELEASE_FAIL
	                                                                                 : s->post_deploy_status];
	const struct text_pair both[] = {
		{ "promotion_record_id", s->release.promotion_record_id },
		{ "deployment_record_id", s->deployment_record_id },
		{ "backup_record_id", r->backup_record_id },
		{ "release_tuple_id", op->release_tuple_id },
		{ "promotion_status", failure ? "fail" : "pass" },
		{ "deployment_status", failure ? "fail" : "pass" },
		{ "post_deploy_status", post_deploy },
		{ "destination_health_status", release_status_names[s->health_status] },
	};
	struct json *o = ARENA_NEW(a, struct json), records = json_object();
	*o = json_object();
	for (size_t i = 0; i < countof(both); i++) {
		json_set_str(a, o, both[i].key, both[i].value);
		json_set_str(a, &records, both[i].key, both[i].value);
	}
	json_set_str(a, o, "artifact_id", r->artifact_id);
	json_set_str(a, o, "context", r->context);
	json_set_str(a, o, "from_instance", r->from_instance);
	json_set_str(a, o, "to_instance", r->to_instance);
	json_set_str(a, o, "error_message", failure ? arena_strdup(a, failure->message) : "");
	json_set(a, o, "records", records);
	op->result = o;
}

static SUSPENDS void conclude_promotion(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	struct promotion p;
	replacement_conclude(t, op, failure);
	if (s->release.promotion_record_id[0]) {
		promotion_now(t, op, true, failure, &p);
		write_promotion(t, op, &p);
	}
	promotion_result(t, op, failure);
}

static const struct phase promotion_phases[] = {
	{ "check", "running", promotion_check_phase, 5, 1000, .cancel = CANCEL_ANY,
	  .help = "hold artifact, testing's release tuple and backup gate against each other, write the pending "
	          "promotion" },
	REPLACEMENT_PHASES,
	{ 0 },
};

const struct op_kind odoo_promotion_kind = {
	.name = "odoo_prod_promotion",
	.id_prefix = "odoo-prod-promotion",
	.help = "Promotes what testing runs to prod, behind a backup gate",
	.request = &promotion_request_contract,
	.state = &replacement_state_contract,
	.phases = promotion_phases,
	.conclude = conclude_promotion,
	.recover = lane_recover,
};
