/* server/auth/policy_edit.h - one more rule, or one less: the changes that grants and removals make to a policy.
 *
 * A rule is compared as a whole, field by field and in the order of its lists: half a rule neither widens nor narrows
 * another. Nothing here waits or touches the database. */
#pragma once

#include "server/auth/policy.h"

struct policy_change {
	enum principal_kind kind;
	const struct json *rule;
	bool removes;
};

struct policy_edit {
	bool changed;
	size_t matched;        /* rules equal to the given one */
	struct policy *policy; /* as it would be; NULL when nothing changes. The arena frees it. */
};

/* Fails when the outcome is no valid policy, and with E_conflict when nobody could change the policy any more. */
bool policy_edit(struct arena *a, const struct policy *from, const struct policy_change *change,
                 struct policy_edit *out, struct err *err);
/* Checks a rule alone; path is its place in the request ("grant"). */
bool policy_rule_check(struct arena *a, enum principal_kind kind, const struct json *rule, const char *path,
                       struct err *err);
bool policy_rules_equal(const struct json *x, const struct json *y);

/* The time of a new record: now, but behind the record before it in the order that decides which one is in force.
 * Six digits below the second keep the order of several changes within one. previous: "" for none. */
const char *policy_time(struct arena *a, int64_t wall_ms, const char *previous);
