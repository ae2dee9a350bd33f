/* A server for test_http.py: prints its port, then one line for each answer and each thing a handler saw. */
#include "server/http/server.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct echo {
	struct loop loop;
	struct http_server *server;
	uv_signal_t on_term, on_usr;
	bool quiet;
};

static const char constant[] = "{\"status\":\"ok\"}";

static void json_body(struct response *rs, const char *text)
{
	response_body(rs, "application/json", text, strlen(text));
}

static void head(void *app, struct request *rq)
{
	(void)app;
	if (!strcmp(rq->path, "/small"))
		rq->body_max = 10;
	else if (!strcmp(rq->path, "/refused"))
		err_set(&rq->refuse, &E_authorization_denied, "not for you");
}

static bool handle_inline(void *app, struct request *rq, struct response *rs)
{
	(void)app;
	if (strcmp(rq->path, "/const") != 0)
		return false;
	json_body(rs, constant);
	return true;
}

static uint64_t number(struct request *rq, const char *name, uint64_t fallback)
{
	const char *text = NULL;
	struct err err = { 0 };
	return request_query(rq, name, &text, &err) && text ? strtoull(text, NULL, 10) : fallback;
}

static SUSPENDS void events(struct task *t, struct request *rq, struct response *rs)
{
	struct err err = { 0 };
	uint64_t n = number(rq, "n", 3), ms = number(rq, "ms", 10), size = number(rq, "size", 0);
	response_header(rs, "Content-Type", "text/event-stream");
	bool ok = response_stream_start(t, rq, rs, &err);
	char *padding = arena_alloc(rq->arena, size + 1);
	memset(padding, 'x', size);
	for (uint64_t i = 0; ok && i < n; i++) {
		char *line = arena_printf(rq->arena, "data: %llu%s\n\n", (unsigned long long)i, padding);
		ok = response_stream_write(t, rq, line, strlen(line), &err) && (!ms || task_sleep(t, ms, &err));
	}
	if (!ok) {
		printf("events %s\n", err.code->name);
		return;
	}
	response_stream_end(t, rq, &err);
}

static SUSPENDS void handle(struct task *t, void *app, struct request *rq, struct response *rs)
{
	(void)app;
	struct err err = { 0 };
	if (!strcmp(rq->path, "/task")) {
		json_body(rs, constant);
	} else if (!strcmp(rq->path, "/echo") || !strcmp(rq->path, "/small")) {
		response_body(rs, "application/octet-stream", rq->body, rq->body_n);
	} else if (!strcmp(rq->path, "/slow") || !strcmp(rq->path, "/must")) {
		if (rq->path[1] == 'm')
			task_must_finish(t);
		bool ok = task_sleep(t, number(rq, "ms", 100), &err);
		printf("%s %s gone=%d\n", rq->path + 1, ok ? "slept" : err.code->name, rq->client_gone);
		json_body(rs, constant);
	} else if (!strcmp(rq->path, "/events")) {
		events(t, rq, rs);
	} else if (!strcmp(rq->path, "/big")) {
		size_t n = number(rq, "n", 1u << 20);
		char *body = arena_alloc(rq->arena, n);
		memset(body, 'b', n);
		response_body(rs, "text/plain", body, n);
	} else if (!strcmp(rq->path, "/none")) {
		rs->status = 204;
	} else if (!strcmp(rq->path, "/split")) {
		response_header(rs, "X-Value", "a\r\nX-Injected: yes");
	} else if (!strcmp(rq->path, "/info")) {
		const char *x = request_header(rq, "x-test");
		const char *q = NULL;
		if (!request_query(rq, "q", &q, &err)) {
			rs->status = err.code->status;
			json_body(rs, arena_printf(rq->arena, "%s: %s", err.code->name, err.message));
			return;
		}
		json_body(rs,
		          arena_printf(rq->arena, "%s|%s|%s|q=%s|x=%s|%zu|%s|1.%d", rq->method_name, rq->target,
		                       rq->path, q ? q : "-", x ? x : "-", rq->headers_n, rq->peer, rq->http_minor));
	} else {
		rs->status = 404;
	}
}

static void render_error(struct arena *a, const struct request *rq, const struct err *err, struct response *rs)
{
	(void)rq;
	json_body(rs,
	          arena_printf(a, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}", err->code->name, err->message));
}

static void finished(void *app, const struct request *rq, int status, uint64_t micros, uint64_t bytes)
{
	(void)micros;
	struct echo *e = app;
	if (!e->quiet)
		printf("finished %s %d %llu\n", rq->path, status, (unsigned long long)bytes);
}

static void drained(void *app)
{
	struct echo *e = app;
	printf("drained\n");
	loop_stop(&e->loop);
}

static const struct http_app echo_app = {
	.head = head,
	.handle_inline = handle_inline,
	.handle = handle,
	.render_error = render_error,
	.finished = finished,
	.drained = drained,
};

static void on_term(uv_signal_t *signal, int number)
{
	(void)number;
	struct echo *e = signal->data;
	http_server_drain(e->server, 1500);
}

static void on_usr(uv_signal_t *signal, int number)
{
	(void)number;
	struct echo *e = signal->data;
	struct http_counters n = http_server_counters(e->server);
	printf("counters connections=%zu idle=%zu requests=%zu accepted=%llu turned_away=%llu timed_out=%llu\n",
	       n.connections, n.idle, n.requests, (unsigned long long)n.accepted, (unsigned long long)n.turned_away,
	       (unsigned long long)n.timed_out);
}

static int listening_socket(int port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)port),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 4096) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) != 0)
		abort();
	printf("port %d\n", ntohs(at.sin_port));
	return fd;
}

/* http_echo [name=number]...: the options of the server, port, quiet */
int main(int argc, char **argv)
{
	struct echo e = { 0 };
	struct http_server_options o = { 0 };
	struct err err = { 0 };
	int port = 0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');
		if (!equals)
			return 2;
		*equals = '\0';
		uint64_t v = strtoull(equals + 1, NULL, 10);
#define OPTION(field)                                                                                                  \
	if (!strcmp(argv[i], #field))                                                                                  \
	o.field = (__typeof__(o.field))v
		OPTION(max_connections);
		OPTION(max_requests);
		OPTION(body_max);
		OPTION(bodies_max);
		OPTION(head_timeout_ms);
		OPTION(body_timeout_ms);
		OPTION(body_min_rate);
		OPTION(idle_timeout_ms);
		OPTION(write_timeout_ms);
		OPTION(linger_ms);
		if (!strcmp(argv[i], "port"))
			port = (int)v;
		if (!strcmp(argv[i], "quiet"))
			e.quiet = v;
	}
	if (!loop_init(&e.loop, NULL, &err))
		return 1;
	e.server = http_server_new(&e.loop, &o, &echo_app, &e);
	if (!http_server_listen_fd(e.server, listening_socket(port), &err)) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	uv_signal_init(&e.loop.uv, &e.on_term);
	uv_signal_init(&e.loop.uv, &e.on_usr);
	e.on_term.data = e.on_usr.data = &e;
	uv_signal_start(&e.on_term, on_term, SIGTERM);
	uv_signal_start(&e.on_usr, on_usr, SIGUSR1);
	loop_run(&e.loop);
	http_server_free(e.server);
	loop_done(&e.loop);
	return 0;
}
