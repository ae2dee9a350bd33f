#include "drivers/odoo/data_workflow.h"

#include "drivers/dokploy/deployment_watch.h"
#include "drivers/odoo/host_run.h"
#include "drivers/odoo/template.h"
#include "odoo_templates.h"
#include "storage/runtime_environment.h"

#include <stdlib.h>

/* facts/odoo.md 4.7: where a restore takes its data from. */
static const char *const upstream_keys[] = {
	"ODOO_UPSTREAM_HOST",    "ODOO_UPSTREAM_USER",           "ODOO_UPSTREAM_DB_NAME",
	"ODOO_UPSTREAM_DB_USER", "ODOO_UPSTREAM_FILESTORE_PATH",
};

/* ---- what a run needs ---- */

static const char *value_or(const struct text_map *env, const char *key, const char *fallback)
{
	const char *value = map_get(env, key);
	return is_blank(value) ? fallback : value;
}

static void require(struct arena *a, struct data_workflow *w, const char *key)
{
	if (!strings_have(&w->required_keys, key))
		strings_add(a, &w->required_keys, key);
}

static bool add_upstream(struct arena *a, const struct text_map *env, struct data_workflow *w, struct err *err)
{
	struct buf missing = buf_in(a);
	for (size_t i = 0; i < countof(upstream_keys); i++) {
		const char *key = upstream_keys[i], *value = map_get(env, key);
		if (is_blank(value)) {
			buf_printf(&missing, "%s%s", missing.n ? ", " : "", key);
			continue;
		}
		map_set(a, &w->environment, key, value);
		require(a, w, key);
	}
	return !missing.n ||
	       err_set(err, &E_invalid_request,
	               "A restore needs to know its upstream, but the target's environment lacks: %s", missing.p);
}

bool data_workflow_prepare(struct arena *a, const struct text_map *env, const struct override_payload *payload,
                           enum workflow_mode mode, const char *compose_project, const struct strings *protected_shops,
                           bool clears_stale_lock, struct data_workflow *out, struct err *err)
{
	struct data_workflow w = {
		.compose_project = compose_project,
		.database = value_or(env, "ODOO_DB_NAME", ""),
		.filestore = value_or(env, "ODOO_FILESTORE_PATH", DATA_WORKFLOW_FILESTORE),
		.lock_file = value_or(env, "ODOO_DATA_WORKFLOW_LOCK_FILE", DATA_WORKFLOW_LOCK),
		.mode = mode,
		.clears_stale_lock = clears_stale_lock,
		.protected_shop_keys = *protected_shops,
	};
	if (is_blank(compose_project))
		return err_set(err, &E_invalid_request,
		               "The target has no appName at Dokploy, so its containers cannot be found");
	if (is_blank(w.database))
		return err_set(err, &E_invalid_request,
		               "The data workflow needs ODOO_DB_NAME in the target's environment");
	if (w.filestore[0] != '/' || w.lock_file[0] != '/')
		return err_set(err, &E_invalid_request,
		               "ODOO_FILESTORE_PATH and ODOO_DATA_WORKFLOW_LOCK_FILE must be absolute paths");
	require(a, &w, "ODOO_DB_NAME");
	require(a, &w, "ODOO_DB_USER");
	require(a, &w, "ODOO_DB_PASSWORD");
	for (size_t i = 0; i < payload->secret_keys.n; i++)
		require(a, &w, payload->secret_keys.v[i]);
	map_set(a, &w.environment, "ODOO_DB_NAME", w.database);
	map_set(a, &w.environment, "ODOO_FILESTORE_PATH", w.filestore);
	map_set(a, &w.environment, "ODOO_DATA_WORKFLOW_LOCK_FILE", w.lock_file);
	/* The container may hold the payload of another intent: this run's stands above it, or blanks it. */
	static const char *const payload_keys[] = { OVERRIDE_PAYLOAD_KEY, OVERRIDES_REQUIRED_KEY,
		                                    WEBSITE_REQUIRED_KEY };
	for (size_t i = 0; i < countof(payload_keys); i++)
		map_set(a, &w.environment, payload_keys[i], value_or(&payload->env, payload_keys[i], ""));
	if (mode == WORKFLOW_RESTORE && !add_upstream(a, env, &w, err))
		return false;
	*out = w;
	return true;
}

/* ---- the script ---- */

static const char *assignments(struct arena *a, const struct text_map *env)
{
	struct strings list = { 0 };
	for (size_t i = 0; i < env->n; i++)
		strings_add(a, &list, arena_printf(a, "%s=%s", env->v[i].key, env->v[i].value));
	return shell_words(a, &list);
}

static bool check_keys(const struct data_workflow *w, struct err *err)
{
	for (size_t i = 0; i < w->required_keys.n; i++)
		if (!is_env_key(w->required_keys.v[i]))
			return err_set(err, &E_invalid_request, "\"%.100s\" is not a name for an environment variable",
			               w->required_keys.v[i]);
	for (size_t i = 0; i < w->environment.n; i++)
		if (!is_env_key(w->environment.v[i].key))
			return err_set(err, &E_invalid_request, "\"%.100s\" is not a name for an environment variable",
			               w->environment.v[i].key);
	return true;
}

/* What ends up in a path or a filter: no separators, nothing that climbs. */
static const char *arguments(enum workflow_mode mode)
{
	switch (mode) {
	case WORKFLOW_MAINTENANCE:
		return "'--post-deploy-maintenance'";
	case WORKFLOW_BOOTSTRAP:
		return "'--bootstrap'";
	case WORKFLOW_RESTORE:
		break;
	}
	return ""; /* the workflow's own default is the restore */
}

bool data_workflow_script(struct arena *a, const struct data_workflow *w, const char **script, struct err *err)
{
	const char *prologue;
	if (!host_script_prologue(a, w->compose_project, &prologue, err))
		return false;
	if (!is_plain_name(w->database))
		return err_set(err, &E_invalid_request, "The database name in ODOO_DB_NAME is not a plain name");
	if (!check_keys(w, err))
		return false;
	struct strings shops = { 0 };
	for (size_t i = 0; i < w->protected_shop_keys.n; i++)
		strings_add(a, &shops, lowered(a, trimmed(a, w->protected_shop_keys.v[i])));
	const struct template_value values[] = {
		{ "lane_host", prologue },
		{ "database", shell_word(a, w->database) },
		{ "filestore", shell_word(a, w->filestore) },
		{ "lock_file", shell_word(a, w->lock_file) },
		{ "clear_stale_lock", w->clears_stale_lock ? "yes" : "no" },
		{ "arguments", arguments(w->mode) },
		{ "environment", assignments(a, &w->environment) },
		{ "required_keys", shell_words(a, &w->required_keys) },
		{ "protected_shop_keys", shell_words(a, &shops) },
	};
	*script = template_fill(a, odoo_data_workflow_sh, values, countof(values));
	return true;
}

/* ---- the lock ---- */

static int newest_first(const void *x, const void *y)
{
	const struct dokploy_deployment *const *a = x, *const *b = y;
	int order = strcmp((*b)->created_at, (*a)->created_at);
	return order ? order : strcmp((*b)->id, (*a)->id);
}

bool data_workflow_lock_is_stale(struct arena *a, const struct dokploy_deployments *runs)
{
	const struct dokploy_deployment **order =
	        arena_array(a, runs->n + 1, sizeof(const struct dokploy_deployment *));
	for (size_t i = 0; i < runs->n; i++)
		order[i] = &runs->v[i];
	if (runs->n > 1)
		qsort(order, runs->n, sizeof(*order), newest_first);
	for (size_t i = 0; i < runs->n; i++) {
		if (strcmp(order[i]->status, "cancelled") == 0 || strcmp(order[i]->status, "canceled") == 0)
			return true;
		if (deployment_class_of(order[i]->status) == DEPLOYMENT_SUCCESS)
			return false;
	}
	return false;
}

/* ---- markers ---- */

static const char *const flag_markers[] = {
	"odoo_instance_overrides_payload_present",
	"website_bootstrap_applied",
	"website_bootstrap_domain_set",
	"website_bootstrap_domain_matches_canonical",
	"website_bootstrap_homepage_url_set",
	"website_bootstrap_homepage_url_matches",
	"website_bootstrap_homepage_page_found",
	"website_bootstrap_primary_page_xmlid_found",
	"website_bootstrap_homepage_matches_page",
	"website_bootstrap_logo_present",
};

static bool is_number(const char *s)
{
	size_t n = strspn(s, "0123456789");
	return n > 0 && n < 19 && !s[n];
}

/* The last word of the line is the marker; only a time stamp may stand before it. */
static void read_marker(struct arena *a, const char *line, struct text_map *out)
{
	line = trimmed(a, line);
	const char *blank = strrchr(line, ' '), *tab = strrchr(line, '\t');
	const char *marker = blank > tab ? blank : tab;
	if (marker) {
		if (!(line[0] >= '0' && line[0] <= '9') && line[0] != '[')
			return;
		marker++;
	} else {
		marker = line;
	}
	const char *equals = strchr(marker, '=');
	if (!equals)
		return;
	const char *name = arena_strndup(a, marker, (size_t)(equals - marker)), *value = equals + 1;
	bool is_flag = false;
	for (size_t i = 0; i < countof(flag_markers); i++)
		is_flag = is_flag || strcmp(flag_markers[i], name) == 0;
	if ((is_flag && (strcmp(value, "true") == 0 || strcmp(value, "false") == 0)) ||
	    (strcmp(name, "website_bootstrap_website_id") == 0 && is_number(value)))
		map_set(a, out, arena_printf(a, "post_deploy_readback_%s", name), value);
}

void data_workflow_markers(struct arena *a, const char *log, struct text_map *out)
{
	map_set(a, out, "post_deploy_readback_log_available", log ? "true" : "false");
	while (log && *log) {
		size_t n = strcspn(log, "\n");
		if (n < 400)
			read_marker(a, arena_strndup(a, log, n), out);
		log += n + (log[n] == '\n');
	}
}
