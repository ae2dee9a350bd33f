/* drivers/dokploy/domain_route.h - the routes of a compose service by host (facts/dokploy.md 5.2).
 *
 * Dokploy takes a second row of one host without a word, and a row carries no mark of who asked for it: host and path
 * are all there is. So rows are listed before one is created; after a creation of which nobody knows whether it arrived
 * the list is watched for DOKPLOY_SETTLE_MS before it is asked for again; and afterwards rows are listed once more, so
 * that one which landed later still is reported, and taken away where the caller wants that. */
#pragma once

#include "drivers/dokploy/dokploy.h"
#include "storage/operation.h"

/* The row of host, compared without case, that Launchplane goes by: for path / before other paths, the oldest of
 * several. NULL for none; *count is how many rows have its host and its path. */
const struct dokploy_domain *domain_of_host(const struct dokploy_domains *domains, const char *host, size_t *count);

/* What the operation's state keeps while its phase routes hosts. */
struct domain_watch {
	int64_t unanswered;      /* creations that nobody answered */
	int64_t absent_since_ms; /* since when a row that may be on its way is looked for in vain; 0: not yet */
};
/* clang-format off */
#define F_DOMAIN_WATCH(type, member) \
	{ .name = "domain_unanswered", .kind = FIELD_INT, \
	  .offset = offsetof(struct type, member) + offsetof(struct domain_watch, unanswered) }, \
	{ .name = "domain_absent_since_ms", .kind = FIELD_INT, \
	  .offset = offsetof(struct type, member) + offsetof(struct domain_watch, absent_since_ms) }
/* clang-format on */

struct domain_order {
	const char *compose_id;
	struct strings hosts;
	int64_t port;
	bool removes_equal_rows; /* rows that repeat a route in everything but their id */
	/* Asked right before each write; its failure is the phase's. NULL: nobody can forbid it. */
	bool (*may_write)(struct task *t, struct operation *op, struct err *err);
};

struct domain_route {
	const char *host;
	struct dokploy_domain row; /* as stored */
	const char *action;        /* created, updated, unchanged */
	size_t rows;               /* with this host and path; more than one is somebody's mistake */
	struct strings removed;    /* ids */
};
struct domain_routes {
	struct domain_route *v;
	size_t n;     /* of the order's hosts, those done so far, also when the outcome is not PHASE_DONE */
	size_t total; /* rows of the service at the end */
};

/* The work of a phase: service web on port becomes the route of every host. Done when Dokploy's rows say so. */
SUSPENDS enum phase_outcome domain_routes_ensure(struct task *t, struct operation *op, const struct domain_order *order,
                                                 struct domain_watch *w, struct domain_routes *out, struct err *err);
/* Whether a creation that nobody answered may still land: ask again later (false starts the watch). */
bool domain_watch_is_settled(struct task *t, struct domain_watch *w);
