#include "server/auth/policy_store.h"

#include "core/digest.h"
#include "core/log.h"
#include "core/settings.h"
#include "server/auth/policy_record.h"
#include "storage/audit.h"
#include "storage/db.h"
#include "storage/operation.h"
#include "storage/policy.sql.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SEEDED_VARIABLE "LAUNCHPLANE_SEEDED_POLICY"
#define POLL_MS         30000 /* the backstop when a notification is lost */

struct policy_store {
	struct loop *loop;
	struct policy *current;
	struct task *follower, *stopper;
	char *record_id, *bootstrap_sha256;
	const char *source;
	bool stopping;
	uint64_t asked, answered; /* loads by their number */
};

/* ---- the bootstrap policy ---- */

bool policy_file_read(struct arena *a, const char *path, const char **text, size_t *n, struct err *err)
{
	size_t path_n = strlen(path);
	if (path_n > 8 && strcmp(path + path_n - 8, ".example") == 0)
		return err_set(err, &E_invalid_request,
		               "the policy file %s is an example; copy it, fill in your own rules and name the copy",
		               path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, &E_invalid_request, "the policy file %s cannot be read: %s", path, strerror(errno));
	struct buf b = buf_in(a);
	char part[4096];
	ssize_t got;
	while ((got = read(fd, part, sizeof(part))) > 0 && b.n <= POLICY_MAX_BYTES)
		buf_add(&b, part, (size_t)got);
	close(fd);
	if (got < 0)
		return err_set(err, &E_invalid_request, "the policy file %s cannot be read: %s", path, strerror(errno));
	*text = buf_cstr(&b);
	*n = b.n;
	return true;
}

bool bootstrap_policy_read(struct arena *a, const struct settings *s, struct bootstrap_policy *out, struct err *err)
{
	const char *toml = setting(s, "LAUNCHPLANE_POLICY_TOML"), *b64 = setting(s, "LAUNCHPLANE_POLICY_B64");
	const char *file = setting(s, "LAUNCHPLANE_POLICY_FILE");
	if ((toml != NULL) + (b64 != NULL) + (file != NULL) != 1)
		return err_set(err, &E_invalid_request,
		               "set exactly one of LAUNCHPLANE_POLICY_TOML, LAUNCHPLANE_POLICY_B64 and "
		               "LAUNCHPLANE_POLICY_FILE "
		               "(--policy-file): the bootstrap policy that seeds an empty database");
	out->selector = toml ? "LAUNCHPLANE_POLICY_TOML" : b64 ? "LAUNCHPLANE_POLICY_B64" : "LAUNCHPLANE_POLICY_FILE";
	if (toml) {
		out->text = toml;
		out->n = strlen(toml);
	} else if (b64) {
		unsigned char *bytes;
		if (!base64_decode(a, b64, strlen(b64), &bytes, &out->n))
			return err_set(err, &E_invalid_request, "LAUNCHPLANE_POLICY_B64 is not valid base64");
		out->text = (const char *)bytes;
	} else if (!policy_file_read(a, file, &out->text, &out->n, err)) {
		return false;
	}
	out->sha256 = sha256_text(a, out->text, out->n);
	struct policy *p = policy_of_text(out->text, out->n, out->selector, err);
	if (!p) {
		char why[sizeof(err->message)];
		snprintf(why, sizeof(why), "%s", err->message);
		return err_set(err, &E_invalid_request, "the bootstrap policy in %s cannot be used: %s", out->selector,
		               why);
	}
	policy_free(p);
	return true;
}

static SUSPENDS bool seed_in(struct tx *tx, const struct bootstrap_policy *bootstrap, const struct policy *p,
                             struct err *err)
{
	struct task *t = tx_task(tx);
	struct rows rows;
	if (!tx_query(tx, &Q_authz_policy_lock, PARAMS(), NULL, err) ||
	    !tx_query(tx, &Q_authz_policy_active, PARAMS(), &rows, err))
		return false;
	if (rows.n)
		return true;
	const char *updated_at = utc_now(t);
	const struct policy_record r = {
		.record_id = arena_printf(t->arena, "launchplane-authz-policy-%s-%.12s",
		                          utc_compact(t->arena, updated_at), policy_sha256(p)),
		.source = arena_printf(t->arena, "bootstrap-env:%s", bootstrap->selector),
		.updated_at = updated_at,
		.policy = p,
	};
	const struct json no_audit = json_object();
	log_info(t, "policy.seeded", S("record_id", r.record_id), S("source", r.source));
	setenv(SEEDED_VARIABLE, r.record_id, 1); /* the workers, which inherit it, tell where the policy came from */
	policy_record_send(tx, &r, &no_audit);
	return true;
}

bool policy_store_seed(struct task *t, const struct bootstrap_policy *bootstrap, struct err *err)
{
	struct policy *p = policy_of_text(bootstrap->text, bootstrap->n, bootstrap->selector, err);
	if (!p)
		return false;
	struct tx *tx;
	struct audit_entry told = {
		.type = "system", .event = "policy_seeded", .route = "service serve", .actor = "system"
	};
	audit_begin(t, &told);
	bool ok = tx_begin(t, &tx, err);
	if (ok) {
		ok = seed_in(tx, bootstrap, p, err);
		if (ok)
			ok = tx_commit(tx, err);
		else
			tx_rollback(tx);
	}
	audit_begin(t, NULL);
	policy_free(p);
	return ok;
}

/* ---- the record in force ---- */

/* Several tasks may load at once: what was asked for later is newer, and an older answer that comes later is dropped.
 */
static SUSPENDS bool load(struct task *t, struct policy_store *s, struct err *err)
{
	struct policy_record r;
	uint64_t turn = ++s->asked;
	/* A copy: another task may replace ours while this one waits. */
	if (!policy_record_active(t, arena_strdup(t->arena, s->record_id), &r, err))
		return false;
	if (turn < s->answered)
		return true;
	s->answered = turn;
	if (!r.policy || (s->record_id && strcmp(s->record_id, r.record_id) == 0))
		return true;
	/* The record's policy lives as long as the task; the one in force longer. */
	struct policy *p = policy_of_json(policy_document(r.policy), err);
	if (!p)
		return false;
	const char *seeded = getenv(SEEDED_VARIABLE);
	s->source = seeded && strcmp(seeded, r.record_id) == 0 ? "bootstrap_seeded_store" : "db";
	policy_free(s->current);
	s->current = p;
	free(s->record_id);
	s->record_id = strdup(r.record_id);
	log_info(t, "policy.loaded", S("record_id", r.record_id), S("sha256", policy_sha256(p)));
	return true;
}

void policy_store_reload(struct task *t, struct policy_store *s)
{
	struct err err = { 0 };
	if (!load(t, s, &err))
		log_error(t, "policy.reload_failed", LOG_ERR(&err)); /* the change is made; the follower tries again */
}

static SUSPENDS void follow(struct task *t, void *arg)
{
	struct policy_store *s = arg;
	while (!s->stopping) {
		struct err err = { 0 };
		if (!task_wait(t, POLL_MS, &err) && err_is(&err, &E_cancelled))
			break;
		if (s->stopping)
			break;
		memset(&err, 0, sizeof(err));
		if (!load(t, s, &err) && !err_is(&err, &E_cancelled))
			log_error(t, "policy.reload_failed", LOG_ERR(&err));
		arena_reset(t->arena); /* lives as long as the process */
	}
	s->follower = NULL;
	if (s->stopper)
		task_wake(s->stopper);
}

static void on_change(void *arg, const char *payload)
{
	(void)payload;
	struct policy_store *s = arg;
	if (s->follower)
		task_wake(s->follower);
}

struct policy_store *policy_store_open(struct task *t, const char *bootstrap_sha256, struct err *err)
{
	struct policy_store *s = calloc(1, sizeof(*s));
	if (!s)
		abort();
	s->loop = t->loop;
	if (!load(t, s, err)) {
		free(s);
		return NULL;
	}
	s->bootstrap_sha256 = strdup(bootstrap_sha256);
	s->follower = task_start(t->loop, "policy", follow, s);
	db_listen(t->loop->db, "launchplane_policy", on_change, s);
	return s;
}

void policy_store_stop(struct task *t, struct policy_store *s)
{
	if (!s || !s->follower)
		return;
	s->stopping = true;
	s->stopper = t;
	task_cancel(s->follower);
	while (s->follower)
		task_wait_out(t);
}

void policy_store_free(struct policy_store *s)
{
	if (!s)
		return;
	policy_free(s->current);
	free(s->record_id);
	free(s->bootstrap_sha256);
	free(s);
}

const struct policy *policy_store_current(const struct policy_store *s)
{
	return s->current;
}

const char *policy_store_digest(const struct policy_store *s)
{
	return policy_sha256(s->current);
}

const char *policy_store_source(const struct policy_store *s)
{
	return s->source;
}

const char *policy_store_bootstrap_digest(const struct policy_store *s)
{
	return s->bootstrap_sha256;
}
