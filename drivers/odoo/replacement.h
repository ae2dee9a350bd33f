/* drivers/odoo/replacement.h - the operation that replaces an Odoo stable target in place (facts/odoo.md 4.4 to 4.8,
 * 6).
 *
 * Phases: plan, source, routes, environment, deploy, deploy_wait, inspect, schedule, post_deploy, post_deploy_wait,
 * web, health, canonical, logo, identity. Every phase may run twice. Two effects are not idempotent at the provider,
 * the deploy and the run of the schedule: each is a phase that acts on its first run only, followed by one that looks
 * for what came of it, and that goes back only when it is proved that nothing did. */
#pragma once

#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/domain_route.h"
#include "drivers/odoo/data_workflow.h"
#include "drivers/odoo/host_run.h"
#include "drivers/odoo/override_payload.h"
#include "drivers/odoo/readiness.h"
#include "drivers/odoo/replacement_facts.h"
#include "storage/operation.h"

extern const struct op_kind odoo_replacement_kind;

/* How an artifact comes to a prod lane, or leaves it. */
struct lane_release {
	/* a promotion's record, and the lane or marker that it comes from; "" */
	const char *promotion_record_id, *promoted_from;
	const char *gate_source, *gate_created_at;
	struct release_tuple *source_tuple;         /* of a promotion: becomes the destination's */
	struct healthcheck_evidence *source_health; /* NULL: not known */
	/* of a rollback */
	const char *snapshot_name, *source_channel, *rollback_started_at;
	/* a backup gate's evidence, and whether the gate is there already */
	struct text_map backup;
	bool backup_is_there;
};

/* Web, which scripts on the host stop for a while. */
struct lane_web_state {
	bool at_risk;         /* such a script was asked for */
	bool workflow_proved; /* and has said that it started web again */
	/* what the operation fails with once web runs; "" */
	const char *failure_phase, *failure_code, *failure_message;
};

/* What the phases of every kind that works on a lane hand on. No secrets: names, ids, hashes and statuses. */
struct replacement_state {
	struct replacement_request
	        *order;     /* what another kind has the executor do; NULL: the operation's own request */
	int override_phase; /* enum override_phase: which records apply */
	bool delegates, skips_deploy;
	const char *deployment_record_id, *artifact_id, *source_git_ref, *image_reference;
	const char *context, *target_id, *target_name, *project_name, *app_name, *server_id;
	const char *base_url, *health_url, *preview_host;
	struct strings hosts;
	int64_t runtime_port, deploy_timeout_s, health_timeout_s;
	bool requires_identity, data_restore;
	const char *started_at, *deploy_finished_at;
	struct runtime_identity *identity;
	struct text_map runtime_source;
	bool identity_injected;
	/* the deploy */
	struct domain_watch domains;
	struct deploy_watch deploy;
	int deploy_status; /* enum release_status */
	/* overrides and post-deploy */
	bool override_found, override_rendered, override_website;
	int64_t override_count;
	const char *override_sha256;
	const char
	        *override_in_web; /* what web gets: a payload's mark; "": not known, the operation is older than it */
	struct text_map override_evidence;
	struct strings required_keys; /* that the workflow's container must have */
	struct host_run workflow;
	int post_deploy_status, override_status;
	/* a bootstrap's own run */
	struct host_run bootstrap_run;
	int bootstrap_run_status;
	struct lane_release release;
	struct lane_web_state web;
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
/* The script that starts a stopped web when nothing is at work any more. Pure. */
bool lane_web_start_script(struct arena *a, const char *compose_project, const char **script, struct err *err);
bool lane_recover(struct task *t, struct operation *op, const struct err *err);

/* What the plan phase does once everything is read: refuses, or settles the state and writes the pending deployment. */
SUSPENDS enum phase_outcome replacement_settle(struct task *t, struct operation *op,
                                               const struct replacement_reading *r, struct err *err);

/* Shared by the phase files. */
void replacement_note(struct task *t, struct replacement_state *s, const char *key, const char *value);
void replacement_note_bool(struct task *t, struct replacement_state *s, const char *key, bool value);
/* What the executor is asked for. */
const struct replacement_request *replacement_order(const struct operation *op);
/* The override record's payload for this operation; record may be absent. */
SUSPENDS bool replacement_payload(struct task *t, const struct operation *op, enum workflow_intent intent,
                                  struct odoo_override *record, bool *found, struct override_payload *out,
                                  struct err *err);
enum workflow_intent replacement_intent(const struct replacement_state *s);
void replacement_note_payload(struct task *t, struct replacement_state *s, const struct override_payload *payload);
/* The same for one that goes into the target's environment: evidence names what was sent, not what was planned. */
void replacement_note_web(struct task *t, struct replacement_state *s, bool found,
                          const struct override_payload *payload);
/* The same for one that goes to the runner. E_conflict when it is not what web got (OVR-20): somebody changed the
 * settings in between. A bootstrap's own run comes before web gets anything. */
bool replacement_note_runner(struct task *t, struct replacement_state *s, bool found,
                             const struct override_payload *payload, enum workflow_mode mode, struct err *err);
/* Gives the record the lane's canonical URL, and sees that its payload can be built. */
SUSPENDS bool replacement_prepare_override(struct task *t, struct operation *op, const char *label, struct err *err);
/* Target, addresses and time limits of the lane. */
void replacement_settle_lane(struct task *t, struct replacement_state *s, const struct replacement_request *request,
                             const struct replacement_reading *r, const struct strings *hosts);
const char *replacement_new_record_id(struct task *t, const struct operation *op, const char *now);
/* What a run of the data workflow takes from the target's environment, the operation's own values over it. */
void lane_workflow_env(struct task *t, const struct operation *op, const struct text_map *target, struct text_map *out);
/* The data workflow's script for this operation. */
SUSPENDS bool lane_workflow_script(struct task *t, struct operation *op, struct host *h, enum workflow_mode mode,
                                   const char **script, struct err *err);
/* The deployment record as it stands. */
void replacement_deployment(struct task *t, const struct operation *op, const struct err *failure,
                            struct deployment *out);
void replacement_write_deployment(struct task *t, struct operation *op, const struct deployment *d);
void replacement_write_inventory(struct task *t, struct operation *op, const struct deployment *d,
                                 const char *bootstrap_record_id);
/* The end of a kind: how the overrides went. */
void replacement_write_last_apply(struct task *t, struct operation *op, const struct err *failure);
/* The executor's whole end: records and result. */
SUSPENDS void replacement_conclude(struct task *t, struct operation *op, const struct err *failure);
/* Fails naming the keys the provider did not keep. */
bool replacement_refuse_differences(struct task *t, const struct strings *keys, struct err *err);
int replacement_deploy_limit(const struct operation *op);
int replacement_health_limit(const struct operation *op);
struct json json_of_map(struct arena *a, const struct text_map *map);
struct json json_of_strings(struct arena *a, const struct strings *list);

/* clang-format off */
#define LANE_WORKFLOW_PHASES                                                                                           \
	{ "schedule",         "post_deploy",  replacement_schedule,         5, 1000,                                   \
	  .help = "make the manual schedule that runs the data workflow" },                                            \
	{ "post_deploy",      "post_deploy",  replacement_post_deploy,      5, 1000,                                   \
	  .help = "start the data workflow, once" },                                                                   \
	{ "post_deploy_wait", "post_deploy",  replacement_post_deploy_wait, 9, 1000,                                   \
	  .limit_of = replacement_deploy_limit,                                                                        \
	  .help = "wait for the data workflow and read its markers" },                                                 \
	{ "web",              "post_deploy",  lane_web,                     3, 1000, .limit_s = 180,                   \
	  .help = "see that web runs, and start it when it does not" }

#define LANE_VERIFY_PHASES                                                                                             \
	{ "health",           "verification", replacement_health,           3, 1000,                                   \
	  .limit_of = replacement_health_limit,                                                                        \
	  .help = "ask the health URL until it is healthy" },                                                          \
	{ "canonical",        "verification", replacement_canonical,        3, 1000,                                   \
	  .limit_of = replacement_health_limit,                                                                        \
	  .help = "check the page's canonical link" },                                                                 \
	{ "logo",             "verification", replacement_logo,             3, 1000,                                   \
	  .limit_of = replacement_health_limit,                                                                        \
	  .help = "check the website's logo" }

#define LANE_IDENTITY_PHASE                                                                                            \
	{ "identity",         "verification", replacement_identity,         3, 1000,                                   \
	  .limit_of = replacement_health_limit,                                                                        \
	  .help = "compare the runtime identity that the health URL echoes" }

/* The whole executor. */
#define REPLACEMENT_PHASES                                                                                             \
	{ "plan",             "plan",         replacement_plan_phase,       5, 1000, .cancel = CANCEL_ANY,             \
	  .help = "read records and the live target, refuse what must not happen, write the pending deployment" },     \
	{ "source",           "apply",        replacement_source,           5, 1000, .cancel = CANCEL_ANY,             \
	  .help = "render the compose file and make it the target's source" },                                         \
	{ "routes",           "apply",        replacement_routes,           5, 1000, .cancel = CANCEL_ANY,             \
	  .help = "route every expected domain to service web" },                                                      \
	{ "environment",      "apply",        replacement_environment,      5, 1000, .cancel = CANCEL_ANY,             \
	  .help = "write the target's environment and read it back" },                                                 \
	{ "deploy",           "apply",        replacement_deploy,           5, 1000, .cancel = CANCEL_FIRST,           \
	  .help = "ask Dokploy for the deploy, once" },                                                                \
	{ "deploy_wait",      "apply",        replacement_deploy_wait,      9, 1000,                                   \
	  .limit_of = replacement_deploy_limit,                                                                        \
	  .help = "find the deploy by its title and wait for its end" },                                               \
	{ "inspect",          "apply",        replacement_inspect,          3, 1000,                                   \
	  .help = "note what Dokploy and the containers say about the deploy" },                                       \
	LANE_WORKFLOW_PHASES,                                                                                          \
	LANE_VERIFY_PHASES,                                                                                            \
	LANE_IDENTITY_PHASE
/* clang-format on */
