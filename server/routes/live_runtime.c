/* POST /v1/live-target-runtime/apply (facts/config-health.md 5.2). */
#include "drivers/live_runtime/live_runtime.h"
#include "server/routes/tables.h"
#include "storage/codes.h"

static SUSPENDS bool dry_run(struct call *c, struct err *err)
{
	const struct live_runtime_request *r = c->body;
	struct live_reading reading;
	struct key_safety_evidence evidence;
	struct live_runtime_state shown = { .verification = { .status = "skipped", .reason = "dry-run" } };
	if (!live_runtime_read(c->t, r, &reading, err)) {
		if (live_runtime_is_providers(err))
			err->code = &E_dokploy_target_read_failed;
		return false;
	}
	if (!live_runtime_gate(c->t, &reading, true, &evidence, err))
		return false;
	live_runtime_note(c->arena, &reading, &evidence, &shown);
	struct json result = live_runtime_result(c->arena, r, &shown, "dry-run");
	return call_accept(c, NULL, json_text(c->arena, &result));
}

static SUSPENDS bool live_runtime_apply(struct call *c, struct err *err)
{
	const struct live_runtime_request *r = c->body;
	if (!c->applies)
		return dry_run(c, err);
	struct op_submission s = call_submission(c);
	s.kind = &live_runtime_kind;
	s.product = r->product;
	s.context = r->context;
	s.instance = r->instance;
	s.request = contract_text(c->arena, &live_runtime_request_contract, r);
	s.holds_lane = true;
	return call_operate(c, &s, err);
}

const struct route live_runtime_routes[] = {
	{ HTTP_POST, "/v1/live-target-runtime/apply", "Compare or bring recorded runtime values to a live target",
	  live_runtime_apply, .callers = CALLERS_WRITE, .action = "live_target_runtime.plan",
	  .apply_action = "live_target_runtime.apply", .product = "body:product", .context = "body:context",
	  .body = &live_runtime_request_contract, .idempotency = IDEMPOTENCY_OWN },
	{ 0 },
};
