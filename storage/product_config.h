/* storage/product_config.h - a bundle of runtime values and secrets for one place: planned, then written as one change.
 * Shapes and rules: facts/config-health.md 3. Secret values never leave the bundle except sealed. */
#pragma once

#include "core/seal.h"
#include "storage/db.h"
#include "storage/secret.h"

struct config_secret {
	const char *name, *binding_key, *value, *scope, *context, *instance, *integration, *description;
};
struct product_config_request { /* POST /v1/product-config/apply */
	int64_t schema_version;
	const char *mode, *product, *context, *instance;
	const struct json *runtime_env, *runtime_environment;
	LIST_OF(struct config_secret) secrets;
	const char *source_label, *reason;
};
extern const struct contract product_config_request_contract;

/* What a bundle means: validated, with its place. */
struct product_config {
	const struct product_config_request *request;
	struct place place;
	const struct json *env; /* NULL or empty: none */
	const char *actor, *now;
};

bool product_config_read(struct arena *a, const struct product_config_request *request, const char *actor,
                         const char *now, struct product_config *out, struct err *err);

/* Plans, and with apply writes, inside tx. *result is the answer's result member. Nothing is written when it fails, and
 * with apply false nothing is written at all. keyring may be NULL when there are no secrets. */
SUSPENDS bool product_config_run(struct tx *tx, const struct product_config *config, const struct keyring *keyring,
                                 bool apply, const char **result, struct err *err);

/* The configured secrets of an integration for a lane, opened, in the order they override each other. */
struct opened_secret {
	const char *binding_key, *binding_id, *secret_id;
	struct secret value;
};
struct opened_secrets {
	size_t n;
	struct opened_secret *v;
};
SUSPENDS bool secrets_open(struct task *t, const struct keyring *keyring, const char *integration,
                           const struct place *place, struct opened_secrets *out, struct err *err);

/* The runtime environment of a lane (config-health.md 2.3): global, context, instance records, then target_env, then
 * managed secrets; later wins. secret_keys names the keys that come from secrets. Fails when nothing is recorded for
 * the lane. */
SUSPENDS bool runtime_env_resolve(struct task *t, const struct keyring *keyring, const struct place *place,
                                  const struct text_map *target_env, struct text_map *out, struct strings *secret_keys,
                                  struct err *err);

/* Evaluates the active key-safety policy for the keys on a lane, with its stored bindings. Fails with
 * E_runtime_key_safety_unavailable or E_runtime_key_safety_failed; evidence is filled either way where known. */
struct key_safety_evidence {
	bool required;
	const char *status; /* skipped, pass, fail, unavailable */
	const char *policy_record_id, *policy_sha256;
};
SUSPENDS bool key_safety_gate(struct task *t, const struct place *place, const struct strings *keys,
                              struct key_safety_evidence *evidence, struct err *err);
