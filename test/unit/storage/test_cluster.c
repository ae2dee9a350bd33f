#include "scratch.h"

#include "core/log.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
	char dir[512];
};

static void in_a_task(task_fn fn, struct place *p)
{
	struct loop l;
	struct err err = { 0 };
	assert_true(loop_init(&l, NULL, &err));
	assert_non_null(task_spawn(&l, "test", fn, p));
	while (l.tasks_alive)
		uv_run(&l.uv, UV_RUN_ONCE);
	loop_done(&l);
}

static SUSPENDS void answers(struct task *t, const struct cluster *c)
{
	static const struct query one = { .name = "one", .sql = "select 1" };
	struct err err = { 0 };
	assert_non_null(db_new(t->loop, &(struct db_options){ .url = cluster_url(c) }, &err));
	if (!db_query(t, &one, PARAMS(), NULL, &err))
		fail_msg("%s %s", err.message, err.cause);
	db_close(t, t->loop->db, 1000);
}

static SUSPENDS struct cluster *start(struct task *t, const struct place *p)
{
	struct cluster *c = NULL;
	struct err err = { 0 };
	if (!cluster_start(t, p->dir, &c, &err))
		fail_msg("%s", err.message);
	return c;
}

static SUSPENDS void start_and_be_killed(struct task *t, void *arg)
{
	struct cluster *c = start(t, arg), *second = NULL;
	struct err err = { 0 };
	assert_false(cluster_was_adopted(c));
	answers(t, c);
	assert_false(cluster_start(t, ((struct place *)arg)->dir, &second, &err));
	assert_non_null(strstr(err.message, "another process uses"));
	answers(t, c);
	cluster_abandon(t, c);
}

static SUSPENDS void adopt_and_stop(struct task *t, void *arg)
{
	struct cluster *c = start(t, arg);
	assert_true(cluster_was_adopted(c));
	answers(t, c);
	cluster_stop(t, c);
}

static SUSPENDS void start_and_stop(struct task *t, void *arg)
{
	struct cluster *c = start(t, arg);
	assert_false(cluster_was_adopted(c));
	answers(t, c);
	cluster_stop(t, c);
}

static void a_cluster_survives_its_process_and_is_adopted(void **state)
{
	struct place *p = *state;
	in_a_task(start_and_be_killed, p);
	in_a_task(adopt_and_stop, p);
	in_a_task(start_and_stop, p);
}

static void a_long_path_gets_its_socket_elsewhere(void **state)
{
	struct place *p = *state, deep = { 0 };
	snprintf(deep.dir, sizeof(deep.dir), "%.64s/%0120d", p->dir, 0);
	in_a_task(start_and_stop, &deep);
}

static int up(void **state)
{
	static struct place p;
	log_set_level(LOG_ERROR);
	snprintf(p.dir, sizeof(p.dir), "/tmp/launchplane-unit-XXXXXX");
	*state = &p;
	return mkdtemp(p.dir) && chmod(p.dir, 0755) == 0 ? 0 : -1;
}

static int down(void **state)
{
	const struct place *p = *state;
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", p->dir, NULL);
		_exit(1);
	}
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cluster_survives_its_process_and_is_adopted),
		cmocka_unit_test(a_long_path_gets_its_socket_elsewhere),
	};
	return cmocka_run_group_tests(tests, up, down);
}
