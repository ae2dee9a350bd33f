#include "server/operations/run.h"

#include "core/fault.h"
#include "core/log.h"
#include "storage/audit.h"
#include "storage/codes.h"
#include "storage/operation.sql.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define IDLE_POLL_MS 2000            /* the backstop when no notification comes */
#define PACE_MS      5               /* between two claims of a worker that has */
#define PACE_FROM    4               /* so many operations to work on: what is due meanwhile shares a commit */
#define WHOLE_MS     1000            /* between two claims that look at all that ever became due */
#define WHOLE_SHARE  20              /* and at least so many times as long as the last one took */
#define LATE_US      INT64_C(200000) /* a row may become visible so long after its wake-up was written */
#define AWAKE_LOOKS  4               /* looks in vain, PACE_MS apart, until we ask to be notified again */
#define LATE_LOOKS   6               /* and then, each after twice the pause: who saw us awake may commit late */
#define TELL_MS      20              /* between two notifications of a worker that is awake, but has no room, */
#define TELLS        10              /* and how many until who submits notifies again */

static const char channel[] = "launchplane_operations";

/* One claimed operation while this process works on it. */
struct job {
	struct job *prev, *next;
	struct runner *runner;
	struct task *task, *heart;
	char *operation_id;
	int64_t fence;
	bool finished;
	/* what the claim returned, copied because the claimer's arena does not live as long */
	char *columns[COL_NOW_US];
};

struct runner {
	struct loop *loop;
	struct runner_options options;
	char *owner, *kind_names;
	struct task *claimer, *stopper;
	struct job *jobs;
	size_t active, promised; /* promised: being submitted and taken at once */
	bool kicked, stopping, claimer_done, is_full;
	bool is_awake; /* looks every few ms by itself: nobody need notify */
	unsigned looks_in_vain;
	uint64_t look_at_ms;
	/* Everything that became due before has been looked at: claims begin there. 0: nowhere yet. */
	int64_t seen_us;
	int64_t seen_offset_ms; /* of the test clock then */
	uint64_t whole_at_ms;   /* when to look at everything again */
};

/* F1: the lease's end is the operation's next wake-up. */
int64_t lease_ms(const struct runner *r)
{
	return GUARD(F1) ? (int64_t)r->options.lease_ms : INT64_C(86400000) * 3650;
}

uint64_t lease_end_ms(const struct runner *r, uint64_t asked_ms)
{
	return asked_ms + (uint64_t)lease_ms(r);
}

const struct op_kind *kind_named(const struct runner *r, const char *name)
{
	for (const struct op_kind *const *k = r->options.kinds; *k; k++)
		if (strcmp((*k)->name, name) == 0)
			return *k;
	return NULL;
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
	run_operation(t, r, job->columns);
	audit_begin(t, NULL);
	job->finished = true;
	if (job->heart)
		task_cut(job->heart);
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
	job->task = task_start(r->loop, "operation", job_main, job);
	job->heart = task_start(r->loop, "heartbeat", heart_main, job);
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

/* Much is being submitted, and whoever submits notifies in a commit of its own: from now on we look by ourselves. */
static void stay_awake(struct runner *r)
{
	r->is_awake = true;
	r->looks_in_vain = 0;
	r->look_at_ms = 0;
	db_suppress_notify(r->loop->db, channel, true);
}

/* An awake worker found nothing: it waits no longer than until its next look. Looks that somebody else asks for do not
 * count. */
static void fall_asleep(struct runner *r, uint64_t *wait_ms)
{
	uint64_t now = loop_now_ms(r->loop);
	if (now >= r->look_at_ms) {
		unsigned n = ++r->looks_in_vain;
		r->look_at_ms = now + (n < AWAKE_LOOKS ? PACE_MS : (uint64_t)PACE_MS << (n - AWAKE_LOOKS));
		r->is_awake = n < AWAKE_LOOKS + LATE_LOOKS;
		if (n >= AWAKE_LOOKS)
			db_suppress_notify(r->loop->db, channel, false);
	}
	if (*wait_ms > r->look_at_ms - now)
		*wait_ms = r->look_at_ms - now;
}

/* No room. Who submits trusts in us while we keep the lock, but others may have room: for a while they are told. */
static void tell_others(struct runner *r, uint64_t *wait_ms)
{
	uint64_t now = loop_now_ms(r->loop);
	if (!db_notify_is_suppressed(r->loop->db))
		return;
	if (now >= r->look_at_ms) {
		r->look_at_ms = now + TELL_MS;
		if (++r->looks_in_vain > TELLS)
			db_suppress_notify(r->loop->db, channel, false);
		else
			db_notify(r->loop->db, channel);
	}
	*wait_ms = r->look_at_ms - now;
}

/* Claims what there is room for. *wait_ms: how long there is nothing to do. */
static SUSPENDS bool claim_round(struct task *t, struct runner *r, uint64_t *wait_ms, struct err *err)
{
	size_t claimed = 0;
	*wait_ms = IDLE_POLL_MS;
	r->is_full = !has_room(r);
	if (r->is_full) {
		tell_others(r, wait_ms);
		return true; /* a job that ends wakes us */
	}
	if (!claim(t, r, &claimed, err))
		return false;
	if (claimed) {
		*wait_ms = 0;
		if (r->active < PACE_FROM)
			return true;
		stay_awake(r);
		return task_sleep(t, PACE_MS, err);
	}
	if (!next_wake_ms(t, r, wait_ms, err))
		return false;
	if (r->is_awake)
		fall_asleep(r, wait_ms);
	return true;
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
	db_suppress_notify(r->loop->db, channel, false);
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
	db_listen(l->db, channel, on_notify, r);
	r->claimer = task_start(l, "operations", claimer_main, r);
	return r;
}

void runner_claim_no_more(struct runner *r)
{
	r->stopping = true;
	if (!r->claimer_done)
		task_wake(r->claimer);
}

void runner_stop(struct task *t, struct runner *r, uint64_t wait_ms)
{
	uint64_t until = loop_now_ms(t->loop) + wait_ms;
	runner_claim_no_more(r);
	r->stopper = t;
	while ((r->active || r->promised || !r->claimer_done) && loop_now_ms(t->loop) < until) {
		struct err err = { 0 };
		if (!task_wait(t, until - loop_now_ms(t->loop), &err))
			break;
	}
	if (!r->claimer_done)
		task_cut(r->claimer);
	while (r->active || r->promised || !r->claimer_done) {
		for (struct job *j = r->jobs; j; j = j->next) /* also those of a claim that was on its way */
			task_cut(j->task);                    /* their phases run again elsewhere */
		task_wait_out(t);
	}
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

bool runner_is_stopping(const struct runner *r)
{
	return r->stopping;
}

size_t runner_active(const struct runner *r)
{
	return r->active;
}
