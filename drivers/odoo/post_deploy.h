/* drivers/odoo/post_deploy.h - the operation that brings a lane's data and settings up to what runs there
 * (facts/odoo.md 8): typed overrides into the target's environment, then the data workflow in maintenance mode.
 *
 * Phases: target, environment, deploy and deploy_wait (unless web has the settings already), schedule, post_deploy,
 * post_deploy_wait, web. A bootstrap runs the same ones after its own. */
#pragma once

#include "drivers/odoo/replacement.h"

struct post_deploy_request {
	int64_t schema_version;
	const char *context, *instance;
	int phase; /* enum override_phase: which override records apply; the workflow's mode is always maintenance */
	struct text_map env_overlay; /* replacement_check_overlay() */
};
extern const struct contract post_deploy_request_contract;
extern const struct op_kind odoo_post_deploy_kind;

/* Phases that a bootstrap shares. */
SUSPENDS enum phase_outcome post_deploy_compare(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome post_deploy_environment(struct task *t, struct operation *op, struct err *err);
/* The compose target of the lane, from records and as it is live, into the state. */
SUSPENDS bool lane_settle_target(struct task *t, struct operation *op, int64_t timeout_s, struct err *err);
