/* Previews: evidence of their builds and of their end, and reading them (facts/core.md 5.5, 5.6, 7.1).
 *
 * Evidence locks the pull request's anchor first, so that all that comes in at once for one pull request is one preview
 * and is decided one after the other. */
#include "core/digest.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/guard.h"
#include "storage/operation.h"
#include "storage/preview.h"
#include "storage/preview.sql.h"
#include "storage/preview_enablement.h"

/* ---- stored ---- */

static bool read_stored(struct call *c, const struct contract *contract, const char *text, const char *what, void *out,
                        struct err *err)
{
	return contract_read_text(c->arena, contract, text, strlen(text), what, out, err);
}

static SUSPENDS bool read_preview(struct tx *tx, struct call *c, const char *preview_id, struct preview *out,
                                  bool *found, struct err *err)
{
	struct rows rows;
	if (!tx_query(tx, &Q_preview_read, PARAMS(P_TEXT(preview_id)), &rows, err))
		return false;
	*found = rows.n == 1;
	return !*found || read_stored(c, &preview_contract, row_text(&rows, 0, 1), "the stored preview", out, err);
}

struct sequences {
	int64_t newest_other; /* highest sequence of the generations but for this one */
	int64_t serving;
	int64_t highest;
	const char *latest_request;
};

static SUSPENDS bool read_sequences(struct tx *tx, const char *preview_id, const char *but, const char *serving,
                                    struct sequences *out, struct err *err)
{
	struct rows rows;
	if (!tx_query(tx, &Q_generation_sequences, PARAMS(P_TEXT(preview_id), P_TEXT(but), P_TEXT(serving)), &rows,
	              err))
		return false;
	*out = (struct sequences){
		.newest_other = row_int(&rows, 0, 0),
		.latest_request = row_text(&rows, 0, 1),
		.serving = row_int(&rows, 0, 2),
		.highest = row_int(&rows, 0, 3),
	};
	return true;
}

static void write_preview(struct tx *tx, struct call *c, const struct preview *p)
{
	tx_send(tx, &Q_preview_upsert,
	        PARAMS(P_TEXT(p->preview_id), P_TEXT(p->context), P_TEXT(p->anchor_repo), P_INT(p->anchor_pr_number),
	               P_TEXT(preview_state_names[p->state]), P_TEXT(p->updated_at),
	               P_TEXT(contract_text(c->arena, &preview_contract, p))));
}

static void write_generation(struct tx *tx, struct call *c, const struct generation *g)
{
	tx_send(tx, &Q_generation_upsert,
	        PARAMS(P_TEXT(g->generation_id), P_TEXT(g->preview_id), P_INT(g->sequence),
	               P_TEXT(generation_state_names[g->state]), P_TEXT(g->requested_at), P_TEXT(g->finished_at),
	               P_TEXT(g->artifact_id), P_TEXT(contract_text(c->arena, &generation_contract, g))));
}

static SUSPENDS TX_ENDS bool finish(struct call *c, struct tx *tx, const struct json *records, const char *note,
                                    struct err *err)
{
	call_store_answer(c, tx, records, note);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, records, note);
}

static const char *note_text(struct arena *a, const char *outcome, const char *detail)
{
	struct json note = json_object();
	json_set_str(a, &note, "outcome", outcome);
	json_set_str(a, &note, "detail", detail);
	return json_text(a, &note);
}

/* ---- generations ---- */

/* The stored generation this evidence is about: by its id, by the id its sequence gives, or because it is equal in
 * everything submitted. *stored is NULL for a new one. */
static SUSPENDS bool find_generation(struct tx *tx, struct call *c, const char *preview_id,
                                     const struct generation_mutation *m, const char *wanted_id,
                                     struct generation **stored, struct err *err)
{
	struct rows rows;
	bool by_content = !m->record.generation_id[0];
	*stored = NULL;
	if (!tx_query(tx, &Q_generation_candidates,
	              PARAMS(P_TEXT(preview_id), P_TEXT(wanted_id), P_BOOL(by_content),
	                     P_TEXT(generation_state_names[m->record.state]), P_TEXT(m->record.requested_at),
	                     P_TEXT(m->record.finished_at), P_TEXT(m->record.artifact_id)),
	              &rows, err))
		return false;
	for (size_t i = 0; i < rows.n && !*stored; i++) {
		struct generation *g = ARENA_NEW(c->arena, struct generation);
		if (!read_stored(c, &generation_contract, row_text(&rows, i, 0), "the stored generation", g, err))
			return false;
		bool named = strcmp(g->generation_id, wanted_id) == 0;
		if (named && strcmp(g->preview_id, preview_id) != 0)
			return err_field(err, "generation.generation_id", "belongs to another preview");
		if (named || generation_is_same(c->arena, g, m))
			*stored = g;
	}
	return true;
}

/* Decides which generation the evidence makes, and reads what it replaces. */
static SUSPENDS bool settle_generation(struct tx *tx, struct call *c, const char *preview_id,
                                       const struct generation_mutation *m, struct generation **stored,
                                       struct generation *out, struct err *err)
{
	struct sequences known;
	if (!read_sequences(tx, preview_id, "", "", &known, err))
		return false;
	int64_t sequence = m->sequence.is_set ? m->sequence.value : known.highest + 1;
	const char *id =
	        m->record.generation_id[0] ? m->record.generation_id : generation_id_of(c->arena, preview_id, sequence);
	if (!find_generation(tx, c, preview_id, m, id, stored, err))
		return false;
	if (*stored)
		generation_record(m, *stored, (*stored)->generation_id, preview_id, (*stored)->sequence, out);
	else
		generation_record(m, NULL, id, preview_id, sequence, out);
	return true;
}

static SUSPENDS bool settle_preview(struct tx *tx, struct call *c, const struct preview_mutation *m,
                                    const char *preview_id, struct preview *out, struct err *err)
{
	struct rows rows;
	bool found;
	if (!read_preview(tx, c, preview_id, out, &found, err))
		return false;
	if (found)
		return true;
	if (!tx_query(tx, &Q_preview_base_url, PARAMS(P_TEXT(m->context)), &rows, err))
		return false;
	return preview_create(c->arena, m, preview_id, rows.n ? row_text(&rows, 0, 0) : "", out, err);
}

/* What evidence makes of preview and generation; *note tells why it did not become the current state. */
static SUSPENDS bool apply_generation(struct tx *tx, struct call *c, const struct preview_generation_request *body,
                                      const char *preview_id, struct generation *g, const char **note, struct err *err)
{
	struct preview p;
	struct generation *stored;
	struct sequences known;
	*note = NULL;
	if (!settle_preview(tx, c, &body->preview, preview_id, &p, err) ||
	    !settle_generation(tx, c, preview_id, &body->generation, &stored, g, err))
		return false;
	if (GUARD(F4) && stored && generation_is_late(stored, g)) {
		*g = *stored;
		*note = note_text(c->arena, "older_than_stored",
		                  "a later state of this generation is stored already; nothing was changed");
		return true;
	}
	if (!read_sequences(tx, preview_id, g->generation_id, p.serving_generation_id, &known, err))
		return false;
	switch (preview_follow(&p, g, known.newest_other, known.serving)) {
	case TRANSITION_MADE:
		preview_update(&p, &body->preview);
		break;
	case TRANSITION_OLDER:
		*note = note_text(c->arena, "older_generation",
		                  "the generation is stored; a later one exists and stays the preview's latest");
		break;
	case TRANSITION_DESTROYED:
		*note = note_text(c->arena, "preview_destroyed",
		                  "the generation is stored; the preview was destroyed after it was requested");
		break;
	}
	write_preview(tx, c, &p);
	write_generation(tx, c, g);
	return true;
}

/* The anchor's preview, locked; a new anchor gets the id it would have. */
static SUSPENDS bool lock_anchor(struct tx *tx, struct call *c, const char *context, const char *repo, int64_t number,
                                 const char **preview_id, struct err *err)
{
	struct rows rows;
	const struct preview_anchor anchor = { context, repo, number };
	const char *wanted = preview_id_of(c->arena, &anchor);
	const char *label = arena_printf(c->arena, "%s/%s/%lld", context, repo, (long long)number);
	const char *other = arena_printf(c->arena, "%s-%.8s", wanted, sha256_text(c->arena, label, strlen(label)));
	tx_send(tx, &Q_preview_id_lock, PARAMS(P_TEXT(wanted)));
	if (!tx_query(tx, &Q_preview_anchor_claim,
	              PARAMS(P_TEXT(context), P_TEXT(repo), P_INT(number), P_TEXT(wanted), P_TEXT(other)), &rows, err))
		return false;
	*preview_id = row_text(&rows, 0, 0);
	return true;
}

/* What is marked must be known: nothing comes into being by it. */
static SUSPENDS bool is_known(struct tx *tx, struct call *c, const char *preview_id,
                              const struct generation_mutation *m, struct err *err)
{
	struct rows rows;
	struct preview p;
	bool found;
	if (!read_preview(tx, c, preview_id, &p, &found, err))
		return false;
	if (!found)
		return err_field(err, "generation.anchor_pr_number",
		                 "pull request %lld of %s has no preview in context %s", (long long)m->anchor_pr_number,
		                 m->anchor_repo, m->context);
	if (!tx_query(tx, &Q_generation_candidates,
	              PARAMS(P_TEXT(preview_id), P_TEXT(m->record.generation_id), P_BOOL(false), P_TEXT(""), P_TEXT(""),
	                     P_TEXT(""), P_TEXT("")),
	              &rows, err))
		return false;
	return rows.n == 1 || err_field(err, "generation.generation_id", "there is no generation %s of this preview",
	                                m->record.generation_id);
}

static SUSPENDS bool take_generation(struct call *c, const struct preview_generation_request *body, bool must_be_known,
                                     struct err *err)
{
	const struct preview_mutation *m = &body->preview;
	struct tx *tx;
	struct generation g;
	const char *note = NULL, *preview_id = "";
	if (!tx_begin(c->t, &tx, err))
		return false;
	bool ok = lock_anchor(tx, c, m->context, m->anchor_repo, m->anchor_pr_number, &preview_id, err);
	if (ok && !GUARD(F6))
		preview_id = arena_printf(c->arena, "%s-%s", preview_id, c->trace_id);
	ok = ok && (!must_be_known || is_known(tx, c, preview_id, &body->generation, err)) &&
	     apply_generation(tx, c, body, preview_id, &g, &note, err);
	if (!ok) {
		tx_rollback(tx);
		return false;
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "preview_id", preview_id);
	json_set_str(c->arena, &records, "generation_id", g.generation_id);
	json_set_str(c->arena, &records, "transition", generation_state_names[body->generation.record.state]);
	json_set_str(c->arena, &records, "preview_path", preview_id);
	json_set_str(c->arena, &records, "generation_path", g.generation_id);
	return finish(c, tx, &records, note, err);
}

static SUSPENDS bool generation_evidence(struct call *c, struct err *err)
{
	return take_generation(c, c->body, false, err);
}

/* ---- transitions and records by hand (facts/web-verireel-previews.md 6.4) ---- */

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
	return take_generation(c, whole, true, err);
}

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
	if (!lock_anchor(tx, c, m->context, m->anchor_repo, m->anchor_pr_number, &id, err) ||
	    !read_preview(tx, c, id, &stored, &found, err) ||
	    !tx_query(tx, &Q_preview_base_url, PARAMS(P_TEXT(m->context)), &rows, err) ||
	    !preview_of_request(c->arena, m, found ? &stored : NULL, id, rows.n ? row_text(&rows, 0, 0) : "",
	                        utc_now(c->t), out, err))
		return false;
	write_preview(tx, c, out);
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
	return finish(c, tx, &records, NULL, err);
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
	if (!lock_anchor(tx, c, m->context, m->anchor_repo, m->anchor_pr_number, &id, err) ||
	    !read_preview(tx, c, id, &p, &found, err))
		return false;
	if (!found)
		return err_field(err, "generation.anchor_pr_number",
		                 "pull request %lld of %s has no preview in context %s: write that first",
		                 (long long)m->anchor_pr_number, m->anchor_repo, m->context);
	if (!settle_generation(tx, c, id, m, &stored, out, err))
		return false;
	write_generation(tx, c, out);
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
	return finish(c, tx, &records, NULL, err);
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
	return finish(c, tx, &records,
	              rows.n ? NULL
	                     : note_text(c->arena, "older_than_stored",
	                                 "a later event of this pull request is stored; nothing was changed"),
	              err);
}

/* ---- the end ---- */

static SUSPENDS bool apply_destroy(struct tx *tx, struct call *c, const struct preview_destroy *d,
                                   const char **preview_id, const char **note, struct err *err)
{
	struct rows rows;
	struct preview p;
	struct sequences known;
	bool found = false;
	*note = NULL;
	if (!tx_query(tx, &Q_preview_anchor_lock,
	              PARAMS(P_TEXT(d->context), P_TEXT(d->anchor_repo), P_INT(d->anchor_pr_number)), &rows, err))
		return false;
	if (rows.n) {
		*preview_id = row_text(&rows, 0, 0);
		if (!read_preview(tx, c, *preview_id, &p, &found, err))
			return false;
	}
	if (!found)
		return err_field(err, "destroy.anchor_pr_number",
		                 "pull request %lld of %s has no preview in context %s", (long long)d->anchor_pr_number,
		                 d->anchor_repo, d->context);
	if (!read_sequences(tx, *preview_id, "", "", &known, err))
		return false;
	if (preview_be_destroyed(&p, d, known.latest_request))
		write_preview(tx, c, &p);
	else
		*note = note_text(
		        c->arena, "older_than_stored",
		        "a generation was requested, or a destruction recorded, after this; nothing was changed");
	return true;
}

static SUSPENDS bool destroyed_evidence(struct call *c, struct err *err)
{
	const struct preview_destroyed_request *body = c->body;
	const char *preview_id = "", *note;
	struct tx *tx;
	if (!tx_begin(c->t, &tx, err))
		return false;
	if (!apply_destroy(tx, c, &body->destroy, &preview_id, &note, err)) {
		tx_rollback(tx);
		return false;
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "preview_id", preview_id);
	json_set_str(c->arena, &records, "preview_path", preview_id);
	json_set_str(c->arena, &records, "transition", "destroyed");
	return finish(c, tx, &records, note, err);
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

const struct route preview_routes[] = {
	{ HTTP_POST, "/v1/evidence/previews/generations", "Hand in a preview and one of its builds",
	  generation_evidence, .callers = CALLERS_WRITE, .action = "preview_generation.write",
	  .product = "body:product", .context = "body:preview.context", .body = &preview_generation_request_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/evidence/previews/destroyed", "Hand in that a preview was torn down", destroyed_evidence,
	  .callers = CALLERS_WRITE, .action = "preview_destroyed.write", .product = "body:product",
	  .context = "body:destroy.context", .body = &preview_destroyed_request_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/previews", "Write a preview's record as it is given", preview_write_route,
	  .callers = CALLERS_WRITE, .action = "preview.write", .product = "body:product",
	  .context = "body:preview.context", .body = &preview_write_contract, .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/previews/generations", "Write a build's record as it is given; the preview stays as it is",
	  generation_write_route, .callers = CALLERS_WRITE, .action = "preview_generation.write",
	  .product = "body:product", .context = "body:generation.context", .body = &generation_write_contract,
	  .idempotency = IDEMPOTENCY_OPTIONAL },
	{ HTTP_POST, "/v1/previews/generations/request", "Ask for a build of a preview, which comes into being with it",
	  generation_evidence, .callers = CALLERS_WRITE, .action = "preview_generation.write",
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
