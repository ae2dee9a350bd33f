/* The Odoo driver's work on prod lanes: backup gates, promotion, rollback, and the hold between them (facts/odoo.md 12,
 * 13). */
#include "drivers/odoo/backup_gate.h"
#include "drivers/odoo/promotion.h"
#include "server/routes/odoo.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/promotion_hold.sql.h"

#define PRODUCT_HELP "The product, or odoo for whichever owns the lane"

/* Submits for the lane and waits on the caller's behalf. */
static SUSPENDS bool operate(struct call *c, const struct op_kind *kind, const char *product, const char *context,
                             const char *instance, const char *request, struct err *err)
{
	struct op_submission s = call_submission(c);
	s.kind = kind;
	s.product = product;
	s.context = context;
	s.instance = instance;
	s.request = request;
	s.holds_lane = true;
	return call_operate(c, &s, err);
}

/* ---- backup gate ---- */

struct backup_gate_body {
	int64_t schema_version;
	const char *product;
	struct backup_gate_request backup_gate;
};
static const struct field backup_gate_body_fields[] = {
	F_SCHEMA_VERSION(backup_gate_body),
	F_STR(backup_gate_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = PRODUCT_HELP),
	F_OBJECT(backup_gate_body, backup_gate, REQUIRED, &backup_gate_request_contract),
	F_END,
};
static const struct contract backup_gate_body_contract =
        CONTRACT(backup_gate_body, backup_gate_body_fields, "A prod lane to be backed up");

static SUSPENDS bool backup_gate_route(struct call *c, struct err *err)
{
	const struct backup_gate_body *body = c->body;
	const struct backup_gate_request *r = &body->backup_gate;
	struct odoo_lane lane;
	return odoo_lane_of(c, body->product, r->context, r->instance, false, &lane, err) &&
	       operate(c, &odoo_backup_gate_kind, lane.product, r->context, r->instance,
	               contract_text(c->arena, &backup_gate_request_contract, r), err);
}

/* ---- promotion inputs ---- */

struct promotion_inputs {
	int64_t schema_version;
	const char *context, *from_instance, *to_instance, *request_id;
};
struct promotion_inputs_body {
	int64_t schema_version;
	const char *product;
	struct promotion_inputs inputs;
};

static bool check_inputs(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct promotion_inputs *i = record;
	if (strcmp(i->from_instance, "testing") != 0)
		return contract_fail(a, err, path, "from_instance", "must be testing");
	return strcmp(i->to_instance, "prod") == 0 || contract_fail(a, err, path, "to_instance", "must be prod");
}

static const struct field inputs_fields[] = {
	F_SCHEMA_VERSION(promotion_inputs),
	F_STR(promotion_inputs, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(promotion_inputs, from_instance, LOWERED, .fallback = "testing", .max = 100, .help = "Only testing"),
	F_STR(promotion_inputs, to_instance, LOWERED, .fallback = "prod", .max = 100, .help = "Only prod"),
	F_STR(promotion_inputs, request_id, REQUIRED | TRIMMED | NON_BLANK, .max = 150,
	      .help = "Chosen by the workflow; becomes part of the backup gate's id"),
	F_END,
};
static const struct contract inputs_contract =
        CONTRACT(promotion_inputs, inputs_fields, "A promotion to be prepared", .check = check_inputs);
static const struct field inputs_body_fields[] = {
	F_SCHEMA_VERSION(promotion_inputs_body),
	F_STR(promotion_inputs_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = PRODUCT_HELP),
	F_OBJECT(promotion_inputs_body, inputs, REQUIRED, &inputs_contract),
	F_END,
};
static const struct contract inputs_body_contract =
        CONTRACT(promotion_inputs_body, inputs_body_fields, "A promotion to be prepared");

static const char *inputs_problem(struct call *c, const struct promotion_inputs *i, const struct promotion_source *s)
{
	if (!s->has_tuple)
		return arena_printf(c->arena, "%s/%s has no release tuple: deploy the artifact there first", i->context,
		                    i->from_instance);
	if (strcmp(s->tuple.context, i->context) != 0 || strcmp(s->tuple.channel, i->from_instance) != 0)
		return arena_printf(c->arena, "the stored release tuple belongs to %s/%s", s->tuple.context,
		                    s->tuple.channel);
	if (!s->has_manifest)
		return arena_printf(c->arena, "no manifest is stored for artifact %s", s->tuple.artifact_id);
	if (is_blank(s->manifest.source_commit))
		return "the artifact's manifest has no source commit";
	return NULL;
}

static SUSPENDS bool promotion_inputs_route(struct call *c, struct err *err)
{
	const struct promotion_inputs_body *body = c->body;
	const struct promotion_inputs *i = &body->inputs;
	struct arena *a = c->arena;
	struct odoo_lane lane;
	struct promotion_source s;
	struct err held = { 0 };
	if (!odoo_lane_of(c, body->product, i->context, i->to_instance, false, &lane, err) ||
	    !promotion_read_source(c->t, i->context, i->from_instance, &s, err))
		return false;
	const char *problem = inputs_problem(c, i, &s);
	if (!problem && !promotion_is_free(c->t, i->context, i->to_instance, &held)) {
		if (!err_is(&held, &E_promotion_held)) {
			*err = held;
			return false;
		}
		problem = held.message;
	}
	bool known = s.has_tuple && s.has_manifest;
	const struct text_pair both[] = {
		{ "artifact_id", s.has_tuple ? s.tuple.artifact_id : "" },
		{ "backup_record_id", promotion_backup_id(a, i->context, i->to_instance, i->request_id) },
		{ "release_tuple_id", s.has_tuple ? s.tuple.tuple_id : "" },
		{ "source_git_ref", known ? s.manifest.source_commit : "" },
		{ "image_repository", known ? s.manifest.image.repository : "" },
		{ "image_digest", known ? s.manifest.image.digest : "" },
		{ "input_status", problem ? "blocked" : "ready" },
	};
	struct json records = json_object(), result = json_object();
	json_set_str(a, &result, "context", i->context);
	json_set_str(a, &result, "from_instance", i->from_instance);
	json_set_str(a, &result, "to_instance", i->to_instance);
	json_set_str(a, &result, "request_id", i->request_id);
	for (size_t k = 0; k < countof(both); k++) {
		json_set_str(a, &records, both[k].key, both[k].value);
		json_set_str(a, &result, both[k].key, both[k].value);
	}
	json_set_str(a, &result, "error_message", problem ? problem : "");
	return call_accept(c, &records, json_text(a, &result));
}

/* ---- promotion ---- */

struct promotion_body {
	int64_t schema_version;
	const char *product;
	struct promotion_request promotion;
};

static bool same_product(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct promotion_body *b = record;
	return !b->promotion.product[0] || strcmp(b->product, b->promotion.product) == 0 ||
	       contract_fail(a, err, path, "promotion.product", "must equal product");
}

static const struct field promotion_body_fields[] = {
	F_SCHEMA_VERSION(promotion_body),
	F_STR(promotion_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = PRODUCT_HELP),
	F_OBJECT(promotion_body, promotion, REQUIRED, &promotion_request_contract),
	F_END,
};
static const struct contract promotion_body_contract =
        CONTRACT(promotion_body, promotion_body_fields, "A promotion to prod", .check = same_product);

static SUSPENDS bool promotion_route(struct call *c, struct err *err)
{
	const struct promotion_body *body = c->body;
	const struct promotion_request *r = &body->promotion;
	struct odoo_lane lane;
	struct promotion_source source;
	struct backup_gate gate;
	bool found;
	if (!odoo_lane_of(c, body->product, r->context, r->to_instance, true, &lane, err) ||
	    !call_operated(c, &odoo_promotion_kind, &found, err))
		return false;
	return found || (promotion_check(c->t, r, &source, &gate, err) &&
	                 operate(c, &odoo_promotion_kind, lane.product, r->context, r->to_instance,
	                         contract_text(c->arena, &promotion_request_contract, r), err));
}

/* ---- rollback ---- */

struct rollback_body {
	int64_t schema_version;
	const char *product;
	struct rollback_request rollback;
};
static const struct field rollback_body_fields[] = {
	F_SCHEMA_VERSION(rollback_body),
	F_STR(rollback_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = PRODUCT_HELP),
	F_OBJECT(rollback_body, rollback, REQUIRED, &rollback_request_contract),
	F_END,
};
static const struct contract rollback_body_contract =
        CONTRACT(rollback_body, rollback_body_fields, "A prod lane to be rolled back");

static SUSPENDS bool rollback_route(struct call *c, struct err *err)
{
	const struct rollback_body *body = c->body;
	const struct rollback_request *r = &body->rollback;
	struct odoo_lane lane;
	struct rollback_source source;
	bool found;
	c->audit.reason = r->reason;
	if (!odoo_lane_of(c, body->product, r->context, r->instance, false, &lane, err) ||
	    !call_operated(c, &odoo_rollback_kind, &found, err))
		return false;
	return found || (rollback_check(c->t, r, &source, err) &&
	                 operate(c, &odoo_rollback_kind, lane.product, r->context, r->instance,
	                         contract_text(c->arena, &rollback_request_contract, r), err));
}

/* ---- the hold after a rollback ---- */

struct hold_lift {
	const char *context, *instance, *reason;
};
struct hold_lift_body {
	int64_t schema_version;
	const char *product;
	struct hold_lift lift;
};
static const struct field lift_fields[] = {
	F_STR(hold_lift, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(hold_lift, instance, LOWERED, .fallback = "prod", .max = 100),
	F_STR(hold_lift, reason, REQUIRED | TRIMMED | NON_BLANK, .max = 500, .help = "Why promotion may go on"),
	F_END,
};
static const struct contract lift_contract = CONTRACT(hold_lift, lift_fields, "A hold to be lifted");
static const struct field lift_body_fields[] = {
	F_SCHEMA_VERSION(hold_lift_body),
	F_STR(hold_lift_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200, .help = PRODUCT_HELP),
	F_OBJECT(hold_lift_body, lift, REQUIRED, &lift_contract),
	F_END,
};
static const struct contract lift_body_contract =
        CONTRACT(hold_lift_body, lift_body_fields, "A promotion hold to be lifted");

static SUSPENDS bool lift_route(struct call *c, struct err *err)
{
	const struct hold_lift_body *body = c->body;
	const struct hold_lift *l = &body->lift;
	struct odoo_lane lane;
	struct json actor = principal_audit(c->arena, c->principal), records = json_object();
	struct rows rows;
	struct tx *tx;
	c->audit.reason = l->reason;
	if (!odoo_lane_of(c, body->product, l->context, l->instance, false, &lane, err) || !tx_begin(c->t, &tx, err))
		return false;
	if (!tx_query(tx, &Q_promotion_hold_lift,
	              PARAMS(P_TEXT(l->context), P_TEXT(l->instance), P_TEXT(json_text(c->arena, &actor)),
	                     P_TEXT(utc_now(c->t)), P_TEXT(l->reason)),
	              &rows, err)) {
		tx_rollback(tx);
		return false;
	}
	if (rows.n == 0) {
		tx_rollback(tx);
		return err_set(err, &E_not_found, "promotion to %s/%s is not held", l->context, l->instance);
	}
	const char *result = arena_strdup(c->arena, row_text(&rows, 0, 0));
	json_set_str(c->arena, &records, "promotion_hold_record_id", arena_strdup(c->arena, row_text(&rows, 0, 1)));
	call_store_answer(c, tx, &records, result);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, result);
}

static SUSPENDS bool holds_route(struct call *c, struct err *err)
{
	struct rows rows;
	return db_query(c->t, &Q_promotion_hold_list,
	                PARAMS(P_TEXT(call_param(c, "context")), P_TEXT(call_param(c, "instance"))), &rows, err) &&
	       call_answer_member(c, "records", row_text(&rows, 0, 0));
}

const struct route odoo_prod_routes[] = {
	{ HTTP_POST, "/v1/drivers/odoo/prod-backup-gate", "Capture a prod lane's database and filestore",
	  backup_gate_route, .callers = CALLERS_WRITE, .action = "odoo_prod_backup_gate.execute",
	  .product = "body:product", .context = "handler", .body = &backup_gate_body_contract,
	  .idempotency = IDEMPOTENCY_OWN },
	{ HTTP_POST, "/v1/drivers/odoo/prod-promotion-inputs",
	  "What a promotion to prod would take, and its backup gate's id", promotion_inputs_route,
	  .callers = CALLERS_WRITE, .action = "odoo_prod_promotion_inputs.read", .product = "body:product",
	  .context = "handler", .body = &inputs_body_contract },
	{ HTTP_POST, "/v1/drivers/odoo/prod-promotion", "Promote what testing runs to prod", promotion_route,
	  .callers = CALLERS_WRITE, .action = "odoo_prod_promotion.execute", .product = "body:product",
	  .context = "handler", .body = &promotion_body_contract, .idempotency = IDEMPOTENCY_OWN },
	{ HTTP_POST, "/v1/drivers/odoo/prod-rollback", "Roll a prod lane back", rollback_route,
	  .callers = CALLERS_WRITE, .action = "odoo_prod_rollback.execute", .product = "body:product",
	  .context = "handler", .body = &rollback_body_contract, .idempotency = IDEMPOTENCY_OWN },
	{ HTTP_GET, "/v1/drivers/odoo/promotion-holds/{context}/{instance}",
	  "Since when, why and by whom promotion to a lane is or was held", holds_route, .callers = CALLERS_READ,
	  .action = "odoo_promotion_hold.read", .product = "=launchplane", .context = "path:context" },
	{ HTTP_POST, "/v1/drivers/odoo/promotion-hold-lift", "Let promotion to a lane go on after a rollback",
	  lift_route, .callers = CALLERS_WRITE_HUMAN, .action = "odoo_promotion_hold.lift", .product = "body:product",
	  .context = "handler", .body = &lift_body_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ 0 },
};
