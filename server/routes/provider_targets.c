/* Provider targets: audit, and backfill of one lane (facts/config-health.md 5.6). */
#include "drivers/target_backfill.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/target.sql.h"

static SUSPENDS bool report(struct call *c, const struct query *q, const struct target_backfill *b, struct json *out,
                            struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, q, PARAMS(P_TEXT(b->provider_id), P_TEXT(b->context), P_TEXT(b->instance)), &rows, err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	return json_parse(c->arena, text, strlen(text), "the report", out, err);
}

static SUSPENDS bool apply_backfill(struct call *c, const struct target_backfill *b, struct err *err)
{
	bool found;
	struct json plan;
	if (is_blank(b->reason))
		return err_set(err, &E_reason_required, "reason: is required to apply; say why this is done");
	if (strcmp(b->confirmation, TARGET_BACKFILL_CONFIRMATION) != 0)
		return err_set(err, &E_confirmation_required,
		               "confirmation: must be exactly \"" TARGET_BACKFILL_CONFIRMATION "\"");
	if (!call_operated(c, &target_backfill_kind, &found, err))
		return false;
	if (found)
		return true;
	if (!report(c, &Q_provider_target_backfill_plan, b, &plan, err) ||
	    !call_check_plan(c, target_backfill_digest(c->arena, &plan), json_text(c->arena, &plan), err))
		return false;
	struct op_submission s = call_submission(c);
	s.kind = &target_backfill_kind;
	s.product = b->product;
	s.context = b->context;
	s.instance = b->instance;
	s.request = contract_text(c->arena, &target_backfill_contract, b);
	s.holds_lane = true;
	return call_operate(c, &s, err);
}

static SUSPENDS bool provider_target_operation(struct call *c, struct err *err)
{
	const struct target_backfill *b = c->body;
	struct json shown;
	bool audit = strcmp(b->mode, "audit") == 0;
	if (c->applies)
		return apply_backfill(c, b, err);
	if (!report(c, audit ? &Q_provider_target_audit : &Q_provider_target_backfill_plan, b, &shown, err))
		return false;
	struct json result = target_backfill_result(c->arena, b, &shown);
	return call_accept(c, NULL, json_text(c->arena, &result));
}

const struct route provider_target_routes[] = {
	{ HTTP_POST, "/v1/provider-targets/operations", "Compare or complete the provider target row of a lane",
	  provider_target_operation, .callers = CALLERS_WRITE, .action = "provider_target.audit",
	  .apply_action = "provider_target.backfill", .apply_mode = "backfill-apply", .product = "=launchplane",
	  .context = "=launchplane", .body = &target_backfill_contract, .idempotency = IDEMPOTENCY_OWN_APPLY_REQUIRED },
	{ 0 },
};
