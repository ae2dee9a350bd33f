/* A product's move to another context: audit, cutover, cleanup of what is left (facts/config-health.md 6). */
#include "server/routes/tables.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/context_move.h"
#include "storage/context_move.sql.h"
#include "storage/operation.h"
#include "storage/plan.h"

static bool parse_profile(struct arena *a, const char *text, struct product_profile *out, struct err *err)
{
	struct json payload;
	if (!json_parse(a, text, strlen(text), "the stored profile", &payload, err))
		return false;
	product_profile_migrate(a, &payload);
	return contract_read(a, &product_profile_contract, &payload, "", out, err);
}

static SUSPENDS bool read_text(struct call *c, const char *product, const char **text, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_product_profile_read, PARAMS(P_TEXT(product)), &rows, err))
		return false;
	if (rows.n == 0)
		return err_set(err, &E_not_found, "there is no product %s", product);
	*text = row_text(&rows, 0, 0);
	return true;
}

static bool check_owned(const struct product_profile *p, const char *member, const char *context, struct err *err)
{
	return profile_owns_context(p, context) ||
	       err_set(err, &E_context_not_in_product_boundary, "%s: product %s does not own context %s", member,
	               p->product, context);
}

/* Takes the locks of a move, and the profile as it is under them. Who moved the product meanwhile has won. */
static SUSPENDS bool lock_profile(struct tx *tx, const char *product, const char *seen, struct product_profile *out,
                                  struct err *err)
{
	struct rows rows;
	tx_send(tx, &Q_move_lock, PARAMS());
	if (!tx_query(tx, &Q_move_profile_lock, PARAMS(P_TEXT(product)), &rows, err))
		return false;
	if (rows.n == 0 || strcmp(row_text(&rows, 0, 0), seen) != 0)
		return err_set(
		        err, &E_conflict,
		        "product %s was changed by somebody else while this was being applied; look at it and ask "
		        "again",
		        product);
	return parse_profile(tx_task(tx)->arena, seen, out, err);
}

/* A refused guard inside the writes is the request's problem, not ours. */
static bool as_move_error(struct err *err, const struct error_code *code)
{
	if (strcmp(err->sqlstate, "LP409") == 0)
		err_set(err, code, "a recorded provider target is out of date; it is not overwritten");
	return false;
}

static SUSPENDS TX_ENDS bool end_move(struct call *c, struct tx *tx, const struct json *records, const char *result,
                                      const struct error_code *code, struct err *err)
{
	if (!c->applies) {
		tx_rollback(tx);
		return call_accept(c, records, result);
	}
	call_store_answer(c, tx, records, result);
	if (tx_commit(tx, err))
		return call_accept(c, records, result);
	return is_idempotency_race(err) ? call_lost_race(c, err) : as_move_error(err, code);
}

/* What a plan's digest is taken over is the whole plan; mode and applied come after it. */
static const char *finish_result(struct call *c, struct json *plan, const char *mode, const char *reason,
                                 const char *digest)
{
	json_set_str(c->arena, plan, "mode", mode);
	json_set(c->arena, plan, "applied", json_of_bool(c->applies));
	json_set_str(c->arena, plan, "reason", reason);
	json_set_str(c->arena, plan, "plan_digest", digest);
	return json_text(c->arena, plan);
}

/* ---- cutover ---- */

static bool refuse_blockers(const struct json *plan, struct err *err)
{
	const struct json *blockers = json_get(plan, "blockers");
	return !blockers || blockers->n == 0 ||
	       err_set(err, &E_invalid_context_cutover_request, "provider targets stand against the move: %s%s",
	               blockers->items[0].string, blockers->n > 1 ? ", and others; see the dry-run" : "");
}

static SUSPENDS bool cutover_in(struct call *c, struct tx *tx, const struct context_cutover *b, const char *seen,
                                const char **result, struct err *err)
{
	struct product_profile profile;
	struct json plan;
	if (!lock_profile(tx, b->product, seen, &profile, err) ||
	    !check_owned(&profile, "source_context", b->source_context, err) ||
	    !check_owned(&profile, "target_context", b->target_context, err))
		return false;
	bool changes = cutover_profile(c->arena, b, &profile);
	if (!cutover_plan(tx, b, &profile, changes, &plan, err))
		return false;
	const char *digest = plan_digest(c->arena, &plan), *now = utc_now(c->t);
	if (!call_check_plan(c, digest, json_text(c->arena, &plan), err) ||
	    (c->applies && !refuse_blockers(&plan, err)))
		return false;
	if (changes) {
		profile.updated_at = now;
		profile.source = b->source_label;
	}
	*result = finish_result(c, &plan, b->mode, b->reason, digest);
	return !c->applies || cutover_write(tx, b, &profile, c->t->loop->keyring, c->principal->actor, now, err);
}

static SUSPENDS bool cutover_route(struct call *c, struct err *err)
{
	const struct context_cutover *b = c->body;
	const char *seen, *result;
	struct product_profile profile;
	struct tx *tx;
	if (!read_text(c, b->product, &seen, err) || !parse_profile(c->arena, seen, &profile, err) ||
	    !check_owned(&profile, "source_context", b->source_context, err) ||
	    !check_owned(&profile, "target_context", b->target_context, err) || !tx_begin(c->t, &tx, err))
		return false;
	if (!cutover_in(c, tx, b, seen, &result, err)) {
		tx_rollback(tx);
		return as_move_error(err, &E_invalid_context_cutover_request);
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "product_profile", b->product);
	return end_move(c, tx, &records, result, &E_invalid_context_cutover_request, err);
}

/* ---- cleanup ---- */

static SUSPENDS bool check_left(struct call *c, const struct product_profile *p, const struct context_cleanup *b,
                                struct err *err)
{
	struct rows rows;
	if (!check_owned(p, "target_context", b->target_context, err))
		return false;
	if (profile_owns_context(p, b->source_context))
		return err_set(err, &E_context_not_in_product_boundary,
		               "source_context: product %s still lives in context %s; cut it over first", p->product,
		               b->source_context);
	if (!db_query(c->t, &Q_move_context_owner, PARAMS(P_TEXT(b->product), P_TEXT(b->source_context)), &rows, err))
		return false;
	return rows.n == 0 ||
	       err_set(err, &E_context_not_in_product_boundary, "source_context: context %s belongs to product %s",
	               b->source_context, row_text(&rows, 0, 0));
}

static SUSPENDS bool cleanup_in(struct call *c, struct tx *tx, const struct context_cleanup *b, const char *seen,
                                const char **result, struct err *err)
{
	struct product_profile profile;
	struct json plan;
	struct rows rows;
	if (!lock_profile(tx, b->product, seen, &profile, err) ||
	    !tx_query(tx, &Q_cleanup_lock, PARAMS(P_TEXT(b->source_context), P_TEXT(b->target_context)), &rows, err) ||
	    !cleanup_plan(tx, b, &plan, err))
		return false;
	const char *digest = plan_digest(c->arena, &plan);
	if (!call_check_plan(c, digest, json_text(c->arena, &plan), err))
		return false;
	if (c->applies && json_bool(&plan, "blocked", true))
		return err_set(
		        err, &E_invalid_legacy_context_cleanup_request,
		        "the cleanup is blocked: some records of %s have no twin in %s, or their provider target is "
		        "out of date; see the dry-run",
		        b->source_context, b->target_context);
	*result = finish_result(c, &plan, b->mode, b->reason, digest);
	const char *actor = b->actor[0] ? b->actor : c->principal->actor;
	return !c->applies || cleanup_write(tx, b, actor, utc_now(c->t), err);
}

static SUSPENDS bool cleanup_route(struct call *c, struct err *err)
{
	const struct context_cleanup *b = c->body;
	const char *seen, *result;
	struct product_profile profile;
	struct tx *tx;
	if (!read_text(c, b->product, &seen, err) || !parse_profile(c->arena, seen, &profile, err) ||
	    !check_left(c, &profile, b, err) || !tx_begin(c->t, &tx, err))
		return false;
	if (!cleanup_in(c, tx, b, seen, &result, err)) {
		tx_rollback(tx);
		return false;
	}
	struct json records = json_object();
	json_set_str(c->arena, &records, "product_profile", b->product);
	return end_move(c, tx, &records, result, &E_invalid_legacy_context_cleanup_request, err);
}

/* ---- audit ---- */

static bool context_of(struct call *c, const char *name, bool required, const char **out, struct err *err)
{
	const char *text;
	if (!request_query(c->rq, name, &text, err))
		return false;
	*out = is_blank(text) ? "" : lowered(c->arena, trimmed(c->arena, text));
	return !required || (*out)[0] ||
	       err_set(err, &E_invalid_context_cutover_audit_request, "the query parameter %s is required", name);
}

static SUSPENDS bool context_block(struct call *c, const char *context, struct json *out, struct err *err)
{
	struct rows rows;
	if (!db_query(c->t, &Q_move_audit_block, PARAMS(P_TEXT(context)), &rows, err))
		return false;
	const char *text = row_text(&rows, 0, 0);
	return json_parse(c->arena, text, strlen(text), "the context", out, err);
}

static struct json stable_lanes(struct arena *a, const struct product_profile *p)
{
	struct json list = json_array();
	for (size_t i = 0; i < p->lanes.n; i++) {
		struct json lane = json_object();
		json_set_str(a, &lane, "instance", p->lanes.v[i].instance);
		json_set_str(a, &lane, "context", p->lanes.v[i].context);
		json_set_str(a, &lane, "base_url", p->lanes.v[i].base_url);
		json_push(a, &list, lane);
	}
	return list;
}

static struct json profile_block(struct arena *a, const struct product_profile *p)
{
	struct json o = json_object(), preview = json_object(), summary = json_object();
	json_set_str(a, &summary, "product", p->product);
	json_set_str(a, &summary, "display_name", p->display_name);
	json_set_str(a, &summary, "repository", p->repository);
	json_set_str(a, &summary, "driver_id", p->driver_id);
	json_set_str(a, &summary, "updated_at", p->updated_at);
	json_set(a, &preview, "enabled", json_of_bool(p->preview.enabled));
	json_set_str(a, &preview, "context", p->preview.context);
	json_set_str(a, &preview, "slug_template", p->preview.slug_template);
	json_set_str(a, &preview, "template_instance", p->preview.template_instance);
	json_set(a, &o, "summary", summary);
	json_set(a, &o, "stable_lanes", stable_lanes(a, p));
	json_set(a, &o, "preview", preview);
	return o;
}

static bool has_evidence(const struct json *block)
{
	const struct json *counts = json_get(block, "append_only_evidence_counts");
	return json_int(counts, "deployments", 0) + json_int(counts, "promotions", 0) +
	               json_int(counts, "backup_gates", 0) >
	       0;
}

static struct json audit_warnings(struct arena *a, const struct product_profile *p, const char *source,
                                  const char *target, const char *preview, const struct json *from,
                                  const struct json *to)
{
	struct json list = json_array();
	size_t on_source = 0, on_target = 0;
	for (size_t i = 0; i < p->lanes.n; i++) {
		on_source += strcmp(p->lanes.v[i].context, source) == 0;
		on_target += strcmp(p->lanes.v[i].context, target) == 0;
	}
	const struct json *here = json_get(from, "runtime_environment_records"),
	                  *there = json_get(to, "runtime_environment_records");
	const struct {
		bool applies;
		const char *text;
	} findings[] = {
		{ on_source > 0, "stable lanes are still on the source context" },
		{ on_target == 0, "no stable lane is on the target context" },
		{ preview[0] && strcmp(p->preview.context, preview) != 0,
		  "the profile's preview context is another than the one named" },
		{ has_evidence(from), "the source context holds append-only evidence, which stays there" },
		{ here && there && here->n && there->n, "both contexts hold runtime environment records" },
	};
	for (size_t i = 0; i < countof(findings); i++)
		if (findings[i].applies)
			json_push(a, &list, json_of_str(findings[i].text));
	return list;
}

static SUSPENDS bool audit_route(struct call *c, struct err *err)
{
	const char *product = call_param(c, "product"), *text, *source, *target, *preview;
	struct product_profile profile;
	struct json from, to, aside = { .type = JSON_NULL }, audit = json_object(), contexts = json_object();
	if (!call_authorize(c, c->route->action, product, "launchplane", err) ||
	    !context_of(c, "source_context", true, &source, err) ||
	    !context_of(c, "target_context", true, &target, err) ||
	    !context_of(c, "preview_context", false, &preview, err))
		return false;
	if (strcmp(source, target) == 0)
		return err_set(err, &E_invalid_context_cutover_audit_request,
		               "source_context and target_context must differ");
	if (!read_text(c, product, &text, err) || !parse_profile(c->arena, text, &profile, err) ||
	    !check_owned(&profile, "source_context", source, err) ||
	    !check_owned(&profile, "target_context", target, err) ||
	    (preview[0] && !check_owned(&profile, "preview_context", preview, err)) ||
	    !context_block(c, source, &from, err) || !context_block(c, target, &to, err) ||
	    (preview[0] && !context_block(c, preview, &aside, err)))
		return false;
	json_set(c->arena, &contexts, "source", from);
	json_set(c->arena, &contexts, "target", to);
	json_set(c->arena, &contexts, "preview", aside);
	json_set_str(c->arena, &audit, "product", product);
	json_set_str(c->arena, &audit, "source_context", source);
	json_set_str(c->arena, &audit, "target_context", target);
	json_set_str(c->arena, &audit, "preview_context", preview);
	json_set(c->arena, &audit, "profile", profile_block(c->arena, &profile));
	json_set(c->arena, &audit, "contexts", contexts);
	json_set(c->arena, &audit, "warnings", audit_warnings(c->arena, &profile, source, target, preview, &from, &to));
	json_set(c->arena, &audit, "guardrails", move_guardrails(c->arena));
	return call_answer_member(c, "audit", json_text(c->arena, &audit));
}

const struct route context_move_routes[] = {
	{ HTTP_GET, "/v1/product-profiles/{product}/context-cutover-audit",
	  "What a product's move between two contexts would meet", audit_route, .callers = CALLERS_READ,
	  .action = "product_profile.read", .product = "handler", .context = "handler" },
	{ HTTP_POST, "/v1/product-profiles/context-cutover/apply", "Move a product to another context", cutover_route,
	  .callers = CALLERS_WRITE, .action = "product_profile.write", .apply_action = "product_profile.write",
	  .product = "body:product", .context = "=launchplane", .body = &context_cutover_contract,
	  .idempotency = IDEMPOTENCY_APPLY },
	{ HTTP_POST, "/v1/product-profiles/legacy-context-cleanup/apply",
	  "Clean up the context that a product has left", cleanup_route, .callers = CALLERS_WRITE,
	  .action = "product_profile.write", .apply_action = "product_profile.write", .product = "body:product",
	  .context = "=launchplane", .body = &context_cleanup_contract, .idempotency = IDEMPOTENCY_APPLY },
	{ 0 },
};
