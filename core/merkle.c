#include "core/merkle.h"

#include "core/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct merkle_hash merkle_leaf(const void *p, size_t n)
{
	struct merkle_hash out;
	unsigned char small[2048], *text = n < sizeof(small) ? small : memory_take(n + 1);
	text[0] = 0;
	memcpy(text + 1, p, n);
	sha256(text, n + 1, out.b);
	if (text != small)
		free(text);
	return out;
}

struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right)
{
	unsigned char both[1 + 2 * MERKLE_N] = { 1 };
	struct merkle_hash out;
	memcpy(both + 1, left->b, MERKLE_N);
	memcpy(both + 1 + MERKLE_N, right->b, MERKLE_N);
	sha256(both, sizeof(both), out.b);
	return out;
}

bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b)
{
	return memcmp(a->b, b->b, MERKLE_N) == 0;
}

size_t merkle_add(struct merkle_edge *e, const struct merkle_hash *leaf, struct merkle_hash out[64])
{
	size_t level = 0;
	out[0] = *leaf;
	for (; e->size >> level & 1; level++)
		out[level + 1] = merkle_node(&e->peak[level], &out[level]);
	e->peak[level] = out[level];
	e->size++;
	return level + 1;
}

struct merkle_hash merkle_root(const struct merkle_edge *e)
{
	struct merkle_hash peaks[64];
	size_t n = 0;
	for (int level = 63; level >= 0; level--)
		if (e->size >> level & 1)
			peaks[n++] = e->peak[level];
	if (n)
		return merkle_fold(peaks, n);
	sha256("", 0, peaks[0].b);
	return peaks[0];
}

uint64_t merkle_last(struct merkle_part part)
{
	return ((part.index + 1) << part.level) - 1;
}

/* The largest power of two below n, n > 1. */
static uint64_t split(uint64_t n)
{
	return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

static void reverse(struct merkle_range *v, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		struct merkle_range other = v[i];
		v[i] = v[n - 1 - i];
		v[n - 1 - i] = other;
	}
}

size_t merkle_inclusion(uint64_t position, uint64_t size, struct merkle_range out[MERKLE_PATH_MAX])
{
	assert(position < size);
	struct merkle_range whole = { 0, size };
	size_t n = 0;
	while (whole.to - whole.from > 1) {
		uint64_t middle = whole.from + split(whole.to - whole.from);
		if (position < middle) {
			out[n++] = (struct merkle_range){ middle, whole.to };
			whole.to = middle;
		} else {
			out[n++] = (struct merkle_range){ whole.from, middle };
			whole.from = middle;
		}
	}
	reverse(out, n);
	return n;
}

size_t merkle_consistency(uint64_t from, uint64_t to, struct merkle_range out[MERKLE_PATH_MAX])
{
	assert(from > 0 && from <= to);
	struct merkle_range whole = { 0, to };
	bool is_old_tree = true; /* whole is a prefix of the old tree, whose hash the checker has */
	size_t n = 0;
	while (from != whole.to) {
		uint64_t middle = whole.from + split(whole.to - whole.from);
		if (from <= middle) {
			out[n++] = (struct merkle_range){ middle, whole.to };
			whole.to = middle;
		} else {
			out[n++] = (struct merkle_range){ whole.from, middle };
			whole.from = middle;
			is_old_tree = false;
		}
	}
	if (!is_old_tree)
		out[n++] = whole;
	reverse(out, n);
	return n;
}

size_t merkle_parts(struct merkle_range range, struct merkle_part out[64])
{
	size_t n = 0;
	while (range.from < range.to) {
		uint64_t left = range.to - range.from;
		unsigned level = 63 - (unsigned)__builtin_clzll(left);
		assert((range.from & (((uint64_t)1 << level) - 1)) == 0); /* ranges of proofs begin where they fit */
		out[n++] = (struct merkle_part){ level, range.from >> level };
		range.from += (uint64_t)1 << level;
	}
	return n;
}

struct merkle_hash merkle_fold(const struct merkle_hash *parts, size_t n)
{
	struct merkle_hash hash = parts[n - 1];
	for (size_t i = n - 1; i > 0; i--)
		hash = merkle_node(&parts[i - 1], &hash);
	return hash;
}

/* RFC 9162, 2.1.3.2. */
bool merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t position, uint64_t size,
                            const struct merkle_hash *path, size_t n, const struct merkle_hash *root)
{
	if (position >= size)
		return false;
	uint64_t at = position, last = size - 1;
	struct merkle_hash hash = *leaf;
	for (size_t i = 0; i < n; i++) {
		if (last == 0)
			return false;
		if ((at & 1) || at == last) {
			hash = merkle_node(&path[i], &hash);
			while (!(at & 1) && at) {
				at >>= 1;
				last >>= 1;
			}
		} else {
			hash = merkle_node(&hash, &path[i]);
		}
		at >>= 1;
		last >>= 1;
	}
	return last == 0 && merkle_equal(&hash, root);
}

/* RFC 9162, 2.1.4.2. */
bool merkle_check_consistency(uint64_t from, uint64_t to, const struct merkle_hash *from_root,
                              const struct merkle_hash *to_root, const struct merkle_hash *path, size_t n)
{
	if (from == 0 || from > to)
		return false;
	if (from == to)
		return n == 0 && merkle_equal(from_root, to_root);
	bool is_whole = (from & (from - 1)) == 0; /* the old tree is one subtree, and its root the first hash */
	if (n == 0 && !is_whole)
		return false;
	size_t i = is_whole ? 0 : 1;
	uint64_t at = from - 1, last = to - 1;
	while (at & 1) {
		at >>= 1;
		last >>= 1;
	}
	struct merkle_hash old = is_whole ? *from_root : path[0], new = old;
	for (; i < n; i++) {
		if (last == 0)
			return false;
		if ((at & 1) || at == last) {
			old = merkle_node(&path[i], &old);
			new = merkle_node(&path[i], &new);
			while (!(at & 1) && at) {
				at >>= 1;
				last >>= 1;
			}
		} else {
			new = merkle_node(&new, &path[i]);
		}
		at >>= 1;
		last >>= 1;
	}
	return last == 0 && merkle_equal(&old, from_root) && merkle_equal(&new, to_root);
}
