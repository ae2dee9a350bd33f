/* Phases schedule to post_deploy_wait: the data workflow on the docker host (facts/odoo.md 8). */
#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/data_workflow.h"
#include "drivers/odoo/replacement.h"
#include "storage/codes.h"

void lane_workflow_env(struct task *t, const struct operation *op, const struct text_map *target, struct text_map *out)
{
	const struct replacement_request *order = replacement_order(op);
	for (size_t i = 0; i < target->n; i++)
		map_set(t->arena, out, target->v[i].key, target->v[i].value);
	for (size_t i = 0; i < order->env_overlay.n; i++)
		map_set(t->arena, out, order->env_overlay.v[i].key, order->env_overlay.v[i].value);
}

bool lane_workflow_script(struct task *t, struct operation *op, struct host *h, enum workflow_mode mode,
                          const char **script, struct err *err)
{
	struct replacement_state *s = op->state;
	static const enum workflow_intent intents[] = { INTENT_DEPLOY, INTENT_BOOTSTRAP, INTENT_RESTORE };
	struct odoo_override record;
	struct override_payload payload;
	struct text_map live, env = { 0 };
	struct data_workflow workflow;
	struct dokploy_target target;
	struct dokploy_target_id id;
	bool found, has_target, has_id;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	if (!replacement_payload(t, op, intents[mode], &record, &found, &payload, err) ||
	    !read_target(t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	if (!has_target)
		return err_set(err, &E_operation_blocked, "the target record of the lane is gone");
	if (!replacement_note_runner(t, s, found, &payload, mode, err))
		return false;
	env_text_parse(t->arena, h->live.env, &live);
	lane_workflow_env(t, op, &live, &env);
	bool stale = h->row && data_workflow_lock_is_stale(t->arena, &h->row->deployments);
	if (!data_workflow_prepare(t->arena, &env, &payload, mode, h->live.app_name,
	                           &target.policies.shopify.protected_store_keys, stale, &workflow, err))
		return false;
	s->required_keys = workflow.required_keys;
	return data_workflow_script(t->arena, &workflow, script, err);
}

SUSPENDS enum phase_outcome replacement_schedule(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct host h;
	const char *script;
	s->post_deploy_status = RELEASE_PENDING;
	if (!host_open(t, op, s->target_id, &host_data_workflow, &h, err) ||
	    !lane_workflow_script(t, op, &h, s->data_restore ? WORKFLOW_RESTORE : WORKFLOW_MAINTENANCE, &script, err) ||
	    !host_write_script(t, &h, script, &s->workflow, err))
		return PHASE_FAILED;
	s->web.at_risk = true;
	s->web.workflow_proved = false;
	map_set(t->arena, &s->override_evidence, "schedule_id", s->workflow.schedule_id);
	return PHASE_DONE;
}

SUSPENDS enum phase_outcome replacement_post_deploy(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	return host_run_start(t, op, &s->workflow, err);
}

SUSPENDS enum phase_outcome replacement_post_deploy_wait(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct host_result r;
	const char *restart = s->data_restore ? NULL : "post_deploy"; /* a restore is never asked for twice */
	enum phase_outcome outcome = host_run_wait(t, op, &s->workflow, restart, s->deploy_timeout_s, &r, err);
	if (outcome != PHASE_DONE)
		return outcome;
	map_set(t->arena, &s->override_evidence, "schedule_deployment_id", s->workflow.deployment_id);
	map_set(t->arena, &s->override_evidence, "schedule_deployment_key", s->workflow.deployment_id);
	data_workflow_markers(t->arena, r.log, &s->override_evidence);
	if (host_result_proves(&r, DATA_WORKFLOW_END, false)) {
		s->web.workflow_proved = true;
		s->post_deploy_status = RELEASE_PASS;
		if (s->override_status == RELEASE_PENDING)
			s->override_status = RELEASE_PASS;
		return PHASE_DONE;
	}
	s->post_deploy_status = RELEASE_FAIL;
	host_run_failed("the data workflow", s->target_name, &s->workflow, &r, DATA_WORKFLOW_END, err);
	return PHASE_FAILED;
}
