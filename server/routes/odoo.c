/* The Odoo driver's routes: replacement plan and apply, polling, artifact manifests (facts/odoo.md 1, 4, 6, 14). */
#include "server/routes/odoo.h"

#include "drivers/odoo/artifact_publish.h"
#include "server/operations/runner.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/deployment.sql.h"
#include "storage/operation.sql.h"

static bool is_odoo(const struct product_profile *p)
{
	return strcmp(p->driver_id, "odoo") == 0;
}

bool odoo_profile(struct call *c, const char *product, struct product_profile *out, struct err *err)
{
	bool found;
	if (!read_profile(c->t, product, out, &found, err))
		return false;
	if (!found || !is_odoo(out))
		return err_set(err, &E_product_driver_mismatch, "product %s has no profile with driver odoo", product);
	return true;
}

/* ---- replacement ---- */

struct replacement_plan_body {
	int64_t schema_version;
	const char *product;
	struct replacement_request replacement;
};

static bool same_product(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct replacement_plan_body *b = record;
	if (strcmp(b->product, b->replacement.product) != 0)
		return contract_fail(a, err, path, "replacement.product", "must equal product");
	return true;
}

static const struct field plan_body_fields[] = {
	F_SCHEMA_VERSION(replacement_plan_body),
	F_STR(replacement_plan_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(replacement_plan_body, replacement, REQUIRED, &replacement_plan_request_contract),
	F_END,
};
static const struct contract plan_body_contract =
        CONTRACT(replacement_plan_body, plan_body_fields, "What to replace, for a plan", .check = same_product);

static const struct field apply_body_fields[] = {
	F_SCHEMA_VERSION(replacement_plan_body),
	F_STR(replacement_plan_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(replacement_plan_body, replacement, REQUIRED, &replacement_apply_request_contract),
	F_END,
};
static const struct contract apply_body_contract =
        CONTRACT(replacement_plan_body, apply_body_fields, "What to replace", .check = same_product);

/* The one lane the request means, and the caller's right to it. */
static SUSPENDS bool allowed_lane(struct call *c, const struct replacement_plan_body *body,
                                  struct product_profile *profile, const struct lane **lane, struct err *err)
{
	size_t lanes;
	if (!odoo_profile(c, body->product, profile, err))
		return false;
	*lane = product_profile_lane(profile, body->replacement.instance, &lanes);
	if (!*lane)
		return err_field(err, "replacement.instance",
		                 lanes ? "%s names %zu lanes of the product; it must name one"
		                       : "%s names no lane of the product",
		                 body->replacement.instance, lanes);
	return call_authorize(c, c->route->action, body->product, (*lane)->context, err);
}

static SUSPENDS bool replacement_plan_route(struct call *c, struct err *err)
{
	const struct replacement_plan_body *body = c->body;
	struct product_profile profile;
	const struct lane *lane;
	struct replacement_reading reading;
	struct replacement_plan plan;
	if (!allowed_lane(c, body, &profile, &lane, err) ||
	    !replacement_read(c->t, &body->replacement, &reading, err) ||
	    !replacement_plan_make(c->arena, &body->replacement, &reading.facts, &plan, err))
		return false;
	return call_accept(c, NULL, json_text(c->arena, &plan.result));
}

bool odoo_lane_of(struct call *c, const char *product, const char *context, const char *instance, bool needs_profile,
                  struct odoo_lane *out, struct err *err)
{
	*out = (struct odoo_lane){ .product = product };
	if (strcmp(product, "odoo") == 0) {
		struct rows rows;
		if (!db_query(c->t, &Q_odoo_products_of_lane, PARAMS(P_TEXT(context), P_TEXT(instance)), &rows, err))
			return false;
		if (rows.n == 1)
			out->product = row_text(&rows, 0, 0);
		else if (needs_profile || rows.n > 1)
			return err_set(err, &E_product_driver_mismatch,
			               "%zu products have lane %s in context %s: name the product", rows.n, instance,
			               context);
		else
			return call_authorize(c, c->route->action, product, context, err);
	}
	if (!odoo_profile(c, out->product, &out->profile, err))
		return false;
	out->lane = product_profile_lane_in(&out->profile, context, instance);
	if (!out->lane)
		return err_set(err, &E_product_driver_mismatch, "product %s has no lane %s in context %s", out->product,
		               instance, context);
	out->has_profile = true;
	return call_authorize(c, c->route->action, product, context, err);
}

static bool accept_operation(struct call *c, const char *id_record, const char *operation_id, const char *document,
                             struct err *err)
{
	struct json operation, records = json_object();
	if (!json_parse(c->arena, document, strlen(document), "the stored operation", &operation, err))
		return false;
	json_set_str(c->arena, &records, id_record, operation_id);
	static const char *const known[] = { "deployment_record_id", "release_tuple_id" };
	for (size_t i = 0; i < countof(known); i++)
		if (!is_blank(json_str(&operation, known[i], "")))
			json_set_str(c->arena, &records, known[i], json_str(&operation, known[i], ""));
	response_header(c->rs, "Location", json_str(&operation, "poll_url", ""));
	response_header(c->rs, "Retry-After", "2");
	return call_accept(c, &records, document);
}

bool odoo_submit(struct call *c, const struct op_kind *kind, const char *product, const char *context,
                 const char *instance, const char *request, const char *id_record, struct err *err)
{
	struct op_submission submission = call_submission(c);
	submission.kind = kind;
	submission.product = product;
	submission.context = context;
	submission.instance = instance;
	submission.request = request;
	submission.holds_lane = true;
	struct op_submitted submitted;
	if (!runner_submit(c->t, c->app->runner, &submission, &submitted, err)) {
		if (err_is(err, kind->busy))
			call_error_member(c, "operation", submitted.document);
		return false;
	}
	return accept_operation(c, id_record, submitted.operation_id, submitted.document, err);
}

static SUSPENDS bool replacement_apply_route(struct call *c, struct err *err)
{
	const struct replacement_plan_body *body = c->body;
	struct product_profile profile;
	const struct lane *lane;
	return allowed_lane(c, body, &profile, &lane, err) &&
	       odoo_submit(c, &odoo_replacement_kind, body->product, lane->context, lane->instance,
	                   contract_text(c->arena, &replacement_apply_request_contract, &body->replacement),
	                   "odoo_stable_target_replacement_operation_id", err);
}

bool odoo_operation(struct call *c, const struct op_kind *kind, struct err *err)
{
	struct rows rows;
	struct json document;
	const char *id = call_param(c, "operation_id");
	if (!db_query(c->t, &Q_operation_read, PARAMS(P_TEXT(id)), &rows, err))
		return false;
	if (rows.n == 0 || strcmp(row_text(&rows, 0, 0), kind->name) != 0)
		return err_set(err, &E_not_found, "there is no operation %s of this kind", id);
	if (!call_authorize(c, c->route->action, row_text(&rows, 0, 1), row_text(&rows, 0, 2), err))
		return false;
	const char *text = row_text(&rows, 0, 4);
	if (!json_parse(c->arena, text, strlen(text), "the stored operation", &document, err))
		return false;
	struct buf b;
	struct json_out o;
	const struct json *result = json_get(&document, "result");
	call_open_ok(c, &o, &b);
	jo_key(&o, "operation");
	jo_raw(&o, text, strlen(text));
	jo_key(&o, "result");
	if (result)
		jo_json(&o, result);
	else
		jo_null(&o);
	if (!is_blank(json_str(&document, "next_run_at", "")))
		response_header(c->rs, "Retry-After", "2");
	return call_close_ok(c, &o);
}

static SUSPENDS bool replacement_operation_route(struct call *c, struct err *err)
{
	return odoo_operation(c, &odoo_replacement_kind, err);
}

/* ---- artifact manifests ---- */

struct artifact_publish_body {
	int64_t schema_version;
	const char *product;
	struct artifact_publish publish;
};

static const struct field publish_body_fields[] = {
	F_SCHEMA_VERSION(artifact_publish_body),
	F_STR(artifact_publish_body, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_OBJECT(artifact_publish_body, publish, REQUIRED, &artifact_publish_contract),
	F_END,
};
static const struct contract publish_body_contract =
        CONTRACT(artifact_publish_body, publish_body_fields, "Hands in an artifact's manifest");

static SUSPENDS bool artifact_publish_route(struct call *c, struct err *err)
{
	const struct artifact_publish_body *body = c->body;
	const struct artifact_publish *p = &body->publish;
	const struct artifact_manifest *m = &p->manifest;
	struct product_profile profile;
	/* The driver's own name stands for any tenant: this route needs no profile facts. */
	if (strcmp(body->product, "odoo") != 0) {
		if (!odoo_profile(c, body->product, &profile, err))
			return false;
		if (!product_profile_lane_in(&profile, p->context, p->instance))
			return err_set(err, &E_product_driver_mismatch, "product %s has no lane %s in context %s",
			               body->product, p->instance, p->context);
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "artifact_id", m->artifact_id);
	json_set_str(c->arena, &records, "publish_status", "pass");
	json_set_str(c->arena, &records, "image_repository", m->image.repository);
	json_set_str(c->arena, &records, "image_digest", m->image.digest);
	json_set_str(c->arena, &records, "source_commit", m->source_commit);
	const char *result = artifact_publish_result(c->arena, p, "");
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	artifact_publish_store(c->t, tx, p);
	call_store_answer(c, tx, &records, result);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, &records, result);
}

const struct route odoo_routes[] = {
	{ HTTP_POST, "/v1/drivers/odoo/target-replacement-plan",
	  "Whether a lane's target may be replaced, and what speaks against it", replacement_plan_route,
	  .callers = CALLERS_WRITE, .action = "odoo_target_replacement_plan.read", .product = "body:product",
	  .context = "handler", .body = &plan_body_contract },
	{ HTTP_POST, "/v1/drivers/odoo/target-replacement-apply", "Submit the replacement of a lane's target",
	  replacement_apply_route, .callers = CALLERS_WRITE, .action = "odoo_target_replacement_apply.execute",
	  .product = "body:product", .context = "handler", .body = &apply_body_contract,
	  .idempotency = IDEMPOTENCY_OWN_REQUIRED },
	{ HTTP_GET, "/v1/drivers/odoo/target-replacement/operations/{operation_id}", "Poll a replacement",
	  replacement_operation_route, .callers = CALLERS_READ, .action = "odoo_target_replacement_apply.execute",
	  .product = "handler", .context = "handler" },
	{ HTTP_POST, "/v1/drivers/odoo/artifact-publish", "Hand in an artifact's manifest", artifact_publish_route,
	  .callers = CALLERS_WRITE, .action = "odoo_artifact_publish.write", .product = "body:product",
	  .context = "body:publish.context", .body = &publish_body_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ 0 },
};
