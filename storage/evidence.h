/* storage/evidence.h - the building blocks of deployment, promotion and inventory records. Shapes: facts/core.md 5.1.
 */
#pragma once

#include "core/contract.h"

enum release_status { RELEASE_PENDING, RELEASE_PASS, RELEASE_FAIL, RELEASE_SKIPPED };
extern const char *const release_status_names[];

enum target_type { TARGET_COMPOSE, TARGET_APPLICATION };
extern const char *const target_type_names[];

struct artifact_reference {
	const char *artifact_id;
	int64_t manifest_version;
};
extern const struct contract artifact_reference_contract;

/* What a target was told it is, and what its health endpoint says it is. */
struct runtime_identity {
	int64_t schema_version;
	const char *product, *context, *instance, *environment_kind;
	const char *deployment_record_id, *artifact_id, *source_git_ref;
	const char *image_reference, *release_tuple_id, *preview_id, *preview_generation_id, *deployed_at;
};
extern const struct contract runtime_identity_contract;

enum identity_status {
	IDENTITY_UNCHECKED,
	IDENTITY_MATCH,
	IDENTITY_MISMATCH,
	IDENTITY_MISSING,
	IDENTITY_MALFORMED,
	IDENTITY_UNVERIFIABLE,
};
extern const char *const identity_status_names[];

struct healthcheck_evidence {
	bool verified;
	struct strings urls;
	struct opt_int timeout_seconds;
	int status; /* enum release_status */
	int runtime_identity_status;
	const char *runtime_identity_detail;
	struct runtime_identity *observed_runtime_identity;
};
extern const struct contract healthcheck_evidence_contract;

struct target_reference_input { /* accepted from older callers, folded into the flat fields, never written */
	const char *target_name, *provider_id, *target_category, *provider_target_type;
};

struct deploy_evidence {
	const char *target_name;
	int target_type;
	const char *deploy_mode, *deployment_id;
	int status;
	const char *started_at, *finished_at;
	const char *provider_id, *target_category, *provider_target_type, *provider_deploy_mode;
	struct target_reference_input *target_reference;
};
extern const struct contract deploy_evidence_contract;

struct post_deploy_evidence {
	bool attempted;
	int status;
	const char *detail;
	struct text_map evidence;
};
extern const struct contract post_deploy_evidence_contract;

enum readiness_status {
	READINESS_PENDING,
	READINESS_PASS,
	READINESS_FAIL,
	READINESS_VERIFICATION_FAILED,
	READINESS_SKIPPED
};
struct bootstrap_evidence {
	bool attempted;
	int run_status;
	int readiness_status;
	const char *detail;
};
extern const struct contract bootstrap_evidence_contract;

struct resolved_target {
	int target_type;
	const char *target_id, *target_name;
};
extern const struct contract resolved_target_contract;

struct deployed_target {
	const char *provider_id;
	int target_category;
	const char *target_id, *display_name, *provider_target_type;
	struct text_map provider_evidence;
};
extern const struct contract deployed_target_contract;
extern const char *const target_category_names[];
