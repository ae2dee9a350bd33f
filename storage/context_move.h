/* storage/context_move.h - a product moves from one context to another: records are copied, the profile follows, what
 * happened stays where it was (facts/config-health.md 6).
 *
 * A cutover copies what the target context lacks and leaves the source as it is. A cleanup afterwards deletes what has
 * a twin in the target context and disables secrets; evidence is never touched. Both run inside the caller's
 * transaction and are all or nothing. */
#pragma once

#include "core/seal.h"
#include "storage/db.h"
#include "storage/product_profile.h"

struct context_cutover {
	int64_t schema_version;
	const char *product, *source_context, *target_context, *mode, *display_name, *source_label, *reason,
	        *plan_digest;
};
extern const struct contract context_cutover_contract;

struct context_cleanup {
	int64_t schema_version;
	const char *product, *source_context, *target_context, *mode, *actor, *source_label, *reason, *plan_digest;
};
extern const struct contract context_cleanup_contract;

/* The product itself, its lanes' contexts, and the preview's when previews are on. */
bool profile_owns_context(const struct product_profile *p, const char *context);

/* The profile after the move; whether it changes. */
bool cutover_profile(struct arena *a, const struct context_cutover *r, struct product_profile *p);
/* What would be copied, with the profile's part: the answer's result without mode and applied. */
SUSPENDS bool cutover_plan(struct tx *tx, const struct context_cutover *r, const struct product_profile *after,
                           bool profile_changes, struct json *out, struct err *err);
/* Copies. A sealed value is bound to its record and opens only there, so it is opened and sealed again under the new
 * one; what an earlier Launchplane sealed is bound to nothing and copied as it is. */
SUSPENDS bool cutover_write(struct tx *tx, const struct context_cutover *r, const struct product_profile *after,
                            const struct keyring *keyring, const char *actor, const char *now, struct err *err);

/* What would be deleted or disabled. */
SUSPENDS bool cleanup_plan(struct tx *tx, const struct context_cleanup *r, struct json *out, struct err *err);
SUSPENDS bool cleanup_write(struct tx *tx, const struct context_cleanup *r, const char *actor, const char *now,
                            struct err *err);

/* Sentences that every answer about a move carries. */
struct json move_guardrails(struct arena *a);
