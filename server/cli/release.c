/* launchplane ship ..., launchplane promote ...: releases of stored artifacts. */
#include "server/cli/client.h"
#include "server/cli/release_direct.h"
#include "server/service.h"

static const struct setting release_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--artifact-id", NULL, NULL, "ID", "The artifact; its manifest must be stored", 0 },
	{ "--source-git-ref", NULL, NULL, "COMMIT", "The artifact's commit; default: the manifest's", 0 },
	{ "--expected-current-artifact-id", NULL, NULL, "ID", "Refuse unless this artifact runs now", 0 },
	{ "--no-cache", NULL, NULL, NULL, "Redeploy instead of deploy", SETTING_SWITCH },
	{ "--skip-health", NULL, NULL, NULL, "Do not verify health", SETTING_SWITCH },
	{ "--timeout-seconds", NULL, NULL, "N", "Longest wait for the deploy; default: the target record's", 0 },
	{ "--health-timeout-seconds", NULL, NULL, "N", "Longest wait for health; default: the target record's", 0 },
	{ "--env-file", NULL, NULL, "FILE",
	  "KEY=VALUE lines over the target's environment for the post-deploy update: ODOO_DB_NAME, "
	  "ODOO_FILESTORE_PATH, "
	  "ODOO_DATA_WORKFLOW_LOCK_FILE",
	  0 },
	{ 0 },
};
static const struct setting ship_settings[] = {
	{ "--instance", NULL, NULL, "NAME", "The lane: testing or prod", 0 },
	{ 0 },
};
static const struct setting promote_settings[] = {
	{ "--from-instance", NULL, NULL, "NAME", "The lane that stands on the artifact", 0 },
	{ "--to-instance", NULL, NULL, "NAME", "The lane that shall run it", 0 },
	{ "--backup-record-id", NULL, NULL, "ID", "A passing backup gate of --to-instance", 0 },
	{ 0 },
};
static const struct setting watch_settings[] = {
	{ "--watch", NULL, NULL, NULL, "Follow the operation until it ends", SETTING_SWITCH },
	{ 0 },
};

#define RELEASE_ARGUMENTS                                                                                              \
	{ "--product", "product", .is_required = true }, { "--context", "context", .is_required = true },              \
	        { "--artifact-id", "artifact_id", .is_required = true }, { "--source-git-ref", "source_git_ref" },     \
	        { "--expected-current-artifact-id", "expected_current_artifact_id" },                                  \
	        { "--no-cache", "no_cache", ARGUMENT_TRUE }, { "--skip-health", "verify_health", ARGUMENT_FALSE },     \
	        { "--timeout-seconds", "timeout_seconds", ARGUMENT_NUMBER },                                           \
	        { "--health-timeout-seconds", "health_timeout_seconds", ARGUMENT_NUMBER },                             \
	{                                                                                                              \
		"--env-file", "env_overlay", ARGUMENT_ENV_FILE                                                         \
	}

static const struct argument ship_arguments[] = {
	RELEASE_ARGUMENTS,
	{ "--instance", "instance", .is_required = true },
	{ 0 },
};
static const struct argument promote_arguments[] = {
	RELEASE_ARGUMENTS,
	{ "--from-instance", "from_instance", .is_required = true },
	{ "--to-instance", "to_instance", .is_required = true },
	{ "--backup-record-id", "backup_record_id", .is_required = true },
	{ 0 },
};

static const struct setting *const ship_options[] = { release_settings, ship_settings, client_settings, NULL };
static const struct setting *const ship_execute_options[] = {
	release_settings,  ship_settings, watch_settings,       rehearsal_settings, settle_settings,
	database_settings, log_settings,  idempotency_settings, client_settings,    NULL
};
static const struct setting *const promote_options[] = { release_settings, promote_settings, client_settings, NULL };
static const struct setting *const promote_execute_options[] = {
	release_settings,  promote_settings, watch_settings,       rehearsal_settings, settle_settings,
	database_settings, log_settings,     idempotency_settings, client_settings,    NULL
};
static const struct setting *const record_options[] = { input_settings, idempotency_settings, client_settings, NULL };

static const struct api_call ship_plan = { "POST", "/v1/ship/plan", ship_arguments, 0 };
static const struct api_call ship_resolve = { "POST", "/v1/ship/resolve", ship_arguments, 0 };
static const struct api_call ship_execute = { "POST", "/v1/ship/execute", ship_arguments,
	                                      .operation = "records.operation_id", .flags = API_NEEDS_KEY };
static const struct api_call promote_plan = { "POST", "/v1/promote/plan", promote_arguments, 0 };
static const struct api_call promote_resolve = { "POST", "/v1/promote/resolve", promote_arguments, 0 };
static const struct api_call promote_execute = { "POST", "/v1/promote/execute", promote_arguments,
	                                         .operation = "records.operation_id", .flags = API_NEEDS_KEY };
static const struct api_call promote_record = { "POST", "/v1/evidence/promotions", 0 };

static int ship_run(const struct command *c, struct settings *s, char **argv)
{
	return release_run(c, s, argv, &ship_kind);
}

static int promote_run(const struct command *c, struct settings *s, char **argv)
{
	return release_run(c, s, argv, &promote_kind);
}

const struct command release_commands[] = {
	{ "ship", "plan", "Whether an artifact may be shipped to a lane, and what speaks against it", NULL, 0,
	  ship_options, api_run, &ship_plan },
	{ "ship", "resolve", "What the request resolves to; refused while anything speaks against it", NULL, 0,
	  ship_options, api_run, &ship_resolve },
	{ "ship", "execute", "Deploy an artifact to a lane, as a durable operation", NULL, 0, ship_execute_options,
	  ship_run, &ship_execute },
	{ "promote", "plan", "Whether an artifact may be promoted, and what speaks against it", NULL, 0,
	  promote_options, api_run, &promote_plan },
	{ "promote", "resolve", "What the request resolves to; refused while anything speaks against it", NULL, 0,
	  promote_options, api_run, &promote_resolve },
	{ "promote", "execute", "Promote what another lane runs, as a durable operation", NULL, 0,
	  promote_execute_options, promote_run, &promote_execute },
	{ "promote", "record", "Hand in a promotion made elsewhere", NULL, 0, record_options, api_run,
	  &promote_record },
	{ 0 },
};
