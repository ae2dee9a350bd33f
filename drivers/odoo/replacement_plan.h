/* drivers/odoo/replacement_plan.h - may this Odoo target be replaced, and with what (facts/odoo.md 4.1 to 4.3).
 *
 * Pure: the caller reads records and the live target, and says by NULL what it did not find. The plan names every
 * reason against, what is missing and what to do about it, and never a value besides the names of volumes. */
#pragma once

#include "drivers/dokploy/dokploy.h"
#include "storage/artifact_manifest.h"
#include "storage/deployment.h"
#include "storage/product_profile.h"
#include "storage/target.h"

enum replacement_strategy { STRATEGY_RECREATE_IN_PLACE, STRATEGY_REPLACE_AND_CUTOVER };

/* The inner request of plan and apply. */
struct replacement_request {
	int64_t schema_version;
	const char *product, *instance;
	int strategy;
	bool allow_empty_data;
	int data_source_mode; /* enum data_source_mode */
	const char *confirmation, *artifact_id, *source_git_ref, *expected_current_artifact_id;
	/* of apply alone */
	bool verify_health, verify_canonical, verify_logo, no_cache;
	struct opt_int timeout_seconds, health_timeout_seconds;
	/* of releases alone (drivers/release/release.h) */
	const char *context, *from_instance, *backup_record_id;
	bool without_profile; /* of a rollback of a lane (context, instance) that no product has */
	/* of releases and of post-deploy: over the target's environment, for the data workflow's run */
	struct text_map env_overlay;
};
extern const struct contract replacement_plan_request_contract;
extern const struct contract replacement_apply_request_contract; /* recreate-in-place of testing lanes only */
extern const struct contract replacement_order_contract;         /* the same fields without that rule */

struct replacement_facts {
	const struct product_profile *profile;
	const char *base_driver_id; /* of the profile's driver; NULL or "" when it has none */
	const struct dokploy_target *target;
	const struct dokploy_target_id *target_id;
	const struct inventory *inventory;
	const struct artifact_manifest *manifest; /* of the artifact replacement_artifact() names */
	const struct text_map *runtime;           /* resolved for the lane, the target record's env included */
	const char *runtime_error;                /* why runtime is NULL */
	const struct dokploy_compose *live;
	const struct dokploy_domains *domains;         /* of the live target */
	const struct dokploy_deployments *deployments; /* NULL: those in live */
	const char *live_error;                        /* why live is NULL */
};

struct replacement_plan {
	bool is_ready;
	const struct lane *lane;
	const char *artifact_id, *source_git_ref; /* "" when there is none */
	const char *approval_issue_url;           /* "" unless the prelaunch policy was proved */
	struct strings hosts; /* expected: live ones but a staged preview's, else the record's; lower-cased */
	struct strings blockers, warnings;
	struct json result; /* facts/odoo.md 4.2 */
};

/* Of a data workflow's environment only its database, filestore and lock can be overlaid (facts/odoo.md 8.2). */
bool replacement_check_overlay(struct arena *a, const struct text_map *overlay, const char *path, struct err *err);

/* The artifact to deploy: the request's pair, else the inventory's. Both "" when neither names one. */
void replacement_artifact(const struct replacement_request *request, const struct inventory *inventory,
                          const char **artifact_id, const char **source_git_ref);
/* Fails only where there is nothing to plan for: no profile of this driver (E_product_driver_mismatch), or not exactly
 * one lane of the instance (E_invalid_request). */
bool replacement_plan_make(struct arena *a, const struct replacement_request *request,
                           const struct replacement_facts *facts, struct replacement_plan *out, struct err *err);
/* Whether the lane demands that its health endpoint proves the runtime identity: its data policy does unless it
 * says false, or one of its health checks does. */
bool lane_requires_runtime_identity(const struct lane *lane);
/* The blockers as one text for an operation's error, cut at a sentence. */
const char *replacement_blocked_text(struct arena *a, const struct replacement_plan *plan);

/* A domain as policies are compared: lower-case, without scheme and trailing slashes. */
const char *policy_host(struct arena *a, const char *domain);

extern const struct strings odoo_volume_keys; /* ODOO_DATA_VOLUME, ODOO_LOG_VOLUME, ODOO_DB_VOLUME */
