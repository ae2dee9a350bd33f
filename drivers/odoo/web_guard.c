/* Web is never left stopped by us: after a script that stops it, and before an operation fails, it is looked at. */
#include "drivers/dokploy/credentials.h"
#include "drivers/odoo/replacement.h"
#include "drivers/odoo/template.h"
#include "odoo_templates.h"
#include "storage/codes.h"

#define LOOK_AGAIN_MS   3000
#define START_ANSWER_MS 2000

enum web_state { WEB_UNKNOWN, WEB_RUNS, WEB_STOPPED };

bool lane_is_web(const char *container)
{
	static const char *const ends[] = { "-web-1", "_web_1", "-web", "_web" };
	size_t n = strlen(container);
	for (size_t i = 0; i < countof(ends); i++)
		if (n >= strlen(ends[i]) && strcmp(container + n - strlen(ends[i]), ends[i]) == 0)
			return true;
	return false;
}

/* An unreachable host looks like one without containers: that is no knowledge. */
static SUSPENDS bool look(struct task *t, struct dokploy *d, const struct replacement_state *s, enum web_state *out,
                          struct err *err)
{
	struct dokploy_containers list;
	*out = WEB_UNKNOWN;
	if (!dokploy_containers(t, d, s->app_name, s->server_id, &list, err))
		return false;
	for (size_t i = 0; i < list.n; i++)
		if (lane_is_web(list.v[i].name))
			*out = strcmp(list.v[i].state, "running") == 0 ? WEB_RUNS : WEB_STOPPED;
	return true;
}

bool lane_web_start_script(struct arena *a, const char *compose_project, const char **script, struct err *err)
{
	const char *prologue;
	if (!host_script_prologue(a, compose_project, &prologue, err))
		return false;
	const struct template_value values[] = { { "lane_host", prologue } };
	*script = template_fill(a, odoo_web_start_sh, values, countof(values));
	return true;
}

/* Starting it twice is the same as once: no mark is needed. */
static SUSPENDS bool ask_for_start(struct task *t, struct operation *op, struct err *err)
{
	const struct replacement_state *s = op->state;
	struct host h;
	struct host_run run;
	const char *script, *deployment_id, *status;
	return host_open(t, op, s->target_id, &host_web_start, &h, err) &&
	       lane_web_start_script(t->arena, h.live.app_name, &script, err) &&
	       host_write_script(t, &h, script, &run, err) &&
	       dokploy_schedule_run(t, &h.d, run.schedule_id, START_ANSWER_MS, &deployment_id, &status, err);
}

static const struct error_code *code_named(const char *name)
{
	for (size_t i = 0; i < product_error_codes_n; i++)
		if (strcmp(product_error_codes[i]->name, name) == 0)
			return product_error_codes[i];
	for (size_t i = 0; i < core_error_codes_n; i++)
		if (strcmp(core_error_codes[i]->name, name) == 0)
			return core_error_codes[i];
	return &E_internal_error;
}

static enum phase_outcome fail_with_first(struct operation *op, const char *more, struct err *err)
{
	const struct replacement_state *s = op->state;
	memset(err, 0, sizeof(*err));
	err_set(err, code_named(s->web.failure_code), "%s%s", s->web.failure_message, more);
	const struct phase *failed = kind_phase(op->kind, s->web.failure_phase);
	op->phase = failed ? failed : op->phase; /* where it failed is what people look for */
	op->is_final = true;
	return PHASE_FAILED;
}

bool lane_recover(struct task *t, struct operation *op, const struct err *err)
{
	struct replacement_state *s = op->state;
	if (!s->web.at_risk || s->web.failure_code[0])
		return false;
	s->web.failure_phase = op->phase->name;
	s->web.failure_code = err->code->name;
	s->web.failure_message = arena_strdup(t->arena, err->message);
	op->next_phase = "web";
	return true;
}

/* Nobody can tell: the workflow's own word has to do, if it gave one. */
static enum phase_outcome nobody_knows(struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	if (s->web.failure_code[0])
		return fail_with_first(op, "; whether web runs cannot be told, look at it in Dokploy", err);
	if (s->web.workflow_proved)
		return PHASE_DONE;
	err_set(err, &E_verification_failed,
	        "whether web of target %s runs cannot be told: Dokploy lists no containers; look at it there",
	        s->target_name);
	op->is_final = true;
	return PHASE_FAILED;
}

SUSPENDS enum phase_outcome lane_web(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct dokploy d;
	enum web_state state = WEB_UNKNOWN;
	if (!s->web.at_risk)
		return PHASE_DONE;
	bool looked = dokploy_open(t, &d, err) && look(t, &d, s, &state, err);
	if (!looked && err_is(err, &E_cancelled))
		return PHASE_FAILED;
	bool overdue = operation_is_overdue(t, op);
	if (looked)
		replacement_note(t, s, "web_state",
		                 state == WEB_RUNS      ? "running"
		                 : state == WEB_STOPPED ? "stopped"
		                                        : "unknown");
	if (state == WEB_RUNS)
		return s->web.failure_code[0] ? fail_with_first(op, "", err) : PHASE_DONE;
	if (looked && state == WEB_UNKNOWN && (s->web.workflow_proved || overdue))
		return nobody_knows(op, err);
	if (!overdue) {
		if (state == WEB_STOPPED && ask_for_start(t, op, err))
			operation_event(t, op, "web_start_requested", NULL);
		if (err_is(err, &E_cancelled))
			return PHASE_FAILED;
		return operation_again(op, LOOK_AGAIN_MS);
	}
	if (state != WEB_STOPPED)
		return nobody_knows(op, err);
	if (s->web.failure_code[0])
		return fail_with_first(op, "; web is stopped and could not be started: start it in Dokploy", err);
	err_set(err, &E_post_deploy_failed, "web of target %s is stopped and could not be started: start it in Dokploy",
	        s->target_name);
	op->is_final = true;
	return PHASE_FAILED;
}
