/* storage/migrate.h - bringing a database to the shape this program needs.
 *
 * Migrations are the numbered files of migrations/, embedded in the binary with their checksums. Each runs in a
 * transaction of its own together with its row in launchplane_schema_migrations, under an advisory lock, so that any
 * number of processes may start at once. What is there already is judged first: empty               the whole chain
 * runs ours                the rest of the chain runs; a database with a number we do not know (a newer program's),
 * with another checksum (an edited file), or with a gap is refused a predecessor's     launchplane_* tables or
 * alembic_version without our table: the newest revision whose tables are all there is written to alembic_version when
 * that is missing, every table present must have the columns we rely on, then the whole chain runs, which leaves
 * existing tables as they are In the end every column of the baseline must exist: drift is refused, by name. */
#pragma once

#include "storage/db.h"

struct migration {
	int number;
	const char *name;
	const char *checksum; /* SHA-256 of the file */
	const char *const *statements;
	size_t n_statements;
};
extern const struct migration migrations[];
extern const size_t migrations_n;

struct legacy_column {
	const char *table, *column;
};
extern const struct legacy_column legacy_columns[];
extern const size_t legacy_columns_n;

struct migrate_report {
	size_t applied; /* migrations run by this call */
	bool was_empty;
	bool was_taken_over;
	const char *stamped; /* revision written to alembic_version, NULL when none was */
};

struct migrate_status {
	bool is_empty, is_legacy;
	size_t n; /* all known migrations; applied_at is NULL for those to come */
	struct migrate_row {
		int number;
		const char *name, *applied_at;
	} * rows;
	const char *refusal; /* why migrate_apply() would refuse, NULL when it would not */
};

/* Waits for the lock until the task's deadline (at most a minute). E_conflict with one line that says what to do when
 * the database is refused; nothing has been changed then. */
SUSPENDS OUTSIDE_TX bool migrate_apply(struct task *t, struct migrate_report *report, struct err *err);
/* Changes nothing. Strings live in the task's arena. */
SUSPENDS OUTSIDE_TX bool migrate_status(struct task *t, struct migrate_status *out, struct err *err);
