#include "core/task.h"

#include "core/fault.h"
#include "core/fiber.h"
#include "core/memory.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define POOLED_MAX    1024
#define CLOCK_POLL_MS 5

/* ---- time ---- */

int64_t loop_clock_offset_ms(const struct loop *l)
{
	return l->clock_offset_ms ? *l->clock_offset_ms : 0;
}

unsigned loop_clock_poll_ms(const struct loop *l)
{
	return l->clock_offset_ms ? CLOCK_POLL_MS : 0;
}

uint64_t loop_now_ms(const struct loop *l)
{
	return uv_now(&l->uv) + (uint64_t)loop_clock_offset_ms(l);
}

int64_t loop_wall_ms(const struct loop *l)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + loop_clock_offset_ms(l);
}

uint64_t loop_exact_ms(const struct loop *l)
{
	struct timespec ts;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 + (uint64_t)loop_clock_offset_ms(l);
}

static bool map_test_clock(struct loop *l, const char *path, struct err *err)
{
	if (!path || !path[0])
		return true;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, &E_internal_error, "LAUNCHPLANE_TEST_CLOCK_FILE %s cannot be opened", path);
	void *p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
	off_t size = lseek(fd, 0, SEEK_END);
	close(fd);
	if (p == MAP_FAILED || size < (off_t)sizeof(int64_t))
		return err_set(err, &E_internal_error, "LAUNCHPLANE_TEST_CLOCK_FILE %s must hold 8 bytes", path);
	l->clock_offset_ms = p;
	return true;
}

/* ---- the ready queue ---- */

static void make_ready(struct task *t)
{
	if (t->is_ready)
		return;
	struct loop *l = t->loop;
	t->is_ready = true;
	t->ready_next = NULL;
	if (l->ready_last)
		l->ready_last->ready_next = t;
	else
		l->ready_first = t;
	l->ready_last = t;
	loop_kick(l);
}

static void retire(struct task *t);

static void run_one(struct task *t)
{
	struct loop *l = t->loop;
	l->current = t;
	bool finished = fiber_resume(t->fiber);
	l->current = NULL;
	if (finished)
		retire(t);
}

/* Runs what is ready now; what becomes ready meanwhile waits for the next turn, so that I/O is served in between. */
static void run_ready(struct loop *l)
{
	struct task *t = l->ready_first;
	l->ready_first = l->ready_last = NULL;
	while (t) {
		struct task *next = t->ready_next;
		t->is_ready = false;
		run_one(t);
		t = next;
	}
}

static void no_sleep(uv_idle_t *idle)
{
	(void)idle; /* its being active is enough */
}

void loop_kick(struct loop *l)
{
	if (!uv_is_active((uv_handle_t *)&l->idle) && !uv_is_closing((uv_handle_t *)&l->idle))
		uv_idle_start(&l->idle, no_sleep);
}

static void turn(struct loop *l)
{
	run_ready(l);
	for (struct turn_hook *h = l->hooks; h; h = h->next)
		h->fn(h->arg);
	if (!l->ready_first)
		uv_idle_stop(&l->idle);
}

static void on_prepare(uv_prepare_t *p)
{
	turn(container_of(p, struct loop, prepare));
}

static void on_check(uv_check_t *c)
{
	turn(container_of(c, struct loop, check));
}

void loop_add_hook(struct loop *l, struct turn_hook *hook)
{
	hook->next = l->hooks;
	l->hooks = hook;
}

void loop_remove_hook(struct loop *l, struct turn_hook *hook)
{
	struct turn_hook **link = &l->hooks;
	while (*link && *link != hook)
		link = &(*link)->next;
	if (*link)
		*link = hook->next;
}

bool loop_init(struct loop *l, const char *test_clock_file, struct err *err)
{
	memset(l, 0, sizeof(*l));
	if (!map_test_clock(l, test_clock_file, err))
		return false;
	if (uv_loop_init(&l->uv) != 0)
		return err_set(err, &E_internal_error, "the event loop cannot be made");
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->idle);
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
	uv_unref((uv_handle_t *)&l->prepare);
	uv_unref((uv_handle_t *)&l->check);
	return true;
}

void loop_run(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}

static void close_any(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, NULL);
}

static void task_memory_free(uv_handle_t *timer)
{
	struct task *t = container_of(timer, struct task, timer);
	fiber_free(t->fiber);
	arena_free(t->arena);
	free(t);
}

void loop_done(struct loop *l)
{
	for (struct task *t = l->tasks; t; t = t->next)
		task_cut(t);
	while (l->tasks)
		uv_run(&l->uv, UV_RUN_ONCE);
	while (l->free_tasks) {
		struct task *t = l->free_tasks;
		l->free_tasks = t->next;
		uv_close((uv_handle_t *)&t->timer, task_memory_free);
	}
	uv_run(&l->uv, UV_RUN_NOWAIT);
	uv_walk(&l->uv, close_any, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	int rc = uv_loop_close(&l->uv);
	assert(rc == 0);
	(void)rc;
	if (l->clock_offset_ms)
		munmap((void *)l->clock_offset_ms, sizeof(int64_t));
}

/* ---- tasks ---- */

static NO_ROLE_CHECK void task_main(void *arg)
{
	struct task *t = arg;
	t->fn(t, t->arg);
}

static struct task *task_get(struct loop *l)
{
	struct task *t = l->free_tasks;
	if (t) {
		l->free_tasks = t->next;
		l->tasks_pooled--;
		return t;
	}
	t = memory_try(sizeof(*t));
	if (!t)
		return NULL;
	t->fiber = fiber_new();
	if (!t->fiber) {
		free(t);
		return NULL;
	}
	t->arena = arena_new();
	t->loop = l;
	uv_timer_init(&l->uv, &t->timer);
	return t;
}

struct task *task_spawn(struct loop *l, const char *name, task_fn fn, void *arg)
{
	struct task *t = task_get(l);
	if (!t)
		return NULL;
	t->name = name;
	t->trace_id = t->traceparent = t->operation = t->phase = t->actor = "";
	t->audit = NULL;
	t->effects = 0;
	t->deadline_ms = t->effects_until_ms = TASK_FOREVER;
	t->fn = fn;
	t->arg = arg;
	t->is_waiting = t->was_woken = t->is_cancelled = t->timed_out = t->must_finish = t->in_tx = false;
	t->prev = NULL;
	t->next = l->tasks;
	if (l->tasks)
		l->tasks->prev = t;
	l->tasks = t;
	l->tasks_alive++;
	fiber_start(t->fiber, task_main, t);
	make_ready(t);
	return t;
}

struct task *task_start(struct loop *l, const char *name, task_fn fn, void *arg)
{
	struct task *t = task_spawn(l, name, fn, arg);
	if (!t)
		memory_exhausted(sizeof(*t));
	return t;
}

static void retire(struct task *t)
{
	struct loop *l = t->loop;
	assert(!t->in_tx);
	if (t->prev)
		t->prev->next = t->next;
	else
		l->tasks = t->next;
	if (t->next)
		t->next->prev = t->prev;
	l->tasks_alive--;
	uv_timer_stop(&t->timer);
	arena_reset(t->arena);
	if (l->tasks_pooled >= POOLED_MAX) {
		uv_close((uv_handle_t *)&t->timer, task_memory_free);
		return;
	}
	t->next = l->free_tasks;
	l->free_tasks = t;
	l->tasks_pooled++;
}

void task_wake(struct task *t)
{
	t->was_woken = true;
	if (t->is_waiting)
		make_ready(t);
}

void task_cancel(struct task *t)
{
	t->is_cancelled = true;
	if (t->is_waiting && !t->must_finish)
		make_ready(t);
}

static void on_timer(uv_timer_t *timer)
{
	struct task *t = container_of(timer, struct task, timer);
	if (loop_now_ms(t->loop) < t->wake_at_ms)
		return; /* a test clock that has not been moved there yet: the timer repeats */
	uv_timer_stop(timer);
	t->timed_out = true;
	make_ready(t);
}

static void arm(struct task *t, uint64_t at_ms)
{
	struct loop *l = t->loop;
	t->wake_at_ms = at_ms;
	uint64_t now = loop_now_ms(l);
	uint64_t left = at_ms > now ? at_ms - now : 0;
	unsigned poll = loop_clock_poll_ms(l);
	if (poll && left > poll)
		left = poll;
	uv_timer_start(&t->timer, on_timer, left, poll ? poll : 0);
}

static SUSPENDS void suspend(struct task *t)
{
	assert(t->loop->current == t);
	t->is_waiting = true;
	fiber_suspend(t->fiber);
	t->is_waiting = false;
}

uint64_t task_left_ms(const struct task *t)
{
	if (t->deadline_ms == TASK_FOREVER)
		return TASK_FOREVER;
	uint64_t now = loop_now_ms(t->loop);
	return t->deadline_ms > now ? t->deadline_ms - now : 0;
}

void task_set_deadline(struct task *t, uint64_t ms)
{
	t->deadline_ms = loop_now_ms(t->loop) + ms;
}

void task_cut_all(struct loop *l, task_fn fn)
{
	for (struct task *t = l->tasks; t; t = t->next)
		if (t->fn == fn)
			task_cut(t);
}

bool task_is_cancelled(const struct task *t)
{
	return t->is_cancelled;
}

static bool interrupted(const struct task *t, struct err *err)
{
	if (t->is_cancelled && !t->must_finish)
		return !err_set(err, &E_cancelled, "the work was cancelled");
	return false;
}

bool task_wait(struct task *t, uint64_t timeout_ms, struct err *err)
{
	if (interrupted(t, err)) {
		t->was_woken = false;
		return false;
	}
	if (!t->was_woken) {
		uint64_t left = task_left_ms(t);
		uint64_t ms = timeout_ms < left ? timeout_ms : left;
		t->timed_out = false;
		if (ms != TASK_FOREVER)
			arm(t, loop_now_ms(t->loop) + ms);
		suspend(t);
		uv_timer_stop(&t->timer);
	}
	bool woken = t->was_woken;
	t->was_woken = false;
	if (interrupted(t, err))
		return false;
	if (!woken && t->timed_out)
		return err_set(err, &E_timeout, "the work did not finish in time");
	return true;
}

void task_wait_out(struct task *t)
{
	if (!t->was_woken)
		suspend(t);
	t->was_woken = false;
}

bool task_sleep(struct task *t, uint64_t ms, struct err *err)
{
	uint64_t until = loop_now_ms(t->loop) + ms;
	if (fault_at("task.sleep", NULL))
		return err_set(err, &E_timeout, "the work did not finish in time");
	for (;;) {
		uint64_t now = loop_now_ms(t->loop);
		if (now >= until)
			return true;
		struct err ignored = { 0 };
		if (!task_wait(t, until - now, &ignored)) {
			if (loop_now_ms(t->loop) >= until && !interrupted(t, &ignored))
				return true;
			*err = ignored;
			return false;
		}
	}
}

void task_breathe(struct task *t)
{
	make_ready(t);
	suspend(t);
}

struct worker_job {
	uv_work_t work;
	struct task *task;
	void (*fn)(void *);
	void *arg;
	bool finished;
};

static void on_work(uv_work_t *w)
{
	struct worker_job *job = container_of(w, struct worker_job, work);
	job->fn(job->arg);
}

static void on_worked(uv_work_t *w, int status)
{
	(void)status;
	struct worker_job *job = container_of(w, struct worker_job, work);
	job->finished = true;
	task_wake(job->task);
}

bool task_in_worker(struct task *t, void (*fn)(void *arg), void *arg, struct err *err)
{
	struct worker_job job = { .task = t, .fn = fn, .arg = arg };
	if (uv_queue_work(&t->loop->uv, &job.work, on_work, on_worked) != 0)
		return err_set(err, &E_internal_error, "no worker thread can be had");
	while (!job.finished)
		task_wait_out(t);
	return true;
}
