#include "drivers/odoo/bootstrap.h"

#include "drivers/odoo/post_deploy.h"
#include "storage/codes.h"
#include "storage/config.sql.h"
#include "storage/deployment.sql.h"

static const struct field request_fields[] = {
	F_SCHEMA_VERSION(bootstrap_request),
	F_STR(bootstrap_request, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(bootstrap_request, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200,
	      .help = "Must be the lane's"),
	F_STR(bootstrap_request, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_STR(bootstrap_request, confirmation, REQUIRED | TRIMMED | LOWERED | NON_BLANK, .max = 500,
	      .help = "The phrase of the lane's odoo_stable_bootstrap policy"),
	F_BOOL(bootstrap_request, verify_health, 0, .fallback = "true"),
	F_BOOL(bootstrap_request, verify_canonical, 0, .fallback = "true"),
	F_BOOL(bootstrap_request, verify_logo, 0, .fallback = "true"),
	F_OPT_INT(bootstrap_request, timeout_seconds, 0, .min = 1, .max = 86400,
	          .help = "Of each run on the host; default: the target's, 600"),
	F_OPT_INT(bootstrap_request, health_timeout_seconds, 0, .min = 1, .max = 86400,
	          .help = "Of the verification; default: the target's, 180"),
	F_END,
};
const struct contract bootstrap_request_contract =
        CONTRACT(bootstrap_request, request_fields, "An intentionally empty lane to be built anew");

/* ---- the chain of proofs ---- */

static const char *absent_domain(struct arena *a, const struct strings *expected, const struct strings *hosts)
{
	for (size_t i = 0; i < expected->n; i++) {
		const char *wanted = policy_host(a, expected->v[i]);
		bool found = false;
		for (size_t k = 0; k < hosts->n && !found; k++)
			found = strcmp(policy_host(a, hosts->v[k]), wanted) == 0;
		if (!found)
			return wanted;
	}
	return NULL;
}

#define BLOCKED(...) err_set(err, &E_operation_blocked, "The bootstrap is blocked: " __VA_ARGS__)

static bool prove_policy(const struct bootstrap_request *r, const struct lane *lane, struct err *err)
{
	const struct odoo_stable_bootstrap_policy *p = &lane->odoo_stable_bootstrap;
	if (!p->enabled)
		return BLOCKED(
		        "the lane has no enabled odoo_stable_bootstrap policy; record one with its approval issue "
		        "on the product profile");
	if (is_blank(p->approval_issue_url))
		return BLOCKED("the policy has no approval issue; record it on the product profile");
	if (is_blank(p->confirmation) || strcasecmp(p->confirmation, r->confirmation) != 0)
		return BLOCKED("confirmation is not the phrase of the lane's policy");
	if (strcmp(p->data_source_mode, "empty") != 0)
		return BLOCKED("the policy's data_source_mode is %s, not empty", p->data_source_mode);
	if (!strings_have(&lane->odoo_data_policy.allowed_rebuild_sources, "empty"))
		return BLOCKED("the lane's odoo_data_policy does not allow empty as a source of a rebuild");
	return true;
}

/* No lane whose data are the authority is built anew; a prod lane only where its data policy and its backups say that
 * this may be (BOOT-21). */
static bool prove_data(const struct lane *lane, bool has_passed_gate, struct err *err)
{
	const struct odoo_data_policy *p = &lane->odoo_data_policy;
	if (p->data_authority == AUTHORITY_AUTHORITATIVE)
		return BLOCKED(
		        "the lane's odoo_data_policy says that its data are authoritative; nothing may empty it");
	if (strcmp(lane->instance, "prod") != 0)
		return true;
	if (p->data_authority == AUTHORITY_UNKNOWN)
		return BLOCKED(
		        "a prod lane needs an odoo_data_policy whose data_authority is resettable or restorable");
	if (p->requires_restore_proof)
		return BLOCKED(
		        "the prod lane's odoo_data_policy demands a restore proof, which no record can give yet");
	if (p->requires_backup_before_destroy && !has_passed_gate)
		return BLOCKED("the prod lane's odoo_data_policy demands a backup first; capture a backup gate");
	return true;
}

static bool prove_flags(const struct bootstrap_request *r, const struct lane *lane, struct err *err)
{
	const struct odoo_stable_bootstrap_policy *p = &lane->odoo_stable_bootstrap;
	const char *needed = p->require_health_verification && !r->verify_health         ? "verify_health"
	                     : p->require_canonical_verification && !r->verify_canonical ? "verify_canonical"
	                     : p->require_logo_verification && !r->verify_logo           ? "verify_logo"
	                                                                                 : NULL;
	return !needed || BLOCKED("the lane's policy requires %s", needed);
}

bool bootstrap_prove_records(struct arena *a, const struct bootstrap_request *r, const struct replacement_facts *facts,
                             const struct lane *lane, bool has_passed_gate, struct err *err)
{
	if (!facts->profile || strcmp(facts->profile->driver_id, "odoo") != 0)
		return BLOCKED("product %s has no profile with driver odoo", r->product);
	if (!lane)
		return BLOCKED("%s does not name exactly one lane of the product", r->instance);
	if (strcmp(lane->context, r->context) != 0)
		return BLOCKED("lane %s belongs to context %s, not %s", r->instance, lane->context, r->context);
	if (!facts->target || !facts->target_id)
		return BLOCKED("no Dokploy target is tracked for %s/%s; adopt it through target setup first",
		               r->context, r->instance);
	if (facts->target->target_type != TARGET_COMPOSE)
		return BLOCKED("the tracked target is of type %s, not compose",
		               target_type_names[facts->target->target_type]);
	if (!prove_policy(r, lane, err) || !prove_data(lane, has_passed_gate, err))
		return false;
	const struct odoo_stable_bootstrap_policy *p = &lane->odoo_stable_bootstrap;
	if (is_blank(p->expected_target_name) || strcmp(facts->target->target_name, p->expected_target_name) != 0)
		return BLOCKED("the tracked target is not the one the policy expects by name");
	if (!prove_flags(r, lane, err))
		return false;
	if (p->expected_domains.n == 0)
		return BLOCKED("the policy names no expected domains");
	const char *absent = absent_domain(a, &p->expected_domains, &facts->target->domains);
	if (absent)
		return BLOCKED("the target record lacks the domain %s that the policy expects", absent);
	const struct inventory *i = facts->inventory;
	if (!i || !i->artifact_identity || is_blank(i->artifact_identity->artifact_id) || is_blank(i->source_git_ref))
		return BLOCKED("no inventory says which artifact runs in the lane; deploy one first");
	return true;
}

bool bootstrap_prove_live(struct arena *a, const struct replacement_facts *facts, const struct lane *lane,
                          struct err *err)
{
	const struct odoo_stable_bootstrap_policy *p = &lane->odoo_stable_bootstrap;
	struct strings hosts = { 0 };
	if (!facts->live)
		return BLOCKED("the live target could not be read: %s",
		               facts->live_error ? facts->live_error : "no answer from Dokploy");
	if (strcmp(facts->live->name, p->expected_target_name) != 0)
		return BLOCKED("Dokploy's own name of the target is not the one the policy expects");
	for (size_t i = 0; facts->domains && i < facts->domains->n; i++)
		strings_add(a, &hosts, facts->domains->v[i].host);
	const char *absent = absent_domain(a, &p->expected_domains, hosts.n ? &hosts : &facts->target->domains);
	return !absent || BLOCKED("the live target does not expose the domain %s that the policy expects", absent);
}

/* ---- phases ---- */

static SUSPENDS bool lane_has_passed_gate(struct task *t, const struct operation *op, bool *out, struct err *err)
{
	struct rows rows;
	if (!db_query(t, &Q_backup_gate_passed_of_lane, PARAMS(P_TEXT(op->context), P_TEXT(op->instance)), &rows, err))
		return false;
	*out = rows.n > 0;
	return true;
}

static void write_pending(struct task *t, struct operation *op);

static SUSPENDS enum phase_outcome proof(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct bootstrap_request *r = op->request;
	struct replacement_request *order = ARENA_NEW(t->arena, struct replacement_request);
	struct replacement_reading reading;
	bool has_passed_gate;
	contract_defaults(t->arena, &replacement_order_contract, order);
	order->product = op->product;
	order->instance = r->instance;
	order->verify_health = r->verify_health;
	order->verify_canonical = r->verify_canonical;
	order->verify_logo = r->verify_logo;
	order->timeout_seconds = r->timeout_seconds;
	order->health_timeout_seconds = r->health_timeout_seconds;
	if (!replacement_read_records(t, order, &reading, err) || !lane_has_passed_gate(t, op, &has_passed_gate, err) ||
	    !bootstrap_prove_records(t->arena, r, &reading.facts, reading.lane, has_passed_gate, err) ||
	    !replacement_read_live(t, &reading, err) ||
	    !bootstrap_prove_live(t->arena, &reading.facts, reading.lane, err))
		return PHASE_FAILED;
	s->order = order;
	s->context = op->context;
	s->started_at = utc_now(t);
	s->artifact_id = reading.inventory.artifact_identity->artifact_id;
	s->source_git_ref = reading.inventory.source_git_ref;
	s->identity = reading.inventory.runtime_identity;
	replacement_settle_lane(t, s, order, &reading, &reading.target.domains);
	if (is_blank(s->base_url) || is_blank(s->health_url)) {
		err_set(err, &E_operation_blocked, "The bootstrap is blocked: the lane has no address to verify");
		return PHASE_FAILED;
	}
	s->deployment_record_id = replacement_new_record_id(t, op, s->started_at);
	s->bootstrap_run_status = RELEASE_PENDING;
	if (!replacement_prepare_override(t, op, "odoo-stable-bootstrap", err)) {
		s->deployment_record_id = "";
		return PHASE_FAILED;
	}
	op->deployment_record_id = s->deployment_record_id;
	write_pending(t, op);
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome bootstrap_schedule(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct host h;
	const char *script;
	if (!host_open(t, op, s->target_id, &host_bootstrap, &h, err))
		return PHASE_FAILED;
	/* Once more, right before the point of no return: the target may have been given another name meanwhile. */
	if (strcmp(h.live.name, s->target_name) != 0) {
		err_set(err, &E_operation_blocked,
		        "The bootstrap is blocked: Dokploy's own name of the target changed");
		return PHASE_FAILED;
	}
	if (!lane_workflow_script(t, op, &h, WORKFLOW_BOOTSTRAP, &script, err) ||
	    !host_write_script(t, &h, script, &s->bootstrap_run, err))
		return PHASE_FAILED;
	s->web.at_risk = true;
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome bootstrap_run_phase(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	return host_run_start(t, op, &s->bootstrap_run, err);
}

static SUSPENDS enum phase_outcome bootstrap_wait(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct host_result r;
	enum phase_outcome outcome = host_run_wait(t, op, &s->bootstrap_run, NULL, s->deploy_timeout_s, &r, err);
	if (outcome != PHASE_DONE)
		return outcome;
	replacement_note(t, s, "bootstrap_schedule_id", s->bootstrap_run.schedule_id);
	replacement_note(t, s, "bootstrap_schedule_deployment_id", s->bootstrap_run.deployment_id);
	if (!host_result_proves(&r, DATA_WORKFLOW_END, false)) {
		s->bootstrap_run_status = RELEASE_FAIL;
		host_run_failed("the bootstrap", s->target_name, &s->bootstrap_run, &r, DATA_WORKFLOW_END, err);
		return PHASE_FAILED;
	}
	s->bootstrap_run_status = RELEASE_PASS;
	operation_event(t, op, "bootstrap_ran", NULL);
	return PHASE_DONE;
}

/* ---- records ---- */

/* facts/odoo.md 7.4: how far it came tells apart what failed. */
static int readiness(const struct replacement_state *s, const struct err *failure)
{
	if (!failure)
		return READINESS_PASS;
	if (s->bootstrap_run_status != RELEASE_PASS || s->post_deploy_status != RELEASE_PASS)
		return READINESS_FAIL;
	return READINESS_VERIFICATION_FAILED;
}

static void bootstrap_deployment(struct task *t, struct operation *op, bool ended, const struct err *failure,
                                 struct deployment *d)
{
	const struct replacement_state *s = op->state;
	replacement_deployment(t, op, failure, d);
	d->runtime_identity = s->identity;
	d->deploy.deploy_mode = "dokploy-compose-schedule";
	d->deploy.provider_deploy_mode = d->deploy.deploy_mode;
	d->deploy.deployment_id = "control-plane-dokploy-schedule";
	d->bootstrap = (struct bootstrap_evidence){
		.attempted = true,
		.run_status = !ended                                    ? RELEASE_PENDING
		              : s->bootstrap_run_status == RELEASE_PASS ? RELEASE_PASS
		                                                        : RELEASE_FAIL,
		.readiness_status = ended ? readiness(s, failure) : READINESS_PENDING,
		.detail = failure ? failure->message : "",
	};
}

static void write_pending(struct task *t, struct operation *op)
{
	struct deployment d;
	bootstrap_deployment(t, op, false, NULL, &d);
	replacement_write_deployment(t, op, &d);
}

static SUSPENDS void write_records(struct task *t, struct operation *op, const struct err *failure)
{
	struct replacement_state *s = op->state;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	struct deployment d;
	struct inventory before;
	struct err err = { 0 };
	bool found;
	s->deploy_status = failure ? RELEASE_FAIL : RELEASE_PASS;
	s->deploy_finished_at = utc_now(t);
	bootstrap_deployment(t, op, true, failure, &d);
	replacement_write_deployment(t, op, &d);
	replacement_write_last_apply(t, op, failure);
	/* A failed attempt leaves what is current as it is, and only says that it was there (BOOT-19, BOOT-20). */
	operation_write(
	        t, op, &Q_inventory_note_bootstrap,
	        PARAMS(P_TEXT(op->context), P_TEXT(op->instance), P_TEXT(s->deployment_record_id), P_TEXT(utc_now(t))));
	if (failure)
		return;
	if (!read_inventory(t, &lane, &before, &found, &err)) {
		operation_put_off(op, &err); /* without it the end would leave the inventory as it was */
		return;
	}
	if (found) { /* the artifact is the same one: how it came here still holds */
		s->release.promotion_record_id = before.promotion_record_id;
		s->release.promoted_from = before.promoted_from_instance;
	}
	replacement_write_inventory(t, op, &d, s->deployment_record_id);
}

/* facts/odoo.md 7.5 */
static void write_result(struct task *t, struct operation *op, const struct err *failure)
{
	static const char *const readiness_names[] = { "pending", "pass", "fail", "verification_failed", "skipped" };
	const struct replacement_state *s = op->state;
	struct arena *a = t->arena;
	struct json *o = ARENA_NEW(a, struct json);
	bool attempted = s->deployment_record_id[0];
	*o = json_object();
	json_set_str(a, o, "product", op->product);
	json_set_str(a, o, "context", op->context);
	json_set_str(a, o, "instance", op->instance);
	json_set_str(a, o, "deployment_record_id", s->deployment_record_id);
	json_set_str(a, o, "bootstrap_status", failure ? "fail" : "pass");
	json_set_str(a, o, "bootstrap_run_status",
	             !attempted                                ? "skipped"
	             : s->bootstrap_run_status == RELEASE_PASS ? "pass"
	                                                       : "fail");
	json_set_str(a, o, "readiness_status", attempted ? readiness_names[readiness(s, failure)] : "skipped");
	json_set_str(a, o, "post_deploy_status",
	             release_status_names[failure && s->post_deploy_status == RELEASE_PENDING ? RELEASE_FAIL
	                                                                                      : s->post_deploy_status]);
	json_set_str(a, o, "health_status", release_status_names[s->health_status]);
	json_set_str(a, o, "canonical_status", release_status_names[s->canonical_status]);
	json_set_str(a, o, "logo_status", release_status_names[s->logo_status]);
	json_set_str(a, o, "health_url", s->health_url);
	json_set_str(a, o, "canonical_url", s->base_url);
	json_set(a, o, "logo_urls", json_of_strings(a, &s->verification.logo_urls));
	json_set(a, o, "verification_evidence",
	         contract_json(a, &verification_evidence_contract, &s->verification, false));
	json_set_str(a, o, "target_id", s->target_id);
	json_set_str(a, o, "target_name", s->target_name);
	json_set_str(a, o, "artifact_id", s->artifact_id);
	json_set_str(a, o, "source_git_ref", s->source_git_ref);
	json_set_str(a, o, "error_message", failure ? arena_strdup(a, failure->message) : "");
	op->result = o;
}

static SUSPENDS void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	if (s->deployment_record_id[0])
		write_records(t, op, failure);
	write_result(t, op, failure);
}

/* clang-format off */
static const struct phase phases[] = {
	{ "proof",              "running",     proof,                        5, 1000, .cancel = CANCEL_ANY,
	  .help = "hold request, lane, policy, target record and domains against each other, then Dokploy's own name" },
	{ "bootstrap_schedule", "bootstrap",   bootstrap_schedule,           5, 1000, .cancel = CANCEL_ANY,
	  .help = "make the manual schedule that runs the data workflow with --bootstrap" },
	{ "bootstrap",          "bootstrap",   bootstrap_run_phase,          5, 1000, .cancel = CANCEL_FIRST,
	  .help = "start the bootstrap, once" },
	{ "bootstrap_wait",     "bootstrap",   bootstrap_wait,               9, 1000, .limit_of = replacement_deploy_limit,
	  .help = "wait for the bootstrap's end" },
	{ "compare",            "post_deploy", post_deploy_compare,          5, 1000,
	  .help = "build the override payload and compare it with the live environment" },
	{ "environment",        "post_deploy", post_deploy_environment,      5, 1000,
	  .help = "write the payload and its flags into the target's environment and read them back" },
	{ "deploy",             "post_deploy", replacement_deploy,           5, 1000,
	  .help = "ask Dokploy for a deploy, once, unless web has the settings already" },
	{ "deploy_wait",        "post_deploy", replacement_deploy_wait,      9, 1000, .limit_of = replacement_deploy_limit,
	  .help = "find that deploy by its title and wait for its end" },
	LANE_WORKFLOW_PHASES,
	LANE_VERIFY_PHASES,
	LANE_IDENTITY_PHASE, /* of what the inventory says runs here */
	{ 0 },
};
/* clang-format on */

const struct op_kind odoo_bootstrap_kind = {
	.name = "odoo_stable_bootstrap",
	.id_prefix = "odoo-stable-bootstrap",
	.help = "Rebuilds an intentionally empty lane's database and filestore, and proves that it is ready",
	.request = &bootstrap_request_contract,
	.state = &replacement_state_contract,
	.phases = phases,
	.busy = &E_odoo_stable_bootstrap_operation_active,
	.conclude = conclude,
	.recover = lane_recover,
};
