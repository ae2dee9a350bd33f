/* storage/audit_filing.h - what lists of the audit log go by: columns of an entry that repeat members of its leaf. */
#pragma once

#include "core/arena.h"

/* NULL: the leaf has no such member. */
struct audit_filing {
	const char *at, *product, *action, *deployment_record_id, *promotion_record_id;
};

/* False for a leaf that cannot be read; its columns are PostgreSQL's own reading then. Strings live in the arena. */
bool audit_filing_of(struct arena *a, const char *leaf, struct audit_filing *out);
/* Whether both say the same. */
bool audit_filed_alike(const struct audit_filing *x, const struct audit_filing *y);
