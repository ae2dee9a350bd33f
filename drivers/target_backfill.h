/* drivers/target_backfill.h - writing the missing provider target row of one lane, from its complete Dokploy pair
 * (facts/config-health.md 5.6). */
#pragma once

#include "storage/operation.h"

#define TARGET_BACKFILL_CONFIRMATION "APPLY PROVIDER TARGET BACKFILL"

struct target_backfill {
	int64_t schema_version;
	const char *mode, *product, *provider_id, *context, *instance, *reason, *confirmation, *plan_digest;
};
extern const struct contract target_backfill_contract;

/* The result that route and operation answer; report is JSON text. */
struct json target_backfill_result(struct arena *a, const struct target_backfill *r, const struct json *report);
/* What a plan's digest is taken over: the report without what applying changes in it. */
const char *target_backfill_digest(struct arena *a, const struct json *report);

extern const struct op_kind target_backfill_kind;
