/* Records of previews: transitions and what is written by hand (facts/web-verireel-previews.md 6.4), and reading them
 * (facts/core.md 7.1). */
#include "server/routes/previews.h"

#include "server/routes/tables.h"
#include "storage/operation.h"
#include "storage/preview.sql.h"
#include "storage/preview_enablement.h"

/* ---- transitions ---- */

static bool check_requested(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct preview_generation_request *r = record;
	int state = r->generation.record.state;
	if (state == GENERATION_READY || state == GENERATION_FAILED)
		return contract_fail(a, err, path, "generation.state",
		                     "%s is an end: mark the generation, or hand its evidence in",
		                     generation_state_names[state]);
	return preview_generation_request_contract.check(a, record, path, err);
}
static const struct field requested_fields[] = {
	F_SCHEMA_VERSION(preview_generation_request),
	F_STR(preview_generation_request, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(preview_generation_request, preview, REQUIRED, &preview_mutation_contract),
	F_OBJECT(preview_generation_request, generation, REQUIRED, &generation_mutation_contract,
	         .help = "In a state before its end"),
	F_END,
};
static const struct contract requested_contract =
        CONTRACT(preview_generation_request, requested_fields, "A build of a preview that is asked for",
                 .check = check_requested);

static SUSPENDS bool generation_request_route(struct call *c, struct err *err)
{
	return generation_take(c, c->body, false, err);
}

static const char *const mark_names[] = { "ready", "failed", NULL };
struct generation_mark {
	int64_t schema_version;
	const char *product;
	int operation;
	struct generation_mutation generation;
};
static bool check_mark(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct generation_mark *m = record;
	if (is_blank(m->generation.record.generation_id))
		return contract_fail(a, err, path, "generation.generation_id", "is required");
	return strcmp(generation_state_names[m->generation.record.state], mark_names[m->operation]) == 0 ||
	       contract_fail(a, err, path, "generation.state", "must be %s, as the mark is", mark_names[m->operation]);
}
static const struct field mark_fields[] = {
	F_SCHEMA_VERSION(generation_mark),
	F_STR(generation_mark, product, REQUIRED | NON_BLANK, .max = 200),
	F_ENUM(generation_mark, operation, REQUIRED, .names = mark_names),
	F_OBJECT(generation_mark, generation, REQUIRED, &generation_mutation_contract),
	F_END,
};
static const struct contract mark_contract =
        CONTRACT(generation_mark, mark_fields, "How a known build of a preview ended", .check = check_mark);

static SUSPENDS bool generation_mark_route(struct call *c, struct err *err)
{
	const struct generation_mark *body = c->body;
	const struct generation_mutation *g = &body->generation;
	struct preview_generation_request *whole = ARENA_NEW(c->arena, struct preview_generation_request);
	contract_defaults(c->arena, &preview_generation_request_contract, whole);
	whole->product = body->product;
	whole->generation = *g;
	whole->preview.context = g->context;
	whole->preview.anchor_repo = g->anchor_repo;
	whole->preview.anchor_pr_number = g->anchor_pr_number;
	whole->preview.anchor_pr_url = g->anchor_pr_url;
	return generation_take(c, whole, true, err);
}

/* ---- by hand ---- */

struct preview_write {
	int64_t schema_version;
	const char *product;
	struct preview_mutation preview;
};
static const struct field write_fields[] = {
	F_SCHEMA_VERSION(preview_write),
	F_STR(preview_write, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(preview_write, preview, REQUIRED, &preview_mutation_contract, .help = "State and pointers count"),
	F_END,
};
static const struct contract preview_write_contract =
        CONTRACT(preview_write, write_fields, "A preview's record, written by hand");

static SUSPENDS bool write_by_hand(struct tx *tx, struct call *c, const struct preview_mutation *m, struct preview *out,
                                   struct err *err)
{
	struct rows rows;
	struct preview stored;
	const char *id;
	bool found;
	if (!preview_lock(tx, c, m->context, m->anchor_repo, m->anchor_pr_number, &id, err) ||
	    !preview_load(tx, c, id, &stored, &found, err) ||
	    !tx_query(tx, &Q_preview_base_url, PARAMS(P_TEXT(m->context)), &rows, err) ||
	    !preview_of_request(c->arena, m, found ? &stored : NULL, id, rows.n ? row_text(&rows, 0, 0) : "",
	                        utc_now(c->t), out, err))
		return false;
	preview_put(tx, c, out);
	return true;
}

static SUSPENDS bool preview_write_route(struct call *c, struct err *err)
{
	const struct preview_write *body = c->body;
	struct preview p;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!write_by_hand(tx, c, &body->preview, &p, err)) {
		tx_rollback(tx);
		return false;
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "preview_id", p.preview_id);
	return preview_accept(c, tx, &records, NULL, err);
}

struct generation_write {
	int64_t schema_version;
	const char *product;
	struct generation_mutation generation;
};
static const struct field generation_write_fields[] = {
	F_SCHEMA_VERSION(generation_write),
	F_STR(generation_write, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(generation_write, generation, REQUIRED, &generation_mutation_contract),
	F_END,
};
static const struct contract generation_write_contract =
        CONTRACT(generation_write, generation_write_fields, "A build's record, written by hand");

static SUSPENDS bool write_build(struct tx *tx, struct call *c, const struct generation_mutation *m,
                                 struct generation *out, struct err *err)
{
	struct generation *stored;
	struct preview p;
	const char *id;
	bool found;
	if (!preview_lock(tx, c, m->context, m->anchor_repo, m->anchor_pr_number, &id, err) ||
	    !preview_load(tx, c, id, &p, &found, err))
		return false;
	if (!found)
		return err_field(err, "generation.anchor_pr_number",
		                 "pull request %lld of %s has no preview in context %s: write that first",
		                 (long long)m->anchor_pr_number, m->anchor_repo, m->context);
	if (!generation_settle(tx, c, id, m, &stored, out, err))
		return false;
	generation_put(tx, c, out);
	return true;
}

static SUSPENDS bool generation_write_route(struct call *c, struct err *err)
{
	const struct generation_write *body = c->body;
	struct generation g;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!write_build(tx, c, &body->generation, &g, err)) {
		tx_rollback(tx);
		return false;
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "preview_id", g.preview_id);
	json_set_str(c->arena, &records, "generation_id", g.generation_id);
	return preview_accept(c, tx, &records, NULL, err);
}

struct enablement_write {
	int64_t schema_version;
	const char *product;
	struct preview_enablement enablement;
};
static const struct field enablement_write_fields[] = {
	F_SCHEMA_VERSION(enablement_write),
	F_STR(enablement_write, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(enablement_write, enablement, REQUIRED, &preview_enablement_contract),
	F_END,
};
static const struct contract enablement_write_contract =
        CONTRACT(enablement_write, enablement_write_fields, "What an event said of a pull request");

static SUSPENDS bool enablement_route(struct call *c, struct err *err)
{
	const struct enablement_write *body = c->body;
	const struct preview_enablement *e = &body->enablement;
	struct json records = json_object();
	struct rows rows;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!tx_query(tx, &Q_preview_enablement_upsert,
	              PARAMS(P_TEXT(e->record_id), P_TEXT(e->context), P_TEXT(e->anchor_repo),
	                     P_INT(e->anchor_pr_number), P_TEXT(pr_state_names[e->pr_state]), P_TEXT(e->updated_at),
	                     P_TEXT(contract_text(c->arena, &preview_enablement_contract, e))),
	              &rows, err)) {
		tx_rollback(tx);
		return false;
	}
	json_set_str(c->arena, &records, "preview_enablement_record_id", e->record_id);
	return preview_accept(
	        c, tx, &records,
	        rows.n ? NULL
	               : preview_note(c->arena, "older_than_stored",
	                              "a later event of this pull request is stored; nothing was changed"),
	        err);
}

/* ---- reading ---- */

static SUSPENDS bool read_allowed(struct call *c, const struct query *q, struct rows *rows, struct err *err)
{
	const char *id = call_param(c, "preview_id");
	if (!db_query(c->t, q, PARAMS(P_TEXT(id)), rows, err))
		return false;
	if (rows->n == 0)
		return err_set(err, &E_not_found, "there is no preview %s", id);
	return call_authorize(c, c->route->action, "launchplane", row_text(rows, 0, 0), err);
}

static SUSPENDS bool preview_show(struct call *c, struct err *err)
{
	struct rows rows;
	return read_allowed(c, &Q_preview_read, &rows, err) && call_answer_member(c, "record", row_text(&rows, 0, 1));
}

static SUSPENDS bool preview_history(struct call *c, struct err *err)
{
	struct rows rows;
	struct buf b;
	struct json_out o;
	if (!read_allowed(c, &Q_preview_history, &rows, err))
		return false;
	call_open_ok(c, &o, &b);
	jo_key(&o, "preview");
	jo_raw(&o, row_text(&rows, 0, 1), strlen(row_text(&rows, 0, 1)));
	jo_key(&o, "generations");
	jo_raw(&o, row_text(&rows, 0, 2), strlen(row_text(&rows, 0, 2)));
	return call_close_ok(c, &o);
}

const struct route preview_record_routes[] = {
	{ HTTP_POST, "/v1/previews", "Write a preview's record as it is given", preview_write_route,
	  .callers = CALLERS_WRITE, .action = "preview.write", .product = "body:product",
	  .context = "body:preview.context", .body = &preview_write_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/previews/generations", "Write a build's record as it is given; the preview stays as it is",
	  generation_write_route, .callers = CALLERS_WRITE, .action = "preview_generation.write",
	  .product = "body:product", .context = "body:generation.context", .body = &generation_write_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/previews/generations/request", "Ask for a build of a preview, which comes into being with it",
	  generation_request_route, .callers = CALLERS_WRITE, .action = "preview_generation.write",
	  .product = "body:product", .context = "body:preview.context", .body = &requested_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/previews/generations/mark", "Note how a known build of a preview ended",
	  generation_mark_route, .callers = CALLERS_WRITE, .action = "preview_generation.write",
	  .product = "body:product", .context = "body:generation.context", .body = &mark_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/previews/enablement", "Note whether a pull request wants a preview", enablement_route,
	  .callers = CALLERS_WRITE, .action = "preview_enablement.write", .product = "body:product",
	  .context = "body:enablement.context", .body = &enablement_write_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_GET, "/v1/previews/{preview_id}", "One preview", preview_show, .callers = CALLERS_READ,
	  .action = "preview.read", .product = "=launchplane", .context = "handler", .record = &preview_contract,
	  .record_key = "record" },
	{ HTTP_GET, "/v1/previews/{preview_id}/history", "A preview and its generations, newest first", preview_history,
	  .callers = CALLERS_READ, .action = "preview.read", .product = "=launchplane", .context = "handler",
	  .record = &preview_contract, .record_key = "preview" },
	{ 0 },
};
