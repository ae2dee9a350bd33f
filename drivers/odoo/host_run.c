#include "drivers/odoo/host_run.h"

#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/deployment_watch.h"
#include "drivers/odoo/template.h"
#include "odoo_templates.h"
#include "storage/codes.h"

#define WATCH_MS      3000
#define SETTLE_MS     10000 /* a run's row is there before its script begins */
#define RUN_ANSWER_MS 8000  /* the answer comes when the script has ended; we do not wait for it */
#define LOG_LINES     5000
#define REQUESTS      5 /* how often the run is asked for when it is proved that no earlier request arrived */

const struct host_script host_data_workflow = { "platform-data-workflow", "data-workflow",
	                                        "control-plane post-deploy update" };
const struct host_script host_bootstrap = { "platform-odoo-bootstrap", "odoo-bootstrap",
	                                    "control-plane odoo bootstrap" };
const struct host_script host_backup_gate = { "platform-odoo-backup-gate", "odoo-backup-gate",
	                                      "control-plane odoo backup gate" };
const struct host_script host_web_start = { "platform-odoo-web-start", "odoo-web-start",
	                                    "control-plane odoo web start" };

static const struct field host_run_fields[] = {
	F_STR(host_run, schedule_name, 0),   F_STR(host_run, schedule_id, 0),
	F_STR(host_run, deployment_id, 0),   F_STRINGS(host_run, runs_before, 0),
	F_BOOL(host_run, acknowledged, 0),   F_INT(host_run, requests, 0),
	F_INT(host_run, absent_since_ms, 0), F_END,
};
const struct contract host_run_contract = CONTRACT(host_run, host_run_fields, "A script's run on the docker host");

/* ---- shell ---- */

static void add_word(struct buf *b, const char *s)
{
	buf_char(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			buf_str(b, "'\\''");
		else
			buf_char(b, *s);
	}
	buf_char(b, '\'');
}

const char *shell_word(struct arena *a, const char *s)
{
	struct buf b = buf_in(a);
	add_word(&b, s);
	return b.p;
}

const char *shell_words(struct arena *a, const struct strings *list)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < list->n; i++) {
		if (i)
			buf_char(&b, ' ');
		add_word(&b, list->v[i]);
	}
	return buf_cstr(&b);
}

bool is_plain_name(const char *s)
{
	if (!s[0] || s[0] == '.' || s[0] == '-')
		return false;
	return s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

bool host_script_prologue(struct arena *a, const char *compose_project, const char **out, struct err *err)
{
	if (!is_plain_name(compose_project))
		return err_set(err, &E_invalid_request, "The compose project \"%.100s\" is not a plain name",
		               compose_project);
	const struct template_value values[] = { { "compose_project", shell_word(a, compose_project) } };
	*out = template_fill(a, odoo_lane_host_sh, values, countof(values));
	return true;
}

/* ---- the schedule ---- */

void host_schedule(struct arena *a, const struct host_script *kind, const char *context, const char *instance,
                   const struct dokploy_compose *live, const char *user_id, struct dokploy_schedule *out,
                   const char **list_id)
{
	bool has_server = !is_blank(live->server_id);
	*out = (struct dokploy_schedule){
		.id = "",
		.name = kind->schedule,
		.app_name = arena_printf(a, "platform-%s-%s-%s", context, instance, kind->app_suffix),
		.cron = "0 0 31 2 *", /* a date that never comes: only a manual run starts it */
		.shell = "bash",
		.command = kind->label,
		.timezone = "UTC",
		.script = "",
		.application_id = "",
		.server_id = has_server ? live->server_id : "",
		.user_id = has_server ? "" : user_id,
		.type = has_server ? SCHEDULE_SERVER : SCHEDULE_DOKPLOY_SERVER,
		.enabled = false,
	};
	*list_id = has_server ? live->server_id : user_id;
}

const struct dokploy_schedule *host_schedule_find(const struct dokploy_schedules *rows,
                                                  const struct dokploy_schedule *wish)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->v[i].name, wish->name) == 0 && strcmp(rows->v[i].app_name, wish->app_name) == 0)
			return &rows->v[i];
	return NULL;
}

static SUSPENDS bool list_schedule(struct task *t, struct host *h, struct err *err)
{
	struct dokploy_schedules rows;
	if (!dokploy_schedule_list(t, &h->d, h->list_id, (enum schedule_type)h->wish.type, &rows, err))
		return false;
	h->row = host_schedule_find(&rows, &h->wish);
	return true;
}

bool host_open(struct task *t, const struct operation *op, const char *target_id, const struct host_script *kind,
               struct host *h, struct err *err)
{
	const char *user_id = "";
	*h = (struct host){ 0 };
	if (!dokploy_open(t, &h->d, err) || !dokploy_compose_one(t, &h->d, target_id, &h->live, err))
		return false;
	if (!h->live.app_name[0])
		return err_set(err, &E_provider_refused,
		               "Dokploy names no appName for target %s, so its containers cannot be found",
		               h->live.name);
	if (!h->live.server_id[0] && !dokploy_session_user(t, &h->d, &user_id, err))
		return false;
	host_schedule(t->arena, kind, op->context, op->instance, &h->live, user_id, &h->wish, &h->list_id);
	return list_schedule(t, h, err);
}

bool host_write_script(struct task *t, struct host *h, const char *script, struct host_run *run, struct err *err)
{
	if (h->row && deployment_any_running(&h->row->deployments))
		return err_set(
		        err, &E_provider_refused,
		        "a run of schedule %s of this lane is already going on in Dokploy; wait until it has ended",
		        h->row->name);
	h->wish.script = script;
	h->wish.id = h->row ? h->row->id : "";
	if (!(h->row ? dokploy_schedule_update(t, &h->d, &h->wish, err)
	             : dokploy_schedule_create(t, &h->d, &h->wish, err)) ||
	    !list_schedule(t, h, err))
		return false;
	if (!h->row || !h->row->id[0])
		return err_set(err, &E_provider_refused, "Dokploy did not keep the schedule %s", h->wish.name);
	*run = (struct host_run){ .schedule_name = h->wish.name,
		                  .schedule_id = h->row->id,
		                  .deployment_id = "",
		                  .runs_before = deployment_ids(t->arena, &h->row->deployments) };
	return true;
}

/* ---- the run ---- */

enum phase_outcome host_run_start(struct task *t, struct operation *op, struct host_run *run, struct err *err)
{
	struct dokploy d;
	const char *deployment_id, *status;
	run->absent_since_ms = 0;
	run->acknowledged = false;
	if (operation_is_rerun(op))
		return PHASE_DONE;
	if (run->requests >= REQUESTS) {
		err_set(err, &E_upstream_lost,
		        "Dokploy was asked to run schedule %s %lld times and none arrived; look at Dokploy, then "
		        "submit again",
		        run->schedule_name, (long long)run->requests);
		return PHASE_FAILED;
	}
	if (!dokploy_open(t, &d, err))
		return PHASE_FAILED;
	run->requests++;
	if (dokploy_schedule_run(t, &d, run->schedule_id, RUN_ANSWER_MS, &deployment_id, &status, err)) {
		run->acknowledged = true;
		return PHASE_DONE;
	}
	if (err->code == &E_cancelled)
		return PHASE_FAILED;
	if (d.maybe_done)
		return PHASE_DONE; /* the run's own row tells how it went */
	if (!dokploy_may_retry(err)) {
		struct err why = *err;
		memset(err, 0, sizeof(*err));
		err_set(err, why.code, "schedule %s was not run: %.330s", run->schedule_name, why.message);
		err_cause(err, "%s", why.cause);
		return PHASE_FAILED;
	}
	return operation_goto(op, op->phase->name, 2000u << run->requests);
}

static enum phase_outcome run_is_absent(struct task *t, struct operation *op, struct host_run *run, const char *restart,
                                        int64_t limit_s, struct err *err)
{
	int64_t now = loop_wall_ms(t->loop);
	if (operation_is_overdue(t, op)) {
		err_set(err, &E_upstream_lost,
		        "no run of schedule %s appeared in Dokploy within %lld seconds; look at the schedule there, "
		        "then "
		        "submit again",
		        run->schedule_name, (long long)limit_s);
		return PHASE_FAILED;
	}
	if (run->absent_since_ms == 0)
		run->absent_since_ms = now;
	if (run->acknowledged || now - run->absent_since_ms < SETTLE_MS)
		return operation_again(op, WATCH_MS);
	if (!restart) {
		err_set(err, &E_operation_reconciliation_required,
		        "the destructive run of schedule %s may or may not have started; look at it in Dokploy before "
		        "submitting again",
		        run->schedule_name);
		return PHASE_FAILED;
	}
	operation_event(t, op, "run_never_started", NULL);
	return operation_goto(op, restart, 0);
}

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

enum phase_outcome host_run_wait(struct task *t, struct operation *op, struct host_run *run, const char *restart,
                                 int64_t limit_s, struct host_result *out, struct err *err)
{
	struct dokploy d;
	struct dokploy_deployments runs;
	if (!dokploy_open(t, &d, err) || !dokploy_deployments_of_schedule(t, &d, run->schedule_id, &runs, err))
		return PHASE_FAILED;
	const struct dokploy_deployment *row = deployment_new(&runs, &run->runs_before);
	if (!row)
		return run_is_absent(t, op, run, restart, limit_s, err);
	run->acknowledged = true;
	run->deployment_id = row->id;
	enum deployment_class class = deployment_class_of(row->status);
	if (class == DEPLOYMENT_RUNNING || class == DEPLOYMENT_UNKNOWN) {
		if (!operation_is_overdue(t, op))
			return operation_again(op, WATCH_MS);
		err_set(err, &E_timeout,
		        "the run of schedule %s did not end within %lld seconds; it may still be going on on the host: "
		        "look at it in Dokploy before submitting again",
		        run->schedule_name, (long long)limit_s);
		return PHASE_FAILED;
	}
	const char *log;
	if (!dokploy_deployment_log(t, &d, row->id, LOG_LINES, &log, err)) {
		if (err_is(err, &E_cancelled) || (dokploy_may_retry(err) && op->failures + 1 < op->phase->tries))
			return PHASE_FAILED;
		log = NULL; /* it stays unreadable */
		memset(err, 0, sizeof(*err));
	}
	*out = (struct host_result){ .status = row->status,
		                     .succeeded = class == DEPLOYMENT_SUCCESS,
		                     .log = log,
		                     .error_line = error_line(t->arena, log) };
	return PHASE_DONE;
}

/* A line of the log that is text; the provider may put the time before it. A line that only holds it proves nothing. */
static bool has_line(const char *log, const char *text)
{
	size_t text_n = strlen(text);
	for (const char *line = log; *line;) {
		size_t n = strcspn(line, "\r\n"), time_n = strcspn(line, " \r\n");
		bool has_time = strchr("0123456789[", line[0]) && line[time_n] == ' ';
		const char *rest = has_time ? line + time_n + 1 : line;
		if ((size_t)(line + n - rest) == text_n && strncmp(rest, text, text_n) == 0)
			return true;
		line += n + strspn(line + n, "\r\n");
	}
	return false;
}

bool host_result_proves(const struct host_result *r, const char *end_line, bool demands_log)
{
	if (!r->succeeded)
		return false;
	return !r->log || is_blank(r->log) ? !demands_log : has_line(r->log, end_line);
}

void host_run_failed(const char *what, const char *target_name, const struct host_run *run, const struct host_result *r,
                     const char *end_line, struct err *err)
{
	const char *why = r->error_line[0]              ? r->error_line
	                  : !r->log || is_blank(r->log) ? "its log could not be read"
	                  : r->succeeded                ? "its log lacks the line it ends with"
	                                                : "its log does not say why";
	err_set(err, &E_post_deploy_failed,
	        "%s of target %s failed (%s): %s; read its log in Dokploy, deployment %s of schedule %s, then submit "
	        "again",
	        what, target_name, r->status, why, run->deployment_id, run->schedule_name);
	err_cause(err, "expected line: %s", end_line);
}
