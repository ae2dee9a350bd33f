/* server/auth/policy_explain.h - why the policy decides as it does for one caller.
 *
 * Shows the caller's own rules only: those of their repository (and not of another one that had its name), login or
 * token. Of the names a rule lists, only those that fit the caller. */
#pragma once

#include "server/auth/policy.h"

/* A JSON object: allowed, decided_by, the rule that allows or the nearest ones with the first condition that fails. */
const char *policy_explain(struct arena *a, const struct policy *p, const struct principal *who, const char *action,
                           const char *product, const char *context);
/* Why a caller is denied, in a word for the log: caller (this kind may never), no_rule, or the first condition that
 * fails of the rule that came nearest ("environments"). The text is static. */
const char *policy_denial(const struct policy *p, const struct principal *who, const char *action, const char *product,
                          const char *context);
