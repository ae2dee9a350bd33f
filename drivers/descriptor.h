/* drivers/descriptor.h - what each driver can do, as operators are shown it. Descriptors say what there is; nothing is
 * executed from them, and they name no provider (facts/core.md 7.4, facts/web-verireel-previews.md 14). */
#pragma once

#include "core/json.h"

struct driver_action {
	const char *id, *description;
	const char *safety; /* read, safe_write, mutation, destructive */
	const char *scope;  /* global, context, instance, preview */
	const char *authz_action;
	const char *writes; /* record kinds, separated by blanks */
	bool is_hidden;     /* not for operators: workflows call it */
};

struct driver_capability {
	const char *id, *description;
	const char *actions, *panels; /* separated by blanks */
};

struct driver_settings {
	const char *id, *description, *scope;
	const char *fields, *secret_bindings; /* separated by blanks */
};

struct driver_descriptor {
	const char *id, *base_id; /* "" without a base */
	const char *label, *description;
	const char *patterns; /* contexts that are this driver's own: globs, separated by blanks */
	const struct driver_capability *capabilities;
	const struct driver_action *actions;
	const struct driver_settings *settings;
};

extern const struct driver_descriptor *const all_drivers[]; /* ends with NULL */

const struct driver_descriptor *driver_find(const char *id); /* NULL when there is none */
/* The wire form of a descriptor. */
void driver_write(struct json_out *o, const struct driver_descriptor *d);
/* {"<driver_id>": {"base_driver_id", "descriptor", "has_previews", "actions": [...]}, ...} for the queries that compose
 * views: actions are the operator-visible ones, the base's overlaid by the driver's own, then as "offered": false those
 * of the fixed set that it lacks. Made once; lives as long as the program. */
const char *driver_catalog(void);
/* Every action that a descriptor asks the policy for, once each; ends with NULL. */
const char *const *driver_authz_actions(void);
