/* Previews: evidence of their builds and of their end (facts/core.md 5.5, 5.6).
 *
 * Evidence locks the pull request's anchor first, so that all that comes in at once for one pull request is one preview
 * and is decided one after the other. */
#include "server/routes/previews.h"

#include "core/digest.h"
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/guard.h"
#include "storage/preview.sql.h"

/* ---- stored ---- */

static bool read_stored(struct call *c, const struct contract *contract, const char *text, const char *what, void *out,
                        struct err *err)
{
	return contract_read_text(c->arena, contract, text, strlen(text), what, out, err);
}

bool preview_load(struct tx *tx, struct call *c, const char *preview_id, struct preview *out, bool *found,
                  struct err *err)
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

void preview_put(struct tx *tx, struct call *c, const struct preview *p)
{
	tx_send(tx, &Q_preview_upsert,
	        PARAMS(P_TEXT(p->preview_id), P_TEXT(p->context), P_TEXT(p->anchor_repo), P_INT(p->anchor_pr_number),
	               P_TEXT(preview_state_names[p->state]), P_TEXT(p->updated_at),
	               P_TEXT(contract_text(c->arena, &preview_contract, p))));
}

void generation_put(struct tx *tx, struct call *c, const struct generation *g)
{
	tx_send(tx, &Q_generation_upsert,
	        PARAMS(P_TEXT(g->generation_id), P_TEXT(g->preview_id), P_INT(g->sequence),
	               P_TEXT(generation_state_names[g->state]), P_TEXT(g->requested_at), P_TEXT(g->finished_at),
	               P_TEXT(g->artifact_id), P_TEXT(contract_text(c->arena, &generation_contract, g))));
}

bool preview_accept(struct call *c, struct tx *tx, const struct json *records, const char *note, struct err *err)
{
	call_store_answer(c, tx, records, note);
	if (!tx_commit(tx, err))
		return is_idempotency_race(err) ? call_lost_race(c, err) : false;
	return call_accept(c, records, note);
}

const char *preview_note(struct arena *a, const char *outcome, const char *detail)
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

bool generation_settle(struct tx *tx, struct call *c, const char *preview_id, const struct generation_mutation *m,
                       struct generation **stored, struct generation *out, struct err *err)
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
	if (!preview_load(tx, c, preview_id, out, &found, err))
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
	    !generation_settle(tx, c, preview_id, &body->generation, &stored, g, err))
		return false;
	if (GUARD(F4) && stored && generation_is_late(stored, g)) {
		*g = *stored;
		*note = preview_note(c->arena, "older_than_stored",
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
		*note = preview_note(c->arena, "older_generation",
		                     "the generation is stored; a later one exists and stays the preview's latest");
		break;
	case TRANSITION_DESTROYED:
		*note = preview_note(c->arena, "preview_destroyed",
		                     "the generation is stored; the preview was destroyed after it was requested");
		break;
	}
	preview_put(tx, c, &p);
	generation_put(tx, c, g);
	return true;
}

bool preview_lock(struct tx *tx, struct call *c, const char *context, const char *repo, int64_t number,
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
	if (!preview_load(tx, c, preview_id, &p, &found, err))
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

bool generation_take(struct call *c, const struct preview_generation_request *body, bool must_be_known, struct err *err)
{
	const struct preview_mutation *m = &body->preview;
	struct tx *tx;
	struct generation g;
	const char *note = NULL, *preview_id = "";
	if (!tx_begin(c->t, &tx, err))
		return false;
	bool ok = preview_lock(tx, c, m->context, m->anchor_repo, m->anchor_pr_number, &preview_id, err);
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
	return preview_accept(c, tx, &records, note, err);
}

static SUSPENDS bool generation_evidence(struct call *c, struct err *err)
{
	return generation_take(c, c->body, false, err);
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
		if (!preview_load(tx, c, *preview_id, &p, &found, err))
			return false;
	}
	if (!found)
		return err_field(err, "destroy.anchor_pr_number",
		                 "pull request %lld of %s has no preview in context %s", (long long)d->anchor_pr_number,
		                 d->anchor_repo, d->context);
	if (!read_sequences(tx, *preview_id, "", "", &known, err))
		return false;
	if (preview_be_destroyed(&p, d, known.latest_request))
		preview_put(tx, c, &p);
	else
		*note = preview_note(
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
	return preview_accept(c, tx, &records, note, err);
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
	{ 0 },
};
