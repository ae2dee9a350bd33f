/* server/cli/rehearsal_lane.h - one rehearsal at a time works on a lane, as one operation does on the database
 * (facts/odoo.md 6.4).
 *
 * DIR/lane_reservations/<context>-<instance> is created exclusively and holds the operation's id; what the operation is
 * stands in DIR/<kind>_operations/<id>.json. A process can die between any two of these steps. Who finds the lane
 * reserved waits a bounded time for the id, and again for the record; a reservation without them is abandoned, and so
 * is one whose operation has ended, or has let its lease pass. */
#pragma once

#include "server/cli/rehearsal.h"
#include "storage/operation.h"

struct rehearsed_operation {
	int64_t schema_version;
	const char *operation_id, *product, *context, *instance, *status, *phase, *deployment_record_id, *created_at,
	        *updated_at, *started_at, *finished_at, *lease_owner, *lease_expires_at, *error_message;
	const struct json *request;
};
extern const struct contract rehearsed_operation_contract;

/* Takes the lane for a new operation of this kind and writes its record. Waits, without a loop, up to twice
 * settle_ms. E_operation_active names the operation that works on the lane. */
bool rehearsal_claim(const struct rehearsal *r, const struct op_kind *kind, const char *product, const char *context,
                     const char *instance, const struct json *request, int64_t settle_ms,
                     struct rehearsed_operation *out, struct err *err);
/* Whether the lane is still this operation's: the last look before its records are written. */
bool rehearsal_holds(const struct rehearsal *r, const struct rehearsed_operation *op);
/* Writes the end, failure NULL: it passed, and gives the lane back. */
bool rehearsal_end(const struct rehearsal *r, const struct op_kind *kind, struct rehearsed_operation *op,
                   const struct err *failure, struct err *err);
