#include "drivers/dokploy/target_inspect.h"

#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/env_text.h"
#include "storage/codes.h"
#include "storage/runtime_environment.h"
#include "storage/target.sql.h"

/* What both types of target have in common. */
struct live_target {
	const char *id, *name, *app_name, *server_id, *source_type, *compose_path, *status, *env, *description;
	const char *environment_id, *environment_name, *project_id, *project_name;
	const char *git_url, *git_branch, *git_ssh_key_id;
	struct dokploy_domains domains;
};

static SUSPENDS bool read_live(struct task *t, struct dokploy *d, enum target_type type, const char *id,
                               struct live_target *out, struct err *err)
{
	struct dokploy_compose c;
	struct dokploy_application app;
	if (type == TARGET_COMPOSE) {
		if (!dokploy_compose_one(t, d, id, &c, err))
			return false;
		*out = (struct live_target){ c.id,
			                     c.name,
			                     c.app_name,
			                     c.server_id,
			                     c.source_type,
			                     c.compose_path,
			                     c.status,
			                     c.env,
			                     c.description,
			                     c.environment_id,
			                     c.environment_name,
			                     c.project_id,
			                     c.project_name,
			                     c.custom_git_url,
			                     c.custom_git_branch,
			                     c.custom_git_ssh_key_id,
			                     c.domains };
		return true;
	}
	if (!dokploy_application_one(t, d, id, &app, err))
		return false;
	*out = (struct live_target){ app.id,
		                     app.name,
		                     app.app_name,
		                     app.server_id,
		                     app.source_type,
		                     "",
		                     app.status,
		                     app.env,
		                     app.description,
		                     app.environment_id,
		                     app.environment_name,
		                     app.project_id,
		                     app.project_name,
		                     "",
		                     "",
		                     "",
		                     app.domains };
	return true;
}

static void set_text(struct arena *a, struct json *o, const char *key, const char *value)
{
	if (value && value[0])
		json_set_str(a, o, key, value);
}

static struct json env_summary(struct arena *a, const struct text_map *env)
{
	struct json o = json_object(), keys = json_array();
	struct strings sorted = { 0 };
	for (size_t i = 0; i < env->n; i++)
		if (!strings_have(&sorted, env->v[i].key))
			strings_add(a, &sorted, env->v[i].key);
	strings_sort(&sorted);
	for (size_t i = 0; i < sorted.n; i++)
		json_push(a, &keys, json_of_str(sorted.v[i]));
	json_set_str(a, &o, "format", "dotenv");
	json_set(a, &o, "key_count", json_of_int((int64_t)sorted.n));
	json_set(a, &o, "keys", keys);
	json_set(a, &o, "values_redacted", json_of_bool(true));
	return o;
}

static struct json domains_json(struct arena *a, const struct dokploy_domains *domains)
{
	struct json list = json_array();
	for (size_t i = 0; i < domains->n; i++) {
		struct json row = json_object();
		json_set_str(a, &row, "id", domains->v[i].id);
		json_set_str(a, &row, "host", domains->v[i].host);
		json_set(a, &row, "port", json_of_int(domains->v[i].port));
		json_set(a, &row, "https", json_of_bool(domains->v[i].https));
		json_push(a, &list, row);
	}
	return list;
}

bool target_inspect(struct task *t, enum target_type type, const char *target_id, struct json *out, struct err *err)
{
	struct dokploy d;
	struct live_target live;
	struct text_map env = { 0 };
	struct json environment = json_object();
	struct arena *a = t->arena;
	if (!dokploy_open(t, &d, err) || !read_live(t, &d, type, target_id, &live, err))
		return false;
	env_text_parse(a, live.env, &env);
	*out = json_object();
	set_text(a, out, "id", live.id);
	set_text(a, out, "name", live.name);
	set_text(a, out, "app_name", live.app_name);
	set_text(a, out, "server_id", live.server_id);
	set_text(a, out, "source_type", live.source_type);
	set_text(a, out, "compose_path", live.compose_path);
	json_set(a, out, "description_present", json_of_bool(live.description && live.description[0]));
	if (live.domains.n)
		json_set(a, out, "domains", domains_json(a, &live.domains));
	set_text(a, &environment, "id", live.environment_id);
	set_text(a, &environment, "name", live.environment_name);
	set_text(a, &environment, "project_id", live.project_id);
	set_text(a, &environment, "project_name", live.project_name);
	if (environment.n)
		json_set(a, out, "environment", environment);
	json_set(a, out, "env", env_summary(a, &env));
	return true;
}

/* ---- preflight ---- */

struct findings {
	struct arena *a;
	struct json blockers, warnings;
};

static void block(struct findings *f, const char *text)
{
	json_push(f->a, &f->blockers, json_of_str(text));
}

static void warn(struct findings *f, const char *text)
{
	json_push(f->a, &f->warnings, json_of_str(text));
}

static bool is_ssh(const char *url)
{
	return strncmp(url, "git@", 4) == 0 || strncmp(url, "ssh://", 6) == 0;
}

static void judge_source(struct findings *f, const struct live_target *live, enum target_type type)
{
	bool git = strcmp(live->source_type, "git") == 0;
	if (type == TARGET_COMPOSE && !live->compose_path[0])
		block(f, "the compose target has no compose path");
	if (git && !live->git_url[0])
		block(f, "the git source has no URL");
	if (git && !live->git_branch[0])
		block(f, "the git source has no branch");
	if (is_ssh(live->git_url) && !live->git_ssh_key_id[0])
		block(f, "the git source is read over SSH, but no SSH key is configured for it");
	if (strcmp(live->status, "error") == 0)
		warn(f, "the last deploy of the target ended with an error");
}

/* Quotes around a whole value are dotenv's. */
static const char *plain(struct arena *a, const char *value)
{
	size_t n = value ? strlen(value) : 0;
	if (n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n - 1] == value[0])
		return arena_strndup(a, value + 1, n - 2);
	return value ? value : "";
}

static void judge_database(struct findings *f, const char *url, struct json *contract)
{
	struct arena *a = f->a;
	const char *colon = strstr(url, "://");
	const char *scheme = colon ? arena_strndup(a, url, (size_t)(colon - url)) : "";
	const char *rest = colon ? colon + 3 : "";
	size_t authority = strcspn(rest, "/?#");
	const char *at = memrchr(rest, '@', authority);
	const char *host = at ? at + 1 : rest;
	const char *host_name = arena_strndup(a, host, (size_t)(rest + authority - host));
	json_set(a, contract, "database_url_present", json_of_bool(url[0] != '\0'));
	json_set_str(a, contract, "database_scheme", scheme);
	json_set_str(a, contract, "database_host", host_name);
	if (!url[0])
		block(f, "LAUNCHPLANE_DATABASE_URL is missing on the target");
	else if (strncmp(scheme, "postgres", 8) != 0)
		block(f, "LAUNCHPLANE_DATABASE_URL on the target is no PostgreSQL address");
	else if (!host_name[0] || host_name[0] == ':')
		block(f, "LAUNCHPLANE_DATABASE_URL on the target names no host");
}

static bool has(struct arena *a, const struct text_map *env, const char *key)
{
	return plain(a, map_get(env, key))[0] != '\0';
}

static struct json judge_env(struct findings *f, const struct text_map *env)
{
	struct arena *a = f->a;
	struct json contract = json_object();
	judge_database(f, plain(a, map_get(env, "LAUNCHPLANE_DATABASE_URL")), &contract);
	bool key = has(a, env, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY");
	bool policy = has(a, env, "LAUNCHPLANE_POLICY_TOML") || has(a, env, "LAUNCHPLANE_POLICY_B64") ||
	              has(a, env, "LAUNCHPLANE_POLICY_FILE");
	bool image = has(a, env, "DOCKER_IMAGE_REFERENCE");
	bool legacy = has(a, env, "DOKPLOY_HOST") || has(a, env, "DOKPLOY_TOKEN");
	json_set(a, &contract, "master_encryption_key_present", json_of_bool(key));
	json_set(a, &contract, "policy_selector_present", json_of_bool(policy));
	json_set(a, &contract, "image_reference_present", json_of_bool(image));
	json_set(a, &contract, "legacy_dokploy_credentials_present", json_of_bool(legacy));
	if (!key)
		block(f, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY is missing on the target");
	if (!policy)
		block(f, "the target has no policy: LAUNCHPLANE_POLICY_TOML, _B64 or _FILE");
	if (!image)
		warn(f, "the target has no DOCKER_IMAGE_REFERENCE, so there is nothing to roll back to");
	if (legacy)
		warn(f, "Dokploy credentials stand in the target's environment; they belong into managed secrets");
	return contract;
}

static SUSPENDS bool judge_store(struct task *t, struct findings *f, struct json *contract, struct err *err)
{
	struct rows rows;
	if (!db_query(t, &Q_target_preflight_counts, PARAMS(), &rows, err))
		return false;
	static const char *const members[] = { "active_policies", "target_ids", "runtime_records", "secret_bindings" };
	static const char *const lacks[] = { "the store has no active policy", "the store has no target ids",
		                             "the store has no runtime records", NULL };
	struct json store = json_object();
	for (size_t i = 0; i < countof(members); i++) {
		json_set(t->arena, &store, members[i], json_of_int(row_int(&rows, 0, (int)i)));
		if (lacks[i] && row_int(&rows, 0, (int)i) == 0)
			warn(f, lacks[i]);
	}
	json_set(t->arena, contract, "managed_store", store);
	return true;
}

static void write_facts(struct arena *a, const struct live_target *live, struct json *out)
{
	json_set_str(a, out, "target_name", live->name);
	json_set_str(a, out, "app_name", live->app_name);
	json_set_str(a, out, "compose_status", live->status);
	json_set_str(a, out, "source_type", live->source_type);
	json_set_str(a, out, "custom_git_url", redact(a, live->git_url));
	json_set_str(a, out, "custom_git_branch", live->git_branch);
	json_set(a, out, "custom_git_ssh_key_configured", json_of_bool(live->git_ssh_key_id[0] != '\0'));
	json_set_str(a, out, "git_access_mode", !live->git_url[0] ? "none" : is_ssh(live->git_url) ? "ssh" : "https");
	json_set_str(a, out, "compose_path", live->compose_path);
}

bool target_preflight(struct task *t, enum target_type type, const char *target_id, struct json *out, struct err *err)
{
	struct findings f = { t->arena, json_array(), json_array() };
	struct dokploy d;
	struct live_target live;
	struct text_map env = { 0 };
	struct json contract = json_object();
	*out = json_object();
	json_set_str(t->arena, out, "target_id", target_id);
	json_set_str(t->arena, out, "target_type", target_type_names[type]);
	if (!dokploy_open(t, &d, err)) {
		if (!err_is(err, &E_secret_configuration_required))
			return false;
		block(&f,
		      arena_strdup(t->arena, err->message)); /* the managed store lacks its bindings: fails closed */
		memset(err, 0, sizeof(*err));
	} else if (!read_live(t, &d, type, target_id, &live, err)) {
		return false;
	} else {
		env_text_parse(t->arena, live.env, &env);
		write_facts(t->arena, &live, out);
		judge_source(&f, &live, type);
		contract = judge_env(&f, &env);
	}
	if (!judge_store(t, &f, &contract, err))
		return false;
	json_set_str(t->arena, out, "status", f.blockers.n ? "blocked" : "ok");
	json_set(t->arena, out, "runtime_contract", contract);
	json_set(t->arena, out, "blockers", f.blockers);
	json_set(t->arena, out, "warnings", f.warnings);
	return true;
}
