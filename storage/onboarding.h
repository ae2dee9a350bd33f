/* storage/onboarding.h - everything a new product needs, from one manifest, in one transaction
 * (facts/config-health.md 5.7): profile, targets, runtime values, placeholders for secrets. Values are never told. */
#pragma once

#include "storage/db.h"
#include "storage/product_profile.h"
#include "storage/secret_write.h"
#include "storage/target.h"

struct onboarding_target {
	const char *context, *instance, *provider_id;
	int target_type;
	const char *target_id, *target_name, *project_name, *source_git_ref, *source_type, *compose_path,
	        *healthcheck_path;
	struct strings domains;
};
struct onboarding_environment {
	const char *scope, *context, *instance;
	const struct json *env;
};
struct onboarding_binding {
	const char *binding_key, *context, *instance, *integration, *secret_id, *binding_id, *status;
};
struct onboarding_manifest {
	const char *product, *display_name, *repository, *driver_id, *image_repository;
	int64_t runtime_port;
	const char *health_path;
	LIST_OF(struct lane) lanes;
	struct strings historical_contexts;
	struct preview_profile preview;
	struct promotion_workflow promotion_workflow;
	struct expected_config expected_config;
	LIST_OF(struct onboarding_target) provider_targets;
	LIST_OF(struct onboarding_environment) runtime_environments;
	LIST_OF(struct onboarding_binding) secret_bindings;
	const struct json *dokploy_targets; /* of earlier releases: refused */
	const char *updated_at, *source_label;
};
struct onboarding_request { /* POST /v1/product-onboarding/apply */
	int64_t schema_version;
	const char *mode, *product, *reason, *plan_digest;
	struct onboarding_manifest manifest;
};
extern const struct contract onboarding_request_contract;

/* Plans and writes inside tx, which a dry-run rolls back. *result is the answer's; with E_plan_changed it is the plan
 * as it is now. */
SUSPENDS bool onboarding_run(struct tx *tx, const struct onboarding_request *r, const struct authorship *by, bool apply,
                             const char **result, struct err *err);
