/* storage/product_profile.h - a product: its lanes, their policies, its image. Shape: facts/config-health.md 1. */
#pragma once

#include "core/contract.h"

enum check_kind { CHECK_PUBLIC_HTTP, CHECK_PRIVATE_HTTP, CHECK_PROVIDER };
struct health_check {
	const char *name;
	int kind;
	bool enabled;
	const char *url, *private_endpoint_key;
	bool require_runtime_identity;
	const char *alert_issue_url;
	const char *provider, *provider_check;
};
struct health_monitoring {
	LIST_OF(struct health_check) checks;
};

enum data_source_mode { DATA_EXISTING, DATA_EMPTY, DATA_UPSTREAM_RESTORE };
extern const char *const data_source_mode_names[];

struct odoo_stable_bootstrap_policy {
	bool enabled;
	const char *approval_issue_url, *data_source_mode, *confirmation, *expected_target_name;
	struct strings expected_domains;
	bool require_health_verification, require_canonical_verification, require_logo_verification;
};
struct odoo_prelaunch_rebuild_policy {
	bool enabled;
	const char *approval_issue_url, *data_source_mode, *confirmation, *expected_target_name;
	struct strings expected_domains;
};
enum data_authority { AUTHORITY_UNKNOWN, AUTHORITY_RESETTABLE, AUTHORITY_RESTORABLE, AUTHORITY_AUTHORITATIVE };
struct odoo_data_policy {
	int data_authority;
	struct strings allowed_rebuild_sources;
	const char *upstream_source;
	bool requires_backup_before_destroy, requires_restore_proof, requires_runtime_identity;
};

struct lane {
	const char *instance, *context, *base_url, *health_url;
	struct odoo_stable_bootstrap_policy odoo_stable_bootstrap;
	struct odoo_prelaunch_rebuild_policy odoo_prelaunch_rebuild;
	struct odoo_data_policy odoo_data_policy;
	struct health_monitoring health_monitoring;
};

struct preview_profile {
	bool enabled;
	const char *context, *enable_label, *slug_template, *app_name_prefix, *template_instance;
	struct strings required_template_env_keys, copied_env_keys, omitted_env_keys, preview_url_env_keys,
	        preview_domain_env_keys, required_provider_fields;
	struct text_map override_env;
	int data_transport_mode;
	const char *migration_command, *seed_command;
};
struct promotion_workflow {
	const char *workflow_id, *ref, *dry_run_input, *bump_input;
	int default_bump;
};
struct expected_runtime_key {
	const char *key, *context, *instance;
};
struct expected_secret_binding {
	const char *binding_key, *integration, *context, *instance;
};
struct expected_config {
	LIST_OF(struct expected_runtime_key) runtime_environment_keys;
	LIST_OF(struct expected_secret_binding) managed_secret_bindings;
};
struct product_image {
	const char *repository;
};

struct product_profile {
	int64_t schema_version;
	const char *product, *display_name, *repository, *driver_id;
	struct product_image image;
	int64_t runtime_port;
	const char *health_path;
	LIST_OF(struct lane) lanes;
	struct strings historical_contexts;
	struct preview_profile preview;
	struct promotion_workflow promotion_workflow;
	struct expected_config expected_config;
	const char *updated_at, *source;
};
extern const struct contract product_profile_contract;
/* Its parts, for documents that hold them too. */
extern const struct contract lane_contract, preview_profile_contract, promotion_workflow_contract,
        expected_config_contract;

/* Rules that hold for a new write only, not for reading what is stored (config-health.md 1.7). */
bool product_profile_check_write(struct arena *a, const struct product_profile *p, struct err *err);
/* The one lane of this instance; NULL when there is none, *count tells how many there are. */
const struct lane *product_profile_lane(const struct product_profile *p, const char *instance, size_t *count);
const struct lane *product_profile_lane_in(const struct product_profile *p, const char *context, const char *instance);
/* Brings a stored payload of an earlier release to today's shape before it is read (config-health.md 1.2.1). */
void product_profile_migrate(struct arena *a, struct json *payload);
