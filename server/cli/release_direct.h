/* server/cli/release_direct.h - commands that can do without the service's HTTP: on its database (--database-url),
 * where the service's workers carry out what is submitted, or as a rehearsal on local files (--local-rehearsal), which
 * changes nothing real. */
#pragma once

#include "drivers/release/release.h"
#include "server/cli/command.h"

extern const struct setting rehearsal_settings[]; /* --local-rehearsal, --state-dir */
extern const struct setting settle_settings[];    /* --settle-seconds, of a rehearsal that works on a lane */

/* ship execute and promote execute: by database, by rehearsal, else through the service. */
int release_run(const struct command *c, struct settings *s, char **argv, const struct op_kind *kind);
/* artifacts protected: by rehearsal, by database, else through the service. */
int protected_run(const struct command *c, struct settings *s, char **argv);
/* The protected inventory of the files below --state-dir, one JSON document in *text. */
bool protected_rehearse(struct settings *s, const char **text, struct err *err);
/* release-tuples export-catalog: of the files below --state-dir, else through the service. */
int export_catalog_run(const struct command *c, struct settings *s, char **argv);
/* The rehearsal of a release or replacement: reads and writes JSON files below --state-dir. */
int release_rehearse(const struct command *c, struct settings *s, const struct op_kind *kind);
