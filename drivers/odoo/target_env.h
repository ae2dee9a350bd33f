/* drivers/odoo/target_env.h - the environment a replacement writes to the target (facts/odoo.md 4.5).
 *
 * Starts from the live environment, whose other keys and order stay, and lays over it the lane's resolved runtime
 * values, the override payload, modules, platform keys, image and identity. Failures name keys, never values. Pure. */
#pragma once

#include "drivers/odoo/override_payload.h"
#include "storage/evidence.h"

struct target_env_wish {
	const char *live_env;           /* text of the provider */
	const struct text_map *runtime; /* records, managed secrets and the target record's env, merged */
	const struct override_payload *payload;
	const struct strings *manifest_modules;
	const char *context, *instance, *image_reference;
	const struct runtime_identity *identity;
	const struct strings *dropped; /* keys that go unless this wish sets them; NULL: none */
};

struct target_env {
	const char *text;
	struct text_map map;
	struct strings written;                                            /* keys this wish set, in order */
	struct strings gone;                                               /* keys it took away */
	const char *install_modules, *manifest_modules, *required_modules; /* comma-separated, for evidence */
};

extern const struct strings odoo_required_modules; /* launchplane_settings, disable_odoo_online */

/* Fails with E_invalid_request when a key the payload refers to is missing or blank, or when a value that is written
 * would not survive Dokploy's env file. */
bool target_env_build(struct arena *a, const struct target_env_wish *wish, struct target_env *out, struct err *err);
/* The live environment with this payload and its flags in place of those of an earlier deploy, all else as it is: for a
 * post-deploy without a new artifact. Fails, naming them, when keys the payload refers to are missing. */
bool target_env_overrides(struct arena *a, const char *live_env, const struct override_payload *payload,
                          struct target_env *out, struct err *err);
/* Keys that do not stand in the text read back as they were written, and keys that should be gone. Empty: it persisted.
 */
struct strings target_env_differences(struct arena *a, const struct target_env *want, const char *read_back);
