/* server/auth/agent_audit.h - a decision as programs read it: what was asked, by whom, and why it came out so
 * (facts/core.md 3.8). */
#pragma once

#include "server/auth/policy.h"

struct policy_store;

struct agent_decision {
	bool is_allowed;
	const char *reason_code;
	const char *action, *product, *context;
};

/* The agent_audit member, as JSON text. */
const char *agent_audit(struct arena *a, const struct policy_store *store, const struct principal *who,
                        const struct agent_decision *d);
