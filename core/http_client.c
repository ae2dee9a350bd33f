#include "core/http_client.h"

#include "core/buf.h"
#include "core/log.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HOSTS_MAX          256
#define HANDLES_POOLED     16
#define CONNECTIONS_KEPT   128
#define REDIRECTS_MAX      5
#define HEADER_BYTES_MAX   65536
#define HEADERS_MAX        200
#define ADDRESSES_MAX      8
#define LOOKUP_FRESH_MS    30000  /* an address is used this long without asking again */
#define LOOKUP_STALE_MS    600000 /* and this long when the resolver fails */
#define IDLE_REUSE_S       60L
#define IDLE_REUSE_ONCE_S  4L /* below the keep-alive limit of common servers (Node: 5 s): see once_only() */
#define KNOWN_METHOD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* A task waiting in a queue of a host; lives on the waiter's stack. */
struct waiter {
	struct task *task;
	struct waiter *prev, *next;
	bool granted;
};

struct queue {
	struct waiter *first, *last;
};

struct lookup;

struct host {
	struct host *next;
	char *name;
	uint16_t port;
	unsigned users; /* fetches that hold a pointer to this */
	unsigned busy;  /* of HTTP_CALLS_PER_HOST */
	struct queue for_place, for_address;
	struct lookup *lookup; /* running now */
	char *addresses;       /* "10.0.0.1,[fd00::1]"; NULL: not known */
	uint64_t resolved_ms;
	char problem[120];
};

/* A running uv_getaddrinfo: it cannot be stopped, so it has a life of its own. */
struct lookup {
	uv_getaddrinfo_t request;
	struct http_client *client; /* NULL: the client is gone */
	struct host *host;
};

/* One watched socket. curl may close the descriptor and get the same number again before uv_close has ended. */
struct watch {
	uv_poll_t poll;
	struct http_client *client;
	curl_socket_t fd;
};

struct http_client {
	struct loop *loop;
	CURLM *multi;
	uv_timer_t timer;
	size_t open_handles; /* of libuv */
	size_t fetches;      /* tasks inside http_fetch */
	bool is_closing;
	struct queue in_transfer;
	struct host *hosts;
	size_t hosts_n;
	CURL *idle[HANDLES_POOLED];
	size_t idle_n;
	char *ca_file;
	bool (*fault)(void *arg, const struct http_call *call, struct err *err);
	void *fault_arg;
};

/* One request and its answer; lives on the task's stack, known to curl only while the task waits. */
struct transfer {
	struct waiter waiter;
	const struct http_call *call;
	struct arena *arena;
	CURL *easy;
	CURLcode result;
	bool is_done, is_too_large, is_repeated;
	unsigned sends;
	size_t max_bytes, header_bytes;
	uint64_t limit_ms; /* by the loop's clock, which a test may move; curl's own timer is the machine's */
	struct buf body;
	struct http_header headers[HEADERS_MAX];
	size_t headers_n;
	char problem[CURL_ERROR_SIZE];
};

/* Where a request goes, taken apart. */
struct target {
	const char *url, *scheme, *host; /* host as in a URL: IPv6 in brackets */
	const char *shown;               /* for messages */
	uint16_t port;
	bool is_address;
};

static void free_url(CURLU **u)
{
	curl_url_cleanup(*u);
}

static void free_list(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

/* ---- queues ---- */

static void enqueue(struct queue *q, struct waiter *w)
{
	w->prev = q->last;
	w->next = NULL;
	*(q->last ? &q->last->next : &q->first) = w;
	q->last = w;
}

static void dequeue(struct queue *q, struct waiter *w)
{
	*(w->prev ? &w->prev->next : &q->first) = w->next;
	*(w->next ? &w->next->prev : &q->last) = w->prev;
	w->prev = w->next = NULL;
}

static void wake_all(const struct queue *q)
{
	for (struct waiter *w = q->first; w; w = w->next)
		task_wake(w->task);
}

/* ---- curl on the loop ---- */

static void collect(struct http_client *c)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(c->multi, &left))) {
		if (m->msg != CURLMSG_DONE)
			continue;
		struct transfer *x = NULL;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		x->result = m->data.result;
		x->is_done = true;
		task_wake(x->waiter.task);
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
	collect(c);
}

static void watch_closed(uv_handle_t *h)
{
	struct watch *w = container_of(h, struct watch, poll);
	w->client->open_handles--;
	free(w);
}

static struct watch *watch_new(struct http_client *c, curl_socket_t fd)
{
	struct watch *w = calloc(1, sizeof(*w));
	if (!w || uv_poll_init_socket(&c->loop->uv, &w->poll, fd) != 0) {
		free(w);
		return NULL;
	}
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
		if (!w)
			return -1;
		curl_multi_assign(c->multi, fd, w);
	}
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
	return uv_poll_start(&w->poll, events, on_socket) == 0 ? 0 : -1;
}

/* ---- the client ---- */

struct http_client *http_client_new(struct loop *l)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return NULL;
	struct http_client *c = calloc(1, sizeof(*c));
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

static void host_free(struct host *h)
{
	if (h->lookup) {
		h->lookup->client = NULL;
		uv_cancel((uv_req_t *)&h->lookup->request);
	}
	free(h->addresses);
	free(h->name);
	free(h);
}

void http_client_free(struct http_client *c)
{
	if (!c)
		return;
	struct loop *l = c->loop;
	assert(!l->current);
	c->is_closing = true;
	wake_all(&c->in_transfer);
	for (struct host *h = c->hosts; h; h = h->next) {
		wake_all(&h->for_place);
		wake_all(&h->for_address);
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
	c->ca_file = path && path[0] ? strdup(path) : NULL;
}

void http_client_set_fault(struct http_client *c, bool (*fn)(void *arg, const struct http_call *call, struct err *err),
                           void *arg)
{
	c->fault = fn;
	c->fault_arg = arg;
}

/* ---- hosts: a limit of calls each, and their addresses ---- */

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

static struct host *host_hold(struct http_client *c, const char *name, uint16_t port)
{
	struct host *h = c->hosts;
	while (h && (h->port != port || strcasecmp(h->name, name) != 0))
		h = h->next;
	if (!h) {
		if (c->hosts_n >= HOSTS_MAX)
			forget_one(c);
		h = calloc(1, sizeof(*h));
		if (!h)
			abort();
		h->name = strdup(name);
		h->port = port;
		h->next = c->hosts;
		c->hosts = h;
		c->hosts_n++;
	}
	h->users++;
	return h;
}

static void place_leave(struct host *h)
{
	h->busy--;
	struct waiter *w = h->for_place.first;
	if (w) {
		dequeue(&h->for_place, w);
		w->granted = true;
		h->busy++;
		task_wake(w->task);
	}
}

static uint64_t left_until(const struct loop *l, uint64_t until_ms)
{
	uint64_t now = uv_now(&l->uv);
	return until_ms > now ? until_ms - now : 0;
}

/* Says what went wrong in terms of the call: where, and whether the caller, the clock or the provider ended it. */
static bool interrupted(const struct http_call *call, const struct target *at, struct err *err)
{
	if (err_is(err, &E_timeout))
		return err_set(err, &E_timeout, "%s at %s did not answer in time", call->what, at->shown);
	return err_set(err, &E_cancelled, "the call to %s at %s was cancelled", call->what, at->shown);
}

static bool closing(const struct http_client *c, struct err *err)
{
	return c->is_closing && !err_set(err, &E_cancelled, "the service is stopping");
}

static SUSPENDS bool place_enter(struct task *t, struct host *h, uint64_t until_ms, struct err *err)
{
	struct http_client *c = t->loop->http;
	if (h->busy < HTTP_CALLS_PER_HOST) {
		h->busy++;
		return true;
	}
	struct waiter w = { .task = t };
	enqueue(&h->for_place, &w);
	bool ok = true;
	while (ok && !w.granted)
		ok = !closing(c, err) && task_wait(t, left_until(t->loop, until_ms), err);
	if (ok)
		return true;
	if (w.granted)
		place_leave(h);
	else
		dequeue(&h->for_place, &w);
	return false;
}

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
	h->addresses = strdup(all);
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
		wake_all(&h->for_address);
	}
	uv_freeaddrinfo(list);
	free(k);
}

static bool lookup_start(struct http_client *c, struct host *h)
{
	struct lookup *k = calloc(1, sizeof(*k));
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

/* Makes h->addresses known. Tasks that ask for one host together share one lookup: libuv's threads are few. */
static SUSPENDS bool resolve(struct task *t, struct host *h, const struct http_call *call, const struct target *at,
                             uint64_t until_ms, struct err *err)
{
	struct http_client *c = t->loop->http;
	if (h->addresses && uv_now(&t->loop->uv) - h->resolved_ms < LOOKUP_FRESH_MS)
		return true;
	if (!h->lookup && !lookup_start(c, h))
		return err_set(err, &E_upstream_failed, "the name of %s at %s cannot be resolved", call->what,
		               at->shown);
	struct waiter w = { .task = t };
	enqueue(&h->for_address, &w);
	bool ok = true;
	while (ok && h->lookup)
		ok = !closing(c, err) && task_wait(t, left_until(t->loop, until_ms), err);
	dequeue(&h->for_address, &w);
	if (!ok)
		return interrupted(call, at, err);
	if (!h->problem[0])
		return true;
	if (h->addresses && uv_now(&t->loop->uv) - h->resolved_ms < LOOKUP_STALE_MS) {
		log_warn(t, "http.name_stale", S("host", h->name), S("cause", h->problem));
		return true;
	}
	err_set(err, &E_upstream_failed, "the name of %s at %s cannot be resolved", call->what, at->shown);
	return err_cause(err, "%s", h->problem);
}

/* ---- one transfer ---- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	n *= size;
	if (n > x->max_bytes - x->body.n) {
		x->is_too_large = true;
		return 0;
	}
	buf_add(&x->body, p, n);
	return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	n *= size;
	x->header_bytes += n;
	if (x->header_bytes > HEADER_BYTES_MAX) {
		x->is_too_large = true;
		return 0;
	}
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0) {
		x->headers_n = 0; /* what came before was an interim answer */
		return n;
	}
	const char *colon = memchr(p, ':', n);
	if (!colon || x->headers_n == HEADERS_MAX)
		return n;
	const char *value = colon + 1, *end = p + n;
	while (value < end && isspace((unsigned char)*value))
		value++;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	x->headers[x->headers_n++] =
	        (struct http_header){ .name = arena_strndup(x->arena, p, (size_t)(colon - p)),
		                      .value = arena_strndup(x->arena, value, (size_t)(end - value)) };
	return n;
}

/* curl sends a request again by itself when a connection it reused was closed without an answer. Whether the server
 * acted on the first one is unknown then, so what must not happen twice is not sent twice. */
static bool once_only(const char *method)
{
	return strcmp(method, "POST") == 0 || strcmp(method, "PATCH") == 0;
}

static int before_sending(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	(void)remote, (void)local, (void)remote_port, (void)local_port;
	struct transfer *x = arg;
	if (x->sends++ && once_only(x->call->method)) {
		x->is_repeated = true;
		return CURL_PREREQFUNC_ABORT;
	}
	return CURL_PREREQFUNC_OK;
}

static bool is_header_text(const char *s, bool is_name)
{
	if (is_name && !*s)
		return false;
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		if (is_name ? !isalnum(ch) && !strchr("!#$%&'*+-.^_`|~", ch) : (ch < 0x20 && ch != '\t') || ch == 0x7f)
			return false;
	}
	return true;
}

static bool add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);
	if (!longer)
		return false;
	*list = longer;
	return true;
}

static bool add_headers(struct task *t, const struct http_call *call, struct curl_slist **list, struct err *err)
{
	bool has_type = false;
	for (size_t i = 0; i < call->headers_n; i++) {
		const struct http_header *h = &call->headers[i];
		if (!is_header_text(h->name, true) || !is_header_text(h->value, false))
			return err_set(err, &E_upstream_failed, "a header for %s has characters no header may have",
			               call->what);
		has_type = has_type || strcasecmp(h->name, "Content-Type") == 0;
		/* "Name;" is curl's way to say a header without a value; "Name:" would leave it out. */
		const char *line = h->value[0] ? arena_printf(t->arena, "%s: %s", h->name, h->value)
		                               : arena_printf(t->arena, "%s;", h->name);
		if (!add_header(list, line))
			return err_set(err, &E_internal_error, "no memory for a request");
	}
	if (t->traceparent[0] && !add_header(list, arena_printf(t->arena, "traceparent: %s", t->traceparent)))
		return err_set(err, &E_internal_error, "no memory for a request");
	if (!add_header(list, "Expect:") || (!has_type && !add_header(list, "Content-Type:")))
		return err_set(err, &E_internal_error, "no memory for a request");
	return true;
}

static void set_method(CURL *e, const struct http_call *call)
{
	bool is_get = strcmp(call->method, "GET") == 0, is_head = strcmp(call->method, "HEAD") == 0;
	bool is_post = strcmp(call->method, "POST") == 0;
	if (is_head) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		return;
	}
	if (call->body || is_post) {
		curl_easy_setopt(e, CURLOPT_POST, 1L);
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)(call->body ? call->body_n : 0));
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, call->body ? call->body : "");
	}
	if (!is_post && !(is_get && !call->body))
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_options(struct http_client *c, struct transfer *x, const struct target *at, uint64_t left_ms)
{
	CURL *e = x->easy;
	const struct http_call *call = x->call;
	long timeout = left_ms > 0 ? (long)left_ms : 1;
	long connect = (long)(call->connect_timeout_ms ? call->connect_timeout_ms : HTTP_CONNECT_TIMEOUT_MS);
	x->limit_ms = (uint64_t)timeout;
	curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->problem);
	curl_easy_setopt(e, CURLOPT_URL, at->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (c->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, timeout);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, connect < timeout ? connect : timeout);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, once_only(call->method) ? IDLE_REUSE_ONCE_S : IDLE_REUSE_S);
	curl_easy_setopt(e, CURLOPT_USERAGENT, call->user_agent ? call->user_agent : "launchplane");
	curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)x->max_bytes);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, before_sending);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
	set_method(e, call);
}

static const char *in_words(CURLcode result)
{
	switch (result) {
	case CURLE_PEER_FAILED_VERIFICATION:
		return "its TLS certificate is not trusted";
	case CURLE_COULDNT_CONNECT:
		return "no connection";
	case CURLE_GOT_NOTHING:
		return "the connection closed without an answer";
	case CURLE_PARTIAL_FILE:
		return "the answer ended early";
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
		return "the connection broke";
	default:
		return curl_easy_strerror(result);
	}
}

static bool explain(const struct transfer *x, const struct target *at, struct err *err)
{
	const char *what = x->call->what;
	if (x->is_too_large || x->result == CURLE_FILESIZE_EXCEEDED)
		return err_set(err, &E_upstream_failed, "%s at %s answered with more than %zu bytes", what, at->shown,
		               x->max_bytes);
	if (x->is_repeated)
		return err_set(err, &E_upstream_failed, "%s at %s closed the connection without an answer", what,
		               at->shown);
	if (x->result == CURLE_OPERATION_TIMEDOUT) {
		err_set(err, &E_timeout, "%s at %s did not answer in time", what, at->shown);
	} else {
		err_set(err, &E_upstream_failed, "%s at %s cannot be reached: %s", what, at->shown,
		        in_words(x->result));
	}
	return err_cause(err, "curl %d: %s", (int)x->result,
	                 x->problem[0] ? x->problem : curl_easy_strerror(x->result));
}

static bool is_sent(const struct transfer *x)
{
	long bytes = 0;
	curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &bytes);
	return x->sends > 1 || bytes > 0;
}

/* Runs one prepared transfer until it is done or interrupted; afterwards curl no longer knows it. */
static SUSPENDS bool run(struct task *t, struct transfer *x, const struct target *at, struct err *err)
{
	struct http_client *c = t->loop->http;
	x->waiter.task = t;
	if (curl_multi_add_handle(c->multi, x->easy) != CURLM_OK)
		return err_set(err, &E_internal_error, "no memory for a request");
	enqueue(&c->in_transfer, &x->waiter);
	bool ok = true;
	uint64_t until = loop_now_ms(t->loop) + x->limit_ms + 50; /* curl's timer comes first, and knows more */
	while (ok && !x->is_done) {
		uint64_t now = loop_now_ms(t->loop);
		ok = !closing(c, err) && task_wait(t, until > now ? until - now : 0, err);
	}
	dequeue(&c->in_transfer, &x->waiter);
	curl_multi_remove_handle(c->multi, x->easy);
	if (x->is_done)
		return x->result == CURLE_OK || explain(x, at, err);
	return interrupted(x->call, at, err);
}

static CURL *easy_get(struct http_client *c)
{
	return c->idle_n ? c->idle[--c->idle_n] : curl_easy_init();
}

static void easy_put(struct http_client *c, CURL *e)
{
	curl_easy_reset(e);
	if (c->idle_n < HANDLES_POOLED)
		c->idle[c->idle_n++] = e;
	else
		curl_easy_cleanup(e);
}

static void fill_answer(const struct transfer *x, struct http_answer *out)
{
	long status = 0;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	out->status = (int)status;
	out->headers_n = x->headers_n;
	out->headers = arena_array(x->arena, x->headers_n, sizeof(*out->headers));
	memcpy(out->headers, x->headers, x->headers_n * sizeof(*out->headers));
	out->body = x->body.p ? x->body.p : "";
	out->body_n = x->body.n;
	const char *type = http_answer_header(out, "Content-Type");
	out->content_type = type ? type : "";
}

static SUSPENDS bool send_once(struct task *t, const struct http_call *call, const struct target *at,
                               const struct host *h, uint64_t until_ms, struct http_answer *out, struct err *err)
{
	struct http_client *c = t->loop->http;
	struct transfer *x = ARENA_NEW(t->arena, struct transfer);
	x->call = call;
	x->arena = t->arena;
	x->max_bytes = call->max_bytes ? call->max_bytes : HTTP_MAX_BYTES;
	x->body = buf_in(t->arena);
	AUTO(free_list) struct curl_slist *headers = NULL;
	AUTO(free_list) struct curl_slist *resolved = NULL;
	if (!add_headers(t, call, &headers, err))
		return false;
	if (!at->is_address) {
		/* The "+" lets curl forget the entry as it would one of its own. */
		const char *entry = arena_printf(t->arena, "+%s:%u:%s", at->host, (unsigned)at->port, h->addresses);
		if (!add_header(&resolved, entry))
			return err_set(err, &E_internal_error, "no memory for a request");
	}
	x->easy = easy_get(c);
	if (!x->easy)
		return err_set(err, &E_internal_error, "no memory for a request");
	set_options(c, x, at, left_until(t->loop, until_ms));
	curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(x->easy, CURLOPT_RESOLVE, resolved);
	bool ok = run(t, x, at, err);
	out->maybe_sent = is_sent(x);
	if (ok)
		fill_answer(x, out);
	easy_put(c, x->easy);
	return ok;
}

/* ---- a fetch ---- */

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
	if (!place_enter(t, h, until_ms, err)) {
		interrupted(call, at, err);
	} else {
		ok = (at->is_address || resolve(t, h, call, at, until_ms, err)) &&
		     send_once(t, call, at, h, until_ms, out, err);
		place_leave(h);
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
		if (!location)
			return true;
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

bool http_fetch(struct task *t, const struct http_call *call, struct http_answer *out, struct err *err)
{
	struct http_client *c = t->loop->http;
	assert(c && !t->in_tx);
	*out = (struct http_answer){ .content_type = "", .body = "" };
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
	if (strcmp(mine.method, "GET") != 0 && strcmp(mine.method, "HEAD") != 0)
		t->effects++;
	bool ok = fetch(t, &mine, out, err);
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
