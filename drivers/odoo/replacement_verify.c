/* Phases health to identity: only evidence from the lane itself decides that it is deployed (facts/odoo.md 10, 11). */
#include "drivers/odoo/replacement.h"
#include "drivers/runtime_identity.h"
#include "storage/codes.h"

#define PROBE_MS          10000
#define IDENTITY_PROBE_MS 5000
#define HEALTH_AGAIN_MS   5000
#define IDENTITY_AGAIN_MS 1000

/* All probes share one deadline, which begins with the first of them. */
static bool out_of_time(struct task *t, struct replacement_state *s)
{
	int64_t now = loop_wall_ms(t->loop);
	if (s->verify_deadline_ms == 0)
		s->verify_deadline_ms = now + s->health_timeout_s * 1000;
	return now >= s->verify_deadline_ms;
}

static void skip_probe(struct task *t, struct replacement_state *s, const char *probe, const char *url)
{
	struct readiness_probe p;
	readiness_skip(&p, probe, url);
	verification_add(t->arena, &s->verification, &p);
}

/* What a probe's attempt means for its phase. */
static enum phase_outcome judge(struct task *t, struct operation *op, const struct readiness_probe *p, int *status,
                                struct err *err)
{
	struct replacement_state *s = op->state;
	verification_add(t->arena, &s->verification, p);
	if (p->status == RELEASE_PASS) {
		*status = RELEASE_PASS;
		return PHASE_DONE;
	}
	if (readiness_should_retry(p) && !out_of_time(t, s))
		return operation_again(op, HEALTH_AGAIN_MS);
	*status = RELEASE_FAIL;
	err_set(err, &E_verification_failed,
	        "the %s check of %.120s failed (%s)%s%.120s; look at web's log and its domains in Dokploy, then submit "
	        "again",
	        p->probe, p->url, p->failure_class, p->detail[0] ? ": " : "", p->detail);
	return PHASE_FAILED;
}

/* The probe functions fail only when the task was stopped; a passing failure of theirs is tried again. */
static enum phase_outcome stopped(struct operation *op, struct err *err)
{
	return err->code == &E_timeout ? operation_again(op, HEALTH_AGAIN_MS) : PHASE_FAILED;
}

SUSPENDS enum phase_outcome replacement_health(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct replacement_request *r = replacement_order(op);
	struct readiness_probe p;
	s->verification.base_url = s->base_url;
	s->verification.health_url = s->health_url;
	s->verification.canonical_url = s->base_url;
	if (!r->verify_health) {
		skip_probe(t, s, "health", s->health_url);
		return PHASE_DONE;
	}
	out_of_time(t, s);
	const char *body;
	size_t body_n;
	if (!readiness_probe_health(t, s->health_url, PROBE_MS, &p, &body, &body_n, err))
		return stopped(op, err);
	return judge(t, op, &p, &s->health_status, err);
}

SUSPENDS enum phase_outcome replacement_canonical(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct replacement_request *r = replacement_order(op);
	struct readiness_probe p;
	if (!r->verify_canonical) {
		skip_probe(t, s, "canonical", s->base_url);
		return PHASE_DONE;
	}
	if (!readiness_probe_canonical(t, s->base_url, s->preview_host, PROBE_MS, &p, err))
		return stopped(op, err);
	return judge(t, op, &p, &s->canonical_status, err);
}

SUSPENDS enum phase_outcome replacement_logo(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct replacement_request *r = replacement_order(op);
	struct readiness_probe p;
	if (!r->verify_logo) {
		skip_probe(t, s, "logo", s->base_url);
		return PHASE_DONE;
	}
	if (!readiness_probe_logo(t, s->base_url, PROBE_MS, &p, &s->verification.logo_urls, err))
		return stopped(op, err);
	return judge(t, op, &p, &s->logo_status, err);
}

/* An identity that can be kept in a record: its required members are there. */
static bool is_complete(const struct runtime_identity *i)
{
	return i && !is_blank(i->context) && !is_blank(i->instance) && !is_blank(i->deployment_record_id) &&
	       !is_blank(i->artifact_id) && !is_blank(i->source_git_ref);
}

SUSPENDS enum phase_outcome replacement_identity(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct replacement_request *r = replacement_order(op);
	struct readiness_probe p;
	struct identity_verdict verdict;
	const char *body;
	size_t body_n;
	if (!r->verify_health || !s->health_url[0] || !s->identity)
		return PHASE_DONE;
	if (!readiness_probe_health(t, s->health_url, IDENTITY_PROBE_MS, &p, &body, &body_n, err))
		return stopped(op, err);
	runtime_identity_judge(t->arena, s->identity, body, body_n, &verdict);
	s->identity_status = verdict.status;
	s->identity_detail = verdict.detail;
	s->observed_identity = is_complete(verdict.observed) ? verdict.observed : NULL;
	if (verdict.status == IDENTITY_MATCH || !GUARD(F8))
		return PHASE_DONE;
	/* The old container may answer for a while; without a demand only what contradicts us is waited out. */
	bool blocks = runtime_identity_blocks(verdict.status, s->requires_identity);
	if (!blocks)
		return PHASE_DONE;
	if (!out_of_time(t, s))
		return operation_again(op, IDENTITY_AGAIN_MS);
	s->health_status = RELEASE_FAIL;
	err_set(err, &E_verification_failed,
	        "the runtime identity of %.120s is %s: %.120s; look at what the web container runs in Dokploy, then "
	        "submit again",
	        s->health_url, identity_status_names[verdict.status], verdict.detail);
	return PHASE_FAILED;
}
