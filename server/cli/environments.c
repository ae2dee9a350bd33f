/* launchplane environments ...: runtime environment records (facts/config-health.md 2.4). Values are written, never
 * shown; resolve shows plain ones, and secrets only to a trusted shell that asks for them. */
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/replacement_facts.h"
#include "server/cli/client.h"
#include "server/cli/direct.h"
#include "server/service.h"
#include "storage/codes.h"
#include "storage/environment.sql.h"
#include "storage/environment_write.h"
#include "storage/lane_environment.h"
#include "storage/plan.h"

#include <stdlib.h>

static const struct setting new_label_settings[] = {
	{ "--source-label", NULL, NULL, "TEXT", "The record's new source label", 0 },
	{ 0 },
};
static const struct setting label_settings[] = {
	{ "--source-label", NULL, "cli:environments", "TEXT", "Where the values come from, for the record", 0 },
	{ 0 },
};

/* ---- put, unset, relabel ---- */

static const struct setting put_settings[] = {
	{ "--set", NULL, NULL, "KEY=VALUE", "A plain value; may be given several times", SETTING_MANY },
	{ 0 },
};
static const struct setting unset_settings[] = {
	{ "--key", NULL, NULL, "KEY", "A key to remove; may be given several times", SETTING_MANY },
	{ 0 },
};

struct change {
	struct direct *d;
	struct place place;
	struct json env;
	struct strings keys, removed, missing;
	struct runtime_environment after;
};

static bool read_pairs(struct arena *a, const char *joined, struct json *env, struct err *err)
{
	struct strings pairs = direct_list(a, joined);
	*env = json_object();
	if (pairs.n == 0)
		return err_field(err, "--set", "is required: --set KEY=VALUE");
	for (size_t i = 0; i < pairs.n; i++) {
		const char *equals = strchr(pairs.v[i], '=');
		if (!equals) /* it may be a value: it is not repeated */
			return err_field(err, "--set", "must have the form KEY=VALUE; number %zu has no =", i + 1);
		const char *key = trimmed(a, arena_strndup(a, pairs.v[i], (size_t)(equals - pairs.v[i])));
		if (json_get(env, key))
			return err_field(err, "--set", "names %s twice", key);
		json_set_str(a, env, key, equals + 1);
	}
	return runtime_env_check(a, env, "--set", err);
}

static bool write_change(struct change *c, struct buf *out, bool lists)
{
	struct json_out o = { .buf = out };
	jo_open(&o, '{');
	jo_kv(&o, "status", "ok");
	jo_key(&o, "record");
	jo_open(&o, '{');
	runtime_environment_summary(&o, &c->after);
	jo_close(&o, '}');
	if (lists) {
		jo_kv_strings(&o, "removed_keys", &c->removed);
		jo_kv_strings(&o, "missing_keys", &c->missing);
	}
	jo_close(&o, '}');
	return true;
}

static SUSPENDS bool put_in(struct tx *tx, void *arg, struct err *err)
{
	struct change *c = arg;
	return environment_put(tx, &c->place, &c->env, &c->d->by, &c->after, err);
}

static SUSPENDS bool put(struct direct *d, struct buf *out, struct err *err)
{
	struct change c = { .d = d };
	return direct_place(d->s, &c.place, err) && read_pairs(d->t->arena, setting(d->s, "--set"), &c.env, err) &&
	       direct_tx(d, put_in, &c, err) && write_change(&c, out, false);
}

static SUSPENDS bool unset_in(struct tx *tx, void *arg, struct err *err)
{
	struct change *c = arg;
	return environment_unset(tx, &c->place, &c->keys, &c->d->by, &c->after, &c->removed, &c->missing, err);
}

static SUSPENDS bool unset(struct direct *d, struct buf *out, struct err *err)
{
	struct change c = { .d = d, .keys = direct_list(d->t->arena, setting(d->s, "--key")) };
	if (c.keys.n == 0)
		return err_field(err, "--key", "is required: the key to remove");
	return direct_place(d->s, &c.place, err) && direct_tx(d, unset_in, &c, err) && write_change(&c, out, true);
}

static SUSPENDS bool relabel_in(struct tx *tx, void *arg, struct err *err)
{
	struct change *c = arg;
	return environment_relabel(tx, &c->place, &c->d->by, &c->after, err);
}

static SUSPENDS bool relabel(struct direct *d, struct buf *out, struct err *err)
{
	struct change c = { .d = d };
	if (is_blank(setting(d->s, "--source-label")))
		return err_field(err, "--source-label", "is required: the record's new source label");
	return direct_place(d->s, &c.place, err) && direct_tx(d, relabel_in, &c, err) && write_change(&c, out, false);
}

/* ---- delete-record ---- */

static const struct setting delete_settings[] = {
	{ "--allow-tracked-target", NULL, NULL, NULL, "Also when the record could influence a tracked target",
	  SETTING_SWITCH },
	{ "--plan-digest", NULL, NULL, "HEX", "Apply only the plan that was reviewed: its plan_digest", 0 },
	{ 0 },
};

struct deletion {
	struct direct *d;
	struct environment_deletion plan;
};

static SUSPENDS bool delete_in(struct tx *tx, void *arg, struct err *err)
{
	struct deletion *x = arg;
	return environment_deletion_apply(tx, &x->plan, setting_on(x->d->s, "--allow-tracked-target"), &x->d->by, err);
}

static SUSPENDS bool delete_record(struct direct *d, struct buf *out, struct err *err)
{
	struct deletion x = { .d = d };
	struct place place;
	bool applies = setting_on(d->s, "--apply");
	if (!direct_place(d->s, &place, err) || !environment_deletion_read(d->t, &place, &d->by, &x.plan, err))
		return false;
	if (applies &&
	    (!plan_check(setting(d->s, "--plan-digest"), x.plan.digest, err) || !direct_tx(d, delete_in, &x, err)))
		return false;
	struct json_out o = { .buf = out };
	jo_open(&o, '{');
	jo_kv(&o, "status", applies ? "ok" : "dry_run");
	jo_kv(&o, "action", "delete_runtime_environment_record");
	jo_key(&o, "record");
	jo_open(&o, '{');
	runtime_environment_summary(&o, &x.plan.record);
	jo_close(&o, '}');
	jo_key(&o, "event");
	jo_raw(&o, x.plan.event, strlen(x.plan.event));
	jo_key(&o, "protected_tracked_targets");
	jo_raw(&o, x.plan.protected_, strlen(x.plan.protected_));
	jo_kv_bool(&o, "requires_allow_tracked_target", x.plan.protected_n > 0);
	jo_kv_bool(&o, "deleted", applies);
	jo_kv(&o, "plan_digest", x.plan.digest);
	jo_close(&o, '}');
	return true;
}

/* ---- reading ---- */

static SUSPENDS bool list(struct direct *d, struct buf *out, struct err *err)
{
	struct rows rows;
	if (!db_query(d->t, &Q_environment_list, PARAMS(), &rows, err))
		return false;
	buf_str(out, row_text(&rows, 0, 0));
	return true;
}

static const struct setting lane_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, "local", "NAME", "The lane", 0 },
	{ 0 },
};
static const struct setting resolve_settings[] = {
	{ "--json-output", NULL, NULL, NULL, "One JSON document instead of KEY=value lines", SETTING_SWITCH },
	{ "--include-secret-values", NULL, NULL, NULL, "Show secrets; only in a shell that nobody records",
	  SETTING_SWITCH },
	{ 0 },
};

#define HIDDEN "[redacted]"

static int by_key(const void *x, const void *y)
{
	return strcmp(((const struct text_pair *)x)->key, ((const struct text_pair *)y)->key);
}

static SUSPENDS bool resolve_values(struct direct *d, const struct place *place, bool shows, struct text_map *out,
                                    struct err *err)
{
	const struct lane lane = { .context = place->context, .instance = place->instance };
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct strings secret_keys;
	bool has_target, has_id;
	if (!read_target(d->t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	const struct text_map *target_env = has_target ? &target.env : NULL;
	if (shows)
		return runtime_env_resolve(d->t, d->t->loop->keyring, place, target_env, out, &secret_keys, err);
	if (!runtime_env_outline(d->t, place, target_env, HIDDEN, out, &secret_keys, err))
		return false;
	for (size_t i = 0; i < out->n; i++)
		if (is_secret_shaped(out->v[i].key))
			out->v[i].value = HIDDEN;
	return true;
}

static SUSPENDS bool resolve(struct direct *d, struct buf *out, struct err *err)
{
	const char *context = setting(d->s, "--context");
	struct text_map values;
	if (is_blank(context))
		return err_field(err, "--context", "is required");
	const struct place place = { trimmed(d->t->arena, context), trimmed(d->t->arena, setting(d->s, "--instance")) };
	if (!resolve_values(d, &place, setting_on(d->s, "--include-secret-values"), &values, err))
		return false;
	if (values.n > 1)
		qsort(values.v, values.n, sizeof(*values.v), by_key);
	if (!setting_on(d->s, "--json-output")) {
		for (size_t i = 0; i < values.n; i++)
			buf_printf(out, "%s%s=%s", i ? "\n" : "", values.v[i].key, values.v[i].value);
		return true;
	}
	struct json_out o = { .buf = out };
	jo_open(&o, '{');
	jo_kv(&o, "context", place.context);
	jo_kv(&o, "instance", place.instance);
	jo_key(&o, "environment");
	jo_open(&o, '{');
	for (size_t i = 0; i < values.n; i++)
		jo_kv(&o, values.v[i].key, values.v[i].value);
	jo_close(&o, '}');
	jo_close(&o, '}');
	return true;
}

/* ---- show-live-target ---- */

/* Keys that say which image or which addons a target builds from; the others stay unseen. */
static const char *const build_keys[] = {
	"DOCKER_IMAGE",
	"DOCKER_IMAGE_REFERENCE",
	"DOCKER_IMAGE_TAG",
	"ODOO_IMAGE",
	"ODOO_BASE_IMAGE",
	"ODOO_BASE_RUNTIME_IMAGE",
	"ODOO_BASE_DEVTOOLS_IMAGE",
	"ODOO_ADDON_REPOSITORIES",
	"ODOO_ADDONS_REPOSITORIES",
	"OPENUPGRADE_ADDON_REPOSITORY",
	"ODOO_VERSION",
};

static bool is_commit(const char *ref)
{
	return strlen(ref) == 40 && strspn(ref, "0123456789abcdef") == 40;
}

/* "owner/name@ref, owner/name@ref": those whose ref is no commit. */
static void add_mutable_refs(struct arena *a, const char *value, struct strings *out)
{
	while (*value) {
		value += strspn(value, ", \t");
		size_t n = strcspn(value, ", \t");
		const char *one = arena_strndup(a, value, n), *at = strrchr(one, '@');
		if (n && !is_commit(at ? at + 1 : ""))
			strings_add(a, out, one);
		value += n;
	}
}

static void write_contract(struct arena *a, struct json_out *o, const struct dokploy_compose *live,
                           const struct text_map *env)
{
	struct strings sources = { 0 }, refs = { 0 }, blockers = { 0 };
	bool is_raw = strcmp(live->source_type, "raw") == 0;
	if (!is_raw)
		strings_add(a, &sources, live->source_type[0] ? live->source_type : "unknown");
	for (size_t i = 0; i < env->n; i++)
		if (strstr(env->v[i].key, "ADDON") && strstr(env->v[i].key, "REPOSITOR"))
			add_mutable_refs(a, env->v[i].value, &refs);
	const char *image = map_get(env, "DOCKER_IMAGE_REFERENCE");
	if (!is_raw)
		strings_add(a, &blockers, "the target builds from a repository instead of a published artifact");
	if (refs.n)
		strings_add(a, &blockers, "addons are taken from refs that can move");
	if (is_blank(image))
		strings_add(a, &blockers, "DOCKER_IMAGE_REFERENCE is not set");
	else if (!strstr(image, "@sha256:"))
		strings_add(a, &blockers, "DOCKER_IMAGE_REFERENCE does not name a digest");
	jo_key(o, "artifact_runtime_contract");
	jo_open(o, '{');
	jo_kv_bool(o, "artifact_ready", blockers.n == 0);
	jo_kv_strings(o, "legacy_monorepo_sources", &sources);
	jo_kv_strings(o, "mutable_addon_refs", &refs);
	jo_kv_strings(o, "blockers", &blockers);
	jo_close(o, '}');
}

static SUSPENDS bool read_live(struct direct *d, const struct dokploy_target *target, const char *id,
                               struct dokploy_compose *out, struct err *err)
{
	struct dokploy dokploy;
	struct dokploy_application application;
	if (!dokploy_open(d->t, &dokploy, err))
		return false;
	if (target->target_type == TARGET_COMPOSE)
		return dokploy_compose_one(d->t, &dokploy, id, out, err);
	if (!dokploy_application_one(d->t, &dokploy, id, &application, err))
		return false;
	*out = (struct dokploy_compose){ .name = application.name,
		                         .app_name = application.app_name,
		                         .source_type = strcmp(application.source_type, "docker") == 0
		                                                ? "raw"
		                                                : application.source_type,
		                         .compose_path = "",
		                         .custom_git_url = application.custom_git_url,
		                         .custom_git_branch = application.custom_git_branch,
		                         .repository = application.repository,
		                         .branch = application.branch,
		                         .env = application.env };
	return true;
}

/* A URL may carry a token before the host; what is shown does not. */
static const char *without_user(struct arena *a, const char *url)
{
	const char *scheme = strstr(url, "://");
	if (!scheme)
		return url;
	const char *host = scheme + 3, *end = host + strcspn(host, "/?#"), *at = end;
	while (at > host && at[-1] != '@')
		at--;
	return at == host ? url : arena_printf(a, "%.*s%s", (int)(host - url), url, at);
}

static SUSPENDS bool show_live_target(struct direct *d, struct buf *out, struct err *err)
{
	const char *context = setting(d->s, "--context");
	if (is_blank(context))
		return err_field(err, "--context", "is required");
	const struct lane lane = { .context = trimmed(d->t->arena, context),
		                   .instance = trimmed(d->t->arena, setting(d->s, "--instance")) };
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct dokploy_compose live;
	struct text_map env, shown = { 0 };
	bool has_target, has_id;
	if (!read_target(d->t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	if (!has_target || !has_id)
		return err_set(err, &E_tracked_target_not_found, "%s/%s has no tracked target%s", lane.context,
		               lane.instance, has_target ? " id" : "");
	if (!read_live(d, &target, id.target_id, &live, err))
		return false;
	env_text_parse(d->t->arena, live.env, &env);
	for (size_t i = 0; i < countof(build_keys); i++)
		if (map_get(&env, build_keys[i]))
			map_set(d->t->arena, &shown, build_keys[i], map_get(&env, build_keys[i]));
	struct json_out o = { .buf = out };
	jo_open(&o, '{');
	jo_kv(&o, "context", lane.context);
	jo_kv(&o, "instance", lane.instance);
	jo_key(&o, "tracked_target");
	jo_open(&o, '{');
	jo_kv(&o, "target_id", id.target_id);
	jo_kv(&o, "target_type", target_type_names[target.target_type]);
	jo_kv(&o, "target_name", target.target_name);
	jo_kv(&o, "source_git_ref", target.source_git_ref);
	jo_close(&o, '}');
	jo_key(&o, "live_target");
	jo_open(&o, '{');
	jo_kv(&o, "name", live.name);
	jo_kv(&o, "app_name", live.app_name);
	jo_kv(&o, "source_type", live.source_type);
	jo_kv(&o, "custom_git_url", without_user(d->t->arena, live.custom_git_url));
	jo_kv(&o, "custom_git_branch", live.custom_git_branch);
	jo_kv(&o, "repository", live.repository);
	jo_kv(&o, "branch", live.branch);
	jo_kv(&o, "compose_path", live.compose_path);
	jo_key(&o, "environment");
	jo_open(&o, '{');
	for (size_t i = 0; i < shown.n; i++)
		jo_kv(&o, shown.v[i].key, shown.v[i].value);
	jo_close(&o, '}');
	jo_close(&o, '}');
	write_contract(d->t->arena, &o, &live, &shown);
	jo_close(&o, '}');
	return true;
}

/* ---- the commands ---- */

static const struct setting *const put_options[] = {
	scope_settings, put_settings, label_settings, actor_settings, database_settings, log_settings, NULL
};
static const struct setting *const unset_options[] = {
	scope_settings, unset_settings, label_settings, actor_settings, database_settings, log_settings, NULL
};
static const struct setting *const relabel_options[] = { scope_settings,    new_label_settings, actor_settings,
	                                                 database_settings, log_settings,   NULL };
static const struct setting *const delete_options[] = {
	scope_settings, mode_settings, delete_settings, actor_settings, database_settings, log_settings, NULL
};
static const struct setting *const list_options[] = { database_settings, log_settings, NULL };
static const struct setting *const resolve_options[] = {
	lane_settings, resolve_settings, master_key_settings, actor_settings, database_settings, log_settings, NULL
};
static const struct setting *const live_options[] = { lane_settings,     master_key_settings, actor_settings,
	                                              database_settings, log_settings,        NULL };

static int run_put(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, "--source-label", put);
}
static int run_unset(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, "--source-label", unset);
}
static int run_relabel(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, "--source-label", relabel);
}
static int run_delete(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	bool applies;
	return direct_mode(s, &applies) ? direct_run(s, c, NULL, delete_record) : EXIT_USAGE;
}
static int run_list(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, NULL, list);
}
static int run_resolve(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, NULL, resolve);
}
static int run_live(const struct command *c, struct settings *s, char **argv)
{
	(void)argv;
	return direct_run(s, c, NULL, show_live_target);
}

const struct command environment_commands[] = {
	{ "environments", "put", "Write plain runtime values into a record, straight in the database", NULL, 0,
	  put_options, run_put, NULL },
	{ "environments", "unset", "Remove keys from a record without reading their values", NULL, 0, unset_options,
	  run_unset, NULL },
	{ "environments", "delete-record", "Preview or carry out the deletion of a whole record", NULL, 0,
	  delete_options, run_delete, NULL },
	{ "environments", "relabel", "Change a record's source label and nothing else", NULL, 0, relabel_options,
	  run_relabel, NULL },
	{ "environments", "list", "All records: where, when and which keys, never values", NULL, 0, list_options,
	  run_list, NULL },
	{ "environments", "resolve", "What one lane gets, secrets hidden unless asked for", NULL, 0, resolve_options,
	  run_resolve, NULL },
	{ "environments", "show-live-target",
	  "The live target of a tracked lane, and whether it is ready to run published artifacts", NULL, 0,
	  live_options, run_live, NULL },
	{ 0 },
};
