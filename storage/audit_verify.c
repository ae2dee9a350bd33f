#include "storage/audit_verify.h"

#include "core/buf.h"
#include "storage/audit.sql.h"
#include "storage/audit_tree.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 500

struct check {
	struct audit_source *source;
	struct audit_report *report;
	struct arena *lasting, *page, *notes_page; /* keys; the entries at hand; the checkpoints at hand */
	struct note_key keys[AUDIT_KEYS_MAX];
	size_t keys_n;
	struct merkle_edge edge;
	uint64_t sound; /* entries that a checkpoint vouches for */
	struct checkpoint saved;
	bool has_saved, saved_was_met;
	struct audit_finding misfiled; /* sound, and hidden from lists */
	struct audit_finding doubt;    /* a subtree's hash differs: the next checkpoint tells which side is wrong */

	const char *notes[PAGE];
	uint64_t sizes[PAGE];
	size_t notes_n, notes_at;
	uint64_t last_checkpoint; /* size of the last one looked at */
	bool has_all_notes;
};

PRINTF(4, 5) static bool bad(struct check *c, uint64_t first, uint64_t last, const char *fmt, ...)
{
	struct audit_finding *f = &c->report->finding;
	va_list args;
	va_start(args, fmt);
	vsnprintf(f->what, sizeof(f->what), fmt, args); /* NOLINT(clang-analyzer-valist.Uninitialized) */
	va_end(args);
	f->is_bad = true;
	f->first = first;
	f->last = last < first ? first : last;
	return false;
}

/* ---- checkpoints ---- */

static const struct note_key *key_named(const struct check *c, const char *id)
{
	for (size_t i = 0; i < c->keys_n; i++)
		if (strcmp(c->keys[i].id, id) == 0)
			return &c->keys[i];
	return NULL;
}

static bool root_differs(struct check *c, uint64_t size, const char *which)
{
	/* Leaves whose own hashes fit were changed together with them; the first subtree that did not follow narrows
	 * it. */
	if (c->doubt.is_bad)
		return bad(c, c->doubt.first < c->sound ? c->sound : c->doubt.first, c->doubt.last,
		           "entries were changed: the hash of the subtree over them, kept at position %llu, and %s of "
		           "size "
		           "%llu say otherwise",
		           (unsigned long long)c->doubt.last, which, (unsigned long long)size);
	return bad(c, c->sound, size - 1, "entries were changed: they do not have the root hash of %s of size %llu",
	           which, (unsigned long long)size);
}

static bool vouched(struct check *c)
{
	c->sound = c->edge.size;
	if (!c->doubt.is_bad)
		return true;
	return bad(c, c->doubt.last, c->doubt.last, "%s", c->doubt.what);
}

static bool check_note(struct check *c, const char *note, uint64_t row_size)
{
	struct checkpoint p;
	struct err err = { 0 };
	uint64_t near = row_size ? row_size - 1 : 0;
	if (!checkpoint_parse(c->page, note, &p, &err))
		return bad(c, near, near, "the checkpoint of size %llu cannot be read", (unsigned long long)row_size);
	if (p.size != row_size)
		return bad(c, near, near, "the checkpoint kept for size %llu says size %llu",
		           (unsigned long long)row_size, (unsigned long long)p.size);
	const struct note_key *key = key_named(c, p.key_id);
	if (!key || strcmp(p.origin, key->name) != 0 || !note_is_signed(c->page, note, key))
		return bad(c, near, near, "the checkpoint of size %llu is not signed by %s", (unsigned long long)p.size,
		           c->report->has_pinned ? "the given key" : "a key of this log");
	if (p.previous != c->last_checkpoint)
		return bad(
		        c, p.previous < c->last_checkpoint ? near : p.previous - 1, near,
		        "the checkpoint of size %llu follows one of size %llu, not one of size %llu: one was taken out "
		        "or put in",
		        (unsigned long long)p.size, (unsigned long long)p.previous,
		        (unsigned long long)c->last_checkpoint);
	struct merkle_hash root = merkle_root(&c->edge);
	if (!merkle_equal(&root, &p.root))
		return root_differs(c, p.size, "the checkpoint");
	c->report->checkpoints++;
	c->last_checkpoint = p.size;
	return vouched(c);
}

static bool check_saved(struct check *c)
{
	if (!c->has_saved || c->saved.size != c->edge.size)
		return true;
	c->saved_was_met = true;
	struct merkle_hash root = merkle_root(&c->edge);
	if (!merkle_equal(&root, &c->saved.root))
		return root_differs(c, c->saved.size, "the checkpoint you keep");
	return vouched(c);
}

static SUSPENDS bool more_notes(struct check *c, struct task *t, struct err *err)
{
	if (c->notes_at < c->notes_n)
		return true;
	struct arena *own = t->arena;
	c->notes_n = PAGE;
	c->notes_at = 0;
	arena_reset(c->notes_page);
	t->arena = c->notes_page;
	bool ok = c->source->checkpoints(c->source, t, c->last_checkpoint, c->notes, c->sizes, &c->notes_n, err);
	t->arena = own;
	return ok;
}

/* Checkpoints up to the entries seen so far. Entries come first: what vouches for them was committed with them. */
static SUSPENDS bool check_notes(struct check *c, struct task *t, struct err *err)
{
	if (!check_saved(c))
		return true;
	while (c->notes_at < c->notes_n && c->sizes[c->notes_at] <= c->edge.size) {
		if (c->sizes[c->notes_at] < c->edge.size)
			bad(c, c->sizes[c->notes_at], c->edge.size - 1, "checkpoints are not in order");
		else if (check_note(c, c->notes[c->notes_at], c->sizes[c->notes_at]))
			c->notes_at++;
		if (c->report->finding.is_bad)
			return true;
		if (c->notes_at == c->notes_n && !more_notes(c, t, err))
			return false;
	}
	return true;
}

/* ---- entries ---- */

/* Whether lists find the entry where its leaf belongs. */
static void check_filing(struct check *c, const struct audit_line *e)
{
	struct audit_filing own;
	if (!e->is_filed || c->misfiled.is_bad || !audit_filing_of(c->page, e->leaf, &own) ||
	    audit_filed_alike(&own, &e->filing))
		return;
	c->misfiled = (struct audit_finding){ .is_bad = true, .first = e->position, .last = e->position };
	snprintf(c->misfiled.what, sizeof(c->misfiled.what),
	         "the columns that lists go by (at, product, action, record ids) say something else than the leaf");
}

static bool check_entry(struct check *c, const struct audit_line *e)
{
	struct merkle_hash made[64], kept;
	uint64_t at = c->edge.size;
	if (e->position > at)
		return bad(c, at, e->position - 1, "entries are missing: the next one is at position %llu",
		           (unsigned long long)e->position);
	struct merkle_hash leaf = merkle_leaf(e->leaf, strlen(e->leaf));
	if (!audit_hash_at(e->hashes, 0, &kept) || !merkle_equal(&kept, &leaf))
		return bad(c, at, at, "the leaf at this position does not have the hash that is kept with it");
	size_t n = merkle_add(&c->edge, &leaf, made);
	if (strlen(e->hashes) !=
	    n * 2 * MERKLE_N) /* this one, or one put in or taken out before it, in the same pair */
		return bad(c, at & ~(uint64_t)1, at, "this position keeps %zu hashes instead of %zu",
		           strlen(e->hashes) / ((size_t)2 * MERKLE_N), n);
	for (size_t k = 1; k < n && !c->doubt.is_bad; k++) {
		if (audit_hash_at(e->hashes, k, &kept) && merkle_equal(&kept, &made[k]))
			continue;
		c->doubt = (struct audit_finding){ .is_bad = true, .first = at + 1 - ((uint64_t)1 << k), .last = at };
		snprintf(c->doubt.what, sizeof(c->doubt.what),
		         "the hash of the subtree from %llu to %llu, kept at position %llu, is wrong",
		         (unsigned long long)c->doubt.first, (unsigned long long)at, (unsigned long long)at);
	}
	check_filing(c, e);
	return true;
}

/* ---- the whole ---- */

static SUSPENDS bool read_keys(struct check *c, struct task *t, const struct audit_wants *wants, struct err *err)
{
	const char *texts[AUDIT_KEYS_MAX];
	size_t n = AUDIT_KEYS_MAX;
	c->report->has_pinned = wants->public_keys != NULL;
	for (const char *p = wants->public_keys; p && *p; p += strspn(p, "\n")) {
		size_t length = strcspn(p, "\n");
		if (c->keys_n == AUDIT_KEYS_MAX)
			return err_set(err, &E_invalid_request, "at most %d public keys can be given", AUDIT_KEYS_MAX);
		if (!note_key_parse(arena_strndup(c->lasting, p, length), &c->keys[c->keys_n++], err))
			return false;
		p += length;
	}
	if (!c->source->keys(c->source, t, texts, &n, err)) /* always: an exported file begins with them */
		return false;
	if (c->report->has_pinned)
		return true;
	for (size_t i = 0; i < n; i++) {
		struct err ignored = { 0 };
		if (note_key_parse(texts[i], &c->keys[c->keys_n], &ignored))
			c->keys_n++;
	}
	c->report->is_unsigned = c->keys_n == 0 && n == 0;
	return true;
}

static SUSPENDS bool read_saved(struct check *c, const struct audit_wants *wants, struct err *err)
{
	if (!wants->saved)
		return true;
	if (!checkpoint_parse(c->lasting, wants->saved, &c->saved, err))
		return false;
	const struct note_key *key = key_named(c, c->saved.key_id);
	bool is_signed = key && note_is_signed(c->lasting, wants->saved, key);
	if (c->report->has_pinned && !is_signed)
		return err_set(err, &E_invalid_request, "the checkpoint you keep is not signed by a given key");
	if (!is_signed)
		bad(c, 0, c->saved.size - 1, "the checkpoint you keep is signed by key %s, which the log does not name",
		    c->saved.key_id);
	c->has_saved = true;
	c->report->is_unsigned = false;
	return true;
}

/* After the last entry: everything that claims more, or less, than there is. */
static bool check_end(struct check *c)
{
	uint64_t n = c->edge.size;
	if (c->notes_at < c->notes_n)
		return bad(c, n, c->sizes[c->notes_at] - 1, "entries are missing: a checkpoint covers %llu of them",
		           (unsigned long long)c->sizes[c->notes_at]);
	if (c->has_saved && !c->saved_was_met)
		return bad(c, n, c->saved.size - 1, "entries are missing: the checkpoint you keep covers %llu of them",
		           (unsigned long long)c->saved.size);
	if (n > c->sound && !c->report->is_unsigned)
		return bad(c, c->sound, n - 1, "no signed checkpoint covers the entries from here on");
	if (c->doubt.is_bad)
		return bad(c, c->doubt.first, c->doubt.last, "%s", c->doubt.what);
	return !c->misfiled.is_bad || bad(c, c->misfiled.first, c->misfiled.last, "%s", c->misfiled.what);
}

/* One page of entries; *at_end: there are no more. What is bad stops it as well. */
static SUSPENDS bool page(struct check *c, struct task *t, bool *at_end, struct err *err)
{
	struct audit_line *lines = arena_array(c->page, PAGE, sizeof(*lines));
	size_t n = PAGE;
	if (!c->source->entries(c->source, t, c->edge.size, lines, &n, err) || !more_notes(c, t, err))
		return false;
	*at_end = n < PAGE;
	for (size_t i = 0; i < n && !c->report->finding.is_bad; i++)
		if (check_entry(c, &lines[i]) && !check_notes(c, t, err))
			return false;
	return true;
}

static SUSPENDS bool run(struct check *c, struct task *t, struct err *err)
{
	struct arena *own = t->arena;
	bool at_end = false, ok = true;
	uint64_t seen = UINT64_MAX;
	/* Once more after the end: what was committed between the last page and its checkpoints. */
	while (ok && !c->report->finding.is_bad && !(at_end && seen == c->edge.size)) {
		seen = at_end ? c->edge.size : UINT64_MAX;
		arena_reset(c->page);
		t->arena = c->page;
		ok = page(c, t, &at_end, err);
		t->arena = own;
	}
	if (ok && !c->report->finding.is_bad)
		check_end(c);
	c->report->entries = c->edge.size;
	c->report->root = merkle_root(&c->edge);
	return ok;
}

bool audit_verify(struct task *t, struct audit_source *s, const struct audit_wants *wants, struct audit_report *out,
                  struct err *err)
{
	struct check *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	*out = (struct audit_report){ 0 };
	c->source = s;
	c->report = out;
	c->lasting = t->arena;
	c->page = arena_new();
	c->notes_page = arena_new();
	bool ok = read_keys(c, t, wants, err) && read_saved(c, wants, err) && run(c, t, err);
	arena_free(c->page);
	arena_free(c->notes_page);
	free(c);
	return ok;
}

/* ---- the database ---- */

static const char *text_or_null(struct arena *a, const struct rows *rows, size_t row, int column)
{
	return row_is_null(rows, row, column) ? NULL : arena_strdup(a, row_text(rows, row, column));
}

static SUSPENDS bool db_entries(struct audit_source *s, struct task *t, uint64_t from, struct audit_line *out,
                                size_t *n, struct err *err)
{
	struct audit_db_source *d = (struct audit_db_source *)s;
	struct rows rows;
	if (!tx_query(d->tx, &Q_audit_entries_from, PARAMS(P_INT(from), P_INT(*n)), &rows, err))
		return false;
	*n = rows.n;
	for (size_t i = 0; i < rows.n; i++)
		out[i] = (struct audit_line){
			.position = (uint64_t)row_int(&rows, i, 0),
			.leaf = arena_strdup(t->arena, row_text(&rows, i, 1)),
			.hashes = arena_strdup(t->arena, row_text(&rows, i, 2)),
			.is_filed = true,
			.filing = { text_or_null(t->arena, &rows, i, 3), text_or_null(t->arena, &rows, i, 4),
			            text_or_null(t->arena, &rows, i, 5), text_or_null(t->arena, &rows, i, 6),
			            text_or_null(t->arena, &rows, i, 7) },
		};
	rows_done(&rows);
	return true;
}

static SUSPENDS bool db_checkpoints(struct audit_source *s, struct task *t, uint64_t size, const char **notes,
                                    uint64_t *sizes, size_t *n, struct err *err)
{
	struct audit_db_source *d = (struct audit_db_source *)s;
	struct rows rows;
	if (!tx_query(d->tx, &Q_audit_checkpoints_after, PARAMS(P_INT(size), P_INT(*n)), &rows, err))
		return false;
	*n = rows.n;
	for (size_t i = 0; i < rows.n; i++) {
		sizes[i] = (uint64_t)row_int(&rows, i, 0);
		notes[i] = arena_strdup(t->arena, row_text(&rows, i, 1));
	}
	rows_done(&rows);
	return true;
}

static SUSPENDS bool db_keys(struct audit_source *s, struct task *t, const char **out, size_t *n, struct err *err)
{
	struct audit_db_source *d = (struct audit_db_source *)s;
	struct rows rows;
	if (!tx_query(d->tx, &Q_audit_keys, PARAMS(), &rows, err))
		return false;
	*n = rows.n < *n ? rows.n : *n;
	for (size_t i = 0; i < *n; i++)
		out[i] = arena_strdup(t->arena, row_text(&rows, i, 2));
	rows_done(&rows);
	return true;
}

void audit_db_source(struct audit_db_source *s, struct tx *tx)
{
	s->source = (struct audit_source){ db_entries, db_checkpoints, db_keys };
	s->tx = tx;
}
