/* server/worker.h - one worker process: it serves requests and runs operations until it is told to drain. */
#pragma once

#include "core/seal.h"
#include "core/settings.h"

struct worker_config {
	const char *database_url, *audience, *issuer, *jwks_url, *public_url;
	unsigned db_pool;
	bool has_keyring;
	struct keyring keyring;
	bool has_audit_seed;
	unsigned char audit_seed[32]; /* signs the audit log */
};

/* What a worker needs of the settings; the keyring holds key material until worker_config_done(). */
bool worker_config_read(const struct settings *s, struct worker_config *out, struct err *err);
void worker_config_done(struct worker_config *c);

/* Runs until drained. Returns the exit code: 0, or EXIT_CANNOT_START. */
int worker_run(struct settings *s);
