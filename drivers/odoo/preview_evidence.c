/* Preview and generation records of operations: decided by storage/preview.h as evidence from outside is, and written
 * with the operation's own checkpoint. */
#include "core/digest.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/replacement_facts.h"
#include "storage/codes.h"
#include "storage/odoo_preview.sql.h"
#include "storage/preview.h"
#include "storage/preview.sql.h"

#define RECORD_AGAIN_MS 3000

static const char *pr_url(struct arena *a, const struct preview_state_kept *s)
{
	return arena_printf(a, "https://github.com/%s/pull/%lld", s->repository, (long long)s->pr_number);
}

SUSPENDS bool preview_settle(struct task *t, struct operation *op, struct preview_reading *r, struct preview_intent *in,
                             struct err *err)
{
	const struct preview_apply *request = op->request;
	const struct preview_plan *pinned = &request->dry_run_plan, *now = &in->plan;
	struct preview_state_kept *s = op->state;
	struct preview_inputs inputs;
	struct product_profile profile;
	bool found;
	if (!read_profile(t, op->product, &profile, &found, err))
		return false;
	preview_inputs_of(request, found ? preview_number_of(profile.preview.slug_template, pinned->preview_slug) : 0,
	                  &inputs);
	if (inputs.pr_number == 0)
		return err_set(err, &E_operation_blocked, "%s is no slug of the product's previews any more",
		               pinned->preview_slug);
	if (!preview_read(t, &inputs, true, r, err) || !preview_make(t->arena, &inputs, r, in, err))
		return false;
	const struct {
		const char *name, *was, *is;
	} same[] = {
		{ "repository", pinned->repository, now->repository },
		{ "preview_url", pinned->preview_url, now->preview_url },
		{ "domain_host", pinned->domain_host, now->domain_host },
		{ "compose_name", pinned->compose_name, now->compose_name },
		{ "environment_id", pinned->environment_id, now->environment_id },
		{ "template_compose_id", pinned->template_compose_id, now->template_compose_id },
	};
	for (size_t i = 0; i < countof(same); i++)
		if (strcmp(same[i].was, same[i].is) != 0)
			return err_set(err, &E_operation_blocked,
			               "dry_run_plan.%s is not what would be done now; ask preview-apply-inputs anew",
			               same[i].name);
	if (pinned->runtime_port != now->runtime_port)
		return err_set(err, &E_operation_blocked,
		               "dry_run_plan.runtime_port is not the profile's; ask preview-apply-inputs anew");
	s->context = r->profile.preview.context;
	s->repository = r->profile.repository;
	s->repo = in->repo;
	s->slug = in->slug;
	s->url = in->url;
	s->host = in->host;
	s->compose_name = in->compose_name;
	s->environment_id = in->environment_id;
	s->template_compose_id = now->template_compose_id;
	s->server_id = r->has_live ? r->live.server_id : "";
	s->image_reference = in->image_reference;
	s->artifact_id = in->artifact_id;
	s->source_git_ref = in->source_git_ref;
	s->pr_number = inputs.pr_number;
	s->runtime_port = now->runtime_port;
	s->hosts = in->hosts;
	s->is_staged = r->is_staged;
	return true;
}

SUSPENDS bool preview_claim(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	const struct preview_anchor anchor = { s->context, s->repo, s->pr_number };
	const char *wanted = preview_id_of(t->arena, &anchor);
	const char *label = arena_printf(t->arena, "%s/%s/%lld", s->context, s->repo, (long long)s->pr_number);
	const char *other = arena_printf(t->arena, "%s-%.8s", wanted, sha256_text(t->arena, label, strlen(label)));
	struct rows rows;
	if (!db_write(t, label, &Q_preview_anchor_claim,
	              PARAMS(P_TEXT(s->context), P_TEXT(s->repo), P_INT(s->pr_number), P_TEXT(wanted), P_TEXT(other)),
	              &rows, err))
		return false;
	s->preview_id = arena_strdup(t->arena, row_text(&rows, 0, 0));
	if (!db_query(t, &Q_generation_sequences, PARAMS(P_TEXT(s->preview_id), P_TEXT(""), P_TEXT("")), &rows, err))
		return false;
	s->sequence = row_int(&rows, 0, 3) + 1;
	s->generation_id = generation_id_of(t->arena, s->preview_id, s->sequence);
	s->identity = ARENA_NEW(t->arena, struct runtime_identity);
	*s->identity = (struct runtime_identity){
		.schema_version = 1,
		.product = op->product,
		.context = s->context,
		.instance = s->slug,
		.environment_kind = "preview",
		.deployment_record_id = op->operation_id,
		.artifact_id = s->artifact_id,
		.source_git_ref = s->source_git_ref,
		.image_reference = s->image_reference,
		.release_tuple_id = "",
		.preview_id = s->preview_id,
		.preview_generation_id = s->generation_id,
		.deployed_at = "",
	};
	return true;
}

/* ---- writing ---- */

static SUSPENDS bool read_stored(struct task *t, const char *preview_id, struct preview *out, bool *found,
                                 const char **mark, struct err *err)
{
	struct rows rows;
	if (!db_query(t, &Q_odoo_preview_stored, PARAMS(P_TEXT(preview_id)), &rows, err))
		return false;
	*found = rows.n == 1;
	*mark = *found ? arena_strdup(t->arena, row_text(&rows, 0, 1)) : "";
	if (!*found)
		return true;
	const char *text = arena_strdup(t->arena, row_text(&rows, 0, 0));
	return contract_read_text(t->arena, &preview_contract, text, strlen(text), "the stored preview", out, err);
}

static void write_preview(struct task *t, struct operation *op, const struct preview *p, const char *mark)
{
	operation_write(t, op, &Q_odoo_preview_unchanged, PARAMS(P_TEXT(p->preview_id), P_TEXT(mark)));
	operation_write(t, op, &Q_preview_upsert,
	                PARAMS(P_TEXT(p->preview_id), P_TEXT(p->context), P_TEXT(p->anchor_repo),
	                       P_INT(p->anchor_pr_number), P_TEXT(preview_state_names[p->state]), P_TEXT(p->updated_at),
	                       P_TEXT(contract_text(t->arena, &preview_contract, p))));
}

static void make_generation(struct task *t, const struct operation *op, int state, const struct err *failure,
                            struct generation *g)
{
	const struct preview_state_kept *s = op->state;
	const char *now = utc_now(t), *none = "";
	bool ready = state == GENERATION_READY, failed = state == GENERATION_FAILED;
	bool verified = ready || (failed && strcmp(s->failure_stage, "verify") == 0);
	const char *image = strrchr(s->image_reference, ':');
	*g = (struct generation){
		.schema_version = 1,
		.generation_id = s->generation_id,
		.preview_id = s->preview_id,
		.sequence = s->sequence,
		.state = state,
		.requested_reason = "odoo_preview_apply",
		.requested_at = op->created_at,
		.started_at = op->created_at,
		.ready_at = ready ? now : none,
		.finished_at = ready || failed ? now : none,
		.superseded_at = none,
		.failed_at = failed ? now : none,
		.expires_at = none,
		.resolved_manifest_fingerprint = arena_printf(t->arena, "%s-%.12s", s->slug, image ? image + 1 : ""),
		.artifact_id = s->image_reference,
		.baseline_release_tuple_id = none,
		.anchor_summary = { s->repo, s->pr_number, s->source_git_ref, pr_url(t->arena, s) },
		.deploy_status = ready || verified || state == GENERATION_VERIFYING ? RELEASE_PASS
		                 : failed                                           ? RELEASE_FAIL
		                                                                    : RELEASE_PENDING,
		.verify_status = ready      ? RELEASE_PASS
		                 : verified ? RELEASE_FAIL
		                 : failed   ? RELEASE_SKIPPED
		                            : RELEASE_PENDING,
		.overall_health_status = ready    ? RELEASE_PASS
		                         : failed ? RELEASE_FAIL
		                                  : RELEASE_PENDING,
		.failure_stage = failed ? (verified ? "verify" : "provision") : none,
		.failure_summary = failed && failure ? arena_strdup(t->arena, failure->message) : none,
		.runtime_identity = s->identity,
	};
}

SUSPENDS bool preview_write_generation(struct task *t, struct operation *op, int state, const struct err *failure,
                                       struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct preview p;
	struct generation g;
	struct rows rows;
	bool found;
	const char *mark;
	const struct preview_mutation m = {
		.schema_version = 1,
		.context = s->context,
		.anchor_repo = s->repo,
		.anchor_pr_number = s->pr_number,
		.anchor_pr_url = pr_url(t->arena, s),
		.canonical_url = s->url,
		.state = PREVIEW_PENDING,
		.created_at = op->created_at,
		.updated_at = "",
		.eligible_at = "",
		.paused_at = "",
		.destroy_after = "",
		.destroyed_at = "",
		.destroy_reason = "",
		.active_generation_id = "",
		.serving_generation_id = "",
		.latest_generation_id = "",
		.latest_manifest_fingerprint = "",
	};
	if (!read_stored(t, s->preview_id, &p, &found, &mark, err) ||
	    (!found && !preview_create(t->arena, &m, s->preview_id, "", &p, err)) ||
	    !db_query(t, &Q_generation_sequences,
	              PARAMS(P_TEXT(s->preview_id), P_TEXT(s->generation_id), P_TEXT(p.serving_generation_id)), &rows,
	              err))
		return false;
	make_generation(t, op, state, failure, &g);
	if (preview_follow(&p, &g, row_int(&rows, 0, 0), row_int(&rows, 0, 2)) == TRANSITION_MADE)
		preview_update(&p, &m);
	s->transition = generation_state_names[state];
	write_preview(t, op, &p, mark);
	operation_write(t, op, &Q_generation_upsert,
	                PARAMS(P_TEXT(g.generation_id), P_TEXT(g.preview_id), P_INT(g.sequence),
	                       P_TEXT(generation_state_names[g.state]), P_TEXT(g.requested_at), P_TEXT(g.finished_at),
	                       P_TEXT(g.artifact_id), P_TEXT(contract_text(t->arena, &generation_contract, &g))));
	return true;
}

SUSPENDS bool preview_write_destroyed(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	const struct preview_anchor anchor = { s->context, s->repo, s->pr_number };
	const struct preview_destroy d = { .schema_version = 1,
		                           .context = s->context,
		                           .anchor_repo = s->repo,
		                           .anchor_pr_number = s->pr_number,
		                           .destroyed_at = utc_now(t),
		                           .destroy_reason = "odoo_preview_apply" };
	struct preview p;
	struct rows rows;
	bool found = false;
	const char *mark;
	s->transition = "destroyed_missing_preview";
	if (!db_query(t, &Q_odoo_preview_anchor,
	              PARAMS(P_TEXT(anchor.context), P_TEXT(anchor.repo), P_INT(anchor.pr_number)), &rows, err))
		return false;
	if (rows.n) {
		s->preview_id = arena_strdup(t->arena, row_text(&rows, 0, 0));
		if (!read_stored(t, s->preview_id, &p, &found, &mark, err))
			return false;
	}
	if (!found)
		return true;
	s->transition = "destroyed";
	if (preview_be_destroyed(&p, &d, ""))
		write_preview(t, op, &p, mark);
	return true;
}

bool preview_record_again(struct task *t, struct operation *op, struct err *err, enum phase_outcome *outcome)
{
	struct preview_state_kept *s = op->state;
	if (err->code == &E_cancelled) {
		*outcome = PHASE_FAILED;
		return true;
	}
	if (!operation_is_overdue(t, op)) {
		operation_event(t, op, "evidence_unreadable", NULL);
		*outcome = operation_again(op, RECORD_AGAIN_MS);
		return true;
	}
	strings_add(t->arena, &s->rollback_errors, arena_printf(t->arena, "evidence: %s", err->message));
	return false;
}
