/* server/http/server.h - the HTTP/1.1 server: connections, limits, keep-alive, answers and streams.
 *
 * The server turns bytes into struct request and struct response into bytes; what a path means is the application's
 * business (struct http_app). One connection works on one request at a time, pipelined ones in order.
 *
 * Memory: a request, its head and its body live in rq->arena until the answer is sent; while handle() runs that is the
 * task's arena. Whatever a response refers to must live as long: put it there, or let it be a constant. Nothing is
 * copied unless the client's socket is full.
 *
 * What may suspend: handle() and the response_stream functions. head(), handle_inline(), render_error() and finished()
 * run from the loop and must return at once.
 *
 * A client that leaves (end of file or reset) while handle() runs sets rq->client_gone and cancels the task; a task
 * that called task_must_finish() goes on (until a drain's deadline). Timeouts here measure the network, so they follow
 * the machine's clock, not the test clock.
 *
 * While a request is worked on, up to pipeline_max bytes are read ahead; a client that sends more is noticed leaving
 * only later. http_server_new() makes the process ignore SIGPIPE.
 *
 * Lenient parsing is off everywhere: what two parsers could read differently is refused and the connection closed. */
#pragma once

#include "core/task.h"

#include <llhttp.h>

struct http_server;
struct http_conn;

struct request_header {
	const char *name; /* lower case */
	const char *value;
	uint32_t name_n, value_n;
};

struct request {
	llhttp_method_t method;  /* HTTP_GET for HEAD too: see head_only */
	const char *method_name; /* as sent; "" when the request line could not be read */
	bool head_only;          /* HEAD: handled as GET, the answer's body is counted but not sent */
	const char *target;      /* as sent */
	const char *path;  /* begins with '/', still percent-encoded; "" when the request line could not be read */
	const char *query; /* behind the '?', still encoded; "" when there is none */
	int http_minor;    /* 0 or 1 */
	const struct request_header *headers;
	size_t headers_n;
	const char *body; /* decoded from chunks, NUL behind its last byte; "" when there is none */
	size_t body_n;
	const char *peer;    /* address of the other end, "127.0.0.1" or "::1"; "unix" on a unix socket */
	int64_t received_ms; /* UTC, when the head was complete */
	bool client_gone;
	struct arena *arena;
	void *app; /* as given to http_server_new() */

	/* set by head() */
	size_t body_max;   /* preset to the server's default */
	void *route;       /* the application's own */
	struct err refuse; /* a code here answers at once, without reading the body */

	/* the rest is the server's */
	struct http_conn *conn;
	uint64_t started_ns;
	bool keep_alive;
};

/* First value of a header (name in lower case), NULL when absent. */
const char *request_header(const struct request *rq, const char *name);
size_t request_header_count(const struct request *rq, const char *name);
/* Looks up one query parameter, decoded into rq->arena; *out is NULL when absent. Given twice, badly encoded or not
 * UTF-8: E_invalid_query that names it. */
bool request_query(const struct request *rq, const char *name, const char **out, struct err *err);
/* Walks over all parameters in order; start with *pos = 0. False at the end and on a bad one (then err->code is set).
 */
bool request_query_next(const struct request *rq, size_t *pos, const char **name, const char **value, struct err *err);
/* Decodes one path segment: bad escapes, NUL and what is not UTF-8 are E_invalid_request. '+' stays '+'. */
bool path_decode(struct arena *a, const char *segment, size_t n, const char **out, struct err *err);

#define RESPONSE_HEADERS_MAX 24

struct response {
	int status; /* 200 preset */
	const char *body;
	size_t body_n;
	bool close; /* say Connection: close and do so */
	struct {
		const char *name, *value;
	} headers[RESPONSE_HEADERS_MAX];
	size_t headers_n;
};

/* Adds a header; both strings are referred to, not copied. Control characters in a value are sent as spaces.
 * Content-Length, Transfer-Encoding, Connection and Date are the server's own: do not set them. */
void response_header(struct response *rs, const char *name, const char *value);
/* The body of an answer and its Content-Type. */
void response_body(struct response *rs, const char *content_type, const char *body, size_t n);

struct http_app {
	/* After the head: may set rq->body_max, rq->route, rq->refuse. */
	void (*head)(void *app, struct request *rq);
	/* Answers that never wait, without a task: true when rs is the answer. May be NULL. */
	bool (*handle_inline)(void *app, struct request *rq, struct response *rs);
	/* SUSPENDS: on a task whose arena is rq->arena. */
	void (*handle)(struct task *t, void *app, struct request *rq, struct response *rs);
	/* Writes the application's error envelope, for refusals and protocol errors; rq may be incomplete, strings
	 * never NULL. */
	void (*render_error)(struct arena *a, const struct request *rq, const struct err *err, struct response *rs);
	/* After each answer, sent or (499) given up: access log and metrics. bytes: head and body. May be NULL. */
	void (*finished)(void *app, const struct request *rq, int status, uint64_t micros, uint64_t bytes);
	/* Once, after http_server_drain(): no connection and no request is left. May be NULL. */
	void (*drained)(void *app);
};

/* 0 stands for the default. */
struct http_server_options {
	unsigned max_connections;  /* 20000; above: 503 and closed */
	unsigned max_requests;     /* 4096 running handle() at once; above: 503 */
	size_t head_max;           /* 32 KiB, request line and headers */
	size_t target_max;         /* 8 KiB */
	unsigned headers_max;      /* 100 */
	size_t body_max;           /* 1 MiB, where head() sets nothing else */
	size_t bodies_max;         /* 256 MiB of bodies being received at once; above: 503 */
	size_t pipeline_max;       /* 64 KiB read ahead while a request is worked on */
	uint64_t head_timeout_ms;  /* 10 s from a head's first byte to its last */
	uint64_t body_timeout_ms;  /* 30 s, and a second more for each body_min_rate bytes that came */
	size_t body_min_rate;      /* 4 KiB a second */
	uint64_t idle_timeout_ms;  /* 75 s between requests */
	uint64_t write_timeout_ms; /* 30 s without the client taking a byte */
	uint64_t linger_ms;        /* 2 s for the client to read a refusal before the connection is cut */
};

struct http_counters {
	size_t connections, idle; /* open now; of them without a request */
	size_t requests;          /* running handle() now */
	uint64_t accepted, turned_away, answered, timed_out;
};

struct http_server *http_server_new(struct loop *l, const struct http_server_options *options,
                                    const struct http_app *app, void *app_data);
/* Accepts from a listening socket (TCP or unix) that the caller made; the server closes it. May be called for several.
 */
bool http_server_listen_fd(struct http_server *s, int fd, struct err *err);
/* Stops accepting, closes idle connections, lets the others finish with Connection: close. After deadline_ms what is
 * left is cancelled and cut, changes as well. app->drained() follows when the last is gone. */
void http_server_drain(struct http_server *s, uint64_t deadline_ms);
/* A drain's deadline is now. */
void http_server_cut(struct http_server *s);
/* Cuts everything off. Call loop_run or loop_done afterwards: the memory goes when the last handle and task are gone.
 */
void http_server_free(struct http_server *s);
struct http_counters http_server_counters(const struct http_server *s);

/* Streams, for Server-Sent Events. response_stream_start() sends status and headers of rs (not its body); then each
 * write is a chunk and returns when the socket took it, so at most one chunk waits. When the client is gone, too slow,
 * asked only for the head, or the server drains, they fail with E_cancelled (and the task is cancelled, so that its own
 * waits return); a stream cannot be started while the server drains (E_service_unavailable). What is not ended when
 * handle() returns is ended then. A client that vanished without a word is noticed only by writing: send a comment line
 * now and then. */
SUSPENDS bool response_stream_start(struct task *t, struct request *rq, struct response *rs, struct err *err);
SUSPENDS bool response_stream_write(struct task *t, struct request *rq, const void *data, size_t n, struct err *err);
SUSPENDS bool response_stream_end(struct task *t, struct request *rq, struct err *err);

/* A stream that stays when handle() returns, without the task and the request, whose end is then logged: ten thousand
 * who listen cost little more than their connections. over(arg) is called once, from the loop, when the client is gone,
 * too slow or the server drains; after that the stream is not touched again. Call it last in handle(), after the last
 * write. */
struct http_conn;
struct http_conn *response_stream_keep(struct request *rq, void (*over)(void *arg), void *arg);
/* Sends a chunk. False when the client has not taken the one before yet: nothing was sent. over() may be called
 * meanwhile. */
bool http_stream_push(struct http_conn *c, const void *data, size_t n);
/* Sends n last bytes, behind what the client has not taken yet, and ends the stream; over() is not called. */
void http_stream_end(struct http_conn *c, const void *data, size_t n);
