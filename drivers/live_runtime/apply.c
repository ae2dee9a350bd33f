/* The operation that writes a live target's environment: plan, write, verify, and a deploy when asked for. */
#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/live_runtime/live_runtime.h"
#include "storage/codes.h"
#include "storage/plan.h"

#define WATCH_MS         3000
#define SETTLE_MS        30000 /* a queue that stands idle this long without our deploy does not hold it */
#define DEPLOY_REQUESTS  3
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
	F_BOOL(live_runtime_state, deploy_acknowledged, 0),
	F_BOOL(live_runtime_state, deployed, 0),
	F_INT(live_runtime_state, deploy_requests, 0),
	F_INT(live_runtime_state, deploy_absent_since_ms, 0),
	F_INT(live_runtime_state, deploy_timeout_s, 0, .fallback = "600"),
	F_STR(live_runtime_state, provider_deployment_id, 0),
	F_STR(live_runtime_state, deploy_status, 0, .fallback = "pending"),
	F_END,
};
static const struct contract state_contract =
        CONTRACT(live_runtime_state, state_fields, "What the phases hand on: names and counts");

/* Fails with what the facts call it once nothing more is tried. */
static enum phase_outcome fail_as(const struct operation *op, const struct error_code *code, struct err *err)
{
	static const struct error_code *const provider_codes[] = { &E_upstream_failed, &E_timeout, &E_provider_refused,
		                                                   &E_not_found };
	bool is_last = !err->code->retry || op->failures + 1 >= op->phase->tries;
	for (size_t i = 0; is_last && i < countof(provider_codes); i++)
		if (err->code == provider_codes[i]) {
			err->code = code;
			break;
		}
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

static SUSPENDS bool ask_deploy(struct task *t, struct dokploy *d, const struct operation *op, struct err *err)
{
	const struct live_runtime_state *s = op->state;
	const struct live_runtime_request *r = op->request;
	const char *description = "Launchplane: runtime values changed";
	return strcmp(s->target_type, "compose") == 0
	               ? dokploy_compose_deploy(t, d, s->target_id, op->operation_id, description, r->no_cache, err)
	               : dokploy_application_deploy(t, d, s->target_id, op->operation_id, description, r->no_cache,
	                                            err);
}

/* Acts on its first run only: a later run may come after the request, and the next phase looks for what came of it. */
static SUSPENDS enum phase_outcome deploy_phase(struct task *t, struct operation *op, struct err *err)
{
	struct live_runtime_state *s = op->state;
	const struct live_runtime_request *r = op->request;
	struct dokploy d;
	if (!r->deploy)
		return PHASE_DONE;
	s->deploy_absent_since_ms = 0;
	s->deploy_acknowledged = false;
	if (operation_is_rerun(op))
		return PHASE_DONE;
	if (s->deploy_requests >= DEPLOY_REQUESTS) {
		err_set(err, &E_dokploy_deploy_failed,
		        "Dokploy was asked for the deploy %lld times and none arrived; the environment is written",
		        (long long)s->deploy_requests);
		return PHASE_FAILED;
	}
	if (!dokploy_open(t, &d, err))
		return PHASE_FAILED;
	s->deploy_requests++;
	if (ask_deploy(t, &d, op, err)) {
		s->deploy_acknowledged = true;
		operation_event(t, op, "deploy_requested", NULL);
		return PHASE_DONE;
	}
	if (err->code == &E_cancelled)
		return PHASE_FAILED;
	if (d.maybe_done) {
		operation_event(t, op, "deploy_unanswered", NULL);
		return PHASE_DONE;
	}
	if (!dokploy_may_retry(err))
		return fail_as(op, &E_dokploy_deploy_failed, err);
	return operation_goto(op, "deploy", 2000u << s->deploy_requests);
}

static SUSPENDS bool read_runs(struct task *t, struct dokploy *d, const struct live_runtime_state *s,
                               struct dokploy_deployments *out, struct err *err)
{
	struct dokploy_application application;
	if (strcmp(s->target_type, "compose") == 0)
		return dokploy_deployments_of_compose(t, d, s->target_id, out, err);
	if (!dokploy_application_one(t, d, s->target_id, &application, err))
		return false;
	*out = application.deployments;
	return true;
}

static SUSPENDS enum phase_outcome deploy_is_absent(struct task *t, struct operation *op, struct dokploy *d,
                                                    struct err *err)
{
	struct live_runtime_state *s = op->state;
	struct dokploy_services services;
	bool busy = false;
	int64_t now = loop_wall_ms(t->loop);
	if (operation_is_overdue(t, op)) {
		err_set(err, &E_dokploy_deploy_failed,
		        "Dokploy %s the deploy but no run titled %s appeared; the environment is written",
		        s->deploy_acknowledged ? "accepted" : "may have received", op->operation_id);
		return PHASE_FAILED;
	}
	if (s->deploy_acknowledged)
		return operation_again(op, WATCH_MS);
	if (!dokploy_project_all(t, d, &services, err))
		return PHASE_FAILED;
	for (size_t i = 0; i < services.n; i++)
		busy |= strcmp(services.v[i].status, "running") == 0;
	if (busy || s->deploy_absent_since_ms == 0)
		s->deploy_absent_since_ms = now;
	if (now - s->deploy_absent_since_ms < SETTLE_MS)
		return operation_again(op, WATCH_MS);
	operation_event(t, op, "deploy_never_arrived", NULL);
	return operation_goto(op, "deploy", 0);
}

static SUSPENDS enum phase_outcome deploy_wait_phase(struct task *t, struct operation *op, struct err *err)
{
	struct live_runtime_state *s = op->state;
	const struct live_runtime_request *r = op->request;
	struct dokploy d;
	struct dokploy_deployments runs;
	if (!r->deploy)
		return PHASE_DONE;
	if (!dokploy_open(t, &d, err) || !read_runs(t, &d, s, &runs, err))
		return fail_as(op, &E_dokploy_deploy_failed, err);
	const struct dokploy_deployment *run = deployment_titled(&runs, op->operation_id);
	if (!run)
		return deploy_is_absent(t, op, &d, err);
	s->deploy_acknowledged = true;
	s->provider_deployment_id = run->id;
	switch (deployment_class_of(run->status)) {
	case DEPLOYMENT_SUCCESS:
		s->deploy_status = "pass";
		return PHASE_DONE;
	case DEPLOYMENT_FAILURE:
		s->deploy_status = "fail";
		err_set(err, &E_dokploy_deploy_failed,
		        "Dokploy ended the deploy with %s%s%s; the environment is written", run->status,
		        run->error_message[0] ? ": " : "", redact(t->arena, run->error_message));
		return PHASE_FAILED;
	case DEPLOYMENT_RUNNING:
	case DEPLOYMENT_UNKNOWN:
		break;
	}
	if (operation_is_overdue(t, op)) {
		err_set(err, &E_dokploy_deploy_failed,
		        "the deploy did not end within %lld seconds; it may still be running in Dokploy",
		        (long long)s->deploy_timeout_s);
		return PHASE_FAILED;
	}
	return operation_again(op, WATCH_MS);
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
