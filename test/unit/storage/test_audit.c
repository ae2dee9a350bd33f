/* The audit log in a real database: sequenced and verified. */
#include "audit_scratch.h"

#include "core/digest.h"
#include "core/seal.h"
#include "storage/audit_log.h"
#include "storage/audit_tree.h"
#include "storage/audit_verify.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- honest logs ---- */

static SUSPENDS void check_honest(struct task *t)
{
	migrated(t);
	struct sequencer *s = signer(t);
	const char *saved = fill(t, s), *key = note_key_text(t->arena, &s->key);
	assert_non_null(saved);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_pending"), 0);
	assert_int_equal(number(t, "select max(position) + 1 from launchplane_audit_entries"), ENTRIES);
	struct audit_report r = verify(t, saved, key);
	if (r.finding.is_bad)
		fail_msg("%s", r.finding.what);
	assert_int_equal(r.entries, ENTRIES);
	assert_int_equal(r.checkpoints, number(t, "select count(*) from launchplane_audit_checkpoints"));
	assert_true(r.checkpoints > 20);
	assert_false(r.is_unsigned);
}

static void an_honest_log_verifies(void **state)
{
	scratch_run(state, NULL, check_honest);
}

static SUSPENDS void check_large_batches(struct task *t)
{
	migrated(t);
	struct sequencer *s = signer(t);
	scratch_do(t, "insert into launchplane_audit_pending (leaf) select json_build_object('n', n)"
	              " from generate_series(1, 2500) n");
	sequence(t, s);
	assert_int_equal(number(t, "select max(position) + 1 from launchplane_audit_entries"), 2501);
	struct audit_report r = verify(t, NULL, NULL);
	if (r.finding.is_bad)
		fail_msg("%s", r.finding.what);
	assert_int_equal(r.entries, 2501);
	assert_int_equal(r.checkpoints, 3);
}

static void more_entries_than_a_page_or_a_round_verify(void **state)
{
	scratch_run(state, NULL, check_large_batches);
}

static SUSPENDS void check_unsigned(struct task *t)
{
	migrated(t);
	struct sequencer s = { 0 };
	struct err err = { 0 };
	append(t, 1);
	append(t, 2);
	assert_true(audit_key_ensure(t, &s, NULL, &err)); /* neither a setting nor a master key */
	assert_false(s.key.can_sign);
	sequence(t, &s);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_entries"), 2);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_checkpoints"), 0);
	struct audit_report r = verify(t, NULL, NULL);
	assert_false(r.finding.is_bad);
	assert_true(r.is_unsigned);
	/* The key comes later: what is there gets its checkpoint. */
	sequence(t, signer(t));
	assert_int_equal(number(t, "select max(size) from launchplane_audit_checkpoints"), 3);
	assert_false(verify(t, NULL, NULL).is_unsigned);
}

static void without_a_key_entries_get_positions_and_later_a_checkpoint(void **state)
{
	scratch_run(state, NULL, check_unsigned);
}

static SUSPENDS void check_rotation(struct task *t)
{
	struct keyring ring;
	struct err err = { 0 };
	const char *first, *second;
	migrated(t);
	assert_true(keyring_init(&ring, "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", NULL, &err));
	t->loop->keyring = &ring;
	struct sequencer s = { 0 }, other = { 0 };
	assert_true(audit_key_ensure(t, &s, NULL, &err));
	assert_true(audit_key_ensure(t, &other, NULL, &err));
	assert_string_equal(s.key.id, other.key.id); /* made once */
	first = note_key_text(t->arena, &s.key);
	sequence(t, &s);
	assert_true(audit_key_rotate(t, &ring, &second, &err));
	append(t, 1);
	assert_true(audit_key_ensure(t, &s, NULL, &err)); /* noticed by whoever sequences next */
	assert_string_equal(note_key_text(t->arena, &s.key), second);
	sequence(t, &s);
	assert_false(verify(t, NULL, arena_printf(t->arena, "%s\n%s", first, second)).finding.is_bad);
	assert_true(verify(t, NULL, first).finding.is_bad);
	assert_true(verify(t, NULL, second).finding.is_bad);
	t->loop->keyring = NULL;
	keyring_done(&ring);
}

static void a_generated_key_is_made_once_and_can_be_followed_by_another(void **state)
{
	scratch_run(state, NULL, check_rotation);
}

static SUSPENDS void check_refused_hands(struct task *t)
{
	static const char *const changes[] = {
		"update launchplane_audit_entries set leaf = leaf",
		"delete from launchplane_audit_entries",
		"truncate launchplane_audit_entries",
		"update launchplane_audit_checkpoints set note = note",
		"delete from launchplane_audit_checkpoints",
		"truncate launchplane_audit_checkpoints",
		"update launchplane_audit_keys set origin = origin",
		"delete from launchplane_audit_keys",
		"update launchplane_audit_pending set leaf = leaf",
		"delete from launchplane_audit_pending",
		"truncate launchplane_audit_pending",
	};
	migrated(t);
	struct sequencer *s = signer(t);
	sequence(t, s);
	append(t, 1);
	for (size_t i = 0; i < countof(changes); i++) {
		struct tx *tx;
		struct err err = { 0 };
		const struct query q = { .name = "", .sql = changes[i], .writes = true };
		if (!tx_begin(t, &tx, &err))
			give_up(&err);
		bool ok = tx_query(tx, &q, PARAMS(), NULL, &err);
		tx_rollback(tx);
		assert_false(ok);
		assert_string_equal(err.sqlstate, "23001");
	}
}

static void ordinary_hands_cannot_change_the_history(void **state)
{
	scratch_run(state, NULL, check_refused_hands);
}

static SUSPENDS void check_sequencer_refuses(struct task *t)
{
	static const char *const changes[] = {
		"delete from launchplane_audit_entries where position >= 50",
		"update launchplane_audit_entries set hashes = decode(repeat('00', octet_length(hashes)), 'hex')",
		"delete from launchplane_audit_entries where position = 31",
		"update launchplane_audit_checkpoints set note = 'x' where size = 60",
	};
	migrated(t);
	struct sequencer *s = signer(t);
	fill(t, s);
	scratch_do(t, "set session_replication_role = replica");
	for (size_t i = 0; i < countof(changes); i++) {
		struct err err = { 0 };
		bool more;
		scratch_do(t, "create table kept as select * from launchplane_audit_entries");
		scratch_do(t, "create table kept_notes as select * from launchplane_audit_checkpoints");
		scratch_do(t, changes[i]);
		append(t, 1000);
		assert_false(audit_sequence(t, s, &more, &err));
		assert_non_null(strstr(err.message, "the audit log was changed"));
		assert_true(number(t, "select count(*) from launchplane_audit_pending") > 0);
		scratch_do(t, "delete from launchplane_audit_entries");
		scratch_do(t, "delete from launchplane_audit_checkpoints");
		scratch_do(t, "insert into launchplane_audit_entries select * from kept");
		scratch_do(t, "insert into launchplane_audit_checkpoints select * from kept_notes");
		scratch_do(t, "drop table kept, kept_notes");
	}
	sequence(t, s); /* repaired */
	assert_false(verify(t, NULL, NULL).finding.is_bad);
}

static void the_sequencer_does_not_sign_what_others_wrote(void **state)
{
	const struct db_options one = { .pool_size = 1 };
	scratch_run(state, &one, check_sequencer_refuses);
}

/* ---- what lists go by ---- */

static SUSPENDS void append_of(struct task *t, const char *product, const char *action, const char *deployment)
{
	struct err err = { 0 };
	struct audit_entry e = { .type = "request", .event = "accepted", .product = product, .action = action };
	e.records = json_object();
	if (deployment)
		json_set_str(t->arena, &e.records, "deployment_record_id", deployment);
	if (!audit_append(t, &e, &err))
		fail_msg("%s %s", err.message, err.cause);
}

#define AS_THE_LEAF_SAYS                                                                                               \
	"select count(*) from launchplane_audit_entries where (at, product, action, deployment_record_id,"             \
	" promotion_record_id) is not distinct from (leaf ->> 'at', leaf ->> 'product', leaf ->> 'action',"            \
	" leaf -> 'records' ->> 'deployment_record_id', leaf -> 'records' ->> 'promotion_record_id')"

static SUSPENDS void check_filing(struct task *t)
{
	migrated(t);
	struct sequencer *s = signer(t);
	append_of(t, "shop", "deployment.write", "d-1");
	append_of(t, "a \"quoted\" {\\,} NULL", NULL, NULL);
	append_of(t, "NULL", "null", "");
	sequence(t, s);
	assert_int_equal(number(t, AS_THE_LEAF_SAYS), 4);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_entries where product is null"), 1);
	/* A process of an earlier release knows no columns. */
	scratch_do(t, "insert into launchplane_audit_entries (position, leaf, hashes)"
	              " select 900, leaf, hashes from launchplane_audit_entries where product = 'shop'");
	assert_int_equal(number(t, AS_THE_LEAF_SAYS), 5);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_entries where product = 'shop'"), 2);
}

static void entries_are_filed_as_their_leaves_say(void **state)
{
	const struct db_options one = { .pool_size = 1 };
	scratch_run(state, &one, check_filing);
}

static SUSPENDS void check_misfiling(struct task *t)
{
	static const char *const columns[] = { "at", "product", "action", "deployment_record_id",
		                               "promotion_record_id" };
	migrated(t);
	struct sequencer *s = signer(t);
	append_of(t, "shop", "deployment.write", "d-1");
	append_of(t, "shop", "deployment.write", "d-2");
	sequence(t, s);
	scratch_do(t, "set session_replication_role = replica");
	for (size_t i = 0; i < countof(columns); i++) {
		struct tx *tx;
		struct err err = { 0 };
		const char *sql = arena_printf(
		        t->arena, "update launchplane_audit_entries set %s = 'other' where position = 2", columns[i]);
		const struct query q = { .name = "", .sql = sql, .writes = true };
		if (!tx_begin(t, &tx, &err))
			give_up(&err);
		assert_true(tx_query(tx, &q, PARAMS(), NULL, &err));
		struct audit_report r = verify_in(t, tx, NULL, NULL);
		tx_rollback(tx);
		assert_true(r.finding.is_bad);
		assert_int_equal(r.finding.first, 2);
		assert_int_equal(r.finding.last, 2);
		assert_non_null(strstr(r.finding.what, "columns that lists go by"));
	}
	assert_false(verify(t, NULL, NULL).finding.is_bad);
}

static void an_entry_hidden_from_lists_is_found(void **state)
{
	const struct db_options one = { .pool_size = 1 };
	scratch_run(state, &one, check_misfiling);
}

/* ---- entries that come late ---- */

static SUSPENDS bool is_waiting(struct task *t, struct sequencer *s, uint64_t at_ms, bool everything)
{
	struct err err = { 0 };
	bool waiting;
	if (!audit_look(t, s, at_ms, false, everything, &waiting, &err))
		fail_msg("%s %s", err.message, err.cause);
	return waiting;
}

static SUSPENDS void check_late(struct task *t)
{
	migrated(t);
	struct sequencer *s = signer(t);
	append(t, 1);
	assert_true(is_waiting(t, s, 1, false));
	sequence(t, s);
	assert_false(is_waiting(t, s, 2, false));
	/* What had its number before and commits soon is found by the next look, */
	scratch_do(t,
	           "insert into launchplane_audit_pending (entry_id, leaf) overriding system value values (1, '{}')");
	assert_true(is_waiting(t, s, AUDIT_LATE_MS, false));
	sequence(t, s);
	/* however late it commits, by one at all; the looks between begin behind what was placed. */
	append(t, 2);
	assert_true(is_waiting(t, s, AUDIT_LATE_MS + 2, false));
	sequence(t, s);
	assert_false(is_waiting(t, s, 2 * AUDIT_LATE_MS + 2, false));
	assert_false(is_waiting(t, s, 3 * AUDIT_LATE_MS + 2, false));
	scratch_do(t,
	           "insert into launchplane_audit_pending (entry_id, leaf) overriding system value values (1, '{}')");
	assert_false(is_waiting(t, s, 4 * AUDIT_LATE_MS + 2, false));
	append(t, 3);
	assert_true(is_waiting(t, s, 4 * AUDIT_LATE_MS + 2, false));
	sequence(t, s);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_pending"), 1);
	assert_true(is_waiting(t, s, 2 + AUDIT_ALL_MS, false));
	sequence(t, s);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_pending"), 0);
	/* A process that ends leaves nothing. */
	scratch_do(t,
	           "insert into launchplane_audit_pending (entry_id, leaf) overriding system value values (1, '{}')");
	assert_true(is_waiting(t, s, 3 + AUDIT_ALL_MS, true));
	assert_false(verify(t, NULL, NULL).finding.is_bad);
}

static void entries_of_long_transactions_are_found_however_late(void **state)
{
	scratch_run(state, NULL, check_late);
}

/* ---- nobody can forget it ---- */

static const struct query put = {
	.name = "put",
	.sql = "insert into thing (k) values ($1) on conflict do nothing",
	.n_params = 1,
	.writes = true,
};
static const struct query put_told = {
	.name = "put_told",
	.sql = "with made as (insert into thing (k) values ($1) returning 1)"
	       " insert into launchplane_audit_pending (leaf) select $2::json from made where $2::json is not null",
	.n_params = 2,
	.writes = true,
	.audited = true,
};
static const struct query look = { .name = "look", .sql = "select k from thing" };

static SUSPENDS int64_t pending(struct task *t)
{
	struct audit_entry *told = t->audit;
	t->audit = NULL; /* looking is no change */
	int64_t n = number(t, "select count(*) from launchplane_audit_pending");
	t->audit = told;
	return n;
}

static SUSPENDS void transact(struct task *t, const struct query *q, const char *key, bool commits)
{
	struct tx *tx;
	struct rows rows;
	struct err err = { 0 };
	if (!tx_begin(t, &tx, &err))
		give_up(&err);
	if (q->n_params)
		tx_send(tx, q, PARAMS(P_TEXT(key)));
	else
		assert_true(tx_query(tx, q, PARAMS(), &rows, &err));
	if (commits)
		assert_true(tx_commit(tx, &err));
	else
		tx_rollback(tx);
}

static SUSPENDS void check_choke_point(struct task *t)
{
	struct audit_entry e = { .type = "request", .event = "accepted" };
	struct err err = { 0 };
	struct rows rows;
	migrated(t);
	scratch_do(t, "create table thing (k text primary key)");
	assert_true(db_write(t, "", &put, PARAMS(P_TEXT("nobody")), &rows, &err));
	assert_int_equal(pending(t), 0); /* nobody said for whom */
	audit_begin(t, &e);
	assert_true(db_write(t, "", &put, PARAMS(P_TEXT("a")), &rows, &err));
	assert_int_equal(pending(t), 1); /* the statement knows nothing of it */
	assert_true(db_write(t, "", &put, PARAMS(P_TEXT("a")), &rows, &err));
	assert_int_equal(pending(t), 1); /* nothing was changed */
	assert_true(db_write(t, "", &put_told, PARAMS(P_TEXT("b"), P_AUDIT(t)), &rows, &err));
	assert_int_equal(pending(t), 2); /* it does by itself, and not twice */
	transact(t, &put, "c", true);
	assert_int_equal(pending(t), 3);
	transact(t, &put, "d", false);
	transact(t, &look, NULL, true);
	assert_int_equal(pending(t), 3);
	assert_int_equal(e.leaves, 3);
	audit_begin(t, NULL);
	transact(t, &put, "e", true);
	assert_int_equal(pending(t), 3);
}

static void whatever_commits_takes_its_leaf_along(void **state)
{
	scratch_run(state, NULL, check_choke_point);
}

static SUSPENDS void check_odd_texts(struct task *t)
{
	static const char *const texts[] = { "\xff\xfe",         "caf\xc3\xa9", "\xed\xa0\x80",
		                             "\xf0\x9f\x9a\x80", "\xc3",        "quote \" back \\ line\n" };
	char *endless = arena_alloc(t->arena, 100001);
	struct err err = { 0 };
	migrated(t);
	memset(endless, 'x', 100000);
	endless[100000] = '\0';
	for (size_t i = 0; i <= countof(texts); i++) {
		struct audit_entry e = { .type = "request", .product = i < countof(texts) ? texts[i] : endless };
		e.context = "password=hunter22";
		e.reason = "password=hunter22";
		if (!audit_append(t, &e, &err))
			fail_msg("%s", err.cause);
	}
	sequence(t, signer(t)); /* an entry that the indexes cannot take would hold up all others */
	assert_int_equal(pending(t), 0);
	assert_int_equal(number(t, "select max(octet_length(leaf::text)) from launchplane_audit_entries") < 2000, 1);
	assert_int_equal(number(t, "select count(*) from launchplane_audit_entries"
	                           " where leaf ->> 'reason' like '%hunter22%'"),
	                 0);
	assert_false(verify(t, NULL, NULL).finding.is_bad);
}

static void odd_texts_do_not_hold_up_the_log(void **state)
{
	scratch_run(state, NULL, check_odd_texts);
}

/* ---- refusals ---- */

static void refusals_are_bounded(void **state)
{
	(void)state;
	struct denials *d = denials_new();
	struct arena *a = arena_new();
	struct audit_entry e = { .action = "deployment.write" }, out;
	int64_t now = 1000000, told = 0, counted = 0;
	for (int minute = 0; minute < 3; minute++, now += 60001) {
		for (int i = 0; i < 5000; i++) {
			e.actor = arena_printf(a, "caller-%d", i % 500);
			denials_note(d, now + i, &e);
		}
		while (denials_take(d, a, now + 5000, false, &out)) {
			told++;
			counted += out.count;
		}
	}
	assert_true(told <= 3 * 65);
	while (denials_take(d, a, now, true, &out))
		counted += out.count;
	assert_int_equal(counted, 3 * 5000); /* all of them, whoever asked */
	denials_free(d);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_honest_log_verifies),
		cmocka_unit_test(more_entries_than_a_page_or_a_round_verify),
		cmocka_unit_test(without_a_key_entries_get_positions_and_later_a_checkpoint),
		cmocka_unit_test(a_generated_key_is_made_once_and_can_be_followed_by_another),
		cmocka_unit_test(ordinary_hands_cannot_change_the_history),
		cmocka_unit_test(the_sequencer_does_not_sign_what_others_wrote),
		cmocka_unit_test(entries_are_filed_as_their_leaves_say),
		cmocka_unit_test(an_entry_hidden_from_lists_is_found),
		cmocka_unit_test(entries_of_long_transactions_are_found_however_late),
		cmocka_unit_test(whatever_commits_takes_its_leaf_along),
		cmocka_unit_test(odd_texts_do_not_hold_up_the_log),
		cmocka_unit_test(refusals_are_bounded),
	};
	return cmocka_run_group_tests(tests, scratch_up, scratch_down);
}
