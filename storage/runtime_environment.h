/* storage/runtime_environment.h - plain runtime values of a lane, by scope. Shape: facts/config-health.md 2. */
#pragma once

#include "core/contract.h"

/* A place values and secrets apply to: global (both blank), a context, or one lane of it. */
struct place {
	const char *context, *instance;
};
const char *place_scope(const struct place *r);        /* "global", "context", "instance" */
const char *place_secret_scope(const struct place *r); /* "global", "context", "context_instance" */

struct runtime_environment {
	int64_t schema_version;
	const char *scope, *context, *instance;
	const struct json *env; /* object of scalars */
	const char *updated_at, *source_label;
};
extern const struct contract runtime_environment_contract;

/* PASSWORD, TOKEN, SECRET or KEY as a part of the name between underscores: such values are managed secrets. */
bool is_secret_shaped(const char *key);
/* Letters, digits and underscores, not starting with a digit. */
bool is_env_key(const char *key);
/* The text a scalar has in an environment: strings verbatim, true, false, numbers as written. */
const char *scalar_text(struct arena *a, const struct json *scalar);
/* Checks an object of scalars with allowed keys, for a new write. */
bool runtime_env_check(struct arena *a, const struct json *env, const char *path, struct err *err);

enum runtime_change { RUNTIME_SKIPPED, RUNTIME_CREATED, RUNTIME_UPDATED, RUNTIME_UNCHANGED };
extern const char *const runtime_change_names[];
/* What writing env over the stored record (NULL: none) would do; merged is the environment afterwards. Keys not named
 * stay (config-health.md 3.2). */
enum runtime_change runtime_env_merge(struct arena *a, const struct json *stored, const struct json *env,
                                      struct json *merged, struct strings *changed, struct strings *unchanged);
/* The public summary: identity, label, times, key names and their number; as members of an open object. */
void runtime_environment_summary(struct json_out *o, const struct runtime_environment *r);
