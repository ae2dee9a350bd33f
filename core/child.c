#include "core/child.h"

#include "core/buf.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_N  8192
#define PATIENCE_MS 10000

struct running {
	struct task *t;
	uv_process_t process;
	uv_pipe_t output, payload;
	uv_signal_t signals[2];
	uv_write_t write;
	unsigned open; /* handles that are not closed yet */
	bool has_exited, output_over;
	int64_t exit_code;
	int signal, interrupted_by;
	size_t line_n;
	char chunk[4096], line[LINE_MAX_N + 1];
	struct buf pending;
};

static void on_closed(uv_handle_t *h)
{
	struct running *r = h->data;
	r->open--;
	task_wake(r->t);
}

static void on_exit_of_child(uv_process_t *p, int64_t exit_code, int signal)
{
	struct running *r = p->data;
	r->has_exited = true;
	r->exit_code = exit_code;
	r->signal = signal;
	task_wake(r->t);
}

static void on_signal(uv_signal_t *h, int signal)
{
	struct running *r = h->data;
	r->interrupted_by = signal;
	task_wake(r->t);
}

static void give_chunk(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
	struct running *r = h->data;
	(void)suggested;
	*out = uv_buf_init(r->chunk, sizeof(r->chunk));
}

static void on_output(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct running *r = s->data;
	if (n > 0)
		buf_add(&r->pending, b->base, (size_t)n);
	else if (n < 0)
		r->output_over = true;
	task_wake(r->t);
}

static void on_written(uv_write_t *w, int status)
{
	struct running *r = w->data;
	(void)status; /* a child that does not read has ended, or says itself what it lacks */
	if (!uv_is_closing((uv_handle_t *)&r->payload))
		uv_close((uv_handle_t *)&r->payload, on_closed);
}

static void say_line(const struct child *c, struct running *r)
{
	r->line[r->line_n] = '\0';
	c->line(c->arg, r->line);
	r->line_n = 0;
}

static void say_lines(const struct child *c, struct running *r)
{
	for (size_t i = 0; i < r->pending.n; i++) {
		char one = r->pending.p[i];
		if (one == '\n' || r->line_n == LINE_MAX_N)
			say_line(c, r);
		if (one != '\n' && one != '\0')
			r->line[r->line_n++] = one;
	}
	r->pending.n = 0;
}

static void open_handle(struct running *r, uv_handle_t *h)
{
	h->data = r;
	r->open++;
}

static SUSPENDS void close_all(struct running *r)
{
	uv_handle_t *all[] = { (uv_handle_t *)&r->process, (uv_handle_t *)&r->output, (uv_handle_t *)&r->payload,
		               (uv_handle_t *)&r->signals[0], (uv_handle_t *)&r->signals[1] };
	for (size_t i = 0; i < countof(all); i++)
		if (all[i]->data && !uv_is_closing(all[i]))
			uv_close(all[i], on_closed);
	while (r->open)
		task_wait_out(r->t);
}

static int start(struct running *r, const struct child *c)
{
	uv_loop_t *loop = &r->t->loop->uv;
	static const int caught[] = { SIGINT, SIGTERM };
	uv_pipe_init(loop, &r->output, 0);
	open_handle(r, (uv_handle_t *)&r->output);
	uv_pipe_init(loop, &r->payload, 0);
	open_handle(r, (uv_handle_t *)&r->payload);
	for (size_t i = 0; i < countof(caught); i++) {
		uv_signal_init(loop, &r->signals[i]);
		open_handle(r, (uv_handle_t *)&r->signals[i]);
		uv_signal_start(&r->signals[i], on_signal, caught[i]);
	}
	uv_file out[2], in[2] = { -1, -1 };
	int failed = uv_pipe(out, UV_NONBLOCK_PIPE, 0);
	if (failed)
		return failed;
	failed = c->payload ? uv_pipe(in, 0, UV_NONBLOCK_PIPE) : 0;
	if (failed) {
		close(out[0]);
		close(out[1]);
		return failed;
	}
	uv_stdio_container_t stdio[] = {
		{ .flags = UV_IGNORE },
		{ .flags = UV_INHERIT_FD, .data.fd = out[1] },
		{ .flags = UV_INHERIT_FD, .data.fd = out[1] },
		{ .flags = UV_INHERIT_FD, .data.fd = in[0] },
	};
	uv_process_options_t options = { .exit_cb = on_exit_of_child,
		                         .file = c->argv[0],
		                         .args = (char **)(uintptr_t)c->argv,
		                         .env = (char **)(uintptr_t)c->env,
		                         .flags = UV_PROCESS_DETACHED,
		                         .stdio_count = c->payload ? 4 : 3,
		                         .stdio = stdio };
	uv_pipe_open(&r->output, out[0]);
	if (c->payload)
		uv_pipe_open(&r->payload, in[1]);
	failed = uv_spawn(loop, &r->process, &options);
	open_handle(r, (uv_handle_t *)&r->process);
	close(out[1]);
	if (c->payload)
		close(in[0]);
	if (failed)
		return failed;
	uv_read_start((uv_stream_t *)&r->output, give_chunk, on_output);
	if (c->payload) {
		uv_buf_t whole = uv_buf_init((char *)(uintptr_t)c->payload, (unsigned)c->payload_n);
		r->write.data = r;
		failed = uv_write(&r->write, (uv_stream_t *)&r->payload, &whole, 1, on_written);
	}
	return failed;
}

/* Until it has ended and all it printed was read. What a grandchild keeps open after the end is not waited for long. */
static SUSPENDS void wait_for_end(struct running *r, const struct child *c)
{
	struct err ignored = { 0 };
	uint64_t kill_at = 0, leave_at = 0;
	int told = 0;
	while (!r->has_exited || !r->output_over) {
		uint64_t now = loop_now_ms(r->t->loop);
		say_lines(c, r);
		if (r->interrupted_by && !told && !r->has_exited) {
			told = SIGTERM;
			kill(-r->process.pid, SIGTERM);
			kill_at = now + PATIENCE_MS;
		}
		if (kill_at && now >= kill_at && !r->has_exited)
			kill(-r->process.pid, SIGKILL);
		if (r->has_exited && !leave_at)
			leave_at = now + 2000;
		if (leave_at && now >= leave_at)
			break;
		memset(&ignored, 0, sizeof(ignored));
		task_wait(r->t, kill_at || leave_at ? 200 : 1000, &ignored);
	}
	say_lines(c, r);
	if (r->line_n)
		say_line(c, r);
}

bool child_run(struct task *t, const struct child *c, struct child_end *out, struct err *err)
{
	struct running *r = ARENA_NEW(t->arena, struct running);
	*r = (struct running){ .t = t, .pending = buf_in(t->arena) };
	signal(SIGPIPE, SIG_IGN); /* a child that ends before it read its payload */
	int failed = start(r, c);
	if (!failed)
		wait_for_end(r, c);
	else if (r->process.pid > 0 && !r->has_exited)
		kill(-r->process.pid, SIGKILL);
	close_all(r);
	if (failed)
		return err_set(err, &E_invalid_request, "%s cannot be run: %s", c->argv[0], uv_strerror(failed));
	*out = (struct child_end){ r->exit_code, r->signal, r->interrupted_by };
	return true;
}
