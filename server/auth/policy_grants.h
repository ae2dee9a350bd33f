/* server/auth/policy_grants.h - a caller's grants as data, for queries that compose what a caller may do.
 *
 * {"<action>": [{"products": regex or null, "contexts": regex or null}, ...]}: one entry for each rule of the caller
 * that allows the action; null is no condition. The regular expressions mean what the rule's globs mean, as PostgreSQL
 * reads them. */
#pragma once

#include "server/auth/policy.h"

/* actions is NULL-terminated. The text lives in the arena. */
const char *policy_grants(struct arena *a, const struct policy *p, const struct principal *who,
                          const char *const *actions);
