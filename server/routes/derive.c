/* Inventory and release tuples made from records that are stored already, and what a lane rests on (facts/core.md 6.3,
 * 6.4). Evidence derives both by itself; these are the explicit steps for records that came another way. */
#include "server/routes/tables.h"
#include "storage/artifact_manifest.h"
#include "storage/codes.h"
#include "storage/deployment.h"
#include "storage/deployment.sql.h"
#include "storage/operation.h"
#include "storage/promotion.h"
#include "storage/promotion.sql.h"
#include "storage/release.sql.h"

struct derive_request {
	int64_t schema_version;
	const char *product, *context, *record_id;
};
static const struct field derive_fields[] = {
	F_SCHEMA_VERSION(derive_request),
	F_STR(derive_request, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(derive_request, context, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = "The record's"),
	F_STR(derive_request, record_id, REQUIRED | TRIMMED | NON_BLANK, .max = 300, .help = "The stored record"),
	F_END,
};
static const struct contract derive_contract =
        CONTRACT(derive_request, derive_fields, "Names the stored record to derive from");

/* ---- inventory ---- */

/* Writes the inventory of a deployment; promotion may be NULL. */
static SUSPENDS bool derive_inventory(struct call *c, struct tx *tx, const char *deployment_record_id,
                                      const struct promotion *promotion, struct json *records, struct err *err)
{
	const struct derive_request *body = c->body;
	struct rows rows;
	if (!tx_query(tx, &Q_inventory_derive,
	              PARAMS(P_TEXT(body->context), P_TEXT(deployment_record_id),
	                     P_TEXT(promotion ? promotion->record_id : ""),
	                     P_TEXT(promotion ? promotion->from_instance : ""), P_TEXT(utc_now(c->t)),
	                     P_TEXT(promotion ? promotion->to_instance : "")),
	              &rows, err))
		return false;
	const char *instance = row_text(&rows, 0, 0);
	if (!instance)
		return err_field(err, "record_id", "names deployment %s, which is not stored %s%s in context %s",
		                 deployment_record_id, promotion ? "for lane " : "",
		                 promotion ? promotion->to_instance : "", body->context);
	if (!row_bool(&rows, 0, 1))
		return err_set(err, &E_conflict,
		               "record_id: the inventory of %s names a later deployment than %s and was kept", instance,
		               deployment_record_id);
	json_set_str(c->arena, records, "deployment_record_id", deployment_record_id);
	json_set_str(c->arena, records, "inventory_record_id", inventory_record_id(c->arena, body->context, instance));
	return true;
}

static SUSPENDS bool from_deployment(struct call *c, struct tx *tx, struct json *records, struct err *err)
{
	const struct derive_request *body = c->body;
	return derive_inventory(c, tx, body->record_id, NULL, records, err);
}

static SUSPENDS bool read_promotion(struct call *c, struct tx *tx, struct promotion *out, struct err *err)
{
	const struct derive_request *body = c->body;
	struct rows rows;
	if (!tx_query(tx, &Q_promotion_read, PARAMS(P_TEXT(body->record_id)), &rows, err))
		return false;
	if (rows.n == 0 || strcmp(row_text(&rows, 0, 0), body->context) != 0)
		return err_field(err, "record_id", "names no stored promotion of context %s", body->context);
	const char *text = row_text(&rows, 0, 1);
	if (!contract_read_text(c->arena, &promotion_contract, text, strlen(text), "the stored promotion", out, err))
		return false;
	return out->deployment_record_id[0] ||
	       err_field(err, "record_id", "names a promotion without deployment_record_id; hand it in again with one");
}

static SUSPENDS bool from_promotion(struct call *c, struct tx *tx, struct json *records, struct err *err)
{
	struct promotion p;
	if (!read_promotion(c, tx, &p, err))
		return false;
	json_set_str(c->arena, records, "promotion_record_id", p.record_id);
	return derive_inventory(c, tx, p.deployment_record_id, &p, records, err);
}

/* ---- release tuples ---- */

static SUSPENDS bool read_document(struct call *c, struct tx *tx, const struct query *q, const char *context,
                                   const char *lane, const struct contract *contract, const char *what, void *out,
                                   struct err *err)
{
	struct rows rows;
	if (!tx_query(tx, q, PARAMS(P_TEXT(context), P_TEXT(lane)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_conflict, "record_id: lane %s of context %s has no %s", lane, context, what);
	const char *text = row_text(&rows, 0, 0);
	return contract_read_text(c->arena, contract, text, strlen(text), what, out, err);
}

static SUSPENDS bool tuple_from_promotion(struct call *c, struct tx *tx, struct json *records, struct err *err)
{
	struct promotion p;
	struct release_tuple source;
	struct inventory inventory;
	if (!read_promotion(c, tx, &p, err))
		return false;
	if (!is_stable_lane(p.from_instance) || !is_stable_lane(p.to_instance))
		return err_field(err, "record_id", "names a promotion from %s to %s; only testing and prod have tuples",
		                 p.from_instance, p.to_instance);
	if (p.deploy.status != RELEASE_PASS)
		return err_set(err, &E_conflict, "record_id: promotion %s did not pass", p.record_id);
	if (!read_document(c, tx, &Q_release_tuple_read, p.context, p.from_instance, &release_tuple_contract,
	                   "release tuple", &source, err) ||
	    !read_document(c, tx, &Q_inventory_read, p.context, p.to_instance, &inventory_contract, "inventory",
	                   &inventory, err))
		return false;
	if (strcmp(source.artifact_id, p.artifact_identity.artifact_id) != 0)
		return err_set(err, &E_conflict,
		               "record_id: the tuple of lane %s is of artifact %s, not of the promoted %s",
		               p.from_instance, source.artifact_id, p.artifact_identity.artifact_id);
	if (strcmp(inventory.deployment_record_id, p.deployment_record_id) != 0)
		return err_set(err, &E_conflict,
		               "record_id: lane %s runs deployment %s by now, not %s that the promotion established",
		               p.to_instance, inventory.deployment_record_id, p.deployment_record_id);
	struct release_tuple tuple;
	release_tuple_promote(c->arena, &source, p.to_instance, p.deployment_record_id, p.record_id, utc_now(c->t),
	                      &tuple);
	tx_send(tx, &Q_release_tuple_upsert,
	        PARAMS(P_TEXT(tuple.context), P_TEXT(tuple.channel), P_TEXT(tuple.tuple_id), P_TEXT(tuple.artifact_id),
	               P_TEXT(tuple.minted_at), P_TEXT("promotion"),
	               P_TEXT(contract_text(c->arena, &release_tuple_contract, &tuple))));
	json_set_str(c->arena, records, "promotion_record_id", p.record_id);
	json_set_str(c->arena, records, "release_tuple_id", tuple.tuple_id);
	return true;
}

/* ---- the routes ---- */

typedef bool (*derive_fn)(struct call *c, struct tx *tx, struct json *records, struct err *err);

static SUSPENDS bool derive(struct call *c, derive_fn fn, struct err *err)
{
	struct json records = json_object();
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!fn(c, tx, &records, err)) {
		tx_rollback(tx);
		return false;
	}
	call_store_answer(c, tx, &records, NULL);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, NULL);
}

static SUSPENDS bool inventory_from_deployment_route(struct call *c, struct err *err)
{
	return derive(c, from_deployment, err);
}

static SUSPENDS bool inventory_from_promotion_route(struct call *c, struct err *err)
{
	return derive(c, from_promotion, err);
}

static SUSPENDS bool tuple_from_promotion_route(struct call *c, struct err *err)
{
	return derive(c, tuple_from_promotion, err);
}

static SUSPENDS bool tuple_show(struct call *c, struct err *err)
{
	struct rows rows;
	const char *context = call_param(c, "context"), *channel = call_param(c, "channel");
	if (!db_query(c->t, &Q_release_tuple_read, PARAMS(P_TEXT(context), P_TEXT(channel)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "lane %s of context %s has no release tuple", channel, context);
	return call_answer_member(c, "record", row_text(&rows, 0, 0));
}

static SUSPENDS bool tuple_catalog(struct call *c, struct err *err)
{
	struct rows rows;
	const char *context;
	if (!request_query(c->rq, "context", &context, err))
		return false;
	context = context ? trimmed(c->arena, context) : "";
	if (!call_authorize(c, c->route->action, "launchplane", context[0] ? context : "*", err) ||
	    !db_query(c->t, &Q_release_tuple_catalog, PARAMS(P_TEXT(context)), &rows, err))
		return false;
	struct json text = json_of_str(row_text(&rows, 0, 0));
	return call_answer_member(c, "catalog", json_text(c->arena, &text));
}

static SUSPENDS bool inventory_status(struct call *c, struct err *err)
{
	struct rows rows;
	const char *context = call_param(c, "context"), *instance = call_param(c, "instance");
	if (!db_query(c->t, &Q_inventory_status, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no inventory of %s in context %s", instance, context);
	return call_answer_member(c, "inventory", row_text(&rows, 0, 0));
}

const struct route derive_routes[] = {
	{ HTTP_GET, "/v1/inventory/{context}/{instance}/status",
	  "What runs in a lane, what says so, and what ran before", inventory_status, .callers = CALLERS_READ,
	  .action = "inventory.read", .product = "=launchplane", .context = "path:context" },
	{ HTTP_POST, "/v1/inventory/write-from-deployment", "Make a lane's inventory from a stored deployment",
	  inventory_from_deployment_route, .callers = CALLERS_WRITE, .action = "inventory.write",
	  .product = "body:product", .context = "body:context", .body = &derive_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/inventory/write-from-promotion", "Make a lane's inventory from a stored promotion",
	  inventory_from_promotion_route, .callers = CALLERS_WRITE, .action = "inventory.write",
	  .product = "body:product", .context = "body:context", .body = &derive_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_GET, "/v1/release-tuples/{context}/{channel}", "The release a stable lane stands on", tuple_show,
	  .callers = CALLERS_READ, .action = "release_tuple.read", .product = "=launchplane", .context = "path:context",
	  .record = &release_tuple_contract, .record_key = "record" },
	{ HTTP_GET, "/v1/release-tuples/catalog", "All release tuples as TOML: for review, never an authority",
	  tuple_catalog, .callers = CALLERS_READ, .action = "release_tuple.read", .product = "=launchplane",
	  .context = "handler" },
	{ HTTP_POST, "/v1/release-tuples/write-from-promotion",
	  "Make the destination lane's tuple from a stored promotion", tuple_from_promotion_route,
	  .callers = CALLERS_WRITE, .action = "release_tuple.write", .product = "body:product",
	  .context = "body:context", .body = &derive_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ 0 },
};
