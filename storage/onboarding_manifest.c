/* What a manifest may hold. */
#include "storage/onboarding.h"
#include "storage/plan.h"

static const struct field target_fields[] = {
	F_STR(onboarding_target, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(onboarding_target, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(onboarding_target, provider_id, LOWERED, .fallback = "dokploy", .help = "Only dokploy"),
	F_ENUM(onboarding_target, target_type, 0, .names = target_type_names, .fallback = "compose"),
	F_STR(onboarding_target, target_id, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(onboarding_target, target_name, TRIMMED, .max = 200),
	F_STR(onboarding_target, project_name, TRIMMED, .max = 200),
	F_STR(onboarding_target, source_git_ref, TRIMMED, .fallback = "origin/main"),
	F_STR(onboarding_target, source_type, TRIMMED),
	F_STR(onboarding_target, compose_path, TRIMMED),
	F_STR(onboarding_target, healthcheck_path, TRIMMED, .help = "Default: the product's health path"),
	F_STRINGS(onboarding_target, domains, LOWERED | NON_BLANK | UNIQUE, .max = 100),
	F_END,
};
static const struct contract target_contract =
        CONTRACT(onboarding_target, target_fields, "The target a lane has at its provider");

static const struct field environment_fields[] = {
	F_STR(onboarding_environment, scope, LOWERED,
	      .help = "global, context or instance; default: what the place says"),
	F_STR(onboarding_environment, context, TRIMMED | NO_BLANKS),
	F_STR(onboarding_environment, instance, TRIMMED | NO_BLANKS),
	F_JSON(onboarding_environment, env, REQUIRED, .help = "Keys and scalar values; no secrets"),
	F_END,
};
static const struct contract environment_contract =
        CONTRACT(onboarding_environment, environment_fields, "Plain runtime values of one scope");

static const struct field binding_fields[] = {
	F_STR(onboarding_binding, binding_key, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(onboarding_binding, context, TRIMMED | NO_BLANKS),
	F_STR(onboarding_binding, instance, TRIMMED | NO_BLANKS),
	F_STR(onboarding_binding, integration, TRIMMED | NON_BLANK, .fallback = "runtime_environment"),
	F_STR(onboarding_binding, secret_id, TRIMMED, .help = "Default: a placeholder's own"),
	F_STR(onboarding_binding, binding_id, TRIMMED, .help = "Default: a placeholder's own"),
	F_STR(onboarding_binding, status, LOWERED, .fallback = "disabled",
	      .help = "disabled: a placeholder; configured: the secret exists"),
	F_END,
};
static const struct contract binding_contract =
        CONTRACT(onboarding_binding, binding_fields, "A secret the product needs, without its value");

/* ---- rules about several members ---- */

static bool is_lane(const struct onboarding_manifest *m, const char *context, const char *instance)
{
	for (size_t i = 0; i < m->lanes.n; i++)
		if (!strcmp(m->lanes.v[i].context, context) && !strcmp(m->lanes.v[i].instance, instance))
			return true;
	return false;
}

static bool is_context(const struct onboarding_manifest *m, const char *context)
{
	for (size_t i = 0; i < m->lanes.n; i++)
		if (!strcmp(m->lanes.v[i].context, context))
			return true;
	return m->preview.context[0] && !strcmp(m->preview.context, context);
}

/* A place of the product: everywhere, one of its contexts, or one of its lanes. */
static bool check_place(struct arena *a, const struct onboarding_manifest *m, const char *path, const char *context,
                        const char *instance, struct err *err)
{
	if (instance[0] && !context[0])
		return contract_fail(a, err, path, "context", "is required when instance is given");
	if (instance[0] && !is_lane(m, context, instance))
		return contract_fail(a, err, path, "instance", "names no lane of the manifest in this context");
	if (context[0] && !is_context(m, context))
		return contract_fail(a, err, path, "context", "is the context of no lane and not the previews' one");
	return true;
}

static bool check_lanes(struct arena *a, struct onboarding_manifest *m, const char *path, struct err *err)
{
	for (size_t i = 0; i < m->lanes.n; i++) {
		struct lane *lane = &m->lanes.v[i];
		for (size_t k = 0; k < i; k++)
			if (!strcmp(lane->instance, m->lanes.v[k].instance))
				return contract_fail(a, err, path, arena_printf(a, "lanes[%zu].instance", i),
				                     "is also that of lanes[%zu]", k);
		if (!lane->health_url[0] && lane->base_url[0] && m->health_path[0] &&
		    strcmp(m->driver_id, "odoo") != 0) {
			size_t n = strlen(lane->base_url);
			while (n && lane->base_url[n - 1] == '/')
				n--;
			lane->health_url = arena_printf(a, "%.*s%s", (int)n, lane->base_url, m->health_path);
		}
	}
	return true;
}

static bool check_targets(struct arena *a, struct onboarding_manifest *m, const char *path, struct err *err)
{
	for (size_t i = 0; i < m->provider_targets.n; i++) {
		struct onboarding_target *t = &m->provider_targets.v[i];
		const char *at = contract_field_path(a, path, arena_printf(a, "provider_targets[%zu]", i));
		if (strcmp(t->provider_id, "dokploy") != 0)
			return contract_fail(a, err, at, "provider_id", "must be dokploy");
		if (!is_lane(m, t->context, t->instance))
			return contract_fail(a, err, at, "instance", "names no lane of the manifest in this context");
		for (size_t k = 0; k < i; k++)
			if (!strcmp(t->context, m->provider_targets.v[k].context) &&
			    !strcmp(t->instance, m->provider_targets.v[k].instance))
				return contract_fail(a, err, at, "instance",
				                     "has a target already: provider_targets[%zu]", k);
		if (!t->healthcheck_path[0])
			t->healthcheck_path = m->health_path;
	}
	return true;
}

static bool check_environments(struct arena *a, struct onboarding_manifest *m, const char *path, struct err *err)
{
	for (size_t i = 0; i < m->runtime_environments.n; i++) {
		struct onboarding_environment *e = &m->runtime_environments.v[i];
		const struct place place = { e->context, e->instance };
		const char *at = contract_field_path(a, path, arena_printf(a, "runtime_environments[%zu]", i));
		if (!check_place(a, m, at, e->context, e->instance, err))
			return false;
		if (e->scope[0] && strcmp(e->scope, place_scope(&place)) != 0)
			return contract_fail(a, err, at, "scope", "must be %s for this context and instance",
			                     place_scope(&place));
		for (size_t k = 0; k < i; k++)
			if (!strcmp(e->context, m->runtime_environments.v[k].context) &&
			    !strcmp(e->instance, m->runtime_environments.v[k].instance))
				return contract_fail(a, err, at, "context",
				                     "and instance are those of "
				                     "runtime_environments[%zu]",
				                     k);
		if (!runtime_env_check(a, e->env, contract_field_path(a, at, "env"), err))
			return false;
		if (e->env->n == 0)
			return contract_fail(a, err, at, "env", "must hold a key");
	}
	return true;
}

static bool check_bindings(struct arena *a, struct onboarding_manifest *m, const char *path, struct err *err)
{
	for (size_t i = 0; i < m->secret_bindings.n; i++) {
		const struct onboarding_binding *b = &m->secret_bindings.v[i];
		const char *at = contract_field_path(a, path, arena_printf(a, "secret_bindings[%zu]", i));
		bool configured = strcmp(b->status, "configured") == 0;
		if (!check_place(a, m, at, b->context, b->instance, err))
			return false;
		if (!is_env_key(b->binding_key))
			return contract_fail(a, err, at, "binding_key", "must be an environment key");
		if (!configured && strcmp(b->status, "disabled") != 0)
			return contract_fail(a, err, at, "status", "must be disabled or configured");
		if (configured && !b->secret_id[0])
			return contract_fail(a, err, at, "secret_id", "is required when status is configured");
		for (size_t k = 0; k < i; k++) {
			const struct onboarding_binding *o = &m->secret_bindings.v[k];
			if (!strcmp(b->binding_key, o->binding_key) && !strcmp(b->integration, o->integration) &&
			    !strcmp(b->context, o->context) && !strcmp(b->instance, o->instance))
				return contract_fail(a, err, at, "binding_key",
				                     "is bound there by secret_bindings[%zu]", k);
		}
	}
	return true;
}

static bool check_manifest(struct arena *a, void *record, const char *path, struct err *err)
{
	struct onboarding_manifest *m = record;
	if (m->dokploy_targets)
		return contract_fail(a, err, path, "dokploy_targets",
		                     "is obsolete: name the targets in provider_targets");
	return check_lanes(a, m, path, err) && check_targets(a, m, path, err) && check_environments(a, m, path, err) &&
	       check_bindings(a, m, path, err);
}

static const struct field manifest_fields[] = {
	F_STR(onboarding_manifest, product, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200),
	F_STR(onboarding_manifest, display_name, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(onboarding_manifest, repository, REQUIRED | TRIMMED | NON_BLANK, .help = "owner/name"),
	F_STR(onboarding_manifest, driver_id, TRIMMED | NON_BLANK, .fallback = "generic-web"),
	F_STR(onboarding_manifest, image_repository, TRIMMED),
	F_INT(onboarding_manifest, runtime_port, 0, .min = 0, .max = 65535, .fallback = "0"),
	F_STR(onboarding_manifest, health_path, TRIMMED),
	F_LIST(onboarding_manifest, lanes, REQUIRED, &lane_contract, .min = 1, .max = 100),
	F_STRINGS(onboarding_manifest, historical_contexts, TRIMMED | NON_BLANK),
	F_OBJECT(onboarding_manifest, preview, 0, &preview_profile_contract),
	F_OBJECT(onboarding_manifest, promotion_workflow, 0, &promotion_workflow_contract),
	F_OBJECT(onboarding_manifest, expected_config, 0, &expected_config_contract),
	F_LIST(onboarding_manifest, provider_targets, 0, &target_contract, .max = 100),
	F_LIST(onboarding_manifest, runtime_environments, 0, &environment_contract, .max = 200),
	F_LIST(onboarding_manifest, secret_bindings, 0, &binding_contract, .max = 500),
	F_JSON(onboarding_manifest, dokploy_targets, 0, .help = "Obsolete; refused"),
	F_STR(onboarding_manifest, updated_at, TRIMMED, .help = "Default: now"),
	F_STR(onboarding_manifest, source_label, TRIMMED | NON_BLANK, .fallback = "product-onboarding"),
	F_END,
};
static const struct contract manifest_contract =
        CONTRACT(onboarding_manifest, manifest_fields, "A product with all it needs", .check = check_manifest);

static bool check_request(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct onboarding_request *r = record;
	if (strcmp(r->product, "launchplane") != 0)
		return contract_fail(a, err, path, "product",
		                     "must be launchplane; the manifest names the new product");
	if (strcmp(r->mode, "dry-run") != 0 && strcmp(r->mode, "apply") != 0)
		return contract_fail(a, err, path, "mode", "must be dry-run or apply");
	return true;
}

static const struct field request_fields[] = {
	F_INT(onboarding_request, schema_version, 0, .min = 1, .max = 1, .fallback = "1"),
	F_STR(onboarding_request, mode, LOWERED, .fallback = "apply", .help = "apply or dry-run"),
	F_STR(onboarding_request, product, TRIMMED, .fallback = "launchplane", .help = "Only launchplane"),
	F_STR(onboarding_request, reason, TRIMMED, .max = 1000),
	F_PLAN_DIGEST(onboarding_request),
	F_OBJECT(onboarding_request, manifest, REQUIRED, &manifest_contract),
	F_END,
};
const struct contract onboarding_request_contract =
        CONTRACT(onboarding_request, request_fields, "Makes a product from a manifest", .check = check_request);
