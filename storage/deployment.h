/* storage/deployment.h - deployments: who deployed what where, and how it went. Shape and rules: facts/core.md 5.3. */
#pragma once

#include "storage/evidence.h"

struct deployment {
	int64_t schema_version;
	const char *record_id;
	struct artifact_reference *artifact_identity;
	const char *context, *instance, *source_git_ref;
	bool wait_for_completion, verify_destination_health, no_cache;
	int delegated_executor;
	struct resolved_target *resolved_target;
	struct deployed_target *deployed_target;
	struct text_map runtime_source;
	struct runtime_identity *runtime_identity; /* expected */
	struct deploy_evidence deploy;
	struct bootstrap_evidence bootstrap;
	struct post_deploy_evidence post_deploy_update;
	struct healthcheck_evidence destination_health;
};
extern const struct contract deployment_contract;

/* The body of POST /v1/evidence/deployments. */
struct deployment_evidence_request {
	int64_t schema_version;
	const char *product;
	struct deployment deployment;
};
extern const struct contract deployment_evidence_request_contract;

/* What runs in a lane now. Shape: facts/core.md 6.4. One record a context and instance, replaced in place. */
struct inventory {
	int64_t schema_version;
	const char *context, *instance;
	struct artifact_reference *artifact_identity;
	const char *source_git_ref;
	struct deploy_evidence deploy;
	struct post_deploy_evidence post_deploy_update;
	struct healthcheck_evidence destination_health;
	const char *updated_at, *deployment_record_id, *promotion_record_id, *promoted_from_instance;
	struct runtime_identity *runtime_identity;
	const char *bootstrap_record_id;
};
extern const struct contract inventory_contract;

/* The inventory a deployment establishes. bootstrap_record_id is kept from the previous inventory: it is history. */
void inventory_from_deployment(const struct deployment *d, const char *updated_at, const char *bootstrap_record_id,
                               struct inventory *out);
const char *inventory_record_id(struct arena *a, const char *context, const char *instance);
