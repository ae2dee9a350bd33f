#include "core/http_internal.h"

#include "core/fault.h"
#include "core/log.h"
#include "core/memory.h"

#include <arpa/inet.h>
#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECTIONS_KEPT   128
#define REDIRECTS_MAX      5
#define KNOWN_METHOD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* One watched socket. curl may close the descriptor and get the same number again before uv_close has ended. */
struct watch {
	uv_poll_t poll;
	struct http_client *client;
	curl_socket_t fd;
	int events;
};

static void free_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

/* ---- curl on the loop ---- */

static void collect(struct http_client *c)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(c->multi, &left))) {
		if (m->msg == CURLMSG_DONE)
			http_transfer_done(m->easy_handle, m->data.result);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct http_client *c = container_of(timer, struct http_client, timer);
	int running;
	curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect(c);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	(void)multi;
	struct http_client *c = arg;
	if (ms < 0)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
	return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct watch *w = container_of(poll, struct watch, poll);
	struct http_client *c = w->client;
	int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
	if (status < 0)
		flags = CURL_CSELECT_ERR;
	int running;
	curl_multi_socket_action(c->multi, w->fd, flags, &running);
	if (status < 0 && !uv_is_closing((const uv_handle_t *)poll))
		uv_poll_start(poll, w->events, on_socket); /* libuv stops at an error, and there may be more to read */
	collect(c);
}

static void watch_closed(uv_handle_t *h)
{
	struct watch *w = container_of(h, struct watch, poll);
	w->client->open_handles--;
	free(w);
}

/* curl forgives no callback that fails: from then on its handle does nothing at all, neither for this request nor for
 * any other. A process that cannot ask anybody anything ends, and the supervisor starts another. */
static NORETURN void cannot_watch(int code)
{
	log_error(NULL, "http.cannot_watch", S("cause", uv_strerror(code)));
	abort();
}

static struct watch *watch_new(struct http_client *c, curl_socket_t fd)
{
	struct watch *w = memory_take(sizeof(*w));
	int code = uv_poll_init_socket(&c->loop->uv, &w->poll, fd);
	if (code != 0)
		cannot_watch(code);
	w->client = c;
	w->fd = fd;
	c->open_handles++;
	return w;
}

static int set_watch(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	(void)easy;
	struct http_client *c = arg;
	struct watch *w = socket_arg;
	if (what == CURL_POLL_REMOVE) {
		if (w) {
			/* Both take the descriptor out of the poll set at once: curl closes it after this returns. */
			uv_poll_stop(&w->poll);
			uv_close((uv_handle_t *)&w->poll, watch_closed);
			curl_multi_assign(c->multi, fd, NULL);
		}
		return 0;
	}
	if (!w) {
		w = watch_new(c, fd);
		curl_multi_assign(c->multi, fd, w);
	}
	w->events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	int code = uv_poll_start(&w->poll, w->events, on_socket);
	if (code != 0)
		cannot_watch(code);
	return 0;
}

/* ---- curl's memory ---- */

/* Requests carry keys and environments: what curl gives back is overwritten. */
static void wiping_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *p, size_t n)
{
	size_t old = p ? malloc_usable_size(p) : 0;
	if (old >= n && p)
		return p;
	void *q = malloc(n ? n : 1);
	if (q && p) {
		memcpy(q, p, old);
		wiping_free(p);
	}
	return q;
}

/* ---- the client ---- */

struct http_client *http_client_new(struct loop *l)
{
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc) != CURLE_OK)
		return NULL;
	struct http_client *c = memory_try(sizeof(*c));
	CURLM *multi = c ? curl_multi_init() : NULL;
	if (!multi) {
		free(c);
		curl_global_cleanup();
		return NULL;
	}
	c->loop = l;
	c->multi = multi;
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_watch);
	curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(multi, CURLMOPT_TIMERDATA, c);
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
	uv_timer_init(&l->uv, &c->timer);
	c->open_handles = 1;
	l->http = c;
	return c;
}

static void timer_closed(uv_handle_t *h)
{
	container_of(h, struct http_client, timer)->open_handles--;
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	struct loop *l = c->loop;
	assert(!l->current);
	c->is_closing = true;
	queue_wake_all(&c->in_transfer);
	for (struct host *h = c->hosts; h; h = h->next) {
		queue_wake_all(&h->for_place);
		queue_wake_all(&h->for_address);
	}
	while (c->fetches)
		uv_run(&l->uv, UV_RUN_ONCE);
	while (c->idle_n)
		curl_easy_cleanup(c->idle[--c->idle_n]);
	curl_multi_cleanup(c->multi);
	uv_close((uv_handle_t *)&c->timer, timer_closed);
	while (c->open_handles)
		uv_run(&l->uv, UV_RUN_NOWAIT);
	while (c->hosts) {
		struct host *h = c->hosts;
		c->hosts = h->next;
		host_free(h);
	}
	if (l->http == c)
		l->http = NULL;
	free(c->ca_file);
	free(c);
	curl_global_cleanup();
}

void http_client_set_ca_file(struct http_client *c, const char *path)
{
	free(c->ca_file);
	c->ca_file = path && path[0] ? memory_text(path) : NULL;
}

void http_client_set_fault(struct http_client *c, bool (*fn)(void *arg, const struct http_call *call, struct err *err),
                           void *arg)
{
	c->fault = fn;
	c->fault_arg = arg;
}

/* ---- a fetch ---- */

uint64_t http_left_until(const struct loop *l, uint64_t until_ms)
{
	uint64_t now = uv_now(&l->uv);
	return until_ms > now ? until_ms - now : 0;
}

bool http_interrupted(const struct http_call *call, const struct target *at, struct err *err)
{
	if (err_is(err, &E_timeout))
		return err_set(err, &E_timeout, "%s at %s did not answer in time", call->what, at->shown);
	return err_set(err, &E_cancelled, "the call to %s at %s was cancelled", call->what, at->shown);
}

bool http_is_closing(const struct http_client *c, struct err *err)
{
	return c->is_closing && !err_set(err, &E_cancelled, "the service is stopping");
}

static const char *url_part(struct task *t, CURLU *u, CURLUPart part, unsigned flags)
{
	char *p = NULL;
	if (curl_url_get(u, part, &p, flags) != CURLUE_OK)
		return NULL;
	const char *copy = arena_strdup(t->arena, p);
	curl_free(p);
	return copy;
}

static bool is_ip_address(struct task *t, const char *host)
{
	unsigned char raw[16];
	if (host[0] == '[')
		host = arena_strndup(t->arena, host + 1, strcspn(host + 1, "]%"));
	return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

/* Takes url apart; relative to base when there is one. */
static bool take_apart(struct task *t, const char *base, const char *url, struct target *at)
{
	AUTO(free_url) CURLU *u = curl_url();
	if (!u || (base && curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK) ||
	    curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
		return false;
	at->url = url_part(t, u, CURLUPART_URL, 0);
	at->scheme = url_part(t, u, CURLUPART_SCHEME, 0);
	at->host = url_part(t, u, CURLUPART_HOST, 0);
	const char *port = url_part(t, u, CURLUPART_PORT, CURLU_DEFAULT_PORT);
	const char *user = url_part(t, u, CURLUPART_USER, 0), *password = url_part(t, u, CURLUPART_PASSWORD, 0);
	if (!at->url || !at->scheme || !at->host || !at->host[0] || !port || user || password)
		return false;
	if (strcmp(at->scheme, "http") != 0 && strcmp(at->scheme, "https") != 0)
		return false;
	at->port = (uint16_t)atoi(port);
	const char *given = url_part(t, u, CURLUPART_PORT, 0);
	at->shown = given ? arena_printf(t->arena, "%s:%s", at->host, given) : at->host;
	at->is_address = is_ip_address(t, at->host);
	return true;
}

static SUSPENDS bool visit(struct task *t, const struct http_call *call, const struct target *at, uint64_t until_ms,
                           struct http_answer *out, struct err *err)
{
	struct http_client *c = t->loop->http;
	struct host *h = host_hold(c, at->host, at->port);
	bool ok = false;
	if (!host_enter(t, h, until_ms, err)) {
		http_interrupted(call, at, err);
	} else {
		ok = (at->is_address || host_resolve(t, h, call, at, until_ms, err)) &&
		     http_send(t, call, at, h, until_ms, out, err);
		host_leave(h);
	}
	h->users--;
	return ok;
}

/* The place a redirect points to, or NULL when the answer is to be returned as it is. */
static const char *redirect_of(const struct http_call *call, const struct http_answer *answer)
{
	bool is_read = strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0;
	bool is_moved = answer->status == 301 || answer->status == 302 || answer->status == 303 ||
	                answer->status == 307 || answer->status == 308;
	return call->follow_redirects && is_read && is_moved ? http_answer_header(answer, "Location") : NULL;
}

static SUSPENDS bool fetch(struct task *t, struct http_call *call, struct http_answer *out, struct err *err)
{
	uint64_t until_ms = uv_now(&t->loop->uv) + (call->timeout_ms ? call->timeout_ms : HTTP_TIMEOUT_MS);
	struct target at;
	if (!take_apart(t, NULL, call->url, &at))
		return err_set(err, &E_upstream_failed, "the address of %s is not a plain http or https URL",
		               call->what);
	for (int hops = 0;; hops++) {
		if (!visit(t, call, &at, until_ms, out, err))
			return false;
		const char *location = redirect_of(call, out);
		if (!location) {
			out->moved_to = hops ? at.shown : "";
			return true;
		}
		struct target next;
		if (hops == REDIRECTS_MAX)
			return err_set(err, &E_upstream_failed, "%s at %s redirects more than %d times", call->what,
			               at.shown, REDIRECTS_MAX);
		if (!take_apart(t, at.url, location, &next) ||
		    (strcmp(at.scheme, "https") == 0 && strcmp(next.scheme, "https") != 0))
			return err_set(err, &E_upstream_failed, "%s at %s redirects to where we do not follow",
			               call->what, at.shown);
		if (strcmp(next.scheme, at.scheme) != 0 || strcasecmp(next.host, at.host) != 0 || next.port != at.port)
			call->headers_n = 0;
		at = next;
	}
}

/* An injected fault looks like a connection that broke. */
static bool lost(bool is_faulted, const struct http_call *call, struct err *err)
{
	return is_faulted &&
	       !err_set(err, &E_upstream_failed, "%s closed the connection before it had answered", call->what);
}

/* Counts what may change something there; refused when the task's right to it is over. Asked last of all, because the
 * process may have been suspended anywhere before. */
static bool may_have_effect(struct task *t, const struct http_call *call, struct err *err)
{
	if (strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0)
		return true;
	fault_at("http.effect", NULL);
	if (loop_exact_ms(t->loop) >= t->effects_until_ms)
		return err_set(err, &E_cancelled, "%s was not asked: somebody else may be doing this by now",
		               call->what);
	t->effects++;
	return true;
}

bool http_fetch(struct task *t, const struct http_call *call, struct http_answer *out, struct err *err)
{
	struct http_client *c = t->loop->http;
	assert(c && !t->in_tx);
	*out = (struct http_answer){ .content_type = "", .body = "", .moved_to = "" };
	struct http_call mine = *call;
	if (!mine.method)
		mine.method = "GET";
	if (!mine.what)
		mine.what = "the provider";
	assert(mine.method[0] && strspn(mine.method, KNOWN_METHOD_CHARS) == strlen(mine.method));
	if (c->is_closing)
		return err_set(err, &E_cancelled, "the service is stopping");
	if (c->fault && !c->fault(c->fault_arg, call, err))
		return false;
	c->fetches++;
	bool ok = !lost(fault_at("http.wait", NULL), &mine, err) && may_have_effect(t, &mine, err) &&
	          fetch(t, &mine, out, err) && !lost(fault_at("http.answer", NULL), &mine, err);
	c->fetches--;
	return ok;
}

const char *http_answer_header(const struct http_answer *answer, const char *name)
{
	for (size_t i = 0; i < answer->headers_n; i++)
		if (strcasecmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	return NULL;
}
