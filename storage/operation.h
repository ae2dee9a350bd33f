/* storage/operation.h - durable operations: what a kind is, what a phase may do, and how PostgreSQL keeps them.
 *
 * A kind is a table of phases. server/operations runs it: it claims due operations (lease and fencing number), calls
 * the phase function as a task, and commits what came out (the checkpoint): state, next phase, next wake-up, events and
 * the records the phase wrote, all in one transaction that only succeeds while the fencing number still matches.
 *
 * A phase may run twice: the process can die between its effect and its checkpoint. A phase does at most one outside
 * effect; one that its provider does not make idempotent looks for its own mark there first whenever
 * operation_is_rerun() says that an earlier run may have got that far. Waiting is PHASE_AGAIN with a delay: a column in
 * the database, never a parked task. */
#pragma once

#include "core/contract.h"
#include "core/task.h"
#include "storage/db.h"
#include "storage/guard.h"

enum phase_outcome {
	PHASE_DONE,   /* go on with the next phase, at once */
	PHASE_AGAIN,  /* run this phase again in operation.again_ms */
	PHASE_GOTO,   /* go on with operation.next_phase in again_ms; a phase entered this way counts its runs anew */
	PHASE_FAILED, /* err says why; tried again when err's code is worth it and tries are left, else the operation
	                 fails */
};

enum {
	CANCEL_NO,
	CANCEL_FIRST, /* before its first run only: a later run may come after the effect */
	CANCEL_ANY,
};

struct operation;
typedef enum phase_outcome (*phase_fn)(struct task *t, struct operation *op, struct err *err);

struct phase {
	const char *name;         /* NULL ends the table */
	const char *public_phase; /* what the poll shows (facts/odoo.md 6.1) */
	phase_fn run;
	int tries;      /* failures worth another try that are tolerated, first included */
	int backoff_ms; /* before the second try; doubles, with jitter, at most 60 s */
	int limit_s;    /* longest stay in this phase, waits included; 0: no limit */
	/* The limit when it depends on the request; overrides limit_s. */
	int (*limit_of)(const struct operation *op);
	int cancel; /* CANCEL_*: whether cancellation is honoured before a run of this phase */
	const char *help;
};

struct op_kind {
	const char *name;      /* as in launchplane_operations.kind */
	const char *id_prefix; /* of operation ids */
	const char *help;
	const struct contract *request; /* of the validated request, kept in the row */
	const struct contract *state;   /* what the phases hand to each other; no secrets */
	const struct phase *phases;
	const struct error_code *busy; /* when the lane is held by another operation; NULL: E_operation_active */
	/* Fills op->result and op->error_* and queues the records that the end writes. err is NULL when it passed. Runs
	 * again when the final commit did not succeed. */
	void (*conclude)(struct task *t, struct operation *op, const struct err *err);
	/* Called when the operation is about to fail or to be cancelled (NULL: never). True sends it to op->next_phase
	 * first, to leave the outside world in order. The kind keeps the failure in its state; the phase that has put
	 * things in order fails with it, with op->is_final set. */
	bool (*recover)(struct task *t, struct operation *op, const struct err *err);
};

struct op_write {
	const struct query *query;
	const struct param *params;
	size_t n;
	struct op_write *next;
};

struct op_event {
	const char *event;
	const struct json *detail; /* NULL: {} */
	struct op_event *next;
};

struct operation {
	const struct op_kind *kind;
	const struct phase *phase;
	const char *operation_id, *product, *context, *instance, *created_at, *trace_id;
	void *request; /* kind->request's struct */
	void *state;   /* kind->state's struct */
	int64_t fence;
	int phase_attempt, failures;    /* runs of this phase, this one included; failed runs of it in a row */
	int64_t phase_deadline_wall_ms; /* 0: none */
	bool cancel_requested;
	const char *cancel_reason;

	/* set by phases, stored at the checkpoint */
	const char *deployment_record_id, *release_tuple_id;
	const struct json *result;
	uint64_t again_ms;
	const char *next_phase;
	bool is_put_off;
	bool is_final; /* this run's failure ends the operation, whatever its code and the tries left */
	enum { OVERDUE_UNASKED, OVERDUE_NO, OVERDUE_YES } overdue; /* as this run was told */
	struct op_write *writes, **writes_end;
	struct op_event *events, **events_end;
};

/* An earlier run of this phase began and may have reached its effect. */
static inline bool operation_is_rerun(const struct operation *op)
{
	return GUARD(F2) && op->phase_attempt > 1;
}
/* Queues a write for the checkpoint's transaction. Parameters are copied into the task's arena. */
void operation_write(struct task *t, struct operation *op, const struct query *q, const struct param *params, size_t n);
/* Queues an event for the operation's history. detail is referenced. */
void operation_event(struct task *t, struct operation *op, const char *event, const struct json *detail);
enum phase_outcome operation_again(struct operation *op, uint64_t ms);
enum phase_outcome operation_goto(struct operation *op, const char *phase, uint64_t ms);
/* For a kind's conclude: what it has to read cannot be read now. The end is not committed; the phase runs again when
 * the lease has ended. False, and nothing is put off, for an error that will not pass. */
bool operation_put_off(struct operation *op, const struct err *err);
/* The phase's time limit is over: a phase that waits gives up with its own words. Within a run the answer stays: one
 * that was told that there is time, and asks to run again, is run again. */
bool operation_is_overdue(struct task *t, struct operation *op);
const struct phase *kind_phase(const struct op_kind *kind, const char *name);

/* ---- submitting and reading ---- */

struct op_submission {
	const struct op_kind *kind;
	const char *product, *context, *instance;
	const char *idempotency_scope, *idempotency_key, *request_fingerprint;
	const char *request; /* JSON */
	const char *actor;   /* JSON */
	const char *trace_id, *traceparent;
	bool holds_lane;
	const char *taken_by; /* the worker that submits works on it as well: claimed in the same commit; NULL: not */
	int64_t lease_ms;     /* of that claim */
};

enum submit_outcome { SUBMIT_CREATED, SUBMIT_EXISTING };

struct op_submitted {
	enum submit_outcome outcome;
	const char *operation_id, *document; /* as JSON; of a refusal that names one: the operation in the way */
	struct rows claimed; /* of an operation created with taken_by: one row with the columns of operation_claim */
};

/* Reserves the lane and writes the operation in one commit. The same key of the same caller finds the existing
 * operation. E_idempotency_key_reused; lane busy: the kind's own code with the active one in out->document. */
SUSPENDS bool operation_submit(struct task *t, const struct op_submission *s, struct op_submitted *out,
                               struct err *err);
/* <prefix>-<context>-<instance>-<created_at without ":">-<16 hex> (facts/odoo.md 2). */
const char *operation_new_id(struct arena *a, const struct op_submission *s, const char *created_at);

/* "2026-06-01T10:00:00Z" of the loop's UTC time; and the compact form of record ids, 20260601T100000Z. */
const char *utc_now(struct task *t);
const char *utc_compact(struct arena *a, const char *utc);
