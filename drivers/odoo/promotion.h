/* drivers/odoo/promotion.h - promotion of what testing runs to prod, and the way back (facts/odoo.md 13).
 *
 * Both are checks and annotations around the replacement's executor: phase check, then its phases. After a rollback
 * promotion to the lane is held until somebody lifts the hold. */
#pragma once

#include "drivers/odoo/replacement.h"
#include "storage/promotion.h"

struct promotion_request {
	int64_t schema_version;
	const char *product; /* "" or the envelope's */
	const char *context, *from_instance, *to_instance, *artifact_id, *backup_record_id, *source_git_ref;
	bool wait, verify_health, no_cache;
	struct opt_int timeout_seconds, health_timeout_seconds;
};
extern const struct contract promotion_request_contract;
extern const struct op_kind odoo_promotion_kind;

struct rollback_request {
	int64_t schema_version;
	const char *context, *instance, *source_channel, *artifact_id, *promotion_record_id, *reason;
	bool wait, verify_health, no_cache;
	struct opt_int timeout_seconds, health_timeout_seconds;
};
extern const struct contract rollback_request_contract;
extern const struct op_kind odoo_rollback_kind;

/* What testing runs, and the gate that a promotion of it would need. */
struct promotion_source {
	bool has_tuple, has_manifest;
	struct release_tuple tuple;
	struct artifact_manifest manifest;
};
SUSPENDS bool promotion_read_source(struct task *t, const char *context, const char *channel,
                                    struct promotion_source *out, struct err *err);
/* backup-gate-<context>-<instance>-<slug of request_id> */
const char *promotion_backup_id(struct arena *a, const char *context, const char *instance, const char *request_id);
/* E_promotion_held while a rollback's hold of the lane stands. */
SUSPENDS bool promotion_is_free(struct task *t, const char *context, const char *instance, struct err *err);
/* The checks of 13.2, 1 to 3, and the hold; what a promotion is refused for before anything is written. */
SUSPENDS bool promotion_check(struct task *t, const struct promotion_request *r, struct promotion_source *source,
                              struct backup_gate *gate, struct err *err);

/* Where a rollback goes: an artifact of its own, or testing's. */
struct rollback_source {
	const char *artifact_id, *source_git_ref, *snapshot_name, *promoted_from, *source_channel, *promotion_record_id;
	struct promotion promotion;
};
/* The checks of 13.3, 1 and 2. */
SUSPENDS bool rollback_check(struct task *t, const struct rollback_request *r, struct rollback_source *out,
                             struct err *err);

/* What both have the executor do on the destination. */
void promotion_give_order(struct task *t, struct operation *op, const char *artifact_id, const char *source_git_ref,
                          bool verify_health, bool no_cache, struct opt_int timeout, struct opt_int health_timeout);
/* A target's name for a record that is written before the executor has read it. */
SUSPENDS bool promotion_read_target_name(struct task *t, struct operation *op, struct err *err);
