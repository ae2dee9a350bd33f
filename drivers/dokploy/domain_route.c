#include "drivers/dokploy/domain_route.h"

#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/deployment_watch.h"
#include "storage/codes.h"

#include <strings.h>

#define LOOK_MS         1000
#define CREATE_REQUESTS 3 /* how often a row is asked for when no earlier request shows */

/* ---- rows ---- */

static bool same_path(const char *x, const char *y)
{
	return strcmp(x[0] ? x : "/", y[0] ? y : "/") == 0;
}

/* Whether x is rather the host's route than y. */
static bool goes_before(const struct dokploy_domain *x, const struct dokploy_domain *y)
{
	bool x_root = same_path(x->path, "/"), y_root = same_path(y->path, "/");
	if (x_root != y_root)
		return x_root;
	return x->config_key != y->config_key ? x->config_key < y->config_key : strcmp(x->id, y->id) < 0;
}

const struct dokploy_domain *domain_of_host(const struct dokploy_domains *domains, const char *host, size_t *count)
{
	const struct dokploy_domain *found = NULL;
	*count = 0;
	for (size_t i = 0; i < domains->n; i++)
		if (strcasecmp(domains->v[i].host, host) == 0 && (!found || goes_before(&domains->v[i], found)))
			found = &domains->v[i];
	for (size_t i = 0; found && i < domains->n; i++)
		*count += strcasecmp(domains->v[i].host, host) == 0 && same_path(domains->v[i].path, found->path);
	return found;
}

static bool is_as_wished(const struct dokploy_domain *d, const struct dokploy_domain *wish)
{
	return d->port == wish->port && d->https == wish->https && strcmp(d->service_name, wish->service_name) == 0 &&
	       same_path(d->path, wish->path) && same_path(d->internal_path, wish->internal_path) && !d->strip_path &&
	       strcmp(d->domain_type, "compose") == 0 && strcmp(d->certificate_type, wish->certificate_type) == 0;
}

/* Two rows that make two equal routers: nothing is lost when one goes. */
static bool repeats(const struct dokploy_domain *row, const struct dokploy_domain *kept)
{
	return strcmp(row->id, kept->id) != 0 && strcasecmp(row->host, kept->host) == 0 && is_as_wished(row, kept) &&
	       strcmp(row->cert_resolver, kept->cert_resolver) == 0 && !row->has_extras;
}

/* ---- one host ---- */

static struct dokploy_domain wish_of(const struct domain_order *o, const char *host, const struct dokploy_domain *there)
{
	bool has_type = there && there->certificate_type[0];
	return (struct dokploy_domain){ .host = host,
		                        .path = "/",
		                        .internal_path = "/",
		                        .port = o->port,
		                        .https = true,
		                        .service_name = "web",
		                        .domain_type = "compose",
		                        .compose_id = o->compose_id,
		                        .certificate_type = has_type ? there->certificate_type : "none",
		                        .cert_resolver = there ? there->cert_resolver : "" };
}

/* What a row that could not be created leads to. */
static enum phase_outcome not_created(struct operation *op, const struct dokploy *d, struct domain_watch *w,
                                      const char *host, struct err *err)
{
	if (err->code == &E_cancelled || !d->maybe_done)
		return PHASE_FAILED;
	if (++w->unanswered < CREATE_REQUESTS)
		return operation_again(op, LOOK_MS);
	err_set(err, &E_upstream_lost,
	        "Dokploy was asked %lld times for a route of %s and none appeared; look at its domains there, then "
	        "submit "
	        "again",
	        (long long)w->unanswered, host);
	return PHASE_FAILED;
}

static NO_ROLE_CHECK enum phase_outcome route_host(struct task *t, struct operation *op, struct dokploy *d,
                                                   const struct domain_order *o, const struct dokploy_domains *known,
                                                   struct domain_watch *w, struct domain_route *out, struct err *err)
{
	const struct dokploy_domain *there = domain_of_host(known, out->host, &out->rows);
	const struct dokploy_domain wish = wish_of(o, out->host, there);
	out->action = !there ? "created" : is_as_wished(there, &wish) ? "unchanged" : "updated";
	if (there && is_as_wished(there, &wish)) {
		out->row = *there;
		return PHASE_DONE;
	}
	if (o->may_write && !o->may_write(t, op, err))
		return PHASE_FAILED;
	if (there)
		return dokploy_domain_update(t, d, there->id, &wish, &out->row, err) ? PHASE_DONE : PHASE_FAILED;
	out->rows = 1;
	return dokploy_domain_create(t, d, &wish, &out->row, err) ? PHASE_DONE : not_created(op, d, w, out->host, err);
}

static bool lacks_route(const struct dokploy_domains *live, const struct strings *hosts)
{
	size_t rows;
	for (size_t i = 0; i < hosts->n; i++)
		if (!domain_of_host(live, hosts->v[i], &rows))
			return true;
	return false;
}

bool domain_watch_is_settled(struct task *t, struct domain_watch *w)
{
	int64_t now = loop_wall_ms(t->loop);
	w->absent_since_ms = w->absent_since_ms ? w->absent_since_ms : now;
	return now - w->absent_since_ms >= DOKPLOY_SETTLE_MS;
}

/* ---- all of them ---- */

/* Takes away what repeats the route. A row that is gone is what is wanted. */
static NO_ROLE_CHECK bool remove_equal_rows(struct task *t, struct operation *op, struct dokploy *d,
                                            const struct domain_order *o, const struct dokploy_domains *live,
                                            struct domain_route *route, struct err *err)
{
	for (size_t i = 0; i < live->n; i++) {
		if (!repeats(&live->v[i], &route->row))
			continue;
		if (o->may_write && !o->may_write(t, op, err))
			return false;
		if (!dokploy_domain_delete(t, d, live->v[i].id, err) && !err_is(err, &E_not_found))
			return false;
		memset(err, 0, sizeof(*err));
		strings_add(t->arena, &route->removed, live->v[i].id);
	}
	return true;
}

static SUSPENDS bool look_again(struct task *t, struct operation *op, struct dokploy *d, const struct domain_order *o,
                                struct domain_routes *out, struct err *err)
{
	struct dokploy_domains live;
	if (!dokploy_domains_of_compose(t, d, o->compose_id, &live, err))
		return false;
	out->total = live.n;
	for (size_t i = 0; i < out->n; i++) {
		struct domain_route *route = &out->v[i];
		const struct dokploy_domain *row = domain_of_host(&live, route->host, &route->rows);
		if (!row || !row->id[0] || row->port != o->port || strcmp(row->service_name, "web") != 0) {
			out->n = i;
			return err_set(err, &E_provider_refused,
			               "Dokploy did not keep the route of %s to service web on port %lld", route->host,
			               (long long)o->port);
		}
		route->row = *row;
		if (o->removes_equal_rows && !remove_equal_rows(t, op, d, o, &live, route, err))
			return false;
		route->rows -= route->removed.n;
		out->total -= route->removed.n;
	}
	return true;
}

enum phase_outcome domain_routes_ensure(struct task *t, struct operation *op, const struct domain_order *order,
                                        struct domain_watch *w, struct domain_routes *out, struct err *err)
{
	struct dokploy d;
	struct dokploy_domains known;
	*out = (struct domain_routes){ .v = arena_array(t->arena, order->hosts.n + 1, sizeof(*out->v)) };
	if (!dokploy_open(t, &d, err) || !dokploy_domains_of_compose(t, &d, order->compose_id, &known, err))
		return PHASE_FAILED;
	bool was_asked = w->unanswered || operation_is_rerun(op);
	if (was_asked && lacks_route(&known, &order->hosts) && !domain_watch_is_settled(t, w))
		return operation_again(op, LOOK_MS);
	w->absent_since_ms = 0;
	for (size_t i = 0; i < order->hosts.n; i++) {
		out->v[i] = (struct domain_route){ .host = order->hosts.v[i] };
		enum phase_outcome outcome = route_host(t, op, &d, order, &known, w, &out->v[i], err);
		if (outcome != PHASE_DONE)
			return outcome;
		out->n++;
	}
	return look_again(t, op, &d, order, out, err) ? PHASE_DONE : PHASE_FAILED;
}
