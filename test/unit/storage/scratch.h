/* test/unit/storage/scratch.h - a private PostgreSQL cluster for one test program, and an empty database for each test.
 */
#pragma once

#include "storage/cluster.h"
#include "storage/db.h"
#include "storage/migrate.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* For cmocka_run_group_tests: starts and stops the cluster. */
int scratch_up(void **state);
int scratch_down(void **state);

typedef void (*scratch_fn)(struct task *t);
/* Runs fn as a task with a pool on an empty database; options may be NULL. */
void scratch_run(void **state, const struct db_options *options, scratch_fn fn);
/* The URL of the database fn runs with. */
const char *scratch_url(struct task *t);

/* Statements that must succeed, sent as they are; scratch_text gives the first column of the first row, or NULL. */
SUSPENDS void scratch_do(struct task *t, const char *sql);
SUSPENDS const char *scratch_text(struct task *t, const char *sql);

/* ---- many tasks at once ---- */

/* What became of them. */
struct crowd {
	unsigned left, good, bad;
	struct err last;
};

struct member {
	struct crowd *crowd;
	const struct query *query;
	int number;
	const char *key;
};

/* n of them, with numbers from 0 and keys k0, k1, ... */
struct member *crowd_of(struct task *t, struct crowd *crowd, unsigned n, const struct query *q);
/* Runs fn as a task for each, all of one crowd, and waits until each has taken one from crowd->left. */
SUSPENDS void crowd_run(struct task *t, task_fn fn, struct member *members, unsigned n);
