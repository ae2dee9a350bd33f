/* storage/product_config.h - a bundle of runtime values and secrets for one place: planned, then written as one change.
 * Shapes and rules: facts/config-health.md 3. Secret values never leave the bundle except sealed. */
#pragma once

#include "storage/lane_environment.h"
#include "storage/secret_write.h"

struct config_secret {
	const char *name, *binding_key, *value, *scope, *context, *instance, *integration, *description;
};
struct product_config_request { /* POST /v1/product-config/apply */
	int64_t schema_version;
	const char *mode, *product, *context, *instance;
	const struct json *runtime_env, *runtime_environment;
	LIST_OF(struct config_secret) secrets;
	const char *source_label, *reason, *plan_digest;
};
extern const struct contract product_config_request_contract;

/* What a bundle means: validated, with its place. */
struct product_config {
	const struct product_config_request *request;
	struct place place;
	const struct json *env;     /* NULL or empty: none */
	struct secret_wish *wishes; /* one for each secret of the request */
	struct authorship by;
};

bool product_config_read(struct arena *a, const struct product_config_request *request, const char *actor,
                         const char *now, struct product_config *out, struct err *err);

struct config_plan {
	struct secret_plan *secrets;
	size_t secrets_n, secret_changes;
	enum runtime_change change;
	const struct json *stored; /* NULL: there is no record */
	struct json merged;
	struct strings changed, unchanged, safety_keys;
	struct key_safety_evidence safety;
	const char *target_type,
	        *target_name; /* the live target that the changed values must still reach; NULL: none */
	const char *digest;
};

/* Plans, and with apply writes, inside tx. *result is the answer's result member. Nothing is written when it fails, and
 * with apply false nothing is written at all. keyring may be NULL when there are no secrets. E_plan_changed: *result is
 * the plan as it is now. The caller hands the plan's secrets to secret_plans_note() once tx has ended. */
SUSPENDS bool product_config_run(struct tx *tx, const struct product_config *config, const struct keyring *keyring,
                                 bool apply, struct config_plan *plan, const char **result, struct err *err);
