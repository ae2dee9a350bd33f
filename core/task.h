/* core/task.h - a task: straight-line code on a fiber, with an arena, a deadline and log fields.
 *
 * Tasks run only from the loop's ready queue, one at a time; between two suspensions nothing else runs. What a callback
 * of libuv, libcurl or libpq does is to store its result and call task_wake(). A task ends by returning from its
 * function; nothing destroys a suspended one. Cancelling makes its next wait (or the one it is in) fail with
 * E_cancelled. */
#pragma once

#include "core/loop.h"

struct audit_entry;

typedef void (*task_fn)(struct task *t, void *arg);

#define TASK_FOREVER UINT64_MAX

struct task {
	struct loop *loop;
	struct arena *arena;     /* reset when the task ends */
	const char *name;        /* a literal */
	const char *trace_id;    /* "launchplane_req_...", "" when none */
	const char *traceparent; /* W3C trace context to hand on to whom we call, "" */
	const char *operation;   /* operation id for the log, "" */
	const char *phase;
	const char *actor;         /* whom the task works for, for records; "" when nobody */
	struct audit_entry *audit; /* storage/audit.h: who changes what here, NULL: nobody is told */
	unsigned effects;          /* requests to others that are neither GET nor HEAD; whoever counts sets it to 0 */
	uint64_t deadline_ms;      /* of the whole task, against loop_now_ms() */
	uint64_t effects_until_ms; /* no such request after this, against loop_exact_ms(): the right to make them is
	                              over */

	/* the rest is core/task.c's */
	struct fiber *fiber;
	task_fn fn;
	void *arg;
	struct task *ready_next, *prev, *next;
	uv_timer_t timer;
	uint64_t wake_at_ms;
	bool is_ready, is_waiting, was_woken, is_cancelled, timed_out, must_finish;
	bool in_tx; /* asserted against waits that do not belong in a transaction */
};

/* Starts a task at the next turn. fn must be a function that may suspend. NULL when no stack can be had. */
struct task *task_spawn(struct loop *l, const char *name, task_fn fn, void *arg);
/* The same for a task that the process cannot do without: it ends the process instead of giving NULL. */
struct task *task_start(struct loop *l, const char *name, task_fn fn, void *arg);
/* Queues t to run; harmless when it is not waiting or already queued: the wake is remembered for its next wait. */
void task_wake(struct task *t);
void task_cancel(struct task *t);
bool task_is_cancelled(const struct task *t); /* also while it must finish and so does not hear of it */

/* Waits until task_wake(), at most timeout_ms (TASK_FOREVER: until the task's deadline). False: E_timeout or
 * E_cancelled. Spurious wakes happen: loop on the predicate. */
SUSPENDS bool task_wait(struct task *t, uint64_t timeout_ms, struct err *err);
/* As task_wait, for what must be waited out because somebody else still writes to our memory: ignores cancel and
 * deadline. */
SUSPENDS void task_wait_out(struct task *t);
SUSPENDS bool task_sleep(struct task *t, uint64_t ms, struct err *err);
/* Lets others run; for loops over much data. */
SUSPENDS void task_breathe(struct task *t);
/* Runs fn(arg) on the thread pool and waits for it, whatever happens to the task meanwhile. fn must not touch tasks. */
SUSPENDS bool task_in_worker(struct task *t, void (*fn)(void *arg), void *arg, struct err *err);

/* From now on cancelling and the client's leaving do not interrupt t: a change that has started runs to its end. */
static inline void task_must_finish(struct task *t)
{
	t->must_finish = true;
}
/* That is over: cancelling interrupts t again, also what came meanwhile. */
static inline void task_may_be_cancelled(struct task *t)
{
	t->must_finish = false;
}
/* What was must_finish before a part that had to: as it was, unless task_cut() came meanwhile. */
static inline void task_must_finish_as(struct task *t, bool before)
{
	t->must_finish = t->must_finish && before;
}
/* Cancels t even when it must finish: time is up. */
static inline void task_cut(struct task *t)
{
	task_may_be_cancelled(t);
	task_cancel(t);
}
void task_cut_all(struct loop *l, task_fn fn); /* that run fn */
uint64_t task_left_ms(const struct task *t);   /* until the deadline */
/* Sets the deadline ms from now. */
void task_set_deadline(struct task *t, uint64_t ms);
