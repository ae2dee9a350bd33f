/* The tree against the vectors of the certificate-transparency implementations, and proofs of every small tree. */
#include "core/merkle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define TREES 130

static const struct vector {
	const char *leaf, *root; /* hex; the root of the tree that ends with this leaf */
} vectors[] = {
	{ "", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
	{ "00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125" },
	{ "10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77" },
	{ "2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7" },
	{ "3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4" },
	{ "40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef" },
	{ "5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c" },
	{ "606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328" },
};

static void assert_hex(const struct merkle_hash *hash, const char *hex)
{
	char text[2 * MERKLE_N + 1];
	hex_write(hash->b, MERKLE_N, text);
	assert_string_equal(text, hex);
}

static void roots_are_those_of_rfc_6962(void **state)
{
	(void)state;
	struct merkle_edge edge = { 0 };
	struct merkle_hash made[64], root = merkle_root(&edge);
	assert_hex(&root, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	for (size_t i = 0; i < countof(vectors); i++) {
		unsigned char bytes[32];
		size_t n = strlen(vectors[i].leaf);
		assert_true(hex_decode(vectors[i].leaf, n, bytes));
		struct merkle_hash leaf = merkle_leaf(bytes, n / 2);
		merkle_add(&edge, &leaf, made);
		root = merkle_root(&edge);
		assert_hex(&root, vectors[i].root);
	}
}

static void a_long_leaf_is_hashed_like_a_short_one(void **state)
{
	(void)state;
	static char text[5000], with_prefix[5001];
	memset(text, 'x', sizeof(text));
	memcpy(with_prefix + 1, text, sizeof(text));
	for (size_t n = 2000; n <= sizeof(text); n += 1000) {
		struct merkle_hash hash = merkle_leaf(text, n), expected;
		sha256(with_prefix, n + 1, expected.b);
		assert_true(merkle_equal(&hash, &expected));
	}
}

/* A tree that keeps its subtrees the way the database does, and the roots of all its beginnings. */
struct tree {
	struct merkle_hash leaf[TREES], made[TREES][64], root[TREES + 1];
};

static struct tree *grow(void)
{
	static struct tree t;
	struct merkle_edge edge = { 0 };
	for (uint64_t i = 0; i < TREES; i++) {
		t.leaf[i] = merkle_leaf(&i, sizeof(i));
		size_t n = merkle_add(&edge, &t.leaf[i], t.made[i]);
		assert_int_equal(n, 1 + __builtin_ctzll(i + 1));
		t.root[i + 1] = merkle_root(&edge);
	}
	return &t;
}

static size_t hashes_of(const struct tree *t, const struct merkle_range *ranges, size_t n, struct merkle_hash *out)
{
	for (size_t i = 0; i < n; i++) {
		struct merkle_part parts[64];
		struct merkle_hash hashes[64];
		size_t count = merkle_parts(ranges[i], parts);
		for (size_t k = 0; k < count; k++)
			hashes[k] = t->made[merkle_last(parts[k])][parts[k].level];
		out[i] = merkle_fold(hashes, count);
	}
	return n;
}

static void every_leaf_is_proved_in_every_tree(void **state)
{
	(void)state;
	const struct tree *t = grow();
	struct merkle_range ranges[MERKLE_PATH_MAX];
	struct merkle_hash path[MERKLE_PATH_MAX];
	for (uint64_t size = 1; size <= TREES; size++)
		for (uint64_t at = 0; at < size; at++) {
			size_t n = hashes_of(t, ranges, merkle_inclusion(at, size, ranges), path);
			assert_true(n <= 8);
			assert_true(merkle_check_inclusion(&t->leaf[at], at, size, path, n, &t->root[size]));
			if (size > 1)
				assert_false(merkle_check_inclusion(&t->leaf[(at + 1) % size], at, size, path, n,
				                                    &t->root[size]));
			assert_false(merkle_check_inclusion(&t->leaf[at], at, size, path, n + 1, &t->root[size]));
			if (n == 0)
				continue;
			assert_false(merkle_check_inclusion(&t->leaf[at], at, size, path, n - 1, &t->root[size]));
			assert_false(merkle_check_inclusion(&t->leaf[at], at ^ 1, size, path, n, &t->root[size]));
			path[at % n].b[size % MERKLE_N] ^= 1;
			assert_false(merkle_check_inclusion(&t->leaf[at], at, size, path, n, &t->root[size]));
		}
}

static void every_tree_is_proved_to_begin_a_later_one(void **state)
{
	(void)state;
	const struct tree *t = grow();
	struct merkle_range ranges[MERKLE_PATH_MAX];
	struct merkle_hash path[MERKLE_PATH_MAX];
	for (uint64_t to = 1; to <= TREES; to++)
		for (uint64_t from = 1; from <= to; from++) {
			size_t n = hashes_of(t, ranges, merkle_consistency(from, to, ranges), path);
			assert_true(merkle_check_consistency(from, to, &t->root[from], &t->root[to], path, n));
			assert_false(merkle_check_consistency(from, to, &t->root[from - 1], &t->root[to], path, n));
			if (from == to)
				continue;
			assert_false(merkle_check_consistency(from, to, &t->root[from], &t->root[to - 1], path, n));
			assert_false(merkle_check_consistency(from, to, &t->root[from], &t->root[to], path, n - 1));
			path[from % n].b[to % MERKLE_N] ^= 1;
			assert_false(merkle_check_consistency(from, to, &t->root[from], &t->root[to], path, n));
		}
}

static void nonsense_proves_nothing(void **state)
{
	(void)state;
	const struct tree *t = grow();
	assert_false(merkle_check_inclusion(&t->leaf[0], 0, 0, t->leaf, 0, &t->root[1]));
	assert_false(merkle_check_inclusion(&t->leaf[0], 5, 3, t->leaf, 1, &t->root[3]));
	assert_false(merkle_check_consistency(0, 3, &t->root[1], &t->root[3], t->leaf, 1));
	assert_false(merkle_check_consistency(4, 3, &t->root[4], &t->root[3], t->leaf, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_are_those_of_rfc_6962),
		cmocka_unit_test(a_long_leaf_is_hashed_like_a_short_one),
		cmocka_unit_test(every_leaf_is_proved_in_every_tree),
		cmocka_unit_test(every_tree_is_proved_to_begin_a_later_one),
		cmocka_unit_test(nonsense_proves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
