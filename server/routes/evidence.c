/* Evidence of what happened, and the records it leaves: deployments, promotions, backup gates, inventory (facts/core.md
 * 5.2 to 5.4, 6.4, 7.1). Each POST is one statement that stores the evidence, what follows from it and the answer. */
#include "server/routes/tables.h"
#include "storage/artifact_manifest.h"
#include "storage/codes.h"
#include "storage/deployment.h"
#include "storage/deployment.sql.h"
#include "storage/operation.h"
#include "storage/promotion.h"
#include "storage/promotion.sql.h"

static const char *verdict_of(const struct rows *rows)
{
	return row_text(rows, 0, 0);
}

static bool verdict_is(const struct rows *rows, const char *verdict)
{
	return strcmp(verdict_of(rows), verdict) == 0;
}

/* Sends what the statement decided: its columns are verdict, stored, note. */
static SUSPENDS bool answer_evidence(struct call *c, const struct rows *rows, const struct json *records,
                                     const char *record, struct err *err)
{
	if (verdict_is(rows, "elsewhere"))
		return err_field(err, arena_printf(c->arena, "%s.record_id", record),
		                 "belongs to a %s of another lane; choose another id", record);
	if (!row_bool(rows, 0, 1))
		return call_lost_race(c, err); /* the key was used before: the same answer, or a conflict */
	return call_accept(c, records, row_text(rows, 0, 2));
}

static const char *stored_or_null(struct call *c, const struct json *records)
{
	return c->idempotency_key ? call_stored_answer(c, records, NULL) : NULL;
}

#define P_IDEMPOTENCY(c, now, records)                                                                                 \
	P_TEXT(arena_printf((c)->arena, "idempotency-%s", (c)->trace_id)), P_TEXT((c)->principal->scope),              \
	        P_TEXT((c)->route->path), P_TEXT((c)->idempotency_key), P_TEXT((c)->fingerprint),                      \
	        P_TEXT((c)->trace_id), P_TEXT(now), P_TEXT(stored_or_null((c), (records)))

static SUSPENDS bool deployment_evidence(struct call *c, struct err *err)
{
	const struct deployment_evidence_request *body = c->body;
	const struct deployment *d = &body->deployment;
	struct inventory inventory;
	inventory_from_deployment(d, utc_now(c->t), NULL, &inventory);

	struct json records = json_object();
	json_set_str(c->arena, &records, "deployment_record_id", d->record_id);
	json_set_str(c->arena, &records, "inventory_record_id", inventory_record_id(c->arena, d->context, d->instance));

	struct rows rows;
	const char *lane = arena_printf(c->arena, "%s/%s", d->context, d->instance);
	call_audit_records(c, &records);
	if (!db_write(c->t, lane, &Q_deployment_evidence_store,
	              PARAMS(P_IDEMPOTENCY(c, inventory.updated_at, &records), P_TEXT(d->record_id), P_TEXT(d->context),
	                     P_TEXT(d->instance), P_TEXT(d->artifact_identity ? d->artifact_identity->artifact_id : ""),
	                     P_TEXT(d->source_git_ref), P_TEXT(d->deploy.started_at), P_TEXT(d->deploy.finished_at),
	                     P_TEXT(contract_text(c->arena, &deployment_contract, d)),
	                     P_TEXT(contract_text(c->arena, &inventory_contract, &inventory)), P_AUDIT(c->t)),
	              &rows, err))
		return false;
	return answer_evidence(c, &rows, &records, "deployment", err);
}

static SUSPENDS bool backup_gate_evidence(struct call *c, struct err *err)
{
	const struct backup_gate_evidence_request *body = c->body;
	const struct backup_gate *g = &body->backup_gate;
	struct json records = json_object();
	json_set_str(c->arena, &records, "backup_gate_record_id", g->record_id);
	call_audit_records(c, &records);
	struct rows rows;
	const char *lane = arena_printf(c->arena, "%s/%s", g->context, g->instance);
	if (!db_write(c->t, lane, &Q_backup_gate_evidence_store,
	              PARAMS(P_IDEMPOTENCY(c, utc_now(c->t), &records), P_TEXT(g->record_id), P_TEXT(g->context),
	                     P_TEXT(g->instance), P_TEXT(g->created_at), P_TEXT(release_status_names[g->status]),
	                     P_TEXT(contract_text(c->arena, &backup_gate_contract, g)), P_AUDIT(c->t)),
	              &rows, err))
		return false;
	return answer_evidence(c, &rows, &records, "backup_gate", err);
}

/* What is wrong with the promotion's link; false when something is. */
static bool check_link(const struct promotion *p, const struct rows *rows, struct err *err)
{
	static const char path[] = "promotion.deployment_record_id";
	if (verdict_is(rows, "missing"))
		return err_field(err, path, "names deployment %s, which is not stored; hand it in first",
		                 p->deployment_record_id);
	if (verdict_is(rows, "context"))
		return err_field(err, path, "names a deployment of another context than %s", p->context);
	if (verdict_is(rows, "instance"))
		return err_field(err, path, "names a deployment of another lane than to_instance %s", p->to_instance);
	if (verdict_is(rows, "artifact"))
		return err_field(err, path, "names a deployment of another artifact than %s",
		                 p->artifact_identity.artifact_id);
	return true;
}

static SUSPENDS bool promotion_evidence(struct call *c, struct err *err)
{
	const struct promotion_evidence_request *body = c->body;
	const struct promotion *p = &body->promotion;
	const char *artifact_id = p->artifact_identity.artifact_id;
	const char *tuple_id = release_tuple_id(c->arena, p->context, p->to_instance, artifact_id);
	struct json records = json_object();
	json_set_str(c->arena, &records, "promotion_record_id", p->record_id);
	if (p->deployment_record_id[0])
		json_set_str(c->arena, &records, "inventory_record_id",
		             inventory_record_id(c->arena, p->context, p->to_instance));
	call_audit_records(c, &records);
	struct rows rows;
	const char *lane = arena_printf(c->arena, "%s/%s", p->context, p->to_instance);
	if (!db_write(c->t, lane, &Q_promotion_evidence_store,
	              PARAMS(P_IDEMPOTENCY(c, utc_now(c->t), &records), P_TEXT(p->record_id), P_TEXT(p->context),
	                     P_TEXT(p->from_instance), P_TEXT(p->to_instance), P_TEXT(artifact_id),
	                     P_TEXT(p->deploy.started_at), P_TEXT(p->deploy.finished_at),
	                     P_TEXT(contract_text(c->arena, &promotion_contract, p)), P_TEXT(p->deployment_record_id),
	                     P_BOOL(p->deploy.status == RELEASE_PASS), P_TEXT(tuple_id), P_AUDIT(c->t)),
	              &rows, err) ||
	    !check_link(p, &rows, err))
		return false;
	if (row_bool(&rows, 0, 3))
		json_set_str(c->arena, &records, "release_tuple_id", tuple_id);
	return answer_evidence(c, &rows, &records, "promotion", err);
}

/* A record by its id: read first, then allowed by its own context (facts/core.md 1.10). q answers context, payload. */
static SUSPENDS bool show_record(struct call *c, const struct query *q, const char *what, struct err *err)
{
	struct rows rows;
	const char *id = call_param(c, "record_id");
	if (!db_query(c->t, q, PARAMS(P_TEXT(id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no %s %s", what, id);
	if (!call_authorize(c, c->route->action, "launchplane", row_text(&rows, 0, 0), err))
		return false;
	return call_answer_member(c, "record", row_text(&rows, 0, 1));
}

static SUSPENDS bool deployment_show(struct call *c, struct err *err)
{
	return show_record(c, &Q_deployment_read, "deployment", err);
}

static SUSPENDS bool promotion_show(struct call *c, struct err *err)
{
	return show_record(c, &Q_promotion_read, "promotion", err);
}

static SUSPENDS bool backup_gate_show(struct call *c, struct err *err)
{
	return show_record(c, &Q_backup_gate_read, "backup gate", err);
}

static SUSPENDS bool inventory_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *context = call_param(c, "context"), *instance = call_param(c, "instance");
	if (!db_query(c->t, &Q_inventory_read, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no inventory of %s in context %s", instance, context);
	return call_answer_member(c, "record", row_text(&rows, 0, 0));
}

const struct route evidence_routes[] = {
	{ HTTP_POST, "/v1/evidence/deployments", "Hand in a deployment; refreshes the lane's inventory",
	  deployment_evidence, .callers = CALLERS_WRITE, .action = "deployment.write", .product = "body:product",
	  .context = "body:deployment.context", .body = &deployment_evidence_request_contract,
	  .idempotency = IDEMPOTENCY_OWN },
	{ HTTP_POST, "/v1/evidence/backup-gates", "Hand in a backup that was made of a lane", backup_gate_evidence,
	  .callers = CALLERS_WRITE, .action = "backup_gate.write", .product = "body:product",
	  .context = "body:backup_gate.context", .body = &backup_gate_evidence_request_contract,
	  .idempotency = IDEMPOTENCY_OWN },
	{ HTTP_POST, "/v1/evidence/promotions",
	  "Hand in a promotion; with a deployment it refreshes the destination's inventory and release tuple",
	  promotion_evidence, .callers = CALLERS_WRITE, .action = "promotion.write", .product = "body:product",
	  .context = "body:promotion.context", .body = &promotion_evidence_request_contract,
	  .idempotency = IDEMPOTENCY_OWN },
	{ HTTP_GET, "/v1/backup-gates/{record_id}", "One backup gate", backup_gate_show, .callers = CALLERS_READ,
	  .action = "backup_gate.read", .product = "=launchplane", .context = "handler",
	  .record = &backup_gate_contract, .record_key = "record" },
	{ HTTP_GET, "/v1/promotions/{record_id}", "One promotion", promotion_show, .callers = CALLERS_READ,
	  .action = "promotion.read", .product = "=launchplane", .context = "handler", .record = &promotion_contract,
	  .record_key = "record" },
	{ HTTP_GET, "/v1/deployments/{record_id}", "One deployment", deployment_show, .callers = CALLERS_READ,
	  .action = "deployment.read", .product = "=launchplane", .context = "handler", .record = &deployment_contract,
	  .record_key = "record" },
	{ HTTP_GET, "/v1/inventory/{context}/{instance}", "What runs in a lane now", inventory_show,
	  .callers = CALLERS_READ, .action = "inventory.read", .product = "=launchplane", .context = "path:context",
	  .record = &inventory_contract, .record_key = "record" },
	{ 0 },
};
