/* storage/audit_tree.h - the audit log's tree as the entries keep it: hashes of leaves and subtrees, and proofs. */
#pragma once

#include "core/merkle.h"
#include "storage/db.h"

/* A proof's hashes, or a range's. At most MERKLE_PATH_MAX. */
struct merkle_path {
	size_t n;
	struct merkle_hash hash[MERKLE_PATH_MAX];
};

/* The right edge of the tree of the first size entries. */
SUSPENDS bool audit_edge_in(struct tx *tx, uint64_t size, struct merkle_edge *out, struct err *err);
/* The hashes of ranges that a proof is made of. */
SUSPENDS OUTSIDE_TX bool audit_ranges(struct task *t, const struct merkle_range *ranges, size_t n,
                                      struct merkle_path *out, struct err *err);
/* The hashes column of an entry as hex: the k-th hash; false when it has not so many. */
bool audit_hash_at(const char *hex, size_t k, struct merkle_hash *out);
