#include "drivers/descriptor.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

/* clang-format off */

static const struct driver_action web_actions[] = {
	{ "stable_deploy", "Deploys an image to a stable lane", "mutation", "instance",
	  "generic_web_deploy.execute", "deployment" },
	{ "prod_promotion", "Promotes what testing runs to prod", "mutation", "instance",
	  "generic_web_prod_promotion.execute", "deployment promotion inventory" },
	{ "prod_promotion_workflow", "Starts the product's own promotion workflow", "mutation", "instance",
	  "generic_web_prod_promotion.dispatch", "" },
	{ "prod_rollback_plan", "Says what a rollback of prod would deploy", "safe_write", "instance",
	  "generic_web_prod_rollback.plan", "generic_web_rollback_plan" },
	{ "prod_rollback", "Takes prod back to what it ran before", "destructive", "instance",
	  "generic_web_prod_rollback.execute", "generic_web_rollback_plan deployment inventory" },
	{ "stable_verification", "Hands in what a workflow verified of a stable lane", "safe_write", "instance",
	  "deployment.write", "deployment promotion inventory", true },
	{ "preview_desired_state", "Discovers which previews the open pull requests ask for", "safe_write", "context",
	  "preview_desired_state.discover", "preview_desired_state" },
	{ "preview_refresh", "Makes or renews a preview", "mutation", "preview", "preview_refresh.execute", "" },
	{ "preview_inventory", "Looks which previews exist", "safe_write", "context", "preview_inventory.read",
	  "preview_inventory_scan" },
	{ "preview_readiness", "Says whether previews can be made", "read", "context", "preview_readiness.evaluate", "" },
	{ "preview_destroy", "Takes a preview down", "destructive", "preview", "preview_destroy.execute", "preview" },
	{ "preview_verification", "Hands in what a workflow verified of a preview", "safe_write", "preview",
	  "preview_generation.write", "preview preview_generation", true },
	{ 0 },
};
static const struct driver_capability web_capabilities[] = {
	{ "image_deployable", "Runs immutable images in stable lanes",
	  "stable_deploy prod_promotion prod_rollback_plan prod_rollback",
	  "lane_health deployment_evidence promotion_evidence" },
	{ "health_checked", "Lanes have health endpoints", "", "lane_health" },
	{ "previewable", "Pull requests get previews", "preview_desired_state",
	  "preview_inventory deployment_evidence audit" },
	{ "preview_inventory_managed", "Previews are counted and cleaned up", "preview_inventory preview_destroy",
	  "preview_inventory deployment_evidence audit" },
	{ "pr_feedback", "Pull requests are told about their previews", "", "audit" },
	{ 0 },
};
static const struct driver_settings web_settings[] = {
	{ "preview_runtime_environment", "What a preview's environment is made of", "context",
	  "LAUNCHPLANE_PREVIEW_BASE_URL preview.required_template_env_keys preview.copied_env_keys preview.omitted_env_keys "
	  "preview.override_env preview.preview_url_env_keys preview.preview_domain_env_keys", "preview.copied_env_keys" },
	{ 0 },
};
static const struct driver_descriptor generic_web = {
	"generic-web", "", "Generic web", "Web products that run an immutable image", "",
	web_capabilities, web_actions, web_settings,
};

static const struct driver_action odoo_actions[] = {
	{ "artifact_publish_inputs", "What a workflow needs to build an artifact", "read", "instance",
	  "odoo_artifact_publish_inputs.read", "" },
	{ "artifact_publish", "Stores the manifest of an artifact", "safe_write", "instance",
	  "odoo_artifact_publish.write", "artifact_manifest" },
	{ "post_deploy", "Applies settings to a running instance", "mutation", "instance", "odoo_post_deploy.execute",
	  "odoo_instance_override" },
	{ "config_parameter_override", "Sets a config parameter of an instance", "safe_write", "instance",
	  "odoo_config_parameter_override.write", "odoo_instance_override" },
	{ "website_bootstrap_override", "Sets how an instance's website begins", "safe_write", "instance",
	  "odoo_website_bootstrap_override.write", "odoo_instance_override" },
	{ "stable_bootstrap", "Makes a stable lane anew from nothing", "destructive", "instance",
	  "odoo_stable_bootstrap.execute", "odoo_stable_bootstrap_operation deployment inventory" },
	{ "target_replacement_plan", "Says what replacing a target would do", "read", "instance",
	  "odoo_target_replacement_plan.read", "" },
	{ "target_replacement_apply", "Replaces what a target runs", "mutation", "instance",
	  "odoo_target_replacement_apply.execute", "odoo_stable_target_replacement_operation deployment inventory" },
	{ "preview_apply_inputs", "What a preview needs", "read", "preview", "odoo_preview_apply_inputs.read", "" },
	{ "preview_apply", "Makes, renews or takes down a preview", "destructive", "preview",
	  "odoo_preview_apply.execute", "preview preview_generation" },
	{ "prod_backup_gate", "Backs prod up before a promotion", "safe_write", "instance",
	  "odoo_prod_backup_gate.execute", "backup_gate" },
	{ "prod_promotion", "Promotes what testing runs to prod", "mutation", "instance", "odoo_prod_promotion.execute",
	  "deployment promotion inventory release_tuple" },
	{ "prod_rollback", "Takes prod back to what it ran before", "destructive", "instance",
	  "odoo_prod_rollback.execute", "deployment promotion inventory release_tuple" },
	{ 0 },
};
static const struct driver_capability odoo_capabilities[] = {
	{ "artifact_publish", "Artifacts are published with their manifest", "artifact_publish_inputs artifact_publish",
	  "artifact_evidence" },
	{ "post_deploy_settings", "Settings are applied after a deploy", "post_deploy stable_bootstrap",
	  "settings secret_bindings" },
	{ "stable_promotion", "Testing is promoted to prod behind a backup", "prod_backup_gate prod_promotion prod_rollback",
	  "promotion_evidence backup_evidence" },
	{ "previewable", "Pull requests get previews", "preview_apply_inputs preview_apply preview_verification",
	  "preview_inventory deployment_evidence audit" },
	{ "preview_inventory_managed", "Previews are counted and cleaned up", "preview_inventory preview_destroy",
	  "preview_inventory audit" },
	{ 0 },
};
static const struct driver_settings odoo_settings[] = {
	{ "runtime_environment", "What an instance runs with", "instance", "ODOO_DB_NAME ODOO_DB_USER ODOO_BACKUP_ROOT", "" },
	{ "odoo_instance_overrides", "What is set in an instance after a deploy", "instance",
	  "config_parameters addon_settings apply_on", "ODOO_OVERRIDE_SECRET__*" },
	{ 0 },
};
static const struct driver_descriptor odoo = {
	"odoo", "generic-web", "Odoo", "Odoo tenants on compose targets", "cm opw",
	odoo_capabilities, odoo_actions, odoo_settings,
};

static const struct driver_action verireel_actions[] = {
	{ "testing_deploy", "Deploys to testing", "mutation", "instance", "verireel_testing_deploy.execute",
	  "deployment inventory release_tuple" },
	{ "testing_verification", "Hands in what a workflow verified of testing", "safe_write", "instance",
	  "deployment.write", "deployment", true },
	{ "stable_environment", "What a stable lane's environment is", "read", "instance",
	  "verireel_stable_environment.read", "" },
	{ "runtime_verification", "Whether a lane runs what was deployed", "read", "instance",
	  "verireel_stable_environment.read", "" },
	{ "app_maintenance", "Runs a maintenance task of the application", "mutation", "instance",
	  "verireel_app_maintenance.execute", "" },
	{ "prod_deploy", "Deploys to prod", "mutation", "instance", "verireel_prod_deploy.execute",
	  "deployment inventory release_tuple" },
	{ "prod_backup_gate", "Backs prod up before a promotion", "safe_write", "instance",
	  "verireel_prod_backup_gate.execute", "backup_gate" },
	{ "prod_promotion", "Promotes what testing runs to prod", "mutation", "instance",
	  "verireel_prod_promotion.execute", "deployment promotion inventory release_tuple" },
	{ "prod_rollback", "Takes prod back to what it ran before", "destructive", "instance",
	  "verireel_prod_rollback.execute", "deployment promotion inventory release_tuple" },
	{ "preview_refresh", "Makes or renews a preview", "mutation", "preview", "verireel_preview_refresh.execute",
	  "preview preview_generation" },
	{ "preview_inventory", "Looks which previews exist", "read", "context", "verireel_preview_inventory.read", "" },
	{ "preview_destroy", "Takes a preview down", "destructive", "preview", "verireel_preview_destroy.execute",
	  "preview preview_generation" },
	{ "preview_verification", "Hands in what a workflow verified of a preview", "safe_write", "preview",
	  "preview_generation.write", "preview preview_generation", true },
	{ 0 },
};
static const struct driver_capability verireel_capabilities[] = {
	{ "stable_deploy", "Stable lanes are deployed and verified",
	  "testing_deploy prod_deploy stable_environment runtime_verification app_maintenance",
	  "lane_health deployment_evidence settings" },
	{ "stable_promotion", "Testing is promoted to prod behind a backup", "prod_backup_gate prod_promotion prod_rollback",
	  "promotion_evidence backup_evidence" },
	{ "preview_lifecycle", "Pull requests get previews", "preview_refresh preview_inventory preview_destroy",
	  "preview_inventory deployment_evidence audit" },
	{ 0 },
};
static const struct driver_settings verireel_settings[] = {
	{ "runtime_environment", "What a lane runs with", "instance", "VERIREEL_* LAUNCHPLANE_PREVIEW_BASE_URL", "" },
	{ "managed_secrets", "What a lane keeps secret", "instance", "", "*_TOKEN *_SECRET *_KEY" },
	{ 0 },
};
static const struct driver_descriptor verireel = {
	"verireel", "generic-web", "VeriReel", "VeriReel's lanes and previews", "verireel verireel-testing",
	verireel_capabilities, verireel_actions, verireel_settings,
};

/* clang-format on */

const struct driver_descriptor *const all_drivers[] = { &generic_web, &odoo, &verireel, NULL };

/* Actions every product page shows, whether the driver has them or not. */
static const char *const known_actions[] = {
	"stable_deploy",         "prod_promotion",    "prod_promotion_workflow", "prod_backup_gate",  "prod_rollback",
	"preview_desired_state", "preview_inventory", "preview_refresh",         "preview_readiness", "preview_destroy",
};

const struct driver_descriptor *driver_find(const char *id)
{
	for (const struct driver_descriptor *const *d = all_drivers; *d; d++)
		if (strcmp((*d)->id, id) == 0)
			return *d;
	return NULL;
}

static void words(struct json_out *o, const char *key, const char *text)
{
	jo_key(o, key);
	jo_open(o, '[');
	for (size_t n; *text; text += n + strspn(text + n, " ")) {
		n = strcspn(text, " ");
		jo_str(o, arena_strndup(o->buf->arena, text, n));
	}
	jo_close(o, ']');
}

/* "stable_deploy" as "Stable deploy". */
static const char *label(struct arena *a, const char *id)
{
	char *text = arena_strdup(a, id);
	for (char *p = text; *p; p++)
		if (*p == '_')
			*p = ' ';
	text[0] = (char)toupper((unsigned char)text[0]);
	return text;
}

/* The base's stable_deploy is at .../deploy. */
static const char *route_path(struct arena *a, const char *driver, const char *action)
{
	char *text =
	        arena_printf(a, "/v1/drivers/%s/%s", driver, strcmp(action, "stable_deploy") == 0 ? "deploy" : action);
	for (char *p = text; *p; p++)
		if (*p == '_')
			*p = '-';
	return text;
}

static void write_action(struct json_out *o, const char *driver, const struct driver_action *x)
{
	jo_kv(o, "action_id", x->id);
	jo_kv(o, "label", label(o->buf->arena, x->id));
	jo_kv(o, "description", x->description);
	jo_kv(o, "safety", x->safety);
	jo_kv(o, "scope", x->scope);
	jo_kv(o, "method", "POST");
	jo_kv(o, "route_path", route_path(o->buf->arena, driver, x->id));
	jo_kv(o, "authz_action", x->authz_action);
	words(o, "alternate_authz_actions", "");
	jo_kv_bool(o, "operator_visible", !x->is_hidden);
	jo_key(o, "input_schema");
	jo_raw(o, "{}", 2);
	jo_key(o, "output_schema");
	jo_raw(o, "{}", 2);
	words(o, "writes_records", x->writes);
}

static void write_capabilities(struct json_out *o, const struct driver_descriptor *d)
{
	jo_key(o, "capabilities");
	jo_open(o, '[');
	for (const struct driver_capability *c = d->capabilities; c->id; c++) {
		jo_open(o, '{');
		jo_kv(o, "capability_id", c->id);
		jo_kv(o, "label", label(o->buf->arena, c->id));
		jo_kv(o, "description", c->description);
		words(o, "actions", c->actions);
		words(o, "panels", c->panels);
		jo_close(o, '}');
	}
	jo_close(o, ']');
}

static void write_settings(struct json_out *o, const struct driver_descriptor *d)
{
	jo_key(o, "setting_groups");
	jo_open(o, '[');
	for (const struct driver_settings *s = d->settings; s->id; s++) {
		jo_open(o, '{');
		jo_kv(o, "group_id", s->id);
		jo_kv(o, "label", label(o->buf->arena, s->id));
		jo_kv(o, "description", s->description);
		jo_kv(o, "scope", s->scope);
		words(o, "fields", s->fields);
		words(o, "secret_bindings", s->secret_bindings);
		jo_close(o, '}');
	}
	jo_close(o, ']');
}

void driver_write(struct json_out *o, const struct driver_descriptor *d)
{
	jo_open(o, '{');
	jo_kv_int(o, "schema_version", 1);
	jo_kv(o, "driver_id", d->id);
	jo_kv(o, "base_driver_id", d->base_id);
	jo_kv(o, "label", d->label);
	jo_kv(o, "product", d->id);
	jo_kv(o, "description", d->description);
	words(o, "context_patterns", d->patterns);
	jo_kv(o, "provider_boundary",
	      "Capabilities and evidence are shown here; what is particular to a provider stays behind its adapter");
	write_capabilities(o, d);
	jo_key(o, "actions");
	jo_open(o, '[');
	for (const struct driver_action *x = d->actions; x->id; x++) {
		jo_open(o, '{');
		write_action(o, d->id, x);
		jo_close(o, '}');
	}
	jo_close(o, ']');
	write_settings(o, d);
	words(o, "route_aliases", "");
	jo_close(o, '}');
}

/* ---- the catalog ---- */

static const struct driver_action *own_action(const struct driver_descriptor *d, const char *id)
{
	for (const struct driver_action *x = d->actions; x->id; x++)
		if (strcmp(x->id, id) == 0)
			return x;
	return NULL;
}

static void offer(struct json_out *o, const char *driver, const struct driver_action *x)
{
	if (x->is_hidden)
		return;
	jo_open(o, '{');
	write_action(o, driver, x);
	jo_kv_bool(o, "offered", true);
	jo_close(o, '}');
}

static void lack(struct json_out *o, const char *id)
{
	bool previews = strncmp(id, "preview_", 8) == 0;
	struct driver_action none = {
		id, "This product's driver does not offer it", "read", previews ? "preview" : "instance", "", "", false
	};
	jo_open(o, '{');
	write_action(o, "", &none);
	jo_kv_bool(o, "offered", false);
	jo_close(o, '}');
}

static void effective_actions(struct json_out *o, const struct driver_descriptor *d)
{
	const struct driver_descriptor *base = d->base_id[0] ? driver_find(d->base_id) : NULL;
	jo_key(o, "actions");
	jo_open(o, '[');
	for (const struct driver_action *x = base ? base->actions : d->actions; x->id; x++) {
		const struct driver_action *own = base ? own_action(d, x->id) : NULL;
		offer(o, own || !base ? d->id : base->id, own ? own : x);
	}
	for (const struct driver_action *x = d->actions; base && x->id; x++)
		if (!own_action(base, x->id))
			offer(o, d->id, x);
	for (size_t i = 0; i < countof(known_actions); i++)
		if (!own_action(d, known_actions[i]) && !(base && own_action(base, known_actions[i])))
			lack(o, known_actions[i]);
	jo_close(o, ']');
}

static bool has_previews(const struct driver_descriptor *d)
{
	for (const struct driver_capability *c = d->capabilities; c->id; c++)
		if (strstr(c->panels, "preview_inventory"))
			return true;
	return false;
}

const char *driver_catalog(void)
{
	static const char *made; /* one thread serves; the tables never change */
	static struct buf b;     /* holds the arena for as long as the process lives */
	if (made)
		return made;
	b = buf_in(arena_new());
	struct json_out o = { .buf = &b };
	jo_open(&o, '{');
	for (const struct driver_descriptor *const *d = all_drivers; *d; d++) {
		jo_key(&o, (*d)->id);
		jo_open(&o, '{');
		jo_kv(&o, "base_driver_id", (*d)->base_id);
		jo_kv_bool(&o, "has_previews", has_previews(*d));
		jo_key(&o, "descriptor");
		driver_write(&o, *d);
		effective_actions(&o, *d);
		jo_close(&o, '}');
	}
	jo_close(&o, '}');
	return made = buf_cstr(&b);
}

const char *const *driver_authz_actions(void)
{
	static const char *made[128];
	size_t n = 0;
	if (made[0])
		return made;
	for (const struct driver_descriptor *const *d = all_drivers; *d; d++)
		for (const struct driver_action *x = (*d)->actions; x->id; x++) {
			size_t i = 0;
			while (i < n && strcmp(made[i], x->authz_action) != 0)
				i++;
			assert(n + 1 < countof(made));
			if (i == n)
				made[n++] = x->authz_action;
		}
	return made;
}
