#include "audit_scratch.h"

#include <stdlib.h>

static const unsigned char seed[NOTE_SEED_N] = "the seed of a key for the tests.";

SUSPENDS void migrated(struct task *t)
{
	struct migrate_report report;
	struct err err = { 0 };
	if (!migrate_apply(t, &report, &err))
		fail_msg("%s %s", err.message, err.cause);
}

SUSPENDS void append(struct task *t, int i)
{
	struct err err = { 0 };
	struct audit_entry e = { .type = "request", .event = "accepted", .actor = "github:somebody" };
	e.records = json_object();
	json_set_str(t->arena, &e.records, "record_id", arena_printf(t->arena, "record-%d", i));
	if (!audit_append(t, &e, &err))
		fail_msg("%s %s", err.message, err.cause);
}

SUSPENDS void sequence(struct task *t, struct sequencer *s)
{
	struct err err = { 0 };
	bool more = true;
	while (more)
		if (!audit_sequence(t, s, &more, &err))
			fail_msg("%s %s", err.message, err.cause);
}

SUSPENDS struct sequencer *signer(struct task *t)
{
	struct err err = { 0 };
	struct sequencer *s = ARENA_NEW(t->arena, struct sequencer);
	if (!audit_key_ensure(t, s, seed, &err))
		fail_msg("%s %s", err.message, err.cause);
	assert_true(s->key.can_sign);
	return s;
}

/* Batches of one, two, three, ... entries, so that checkpoints stand at uneven places. */
SUSPENDS const char *fill(struct task *t, struct sequencer *s)
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
_Noreturn void give_up(const struct err *err)
{
	print_error("%s %s\n", err->message, err->cause);
	abort();
}

SUSPENDS struct audit_report verify_in(struct task *t, struct tx *tx, const char *saved, const char *keys)
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

SUSPENDS struct audit_report verify(struct task *t, const char *saved, const char *keys)
{
	struct tx *tx;
	struct err err = { 0 };
	if (!tx_begin(t, &tx, &err))
		give_up(&err);
	struct audit_report report = verify_in(t, tx, saved, keys);
	tx_rollback(tx);
	return report;
}

SUSPENDS int64_t number(struct task *t, const char *sql)
{
	const char *text = scratch_text(t, sql);
	return text ? strtoll(text, NULL, 10) : -1;
}
