#include "storage/db_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CANDIDATES_MAX 32
#define OPTIONS_MAX    64

/* ---- the URL ---- */

static const char *option(const struct db_url *url, const char *name)
{
	for (const PQconninfoOption *o = url->options; o->keyword; o++) {
		if (strcmp(o->keyword, name) == 0)
			return o->val && o->val[0] ? o->val : NULL;
	}
	return NULL;
}

static unsigned split(char *list, const char *out[HOSTS_MAX])
{
	unsigned n = 0;
	for (char *rest = list; rest && n < HOSTS_MAX;)
		out[n++] = strsep(&rest, ",");
	return n;
}

bool db_url_parse(struct db_url *url, const char *text, struct err *err)
{
	char *why = NULL;
	url->options = PQconninfoParse(text ? text : "", &why);
	if (!url->options) {
		err_set(err, &E_internal_error, "the database URL cannot be read: %.200s", why ? why : "out of memory");
		err->message[strcspn(err->message, "\n")] = '\0';
		PQfreemem(why);
		return false;
	}
	url->has_hostaddr = option(url, "hostaddr") || getenv("PGHOSTADDR");
	const char *host = option(url, "host");
	if (!host)
		host = getenv("PGHOST");
	const char *port = option(url, "port");
	if (!port)
		port = getenv("PGPORT");
	if (!port || !port[0])
		port = "5432";
	if (!host || !host[0])
		return true; /* libpq's default socket */
	size_t n = strlen(host) + 1, m = strlen(port) + 1;
	url->list = malloc(n + m);
	memcpy(url->list, host, n);
	memcpy(url->list + n, port, m);
	url->n = split(url->list, url->host);
	unsigned ports = split(url->list + n, url->port);
	for (unsigned i = ports; i < url->n; i++)
		url->port[i] = url->port[ports - 1];
	return true;
}

void db_url_done(struct db_url *url)
{
	PQconninfoFree(url->options);
	free(url->list);
}

/* ---- names to addresses ----
 * libpq would look names up with a blocking call, so it gets addresses (hostaddr) beside the names, which it still
 * needs to check certificates. A name with several addresses becomes several candidates. */

struct candidate {
	const char *host, *port;
	char addr[64];
};

struct resolve {
	uv_getaddrinfo_t request;
	struct db *db;
	struct link *link; /* NULL: given up */
	unsigned at, n;
	bool failed;
	struct candidate candidates[CANDIDATES_MAX];
};

static void start(struct link *link, const struct candidate *candidates, unsigned n);
static void resolve_next(struct resolve *r);

static bool is_socket_path(const char *host)
{
	return !host[0] || host[0] == '/' || host[0] == '@';
}

static void resolve_free(struct resolve *r)
{
	r->db->handles--;
	if (r->db->closer)
		task_wake(r->db->closer);
	free(r);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
	struct resolve *r = container_of(request, struct resolve, request);
	const struct db_url *url = &r->db->url;
	if (status != 0)
		r->failed = true;
	for (struct addrinfo *a = status == 0 ? list : NULL; a && r->n < CANDIDATES_MAX; a = a->ai_next) {
		struct candidate *c = &r->candidates[r->n];
		*c = (struct candidate){ .host = url->host[r->at], .port = url->port[r->at] };
		if (uv_ip_name(a->ai_addr, c->addr, sizeof(c->addr)) == 0)
			r->n++;
	}
	if (status == 0)
		uv_freeaddrinfo(list);
	if (!r->link) {
		resolve_free(r);
		return;
	}
	r->at++;
	resolve_next(r);
}

static void resolve_next(struct resolve *r)
{
	struct link *link = r->link;
	const struct db_url *url = &r->db->url;
	for (; r->at < url->n && r->n < CANDIDATES_MAX; r->at++) {
		if (is_socket_path(url->host[r->at])) {
			r->candidates[r->n++] =
			        (struct candidate){ .host = url->host[r->at], .port = url->port[r->at] };
			continue;
		}
		struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
		if (uv_getaddrinfo(&r->db->loop->uv, &r->request, on_resolved, url->host[r->at], NULL, &hints) == 0)
			return; /* on_resolved goes on */
		r->failed = true;
	}
	link->resolve = NULL;
	if (r->n)
		start(link, r->candidates, r->n);
	else
		link_fail(link, "no host of the database URL could be resolved");
	resolve_free(r);
}

/* ---- the handle libuv watches ---- */

struct poll {
	uv_poll_t handle;
	struct db *db;
	struct link *link; /* NULL: being closed */
	int fd, events;
};

static void connect_step(struct link *link);

static void on_poll_closed(uv_handle_t *h)
{
	struct poll *p = container_of(h, struct poll, handle);
	p->db->handles--;
	if (p->db->closer)
		task_wake(p->db->closer);
	free(p);
}

static void poll_drop(struct link *link)
{
	struct poll *p = link->poll;
	if (!p)
		return;
	link->poll = NULL;
	p->link = NULL;
	uv_poll_stop(&p->handle);
	uv_close((uv_handle_t *)&p->handle, on_poll_closed);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct poll *p = container_of(h, struct poll, handle);
	struct link *link = p->link;
	if (!link)
		return;
	if (status < 0)
		p->events = 0; /* libuv has stopped watching */
	if (link->state == LINK_CONNECTING)
		connect_step(link);
	else
		link->on_io(link, status < 0 ? UV_READABLE : events); /* libpq finds out what is wrong by reading */
	if (p->link && link->state == LINK_UP && p->events == 0)
		link_watch(link, UV_READABLE); /* that was not the end of what there is to read */
}

void link_watch(struct link *link, int events)
{
	int fd = PQsocket(link->pg);
	if (fd < 0) {
		link_fail(link, "the connection has no socket");
		return;
	}
	if (link->poll && link->poll->fd != fd)
		poll_drop(link);
	if (!link->poll) {
		struct poll *p = calloc(1, sizeof(*p));
		*p = (struct poll){ .db = link->db, .link = link, .fd = fd };
		if (uv_poll_init(&link->db->loop->uv, &p->handle, fd) != 0) {
			free(p);
			link_fail(link, "the connection cannot be watched");
			return;
		}
		link->db->handles++;
		link->poll = p;
	}
	if (link->poll->events == events)
		return; /* starting it again would cost two system calls */
	link->poll->events = events;
	uv_poll_start(&link->poll->handle, events, on_poll);
}

/* ---- connecting ---- */

static void on_attempt_timeout(uv_timer_t *timer)
{
	struct link *link = container_of(timer, struct link, timer);
	if (link->state == LINK_DOWN || link->state == LINK_UP)
		return;
	link->db->first_host++; /* a host that does not answer must not hide the next one */
	link_fail(link, link->state == LINK_RESOLVING ? "the database host's name was not resolved in time"
	                                              : "the database did not answer in time");
}

struct conninfo {
	const char *key[OPTIONS_MAX], *value[OPTIONS_MAX];
	unsigned n;
};

static void give(struct conninfo *info, const char *key, const char *value)
{
	assert(info->n + 1 < OPTIONS_MAX);
	if (!value || !value[0])
		return;
	info->key[info->n] = key;
	info->value[info->n++] = value;
}

static void give_default(struct conninfo *info, const struct db_url *url, const char *key, const char *value)
{
	if (!option(url, key))
		give(info, key, value);
}

static void join(char *list, size_t size, const char *item, bool is_first)
{
	size_t n = strlen(list);
	snprintf(list + n, size - n, "%s%s", is_first ? "" : ",", item);
}

static void ignore_notice(void *arg, const PGresult *res)
{
	(void)arg;
	(void)res;
}

static void start(struct link *link, const struct candidate *candidates, unsigned n)
{
	struct db *db = link->db;
	char hosts[2048] = "", addrs[CANDIDATES_MAX * 64] = "", ports[512] = "";
	bool has_addr = false;
	for (unsigned i = 0; i < n; i++) {
		const struct candidate *c = &candidates[(i + db->first_host) % n];
		join(hosts, sizeof(hosts), c->host, i == 0);
		join(addrs, sizeof(addrs), c->addr, i == 0);
		join(ports, sizeof(ports), c->port, i == 0);
		has_addr |= c->addr[0] != '\0';
	}
	struct conninfo info = { 0 };
	for (const PQconninfoOption *o = db->url.options; o->keyword; o++) {
		bool is_ours = strcmp(o->keyword, "options") == 0 ||
		               (n && (strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "port") == 0));
		if (!is_ours)
			give(&info, o->keyword, o->val);
	}
	if (n) {
		give(&info, "host", hosts);
		give(&info, "port", ports);
		if (has_addr)
			give(&info, "hostaddr", addrs);
	}
	give(&info, "options", db->server_options);
	give_default(&info, &db->url, "application_name", db->application_name);
	give(&info, "client_encoding", "UTF8");
	give_default(&info, &db->url, "gssencmode", "disable"); /* it would block on the credential cache */
	give_default(&info, &db->url, "keepalives_idle", "15");
	give_default(&info, &db->url, "keepalives_interval", "5");
	give_default(&info, &db->url, "keepalives_count", "3");
	give_default(&info, &db->url, "tcp_user_timeout", "20000");
	link->state = LINK_CONNECTING;
	link->pg = PQconnectStartParams(info.key, info.value, 0);
	if (link->pg) /* libpq's own receiver prints, among the lines of the log */
		PQsetNoticeReceiver(link->pg, ignore_notice, NULL);
	if (!link->pg || PQstatus(link->pg) == CONNECTION_BAD)
		link_fail(link, link->pg ? PQerrorMessage(link->pg) : "out of memory");
	else
		link_watch(link, UV_WRITABLE);
}

static void connect_step(struct link *link)
{
	uv_poll_stop(&link->poll->handle); /* libpq may close this socket and open another one with the same number */
	link->poll->events = 0;
	switch (PQconnectPoll(link->pg)) {
	case PGRES_POLLING_READING:
		link_watch(link, UV_READABLE);
		return;
	case PGRES_POLLING_WRITING:
		link_watch(link, UV_WRITABLE);
		return;
	case PGRES_POLLING_OK:
		break;
	default:
		link_fail(link, PQerrorMessage(link->pg));
		return;
	}
	uv_timer_stop(&link->timer);
	link->state = LINK_UP;
	link->was_up = true;
	PQsetnonblocking(link->pg, 1);
	link_watch(link, UV_READABLE);
	if (link->state == LINK_UP)
		link->on_up(link);
}

void link_connect(struct link *link)
{
	struct db *db = link->db;
	assert(link->state == LINK_DOWN);
	link->was_up = false;
	const char *limit = option(&db->url, "connect_timeout");
	uint64_t ms = limit && atoi(limit) > 0 ? (uint64_t)atoi(limit) * 1000 : db->opt.connect_ms;
	uv_timer_start(&link->timer, on_attempt_timeout, ms, 0);
	if (db->url.has_hostaddr || db->url.n == 0) {
		start(link, NULL, 0);
		return;
	}
	struct resolve *r = calloc(1, sizeof(*r));
	r->db = db;
	r->link = link;
	db->handles++;
	link->resolve = r;
	link->state = LINK_RESOLVING;
	resolve_next(r);
}

void link_init(struct link *link, struct db *db)
{
	link->db = db;
	uv_timer_init(&db->loop->uv, &link->timer);
	db->handles++;
}

void link_drop(struct link *link)
{
	uv_timer_stop(&link->timer);
	if (link->resolve) {
		link->resolve->link = NULL;
		link->resolve = NULL;
	}
	poll_drop(link); /* before libpq closes the socket */
	if (link->pg)
		PQfinish(link->pg);
	link->pg = NULL;
	link->state = LINK_DOWN;
}

void link_fail(struct link *link, const char *why)
{
	char line[240];
	snprintf(line, sizeof(line), "%s", why); /* it may belong to the connection */
	size_t n = strlen(line);
	while (n && (line[n - 1] == '\n' || line[n - 1] == ' '))
		line[--n] = '\0';
	for (char *p = line; *p; p++) {
		if (*p == '\n' || *p == '\t')
			*p = ' ';
	}
	link_drop(link);
	link->on_down(link, line);
}
