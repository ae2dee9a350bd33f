/* drivers/odoo/replacement.h - the operation that replaces an Odoo stable target in place (facts/odoo.md 4.4 to 4.8,
 * 6).
 *
 * Phases: plan, source, routes, environment, deploy, deploy_wait, inspect, schedule, post_deploy, post_deploy_wait,
 * web, health, canonical, logo, identity. Every phase may run twice. Two effects are not idempotent at the provider, the
 * deploy and the run of the schedule: each is a phase that acts on its first run only, followed by one that looks for
 * what came of it, and that goes back only when it is proved that nothing did. */
#pragma once

#include "drivers/odoo/data_workflow.h"
#include "drivers/odoo/host_run.h"
#include "drivers/odoo/override_payload.h"
#include "drivers/odoo/readiness.h"
#include "drivers/odoo/replacement_facts.h"
#include "storage/operation.h"

extern const struct op_kind odoo_replacement_kind;

/* What the phases hand on. No secrets: names, ids, hashes and statuses. */
struct replacement_state {
	const char *deployment_record_id, *artifact_id, *source_git_ref, *image_reference;
	const char *context, *target_id, *target_name, *project_name, *app_name, *server_id;
	const char *base_url, *health_url, *preview_host;
	struct strings hosts;
	int64_t runtime_port, deploy_timeout_s, health_timeout_s;
	bool requires_identity, data_restore;
	const char *started_at, *deploy_finished_at, *provider_deployment_id;
	struct runtime_identity *identity;
	struct text_map runtime_source;
	bool identity_injected;
	/* the deploy */
	bool deploy_acknowledged;
	int64_t deploy_requests; /* sent so far; bounded by REPLACEMENT_REQUESTS */
	int64_t deploy_absent_since_ms;
	int deploy_status; /* enum release_status */
	/* overrides and post-deploy */
	bool override_found, override_rendered, override_website;
	int64_t override_count;
	struct text_map override_evidence;
	struct host_run workflow;
	int post_deploy_status, override_status;
	/* web, which scripts on the host stop for a while */
	bool web_at_risk; /* such a script was asked for */
	bool workflow_proved;
	const char *failure_code, *failure_message; /* what the operation fails with once web runs; "" */
	/* verification */
	struct verification_evidence verification;
	int health_status, canonical_status, logo_status, identity_status;
	const char *identity_detail;
	struct runtime_identity *observed_identity;
	int64_t verify_deadline_ms;
};
extern const struct contract replacement_state_contract;

/* Phases, one file of them each: replacement_deploy.c, replacement_post.c, replacement_verify.c. */
SUSPENDS enum phase_outcome replacement_plan_phase(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_source(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_routes(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_environment(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_deploy(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_deploy_wait(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_inspect(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_schedule(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_post_deploy(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_post_deploy_wait(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome lane_web(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_health(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_canonical(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_logo(struct task *t, struct operation *op, struct err *err);
SUSPENDS enum phase_outcome replacement_identity(struct task *t, struct operation *op, struct err *err);

/* An operation whose script may have left web stopped goes to phase "web" before it fails: an op_kind's recover. */
bool lane_is_web(const char *container);
bool lane_recover(struct task *t, struct operation *op, const struct err *err);

/* How often the deploy is asked for when it is proved that no earlier request arrived. */
#define REPLACEMENT_REQUESTS 5

/* Shared by the phase files. */
void replacement_note(struct task *t, struct replacement_state *s, const char *key, const char *value);
void replacement_note_bool(struct task *t, struct replacement_state *s, const char *key, bool value);
/* The override record's payload for this operation; record may be absent. */
SUSPENDS bool replacement_payload(struct task *t, const struct operation *op, struct odoo_override *record, bool *found,
                                  struct override_payload *out, struct err *err);
/* The data workflow's script for this operation. */
SUSPENDS bool lane_workflow_script(struct task *t, struct operation *op, struct host *h, enum workflow_mode mode,
                                   const char **script, struct err *err);
/* The deployment record as it stands. */
void replacement_deployment(struct task *t, const struct operation *op, const struct err *failure,
                            struct deployment *out);
void replacement_write_deployment(struct task *t, struct operation *op, const struct deployment *d);
void replacement_write_override(struct task *t, struct operation *op, struct odoo_override *record, const char *label);
