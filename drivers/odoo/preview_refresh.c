/* The operation that makes or renews a preview (facts/odoo.md 15.3, refresh). */
#include "core/http_client.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/odoo/compose_file.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/target_env.h"
#include "drivers/runtime_identity.h"
#include "storage/codes.h"
#include "storage/odoo_preview.sql.h"
#include "storage/preview.h"

#include <strings.h>

#define WATCH_MS 3000
#define SMOKE_MS 5000

#define DESCRIPTION "Launchplane preview %s of %s, operation %s"

/* ---- the fence, and what a failure leads to ---- */

/* The last thing before a write at the provider: this worker still has the operation, and nobody who came later wants
 * the preview gone or the refresh cancelled. Once the deploy is asked for its end is awaited, cancelled or not. */
static SUSPENDS bool may_write(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct rows rows;
	if (!db_query(t, &Q_odoo_preview_fence,
	              PARAMS(P_TEXT(op->operation_id), P_INT(op->fence), P_TEXT(s->preview_id),
	                     P_INT(loop_clock_offset_ms(t->loop)), P_TEXT(s->slug)),
	              &rows, err))
		return false;
	if (rows.n == 0 || !row_bool(&rows, 0, 0))
		return err_set(err, &E_cancelled, "another worker has this operation");
	bool may_stop = strcmp(op->phase->name, "deploy_wait") != 0 && strcmp(op->phase->name, "smoke") != 0;
	if (!row_bool(&rows, 0, 1))
		return !may_stop || !row_bool(&rows, 0, 2) ||
		       err_set(err, &E_operation_cancelled, "cancelled: %.200s", row_text(&rows, 0, 3));
	s->is_fenced = true;
	return err_set(err, &E_operation_blocked,
	               "the preview %s was asked to be destroyed after this refresh; nothing more is done for it",
	               s->slug);
}

static const struct error_code *code_of(const char *name)
{
	for (size_t i = 0; i < product_error_codes_n; i++)
		if (strcmp(product_error_codes[i]->name, name) == 0)
			return product_error_codes[i];
	for (size_t i = 0; i < core_error_codes_n; i++)
		if (strcmp(core_error_codes[i]->name, name) == 0)
			return core_error_codes[i];
	return &E_provider_refused;
}

/* Whether the compose service went away while the refresh was at work, as far as this failure lets one suppose so. */
static SUSPENDS bool is_deleted(struct task *t, const struct preview_state_kept *s, const struct err *err)
{
	struct dokploy d;
	struct dokploy_compose live;
	struct err gone = { 0 };
	if (err_is(err, &E_not_found))
		return s->asked_for_compose || s->compose_id[0];
	return err_is(err, &E_upstream_lost) && s->compose_id[0] && dokploy_open(t, &d, &gone) &&
	       !dokploy_compose_one(t, &d, s->compose_id, &live, &gone) && err_is(&gone, &E_not_found);
}

/* Once nothing more is tried, what this operation made is taken back before it fails. A fenced one leaves that to the
 * destroy. */
static SUSPENDS enum phase_outcome settled(struct task *t, struct operation *op, enum phase_outcome outcome,
                                           struct err *err)
{
	struct preview_state_kept *s = op->state;
	if (outcome != PHASE_FAILED || err->code == &E_cancelled || s->is_fenced)
		return outcome;
	if (err->code->retry && op->failures + 1 < op->phase->tries && !operation_is_overdue(t, op))
		return outcome;
	if (is_deleted(t, s, err)) {
		const char *why = arena_strdup(t->arena, err->message);
		err_set(err, &E_operation_blocked,
		        "the compose service %s is not in Dokploy any more, somebody deleted it meanwhile; refresh "
		        "again",
		        s->compose_name);
		err_cause(err, "%s", why);
	}
	s->failure_code = err->code->name;
	s->failure_message = arena_strdup(t->arena, err->message);
	s->failure_stage = strcmp(op->phase->name, "smoke") == 0 ? "verify" : "provision";
	preview_step_done(t, s, op->phase->name, s->compose_name, "fail", s->failure_message);
	memset(err, 0, sizeof(*err));
	return operation_goto(op, "undo_domain", 0);
}

/* ---- plan ---- */

static SUSPENDS enum phase_outcome plan_phase(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	const struct preview_apply *r = op->request;
	struct preview_reading reading;
	struct preview_intent in;
	struct rows rows;
	if (!db_query(t, &Q_odoo_preview_others,
	              PARAMS(P_TEXT(op->operation_id), P_TEXT(odoo_preview_destroy_kind.name),
	                     P_TEXT(r->dry_run_plan.preview_slug)),
	              &rows, err))
		return PHASE_FAILED;
	if (rows.n)
		return operation_again(op, 1000); /* a destroy that was asked for earlier goes first */
	if (!preview_settle(t, op, &reading, &in, err))
		return PHASE_FAILED;
	if (in.lacks_config) {
		err_set(err, &E_odoo_preview_runtime_config_incomplete, "%.400s", in.blocked_text);
		return PHASE_FAILED;
	}
	if (!in.is_ready) {
		err_set(err, &E_operation_blocked, "%.400s", in.blocked_text);
		return PHASE_FAILED;
	}
	if (!preview_claim(t, op, err) || !preview_write_generation(t, op, GENERATION_DEPLOYING, NULL, err))
		return PHASE_FAILED;
	s->compose_id = reading.is_staged ? reading.compose_id : "";
	return PHASE_DONE;
}

/* ---- create ---- */

static const char *mark_of(struct task *t, const struct operation *op)
{
	const struct preview_state_kept *s = op->state;
	return arena_printf(t->arena, DESCRIPTION, s->slug, op->product, op->operation_id);
}

static SUSPENDS bool find_compose(struct task *t, struct dokploy *d, struct operation *op, const char **id,
                                  struct err *err)
{
	const struct preview_state_kept *s = op->state;
	struct dokploy_things things;
	*id = "";
	if (!dokploy_environment_services(t, d, s->environment_id, true, &things, err))
		return false;
	for (size_t i = 0; i < things.n; i++) {
		if (strcmp(things.v[i].name, s->compose_name) != 0)
			continue;
		if ((*id)[0])
			return err_set(err, &E_operation_reconciliation_required,
			               "Dokploy has two compose services named %s, %s and %s; remove one by hand",
			               s->compose_name, *id, things.v[i].id);
		*id = things.v[i].id;
	}
	return true;
}

static SUSPENDS bool note_compose(struct task *t, struct dokploy *d, struct operation *op, const char *id,
                                  struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct dokploy_compose live;
	size_t rows;
	if (!dokploy_compose_one(t, d, id, &live, err))
		return false;
	s->compose_id = live.id;
	s->created_compose = live.description && strcmp(live.description, mark_of(t, op)) == 0;
	s->domain_existed = domain_of_host(&live.domains, s->host, &rows) != NULL;
	preview_step_done(t, s, "create", s->compose_name, "pass", s->created_compose ? "created" : "found");
	return true;
}

static SUSPENDS enum phase_outcome create_compose(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct dokploy d;
	const char *id = s->compose_id;
	if (!dokploy_open(t, &d, err) || (!s->is_staged && !find_compose(t, &d, op, &id, err)))
		return PHASE_FAILED;
	if (id[0])
		return note_compose(t, &d, op, id, err) ? PHASE_DONE : PHASE_FAILED;
	int64_t now = loop_wall_ms(t->loop);
	if (operation_is_rerun(op)) { /* an earlier request may still be on its way */
		s->absent_since_ms = s->absent_since_ms ? s->absent_since_ms : now;
		if (now - s->absent_since_ms < DOKPLOY_SETTLE_MS)
			return operation_again(op, WATCH_MS);
	}
	s->absent_since_ms = 0;
	const struct dokploy_new_service wish = { .name = s->compose_name,
		                                  .app_name = s->compose_name,
		                                  .environment_id = s->environment_id,
		                                  .server_id = s->server_id,
		                                  .description = mark_of(t, op),
		                                  .is_compose = true };
	if (!may_write(t, op, err))
		return PHASE_FAILED;
	s->asked_for_compose = true;
	return dokploy_service_create(t, &d, &wish, &id, err) && note_compose(t, &d, op, id, err) ? PHASE_DONE
	                                                                                          : PHASE_FAILED;
}

/* ---- source, environment, domain: repeating each is harmless ---- */

static SUSPENDS enum phase_outcome sync_source(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct dokploy d;
	struct dokploy_compose live;
	const char *yaml;
	struct compose_wish wish = { .image_reference = s->image_reference,
		                     .hosts = s->hosts,
		                     .runtime_port = s->runtime_port,
		                     .publishes_ports = false };
	if (!dokploy_open(t, &d, err) || !dokploy_compose_one(t, &d, s->compose_id, &live, err))
		return PHASE_FAILED;
	for (size_t i = 0; i < live.domains.n; i++)
		if (strcmp(live.domains.v[i].certificate_type, "letsencrypt") == 0)
			strings_add(t->arena, &wish.letsencrypt_hosts, lowered(t->arena, live.domains.v[i].host));
	if (!compose_file_render(t->arena, &wish, &yaml, err))
		return PHASE_FAILED;
	if (!dokploy_compose_is_raw(&live, yaml)) {
		if (!may_write(t, op, err) || !dokploy_compose_set_raw(t, &d, &live, yaml, err) ||
		    !dokploy_compose_one(t, &d, s->compose_id, &live, err))
			return PHASE_FAILED;
		if (!dokploy_compose_is_raw(&live, yaml)) {
			err_set(err, &E_provider_refused, "Dokploy did not keep the compose source of %s",
			        s->compose_name);
			return PHASE_FAILED;
		}
	}
	preview_step_done(t, s, "source", s->compose_name, "pass", "");
	return PHASE_DONE;
}

static SUSPENDS enum phase_outcome write_environment(struct task *t, struct operation *op, struct err *err)
{
	static const struct override_payload no_payload = { 0 };
	static const struct strings no_modules = { 0 };
	struct preview_state_kept *s = op->state;
	const struct preview_apply *r = op->request;
	struct preview_reading reading;
	struct preview_intent in;
	struct dokploy d;
	struct dokploy_compose live;
	struct target_env env;
	if (!preview_settle(t, op, &reading, &in, err))
		return PHASE_FAILED;
	if (in.lacks_config) {
		err_set(err, &E_odoo_preview_runtime_config_incomplete, "%.400s", in.blocked_text);
		return PHASE_FAILED;
	}
	if (reading.key_safety_problem) {
		err_set(err, &E_runtime_key_safety_failed, "%.400s", reading.key_safety_problem);
		return PHASE_FAILED;
	}
	if (!dokploy_open(t, &d, err) || !dokploy_compose_one(t, &d, s->compose_id, &live, err))
		return PHASE_FAILED;
	const struct target_env_wish wish = { .live_env = s->is_staged ? live.env : "",
		                              .runtime = &in.env,
		                              .payload = &no_payload,
		                              .manifest_modules =
		                                      r->manifest ? &r->manifest->odoo_install_modules : &no_modules,
		                              .context = s->context,
		                              .instance = s->slug,
		                              .image_reference = s->image_reference,
		                              .identity = s->identity };
	if (!target_env_build(t->arena, &wish, &env, err))
		return PHASE_FAILED;
	struct strings differing = target_env_differences(t->arena, &env, live.env);
	if (differing.n) {
		if (!may_write(t, op, err) || !dokploy_compose_set_env(t, &d, s->compose_id, env.text, err) ||
		    !dokploy_compose_one(t, &d, s->compose_id, &live, err))
			return PHASE_FAILED;
		differing = target_env_differences(t->arena, &env, live.env);
	}
	if (differing.n) {
		err_set(err, &E_provider_refused,
		        "Dokploy did not keep the environment as written; %zu keys differ, the first is %s",
		        differing.n, differing.v[0]);
		return PHASE_FAILED;
	}
	preview_step_done(t, s, "environment", s->compose_name, "pass", arena_printf(t->arena, "%zu keys", env.map.n));
	return PHASE_DONE;
}

/* A creation on its way is waited for before the fence is asked: a destroy that comes meanwhile finds its row. */
static SUSPENDS enum phase_outcome ensure_domain(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct domain_order order = {
		.compose_id = s->compose_id, .port = s->runtime_port, .removes_equal_rows = true, .may_write = may_write
	};
	struct domain_routes routes;
	strings_add(t->arena, &order.hosts, s->host);
	enum phase_outcome outcome = domain_routes_ensure(t, op, &order, &s->domain, &routes, err);
	if (outcome != PHASE_DONE)
		return outcome;
	s->domain_id = routes.v[0].row.id;
	preview_step_done(t, s, "domain", s->host, "pass", routes.v[0].action);
	return PHASE_DONE;
}

/* ---- deploy ---- */

static struct deploy_order order_of(struct task *t, const struct operation *op)
{
	const struct preview_state_kept *s = op->state;
	const struct preview_apply *r = op->request;
	return (struct deploy_order){ .service_id = s->compose_id,
		                      .title = op->operation_id,
		                      .description = arena_printf(t->arena, "Launchplane preview %s", s->slug),
		                      .rebuild = r->dry_run_plan.no_cache,
		                      .name = s->compose_name,
		                      .aftermath = "",
		                      .limit_s = r->timeout_seconds,
		                      .may_ask = may_write };
}

static SUSPENDS enum phase_outcome deploy(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	const struct deploy_order order = order_of(t, op);
	enum phase_outcome outcome = deploy_ask(t, op, &order, &s->deploy, err);
	if (outcome == PHASE_DONE && s->deploy.acknowledged)
		preview_step_done(t, s, "deploy", s->compose_name, "pending", "requested");
	return outcome;
}

static SUSPENDS enum phase_outcome wait_for_deploy(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	const struct preview_apply *r = op->request;
	const struct deploy_order order = order_of(t, op);
	if (!may_write(t, op, err))
		return PHASE_FAILED;
	if (!r->wait_for_deploy)
		return deploy_see_begun(t, op, &order, &s->deploy, "deploy", err);
	enum phase_outcome outcome = deploy_follow(t, op, &order, &s->deploy, "deploy", err);
	if (outcome == PHASE_DONE)
		preview_step_done(t, s, "deploy", s->compose_name, "pass", s->deploy.deployment_id);
	return outcome;
}

/* ---- smoke ---- */

static SUSPENDS enum phase_outcome smoke(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	const struct preview_apply *r = op->request;
	struct http_answer answer;
	struct err failure = { 0 };
	if (!r->smoke_check)
		return PHASE_DONE;
	if (!may_write(t, op, err))
		return PHASE_FAILED;
	size_t n = strlen(s->url);
	while (n && s->url[n - 1] == '/')
		n--;
	const struct http_call call = { .url = arena_printf(t->arena, "%.*s%s", (int)n, s->url, r->health_path),
		                        .timeout_ms = 15000,
		                        .what = "the preview",
		                        .user_agent = "Launchplane-Odoo-Verify/1" };
	bool reached = http_fetch(t, &call, &answer, &failure);
	if (!reached && failure.code == &E_cancelled) {
		*err = failure;
		return PHASE_FAILED;
	}
	bool answers = reached && answer.status >= 200 && answer.status < 400;
	struct identity_verdict shown = { .status = IDENTITY_UNCHECKED, .detail = "" };
	if (answers)
		runtime_identity_judge(t->arena, s->identity, answer.body, answer.body_n, &shown);
	if (answers && !runtime_identity_blocks(shown.status, false)) {
		s->smoke_status = "pass";
		preview_step_done(t, s, "smoke", r->health_path, "pass",
		                  arena_printf(t->arena, "HTTP %d", answer.status));
		return PHASE_DONE;
	}
	if (!operation_is_overdue(t, op))
		return operation_again(op, SMOKE_MS);
	s->smoke_status = "fail";
	if (answers)
		err_set(err, &E_verification_failed,
		        "%s did not show what was deployed for %lld seconds: its runtime identity is %s (%.150s); an "
		        "older container may still serve",
		        call.url, (long long)r->timeout_seconds, identity_status_names[shown.status], shown.detail);
	else if (reached)
		err_set(err, &E_verification_failed, "%s answered HTTP %d for %lld seconds", call.url, answer.status,
		        (long long)r->timeout_seconds);
	else
		err_set(err, &E_verification_failed, "%s was not reached for %lld seconds: %.200s", call.url,
		        (long long)r->timeout_seconds, failure.message);
	return PHASE_FAILED;
}

/* ---- undo ---- */

static bool is_gone(struct err *err)
{
	if (!err_is(err, &E_not_found))
		return false;
	memset(err, 0, sizeof(*err));
	return true;
}

/* Whether a failed step back is tried again; else it is told, and the operation goes on. */
static bool tell_or_retry(struct task *t, struct operation *op, const char *what, struct err *err)
{
	struct preview_state_kept *s = op->state;
	if (err->code == &E_cancelled || (err->code->retry && op->failures + 1 < op->phase->tries))
		return true;
	strings_add(t->arena, &s->rollback_errors, arena_printf(t->arena, "%s: %s", what, err->message));
	memset(err, 0, sizeof(*err));
	return false;
}

static SUSPENDS bool delete_domains(struct task *t, struct dokploy *d, struct operation *op,
                                    const struct dokploy_domains *domains, struct err *err)
{
	struct preview_state_kept *s = op->state;
	for (size_t i = 0; i < domains->n; i++)
		if (strcasecmp(domains->v[i].host, s->host) == 0 &&
		    !dokploy_domain_delete(t, d, domains->v[i].id, err) && !is_gone(err))
			return false;
	s->domain_id = "";
	return true;
}

static SUSPENDS enum phase_outcome undo_domain(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct dokploy d;
	struct dokploy_domains domains;
	size_t rows;
	bool ours = s->failure_code[0] && s->compose_id[0] && !s->created_compose && !s->domain_existed;
	if (!ours)
		return PHASE_DONE;
	if (!dokploy_open(t, &d, err) || !dokploy_domains_of_compose(t, &d, s->compose_id, &domains, err))
		return is_gone(err) || !tell_or_retry(t, op, "delete_domain", err) ? PHASE_DONE : PHASE_FAILED;
	if (s->domain.unanswered && !domain_of_host(&domains, s->host, &rows) &&
	    !domain_watch_is_settled(t, &s->domain))
		return operation_again(op, WATCH_MS); /* the row asked for may still come */
	if (!delete_domains(t, &d, op, &domains, err) && tell_or_retry(t, op, "delete_domain", err))
		return PHASE_FAILED;
	return PHASE_DONE;
}

static SUSPENDS bool delete_compose(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	struct dokploy d;
	const char *id = s->compose_id;
	if (!dokploy_open(t, &d, err))
		return false;
	if (!id[0]) { /* asked for, and the answer was lost */
		if (!find_compose(t, &d, op, &id, err) || (id[0] && !note_compose(t, &d, op, id, err)))
			return false;
		if (!id[0] || !s->created_compose)
			return true;
	}
	if (!dokploy_compose_delete(t, &d, id, true, err) && !is_gone(err))
		return false;
	return true;
}

static SUSPENDS enum phase_outcome undo_compose(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	bool ours = s->created_compose || (s->asked_for_compose && !s->compose_id[0]);
	if (!s->failure_code[0])
		return PHASE_DONE;
	return ours && !delete_compose(t, op, err) && tell_or_retry(t, op, "delete_compose", err) ? PHASE_FAILED
	                                                                                          : PHASE_DONE;
}

/* ---- record ---- */

/* Ends the operation as it went; its records are written with the end. */
static enum phase_outcome ended(struct operation *op, struct err *err)
{
	const struct preview_state_kept *s = op->state;
	memset(err, 0, sizeof(*err));
	if (!s->failure_code[0])
		return PHASE_DONE;
	const struct error_code *code = code_of(s->failure_code);
	op->is_final = true;
	/* One that was worth another try has had them. */
	err_set(err, code->retry ? &E_provider_refused : code, "%s", s->failure_message);
	return PHASE_FAILED;
}

static SUSPENDS enum phase_outcome record(struct task *t, struct operation *op, struct err *err)
{
	struct preview_state_kept *s = op->state;
	const struct preview_apply *r = op->request;
	enum phase_outcome outcome;
	struct err failure = { .code = code_of(s->failure_code) };
	bool failed = s->failure_code[0];
	snprintf(failure.message, sizeof(failure.message), "%s", s->failure_message);
	int state = failed ? GENERATION_FAILED : r->smoke_check ? GENERATION_READY : GENERATION_VERIFYING;
	if (preview_write_generation(t, op, state, failed ? &failure : NULL, err)) {
		s->is_recorded = true;
		return ended(op, err);
	}
	if (preview_record_again(t, op, err, &outcome))
		return outcome;
	s->is_recorded = true; /* as far as it can be */
	if (failed)
		return ended(op, err);
	const char *why = arena_strdup(t->arena, err->message);
	err_set(err, &E_preview_evidence_failed,
	        "the preview runs at %s, but its record could not be written for %d seconds: %.200s; refresh it again",
	        s->url, PREVIEW_RECORD_LIMIT_S, why);
	return PHASE_FAILED;
}

/* ---- the kind ---- */

#define SETTLED(name, fn)                                                                                              \
	static SUSPENDS enum phase_outcome name(struct task *t, struct operation *op, struct err *err)                 \
	{                                                                                                              \
		return settled(t, op, fn(t, op, err), err);                                                            \
	}
SETTLED(create_phase, create_compose)
SETTLED(source_phase, sync_source)
SETTLED(environment_phase, write_environment)
SETTLED(domain_phase, ensure_domain)
SETTLED(deploy_phase, deploy)
SETTLED(deploy_wait_phase, wait_for_deploy)
SETTLED(smoke_phase, smoke)

static int limit_of(const struct operation *op)
{
	const struct preview_apply *r = op->request;
	return (int)r->timeout_seconds;
}

static SUSPENDS void conclude(struct task *t, struct operation *op, const struct err *failure)
{
	struct preview_state_kept *s = op->state;
	struct err err = { 0 };
	/* What failed on its way to the phase record: cancelled, or fenced by a destroy, which has the last word. */
	if (!s->is_recorded && s->preview_id[0] && !preview_write_generation(t, op, GENERATION_FAILED, failure, &err))
		strings_add(t->arena, &s->rollback_errors, arena_printf(t->arena, "evidence: %s", err.message));
	op->result = preview_result(t, op, failure);
}

/* clang-format off */
static const struct phase phases[] = {
	/* name          shown as        function           tries backoff_ms */
	{ "plan",         "plan",         plan_phase,         5, 500, .limit_s = 3600, .cancel = CANCEL_ANY,
	  .help = "wait for an earlier destroy, make the plan again and refuse when it changed, claim the preview" },
	{ "create",       "apply",        create_phase,       5, 500, .cancel = CANCEL_NO,
	  .help = "find the compose service by its name, or make it" },
	{ "source",       "apply",        source_phase,       5, 500,
	  .help = "write the compose file, and read it back" },
	{ "environment",  "apply",        environment_phase,  5, 500,
	  .help = "write the environment, and read every key back" },
	{ "domain",       "apply",        domain_phase,       5, 500,
	  .help = "route the preview's host to service web" },
	{ "deploy",       "apply",        deploy_phase,       5, 1000,
	  .help = "ask Dokploy for the deploy, once" },
	{ "deploy_wait",  "apply",        deploy_wait_phase,  9, 1000, .limit_of = limit_of,
	  .help = "find the deploy by its title and wait for its end" },
	{ "smoke",        "verification", smoke_phase,        5, 1000, .limit_of = limit_of,
	  .help = "ask the preview's health path until it answers 2xx or 3xx" },
	{ "undo_domain",  "rollback",     undo_domain,        5, 1000,
	  .help = "after a failure: take away the route, if this operation made it" },
	{ "undo_compose", "rollback",     undo_compose,       5, 1000,
	  .help = "after a failure: delete the compose service with its volumes, if this operation made it" },
	{ "record",       "verification", record,             5, 1000, .limit_s = PREVIEW_RECORD_LIMIT_S,
	  .help = "prepare the records of preview and generation, which are written with the end" },
	{ 0 },
};
/* clang-format on */

const struct op_kind odoo_preview_refresh_kind = {
	.name = "odoo_preview_refresh",
	.id_prefix = "odoo-preview-refresh",
	.help = "Makes or renews the preview of a pull request",
	.request = &preview_apply_contract,
	.state = &preview_state_contract,
	.phases = phases,
	.conclude = conclude,
};
