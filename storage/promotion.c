#include "storage/promotion.h"

/* ---- backup gates ---- */

static bool check_gate(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct backup_gate *g = record;
	if (g->status == RELEASE_PASS && g->evidence.n == 0)
		return contract_fail(a, err, path, "evidence", "must say what was backed up when status is pass");
	return true;
}

static const struct field backup_gate_fields[] = {
	F_SCHEMA_VERSION(backup_gate),
	F_STR(backup_gate, record_id, REQUIRED | NON_BLANK | NO_BLANKS, .max = 300, .help = "Chosen by the caller"),
	F_STR(backup_gate, context, REQUIRED | NON_BLANK, .max = 200),
	F_STR(backup_gate, instance, REQUIRED | NON_BLANK, .max = 200, .help = "The lane the backup protects"),
	F_STR(backup_gate, created_at, REQUIRED | NON_BLANK, .max = 100, .help = "UTC, kept as sent"),
	F_STR(backup_gate, source, REQUIRED | NON_BLANK, .help = "Who made it"),
	F_BOOL(backup_gate, required, 0, .fallback = "true"),
	F_ENUM(backup_gate, status, 0, .names = release_status_names, .fallback = "pending"),
	F_MAP(backup_gate, evidence, 0, .help = "Not empty when status is pass"),
	F_END,
};
const struct contract backup_gate_contract =
        CONTRACT(backup_gate, backup_gate_fields, "A backup that a promotion asks for", .check = check_gate);

static const struct field backup_gate_request_fields[] = {
	F_SCHEMA_VERSION(backup_gate_evidence_request),
	F_STR(backup_gate_evidence_request, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(backup_gate_evidence_request, backup_gate, REQUIRED, &backup_gate_contract),
	F_END,
};
const struct contract backup_gate_evidence_request_contract =
        CONTRACT(backup_gate_evidence_request, backup_gate_request_fields, "Evidence of a backup that was made");

/* ---- promotions ---- */

static const struct field gate_evidence_fields[] = {
	F_BOOL(gate_evidence, required, 0, .fallback = "true"),
	F_ENUM(gate_evidence, status, 0, .names = release_status_names, .fallback = "pending"),
	F_MAP(gate_evidence, evidence, 0),
	F_END,
};
static const struct contract gate_evidence_contract =
        CONTRACT(gate_evidence, gate_evidence_fields, "What the promotion's backup gate said");

static bool check_rollback(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct rollback_evidence *r = record;
	if (!r->attempted && r->status != RELEASE_SKIPPED)
		return contract_fail(a, err, path, "status", "must be skipped when attempted is false");
	if (r->attempted && r->status == RELEASE_SKIPPED)
		return contract_fail(a, err, path, "status", "must be pending, pass or fail when attempted is true");
	return true;
}

static const struct field rollback_evidence_fields[] = {
	F_BOOL(rollback_evidence, attempted, 0, .fallback = "false"),
	F_ENUM(rollback_evidence, status, 0, .names = release_status_names, .fallback = "skipped"),
	F_STR(rollback_evidence, detail, 0),
	F_STR(rollback_evidence, snapshot_name, 0),
	F_STR(rollback_evidence, started_at, 0),
	F_STR(rollback_evidence, finished_at, 0),
	F_END,
};
static const struct contract rollback_evidence_contract =
        CONTRACT(rollback_evidence, rollback_evidence_fields, "A rollback of the promotion", .check = check_rollback);

static bool check_promotion(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct promotion *p = record;
	if (strcmp(p->from_instance, p->to_instance) == 0)
		return contract_fail(a, err, path, "to_instance", "must differ from from_instance");
	if (p->backup_gate.required && p->backup_gate.status == RELEASE_PASS && is_blank(p->backup_record_id))
		return contract_fail(a, err, path, "backup_record_id",
		                     "is required when the required backup gate's status is pass");
	return true;
}

static const struct field promotion_fields[] = {
	F_SCHEMA_VERSION(promotion),
	F_STR(promotion, record_id, REQUIRED | NON_BLANK | NO_BLANKS, .max = 300, .help = "Chosen by the caller"),
	F_OBJECT(promotion, artifact_identity, REQUIRED, &artifact_reference_contract),
	F_STR(promotion, deployment_record_id, TRIMMED, .max = 300,
	      .help = "The deployment that established the promoted state; refreshes the destination's inventory"),
	F_STR(promotion, backup_record_id, TRIMMED, .max = 300),
	F_STR(promotion, context, REQUIRED | NON_BLANK, .max = 200),
	F_STR(promotion, from_instance, REQUIRED | NON_BLANK, .max = 200),
	F_STR(promotion, to_instance, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(promotion, source_health, 0, &healthcheck_evidence_contract),
	F_OBJECT(promotion, backup_gate, 0, &gate_evidence_contract),
	F_OBJECT(promotion, deploy, REQUIRED, &deploy_evidence_contract),
	F_OBJECT(promotion, post_deploy_update, 0, &post_deploy_evidence_contract),
	F_OBJECT(promotion, destination_health, 0, &healthcheck_evidence_contract),
	F_OBJECT(promotion, rollback, 0, &rollback_evidence_contract),
	F_OBJECT(promotion, rollback_health, 0, &healthcheck_evidence_contract),
	F_END,
};
const struct contract promotion_contract =
        CONTRACT(promotion, promotion_fields, "A promotion of an artifact from lane to lane", .check = check_promotion);

static const struct field promotion_request_fields[] = {
	F_SCHEMA_VERSION(promotion_evidence_request),
	F_STR(promotion_evidence_request, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(promotion_evidence_request, promotion, REQUIRED, &promotion_contract),
	F_END,
};
const struct contract promotion_evidence_request_contract =
        CONTRACT(promotion_evidence_request, promotion_request_fields, "Evidence of a promotion that happened");
