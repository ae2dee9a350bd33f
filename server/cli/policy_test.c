/* launchplane authz-policies test: what a policy would decide, before it is imported. Nothing but files is read. */
#include "server/auth/oidc.h"
#include "server/auth/policy_explain.h"
#include "server/auth/policy_store.h"
#include "server/cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 1000 /* organizations or teams of one caller */

static const struct setting test_settings[] = {
	{ "--cases", NULL, NULL, "FILE",
	  "One JSON object a line: caller, action, product, context, and expect: true or false; - for standard input. "
	  "A "
	  "line with policy alone puts that policy in place of the file's",
	  0 },
	{ "--explain", NULL, NULL, NULL, "Print the rule that allows, or the nearest ones, too", SETTING_SWITCH },
	{ 0 },
};
static const struct setting *const test_options[] = { policy_file_settings, test_settings, NULL };

struct run {
	struct policy *policy;
	bool explains;
	size_t line, cases, wrong;
};

/* ---- who asks ---- */

static bool text_member(const struct json *j, const char *name, const char **out, struct err *err)
{
	const struct json *m = json_get(j, name);
	char path[80];
	snprintf(path, sizeof(path), "caller.%s", name);
	if (m && m->type != JSON_STRING)
		return err_field(err, path, "must be a string");
	*out = m ? m->string : "";
	return true;
}

static bool list_member(struct arena *a, const struct json *j, const char *name, const char *const **out,
                        struct err *err)
{
	const struct json *m = json_get(j, name);
	char path[80];
	snprintf(path, sizeof(path), "caller.%s", name);
	if (m && (m->type != JSON_ARRAY || m->n > NAMES_MAX))
		return err_field(err, path, "must be a list of at most %d strings", NAMES_MAX);
	size_t n = m ? m->n : 0;
	const char **list = arena_array(a, n + 1, sizeof(*list));
	for (size_t i = 0; i < n; i++) {
		if (m->items[i].type != JSON_STRING)
			return err_field(err, path, "must be a list of strings");
		list[i] = m->items[i].string;
	}
	list[n] = NULL;
	*out = list;
	return true;
}

static bool human_of(struct arena *a, const struct json *j, struct principal *out, struct err *err)
{
	struct human human = { .name = "", .email = "" };
	const char *role;
	if (!text_member(j, "login", &human.login, err) || !text_member(j, "role", &role, err) ||
	    !list_member(a, j, "organizations", &human.organizations, err) ||
	    !list_member(a, j, "teams", &human.teams, err))
		return false;
	if (!human_role_of(role, &human.role))
		return err_field(err, "caller.role", "must be read_only or admin");
	principal_of_human(a, &human, out);
	return true;
}

static bool caller_of(struct arena *a, const struct json *j, struct principal *out, struct err *err)
{
	const char *type, *subject, *label;
	if (!j || j->type != JSON_OBJECT)
		return err_field(err, "caller", "must be an object with a type");
	if (!text_member(j, "type", &type, err))
		return false;
	if (strcmp(type, principal_kind_name(PRINCIPAL_GITHUB_HUMAN)) == 0)
		return human_of(a, j, out, err);
	if (strcmp(type, principal_kind_name(PRINCIPAL_GITHUB_ACTIONS)) == 0) {
		struct github_claims claims;
		enum token_refusal r = oidc_read_github_claims(a, j, &claims);
		if (r != TOKEN_ACCEPTED)
			return err_field(err, "caller", "would be no workflow's: %s", token_refusal_help(r));
		principal_of_workflow(a, &claims, out);
		return true;
	}
	for (enum principal_kind kind = PRINCIPAL_TERMINAL_AGENT; kind < PRINCIPAL_KINDS; kind++) {
		if (strcmp(type, principal_kind_name(kind)) != 0)
			continue;
		if (!text_member(j, "subject", &subject, err) || !text_member(j, "token_label", &label, err))
			return false;
		return principal_of_token(a, kind, subject, label, out) ||
		       err_field(err, "caller", "needs a subject and a token_label");
	}
	return err_field(err, "caller.type",
	                 "must be github_actions, github_human, terminal_agent, local_operator or local_admin");
}

/* ---- the cases ---- */

static bool question_member(const struct json *j, const char *name, const char **out, struct err *err)
{
	*out = json_str(j, name, "");
	return !is_blank(*out) || err_field(err, name, "is required");
}

static bool check_members(const struct json *j, struct err *err)
{
	static const char *const known[] = { "caller", "action", "product", "context", "expect" };
	for (uint32_t i = 0; i < j->n; i++) {
		size_t k = 0;
		while (k < countof(known) && strcmp(known[k], j->members[i].key) != 0)
			k++;
		if (k == countof(known))
			return err_field(err, j->members[i].key, "is not part of a case");
	}
	const struct json *expect = json_get(j, "expect");
	return !expect || expect->type == JSON_BOOL || err_field(err, "expect", "must be true or false");
}

static bool decide(struct run *r, struct arena *a, const struct json *j, struct err *err)
{
	struct principal who;
	const char *action, *product, *context;
	if (!check_members(j, err) || !caller_of(a, json_get(j, "caller"), &who, err) ||
	    !question_member(j, "action", &action, err) || !question_member(j, "product", &product, err) ||
	    !question_member(j, "context", &context, err))
		return false;
	const struct json *expect = json_get(j, "expect");
	bool allowed = policy_allows(r->policy, &who, action, product, context);
	bool wrong = expect && expect->boolean != allowed;
	struct buf b = buf_in(a);
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	jo_kv_int(&o, "line", (int64_t)r->line);
	jo_kv_bool(&o, "allowed", allowed);
	jo_kv(&o, "reason", allowed ? "rule" : policy_denial(r->policy, &who, action, product, context));
	if (expect)
		jo_kv_bool(&o, "as_expected", !wrong);
	if (r->explains) {
		const char *why = policy_explain(a, r->policy, &who, action, product, context);
		jo_key(&o, "explanation");
		jo_raw(&o, why, strlen(why));
	}
	jo_close(&o, '}');
	puts(buf_cstr(&b));
	r->cases++;
	r->wrong += wrong;
	return true;
}

static bool take_line(struct run *r, struct arena *a, const char *text, size_t n, struct err *err)
{
	struct json j;
	if (n > POLICY_MAX_BYTES)
		return err_set(err, &E_invalid_request, "is longer than %u bytes", POLICY_MAX_BYTES);
	if (!json_parse(a, text, n, "the line", &j, err))
		return false;
	if (j.type != JSON_OBJECT)
		return err_set(err, &E_invalid_request, "must be a JSON object");
	const struct json *document = json_get(&j, "policy");
	if (document && j.n == 1) {
		struct policy *p = policy_of_json(document, err);
		if (!p)
			return false;
		policy_free(r->policy);
		r->policy = p;
		return true;
	}
	if (!r->policy)
		return err_set(err, &E_invalid_request, "comes before any policy: give --policy-file");
	return decide(r, a, &j, err);
}

static int take_lines(struct run *r, FILE *from)
{
	struct arena *a = arena_new();
	struct err err = { 0 };
	char *text = NULL;
	size_t room = 0;
	ssize_t n;
	bool ok = true;
	while (ok && (n = getline(&text, &room, from)) >= 0) {
		r->line++;
		if (strspn(text, " \t\r\n") < (size_t)n)
			ok = take_line(r, a, text, (size_t)n, &err);
		arena_reset(a);
	}
	free(text);
	arena_free(a);
	if (!ok)
		return command_fail(EXIT_USAGE, "line %zu: %s", r->line, err.message);
	if (ferror(from))
		return command_fail(EXIT_FAILED, "the cases cannot be read: %s", strerror(errno));
	if (r->wrong)
		return command_fail(EXIT_FAILED, "%zu of %zu cases are not decided as expected", r->wrong, r->cases);
	return 0;
}

static bool read_policy_file(struct run *r, struct settings *s, struct err *err)
{
	const char *text, *path = setting(s, "--policy-file");
	size_t n;
	if (!path)
		return true;
	if (!policy_file_read(s->arena, path, &text, &n, err))
		return false;
	r->policy = policy_of_text(text, n, path, err);
	return r->policy != NULL;
}

static int run_test(const struct command *c, struct settings *s, char **argv)
{
	(void)c;
	(void)argv;
	struct run r = { .explains = setting_on(s, "--explain") };
	struct err err = { 0 };
	const char *path;
	if (!setting_required(s, "--cases", &path, &err))
		return command_fail(EXIT_USAGE, "%s", err.message);
	if (!read_policy_file(&r, s, &err))
		return command_fail(EXIT_FAILED, "the policy cannot be used: %s", err.message);
	bool is_standard = strcmp(path, "-") == 0;
	FILE *from = is_standard ? stdin : fopen(path, "re");
	int code = from ? take_lines(&r, from)
	                : command_fail(EXIT_USAGE, "the cases %s cannot be read: %s", path, strerror(errno));
	if (from && !is_standard)
		fclose(from);
	policy_free(r.policy);
	return code;
}

const struct command policy_test_commands[] = {
	{ "authz-policies", "test", "What a policy decides in given cases; exits with 1 when one is not as expected",
	  NULL, 0, test_options, run_test, NULL },
	{ 0 },
};
