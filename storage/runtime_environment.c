#include "storage/runtime_environment.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

const char *place_scope(const struct place *r)
{
	return r->instance[0] ? "instance" : r->context[0] ? "context" : "global";
}

const char *place_secret_scope(const struct place *r)
{
	return r->instance[0] ? "context_instance" : r->context[0] ? "context" : "global";
}

bool is_secret_shaped(const char *key)
{
	static const char *const parts[] = { "PASSWORD", "TOKEN", "SECRET", "KEY" };
	for (;;) {
		size_t n = strcspn(key, "_");
		for (size_t i = 0; i < countof(parts); i++)
			if (n == strlen(parts[i]) && strncasecmp(key, parts[i], n) == 0)
				return true;
		if (!key[n])
			return false;
		key += n + 1;
	}
}

bool is_env_key(const char *key)
{
	if (!key[0] || isdigit((unsigned char)key[0]))
		return false;
	for (; *key; key++)
		if (!isalnum((unsigned char)*key) && *key != '_')
			return false;
	return true;
}

const char *scalar_text(struct arena *a, const struct json *scalar)
{
	return scalar->type == JSON_STRING ? scalar->string : json_text(a, scalar);
}

static bool is_scalar(const struct json *j)
{
	return j->type == JSON_STRING || j->type == JSON_INT || j->type == JSON_REAL || j->type == JSON_BOOL;
}

bool runtime_env_check(struct arena *a, const struct json *env, const char *path, struct err *err)
{
	if (env->type != JSON_OBJECT)
		return err_field(err, path, "must be an object");
	if (env->n > 1000)
		return err_field(err, path, "must not have more than 1000 keys");
	for (uint32_t i = 0; i < env->n; i++) {
		const char *key = env->members[i].key;
		char shown[80];
		snprintf(shown, sizeof(shown), "%s", key);
		const char *at = contract_field_path(a, path, shown);
		if (!is_env_key(key))
			return err_field(
			        err, at,
			        "is not an environment key (letters, digits and _, not starting with a digit)");
		if (is_secret_shaped(key))
			return err_field(err, at, "looks like a secret; send it under secrets instead");
		const struct json *value = &env->members[i].value;
		if (!is_scalar(value))
			return err_field(err, at, "must be a string, a number or a boolean");
		if (value->type == JSON_STRING && strpbrk(value->string, "\n\r"))
			return err_field(err, at, "must be a single line");
	}
	return true;
}

static bool check_runtime_environment(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct runtime_environment *r = record;
	const struct place place = { r->context, r->instance };
	if (r->instance[0] && !r->context[0])
		return contract_fail(a, err, path, "context", "is required when instance is given");
	if (strcmp(r->scope, place_scope(&place)) != 0)
		return contract_fail(a, err, path, "scope", "must be %s for this context and instance",
		                     place_scope(&place));
	if (!r->env || r->env->type != JSON_OBJECT || r->env->n == 0)
		return contract_fail(a, err, path, "env", "must be an object with at least one key");
	for (uint32_t i = 0; i < r->env->n; i++)
		if (!is_scalar(&r->env->members[i].value))
			return contract_fail(a, err, path, "env", "must hold strings, numbers and booleans only");
	return true;
}

static const struct field runtime_environment_fields[] = {
	F_SCHEMA_VERSION(runtime_environment),
	F_STR(runtime_environment, scope, REQUIRED, .help = "global, context or instance"),
	F_STR(runtime_environment, context, TRIMMED),
	F_STR(runtime_environment, instance, TRIMMED),
	F_JSON(runtime_environment, env, REQUIRED, .help = "Keys with string, number or boolean values"),
	F_STR(runtime_environment, updated_at, REQUIRED | NON_BLANK),
	F_STR(runtime_environment, source_label, 0),
	F_END,
};
const struct contract runtime_environment_contract =
        CONTRACT(runtime_environment, runtime_environment_fields, "Plain runtime values of one scope",
                 .check = check_runtime_environment);

const char *const runtime_change_names[] = { "skipped", "created", "updated", "unchanged", NULL };

enum runtime_change runtime_env_merge(struct arena *a, const struct json *stored, const struct json *env,
                                      struct json *merged, struct strings *changed, struct strings *unchanged)
{
	*merged = json_object();
	*changed = *unchanged = (struct strings){ 0 };
	for (uint32_t i = 0; stored && i < stored->n; i++)
		json_set(a, merged, stored->members[i].key, stored->members[i].value);
	if (!env || env->n == 0)
		return RUNTIME_SKIPPED;
	for (uint32_t i = 0; i < env->n; i++) {
		const char *key = env->members[i].key;
		const struct json *before = stored ? json_get(stored, key) : NULL;
		if (before && strcmp(scalar_text(a, before), scalar_text(a, &env->members[i].value)) == 0) {
			strings_add(a, unchanged, key);
			continue;
		}
		strings_add(a, changed, key);
		json_set(a, merged, key, env->members[i].value);
	}
	strings_sort(changed);
	strings_sort(unchanged);
	return !stored ? RUNTIME_CREATED : changed->n ? RUNTIME_UPDATED : RUNTIME_UNCHANGED;
}

void runtime_environment_summary(struct json_out *o, const struct runtime_environment *r)
{
	struct strings keys = { 0 };
	for (uint32_t i = 0; i < r->env->n; i++)
		strings_add(o->buf->arena, &keys, r->env->members[i].key);
	strings_sort(&keys);
	jo_kv(o, "scope", r->scope);
	jo_kv(o, "context", r->context);
	jo_kv(o, "instance", r->instance);
	jo_kv(o, "updated_at", r->updated_at);
	jo_kv(o, "source_label", r->source_label);
	jo_kv_strings(o, "env_keys", &keys);
	jo_kv_int(o, "env_value_count", (int64_t)keys.n);
}
