/* drivers/odoo/preview.h - previews of Odoo pull requests (facts/odoo.md 15).
 *
 * A plan is a read: what a refresh or a destroy would do at the provider, and what speaks against it. Applying takes
 * the plan back, resolves everything anew and refuses when the plan is no longer the one. Two kinds do the work:
 *
 *   odoo_preview_refresh  plan, create, source, environment, domain, deploy, deploy_wait, smoke; a failure takes back
 *                         what this operation made (undo_domain, undo_compose); record
 *   odoo_preview_destroy  wait, plan, domains, compose, record
 *
 * A destroy is a fence: from its submission on no earlier refresh of the preview writes at the provider, which each of
 * them checks right before every write; the destroy waits until they have ended, and then removes what they made. A
 * refresh submitted after it waits for it.
 *
 * Isolated previews have a compose service, a database and volumes of their own. Staged ones (data_transport_mode
 * bootstrap) borrow the template lane's compose target: a refresh holds that lane, and a destroy takes away the
 * preview's domain alone. */
#pragma once

#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/domain_route.h"
#include "storage/artifact_manifest.h"
#include "storage/lane_environment.h"
#include "storage/operation.h"
#include "storage/product_profile.h"
#include "storage/target.h"

enum preview_operation { PREVIEW_REFRESH, PREVIEW_DESTROY };
extern const char *const preview_operation_names[];

struct preview_inputs {
	int64_t schema_version;
	const char *product;
	int operation; /* enum preview_operation */
	int64_t pr_number;
	const char *preview_slug, *preview_url, *image_reference;
	struct artifact_manifest *manifest; /* NULL: none */
	const char *source_git_ref, *source;
	int64_t timeout_seconds;
	bool no_cache;
};
extern const struct contract preview_inputs_contract;

/* dry_run_plan */
struct preview_plan {
	const char *status; /* ready, blocked */
	bool dry_run;
	int operation;
	const char *product, *repository, *preview_slug, *preview_url, *domain_host, *compose_ref, *compose_name,
	        *environment_id, *template_compose_id;
	bool no_cache, delete_volumes;
	int64_t runtime_port;
	const struct json *blockers, *operations, *rollback_operations;
	const char *summary;
};
extern const struct contract preview_plan_contract;

struct preview_apply {
	int64_t schema_version;
	struct preview_plan dry_run_plan;
	const char *image_reference;
	struct artifact_manifest *manifest;
	const struct json *environment_values; /* taken for compatibility, never used or kept */
	const char *compose_file;              /* likewise */
	const char *health_path;
	int64_t timeout_seconds;
	bool wait_for_deploy, smoke_check;
};
extern const struct contract preview_apply_contract;

/* ---- planning: preview_plan.c ---- */

/* What was read, in the task's arena, which is wiped. */
struct preview_reading {
	struct product_profile profile;
	const struct lane *lane;             /* the template; NULL: the profile has none of that name */
	struct dokploy_target *lane_targets; /* for a refresh, by the profile's lanes: empty where none is tracked */
	bool is_staged;
	bool has_target;     /* a compose target with its id */
	bool is_application; /* the target is one of those instead */
	struct dokploy_target target;
	struct dokploy_target_id target_id;
	struct text_map template_env, context_env; /* resolved with secrets; empty when nothing is recorded */
	struct strings secret_keys;
	struct key_safety_evidence key_safety;
	const char *key_safety_problem; /* NULL: none */
	const char *discovery_problem;  /* NULL: the provider was read */
	const char *lacks_procedure;    /* because its API does not have this; NULL: it has */
	const char *compose_id;         /* of the preview; "": there is none yet */
	const char *compose_environment_id;
	struct dokploy_compose live; /* of a staged preview's target; else of the template */
	bool has_live;
	const char *preview_state; /* as recorded; "": no preview is */
};

/* What follows from inputs and reading. */
struct preview_intent {
	const char *slug, *url, *host, *compose_name, *environment_id, *image_reference, *source_git_ref, *artifact_id;
	const char *repo;     /* the repository's short name */
	struct text_map env;  /* to be written, without modules, image and identity */
	struct strings hosts; /* of the compose file */
	struct preview_plan plan;
	const char *runtime_plan; /* JSON */
	bool is_ready;
	bool lacks_config;         /* the runtime keys below are why not */
	const char *blocked_text;  /* for people */
	struct strings lacks_keys; /* names */
};

/* The pull request's slug, and back: 0 when slug is none of the template's. */
const char *preview_slug_of(struct arena *a, const char *template, int64_t pr_number);
int64_t preview_number_of(const char *template, const char *slug);
/* Whether host is a preview's: its first label is a slug of the template. */
bool preview_host_is_of(struct arena *a, const char *template, const char *host);
/* A host that the lane's own records name is the lane's, even when it looks like a preview's. */
bool preview_host_is_stable(const struct dokploy_target *target, const struct lane *lane, const char *host);
/* <repository>@sha256:<64 hex> */
bool is_immutable_image(const char *reference);

/* Fails when the profile is missing or has no previews, the inputs contradict it, the database fails, or the provider
 * fails in a way that may pass and must_see is set; what else is missing are blockers. */
SUSPENDS OUTSIDE_TX bool preview_read(struct task *t, const struct preview_inputs *in, bool must_see,
                                      struct preview_reading *out, struct err *err);
/* Pure. Fails for contradicting inputs. */
bool preview_make(struct arena *a, const struct preview_inputs *in, const struct preview_reading *r,
                  struct preview_intent *out, struct err *err);
/* What an apply asks for, as inputs. */
void preview_inputs_of(const struct preview_apply *r, int64_t pr_number, struct preview_inputs *out);

/* <product>-<slug>, cut to what Dokploy takes: how an isolated preview's compose service is called. */
const char *preview_compose_name(struct arena *a, const char *product, const char *slug);
bool preview_is_staged(const struct product_profile *p);
/* Whether previews borrow the target of this lane: what they leave on it is no part of the lane. */
bool preview_is_staged_on(const struct product_profile *p, const char *instance);

/* ---- looking: preview_inventory.c ---- */

struct preview_found {
	const char *slug, *provider_type; /* compose, compose-domain */
	const char *service_id, *service_name, *domain_id, *domain_host;
};
struct preview_inventory {
	bool is_staged;
	size_t n;
	struct preview_found *v; /* by slug */
};
struct preview_inventory_scan {
	int64_t schema_version;
	const char *scan_id, *context, *scanned_at, *source, *status, *error_message;
	int64_t preview_count;
	struct strings preview_slugs;
};
extern const struct contract preview_inventory_scan_contract;

/* What previews of the product are at the provider, whatever the records say. */
SUSPENDS OUTSIDE_TX bool preview_inventory_read(struct task *t, const struct product_profile *p,
                                                struct preview_inventory *out, struct err *err);
/* mark makes the ids of two scans within one second different. */
void preview_inventory_scan_of(struct arena *a, const struct preview_inventory *found, const char *context,
                               const char *source, const char *now, const char *mark,
                               struct preview_inventory_scan *out);
/* The array previews of the answer. */
struct json preview_inventory_json(struct arena *a, const struct preview_inventory *found);

/* ---- doing: preview_refresh.c, preview_destroy.c, preview_evidence.c ---- */

extern const struct op_kind odoo_preview_refresh_kind, odoo_preview_destroy_kind;

struct preview_step {
	const char *name, *target, *status, *detail;
};
struct preview_state_kept {
	const char *context, *repo, *repository, *slug, *url, *host, *compose_id, *compose_name, *environment_id,
	        *template_compose_id, *server_id, *image_reference, *artifact_id, *source_git_ref;
	int64_t pr_number, sequence, runtime_port;
	const char *preview_id, *generation_id, *domain_id, *transition;
	bool is_staged, created_compose, domain_existed, asked_for_compose, is_fenced, is_recorded;
	LIST_OF(struct preview_step) steps;
	struct strings hosts, rollback_errors;
	const char *failure_code, *failure_message, *failure_stage;
	int64_t absent_since_ms; /* since when a compose service asked for is looked for in vain; 0: not yet */
	struct domain_watch domain;
	struct deploy_watch deploy;
	const char *smoke_status;
	struct runtime_identity *identity;
};
extern const struct contract preview_state_contract;

void preview_step_done(struct task *t, struct preview_state_kept *s, const char *name, const char *target,
                       const char *status, const char *detail);
/* Recomputes the plan of the operation's request and compares it. */
SUSPENDS bool preview_settle(struct task *t, struct operation *op, struct preview_reading *r, struct preview_intent *in,
                             struct err *err);
/* The result member. */
struct json *preview_result(struct task *t, const struct operation *op, const struct err *failure);
/* Queues preview and generation for the checkpoint: refused there when the preview has changed in between. */
SUSPENDS bool preview_write_generation(struct task *t, struct operation *op, int generation_state,
                                       const struct err *failure, struct err *err);
SUSPENDS bool preview_write_destroyed(struct task *t, struct operation *op, struct err *err);
/* What the phase record does with a record that could not be prepared: tries again while its time lasts. False: the
 * time is over, and rollback_errors tells of it. */
bool preview_record_again(struct task *t, struct operation *op, struct err *err, enum phase_outcome *outcome);
#define PREVIEW_RECORD_LIMIT_S 120
/* Claims the pull request's preview, and the number of its next generation. */
SUSPENDS bool preview_claim(struct task *t, struct operation *op, struct err *err);
