/* server/cli/direct.h - commands that work on the database itself, for trusted shells that have its address: no service
 * and no policy is asked. What they do is written with the actor the shell names. They print one JSON document. */
#pragma once

#include "server/cli/command.h"
#include "storage/secret_write.h"

extern const struct setting actor_settings[]; /* --actor */
extern const struct setting scope_settings[]; /* --scope, --context, --instance */

struct direct {
	struct task *t;
	const struct settings *s;
	struct authorship by; /* source_label: the flag --source-label where the command has it */
};
/* Writes the document into out. */
typedef bool (*direct_fn)(struct direct *d, struct buf *out, struct err *err); /* SUSPENDS */
/* label_flag: NULL when the command has no --source-label. The master key is read where the command's options have
 * master_key_settings. */
int direct_run(struct settings *s, const struct command *c, const char *label_flag, direct_fn fn);

/* Runs fn in a transaction that is committed when it succeeds. */
typedef bool (*direct_tx_fn)(struct tx *tx, void *arg, struct err *err); /* SUSPENDS */
SUSPENDS bool direct_tx(struct direct *d, direct_tx_fn fn, void *arg, struct err *err);

/* The place that --scope, --context and --instance name; they must fit together. */
bool direct_place(const struct settings *s, struct place *out, struct err *err);
/* Exactly one of --dry-run and --apply; false has said why. */
bool direct_mode(const struct settings *s, bool *applies);
/* The lines of a flag that may be given several times. */
struct strings direct_list(struct arena *a, const char *joined);
