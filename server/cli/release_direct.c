#include "server/cli/release_direct.h"

#include "core/digest.h"
#include "server/cli/client.h"
#include "server/cli/print.h"
#include "server/service.h"
#include "storage/operation.sql.h"
#include "storage/release.sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_AGAIN_MS 1000

const struct setting rehearsal_settings[] = {
	{ "--local-rehearsal", NULL, NULL, NULL,
	  "Only rehearse on files below --state-dir; nothing is deployed, nothing is authoritative", SETTING_SWITCH },
	{ "--state-dir", NULL, NULL, "DIR", "The rehearsal's files", 0 },
	{ 0 },
};
const struct setting settle_settings[] = {
	{ "--settle-seconds", NULL, "30", "N",
	  "How long a rehearsal waits for the owner of a reserved lane, and again for its record, before it takes the "
	  "reservation for abandoned",
	  0 },
	{ 0 },
};

struct direct {
	const struct command *command;
	struct settings *settings;
	const struct op_kind *kind;
	int code;
};

/* ---- submit ---- */

static bool is_ended(const char *status)
{
	return strcmp(status, "pass") == 0 || strcmp(status, "fail") == 0;
}

/* Follows what the service's workers do; they need not run yet. */
static SUSPENDS bool follow(struct task *t, struct direct *d, const char *id, struct err *err)
{
	for (;;) {
		struct rows rows;
		if (!db_query(t, &Q_operation_read, PARAMS(P_TEXT(id)), &rows, err))
			return false;
		const char *status = rows.n ? row_text(&rows, 0, 3) : "fail";
		if (is_ended(status)) {
			printf("%s  %s\n", status, id);
			d->code = strcmp(status, "pass") == 0 ? 0 : EXIT_FAILED;
			return true;
		}
		rows_done(&rows);
		if (!task_sleep(t, LOOK_AGAIN_MS, err))
			return false;
	}
}

static SUSPENDS bool submit(struct task *t, void *arg, struct err *err)
{
	struct direct *d = arg;
	const char *body;
	struct json sent, actor = json_object();
	struct replacement_request request;
	struct op_submitted submitted;
	t->deadline_ms = TASK_FOREVER;
	if (!api_body(t->arena, d->command, d->settings, &body, err) ||
	    !json_parse(t->arena, body, strlen(body), "the request", &sent, err) ||
	    !contract_read(t->arena, d->kind->request, &sent, "", &request, err))
		return false;
	const char *key = setting(d->settings, "--idempotency-key");
	if (!key) {
		key = arena_printf(t->arena, "cli-%s", random_hex(t->arena, 12));
		fprintf(stderr, "--idempotency-key %s\n", key);
	}
	const char *user = getenv("USER");
	json_set_str(t->arena, &actor, "type", "database_operator");
	json_set_str(t->arena, &actor, "login", user ? user : "");
	struct buf canonical = buf_in(t->arena);
	json_write_canonical(&canonical, &sent);
	const struct op_submission submission = {
		.kind = d->kind,
		.product = request.product,
		.context = request.context,
		.instance = request.instance,
		.idempotency_scope = arena_printf(t->arena, "database-operator|%s", user ? user : ""),
		.idempotency_key = key,
		.request_fingerprint = sha256_text(t->arena, canonical.p, canonical.n),
		.request = contract_text(t->arena, d->kind->request, &request),
		.actor = json_text(t->arena, &actor),
		.trace_id = id_trace(t->arena),
		.traceparent = "",
		.holds_lane = true,
	};
	if (!operation_submit(t, &submission, &submitted, err))
		return false;
	printf("operation_id  %s\n", submitted.operation_id);
	fflush(stdout);
	return !setting_on(d->settings, "--watch") || follow(t, d, submitted.operation_id, err);
}

int release_run(const struct command *c, struct settings *s, char **argv, const struct op_kind *kind)
{
	struct direct d = { .command = c, .settings = s, .kind = kind };
	if (setting_on(s, "--local-rehearsal"))
		return release_rehearse(c, s, kind);
	if (!setting(s, "LAUNCHPLANE_DATABASE_URL"))
		return api_run(c, s, argv);
	int failed = offline_run(s, submit, &d);
	return failed ? failed : d.code;
}

/* ---- protected artifacts ---- */

static bool print_inventory(const struct direct *d, const char *text, struct err *err)
{
	struct arena *a = d->settings->arena;
	struct json doc;
	if (setting_on(d->settings, "--json")) {
		puts(text);
		return true;
	}
	if (!json_parse(a, text, strlen(text), "the inventory", &doc, err))
		return false;
	struct buf b = buf_in(a);
	print_table(&b, json_get(&doc, "entries"), ((const struct api_call *)d->command->call)->columns);
	print_warnings(&b, json_get(&doc, "warnings"));
	fputs(buf_cstr(&b), stdout);
	return true;
}

static SUSPENDS bool print_protected(struct task *t, void *arg, struct err *err)
{
	const struct direct *d = arg;
	struct rows rows;
	const char *product = setting(d->settings, "--product"), *context = setting(d->settings, "--context");
	return setting_required(d->settings, "--product", &product, err) &&
	       db_query(t, &Q_artifacts_protected, PARAMS(P_TEXT(product), P_TEXT(context ? context : "")), &rows,
	                err) &&
	       print_inventory(d, row_text(&rows, 0, 0), err);
}

int protected_run(const struct command *c, struct settings *s, char **argv)
{
	struct direct d = { .command = c, .settings = s };
	struct err err = { 0 };
	const char *text;
	if (!setting_on(s, "--local-rehearsal"))
		return setting(s, "LAUNCHPLANE_DATABASE_URL") ? offline_run(s, print_protected, &d)
		                                              : api_run(c, s, argv);
	fputs("LOCAL REHEARSAL: of files alone; nothing in it says what may be deleted anywhere\n", stderr);
	if (!setting(s, "--state-dir") || !setting(s, "--product"))
		return command_fail(EXIT_USAGE, "--local-rehearsal needs --state-dir and --product");
	if (!protected_rehearse(s, &text, &err) || !print_inventory(&d, text, &err))
		return command_fail(EXIT_FAILED, "%s", err.message);
	return 0;
}
