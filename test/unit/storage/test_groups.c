#include "scratch.h"

#include "core/loop.h"

/* When writes that wait become a group of their own. */

#define WRITERS  10
#define STUCK_MS 50 /* as in storage/db_schedule.c */

static const struct query put = {
	.name = "put",
	.n_params = 2,
	.writes = true,
	.sql = "insert into thing (k, v) values ($1, $2) on conflict (k) do update set v = excluded.v",
};
static const struct query lock = {
	.name = "lock",
	.writes = true,
	.sql = "select pg_advisory_xact_lock(7)",
};
static const struct query look = { .name = "look", .sql = "select 1" };
static const struct query waiting = { .name = "waiting", .sql = "select count(*) from pg_locks where not granted" };
static const char make_thing[] = "create table thing (k text primary key, v int)";

struct holding {
	bool has_it, is_released, is_over;
	unsigned blocked;
};

static SUSPENDS void hold(struct task *t, void *arg)
{
	struct holding *h = arg;
	struct tx *tx;
	struct err err = { 0 };
	if (tx_begin(t, &tx, &err)) {
		h->has_it = tx_query(tx, &lock, PARAMS(), NULL, &err);
		while (!h->is_released && tx_query(tx, &look, PARAMS(), NULL, &err))
			;
		tx_rollback(tx);
	}
	h->is_over = true;
}

static SUSPENDS void be_blocked(struct task *t, void *arg)
{
	struct holding *h = arg;
	struct err err = { 0 };
	assert_true(db_write(t, h->blocked == 1 ? "one" : "other", &lock, PARAMS(), NULL, &err));
	h->blocked--;
}

/* A read, which waits for no write. */
static SUSPENDS bool waits(struct task *t, unsigned n)
{
	struct rows rows;
	struct err err = { 0 };
	assert_true(db_query(t, &waiting, PARAMS(), &rows, &err));
	return row_int(&rows, 0, 0) == n;
}

/* Two groups wait for a lock that the holder has. */
static SUSPENDS void block(struct task *t, struct holding *h)
{
	struct err err = { 0 };
	*h = (struct holding){ 0 };
	assert_non_null(task_spawn(t->loop, "holder", hold, h));
	while (!h->has_it)
		assert_true(task_sleep(t, 1, &err));
	for (unsigned i = 1; i <= 2; i++) {
		h->blocked = i;
		assert_non_null(task_spawn(t->loop, "blocked", be_blocked, h));
		while (!waits(t, i))
			assert_true(task_sleep(t, 1, &err));
	}
}

static SUSPENDS void release(struct task *t, struct holding *h)
{
	struct err err = { 0 };
	h->is_released = true;
	while (h->blocked || !h->is_over)
		assert_true(task_sleep(t, 1, &err));
}

static SUSPENDS void check_stuck(struct task *t)
{
	struct holding h;
	struct err err = { 0 };
	scratch_do(t, make_thing);
	block(t, &h);
	assert_true(db_write(t, "third", &put, PARAMS(P_TEXT("k"), P_INT(1)), NULL, &err));
	assert_int_equal(h.blocked, 2); /* both still are */
	release(t, &h);
}

static void groups_that_are_stuck_keep_nobody_waiting(void **state)
{
	scratch_run(state, NULL, check_stuck);
}

static SUSPENDS void write_once(struct task *t, void *arg)
{
	struct member *m = arg;
	struct err err = { 0 };
	m->crowd->good += db_write(t, m->key, m->query, PARAMS(P_TEXT(m->key), P_INT(1)), NULL, &err);
	m->crowd->left--;
}

/* How many of WRITERS wait although connections are free; -1: the machine was too slow to tell. */
static SUSPENDS int waiting_writers(struct task *t)
{
	struct holding h;
	struct db_stats before, now, after;
	struct crowd crowd = { .left = WRITERS };
	struct err err = { 0 };
	struct member *m = crowd_of(t, &crowd, WRITERS, &put);
	uint64_t begun = loop_now_ms(t->loop);
	block(t, &h);
	db_stats(t->loop->db, &before);
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_non_null(task_spawn(t->loop, "writer", write_once, &m[i]));
		assert_true(task_sleep(t, 1, &err)); /* each in a turn of its own */
	}
	db_stats(t->loop->db, &now);
	bool in_time = loop_now_ms(t->loop) < begun + STUCK_MS;
	while (crowd.left)
		assert_true(task_sleep(t, 1, &err));
	db_stats(t->loop->db, &after);
	release(t, &h);
	assert_int_equal(crowd.good, WRITERS);
	if (!in_time)
		return -1;
	assert_int_equal(after.groups - before.groups, 1);
	return (int)now.waiting;
}

static SUSPENDS void check_gathering(struct task *t)
{
	int n = -1;
	scratch_do(t, make_thing);
	for (int i = 0; i < 100 && n < 0; i++)
		n = waiting_writers(t);
	if (n < 0)
		print_message("no try was fast enough\n");
	else
		assert_int_equal(n, WRITERS);
}

static void writes_gather_while_two_groups_are_in_flight(void **state)
{
	const struct db_options open = { .pool_size = 8, .min_open = 8 };
	scratch_run(state, &open, check_gathering);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_gather_while_two_groups_are_in_flight),
		cmocka_unit_test(groups_that_are_stuck_keep_nobody_waiting),
	};
	return cmocka_run_group_tests(tests, scratch_up, scratch_down);
}
