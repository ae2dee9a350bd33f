#include "server/http/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void response_header(struct response *rs, const char *name, const char *value)
{
	assert(rs->headers_n < RESPONSE_HEADERS_MAX);
	rs->headers[rs->headers_n].name = name;
	rs->headers[rs->headers_n++].value = value;
}

void response_body(struct response *rs, const char *content_type, const char *body, size_t n)
{
	response_header(rs, "Content-Type", content_type);
	rs->body = body;
	rs->body_n = n;
}

/* ---- the head of an answer ---- */

static const char *status_line(int status)
{
	switch (status) {
		/* clang-format off */
#define X(code, reason)                                                                                                \
	case code:                                                                                                         \
		return "HTTP/1.1 " #code " " reason "\r\n";
		X(200, "OK") X(201, "Created") X(202, "Accepted") X(204, "No Content") X(206, "Partial Content")
		X(301, "Moved Permanently") X(302, "Found") X(303, "See Other") X(304, "Not Modified")
		X(307, "Temporary Redirect") X(308, "Permanent Redirect")
		X(400, "Bad Request") X(401, "Unauthorized") X(403, "Forbidden") X(404, "Not Found")
		X(405, "Method Not Allowed") X(406, "Not Acceptable") X(408, "Request Timeout") X(409, "Conflict")
		X(410, "Gone") X(411, "Length Required") X(412, "Precondition Failed") X(413, "Content Too Large")
		X(414, "URI Too Long") X(415, "Unsupported Media Type") X(417, "Expectation Failed")
		X(421, "Misdirected Request") X(422, "Unprocessable Content") X(423, "Locked")
		X(428, "Precondition Required") X(429, "Too Many Requests") X(431, "Request Header Fields Too Large")
		X(499, "Client Closed Request") X(500, "Internal Server Error") X(501, "Not Implemented") X(502, "Bad Gateway")
		X(503, "Service Unavailable") X(504, "Gateway Timeout") X(505, "HTTP Version Not Supported")
#undef X
		        /* clang-format on */
		        default : return NULL;
	}
}

struct writer {
	char *p;
	size_t n, cap;
	bool is_full;
};

static inline void put(struct writer *w, const char *s, size_t n)
{
	if (w->cap - w->n < n) {
		w->is_full = true;
		return;
	}
	memcpy(w->p + w->n, s, n);
	w->n += n;
}

#define PUT(w, literal) put(w, literal, sizeof(literal) - 1)

static void put_number(struct writer *w, uint64_t v)
{
	char digits[24];
	size_t n = sizeof(digits);
	do {
		digits[--n] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put(w, digits + n, sizeof(digits) - n);
}

static void put_header(struct writer *w, const char *name, const char *value)
{
	put(w, name, strlen(name));
	PUT(w, ": ");
	size_t at = w->n, n = strlen(value);
	put(w, value, n);
	if (w->is_full)
		return;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)w->p[at + i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			w->p[at + i] = ' '; /* a value can never end its line */
	}
	PUT(w, "\r\n");
}

static void put_date(struct writer *w, struct http_server *s)
{
	int64_t now = server_wall_ms(s) / 1000;
	if (now != s->date_s) {
		struct tm tm;
		time_t t = (time_t)now;
		gmtime_r(&t, &tm);
		s->date_n = strftime(s->date, sizeof(s->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		s->date_s = now;
	}
	put(w, s->date, s->date_n);
}

enum framing { FRAMED_BY_LENGTH, FRAMED_IN_CHUNKS, FRAMED_BY_END };

static size_t write_head(struct http_conn *c, const struct response *rs, bool keep, enum framing framing)
{
	struct http_server *s = c->server;
	struct writer w = { .p = s->head_out, .cap = sizeof(s->head_out) };
	const char *line = status_line(rs->status);
	if (line) {
		put(&w, line, strlen(line));
	} else {
		PUT(&w, "HTTP/1.1 ");
		put_number(&w, (uint64_t)rs->status);
		PUT(&w, " Status\r\n");
	}
	put_date(&w, s);
	if (framing == FRAMED_IN_CHUNKS) {
		PUT(&w, "Transfer-Encoding: chunked\r\n");
	} else if (framing == FRAMED_BY_LENGTH && rs->status != 204 && rs->status != 304) {
		PUT(&w, "Content-Length: ");
		put_number(&w, rs->body_n);
		PUT(&w, "\r\n");
	}
	if (!keep)
		PUT(&w, "Connection: close\r\n");
	else if (c->rq->http_minor == 0)
		PUT(&w, "Connection: keep-alive\r\n");
	for (size_t i = 0; i < rs->headers_n; i++)
		put_header(&w, rs->headers[i].name, rs->headers[i].value);
	PUT(&w, "\r\n");
	return w.is_full ? 0 : w.n;
}

/* ---- sending ---- */

static void on_written(uv_write_t *write, int status)
{
	struct out *out = container_of(write, struct out, write);
	struct http_conn *c = out->conn;
	bool is_last = c->out == out; /* a stream's last words may follow a chunk that waits */
	free(out);
	if (is_last)
		c->out = NULL;
	if (c->is_stream && c->task)
		task_wake(c->task);
	if (c->state == CONN_CLOSING)
		return;
	if (status < 0)
		conn_close(c);
	else if (is_last && c->state == CONN_WRITING)
		conn_answered(c, c->keep_after, c->linger_after);
	else if (is_last)
		c->deadline_ms = UINT64_MAX;
}

bool http_conn_send(struct http_conn *c, uv_buf_t *bufs, unsigned n, bool interim)
{
	int sent = uv_try_write(&c->handle.stream, bufs, n);
	if (sent < 0 && sent != UV_EAGAIN)
		return false;
	size_t skip = sent > 0 ? (size_t)sent : 0, left = 0;
	for (unsigned i = 0; i < n; i++)
		left += bufs[i].len;
	left -= skip;
	if (!left)
		return true;
	struct out *out = malloc(sizeof(*out) + left);
	if (!out)
		return false;
	out->conn = c;
	out->interim = interim;
	out->n = 0;
	for (unsigned i = 0; i < n; i++) {
		if (skip >= bufs[i].len) {
			skip -= bufs[i].len;
			continue;
		}
		memcpy(out->data + out->n, bufs[i].base + skip, bufs[i].len - skip);
		out->n += bufs[i].len - skip;
		skip = 0;
	}
	uv_buf_t rest = uv_buf_init(out->data, (unsigned)out->n);
	if (uv_write(&out->write, &c->handle.stream, &rest, 1, on_written) != 0) {
		free(out);
		return false;
	}
	if (!interim) {
		c->out = out;
		c->stalled_at = c->handle.stream.write_queue_size;
		c->deadline_ms = uv_now(&c->server->loop->uv) + c->server->o.write_timeout_ms;
	}
	return true;
}

bool conn_continue(struct http_conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
	uv_buf_t buf = uv_buf_init((char *)text, sizeof(text) - 1);
	return http_conn_send(c, &buf, 1, true);
}

void conn_render_error(struct http_conn *c, const struct err *err, struct response *rs)
{
	*rs = (struct response){ .status = err->code->status };
	c->server->app->render_error(c->rq->arena, c->rq, err, rs);
	if (err->code->status != 503)
		return;
	for (size_t i = 0; i < rs->headers_n; i++) {
		if (!strcasecmp(rs->headers[i].name, "Retry-After"))
			return;
	}
	response_header(rs, "Retry-After", "1");
}

static bool allows_keep_alive(const struct http_conn *c, const struct response *rs)
{
	return c->rq->keep_alive && !rs->close && !c->server->is_draining && !c->is_gone;
}

static bool has_no_body(const struct http_conn *c, const struct response *rs)
{
	return c->rq->head_only || rs->status == 204 || rs->status == 304;
}

void conn_answer(struct http_conn *c, struct response *rs, bool linger)
{
	if (c->state == CONN_CLOSING) {
		conn_request_end(c, 499, 0);
		return;
	}
	bool keep = allows_keep_alive(c, rs);
	linger = linger || c->server->is_draining || rs->close;
	size_t head_n = write_head(c, rs, keep, FRAMED_BY_LENGTH);
	if (!head_n) {
		struct err err = { 0 };
		err_set(&err, &E_internal_error, "the answer's headers are too large");
		conn_render_error(c, &err, rs);
		rs->headers_n = 0; /* none of these can be too large again */
		head_n = write_head(c, rs, keep, FRAMED_BY_LENGTH);
	}
	uv_buf_t bufs[2] = { uv_buf_init(c->server->head_out, (unsigned)head_n),
		             uv_buf_init((char *)rs->body, (unsigned)rs->body_n) };
	bool with_body = rs->body_n && !has_no_body(c, rs);
	bool sent = http_conn_send(c, bufs, with_body ? 2 : 1, false);
	c->server->answered += sent;
	conn_request_end(c, sent && !c->is_gone ? rs->status : 499, sent ? head_n + (with_body ? rs->body_n : 0) : 0);
	if (!sent) {
		conn_close(c);
	} else if (c->out) {
		c->state = CONN_WRITING;
		c->keep_after = keep;
		c->linger_after = linger;
	} else {
		conn_answered(c, keep, linger);
	}
}

/* ---- streams ---- */

static bool stream_is_over(const struct http_conn *c)
{
	return c->state == CONN_CLOSING || c->is_gone || c->stream_cut || c->stream_ended;
}

static bool stream_cancelled(struct err *err)
{
	return err_set(err, &E_cancelled, "the client went away or the service is stopping");
}

static SUSPENDS bool stream_send(struct task *t, struct http_conn *c, uv_buf_t *bufs, unsigned n, struct err *err)
{
	if (stream_is_over(c))
		return stream_cancelled(err);
	while (c->out) { /* a write whose wait was cancelled */
		if (!task_wait(t, TASK_FOREVER, err))
			return false;
	}
	if (stream_is_over(c))
		return stream_cancelled(err);
	for (unsigned i = 0; i < n; i++)
		c->stream_bytes += bufs[i].len;
	if (!http_conn_send(c, bufs, n, false)) {
		conn_close(c);
		return stream_cancelled(err);
	}
	while (c->out) {
		if (!task_wait(t, TASK_FOREVER, err))
			return false;
	}
	return !stream_is_over(c) || stream_cancelled(err);
}

bool response_stream_start(struct task *t, struct request *rq, struct response *rs, struct err *err)
{
	struct http_conn *c = rq->conn;
	assert(!c->is_stream);
	if (stream_is_over(c))
		return stream_cancelled(err);
	if (c->server->is_draining)
		return err_set(err, &E_service_unavailable, "the service is stopping; ask again");
	c->is_stream = true;
	c->stream_is_chunked = rq->http_minor > 0;
	c->stream_status = rs->status;
	if (!c->stream_is_chunked)
		rq->keep_alive = false;
	bool keep = allows_keep_alive(c, rs);
	rq->keep_alive = keep;
	size_t n = write_head(c, rs, keep, c->stream_is_chunked ? FRAMED_IN_CHUNKS : FRAMED_BY_END);
	if (!n) {
		c->is_stream = false;
		return err_set(err, &E_internal_error, "the answer's headers are too large");
	}
	uv_buf_t buf = uv_buf_init(c->server->head_out, (unsigned)n);
	return stream_send(t, c, &buf, 1, err);
}

bool response_stream_write(struct task *t, struct request *rq, const void *data, size_t n, struct err *err)
{
	struct http_conn *c = rq->conn;
	assert(c->is_stream);
	if (rq->head_only)
		return stream_cancelled(err);
	if (!n)
		return !stream_is_over(c) || stream_cancelled(err);
	char size[24];
	unsigned size_n = (unsigned)snprintf(size, sizeof(size), "%zx\r\n", n);
	uv_buf_t bufs[3] = { uv_buf_init(size, size_n), uv_buf_init((char *)data, (unsigned)n),
		             uv_buf_init((char *)"\r\n", 2) };
	return c->stream_is_chunked ? stream_send(t, c, bufs, 3, err) : stream_send(t, c, bufs + 1, 1, err);
}

bool response_stream_end(struct task *t, struct request *rq, struct err *err)
{
	struct http_conn *c = rq->conn;
	assert(c->is_stream);
	if (c->stream_ended)
		return true;
	c->stream_cut = false; /* a drain ends the stream, it does not tear it */
	uv_buf_t end = uv_buf_init((char *)"0\r\n\r\n", 5);
	bool ok = !c->stream_is_chunked || rq->head_only || stream_send(t, c, &end, 1, err);
	c->stream_ended = ok;
	return ok;
}

/* After handle(): the answer of a stream is complete, or the connection is of no more use. */
void conn_stream_finish(struct http_conn *c)
{
	bool ended = c->stream_ended && c->state != CONN_CLOSING && !c->is_gone && !c->out;
	bool keep = ended && c->rq->keep_alive && !c->server->is_draining;
	c->is_stream = c->stream_ended = c->stream_cut = false;
	c->server->answered += ended;
	conn_request_end(c, ended ? c->stream_status : 499, c->stream_bytes);
	c->stream_bytes = 0;
	if (c->state == CONN_CLOSING)
		return;
	if (ended)
		conn_answered(c, keep, true);
	else
		conn_close(c);
}

/* ---- streams that stay ---- */

struct http_conn *response_stream_keep(struct request *rq, void (*over)(void *arg), void *arg)
{
	struct http_conn *c = rq->conn;
	assert(c->is_stream && !c->over);
	c->over = over;
	c->over_arg = arg;
	return c;
}

void conn_stream_over(struct http_conn *c)
{
	void (*over)(void *arg) = c->over;
	c->over = NULL;
	if (over)
		over(c->over_arg);
}

bool conn_stream_stay(struct http_conn *c)
{
	if (stream_is_over(c) || c->rq->head_only) {
		conn_stream_over(c);
		return false;
	}
	c->keep_after = c->rq->keep_alive;
	c->server->answered++;
	conn_request_end(c, c->stream_status, c->stream_bytes);
	c->stream_bytes = 0;
	return true;
}

static bool push(struct http_conn *c, const void *data, size_t n, const char *after)
{
	char size[24];
	unsigned size_n = (unsigned)snprintf(size, sizeof(size), "%zx\r\n", n);
	uv_buf_t bufs[3] = { uv_buf_init(size, size_n), uv_buf_init((char *)data, (unsigned)n),
		             uv_buf_init((char *)after, (unsigned)strlen(after)) };
	unsigned first = c->stream_is_chunked && n ? 0 : 1;
	return http_conn_send(c, bufs + first, c->stream_is_chunked ? 3 - first : 1, false);
}

bool http_stream_push(struct http_conn *c, const void *data, size_t n)
{
	assert(c->over && !c->task && n);
	if (c->out)
		return false;
	if (!push(c, data, n, "\r\n"))
		conn_close(c);
	return true;
}

void http_stream_end(struct http_conn *c, const void *data, size_t n)
{
	assert(c->is_stream && !c->task);
	c->over = NULL;
	bool keep = c->stream_is_chunked && c->keep_after && !c->server->is_draining;
	if (!push(c, data, n, n ? "\r\n0\r\n\r\n" : "0\r\n\r\n")) {
		conn_close(c);
		return;
	}
	c->is_stream = false;
	if (c->out) {
		c->state = CONN_WRITING;
		c->keep_after = keep;
		c->linger_after = true;
	} else {
		conn_answered(c, keep, true);
	}
}
