/* storage/lane_environment.h - what a lane gets: its runtime values, its opened secrets, and whether those secrets may
 * reach it (facts/config-health.md 2.3, 4.4, 4.6). */
#pragma once

#include "core/seal.h"
#include "storage/db.h"
#include "storage/secret.h"

/* The configured secrets of an integration for a lane, opened, in the order they override each other. Each opening is
 * noted: one audit event for each secret version and reader, where an operation's phase that looks again and again is
 * one reader. */
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

/* The runtime environment of a lane: global, context, instance records, then target_env, then managed secrets; later
 * wins. secret_keys names the keys that come from secrets. A place without instance is a context's: global and context
 * only. E_runtime_environment_unavailable when nothing is recorded for the place itself. */
SUSPENDS bool runtime_env_resolve(struct task *t, const struct keyring *keyring, const struct place *place,
                                  const struct text_map *target_env, struct text_map *out, struct strings *secret_keys,
                                  struct err *err);

/* The same without opening a secret: the secret keys stand with the value hidden. Nothing is noted as read. */
SUSPENDS bool runtime_env_outline(struct task *t, const struct place *place, const struct text_map *target_env,
                                  const char *hidden, struct text_map *out, struct strings *secret_keys,
                                  struct err *err);

/* Evaluates the active key-safety policy for the keys on a lane, with its stored bindings. Fails with
 * E_runtime_key_safety_unavailable or E_runtime_key_safety_failed; evidence is filled either way where known. */
struct key_safety_evidence {
	bool required;
	const char *status; /* skipped, pass, fail, unavailable */
	const char *policy_record_id, *policy_sha256;
	struct key_safety_findings findings;
};
SUSPENDS bool key_safety_gate(struct task *t, const struct place *place, const struct strings *keys,
                              struct key_safety_evidence *evidence, struct err *err);

/* The same for secrets bound to one lane whose values are to reach another place: the rules judge that place. */
SUSPENDS bool key_safety_gate_from(struct task *t, const struct place *from, const struct place *place,
                                   const struct strings *keys, struct key_safety_evidence *evidence, struct err *err);

/* The pieces, for those who have rows of their own transaction. */
bool key_safety_read_policy(struct arena *a, const struct rows *rows, struct key_safety_policy *out, struct err *err);
/* spare: room for so many more. */
bool key_safety_read_bindings(struct arena *a, const struct rows *rows, size_t spare, struct secret_binding **out,
                              struct err *err);
bool key_safety_refuse(struct arena *a, const struct key_safety_findings *found, struct err *err);
/* The answer's runtime_key_safety member. */
void key_safety_write(struct json_out *o, const struct place *place, const struct strings *keys,
                      const struct key_safety_evidence *evidence);
