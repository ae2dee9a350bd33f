/* storage/audit.h - the audit log: one leaf for everything that changes something, in the transaction that changes it.
 *
 * A task says once who it works for (audit_begin). From then on every committed transaction and every db_write() of the
 * task takes a leaf along, whatever code makes it: db_write() and tx_commit() see to that, so a new route or module has
 * nothing to do. Statements that are written often carry the leaf themselves, as a CTE (the fragment is in audit.sql),
 * with P_AUDIT(t) as its parameter; sqlgen notices and marks them audited.
 *
 * A leaf holds ids and hashes, and the reason that was given: no body, no secret. Its shape: docs/audit.md. */
#pragma once

#include "core/json.h"
#include "core/task.h"
#include "storage/db.h"

/* Strings are the caller's and stay alive while the task has the entry; NULL and "" are left out of the leaf. */
struct audit_entry {
	const char *type;   /* "request", "operation", "command", "system", "denials" */
	const char *event;  /* "accepted", "denied", "phase_done", ... */
	const char *route;  /* "POST /v1/evidence/deployments"; for a command its two words */
	const char *action; /* the authorization's, with the product and context it was allowed on */
	const char *product, *context;
	const char *actor;         /* principal.actor */
	const struct json *caller; /* principal_audit(); NULL: nobody asked */
	const char *reason, *override;
	const char *request_sha256; /* the fingerprint */
	const char *policy_sha256;  /* that allowed it */
	const char *trace_id, *operation_id, *kind, *phase, *error_code;
	int64_t run, effects;        /* of a phase: which run of it, and how many changing calls it made outside */
	int64_t count;               /* of denials: how many this one stands for */
	const char *from_at, *to_at; /* between these times */
	struct json records,
	        details; /* what was written, by id: audit_record(); and what else matters: audit_detail() */

	unsigned leaves; /* handed to the database with statements that succeeded */
};

/* Every change t makes from now on is told with e, which must live as long as t uses it; NULL: told no more. */
void audit_begin(struct task *t, struct audit_entry *e);
/* Adds the id of what is written: ("deployment_record_id", "..."). Nothing when t has no entry. The strings are
 * referenced. Routes that store their answer with call_store_answer() or call_stored_answer() need not call it: the
 * answer's records are taken. */
void audit_record(struct task *t, const char *name, const char *id);
/* Adds a digest or an id that belongs to the change but is no record: ("previous_policy_sha256", "..."). */
void audit_detail(struct task *t, const char *name, const char *value);
/* The change goes past a guard: kind says which ("freeze", "hold", "admin"), reason why. */
void audit_override(struct task *t, const char *kind, const char *reason);

/* Canonical JSON of the entry at this moment, in the task's arena; NULL when there is none. */
const char *audit_leaf(struct task *t);
const char *audit_leaf_of(struct task *t, const struct audit_entry *e);
/* The parameter of a statement that carries the leaf itself. */
#define P_AUDIT(t) P_TEXT(audit_leaf(t))

/* Writes e's leaf alone, for what changes nothing else. */
SUSPENDS OUTSIDE_TX bool audit_append(struct task *t, const struct audit_entry *e, struct err *err);

/* Calls fn(arg) from a task of this process after a leaf was committed: a hint, entries of others are found by
 * looking. */
void audit_on_append(struct db *db, void (*fn)(void *arg), void *arg);
