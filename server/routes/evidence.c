/* Evidence of what happened, and the records it leaves: deployments and inventory (facts/core.md 5.3, 6.4, 7.1). */
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/deployment.h"
#include "storage/deployment.sql.h"
#include "storage/operation.h"

static SUSPENDS bool deployment_evidence(struct call *c, struct err *err)
{
	const struct deployment_evidence_request *body = c->body;
	const struct deployment *d = &body->deployment;
	struct inventory inventory;
	inventory_from_deployment(d, utc_now(c->t), NULL, &inventory);

	struct json records = json_object();
	json_set_str(c->arena, &records, "deployment_record_id", d->record_id);
	json_set_str(c->arena, &records, "inventory_record_id", inventory_record_id(c->arena, d->context, d->instance));

	bool keyed = c->idempotency_key != NULL;
	struct rows rows;
	const char *lane = arena_printf(c->arena, "%s/%s", d->context, d->instance);
	call_audit_records(c, &records);
	if (!db_write(c->t, lane, &Q_deployment_evidence_store,
	              PARAMS(P_TEXT(arena_printf(c->arena, "idempotency-%s", c->trace_id)), P_TEXT(c->principal->scope),
	                     P_TEXT(c->route->path), P_TEXT(c->idempotency_key), P_TEXT(c->fingerprint),
	                     P_TEXT(c->trace_id), P_TEXT(inventory.updated_at),
	                     P_TEXT(keyed ? call_stored_answer(c, &records, NULL) : NULL), P_TEXT(d->record_id),
	                     P_TEXT(d->context), P_TEXT(d->instance),
	                     P_TEXT(d->artifact_identity ? d->artifact_identity->artifact_id : ""),
	                     P_TEXT(d->source_git_ref), P_TEXT(d->deploy.started_at), P_TEXT(d->deploy.finished_at),
	                     P_TEXT(contract_text(c->arena, &deployment_contract, d)),
	                     P_TEXT(contract_text(c->arena, &inventory_contract, &inventory)), P_AUDIT(c->t)),
	              &rows, err))
		return false;
	if (rows.n == 0)
		return call_lost_race(c, err); /* the key was used before: the same answer, or a conflict */
	return call_accept(c, &records, NULL);
}

static SUSPENDS bool deployment_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *id = call_param(c, "record_id");
	if (!db_query(c->t, &Q_deployment_read, PARAMS(P_TEXT(id)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no deployment %s", id);
	if (!call_authorize(c, c->route->action, "launchplane", row_text(&rows, 0, 0), err))
		return false;
	return call_answer_member(c, "record", row_text(&rows, 0, 1));
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
	{ HTTP_GET, "/v1/deployments/{record_id}", "One deployment", deployment_show, .callers = CALLERS_READ,
	  .action = "deployment.read", .product = "=launchplane", .context = "handler", .record = &deployment_contract,
	  .record_key = "record" },
	{ HTTP_GET, "/v1/inventory/{context}/{instance}", "What runs in a lane now", inventory_show,
	  .callers = CALLERS_READ, .action = "inventory.read", .product = "=launchplane", .context = "path:context",
	  .record = &inventory_contract, .record_key = "record" },
	{ 0 },
};
