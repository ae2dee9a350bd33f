#include "server/http/conn.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define BACKLOG        4096
#define TURN_AWAY_ROOM 1024 /* connections above the limit that are told so; beyond, they are closed at once */
#define DRAIN_FRESH_MS 1000 /* a connection that has not asked yet gets this long to do so */
#define TICK_MAX_MS    250
#define DRAIN_TICK_MS  50

struct listener {
	struct listener *next;
	struct http_server *server;
	union {
		uv_handle_t any;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} handle;
	bool is_unix;
};

int64_t server_wall_ms(struct http_server *s)
{
	uint64_t now = uv_now(&s->loop->uv);
	if (s->wall_at != now || !s->wall_ms) {
		s->wall_at = now;
		s->wall_ms = loop_wall_ms(s->loop);
	}
	return s->wall_ms;
}

struct arena *server_arena_take(struct http_server *s)
{
	return s->arenas_n ? s->arenas[--s->arenas_n] : arena_new();
}

void server_arena_give(struct http_server *s, struct arena *a)
{
	if (s->arenas_n == countof(s->arenas)) {
		arena_free(a);
		return;
	}
	arena_reset(a);
	s->arenas[s->arenas_n++] = a;
}

void server_unref(struct http_server *s)
{
	if (--s->refs)
		return;
	while (s->arenas_n)
		arena_free(s->arenas[--s->arenas_n]);
	free(s);
}

void server_check_drained(struct http_server *s)
{
	if (!s->is_draining || s->is_drained || s->connections || s->requests || s->is_freed)
		return;
	s->is_drained = true;
	uv_timer_stop(&s->tick);
	if (s->app->drained)
		s->app->drained(s->app_data);
}

/* ---- the next turn ---- */

static void on_resume(uv_idle_t *idle)
{
	struct http_server *s = idle->data;
	struct http_conn *last = s->resume.last;
	uv_idle_stop(idle);
	for (bool more = last != NULL; more;) {
		struct http_conn *c = s->resume.first;
		more = c != last;
		conn_into(c, &s->idle);
		conn_resume(c);
	}
	if (s->resume.first)
		uv_idle_start(idle, on_resume);
}

void server_resume_later(struct http_conn *c)
{
	struct http_server *s = c->server;
	conn_into(c, &s->resume);
	uv_idle_start(&s->resume_idle, on_resume);
}

/* ---- time ---- */

static void on_tick(uv_timer_t *timer)
{
	struct http_server *s = timer->data;
	uint64_t now = uv_now(&s->loop->uv);
	bool cut = s->is_draining && now >= s->drain_at_ms;
	struct http_conn *c, *next;
	/* All idle connections wait equally long, so the list is in the order of their deadlines, but for those drain
	 * left. */
	for (c = s->idle.first; c && (s->is_draining || c->deadline_ms <= now); c = next) {
		next = c->next;
		conn_tick(c, cut ? UINT64_MAX : now);
	}
	if (cut)
		conn_cut_requests(s);
	for (c = s->busy.first; c; c = next) {
		next = c->next;
		if (cut)
			conn_close(c);
		else
			conn_tick(c, now);
	}
	if (!s->connections && !s->requests)
		uv_timer_stop(timer);
}

static void start_ticking(struct http_server *s)
{
	uint64_t least = (uint64_t)TICK_MAX_MS * 4;
	const uint64_t all[] = { s->o.head_timeout_ms, s->o.body_timeout_ms, s->o.idle_timeout_ms,
		                 s->o.write_timeout_ms, s->o.linger_ms };
	for (size_t i = 0; i < countof(all); i++)
		least = all[i] < least ? all[i] : least;
	uint64_t every = least / 4 ? least / 4 : 1;
	if (!uv_is_active((uv_handle_t *)&s->tick))
		uv_timer_start(&s->tick, on_tick, every, every);
}

/* ---- accepting ---- */

static void name_peer(struct http_conn *c, bool is_unix)
{
	struct sockaddr_storage from = { 0 };
	int n = sizeof(from);
	snprintf(c->peer, sizeof(c->peer), "%s", is_unix ? "unix" : "unknown");
	if (is_unix || uv_tcp_getpeername(&c->handle.tcp, (struct sockaddr *)&from, &n) != 0)
		return;
	uv_tcp_nodelay(&c->handle.tcp, 1);
	uv_ip_name((const struct sockaddr *)&from, c->peer, sizeof(c->peer));
	if (!strncmp(c->peer, "::ffff:", 7))
		memmove(c->peer, c->peer + 7, strlen(c->peer + 7) + 1);
}

static struct http_conn *conn_for(struct listener *li)
{
	struct http_server *s = li->server;
	struct http_conn *c = conn_new(s);
	if (!c)
		return NULL;
	if (li->is_unix)
		uv_pipe_init(&s->loop->uv, &c->handle.pipe, 0);
	else
		uv_tcp_init(&s->loop->uv, &c->handle.tcp);
	c->handle.any.data = c;
	return c;
}

static void conn_begin(struct http_conn *c, struct listener *li)
{
	struct http_server *s = li->server;
	s->accepted++;
	start_ticking(s);
	if (s->connections > s->o.max_connections + TURN_AWAY_ROOM) {
		s->turned_away++;
		conn_close(c);
		return;
	}
	name_peer(c, li->is_unix);
	conn_start(c, s->connections > s->o.max_connections);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct listener *li = stream->data;
	if (status < 0)
		return;
	struct http_conn *c = conn_for(li);
	if (!c)
		return;
	if (uv_accept(stream, &c->handle.stream) != 0)
		conn_close(c);
	else
		conn_begin(c, li);
}

static void on_listener_closed(uv_handle_t *h)
{
	struct listener *li = h->data;
	struct http_server *s = li->server;
	free(li);
	server_unref(s);
}

bool http_server_listen_fd(struct http_server *s, int fd, struct err *err)
{
	struct sockaddr_storage at = { 0 };
	socklen_t n = sizeof(at);
	if (getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		return err_set(err, &E_internal_error, "descriptor %d is not a socket", fd);
	struct listener *li = calloc(1, sizeof(*li));
	if (!li)
		return err_set(err, &E_internal_error, "out of memory");
	li->server = s;
	li->is_unix = at.ss_family == AF_UNIX;
	if (li->is_unix)
		uv_pipe_init(&s->loop->uv, &li->handle.pipe, 0);
	else
		uv_tcp_init(&s->loop->uv, &li->handle.tcp);
	li->handle.any.data = li;
	s->refs++;
	int rc = li->is_unix ? uv_pipe_open(&li->handle.pipe, fd) : uv_tcp_open(&li->handle.tcp, fd);
	if (rc == 0)
		rc = uv_listen(&li->handle.stream, BACKLOG, on_connection);
	if (rc != 0) {
		uv_close(&li->handle.any, on_listener_closed);
		return err_set(err, &E_internal_error, "cannot listen on descriptor %d: %s", fd, uv_strerror(rc));
	}
	li->next = s->listeners;
	s->listeners = li;
	return true;
}

/* Connections the kernel has completed already would be reset with the listening socket. */
static void accept_the_rest(struct listener *li)
{
	uv_os_fd_t fd;
	if (uv_fileno(&li->handle.any, &fd) != 0)
		return;
	for (int i = 0; i < BACKLOG; i++) {
		int got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got < 0)
			return;
		struct http_conn *c = conn_for(li);
		if (!c) {
			close(got);
			return;
		}
		if ((li->is_unix ? uv_pipe_open(&c->handle.pipe, got) : uv_tcp_open(&c->handle.tcp, got)) != 0) {
			close(got);
			conn_close(c);
		} else {
			conn_begin(c, li);
		}
	}
}

/* ---- the server ---- */

#define DEFAULT(field, value)                                                                                          \
	if (!s->o.field)                                                                                               \
	s->o.field = (value)

struct http_server *http_server_new(struct loop *l, const struct http_server_options *options,
                                    const struct http_app *app, void *app_data)
{
	struct http_server *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	assert(app->head && app->handle && app->render_error);
	s->loop = l;
	s->app = app;
	s->app_data = app_data;
	if (options)
		s->o = *options;
	DEFAULT(max_connections, 20000);
	DEFAULT(max_requests, 4096);
	DEFAULT(head_max, 32768);
	DEFAULT(target_max, 8192);
	DEFAULT(headers_max, 100);
	DEFAULT(body_max, 1u << 20);
	DEFAULT(bodies_max, 256u << 20);
	DEFAULT(pipeline_max, 65536);
	DEFAULT(head_timeout_ms, 10000);
	DEFAULT(body_timeout_ms, 30000);
	DEFAULT(body_min_rate, 4096);
	DEFAULT(idle_timeout_ms, 75000);
	DEFAULT(write_timeout_ms, 30000);
	DEFAULT(linger_ms, 2000);
	s->limits = (struct head_limits){ .head_max = s->o.head_max,
		                          .target_max = s->o.target_max,
		                          .headers_max = s->o.headers_max };
	s->refs = 3; /* the owner, the timer, the idle handle */
	uv_timer_init(&l->uv, &s->tick);
	uv_idle_init(&l->uv, &s->resume_idle);
	s->tick.data = s->resume_idle.data = s;
	signal(SIGPIPE, SIG_IGN); /* a client that left is an error of the write */
	return s;
}

static void stop_listening(struct http_server *s)
{
	while (s->listeners) {
		struct listener *li = s->listeners;
		s->listeners = li->next;
		if (!uv_is_closing(&li->handle.any))
			uv_close(&li->handle.any, on_listener_closed);
	}
}

void http_server_drain(struct http_server *s, uint64_t deadline_ms)
{
	if (s->is_draining)
		return;
	for (struct listener *li = s->listeners; li; li = li->next)
		accept_the_rest(li);
	s->is_draining = true;
	s->drain_at_ms = uv_now(&s->loop->uv) + deadline_ms;
	stop_listening(s);
	struct http_conn *c;
	/* None is closed at once: a request may be on its way. Its answer tells the client to connect anew. */
	for (c = s->idle.first; c; c = c->next) {
		uint64_t until = uv_now(&s->loop->uv) + (c->served ? DRAIN_KEPT_MS : DRAIN_FRESH_MS);
		if (c->deadline_ms > until)
			c->deadline_ms = until;
	}
	c = s->busy.first;
	for (struct http_conn *next; c; c = next) {
		next = c->next;
		if (!c->is_stream)
			continue;
		if (c->task) {
			c->stream_cut = true;
			task_cancel(c->task);
			continue;
		}
		conn_stream_over(c);
		http_stream_end(c, NULL, 0);
	}
	uv_timer_start(&s->tick, on_tick, DRAIN_TICK_MS, DRAIN_TICK_MS);
	server_check_drained(s);
}

void http_server_cut(struct http_server *s)
{
	s->drain_at_ms = 0;
}

static void on_server_handle_closed(uv_handle_t *h)
{
	server_unref(h->data);
}

void http_server_free(struct http_server *s)
{
	if (!s || s->is_freed)
		return;
	s->is_freed = true;
	s->is_draining = true;
	stop_listening(s);
	struct conn_list *all[] = { &s->idle, &s->busy, &s->resume };
	for (size_t i = 0; i < countof(all); i++) {
		while (all[i]->first)
			conn_close(all[i]->first);
	}
	uv_close((uv_handle_t *)&s->tick, on_server_handle_closed);
	uv_close((uv_handle_t *)&s->resume_idle, on_server_handle_closed);
	server_unref(s);
}

struct http_counters http_server_counters(const struct http_server *s)
{
	return (struct http_counters){
		.connections = s->connections,
		.idle = s->idle_n,
		.requests = s->requests,
		.accepted = s->accepted,
		.turned_away = s->turned_away,
		.answered = s->answered,
		.timed_out = s->timed_out,
	};
}
