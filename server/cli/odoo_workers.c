/* launchplane service odoo-workers ...: a worker for Odoo's durable operations beside the service, and its state. */
#include "core/digest.h"
#include "core/log.h"
#include "drivers/odoo/bootstrap.h"
#include "server/cli/client.h"
#include "server/cli/direct.h"
#include "server/operations/runner.h"
#include "server/service.h"
#include "storage/odoo_workers.sql.h"
#include "storage/secret.sql.h"

#include <signal.h>
#include <stdio.h>

#define LOOK_MS  200
#define QUIET    3 /* looks in a row that find nothing at work: what was due is done */
#define DRAIN_MS 30000

static const struct setting status_settings[] = {
	{ "--recent-terminal-limit", NULL, NULL, "N", "How many ended ones of each kind, 0 to 100; default: 10", 0 },
	{ 0 },
};
static const struct argument status_arguments[] = { { "--recent-terminal-limit", "recent_terminal_limit" }, { 0 } };
static const struct setting reconcile_settings[] = {
	{ "--max-attempts", NULL, NULL, "N", "Fail what so many workers in a row lost, 1 to 100; default: 3", 0 },
	{ 0 },
};
static const struct argument reconcile_arguments[] = { { "--max-attempts", "max_attempts", ARGUMENT_NUMBER }, { 0 } };
static const struct setting *const status_options[] = { status_settings, client_settings, NULL };
static const struct setting *const reconcile_options[] = { reconcile_settings, client_settings, NULL };
static const struct setting *const run_options[] = { database_settings, master_key_settings, log_settings, NULL };
static const struct api_call status = { "GET", "/v1/service/odoo-workers/status", status_arguments,
	                                .member = "workers" };
static const struct api_call reconcile = { "POST", "/v1/service/odoo-workers/reconcile", reconcile_arguments,
	                                   .flags = API_DOCUMENT };

/* ---- a worker of its own ---- */

/* Of this process: a handle outlives the task that starts it. */
static struct {
	bool is_asked;
	uv_signal_t handles[2];
} stop;

static void on_signal(uv_signal_t *handle, int number)
{
	(void)handle;
	(void)number;
	stop.is_asked = true;
}

static void watch_signals(struct loop *l)
{
	static const int numbers[] = { SIGTERM, SIGINT };
	for (size_t i = 0; i < countof(numbers); i++) {
		uv_signal_init(&l->uv, &stop.handles[i]);
		uv_signal_start(&stop.handles[i], on_signal, numbers[i]);
	}
}

/* Without the key that the stored secrets were sealed with, every operation it takes would fail. */
static SUSPENDS bool check_key(struct direct *d, struct err *err)
{
	struct rows rows;
	struct secret value;
	if (!d->t->loop->keyring)
		return err_set(err, &E_invalid_request,
		               MASTER_KEY_SETTING " is not set: the operations open managed secrets");
	if (!db_query(d->t, &Q_secret_newest_version, PARAMS(), &rows, err))
		return false;
	return rows.n == 0 ||
	       seal_open(d->t->loop->keyring, d->t->arena, row_text(&rows, 0, 0), row_text(&rows, 0, 1),
	                 row_text(&rows, 0, 2), &value, err) ||
	       err_set(err, &E_invalid_request,
	               MASTER_KEY_SETTING
	               " does not open the secrets in this database: set the key they were written with");
}

static SUSPENDS bool start_worker(struct direct *d, struct runner **out, struct err *err)
{
	static const struct op_kind *const kinds[] = { &odoo_bootstrap_kind, &odoo_replacement_kind, NULL };
	enum log_level level;
	if (!log_level_of(setting(d->s, "--log-level"), &level))
		return err_field(err, "--log-level", "must be debug, info, warn or error");
	if (!check_key(d, err))
		return false;
	log_set_level(level);
	watch_signals(d->t->loop);
	/* No process stands behind such a name for others to look at: a lost lease ends by its time. */
	const char *owner = arena_printf(d->t->arena, "command/%s", random_hex(d->t->arena, 12));
	const struct runner_options options = { .kinds = kinds, .owner = owner };
	*out = runner_new(d->t->loop, &options);
	runner_kick(*out);
	fprintf(stderr, "ready %s\n", owner);
	return true;
}

static SUSPENDS void end_worker(struct direct *d, struct runner *r)
{
	if (stop.is_asked)
		fputs("stopping at the next checkpoint\n", stderr);
	runner_stop(d->t, r, DRAIN_MS);
	runner_free(r);
}

static SUSPENDS bool told_status(struct direct *d, struct buf *out, struct err *err)
{
	struct rows rows;
	if (!db_query(d->t, &Q_odoo_workers_status, PARAMS(P_INT(0), P_INT(loop_clock_offset_ms(d->t->loop))), &rows,
	              err))
		return false;
	buf_printf(out, "{\"status\":\"ok\",\"workers\":%s}", row_text(&rows, 0, 0));
	return true;
}

/* What is due now, and nothing that comes due meanwhile once there was a pause. */
static SUSPENDS bool run_once(struct direct *d, struct buf *out, struct err *err)
{
	struct runner *r;
	bool ok = true;
	if (!start_worker(d, &r, err))
		return false;
	for (int quiet = 0; ok && !stop.is_asked && quiet < QUIET; quiet = runner_active(r) ? 0 : quiet + 1)
		ok = task_sleep(d->t, LOOK_MS, err);
	end_worker(d, r);
	return ok && told_status(d, out, err);
}

/* Until SIGTERM or SIGINT: what it works on then comes to its next checkpoint, and others go on from there. */
static SUSPENDS bool run_on(struct direct *d, struct buf *out, struct err *err)
{
	struct runner *r;
	bool ok = true;
	if (!start_worker(d, &r, err))
		return false;
	while (ok && !stop.is_asked)
		ok = task_sleep(d->t, LOOK_MS, err);
	end_worker(d, r);
	return ok && told_status(d, out, err);
}

static int run_once_main(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, NULL, run_once);
}
static int run_main(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, NULL, run_on);
}

const struct command odoo_worker_commands[] = {
	{ "service", "odoo-workers status", "Odoo replacements and bootstraps: how many, who works on which", NULL, 0,
	  status_options, api_run, &status },
	{ "service", "odoo-workers reconcile", "Take up Odoo operations whose worker is gone", NULL, 0,
	  reconcile_options, api_run, &reconcile },
	{ "service", "odoo-workers run-once", "Work on the Odoo operations that are due, then end", NULL, 0,
	  run_options, run_once_main, NULL },
	{ "service", "odoo-workers run", "Work on Odoo operations until stopped, beside the service's own workers",
	  NULL, 0, run_options, run_main, NULL },
	{ 0 },
};
