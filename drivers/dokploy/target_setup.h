/* drivers/dokploy/target_setup.h - recording, making and routing the Dokploy target of a lane (facts/config-health.md
 * 5.5, dokploy.md 11).
 *
 * The route prepares a plan and shows it; applying is an operation of target_setup_kind, which prepares again and then
 * does one thing after the other. What is created carries the operation's mark in its description, so that a run that
 * comes after an interrupted one finds it. */
#pragma once

#include "drivers/dokploy/domain_route.h"
#include "storage/operation.h"
#include "storage/plan.h"
#include "storage/target.h"

#define TARGET_SETUP_CONFIRMATION "APPLY DOKPLOY TARGET SETUP"

enum setup_operation { SETUP_ADOPT, SETUP_CREATE_APPLICATION, SETUP_CREATE_COMPOSE, SETUP_RECONCILE, SETUP_PRUNE };
extern const char *const setup_operation_names[];

struct target_setup {
	int64_t schema_version;
	const char *mode;
	int operation;
	const char *product, *context, *instance;
	int target_type;
	const char *target_id, *target_name, *project_id, *project_name, *project_description;
	const char *environment_id, *environment_name, *environment_description, *server_id, *app_name, *description;
	const char *source_git_ref, *source_type, *compose_path, *healthcheck_path;
	struct strings domains;
	struct opt_int runtime_port, deploy_timeout_seconds;
	struct deployed_target *expected_current_provider_target;
	const char *confirmation, *reason, *source_label, *plan_digest;
};
extern const struct contract target_setup_contract;

struct setup_route {
	const char *host, *domain_id;
	const char *action; /* created, updated, unchanged; of a pruning: matched, deleted */
};

/* What is known so far: the plan's facts, then what the phases add. */
struct target_setup_state {
	const char *target_id, *target_name, *project_name, *source_type, *compose_path, *healthcheck_path;
	const char *app_name, *server_id, *project_id, *environment_id;
	struct strings domains, missing_domains, warnings;
	LIST_OF(struct setup_route) routes;
	int64_t looked_since_ms, create_requests;
	struct domain_watch domain;
	bool create_unanswered;  /* a request went out, and nobody said what came of it */
	const char *digest;      /* of the plan that is carried out; "" while planning */
	const struct json *plan; /* of a refusal because the pinned plan is not this one */
};
extern const struct contract target_setup_state_contract;

/* The rows that the lane has afterwards, and why it may not have them. */
struct target_setup_records {
	bool has_id;
	struct dokploy_target target;
	struct dokploy_target_id id;
	const char *provider_row; /* JSON, NULL while the pair is incomplete */
};

/* Reads records and, except for reconcile-compose-domain, the provider; changes nothing. E_invalid_dokploy_target_setup
 * for what must not be done. */
SUSPENDS bool target_setup_prepare(struct task *t, const struct target_setup *r, struct target_setup_state *s,
                                   struct target_setup_records *records, struct err *err);
/* The rows as state has them now. */
SUSPENDS bool target_setup_records(struct task *t, const struct target_setup *r, const struct target_setup_state *s,
                                   struct target_setup_records *out, struct err *err);
/* What the plan's digest is taken over. */
struct json target_setup_plan(struct arena *a, const struct target_setup *r, const struct target_setup_state *s,
                              const struct target_setup_records *records);
/* The answer's result. records NULL: it failed on the way. */
struct json target_setup_result(struct arena *a, const struct target_setup *r, const struct target_setup_state *s,
                                const struct target_setup_records *records, bool applied);
/* A refusal of the provider is the caller's to mend; what may pass keeps its own code. Returns false. */
bool target_setup_error(struct err *err);

extern const struct op_kind target_setup_kind;
