/* drivers/dokploy/domain_route.h - the routes of a compose service by host (facts/dokploy.md 5.2). */
#pragma once

#include "drivers/dokploy/dokploy.h"

struct domain_route {
	struct dokploy_domain row; /* as stored */
	const char *action;        /* created, updated, unchanged */
	size_t rows;               /* rows of this host; more than one is somebody's mistake */
};

/* The first row of host, compared without case, NULL for none; *count is how many there are. */
const struct dokploy_domain *domain_of_host(const struct dokploy_domains *domains, const char *host, size_t *count);
/* Makes service web on port the route of host. Looks at known, the rows just read, before it creates: Dokploy would
 * take a second row of the same host. */
SUSPENDS bool domain_route_host(struct task *t, struct dokploy *d, const struct dokploy_domains *known,
                                const char *compose_id, const char *host, int64_t port, struct domain_route *out,
                                struct err *err);
