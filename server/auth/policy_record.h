/* server/auth/policy_record.h - policy records in the database: the one in force, and a new one in its place.
 *
 * Records are added, never changed. Whoever adds one holds the lock from reading the one in force to the commit, so
 * that two changes at once both end up in the policy. */
#pragma once

#include "server/auth/policy.h"
#include "storage/db.h"

struct policy_record {
	const char *record_id, *source, *updated_at;
	const struct policy *policy; /* the task's arena frees it */
};

/* Takes the lock, held to the end of tx, and reads the record in force; E_authz_policy_unavailable when there is none.
 */
SUSPENDS bool policy_record_lock(struct tx *tx, struct policy_record *out, struct err *err);
/* The record in force, without the lock. known: an id whose policy is not read again but left NULL; NULL: none. */
SUSPENDS bool policy_record_active(struct task *t, const char *known, struct policy_record *out, struct err *err);
/* Names what follows: record_id and updated_at of out, which has policy and source. previous may be NULL. */
void policy_record_name(struct task *t, const struct policy_record *previous, struct policy_record *out);
/* Adds it. audit: a JSON object. */
void policy_record_send(struct tx *tx, const struct policy_record *r, const struct json *audit);
