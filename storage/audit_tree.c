#include "storage/audit_tree.h"

#include "core/buf.h"
#include "storage/audit.sql.h"

#include <assert.h>

/* Parts of a tree, and the entries that keep their hashes. */
#define PARTS_MAX ((size_t)64 * MERKLE_PATH_MAX)

bool audit_hash_at(const char *hex, size_t k, struct merkle_hash *out)
{
	size_t at = k * 2 * MERKLE_N;
	return strlen(hex) >= at + (size_t)2 * MERKLE_N && hex_decode(hex + at, (size_t)2 * MERKLE_N, out->b);
}

static const char *positions(struct arena *a, const struct merkle_part *parts, size_t n)
{
	struct buf b = buf_in(a);
	buf_char(&b, '{');
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%llu", i ? "," : "", (unsigned long long)merkle_last(parts[i]));
	buf_char(&b, '}');
	return b.p;
}

static bool find(const struct rows *rows, struct merkle_part part, struct merkle_hash *out, struct err *err)
{
	uint64_t last = merkle_last(part);
	size_t low = 0, high = rows->n;
	while (low < high) {
		size_t middle = (low + high) / 2;
		uint64_t position = (uint64_t)row_int(rows, middle, 0);
		if (position == last && audit_hash_at(row_text(rows, middle, 1), part.level, out))
			return true;
		if (position < last)
			low = middle + 1;
		else
			high = middle;
	}
	return err_set(err, &E_internal_error,
	               "the audit log was changed: hashes are missing at position %llu; run launchplane audit verify",
	               (unsigned long long)last);
}

bool audit_edge_in(struct tx *tx, uint64_t size, struct merkle_edge *out, struct err *err)
{
	struct merkle_part parts[64];
	struct rows rows;
	size_t n = merkle_parts((struct merkle_range){ 0, size }, parts);
	*out = (struct merkle_edge){ .size = size };
	if (n == 0)
		return true;
	if (!tx_query(tx, &Q_audit_hashes, PARAMS(P_TEXT(positions(tx_task(tx)->arena, parts, n))), &rows, err))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!find(&rows, parts[i], &out->peak[parts[i].level], err))
			return false;
	return true;
}

bool audit_ranges(struct task *t, const struct merkle_range *ranges, size_t n, struct merkle_path *out, struct err *err)
{
	assert(n <= MERKLE_PATH_MAX);
	struct merkle_part *parts = arena_array(t->arena, PARTS_MAX, sizeof(*parts));
	struct merkle_hash of_range[64];
	struct rows rows;
	size_t parts_n = 0, counts[MERKLE_PATH_MAX];
	for (size_t i = 0; i < n; i++) {
		counts[i] = merkle_parts(ranges[i], parts + parts_n);
		parts_n += counts[i];
	}
	out->n = n;
	if (n == 0)
		return true;
	if (!db_query(t, &Q_audit_hashes, PARAMS(P_TEXT(positions(t->arena, parts, parts_n))), &rows, err))
		return false;
	for (size_t i = 0, next = 0; i < n; i++) {
		for (size_t k = 0; k < counts[i]; k++)
			if (!find(&rows, parts[next++], &of_range[k], err))
				return false;
		out->hash[i] = merkle_fold(of_range, counts[i]);
	}
	return true;
}
