#include "server/auth/policy_internal.h"

#include "server/auth/toml_shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX 2000
#define TEXT_MAX 1024

/* ---- what a rule may say ---- */

/* clang-format off */
static const struct field github_actions_fields[] = {
	{ "repository",           FIELD_NAME,  OF_REPOSITORY,          EXACT },
	{ "repository_id",        FIELD_ID,    OF_REPOSITORY_ID,       EXACT },
	{ "repository_owner_id",  FIELD_ID,    OF_REPOSITORY_OWNER_ID, EXACT },
	{ "actions",              FIELD_LIST,  OF_ACTION,              EXACT },
	{ "products",             FIELD_LIST,  OF_PRODUCT,             GLOB },
	{ "contexts",             FIELD_LIST,  OF_CONTEXT,             GLOB },
	{ "workflow_refs",        FIELD_LIST,  OF_WORKFLOW_REF,        GLOB },
	{ "job_workflow_refs",    FIELD_LIST,  OF_JOB_WORKFLOW_REF,    GLOB },
	{ "event_names",          FIELD_LIST,  OF_EVENT_NAME,          EXACT },
	{ "refs",                 FIELD_LIST,  OF_REF,                 EXACT },
	{ "environments",         FIELD_LIST,  OF_ENVIRONMENT,         EXACT },
	{ "runner_environments",  FIELD_LATER, OF_RUNNER_ENVIRONMENT,  EXACT },
};
static const struct field github_humans_fields[] = {
	{ "logins",        FIELD_LIST,  OF_LOGIN,         GLOB },
	{ "organizations", FIELD_LIST,  OF_ORGANIZATIONS, GLOB },
	{ "teams",         FIELD_LIST,  OF_TEAMS,         GLOB },
	{ "roles",         FIELD_ROLES, OF_ROLE,          EXACT },
	{ "products",      FIELD_LIST,  OF_PRODUCT,       EXACT },
	{ "contexts",      FIELD_LIST,  OF_CONTEXT,       EXACT },
	{ "actions",       FIELD_LIST,  OF_ACTION,        EXACT },
};
_Static_assert(HUMAN_ROLES == 3, "the roles stand behind those that say who");
static const struct field terminal_agents_fields[] = {
	{ "subjects",     FIELD_LIST, OF_SUBJECT,     GLOB },
	{ "token_labels", FIELD_LIST, OF_TOKEN_LABEL, GLOB },
	{ "products",     FIELD_LIST, OF_PRODUCT,     EXACT },
	{ "contexts",     FIELD_LIST, OF_CONTEXT,     EXACT },
	{ "actions",      FIELD_LIST, OF_ACTION,      EXACT },
};
static const struct field local_fields[] = {
	{ "subjects",     FIELD_LIST, OF_SUBJECT,     GLOB },
	{ "token_labels", FIELD_LIST, OF_TOKEN_LABEL, GLOB },
	{ "products",     FIELD_LIST, OF_PRODUCT,     GLOB },
	{ "contexts",     FIELD_LIST, OF_CONTEXT,     GLOB },
	{ "actions",      FIELD_LIST, OF_ACTION,      EXACT },
};

/* An empty section is left out of the digest where older documents did not know it. */
const struct section policy_sections[PRINCIPAL_KINDS] = {
	[PRINCIPAL_GITHUB_ACTIONS] = { "github_actions",  github_actions_fields,  countof(github_actions_fields),  false },
	[PRINCIPAL_GITHUB_HUMAN]   = { "github_humans",   github_humans_fields,   countof(github_humans_fields),   false },
	[PRINCIPAL_TERMINAL_AGENT] = { "terminal_agents", terminal_agents_fields, countof(terminal_agents_fields), true },
	[PRINCIPAL_LOCAL_OPERATOR] = { "local_operators", local_fields,           countof(local_fields),           true },
	[PRINCIPAL_LOCAL_ADMIN]    = { "local_admins",    local_fields,           countof(local_fields),           true },
};
/* clang-format on */

_Static_assert(countof(github_actions_fields) <= FIELDS_MAX, "a rule has room for its conditions");

/* ---- reading ---- */

static bool read_text(const struct json *j, const char *path, const char **out, struct err *err)
{
	if (j->type != JSON_STRING)
		return err_field(err, path, "must be a string");
	if (j->n > TEXT_MAX)
		return err_field(err, path, "is longer than %d bytes", TEXT_MAX);
	*out = j->string;
	return true;
}

static bool read_name(struct policy *p, const struct json *j, const char *path, struct list *out, struct json *kept,
                      struct err *err)
{
	const char *text;
	if (!j)
		return err_field(err, path, "is required");
	if (!read_text(j, path, &text, err))
		return false;
	text = arena_strdup(p->arena, text);
	const char **item = ARENA_NEW(p->arena, const char *);
	*item = trimmed(p->arena, text);
	if (!(*item)[0])
		return err_field(err, path, "must not be blank");
	*out = (struct list){ item, 1 };
	*kept = json_of_str(text);
	return true;
}

static bool read_id(struct policy *p, const struct json *j, const char *path, struct list *out, struct json *kept,
                    struct err *err)
{
	if (!j || j->type == JSON_NULL)
		return true;
	const char **item = ARENA_NEW(p->arena, const char *);
	if (j->type == JSON_INT && j->integer > 0) {
		*item = arena_printf(p->arena, "%lld", (long long)j->integer);
		*kept = *j;
	} else if (j->type == JSON_STRING && j->n && j->n < 20 && strspn(j->string, "0123456789") == j->n) {
		*item = arena_strdup(p->arena, j->string);
		*kept = json_of_str(*item);
	} else {
		return err_field(err, path, "must be a number of GitHub's, as digits");
	}
	*out = (struct list){ item, 1 };
	return true;
}

static bool read_list(struct policy *p, const struct field *f, const struct json *j, const char *path, struct list *out,
                      struct json *kept, struct err *err)
{
	*kept = json_array();
	if (!j)
		return true;
	if (j->type != JSON_ARRAY)
		return err_field(err, path, "must be a list of strings");
	if (j->n > LIST_MAX)
		return err_field(err, path, "has more than %d entries", LIST_MAX);
	out->items = arena_array(p->arena, j->n, sizeof(*out->items));
	for (uint32_t i = 0; i < j->n; i++) {
		char entry[200];
		const char *text;
		enum human_role role;
		snprintf(entry, sizeof(entry), "%s[%u]", path, i);
		if (!read_text(&j->items[i], entry, &text, err))
			return false;
		if (f->kind == FIELD_ROLES && !human_role_of(text, &role))
			return err_field(err, entry, "must be read_only or admin");
		out->items[out->n++] = arena_strdup(p->arena, text);
		json_push(p->arena, kept, json_of_str(out->items[out->n - 1]));
	}
	return true;
}

static bool read_field(struct policy *p, const struct field *f, const struct json *j, const char *path,
                       struct list *out, struct json *kept_rule, struct err *err)
{
	struct json kept = { .type = JSON_NULL };
	bool ok = f->kind == FIELD_NAME ? read_name(p, j, path, out, &kept, err)
	          : f->kind == FIELD_ID ? read_id(p, j, path, out, &kept, err)
	                                : read_list(p, f, j, path, out, &kept, err);
	if (!ok)
		return false;
	if (kept.type != JSON_NULL && !(f->kind == FIELD_LATER && kept.n == 0))
		json_set(p->arena, kept_rule, f->name, kept);
	return true;
}

static const struct field *field_of(const struct section *s, const char *name)
{
	for (size_t i = 0; i < s->fields_n; i++)
		if (strcmp(s->fields[i].name, name) == 0)
			return &s->fields[i];
	return NULL;
}

static bool read_rule(struct policy *p, const struct section *s, const struct json *j, const char *path,
                      struct rule *out, struct json *kept, struct err *err)
{
	char field_path[160];
	if (j->type != JSON_OBJECT)
		return err_field(err, path, "must be a rule: an object");
	for (uint32_t i = 0; i < j->n; i++) {
		if (field_of(s, j->members[i].key))
			continue;
		snprintf(field_path, sizeof(field_path), "%s.%.80s", path, j->members[i].key);
		return err_field(err, field_path, "is not a field of a rule in %s", s->name);
	}
	*kept = json_object();
	for (size_t i = 0; i < s->fields_n; i++) {
		const struct field *f = &s->fields[i];
		snprintf(field_path, sizeof(field_path), "%s.%s", path, f->name);
		if (!read_field(p, f, json_get(j, f->name), field_path, &out->conditions[i], kept, err))
			return false;
	}
	return true;
}

static bool read_section(struct policy *p, enum principal_kind kind, const struct json *document, size_t *total,
                         struct err *err)
{
	const struct section *s = &policy_sections[kind];
	const struct json *j = json_get(document, s->name);
	struct json kept = json_array();
	if (j && j->type != JSON_ARRAY)
		return err_field(err, s->name, "must be a list of rules");
	size_t n = j ? j->n : 0;
	*total += n;
	if (*total > POLICY_MAX_RULES)
		return err_field(err, s->name, "a policy has at most %d rules", POLICY_MAX_RULES);
	p->of[kind].rules = arena_array(p->arena, n, sizeof(struct rule));
	for (uint32_t i = 0; i < n; i++) {
		char path[64];
		struct json kept_rule;
		snprintf(path, sizeof(path), "%s[%u]", s->name, i);
		if (!read_rule(p, s, &j->items[i], path, &p->of[kind].rules[p->of[kind].n++], &kept_rule, err))
			return false;
		json_push(p->arena, &kept, kept_rule);
	}
	if (n || !s->is_later)
		json_set(p->arena, &p->document, s->name, kept);
	return true;
}

static bool is_top_level(const char *name)
{
	if (strcmp(name, "schema_version") == 0)
		return true;
	for (size_t i = 0; i < PRINCIPAL_KINDS; i++)
		if (strcmp(name, policy_sections[i].name) == 0)
			return true;
	return false;
}

static bool read_policy(struct policy *p, const struct json *document, struct err *err)
{
	if (document->type != JSON_OBJECT)
		return err_field(err, "", "a policy is an object");
	for (uint32_t i = 0; i < document->n; i++)
		if (!is_top_level(document->members[i].key))
			return err_field(err, document->members[i].key, "is not part of a policy");
	const struct json *version = json_get(document, "schema_version");
	if (version && (version->type != JSON_INT || version->integer < 1))
		return err_field(err, "schema_version", "must be a whole number from 1 on");
	p->document = json_object();
	json_set(p->arena, &p->document, "schema_version", json_of_int(version ? version->integer : 1));
	size_t total = 0;
	for (enum principal_kind kind = 0; kind < PRINCIPAL_KINDS; kind++)
		if (!read_section(p, kind, document, &total, err))
			return false;
	return true;
}

static int by_repository(const void *x, const void *y)
{
	return strcmp(rule_repository(x), rule_repository(y));
}

struct policy *policy_of_json(const struct json *document, struct err *err)
{
	struct arena *a = arena_new();
	struct policy *p = ARENA_NEW(a, struct policy);
	p->arena = a;
	if (!read_policy(p, document, err)) {
		arena_free(a);
		return NULL;
	}
	if (p->of[PRINCIPAL_GITHUB_ACTIONS].n)
		qsort(p->of[PRINCIPAL_GITHUB_ACTIONS].rules, p->of[PRINCIPAL_GITHUB_ACTIONS].n, sizeof(struct rule),
		      by_repository);
	policy_index(p);
	struct arena *scratch = arena_new();
	struct buf text = buf_in(scratch);
	json_write_canonical(&text, &p->document);
	sha256_hex(text.p, text.n, p->sha256);
	arena_free(scratch);
	return p;
}

static bool parse(struct arena *a, const char *text, size_t n, const char *what, struct json *out, struct err *err)
{
	size_t blanks = strspn(text, " \t\r\n");
	if (n > POLICY_MAX_BYTES)
		return err_set(err, &E_invalid_request, "%s is larger than %u bytes", what, POLICY_MAX_BYTES);
	if (blanks < n && text[blanks] == '{')
		return json_parse(a, text, n, what, out, err);
	char why[300];
	if (toml_to_json(a, text, n, out, why, sizeof(why)))
		return true;
	return err_set(err, &E_invalid_request, "%s %s", what, why);
}

struct policy *policy_of_text(const char *text, size_t n, const char *what, struct err *err)
{
	struct arena *a = arena_new();
	struct json document;
	const char *copy = arena_strndup(a, text, n);
	struct policy *p = parse(a, copy, n, what, &document, err) ? policy_of_json(&document, err) : NULL;
	arena_free(a);
	return p;
}

void policy_free(struct policy *p)
{
	if (p)
		arena_free(p->arena); /* the policy itself lives in it */
}

const struct json *policy_document(const struct policy *p)
{
	return &p->document;
}

const char *policy_sha256(const struct policy *p)
{
	return p->sha256;
}

size_t policy_rule_count(const struct policy *p, enum principal_kind kind)
{
	return p->of[kind].n;
}

const char *policy_section(enum principal_kind kind)
{
	return policy_sections[kind].name;
}
