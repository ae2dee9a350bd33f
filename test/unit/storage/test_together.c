#include "scratch.h"

/* Several items of one query in one statement, and reads whose answer is known. */

static const struct query named_together = {
	.name = "named_together",
	.n_params = 2,
	.hidden = 2,
	.sql = "select asked.number, pg_current_snapshot()::text, answer.*"
	       " from unnest($1::text[], $2::text[]) with ordinality as asked (p1, p2, number) "
	       "cross join lateral (select k, v / length(asked.p2) as share from thing where k = asked.p1) as answer",
};
static const struct query named = {
	.name = "named",
	.n_params = 2,
	.hidden = 2,
	.sql = "select 1, pg_current_snapshot()::text, k, v / length($2) as share from thing where k = $1",
	.together = &named_together,
};
static const struct query put = {
	.name = "put",
	.n_params = 2,
	.writes = true,
	.sql = "insert into thing (k, v) values ($1, $2) on conflict (k) do update set v = excluded.v",
};
static const char make_thing[] = "create table thing (k text primary key, v int)";

/* ---- reads in one statement ---- */

struct asking {
	const char *key, *divisor; /* its length is; "": the statement fails */
	bool ok, is_cancelled;
	size_t n;
	struct err err;
};

struct askings {
	struct asking *of;
	unsigned next, left;
};

static SUSPENDS void ask_for(struct task *t, void *arg)
{
	struct askings *all = arg;
	struct asking *a = &all->of[all->next++];
	struct rows rows;
	if (a->is_cancelled)
		task_set_deadline(t, 0);
	a->ok = db_query(t, &named, PARAMS(P_TEXT(a->key), P_TEXT(a->divisor)), &rows, &a->err);
	a->n = a->ok ? rows.n : 0;
	if (a->n) {
		assert_int_equal(rows.changed, 1);
		assert_string_equal(row_text(&rows, 0, 0), a->key);
		assert_int_equal(row_int(&rows, 0, 1), 12 / strlen(a->divisor));
		assert_int_equal(row_column(&rows, "k"), 0);
		assert_int_equal(row_column(&rows, "number"), -1);
		assert_string_equal(row_named(&rows, 0, "k"), a->key);
		rows_done(&rows);
	}
	all->left--;
}

static SUSPENDS void ask_all(struct task *t, struct asking *of, unsigned n)
{
	struct err err = { 0 };
	struct askings all = { .of = of, .left = n };
	for (unsigned i = 0; i < n; i++)
		assert_non_null(task_spawn(t->loop, "asking", ask_for, &all));
	while (all.left)
		assert_true(task_sleep(t, 2, &err));
}

static SUSPENDS void check_together(struct task *t)
{
	static const char *const keys[] = { "a", "quo\"te", "back\\slash", "{brace,comma}", "NULL", "", "\xc3\xa9" };
	struct db_stats before, after;
	struct err err = { 0 };
	scratch_do(t, make_thing);
	for (size_t i = 0; i < countof(keys); i++)
		assert_true(db_write(t, "x", &put, PARAMS(P_TEXT(keys[i]), P_INT(12)), NULL, &err));
	struct asking *of = arena_array(t->arena, 40, sizeof(*of));
	for (unsigned i = 0; i < 40; i++)
		of[i] = (struct asking){ .key = i % 8 < 7    ? keys[i % 8]
			                        : i % 16 < 8 ? "none"
			                                     : NULL,
			                 .divisor = i % 2 ? "12" : "123" };
	db_stats(t->loop->db, &before);
	ask_all(t, of, 40);
	db_stats(t->loop->db, &after);
	for (unsigned i = 0; i < 40; i++) {
		assert_true(of[i].ok);
		assert_int_equal(of[i].n, i % 8 < 7);
	}
	assert_int_equal(after.together - before.together, 40);
	assert_true(after.queries - before.queries <= 8);
	assert_int_equal(after.resent, before.resent);
}

static void reads_of_different_keys_are_one_statement(void **state)
{
	scratch_run(state, NULL, check_together);
}

static SUSPENDS void check_bad_asking(struct task *t)
{
	struct err err = { 0 };
	scratch_do(t, make_thing);
	assert_true(db_write(t, "x", &put, PARAMS(P_TEXT("a"), P_INT(12)), NULL, &err));
	struct asking *of = arena_array(t->arena, 12, sizeof(*of));
	for (unsigned i = 0; i < 12; i++)
		of[i] = (struct asking){ .key = "a", .divisor = i == 5 ? "" : "12", .is_cancelled = i == 7 };
	ask_all(t, of, 12);
	for (unsigned i = 0; i < 12; i++)
		assert_int_equal(of[i].ok, i != 5 && i != 7);
	assert_string_equal(of[5].err.sqlstate, "22012");
	assert_ptr_equal(of[7].err.code, &E_timeout);
	/* alone again: nothing of the failure is left */
	ask_all(t, of, 5);
	assert_true(of[4].ok && of[4].n == 1);
}

static void a_bad_read_of_a_shared_statement_fails_alone(void **state)
{
	scratch_run(state, NULL, check_bad_asking);
}

/* ---- writes in one statement ---- */

/* together tells how many items its statement had. A negative number is refused by the table. */
#define INSERT_ITEMS(items)                                                                                            \
	"with g as (select * from " items " as g(k, v, n)),"                                                           \
	" i as (insert into crowd select k, v::int, count(*) over () from g"                                           \
	"       on conflict (k) do update set v = excluded.v, together = excluded.together)"                           \
	" select n, k, v from g"
static const struct query insert_items = {
	.name = "insert_items",
	.sql = INSERT_ITEMS("unnest($1::text[], $2::text[]) with ordinality"),
	.n_params = 2,
	.writes = true,
	.hidden = 1,
};
static const struct query insert_item = {
	.name = "insert_item",
	.sql = INSERT_ITEMS("(values ($1::text, $2::text, 1::bigint))"),
	.n_params = 2,
	.writes = true,
	.together = &insert_items,
	.hidden = 1,
};
static const char make_crowd[] = "create table crowd (k text primary key, v int check (v >= 0), together int)";

static SUSPENDS void write_item(struct task *t, void *arg)
{
	struct member *m = arg;
	struct err err = { 0 };
	struct rows rows;
	struct param number = m->number % 3 ? P_INT(m->number) : P_NULL;
	bool ok = db_write(t, m->key, m->query, PARAMS(P_TEXT(m->key), number), &rows, &err);
	if (ok) {
		assert_int_equal(rows.n, 1);
		assert_string_equal(row_text(&rows, 0, 0), m->key);
		assert_int_equal(row_is_null(&rows, 0, 1), m->number % 3 == 0);
		assert_int_equal(row_int(&rows, 0, 1), m->number % 3 ? m->number : 0);
	} else {
		m->crowd->last = err;
	}
	*(ok ? &m->crowd->good : &m->crowd->bad) += 1;
	m->crowd->left--;
}

static SUSPENDS void check_many(struct task *t)
{
	struct crowd crowd = { 0 };
	struct db_stats before, after;
	scratch_do(t, make_crowd);
	db_stats(t->loop->db, &before);
	crowd_run(t, write_item, crowd_of(t, &crowd, 200, &insert_item), 200);
	db_stats(t->loop->db, &after);
	assert_int_equal(crowd.good, 200);
	assert_string_equal(scratch_text(t, "select count(*) from crowd"), "200");
	assert_string_equal(scratch_text(t, "select max(together) > 8 from crowd"), "t");
	assert_true(after.queries - before.queries < 100);
}

static void items_of_different_keys_become_one_statement_and_each_gets_its_row(void **state)
{
	scratch_run(state, NULL, check_many);
}

static SUSPENDS void check_bad_item(struct task *t)
{
	struct crowd crowd = { 0 };
	scratch_do(t, make_crowd);
	struct member *m = crowd_of(t, &crowd, 32, &insert_item);
	m[9].number = -1;
	crowd_run(t, write_item, m, 32);
	assert_int_equal(crowd.good, 31);
	assert_int_equal(crowd.bad, 1);
	assert_string_equal(crowd.last.sqlstate, "23514");
	assert_string_equal(scratch_text(t, "select count(*) from crowd"), "31");
}

static void a_bad_item_fails_alone(void **state)
{
	scratch_run(state, NULL, check_bad_item);
}

static SUSPENDS void check_order_of_items(struct task *t)
{
	struct crowd crowd = { 0 };
	scratch_do(t, make_crowd);
	struct member *m = crowd_of(t, &crowd, 302, &insert_item);
	for (unsigned i = 0; i < 302; i++)
		m[i].key = i % 2 ? "odd" : "even";
	crowd_run(t, write_item, m, 302);
	assert_int_equal(crowd.good, 302);
	assert_string_equal(scratch_text(t, "select v from crowd where k = 'odd'"), "301");
	assert_string_equal(scratch_text(t, "select v is null from crowd where k = 'even'"), "t");
}

static void items_of_one_key_keep_their_order(void **state)
{
	scratch_run(state, NULL, check_order_of_items);
}

/* ---- reads whose answer is known ---- */

static SUSPENDS int64_t value_of(struct task *t, const char *key)
{
	struct rows rows;
	struct err err = { 0 };
	assert_true(db_query(t, &named, PARAMS(P_TEXT(key), P_TEXT("1")), &rows, &err));
	return rows.n ? row_int(&rows, 0, 1) : -1;
}

static SUSPENDS void put_value(struct task *t, const char *key, int value)
{
	struct err err = { 0 };
	assert_true(db_write(t, key, &put, PARAMS(P_TEXT(key), P_INT(value)), NULL, &err));
}

static uint64_t known_so_far(struct task *t)
{
	struct db_stats stats;
	db_stats(t->loop->db, &stats);
	return stats.known;
}

static SUSPENDS void check_known(struct task *t)
{
	scratch_do(t, make_thing);
	put_value(t, "a", 1);
	for (int i = 0; i < 40; i++)
		assert_int_equal(value_of(t, "a"), 1);
	uint64_t before = known_so_far(t);
	assert_in_range(before, 10,
	                38); /* the first one met the snapshot, the second was kept; a new connection forgets */
	for (int i = 0; i < 5; i++)
		assert_int_equal(value_of(t, "nobody"), -1); /* that there is none is asked each time */
	assert_int_equal(known_so_far(t), before);
	put_value(t, "b", 2);
	assert_int_equal(value_of(t, "a"), 1);
	assert_int_equal(known_so_far(t), before);
	put_value(t, "a", 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(value_of(t, "a"), 3);
}

static void an_answer_is_known_until_the_next_commit(void **state)
{
	scratch_run(state, NULL, check_known);
}

struct other_session {
	bool has_changed, may_end, is_over;
};

static const struct query add_one = { .name = "", .sql = "update thing set v = v + 1 where k = 'a'", .writes = true };

static NO_ROLE_CHECK SUSPENDS void change_slowly(struct task *t, void *arg)
{
	static const struct query nap = { .name = "", .sql = "select pg_sleep(0.02)" };
	struct other_session *s = arg;
	struct err err = { 0 };
	struct tx *tx;
	assert_true(tx_begin(t, &tx, &err));
	assert_true(tx_query(tx, &add_one, PARAMS(), NULL, &err));
	s->has_changed = true;
	while (!s->may_end)
		assert_true(tx_query(tx, &nap, PARAMS(), NULL, &err));
	assert_true(tx_commit(tx, &err));
	s->is_over = true;
}

static NO_ROLE_CHECK SUSPENDS void check_transactions(struct task *t)
{
	struct other_session other = { 0 };
	struct err err = { 0 };
	struct rows rows;
	scratch_do(t, make_thing);
	put_value(t, "a", 1);
	assert_non_null(task_spawn(t->loop, "other", change_slowly, &other));
	while (!other.has_changed)
		assert_true(task_sleep(t, 1, &err));
	uint64_t before = known_so_far(t);
	for (int i = 0; i < 500 && known_so_far(t) == before; i++)
		assert_int_equal(value_of(t, "a"), 1);
	assert_true(known_so_far(t) > before); /* what is not committed is no reason to ask again */
	other.may_end = true;
	while (!other.is_over)
		assert_true(task_sleep(t, 1, &err));
	assert_int_equal(value_of(t, "a"), 2);
	struct tx *tx;
	assert_true(tx_begin(t, &tx, &err));
	assert_true(tx_query(tx, &add_one, PARAMS(), NULL, &err));
	assert_true(tx_query(tx, &named, PARAMS(P_TEXT("a"), P_TEXT("1")), &rows, &err));
	assert_int_equal(row_int(&rows, 0, 1), 3); /* a transaction sees its own change */
	tx_rollback(tx);
	for (int i = 0; i < 3; i++)
		assert_int_equal(value_of(t, "a"), 2);
}

static void a_commit_of_another_session_is_seen_at_once(void **state)
{
	scratch_run(state, NULL, check_transactions);
}

static SUSPENDS void check_lost_connection(struct task *t)
{
	static const struct query kill_all = {
		.name = "",
		.sql = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()",
	};
	struct err err = { 0 };
	scratch_do(t, make_thing);
	put_value(t, "a", 1);
	for (int i = 0; i < 40; i++)
		assert_int_equal(value_of(t, "a"), 1);
	uint64_t before = known_so_far(t);
	assert_true(before > 10);
	struct rows rows;
	assert_false(db_query(t, &kill_all, PARAMS(), NULL, &err));
	while (!db_query(t, &named, PARAMS(P_TEXT("a"), P_TEXT("1")), &rows, &err))
		assert_true(task_sleep(t, 10, &err));
	assert_int_equal(row_int(&rows, 0, 1), 1);
	assert_int_equal(known_so_far(t), before);
}

static void nothing_is_known_of_a_server_after_its_connection_broke(void **state)
{
	scratch_run(state, NULL, check_lost_connection);
}

/* Readers and writers of a few keys at once: what is read is never older than what was confirmed before it was asked.
 */
struct counters {
	int64_t confirmed[4];
	unsigned left;
	bool is_over;
};

static SUSPENDS void count_up(struct task *t, void *arg)
{
	struct counters *c = arg;
	struct err err = { 0 };
	for (int round = 1; round <= 60; round++) {
		for (int i = 0; i < 4; i++) {
			put_value(t, arena_printf(t->arena, "k%d", i), round);
			c->confirmed[i] = round;
		}
		/* now and then it is calm long enough for answers to be known */
		assert_true(task_sleep(t, round % 4 ? 0 : 20, &err));
	}
	c->is_over = true;
	c->left--;
}

static SUSPENDS void look(struct task *t, void *arg)
{
	struct counters *c = arg;
	struct err err = { 0 };
	for (unsigned i = 0; !c->is_over; i++) {
		int64_t least = c->confirmed[i % 4];
		int64_t found = value_of(t, arena_printf(t->arena, "k%u", i % 4));
		if (found < least)
			fail_msg("k%u: %lld, although %lld was confirmed", i % 4, (long long)found, (long long)least);
		assert_true(task_sleep(t, i % 3, &err));
	}
	c->left--;
}

static SUSPENDS void check_freshness(struct task *t)
{
	struct counters c = { .left = 17 };
	struct err err = { 0 };
	scratch_do(t, make_thing);
	for (int i = 0; i < 4; i++)
		put_value(t, arena_printf(t->arena, "k%d", i), 0);
	for (int i = 0; i < 16; i++)
		assert_non_null(task_spawn(t->loop, "reader", look, &c));
	assert_non_null(task_spawn(t->loop, "writer", count_up, &c));
	while (c.left)
		assert_true(task_sleep(t, 5, &err));
	assert_true(known_so_far(t) > 0);
}

static void a_read_is_never_older_than_what_was_confirmed(void **state)
{
	scratch_run(state, NULL, check_freshness);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_of_different_keys_are_one_statement),
		cmocka_unit_test(a_bad_read_of_a_shared_statement_fails_alone),
		cmocka_unit_test(items_of_different_keys_become_one_statement_and_each_gets_its_row),
		cmocka_unit_test(a_bad_item_fails_alone),
		cmocka_unit_test(items_of_one_key_keep_their_order),
		cmocka_unit_test(an_answer_is_known_until_the_next_commit),
		cmocka_unit_test(a_commit_of_another_session_is_seen_at_once),
		cmocka_unit_test(nothing_is_known_of_a_server_after_its_connection_broke),
		cmocka_unit_test(a_read_is_never_older_than_what_was_confirmed),
	};
	return cmocka_run_group_tests(tests, scratch_up, scratch_down);
}
