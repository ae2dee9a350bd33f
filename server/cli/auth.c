/* launchplane auth ..., launchplane agent ...: sessions of people, and what agents ask before they act. */
#include "server/cli/client.h"

static const struct setting *const show_options[] = { client_settings, NULL };

static const struct api_call session_show = { "GET", "/v1/auth/session", .member = "identity" };
static const struct api_call logout = { "POST", "/auth/logout", 0 };

static const struct setting login_settings[] = {
	{ "--login", NULL, NULL, "NAME", "GitHub login", 0 },
	{ 0 },
};
static const struct argument list_arguments[] = { { "--login", "login" }, { 0 } };
static const struct setting *const list_options[] = { login_settings, client_settings, NULL };
static const struct column session_columns[] = {
	{ "LOGIN", "login" }, { "ROLE", "role" }, { "CREATED", "created_at" }, { "EXPIRES", "expires_at" }, { 0 },
};
static const struct api_call session_list = {
	"GET", "/v1/auth/sessions", list_arguments, "sessions", session_columns, 0
};

static const struct setting reason_settings[] = {
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ 0 },
};
static const struct argument revoke_arguments[] = { { "--login", "login", .is_required = true },
	                                            { "--reason", "reason", .is_required = true },
	                                            { 0 } };
static const struct setting *const revoke_options[] = { login_settings, reason_settings, idempotency_settings,
	                                                client_settings, NULL };
static const struct api_call session_revoke = { "POST", "/v1/auth/sessions/revocations", revoke_arguments, 0 };

static const struct setting repository_settings[] = {
	{ "--repository", NULL, NULL, "OWNER/NAME", "The repository", 0 },
	{ 0 },
};
static const struct argument mapping_arguments[] = { { "--repository", "repository" }, { 0 } };
static const struct argument context_arguments[] = { { "--repository", "repository", .is_required = true }, { 0 } };
static const struct setting *const repository_options[] = { repository_settings, client_settings, NULL };
static const struct api_call mapping = { "GET", "/v1/repo-product-mapping", mapping_arguments, .member = "mapping" };
static const struct api_call context = { "GET", "/v1/agent/context", context_arguments, .member = "context" };

static const struct setting intent_settings[] = {
	{ "--intent", NULL, NULL, "NAME", "A writing route's action, or the part before its dot", 0 },
	{ "--mode", NULL, NULL, "NAME", "dry_run (the default) or apply", 0 },
	{ "--product", NULL, NULL, "NAME", "On which product", 0 },
	{ "--context", NULL, NULL, "NAME", "In which context", 0 },
	{ "--instance", NULL, NULL, "NAME", "On which lane, for the record", 0 },
	{ 0 },
};
static const struct argument intent_arguments[] = {
	{ "--intent", "intent", .is_required = true },
	{ "--mode", "mode" },
	{ "--product", "product", .is_required = true },
	{ "--context", "context", .is_required = true },
	{ "--instance", "instance" },
	{ "--reason", "reason" },
	{ 0 },
};
static const struct setting *const intent_options[] = { intent_settings, reason_settings, client_settings, NULL };
static const struct api_call evaluate = { "POST", "/v1/agent/write-intents/evaluate", intent_arguments, 0 };

const struct command auth_commands[] = {
	{ "auth", "session", "Who the session cookie belongs to", NULL, 0, show_options, api_run, &session_show },
	{ "auth", "logout", "End the session of the cookie", NULL, 0, show_options, api_run, &logout },
	{ "auth", "sessions", "People's sessions, newest first", NULL, 0, list_options, api_run, &session_list },
	{ "auth", "revoke-sessions", "End every session of a person", NULL, 0, revoke_options, api_run,
	  &session_revoke },
	{ "agent", "repo-product-mapping", "Which repositories make which products", NULL, 0, repository_options,
	  api_run, &mapping },
	{ "agent", "context", "What is known of a repository", NULL, 0, repository_options, api_run, &context },
	{ "agent", "evaluate-write-intent", "Whether the caller may do something it intends", NULL, 0, intent_options,
	  api_run, &evaluate },
	{ 0 },
};
