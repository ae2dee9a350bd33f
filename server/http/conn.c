#include "server/http/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define BODY_IN_ARENA 16384u /* a declared body up to here is allocated at once */

/* ---- lists and lifetime ---- */

void conn_into(struct http_conn *c, struct conn_list *list)
{
	struct http_server *s = c->server;
	if (c->list == list && c->list->last == c)
		return;
	if (c->list) {
		s->idle_n -= c->list == &s->idle;
		*(c->prev ? &c->prev->next : &c->list->first) = c->next;
		*(c->next ? &c->next->prev : &c->list->last) = c->prev;
	}
	c->list = list;
	c->prev = c->next = NULL;
	if (!list)
		return;
	s->idle_n += list == &s->idle;
	c->prev = list->last;
	*(list->last ? &list->last->next : &list->first) = c;
	list->last = c;
}

static uint64_t now_ms(const struct http_conn *c)
{
	return uv_now(&c->server->loop->uv);
}

/* deadline_ms from now, 0: none. */
static void enter(struct http_conn *c, enum conn_state state, uint64_t deadline_ms)
{
	struct http_server *s = c->server;
	c->state = (uint8_t)state;
	c->deadline_ms = deadline_ms ? now_ms(c) + deadline_ms : UINT64_MAX;
	conn_into(c, state == CONN_IDLE ? &s->idle : &s->busy);
}

/* What clients send is overwritten once it is where it belongs: it may be a secret. */
static void in_free(struct http_conn *c)
{
	if (c->in)
		explicit_bzero(c->in, c->in_cap);
	free(c->in);
}

static void free_when_done(struct http_conn *c)
{
	if (!c->is_closed || c->task)
		return;
	struct http_server *s = c->server;
	in_free(c);
	free(c);
	server_unref(s);
}

static void on_closed(uv_handle_t *h)
{
	struct http_conn *c = h->data;
	c->is_closed = true;
	free_when_done(c);
}

void conn_close(struct http_conn *c)
{
	if (c->state == CONN_CLOSING)
		return;
	struct http_server *s = c->server;
	c->state = CONN_CLOSING;
	conn_into(c, NULL);
	s->connections--;
	uv_close(&c->handle.any, on_closed);
	if (c->task) {
		if (c->rq)
			c->rq->client_gone = true;
		task_cancel(c->task);
	} else if (c->rq) {
		conn_request_end(c, 499, 0);
	} else {
		conn_stream_over(c);
	}
	server_check_drained(s);
}

struct http_conn *conn_new(struct http_server *s)
{
	struct http_conn *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->server = s;
	s->refs++;
	s->connections++;
	return c;
}

void conn_request_end(struct http_conn *c, int status, uint64_t bytes)
{
	struct request *rq = c->rq;
	struct http_server *s = c->server;
	c->rq = NULL;
	if (c->body && c->body->is_counted)
		s->bodies_n -= c->body->cap;
	c->body = NULL;
	if (s->app->finished)
		s->app->finished(s->app_data, rq, status, (uv_hrtime() - rq->started_ns) / 1000, bytes);
	if (!c->task)
		server_arena_give(s, rq->arena);
}

/* ---- reading ahead ---- */

static void in_add(struct http_conn *c, const char *p, size_t n)
{
	if (c->in_off) {
		memmove(c->in, c->in + c->in_off, c->in_n - c->in_off);
		c->in_n -= c->in_off;
		c->in_off = 0;
	}
	if (c->in_cap - c->in_n < n) {
		size_t cap = c->in_cap ? c->in_cap : 512;
		while (cap - c->in_n < n)
			cap *= 2;
		char *larger = malloc(cap);
		if (!larger)
			abort(); /* bounded by pipeline_max and one read */
		if (c->in_n)
			memcpy(larger, c->in, c->in_n);
		in_free(c);
		c->in = larger;
		c->in_cap = (uint32_t)cap;
	}
	memcpy(c->in + c->in_n, p, n);
	c->in_n += (uint32_t)n;
}

static void in_drop(struct http_conn *c)
{
	in_free(c);
	c->in = NULL;
	c->in_n = c->in_off = c->in_cap = 0;
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)suggested;
	struct http_conn *c = h->data;
	*buf = uv_buf_init(c->server->read_buffer, READ_BUFFER);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void read_start(struct http_conn *c)
{
	if (!c->is_reading && !c->is_gone)
		c->is_reading = uv_read_start(&c->handle.stream, on_alloc, on_read) == 0;
}

static void read_stop(struct http_conn *c)
{
	uv_read_stop(&c->handle.stream);
	c->is_reading = false;
}

/* ---- between requests ---- */

static void become_idle(struct http_conn *c)
{
	struct http_server *s = c->server;
	c->scan = (struct head_scan){ 0 };
	enter(c, CONN_IDLE, s->o.idle_timeout_ms);
	read_start(c);
	if (c->is_consuming || c->in_n == c->in_off)
		return;
	server_resume_later(c);
}

/* The client may still be sending: closing now would reset the connection and could take the answer with it. */
static void linger(struct http_conn *c)
{
	uv_os_fd_t fd;
	in_drop(c);
	if (c->is_gone || uv_fileno(&c->handle.any, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
		conn_close(c);
		return;
	}
	enter(c, CONN_LINGER, c->server->o.linger_ms);
	read_start(c);
}

void conn_answered(struct http_conn *c, bool keep, bool may_linger)
{
	c->served++;
	if (keep) {
		become_idle(c); /* told so: another request may be on its way although the drain has begun */
		if (c->server->is_draining && c->state == CONN_IDLE)
			c->deadline_ms = now_ms(c) + DRAIN_KEPT_MS;
	} else if (may_linger || c->in_n > c->in_off)
		linger(c);
	else
		conn_close(c);
}

/* A request has arrived that was not read yet. */
static bool has_unread(const struct http_conn *c)
{
	uv_os_fd_t fd;
	int n = 0;
	return uv_fileno(&c->handle.any, &fd) == 0 && ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* ---- a request ---- */

static void request_new(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct arena *arena = server_arena_take(s);
	struct request *rq = ARENA_NEW(arena, struct request);
	rq->arena = arena;
	rq->conn = c;
	rq->app = s->app_data;
	rq->peer = c->peer;
	rq->method_name = rq->target = rq->path = rq->query = rq->body = "";
	rq->http_minor = 1;
	rq->body_max = s->o.body_max;
	rq->received_ms = server_wall_ms(s);
	rq->started_ns = uv_hrtime();
	c->rq = rq;
}

/* A refusal after which the connection cannot be used: what follows would be guessed at. */
void conn_refuse(struct http_conn *c, const struct err *err)
{
	if (!c->rq)
		request_new(c);
	struct response rs;
	c->rq->keep_alive = false;
	conn_render_error(c, err, &rs);
	conn_answer(c, &rs, true);
}

static void refuse(struct http_conn *c, const struct error_code *code, const char *message)
{
	struct err err = { 0 };
	err_set(&err, code, "%s", message);
	conn_refuse(c, &err);
}

static SUSPENDS void request_task(struct task *t, void *arg)
{
	struct http_conn *c = arg;
	struct http_server *s = c->server;
	struct response rs = { .status = 200 };
	s->app->handle(t, s->app_data, c->rq, &rs);
	if (c->over && conn_stream_stay(c)) {
		/* it is whoever keeps it that ends it */
	} else if (c->is_stream) {
		struct err ignored = { 0 };
		response_stream_end(t, c->rq, &ignored);
		conn_stream_finish(c);
	} else {
		conn_answer(c, &rs, false);
	}
	c->task = NULL;
	s->requests--;
	free_when_done(c);
	server_check_drained(s);
	server_unref(s);
}

void conn_cut_requests(struct http_server *s)
{
	task_cut_all(s->loop, request_task);
}

static void dispatch(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct response rs = { .status = 200 };
	if (s->app->handle_inline && s->app->handle_inline(s->app_data, c->rq, &rs)) {
		conn_answer(c, &rs, false);
		return;
	}
	struct task *t = s->requests < s->o.max_requests ? task_spawn(s->loop, "request", request_task, c) : NULL;
	if (!t) {
		struct err err = { 0 };
		s->turned_away++;
		err_set(&err, &E_service_unavailable, "too many requests are being worked on; try again in a second");
		conn_render_error(c, &err, &rs);
		conn_answer(c, &rs, false);
		return;
	}
	/* The request's arena becomes the task's: head and body stay where they are. */
	server_arena_give(s, t->arena);
	t->arena = c->rq->arena;
	c->task = t;
	s->requests++;
	s->refs++;
	enter(c, CONN_BUSY, 0);
}

/* ---- bodies ---- */

static void body_free(void *arg)
{
	struct body *b = arg;
	explicit_bzero(b->p, b->n);
	free(b->p);
}

/* Makes room for n more bytes. */
static bool body_room(struct http_conn *c, struct body *b, size_t n)
{
	struct http_server *s = c->server;
	if (b->cap - b->n > n)
		return true;
	if (!b->is_chunked && b->n == 0 && b->left <= BODY_IN_ARENA) {
		b->cap = (size_t)b->left + 1;
		b->p = arena_alloc(c->rq->arena, b->cap);
		return true;
	}
	size_t cap = b->cap ? b->cap : BODY_IN_ARENA;
	while (cap - b->n <= n)
		cap *= 2;
	if (s->bodies_n - b->cap + cap > s->o.bodies_max) {
		s->turned_away++;
		refuse(c, &E_service_unavailable, "too many bodies are being received; try again in a second");
		return false;
	}
	if (!b->is_counted)
		arena_defer(c->rq->arena, body_free, b);
	char *p = malloc(cap);
	if (!p)
		abort();
	if (b->p) {
		memcpy(p, b->p, b->n);
		body_free(b);
	}
	s->bodies_n += cap - b->cap;
	b->is_counted = true;
	b->p = p;
	b->cap = cap;
	return true;
}

static bool body_add(struct http_conn *c, struct body *b, const char *p, size_t n)
{
	if (!body_room(c, b, n))
		return false;
	memcpy(b->p + b->n, p, n);
	b->n += n;
	return true;
}

static void too_large(struct http_conn *c)
{
	struct err err = { 0 };
	err_set(&err, &E_request_entity_too_large, "the body may have at most %zu bytes", c->rq->body_max);
	conn_refuse(c, &err);
}

static void body_complete(struct http_conn *c)
{
	struct body *b = c->body;
	if (b->n) {
		b->p[b->n] = '\0';
		c->rq->body = b->p;
		c->rq->body_n = b->n;
	}
	dispatch(c);
}

/* Returns the bytes taken; afterwards the connection's state says whether more are wanted. */
static size_t body_feed(struct http_conn *c, const char *p, size_t n)
{
	struct body *b = c->body;
	if (!b->is_chunked) {
		size_t take = n < b->left ? n : (size_t)b->left;
		if (!body_add(c, b, p, take))
			return n;
		b->left -= take;
		if (!b->left)
			body_complete(c);
		return take;
	}
	size_t at = 0;
	while (at < n) {
		const char *data = NULL;
		size_t used, data_n = 0;
		enum chunked_found found = chunked_read(&b->chunked, p + at, n - at, &used, &data, &data_n);
		at += used;
		if (found == CHUNKED_BAD) {
			refuse(c, &E_invalid_request, "the chunked body is malformed");
			return n;
		}
		if (found == CHUNKED_END) {
			body_complete(c);
			return at;
		}
		/* What is left of a chunk counts as soon as its size is known. */
		size_t room = c->rq->body_max - b->n;
		if (data_n > room || b->chunked.left > room - data_n) {
			too_large(c);
			return n;
		}
		if (data_n && !body_add(c, b, data, data_n))
			return n;
	}
	return at;
}

static void set_body_deadline(struct http_conn *c)
{
	const struct http_server_options *o = &c->server->o;
	c->deadline_ms = c->body->began_ms + o->body_timeout_ms + c->body->n * 1000 / o->body_min_rate;
}

/* ---- heads ---- */

/* A whole head of n bytes is there, behind it more_n bytes. */
static void request_begin(struct http_conn *c, const char *p, size_t n, size_t more_n)
{
	struct http_server *s = c->server;
	struct head head;
	struct err err = { 0 };
	if (c->list != &s->busy)
		conn_into(c, &s->busy);
	request_new(c);
	struct request *rq = c->rq;
	char *copy = arena_strndup(rq->arena, p, n);
	if (!head_read(rq, copy, n, &s->limits, c->scan.lines, &head, &err)) {
		conn_refuse(c, &err);
		return;
	}
	s->app->head(s->app_data, rq);
	bool has_body = head.chunked || head.content_length;
	if (rq->refuse.code) {
		struct response rs;
		if (has_body)
			rq->keep_alive = false;
		conn_render_error(c, &rq->refuse, &rs);
		conn_answer(c, &rs, has_body);
		return;
	}
	if (!has_body) {
		dispatch(c);
		return;
	}
	if (head.content_length > rq->body_max) {
		too_large(c);
		return;
	}
	c->body = ARENA_NEW(rq->arena, struct body);
	*c->body = (struct body){
		.server = s, .is_chunked = head.chunked, .left = head.content_length, .began_ms = now_ms(c)
	};
	enter(c, CONN_BODY, s->o.body_timeout_ms);
	if (head.expect_continue && !more_n && !conn_continue(c))
		conn_close(c);
}

/* ---- bytes ---- */

/* Works through p until it needs more or something else is going on. Returns the bytes taken. */
static size_t consume(struct http_conn *c, const char *p, size_t n)
{
	struct http_server *s = c->server;
	size_t at = 0;
	c->is_consuming = true;
	while (at < n && c->state <= CONN_BODY) {
		if (c->state == CONN_BODY) {
			at += body_feed(c, p + at, n - at);
			if (c->state == CONN_BODY)
				set_body_deadline(c);
			continue;
		}
		struct err err = { 0 };
		size_t end = 0;
		enum head_found found = head_scan(&c->scan, &s->limits, p + at, n - at, &end, &err);
		if (found == HEAD_REFUSED) {
			conn_refuse(c, &err);
			break;
		}
		if (found == HEAD_MORE) {
			if (c->state == CONN_IDLE)
				enter(c, CONN_HEAD, s->o.head_timeout_ms);
			break;
		}
		const char *head = p + at + c->scan.begin;
		at += end;
		request_begin(c, head, end - c->scan.begin, n - at);
	}
	c->is_consuming = false;
	return at;
}

/* Works on what was read ahead. */
void conn_resume(struct http_conn *c)
{
	size_t used = consume(c, c->in + c->in_off, c->in_n - c->in_off);
	if (!c->in)
		return;
	c->in_off += (uint32_t)used;
	if (c->in_off == c->in_n || c->state == CONN_LINGER)
		in_drop(c);
}

static void input(struct http_conn *c, const char *p, size_t n)
{
	if (c->state == CONN_LINGER)
		return;
	if (c->state > CONN_BODY || c->list == &c->server->resume) {
		in_add(c, p, n);
		if (c->in_n - c->in_off >= c->server->o.pipeline_max)
			read_stop(c);
		return;
	}
	if (c->in_n) {
		in_add(c, p, n);
		conn_resume(c);
		return;
	}
	size_t used = consume(c, p, n);
	if (used < n && c->state < CONN_LINGER)
		in_add(c, p + used, n - used);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct http_conn *c = stream->data;
	if (n > 0) {
		input(c, buf->base, (size_t)n);
		explicit_bzero(buf->base, (size_t)n);
		return;
	}
	if (n == 0)
		return;
	read_stop(c);
	if (c->state == CONN_BUSY && c->task) {
		c->is_gone = true;
		c->rq->client_gone = true;
		task_cancel(c->task);
	} else if (c->state == CONN_WRITING && n == UV_EOF) {
		c->is_gone = true; /* it may have closed its half only, and still read the answer */
		c->keep_after = false;
	} else {
		conn_close(c);
	}
}

/* ---- time ---- */

void conn_tick(struct http_conn *c, uint64_t now)
{
	struct http_server *s = c->server;
	if (now < c->deadline_ms)
		return;
	if (c->out && c->handle.stream.write_queue_size < c->stalled_at) {
		c->stalled_at = c->handle.stream.write_queue_size; /* slow, but it reads */
		c->deadline_ms = now + s->o.write_timeout_ms;
		return;
	}
	if (c->state == CONN_IDLE && has_unread(c))
		return;
	if (c->state != CONN_LINGER && c->state != CONN_IDLE)
		s->timed_out++;
	if (c->state == CONN_HEAD && head_has_begun(&c->scan))
		refuse(c, &E_request_timeout, "the request head did not arrive in time");
	else if (c->state == CONN_BODY)
		refuse(c, &E_request_timeout, "the request body did not arrive in time");
	else
		conn_close(c);
}

void conn_start(struct http_conn *c, bool turned_away)
{
	struct http_server *s = c->server;
	enter(c, CONN_IDLE, s->o.idle_timeout_ms);
	if (!turned_away) {
		read_start(c);
		return;
	}
	s->turned_away++;
	conn_into(c, &s->busy);
	refuse(c, &E_service_unavailable, "too many connections are open; try again in a second");
}
