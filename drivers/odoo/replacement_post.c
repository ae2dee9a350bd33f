/* Phases schedule to post_deploy_wait: the data workflow on the docker host (facts/odoo.md 8, facts/dokploy.md 7). */
#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/data_workflow.h"
#include "drivers/odoo/replacement.h"
#include "storage/codes.h"

#define WATCH_MS      3000
#define SETTLE_MS     10000 /* a run's row is there before its script begins */
#define RUN_ANSWER_MS 8000  /* the answer comes when the script has ended; we do not wait for it */
#define LOG_LINES     5000

struct workflow {
	struct dokploy d;
	struct dokploy_compose live;
	struct dokploy_schedule wish;
	const char *list_id;
	const struct dokploy_schedule *row;
};

static SUSPENDS bool list_schedule(struct task *t, struct workflow *w, struct err *err)
{
	struct dokploy_schedules rows;
	if (!dokploy_schedule_list(t, &w->d, w->list_id, (enum schedule_type)w->wish.type, &rows, err))
		return false;
	w->row = data_workflow_find(&rows, &w->wish);
	return true;
}

/* The schedule as it should be; its script is filled in when the row's past is known. */
static SUSPENDS bool open_workflow(struct task *t, const struct operation *op, struct workflow *w, struct err *err)
{
	const struct replacement_state *s = op->state;
	const char *user_id = "";
	*w = (struct workflow){ 0 };
	if (!dokploy_open(t, &w->d, err) || !dokploy_compose_one(t, &w->d, s->target_id, &w->live, err))
		return false;
	if (!w->live.app_name[0])
		return err_set(err, &E_provider_refused, "Dokploy names no appName for target %s", s->target_name);
	if (!w->live.server_id[0] && !dokploy_session_user(t, &w->d, &user_id, err))
		return false;
	data_workflow_schedule(t->arena, op->context, op->instance, &w->live, user_id, "", &w->wish, &w->list_id);
	return list_schedule(t, w, err);
}

static SUSPENDS bool write_script(struct task *t, struct operation *op, struct workflow *w, struct err *err)
{
	struct replacement_state *s = op->state;
	struct odoo_override record;
	struct override_payload payload;
	struct text_map env;
	struct data_workflow workflow;
	struct dokploy_target target;
	struct dokploy_target_id id;
	bool found, has_target, has_id;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	if (!replacement_payload(t, op, &record, &found, &payload, err) ||
	    !read_target(t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	if (!has_target)
		return err_set(err, &E_operation_blocked, "the target record of the lane is gone");
	env_text_parse(t->arena, w->live.env, &env);
	const struct replacement_request *request = op->request;
	for (size_t i = 0; i < request->env_overlay.n; i++)
		map_set(t->arena, &env, request->env_overlay.v[i].key, request->env_overlay.v[i].value);
	bool stale = w->row && data_workflow_lock_is_stale(t->arena, &w->row->deployments);
	return data_workflow_prepare(t->arena, &env, &payload,
	                             s->data_restore ? WORKFLOW_RESTORE : WORKFLOW_MAINTENANCE, w->live.app_name,
	                             &target.policies.shopify.protected_store_keys, stale, &workflow, err) &&
	       data_workflow_script(t->arena, &workflow, &w->wish.script, err);
}

SUSPENDS enum phase_outcome replacement_schedule(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct workflow w;
	s->post_deploy_status = RELEASE_PENDING;
	if (!open_workflow(t, op, &w, err))
		return PHASE_FAILED;
	if (w.row && deployment_any_running(&w.row->deployments)) {
		err_set(err, &E_provider_refused,
		        "a data workflow of this lane is already running in Dokploy (schedule %s)", w.row->name);
		return PHASE_FAILED;
	}
	if (!write_script(t, op, &w, err))
		return PHASE_FAILED;
	if (w.row)
		w.wish.id = w.row->id;
	if (!(w.row ? dokploy_schedule_update(t, &w.d, &w.wish, err)
	            : dokploy_schedule_create(t, &w.d, &w.wish, err)) ||
	    !list_schedule(t, &w, err))
		return PHASE_FAILED;
	if (!w.row || !w.row->id[0]) {
		err_set(err, &E_provider_refused, "Dokploy did not keep the schedule %s", w.wish.name);
		return PHASE_FAILED;
	}
	s->schedule_id = w.row->id;
	s->schedule_runs_before = deployment_ids(t->arena, &w.row->deployments);
	map_set(t->arena, &s->override_evidence, "schedule_id", s->schedule_id);
	return PHASE_DONE;
}

/* Acts on its first run only, like the deploy. */
SUSPENDS enum phase_outcome replacement_post_deploy(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct dokploy d;
	const char *deployment_id, *status;
	s->schedule_absent_since_ms = 0;
	s->schedule_acknowledged = false;
	if (operation_is_rerun(op))
		return PHASE_DONE;
	if (s->schedule_requests >= REPLACEMENT_REQUESTS) {
		err_set(err, &E_upstream_lost, "Dokploy was asked to run the data workflow %lld times and none arrived",
		        (long long)s->schedule_requests);
		return PHASE_FAILED;
	}
	if (!dokploy_open(t, &d, err))
		return PHASE_FAILED;
	s->schedule_requests++;
	if (dokploy_schedule_run(t, &d, s->schedule_id, RUN_ANSWER_MS, &deployment_id, &status, err)) {
		s->schedule_acknowledged = true;
		return PHASE_DONE;
	}
	if (err->code == &E_cancelled)
		return PHASE_FAILED;
	if (d.maybe_done)
		return PHASE_DONE; /* the run's own row tells how it went */
	if (!dokploy_may_retry(err))
		return PHASE_FAILED;
	return operation_goto(op, "post_deploy", 2000u << s->schedule_requests);
}

static enum phase_outcome run_is_absent(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	int64_t now = loop_wall_ms(t->loop);
	if (operation_is_overdue(t, op)) {
		err_set(err, &E_upstream_lost, "no run of schedule %s appeared in Dokploy within %lld seconds",
		        s->schedule_id, (long long)s->deploy_timeout_s);
		return PHASE_FAILED;
	}
	if (s->schedule_absent_since_ms == 0)
		s->schedule_absent_since_ms = now;
	if (s->schedule_acknowledged || now - s->schedule_absent_since_ms < SETTLE_MS)
		return operation_again(op, WATCH_MS);
	if (s->data_restore) {
		err_set(err, &E_operation_reconciliation_required,
		        "the destructive restore may or may not have started; look at schedule %s in Dokploy",
		        s->schedule_id);
		return PHASE_FAILED;
	}
	operation_event(t, op, "post_deploy_never_started", NULL);
	return operation_goto(op, "post_deploy", 0);
}

static SUSPENDS void read_markers(struct task *t, struct operation *op, struct dokploy *d, const char *deployment_id,
                                  const char **log)
{
	struct replacement_state *s = op->state;
	struct err ignored = { 0 };
	*log = NULL;
	if (!dokploy_deployment_log(t, d, deployment_id, LOG_LINES, log, &ignored))
		*log = NULL;
	map_set(t->arena, &s->override_evidence, "schedule_deployment_id", deployment_id);
	map_set(t->arena, &s->override_evidence, "schedule_deployment_key", deployment_id);
	data_workflow_markers(t->arena, *log, &s->override_evidence);
}

/* The last line that says what went wrong, for the operation's error. */
static const char *error_line(struct arena *a, const char *log)
{
	const char *found = "";
	for (const char *line = log; line && *line;) {
		size_t n = strcspn(line, "\n");
		const char *text = arena_strndup(a, line, n < 200 ? n : 200);
		if (strstr(text, "error: "))
			found = strstr(text, "error: ") + 7;
		line += n + (line[n] == '\n');
	}
	return redact(a, found);
}

SUSPENDS enum phase_outcome replacement_post_deploy_wait(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct dokploy d;
	struct dokploy_deployments runs;
	const char *log;
	if (!dokploy_open(t, &d, err) || !dokploy_deployments_of_schedule(t, &d, s->schedule_id, &runs, err))
		return PHASE_FAILED;
	const struct dokploy_deployment *run = deployment_new(&runs, &s->schedule_runs_before);
	if (!run)
		return run_is_absent(t, op, err);
	s->schedule_acknowledged = true;
	s->schedule_deployment_id = run->id;
	enum deployment_class class = deployment_class_of(run->status);
	if (class == DEPLOYMENT_RUNNING || class == DEPLOYMENT_UNKNOWN) {
		if (!operation_is_overdue(t, op))
			return operation_again(op, WATCH_MS);
		err_set(err, &E_timeout,
		        "the data workflow did not end within %lld seconds; it may still be running on the host",
		        (long long)s->deploy_timeout_s);
		return PHASE_FAILED;
	}
	read_markers(t, op, &d, run->id, &log);
	/* On 0.29 a failing script of a remote server is recorded as done: its own last line tells. */
	bool ended = class == DEPLOYMENT_SUCCESS &&
	             (!log || !log[0] || strstr(log, DATA_WORKFLOW_END) || !strstr(log, "error: "));
	if (ended) {
		s->post_deploy_status = RELEASE_PASS;
		if (s->override_status == RELEASE_PENDING)
			s->override_status = RELEASE_PASS;
		return PHASE_DONE;
	}
	s->post_deploy_status = RELEASE_FAIL;
	const char *why = error_line(t->arena, log);
	err_set(err, &E_post_deploy_failed, "the data workflow of target %s failed (%s)%s%s; its log is deployment %s",
	        s->target_name, run->status, why[0] ? ": " : "", why, run->id);
	return PHASE_FAILED;
}
