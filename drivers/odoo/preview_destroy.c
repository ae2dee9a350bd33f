/* The operation that takes a preview down (facts/odoo.md 15.3, destroy). Its submission is the fence; it holds no lane,
 * for it must be accepted while a refresh is at work. Everything it does can be done twice. */
#include "drivers/dokploy/credentials.h"
#include "drivers/odoo/preview.h"
#include "storage/codes.h"
#include "storage/odoo_preview.sql.h"

#include <strings.h>

static SUSPENDS enum phase_outcome wait_phase(struct task *t, struct operation *op, struct err *err)
{
	const struct preview_apply *r = op->request;
	struct rows rows;
	if (!db_query(t, &Q_odoo_preview_others,
	              PARAMS(P_TEXT(op->operation_id), P_TEXT(odoo_preview_refresh_kind.name),
	                     P_TEXT(r->dry_run_plan.preview_slug)),
	              &rows, err))
		return PHASE_FAILED;
	return rows.n ? operation_again(op, 1000) : PHASE_DONE;
}

static SUSPENDS enum phase_outcome plan_phase(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct preview_reading reading;
	struct preview_intent in;
	if (!preview_settle(t, op, &reading, &in, err))
		return PHASE_FAILED;
	/* A plan that was ready may find nothing left: that is clean. */
	if (reading.discovery_problem) {
		err_set(err, &E_operation_blocked, "%.400s", in.blocked_text);
		return PHASE_FAILED;
	}
	s->compose_id = reading.compose_id;
	if (!reading.is_staged && reading.compose_id[0] &&
	    strcmp(reading.compose_environment_id, s->environment_id) != 0) {
		err_set(err, &E_operation_blocked, "%.400s", in.blocked_text);
		return PHASE_FAILED;
	}
	if (reading.is_staged && !preview_host_is_of(t->arena, reading.profile.preview.slug_template, s->host)) {
		err_set(err, &E_operation_blocked,
		        "%s is no preview's host by the profile's slug template: it is left alone", s->host);
		return PHASE_FAILED;
	}
	if (reading.is_staged && reading.has_target && preview_host_is_stable(&reading.target, reading.lane, s->host)) {
		err_set(err, &E_operation_blocked, "%s is a host of the lane itself: it is left alone", s->host);
		return PHASE_FAILED;
	}
	return PHASE_DONE;
}

static bool is_gone(struct err *err)
{
	if (!err_is(err, &E_not_found))
		return false;
	memset(err, 0, sizeof(*err));
	return true;
}

static SUSPENDS enum phase_outcome domains_phase(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct dokploy d;
	struct dokploy_domains domains;
	int64_t deleted = 0;
	if (!s->compose_id[0]) {
		preview_step_done(t, s, "domains", s->host, "pass", "the compose service is gone already");
		return PHASE_DONE;
	}
	if (!dokploy_open(t, &d, err))
		return PHASE_FAILED;
	if (!dokploy_domains_of_compose(t, &d, s->compose_id, &domains, err)) {
		if (!is_gone(err))
			return PHASE_FAILED;
		domains.n = 0;
	}
	for (size_t i = 0; i < domains.n; i++) {
		if (strcasecmp(domains.v[i].host, s->host) != 0)
			continue;
		if (!dokploy_domain_delete(t, &d, domains.v[i].id, err) && !is_gone(err))
			return PHASE_FAILED;
		s->domain_id = domains.v[i].id;
		deleted++;
	}
	preview_step_done(t, s, "domains", s->host, "pass", arena_printf(t->arena, "%lld deleted", (long long)deleted));
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome compose_phase(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct dokploy d;
	if (s->is_staged || !s->compose_id[0]) {
		preview_step_done(t, s, "compose", s->compose_name, "skipped",
		                  s->is_staged ? "the target is shared and stays" : "nothing is left");
		return PHASE_DONE;
	}
	if (!dokploy_open(t, &d, err) || (!dokploy_compose_delete(t, &d, s->compose_id, true, err) && !is_gone(err)))
		return PHASE_FAILED;
	preview_step_done(t, s, "compose", s->compose_name, "pass", "deleted with its volumes");
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome record(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	enum phase_outcome outcome;
	if (preview_write_destroyed(t, op, err))
		return PHASE_DONE;
	if (preview_record_again(t, op, err, &outcome))
		return outcome;
	const char *why = arena_strdup(t->arena, err->message);
	err_set(err, &E_preview_evidence_failed,
	        "the preview %s is gone, but its record could not be written for %d seconds: %.200s; destroy it again",
	        s->slug, PREVIEW_RECORD_LIMIT_S, why);
	return PHASE_FAILED;
}

static SUSPENDS void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	struct preview_state_kept *s = op->state;
	if (failure)
		s->transition = "destroy_failed";
	op->result = preview_result(t, op, failure);
}

/* clang-format off */
static const struct phase phases[] = {
	/* name      shown as function       tries backoff_ms */
	{ "wait",    "plan",  wait_phase,    5, 500, .limit_s = 3600, .cancel = CANCEL_ANY,
	  .help = "wait until refreshes that were asked for earlier have ended; they write nothing more" },
	{ "plan",    "plan",  plan_phase,    5, 500, .cancel = CANCEL_ANY,
	  .help = "find the compose service by its name" },
	{ "domains", "apply", domains_phase, 5, 500, .cancel = CANCEL_FIRST,
	  .help = "delete the routes of the preview's host" },
	{ "compose", "apply", compose_phase, 5, 500,
	  .help = "delete the compose service with its volumes; never a staged preview's target" },
	{ "record",  "verification", record, 5, 500, .limit_s = PREVIEW_RECORD_LIMIT_S,
	  .help = "prepare the preview's record, which is written with the end" },
	{ 0 },
};
/* clang-format on */

const struct op_kind odoo_preview_destroy_kind = {
	.name = "odoo_preview_destroy",
	.id_prefix = "odoo-preview-destroy",
	.help = "Takes the preview of a pull request down",
	.request = &preview_apply_contract,
	.state = &preview_state_contract,
	.phases = phases,
	.conclude = conclude,
};
