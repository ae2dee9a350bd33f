/* storage/target.h - where a lane lives at its provider: the tracked Dokploy target, its id, and the provider-neutral
 * row. Shapes: facts/config-health.md 5.1, 5.6. */
#pragma once

#include "storage/evidence.h"

struct shopify_policy {
	struct strings protected_store_keys;
};
struct target_policies {
	struct shopify_policy shopify;
};
struct dokploy_target {
	const char *context, *instance, *project_name;
	int target_type;
	const char *target_name, *git_branch, *source_git_ref, *source_type, *custom_git_url, *custom_git_branch,
	        *compose_path;
	struct strings watch_paths;
	bool enable_submodules, require_test_gate, require_prod_gate;
	struct opt_int deploy_timeout_seconds;
	bool healthcheck_enabled;
	const char *healthcheck_path;
	struct opt_int healthcheck_timeout_seconds;
	struct text_map env;
	struct strings domains;
	struct target_policies policies;
	const char *updated_at, *source_label;
};
extern const struct contract dokploy_target_contract;

struct dokploy_target_id {
	const char *context, *instance, *target_id, *updated_at, *source_label;
};
extern const struct contract dokploy_target_id_contract;

struct provider_target {
	const char *context, *instance, *provider_id;
	int target_category;
	const char *target_id, *display_name, *provider_target_type;
	struct text_map provider_evidence;
	const char *updated_at, *source_label;
};
extern const struct contract provider_target_contract;

/* The provider row a complete Dokploy pair stands for (config-health.md 5.6). */
void provider_target_project(struct arena *a, const struct dokploy_target *t, const struct dokploy_target_id *id,
                             struct provider_target *out);
/* Whether two rows name the same thing: times and labels do not count. *differs names the first difference. */
bool provider_target_same(const struct provider_target *x, const struct provider_target *y, const char **differs);
