/* drivers/dokploy/deployment_watch.h - asking for a deploy once, and following the run that it became (facts/dokploy.md
 * 6).
 *
 * Dokploy answers a deploy without an id, and the row appears only when the job starts. A caller therefore gives each
 * attempt its own title and finds the row by it; where Dokploy chooses the title (schedules, git sources) the keys
 * noted before the trigger tell a new row from an old one. */
#pragma once

#include "drivers/dokploy/dokploy.h"
#include "storage/operation.h"

/* ---- rows: pure; lists in any order, results point into them ---- */

enum deployment_class {
	DEPLOYMENT_UNKNOWN, /* no status, or a word not known: neither a success nor a reason to stop waiting */
	DEPLOYMENT_RUNNING,
	DEPLOYMENT_SUCCESS,
	DEPLOYMENT_FAILURE, /* cancelled too: Dokploy lost sight of it, it may still run */
};
extern const char *const deployment_class_names[];

enum deployment_class deployment_class_of(const char *status);
/* The newest by createdAt, then id; NULL when there is none. */
const struct dokploy_deployment *deployment_latest(const struct dokploy_deployments *list);
/* The newest with exactly this title. */
const struct dokploy_deployment *deployment_titled(const struct dokploy_deployments *list, const char *title);
/* The oldest whose id is not in before: with one writer the run that was triggered, not one that came after it. */
const struct dokploy_deployment *deployment_new(const struct dokploy_deployments *list, const struct strings *before);
/* The ids, to be kept before a trigger. */
struct strings deployment_ids(struct arena *a, const struct dokploy_deployments *list);
bool deployment_any_running(const struct dokploy_deployments *list);

/* ---- a deploy that an operation asks for: one phase asks, the next one follows ---- */

/* How long a request that nobody answered may still take to show, at most; ms. */
#define DOKPLOY_SETTLE_MS 30000

/* What the operation's state keeps of it. */
struct deploy_watch {
	bool acknowledged;         /* Dokploy answered the request, or its run was seen */
	int64_t requests;          /* sent so far */
	int64_t absent_since_ms;   /* since when nothing runs in Dokploy and no run is ours; 0: not yet looked */
	const char *deployment_id; /* of the run, once it was seen */
};
/* clang-format off */
#define F_DEPLOY_WATCH_(type, member, kind_, name_, part) \
	{ .name = (name_), .kind = (kind_), .offset = offsetof(struct type, member) + offsetof(struct deploy_watch, part) }
#define F_DEPLOY_WATCH(type, member) \
	F_DEPLOY_WATCH_(type, member, FIELD_BOOL, "deploy_acknowledged", acknowledged), \
	F_DEPLOY_WATCH_(type, member, FIELD_INT, "deploy_requests", requests), \
	F_DEPLOY_WATCH_(type, member, FIELD_INT, "deploy_absent_since_ms", absent_since_ms), \
	F_DEPLOY_WATCH_(type, member, FIELD_STR, "provider_deployment_id", deployment_id)
/* clang-format on */

struct deploy_order {
	const char *service_id;
	bool is_application;
	const char *title; /* the mark: no other request carries it */
	const char *description;
	bool rebuild;
	const char *name;      /* of the service, in messages */
	const char *aftermath; /* what a failure leaves, in messages: "; ..." or "" */
	int64_t limit_s;       /* of the phase that follows it, in messages */
	/* Asked right before the request; its failure is the phase's. NULL: nobody can forbid it. */
	bool (*may_ask)(struct task *t, struct operation *op, struct err *err);
};

/* A phase that asks for the deploy, on its first run only: a later one may come after the request. What came of it is
 * deploy_follow's question, so this is done even when nobody answered. */
SUSPENDS enum phase_outcome deploy_ask(struct task *t, struct operation *op, const struct deploy_order *order,
                                       struct deploy_watch *w, struct err *err);
/* The phase after it, with a limit: done when the run has ended well. Goes back to the phase asking when it is proved
 * that no request arrived: nothing ran in Dokploy for DOKPLOY_SETTLE_MS and none of its runs is ours. A request that
 * was answered is not sent again: its job is queued, or lost, which is E_upstream_lost at the limit. E_deploy_failed,
 * E_timeout: the run's end, or none. */
SUSPENDS enum phase_outcome deploy_follow(struct task *t, struct operation *op, const struct deploy_order *order,
                                          struct deploy_watch *w, const char *asking, struct err *err);
/* As deploy_follow, but done as soon as Dokploy is known to have the request. */
SUSPENDS enum phase_outcome deploy_see_begun(struct task *t, struct operation *op, const struct deploy_order *order,
                                             struct deploy_watch *w, const char *asking, struct err *err);
