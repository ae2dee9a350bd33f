/* core/loop.h - one event loop with its clock, its ready tasks and its turn hooks.
 *
 * A process has one loop, a test may make several. Everything here runs on the loop's thread.
 * Time: loop_now_ms() is monotonic, loop_wall_ms() is the UTC time in milliseconds. Both include the test clock's
 * offset (an int64, milliseconds, little-endian, in the file LAUNCHPLANE_TEST_CLOCK_FILE names), so that a test moves
 * time instead of waiting; without that file they are the system's clocks. */
#pragma once

#include "core/arena.h"
#include "core/err.h"

#include <uv.h>

struct task;
struct db;          /* storage/db.h */
struct http_client; /* core/http_client.h */
struct keyring;     /* core/seal.h */

/* Called once a turn, after the ready tasks ran and before the loop sleeps: the place to flush what the tasks queued.
 */
struct turn_hook {
	void (*fn)(void *arg);
	void *arg;
	struct turn_hook *next;
};

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while tasks are ready, so that the loop does not sleep */
	struct task *ready_first, *ready_last;
	struct task *free_tasks; /* finished, with stack and arena, to be used again */
	struct task *tasks;      /* all that are alive */
	size_t tasks_alive, tasks_pooled;
	struct turn_hook *hooks;
	struct task *current;
	volatile int64_t *clock_offset_ms; /* mapped test clock, or NULL */
	struct db *db;                     /* what the tasks of this loop work with; set by their owners */
	struct http_client *http;
	const struct keyring *keyring; /* NULL: no master key is configured */
	void *app;                     /* the process's own state (server/app.h) */
};

bool loop_init(struct loop *l, const char *test_clock_file, struct err *err);
void loop_run(struct loop *l);  /* until loop_stop() or nothing is left */
void loop_stop(struct loop *l); /* from a task or a callback */
/* Cancels what still runs, lets it finish, closes every handle. */
void loop_done(struct loop *l);

uint64_t loop_now_ms(const struct loop *l);
int64_t loop_wall_ms(const struct loop *l);
/* Monotonic, and of this very moment: also after the process or the machine was suspended in the middle of a turn. */
uint64_t loop_exact_ms(const struct loop *l);
int64_t loop_clock_offset_ms(const struct loop *l); /* 0 outside tests */
/* In tests the offset may jump at any time: whoever arms a timer must look again this often. 0 outside tests. */
unsigned loop_clock_poll_ms(const struct loop *l);
void loop_add_hook(struct loop *l, struct turn_hook *hook);
void loop_remove_hook(struct loop *l, struct turn_hook *hook); /* not from a hook */
void loop_kick(struct loop *l);                                /* makes the loop take another turn without sleeping */
