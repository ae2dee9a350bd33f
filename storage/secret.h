/* storage/secret.h - managed secrets: what is kept about them, never what they say. Shapes: facts/config-health.md 4.
 *
 * A secret has versions (sealed values, core/seal.h), a binding (the environment key it appears under) and audit
 * events. Plaintext exists only in a task's arena, between opening and use. */
#pragma once

#include "storage/runtime_environment.h"

struct managed_secret {
	int64_t schema_version;
	const char *secret_id, *scope, *integration, *name, *context, *instance, *description, *policy, *status;
	const char *current_version_id, *created_at, *updated_at, *last_validated_at, *updated_by;
};
extern const struct contract managed_secret_contract;

struct secret_version {
	int64_t schema_version;
	const char *version_id, *secret_id, *created_at, *created_by, *cipher_alg, *key_id, *ciphertext;
};
extern const struct contract secret_version_contract;

struct secret_binding {
	int64_t schema_version;
	const char *binding_id, *secret_id, *integration, *binding_type, *binding_key, *context, *instance, *status;
	const char *created_at, *updated_at;
};
extern const struct contract secret_binding_contract;

struct secret_audit_event {
	int64_t schema_version;
	const char *event_id, *secret_id, *event_type, *recorded_at, *actor, *detail;
	struct text_map metadata;
};
extern const struct contract secret_audit_event_contract;

const char *slug(struct arena *a, const char *s); /* config-health.md, slug() */
const char *secret_id_of(struct arena *a, const char *integration, const char *name, const struct place *r);
const char *secret_binding_id_of(struct arena *a, const char *secret_id, const char *binding_key);

/* ---- runtime key-safety: which secret may reach which kind of runtime (config-health.md 4.6) ---- */

enum secret_class { CLASS_PROD_ONLY, CLASS_TESTING, CLASS_PREVIEW, CLASS_NON_PROD, CLASS_SHARED_SAFE };
extern const char *const secret_class_names[];
enum environment_class {
	ENVIRONMENT_PROD,
	ENVIRONMENT_TESTING,
	ENVIRONMENT_PREVIEW,
	ENVIRONMENT_DEV,
	ENVIRONMENT_UNKNOWN
};
extern const char *const environment_class_names[];
enum environment_class environment_class_of(const char *instance);

struct allowed_target {
	const char *context;
	struct strings instance_patterns;
};
struct key_safety_rule {
	const char *binding_key;
	int secret_class;
	struct strings allowed_contexts, allowed_instances;
	LIST_OF(struct allowed_target) allowed_targets;
	const char *description;
};
struct key_safety_policy {
	int64_t schema_version;
	const char *record_id, *status, *source, *updated_at;
	LIST_OF(struct key_safety_rule) rules;
};
extern const struct contract key_safety_policy_contract;
struct key_safety_request { /* POST /v1/runtime-key-safety/policies/apply */
	int64_t schema_version;
	const char *product, *source_label;
	LIST_OF(struct key_safety_rule) rules;
};
extern const struct contract key_safety_request_contract;

struct key_safety_finding {
	const char *code, *binding_key, *binding_id, *secret_id, *secret_class, *detail;
};
struct key_safety_findings {
	size_t n;
	struct key_safety_finding *v;
};
/* Judges the keys against policy and bindings for one target. No findings: pass. A key is checked once however often it
 * is named. */
void key_safety_evaluate(struct arena *a, const struct key_safety_policy *policy, const struct place *target,
                         const struct secret_binding *bindings, size_t bindings_n, const struct strings *keys,
                         struct key_safety_findings *out);
/* Merges rules into base (NULL: none), sorted by key (config-health.md 4.6). */
void key_safety_merge(struct arena *a, const struct key_safety_policy *base, const struct key_safety_request *add,
                      struct key_safety_policy *out);
/* SHA-256 over the canonical rules: what makes two policies the same. */
const char *key_safety_digest(struct arena *a, const struct key_safety_policy *p);
