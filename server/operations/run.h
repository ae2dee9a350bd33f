/* server/operations/run.h - one claimed operation: its phases, one after the other, each end of one committed under the
 * lease. runner.c claims and keeps the lease. */
#pragma once

#include "server/operations/runner.h"

/* What a claim returns. */
enum column {
	COL_ID,
	COL_KIND,
	COL_PRODUCT,
	COL_CONTEXT,
	COL_INSTANCE,
	COL_REQUEST,
	COL_STATE,
	COL_PHASE,
	COL_FENCE,
	COL_PHASE_ATTEMPT,
	COL_FAILURES,
	COL_DEADLINE,
	COL_CANCEL,
	COL_CANCEL_REASON,
	COL_CREATED_AT,
	COL_TRACE_ID,
	COL_DEPLOYMENT,
	COL_TUPLE,
	COL_TRACEPARENT,
	COL_NOW_US, /* only of a claim */
	COL_LAST_US,
};

/* Runs phases until one rests, the operation ends, or the lease is lost. columns: those of the claim before COL_NOW_US.
 */
SUSPENDS void run_operation(struct task *t, struct runner *r, char *const *columns);

/* Of runner.c. */
int64_t lease_ms(const struct runner *r);
/* Until when the holder of a lease may have effects outside: counted from before it was asked for, so never longer than
 * PostgreSQL counts. A worker that is suspended for longer wakes up without the right to do what it was about to do. */
uint64_t lease_end_ms(const struct runner *r, uint64_t asked_ms);
const struct op_kind *kind_named(const struct runner *r, const char *name); /* NULL: of no kind known here */
bool runner_is_stopping(const struct runner *r);
