/* launchplane storage ..., launchplane service ...: the database, the process itself, and what it says about itself. */
#include "server/auth/failure_limit.h"
#include "server/auth/sign_in.h"
#include "server/auth/static_tokens.h"
#include "server/cli/client.h"
#include "server/service.h"
#include "storage/audit.h"
#include "storage/migrate.h"

#include <stdio.h>

static const struct setting *const offline_options[] = { database_settings, log_settings, NULL };
static const struct setting *const serve_options[] = { service_settings,       master_key_settings,
	                                               static_token_settings,  sign_in_settings,
	                                               failure_limit_settings, database_settings,
	                                               log_settings,           NULL };

static SUSPENDS bool migrate(struct task *t, void *arg, struct err *err)
{
	(void)arg;
	struct migrate_report report;
	audit_begin(t, NULL); /* the log may not be there yet; what was applied stands in a table of its own */
	if (!migrate_apply(t, &report, err))
		return false;
	if (report.stamped)
		printf("stamped the existing database as revision %s\n", report.stamped);
	printf(report.applied ? "applied %zu migrations\n" : "nothing to do, %zu migrations applied\n", report.applied);
	return true;
}

static SUSPENDS bool status(struct task *t, void *arg, struct err *err)
{
	int *code = arg;
	struct migrate_status s;
	if (!migrate_status(t, &s, err))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		printf("%04d %-28s %s\n", s.rows[i].number, s.rows[i].name,
		       s.rows[i].applied_at ? s.rows[i].applied_at : "pending");
		if (!s.rows[i].applied_at)
			*code = 1;
	}
	if (s.is_legacy)
		puts("the database was made by an earlier Launchplane; storage migrate takes it over");
	if (s.refusal) {
		*code = 1;
		printf("refused: %s\n", s.refusal);
	} else {
		puts(*code ? "migrations are pending: run launchplane storage migrate" : "the database is up to date");
	}
	return true;
}

static int storage_migrate(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	return offline_run(s, migrate, NULL);
}

static int storage_status(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	int code = 0;
	int failed = offline_run(s, status, &code);
	return failed ? failed : code;
}

static int service_serve(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	return service_run(s, argv);
}

static const struct setting *const ask_options[] = { client_settings, NULL };
static const struct api_call health = { "GET", "/v1/health", 0 };
static const struct api_call ready = { "GET", "/readyz", 0 };
static const struct api_call runtime = { "GET", "/v1/service/runtime", .member = "runtime" };
static const struct api_call openapi = { "GET", "/v1/openapi.json", .flags = API_DOCUMENT };
static const struct api_call measures = { "GET", "/metrics", 0 };

const struct command storage_commands[] = {
	{ "storage", "migrate", "Bring the database to the shape this program needs", NULL, 0, offline_options,
	  storage_migrate, NULL },
	{ "storage", "status", "List migrations; exits with 1 when some are pending or the database is refused", NULL,
	  0, offline_options, storage_status, NULL },
	{ 0 },
};

const struct command service_commands[] = {
	{ "service", "serve", "Run the service", NULL, 0, serve_options, service_serve, NULL },
	{ "service", "health", "Whether a service runs, and on which store", NULL, 0, ask_options, api_run, &health },
	{ "service", "ready", "Whether a service can work: not draining, database reachable", NULL, 0, ask_options,
	  api_run, &ready },
	{ "service", "runtime", "Image, audience and policy in force", NULL, 0, ask_options, api_run, &runtime },
	{ "service", "metrics", "Prometheus metrics, summed over the worker processes", NULL, 0, ask_options, api_run,
	  &measures },
	{ "service", "openapi", "The description of all routes, OpenAPI 3.1", NULL, 0, ask_options, api_run, &openapi },
	{ 0 },
};
