/* drivers/release/release.h - ship: deploy a stored artifact to a stable lane; promote: ship what another lane runs,
 * behind a backup gate (facts/core.md 6.3, 6.4; Odoo compose targets).
 *
 * Both are the phases of a replacement behind more conditions, every one of which must be proved: the artifact's
 * manifest is stored and pins digest and commits, the target's source is no repository checkout, and for a promotion
 * the source lane's release tuple is of this artifact and a fresh backup gate of the destination has passed. */
#pragma once

#include "drivers/odoo/replacement.h"
#include "storage/promotion.h"

extern const struct op_kind ship_kind, promote_kind;

/* Of struct replacement_request. */
extern const struct contract ship_request_contract, promote_request_contract;

/* What the conditions were judged by. */
struct release_reading {
	struct replacement_reading target;
	struct release_tuple source_tuple;
	struct inventory source_inventory;
	bool has_source_inventory;
	struct backup_gate gate;
	struct strings blockers; /* everything that speaks against it; empty: it may be done */
};

/* Reads everything and judges it. An empty source_git_ref of the request becomes the manifest's commit. Fails only when
 * the database fails, or the provider in a way another try may mend. */
SUSPENDS OUTSIDE_TX bool release_check(struct task *t, struct replacement_request *request, struct release_reading *out,
                                       struct err *err);
/* What release_check found, as plan and resolve answer it. */
struct json release_plan_json(struct arena *a, const struct replacement_request *request,
                              const struct release_reading *r);
const char *release_blocked_text(struct arena *a, const struct strings *blockers);
