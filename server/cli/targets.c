/* launchplane dokploy-targets ..., environments logs, service inspect-dokploy-target, storage provider-target-...:
 * where lanes live. */
#include "core/text.h"
#include "server/cli/client.h"
#include "server/service.h"
#include "storage/db.h"
#include "storage/target.sql.h"

#include <stdio.h>
#include <string.h>

/* ---- set up ---- */

static const struct setting setup_settings[] = {
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ "--confirmation", NULL, NULL, "PHRASE", "The phrase that applying asks for", 0 },
	{ "--plan-digest", NULL, NULL, "DIGEST", "Apply only the plan that has this digest", 0 },
	{ 0 },
};
static const struct argument setup_arguments[] = {
	{ "--reason", "reason" }, { "--confirmation", "confirmation" }, { "--plan-digest", "plan_digest" }, { 0 }
};
static const struct setting *const setup_options[] = { input_settings,       mode_settings,   setup_settings,
	                                               idempotency_settings, client_settings, NULL };
static const struct api_call target_setup = { "POST", "/v1/dokploy-targets/setup", setup_arguments,
	                                      .flags = API_MODES | API_NEEDS_KEY };

/* ---- list, show, edit ---- */

static const struct setting lane_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, prod", 0 },
	{ 0 },
};
static const struct argument list_arguments[] = { { "--context", "context" }, { "--instance", "instance" }, { 0 } };
static const struct column list_columns[] = {
	{ "CONTEXT", "context" }, { "INSTANCE", "instance" },  { "TYPE", "target_type" },
	{ "ID", "target_id" },    { "UPDATED", "updated_at" }, { 0 },
};
static const struct setting *const list_options[] = { lane_settings, client_settings, NULL };
static const struct api_call target_list = { "GET", "/v1/dokploy-targets", list_arguments, "targets", list_columns, 0 };
static const struct argument show_arguments[] = { { "--context", "{context}", .is_required = true },
	                                          { "--instance", "{instance}", .is_required = true },
	                                          { 0 } };
static const struct api_call target_show = { "GET", "/v1/dokploy-targets/{context}/{instance}", show_arguments,
	                                     .member = "target" };

static const struct setting key_settings[] = {
	{ "--key", NULL, NULL, "KEY", "The store's key", 0 },
	{ "--source-label", NULL, NULL, "TEXT", "Where the record comes from", 0 },
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ 0 },
};
static const struct argument key_arguments[] = { { "--context", "context", .is_required = true },
	                                         { "--instance", "instance", .is_required = true },
	                                         { "--key", "key", .is_required = true },
	                                         { "--source-label", "source_label" },
	                                         { "--reason", "reason" },
	                                         { 0 } };
static const struct setting label_settings[] = {
	{ "--source-label", NULL, NULL, "TEXT", "Where the record comes from", 0 },
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ 0 },
};
static const struct argument label_arguments[] = { { "--context", "context", .is_required = true },
	                                           { "--instance", "instance", .is_required = true },
	                                           { "--source-label", "source_label", .is_required = true },
	                                           { "--reason", "reason" },
	                                           { 0 } };
static const struct setting *const key_options[] = { lane_settings, key_settings, idempotency_settings, client_settings,
	                                             NULL };
static const struct setting *const label_options[] = { lane_settings, label_settings, idempotency_settings,
	                                               client_settings, NULL };
static const struct api_call put_key = { "POST", "/v1/dokploy-targets/metadata", key_arguments,
	                                 .operation_name = "put-shopify-protected-store-key" };
static const struct api_call unset_key = { "POST", "/v1/dokploy-targets/metadata", key_arguments,
	                                   .operation_name = "unset-shopify-protected-store-key" };
static const struct api_call relabel = { "POST", "/v1/dokploy-targets/metadata", label_arguments,
	                                 .operation_name = "relabel" };

/* ---- live targets ---- */

static const struct setting inspect_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The lane's context; with --instance", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane", 0 },
	{ "--target-type", NULL, NULL, "NAME", "compose or application; with --target-id", 0 },
	{ "--target-id", NULL, NULL, "ID", "The provider's id", 0 },
	{ 0 },
};
static const struct argument inspect_arguments[] = { { "--context", "context" },
	                                             { "--instance", "instance" },
	                                             { "--target-type", "target_type" },
	                                             { "--target-id", "target_id" },
	                                             { 0 } };
static const struct setting *const inspect_options[] = { inspect_settings, client_settings, NULL };
static const struct api_call inspect = { "GET", "/v1/dokploy-targets/inspect", inspect_arguments, .member = "inspect" };
static const struct api_call preflight = { "GET", "/v1/dokploy-targets/preflight", inspect_arguments,
	                                   .member = "preflight", .verdict = "preflight.status" };

static const struct setting log_settings_[] = {
	{ "--lines", NULL, NULL, "N", "How many, 1 to 1000; default 200", 0 },
	{ "--since", NULL, NULL, "AGE", "all, or 15m, 2h, ...", 0 },
	{ "--search", NULL, NULL, "TEXT", "Only lines that hold this", 0 },
	{ 0 },
};
static const struct argument log_arguments[] = { { "--context", "{context}", .is_required = true },
	                                         { "--instance", "{instance}", .is_required = true },
	                                         { "--lines", "lines" },
	                                         { "--since", "since" },
	                                         { "--search", "search" },
	                                         { 0 } };
static const struct setting *const log_options[] = { lane_settings, log_settings_, client_settings, NULL };
static const struct api_call logs = { "GET", "/v1/contexts/{context}/instances/{instance}/logs", log_arguments };

/* ---- provider targets, through the service: one lane ---- */

static const struct setting operation_settings[] = {
	{ "--mode", NULL, NULL, "NAME", "audit, backfill-dry-run or backfill-apply", 0 },
	{ 0 },
};
static const struct argument operation_arguments[] = { { "--mode", "mode", .is_required = true },
	                                               { "--context", "context", .is_required = true },
	                                               { "--instance", "instance", .is_required = true },
	                                               { "--reason", "reason" },
	                                               { "--confirmation", "confirmation" },
	                                               { "--plan-digest", "plan_digest" },
	                                               { 0 } };
static const struct setting *const operation_options[] = { operation_settings,   lane_settings,   setup_settings,
	                                                   idempotency_settings, client_settings, NULL };
static const struct api_call target_operation = { "POST", "/v1/provider-targets/operations", operation_arguments,
	                                          .flags = API_NEEDS_KEY, .verdict = "result.operation_status" };

/* ---- provider targets, in the database: many lanes ---- */

static const struct setting filter_settings[] = {
	{ "--provider-id", NULL, NULL, "NAME", "Only lanes of this provider", 0 },
	{ "--context", NULL, NULL, "NAME", "Only this context", 0 },
	{ "--instance", NULL, NULL, "NAME", "Only this instance", 0 },
	{ 0 },
};
static const struct setting apply_settings[] = {
	{ "--apply", NULL, NULL, NULL, "Write the missing rows; without it they are only shown", SETTING_SWITCH },
	{ 0 },
};
static const struct setting *const audit_options[] = { filter_settings, database_settings, log_settings, NULL };
static const struct setting *const backfill_options[] = { filter_settings, apply_settings, database_settings,
	                                                  log_settings, NULL };

struct database_report {
	const struct settings *settings;
	const struct query *query;
	bool writes;
	int code;
};

static const char *filter(const struct settings *s, struct arena *a, const char *flag)
{
	const char *text = setting(s, flag);
	return is_blank(text) ? NULL : lowered(a, trimmed(a, text));
}

/* Prints the report as it came; blocked lanes make the command fail. */
static SUSPENDS bool print_report(struct task *t, void *arg, struct err *err)
{
	struct database_report *r = arg;
	struct rows rows;
	struct json report;
	const struct param params[] = { P_TEXT(filter(r->settings, t->arena, "--provider-id")),
		                        P_TEXT(filter(r->settings, t->arena, "--context")),
		                        P_TEXT(filter(r->settings, t->arena, "--instance")) };
	if (r->writes ? !db_write(t, "provider-targets", r->query, params, countof(params), &rows, err)
	              : !db_query(t, r->query, params, countof(params), &rows, err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	if (!json_parse(t->arena, text, strlen(text), "the report", &report, err))
		return false;
	puts(text);
	r->code = strcmp(json_str(&report, "status", ""), "ok") == 0 ? 0 : EXIT_FAILED;
	return true;
}

static int run_report(struct settings *s, const struct query *q, bool writes)
{
	struct database_report r = { .settings = s, .query = q, .writes = writes };
	int failed = offline_run(s, print_report, &r);
	return failed ? failed : r.code;
}

static int provider_target_audit(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	return run_report(s, &Q_provider_target_audit, false);
}

static int provider_target_backfill(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	bool applies = setting_on(s, "--apply");
	return run_report(s, applies ? &Q_provider_target_backfill : &Q_provider_target_backfill_plan, applies);
}

/* ---- moving a product between contexts ---- */

static const struct setting move_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--source-context", NULL, NULL, "NAME", "The old context", 0 },
	{ "--target-context", NULL, NULL, "NAME", "The context it lives in from now on", 0 },
	{ 0 },
};
static const struct setting move_more_settings[] = {
	{ "--source-label", NULL, NULL, "TEXT", "Where the records come from", 0 },
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ "--plan-digest", NULL, NULL, "DIGEST", "Apply only the plan that has this digest", 0 },
	{ 0 },
};
static const struct setting name_settings[] = {
	{ "--display-name", NULL, NULL, "TEXT", "The product\'s name for people", 0 },
	{ 0 },
};
static const struct setting preview_settings[] = {
	{ "--preview-context", NULL, NULL, "NAME", "The context of previews, to be shown as well", 0 },
	{ 0 },
};
#define MOVE_ARGUMENTS                                                                                                 \
	{ "--product", "product", .is_required = true },                                                               \
	        { "--source-context", "source_context", .is_required = true },                                         \
	        { "--target-context", "target_context", .is_required = true }, { "--source-label", "source_label" },   \
	        { "--reason", "reason" },                                                                              \
	{                                                                                                              \
		"--plan-digest", "plan_digest"                                                                         \
	}
static const struct argument cutover_arguments[] = { MOVE_ARGUMENTS,
	                                             { "--display-name", "display_name", .is_required = true },
	                                             { 0 } };
static const struct argument cleanup_arguments[] = { MOVE_ARGUMENTS, { 0 } };
static const struct argument move_audit_arguments[] = { { "--product", "{product}", .is_required = true },
	                                                { "--source-context", "source_context", .is_required = true },
	                                                { "--target-context", "target_context", .is_required = true },
	                                                { "--preview-context", "preview_context" },
	                                                { 0 } };
static const struct setting *const cutover_options[] = { move_settings, name_settings,        move_more_settings,
	                                                 mode_settings, idempotency_settings, client_settings,
	                                                 NULL };
static const struct setting *const cleanup_options[] = { move_settings,        move_more_settings, mode_settings,
	                                                 idempotency_settings, client_settings,    NULL };
static const struct setting *const move_audit_options[] = { move_settings, preview_settings, client_settings, NULL };
static const struct api_call cutover = { "POST", "/v1/product-profiles/context-cutover/apply", cutover_arguments,
	                                 .flags = API_MODES };
static const struct api_call cleanup = { "POST", "/v1/product-profiles/legacy-context-cleanup/apply", cleanup_arguments,
	                                 .flags = API_MODES };
static const struct api_call move_audit = { "GET", "/v1/product-profiles/{product}/context-cutover-audit",
	                                    move_audit_arguments, .member = "audit" };

const struct command target_commands[] = {
	{ "product-profiles", "audit-context-cutover", "What a move between two contexts would meet", NULL, 0,
	  move_audit_options, api_run, &move_audit },
	{ "product-profiles", "context-cutover", "Plan or apply a product\'s move to another context", NULL, 0,
	  cutover_options, api_run, &cutover },
	{ "product-profiles", "legacy-context-cleanup", "Plan or apply the cleanup of a context a product has left",
	  NULL, 0, cleanup_options, api_run, &cleanup },
	{ "dokploy-targets", "list", "Tracked targets of all lanes", NULL, 0, list_options, api_run, &target_list },
	{ "dokploy-targets", "show", "The tracked target of a lane", NULL, 0, list_options, api_run, &target_show },
	{ "dokploy-targets", "setup", "Record, make or route a Dokploy target of a lane", NULL, 0, setup_options,
	  api_run, &target_setup },
	{ "dokploy-targets", "inspect", "What a live target looks like, without values", NULL, 0, inspect_options,
	  api_run, &inspect },
	{ "dokploy-targets", "put-shopify-protected-store-key", "Guard a store against writes from this lane", NULL, 0,
	  key_options, api_run, &put_key },
	{ "dokploy-targets", "unset-shopify-protected-store-key", "Lift such a guard", NULL, 0, key_options, api_run,
	  &unset_key },
	{ "dokploy-targets", "relabel", "Say where a tracked target comes from", NULL, 0, label_options, api_run,
	  &relabel },
	{ "service", "inspect-dokploy-target",
	  "Whether the control plane could run on a target; exit code 1 when something blocks", NULL, 0,
	  inspect_options, api_run, &preflight },
	{ "environments", "logs", "The last lines of a lane's log, redacted", NULL, 0, log_options, api_run, &logs },
	{ "provider-targets", "run", "Audit or complete the provider target row of one lane; exit code 1 when blocked",
	  NULL, 0, operation_options, api_run, &target_operation },
	{ "storage", "provider-target-audit",
	  "Compare provider target rows with Dokploy targets and ids; exit code 1 when something blocks", NULL, 0,
	  audit_options, provider_target_audit, NULL },
	{ "storage", "provider-target-backfill",
	  "Write missing provider target rows from complete pairs; a dry-run without --apply", NULL, 0,
	  backfill_options, provider_target_backfill, NULL },
	{ 0 },
};
