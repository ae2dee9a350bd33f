/* storage/promotion.h - promotions of an artifact between lanes, and the backup gates that allow them. Shapes and
 * rules: facts/core.md 5.2, 5.4. */
#pragma once

#include "storage/evidence.h"

/* A backup of the lane that a promotion will change. */
struct backup_gate {
	int64_t schema_version;
	const char *record_id, *context, *instance, *created_at, *source;
	bool required;
	int status; /* enum release_status */
	struct text_map evidence;
};
extern const struct contract backup_gate_contract;

/* The body of POST /v1/evidence/backup-gates. */
struct backup_gate_evidence_request {
	int64_t schema_version;
	const char *product;
	struct backup_gate backup_gate;
};
extern const struct contract backup_gate_evidence_request_contract;

/* What a promotion says of its gate. */
struct gate_evidence {
	bool required;
	int status;
	struct text_map evidence;
};
struct rollback_evidence {
	bool attempted;
	int status;
	const char *detail, *snapshot_name, *started_at, *finished_at;
};

struct promotion {
	int64_t schema_version;
	const char *record_id;
	struct artifact_reference artifact_identity;
	const char *deployment_record_id, *backup_record_id, *context, *from_instance, *to_instance;
	struct healthcheck_evidence source_health;
	struct gate_evidence backup_gate;
	struct deploy_evidence deploy;
	struct post_deploy_evidence post_deploy_update;
	struct healthcheck_evidence destination_health;
	struct rollback_evidence rollback;
	struct healthcheck_evidence rollback_health;
};
extern const struct contract promotion_contract;

/* The body of POST /v1/evidence/promotions. */
struct promotion_evidence_request {
	int64_t schema_version;
	const char *product;
	struct promotion promotion;
};
extern const struct contract promotion_evidence_request_contract;
