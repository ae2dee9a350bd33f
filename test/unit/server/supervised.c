/* A program under a supervisor, for test_supervisor.py: supervised LISTEN WORKERS DRAIN_MS HANG_MS */
#include "core/metrics.h"
#include "server/http/server.h"
#include "server/supervisor.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct program {
	struct loop loop;
	struct http_server *server;
	uv_signal_t on_term;
	uv_timer_t beat;
};

static struct metric answers = { .name = "answers_total", .help = "Answers given" };
static struct metric *const all_metrics[] = { &answers };

static void head(void *app, struct request *rq)
{
	(void)app;
	(void)rq;
}

static SUSPENDS void handle(struct task *t, void *app, struct request *rq, struct response *rs)
{
	(void)app;
	struct err err = { 0 };
	const char *text = arena_printf(rq->arena, "%d %u %llu", (int)getpid(), worker_self()->slot,
	                                (unsigned long long)worker_self()->incarnation);
	if (!strcmp(rq->path, "/slow"))
		task_sleep(t, 500, &err);
	else if (!strcmp(rq->path, "/hang"))
		for (;;)
			poll(NULL, 0, 1000);
	else if (!strcmp(rq->path, "/metrics")) {
		struct buf b = buf_in(rq->arena);
		metrics_write(&b);
		text = buf_cstr(&b);
	}
	metric_count(&answers);
	response_body(rs, "text/plain", text, strlen(text));
}

static void render_error(struct arena *a, const struct request *rq, const struct err *err, struct response *rs)
{
	(void)a;
	(void)rq;
	response_body(rs, "text/plain", err->code->name, strlen(err->code->name));
}

static void drained(void *arg)
{
	struct program *p = arg;
	loop_stop(&p->loop);
}

static const struct http_app app = { .head = head, .handle = handle, .render_error = render_error, .drained = drained };

static void on_term(uv_signal_t *signal, int number)
{
	(void)number;
	struct program *p = signal->data;
	http_server_drain(p->server, 2000);
}

static void on_beat(uv_timer_t *timer)
{
	(void)timer;
	worker_heartbeat();
}

static int work(const struct worker *w)
{
	struct program p = { 0 };
	struct err err = { 0 };
	const char *fate = getenv("TEST_FATE");
	if (fate && !strcmp(fate, "cannot start"))
		return EXIT_CANNOT_START;
	if (fate && !strcmp(fate, "crash"))
		abort();
	if (!loop_init(&p.loop, NULL, &err) ||
	    !metrics_open(all_metrics, countof(all_metrics), w->metrics_fd, w->slot, w->slots, &err))
		return 1;
	p.server = http_server_new(&p.loop, NULL, &app, &p);
	if (!http_server_listen_fd(p.server, w->listen_fd, &err))
		return 1;
	uv_signal_init(&p.loop.uv, &p.on_term);
	uv_timer_init(&p.loop.uv, &p.beat);
	p.on_term.data = &p;
	uv_signal_start(&p.on_term, on_term, SIGTERM);
	uv_timer_start(&p.beat, on_beat, 0, 100);
	worker_report_ready();
	loop_run(&p.loop);
	http_server_free(p.server);
	loop_done(&p.loop);
	metrics_close();
	return 0;
}

static bool before_workers(void *arg, struct err *err)
{
	(void)arg;
	const char *fate = getenv("TEST_FATE");
	printf("before workers\n");
	return !fate || strcmp(fate, "no database") != 0 ||
	       err_set(err, &E_database_unavailable, "there is no database");
}

static void on_worker_death(void *arg, unsigned slot, uint64_t incarnation)
{
	(void)arg;
	printf("death of %u %llu\n", slot, (unsigned long long)incarnation);
}

static void after_workers(void *arg)
{
	(void)arg;
	const char *fate = getenv("TEST_FATE");
	printf("after workers\n");
	if (fate && !strcmp(fate, "is told when to end"))
		while (getchar() != EOF)
			;
}

int main(int argc, char **argv)
{
	const struct worker *w = worker_self();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (w)
		return work(w);
	if (argc < 5)
		return 2;
	const struct supervisor_options o = {
		.listen = argv[1],
		.workers = (unsigned)atoi(argv[2]),
		.drain_ms = (uint64_t)atoi(argv[3]),
		.hang_ms = (uint64_t)atoi(argv[4]),
		.argv = argv,
		.before_workers = before_workers,
		.on_worker_death = on_worker_death,
		.after_workers = after_workers,
	};
	return supervisor_run(&o);
}
