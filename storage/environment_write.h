/* storage/environment_write.h - changes of runtime environment records, inside a caller's transaction
 * (facts/config-health.md 2.4). Nothing here shows a value. */
#pragma once

#include "storage/db.h"
#include "storage/runtime_environment.h"
#include "storage/secret_write.h"

/* Each reads the record under a lock and leaves in *out what it says afterwards. */

/* Merges env into the record, or makes it. */
SUSPENDS bool environment_put(struct tx *tx, const struct place *place, const struct json *env,
                              const struct authorship *by, struct runtime_environment *out, struct err *err);
/* E_not_found without a record, E_conflict when no key would be left. */
SUSPENDS bool environment_unset(struct tx *tx, const struct place *place, const struct strings *keys,
                                const struct authorship *by, struct runtime_environment *out, struct strings *removed,
                                struct strings *missing, struct err *err);
SUSPENDS bool environment_relabel(struct tx *tx, const struct place *place, const struct authorship *by,
                                  struct runtime_environment *out, struct err *err);

/* The deletion of a whole record: read and shown first, carried out only while the record is still the one read. */
struct environment_deletion {
	struct place place;
	struct runtime_environment record;
	const char *payload;    /* as it was read */
	const char *protected_; /* JSON: the tracked targets it could influence */
	size_t protected_n;
	const char *event; /* JSON: the delete event */
	const char *event_id, *digest;
};
SUSPENDS bool environment_deletion_read(struct task *t, const struct place *place, const struct authorship *by,
                                        struct environment_deletion *out, struct err *err);
/* E_conflict when tracked targets are protected and not allowed, or when the record is not the one that was read. */
SUSPENDS bool environment_deletion_apply(struct tx *tx, const struct environment_deletion *d, bool allow_tracked,
                                         const struct authorship *by, struct err *err);
