#include "server/operations/runner.h"

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

#define IDLE_POLL_MS     2000 /* the backstop when no notification comes */
#define BACKOFF_CAP_MS   60000
#define CHECKPOINT_TRIES 5
#define PACE_MS          5               /* between two claims of a worker that has */
#define PACE_FROM        4               /* so many operations to work on: what is due meanwhile shares a commit */
#define WHOLE_MS         1000            /* between two claims that look at all that ever became due */
#define WHOLE_SHARE      20              /* and at least so many times as long as the last one took */
#define LATE_US          INT64_C(200000) /* a row may become visible so long after its wake-up was written */

/* One claimed operation while this process works on it. */
struct job {
	struct job *prev, *next;
	struct runner *runner;
	struct task *task, *heart;
	char *operation_id;
	int64_t fence;
	bool finished;
	/* what the claim returned, copied because the claimer's arena does not live as long */
	char *columns[19];
};

struct runner {
	struct loop *loop;
	struct runner_options options;
	char *owner, *kind_names;
	struct task *claimer, *stopper;
	struct job *jobs;
	size_t active, promised; /* promised: being submitted and taken at once */
	bool kicked, stopping, claimer_done, is_full;
	/* Everything that became due before has been looked at: claims begin there. 0: nowhere yet. */
	int64_t seen_us;
	int64_t seen_offset_ms; /* of the test clock then */
	uint64_t whole_at_ms;   /* when to look at everything again */
};

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

/* F1: the lease's end is the operation's next wake-up. */
static int64_t lease_ms(const struct runner *r)
{
	return GUARD(F1) ? (int64_t)r->options.lease_ms : INT64_C(86400000) * 3650;
}

/* Until when the holder of a lease may have effects outside: counted from before it was asked for, so never longer than
 * PostgreSQL counts. A worker that is suspended for longer wakes up without the right to do what it was about to do. */
static uint64_t lease_end_ms(const struct runner *r, uint64_t asked_ms)
{
	return asked_ms + (uint64_t)lease_ms(r);
}

static const struct op_kind *kind_named(const struct runner *r, const char *name)
{
	for (const struct op_kind *const *k = r->options.kinds; *k; k++)
		if (strcmp((*k)->name, name) == 0)
			return *k;
	return NULL;
}

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
		if (round == CHECKPOINT_TRIES || !err.code->retry || !task_sleep(t, 200u << round, &err))
			return false;
	}
}

static SUSPENDS bool commit_step(struct task *t, struct operation *op, const struct runner *r, const struct step *s)
{
	struct rows rows;
	bool entered = s->enters, keeps = s->kind == STEP_ADVANCE;
	uint64_t asked_ms = loop_exact_ms(t->loop);
	if (entered && !s->recovers)
		operation_event(t, op, "phase_done", NULL);
	const char *state = contract_text(t->arena, op->kind->state, op->state);
	const char *leaf = leaf_of_step(t, op, s);
	if (!commit(t, op, &Q_operation_checkpoint,
	            PARAMS(P_TEXT(op->operation_id), P_INT(op->fence), P_TEXT(s->phase->name),
	                   P_TEXT(s->phase->public_phase), P_TEXT(state), P_BOOL(entered),
	                   keeps ? P_NULL : P_INT(s->delay_ms), P_INT(lease_ms(r)), P_INT(limit_of(op, s->phase)),
	                   P_TEXT(op->deployment_record_id), P_TEXT(op->release_tuple_id),
	                   P_INT(loop_clock_offset_ms(t->loop)), P_INT(s->failures), P_TEXT(events_json(t, op)),
	                   P_TEXT(leaf)),
	            &rows))
		return false;
	if (keeps)
		t->effects_until_ms = lease_end_ms(r, asked_ms);
	op->phase = s->phase;
	t->phase = s->phase->name;
	op->phase_deadline_wall_ms = row_int(&rows, 0, 0);
	op->phase_attempt = entered ? 1 : op->phase_attempt;
	op->failures = s->failures;
	op->cancel_requested = row_bool(&rows, 0, 2);
	op->cancel_reason = op->cancel_requested ? row_text(&rows, 0, 3) : "";
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

static bool load(struct task *t, struct runner *r, const struct job *job, struct operation *op, struct err *err)
{
	char *const *c = job->columns;
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

/* Runs phases until one rests, the operation ends, or the lease is lost. */
static SUSPENDS void run_operation(struct task *t, struct runner *r, struct job *job)
{
	struct operation op;
	struct err err = { 0 };
	if (!load(t, r, job, &op, &err)) {
		log_error(t, "operation.unreadable", LOG_ERR(&err));
		return; /* stays leased; another release may understand it */
	}
	for (;;) {
		t->phase = op.phase->name;
		/* What a phase writes by itself, outside its checkpoint. */
		struct audit_entry told = entry_of(&op, "phase_wrote");
		audit_begin(t, &told);
		t->effects = 0;
		struct step step;
		memset(&err, 0, sizeof(err));
		if (may_cancel(&op) && op.cancel_requested) {
			step = cancelled_step(&op);
		} else {
			log_debug(t, "operation.phase", I("run", op.phase_attempt));
			if (fault_armed)
				fault_at(arena_printf(t->arena, "phase.%s", op.phase->name), NULL);
			enum phase_outcome outcome = op.phase->run(t, &op, &err);
			if (outcome == PHASE_FAILED && err.code == &E_cancelled) {
				/* told to stop, or too late: the next claim runs this phase again */
				if (loop_exact_ms(t->loop) >= t->effects_until_ms)
					log_warn(t, "operation.lease_lost");
				return;
			}
			step = judge(t, &op, outcome, &err);
		}
		step = recovered(t, &op, &step);
		if (step.kind == STEP_FINISH) {
			commit_finish(t, &op, &step);
			return;
		}
		if (!commit_step(t, &op, r, &step))
			return;
		if (step.kind == STEP_REST || r->stopping) {
			runner_kick(r);
			return;
		}
	}
}

/* Keeps the lease while a phase runs. Ends when the job does. */
static SUSPENDS void heart_main(struct task *t, void *arg)
{
	struct job *job = arg;
	struct runner *r = job->runner;
	t->operation = job->operation_id;
	while (!job->finished) {
		struct err err = { 0 };
		if (!task_sleep(t, r->options.lease_ms / 3, &err))
			break;
		struct rows rows;
		uint64_t asked_ms = loop_exact_ms(t->loop);
		if (job->finished || !db_write(t, job->operation_id, &Q_operation_heartbeat,
		                               PARAMS(P_TEXT(job->operation_id), P_INT(job->fence), P_INT(lease_ms(r)),
		                                      P_INT(loop_clock_offset_ms(t->loop))),
		                               &rows, &err))
			continue;
		if (rows.changed) {
			job->task->effects_until_ms = lease_end_ms(r, asked_ms);
		} else if (!job->finished) {
			log_warn(t, "operation.lease_lost");
			task_cancel(job->task);
			break;
		}
	}
	job->heart = NULL;
	if (job->task)
		task_wake(job->task);
}

/* Room for a claim that is worth its commit. */
static bool has_room(const struct runner *r)
{
	return r->active + r->promised <= r->options.capacity * 3 / 4;
}

static SUSPENDS void job_main(struct task *t, void *arg)
{
	struct job *job = arg;
	struct runner *r = job->runner;
	t->operation = job->operation_id;
	t->trace_id = job->columns[COL_TRACE_ID] ? job->columns[COL_TRACE_ID] : "";
	t->traceparent = job->columns[COL_TRACEPARENT] ? job->columns[COL_TRACEPARENT] : "";
	char actor[200];
	snprintf(actor, sizeof(actor), "operation:%s", job->operation_id);
	t->actor = actor;
	fault_at("claim.after", NULL);
	run_operation(t, r, job);
	audit_begin(t, NULL);
	job->finished = true;
	if (job->heart)
		task_cancel(job->heart);
	while (job->heart)
		task_wait_out(t);
	if (job->prev)
		job->prev->next = job->next;
	else
		r->jobs = job->next;
	if (job->next)
		job->next->prev = job->prev;
	r->active--;
	for (size_t i = 0; i < countof(job->columns); i++)
		free(job->columns[i]);
	t->operation = t->trace_id = t->traceparent = t->phase = t->actor = "";
	free(job);
	if (r->stopper)
		task_wake(r->stopper);
	if (r->is_full && !r->claimer_done && has_room(r))
		task_wake(r->claimer);
}

static struct job *job_of(struct runner *r, const char *operation_id)
{
	for (struct job *j = r->jobs; j; j = j->next)
		if (strcmp(j->operation_id, operation_id) == 0)
			return j;
	return NULL;
}

static void start_job(struct runner *r, const struct rows *rows, size_t row, uint64_t effects_until_ms)
{
	struct job *known = job_of(r, row_text(rows, row, COL_ID));
	if (known) { /* our own lease ran out under it: stop it, and take the new lease when it ends by itself */
		task_cancel(known->task);
		return;
	}
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		abort();
	job->runner = r;
	for (size_t i = 0; i < countof(job->columns); i++) {
		const char *s = row_text(rows, row, (int)i);
		job->columns[i] = s ? strdup(s) : NULL;
	}
	job->operation_id = job->columns[COL_ID];
	job->fence = row_int(rows, row, COL_FENCE);
	job->task = task_spawn(r->loop, "operation", job_main, job);
	job->heart = job->task ? task_spawn(r->loop, "heartbeat", heart_main, job) : NULL;
	assert(job->task && job->heart);
	job->task->effects_until_ms = effects_until_ms;
	job->next = r->jobs;
	if (r->jobs)
		r->jobs->prev = job;
	r->jobs = job;
	r->active++;
}

/* ---- claiming ---- */

/* From which moment on to look for what is due: from the last one, or 0, everything. Behind it lie, in the index, all
 * the wake-ups that have been, for as long as some transaction keeps PostgreSQL from clearing them away; and hardly
 * ever a row whose commit took longer than LATE_US, or was written by another clock. */
static int64_t look_from_us(struct task *t, struct runner *r)
{
	if (loop_now_ms(t->loop) >= r->whole_at_ms || loop_clock_offset_ms(t->loop) != r->seen_offset_ms)
		r->seen_us = 0;
	return r->seen_us;
}

static void looked(struct task *t, struct runner *r, uint64_t since_ms, bool at_all, int64_t until_us)
{
	uint64_t now = loop_now_ms(t->loop), pause = (now - since_ms) * WHOLE_SHARE;
	if (at_all) {
		r->whole_at_ms = now + (pause > WHOLE_MS ? pause : WHOLE_MS);
		r->seen_offset_ms = loop_clock_offset_ms(t->loop);
	}
	r->seen_us = until_us - LATE_US;
}

static SUSPENDS bool claim(struct task *t, struct runner *r, size_t *claimed, struct err *err)
{
	struct rows rows;
	*claimed = 0;
	size_t room = r->options.capacity - r->active - r->promised;
	int64_t from_us = look_from_us(t, r);
	uint64_t since_ms = loop_now_ms(t->loop), asked_ms = loop_exact_ms(t->loop);
	if (!db_write(t, "operation.claim", &Q_operation_claim,
	              PARAMS(P_INT(room), P_TEXT(r->owner), P_INT(lease_ms(r)), P_INT(loop_clock_offset_ms(t->loop)),
	                     P_TEXT(r->kind_names), from_us ? P_INT(from_us) : P_NULL),
	              &rows, err))
		return false;
	for (size_t i = 0; i < rows.n; i++)
		start_job(r, &rows, i, lease_end_ms(r, asked_ms));
	if (rows.n)
		looked(t, r, since_ms, !from_us, row_int(&rows, 0, rows.n < room ? COL_NOW_US : COL_LAST_US));
	*claimed = rows.n;
	rows_done(&rows);
	return true;
}

/* After a claim that found nothing. */
static SUSPENDS bool next_wake_ms(struct task *t, struct runner *r, uint64_t *out, struct err *err)
{
	struct rows rows;
	int64_t from_us = r->seen_us;
	uint64_t since_ms = loop_now_ms(t->loop);
	if (!db_query(t, &Q_operation_next_wake,
	              PARAMS(P_INT(loop_clock_offset_ms(t->loop)), P_TEXT(r->kind_names),
	                     from_us ? P_INT(from_us) : P_NULL, P_INT(IDLE_POLL_MS)),
	              &rows, err))
		return false;
	int64_t ms = row_is_null(&rows, 0, 0) ? IDLE_POLL_MS : row_int(&rows, 0, 0);
	*out = ms < 1 ? 1 : ms < IDLE_POLL_MS ? (uint64_t)ms : IDLE_POLL_MS;
	/* What became due since the claim has not been looked at. */
	if (ms > 0)
		looked(t, r, since_ms, !from_us, row_int(&rows, 0, 1));
	rows_done(&rows);
	return true;
}

/* Claims what there is room for. *wait_ms: how long there is nothing to do. */
static SUSPENDS bool claim_round(struct task *t, struct runner *r, uint64_t *wait_ms, struct err *err)
{
	size_t claimed = 0;
	*wait_ms = IDLE_POLL_MS;
	r->is_full = !has_room(r);
	if (r->is_full)
		return true; /* a job that ends wakes us */
	if (!claim(t, r, &claimed, err))
		return false;
	if (claimed) {
		*wait_ms = 0;
		return r->active < PACE_FROM || task_sleep(t, PACE_MS, err);
	}
	return next_wake_ms(t, r, wait_ms, err);
}

static SUSPENDS void claimer_main(struct task *t, void *arg)
{
	struct runner *r = arg;
	bool in_trouble = false;
	while (!r->stopping) {
		struct err err = { 0 };
		uint64_t wait_ms;
		r->kicked = false;
		bool ok = claim_round(t, r, &wait_ms, &err);
		if (!ok && !r->stopping && !in_trouble)
			log_warn(t, "operations.claim_failed", LOG_ERR(&err));
		in_trouble = !ok;
		bool at_once = wait_ms == 0 || (r->kicked && !r->is_full);
		if (at_once || r->stopping)
			continue;
		task_wait(t, wait_ms, &err);
	}
	r->claimer_done = true;
	if (r->stopper)
		task_wake(r->stopper);
}

bool runner_submit(struct task *t, struct runner *r, const struct op_submission *s, struct op_submitted *out,
                   struct err *err)
{
	struct op_submission mine = *s;
	bool takes = !r->stopping && r->active + r->promised < r->options.capacity;
	mine.taken_by = takes ? r->owner : NULL;
	mine.lease_ms = lease_ms(r);
	r->promised += takes;
	uint64_t asked_ms = loop_exact_ms(t->loop);
	bool ok = operation_submit(t, &mine, out, err);
	r->promised -= takes;
	bool is_new = ok && out->outcome == SUBMIT_CREATED;
	if (is_new && takes)
		start_job(r, &out->claimed, 0, lease_end_ms(r, asked_ms));
	else if (is_new)
		runner_kick(r);
	if (r->stopper)
		task_wake(r->stopper);
	return ok;
}

static void on_notify(void *arg, const char *payload)
{
	(void)payload;
	runner_kick(arg);
}

void runner_kick(struct runner *r)
{
	r->kicked = true;
	if (r->claimer && !r->claimer_done)
		task_wake(r->claimer);
}

struct runner *runner_new(struct loop *l, const struct runner_options *options)
{
	struct runner *r = calloc(1, sizeof(*r));
	if (!r)
		abort();
	r->loop = l;
	r->options = *options;
	if (!r->options.capacity)
		r->options.capacity = 64;
	if (!r->options.lease_ms)
		r->options.lease_ms = 15000;
	r->owner = strdup(options->owner);
	size_t n = 1;
	for (const struct op_kind *const *k = options->kinds; *k; k++)
		n += strlen((*k)->name) + 1;
	r->kind_names = calloc(1, n);
	for (const struct op_kind *const *k = options->kinds; *k; k++) {
		if (r->kind_names[0])
			strncat(r->kind_names, ",", n - 1 - strlen(r->kind_names));
		strncat(r->kind_names, (*k)->name, n - 1 - strlen(r->kind_names));
	}
	db_listen(l->db, "launchplane_operations", on_notify, r);
	r->claimer = task_spawn(l, "operations", claimer_main, r);
	assert(r->claimer);
	return r;
}

void runner_stop(struct task *t, struct runner *r, uint64_t wait_ms)
{
	uint64_t until = loop_now_ms(t->loop) + wait_ms;
	r->stopping = true;
	r->stopper = t;
	if (!r->claimer_done)
		task_wake(r->claimer);
	while ((r->active || r->promised || !r->claimer_done) && loop_now_ms(t->loop) < until) {
		struct err err = { 0 };
		if (!task_wait(t, until - loop_now_ms(t->loop), &err))
			break;
	}
	for (struct job *j = r->jobs; j; j = j->next)
		task_cancel(j->task); /* their phases run again elsewhere */
	while (r->active || r->promised || !r->claimer_done)
		task_wait_out(t);
	r->stopper = NULL;
}

void runner_free(struct runner *r)
{
	if (!r)
		return;
	assert(r->active == 0 && r->claimer_done);
	free(r->owner);
	free(r->kind_names);
	free(r);
}

size_t runner_active(const struct runner *r)
{
	return r->active;
}
