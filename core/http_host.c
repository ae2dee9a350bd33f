#include "core/http_internal.h"
#include "core/log.h"
#include "core/memory.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOSTS_MAX       256
#define ADDRESSES_MAX   8
#define LOOKUP_FRESH_MS 30000  /* an address is used this long without asking again */
#define LOOKUP_STALE_MS 600000 /* and this long when the resolver fails */

/* A running uv_getaddrinfo: it cannot be stopped, so it has a life of its own. */
struct lookup {
	uv_getaddrinfo_t request;
	struct http_client *client; /* NULL: the client is gone */
	struct host *host;
};

/* ---- queues ---- */

void queue_add(struct queue *q, struct waiter *w)
{
	w->prev = q->last;
	w->next = NULL;
	*(q->last ? &q->last->next : &q->first) = w;
	q->last = w;
}

void queue_remove(struct queue *q, struct waiter *w)
{
	*(w->prev ? &w->prev->next : &q->first) = w->next;
	*(w->next ? &w->next->prev : &q->last) = w->prev;
	w->prev = w->next = NULL;
}

void queue_wake_all(const struct queue *q)
{
	for (struct waiter *w = q->first; w; w = w->next)
		task_wake(w->task);
}

/* ---- a limit of calls each ---- */

void host_free(struct host *h)
{
	if (h->lookup) {
		h->lookup->client = NULL;
		uv_cancel((uv_req_t *)&h->lookup->request);
	}
	free(h->addresses);
	free(h->name);
	free(h);
}

static bool host_is_idle(const struct host *h)
{
	return h->users == 0 && !h->lookup;
}

/* Forgets one host nobody uses; the list is short and this is rare. */
static void forget_one(struct http_client *c)
{
	struct host **oldest = NULL;
	for (struct host **at = &c->hosts; *at; at = &(*at)->next)
		if (host_is_idle(*at) && (!oldest || (*at)->resolved_ms < (*oldest)->resolved_ms))
			oldest = at;
	if (!oldest)
		return;
	struct host *h = *oldest;
	*oldest = h->next;
	c->hosts_n--;
	host_free(h);
}

struct host *host_hold(struct http_client *c, const char *name, uint16_t port)
{
	struct host *h = c->hosts;
	while (h && (h->port != port || strcasecmp(h->name, name) != 0))
		h = h->next;
	if (!h) {
		if (c->hosts_n >= HOSTS_MAX)
			forget_one(c);
		h = memory_take(sizeof(*h));
		h->name = memory_text(name);
		h->port = port;
		h->next = c->hosts;
		c->hosts = h;
		c->hosts_n++;
	}
	h->users++;
	return h;
}

void host_leave(struct host *h)
{
	h->busy--;
	struct waiter *w = h->for_place.first;
	if (w) {
		queue_remove(&h->for_place, w);
		w->granted = true;
		h->busy++;
		task_wake(w->task);
	}
}

bool host_enter(struct task *t, struct host *h, uint64_t until_ms, struct err *err)
{
	struct http_client *c = t->loop->http;
	if (h->busy < HTTP_CALLS_PER_HOST) {
		h->busy++;
		return true;
	}
	struct waiter w = { .task = t };
	queue_add(&h->for_place, &w);
	bool ok = true;
	while (ok && !w.granted)
		ok = !http_is_closing(c, err) && task_wait(t, http_left_until(t->loop, until_ms), err);
	if (ok)
		return true;
	if (w.granted)
		host_leave(h);
	else
		queue_remove(&h->for_place, &w);
	return false;
}

/* ---- addresses ---- */

static void keep_addresses(struct host *h, const struct addrinfo *list, uint64_t now_ms)
{
	char all[ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3)] = "";
	size_t n = 0, count = 0;
	for (const struct addrinfo *a = list; a && count < ADDRESSES_MAX; a = a->ai_next) {
		char text[INET6_ADDRSTRLEN];
		bool v6 = a->ai_family == AF_INET6;
		const void *raw = v6 ? (const void *)&((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr
		                     : (const void *)&((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr;
		if ((!v6 && a->ai_family != AF_INET) || !inet_ntop(a->ai_family, raw, text, sizeof(text)))
			continue;
		n += (size_t)snprintf(all + n, sizeof(all) - n, v6 ? "%s[%s]" : "%s%s", count ? "," : "", text);
		count++;
	}
	if (!count) {
		snprintf(h->problem, sizeof(h->problem), "it has no address");
		return;
	}
	free(h->addresses);
	h->addresses = memory_text(all);
	h->resolved_ms = now_ms;
}

static void on_lookup(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct lookup *k = container_of(request, struct lookup, request);
	struct http_client *c = k->client;
	if (c) {
		struct host *h = k->host;
		h->lookup = NULL;
		h->problem[0] = '\0';
		if (status == 0)
			keep_addresses(h, list, uv_now(&c->loop->uv));
		else
			snprintf(h->problem, sizeof(h->problem), "%s", uv_strerror(status));
		queue_wake_all(&h->for_address);
	}
	uv_freeaddrinfo(list);
	free(k);
}

static bool lookup_start(struct http_client *c, struct host *h)
{
	struct lookup *k = memory_try(sizeof(*k));
	if (!k)
		return false;
	k->client = c;
	k->host = h;
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	if (uv_getaddrinfo(&c->loop->uv, &k->request, on_lookup, h->name, NULL, &hints) != 0) {
		free(k);
		return false;
	}
	h->lookup = k;
	return true;
}

bool host_resolve(struct task *t, struct host *h, const struct http_call *call, const struct target *at,
                  uint64_t until_ms, struct err *err)
{
	struct http_client *c = t->loop->http;
	if (h->addresses && uv_now(&t->loop->uv) - h->resolved_ms < LOOKUP_FRESH_MS)
		return true;
	if (!h->lookup && !lookup_start(c, h))
		return err_set(err, &E_upstream_failed, "the name of %s at %s cannot be resolved", call->what,
		               at->shown);
	struct waiter w = { .task = t };
	queue_add(&h->for_address, &w);
	bool ok = true;
	while (ok && h->lookup)
		ok = !http_is_closing(c, err) && task_wait(t, http_left_until(t->loop, until_ms), err);
	queue_remove(&h->for_address, &w);
	if (!ok)
		return http_interrupted(call, at, err);
	if (!h->problem[0])
		return true;
	if (h->addresses && uv_now(&t->loop->uv) - h->resolved_ms < LOOKUP_STALE_MS) {
		log_warn(t, "http.name_stale", S("host", h->name), S("cause", h->problem));
		return true;
	}
	err_set(err, &E_upstream_failed, "the name of %s at %s cannot be resolved", call->what, at->shown);
	return err_cause(err, "%s", h->problem);
}
