#include "scratch.h"

#include "storage/queries.h"

static const struct query plus_one = { .name = "plus_one", .sql = "select $1::int + 1, $2::text", .n_params = 2 };
static const struct query divide = { .name = "divide", .sql = "select 1 / $1::int", .n_params = 1 };
static const struct query nonsense = { .name = "nonsense", .sql = "select no_such_column" };
static const struct query nap = { .name = "nap", .sql = "select pg_sleep($1::float8 / 1000)", .n_params = 1 };
static const struct query insert = {
	.name = "insert",
	.sql = "insert into thing (k, v) values ($1, $2)",
	.n_params = 2,
	.writes = true,
};
static const struct query upsert = {
	.name = "upsert",
	.n_params = 2,
	.writes = true,
	.sql = "insert into thing (k, v) values ($1, $2) on conflict (k) do update set v = excluded.v",
};
static const struct query slow_insert = {
	.name = "slow_insert",
	.n_params = 1,
	.writes = true,
	.sql = "insert into thing (k, v) select $1, length(pg_sleep(5)::text)",
};
static const struct query kill_others = {
	.name = "kill_others",
	.sql = "select pg_terminate_backend(pid) from pg_stat_activity "
	       "where datname = current_database() and pid <> pg_backend_pid() and query like $1 "
	       "and (state = 'active' or query like 'listen%' or query like 'select pg_try_advisory%')",
	.n_params = 1,
};
static const struct query doze_together = {
	.name = "doze_together",
	.n_params = 1,
	.hidden = 2,
	.sql = "select asked.number, pg_current_snapshot()::text, pg_sleep(asked.p1::float8)::text"
	       " from unnest($1::text[]) with ordinality as asked (p1, number)",
};
static const struct query doze = {
	.name = "doze",
	.n_params = 1,
	.hidden = 2,
	.sql = "select 1, pg_current_snapshot()::text, pg_sleep($1::text::float8)::text",
	.together = &doze_together,
};
static const char make_thing[] = "create table thing (k text primary key, v int)";

/* ---- every query ---- */

static SUSPENDS bool prepares(struct task *t, const struct query *q, struct err *err)
{
	struct tx *tx;
	const struct query prepare = { .name = "", .sql = arena_printf(t->arena, "prepare %s as %s", q->name, q->sql) };
	if (!tx_begin(t, &tx, err))
		return false;
	bool ok = tx_query(tx, &prepare, PARAMS(), NULL, err);
	tx_rollback(tx);
	return ok;
}

static SUSPENDS void check_all_queries(struct task *t)
{
	struct migrate_report report;
	struct err err = { 0 };
	if (!migrate_apply(t, &report, &err))
		fail_msg("%s %s", err.message, err.cause);
	for (size_t i = 0; i < all_queries_n; i++) {
		const struct query *q = all_queries[i];
		bool is_ddl = strncmp(q->sql, "create ", 7) == 0; /* PREPARE knows only statements with plans */
		if (!is_ddl && !prepares(t, q, &err))
			fail_msg("%s: %s", q->name, err.cause);
	}
}

static void every_query_prepares_on_a_migrated_database(void **state)
{
	scratch_run(state, NULL, check_all_queries);
}

/* ---- many tasks at once ---- */

static SUSPENDS void read_one(struct task *t, void *arg)
{
	struct member *m = arg;
	struct err err = { 0 };
	struct rows rows;
	bool ok = m->query == &plus_one ? db_query(t, &plus_one, PARAMS(P_INT(m->number), P_TEXT("x")), &rows, &err)
	                                : db_query(t, m->query, PARAMS(P_INT(0)), &rows, &err);
	if (ok)
		assert_int_equal(row_int(&rows, 0, 0), m->number + 1);
	else
		m->crowd->last = err;
	*(ok ? &m->crowd->good : &m->crowd->bad) += 1;
	m->crowd->left--;
}

static SUSPENDS void write_one(struct task *t, void *arg)
{
	struct member *m = arg;
	struct err err = { 0 };
	bool ok = db_write(t, m->key, m->query, PARAMS(P_TEXT(m->key), P_INT(m->number)), NULL, &err);
	if (!ok)
		m->crowd->last = err;
	*(ok ? &m->crowd->good : &m->crowd->bad) += 1;
	m->crowd->left--;
}

static SUSPENDS void check_shared_sync(struct task *t)
{
	struct crowd crowd = { 0 };
	struct db_stats before, after;
	db_stats(t->loop->db, &before);
	crowd_run(t, read_one, crowd_of(t, &crowd, 64, &plus_one), 64);
	db_stats(t->loop->db, &after);
	assert_int_equal(crowd.good, 64);
	assert_int_equal(after.queries - before.queries, 64);
	assert_true(after.batches - before.batches <= 8);
}

static void reads_of_one_turn_share_a_sync(void **state)
{
	scratch_run(state, NULL, check_shared_sync);
}

static SUSPENDS void check_bad_reads(struct task *t)
{
	struct crowd crowd = { 0 };
	struct member *m = crowd_of(t, &crowd, 40, &plus_one);
	m[3].query = m[17].query = &divide;
	crowd_run(t, read_one, m, 40);
	assert_int_equal(crowd.good, 38);
	assert_int_equal(crowd.bad, 2);
	assert_string_equal(crowd.last.sqlstate, "22012");
}

static void a_bad_read_fails_alone(void **state)
{
	scratch_run(state, NULL, check_bad_reads);
}

static SUSPENDS void check_unparsable(struct task *t)
{
	struct err err = { 0 };
	for (int i = 0; i < 3; i++) {
		assert_false(db_query(t, &nonsense, PARAMS(), NULL, &err));
		assert_string_equal(err.sqlstate, "42703");
		assert_ptr_equal(err.code, &E_internal_error);
	}
	assert_true(db_query(t, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &err));
}

static void a_statement_that_cannot_be_prepared_says_why_each_time(void **state)
{
	scratch_run(state, NULL, check_unparsable);
}

static SUSPENDS void check_bad_writes(struct task *t)
{
	struct crowd crowd = { 0 };
	struct db_stats stats;
	scratch_do(t, make_thing);
	struct member *m = crowd_of(t, &crowd, 32, &insert);
	m[9].key = "k4"; /* the same row twice: the second is refused, and only it */
	crowd_run(t, write_one, m, 32);
	assert_int_equal(crowd.good, 31);
	assert_int_equal(crowd.bad, 1);
	assert_true(db_is_unique_violation(&crowd.last, "thing_pkey"));
	assert_false(db_is_unique_violation(&crowd.last, "thing"));
	assert_string_equal(scratch_text(t, "select count(*) from thing"), "31");
	db_stats(t->loop->db, &stats);
	assert_true(stats.resent > 0);
}

static void a_bad_write_fails_alone(void **state)
{
	scratch_run(state, NULL, check_bad_writes);
}

static SUSPENDS void check_grouping(struct task *t)
{
	struct crowd crowd = { 0 };
	struct db_stats before, after;
	scratch_do(t, make_thing);
	db_stats(t->loop->db, &before);
	crowd_run(t, write_one, crowd_of(t, &crowd, 200, &insert), 200);
	db_stats(t->loop->db, &after);
	assert_int_equal(crowd.good, 200);
	assert_string_equal(scratch_text(t, "select count(*) from thing"), "200");
	assert_true(after.groups - before.groups < 40);
}

static void writes_that_wait_are_committed_together(void **state)
{
	scratch_run(state, NULL, check_grouping);
}

static SUSPENDS void check_order(struct task *t)
{
	struct crowd crowd = { 0 };
	scratch_do(t, make_thing);
	struct member *m = crowd_of(t, &crowd, 300, &upsert);
	for (unsigned i = 0; i < 300; i++)
		m[i].key = i % 2 ? "odd" : "even";
	crowd_run(t, write_one, m, 300);
	assert_int_equal(crowd.good, 300);
	assert_string_equal(scratch_text(t, "select v from thing where k = 'odd'"), "299");
	assert_string_equal(scratch_text(t, "select v from thing where k = 'even'"), "298");
}

static void writes_of_one_key_keep_their_order_and_do_not_deadlock(void **state)
{
	scratch_run(state, NULL, check_order);
}

static SUSPENDS void check_deferred(struct task *t)
{
	struct crowd crowd = { 0 };
	scratch_do(t, "create table thing (k text, v int, unique (k) deferrable initially deferred)");
	struct member *m = crowd_of(t, &crowd, 20, &insert);
	m[9].key = "k4";
	crowd_run(t, write_one, m, 20);
	assert_int_equal(crowd.good, 19);
	assert_true(db_is_unique_violation(&crowd.last, NULL));
	assert_string_equal(scratch_text(t, "select count(*) from thing"), "19");
}

static void a_commit_that_fails_is_no_success(void **state)
{
	scratch_run(state, NULL, check_deferred);
}

/* ---- values ---- */

static SUSPENDS void check_values(struct task *t)
{
	static const struct query q = {
		.name = "values",
		.n_params = 6,
		.sql = "select $1::text, $2::json, $3::bigint, $4::boolean as yes, $5::timestamptz, "
		       "octet_length($6::bytea)",
	};
	struct err err = { 0 };
	struct rows rows;
	size_t n;
	assert_true(db_query(t, &q,
	                     PARAMS(P_TEXT("hä"), P_BYTES("{\"a\": 1}xx", 8), P_INT(-5000000000), P_BOOL(true),
	                            P_TEXT(NULL), P_BYTES("\0\1", 2)),
	                     &rows, &err));
	assert_int_equal(rows.n, 1);
	assert_string_equal(row_text(&rows, 0, 0), "hä");
	assert_string_equal(row_bytes(&rows, 0, 1, &n), "{\"a\": 1}");
	assert_int_equal(n, 8);
	assert_true(row_int(&rows, 0, 2) == -5000000000);
	assert_true(row_bool(&rows, 0, 3));
	assert_string_equal(row_named(&rows, 0, "yes"), "t");
	assert_true(row_is_null(&rows, 0, 4));
	assert_null(row_text(&rows, 0, 4));
	assert_int_equal(row_int(&rows, 0, 5), 2);
	rows_done(&rows);
	assert_int_equal(rows.n, 0);
}

static void values_arrive_as_they_were_sent(void **state)
{
	scratch_run(state, NULL, check_values);
}

/* ---- lost connections ---- */

struct victim {
	struct err err;
	bool ok, is_done;
	const struct query *query;
};

static SUSPENDS void long_read(struct task *t, void *arg)
{
	struct victim *v = arg;
	v->ok = db_query(t, &nap, PARAMS(P_INT(5000)), NULL, &v->err);
	v->is_done = true;
}

struct sleepers {
	struct victim *first; /* the one that the test waits for */
	unsigned left, failed;
};

static SUSPENDS void sleep_with_others(struct task *t, void *arg)
{
	struct sleepers *s = arg;
	struct err err = { 0 };
	bool ok = db_query(t, &doze, PARAMS(P_TEXT("5")), NULL, &err);
	s->failed += !ok && err.code == &E_database_unavailable;
	if (--s->left)
		return;
	s->first->ok = ok;
	s->first->err = err;
	s->first->is_done = true;
}

static SUSPENDS void long_shared_read(struct task *t, void *arg)
{
	struct victim *v = arg;
	struct sleepers s = { .first = v, .left = 6 };
	struct err err = { 0 };
	for (int i = 0; i < 6; i++)
		task_spawn(t->loop, "sleeper", sleep_with_others, &s);
	while (!v->is_done)
		assert_true(task_sleep(t, 5, &err));
	assert_int_equal(s.failed, 6);
}

static SUSPENDS void long_write(struct task *t, void *arg)
{
	struct victim *v = arg;
	v->ok = db_write(t, "k", &slow_insert, PARAMS(P_TEXT("k")), NULL, &v->err);
	v->is_done = true;
}

static SUSPENDS void kill_while(struct task *t, task_fn fn, struct victim *v, const char *like)
{
	struct err err = { 0 };
	struct rows rows = { 0 };
	task_spawn(t->loop, "victim", fn, v);
	for (int i = 0; i < 200 && rows.n == 0; i++) {
		assert_true(task_sleep(t, 10, &err));
		assert_true(db_query(t, &kill_others, PARAMS(P_TEXT(like)), &rows, &err));
	}
	while (!v->is_done)
		assert_true(task_sleep(t, 5, &err));
	assert_false(v->ok);
	assert_ptr_equal(v->err.code, &E_database_unavailable);
	assert_true(v->err.code->retry);
}

static SUSPENDS void check_killed(struct task *t)
{
	struct victim reader = { 0 }, writer = { 0 }, readers = { 0 };
	struct err err = { 0 };
	scratch_do(t, make_thing);
	kill_while(t, long_read, &reader, "select pg_sleep%");
	kill_while(t, long_shared_read, &readers, "select asked.number%");
	kill_while(t, long_write, &writer, "insert into thing%");
	for (int i = 0; i < 20; i++) {
		if (!db_query(t, &plus_one, PARAMS(P_INT(i), P_NULL), NULL, &err))
			fail_msg("%s %s", err.message, err.cause);
	}
	assert_string_equal(scratch_text(t, "select count(*) from thing"), "0");
	struct db_stats stats;
	db_stats(t->loop->db, &stats);
	assert_int_equal(stats.connections_lost, 3);
	assert_int_equal(stats.together, 6);
}

static void a_killed_connection_fails_what_was_in_flight_and_is_replaced(void **state)
{
	scratch_run(state, &(struct db_options){ .pool_size = 4 }, check_killed);
}

static SUSPENDS void check_idle_killed(struct task *t)
{
	struct err err = { 0 };
	static const struct query kill_all = {
		.name = "",
		.sql = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()",
	};
	assert_false(db_query(t, &kill_all, PARAMS(), NULL, &err));
	assert_true(task_sleep(t, 50, &err));
	assert_true(db_query(t, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &err));
}

static void the_pool_recovers_when_every_connection_was_killed(void **state)
{
	scratch_run(state, NULL, check_idle_killed);
}

static SUSPENDS void check_unreachable(struct task *t)
{
	struct db *good = t->loop->db;
	struct err err = { 0 };
	assert_null(db_new(t->loop, &(struct db_options){ .url = "postgresql://[nonsense" }, &err));
	assert_non_null(strstr(err.message, "database URL"));
	struct db *bad =
	        db_new(t->loop, &(struct db_options){ .url = "postgresql://x@localhost:1/x", .acquire_ms = 200 }, &err);
	assert_false(db_ready(t, &err));
	assert_ptr_equal(err.code, &E_database_unavailable);
	assert_non_null(strstr(err.cause, "refused"));
	assert_false(db_query(t, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &err));
	assert_ptr_equal(err.code, &E_database_unavailable);
	db_close(t, bad, 100);
	/* the first of several hosts is dead, the second one answers */
	char *url = arena_printf(t->arena, "%s,localhost&port=5432,1", scratch_url(t));
	struct db *several = db_new(t->loop, &(struct db_options){ .url = url }, &err);
	assert_true(db_ready(t, &err));
	assert_true(db_query(t, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &err));
	db_close(t, several, 1000);
	t->loop->db = good;
}

static void a_database_that_cannot_be_reached_says_why(void **state)
{
	scratch_run(state, NULL, check_unreachable);
}

/* ---- waiting ---- */

static SUSPENDS void wants_a_read(struct task *t, void *arg)
{
	struct victim *v = arg;
	v->ok = db_query(t, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &v->err);
	v->is_done = true;
}

static NO_ROLE_CHECK void check_busy(struct task *t)
{
	struct victim waits = { 0 }, refused = { 0 };
	struct err err = { 0 };
	struct tx *tx;
	assert_true(tx_begin(t, &tx, &err));
	task_spawn(t->loop, "waits", wants_a_read, &waits);
	task_breathe(t);
	task_breathe(t);
	task_spawn(t->loop, "refused", wants_a_read, &refused);
	assert_true(tx_query(tx, &nap, PARAMS(P_INT(200)), NULL, &err));
	tx_rollback(tx);
	assert_true(waits.is_done && refused.is_done);
	assert_ptr_equal(waits.err.code, &E_service_unavailable);
	assert_ptr_equal(refused.err.code, &E_service_unavailable);
	assert_true(db_query(t, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &err));
}

static void waiting_for_a_connection_is_bounded_in_time_and_number(void **state)
{
	scratch_run(state, &(struct db_options){ .pool_size = 1, .acquire_ms = 100, .max_waiting = 1 }, check_busy);
}

static SUSPENDS void check_deadline(struct task *t)
{
	struct err err = { 0 };
	task_set_deadline(t, 50);
	assert_false(db_query(t, &nap, PARAMS(P_INT(400)), NULL, &err));
	assert_ptr_equal(err.code, &E_timeout);
	t->deadline_ms = TASK_FOREVER;
	assert_true(db_query(t, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &err));
}

static void a_deadline_ends_the_wait_and_leaves_the_pool_usable(void **state)
{
	scratch_run(state, &(struct db_options){ .pool_size = 2 }, check_deadline);
}

static SUSPENDS void check_statement_timeout(struct task *t)
{
	struct err err = { 0 };
	assert_false(db_query(t, &nap, PARAMS(P_INT(2000)), NULL, &err));
	assert_ptr_equal(err.code, &E_timeout);
	assert_string_equal(err.sqlstate, "57014");
}

static void a_statement_ends_at_its_timeout(void **state)
{
	scratch_run(state, &(struct db_options){ .statement_timeout_ms = 100 }, check_statement_timeout);
}

/* ---- transactions ---- */

static NO_ROLE_CHECK void check_transactions(struct task *t)
{
	struct err err = { 0 };
	struct rows rows;
	struct tx *tx;
	scratch_do(t, make_thing);

	assert_true(tx_begin(t, &tx, &err));
	assert_true(t->in_tx);
	tx_send(tx, &insert, PARAMS(P_TEXT("a"), P_INT(1)));
	assert_true(tx_query(tx, &upsert, PARAMS(P_TEXT("a"), P_INT(2)), &rows, &err));
	assert_int_equal(rows.changed, 1);
	assert_true(tx_commit(tx, &err));
	assert_false(t->in_tx);
	assert_string_equal(scratch_text(t, "select v from thing where k = 'a'"), "2");

	assert_true(tx_begin(t, &tx, &err));
	assert_true(tx_query(tx, &insert, PARAMS(P_TEXT("b"), P_INT(1)), NULL, &err));
	tx_rollback(tx);
	assert_null(scratch_text(t, "select v from thing where k = 'b'"));

	/* an error of a statement nobody waited for comes out of the next one, or of the commit */
	assert_true(tx_begin(t, &tx, &err));
	tx_send(tx, &insert, PARAMS(P_TEXT("c"), P_INT(1)));
	tx_send(tx, &insert, PARAMS(P_TEXT("a"), P_INT(1)));
	assert_false(tx_query(tx, &plus_one, PARAMS(P_INT(1), P_NULL), &rows, &err));
	assert_true(db_is_unique_violation(&err, "thing_pkey"));
	assert_false(tx_commit(tx, &err));
	assert_true(db_is_unique_violation(&err, "thing_pkey"));

	assert_true(tx_begin(t, &tx, &err));
	tx_send(tx, &insert, PARAMS(P_TEXT("c"), P_INT(1)));
	tx_send(tx, &insert, PARAMS(P_TEXT("a"), P_INT(1)));
	assert_false(tx_commit(tx, &err));
	assert_true(db_is_unique_violation(&err, "thing_pkey"));

	assert_true(tx_begin(t, &tx, &err));
	tx_rollback(tx);
	assert_true(tx_begin(t, &tx, &err));
	assert_true(tx_commit(tx, &err));
	assert_string_equal(scratch_text(t, "select count(*) from thing"), "1");
	assert_string_equal(scratch_text(t, "select count(*) from pg_stat_activity where datname = current_database() "
	                                    "and state like 'idle in%'"),
	                    "0");
}

static void transactions_commit_or_leave_nothing(void **state)
{
	scratch_run(state, &(struct db_options){ .pool_size = 3 }, check_transactions);
}

static NO_ROLE_CHECK void check_tx_killed(struct task *t)
{
	static const struct query kill_me = { .name = "", .sql = "select pg_terminate_backend(pg_backend_pid())" };
	struct err err = { 0 };
	struct tx *tx;
	scratch_do(t, make_thing);
	assert_true(tx_begin(t, &tx, &err));
	assert_true(tx_query(tx, &insert, PARAMS(P_TEXT("a"), P_INT(1)), NULL, &err));
	assert_false(tx_query(tx, &kill_me, PARAMS(), NULL, &err));
	assert_ptr_equal(err.code, &E_database_unavailable);
	assert_false(tx_query(tx, &plus_one, PARAMS(P_INT(1), P_NULL), NULL, &err));
	assert_false(tx_commit(tx, &err));
	assert_false(db_outcome_is_unknown(&err));
	assert_string_equal(scratch_text(t, "select count(*) from thing"), "0");
}

static void a_transaction_whose_connection_was_killed_fails_and_gives_it_back(void **state)
{
	scratch_run(state, &(struct db_options){ .pool_size = 1 }, check_tx_killed);
}

/* ---- notifications ---- */

struct ears {
	struct task *task;
	unsigned connected, heard;
	char last[32];
};

static void on_word(void *arg, const char *payload)
{
	struct ears *e = arg;
	if (payload) {
		e->heard++;
		snprintf(e->last, sizeof(e->last), "%s", payload);
	} else {
		e->connected++;
	}
	task_wake(e->task);
}

static SUSPENDS void check_listen(struct task *t)
{
	struct ears ears = { .task = t };
	struct err err = { 0 };
	struct rows rows;
	db_listen(t->loop->db, "word_of_mouth", on_word, &ears);
	while (ears.connected == 0)
		assert_true(task_wait(t, 5000, &err));
	scratch_do(t, "select pg_notify('word_of_mouth', 'one')");
	while (ears.heard == 0)
		assert_true(task_wait(t, 5000, &err));
	assert_string_equal(ears.last, "one");
	assert_true(db_query(t, &kill_others, PARAMS(P_TEXT("listen%")), &rows, &err));
	while (ears.connected < 2)
		assert_true(task_wait(t, 5000, &err));
	scratch_do(t, "select pg_notify('word_of_mouth', 'two')");
	while (ears.heard < 2)
		assert_true(task_wait(t, 5000, &err));
	assert_string_equal(ears.last, "two");
}

static void a_listener_hears_and_is_told_of_reconnections(void **state)
{
	scratch_run(state, NULL, check_listen);
}

/* Whether somebody who would notify has to. */
static SUSPENDS bool must_notify(struct task *t)
{
	static const struct query try_lock = {
		.name = "try_lock",
		.sql = "select case when pg_try_advisory_lock_shared(hashtext('launchplane_notify'), "
		       "hashtext('word_of_mouth'))"
		       " then pg_advisory_unlock_shared(hashtext('launchplane_notify'), hashtext('word_of_mouth'))"
		       " else false end",
	};
	struct rows rows;
	struct err err = { 0 };
	assert_true(db_query(t, &try_lock, PARAMS(), &rows, &err));
	return row_bool(&rows, 0, 0);
}

static SUSPENDS void suppress(struct task *t)
{
	struct err err = { 0 };
	while (!db_notify_is_suppressed(t->loop->db)) {
		db_suppress_notify(t->loop->db, "word_of_mouth", true);
		assert_true(task_sleep(t, 1, &err));
	}
	assert_false(must_notify(t));
}

static SUSPENDS void check_suppression(struct task *t)
{
	struct ears ears = { .task = t };
	struct err err = { 0 };
	struct rows rows;
	struct db *db = t->loop->db;
	db_listen(db, "word_of_mouth", on_word, &ears);
	while (ears.connected == 0)
		assert_true(task_wait(t, 5000, &err));
	assert_true(must_notify(t));
	suppress(t);
	db_notify(db, "word_of_mouth");
	while (ears.heard < 1)
		assert_true(task_wait(t, 5000, &err));
	db_suppress_notify(db, "word_of_mouth", false);
	while (ears.heard < 2) /* whoever listens goes on looking */
		assert_true(task_wait(t, 5000, &err));
	assert_true(must_notify(t));
	db_suppress_notify(db, "word_of_mouth", true); /* off before the answer has come */
	db_suppress_notify(db, "word_of_mouth", false);
	while (ears.heard < 3)
		assert_true(task_wait(t, 5000, &err));
	assert_true(must_notify(t));
	assert_false(db_notify_is_suppressed(db));
	suppress(t);
	assert_true(db_query(t, &kill_others, PARAMS(P_TEXT("select pg_try_advisory_lock(%")), &rows, &err));
	while (ears.connected < 2)
		assert_true(task_wait(t, 5000, &err));
	assert_false(db_notify_is_suppressed(db));
	while (!must_notify(t))
		assert_true(task_sleep(t, 1, &err));
	suppress(t);
}

static void who_looks_by_itself_need_not_be_notified(void **state)
{
	scratch_run(state, NULL, check_suppression);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_query_prepares_on_a_migrated_database),
		cmocka_unit_test(reads_of_one_turn_share_a_sync),
		cmocka_unit_test(a_bad_read_fails_alone),
		cmocka_unit_test(a_statement_that_cannot_be_prepared_says_why_each_time),
		cmocka_unit_test(a_bad_write_fails_alone),
		cmocka_unit_test(writes_that_wait_are_committed_together),
		cmocka_unit_test(writes_of_one_key_keep_their_order_and_do_not_deadlock),
		cmocka_unit_test(a_commit_that_fails_is_no_success),
		cmocka_unit_test(values_arrive_as_they_were_sent),
		cmocka_unit_test(a_killed_connection_fails_what_was_in_flight_and_is_replaced),
		cmocka_unit_test(the_pool_recovers_when_every_connection_was_killed),
		cmocka_unit_test(a_database_that_cannot_be_reached_says_why),
		cmocka_unit_test(waiting_for_a_connection_is_bounded_in_time_and_number),
		cmocka_unit_test(a_deadline_ends_the_wait_and_leaves_the_pool_usable),
		cmocka_unit_test(a_statement_ends_at_its_timeout),
		cmocka_unit_test(transactions_commit_or_leave_nothing),
		cmocka_unit_test(a_transaction_whose_connection_was_killed_fails_and_gives_it_back),
		cmocka_unit_test(a_listener_hears_and_is_told_of_reconnections),
		cmocka_unit_test(who_looks_by_itself_need_not_be_notified),
	};
	return cmocka_run_group_tests(tests, scratch_up, scratch_down);
}
