/* test/unit/tiny_server.h - an HTTP server of a few lines on the test's own loop: what it answers is up to the test. */
#pragma once

#include "core/loop.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tiny_conn {
	uv_tcp_t tcp;
	uv_timer_t later;
	struct tiny *server;
	struct tiny_conn *prev, *next;
	int requests, handles;
	char in[65536];
	size_t n;
	char *delayed;
};

struct tiny {
	uv_tcp_t listener;
	struct loop *loop;
	struct tiny_conn *conns;
	int port, connections, requests;
	char last[65536]; /* request as it came */
	/* method, path and whole text of a request; answers with tiny_send(), tiny_later() or tiny_close(), or not at
	 * all */
	void (*answer)(struct tiny_conn *conn, const char *method, const char *path, const char *text);
	void *arg;
};

static inline void tiny_conn_gone(uv_handle_t *h)
{
	struct tiny_conn *conn = h->data;
	if (--conn->handles)
		return;
	if (conn->next)
		conn->next->prev = conn->prev;
	*(conn->prev ? &conn->prev->next : &conn->server->conns) = conn->next;
	free(conn->delayed);
	free(conn);
}

static inline void tiny_close(struct tiny_conn *conn)
{
	if (uv_is_closing((uv_handle_t *)&conn->tcp))
		return;
	uv_close((uv_handle_t *)&conn->tcp, tiny_conn_gone);
	uv_close((uv_handle_t *)&conn->later, tiny_conn_gone);
}

static inline void tiny_raw(struct tiny_conn *conn, const char *p, size_t n)
{
	while (n) {
		uv_buf_t b = uv_buf_init((char *)(uintptr_t)p, (unsigned)n);
		int sent = uv_try_write((uv_stream_t *)&conn->tcp, &b, 1);
		if (sent < 0)
			return;
		p += sent;
		n -= (size_t)sent;
	}
}

static inline void tiny_send(struct tiny_conn *conn, const char *status, const char *headers, const char *body)
{
	char head[2048];
	int n = snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, strlen(body),
	                 headers);
	tiny_raw(conn, head, (size_t)n);
	tiny_raw(conn, body, strlen(body));
}

static inline void tiny_on_later(uv_timer_t *timer)
{
	struct tiny_conn *conn = timer->data;
	tiny_send(conn, "200 OK", "", conn->delayed);
}

static inline void tiny_later(struct tiny_conn *conn, unsigned ms, const char *body)
{
	free(conn->delayed);
	conn->delayed = strdup(body);
	uv_timer_start(&conn->later, tiny_on_later, ms, 0);
}

static inline void tiny_alloc(uv_handle_t *h, size_t hint, uv_buf_t *out)
{
	(void)hint;
	struct tiny_conn *conn = h->data;
	*out = uv_buf_init(conn->in + conn->n, (unsigned)(sizeof(conn->in) - 1 - conn->n));
}

static inline void tiny_read(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	(void)buf;
	struct tiny_conn *conn = s->data;
	if (n < 0) {
		tiny_close(conn);
		return;
	}
	conn->n += (size_t)n;
	conn->in[conn->n] = '\0';
	char *end = strstr(conn->in, "\r\n\r\n");
	if (!end)
		return;
	const char *length = strcasestr(conn->in, "content-length:");
	size_t body = length && length < end ? (size_t)atol(length + 15) : 0;
	if (conn->n < (size_t)(end + 4 - conn->in) + body)
		return;
	struct tiny *server = conn->server;
	snprintf(server->last, sizeof(server->last), "%s", conn->in);
	char method[16], path[1024];
	if (sscanf(conn->in, "%15s %1023s", method, path) != 2)
		abort();
	conn->n = 0;
	conn->requests++;
	server->requests++;
	server->answer(conn, method, path, server->last);
}

static inline void tiny_accept(uv_stream_t *s, int status)
{
	(void)status;
	struct tiny *server = s->data;
	struct tiny_conn *conn = calloc(1, sizeof(*conn));
	if (!conn)
		abort();
	conn->server = server;
	conn->tcp.data = conn->later.data = conn;
	conn->handles = 2;
	uv_tcp_init(&server->loop->uv, &conn->tcp);
	uv_timer_init(&server->loop->uv, &conn->later);
	conn->next = server->conns;
	if (server->conns)
		server->conns->prev = conn;
	server->conns = conn;
	server->connections++;
	uv_accept(s, (uv_stream_t *)&conn->tcp);
	uv_tcp_nodelay(&conn->tcp, 1); /* head and body are two writes */
	uv_read_start((uv_stream_t *)&conn->tcp, tiny_alloc, tiny_read);
}

static inline void tiny_start(struct tiny *server, struct loop *l)
{
	server->loop = l;
	server->listener.data = server;
	struct sockaddr_in at;
	uv_ip4_addr("127.0.0.1", server->port, &at);
	uv_tcp_init(&l->uv, &server->listener);
	int rc = uv_tcp_bind(&server->listener, (struct sockaddr *)&at, 0);
	assert(rc == 0);
	rc = uv_listen((uv_stream_t *)&server->listener, 128, tiny_accept);
	assert(rc == 0);
	int n = sizeof(at);
	uv_tcp_getsockname(&server->listener, (struct sockaddr *)&at, &n);
	server->port = ntohs(at.sin_port);
	(void)rc;
}

static inline void tiny_stop(struct tiny *server)
{
	for (struct tiny_conn *conn = server->conns; conn; conn = conn->next)
		tiny_close(conn);
	if (!uv_is_closing((uv_handle_t *)&server->listener))
		uv_close((uv_handle_t *)&server->listener, NULL);
	while (server->conns)
		uv_run(&server->loop->uv, UV_RUN_NOWAIT);
}
