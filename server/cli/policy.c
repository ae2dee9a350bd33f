/* launchplane authz-policies ..., launchplane service render-authz-policy: who may do what, through the service; and,
 * beside the service, what stands in the database and in a file. */
#include "core/digest.h"
#include "server/auth/policy_record.h"
#include "server/auth/policy_store.h"
#include "server/cli/client.h"
#include "server/cli/print.h"
#include "server/service.h"
#include "storage/codes.h"
#include "storage/policy.sql.h"

#include <stdio.h>

/* ---- through the service ---- */

static const struct setting change_settings[] = {
	{ "--product", NULL, NULL, "NAME", "Product of the rule; again for several; none: all", SETTING_MANY },
	{ "--context", NULL, NULL, "NAME", "Context of the rule; again for several; none: all", SETTING_MANY },
	{ "--action", NULL, NULL, "NAME", "What may be done; again for several", SETTING_MANY },
	{ "--source-label", NULL, NULL, "TEXT", "Where the change comes from, for the record", 0 },
	{ "--reason", NULL, NULL, "TEXT", "Why; needed to apply", 0 },
	{ "--related-issue", NULL, NULL, "URL", "Where it was agreed", 0 },
	{ 0 },
};
#define CHANGE_ARGUMENTS(to)                                                                                           \
	{ "--product", to ".products", ARGUMENT_LIST }, { "--context", to ".contexts", ARGUMENT_LIST },                \
	        { "--action", to ".actions", ARGUMENT_LIST, .is_required = true },                                     \
	        { "--source-label", to ".source_label" }, { "--reason", "reason" },                                    \
	{                                                                                                              \
		"--related-issue", "related_issue"                                                                     \
	}

static const struct setting workflow_settings[] = {
	{ "--repository", NULL, NULL, "OWNER/NAME", "The workflow's repository", 0 },
	{ "--repository-id", NULL, NULL, "N", "GitHub's number of the repository", 0 },
	{ "--repository-owner-id", NULL, NULL, "N", "GitHub's number of its owner", 0 },
	{ "--workflow-ref", NULL, NULL, "GLOB", "Workflow file and ref; again for several", SETTING_MANY },
	{ "--job-workflow-ref", NULL, NULL, "GLOB", "Reusable workflow and ref; again for several", SETTING_MANY },
	{ "--event-name", NULL, NULL, "NAME", "Event; again for several", SETTING_MANY },
	{ "--ref", NULL, NULL, "REF", "Git ref; again for several", SETTING_MANY },
	{ "--environment", NULL, NULL, "NAME", "Deployment environment; again for several", SETTING_MANY },
	{ "--runner-environment", NULL, NULL, "NAME", "github-hosted or self-hosted", SETTING_MANY },
	{ 0 },
};
#define WORKFLOW_ARGUMENTS(to)                                                                                         \
	{ "--repository", to ".repository", .is_required = true }, { "--repository-id", to ".repository_id" },         \
	        { "--repository-owner-id", to ".repository_owner_id" },                                                \
	        { "--workflow-ref", to ".workflow_refs", ARGUMENT_LIST },                                              \
	        { "--job-workflow-ref", to ".job_workflow_refs", ARGUMENT_LIST },                                      \
	        { "--event-name", to ".event_names", ARGUMENT_LIST }, { "--ref", to ".refs", ARGUMENT_LIST },          \
	        { "--environment", to ".environments", ARGUMENT_LIST },                                                \
	{                                                                                                              \
		"--runner-environment", to ".runner_environments", ARGUMENT_LIST                                       \
	}

static const struct setting human_settings[] = {
	{ "--login", NULL, NULL, "GLOB", "GitHub login; again for several", SETTING_MANY },
	{ "--organization", NULL, NULL, "GLOB", "GitHub organization; again for several", SETTING_MANY },
	{ "--team", NULL, NULL, "GLOB", "GitHub team; again for several", SETTING_MANY },
	{ "--role", NULL, NULL, "NAME", "read_only or admin; none: both", SETTING_MANY },
	{ 0 },
};
static const struct setting token_settings[] = {
	{ "--subject", NULL, NULL, "GLOB", "Who holds the token; again for several", SETTING_MANY },
	{ "--token-label", NULL, NULL, "GLOB", "Which token; again for several", SETTING_MANY },
	{ 0 },
};
static const struct argument grant_workflow_arguments[] = { WORKFLOW_ARGUMENTS("grant"),
	                                                    CHANGE_ARGUMENTS("grant"),
	                                                    { 0 } };
static const struct argument remove_workflow_arguments[] = { WORKFLOW_ARGUMENTS("removal"),
	                                                     CHANGE_ARGUMENTS("removal"),
	                                                     { 0 } };
#define HUMAN_ARGUMENTS(to)                                                                                            \
	{ "--login", to ".logins", ARGUMENT_LIST }, { "--organization", to ".organizations", ARGUMENT_LIST },          \
	        { "--team", to ".teams", ARGUMENT_LIST },                                                              \
	{                                                                                                              \
		"--role", to ".roles", ARGUMENT_LIST                                                                   \
	}
#define TOKEN_ARGUMENTS(to)                                                                                            \
	{ "--subject", to ".subjects", ARGUMENT_LIST, .is_required = true },                                           \
	{                                                                                                              \
		"--token-label", to ".token_labels", ARGUMENT_LIST, .is_required = true                                \
	}
static const struct argument grant_human_arguments[] = { HUMAN_ARGUMENTS("grant"), CHANGE_ARGUMENTS("grant"), { 0 } };
static const struct argument remove_human_arguments[] = { HUMAN_ARGUMENTS("removal"),
	                                                  CHANGE_ARGUMENTS("removal"),
	                                                  { 0 } };
static const struct argument grant_token_arguments[] = { TOKEN_ARGUMENTS("grant"), CHANGE_ARGUMENTS("grant"), { 0 } };
static const struct argument remove_token_arguments[] = { TOKEN_ARGUMENTS("removal"),
	                                                  CHANGE_ARGUMENTS("removal"),
	                                                  { 0 } };
static const struct setting explain_settings[] = {
	{ "--action", NULL, NULL, "NAME", "The action asked about", 0 },
	{ "--product", NULL, NULL, "NAME", "On which product", 0 },
	{ "--context", NULL, NULL, "NAME", "In which context", 0 },
	{ 0 },
};
static const struct argument explain_arguments[] = {
	{ "--action", "action", .is_required = true },
	{ "--product", "product", .is_required = true },
	{ "--context", "context", .is_required = true },
	{ 0 },
};

#define CHANGE_OPTIONS(own)                                                                                            \
	{                                                                                                              \
		own, change_settings, mode_settings, idempotency_settings, client_settings, NULL                       \
	}
static const struct setting *const workflow_options[] = CHANGE_OPTIONS(workflow_settings);
static const struct setting *const human_options[] = CHANGE_OPTIONS(human_settings);
static const struct setting *const token_options[] = CHANGE_OPTIONS(token_settings);
static const struct setting *const explain_options[] = { explain_settings, client_settings, NULL };

#define CHANGE(path, arguments_)                                                                                       \
	{                                                                                                              \
		"POST", "/v1/authz-policies/" path, arguments_, .flags = API_POLICY                                    \
	}
static const struct api_call grant_workflow = CHANGE("github-actions/grants", grant_workflow_arguments);
static const struct api_call remove_workflow = CHANGE("github-actions/removals", remove_workflow_arguments);
static const struct api_call grant_human = CHANGE("github-humans/grants", grant_human_arguments);
static const struct api_call grant_agent = CHANGE("terminal-agents/grants", grant_token_arguments);
static const struct api_call grant_operator = CHANGE("local-operators/grants", grant_token_arguments);
static const struct api_call grant_admin = CHANGE("local-admins/grants", grant_token_arguments);
static const struct api_call remove_human = CHANGE("github-humans/removals", remove_human_arguments);
static const struct api_call remove_agent = CHANGE("terminal-agents/removals", remove_token_arguments);
static const struct api_call remove_operator = CHANGE("local-operators/removals", remove_token_arguments);
static const struct api_call remove_admin = CHANGE("local-admins/removals", remove_token_arguments);
static const struct api_call explain = { "POST", "/v1/authz/explain", explain_arguments, 0 };

/* ---- in the database ---- */

static const struct setting list_settings[] = {
	{ "--status", NULL, NULL, "NAME", "Only records with this status: active or superseded", 0 },
	{ "--limit", NULL, "50", "N", "At most so many", 0 },
	{ 0 },
};
static const struct setting *const list_options[] = { list_settings, database_settings, log_settings, NULL };

struct list_request {
	const char *status;
	long long limit;
};

static SUSPENDS bool list_records(struct task *t, void *arg, struct err *err)
{
	static const struct column columns[] = {
		{ "RECORD", "record_id" },
		{ "STATUS", "status" },
		{ "SOURCE", "source" },
		{ "UPDATED", "updated_at" },
		{ "SHA256", "policy_sha256" },
		{ "REASON", "reason" },
		{ 0 },
	};
	const struct list_request *r = arg;
	struct rows rows;
	if (!db_query(t, &Q_authz_policy_list, PARAMS(P_TEXT(r->status), P_INT(r->limit)), &rows, err))
		return false;
	struct json list = json_array();
	for (size_t i = 0; i < rows.n; i++) {
		struct json row = json_object();
		for (int k = 0; columns[k].title; k++)
			json_set_str(t->arena, &row, columns[k].path, row_text(&rows, i, k));
		json_push(t->arena, &list, row);
	}
	struct buf b = buf_in(t->arena);
	print_table(&b, &list, columns);
	fputs(buf_cstr(&b), stdout);
	return true;
}

static int run_list(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	struct list_request r = { .status = setting(s, "--status") };
	struct err err = { 0 };
	if (!setting_int(s, "--limit", 1, 100000, &r.limit, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	return offline_run(s, list_records, &r);
}

const struct setting policy_file_settings[] = {
	{ "--policy-file", "LAUNCHPLANE_POLICY_FILE", NULL, "FILE", "The policy, as TOML or JSON", 0 },
	{ 0 },
};
static const struct setting import_settings[] = {
	{ "--source-label", NULL, "cli:import-toml", "TEXT", "Where the policy comes from, for the record", 0 },
	{ 0 },
};
static const struct setting *const import_options[] = { policy_file_settings, import_settings, database_settings,
	                                                log_settings, NULL };

struct import_request {
	const struct policy *policy;
	const char *source;
};

static SUSPENDS bool import_in(struct tx *tx, const struct import_request *r, struct policy_record *made, bool *changed,
                               struct err *err)
{
	struct policy_record before;
	bool is_first = false;
	if (!policy_record_lock(tx, &before, err)) {
		if (!err_is(err, &E_authz_policy_unavailable))
			return false;
		is_first = true;
	}
	*changed = is_first || strcmp(policy_sha256(before.policy), policy_sha256(r->policy)) != 0;
	if (!*changed) {
		*made = before;
		return true;
	}
	*made = (struct policy_record){ .source = r->source, .policy = r->policy };
	policy_record_name(tx_task(tx), is_first ? NULL : &before, made);
	const struct json audit = json_object();
	policy_record_send(tx, made, &audit);
	return true;
}

static SUSPENDS bool import_policy(struct task *t, void *arg, struct err *err)
{
	struct tx *tx;
	struct policy_record made;
	bool changed;
	if (!tx_begin(t, &tx, err))
		return false;
	if (!import_in(tx, arg, &made, &changed, err)) {
		tx_rollback(tx);
		return false;
	}
	if (!tx_commit(tx, err))
		return false;
	printf("record_id      %s\npolicy_sha256  %s\nchanged        %s\n", made.record_id, policy_sha256(made.policy),
	       changed ? "true" : "false");
	return true;
}

static int run_import(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	const char *path, *text;
	size_t n;
	struct err err = { 0 };
	if (!setting_required(s, "--policy-file", &path, &err) || !policy_file_read(s->arena, path, &text, &n, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	struct policy *p = policy_of_text(text, n, path, &err);
	if (!p)
		return command_fail(EXIT_FAILED, "the policy file %s cannot be used: %s", path, err.message);
	struct import_request r = { p, setting(s, "--source-label") };
	int code =
	        policy_has_administrator(p)
	                ? offline_run(s, import_policy, &r)
	                : command_fail(EXIT_FAILED,
	                               "no rule of %s lets anybody change the policy: give authz_policy_grant.write on "
	                               "launchplane/launchplane to somebody",
	                               path);
	policy_free(p);
	return code;
}

/* ---- a file ---- */

static const struct setting render_settings[] = {
	{ "--format", NULL, "json", "NAME", "json, or b64: only what LAUNCHPLANE_POLICY_B64 takes", 0 },
	{ 0 },
};
static const struct setting *const render_options[] = { policy_file_settings, render_settings, NULL };

static void print_rendered(struct arena *a, const char *path, const char *text, size_t n, const struct policy *p)
{
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv(&o, "policy_file", path);
	jo_kv(&o, "policy_b64", base64_encode(a, text, n));
	jo_kv(&o, "policy_sha256", sha256_text(a, text, n));
	jo_kv_int(&o, "github_actions_rule_count", (int64_t)policy_rule_count(p, PRINCIPAL_GITHUB_ACTIONS));
	jo_close(&o, '}');
	puts(buf_cstr(&b));
}

static int run_render(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	const char *path, *text, *format = setting(s, "--format");
	size_t n;
	struct err err = { 0 };
	bool as_json = strcmp(format, "json") == 0;
	if (!as_json && strcmp(format, "b64") != 0)
		return command_fail(EXIT_USAGE, "--format must be json or b64, not \"%s\"", format);
	if (!setting_required(s, "--policy-file", &path, &err) || !policy_file_read(s->arena, path, &text, &n, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	struct policy *p = policy_of_text(text, n, path, &err);
	if (!p)
		return command_fail(EXIT_FAILED, "the policy file %s cannot be used: %s", path, err.message);
	if (as_json)
		print_rendered(s->arena, path, text, n, p);
	else
		puts(base64_encode(s->arena, text, n));
	policy_free(p);
	return 0;
}

const struct command policy_commands[] = {
	{ "authz-policies", "list", "Policy records, newest first", NULL, 0, list_options, run_list, NULL },
	{ "authz-policies", "grant-workflow", "Let a workflow do something", NULL, 0, workflow_options, api_run,
	  &grant_workflow },
	{ "authz-policies", "grant-human", "Let people do something", NULL, 0, human_options, api_run, &grant_human },
	{ "authz-policies", "grant-terminal-agent", "Let a terminal agent read something", NULL, 0, token_options,
	  api_run, &grant_agent },
	{ "authz-policies", "grant-local-operator", "Let a local operator do something", NULL, 0, token_options,
	  api_run, &grant_operator },
	{ "authz-policies", "grant-local-admin", "Let a local admin do something", NULL, 0, token_options, api_run,
	  &grant_admin },
	{ "authz-policies", "remove-workflow-rule", "Remove the rules for workflows that equal this one", NULL, 0,
	  workflow_options, api_run, &remove_workflow },
	{ "authz-policies", "remove-human-rule", "Remove the rules for people that equal this one", NULL, 0,
	  human_options, api_run, &remove_human },
	{ "authz-policies", "remove-terminal-agent-rule", "Remove the rules for terminal agents that equal this one",
	  NULL, 0, token_options, api_run, &remove_agent },
	{ "authz-policies", "remove-local-operator-rule", "Remove the rules for local operators that equal this one",
	  NULL, 0, token_options, api_run, &remove_operator },
	{ "authz-policies", "remove-local-admin-rule", "Remove the rules for local admins that equal this one", NULL, 0,
	  token_options, api_run, &remove_admin },
	{ "authz-policies", "import-toml", "Make a file's policy the one in force, straight in the database", NULL, 0,
	  import_options, run_import, NULL },
	{ "authz-policies", "explain", "Whether the caller may do something, and why", NULL, 0, explain_options,
	  api_run, &explain },
	{ "service", "render-authz-policy", "A policy file as the service's settings take it", NULL, 0, render_options,
	  run_render, NULL },
	{ 0 },
};
