/* drivers/odoo/host_run.h - a script that runs once on a lane's docker host, by a manual Dokploy schedule of its own
 * (facts/dokploy.md 7.3).
 *
 * Three steps, each in a phase of its own: write the schedule, ask for the run, wait for it. Asking is not idempotent:
 * the runs known before tell ours from older ones, and it is asked again only when it is proved that nothing came of
 * it. What a run did is proved by its log, not by its status: on 0.29 a failed script of a remote server ends "done".
 */
#pragma once

#include "drivers/dokploy/dokploy.h"
#include "storage/operation.h"

struct host_script {
	const char *schedule, *app_suffix, *label; /* platform-<schedule>, platform-<context>-<instance>-<app_suffix> */
};
extern const struct host_script host_data_workflow, host_bootstrap, host_backup_gate, host_web_start;

/* What the steps hand on; kept in the operation's state. */
struct host_run {
	const char *schedule_name, *schedule_id, *deployment_id;
	struct strings runs_before;
	bool acknowledged;
	int64_t requests, absent_since_ms;
};
extern const struct contract host_run_contract;

/* A lane's host as one step sees it. */
struct host {
	struct dokploy d;
	struct dokploy_compose live;
	struct dokploy_schedule wish; /* its script is for host_write_script() */
	const char *list_id;
	const struct dokploy_schedule *row; /* NULL: not there yet */
};

/* The schedule a lane's script lives in: on the compose's server, or on Dokploy's own host for user_id. list_id (for
 * dokploy_schedule_list) is the server or the user. Pure. */
void host_schedule(struct arena *a, const struct host_script *kind, const char *context, const char *instance,
                   const struct dokploy_compose *live, const char *user_id, struct dokploy_schedule *out,
                   const char **list_id);
/* The row of exactly this name and appName; NULL when there is none. */
const struct dokploy_schedule *host_schedule_find(const struct dokploy_schedules *rows,
                                                  const struct dokploy_schedule *wish);
/* One shell word, quoted; several words; NAME=value words. Pure. */
const char *shell_word(struct arena *a, const char *s);
const char *shell_words(struct arena *a, const struct strings *list);
/* Nothing but letters, digits and ._-, not beginning with one of .-: a name that is safe in scripts and paths. */
bool is_plain_name(const char *s);

/* What every script begins with: the lane's containers, and that web runs when it ends, even after a SIGKILL. */
bool host_script_prologue(struct arena *a, const char *compose_project, const char **out, struct err *err);

SUSPENDS bool host_open(struct task *t, const struct operation *op, const char *target_id,
                        const struct host_script *kind, struct host *h, struct err *err);
/* Makes or updates the schedule and reads it back. Refuses while one of its runs is going on. */
SUSPENDS bool host_write_script(struct task *t, struct host *h, const char *script, struct host_run *run,
                                struct err *err);
/* A phase's body: asks for the run, on its first run only. */
SUSPENDS enum phase_outcome host_run_start(struct task *t, struct operation *op, struct host_run *run, struct err *err);

struct host_result {
	const char *status;     /* Dokploy's word */
	bool succeeded;         /* as far as Dokploy can tell */
	const char *log;        /* NULL when it could not be read */
	const char *error_line; /* the last line that says what went wrong, redacted; "" when there is none */
};
/* A phase's body: PHASE_DONE when the run has ended, one way or the other. restart names the phase that asks, to go
 * back to when nothing came of it; NULL when asking twice would be destructive. limit_s is for the message. */
SUSPENDS enum phase_outcome host_run_wait(struct task *t, struct operation *op, struct host_run *run,
                                          const char *restart, int64_t limit_s, struct host_result *out,
                                          struct err *err);
/* Whether the run did all it should: its log has the line that the script ends with. Without a log the status has to
 * do, unless a log is demanded. */
bool host_result_proves(const struct host_result *r, const char *end_line, bool demands_log);
/* Says why such a run counts as failed. what: "the data workflow". */
void host_run_failed(const char *what, const char *target_name, const struct host_run *run, const struct host_result *r,
                     const char *end_line, struct err *err);
