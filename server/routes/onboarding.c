/* POST /v1/product-onboarding/apply (facts/config-health.md 5.7). */
#include "storage/onboarding.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/operation.h"

static SUSPENDS bool run(struct call *c, const struct authorship *by, const struct json *records, const char **result,
                         struct err *err)
{
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!onboarding_run(tx, c->body, by, c->applies, result, err)) {
		tx_rollback(tx);
		return false;
	}
	if (!c->applies) {
		tx_rollback(tx);
		return true;
	}
	call_store_answer(c, tx, records, *result);
	return tx_commit(tx, err);
}

static SUSPENDS bool onboarding_apply(struct call *c, struct err *err)
{
	const struct onboarding_request *r = c->body;
	const struct authorship by = { c->principal->actor, utc_now(c->t), r->manifest.source_label, r->reason };
	const char *result = NULL;
	struct json records = json_object();
	json_set_str(c->arena, &records, "product_profile", r->manifest.product);
	if (run(c, &by, &records, &result, err))
		return call_accept(c, c->applies ? &records : NULL, result);
	if (err->code == &E_plan_changed)
		call_error_member(c, "plan", result);
	return is_idempotency_race(err) ? call_lost_race(c, err) : false;
}

const struct route onboarding_routes[] = {
	{ HTTP_POST, "/v1/product-onboarding/apply", "Make a product with all it needs from one manifest",
	  onboarding_apply, .callers = CALLERS_WRITE, .action = "product_onboarding.apply",
	  .apply_action = "product_onboarding.apply", .product = "=launchplane", .context = "=launchplane",
	  .body = &onboarding_request_contract, .idempotency = IDEMPOTENCY_APPLY },
	{ 0 },
};
