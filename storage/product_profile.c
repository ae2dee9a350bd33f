#include "storage/product_profile.h"

#include <ctype.h>

const char *const data_source_mode_names[] = { "existing", "empty", "upstream_restore", NULL };
static const char *const check_kind_names[] = { "public_http", "private_http", "provider", NULL };
static const char *const authority_names[] = { "unknown", "resettable", "restorable", "authoritative", NULL };
static const char *const transport_names[] = { "none", "clone", "bootstrap", "migrate_seed", "driver", NULL };
static const char *const bump_names[] = { "patch", "minor", "major", NULL };

/* ---- health checks ---- */

/* config-health.md, token(): lower-case, other than letters and digits become '-', ends trimmed, runs kept. The token
 * of the default public check is the empty one. */
static const char *check_token(struct arena *a, const char *name)
{
	char *t = arena_strdup(a, trimmed(a, name));
	for (char *p = t; *p; p++)
		*p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '-';
	while (*t == '-')
		t++;
	size_t n = strlen(t);
	while (n && t[n - 1] == '-')
		t[--n] = '\0';
	return strcmp(t, "public-ingress") == 0 ? "" : t;
}

static bool has_letter_or_digit(const char *s)
{
	while (*s && !isalnum((unsigned char)*s))
		s++;
	return *s != '\0';
}

/* alert_issue_url is dropped: destinations are notification policies, not lane text. */
static bool check_health_check(struct arena *a, void *record, const char *path, struct err *err)
{
	struct health_check *c = record;
	if (!has_letter_or_digit(c->name))
		return contract_fail(a, err, path, "name", "must contain a letter or a digit");
	if (c->kind != CHECK_PUBLIC_HTTP && check_token(a, c->name)[0] == '\0')
		return contract_fail(a, err, path, "name", "public-ingress is reserved for the default public check");
	if (c->kind != CHECK_PUBLIC_HTTP && !is_blank(c->url))
		return contract_fail(a, err, path, "url", "is only for public_http checks");
	if (c->kind != CHECK_PRIVATE_HTTP && !is_blank(c->private_endpoint_key))
		return contract_fail(a, err, path, "private_endpoint_key", "is only for private_http checks");
	if (c->kind == CHECK_PROVIDER) {
		if (is_blank(c->provider))
			return contract_fail(a, err, path, "provider", "is required for provider checks");
		if (is_blank(c->provider_check))
			return contract_fail(a, err, path, "provider_check", "is required for provider checks");
	} else {
		if (!is_blank(c->provider))
			return contract_fail(a, err, path, "provider", "is only for provider checks");
		if (!is_blank(c->provider_check))
			return contract_fail(a, err, path, "provider_check", "is only for provider checks");
	}
	return true;
}

static const struct field health_check_fields[] = {
	F_STR(health_check, name, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_ENUM(health_check, kind, 0, .names = check_kind_names, .fallback = "public_http"),
	F_BOOL(health_check, enabled, 0, .fallback = "true"),
	F_STR(health_check, url, TRIMMED, .help = "public_http only; default: the lane's health URL"),
	F_STR(health_check, private_endpoint_key, TRIMMED,
	      .help = "private_http only: names a private health endpoint record"),
	F_BOOL(health_check, require_runtime_identity, 0, .fallback = "false",
	       .help = "A missing identity fails this check"),
	F_STR(health_check, alert_issue_url, RETIRED, .help = "Accepted from older payloads and dropped"),
	F_STR(health_check, provider, TRIMMED),
	F_STR(health_check, provider_check, TRIMMED),
	F_END,
};
static const struct contract health_check_contract =
        CONTRACT(health_check, health_check_fields, "One health check of a lane", .check = check_health_check);

static bool check_monitoring(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct health_monitoring *m = record;
	for (size_t i = 1; i < m->checks.n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(check_token(a, m->checks.v[i].name), check_token(a, m->checks.v[k].name)) == 0)
				return contract_fail(a, err, path, arena_printf(a, "checks[%zu].name", i),
				                     "reads like the name of checks[%zu]", k);
	return true;
}

static const struct field health_monitoring_fields[] = {
	F_LIST(health_monitoring, checks, 0, &health_check_contract, .max = 50,
	       .help = "None: the lane is not monitored"),
	F_END,
};
static const struct contract health_monitoring_contract =
        CONTRACT(health_monitoring, health_monitoring_fields, "How a lane is watched", .check = check_monitoring);

/* ---- Odoo policies ---- */

/* Scheme and trailing slash off, lower case, duplicates dropped. */
static void normalise_domains(struct arena *a, struct strings *domains)
{
	struct strings out = { 0 };
	for (size_t i = 0; i < domains->n; i++) {
		const char *d = lowered(a, trimmed(a, domains->v[i]));
		const char *scheme = strstr(d, "://");
		if (scheme)
			d = scheme + 3;
		size_t n = strlen(d);
		while (n && d[n - 1] == '/')
			n--;
		d = arena_strndup(a, d, n);
		if (*d && !strings_have(&out, d))
			strings_add(a, &out, d);
	}
	*domains = out;
}

static bool check_enabled_policy(struct arena *a, const char *path, const char *issue, const char *confirmation,
                                 const char *target, const struct strings *domains, struct err *err)
{
	if (is_blank(issue))
		return contract_fail(a, err, path, "approval_issue_url", "is required when enabled is true");
	if (is_blank(confirmation))
		return contract_fail(a, err, path, "confirmation", "is required when enabled is true");
	if (is_blank(target))
		return contract_fail(a, err, path, "expected_target_name", "is required when enabled is true");
	if (domains->n == 0)
		return contract_fail(a, err, path, "expected_domains", "must name a domain when enabled is true");
	return true;
}

static bool check_bootstrap_policy(struct arena *a, void *record, const char *path, struct err *err)
{
	struct odoo_stable_bootstrap_policy *p = record;
	normalise_domains(a, &p->expected_domains);
	if (strcmp(p->data_source_mode, "empty") != 0)
		return contract_fail(a, err, path, "data_source_mode", "must be empty");
	return !p->enabled || check_enabled_policy(a, path, p->approval_issue_url, p->confirmation,
	                                           p->expected_target_name, &p->expected_domains, err);
}

static const struct field bootstrap_policy_fields[] = {
	F_BOOL(odoo_stable_bootstrap_policy, enabled, 0, .fallback = "false"),
	F_STR(odoo_stable_bootstrap_policy, approval_issue_url, TRIMMED),
	F_STR(odoo_stable_bootstrap_policy, data_source_mode, 0, .fallback = "empty", .help = "Only empty"),
	F_STR(odoo_stable_bootstrap_policy, confirmation, LOWERED),
	F_STR(odoo_stable_bootstrap_policy, expected_target_name, TRIMMED),
	F_STRINGS(odoo_stable_bootstrap_policy, expected_domains, NON_BLANK),
	F_BOOL(odoo_stable_bootstrap_policy, require_health_verification, 0, .fallback = "true"),
	F_BOOL(odoo_stable_bootstrap_policy, require_canonical_verification, 0, .fallback = "true"),
	F_BOOL(odoo_stable_bootstrap_policy, require_logo_verification, 0, .fallback = "true"),
	F_END,
};
static const struct contract bootstrap_policy_contract =
        CONTRACT(odoo_stable_bootstrap_policy, bootstrap_policy_fields, "Who approved a bootstrap of this lane",
                 .check = check_bootstrap_policy);

static bool check_prelaunch_policy(struct arena *a, void *record, const char *path, struct err *err)
{
	struct odoo_prelaunch_rebuild_policy *p = record;
	normalise_domains(a, &p->expected_domains);
	if (strcmp(p->data_source_mode, "empty") != 0 && strcmp(p->data_source_mode, "upstream_restore") != 0)
		return contract_fail(a, err, path, "data_source_mode", "must be one of empty, upstream_restore");
	return !p->enabled || check_enabled_policy(a, path, p->approval_issue_url, p->confirmation,
	                                           p->expected_target_name, &p->expected_domains, err);
}

static const struct field prelaunch_policy_fields[] = {
	F_BOOL(odoo_prelaunch_rebuild_policy, enabled, 0, .fallback = "false"),
	F_STR(odoo_prelaunch_rebuild_policy, approval_issue_url, TRIMMED),
	F_STR(odoo_prelaunch_rebuild_policy, data_source_mode, 0, .fallback = "empty",
	      .help = "empty or upstream_restore"),
	F_STR(odoo_prelaunch_rebuild_policy, confirmation, LOWERED),
	F_STR(odoo_prelaunch_rebuild_policy, expected_target_name, TRIMMED),
	F_STRINGS(odoo_prelaunch_rebuild_policy, expected_domains, NON_BLANK),
	F_END,
};
static const struct contract prelaunch_policy_contract =
        CONTRACT(odoo_prelaunch_rebuild_policy, prelaunch_policy_fields,
                 "Who approved a rebuild of this lane before launch", .check = check_prelaunch_policy);

static bool check_data_policy(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct odoo_data_policy *p = record;
	for (size_t i = 0; i < p->allowed_rebuild_sources.n; i++) {
		const char *s = p->allowed_rebuild_sources.v[i];
		if (strcmp(s, "empty") != 0 && strcmp(s, "upstream_restore") != 0)
			return contract_fail(a, err, path, arena_printf(a, "allowed_rebuild_sources[%zu]", i),
			                     "must be one of empty, upstream_restore");
	}
	if (p->data_authority == AUTHORITY_UNKNOWN && p->allowed_rebuild_sources.n)
		return contract_fail(a, err, path, "allowed_rebuild_sources",
		                     "must be empty while data_authority is unknown");
	if (strings_have(&p->allowed_rebuild_sources, "upstream_restore") && is_blank(p->upstream_source))
		return contract_fail(a, err, path, "upstream_source", "is required when upstream_restore is allowed");
	if (p->data_authority == AUTHORITY_AUTHORITATIVE) {
		if (!p->requires_backup_before_destroy)
			return contract_fail(a, err, path, "requires_backup_before_destroy",
			                     "may not be false when data_authority is authoritative");
		if (!p->requires_restore_proof)
			return contract_fail(a, err, path, "requires_restore_proof",
			                     "may not be false when data_authority is authoritative");
	}
	return true;
}

static const struct field data_policy_fields[] = {
	F_ENUM(odoo_data_policy, data_authority, 0, .names = authority_names, .fallback = "unknown"),
	F_STRINGS(odoo_data_policy, allowed_rebuild_sources, UNIQUE, .help = "empty, upstream_restore"),
	F_STR(odoo_data_policy, upstream_source, TRIMMED),
	F_BOOL(odoo_data_policy, requires_backup_before_destroy, 0, .fallback = "true"),
	F_BOOL(odoo_data_policy, requires_restore_proof, 0, .fallback = "true"),
	F_BOOL(odoo_data_policy, requires_runtime_identity, 0, .fallback = "true"),
	F_END,
};
static const struct contract data_policy_contract = CONTRACT(
        odoo_data_policy, data_policy_fields, "What may happen to the lane's data", .check = check_data_policy);

/* ---- lanes, previews, the rest ---- */

static const struct field lane_fields[] = {
	F_STR(lane, instance, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 100,
	      .help = "Stable lanes: testing, prod"),
	F_STR(lane, context, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 100),
	F_STR(lane, base_url, TRIMMED),
	F_STR(lane, health_url, TRIMMED),
	F_OBJECT(lane, odoo_stable_bootstrap, 0, &bootstrap_policy_contract),
	F_OBJECT(lane, odoo_prelaunch_rebuild, 0, &prelaunch_policy_contract),
	F_OBJECT(lane, odoo_data_policy, 0, &data_policy_contract),
	F_OBJECT(lane, health_monitoring, 0, &health_monitoring_contract),
	F_END,
};
const struct contract lane_contract = CONTRACT(lane, lane_fields, "A place a product runs");

static bool check_preview(struct arena *a, void *record, const char *path, struct err *err)
{
	struct preview_profile *p = record;
	if (is_blank(p->enable_label))
		p->enable_label = "launchplane-preview";
	for (size_t i = 0; i < p->copied_env_keys.n; i++)
		if (strings_have(&p->omitted_env_keys, p->copied_env_keys.v[i]))
			return contract_fail(a, err, path, arena_printf(a, "copied_env_keys[%zu]", i),
			                     "is also in omitted_env_keys");
	if (p->data_transport_mode == 0) {
		if (!is_blank(p->migration_command))
			return contract_fail(a, err, path, "migration_command",
			                     "needs a data_transport_mode other than none");
		if (!is_blank(p->seed_command))
			return contract_fail(a, err, path, "seed_command",
			                     "needs a data_transport_mode other than none");
	}
	if (!p->enabled)
		return true;
	if (is_blank(p->context))
		return contract_fail(a, err, path, "context", "is required when enabled is true");
	if (!strstr(p->slug_template, "{number}"))
		return contract_fail(a, err, path, "slug_template", "must contain {number}");
	if (is_blank(p->template_instance))
		return contract_fail(a, err, path, "template_instance", "is required when enabled is true");
	return true;
}

static const struct field preview_fields[] = {
	F_BOOL(preview_profile, enabled, 0, .fallback = "false"),
	F_STR(preview_profile, context, TRIMMED),
	F_STR(preview_profile, enable_label, TRIMMED, .fallback = "launchplane-preview"),
	F_STR(preview_profile, slug_template, TRIMMED, .fallback = "pr-{number}"),
	F_STR(preview_profile, app_name_prefix, TRIMMED),
	F_STR(preview_profile, template_instance, TRIMMED, .fallback = "testing"),
	F_STRINGS(preview_profile, required_template_env_keys, TRIMMED | NON_BLANK | UNIQUE),
	F_STRINGS(preview_profile, copied_env_keys, TRIMMED | NON_BLANK | UNIQUE),
	F_STRINGS(preview_profile, omitted_env_keys, TRIMMED | NON_BLANK | UNIQUE),
	F_STRINGS(preview_profile, preview_url_env_keys, TRIMMED | NON_BLANK | UNIQUE),
	F_STRINGS(preview_profile, preview_domain_env_keys, TRIMMED | NON_BLANK | UNIQUE),
	F_STRINGS(preview_profile, required_provider_fields, TRIMMED | NON_BLANK | UNIQUE),
	F_MAP(preview_profile, override_env, 0),
	F_ENUM(preview_profile, data_transport_mode, 0, .names = transport_names, .fallback = "none"),
	F_STR(preview_profile, migration_command, 0),
	F_STR(preview_profile, seed_command, 0),
	F_END,
};
const struct contract preview_profile_contract =
        CONTRACT(preview_profile, preview_fields, "How pull request previews are made", .check = check_preview);

static const struct field promotion_workflow_fields[] = {
	F_STR(promotion_workflow, workflow_id, NON_BLANK, .fallback = "promote-prod.yml"),
	F_STR(promotion_workflow, ref, NON_BLANK, .fallback = "main"),
	F_STR(promotion_workflow, dry_run_input, NON_BLANK, .fallback = "dry_run"),
	F_STR(promotion_workflow, bump_input, NON_BLANK, .fallback = "bump"),
	F_ENUM(promotion_workflow, default_bump, 0, .names = bump_names, .fallback = "patch"),
	F_END,
};
const struct contract promotion_workflow_contract =
        CONTRACT(promotion_workflow, promotion_workflow_fields, "The workflow that promotes to prod");

static bool check_expected_key(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct expected_runtime_key *k = record;
	if (k->instance[0] && !k->context[0])
		return contract_fail(a, err, path, "context", "is required when instance is given");
	return true;
}

static const struct field expected_key_fields[] = {
	F_STR(expected_runtime_key, key, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(expected_runtime_key, context, TRIMMED),
	F_STR(expected_runtime_key, instance, TRIMMED),
	F_END,
};
static const struct contract expected_key_contract = CONTRACT(
        expected_runtime_key, expected_key_fields, "A runtime key that must exist", .check = check_expected_key);

static bool check_expected_binding(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct expected_secret_binding *b = record;
	if (b->instance[0] && !b->context[0])
		return contract_fail(a, err, path, "context", "is required when instance is given");
	return true;
}

static const struct field expected_binding_fields[] = {
	F_STR(expected_secret_binding, binding_key, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(expected_secret_binding, integration, TRIMMED | NON_BLANK, .fallback = "runtime_environment"),
	F_STR(expected_secret_binding, context, TRIMMED),
	F_STR(expected_secret_binding, instance, TRIMMED),
	F_END,
};
static const struct contract expected_binding_contract =
        CONTRACT(expected_secret_binding, expected_binding_fields, "A secret binding that must exist",
                 .check = check_expected_binding);

static bool check_expected_config(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct expected_config *c = record;
	for (size_t i = 1; i < c->runtime_environment_keys.n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct expected_runtime_key *x = &c->runtime_environment_keys.v[i],
			                                  *y = &c->runtime_environment_keys.v[k];
			if (!strcmp(x->key, y->key) && !strcmp(x->context, y->context) &&
			    !strcmp(x->instance, y->instance))
				return contract_fail(a, err, path, arena_printf(a, "runtime_environment_keys[%zu]", i),
				                     "is there twice");
		}
	for (size_t i = 1; i < c->managed_secret_bindings.n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct expected_secret_binding *x = &c->managed_secret_bindings.v[i],
			                                     *y = &c->managed_secret_bindings.v[k];
			if (!strcmp(x->binding_key, y->binding_key) && !strcmp(x->integration, y->integration) &&
			    !strcmp(x->context, y->context) && !strcmp(x->instance, y->instance))
				return contract_fail(a, err, path, arena_printf(a, "managed_secret_bindings[%zu]", i),
				                     "is there twice");
		}
	return true;
}

static const struct field expected_config_fields[] = {
	F_LIST(expected_config, runtime_environment_keys, 0, &expected_key_contract),
	F_LIST(expected_config, managed_secret_bindings, 0, &expected_binding_contract),
	F_END,
};
const struct contract expected_config_contract =
        CONTRACT(expected_config, expected_config_fields, "Names of the configuration a product needs",
                 .check = check_expected_config);

static const struct field product_image_fields[] = {
	F_STR(product_image, repository, TRIMMED),
	F_END,
};
static const struct contract product_image_contract =
        CONTRACT(product_image, product_image_fields, "Where images come from");

static bool is_repository(const char *s)
{
	const char *slash = strchr(s, '/');
	return slash && slash != s && slash[1] && !strchr(slash + 1, '/');
}

static bool check_profile(struct arena *a, void *record, const char *path, struct err *err)
{
	struct product_profile *p = record;
	if (!is_repository(p->repository))
		return contract_fail(a, err, path, "repository", "must have the form owner/name");
	if (p->health_path[0] && p->health_path[0] != '/')
		return contract_fail(a, err, path, "health_path", "must start with /");
	if (p->runtime_port == 0 && p->health_path[0])
		return contract_fail(a, err, path, "health_path", "must be empty when runtime_port is 0");
	if (p->runtime_port > 0 && !p->health_path[0])
		return contract_fail(a, err, path, "health_path", "is required when runtime_port is given");
	struct strings historical = { 0 };
	for (size_t i = 0; i < p->historical_contexts.n; i++)
		if (!strings_have(&historical, p->historical_contexts.v[i]))
			strings_add(a, &historical, p->historical_contexts.v[i]);
	p->historical_contexts = historical;
	if (p->preview.enabled) {
		if (is_blank(p->image.repository))
			return contract_fail(a, err, path, "image.repository", "is required when previews are enabled");
		if (p->runtime_port == 0)
			return contract_fail(a, err, path, "runtime_port", "must be above 0 when previews are enabled");
	}
	return true;
}

static const struct field product_profile_fields[] = {
	F_SCHEMA_VERSION(product_profile),
	F_STR(product_profile, product, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(product_profile, display_name, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(product_profile, repository, REQUIRED | TRIMMED | NON_BLANK, .help = "owner/name"),
	F_STR(product_profile, driver_id, REQUIRED | TRIMMED | NON_BLANK, .help = "generic-web, odoo, verireel"),
	F_OBJECT(product_profile, image, 0, &product_image_contract),
	F_INT(product_profile, runtime_port, 0, .min = 0, .max = 65535, .fallback = "0", .help = "0: no HTTP port"),
	F_STR(product_profile, health_path, TRIMMED),
	F_LIST(product_profile, lanes, 0, &lane_contract, .max = 100),
	F_STRINGS(product_profile, historical_contexts, TRIMMED | NON_BLANK),
	F_OBJECT(product_profile, preview, 0, &preview_profile_contract),
	F_OBJECT(product_profile, promotion_workflow, 0, &promotion_workflow_contract),
	F_OBJECT(product_profile, expected_config, 0, &expected_config_contract),
	F_STR(product_profile, updated_at, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(product_profile, source, REQUIRED | TRIMMED | NON_BLANK),
	F_END,
};
const struct contract product_profile_contract =
        CONTRACT(product_profile, product_profile_fields, "A product and its lanes", .check = check_profile);

bool product_profile_check_write(struct arena *a, const struct product_profile *p, struct err *err)
{
	for (size_t i = 0; i < p->lanes.n; i++) {
		const struct lane *lane = &p->lanes.v[i];
		if (strcmp(lane->instance, "testing") != 0 && strcmp(lane->instance, "prod") != 0)
			return contract_fail(a, err, arena_printf(a, "lanes[%zu]", i), "instance",
			                     "must be testing or prod: those are the stable lanes");
		for (size_t k = 0; k < lane->health_monitoring.checks.n; k++) {
			const struct health_check *c = &lane->health_monitoring.checks.v[k];
			const char *path = arena_printf(a, "lanes[%zu].health_monitoring.checks[%zu]", i, k);
			if (!c->enabled)
				continue;
			if (c->kind == CHECK_PRIVATE_HTTP && is_blank(c->private_endpoint_key))
				return contract_fail(a, err, path, "private_endpoint_key",
				                     "is required for an enabled private_http check");
			if (c->kind == CHECK_PUBLIC_HTTP && is_blank(c->url) && is_blank(lane->health_url) &&
			    (is_blank(lane->base_url) || is_blank(p->health_path)))
				return contract_fail(a, err, path, "url",
				                     "is required: the lane has neither a health_url nor a base_url "
				                     "with a health_path");
		}
	}
	return true;
}

const struct lane *product_profile_lane(const struct product_profile *p, const char *instance, size_t *count)
{
	const struct lane *found = NULL;
	*count = 0;
	for (size_t i = 0; i < p->lanes.n; i++) {
		if (strcmp(p->lanes.v[i].instance, instance) == 0) {
			found = &p->lanes.v[i];
			++*count;
		}
	}
	return *count == 1 ? found : NULL;
}

const struct lane *product_profile_lane_in(const struct product_profile *p, const char *context, const char *instance)
{
	for (size_t i = 0; i < p->lanes.n; i++)
		if (!strcmp(p->lanes.v[i].context, context) && !strcmp(p->lanes.v[i].instance, instance))
			return &p->lanes.v[i];
	return NULL;
}

static void json_drop(struct json *object, const char *key)
{
	for (uint32_t i = 0; i < object->n; i++) {
		if (strcmp(object->members[i].key, key) == 0) {
			memmove(&object->members[i], &object->members[i + 1],
			        (object->n - i - 1) * sizeof(object->members[0]));
			object->n--;
			return;
		}
	}
}

static void add_default_check(struct arena *a, struct json *lane, const struct json *retired)
{
	struct json check = json_object();
	json_set_str(a, &check, "name", "public-ingress");
	json_set_str(a, &check, "kind", "public_http");
	json_set(a, &check, "enabled", json_of_bool(json_bool(retired, "enabled", true)));
	json_set(a, &check, "require_runtime_identity",
	         json_of_bool(json_bool(retired, "require_runtime_identity", false)));
	struct json checks = json_array(), monitoring = json_object();
	json_push(a, &checks, check);
	json_set(a, &monitoring, "checks", checks);
	json_set(a, lane, "health_monitoring", monitoring);
}

void product_profile_migrate(struct arena *a, struct json *payload)
{
	const struct json *lanes = json_get(payload, "lanes");
	bool has_health_path = !is_blank(json_str(payload, "health_path", ""));
	for (uint32_t i = 0; lanes && lanes->type == JSON_ARRAY && i < lanes->n; i++) {
		struct json *lane = &lanes->items[i];
		if (lane->type != JSON_OBJECT)
			continue;
		const struct json *retired = json_get(lane, "public_ingress_monitoring");
		bool is_public = !is_blank(json_str(lane, "health_url", "")) ||
		                 (has_health_path && !is_blank(json_str(lane, "base_url", "")));
		if (!json_get(lane, "health_monitoring") && (retired || is_public))
			add_default_check(a, lane, retired);
		json_drop(lane, "public_ingress_monitoring");
	}
}
