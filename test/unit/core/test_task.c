#include "core/json.h"
#include "core/task.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char trail[64];

static SUSPENDS void sleeper(struct task *t, void *arg)
{
	struct err err = { 0 };
	assert_true(task_sleep(t, 5, &err));
	strncat(trail, arg, sizeof(trail) - strlen(trail) - 1);
}

static SUSPENDS void quick(struct task *t, void *arg)
{
	task_breathe(t);
	strncat(trail, arg, sizeof(trail) - strlen(trail) - 1);
}

static void a_sleeping_task_does_not_hold_up_another(void **state)
{
	(void)state;
	struct loop l;
	struct err err = { 0 };
	trail[0] = '\0';
	assert_true(loop_init(&l, NULL, &err));
	task_spawn(&l, "sleeper", sleeper, (char[]){ "s" });
	task_spawn(&l, "quick", quick, (char[]){ "q" });
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_string_equal(trail, "qs");
	loop_done(&l);
}

static SUSPENDS void waits_to_be_cancelled(struct task *t, void *arg)
{
	struct err *err = arg;
	assert_false(task_wait(t, TASK_FOREVER, err));
}

static void a_cancelled_task_returns_from_its_wait(void **state)
{
	(void)state;
	struct loop l;
	struct err err = { 0 }, seen = { 0 };
	assert_true(loop_init(&l, NULL, &err));
	struct task *t = task_spawn(&l, "waits", waits_to_be_cancelled, &seen);
	uv_run(&l.uv, UV_RUN_NOWAIT);
	task_cancel(t);
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_ptr_equal(seen.code, &E_cancelled);
	loop_done(&l);
}

struct finishing {
	struct err seen;
	bool has_slept, was_cut;
};

static SUSPENDS void finishes_first(struct task *t, void *arg)
{
	struct finishing *f = arg;
	struct err err = { 0 };
	task_must_finish(t);
	f->has_slept = task_sleep(t, 5, &err);
	task_may_be_cancelled(t);
	assert_false(task_wait(t, TASK_FOREVER, &f->seen));
}

static void cancelling_is_heard_of_once_a_change_is_over(void **state)
{
	(void)state;
	struct loop l;
	struct err err = { 0 };
	struct finishing f = { 0 };
	assert_true(loop_init(&l, NULL, &err));
	struct task *t = task_spawn(&l, "finishes", finishes_first, &f);
	uv_run(&l.uv, UV_RUN_NOWAIT);
	task_cancel(t);
	assert_true(task_is_cancelled(t));
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_true(f.has_slept);
	assert_ptr_equal(f.seen.code, &E_cancelled);
	loop_done(&l);
}

static SUSPENDS void is_to_finish(struct task *t, void *arg)
{
	struct finishing *f = arg;
	task_must_finish(t);
	assert_false(task_wait(t, TASK_FOREVER, &f->seen));
	task_must_finish_as(t, true); /* the end of a part that had to finish does not undo the cut */
	struct err again = { 0 };
	f->was_cut = !task_wait(t, TASK_FOREVER, &again);
}

static void a_cut_ends_a_change_as_well(void **state)
{
	(void)state;
	struct loop l;
	struct err err = { 0 };
	struct finishing f = { 0 };
	assert_true(loop_init(&l, NULL, &err));
	task_spawn(&l, "must finish", is_to_finish, &f);
	uv_run(&l.uv, UV_RUN_NOWAIT);
	task_cut_all(&l, is_to_finish);
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_ptr_equal(f.seen.code, &E_cancelled);
	assert_true(f.was_cut);
	loop_done(&l);
}

static SUSPENDS void overdue(struct task *t, void *arg)
{
	task_set_deadline(t, 3);
	assert_false(task_sleep(t, 60000, arg));
}

static void a_wait_ends_at_the_deadline_of_its_task(void **state)
{
	(void)state;
	struct loop l;
	struct err err = { 0 }, seen = { 0 };
	assert_true(loop_init(&l, NULL, &err));
	task_spawn(&l, "overdue", overdue, &seen);
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_ptr_equal(seen.code, &E_timeout);
	loop_done(&l);
}

static void in_thread(void *arg)
{
	*(int *)arg = 42;
}

static SUSPENDS void asks_a_thread(struct task *t, void *arg)
{
	struct err err = { 0 };
	assert_true(task_in_worker(t, in_thread, arg, &err));
}

static void work_on_the_thread_pool_comes_back(void **state)
{
	(void)state;
	struct loop l;
	struct err err = { 0 };
	int answer = 0;
	assert_true(loop_init(&l, NULL, &err));
	task_spawn(&l, "asks", asks_a_thread, &answer);
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	assert_int_equal(answer, 42);
	loop_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sleeping_task_does_not_hold_up_another),
		cmocka_unit_test(a_cancelled_task_returns_from_its_wait),
		cmocka_unit_test(cancelling_is_heard_of_once_a_change_is_over),
		cmocka_unit_test(a_cut_ends_a_change_as_well),
		cmocka_unit_test(a_wait_ends_at_the_deadline_of_its_task),
		cmocka_unit_test(work_on_the_thread_pool_comes_back),
	};
	return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
