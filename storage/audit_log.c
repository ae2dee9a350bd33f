#include "storage/audit_log.h"

#include "core/log.h"
#include "core/loop.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#define STOP_MS     2000 /* for the last work; what is left waits in the database for others */
#define TOGETHER_MS 100  /* leaves that are committed within this time get their positions together */

struct audit_log {
	struct loop *loop;
	struct task *task, *stopper;
	struct sequencer sequencer;
	struct denials *denials;
	unsigned char seed[NOTE_SEED_N];
	bool has_seed, kicked, stopping, in_trouble;
};

static void kick(void *arg)
{
	struct audit_log *log = arg;
	log->kicked = true;
	if (log->task)
		task_wake(log->task);
}

void audit_denied(struct audit_log *log, const struct audit_entry *e)
{
	if (!log || log->stopping)
		return;
	denials_note(log->denials, loop_wall_ms(log->loop), e);
	kick(log);
}

static SUSPENDS bool tell_denials(struct task *t, struct audit_log *log, struct err *err)
{
	struct audit_entry e;
	while (denials_take(log->denials, t->arena, loop_wall_ms(t->loop), log->stopping, &e))
		if (!audit_append(t, &e, err))
			return false;
	return true;
}

static SUSPENDS bool sequence(struct task *t, struct audit_log *log, bool is_told, struct err *err)
{
	bool more;
	struct sequencer *s = &log->sequencer;
	if (!audit_key_ensure(t, s, log->has_seed ? log->seed : NULL, err)) {
		if (err_is(err, &E_database_unavailable) || err_is(err, &E_service_unavailable) ||
		    err_is(err, &E_cancelled))
			return false;
		if (!s->has_warned)
			log_error(t, "audit.unsigned", LOG_ERR(err)); /* entries get their positions all the same */
		s->has_warned = true;
		memset(err, 0, sizeof(*err));
	}
	if (!audit_look(t, s, loop_now_ms(t->loop), is_told, log->stopping, &more, err))
		return false;
	while (more) {
		if (!audit_sequence(t, s, &more, err))
			return false;
		log->kicked |= s->was_busy; /* whoever is at it may have looked too early for us */
		arena_reset(t->arena);
	}
	return true;
}

static SUSPENDS void work(struct task *t, struct audit_log *log)
{
	struct err err = { 0 };
	bool is_told = log->kicked;
	log->kicked = false;
	bool ok = tell_denials(t, log, &err) && sequence(t, log, is_told || log->kicked, &err);
	if (!ok && !log->in_trouble && !err_is(&err, &E_cancelled))
		log_error(t, "audit.sequencer_failed", LOG_ERR(&err)); /* once; it goes on trying */
	if (ok && log->in_trouble)
		log_info(t, "audit.sequencer_works_again");
	log->in_trouble = !ok;
	arena_reset(t->arena); /* lives as long as the process */
}

/* Until a leaf was committed here, or it is time to look for those of others. False: the task is told to end. */
static SUSPENDS bool wait_for_work(struct task *t, struct audit_log *log)
{
	struct err err = { 0 };
	bool ok = true;
	while (ok && !log->kicked && !log->stopping)
		ok = task_wait(t, AUDIT_POLL_MS, &err);
	if (log->kicked && !log->stopping)
		task_sleep(t, TOGETHER_MS, &err);
	return !err_is(&err, &E_cancelled);
}

static SUSPENDS void log_main(struct task *t, void *arg)
{
	struct audit_log *log = arg;
	arena_wipe_on_reset(t->arena); /* the signing key passes through it */
	while (!log->stopping) {
		work(t, log);
		if (!wait_for_work(t, log))
			break;
	}
	if (log->stopping)
		work(t, log);
	log->task = NULL;
	if (log->stopper)
		task_wake(log->stopper);
}

struct audit_log *audit_log_new(struct loop *l, const struct audit_log_options *options)
{
	struct audit_log *log = calloc(1, sizeof(*log));
	if (!log)
		abort();
	log->loop = l;
	log->denials = denials_new();
	log->has_seed = options->seed != NULL;
	if (options->seed)
		memcpy(log->seed, options->seed, NOTE_SEED_N);
	log->task = task_start(l, "audit", log_main, log);
	audit_on_append(l->db, kick, log);
	return log;
}

void audit_log_stop(struct task *t, struct audit_log *log)
{
	if (!log)
		return;
	audit_on_append(t->loop->db, NULL, NULL);
	log->stopping = true;
	log->stopper = t;
	if (log->task) {
		task_set_deadline(log->task, STOP_MS);
		task_wake(log->task);
	}
	while (log->task)
		task_wait_out(t);
}

void audit_log_free(struct audit_log *log)
{
	if (!log)
		return;
	denials_free(log->denials);
	note_key_done(&log->sequencer.key);
	OPENSSL_cleanse(log->seed, sizeof(log->seed));
	free(log);
}
