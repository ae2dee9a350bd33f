#include "scratch.h"

#include "core/log.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct scratch {
	struct loop loop;
	struct cluster *cluster;
	char dir[64], url[2048];
	unsigned databases;
	struct db_options options;
	scratch_fn fn;
	bool ok;
};

/* A failed assertion jumps out of the task for good: its loop cannot be used again, only cleaned up behind. */
static void give_up(const struct scratch *s)
{
	char path[128], pid[16] = "";
	snprintf(path, sizeof(path), "%s/postgres/data/postmaster.pid", s->dir);
	FILE *f = fopen(path, "r");
	if (f && fgets(pid, sizeof(pid), f) && atoi(pid) > 0)
		kill(atoi(pid), SIGQUIT);
	print_error("a test failed inside its task: the rest is not run; the cluster's files are in %s\n", s->dir);
	exit(1);
}

static void run_task(struct scratch *s, task_fn fn)
{
	if (s->loop.current)
		give_up(s);
	assert_non_null(task_spawn(&s->loop, "test", fn, s));
	while (s->loop.tasks_alive)
		uv_run(&s->loop.uv, UV_RUN_ONCE);
}

static SUSPENDS void up(struct task *t, void *arg)
{
	struct scratch *s = arg;
	struct err err = { 0 };
	s->ok = cluster_start(t, s->dir, &s->cluster, &err);
	if (!s->ok)
		print_error("%s\n", err.message);
}

int scratch_up(void **state)
{
	struct scratch *s = calloc(1, sizeof(*s));
	struct err err = { 0 };
	log_set_level(LOG_ERROR);
	snprintf(s->dir, sizeof(s->dir), "/tmp/launchplane-unit-XXXXXX");
	if (!mkdtemp(s->dir) || chmod(s->dir, 0755) != 0 || !loop_init(&s->loop, NULL, &err))
		return -1;
	run_task(s, up);
	*state = s;
	return s->ok ? 0 : -1;
}

static SUSPENDS void down(struct task *t, void *arg)
{
	struct scratch *s = arg;
	cluster_stop(t, s->cluster);
}

int scratch_down(void **state)
{
	struct scratch *s = *state;
	run_task(s, down);
	loop_done(&s->loop);
	char rm[128];
	snprintf(rm, sizeof(rm), "%s", s->dir);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", rm, NULL);
		_exit(1);
	}
	free(s);
	return 0;
}

static SUSPENDS bool one_statement(struct task *t, const char *sql, struct rows *rows, struct err *err)
{
	const struct query q = { .name = "", .sql = sql, .writes = true };
	return db_write(t, sql, &q, PARAMS(), rows, err);
}

void scratch_do(struct task *t, const char *sql)
{
	struct err err = { 0 };
	if (!one_statement(t, sql, NULL, &err))
		fail_msg("%s: %s %s", sql, err.message, err.cause);
}

const char *scratch_text(struct task *t, const char *sql)
{
	struct err err = { 0 };
	struct rows rows = { 0 };
	if (!one_statement(t, sql, &rows, &err))
		fail_msg("%s: %s %s", sql, err.message, err.cause);
	return rows.n ? row_text(&rows, 0, 0) : NULL;
}

static SUSPENDS void make_database(struct task *t, void *arg)
{
	struct scratch *s = arg;
	struct err err = { 0 };
	snprintf(s->url, sizeof(s->url), "%s", cluster_url(s->cluster));
	assert_non_null(db_new(t->loop, &(struct db_options){ .url = s->url }, &err));
	scratch_do(t, arena_printf(t->arena, "create database t%u", ++s->databases));
	db_close(t, t->loop->db, 5000);
	const char *url = cluster_url(s->cluster), *name = strstr(url, "/postgres?");
	snprintf(s->url, sizeof(s->url), "%.*s/t%u?%s", (int)(name - url), url, s->databases,
	         name + strlen("/postgres?"));
}

static NO_ROLE_CHECK void test_task(struct task *t, void *arg)
{
	struct scratch *s = arg;
	struct err err = { 0 };
	s->options.url = s->url;
	t->loop->app = s;
	if (!db_new(t->loop, &s->options, &err) || !db_ready(t, &err))
		fail_msg("%s %s", err.message, err.cause);
	s->fn(t);
	db_close(t, t->loop->db, 2000);
}

void scratch_run(void **state, const struct db_options *options, scratch_fn fn)
{
	struct scratch *s = *state;
	s->fn = fn;
	s->options = options ? *options : (struct db_options){ 0 };
	run_task(s, make_database);
	run_task(s, test_task);
}

const char *scratch_url(struct task *t)
{
	struct scratch *s = t->loop->app;
	return s->url;
}

void crowd_run(struct task *t, task_fn fn, struct member *members, unsigned n)
{
	struct err err = { 0 };
	struct crowd *crowd = members[0].crowd;
	crowd->left = n;
	for (unsigned i = 0; i < n; i++)
		assert_non_null(task_spawn(t->loop, "member", fn, &members[i]));
	while (crowd->left)
		assert_true(task_sleep(t, 2, &err));
}

struct member *crowd_of(struct task *t, struct crowd *crowd, unsigned n, const struct query *q)
{
	struct member *m = arena_array(t->arena, n, sizeof(*m));
	for (unsigned i = 0; i < n; i++)
		m[i] = (struct member){
			.crowd = crowd, .query = q, .number = (int)i, .key = arena_printf(t->arena, "k%u", i)
		};
	return m;
}
