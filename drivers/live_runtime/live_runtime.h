/* drivers/live_runtime/live_runtime.h - brings a lane's recorded runtime values and secrets to its live target
 * (facts/config-health.md 5.2).
 *
 * What is wanted: the keys that the product's profile expects, with the values the records give them. Every other key
 * of the live target stays as it is. Values are compared and written in memory only: what leaves are key names, counts,
 * and a digest in which values stand as their keyed fingerprint. */
#pragma once

#include "drivers/dokploy/deployment_watch.h"
#include "storage/lane_environment.h"
#include "storage/operation.h"
#include "storage/product_profile.h"
#include "storage/target.h"

struct live_runtime_request { /* POST /v1/live-target-runtime/apply */
	int64_t schema_version;
	const char *mode, *product, *context, *instance;
	bool deploy, no_cache;
	struct opt_int deploy_timeout_seconds;
	const char *reason, *plan_digest;
};
extern const struct contract live_runtime_request_contract;
extern const struct op_kind live_runtime_kind;

/* Names and counts of a comparison. */
struct live_difference {
	int64_t desired_key_count, live_key_count, unchanged_key_count;
	struct strings missing_keys, different_keys, changed_keys; /* changed: both, sorted */
};

/* What was read, in the task's arena, which is wiped. */
struct live_reading {
	struct product_profile profile;
	struct dokploy_target target;
	struct dokploy_target_id target_id;
	struct text_map desired, live;
	struct strings secret_keys; /* of the desired: managed secrets */
	struct dokploy_application application;
	struct live_difference difference;
	const char *digest;
};

SUSPENDS bool live_runtime_read(struct task *t, const struct live_runtime_request *r, struct live_reading *out,
                                struct err *err);
/* Whether the failure is the provider's, not one of the records. */
bool live_runtime_is_providers(const struct err *err);
/* Looks at the live target again: live, application and difference anew. */
SUSPENDS bool live_runtime_look(struct task *t, struct live_reading *reading, struct err *err);
/* Writes the whole environment: live with the desired keys. */
SUSPENDS bool live_runtime_write(struct task *t, struct live_reading *reading, struct err *err);
/* The gate over the secrets that would be written. With tolerant, a missing policy is a status and no error. */
SUSPENDS bool live_runtime_gate(struct task *t, const struct live_reading *reading, bool tolerant,
                                struct key_safety_evidence *evidence, struct err *err);

/* ---- what is told ---- */

struct live_runtime_verification {
	const char *status, *reason; /* pass, fail, skipped */
	struct strings missing_keys, different_keys;
	int64_t verified_key_count;
};

struct live_runtime_state {
	const char *target_id, *target_name, *target_type, *source_git_ref, *digest;
	struct live_difference difference;
	const struct json *key_safety; /* the answer's member */
	bool planned, env_updated, applied;
	struct live_runtime_verification verification;
	const struct json *fresh; /* the plan as it is now, when the pinned one is not it */
	struct deploy_watch deploy;
	bool deployed;
	int64_t deploy_timeout_s;
	const char *deploy_status;
};
/* Puts what a reading says into a state. */
void live_runtime_note(struct arena *a, const struct live_reading *reading, const struct key_safety_evidence *evidence,
                       struct live_runtime_state *out);
/* The answer's result. */
struct json live_runtime_result(struct arena *a, const struct live_runtime_request *r,
                                const struct live_runtime_state *s, const char *mode);
