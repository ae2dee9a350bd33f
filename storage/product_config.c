#include "storage/product_config.h"

#include "storage/plan.h"

/* ---- the bundle ---- */

static bool check_secret(struct arena *a, void *record, const char *path, struct err *err)
{
	struct config_secret *s = record;
	if (is_blank(s->name) && is_blank(s->binding_key))
		return contract_fail(a, err, path, "name", "or binding_key is required");
	if (is_blank(s->name))
		s->name = s->binding_key;
	if (is_blank(s->binding_key))
		s->binding_key = s->name;
	if (is_blank(s->integration))
		s->integration = "runtime_environment";
	if (!is_env_key(s->binding_key))
		return contract_fail(a, err, path, "binding_key",
		                     "must be an environment key (letters, digits and _, not starting with a digit)");
	return true;
}

static const struct field config_secret_fields[] = {
	F_STR(config_secret, name, TRIMMED, .max = 200, .help = "Default: binding_key"),
	F_STR(config_secret, binding_key, TRIMMED, .max = 200, .help = "The environment key; default: name"),
	F_STR(config_secret, value, REQUIRED | NON_BLANK | SECRET, .help = "Write-only plaintext"),
	F_STR(config_secret, scope, TRIMMED,
	      .help = "global, context or context_instance; default: the bundle's place"),
	F_STR(config_secret, context, TRIMMED),
	F_STR(config_secret, instance, TRIMMED),
	F_STR(config_secret, integration, TRIMMED, .fallback = "runtime_environment",
	      .help = "runtime_environment: becomes part of the lane's environment; dokploy: DOKPLOY_HOST, "
	              "DOKPLOY_TOKEN"),
	F_STR(config_secret, description, 0),
	F_END,
};
static const struct contract config_secret_contract =
        CONTRACT(config_secret, config_secret_fields, "A secret to write", .check = check_secret);

static bool check_config_request(struct arena *a, void *record, const char *path, struct err *err)
{
	struct product_config_request *r = record;
	if (r->schema_version != 1)
		return contract_fail(a, err, path, "schema_version", "must be 1");
	if (strcmp(r->mode, "dry-run") != 0 && strcmp(r->mode, "apply") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	if (r->instance[0] && !r->context[0])
		return contract_fail(a, err, path, "context", "is required when instance is given");
	if (r->runtime_env && r->runtime_environment)
		return contract_fail(a, err, path, "runtime_environment",
		                     "is another name of runtime_env; send one of them");
	if (is_blank(r->source_label))
		r->source_label = "product-config-api";
	return true;
}

static const struct field config_request_fields[] = {
	F_INT(product_config_request, schema_version, 0, .min = 1, .max = 1, .fallback = "1"),
	F_STR(product_config_request, mode, LOWERED, .fallback = "dry-run", .help = "dry-run or apply"),
	F_STR(product_config_request, product, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(product_config_request, context, TRIMMED | NO_BLANKS),
	F_STR(product_config_request, instance, TRIMMED | NO_BLANKS,
	      .help = "With context: that lane; context alone: all its lanes; neither: global"),
	F_JSON(product_config_request, runtime_env, 0,
	       .help = "Keys and scalar values, or an object with env, scope, context, instance"),
	F_JSON(product_config_request, runtime_environment, 0, .help = "Another name of runtime_env"),
	F_LIST(product_config_request, secrets, 0, &config_secret_contract, .max = 200),
	F_STR(product_config_request, source_label, TRIMMED, .fallback = "product-config-api"),
	F_STR(product_config_request, reason, TRIMMED),
	F_PLAN_DIGEST(product_config_request),
	F_END,
};
const struct contract product_config_request_contract =
        CONTRACT(product_config_request, config_request_fields, "Runtime values and secrets for one place",
                 .check = check_config_request);

static bool same_place(struct arena *a, const struct place *place, const char *scope, const char *wanted_scope,
                       const char *context, const char *instance, const char *path, struct err *err)
{
	if (scope[0] && strcmp(scope, wanted_scope) != 0)
		return contract_fail(a, err, path, "scope", "must be %s like the bundle's own place", wanted_scope);
	if (context[0] && strcmp(context, place->context) != 0)
		return contract_fail(a, err, path, "context", "must equal the bundle's context");
	if (instance[0] && strcmp(instance, place->instance) != 0)
		return contract_fail(a, err, path, "instance", "must equal the bundle's instance");
	return true;
}

/* Flat: members are keys, except that scope, context and instance place it. Nested: {"env": {...}, ...}. */
static bool read_env(struct arena *a, const struct json *given, const char *path, const struct place *place,
                     const struct json **out, struct err *err)
{
	if (given->type != JSON_OBJECT)
		return err_field(err, path, "must be an object");
	const struct json *nested = json_get(given, "env");
	bool is_nested = nested && nested->type == JSON_OBJECT;
	struct json *env = ARENA_NEW(a, struct json);
	*env = json_object();
	for (uint32_t i = 0; i < given->n; i++) {
		const char *key = given->members[i].key;
		bool places = !strcmp(key, "scope") || !strcmp(key, "context") || !strcmp(key, "instance");
		if (places && given->members[i].value.type != JSON_STRING)
			return err_field(err, contract_field_path(a, path, key), "must be a string");
		if (is_nested && !places && strcmp(key, "env") != 0)
			return err_field(err, contract_field_path(a, path, key), "is not a known field beside env");
		if (!places && !is_nested)
			json_set(a, env, key, given->members[i].value);
	}
	if (!same_place(a, place, json_str(given, "scope", ""), place_scope(place), json_str(given, "context", ""),
	                json_str(given, "instance", ""), path, err))
		return false;
	*out = is_nested ? nested : env;
	return runtime_env_check(a, *out, is_nested ? contract_field_path(a, path, "env") : path, err);
}

/* Each secret once, for the bundle's own place, and under a key that the bundle does not also set in plain. */
static bool read_secrets(struct arena *a, struct product_config *c, struct err *err)
{
	const struct product_config_request *r = c->request;
	c->wishes = arena_array(a, r->secrets.n + 1, sizeof(*c->wishes));
	for (size_t i = 0; i < r->secrets.n; i++) {
		const struct config_secret *s = &r->secrets.v[i];
		const char *path = arena_printf(a, "secrets[%zu]", i);
		if (!same_place(a, &c->place, s->scope, place_secret_scope(&c->place), s->context, s->instance, path,
		                err))
			return false;
		for (size_t k = 0; k < i; k++)
			if (!strcmp(s->integration, r->secrets.v[k].integration) &&
			    (!strcmp(slug(a, s->name), slug(a, r->secrets.v[k].name)) ||
			     !strcmp(s->binding_key, r->secrets.v[k].binding_key)))
				return contract_fail(a, err, path, "name", "names the same secret as secrets[%zu]", k);
		if (c->env && !strcmp(s->integration, "runtime_environment") && json_get(c->env, s->binding_key))
			return contract_fail(a, err, path, "binding_key",
			                     "is also a plain value of this bundle; send it once");
		c->wishes[i] = (struct secret_wish){ c->place,       s->integration, s->name,
			                             s->binding_key, s->value,       s->description };
	}
	if ((!c->env || c->env->n == 0) && r->secrets.n == 0)
		return err_field(err, "runtime_env", "or secrets must hold something to write");
	return true;
}

bool product_config_read(struct arena *a, const struct product_config_request *r, const char *actor, const char *now,
                         struct product_config *out, struct err *err)
{
	*out = (struct product_config){ .request = r,
		                        .place = { r->context, r->instance },
		                        .by = { actor, now, r->source_label, r->reason } };
	const struct json *given = r->runtime_env ? r->runtime_env : r->runtime_environment;
	if (given &&
	    !read_env(a, given, r->runtime_env ? "runtime_env" : "runtime_environment", &out->place, &out->env, err))
		return false;
	return read_secrets(a, out, err);
}
