/* The audit log in a real database, a thousand times tampered with. */
#include "audit_scratch.h"

#include "core/digest.h"
#include "storage/audit_tree.h"

#include <stdlib.h>

#define TAMPERINGS  1000
#define RANDOM_SEED 20260601

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
		cmocka_unit_test(a_thousand_tamperings_are_found_at_their_first_bad_place),
	};
	return cmocka_run_group_tests(tests, scratch_up, scratch_down);
}
