#include "server/operations/run.h"

#include "core/digest.h"
#include "core/fault.h"
#include "core/log.h"
#include "server/measures.h"
#include "storage/audit.h"
#include "storage/codes.h"
#include "storage/operation.sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define BACKOFF_CAP_MS   60000
#define CHECKPOINT_TRIES 5

/* ---- what a phase's end means ---- */

enum step_kind {
	STEP_ADVANCE, /* next phase, lease kept */
	STEP_REST,    /* later, lease given up */
	STEP_FINISH,
};

struct step {
	enum step_kind kind;
	const struct phase *phase;
	uint64_t delay_ms;
	int failures;
	bool enters; /* the phase counts its runs and its time anew */
	bool recovers;
	bool passed;
	struct err err;
};

static uint64_t backoff_ms(const struct phase *p, int failures)
{
	uint64_t ms = p->backoff_ms ? (uint64_t)p->backoff_ms : 1000;
	for (int i = 1; i < failures && ms < BACKOFF_CAP_MS; i++)
		ms *= 2;
	if (ms > BACKOFF_CAP_MS)
		ms = BACKOFF_CAP_MS;
	uint32_t random;
	random_bytes(&random, sizeof(random));
	return ms / 2 + random % (ms / 2 + 1); /* between half of it and all of it */
}

static void note_failure(struct task *t, struct operation *op, const char *event, const struct err *err)
{
	struct json *detail = ARENA_NEW(t->arena, struct json);
	*detail = json_object();
	json_set_str(t->arena, detail, "code", err->code->name);
	json_set_str(t->arena, detail, "message", arena_strdup(t->arena, err->message));
	operation_event(t, op, event, detail);
}

static int limit_of(const struct operation *op, const struct phase *p)
{
	return p->limit_of ? p->limit_of(op) : p->limit_s;
}

static struct step finish_failed(const struct err *err)
{
	return (struct step){ .kind = STEP_FINISH, .passed = false, .err = *err };
}

static struct step judge(struct task *t, struct operation *op, enum phase_outcome outcome, struct err *err)
{
	switch (outcome) {
	case PHASE_DONE:
		if (!op->phase[1].name)
			return (struct step){ .kind = STEP_FINISH, .passed = true };
		return (struct step){ .kind = STEP_ADVANCE, .phase = op->phase + 1, .enters = true };
	case PHASE_AGAIN:
		if (operation_is_overdue(t, op)) {
			err_set(err, &E_timeout, "%s did not finish within %d seconds", op->phase->help,
			        limit_of(op, op->phase));
			return finish_failed(err);
		}
		return (struct step){ .kind = STEP_REST, .phase = op->phase, .delay_ms = op->again_ms };
	case PHASE_GOTO:
		return (struct step){ .kind = STEP_REST,
			              .phase = kind_phase(op->kind, op->next_phase),
			              .delay_ms = op->again_ms,
			              .enters = true };
	case PHASE_FAILED:
		break;
	}
	int failures = op->failures + 1;
	if (op->is_final || !err->code->retry || failures >= op->phase->tries || operation_is_overdue(t, op))
		return finish_failed(err);
	note_failure(t, op, "retry", err);
	return (struct step){
		.kind = STEP_REST, .phase = op->phase, .delay_ms = backoff_ms(op->phase, failures), .failures = failures
	};
}

/* ---- what the audit log is told ---- */

static struct audit_entry entry_of(const struct operation *op, const char *event)
{
	struct audit_entry e = {
		.type = "operation",
		.event = event,
		.product = op->product,
		.context = op->context,
		.trace_id = op->trace_id,
		.operation_id = op->operation_id,
		.kind = op->kind->name,
		.phase = op->phase->name,
		.run = op->phase_attempt,
		.records = json_object(),
	};
	return e;
}

static void add_records(struct task *t, struct audit_entry *e, const struct operation *op)
{
	if (op->deployment_record_id[0])
		json_set_str(t->arena, &e->records, "deployment_record_id", op->deployment_record_id);
	if (op->release_tuple_id[0])
		json_set_str(t->arena, &e->records, "release_tuple_id", op->release_tuple_id);
}

/* The leaf of a run that ends with s; NULL when it only looked and goes on waiting: a sleeper must not fill the log. */
static const char *leaf_of_step(struct task *t, const struct operation *op, const struct step *s)
{
	bool has_failed = s->failures > 0;
	if (!s->enters && !has_failed && !op->writes && !op->events && !t->effects)
		return NULL;
	struct audit_entry e = entry_of(op, has_failed ? "phase_retried" : s->enters ? "phase_done" : "phase_waits");
	e.effects = t->effects;
	add_records(t, &e, op);
	return audit_leaf_of(t, &e);
}

static const char *leaf_of_end(struct task *t, const struct operation *op, const struct err *err)
{
	struct audit_entry e = entry_of(op, err ? "failed" : "passed");
	e.effects = t->effects;
	e.error_code = err ? err->code->name : NULL;
	e.reason = op->cancel_reason;
	add_records(t, &e, op);
	return audit_leaf_of(t, &e);
}

/* ---- checkpoints ---- */

static const char *events_json(struct task *t, const struct operation *op)
{
	struct buf b = buf_in(t->arena);
	struct json_out o = { .buf = &b };
	jo_open(&o, '[');
	for (const struct op_event *e = op->events; e; e = e->next) {
		jo_open(&o, '{');
		jo_kv(&o, "event", e->event);
		jo_kv(&o, "phase", op->phase->name);
		jo_key(&o, "detail");
		if (e->detail)
			jo_json(&o, e->detail);
		else
			jo_raw(&o, "{}", 2);
		jo_close(&o, '}');
	}
	jo_close(&o, ']');
	return b.p;
}

static SUSPENDS bool send_checkpoint(struct task *t, struct operation *op, const struct query *q,
                                     const struct param *params, size_t n, struct rows *rows, bool *lost,
                                     struct err *err)
{
	*lost = false;
	if (!op->writes) {
		if (!db_write(t, op->operation_id, q, params, n, rows, err))
			return false;
		*lost = rows->n == 0;
		return true;
	}
	struct tx *tx;
	if (!tx_begin(t, &tx, err))
		return false;
	if (!tx_query(tx, q, params, n, rows, err) || rows->n == 0) {
		*lost = err->code == NULL;
		tx_rollback(tx);
		return *lost;
	}
	for (const struct op_write *w = op->writes; w; w = w->next)
		tx_send(tx, w->query, w->params, w->n);
	return tx_commit(tx, err);
}

/* Commits, again when the database was away: the fencing number makes a second commit of the same step harmless,
 * because nobody else can have moved the operation while we hold its lease. False when the lease is lost or the
 * database stays away; the operation is then found again when its lease ends. */
static SUSPENDS bool commit(struct task *t, struct operation *op, const struct query *q, const struct param *params,
                            size_t n, struct rows *rows)
{
	for (int round = 1;; round++) {
		struct err err = { 0 };
		bool lost;
		if (send_checkpoint(t, op, q, params, n, rows, &lost, &err)) {
			if (lost)
				log_warn(t, "operation.lease_lost");
			return !lost;
		}
		log_warn(t, "operation.checkpoint_failed", I("round", round), LOG_ERR(&err));
		if (round == CHECKPOINT_TRIES || !err.code->retry || task_is_cancelled(t) ||
		    !task_sleep(t, 200u << round, &err))
			return false;
	}
}

/* *keeps: the next phase is this worker's; one that is to stop leaves it to others, at once and unbegun. */
static SUSPENDS bool commit_step(struct task *t, struct operation *op, const struct runner *r, const struct step *s,
                                 bool *keeps)
{
	struct rows rows;
	bool entered = s->enters;
	*keeps = s->kind == STEP_ADVANCE && !runner_is_stopping(r);
	uint64_t asked_ms = loop_exact_ms(t->loop);
	if (entered && !s->recovers)
		operation_event(t, op, "phase_done", NULL);
	const char *state = contract_text(t->arena, op->kind->state, op->state);
	const char *leaf = leaf_of_step(t, op, s);
	if (!commit(t, op, &Q_operation_checkpoint,
	            PARAMS(P_TEXT(op->operation_id), P_INT(op->fence), P_TEXT(s->phase->name),
	                   P_TEXT(s->phase->public_phase), P_TEXT(state), P_BOOL(entered),
	                   *keeps ? P_NULL : P_INT(s->delay_ms), P_INT(lease_ms(r)), P_INT(limit_of(op, s->phase)),
	                   P_TEXT(op->deployment_record_id), P_TEXT(op->release_tuple_id),
	                   P_INT(loop_clock_offset_ms(t->loop)), P_INT(s->failures), P_TEXT(events_json(t, op)),
	                   P_TEXT(leaf)),
	            &rows))
		return false;
	if (*keeps)
		t->effects_until_ms = asked_ms + (uint64_t)row_int(&rows, 0, 3);
	op->phase = s->phase;
	t->phase = s->phase->name;
	op->phase_deadline_wall_ms = row_int(&rows, 0, 0);
	op->phase_attempt = entered ? 1 : op->phase_attempt;
	op->failures = s->failures;
	op->cancel_requested = row_bool(&rows, 0, 1);
	op->cancel_reason = op->cancel_requested ? row_text(&rows, 0, 2) : "";
	op->writes = NULL;
	op->writes_end = &op->writes;
	op->events = NULL;
	op->events_end = &op->events;
	return true;
}

static SUSPENDS void commit_finish(struct task *t, struct operation *op, const struct step *s)
{
	const struct err *err = s->passed ? NULL : &s->err;
	if (err)
		note_failure(t, op, "failed", err);
	else
		operation_event(t, op, "completed", NULL);
	if (op->kind->conclude)
		op->kind->conclude(t, op, err);
	if (op->is_put_off) {
		log_warn(t, "operation.end_put_off");
		return;
	}
	const char *state = contract_text(t->arena, op->kind->state, op->state);
	struct rows rows;
	if (!commit(t, op, &Q_operation_finish,
	            PARAMS(P_TEXT(op->operation_id), P_INT(op->fence), P_TEXT(s->passed ? "pass" : "fail"),
	                   P_TEXT(op->phase->name), P_TEXT(s->passed ? "completed" : "failed"), P_TEXT(state),
	                   P_TEXT(op->result ? json_text(t->arena, op->result) : NULL),
	                   P_TEXT(err ? err->code->name : ""), P_TEXT(err ? err->message : ""),
	                   P_TEXT(events_json(t, op)), P_INT(loop_clock_offset_ms(t->loop)),
	                   P_TEXT(op->deployment_record_id), P_TEXT(op->release_tuple_id),
	                   P_TEXT(leaf_of_end(t, op, err))),
	            &rows))
		return;
	measure_operation(s->passed);
	if (err)
		log_warn(t, "operation.failed", LOG_ERR(err));
	else
		log_info(t, "operation.passed");
}

/* ---- running one operation ---- */

static bool load(struct task *t, struct runner *r, char *const *c, struct operation *op, struct err *err)
{
	*op = (struct operation){
		.kind = kind_named(r, c[COL_KIND]),
		.operation_id = c[COL_ID],
		.product = c[COL_PRODUCT],
		.context = c[COL_CONTEXT],
		.instance = c[COL_INSTANCE],
		.created_at = c[COL_CREATED_AT],
		.trace_id = c[COL_TRACE_ID] ? c[COL_TRACE_ID] : "",
		.fence = strtoll(c[COL_FENCE], NULL, 10),
		.phase_attempt = atoi(c[COL_PHASE_ATTEMPT]),
		.failures = atoi(c[COL_FAILURES]),
		.phase_deadline_wall_ms = c[COL_DEADLINE] ? strtoll(c[COL_DEADLINE], NULL, 10) : 0,
		.cancel_requested = c[COL_CANCEL] && c[COL_CANCEL][0] == 't',
		.cancel_reason = c[COL_CANCEL_REASON] ? c[COL_CANCEL_REASON] : "",
		.deployment_record_id = c[COL_DEPLOYMENT] ? c[COL_DEPLOYMENT] : "",
		.release_tuple_id = c[COL_TUPLE] ? c[COL_TUPLE] : "",
	};
	assert(op->kind); /* only known kinds are claimed */
	op->writes_end = &op->writes;
	op->events_end = &op->events;
	/* Operations taken over from an earlier release stand before the first phase. */
	op->phase = c[COL_PHASE][0] ? kind_phase(op->kind, c[COL_PHASE]) : &op->kind->phases[0];
	if (!op->phase)
		return err_set(err, &E_internal_error,
		               "the operation stands in phase %s, which this release does not know", c[COL_PHASE]);
	op->request = arena_alloc(t->arena, op->kind->request->size);
	op->state = arena_alloc(t->arena, op->kind->state->size);
	return contract_read_text(t->arena, op->kind->request, c[COL_REQUEST], strlen(c[COL_REQUEST]),
	                          "the stored request", op->request, err) &&
	       contract_read_text(t->arena, op->kind->state, c[COL_STATE], strlen(c[COL_STATE]), "the stored state",
	                          op->state, err);
}

static struct step cancelled_step(const struct operation *op)
{
	struct err err = { 0 };
	err_set(&err, &E_operation_cancelled, "cancelled before %s%s%s", op->phase->help,
	        op->cancel_reason[0] ? ": " : "", op->cancel_reason);
	return finish_failed(&err);
}

static bool may_cancel(const struct operation *op)
{
	if (!GUARD(F10))
		return false;
	return op->phase->cancel == CANCEL_ANY || (op->phase->cancel == CANCEL_FIRST && !operation_is_rerun(op));
}

/* A failure that must first be cleaned up after goes to the kind's phase for that. */
static struct step recovered(struct task *t, struct operation *op, const struct step *failed)
{
	if (failed->kind != STEP_FINISH || failed->passed || !op->kind->recover ||
	    !op->kind->recover(t, op, &failed->err))
		return *failed;
	note_failure(t, op, "recovering", &failed->err);
	return (struct step){
		.kind = STEP_REST, .phase = kind_phase(op->kind, op->next_phase), .enters = true, .recovers = true
	};
}

void run_operation(struct task *t, struct runner *r, char *const *columns)
{
	struct operation op;
	struct err err = { 0 };
	if (!load(t, r, columns, &op, &err)) {
		log_error(t, "operation.unreadable", LOG_ERR(&err));
		return; /* stays leased; another release may understand it */
	}
	for (;;) {
		t->phase = op.phase->name;
		/* What a phase writes by itself, outside its checkpoint. */
		struct audit_entry told = entry_of(&op, "phase_wrote");
		audit_begin(t, &told);
		t->effects = 0;
		op.overdue = OVERDUE_UNASKED;
		struct step step;
		memset(&err, 0, sizeof(err));
		task_may_be_cancelled(t);
		if (may_cancel(&op) && op.cancel_requested) {
			step = cancelled_step(&op);
		} else {
			log_debug(t, "operation.phase", I("run", op.phase_attempt));
			if (fault_armed)
				fault_at(arena_printf(t->arena, "phase.%s", op.phase->name), NULL);
			enum phase_outcome outcome = op.phase->run(t, &op, &err);
			if (outcome == PHASE_FAILED && (err.code == &E_cancelled || task_is_cancelled(t))) {
				/* told to stop, or too late: the next claim runs this phase again. Whatever else the
				 * failure is called, it may come of that. */
				if (loop_exact_ms(t->loop) >= t->effects_until_ms)
					log_warn(t, "operation.lease_lost");
				return;
			}
			step = judge(t, &op, outcome, &err);
		}
		task_must_finish(t); /* a phase that has ended is written down */
		step = recovered(t, &op, &step);
		if (step.kind == STEP_FINISH) {
			commit_finish(t, &op, &step);
			return;
		}
		bool keeps;
		if (!commit_step(t, &op, r, &step, &keeps))
			return;
		if (!keeps) {
			runner_kick(r);
			return;
		}
	}
}
