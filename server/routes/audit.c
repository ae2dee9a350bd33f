/* The audit log: its entries, checkpoints and proofs (docs/audit.md). */
#include "server/auth/policy_store.h"
#include "server/routes/tables.h"
#include "storage/audit.sql.h"
#include "storage/audit_log.h"
#include "storage/audit_tree.h"
#include "storage/codes.h"

#include <stdlib.h>

#define LIST_DEFAULT 100
#define LIST_MOST    500

/* ---- query parameters ---- */

static bool read_number(struct call *c, const char *name, int64_t min, int64_t max, int64_t fallback, int64_t *out,
                        struct err *err)
{
	const char *text;
	if (!request_query(c->rq, name, &text, err))
		return false;
	if (is_blank(text)) {
		*out = fallback;
		return true;
	}
	size_t n = strlen(text);
	*out = n <= 18 && strspn(text, "0123456789") == n ? strtoll(text, NULL, 10) : -1;
	return (*out >= min && *out <= max) ||
	       err_set(err, &E_invalid_query, "%s must be a whole number from %lld to %lld", name, (long long)min,
	               (long long)max);
}

static bool read_text(struct call *c, const char *name, const char **out, struct err *err)
{
	if (!request_query(c->rq, name, out, err))
		return false;
	if (is_blank(*out))
		*out = NULL;
	return true;
}

static bool knows_only(struct call *c, const char *const *known, struct err *err)
{
	size_t pos = 0, i;
	const char *name, *value;
	while (request_query_next(c->rq, &pos, &name, &value, err)) {
		for (i = 0; known[i] && strcmp(known[i], name) != 0; i++)
			;
		if (!known[i])
			return err_set(err, &E_invalid_query, "%.40s is not a query parameter here", name);
	}
	return err->code == NULL;
}

/* Who may read the whole log may read all of it; others what is their product's, if they say which. */
static bool allowed(struct call *c, const char *product, const char *context, struct err *err)
{
	const char *action = c->route->action;
	if (policy_allows(policy_store_current(c->app->policy), c->principal, action, "launchplane", "launchplane"))
		return true;
	return call_authorize(c, action, product && product[0] ? product : "launchplane",
	                      product && product[0] ? (context ? context : "*") : "launchplane", err);
}

/* The scope a caller without the whole log names; for what holds nobody's entries. */
static bool allowed_by_query(struct call *c, struct err *err)
{
	const char *product, *context;
	return read_text(c, "product", &product, err) && read_text(c, "context", &context, err) &&
	       allowed(c, product, context, err);
}

/* ---- entries ---- */

static SUSPENDS bool entry_list(struct call *c, struct err *err)
{
	static const char *const known[] = { "from", "limit", "product", "context", "actor", "action", "since", NULL };
	const char *product, *context, *action, *actor, *since;
	int64_t from, limit;
	struct rows rows;
	if (!knows_only(c, known, err) || !read_number(c, "from", 0, INT64_MAX, 0, &from, err) ||
	    !read_number(c, "limit", 1, LIST_MOST, LIST_DEFAULT, &limit, err) ||
	    !read_text(c, "product", &product, err) || !read_text(c, "context", &context, err) ||
	    !read_text(c, "action", &action, err) || !read_text(c, "actor", &actor, err) ||
	    !read_text(c, "since", &since, err) || !allowed(c, product, context, err))
		return false;
	if (since && (strlen(since) < 10 || strspn(since, "0123456789-:.TZ") != strlen(since)))
		return err_set(err, &E_invalid_query, "since must be a time like 2026-06-01T10:00:00Z");
	if (!db_query(c->t, &Q_audit_entry_list,
	              PARAMS(P_INT(from), P_TEXT(product), P_TEXT(context), P_TEXT(action), P_TEXT(actor),
	                     P_TEXT(since), P_INT(limit + 1)),
	              &rows, err))
		return false;
	bool more = rows.n > (size_t)limit;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, "entries");
	jo_open(&o, '[');
	for (size_t i = 0; i < rows.n - more; i++)
		jo_raw(&o, row_text(&rows, i, 1), strlen(row_text(&rows, i, 1)));
	jo_close(&o, ']');
	jo_key(&o, "next_from");
	if (more)
		jo_int(&o, row_int(&rows, rows.n - 1, 0));
	else
		jo_null(&o);
	return call_close_ok(c, &o);
}

static SUSPENDS bool entry_show(struct call *c, struct err *err)
{
	const char *text = call_param(c, "position");
	size_t n = strlen(text);
	struct rows rows;
	if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
		return err_field(err, "position", "must be a whole number");
	if (!db_query(c->t, &Q_audit_entry_read, PARAMS(P_TEXT(text)), &rows, err))
		return false;
	if (!allowed(c, rows.n ? row_text(&rows, 0, 1) : NULL, rows.n ? row_text(&rows, 0, 2) : NULL, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "the audit log has no entry %s", text);
	return call_answer_member(c, "entry", row_text(&rows, 0, 0));
}

/* ---- checkpoints ---- */

static void write_hash(struct call *c, struct json_out *o, const char *name, const struct merkle_hash *hash)
{
	jo_kv(o, name, hex_encode(c->arena, hash->b, MERKLE_N));
}

static bool write_checkpoint(struct call *c, struct json_out *o, const char *note, struct err *err)
{
	struct checkpoint p;
	if (!checkpoint_parse(c->arena, note, &p, err))
		return err_set(err, &E_internal_error,
		               "the audit log was changed: a checkpoint cannot be read; run launchplane audit verify");
	jo_open(o, '{');
	jo_kv(o, "origin", p.origin);
	jo_kv_int(o, "size", (int64_t)p.size);
	write_hash(c, o, "root_hash", &p.root);
	jo_kv_int(o, "previous_size", (int64_t)p.previous);
	jo_kv(o, "time", p.time);
	jo_kv(o, "key_id", p.key_id);
	jo_kv(o, "note", note);
	jo_close(o, '}');
	return true;
}

static SUSPENDS bool checkpoint_show(struct call *c, struct err *err)
{
	static const char *const known[] = { "product", "context", NULL };
	struct rows rows;
	struct buf b;
	struct json_out o;
	if (!knows_only(c, known, err) || !allowed_by_query(c, err) ||
	    !db_query(c->t, &Q_audit_checkpoint_latest, PARAMS(), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found,
		               "no checkpoint is signed yet; signing needs " AUDIT_KEY_SETTING
		               " or LAUNCHPLANE_MASTER_ENCRYPTION_KEY");
	call_open_ok(c, &o, &b);
	jo_key(&o, "checkpoint");
	return write_checkpoint(c, &o, row_text(&rows, 0, 1), err) && call_close_ok(c, &o);
}

static SUSPENDS bool checkpoint_list(struct call *c, struct err *err)
{
	static const char *const known[] = { "after", "limit", "product", "context", NULL };
	int64_t after, limit;
	struct rows rows;
	struct buf b;
	struct json_out o;
	if (!knows_only(c, known, err) || !allowed_by_query(c, err) ||
	    !read_number(c, "after", 0, INT64_MAX, 0, &after, err) ||
	    !read_number(c, "limit", 1, LIST_MOST, LIST_DEFAULT, &limit, err) ||
	    !db_query(c->t, &Q_audit_checkpoints_after, PARAMS(P_INT(after), P_INT(limit + 1)), &rows, err))
		return false;
	bool more = rows.n > (size_t)limit;
	call_open_ok(c, &o, &b);
	jo_key(&o, "checkpoints");
	jo_open(&o, '[');
	for (size_t i = 0; i < rows.n - more; i++)
		if (!write_checkpoint(c, &o, row_text(&rows, i, 1), err))
			return false;
	jo_close(&o, ']');
	jo_key(&o, "next_after");
	if (more)
		jo_int(&o, row_int(&rows, rows.n - 2, 0));
	else
		jo_null(&o);
	return call_close_ok(c, &o);
}

static SUSPENDS bool key_list(struct call *c, struct err *err)
{
	static const char *const known[] = { "product", "context", NULL };
	struct rows rows;
	struct buf b;
	struct json_out o;
	if (!knows_only(c, known, err) || !allowed_by_query(c, err) ||
	    !db_query(c->t, &Q_audit_keys, PARAMS(), &rows, err))
		return false;
	call_open_ok(c, &o, &b);
	jo_key(&o, "keys");
	jo_open(&o, '[');
	for (size_t i = 0; i < rows.n; i++) {
		jo_open(&o, '{');
		jo_kv(&o, "key_id", row_text(&rows, i, 0));
		jo_kv(&o, "origin", row_text(&rows, i, 1));
		jo_kv(&o, "public_key", row_text(&rows, i, 2));
		jo_kv(&o, "source", row_text(&rows, i, 3));
		jo_kv(&o, "created_at", row_text(&rows, i, 5));
		jo_close(&o, '}');
	}
	jo_close(&o, ']');
	return call_close_ok(c, &o);
}

/* ---- proofs ---- */

/* The newest size that a proof can be about: the newest checkpoint's, or without one what there is. */
static SUSPENDS bool newest_size(struct call *c, int64_t *size, int64_t *entries, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_audit_size, PARAMS(), &rows, err))
		return false;
	*entries = row_int(&rows, 0, 0);
	if (!db_query(c->t, &Q_audit_checkpoint_latest, PARAMS(), &rows, err))
		return false;
	*size = rows.n ? row_int(&rows, 0, 0) : *entries;
	if (*size > *entries)
		*entries = *size; /* signed between the two looks */
	return *size > 0 || err_set(err, &E_not_found, "the audit log is empty");
}

static SUSPENDS bool root_of(struct call *c, int64_t size, struct merkle_hash *out, struct err *err)
{
	const struct merkle_range whole = { 0, (uint64_t)size };
	struct merkle_path path;
	if (!audit_ranges(c->t, &whole, 1, &path, err))
		return false;
	*out = path.hash[0];
	return true;
}

static void write_path(struct call *c, struct json_out *o, const struct merkle_path *path)
{
	jo_key(o, "path");
	jo_open(o, '[');
	for (size_t i = 0; i < path->n; i++)
		jo_str(o, hex_encode(c->arena, path->hash[i].b, MERKLE_N));
	jo_close(o, ']');
}

/* The signed note of that size, so that a proof ends at a signature; null where none was made. */
static SUSPENDS bool write_note(struct call *c, struct json_out *o, int64_t size, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_audit_checkpoint_of, PARAMS(P_INT(size)), &rows, err))
		return false;
	jo_key(o, "checkpoint");
	jo_str(o, rows.n ? row_text(&rows, 0, 0) : NULL);
	return true;
}

static SUSPENDS bool inclusion(struct call *c, struct err *err)
{
	static const char *const known[] = { "position", "size", "product", "context", NULL };
	struct merkle_range ranges[MERKLE_PATH_MAX];
	struct merkle_path *path = ARENA_NEW(c->arena, struct merkle_path), leaf;
	struct merkle_hash root;
	int64_t newest, entries, position, size;
	if (!knows_only(c, known, err) || !allowed_by_query(c, err) || !newest_size(c, &newest, &entries, err) ||
	    !read_number(c, "size", 1, entries, newest, &size, err) ||
	    !read_number(c, "position", 0, size - 1, -1, &position, err))
		return false;
	if (position < 0)
		return err_set(err, &E_invalid_query, "the query parameter position is required");
	const struct merkle_range itself = { (uint64_t)position, (uint64_t)position + 1 };
	size_t n = merkle_inclusion((uint64_t)position, (uint64_t)size, ranges);
	if (!audit_ranges(c->t, &itself, 1, &leaf, err) || !audit_ranges(c->t, ranges, n, path, err) ||
	    !root_of(c, size, &root, err))
		return false;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, "proof");
	jo_open(&o, '{');
	jo_kv_int(&o, "position", position);
	jo_kv_int(&o, "size", size);
	write_hash(c, &o, "leaf_hash", &leaf.hash[0]);
	write_hash(c, &o, "root_hash", &root);
	write_path(c, &o, path);
	if (!write_note(c, &o, size, err))
		return false;
	jo_close(&o, '}');
	return call_close_ok(c, &o);
}

static SUSPENDS bool consistency(struct call *c, struct err *err)
{
	static const char *const known[] = { "from", "to", "product", "context", NULL };
	struct merkle_range ranges[MERKLE_PATH_MAX];
	struct merkle_path *path = ARENA_NEW(c->arena, struct merkle_path);
	struct merkle_hash from_root, to_root;
	int64_t newest, entries, from, to;
	if (!knows_only(c, known, err) || !allowed_by_query(c, err) || !newest_size(c, &newest, &entries, err) ||
	    !read_number(c, "to", 1, entries, newest, &to, err) || !read_number(c, "from", 1, to, 0, &from, err))
		return false;
	if (from == 0)
		return err_set(err, &E_invalid_query, "the query parameter from is required");
	size_t n = merkle_consistency((uint64_t)from, (uint64_t)to, ranges);
	if (!audit_ranges(c->t, ranges, n, path, err) || !root_of(c, from, &from_root, err) ||
	    !root_of(c, to, &to_root, err))
		return false;
	struct buf b;
	struct json_out o;
	call_open_ok(c, &o, &b);
	jo_key(&o, "proof");
	jo_open(&o, '{');
	jo_kv_int(&o, "from", from);
	jo_kv_int(&o, "to", to);
	write_hash(c, &o, "from_root_hash", &from_root);
	write_hash(c, &o, "to_root_hash", &to_root);
	write_path(c, &o, path);
	if (!write_note(c, &o, to, err))
		return false;
	jo_close(&o, '}');
	return call_close_ok(c, &o);
}

#define READS .callers = CALLERS_READ, .action = "audit.read", .product = "handler", .context = "handler"

const struct route audit_routes[] = {
	{ HTTP_GET, "/v1/audit/checkpoint", "The newest signed checkpoint of the audit log", checkpoint_show, READS },
	{ HTTP_GET, "/v1/audit/checkpoints", "Signed checkpoints, oldest first", checkpoint_list, READS },
	{ HTTP_GET, "/v1/audit/entries", "Entries of the audit log, oldest first", entry_list, READS },
	{ HTTP_GET, "/v1/audit/entries/{position}", "One entry of the audit log", entry_show, READS },
	{ HTTP_GET, "/v1/audit/proof/inclusion", "That an entry is in the log of a size", inclusion, READS },
	{ HTTP_GET, "/v1/audit/proof/consistency", "That the log of one size begins like that of another", consistency,
	  READS },
	{ HTTP_GET, "/v1/audit/keys", "The public keys that sign checkpoints", key_list, READS },
	{ 0 },
};
