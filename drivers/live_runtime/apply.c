/* The operation that writes a live target's environment: plan, write, verify, and a deploy when asked for. */
#include "drivers/live_runtime/live_runtime.h"
#include "storage/codes.h"
#include "storage/plan.h"

#define DEPLOY_TIMEOUT_S 600

static const struct field difference_fields[] = {
	F_INT(live_difference, desired_key_count, 0),
	F_INT(live_difference, live_key_count, 0),
	F_INT(live_difference, unchanged_key_count, 0),
	F_STRINGS(live_difference, missing_keys, 0),
	F_STRINGS(live_difference, different_keys, 0),
	F_STRINGS(live_difference, changed_keys, 0),
	F_END,
};
static const struct contract difference_contract =
        CONTRACT(live_difference, difference_fields, "Names and counts of a comparison");
static const struct field verification_fields[] = {
	F_STR(live_runtime_verification, status, 0, .fallback = "skipped"),
	F_STR(live_runtime_verification, reason, 0),
	F_STRINGS(live_runtime_verification, missing_keys, 0),
	F_STRINGS(live_runtime_verification, different_keys, 0),
	F_INT(live_runtime_verification, verified_key_count, 0),
	F_END,
};
static const struct contract verification_contract =
        CONTRACT(live_runtime_verification, verification_fields, "Whether the target kept what was written");
static const struct field state_fields[] = {
	F_STR(live_runtime_state, target_id, 0),
	F_STR(live_runtime_state, target_name, 0),
	F_STR(live_runtime_state, target_type, 0),
	F_STR(live_runtime_state, source_git_ref, 0),
	F_STR(live_runtime_state, digest, 0),
	F_OBJECT(live_runtime_state, difference, 0, &difference_contract),
	F_JSON(live_runtime_state, key_safety, 0),
	F_BOOL(live_runtime_state, planned, 0),
	F_BOOL(live_runtime_state, env_updated, 0),
	F_BOOL(live_runtime_state, applied, 0),
	F_OBJECT(live_runtime_state, verification, 0, &verification_contract),
	F_JSON(live_runtime_state, fresh, 0),
	F_DEPLOY_WATCH(live_runtime_state, deploy),
	F_BOOL(live_runtime_state, deployed, 0),
	F_INT(live_runtime_state, deploy_timeout_s, 0, .fallback = "600"),
	F_STR(live_runtime_state, deploy_status, 0, .fallback = "pending"),
	F_END,
};
static const struct contract state_contract =
        CONTRACT(live_runtime_state, state_fields, "What the phases hand on: names and counts");

/* Fails with what the facts call it once nothing more is tried. */
static enum phase_outcome fail_as(const struct operation *op, const struct error_code *code, struct err *err)
{
	bool is_last = !err->code->retry || op->failures + 1 >= op->phase->tries;
	if (is_last && live_runtime_is_providers(err))
		err->code = code;
	return PHASE_FAILED;
}

/* What was planned is not what would happen now: the answer shows what would. */
static enum phase_outcome refuse_changed(struct task *t, struct operation *op, const struct live_reading *reading,
                                         const char *pinned, struct err *err)
{
	struct live_runtime_state *s = op->state, now = { .verification = { .status = "skipped", .reason = "" } };
	const struct key_safety_evidence unknown = { .status = "skipped", .policy_record_id = "", .policy_sha256 = "" };
	struct json *fresh = ARENA_NEW(t->arena, struct json);
	live_runtime_note(t->arena, reading, &unknown, &now);
	now.key_safety = s->key_safety ? s->key_safety : now.key_safety;
	*fresh = live_runtime_result(t->arena, op->request, &now, "dry-run");
	s->fresh = fresh;
	plan_check(pinned, reading->digest, err);
	return PHASE_FAILED;
}

static SUSPENDS enum phase_outcome plan_phase(struct task *t, struct operation *op, struct err *err)
{
	struct live_runtime_state *s = op->state;
	const struct live_runtime_request *r = op->request;
	struct live_reading reading;
	struct key_safety_evidence evidence;
	if (!live_runtime_read(t, r, &reading, err))
		return fail_as(op, &E_dokploy_target_read_failed, err);
	bool matters = reading.difference.changed_keys.n || r->deploy;
	if (!live_runtime_gate(t, &reading, !matters, &evidence, err))
		return PHASE_FAILED;
	live_runtime_note(t->arena, &reading, &evidence, s);
	if (r->plan_digest[0] && strcmp(r->plan_digest, reading.digest) != 0)
		return refuse_changed(t, op, &reading, r->plan_digest, err);
	const struct opt_int *given = &r->deploy_timeout_seconds, *recorded = &reading.target.deploy_timeout_seconds;
	s->deploy_timeout_s = given->is_set ? given->value : recorded->is_set ? recorded->value : DEPLOY_TIMEOUT_S;
	s->planned = true;
	return PHASE_DONE;
}

/* Safe to run again: it looks first, and writes only over what the plan saw. */
static SUSPENDS enum phase_outcome write_phase(struct task *t, struct operation *op, struct err *err)
{
	struct live_runtime_state *s = op->state;
	struct live_reading reading;
	if (s->difference.changed_keys.n == 0)
		return PHASE_DONE;
	if (!live_runtime_read(t, op->request, &reading, err))
		return fail_as(op, &E_dokploy_target_read_failed, err);
	if (reading.difference.changed_keys.n && strcmp(reading.digest, s->digest) != 0)
		return refuse_changed(t, op, &reading, s->digest, err);
	if (reading.difference.changed_keys.n && !live_runtime_write(t, &reading, err))
		return fail_as(op, &E_dokploy_target_update_failed, err);
	s->env_updated = true;
	return PHASE_DONE;
}

static bool not_kept(struct task *t, struct live_runtime_state *s, struct err *err)
{
	struct buf b = buf_in(t->arena);
	const struct strings *lists[] = { &s->verification.missing_keys, &s->verification.different_keys };
	for (size_t l = 0; l < countof(lists); l++)
		for (size_t i = 0; i < lists[l]->n && b.n < 250; i++)
			buf_printf(&b, "%s%s", b.n ? ", " : "", lists[l]->v[i]);
	s->verification.status = "fail";
	s->verification.reason = "the target did not keep what was written";
	return err_set(err, &E_dokploy_target_verification_failed,
	               "the live target did not keep these keys as written: %s", buf_cstr(&b));
}

static SUSPENDS enum phase_outcome verify_phase(struct task *t, struct operation *op, struct err *err)
{
	struct live_runtime_state *s = op->state;
	struct live_reading reading;
	if (!s->env_updated) {
		s->verification.status = "skipped";
		s->verification.reason = "nothing differed";
		return PHASE_DONE;
	}
	if (!live_runtime_read(t, op->request, &reading, err))
		return fail_as(op, &E_dokploy_target_read_failed, err);
	s->verification = (struct live_runtime_verification){
		.status = "pass",
		.reason = "",
		.missing_keys = reading.difference.missing_keys,
		.different_keys = reading.difference.different_keys,
		.verified_key_count = reading.difference.unchanged_key_count,
	};
	if (reading.difference.changed_keys.n && !not_kept(t, s, err))
		return PHASE_FAILED;
	s->applied = true;
	return PHASE_DONE;
}

/* ---- the deploy ---- */

static struct deploy_order order_of(struct task *t, const struct operation *op)
{
	const struct live_runtime_state *s = op->state;
	const struct live_runtime_request *r = op->request;
	return (struct deploy_order){ .service_id = s->target_id,
		                      .is_application = strcmp(s->target_type, "application") == 0,
		                      .title = op->operation_id,
		                      .description = "Launchplane: runtime values changed",
		                      .rebuild = r->no_cache,
		                      .name = arena_printf(t->arena, "target %s", s->target_name),
		                      .aftermath = "; the environment is written",
		                      .limit_s = s->deploy_timeout_s };
}

static SUSPENDS enum phase_outcome deploy_phase(struct task *t, struct operation *op, struct err *err)
{
	struct live_runtime_state *s = op->state;
	const struct live_runtime_request *r = op->request;
	if (!r->deploy)
		return PHASE_DONE;
	const struct deploy_order order = order_of(t, op);
	enum phase_outcome outcome = deploy_ask(t, op, &order, &s->deploy, err);
	return outcome == PHASE_FAILED ? fail_as(op, &E_dokploy_deploy_failed, err) : outcome;
}

static SUSPENDS enum phase_outcome deploy_wait_phase(struct task *t, struct operation *op, struct err *err)
{
	struct live_runtime_state *s = op->state;
	const struct live_runtime_request *r = op->request;
	if (!r->deploy)
		return PHASE_DONE;
	const struct deploy_order order = order_of(t, op);
	enum phase_outcome outcome = deploy_follow(t, op, &order, &s->deploy, "deploy", err);
	if (outcome == PHASE_DONE)
		s->deploy_status = "pass";
	if (outcome != PHASE_FAILED)
		return outcome;
	if (err_is(err, &E_deploy_failed))
		s->deploy_status = "fail";
	return fail_as(op, &E_dokploy_deploy_failed, err);
}

/* ---- the kind ---- */

static int deploy_limit(const struct operation *op)
{
	const struct live_runtime_state *s = op->state;
	return (int)s->deploy_timeout_s;
}

static void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	const struct live_runtime_state *s = op->state;
	struct json *result = ARENA_NEW(t->arena, struct json);
	*result = live_runtime_result(t->arena, op->request, s, "apply");
	if (failure)
		json_set_str(t->arena, result, "status", "fail");
	if (failure && failure->code == &E_plan_changed && s->fresh)
		json_set(t->arena, result, "plan", *s->fresh);
	op->result = result;
}

/* clang-format off */
static const struct phase phases[] = {
	/* name         shown as      function           tries backoff_ms */
	{ "plan",        "plan",         plan_phase,        5, 500, .cancel = CANCEL_ANY,
	  .help = "read records and the live target, judge key safety, compare with the pinned plan" },
	{ "write",       "apply",        write_phase,       5, 500, .cancel = CANCEL_FIRST,
	  .help = "write the environment over what the plan saw" },
	{ "verify",      "verification", verify_phase,      5, 500,
	  .help = "read every wanted key back" },
	{ "deploy",      "apply",        deploy_phase,      5, 1000, .cancel = CANCEL_FIRST,
	  .help = "ask Dokploy for the deploy, once, when asked for" },
	{ "deploy_wait", "apply",        deploy_wait_phase, 9, 1000, .limit_of = deploy_limit,
	  .help = "find the deploy by its title and wait for its end" },
	{ 0 },
};
/* clang-format on */

const struct op_kind live_runtime_kind = {
	.name = "live_target_runtime_apply",
	.id_prefix = "live-target-runtime",
	.help = "Brings recorded runtime values and secrets to a live target, and proves that it keeps them",
	.request = &live_runtime_request_contract,
	.state = &state_contract,
	.phases = phases,
	.conclude = conclude,
};
