/* server/http/conn.h - one connection: what server.c, conn.c and response.c share.
 *
 *   IDLE -> HEAD -> BODY -> BUSY -> WRITING -> IDLE ...      and from anywhere LINGER -> CLOSING
 *
 * IDLE: no byte of a request. HEAD, BODY: receiving one. BUSY: handle() runs on a task. WRITING: the socket was full,
 * the rest of an answer is queued. LINGER: the last answer is out, what still comes is thrown away so that the client
 * can read it. A connection's memory goes when its handle is closed and its task has returned. */
#pragma once

#include "server/http/head.h"

#define READ_BUFFER   65536
#define HEAD_OUT_MAX  16384
#define DRAIN_KEPT_MS 500 /* how long a kept connection may still ask once the drain has begun */

enum conn_state { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_BUSY, CONN_WRITING, CONN_LINGER, CONN_CLOSING };

struct conn_list {
	struct http_conn *first, *last;
};

/* What the socket did not take at once. */
struct out {
	uv_write_t write;
	struct http_conn *conn;
	bool interim; /* 100 Continue: nobody waits for it */
	size_t n;
	char data[];
};

/* A body on its way in; lives in the request's arena. */
struct body {
	struct http_server *server;
	struct chunked chunked;
	bool is_chunked, is_counted; /* counted: cap is part of server->bodies_n, p is malloc's */
	uint64_t left;
	uint64_t began_ms;
	char *p;
	size_t n, cap;
};

struct http_conn {
	union {
		uv_handle_t any;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} handle;
	struct http_server *server;
	struct conn_list *list;
	struct http_conn *prev, *next;
	uint64_t deadline_ms; /* against uv_now() */
	struct request *rq;
	struct body *body;
	struct task *task;
	struct out *out;
	char *in; /* bytes read ahead */
	uint32_t in_n, in_off, in_cap;
	struct head_scan scan;
	uint32_t served;
	size_t stalled_at; /* bytes queued when the write deadline was set */
	uint8_t state;
	bool is_closed, is_reading, is_consuming;
	bool is_gone;    /* the client sent its end of file */
	bool keep_after; /* WRITING: go on afterwards */
	bool linger_after;
	bool is_stream, stream_is_chunked, stream_ended, stream_cut;
	int stream_status;
	uint64_t stream_bytes;
	void (*over)(void *arg); /* of a stream that stays when its task has ended */
	void *over_arg;
	char peer[INET6_ADDRSTRLEN];
};

struct http_server {
	struct loop *loop;
	struct http_server_options o;
	struct head_limits limits;
	const struct http_app *app;
	void *app_data;
	struct listener *listeners;
	struct conn_list idle, busy, resume;
	struct arena *arenas[256]; /* to be used again */
	size_t arenas_n;
	size_t bodies_n;
	size_t connections, idle_n, requests, refs;
	uint64_t accepted, turned_away, answered, timed_out;
	uv_timer_t tick;
	uv_idle_t resume_idle;
	bool is_draining, is_drained, is_freed;
	uint64_t drain_at_ms;
	uint64_t wall_at; /* uv_now() when wall_ms was read */
	int64_t wall_ms;
	int64_t date_s;
	char date[64]; /* "Date: ...\r\n" */
	size_t date_n;
	char read_buffer[READ_BUFFER];
	char head_out[HEAD_OUT_MAX];
};

/* server.c */
void server_unref(struct http_server *s);
void server_check_drained(struct http_server *s);
struct arena *server_arena_take(struct http_server *s);
void server_arena_give(struct http_server *s, struct arena *a);

/* Works on what c has read ahead in the next turn of the loop, so that no request waits for the one before it on a
 * task's stack. */
void server_resume_later(struct http_conn *c);
int64_t server_wall_ms(struct http_server *s); /* read once a turn */

/* conn.c */
void conn_start(struct http_conn *c, bool turned_away);
struct http_conn *conn_new(struct http_server *s);
void conn_close(struct http_conn *c);
void conn_tick(struct http_conn *c, uint64_t now);
void conn_resume(struct http_conn *c);
/* Cancels all requests, changes and those whose client has left as well. */
void conn_cut_requests(struct http_server *s);
void conn_into(struct http_conn *c, struct conn_list *list);
void conn_request_end(struct http_conn *c, int status, uint64_t bytes);
/* The answer is out (or will never be): next request, or the end. */
void conn_answered(struct http_conn *c, bool keep, bool linger);
void conn_refuse(struct http_conn *c, const struct err *err);

/* response.c */
/* Sends what the socket takes and queues the rest. False when the connection is lost; the caller closes it. */
bool http_conn_send(struct http_conn *c, uv_buf_t *bufs, unsigned n, bool interim);
void conn_answer(struct http_conn *c, struct response *rs, bool linger);
bool conn_continue(struct http_conn *c);
void conn_stream_finish(struct http_conn *c);
/* After handle(), of a stream that is to stay. False when it is over already. */
bool conn_stream_stay(struct http_conn *c);
/* Whoever keeps the stream learns that it is over; nothing when nobody does. */
void conn_stream_over(struct http_conn *c);
void conn_render_error(struct http_conn *c, const struct err *err, struct response *rs);
