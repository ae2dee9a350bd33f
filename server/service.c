#include "server/service.h"

#include "core/fault.h"
#include "core/http_client.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/text.h"
#include "server/app.h"
#include "server/auth/failure_limit.h"
#include "server/auth/policy_store.h"
#include "server/cli/command.h"
#include "server/measures.h"
#include "server/routes/route.h"
#include "server/supervisor.h"
#include "server/worker.h"
#include "storage/audit.h"
#include "storage/cluster.h"
#include "storage/migrate.h"
#include "storage/secret.sql.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const struct setting database_settings[] = {
	{ "--database-url", "LAUNCHPLANE_DATABASE_URL", NULL, "URL",
	  "PostgreSQL: the only authority; several hosts work", 0 },
	{ 0 },
};
const struct setting log_settings[] = {
	{ "--log-level", "LAUNCHPLANE_LOG_LEVEL", "info", "LEVEL",
	  "debug, info, warn or error; JSON lines on standard error", 0 },
	{ NULL, "LAUNCHPLANE_TEST_CLOCK_FILE", NULL, NULL, "8 bytes: milliseconds added to the clock", SETTING_TEST },
	{ 0 },
};
const struct setting master_key_settings[] = {
	{ NULL, MASTER_KEY_SETTING, NULL, NULL, "Seals managed secrets", SETTING_SECRET },
	{ NULL, PREVIOUS_KEYS_SETTING, NULL, NULL,
	  "Other master keys, separated by commas, that still open secrets; then run secrets rekey and drop them",
	  SETTING_SECRET },
	{ 0 },
};
const struct setting service_settings[] = {
	{ "--listen", "LAUNCHPLANE_LISTEN", "127.0.0.1:8080", "HOST:PORT", "Where to listen; port 0 picks one", 0 },
	{ "--audience", "LAUNCHPLANE_SERVICE_AUDIENCE", NULL, "NAME", "OIDC audience that tokens must be made for", 0 },
	{ "--oidc-issuer", "LAUNCHPLANE_OIDC_ISSUER", "https://token.actions.githubusercontent.com", "URL",
	  "OIDC issuer", 0 },
	{ "--oidc-jwks-url", "LAUNCHPLANE_OIDC_JWKS_URL", NULL, "URL",
	  "The issuer's keys; default: from its discovery document", 0 },
	{ "--github-api-url", "LAUNCHPLANE_GITHUB_API_URL", "https://api.github.com", "URL", "GitHub's API", 0 },
	{ NULL, "LAUNCHPLANE_AUDIT_SIGNING_KEY", NULL, NULL,
	  "Signs the audit log: 32 bytes in URL-safe base64; default: a key kept in the database, sealed",
	  SETTING_SECRET },
	{ NULL, "LAUNCHPLANE_POLICY_TOML", NULL, NULL, "Bootstrap policy, as TOML text", 0 },
	{ NULL, "LAUNCHPLANE_POLICY_B64", NULL, NULL, "Bootstrap policy, as base64 of TOML text", 0 },
	{ "--policy-file", "LAUNCHPLANE_POLICY_FILE", NULL, "FILE", "Bootstrap policy, as a TOML file", 0 },
	{ "--public-url", "LAUNCHPLANE_PUBLIC_URL", NULL, "URL",
	  "The service's own address, for links, sign-in and cookies", 0 },
	{ "--state-dir", "LAUNCHPLANE_STATE_DIR", "state", "DIR", "Local files: the embedded database", 0 },
	{ "--workers", "LAUNCHPLANE_WORKERS", NULL, "N", "Worker processes that share the port; default: one per core",
	  0 },
	{ "--db-pool", "LAUNCHPLANE_DB_POOL", "8", "N", "PostgreSQL connections of each worker, at most", 0 },
	{ "--core-dumps", "LAUNCHPLANE_CORE_DUMPS", NULL, NULL,
	  "Let a crashing worker leave a core dump, to find a fault with; without it no process of the service does. "
	  "The "
	  "memory of managed secrets and master keys is left out of it; registers, and tokens of callers and "
	  "providers, are not",
	  SETTING_SWITCH },
	{ "--embedded-postgres", NULL, NULL, NULL,
	  "Start a private PostgreSQL under the state directory and use it; for trying out and development",
	  SETTING_SWITCH },
	{ 0 },
};

struct supervisor_app {
	struct settings *settings;
	struct loop loop;
	struct cluster *cluster;
	bool ok;
	struct err err;
};

static SUSPENDS void prepare_main(struct task *t, void *arg);

/* Runs one task to its end on the supervisor's own loop, which is not running otherwise. */
static bool run_task(struct supervisor_app *a, task_fn fn)
{
	a->ok = false;
	memset(&a->err, 0, sizeof(a->err));
	task_start(&a->loop, "start", fn, a);
	while (a->loop.tasks_alive)
		uv_run(&a->loop.uv, UV_RUN_ONCE);
	return a->ok;
}

static SUSPENDS bool start_cluster(struct task *t, struct supervisor_app *a, struct err *err)
{
	const char *dir = setting(a->settings, "--state-dir");
	if (setting(a->settings, "--database-url"))
		return err_set(err, &E_invalid_request,
		               "--embedded-postgres and LAUNCHPLANE_DATABASE_URL are both given; choose one of them");
	if (mkdir(dir, 0755) != 0 && errno != EEXIST)
		return err_set(err, &E_invalid_request, "the state directory %s cannot be made: %s", dir,
		               strerror(errno));
	if (!cluster_start(t, dir, &a->cluster, err))
		return false;
	/* The workers inherit it like an operator's own setting. */
	setenv("LAUNCHPLANE_DATABASE_URL", cluster_url(a->cluster), 1);
	setenv("LAUNCHPLANE_EMBEDDED_POSTGRES", "1", 1);
	return true;
}

/* A master key that does not open what is stored would make every secret unreadable: better not to start. */
static SUSPENDS bool check_master_key(struct task *t, struct settings *s, struct err *err)
{
	struct worker_config config;
	struct rows rows;
	struct secret value;
	if (!worker_config_read(s, &config, err))
		return false;
	bool ok = !config.has_keyring || db_query(t, &Q_secret_newest_version, PARAMS(), &rows, err);
	if (ok && config.has_keyring && rows.n &&
	    !seal_open(&config.keyring, t->arena, row_text(&rows, 0, 0), row_text(&rows, 0, 1), row_text(&rows, 0, 2),
	               &value, err))
		ok = err_set(err, &E_invalid_request,
		             MASTER_KEY_SETTING
		             " does not open the secrets in this database: set the key they were written with");
	worker_config_done(&config);
	return ok;
}

static SUSPENDS bool prepare_database(struct task *t, struct supervisor_app *a, const struct bootstrap_policy *policy,
                                      struct err *err)
{
	const struct db_options options = { .url = getenv("LAUNCHPLANE_DATABASE_URL")
		                                           ? getenv("LAUNCHPLANE_DATABASE_URL")
		                                           : setting(a->settings, "--database-url"),
		                            .pool_size = 2,
		                            .application_name = "launchplane-start" };
	struct db *db = db_new(t->loop, &options, err);
	if (!db)
		return false;
	struct migrate_report report;
	bool ok = db_ready(t, err);
	if (!ok)
		err_set(err, &E_database_unavailable, "PostgreSQL cannot be reached: %s",
		        err->cause[0] ? err->cause : err->message);
	ok = ok && migrate_apply(t, &report, err) && check_master_key(t, a->settings, err) &&
	     policy_store_seed(t, policy, err);
	if (ok)
		log_info(t, "database.ready", I("migrations_applied", report.applied), S("stamped", report.stamped));
	db_close(t, db, 5000);
	return ok;
}

static SUSPENDS void prepare_main(struct task *t, void *arg)
{
	struct supervisor_app *a = arg;
	struct bootstrap_policy policy;
	a->ok = bootstrap_policy_read(t->arena, a->settings, &policy, &a->err);
	if (a->ok && setting_on(a->settings, "--embedded-postgres"))
		a->ok = start_cluster(t, a, &a->err);
	a->ok = a->ok && prepare_database(t, a, &policy, &a->err);
}

static bool before_workers(void *arg, struct err *err)
{
	struct supervisor_app *a = arg;
	if (run_task(a, prepare_main))
		return true;
	*err = a->err;
	return false;
}

static SUSPENDS void stop_cluster_main(struct task *t, void *arg)
{
	struct supervisor_app *a = arg;
	cluster_stop(t, a->cluster);
	a->cluster = NULL;
	a->ok = true;
}

static void after_workers(void *arg)
{
	struct supervisor_app *a = arg;
	if (a->cluster)
		run_task(a, stop_cluster_main);
}

static bool check_url(const struct settings *s, const char *flag, const char *env, struct err *err)
{
	const char *url = setting(s, flag);
	bool ok = !url || ((strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0) &&
	                   !strpbrk(url, " \t\r\n\"") && strstr(url, "://")[3]);
	return ok ||
	       err_set(err, &E_invalid_request, "%s, %s: must be an http or https URL, not \"%.80s\"", env, flag, url);
}

/* What people who want to sign in would stumble over. */
static void tell_sign_in(const struct sign_in *s)
{
	if (!s->configured && (s->client_id[0] || s->client_secret[0]))
		log_warn(NULL, "sign_in.not_configured", S("missing", s->missing));
	if (s->configured && s->cookie_secure && strncmp(s->origin, "http://", 7) == 0)
		log_warn(NULL, "sign_in.cookies_need_https", S("public_url", s->public_url));
	if (s->configured && !s->cookie_secure)
		log_warn(NULL, "sign_in.cookies_without_secure", S("public_url", s->public_url));
}

/* Everything that can be known to be wrong before anything is started. */
static bool check_settings(struct settings *s, struct supervisor_options *out, struct err *err)
{
	const char *audience;
	enum log_level level;
	struct worker_config config;
	struct sockaddr_storage address;
	socklen_t address_n;
	if (!log_level_of(setting(s, "--log-level"), &level))
		return err_set(err, &E_invalid_request,
		               "LAUNCHPLANE_LOG_LEVEL must be debug, info, warn or error, not %s",
		               setting(s, "--log-level"));
	log_set_level(level);
	if (!setting_on(s, "--embedded-postgres") && !setting(s, "--database-url"))
		return err_set(err, &E_invalid_request,
		               "LAUNCHPLANE_DATABASE_URL is not set: set it or give --database-url URL; "
		               "to try things out, --embedded-postgres starts a private one");
	if (!setting_required(s, "LAUNCHPLANE_SERVICE_AUDIENCE", &audience, err))
		return false;
	if (is_blank(audience))
		return err_set(err, &E_invalid_request,
		               "LAUNCHPLANE_SERVICE_AUDIENCE is blank: set the audience that tokens are made for");
	if (!check_url(s, "--oidc-issuer", "LAUNCHPLANE_OIDC_ISSUER", err) ||
	    !check_url(s, "--oidc-jwks-url", "LAUNCHPLANE_OIDC_JWKS_URL", err) ||
	    !check_url(s, "--github-api-url", "LAUNCHPLANE_GITHUB_API_URL", err) ||
	    !check_url(s, "--github-url", "LAUNCHPLANE_GITHUB_URL", err) ||
	    !check_url(s, "--public-url", "LAUNCHPLANE_PUBLIC_URL", err) ||
	    !listen_address(setting(s, "--listen"), &address, &address_n, err) || !worker_config_read(s, &config, err))
		return false;
	worker_config_done(&config);
	long long workers = sysconf(_SC_NPROCESSORS_ONLN);
	if (setting(s, "--workers") && !setting_int(s, "--workers", 1, 256, &workers, err))
		return false;
	struct arena *a = arena_new();
	struct bootstrap_policy policy;
	struct sign_in sign_in;
	struct failure_limit *failures = failure_limit_new(s, err);
	bool ok = failures && sign_in_read(a, s, &sign_in, err) && bootstrap_policy_read(a, s, &policy, err);
	if (ok && !worker_self())
		tell_sign_in(&sign_in);
	failure_limit_free(failures);
	arena_free(a);
	out->listen = setting(s, "--listen");
	out->workers = (unsigned)(workers < 1 ? 1 : workers);
	return ok;
}

int service_run(struct settings *s, char **argv)
{
	struct supervisor_options options = { .argv = argv,
		                              .before_workers = before_workers,
		                              .after_workers = after_workers };
	struct err err = { 0 };
	fault_init();
	routes_check();
	if (!check_settings(s, &options, &err))
		return command_fail(EXIT_CANNOT_START, "%s", err.message);
	if (worker_self())
		return worker_run(s);
	struct supervisor_app app = { .settings = s };
	if (!loop_init(&app.loop, setting(s, "LAUNCHPLANE_TEST_CLOCK_FILE"), &err))
		return command_fail(EXIT_CANNOT_START, "%s", err.message);
	options.arg = &app;
	int code = supervisor_run(&options);
	if (app.err.code)
		command_fail(code, "%s", app.err.message);
	loop_done(&app.loop);
	return code;
}

/* ---- commands that work on the database without the service ---- */

struct offline {
	const char *url, *command;
	offline_fn fn;
	void *arg;
	bool ok;
	struct err err;
};

/* What a command changes straight in the database, it does in the name of whoever runs it on this machine. */
static void tell_of_command(struct task *t, const char *command)
{
	const struct passwd *user = getpwuid(getuid()); /* NOLINT(concurrency-mt-unsafe): one thread */
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	struct json *caller = ARENA_NEW(t->arena, struct json);
	*caller = json_object();
	json_set_str(t->arena, caller, "type", "command_line");
	json_set_str(t->arena, caller, "user",
	             user ? arena_strdup(t->arena, user->pw_name) : arena_printf(t->arena, "%u", (unsigned)getuid()));
	json_set_str(t->arena, caller, "host", arena_strdup(t->arena, host));
	struct audit_entry *e = ARENA_NEW(t->arena, struct audit_entry);
	*e = (struct audit_entry){ .type = "command", .event = "accepted", .route = command, .caller = caller };
	e->actor = arena_printf(t->arena, "command-line:%s", json_str(caller, "user", ""));
	audit_begin(t, e);
}

static SUSPENDS void offline_main(struct task *t, void *arg)
{
	struct offline *o = arg;
	const struct db_options options = { .url = o->url, .pool_size = 2, .application_name = "launchplane-cli" };
	struct db *db = db_new(t->loop, &options, &o->err);
	if (!db)
		return;
	tell_of_command(t, o->command);
	o->ok = db_ready(t, &o->err);
	if (!o->ok)
		err_set(&o->err, &E_database_unavailable, "PostgreSQL cannot be reached: %s",
		        o->err.cause[0] ? o->err.cause : o->err.message);
	else
		o->ok = o->fn(t, o->arg, &o->err);
	db_close(t, db, 5000);
}

int offline_run(struct settings *s, offline_fn fn, void *arg)
{
	struct offline o = { .fn = fn, .arg = arg, .command = s->command };
	struct loop loop;
	log_set_level(LOG_ERROR);
	if (!setting_required(s, "LAUNCHPLANE_DATABASE_URL", &o.url, &o.err) ||
	    !loop_init(&loop, setting(s, "LAUNCHPLANE_TEST_CLOCK_FILE"), &o.err))
		return command_fail(EXIT_USAGE, "%s", o.err.message);
	struct http_client *http = http_client_new(&loop); /* for those that ask a provider */
	task_start(&loop, "command", offline_main, &o);
	while (loop.tasks_alive)
		uv_run(&loop.uv, UV_RUN_ONCE);
	http_client_free(http);
	loop_done(&loop);
	return o.ok ? 0 : command_fail(1, "%s", o.err.message);
}
