#include "storage/target.h"

static const struct field shopify_fields[] = {
	F_STRINGS(shopify_policy, protected_store_keys, TRIMMED | LOWERED | NON_BLANK),
	F_END,
};
static const struct contract shopify_contract =
        CONTRACT(shopify_policy, shopify_fields, "Shops that must not be touched");
static const struct field policies_fields[] = {
	F_OBJECT(target_policies, shopify, 0, &shopify_contract),
	F_END,
};
static const struct contract policies_contract = CONTRACT(target_policies, policies_fields, "Guards of a target");

static const struct field dokploy_target_fields[] = {
	F_STR(dokploy_target, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS),
	F_STR(dokploy_target, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS),
	F_STR(dokploy_target, project_name, 0),
	F_ENUM(dokploy_target, target_type, 0, .names = target_type_names, .fallback = "compose"),
	F_STR(dokploy_target, target_name, TRIMMED),
	F_STR(dokploy_target, git_branch, 0),
	F_STR(dokploy_target, source_git_ref, 0, .fallback = "origin/main"),
	F_STR(dokploy_target, source_type, 0),
	F_STR(dokploy_target, custom_git_url, 0),
	F_STR(dokploy_target, custom_git_branch, 0),
	F_STR(dokploy_target, compose_path, 0),
	F_STRINGS(dokploy_target, watch_paths, 0),
	F_BOOL(dokploy_target, enable_submodules, 0, .fallback = "false"),
	F_BOOL(dokploy_target, require_test_gate, 0, .fallback = "false"),
	F_BOOL(dokploy_target, require_prod_gate, 0, .fallback = "false"),
	F_OPT_INT(dokploy_target, deploy_timeout_seconds, 0, .min = 1, .max = 86400),
	F_BOOL(dokploy_target, healthcheck_enabled, 0, .fallback = "true"),
	F_STR(dokploy_target, healthcheck_path, 0, .fallback = "/web/health"),
	F_OPT_INT(dokploy_target, healthcheck_timeout_seconds, 0, .min = 1, .max = 86400),
	F_MAP(dokploy_target, env, 0),
	F_STRINGS(dokploy_target, domains, TRIMMED | LOWERED | NON_BLANK),
	F_OBJECT(dokploy_target, policies, 0, &policies_contract),
	F_STR(dokploy_target, updated_at, REQUIRED | NON_BLANK),
	F_STR(dokploy_target, source_label, 0),
	F_END,
};
const struct contract dokploy_target_contract =
        CONTRACT(dokploy_target, dokploy_target_fields, "What is tracked of a lane's Dokploy target");

static const struct field dokploy_target_id_fields[] = {
	F_STR(dokploy_target_id, context, REQUIRED | LOWERED | NON_BLANK),
	F_STR(dokploy_target_id, instance, REQUIRED | LOWERED | NON_BLANK),
	F_STR(dokploy_target_id, target_id, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(dokploy_target_id, updated_at, REQUIRED | NON_BLANK),
	F_STR(dokploy_target_id, source_label, 0),
	F_END,
};
const struct contract dokploy_target_id_contract =
        CONTRACT(dokploy_target_id, dokploy_target_id_fields, "The live provider id of a lane");

static const struct field provider_target_fields[] = {
	F_STR(provider_target, context, REQUIRED | NON_BLANK),
	F_STR(provider_target, instance, REQUIRED | NON_BLANK),
	F_STR(provider_target, provider_id, REQUIRED | LOWERED | NON_BLANK),
	F_ENUM(provider_target, target_category, 0, .names = target_category_names, .fallback = "unknown"),
	F_STR(provider_target, target_id, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(provider_target, display_name, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(provider_target, provider_target_type, 0),
	F_MAP(provider_target, provider_evidence, 0),
	F_STR(provider_target, updated_at, REQUIRED | NON_BLANK),
	F_STR(provider_target, source_label, 0),
	F_END,
};
const struct contract provider_target_contract =
        CONTRACT(provider_target, provider_target_fields, "A lane's target, whatever the provider");

void provider_target_project(struct arena *a, const struct dokploy_target *t, const struct dokploy_target_id *id,
                             struct provider_target *out)
{
	*out = (struct provider_target){
		.context = t->context,
		.instance = t->instance,
		.provider_id = "dokploy",
		.target_category = t->target_type == TARGET_COMPOSE ? 2 : 1,
		.target_id = id->target_id,
		.display_name = t->target_name[0] ? t->target_name : t->instance,
		.provider_target_type = target_type_names[t->target_type],
		.updated_at = strcmp(t->updated_at, id->updated_at) >= 0 ? t->updated_at : id->updated_at,
		.source_label = t->source_label[0] ? t->source_label : id->source_label,
	};
	if (t->project_name[0])
		map_set(a, &out->provider_evidence, "project_name", t->project_name);
}

bool provider_target_same(const struct provider_target *x, const struct provider_target *y, const char **differs)
{
	*differs = strcmp(x->provider_id, y->provider_id) != 0                     ? "provider_id"
	           : x->target_category != y->target_category                      ? "target_category"
	           : strcmp(x->target_id, y->target_id) != 0                       ? "target_id"
	           : strcmp(x->display_name, y->display_name) != 0                 ? "display_name"
	           : strcmp(x->provider_target_type, y->provider_target_type) != 0 ? "provider_target_type"
	           : !map_equal(&x->provider_evidence, &y->provider_evidence)      ? "provider_evidence"
	                                                                           : NULL;
	return *differs == NULL;
}
