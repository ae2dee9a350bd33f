/* drivers/odoo/data_workflow.h - the Odoo image's data workflow, run by a manual Dokploy schedule on the docker host
 * (facts/odoo.md 8, facts/dokploy.md 7).
 *
 * The script stops web, runs the workflow in script-runner and starts web again in every case. Secrets are not in it:
 * it only asserts that script-runner has the keys the payload refers to. Pure. */
#pragma once

#include "drivers/dokploy/dokploy.h"
#include "drivers/odoo/override_payload.h"

#define DATA_WORKFLOW_FILESTORE "/volumes/data/filestore"
#define DATA_WORKFLOW_END       "data workflow ended" /* the script's last line when all went well */
#define DATA_WORKFLOW_LOCK      "/volumes/data/.data_workflow_in_progress"

enum workflow_mode { WORKFLOW_MAINTENANCE, WORKFLOW_BOOTSTRAP, WORKFLOW_RESTORE };

struct data_workflow {
	const char *compose_project; /* appName of the compose service */
	const char *database, *filestore, *lock_file;
	enum workflow_mode mode;
	bool clears_stale_lock;
	struct text_map environment;        /* assigned for this run; no secrets */
	struct strings required_keys;       /* that script-runner must have, non-empty */
	struct strings protected_shop_keys; /* Shopify shops the database must not end up with */
};

/* What a run for this lane needs, from the target's environment as it is live and the payload written to it
 * (facts/odoo.md 8.2, 4.7): database, paths, payload and flags, keys of secrets, and for a restore the upstream keys.
 * Fails naming keys. */
bool data_workflow_prepare(struct arena *a, const struct text_map *env, const struct override_payload *payload,
                           enum workflow_mode mode, const char *compose_project, const struct strings *protected_shops,
                           bool clears_stale_lock, struct data_workflow *out, struct err *err);
/* The script. Fails when a name that must be plain is not. */
bool data_workflow_script(struct arena *a, const struct data_workflow *w, const char **script, struct err *err);

/* Whether the lock of an earlier run may be cleared: newest first, a run that Dokploy lost sight of before any success.
 */
bool data_workflow_lock_is_stale(struct arena *a, const struct dokploy_deployments *runs);

/* Known name=value lines of a run's log, with a time before them or not, as post_deploy_readback_<name>; log NULL: it
 * could not be read. post_deploy_readback_log_available is always set. */
void data_workflow_markers(struct arena *a, const char *log, struct text_map *out);
