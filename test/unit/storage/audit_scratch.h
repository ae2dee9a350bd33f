/* test/unit/storage/audit_scratch.h - an audit log in an empty database, and what tests do with it. */
#pragma once

#include "scratch.h"

#include "storage/audit_log.h"
#include "storage/audit_verify.h"

#define ENTRIES 60
#define SAVED   40 /* entries that the kept checkpoint covers */

SUSPENDS void migrated(struct task *t);
/* One more pending entry; its record is record-i. */
SUSPENDS void append(struct task *t, int i);
/* Rounds of the sequencer until nothing is left to do. */
SUSPENDS void sequence(struct task *t, struct sequencer *s);
SUSPENDS struct sequencer *signer(struct task *t);
/* ENTRIES entries in batches of one, two, three, ..., so that checkpoints stand at uneven places. The note of SAVED. */
SUSPENDS const char *fill(struct task *t, struct sequencer *s);
SUSPENDS struct audit_report verify_in(struct task *t, struct tx *tx, const char *saved, const char *keys);
SUSPENDS struct audit_report verify(struct task *t, const char *saved, const char *keys);
/* The first column of the first row, -1: none. */
SUSPENDS int64_t number(struct task *t, const char *sql);
/* Does not return, which clang's analysis has to see where a transaction begins. */
_Noreturn void give_up(const struct err *err);
