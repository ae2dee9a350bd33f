/* storage/audit_verify.h - the whole audit log computed again, entry by entry, in constant memory.
 *
 * The check is fed with entries and checkpoints by a source: the database, the service, or an exported file. It stops
 * at the first place that cannot be right. Where hashes alone cannot tell which of several entries was changed, that
 * place is the range first .. last. */
#pragma once

#include "core/signed_note.h"
#include "storage/audit_filing.h"
#include "storage/db.h"

struct audit_line {
	uint64_t position;
	const char *leaf;           /* canonical JSON */
	const char *hashes;         /* hex */
	bool is_filed;              /* it comes with the columns that lists go by, */
	struct audit_filing filing; /* these */
};

#define AUDIT_KEYS_MAX 64

/* Strings of answers live in the arena given; a page is forgotten when the next one is read. */
struct audit_source {
	/* At most n entries, the first one at or behind from; fewer only at the end. */
	bool (*entries)(struct audit_source *s, struct task *t, uint64_t from, struct audit_line *out, size_t *n,
	                struct err *err); /* SUSPENDS */
	/* At most n notes of checkpoints larger than size, by size; *sizes: what the row says. */
	bool (*checkpoints)(struct audit_source *s, struct task *t, uint64_t size, const char **notes, uint64_t *sizes,
	                    size_t *n, struct err *err); /* SUSPENDS */
	/* Public keys, as text; at most AUDIT_KEYS_MAX. */
	bool (*keys)(struct audit_source *s, struct task *t, const char **out, size_t *n,
	             struct err *err); /* SUSPENDS */
};

struct audit_finding {
	bool is_bad;
	uint64_t first, last; /* positions */
	char what[400];
};

struct audit_report {
	struct audit_finding finding;
	uint64_t entries, checkpoints; /* looked at; none of them bad unless finding says so */
	struct merkle_hash root;       /* of all entries */
	bool is_unsigned;              /* no key has ever signed: nothing but a kept checkpoint proves anything */
	bool has_pinned;               /* the signatures are those of the keys the caller gave */
};

struct audit_wants {
	const char *saved;       /* a checkpoint that was kept outside, NULL: none */
	const char *public_keys; /* one a line, of which one has signed each checkpoint; NULL: the keys the log names */
};

/* False when the source failed or wants is nonsense; what is wrong with the log is in out->finding. */
SUSPENDS bool audit_verify(struct task *t, struct audit_source *s, const struct audit_wants *wants,
                           struct audit_report *out, struct err *err);

/* ---- the database as a source ---- */

struct audit_db_source {
	struct audit_source source;
	struct tx *tx;
};
void audit_db_source(struct audit_db_source *s, struct tx *tx);
