/* launchplane docs print PAGE: the reference pages, made from the tables the program works with. */
#include "drivers/registry.h"
#include "server/auth/failure_limit.h"
#include "server/auth/sign_in.h"
#include "server/auth/static_tokens.h"
#include "server/cli/client.h"
#include "server/routes/list.h"
#include "server/service.h"
#include "storage/artifact_manifest.h"
#include "storage/codes.h"
#include "storage/deployment.h"
#include "storage/odoo_override.h"
#include "storage/product_profile.h"
#include "storage/runtime_environment.h"
#include "storage/secret.h"
#include "storage/target.h"

#include <stdio.h>
#include <string.h>

static void made_by(struct buf *b, const char *page, const char *title, const char *about)
{
	buf_printf(b, "<!-- Made by `launchplane docs print %s`: `ci/run docs` writes it anew. -->\n# %s\n\n%s\n\n",
	           page, title, about);
}

/* ---- routes ---- */

static const char *callers_text(enum callers callers)
{
	switch (callers) {
	case CALLERS_ANYONE:
		return "anyone";
	case CALLERS_READ:
		return "workflows, operators, people";
	case CALLERS_WRITE:
		return "workflows, operators";
	case CALLERS_WRITE_HUMAN:
		return "workflows, operators, people by their own grant";
	}
	return "";
}

static const char *key_text(enum idempotency i)
{
	switch (i) {
	case IDEMPOTENCY_NONE:
		return "not looked at";
	case IDEMPOTENCY_OPTIONAL:
	case IDEMPOTENCY_OWN:
		return "optional";
	case IDEMPOTENCY_APPLY:
		return "optional, for applies only";
	case IDEMPOTENCY_APPLY_REQUIRED:
	case IDEMPOTENCY_OWN_APPLY_REQUIRED:
		return "required for applies";
	case IDEMPOTENCY_OWN_REQUIRED:
		return "required";
	}
	return "";
}

/* "body:product" as "the body's `product`". */
static void source_text(struct buf *b, const char *source)
{
	const char *name = strchr(source, ':');
	if (source[0] == '=')
		buf_printf(b, "`%s`", source + 1);
	else if (name)
		buf_printf(b, "%.*s `%s`", (int)(name - source), source, name + 1);
	else
		buf_str(b, "the record's own");
}

static void print_list(struct buf *b, const struct list *l)
{
	buf_printf(b, "- answers with a page of `%s` and `next_cursor`; query parameters: ", l->member);
	for (const struct list_filter *f = l->filters; f->name; f++)
		buf_printf(b, "`%s`%s, ", f->name, f->is_required ? " (required)" : "");
	buf_printf(b, "`limit` (%d, at most %d), `cursor`\n", LIST_DEFAULT, LIST_MOST);
}

static void print_route(struct buf *b, const struct route *r)
{
	buf_printf(b, "## %s %s\n\n%s.\n\n", r->method == HTTP_GET ? "GET" : "POST", r->path, r->summary);
	buf_printf(b, "- callers: %s\n", callers_text(r->callers));
	if (r->action) {
		buf_printf(b, "- action: `%s`%s", r->action,
		           r->decides_itself ? ", never granted: the action that the body asks about decides" : "");
		if (r->apply_action && strcmp(r->apply_action, r->action) != 0)
			buf_printf(b, ", to apply `%s`", r->apply_action);
		buf_str(b, "; product: ");
		source_text(b, r->product);
		buf_str(b, "; context: ");
		source_text(b, r->context);
		buf_char(b, '\n');
	}
	if (r->method != HTTP_GET)
		buf_printf(b, "- Idempotency-Key: %s\n", key_text(r->idempotency));
	if (r->list)
		print_list(b, r->list);
	if (r->record)
		buf_printf(b, "- answers with `%s`: a record of kind `%s`\n", r->record_key, r->record->name);
	buf_char(b, '\n');
	if (r->body) {
		contract_doc(b, r->body);
		buf_char(b, '\n');
	}
}

static void print_routes(struct buf *b)
{
	made_by(b, "routes", "Routes",
	        "Every error has the same envelope; [error-codes.md](error-codes.md) lists the codes.");
	for (const struct route *const *table = all_routes; *table; table++)
		for (const struct route *r = *table; r->path; r++)
			print_route(b, r);
}

/* ---- settings and commands ---- */

static void setting_row(struct buf *b, const struct setting *s)
{
	const char *code = s->fallback && s->fallback[0] ? "`" : "";
	buf_printf(b, "| %s%s%s | %s%s%s%s%s | %s%s%s | %s%s |\n", s->env ? "`" : "", s->env ? s->env : "",
	           s->env ? "`" : "", s->flag ? "`" : "", s->flag ? s->flag : "", s->metavar && s->flag ? " " : "",
	           s->metavar && s->flag ? s->metavar : "", s->flag ? "`" : "", code, s->fallback ? s->fallback : "",
	           code, s->help, s->flags & SETTING_SECRET ? " (secret)" : "");
}

static void setting_table(struct buf *b, const struct setting *table)
{
	buf_str(b, "| variable | flag | default | meaning |\n|---|---|---|---|\n");
	for (const struct setting *s = table; s->flag || s->env; s++)
		if (!(s->flags & SETTING_TEST))
			setting_row(b, s);
	buf_char(b, '\n');
}

static void print_settings(struct buf *b)
{
	made_by(b, "settings", "Settings",
	        "A flag wins over its environment variable. Secrets have no flag: flags show in process lists.");
	buf_str(b, "## The service\n\n");
	setting_table(b, service_settings);
	buf_str(b, "## Master keys of managed secrets\n\n");
	setting_table(b, master_key_settings);
	buf_str(b, "## Tokens of owners' terminals\n\n");
	setting_table(b, static_token_settings);
	setting_table(b, sign_in_settings);
	setting_table(b, failure_limit_settings);
	buf_str(b, "## Everything that works on the database\n\n");
	setting_table(b, database_settings);
	buf_str(b, "## Logging\n\n");
	setting_table(b, log_settings);
	buf_str(b, "## Commands that talk to a service\n\n");
	setting_table(b, client_settings);
}

static bool is_shared(const struct setting *table)
{
	return table == service_settings || table == master_key_settings || table == static_token_settings ||
	       table == sign_in_settings || table == failure_limit_settings || table == database_settings ||
	       table == log_settings || table == client_settings;
}

static void print_command(struct buf *b, const struct command *c)
{
	buf_printf(b, "## %s %s\n\n%s.\n\n```\n", c->group, c->name, c->help);
	if (command_has_options(c, service_settings))
		buf_printf(b, "launchplane %s %s [OPTION...]", c->group, c->name);
	else
		command_usage(b, c);
	buf_str(b, "\n```\n\n");
	if (c->call)
		buf_printf(b, "Sends `%s %s`.\n\n", c->call->method, c->call->path);
	for (const struct setting *const *t = c->options; *t; t++)
		for (const struct setting *s = *t; !is_shared(*t) && (s->flag || s->env); s++)
			buf_printf(b, "- `%s%s%s`: %s\n", s->flag, s->metavar ? " " : "", s->metavar ? s->metavar : "",
			           s->help);
	buf_str(b, "\n");
}

static void print_commands(struct buf *b)
{
	made_by(b, "commands", "Commands",
	        "A command ends with 0 when it did what it says, 1 when it was refused or failed, 2 when it was called "
	        "in a wrong way. "
	        "Options shared by many commands are in [settings.md](settings.md).");
	for (const struct command *const *table = all_commands; *table; table++)
		for (const struct command *c = *table; c->group; c++)
			print_command(b, c);
}

/* ---- operation kinds, error codes, records ---- */

static const char *cancel_text(int cancel)
{
	switch (cancel) {
	case CANCEL_ANY:
		return "yes";
	case CANCEL_FIRST:
		return "before its first run";
	default:
		return "no";
	}
}

static void print_kind(struct buf *b, const struct op_kind *k)
{
	buf_printf(b, "## %s\n\n%s.\n\n", k->name, k->help);
	buf_str(b, "| phase | shown as | tries | wait before the next | limit | can be cancelled | what it does |\n"
	           "|---|---|---|---|---|---|---|\n");
	for (const struct phase *p = k->phases; p->name; p++) {
		buf_printf(b, "| `%s` | %s | %d | ", p->name, p->public_phase, p->tries);
		if (p->backoff_ms)
			buf_printf(b, "%.1f s, doubling | ", p->backoff_ms / 1000.0);
		else
			buf_str(b, "none | ");
		if (p->limit_of)
			buf_str(b, "by the request");
		else if (p->limit_s)
			buf_printf(b, "%d s", p->limit_s);
		else
			buf_str(b, "none");
		buf_printf(b, " | %s | %s |\n", cancel_text(p->cancel), p->help ? p->help : "");
	}
	buf_str(b, "\n### Request\n\n");
	contract_doc(b, k->request);
	buf_char(b, '\n');
}

static void print_kinds(struct buf *b)
{
	made_by(b, "operation-kinds", "Operation kinds",
	        "Long work is a durable operation of one of these kinds; [operations.md](../operations.md) says how "
	        "they run.");
	for (const struct op_kind *const *k = all_op_kinds; *k; k++)
		print_kind(b, *k);
}

static void code_rows(struct buf *b, const struct error_code *const *codes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_printf(b, "| `%s` | %d | %s | %s |\n", codes[i]->name, codes[i]->status,
		           codes[i]->retry ? "yes" : "no", codes[i]->help);
}

static void print_codes(struct buf *b)
{
	made_by(b, "error-codes", "Error codes",
	        "`{\"status\": \"rejected\", \"trace_id\": ..., \"error\": {\"code\": ..., \"message\": ..., \"path\": "
	        "...}}`; the log has "
	        "more under the trace id.");
	buf_str(b, "| code | status | another try may help | when |\n|---|---|---|---|\n");
	code_rows(b, core_error_codes, core_error_codes_n);
	code_rows(b, product_error_codes, product_error_codes_n);
}

static const struct contract *const record_contracts[] = {
	&product_profile_contract,     &artifact_manifest_contract, &deployment_contract,
	&inventory_contract,           &release_tuple_contract,     &dokploy_target_contract,
	&dokploy_target_id_contract,   &provider_target_contract,   &odoo_override_contract,
	&runtime_environment_contract, &managed_secret_contract,    &secret_binding_contract,
	&secret_audit_event_contract,  &key_safety_policy_contract,
};

static void print_records(struct buf *b)
{
	made_by(b, "records", "Records",
	        "What PostgreSQL keeps, as JSON documents beside the columns that are searched.");
	for (size_t i = 0; i < countof(record_contracts); i++) {
		buf_printf(b, "## %s\n\n", record_contracts[i]->name);
		contract_doc(b, record_contracts[i]);
		buf_char(b, '\n');
	}
}

static const struct page {
	const char *name;
	void (*print)(struct buf *b);
} pages[] = {
	{ "routes", print_routes },         { "settings", print_settings }, { "commands", print_commands },
	{ "operation-kinds", print_kinds }, { "error-codes", print_codes }, { "records", print_records },
};

static int docs_print(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	const char *names[countof(pages)];
	for (size_t i = 0; i < countof(pages); i++) {
		names[i] = pages[i].name;
		if (strcmp(pages[i].name, s->positionals[0]) != 0)
			continue;
		struct buf b = buf_in(s->arena);
		pages[i].print(&b);
		fputs(buf_cstr(&b), stdout);
		return 0;
	}
	const char *close = closest_word(s->positionals[0], names, countof(names));
	return command_fail(
	        EXIT_USAGE, "there is no page %s; %s%s%s", s->positionals[0], close ? "did you mean " : "",
	        close ? close : "",
	        close ? "?" : "the pages are routes, settings, commands, operation-kinds, error-codes and records");
}

static const struct setting *const no_options[] = { NULL };

const struct command docs_commands[] = {
	{ "docs", "print",
	  "Print a reference page: routes, settings, commands, operation-kinds, error-codes or records", "PAGE", 1,
	  no_options, docs_print, NULL },
	{ 0 },
};
