/* core/merkle.h - the Merkle tree of RFC 6962: hashes, a growing tree's right edge, proofs and their check.
 *
 * A tree of n leaves is kept as its leaves' hashes and those of its complete subtrees; whatever else a proof or a root
 * needs is made of these. Nothing here allocates. */
#pragma once

#include "core/digest.h"

#include <stdint.h>

#define MERKLE_N        SHA256_N
#define MERKLE_PATH_MAX 65 /* hashes of the longest proof */

struct merkle_hash {
	unsigned char b[MERKLE_N];
};

struct merkle_hash merkle_leaf(const void *p, size_t n);
struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right);
bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b);

/* ---- growing ---- */

/* The complete subtrees a tree of this size is made of: peak[level] counts where size has that bit. */
struct merkle_edge {
	uint64_t size;
	struct merkle_hash peak[64];
};

/* Adds a leaf. out gets its hash and those of the subtrees it completes, from small to large; how many comes back. */
size_t merkle_add(struct merkle_edge *e, const struct merkle_hash *leaf, struct merkle_hash out[64]);
/* Of no leaves: the hash of nothing. */
struct merkle_hash merkle_root(const struct merkle_edge *e);

/* A complete subtree: the index-th of 2^level leaves. It is complete with the leaf at merkle_last(). */
struct merkle_part {
	unsigned level;
	uint64_t index;
};
uint64_t merkle_last(struct merkle_part part);

/* ---- proofs ---- */

struct merkle_range {
	uint64_t from, to; /* leaves from .. to - 1 */
};

/* The ranges whose hashes are the proof, in its order; at most MERKLE_PATH_MAX. position < size; 0 < from <= to. */
size_t merkle_inclusion(uint64_t position, uint64_t size, struct merkle_range out[MERKLE_PATH_MAX]);
size_t merkle_consistency(uint64_t from, uint64_t to, struct merkle_range out[MERKLE_PATH_MAX]);
/* The complete subtrees a range of a proof (or a whole tree) is made of, from left to right; at most 64. */
size_t merkle_parts(struct merkle_range range, struct merkle_part out[64]);
/* The range's hash from theirs. n > 0. */
struct merkle_hash merkle_fold(const struct merkle_hash *parts, size_t n);

bool merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t position, uint64_t size,
                            const struct merkle_hash *path, size_t n, const struct merkle_hash *root);
bool merkle_check_consistency(uint64_t from, uint64_t to, const struct merkle_hash *from_root,
                              const struct merkle_hash *to_root, const struct merkle_hash *path, size_t n);
