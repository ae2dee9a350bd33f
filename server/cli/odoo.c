/* launchplane odoo-targets ..., launchplane odoo-artifacts ...: the main job. */
#include "drivers/odoo/replacement_facts.h"
#include "server/cli/client.h"
#include "server/cli/direct.h"
#include "server/cli/release_direct.h"
#include "server/service.h"

static const struct setting plan_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, ...", 0 },
	{ "--artifact-id", NULL, NULL, "ID", "The artifact to run; default: the one that runs now", 0 },
	{ "--source-git-ref", NULL, NULL, "COMMIT", "The artifact's commit; with --artifact-id", 0 },
	{ "--expected-current-artifact-id", NULL, NULL, "ID", "Refuse unless this artifact runs now", 0 },
	{ "--strategy", NULL, NULL, "NAME", "recreate-in-place or replace-and-cutover (plan only)", 0 },
	{ "--data-source-mode", NULL, NULL, "NAME", "existing, empty or upstream_restore", 0 },
	{ "--allow-empty-data", NULL, NULL, NULL, "Needed when the data source is not the existing one",
	  SETTING_SWITCH },
	{ "--confirmation", NULL, NULL, "PHRASE", "The lane policy's phrase, needed likewise", 0 },
	{ 0 },
};

#define REPLACEMENT_ARGUMENTS                                                                                          \
	{ "--product", "product replacement.product", .is_required = true },                                           \
	        { "--instance", "replacement.instance", .is_required = true },                                         \
	        { "--artifact-id", "replacement.artifact_id" }, { "--source-git-ref", "replacement.source_git_ref" },  \
	        { "--expected-current-artifact-id", "replacement.expected_current_artifact_id" },                      \
	        { "--strategy", "replacement.strategy" }, { "--data-source-mode", "replacement.data_source_mode" },    \
	        { "--allow-empty-data", "replacement.allow_empty_data", ARGUMENT_TRUE },                               \
	{                                                                                                              \
		"--confirmation", "replacement.confirmation"                                                           \
	}

static const struct argument plan_arguments[] = { REPLACEMENT_ARGUMENTS, { 0 } };

static const struct setting replace_settings[] = {
	{ "--timeout-seconds", NULL, NULL, "N", "Longest wait for the deploy; default: the target record's", 0 },
	{ "--health-timeout-seconds", NULL, NULL, "N", "Longest wait for health; default: the target record's", 0 },
	{ "--no-cache", NULL, NULL, NULL, "Redeploy instead of deploy", SETTING_SWITCH },
	{ "--skip-health", NULL, NULL, NULL, "Do not verify health", SETTING_SWITCH },
	{ "--skip-canonical", NULL, NULL, NULL, "Do not verify the canonical address", SETTING_SWITCH },
	{ "--skip-logo", NULL, NULL, NULL, "Do not verify the logo", SETTING_SWITCH },
	{ "--watch", NULL, NULL, NULL, "Follow the operation until it ends", SETTING_SWITCH },
	{ 0 },
};
static const struct argument replace_arguments[] = {
	REPLACEMENT_ARGUMENTS,
	{ "--timeout-seconds", "replacement.timeout_seconds", ARGUMENT_NUMBER },
	{ "--health-timeout-seconds", "replacement.health_timeout_seconds", ARGUMENT_NUMBER },
	{ "--no-cache", "replacement.no_cache", ARGUMENT_TRUE },
	{ "--skip-health", "replacement.verify_health", ARGUMENT_FALSE },
	{ "--skip-canonical", "replacement.verify_canonical", ARGUMENT_FALSE },
	{ "--skip-logo", "replacement.verify_logo", ARGUMENT_FALSE },
	{ 0 },
};

static const struct setting *const plan_options[] = { plan_settings,       client_settings, database_settings,
	                                              master_key_settings, log_settings,    NULL };
static const struct setting *const replace_options[] = {
	plan_settings, replace_settings, rehearsal_settings, settle_settings, idempotency_settings, client_settings,
	NULL
};
static const struct setting *const show_options[] = { client_settings, NULL };
static const struct setting *const record_options[] = { input_settings, idempotency_settings, client_settings, NULL };

static const struct api_call plan = { "POST", "/v1/drivers/odoo/target-replacement-plan", plan_arguments, 0 };
static const struct api_call replace = { "POST", "/v1/drivers/odoo/target-replacement-apply", replace_arguments,
	                                 .operation = "records.odoo_stable_target_replacement_operation_id",
	                                 .flags = API_NEEDS_KEY };
static const struct api_call show = { "GET", "/v1/drivers/odoo/target-replacement/operations/{operation_id}",
	                              .member = "operation" };
static const struct api_call record = { "POST", "/v1/drivers/odoo/artifact-publish", 0 };

static const struct setting bootstrap_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, ...", 0 },
	{ "--confirmation", NULL, NULL, "PHRASE", "The lane policy's phrase", 0 },
	{ "--timeout-seconds", NULL, NULL, "N", "Longest run on the host; default: the target record's", 0 },
	{ "--health-timeout-seconds", NULL, NULL, "N", "Longest wait for health; default: the target record's", 0 },
	{ "--skip-health", NULL, NULL, NULL, "Do not verify health", SETTING_SWITCH },
	{ "--skip-canonical", NULL, NULL, NULL, "Do not verify the canonical address", SETTING_SWITCH },
	{ "--skip-logo", NULL, NULL, NULL, "Do not verify the logo", SETTING_SWITCH },
	{ "--watch", NULL, NULL, NULL, "Follow the operation until it ends", SETTING_SWITCH },
	{ 0 },
};
static const struct argument bootstrap_arguments[] = {
	{ "--product", "product bootstrap.product", .is_required = true },
	{ "--context", "bootstrap.context", .is_required = true },
	{ "--instance", "bootstrap.instance", .is_required = true },
	{ "--confirmation", "bootstrap.confirmation", .is_required = true },
	{ "--timeout-seconds", "bootstrap.timeout_seconds", ARGUMENT_NUMBER },
	{ "--health-timeout-seconds", "bootstrap.health_timeout_seconds", ARGUMENT_NUMBER },
	{ "--skip-health", "bootstrap.verify_health", ARGUMENT_FALSE },
	{ "--skip-canonical", "bootstrap.verify_canonical", ARGUMENT_FALSE },
	{ "--skip-logo", "bootstrap.verify_logo", ARGUMENT_FALSE },
	{ 0 },
};
static const struct setting post_deploy_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, or odoo for whichever owns the lane", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, prod, ...", 0 },
	{ "--phase", NULL, NULL, "NAME", "Which override records apply: deploy, promotion, restore, preview, manual",
	  0 },
	{ "--env-file", NULL, NULL, "FILE",
	  "KEY=VALUE lines over the target's environment for this run: ODOO_DB_NAME, ODOO_FILESTORE_PATH, "
	  "ODOO_DATA_WORKFLOW_LOCK_FILE",
	  0 },
	{ 0 },
};
static const struct argument post_deploy_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "post_deploy.context", .is_required = true },
	{ "--instance", "post_deploy.instance", .is_required = true },
	{ "--phase", "post_deploy.phase" },
	{ "--env-file", "post_deploy.env_overlay", ARGUMENT_ENV_FILE },
	{ 0 },
};
static const struct setting *const bootstrap_options[] = { bootstrap_settings, idempotency_settings, client_settings,
	                                                   NULL };
static const struct setting *const post_deploy_options[] = { post_deploy_settings, idempotency_settings,
	                                                     client_settings, NULL };
static const struct api_call bootstrap = { "POST", "/v1/drivers/odoo/stable-bootstrap", bootstrap_arguments,
	                                   .operation = "records.odoo_stable_bootstrap_operation_id",
	                                   .flags = API_NEEDS_KEY };
static const struct api_call bootstrap_show = { "GET", "/v1/drivers/odoo/stable-bootstrap/operations/{operation_id}",
	                                        .member = "operation" };
static const struct api_call post_deploy = { "POST", "/v1/drivers/odoo/post-deploy", post_deploy_arguments };

#define TIMEOUT_SETTINGS                                                                                               \
	{ "--timeout-seconds", NULL, NULL, "N", "Longest wait on the provider; default: the target record's", 0 },     \
	{                                                                                                              \
		"--health-timeout-seconds", NULL, NULL, "N", "Longest wait for health; default: the target record's",  \
		        0                                                                                              \
	}

static const struct setting gate_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, or odoo for whichever owns the lane", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane; default: prod", 0 },
	{ "--backup-record-id", NULL, NULL, "ID", "The gate's id, chosen by you", 0 },
	{ "--timeout-seconds", NULL, NULL, "N", "Longest capture; default: the target record's", 0 },
	{ 0 },
};
static const struct argument gate_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "backup_gate.context", .is_required = true },
	{ "--instance", "backup_gate.instance" },
	{ "--backup-record-id", "backup_gate.backup_record_id", .is_required = true },
	{ "--timeout-seconds", "backup_gate.timeout_seconds", ARGUMENT_NUMBER },
	{ 0 },
};
static const struct setting inputs_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, or odoo for whichever owns the lane", 0 },
	{ "--context", NULL, NULL, "NAME", "The lanes' context", 0 },
	{ "--request-id", NULL, NULL, "ID", "Chosen by you; becomes part of the backup gate's id", 0 },
	{ 0 },
};
static const struct argument inputs_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "inputs.context", .is_required = true },
	{ "--request-id", "inputs.request_id", .is_required = true },
	{ 0 },
};
static const struct setting promote_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, or odoo for whichever owns the lane", 0 },
	{ "--context", NULL, NULL, "NAME", "The lanes' context", 0 },
	{ "--artifact-id", NULL, NULL, "ID", "What testing runs", 0 },
	{ "--backup-record-id", NULL, NULL, "ID", "A backup gate of prod that passed", 0 },
	{ "--source-git-ref", NULL, NULL, "COMMIT", "The artifact's commit, to be sure", 0 },
	{ "--no-cache", NULL, NULL, NULL, "Redeploy instead of deploy", SETTING_SWITCH },
	{ "--skip-health", NULL, NULL, NULL, "Do not verify health", SETTING_SWITCH },
	TIMEOUT_SETTINGS,
	{ 0 },
};
static const struct argument promote_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "promotion.context", .is_required = true },
	{ "--artifact-id", "promotion.artifact_id", .is_required = true },
	{ "--backup-record-id", "promotion.backup_record_id", .is_required = true },
	{ "--source-git-ref", "promotion.source_git_ref" },
	{ "--no-cache", "promotion.no_cache", ARGUMENT_TRUE },
	{ "--skip-health", "promotion.verify_health", ARGUMENT_FALSE },
	{ "--timeout-seconds", "promotion.timeout_seconds", ARGUMENT_NUMBER },
	{ "--health-timeout-seconds", "promotion.health_timeout_seconds", ARGUMENT_NUMBER },
	{ 0 },
};
static const struct setting rollback_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, or odoo for whichever owns the lane", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane; default: prod", 0 },
	{ "--artifact-id", NULL, NULL, "ID", "An earlier artifact; default: what testing runs", 0 },
	{ "--promotion-record-id", NULL, NULL, "ID", "What is rolled back; default: prod's current promotion", 0 },
	{ "--reason", NULL, NULL, "TEXT", "Why", 0 },
	{ "--no-cache", NULL, NULL, NULL, "Redeploy instead of deploy", SETTING_SWITCH },
	{ "--skip-health", NULL, NULL, NULL, "Do not verify health", SETTING_SWITCH },
	TIMEOUT_SETTINGS,
	{ 0 },
};
static const struct argument rollback_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "rollback.context", .is_required = true },
	{ "--instance", "rollback.instance" },
	{ "--artifact-id", "rollback.artifact_id" },
	{ "--promotion-record-id", "rollback.promotion_record_id" },
	{ "--reason", "rollback.reason" },
	{ "--no-cache", "rollback.no_cache", ARGUMENT_TRUE },
	{ "--skip-health", "rollback.verify_health", ARGUMENT_FALSE },
	{ "--timeout-seconds", "rollback.timeout_seconds", ARGUMENT_NUMBER },
	{ "--health-timeout-seconds", "rollback.health_timeout_seconds", ARGUMENT_NUMBER },
	{ 0 },
};
static const struct setting lift_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, or odoo for whichever owns the lane", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane; default: prod", 0 },
	{ "--reason", NULL, NULL, "TEXT", "Why promotion may go on", 0 },
	{ 0 },
};
static const struct argument lift_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "lift.context", .is_required = true },
	{ "--instance", "lift.instance" },
	{ "--reason", "lift.reason", .is_required = true },
	{ 0 },
};
static const struct setting *const gate_options[] = { gate_settings, idempotency_settings, client_settings, NULL };
static const struct setting *const inputs_options[] = { inputs_settings, client_settings, NULL };
static const struct setting *const promote_options[] = { promote_settings, idempotency_settings, client_settings,
	                                                 NULL };
static const struct setting *const rollback_options[] = { rollback_settings, idempotency_settings, client_settings,
	                                                  NULL };
static const struct setting *const lift_options[] = { lift_settings, idempotency_settings, client_settings, NULL };
static const struct column hold_columns[] = {
	{ "HELD AT", "held_at" },     { "PROMOTION", "promotion_record_id" }, { "REASON", "reason" },
	{ "LIFTED AT", "lifted_at" }, { "LIFT REASON", "lift_reason" },       { 0 },
};
static const struct api_call gate = { "POST", "/v1/drivers/odoo/prod-backup-gate", gate_arguments };
static const struct api_call inputs = { "POST", "/v1/drivers/odoo/prod-promotion-inputs", inputs_arguments };
static const struct api_call promote = { "POST", "/v1/drivers/odoo/prod-promotion", promote_arguments };
static const struct api_call rollback = { "POST", "/v1/drivers/odoo/prod-rollback", rollback_arguments };
static const struct api_call lift = { "POST", "/v1/drivers/odoo/promotion-hold-lift", lift_arguments };
static const struct api_call holds = { "GET", "/v1/drivers/odoo/promotion-holds/{context}/{instance}",
	                               .member = "records", .columns = hold_columns };

/* The plan with the records of --database-url, for a shell that has them and the master key: no service is asked. */
static SUSPENDS bool plan_direct(struct direct *d, struct buf *out, struct err *err)
{
	static const struct command self = { .options = plan_options, .call = &plan };
	struct arena *a = d->t->arena;
	const char *body;
	struct json sent;
	struct replacement_request request;
	struct replacement_reading reading;
	struct replacement_plan made;
	if (!api_body(a, &self, d->s, &body, err) || !json_parse(a, body, strlen(body), "the flags", &sent, err) ||
	    !contract_read(a, &replacement_plan_request_contract, json_get(&sent, "replacement"), "", &request, err) ||
	    !replacement_read(d->t, &request, &reading, err) ||
	    !replacement_plan_make(a, &request, &reading.facts, &made, err))
		return false;
	buf_str(out, json_text(a, &made.result));
	return true;
}

static int plan_run(const struct command *c, struct settings *s, char **argv)
{
	return setting(s, "LAUNCHPLANE_DATABASE_URL") ? direct_run(s, c, NULL, plan_direct) : api_run(c, s, argv);
}

static int replace_run(const struct command *c, struct settings *s, char **argv)
{
	return setting_on(s, "--local-rehearsal") ? release_rehearse(c, s, &odoo_replacement_kind)
	                                          : api_run(c, s, argv);
}

const struct command odoo_commands[] = {
	{ "odoo-targets", "replacement-plan", "Whether a lane's target may be replaced, and what speaks against it",
	  NULL, 0, plan_options, plan_run, &plan },
	{ "odoo-targets", "replace", "Submit the replacement of a lane's target", NULL, 0, replace_options, replace_run,
	  &replace },
	{ "odoo-targets", "show", "One replacement, as workflows poll it", "OPERATION_ID", 1, show_options, api_run,
	  &show },
	{ "odoo-targets", "bootstrap", "Submit the bootstrap of an intentionally empty lane", NULL, 0,
	  bootstrap_options, api_run, &bootstrap },
	{ "odoo-targets", "show-bootstrap", "One bootstrap, as workflows poll it", "OPERATION_ID", 1, show_options,
	  api_run, &bootstrap_show },
	{ "odoo-targets", "post-deploy", "Apply a lane's typed settings and run its data workflow", NULL, 0,
	  post_deploy_options, api_run, &post_deploy },
	{ "odoo-backup-gates", "capture", "Capture a prod lane's database and filestore", NULL, 0, gate_options,
	  api_run, &gate },
	{ "odoo-promotions", "inputs", "What a promotion to prod would take, and its backup gate's id", NULL, 0,
	  inputs_options, api_run, &inputs },
	{ "odoo-promotions", "execute", "Promote what testing runs to prod", NULL, 0, promote_options, api_run,
	  &promote },
	{ "odoo-rollbacks", "execute", "Roll a prod lane back", NULL, 0, rollback_options, api_run, &rollback },
	{ "odoo-promotions", "holds", "Since when, why and by whom promotion to a lane is or was held",
	  "CONTEXT INSTANCE", 2, show_options, api_run, &holds },
	{ "odoo-promotions", "lift-hold", "Let promotion to a lane go on after a rollback", NULL, 0, lift_options,
	  api_run, &lift },
	{ "odoo-artifacts", "record", "Hand in an artifact's manifest", NULL, 0, record_options, api_run, &record },
	{ 0 },
};
