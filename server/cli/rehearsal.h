/* server/cli/rehearsal.h - the files of a rehearsal: DIR/<family>/<name>.json, one record each, as the routes show it.
 */
#pragma once

#include "core/contract.h"

struct rehearsal {
	struct arena *a;
	const char *dir;
};

/* Reads the record into out, by its contract. A missing, unreadable or invalid file is an error that names it. */
bool rehearsal_read(const struct rehearsal *r, const char *family, const char *name, const struct contract *c,
                    void *out, struct err *err);
/* False as well when the name cannot be one of a file. */
bool rehearsal_has(const struct rehearsal *r, const char *family, const char *name);
/* The names of all records of a family, sorted by bytes; none where the family has no directory. */
bool rehearsal_names(const struct rehearsal *r, const char *family, struct strings *out, struct err *err);
/* Writes the record, whole or not at all. */
bool rehearsal_write(const struct rehearsal *r, const char *family, const char *name, const struct contract *c,
                     const void *record, struct err *err);
/* The families whose name ends so, sorted by bytes. */
bool rehearsal_families(const struct rehearsal *r, const char *suffix, struct strings *out, struct err *err);
