#include "drivers/dokploy/domain_route.h"

#include "storage/codes.h"

#include <strings.h>

const struct dokploy_domain *domain_of_host(const struct dokploy_domains *domains, const char *host, size_t *count)
{
	const struct dokploy_domain *found = NULL;
	*count = 0;
	for (size_t i = 0; i < domains->n; i++)
		if (strcasecmp(domains->v[i].host, host) == 0) {
			found = found ? found : &domains->v[i];
			++*count;
		}
	return found;
}

static bool domain_is(const struct dokploy_domain *d, const struct dokploy_domain *wish)
{
	return d->port == wish->port && d->https == wish->https && strcmp(d->service_name, wish->service_name) == 0 &&
	       strcmp(d->path, "/") == 0 && !d->strip_path && strcmp(d->domain_type, "compose") == 0 &&
	       strcmp(d->certificate_type, wish->certificate_type) == 0;
}

bool domain_route_host(struct task *t, struct dokploy *d, const struct dokploy_domains *known, const char *compose_id,
                       const char *host, int64_t port, struct domain_route *out, struct err *err)
{
	const struct dokploy_domain *there = domain_of_host(known, host, &out->rows);
	const struct dokploy_domain wish = { .host = host,
		                             .path = "/",
		                             .internal_path = "/",
		                             .port = port,
		                             .https = true,
		                             .service_name = "web",
		                             .domain_type = "compose",
		                             .compose_id = compose_id,
		                             .certificate_type = there && there->certificate_type[0]
		                                                         ? there->certificate_type
		                                                         : "none",
		                             .cert_resolver = "" };
	out->action = !there ? "created" : domain_is(there, &wish) ? "unchanged" : "updated";
	if (!there) {
		out->rows = 1;
		if (!dokploy_domain_create(t, d, &wish, &out->row, err))
			return false;
	} else if (out->action[1] == 'p') {
		if (!dokploy_domain_update(t, d, there->id, &wish, &out->row, err))
			return false;
	} else {
		out->row = *there;
	}
	return out->row.id[0] || err_set(err, &E_provider_refused, "Dokploy gave no domain id for %s", host);
}
