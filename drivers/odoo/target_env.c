#include "drivers/odoo/target_env.h"

#include "drivers/dokploy/env_text.h"
#include "drivers/runtime_identity.h"
#include "storage/runtime_environment.h"

static const char *const required_modules[] = { "launchplane_settings", "disable_odoo_online" };
const struct strings odoo_required_modules = { countof(required_modules), (const char **)required_modules };

/* What an earlier deployment left and this one must say anew. */
static const char *const dropped_keys[] = {
	OVERRIDE_PAYLOAD_KEY,
	OVERRIDES_REQUIRED_KEY,
	WEBSITE_REQUIRED_KEY,
	"ODOO_INSTALL_MODULES",
};

static void write_key(struct arena *a, struct target_env *e, const char *key, const char *value)
{
	map_set(a, &e->map, key, value);
	if (!strings_have(&e->written, key))
		strings_add(a, &e->written, key);
}

static void write_all(struct arena *a, struct target_env *e, const struct text_map *values)
{
	for (size_t i = 0; i < values->n; i++)
		write_key(a, e, values->v[i].key, values->v[i].value);
}

static void add_names(struct buf *b, const char *key)
{
	buf_printf(b, "%s%s", b->n ? ", " : "", key);
}

static bool has_secret_keys(struct arena *a, const struct target_env *e, const struct strings *keys, struct err *err)
{
	struct buf missing = buf_in(a);
	for (size_t i = 0; i < keys->n; i++)
		if (is_blank(map_get(&e->map, keys->v[i])))
			add_names(&missing, keys->v[i]);
	if (missing.n == 0)
		return true;
	return err_set(
	        err, &E_invalid_request,
	        "The override payload refers to environment keys that the lane does not have: %.250s. Bind the managed "
	        "secrets to these keys",
	        missing.p);
}

/* ---- modules ---- */

static void add_modules(struct arena *a, struct strings *list, const char *comma_separated)
{
	while (comma_separated && *comma_separated) {
		size_t n = strcspn(comma_separated, ",");
		const char *name = trimmed(a, arena_strndup(a, comma_separated, n));
		if (name[0] && !strings_have(list, name))
			strings_add(a, list, name);
		comma_separated += n + (comma_separated[n] == ',');
	}
}

static const char *joined(struct arena *a, const struct strings *list)
{
	struct buf b = buf_in(a);
	for (size_t i = 0; i < list->n; i++)
		buf_printf(&b, "%s%s", i ? "," : "", list->v[i]);
	return buf_cstr(&b);
}

/* Managed ones, those of the manifest or else what was live, and explicitly configured ones. */
static const char *install_modules(struct arena *a, const struct target_env_wish *wish, const char *live)
{
	struct strings list = { 0 };
	for (size_t i = 0; i < odoo_required_modules.n; i++)
		add_modules(a, &list, odoo_required_modules.v[i]);
	for (size_t i = 0; i < wish->manifest_modules->n; i++)
		add_modules(a, &list, wish->manifest_modules->v[i]);
	if (wish->manifest_modules->n == 0)
		add_modules(a, &list, live);
	add_modules(a, &list, map_get(wish->runtime, "ODOO_INSTALL_MODULES"));
	return joined(a, &list);
}

/* Last, so that a key which is said anew keeps its place: the same wish gives the same text again. */
static void drop_stale(struct arena *a, struct target_env *e, const struct strings *more)
{
	for (size_t i = 0; i < countof(dropped_keys); i++)
		if (!strings_have(&e->written, dropped_keys[i]))
			env_remove(&e->map, dropped_keys[i]);
	for (size_t i = 0; more && i < more->n; i++)
		if (!strings_have(&e->written, more->v[i])) {
			env_remove(&e->map, more->v[i]);
			strings_add(a, &e->gone, more->v[i]);
		}
}

/* The bare server would start without the wrapper that writes its configuration and picks the database. */
static void drop_bare_command(struct arena *a, struct target_env *e)
{
	const char *command = map_get(&e->map, "ODOO_WEB_COMMAND");
	if (!command || strcmp(trimmed(a, command), "/odoo/odoo-bin") != 0)
		return;
	env_remove(&e->map, "ODOO_WEB_COMMAND");
	struct strings kept = { 0 };
	for (size_t i = 0; i < e->written.n; i++)
		if (strcmp(e->written.v[i], "ODOO_WEB_COMMAND") != 0)
			strings_add(a, &kept, e->written.v[i]);
	e->written = kept;
}

/* ---- the whole ---- */

static bool survives(struct arena *a, const struct target_env *e, struct err *err)
{
	struct buf bad = buf_in(a);
	for (size_t i = 0; i < e->written.n; i++) {
		const char *key = e->written.v[i];
		const char *problem =
		        is_env_key(key) ? env_value_problem(map_get(&e->map, key)) : "is not a name for a variable";
		if (problem)
			add_names(&bad, arena_printf(a, "%s (%s)", key, problem));
	}
	if (bad.n == 0)
		return true;
	return err_set(err, &E_invalid_request, "Values would not survive the provider's environment file: %.300s",
	               bad.p);
}

static void write_identity(struct arena *a, struct target_env *e, const struct runtime_identity *id)
{
	write_key(a, e, "LAUNCHPLANE_RUNTIME_IDENTITY_JSON", runtime_identity_text(a, id));
	write_key(a, e, "LAUNCHPLANE_DEPLOYMENT_RECORD_ID", id->deployment_record_id);
	write_key(a, e, "LAUNCHPLANE_ARTIFACT_ID", id->artifact_id);
	write_key(a, e, "LAUNCHPLANE_SOURCE_GIT_REF", id->source_git_ref);
}

bool target_env_build(struct arena *a, const struct target_env_wish *wish, struct target_env *out, struct err *err)
{
	struct target_env e = { 0 };
	env_text_parse(a, wish->live_env, &e.map);
	const char *live_modules = map_get(&e.map, "ODOO_INSTALL_MODULES");
	write_all(a, &e, wish->runtime);
	write_all(a, &e, &wish->payload->env);
	if (!has_secret_keys(a, &e, &wish->payload->secret_keys, err))
		return false;
	e.install_modules = install_modules(a, wish, live_modules);
	e.manifest_modules = joined(a, wish->manifest_modules);
	e.required_modules = joined(a, &odoo_required_modules);
	write_key(a, &e, "ODOO_INSTALL_MODULES", e.install_modules);
	drop_bare_command(a, &e);
	write_key(a, &e, "PLATFORM_CONTEXT", wish->context);
	write_key(a, &e, "PLATFORM_INSTANCE", wish->instance);
	write_key(a, &e, "DOCKER_IMAGE_REFERENCE", wish->image_reference);
	write_identity(a, &e, wish->identity);
	drop_stale(a, &e, wish->dropped);
	if (!survives(a, &e, err))
		return false;
	e.text = env_text_write(a, &e.map);
	*out = e;
	return true;
}

bool target_env_overrides(struct arena *a, const char *live_env, const struct override_payload *payload,
                          struct target_env *out, struct err *err)
{
	static const char *const keys[] = { OVERRIDE_PAYLOAD_KEY, OVERRIDES_REQUIRED_KEY, WEBSITE_REQUIRED_KEY };
	struct target_env e = { .install_modules = "", .manifest_modules = "", .required_modules = "" };
	env_text_parse(a, live_env, &e.map);
	for (size_t i = 0; i < countof(keys); i++)
		if (!map_get(&payload->env, keys[i]))
			env_remove(&e.map, keys[i]);
	write_all(a, &e, &payload->env);
	if (!has_secret_keys(a, &e, &payload->secret_keys, err) || !survives(a, &e, err))
		return false;
	e.text = env_text_write(a, &e.map);
	*out = e;
	return true;
}

struct strings target_env_differences(struct arena *a, const struct target_env *want, const char *read_back)
{
	struct strings differing = { 0 };
	struct text_map live;
	env_text_parse(a, read_back, &live);
	for (size_t i = 0; i < want->map.n; i++) {
		const char *value = map_get(&live, want->map.v[i].key);
		if (!value || strcmp(value, want->map.v[i].value) != 0)
			strings_add(a, &differing, want->map.v[i].key);
	}
	for (size_t i = 0; i < countof(dropped_keys); i++)
		if (map_get(&live, dropped_keys[i]) && !map_get(&want->map, dropped_keys[i]))
			strings_add(a, &differing, dropped_keys[i]);
	for (size_t i = 0; i < want->gone.n; i++)
		if (map_get(&live, want->gone.v[i]))
			strings_add(a, &differing, want->gone.v[i]);
	return differing;
}
