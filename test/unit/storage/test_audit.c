/* The audit log in a real database: sequenced, verified, and a thousand times tampered with. */
#include "scratch.h"

#include "core/digest.h"
#include "core/seal.h"
#include "storage/audit_log.h"
#include "storage/audit_tree.h"
#include "storage/audit_verify.h"

#include <stdio.h>
#include <stdlib.h>

#define ENTRIES     60
#define SAVED       40 /* entries that the kept checkpoint covers */
#define TAMPERINGS  1000
#define RANDOM_SEED 20260601

static const unsigned char seed[NOTE_SEED_N] = "the seed of a key for the tests.";

static SUSPENDS void migrated(struct task *t)
{
	struct migrate_report report;
	struct err err = { 0 };
	if (!migrate_apply(t, &report, &err))
		fail_msg("%s %s", err.message, err.cause);
}

static SUSPENDS void append(struct task *t, int i)
{
	struct err err = { 0 };
	struct audit_entry e = { .type = "request", .event = "accepted", .actor = "github:somebody" };
	e.records = json_object();
	json_set_str(t->arena, &e.records, "record_id", arena_printf(t->arena, "record-%d", i));
	if (!audit_append(t, &e, &err))
		fail_msg("%s %s", err.message, err.cause);
}

static SUSPENDS void sequence(struct task *t, struct sequencer *s)
{
	struct err err = { 0 };
	bool more = true;
	while (more)
		if (!audit_sequence(t, s, &more, &err))
			fail_msg("%s %s", err.message, err.cause);
}

static SUSPENDS struct sequencer *signer(struct task *t)
{
	struct err err = { 0 };
	struct sequencer *s = ARENA_NEW(t->arena, struct sequencer);
	if (!audit_key_ensure(t, s, seed, &err))
		fail_msg("%s %s", err.message, err.cause);
	assert_true(s->key.can_sign);
	return s;
}

/* Batches of one, two, three, ... entries, so that checkpoints stand at uneven places. */
static SUSPENDS const char *fill(struct task *t, struct sequencer *s)
{
	const char *saved = NULL;
	sequence(t, s); /* the entry that tells of the key */
	for (int i = 1, batch = 1; i < ENTRIES; batch = batch % 4 + 1) {
		int limit = i < SAVED ? SAVED : ENTRIES;
		for (int k = 0; k < batch && i < limit; k++)
			append(t, i++);
		sequence(t, s);
		if (i == SAVED && !saved)
			saved = scratch_text(
			        t, "select note from launchplane_audit_checkpoints order by size desc limit 1");
	}
	return saved;
}

/* Does not return, which clang's analysis has to see where a transaction begins. */
static _Noreturn void give_up(const struct err *err)
{
	print_error("%s %s\n", err->message, err->cause);
	abort();
}

static SUSPENDS struct audit_report verify_in(struct task *t, struct tx *tx, const char *saved, const char *keys)
{
	struct audit_db_source source;
	struct audit_report report;
	struct err err = { 0 };
	const struct audit_wants wants = { .saved = saved, .public_keys = keys };
	audit_db_source(&source, tx);
	if (!audit_verify(t, &source.source, &wants, &report, &err))
		fail_msg("%s %s", err.message, err.cause);
	return report;
}

static SUSPENDS struct audit_report verify(struct task *t, const char *saved, const char *keys)
{
	struct tx *tx;
	struct err err = { 0 };
	if (!tx_begin(t, &tx, &err))
		give_up(&err);
	struct audit_report report = verify_in(t, tx, saved, keys);
	tx_rollback(tx);
	return report;
}

static SUSPENDS int64_t number(struct task *t, const char *sql)
{
	const char *text = scratch_text(t, sql);
	return text ? strtoll(text, NULL, 10) : -1;
}

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

/* ---- tampering ---- */

/* A change that a superuser can make at position a; b is a later one. The first bad place lies
 * where place says. */
enum place {
	AT,    /* exactly there */
	BATCH, /* somewhere in its batch: whoever computed all hashes again leaves no finer trace */
	NODE,  /* where the subtree's hash is kept, or within the subtree */
};

static const struct tampering {
	const char *what, *sql;
	enum place place;
	int shift; /* the position itself is left as it was, the next one is the first that is wrong */
} tamperings[] = {
	{ "edit a leaf",
	  "update launchplane_audit_entries set leaf = replace(leaf::text, 'somebody', 'nobody')::json where position "
	  "= (select a from p)",
	  AT },
	{ "edit a leaf by a blank",
	  "update launchplane_audit_entries set leaf = (leaf::text || ' ')::json where position = (select a from p)",
	  AT },
	{ "edit a leaf and its hash",
	  "update launchplane_audit_entries set leaf = '{}', hashes = sha256('\\x007b7d'::bytea) || substr(hashes, 33)"
	  " where position = (select a from p)",
	  NODE },
	{ "edit the hash of a leaf",
	  "update launchplane_audit_entries set hashes = set_byte(hashes, 5, get_byte(hashes, 5) # 1)"
	  " where position = (select a from p)",
	  AT },
	{ "edit the largest subtree's hash",
	  "update launchplane_audit_entries set hashes = set_byte(hashes, octet_length(hashes) - 1,"
	  " get_byte(hashes, octet_length(hashes) - 1) # 1) where position = (select a from p)",
	  AT },
	{ "take a hash away",
	  "update launchplane_audit_entries set hashes = substr(hashes, 1, octet_length(hashes) - 32)"
	  " where position = ((select a from p) | 1)",
	  NODE },
	{ "add a hash",
	  "update launchplane_audit_entries set hashes = hashes || sha256('x') where position = (select a from p)",
	  NODE },
	{ "delete an entry", "delete from launchplane_audit_entries where position = (select a from p)", AT },
	{ "delete and close the gap",
	  "delete from launchplane_audit_entries where position = (select a from p);"
	  "update launchplane_audit_entries set position = position + 1000 where position > (select a from p);"
	  "update launchplane_audit_entries set position = position - 1001 where position > 1000 + (select a from p)",
	  NODE },
	{ "insert an entry",
	  "update launchplane_audit_entries set position = position + 1000 where position >= (select a from p);"
	  "update launchplane_audit_entries set position = position - 999 where position >= 1000;"
	  "insert into launchplane_audit_entries select (select a from p), '{}'::json, sha256('\\x007b7d'::bytea)",
	  NODE },
	{ "repeat an entry",
	  "update launchplane_audit_entries set position = position + 1000 where position >= (select a from p);"
	  "update launchplane_audit_entries set position = position - 999 where position >= 1000;"
	  "insert into launchplane_audit_entries select (select a from p), leaf, hashes from launchplane_audit_entries "
	  "where position = 1 + (select a from p)",
	  NODE, 1 },
	{ "exchange two leaves",
	  "update launchplane_audit_entries e set leaf = o.leaf from launchplane_audit_entries o"
	  " where (e.position, o.position) in (((select a from p), (select b from p)), ((select b from p), (select a "
	  "from p)))",
	  AT },
	{ "exchange two entries",
	  "update launchplane_audit_entries e set leaf = o.leaf, hashes = o.hashes from launchplane_audit_entries o"
	  " where (e.position, o.position) in (((select a from p), (select b from p)), ((select b from p), (select a "
	  "from p)))",
	  NODE },
	{ "cut the tail", "delete from launchplane_audit_entries where position >= (select a from p)", AT },
	{ "cut the tail with its checkpoints",
	  ", gone as (delete from launchplane_audit_entries where position >= (select a from p) and (select a from p) "
	  "< 40)"
	  " delete from launchplane_audit_checkpoints where size > (select a from p) and (select a from p) < 40",
	  BATCH },
	{ "edit a checkpoint",
	  "update launchplane_audit_checkpoints set note = replace(note, 'previous ', 'previous 1')"
	  " where size = (select min(size) from launchplane_audit_checkpoints where size > (select a from p))",
	  BATCH },
	{ "edit a signature",
	  "update launchplane_audit_checkpoints set note = overlay(note placing"
	  " case substr(note, length(note) - 10, 1) when 'A' then 'B' else 'A' end from length(note) - 10)"
	  " where size = (select min(size) from launchplane_audit_checkpoints where size > (select a from p))",
	  BATCH },
	{ "delete a checkpoint",
	  "delete from launchplane_audit_checkpoints"
	  " where size = (select min(size) from launchplane_audit_checkpoints where size > (select a from p))",
	  BATCH },
	{ "move a checkpoint",
	  "update launchplane_audit_checkpoints set size = 61"
	  " where size = (select min(size) from launchplane_audit_checkpoints where size > (select a from p))",
	  BATCH },
	{ "delete the keys", "delete from launchplane_audit_keys where (select a from p) is not null", BATCH },
};

/* A copy of the log that somebody made again from the start: another leaf at the position, all hashes right, and
 * checkpoints with right roots that only lack a valid signature. */
static const char rewrite_note[] =
        "update launchplane_audit_checkpoints set note = regexp_replace(note, E'^([^\\n]*\\n[^\\n]*\\n)[^\\n]*',"
        " E'\\\\1' || $2) where size = $1";

static SUSPENDS void run(struct tx *tx, const char *statements, int64_t a, int64_t b)
{
	struct arena *arena = tx_task(tx)->arena;
	for (char *rest = arena_strdup(arena, statements), *sql; (sql = strsep(&rest, ";"));) {
		struct err err = { 0 };
		struct rows rows;
		sql = arena_printf(arena, "with p(a, b) as (values (%lld::bigint, %lld::bigint)) %s", (long long)a,
		                   (long long)b, sql);
		const struct query q = { .name = "", .sql = sql, .writes = true };
		if (!tx_query(tx, &q, PARAMS(), &rows, &err))
			fail_msg("%s: %s", sql, err.cause);
	}
}

static SUSPENDS void rewrite_from(struct task *t, struct tx *tx, int64_t at)
{
	static const struct query set = { .name = "rewrite",
		                          .n_params = 3,
		                          .writes = true,
		                          .sql = "update launchplane_audit_entries set leaf = $2::json,"
		                                 " hashes = decode($3, 'hex') where position = $1::bigint" };
	static const struct query read = { .name = "read_all",
		                           .sql = "select leaf from launchplane_audit_entries order by position" };
	struct merkle_edge *edge = ARENA_NEW(t->arena, struct merkle_edge);
	struct merkle_hash made[64];
	struct rows rows, ignored;
	struct err err = { 0 };
	assert_true(tx_query(tx, &read, PARAMS(), &rows, &err));
	for (size_t i = 0; i < rows.n; i++) {
		const char *leaf = (int64_t)i == at ? "{\"forged\":true}" : row_text(&rows, i, 0);
		struct merkle_hash hash = merkle_leaf(leaf, strlen(leaf));
		size_t n = merkle_add(edge, &hash, made);
		assert_true(tx_query(tx, &set,
		                     PARAMS(P_INT(i), P_TEXT(leaf), P_TEXT(hex_encode(t->arena, made, n * MERKLE_N))),
		                     &ignored, &err));
		struct merkle_hash root = merkle_root(edge);
		const struct query q = { .name = "rewrite_note", .sql = rewrite_note, .n_params = 2, .writes = true };
		if ((int64_t)i >= at && !tx_query(tx, &q,
		                                  PARAMS(P_TEXT(arena_printf(t->arena, "%zu", i + 1)),
		                                         P_TEXT(base64_encode(t->arena, root.b, MERKLE_N))),
		                                  &ignored, &err))
			fail_msg("%s", err.cause);
	}
}

struct bounds {
	int64_t batch_from, batch_to; /* positions of the batch that $1 belongs to */
};

static SUSPENDS struct bounds batch_of(struct task *t, int64_t at)
{
	return (struct bounds){
		number(t, arena_printf(
		                  t->arena,
		                  "select coalesce(max(size), 0) from launchplane_audit_checkpoints where size <= %lld",
		                  (long long)at)),
		number(t, arena_printf(t->arena,
		                       "select min(size) - 1 from launchplane_audit_checkpoints where size > %lld",
		                       (long long)at)),
	};
}

static SUSPENDS struct audit_report tampered(struct task *t, const struct tampering *how, int64_t at, int64_t other,
                                             const char *saved, const char *key)
{
	struct tx *tx;
	struct err err = { 0 };
	if (!tx_begin(t, &tx, &err))
		give_up(&err);
	const struct query superuser = { .name = "", .sql = "set local session_replication_role = replica" };
	assert_true(tx_query(tx, &superuser, PARAMS(), NULL, &err));
	if (how)
		run(tx, how->sql, at, other);
	else
		rewrite_from(t, tx, at);
	struct audit_report r = verify_in(t, tx, saved, key);
	tx_rollback(tx);
	return r;
}

static void assert_place(const struct tampering *how, int64_t at, struct bounds b, const struct audit_finding *f)
{
	const char *what = how ? how->what : "compute everything again";
	if (!f->is_bad)
		fail_msg("%s at %lld was not detected", what, (long long)at);
	enum place place = how ? how->place : BATCH;
	at += how ? how->shift : 0;
	bool ok = f->first <= (uint64_t)at && (uint64_t)at <= f->last;
	if (place == AT)
		ok = f->first == (uint64_t)at && f->last - f->first < ENTRIES;
	if (place == BATCH)
		ok = f->first <= (uint64_t)b.batch_to + 1 && f->last + 1 >= (uint64_t)b.batch_from;
	if (!ok)
		fail_msg("%s at %lld (batch %lld to %lld): found %llu to %llu, %s", what, (long long)at,
		         (long long)b.batch_from, (long long)b.batch_to, (unsigned long long)f->first,
		         (unsigned long long)f->last, f->what);
}

static SUSPENDS void check_tamperings(struct task *t)
{
	migrated(t);
	struct sequencer *s = signer(t);
	const char *saved = fill(t, s), *key = note_key_text(t->arena, &s->key);
	struct bounds bounds[ENTRIES];
	unsigned state = RANDOM_SEED;
	for (int i = 0; i < ENTRIES; i++)
		bounds[i] = batch_of(t, i);
	struct arena *own = t->arena, *round = arena_new();
	for (size_t i = 0; i < TAMPERINGS; i++) {
		const struct tampering *how = &tamperings[i % (countof(tamperings) + 1)];
		if (how == tamperings + countof(tamperings))
			how = NULL;
		bool within_saved = how && strstr(how->what, "tail with");
		int64_t at = 1 + rand_r(&state) % (within_saved ? SAVED - 2 : ENTRIES - 2);
		int64_t other = at + 1 + rand_r(&state) % (ENTRIES - 1 - at);
		if (how && strstr(how->sql, "| 1)"))
			at |= 1;
		t->arena = round;
		bool pins = i % 2 == 0 || !how || strstr(how->what, "keys") != NULL;
		struct audit_report r = tampered(t, how, at, other, saved, pins && how ? key : NULL);
		if (how && strstr(how->what, "delete the keys"))
			r = tampered(t, how, at, other, saved, NULL), at = 0;
		assert_place(how, at, bounds[at], &r.finding);
		t->arena = own;
		arena_reset(round);
	}
	arena_free(round);
	assert_false(verify(t, saved, key).finding.is_bad); /* all of it was undone */
}

static void a_thousand_tamperings_are_found_at_their_first_bad_place(void **state)
{
	scratch_run(state, NULL, check_tamperings);
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
		cmocka_unit_test(whatever_commits_takes_its_leaf_along),
		cmocka_unit_test(odd_texts_do_not_hold_up_the_log),
		cmocka_unit_test(refusals_are_bounded),
		cmocka_unit_test(a_thousand_tamperings_are_found_at_their_first_bad_place),
	};
	return cmocka_run_group_tests(tests, scratch_up, scratch_down);
}
