/* launchplane operations ...: durable operations, read, followed and cancelled. */
#include "server/cli/client.h"

static const struct setting list_settings[] = {
	{ "--product", NULL, NULL, "NAME", "Operations of this product", 0 },
	{ "--context", NULL, NULL, "NAME", "Only of this context", 0 },
	{ "--instance", NULL, NULL, "NAME", "Only of this instance", 0 },
	{ "--status", NULL, NULL, "NAME", "Only pending, running, pass, fail or cancelled ones", 0 },
	{ "--kind", NULL, NULL, "NAME", "Only of this kind", 0 },
	{ "--limit", NULL, NULL, "N", "How many, at most 200", 0 },
	{ "--cursor", NULL, NULL, "TEXT", "Go on where the last list ended", 0 },
	{ 0 },
};
static const struct argument list_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "context" },
	{ "--instance", "instance" },
	{ "--status", "status" },
	{ "--kind", "kind" },
	{ "--limit", "limit" },
	{ "--cursor", "cursor" },
	{ 0 },
};
static const struct column list_columns[] = {
	{ "OPERATION", "operation_id" },
	{ "LANE", "instance" },
	{ "STATUS", "status" },
	{ "PHASE", "phase" },
	{ "STEP", "step" },
	{ "NEXT", "next_run_at" },
	{ "CREATED", "created_at" },
	{ "FINISHED", "finished_at" },
	{ 0 },
};
static const struct api_call list_call = { "GET", "/v1/operations", list_arguments, "operations", list_columns, 0 };
static const struct api_call show_call = { "GET", "/v1/operations/{operation_id}", .member = "operation" };

static const struct setting cancel_settings[] = {
	{ "--reason", NULL, NULL, "TEXT", "Why; kept in the operation's history", 0 },
	{ 0 },
};
static const struct argument cancel_arguments[] = { { "--reason", "reason", .is_required = true }, { 0 } };
static const struct api_call cancel_call = { "POST", "/v1/operations/{operation_id}/cancel", cancel_arguments, 0 };

static const struct setting watch_settings[] = {
	{ "--give-up-after", NULL, "0", "SECONDS", "Stop watching then, exit code 1; 0: never", 0 },
	{ 0 },
};

static const struct setting *const list_options[] = { list_settings, client_settings, NULL };
static const struct setting *const show_options[] = { client_settings, NULL };
static const struct setting *const watch_options[] = { watch_settings, client_settings, NULL };
static const struct setting *const cancel_options[] = { cancel_settings, client_settings, NULL };

static NO_ROLE_CHECK int watch_main(struct client *c, void *arg)
{
	const struct settings *s = arg;
	long long give_up_s;
	struct err err = { 0 };
	if (!setting_int(s, "--give-up-after", 0, 604800, &give_up_s, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	return operation_watch(c, s->positionals[0], (uint64_t)give_up_s * 1000);
}

static int watch(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	return client_run(s, watch_main, s);
}

const struct command operation_commands[] = {
	{ "operations", "list", "Operations of a product, newest first", NULL, 0, list_options, api_run, &list_call },
	{ "operations", "show", "One operation with its history", "OPERATION_ID", 1, show_options, api_run,
	  &show_call },
	{ "operations", "watch", "Follow an operation until it ends; exit code 0 when it passed, 1 when it did not",
	  "OPERATION_ID", 1, watch_options, watch, NULL },
	{ "operations", "cancel", "Ask an operation to stop before its next effect", "OPERATION_ID", 1, cancel_options,
	  api_run, &cancel_call },
	{ 0 },
};
