/* server/operations/runner.h - runs durable operations: claims what is due, runs its phases as tasks, commits
 * checkpoints.
 *
 * Each worker process has one runner. It sleeps until the next wake-up that the database knows, or until somebody
 * submits (NOTIFY, or runner_kick() in this process). Between two phases nothing about an operation exists outside the
 * database. */
#pragma once

#include "storage/operation.h"

struct runner;

struct runner_options {
	const struct op_kind *const *kinds; /* NULL-terminated */
	const char *owner;                  /* names this process in leases; unique among all that ever ran */
	unsigned capacity;                  /* operations worked on at once, default 64 */
	uint64_t lease_ms;                  /* default 15000; renewed each third of it */
};

struct runner *runner_new(struct loop *l, const struct runner_options *options);
void runner_kick(struct runner *r); /* something may be due */
/* operation_submit(). What it creates starts here at once when there is room: claimed in the commit that makes it. */
SUSPENDS bool runner_submit(struct task *t, struct runner *r, const struct op_submission *s, struct op_submitted *out,
                            struct err *err);
/* The beginning of the end: what is not claimed is left to others. */
void runner_claim_no_more(struct runner *r);
/* Lets running phases reach their checkpoint for at most wait_ms, then cuts them off. */
SUSPENDS void runner_stop(struct task *t, struct runner *r, uint64_t wait_ms);
void runner_free(struct runner *r);
size_t runner_active(const struct runner *r);
