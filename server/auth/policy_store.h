/* server/auth/policy_store.h - the policy in force: the newest active database record, kept current by LISTEN.
 *
 * The bootstrap policy only seeds an empty database; afterwards the record rules (facts/core.md 3.4). A record whose
 * digest does not fit its policy is never used: at start that stops the service, later the previous policy stays in
 * force and the log says so. */
#pragma once

#include "core/task.h"
#include "server/auth/policy.h"

struct settings;
struct policy_store;

/* The bootstrap policy as the settings name it: exactly one of LAUNCHPLANE_POLICY_TOML, _B64, _FILE. */
struct bootstrap_policy {
	const char *selector; /* "LAUNCHPLANE_POLICY_TOML" */
	const char *text;
	size_t n;
	const char *sha256; /* of the raw text */
};
/* A policy file's text; an example is refused. */
bool policy_file_read(struct arena *a, const char *path, const char **text, size_t *n, struct err *err);
bool bootstrap_policy_read(struct arena *a, const struct settings *s, struct bootstrap_policy *out, struct err *err);

/* Writes the bootstrap policy as the first record when there is none. Called once per service, before the workers. */
SUSPENDS bool policy_store_seed(struct task *t, const struct bootstrap_policy *bootstrap, struct err *err);

/* Loads the record in force and goes on following it. seeded: this service wrote the first record. */
SUSPENDS struct policy_store *policy_store_open(struct task *t, const char *bootstrap_sha256, struct err *err);
/* Makes a change this process has committed the policy in force here, before the caller's answer tells of it. */
SUSPENDS void policy_store_reload(struct task *t, struct policy_store *s);
/* Ends its task; free() follows when the loop is gone. Both take NULL. */
SUSPENDS void policy_store_stop(struct task *t, struct policy_store *s);
void policy_store_free(struct policy_store *s);
const struct policy *policy_store_current(const struct policy_store *s); /* valid until the next wait */
const char *policy_store_digest(const struct policy_store *s);
const char *policy_store_source(const struct policy_store *s); /* "db", "bootstrap_seeded_store" */
const char *policy_store_bootstrap_digest(const struct policy_store *s);
