/* drivers/odoo/backup_gate.h - the operation that captures a prod lane's database and filestore, as the gate of a
 * promotion (facts/odoo.md 12).
 *
 * Phases: target, schedule, capture, capture_wait, web. Web is stopped while it captures and runs again afterwards,
 * whatever happens. Only a capture that is proved by its own log makes a record. */
#pragma once

#include "drivers/odoo/replacement.h"

struct backup_gate_request {
	int64_t schema_version;
	const char *context, *instance, *backup_record_id;
	struct opt_int timeout_seconds;
};
extern const struct contract backup_gate_request_contract;
extern const struct op_kind odoo_backup_gate_kind;

/* Where the backup of this id goes, from the lane's runtime values; keys as in the gate's evidence. Fails naming keys.
 */
bool backup_gate_paths(struct arena *a, const struct text_map *runtime, const char *backup_record_id,
                       struct text_map *out, struct err *err);
/* The script; fails when a name that must be plain is not. */
bool backup_gate_script(struct arena *a, const char *compose_project, const char *backup_record_id,
                        const struct text_map *paths, const char **out, struct err *err);
