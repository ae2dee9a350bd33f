/* drivers/dokploy/target_inspect.h - what may be shown of a live Dokploy target: names, routes, keys, never values
 * (facts/config-health.md 5.4, 9.3). */
#pragma once

#include "drivers/dokploy/dokploy.h"
#include "storage/target.h"

/* The provider summary; empty members are left out. */
SUSPENDS bool target_inspect(struct task *t, enum target_type type, const char *target_id, struct json *out,
                             struct err *err);
/* Whether the control plane could run on this target: facts, blockers, warnings; status ok or blocked. What the
 * provider or the secret store refuses is a blocker, too. */
SUSPENDS bool target_preflight(struct task *t, enum target_type type, const char *target_id, struct json *out,
                               struct err *err);
