/* drivers/odoo/bootstrap.h - the operation that rebuilds an intentionally empty lane's database and filestore
 * (facts/odoo.md 7).
 *
 * Dokploy is asked nothing before the request, the lane's policy, the stored target and its domains agree; then its own
 * name and domains for the target must agree too. Phases: proof, bootstrap_schedule, bootstrap, bootstrap_wait, those
 * of a post-deploy, web, health, canonical, logo. The destructive run is asked for once: when it cannot be told whether
 * it started, a person has to look. */
#pragma once

#include "drivers/odoo/replacement.h"

struct bootstrap_request {
	int64_t schema_version;
	const char *product, *context, *instance, *confirmation;
	bool verify_health, verify_canonical, verify_logo;
	struct opt_int timeout_seconds, health_timeout_seconds;
};
extern const struct contract bootstrap_request_contract;
extern const struct op_kind odoo_bootstrap_kind;

/* The proofs that need no provider (facts/odoo.md 7.2, 1 to 7). Fails with E_operation_blocked, naming what to do. */
bool bootstrap_prove_records(struct arena *a, const struct bootstrap_request *request,
                             const struct replacement_facts *facts, const struct lane *lane, bool has_passed_gate,
                             struct err *err);
/* And the two that Dokploy itself must agree to (8). */
bool bootstrap_prove_live(struct arena *a, const struct replacement_facts *facts, const struct lane *lane,
                          struct err *err);
