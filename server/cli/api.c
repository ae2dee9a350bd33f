/* Commands that are one request: the request from the row, the flags and the input file; the answer for people or as
 * JSON. */
#include "core/digest.h"
#include "core/text.h"
#include "server/cli/client.h"
#include "server/cli/print.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INPUT_MAX (2u << 20)

const struct setting input_settings[] = {
	{ "--input-file", NULL, NULL, "FILE", "JSON document to send, - for standard input", 0 },
	{ 0 },
};
const struct setting idempotency_settings[] = {
	{ "--idempotency-key", NULL, NULL, "KEY", "Name of this request: sent again it is answered, not repeated", 0 },
	{ 0 },
};
const struct setting mode_settings[] = {
	{ "--dry-run", NULL, NULL, NULL, "Show what would change (the default)", SETTING_SWITCH },
	{ "--apply", NULL, NULL, NULL, "Change it", SETTING_SWITCH },
	{ 0 },
};

struct api_request {
	const struct command *command;
	const struct settings *settings;
	struct client_request send;
};

/* ---- the request ---- */

static bool read_file(struct arena *a, const char *path, char **out, size_t *out_n, struct err *err)
{
	bool from_stdin = strcmp(path, "-") == 0;
	FILE *f = from_stdin ? stdin : fopen(path, "re");
	if (!f)
		return err_set(err, &E_invalid_request, "the input file %s cannot be read: %s", path, strerror(errno));
	char *text = arena_alloc(a, INPUT_MAX + 2);
	size_t n = fread(text, 1, INPUT_MAX + 1, f);
	bool failed = ferror(f);
	if (!from_stdin)
		fclose(f);
	if (failed)
		return err_set(err, &E_invalid_request, "the input file %s cannot be read", path);
	if (n > INPUT_MAX)
		return err_set(err, &E_invalid_request, "the input file %s is larger than %u bytes", path, INPUT_MAX);
	text[n] = '\0';
	*out = text;
	*out_n = n;
	return true;
}

/* Where and with what such a file's other readers reach the provider: never sent on (facts/odoo.md 8.2). */
static bool is_of_the_provider(const char *key)
{
	return strcmp(key, "DOKPLOY_HOST") == 0 || strcmp(key, "DOKPLOY_TOKEN") == 0;
}

/* KEY=VALUE lines; blank ones and those that begin with # are comments. */
static bool read_env_file(struct arena *a, const char *path, struct json *out, struct err *err)
{
	char *text;
	size_t size;
	if (!read_file(a, path, &text, &size, err))
		return false;
	*out = json_object();
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");
		const char *line = trimmed(a, arena_strndup(a, p, n)), *equals = strchr(line, '=');
		p += n + (p[n] != '\0');
		if (!line[0] || line[0] == '#')
			continue;
		if (!equals || equals == line)
			return err_set(err, &E_invalid_request, "%s: \"%.40s\" is not KEY=VALUE", path, line);
		const char *key = trimmed(a, arena_strndup(a, line, (size_t)(equals - line)));
		if (!is_of_the_provider(key))
			json_set_str(a, out, key, equals + 1);
	}
	return true;
}

static bool read_input(struct arena *a, const char *path, struct json *out, struct err *err)
{
	char *text;
	size_t n;
	if (!read_file(a, path, &text, &n, err))
		return false;
	if (!json_parse(a, text, n, path, out, err))
		return false;
	if (out->type != JSON_OBJECT)
		return err_set(err, &E_invalid_request, "the input file %s must hold a JSON object", path);
	return true;
}

static void set_path(struct arena *a, struct json *object, const char *path, struct json value)
{
	const char *dot = strchr(path, '.');
	if (!dot) {
		json_set(a, object, path, value);
		return;
	}
	const char *key = arena_strndup(a, path, (size_t)(dot - path));
	const struct json *there = json_get(object, key);
	struct json inner = there && there->type == JSON_OBJECT ? *there : json_object();
	set_path(a, &inner, dot + 1, value);
	json_set(a, object, key, inner);
}

static struct json lines_of(struct arena *a, const char *text)
{
	struct json list = json_array();
	while (*text) {
		size_t n = strcspn(text, "\n");
		json_push(a, &list, json_of_str(arena_strndup(a, text, n)));
		text += n + (text[n] == '\n');
	}
	return list;
}

static bool argument_value(const struct settings *s, const struct argument *g, struct json *out, struct err *err)
{
	const char *text = setting(s, g->flag);
	char *end = NULL;
	switch (g->kind) {
	case ARGUMENT_TEXT:
		*out = json_of_str(text);
		return true;
	case ARGUMENT_NUMBER:
		*out = json_of_int(strtoll(text, &end, 10));
		return (text[0] && !*end) ||
		       err_set(err, &E_invalid_request, "%s must be a whole number, not \"%s\"", g->flag, text);
	case ARGUMENT_ENV_FILE:
		return read_env_file(s->arena, text, out, err);
	case ARGUMENT_JSON_FILE:
		return read_input(s->arena, text, out, err);
	case ARGUMENT_JSON:
		return json_parse(s->arena, text, strlen(text), g->flag, out, err);
	case ARGUMENT_LIST:
		*out = lines_of(s->arena, text);
		return true;
	case ARGUMENT_TRUE:
	case ARGUMENT_FALSE:
		*out = json_of_bool(g->kind == ARGUMENT_TRUE);
		return true;
	}
	assert(false);
	return false;
}

static void set_members(struct arena *a, struct json *body, const char *members, struct json value)
{
	while (*members) {
		size_t n = strcspn(members, " ");
		set_path(a, body, arena_strndup(a, members, n), value);
		members += n + strspn(members + n, " ");
	}
}

const char *url_escaped(struct arena *a, const char *text)
{
	struct buf b = buf_in(a);
	buf_escaped(&b, text);
	return buf_cstr(&b);
}

/* The flag that fills the n bytes "{name}" of a path, NULL when a positional does. */
static const char *path_argument(const struct settings *s, const struct api_call *call, const char *name, size_t n)
{
	for (const struct argument *g = call->arguments; g && g->flag; g++)
		if (strlen(g->member) == n && strncmp(g->member, name, n) == 0)
			return setting(s, g->flag);
	return NULL;
}

static const char *request_path(struct arena *a, const struct settings *s, const struct api_call *call)
{
	struct buf b = buf_in(a);
	size_t next = 0;
	for (const char *p = call->path; *p; p++) {
		if (*p != '{') {
			buf_char(&b, *p);
			continue;
		}
		const char *end = strchr(p, '}'), *value = path_argument(s, call, p, (size_t)(end - p) + 1);
		assert(value || next < s->positionals_n);
		buf_str(&b, url_escaped(a, value ? value : s->positionals[next++]));
		p = end;
	}
	const char *join = "?";
	bool is_get = strcmp(call->method, "GET") == 0;
	for (const struct argument *g = call->arguments; is_get && g && g->flag; g++)
		if (g->member[0] != '{' && setting(s, g->flag)) {
			buf_printf(&b, "%s%s=%s", join, g->member, url_escaped(a, setting(s, g->flag)));
			join = "&";
		}
	return buf_cstr(&b);
}

static bool check_required(const struct settings *s, const struct api_call *call, struct err *err)
{
	const char *ignored;
	for (const struct argument *g = call->arguments; g && g->flag; g++)
		if (g->is_required && !setting_required(s, g->flag, &ignored, err))
			return false;
	return true;
}

static const char *time_text(struct arena *a)
{
	char text[32];
	struct tm tm;
	time_t now = time(NULL);
	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, text);
}

static bool request_body(struct arena *a, const struct api_request *r, const char **out, struct err *err)
{
	const struct settings *s = r->settings;
	const struct api_call *call = r->command->call;
	struct json body = json_object(), value;
	if (command_has_options(r->command, input_settings)) {
		const char *path = setting(s, "--input-file");
		bool may_lack = (call->flags & API_FLAGS_DO) && !path;
		if (!may_lack && (!setting_required(s, "--input-file", &path, err) || !read_input(a, path, &body, err)))
			return false;
		if (call->input_member) {
			value = body;
			body = json_object();
			json_set(a, &body, call->input_member, value);
		}
	}
	for (const struct argument *g = call->arguments; g && g->flag; g++)
		if (g->member[0] != '{' && setting(s, g->flag)) {
			if (!argument_value(s, g, &value, err))
				return false;
			set_members(a, &body, g->member, value);
		} else if (g->fallback && !json_path(&body, g->member)) {
			bool is_time = strcmp(g->fallback, "now") == 0;
			set_path(a, &body, g->member, json_of_str(is_time ? time_text(a) : g->fallback));
		}
	if (call->flags & (API_MODES | API_POLICY)) {
		const char *dry_run = call->flags & API_MODES ? "dry-run" : "dry_run";
		if (setting_on(s, "--apply") && setting_on(s, "--dry-run"))
			return err_set(err, &E_invalid_request, "--apply and --dry-run exclude each other");
		json_set_str(a, &body, "mode", setting_on(s, "--apply") ? "apply" : dry_run);
	}
	if (call->flags & API_POLICY)
		json_set_str(a, &body, "product", "launchplane");
	if (call->operation_name)
		json_set_str(a, &body, "operation", call->operation_name);
	*out = json_text(a, &body);
	return true;
}

bool api_body(struct arena *a, const struct command *c, const struct settings *s, const char **out, struct err *err)
{
	const struct api_request r = { .command = c, .settings = s };
	return check_required(s, c->call, err) && request_body(a, &r, out, err);
}

static bool is_write(const struct api_call *call)
{
	return strcmp(call->method, "GET") != 0;
}

static bool make_request(struct arena *a, struct api_request *r, struct err *err)
{
	const struct api_call *call = r->command->call;
	r->send.method = call->method;
	if (!check_required(r->settings, call, err) || (is_write(call) && !request_body(a, r, &r->send.body, err)))
		return false;
	r->send.path = request_path(a, r->settings, call);
	if (!command_has_options(r->command, idempotency_settings))
		return true;
	r->send.idempotency_key = setting(r->settings, "--idempotency-key");
	if (!r->send.idempotency_key && (call->flags & API_NEEDS_KEY)) {
		r->send.idempotency_key = arena_printf(a, "cli-%s", random_hex(a, 12));
		/* Who loses the answer can ask again with it. */
		fprintf(stderr, "--idempotency-key %s\n", r->send.idempotency_key);
	}
	return true;
}

/* ---- the answer ---- */

static void print_accepted(struct buf *b, const struct json *doc)
{
	struct json shown = json_object();
	const struct json *records = json_get(doc, "records"), *result = json_get(doc, "result");
	for (size_t i = 0; records && records->type == JSON_OBJECT && i < records->n; i++)
		json_set(b->arena, &shown, records->members[i].key, records->members[i].value);
	if (result)
		json_set(b->arena, &shown, "result", *result);
	if (json_bool(doc, "replayed", false))
		json_set_str(b->arena, &shown, "replayed", "the answer of an earlier, equal request");
	print_fields(b, &shown);
	if (b->n == 0)
		buf_str(b, "accepted\n");
}

static void print_answer(const struct client *c, const struct api_call *call, const struct client_reply *reply)
{
	struct buf b = buf_in(c->t->arena);
	const struct json *member = call->member ? json_path(&reply->doc, call->member) : NULL;
	if (c->json || (call->flags & API_DOCUMENT) || reply->doc.type == JSON_NULL)
		buf_printf(&b, "%s%s", reply->text, strchr(reply->text, '\n') ? "" : "\n");
	else if (member && (call->flags & API_TEXT) && member->type == JSON_STRING)
		buf_str(&b, member->string);
	else if (member && call->columns)
		print_table(&b, member, call->columns);
	else if (is_write(call))
		print_accepted(&b, &reply->doc);
	else
		print_fields(&b, member ? member : &reply->doc);
	if (!c->json && call->warnings)
		print_warnings(&b, json_path(&reply->doc, call->warnings));
	const char *cursor = json_str(&reply->doc, "next_cursor", "");
	if (!c->json && cursor[0])
		buf_printf(&b, "more: --cursor %s\n", cursor);
	fputs(buf_cstr(&b), stdout);
}

static NO_ROLE_CHECK int api_main(struct client *c, void *arg)
{
	struct api_request *r = arg;
	const struct api_call *call = r->command->call;
	struct client_reply reply;
	struct err err = { 0 };
	if (!make_request(c->t->arena, r, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	if (!client_send(c, &r->send, &reply, &err))
		return client_failed(c, &err);
	if (reply.status < 200 || reply.status > 299)
		return client_refused(c, &reply);
	print_answer(c, call, &reply);
	if (call->verdict) {
		const struct json *verdict = json_path(&reply.doc, call->verdict);
		return verdict && verdict->type == JSON_STRING && strcmp(verdict->string, "ok") == 0 ? 0 : EXIT_FAILED;
	}
	if (!call->operation || !setting_on(r->settings, "--watch"))
		return 0;
	const struct json *id = json_path(&reply.doc, call->operation);
	if (!id || id->type != JSON_STRING)
		return command_fail(EXIT_FAILED, "the answer names no operation to watch");
	fflush(stdout);
	return operation_watch(c, id->string, 0);
}

int api_run(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	struct api_request r = { .command = c, .settings = s };
	return client_run(s, api_main, &r);
}
