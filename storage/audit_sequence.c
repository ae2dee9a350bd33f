#include "core/fault.h"
#include "core/loop.h"
#include "storage/audit.sql.h"
#include "storage/audit_filing.h"
#include "storage/audit_log.h"
#include "storage/audit_tree.h"
#include "storage/operation.h"

#define ROUND_MAX 1000 /* entries of one commit */

/* Of what audit_place is given for each entry. */
enum column { ENTRY_ID, HASHES, AT, PRODUCT, ACTION, DEPLOYMENT, PROMOTION, COLUMNS_N };

struct round {
	struct merkle_edge edge;
	bool has_checkpoint;
	struct checkpoint last;
	struct rows pending;
	struct buf column[COLUMNS_N]; /* array literals */
};

static bool broken(struct err *err, const char *what, uint64_t at)
{
	return err_set(err, &E_internal_error,
	               "the audit log was changed: %s %llu; run launchplane audit verify. Entries wait until it is "
	               "repaired",
	               what, (unsigned long long)at);
}

/* The head must be what was signed: a sequencer never puts its name under a log that somebody else wrote. */
static SUSPENDS bool read_head(struct tx *tx, const struct sequencer *s, struct round *r, struct err *err)
{
	struct rows rows;
	struct task *t = tx_task(tx);
	if (!tx_query(tx, &Q_audit_head, PARAMS(), &rows, err))
		return false;
	uint64_t size = (uint64_t)row_int(&rows, 0, 0);
	r->has_checkpoint = !row_is_null(&rows, 0, 2);
	if (r->has_checkpoint && !checkpoint_parse(t->arena, row_text(&rows, 0, 2), &r->last, err))
		return broken(err, "unreadable is the checkpoint of size", (uint64_t)row_int(&rows, 0, 1));
	uint64_t signed_size = r->has_checkpoint ? r->last.size : 0;
	if (size < signed_size || size < s->seen_size)
		return broken(err, "entries are missing from position", size);
	if (!audit_edge_in(tx, size, &r->edge, err))
		return false;
	if (r->has_checkpoint && signed_size == size) {
		struct merkle_hash root = merkle_root(&r->edge);
		if (!merkle_equal(&root, &r->last.root))
			return broken(err, "its hashes are not those of the checkpoint of size", size);
	}
	return true;
}

/* An element of an array literal. */
static void put_text(struct buf *b, const char *text)
{
	if (!text) {
		buf_str(b, "NULL");
		return;
	}
	buf_char(b, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_char(b, '\\');
		buf_char(b, *text);
	}
	buf_char(b, '"');
}

static void add_entry(struct arena *a, struct round *r, size_t i)
{
	struct merkle_hash made[64];
	char hex[2 * MERKLE_N + 1];
	struct audit_filing filing;
	const char *leaf = row_text(&r->pending, i, 1);
	struct merkle_hash hash = merkle_leaf(leaf, strlen(leaf));
	size_t n = merkle_add(&r->edge, &hash, made);
	for (int c = 0; c < COLUMNS_N; c++)
		buf_char(&r->column[c], i ? ',' : '{');
	buf_printf(&r->column[ENTRY_ID], "%lld", (long long)row_int(&r->pending, i, 0));
	for (size_t k = 0; k < n; k++) {
		hex_write(made[k].b, MERKLE_N, hex);
		buf_str(&r->column[HASHES], hex);
	}
	audit_filing_of(a, leaf, &filing); /* all NULL for what it cannot read: the table reads it then */
	put_text(&r->column[AT], filing.at);
	put_text(&r->column[PRODUCT], filing.product);
	put_text(&r->column[ACTION], filing.action);
	put_text(&r->column[DEPLOYMENT], filing.deployment_record_id);
	put_text(&r->column[PROMOTION], filing.promotion_record_id);
}

static SUSPENDS bool place(struct tx *tx, struct round *r, struct err *err)
{
	struct rows rows;
	struct arena *a = tx_task(tx)->arena;
	uint64_t first = r->edge.size;
	for (int c = 0; c < COLUMNS_N; c++)
		r->column[c] = buf_in(a);
	for (size_t i = 0; i < r->pending.n; i++)
		add_entry(a, r, i);
	for (int c = 0; c < COLUMNS_N; c++)
		buf_char(&r->column[c], '}');
	if (!tx_query(tx, &Q_audit_place,
	              PARAMS(P_TEXT(r->column[ENTRY_ID].p), P_INT(first), P_TEXT(r->column[HASHES].p),
	                     P_TEXT(r->column[AT].p), P_TEXT(r->column[PRODUCT].p), P_TEXT(r->column[ACTION].p),
	                     P_TEXT(r->column[DEPLOYMENT].p), P_TEXT(r->column[PROMOTION].p)),
	              &rows, err))
		return false;
	return (size_t)row_int(&rows, 0, 0) == r->pending.n || broken(err, "somebody took pending entries near", first);
}

static void put_checkpoint(struct tx *tx, const struct sequencer *s, const struct round *r)
{
	struct task *t = tx_task(tx);
	const struct checkpoint c = {
		.origin = s->key.name,
		.size = r->edge.size,
		.root = merkle_root(&r->edge),
		.previous = r->has_checkpoint ? r->last.size : 0,
		.time = utc_now(t),
	};
	tx_send(tx, &Q_audit_checkpoint_insert,
	        PARAMS(P_INT(c.size), P_TEXT(s->key.id), P_TEXT(checkpoint_sign(t->arena, &s->key, &c))));
}

static SUSPENDS bool round_in(struct tx *tx, struct sequencer *s, struct round *r, struct err *err)
{
	if (!read_head(tx, s, r, err) ||
	    !tx_query(tx, &Q_audit_pending, PARAMS(P_INT(ROUND_MAX), P_INT(s->after)), &r->pending, err))
		return false;
	fault_at("audit.read", NULL);
	if (r->pending.n && !place(tx, r, err))
		return false;
	fault_at("audit.placed", NULL);
	if (s->key.can_sign && r->edge.size > (r->has_checkpoint ? r->last.size : 0))
		put_checkpoint(tx, s, r);
	return true;
}

bool audit_look(struct task *t, struct sequencer *s, uint64_t now_ms, bool is_told, bool everything, bool *is_waiting,
                struct err *err)
{
	struct rows rows;
	bool all = everything || now_ms >= s->all_at_ms;
	if (!db_query(t, &Q_audit_is_waiting,
	              PARAMS(P_BOOL(s->key.can_sign), P_INT(all ? 0 : s->after), P_BOOL(is_told)), &rows, err))
		return false;
	*is_waiting = row_bool(&rows, 0, 0);
	int64_t given = row_int(&rows, 0, 1);
	rows_done(&rows);
	if (all) {
		s->after = s->soon_after = 0;
		s->all_at_ms = now_ms + AUDIT_ALL_MS;
	}
	if (all || now_ms >= s->next_at_ms) {
		s->after = s->soon_after;
		s->soon_after = given;
		s->next_at_ms = now_ms + AUDIT_LATE_MS;
	}
	return true;
}

bool audit_sequence(struct task *t, struct sequencer *s, bool *more, struct err *err)
{
	struct tx *tx;
	struct rows rows;
	struct round *r = ARENA_NEW(t->arena, struct round);
	*more = false;
	if (!tx_begin(t, &tx, err))
		return false;
	bool ok = tx_query(tx, &Q_audit_sequence_lock, PARAMS(), &rows, err);
	bool is_ours = ok && row_bool(&rows, 0, 0);
	s->was_busy = ok && !is_ours;
	if (!is_ours || !round_in(tx, s, r, err)) {
		tx_rollback(tx);
		return ok && !is_ours;
	}
	if (!tx_commit(tx, err))
		return false;
	fault_at("audit.committed", NULL);
	s->seen_size = r->edge.size;
	*more = r->pending.n == ROUND_MAX;
	return true;
}
