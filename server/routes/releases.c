/* ship and promote: what may be released, and releasing it as a durable operation (facts/core.md 6.3, 6.4). */
#include "drivers/release/release.h"
#include "server/operations/runner.h"
#include "server/routes/tables.h"
#include "storage/codes.h"

static SUSPENDS bool judged(struct call *c, struct release_reading *r, struct err *err)
{
	const struct replacement_request *request = c->body;
	struct product_profile profile;
	bool found;
	if (!read_profile(c->t, request->product, &profile, &found, err))
		return false;
	if (!found || strcmp(profile.driver_id, "odoo") != 0)
		return err_set(err, &E_product_driver_mismatch, "product %s has no profile with driver odoo",
		               request->product);
	return release_check(c->t, c->body, r, err);
}

/* Everything that speaks for or against it; touches nothing. */
static SUSPENDS bool release_plan(struct call *c, struct err *err)
{
	struct release_reading r;
	if (!judged(c, &r, err))
		return false;
	struct json plan = release_plan_json(c->arena, c->body, &r);
	return call_accept(c, NULL, json_text(c->arena, &plan));
}

/* The same, and the request with all its defaults, ready to be executed; refused while anything speaks against it. */
static SUSPENDS bool release_resolve(struct call *c, struct err *err)
{
	struct release_reading r;
	if (!judged(c, &r, err))
		return false;
	if (r.blockers.n)
		return err_set(err, &E_operation_blocked, "%s", release_blocked_text(c->arena, &r.blockers));
	struct json plan = release_plan_json(c->arena, c->body, &r);
	json_set(c->arena, &plan, "request", contract_json(c->arena, c->route->body, c->body, false));
	return call_accept(c, NULL, json_text(c->arena, &plan));
}

static SUSPENDS bool submit_release(struct call *c, const struct op_kind *kind, struct err *err)
{
	const struct replacement_request *request = c->body;
	struct json actor = principal_audit(c->arena, c->principal), records = json_object(), operation;
	const struct op_submission submission = {
		.kind = kind,
		.product = request->product,
		.context = request->context,
		.instance = request->instance,
		.idempotency_scope = c->principal->scope,
		.idempotency_key = c->idempotency_key,
		.request_fingerprint = c->fingerprint,
		.request = contract_text(c->arena, kind->request, request),
		.actor = json_text(c->arena, &actor),
		.trace_id = c->trace_id,
		.traceparent = c->t->traceparent,
		.holds_lane = true,
	};
	struct op_submitted submitted;
	if (!runner_submit(c->t, c->app->runner, &submission, &submitted, err)) {
		if (err_is(err, &E_operation_active))
			call_error_member(c, "operation", submitted.document);
		return false;
	}
	const char *document = submitted.document;
	if (!json_parse(c->arena, document, strlen(document), "the stored operation", &operation, err))
		return false;
	json_set_str(c->arena, &records, "operation_id", submitted.operation_id);
	response_header(c->rs, "Location", json_str(&operation, "poll_url", ""));
	response_header(c->rs, "Retry-After", "2");
	return call_accept(c, &records, document);
}

static SUSPENDS bool ship_execute(struct call *c, struct err *err)
{
	return submit_release(c, &ship_kind, err);
}

static SUSPENDS bool promote_execute(struct call *c, struct err *err)
{
	return submit_release(c, &promote_kind, err);
}

#define RELEASE(path_, summary_, handler_, action_, body_, ...)                                                        \
	{                                                                                                              \
		HTTP_POST, path_, summary_, handler_, .callers = CALLERS_WRITE, .action = (action_),                   \
		                                      .product = "body:product", .context = "body:context",            \
		                                      .body = &(body_), ##__VA_ARGS__                                  \
	}

const struct route release_routes[] = {
	RELEASE("/v1/ship/plan", "Whether an artifact may be shipped to a lane, and what speaks against it",
	        release_plan, "ship.plan", ship_request_contract),
	RELEASE("/v1/ship/resolve", "The request with all it resolves to; refused while anything speaks against it",
	        release_resolve, "ship.plan", ship_request_contract),
	RELEASE("/v1/ship/execute", "Submit the deploy of an artifact to a lane", ship_execute, "ship.execute",
	        ship_request_contract, .idempotency = IDEMPOTENCY_OWN_REQUIRED),
	RELEASE("/v1/promote/plan", "Whether an artifact may be promoted, and what speaks against it", release_plan,
	        "promote.plan", promote_request_contract),
	RELEASE("/v1/promote/resolve", "The request with all it resolves to; refused while anything speaks against it",
	        release_resolve, "promote.plan", promote_request_contract),
	RELEASE("/v1/promote/execute", "Submit the promotion of what another lane runs", promote_execute,
	        "promote.execute", promote_request_contract, .idempotency = IDEMPOTENCY_OWN_REQUIRED),
	{ 0 },
};
