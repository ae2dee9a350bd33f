#include "drivers/target_backfill.h"

#include "storage/codes.h"
#include "storage/plan.h"
#include "storage/target.sql.h"

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct target_backfill *r = record;
	static const char *const modes[] = { "audit", "backfill-dry-run", "backfill-apply" };
	size_t i = 0;
	while (i < countof(modes) && strcmp(modes[i], r->mode) != 0)
		i++;
	if (i == countof(modes))
		return contract_fail(a, err, path, "mode", "must be audit, backfill-dry-run or backfill-apply");
	if (strcmp(r->product, "launchplane") != 0)
		return contract_fail(a, err, path, "product", "must be launchplane");
	if (strcmp(r->provider_id, "dokploy") != 0)
		return contract_fail(a, err, path, "provider_id", "must be dokploy");
	return true;
}

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(target_backfill),
	F_STR(target_backfill, mode, REQUIRED | TRIMMED | NON_BLANK,
	      .help = "audit, backfill-dry-run or backfill-apply"),
	F_STR(target_backfill, product, TRIMMED, .fallback = "launchplane", .help = "launchplane"),
	F_STR(target_backfill, provider_id, LOWERED | TRIMMED, .fallback = "dokploy", .help = "dokploy"),
	F_STR(target_backfill, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(target_backfill, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200,
	      .help = "One lane per request"),
	F_STR(target_backfill, reason, TRIMMED, .max = 1000, .help = "For backfill-apply: why"),
	F_STR(target_backfill, confirmation, TRIMMED, .help = "For backfill-apply: " TARGET_BACKFILL_CONFIRMATION),
	F_PLAN_DIGEST(target_backfill),
	F_END,
};
const struct contract target_backfill_contract =
        CONTRACT(target_backfill, request_fields, "Compares or completes the provider target row of a lane",
                 .check = check_request);

struct backfill_state {
	bool written;
	const char *digest;      /* of the plan that is carried out */
	const struct json *plan; /* of a refusal because the pinned plan is not this one */
};
static const struct field state_fields[] = {
	F_BOOL(backfill_state, written, 0),
	F_STR(backfill_state, digest, 0),
	F_JSON(backfill_state, plan, 0),
	F_END,
};
static const struct contract state_contract = CONTRACT(backfill_state, state_fields, "What a backfill did");

/* Findings and items alike: which lane, and what is or would be written for it. */
const char *target_backfill_digest(struct arena *a, const struct json *report)
{
	struct json plan = json_array();
	const struct json *items = json_get(report, "items");
	for (uint32_t i = 0; items && i < items->n; i++) {
		const struct json *projected = json_get(&items->items[i], "projected_record");
		struct json item = json_object();
		json_set_str(a, &item, "context", json_str(&items->items[i], "context", ""));
		json_set_str(a, &item, "instance", json_str(&items->items[i], "instance", ""));
		json_set_str(a, &item, "status", json_str(&items->items[i], "status", ""));
		if (projected)
			json_set(a, &item, "projected_record", *projected);
		json_push(a, &plan, item);
	}
	return plan_digest(a, &plan);
}

struct json target_backfill_result(struct arena *a, const struct target_backfill *r, const struct json *report)
{
	struct json o = json_object();
	json_set_str(a, &o, "mode", r->mode);
	json_set_str(a, &o, "provider_id", r->provider_id);
	json_set_str(a, &o, "context", r->context);
	json_set_str(a, &o, "instance", r->instance);
	json_set_str(a, &o, "operation_status", json_str(report, "status", ""));
	json_set(a, &o, "blocked_count", json_of_int(json_int(report, "blocked_count", 0)));
	json_set(a, &o, "warning_count", json_of_int(json_int(report, "warning_count", 0)));
	json_set(a, &o, "inspected_route_count", json_of_int(json_int(report, "inspected_route_count", 0)));
	json_set_str(a, &o, "reason", r->reason);
	if (strcmp(r->mode, "backfill-dry-run") == 0)
		json_set_str(a, &o, "plan_digest", target_backfill_digest(a, report));
	json_set(a, &o, "report", *report);
	return o;
}

/* The plan as it is now, held against the pinned one: records may have changed since the route looked. */
static SUSPENDS bool check_plan(struct task *t, const struct target_backfill *r, struct backfill_state *s,
                                struct err *err)
{
	struct rows rows;
	struct json *plan = ARENA_NEW(t->arena, struct json);
	if (!db_query(t, &Q_provider_target_backfill_plan,
	              PARAMS(P_TEXT(r->provider_id), P_TEXT(r->context), P_TEXT(r->instance)), &rows, err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	if (!json_parse(t->arena, text, strlen(text), "the report", plan, err))
		return false;
	s->digest = target_backfill_digest(t->arena, plan);
	if (plan_check(r->plan_digest, s->digest, err))
		return true;
	s->plan = plan;
	return false;
}

/* The insert travels with the operation's end: report and row are one commit. */
static SUSPENDS enum phase_outcome backfill_write(struct task *t, struct operation *op, struct err *err)
{
	const struct target_backfill *r = op->request;
	struct backfill_state *s = op->state;
	struct rows rows;
	struct json report;
	if (!check_plan(t, r, s, err) || !db_query(t, &Q_provider_target_backfill_lane,
	                                           PARAMS(P_TEXT(op->context), P_TEXT(op->instance)), &rows, err))
		return PHASE_FAILED;
	const char *text = row_text(&rows, 0, 1);
	if (!json_parse(t->arena, text, strlen(text), "the report", &report, err))
		return PHASE_FAILED;
	s->written = row_bool(&rows, 0, 0);
	if (s->written)
		operation_write(t, op, &Q_provider_target_insert, PARAMS(P_TEXT(op->context), P_TEXT(op->instance)));
	struct json *result = ARENA_NEW(t->arena, struct json);
	*result = target_backfill_result(t->arena, r, &report);
	json_set_str(t->arena, result, "plan_digest", s->digest);
	op->result = result;
	return PHASE_DONE;
}

static void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	const struct backfill_state *s = op->state;
	if (!failure || !s->plan)
		return;
	struct json *result = ARENA_NEW(t->arena, struct json);
	*result = target_backfill_result(t->arena, op->request, s->plan);
	json_set_str(t->arena, result, "plan_digest", s->digest);
	json_set(t->arena, result, "plan", *s->plan);
	op->result = result;
}

/* clang-format off */
static const struct phase phases[] = {
	/* name   shown as   function        tries backoff_ms */
	{ "write", "apply",  backfill_write, 5, 1000, .cancel = CANCEL_ANY,
	  .help = "write the lane's provider target row, unless there is one" },
	{ 0 },
};
/* clang-format on */

const struct op_kind target_backfill_kind = {
	.name = "provider_target_backfill",
	.id_prefix = "provider-target-backfill",
	.help = "Writes the missing provider target row of a lane; never overwrites one",
	.request = &target_backfill_contract,
	.state = &state_contract,
	.phases = phases,
	.conclude = conclude,
};
