/* Phases plan to inspect: from the plan to a deploy that Dokploy says is done (facts/odoo.md 4.4, steps 1 to 14). */
#include "core/digest.h"
#include "core/fault.h"
#include "core/redact.h"
#include "drivers/dokploy/credentials.h"
#include "drivers/dokploy/deployment_watch.h"
#include "drivers/dokploy/domain_route.h"
#include "drivers/dokploy/env_text.h"
#include "drivers/odoo/compose_file.h"
#include "drivers/odoo/preview.h"
#include "drivers/odoo/replacement.h"
#include "drivers/odoo/route_evidence.h"
#include "drivers/odoo/target_env.h"
#include "drivers/runtime_identity.h"
#include "storage/codes.h"
#include "storage/lane_environment.h"
#include "storage/odoo_override.sql.h"

#include <strings.h>

/* ---- plan ---- */

static const char *first_host_url(struct arena *a, const struct strings *hosts)
{
	return hosts->n ? arena_printf(a, "https://%s", hosts->v[0]) : "";
}

void replacement_settle_lane(struct task *t, struct replacement_state *s, const struct replacement_request *request,
                             const struct replacement_reading *r, const struct strings *hosts)
{
	s->target_id = r->target_id.target_id;
	s->target_name = r->target.target_name[0] ? r->target.target_name : r->live.name;
	s->project_name = r->target.project_name;
	s->app_name = r->live.app_name;
	s->server_id = r->live.server_id;
	s->hosts = *hosts;
	s->runtime_port = r->profile.runtime_port;
	s->deploy_timeout_s = request->timeout_seconds.is_set           ? request->timeout_seconds.value
	                      : r->target.deploy_timeout_seconds.is_set ? r->target.deploy_timeout_seconds.value
	                                                                : 600;
	s->health_timeout_s = request->health_timeout_seconds.is_set ? request->health_timeout_seconds.value
	                      : r->target.healthcheck_timeout_seconds.is_set
	                              ? r->target.healthcheck_timeout_seconds.value
	                              : 180;
	s->base_url = readiness_base_url(t->arena,
	                                 r->lane->base_url[0] ? r->lane->base_url : first_host_url(t->arena, hosts));
	s->health_url = readiness_health_url(t->arena, s->base_url, r->lane->health_url, r->profile.health_path);
	const char *scheme = strstr(r->preview_base_url, "://");
	s->preview_host = scheme ? arena_strndup(t->arena, scheme + 3, strcspn(scheme + 3, "/:")) : "";
	s->requires_identity = lane_requires_runtime_identity(r->lane);
}

const char *replacement_new_record_id(struct task *t, const struct operation *op, const char *now)
{
	return arena_printf(t->arena, "deployment-%s-%s-%s-%.6s", utc_compact(t->arena, now), op->context, op->instance,
	                    sha256_text(t->arena, op->operation_id, strlen(op->operation_id)));
}

/* Everything later phases need to know of the plan; fails where apply asks for more than the plan does. */
static bool settle_state(struct task *t, struct operation *op, const struct replacement_reading *r,
                         const struct replacement_plan *plan, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct replacement_request *request = replacement_order(op);
	const char *now = utc_now(t);
	s->started_at = now;
	const char *record_id = replacement_new_record_id(t, op, now);
	s->artifact_id = plan->artifact_id;
	s->source_git_ref = plan->source_git_ref;
	s->image_reference = artifact_image_reference(t->arena, &r->manifest);
	replacement_settle_lane(t, s, request, r, &plan->hosts);
	s->data_restore = request->data_source_mode == DATA_UPSTREAM_RESTORE;
	if (s->requires_identity && (!request->verify_health || !s->health_url[0]))
		return err_set(err, &E_operation_blocked,
		               "verify_health: the lane requires that %s proves the runtime identity",
		               s->health_url[0] ? "its health URL" : "a health URL, which it lacks,");
	struct release_tuple tuple;
	if (!release_tuple_mint(t->arena, &r->manifest, op->context, op->instance, record_id, now, &tuple, err))
		return false;
	s->identity = ARENA_NEW(t->arena, struct runtime_identity);
	*s->identity = (struct runtime_identity){
		.schema_version = 1,
		.product = op->product,
		.context = op->context,
		.instance = op->instance,
		.environment_kind = "stable",
		.deployment_record_id = record_id,
		.artifact_id = s->artifact_id,
		.source_git_ref = s->source_git_ref,
		.image_reference = s->image_reference,
		.release_tuple_id = tuple.tuple_id,
		.preview_id = "",
		.preview_generation_id = "",
		.deployed_at = "",
	};
	s->deployment_record_id = record_id; /* last: from here on the end of the operation is recorded */
	op->deployment_record_id = record_id;
	return true;
}

/* A promotion's executor takes records for a promotion and for the deploy that it is. */
static bool applies(const struct replacement_state *s, const struct odoo_override *record, enum workflow_intent intent)
{
	if (intent == INTENT_RESTORE)
		return override_applies(record, intent);
	return odoo_override_applies_on(record, (enum override_phase)s->override_phase) ||
	       (s->delegates && odoo_override_applies_on(record, OVERRIDE_DEPLOY));
}

SUSPENDS bool replacement_payload(struct task *t, const struct operation *op, enum workflow_intent intent,
                                  struct odoo_override *record, bool *found, struct override_payload *out,
                                  struct err *err)
{
	const struct replacement_state *s = op->state;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	struct dokploy_target target;
	struct dokploy_target_id id;
	bool has_target, has_id;
	if (!read_override(t, &lane, record, found, err) ||
	    !read_target(t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	static const struct strings none = { 0 };
	return override_payload_of(t->arena, *found && applies(s, record, intent) ? record : NULL, intent,
	                           has_target ? &target.policies.shopify.protected_store_keys : &none, out, err);
}

void replacement_note_payload(struct task *t, struct replacement_state *s, const struct override_payload *payload)
{
	s->override_rendered = payload->is_rendered;
	s->override_website = payload->has_website_bootstrap;
	s->override_count = payload->config_parameters + payload->addon_settings;
	s->override_evidence = payload->evidence;
	s->override_sha256 = payload->sha256;
	s->override_status = payload->is_rendered ? RELEASE_PENDING : RELEASE_SKIPPED;
	replacement_note_bool(t, s, "runtime_override_payload_present", payload->is_rendered);
	replacement_note(t, s, "runtime_override_payload_sha256", payload->sha256);
	replacement_note(t, s, "runtime_override_config_parameter_count",
	                 arena_printf(t->arena, "%lld", (long long)payload->config_parameters));
	replacement_note(t, s, "runtime_override_addon_setting_count",
	                 arena_printf(t->arena, "%lld", (long long)payload->addon_settings));
	replacement_note(t, s, "runtime_override_secret_key_count",
	                 arena_printf(t->arena, "%zu", payload->secret_keys.n));
	replacement_note_bool(t, s, "runtime_override_overrides_required",
	                      map_get(&payload->env, OVERRIDES_REQUIRED_KEY) != NULL);
	replacement_note_bool(t, s, "runtime_override_website_bootstrap_required",
	                      map_get(&payload->env, WEBSITE_REQUIRED_KEY) != NULL);
}

static const char *mark_of(const struct override_payload *payload)
{
	return payload->is_rendered ? payload->sha256 : "none";
}

void replacement_note_web(struct task *t, struct replacement_state *s, bool found,
                          const struct override_payload *payload)
{
	s->override_found = found;
	s->override_in_web = mark_of(payload);
	replacement_note_payload(t, s, payload);
}

bool replacement_note_runner(struct task *t, struct replacement_state *s, bool found,
                             const struct override_payload *payload, enum workflow_mode mode, struct err *err)
{
	if (mode != WORKFLOW_BOOTSTRAP && s->override_in_web[0] && strcmp(s->override_in_web, mark_of(payload)) != 0)
		return err_set(err, &E_conflict,
		               "The lane's settings were changed while they were being applied: submit again");
	s->override_found = found;
	replacement_note_payload(t, s, payload);
	return true;
}

enum workflow_intent replacement_intent(const struct replacement_state *s)
{
	return s->data_restore ? INTENT_RESTORE : INTENT_DEPLOY;
}

/* Step 7: the record learns the canonical URL, and its payload must be buildable before anything is touched. */
bool replacement_prepare_override(struct task *t, struct operation *op, const char *label, struct err *err)
{
	struct replacement_state *s = op->state;
	struct odoo_override record;
	struct override_payload payload;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	if (!read_override(t, &lane, &record, &s->override_found, err))
		return false;
	if (s->override_found && record.website_bootstrap &&
	    strcmp(record.website_bootstrap->canonical_url, s->base_url) != 0) {
		operation_write(t, op, &Q_odoo_override_set_canonical,
		                PARAMS(P_TEXT(op->context), P_TEXT(op->instance), P_TEXT(s->base_url),
		                       P_TEXT(utc_now(t)), P_TEXT(label)));
	}
	bool found;
	if (!replacement_payload(t, op, replacement_intent(s), &record, &found, &payload, err)) {
		s->override_status = RELEASE_FAIL;
		return false;
	}
	replacement_note_payload(t, s, &payload);
	return true;
}

SUSPENDS enum phase_outcome replacement_plan_phase(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_reading r;
	return replacement_read(t, replacement_order(op), &r, err) ? replacement_settle(t, op, &r, err) : PHASE_FAILED;
}

SUSPENDS enum phase_outcome replacement_settle(struct task *t, struct operation *op,
                                               const struct replacement_reading *r, struct err *err)
{
	struct replacement_plan plan;
	if (!replacement_plan_make(t->arena, replacement_order(op), &r->facts, &plan, err))
		return PHASE_FAILED;
	if (!plan.is_ready) {
		err_set(err, &E_operation_blocked, "%s", replacement_blocked_text(t->arena, &plan));
		return PHASE_FAILED;
	}
	if (strcmp(r->lane->context, op->context) != 0) {
		err_set(err, &E_operation_blocked,
		        "the lane's context changed from %s to %s since the operation was submitted", op->context,
		        r->lane->context);
		return PHASE_FAILED;
	}
	if (!settle_state(t, op, r, &plan, err) ||
	    !replacement_prepare_override(t, op, "odoo-stable-target-replacement", err))
		return PHASE_FAILED;
	struct deployment d;
	replacement_deployment(t, op, NULL, &d);
	replacement_write_deployment(t, op, &d);
	struct json *detail = ARENA_NEW(t->arena, struct json);
	*detail = json_object();
	json_set_str(t->arena, detail, "deployment_record_id", op->deployment_record_id);
	json_set_str(t->arena, detail, "artifact_id", plan.artifact_id);
	operation_event(t, op, "planned", detail);
	return PHASE_DONE;
}

/* ---- source ---- */

/* Step 8's gate: every managed secret that is to reach the lane, and every one its profile expects. */
static SUSPENDS bool gate_keys(struct task *t, struct operation *op, const struct product_profile *profile,
                               const struct strings *secret_keys, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct place place = { op->context, op->instance };
	struct strings keys = *secret_keys;
	for (size_t i = 0; i < profile->expected_config.managed_secret_bindings.n; i++) {
		const struct expected_secret_binding *b = &profile->expected_config.managed_secret_bindings.v[i];
		bool applies = !b->context[0] || (strcmp(b->context, op->context) == 0 &&
		                                  (!b->instance[0] || strcmp(b->instance, op->instance) == 0));
		if (applies && strcmp(b->integration, "runtime_environment") == 0 &&
		    !strings_have(&keys, b->binding_key))
			strings_add(t->arena, &keys, b->binding_key);
	}
	struct key_safety_evidence evidence;
	bool ok = key_safety_gate(t, &place, &keys, &evidence, err);
	replacement_note_bool(t, s, "runtime_key_safety_required", evidence.required);
	replacement_note(t, s, "runtime_key_safety_status", evidence.status);
	replacement_note(t, s, "runtime_key_safety_policy_record_id", evidence.policy_record_id);
	replacement_note(t, s, "runtime_key_safety_policy_sha256", evidence.policy_sha256);
	return ok;
}

/* The lane's runtime environment with secrets, after the gate. */
static SUSPENDS bool lane_runtime(struct task *t, struct operation *op, struct text_map *runtime, struct err *err)
{
	const struct place place = { op->context, op->instance };
	const struct lane lane = { .context = op->context, .instance = op->instance };
	struct product_profile profile;
	struct dokploy_target target;
	struct dokploy_target_id id;
	struct strings secret_keys;
	bool found, has_target, has_id;
	arena_wipe_on_reset(t->arena);
	if (!replacement_read_profile(t, replacement_order(op), &profile, &found, err) ||
	    !read_target(t, &lane, &target, &has_target, &id, &has_id, err))
		return false;
	if (!found || !has_target)
		return err_set(err, &E_operation_blocked, "the product profile or target record of the lane is gone");
	return runtime_env_resolve(t, t->loop->keyring, &place, &target.env, runtime, &secret_keys, err) &&
	       gate_keys(t, op, &profile, &secret_keys, err);
}

static void note_live(struct task *t, struct replacement_state *s, const struct dokploy_compose *live)
{
	s->app_name = live->app_name;
	s->server_id = live->server_id;
	replacement_note(t, s, "live_source_type", live->source_type);
	replacement_note(t, s, "live_compose_path", live->compose_path);
	replacement_note(t, s, "compose_app_name", live->app_name);
	replacement_note(t, s, "compose_type", live->compose_type);
	replacement_note_bool(t, s, "server_id_present", live->server_id[0] != '\0');
	replacement_note_bool(t, s, "isolated_deployment", live->isolated_deployment);
	replacement_note_bool(t, s, "randomize", live->randomize);
}

static bool check_source(struct task *t, struct replacement_state *s, const struct dokploy_compose *live,
                         const char *yaml, struct err *err)
{
	struct strings missing = compose_missing_services(t->arena, live->compose_file, &odoo_required_services);
	replacement_note(t, s, "raw_compose_source_type", live->source_type);
	replacement_note(t, s, "raw_compose_compose_path", live->compose_path);
	replacement_note(t, s, "raw_compose_compose_sha256", sha256_text(t->arena, yaml, strlen(yaml)));
	replacement_note(t, s, "raw_compose_compose_bytes", arena_printf(t->arena, "%zu", strlen(yaml)));
	replacement_note(t, s, "raw_compose_required_services", "web,database,script-runner");
	if (!dokploy_compose_is_raw(live, yaml))
		return err_set(err, &E_provider_refused, "Dokploy did not keep the compose source of target %s",
		               s->target_name);
	if (missing.n)
		return err_set(err, &E_provider_refused, "the compose source of target %s lacks service %s",
		               s->target_name, missing.v[0]);
	return true;
}

SUSPENDS enum phase_outcome replacement_source(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct text_map runtime;
	struct dokploy d;
	struct dokploy_compose live;
	struct dokploy_domains domains;
	if (!lane_runtime(t, op, &runtime, err) || !dokploy_open(t, &d, err) ||
	    !dokploy_compose_one(t, &d, s->target_id, &live, err) ||
	    !dokploy_domains_of_compose(t, &d, s->target_id, &domains, err))
		return PHASE_FAILED;
	note_live(t, s, &live);
	route_evidence_add(t->arena, "live_", live.compose_file, &s->hosts, &s->runtime_source);
	struct compose_wish wish = { .image_reference = s->image_reference,
		                     .hosts = s->hosts,
		                     .runtime_port = s->runtime_port,
		                     .publishes_ports = true };
	for (size_t i = 0; i < domains.n; i++)
		if (strcmp(domains.v[i].certificate_type, "letsencrypt") == 0)
			strings_add(t->arena, &wish.letsencrypt_hosts, lowered(t->arena, domains.v[i].host));
	const char *yaml;
	if (!compose_file_render(t->arena, &wish, &yaml, err))
		return PHASE_FAILED;
	route_evidence_add(t->arena, "rendered_", yaml, &s->hosts, &s->runtime_source);
	bool changes = !dokploy_compose_is_raw(&live, yaml);
	replacement_note_bool(t, s, "raw_compose_changed", changes);
	if (changes && (!dokploy_compose_set_raw(t, &d, &live, yaml, err) ||
	                !dokploy_compose_one(t, &d, s->target_id, &live, err)))
		return PHASE_FAILED;
	return check_source(t, s, &live, yaml, err) ? PHASE_DONE : PHASE_FAILED;
}

/* ---- routes ---- */

static void note_domain(struct task *t, struct replacement_state *s, const struct domain_route *route)
{
	const struct dokploy_domain *d = &route->row;
	const char *p = arena_printf(t->arena, "domain_route_%s_", route->host);
	struct text_map *m = &s->runtime_source;
	struct arena *a = t->arena;
	const char *before = map_get(m, arena_printf(a, "%saction", p));
	if (!before || strcmp(route->action, "unchanged") != 0) /* an interrupted run did it: that is what is told */
		map_set(a, m, arena_printf(a, "%saction", p), route->action);
	map_set(a, m, arena_printf(a, "%srecord_present", p), "true");
	map_set(a, m, arena_printf(a, "%sdomain_id_present", p), d->id[0] ? "true" : "false");
	map_set(a, m, arena_printf(a, "%sservice_name", p), d->service_name);
	map_set(a, m, arena_printf(a, "%sport", p), arena_printf(a, "%lld", (long long)d->port));
	map_set(a, m, arena_printf(a, "%sport_matches_runtime", p), d->port == s->runtime_port ? "true" : "false");
	map_set(a, m, arena_printf(a, "%shttps", p), d->https ? "true" : "false");
	map_set(a, m, arena_printf(a, "%scertificate_type", p), d->certificate_type);
	map_set(a, m, arena_printf(a, "%sdomain_type", p), d->domain_type);
	map_set(a, m, arena_printf(a, "%spath", p), d->path);
	map_set(a, m, arena_printf(a, "%sinternal_path", p), d->internal_path);
	map_set(a, m, arena_printf(a, "%sstrip_path", p), d->strip_path ? "true" : "false");
	map_set(a, m, arena_printf(a, "%sunique_config_key_present", p), d->config_key >= 0 ? "true" : "false");
}

SUSPENDS enum phase_outcome replacement_routes(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	const struct domain_order order = { .compose_id = s->target_id, .hosts = s->hosts, .port = s->runtime_port };
	struct domain_routes routes;
	enum phase_outcome outcome = domain_routes_ensure(t, op, &order, &s->domains, &routes, err);
	for (size_t i = 0; i < routes.n; i++) {
		note_domain(t, s, &routes.v[i]);
		replacement_note(t, s, arena_printf(t->arena, "domain_route_%s_row_count", routes.v[i].host),
		                 arena_printf(t->arena, "%zu", routes.v[i].rows));
	}
	if (outcome == PHASE_DONE)
		replacement_note(t, s, "domain_record_count", arena_printf(t->arena, "%zu", routes.total));
	return outcome;
}

/* ---- environment ---- */

static SUSPENDS void note_converted(struct task *t, struct operation *op, struct dokploy *d, const char *prefix)
{
	struct replacement_state *s = op->state;
	const char *yaml;
	struct err ignored = { 0 };
	bool readable = dokploy_compose_converted(t, d, s->target_id, &yaml, &ignored);
	replacement_note_bool(t, s, arena_printf(t->arena, "%sreadable", prefix), readable);
	if (readable)
		route_evidence_add(t->arena, prefix, yaml, &s->hosts, &s->runtime_source);
}

bool replacement_refuse_differences(struct task *t, const struct strings *keys, struct err *err)
{
	struct buf b = buf_in(t->arena);
	for (size_t i = 0; i < keys->n && b.n < 250; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", keys->v[i]);
	return err_set(err, &E_provider_refused,
	               "Dokploy did not keep the environment as written; these keys differ: %s", b.p);
}

/* What the data workflow would refuse for is found before anything is written, not after the deploy. */
static bool workflow_can_run(struct task *t, const struct operation *op, const struct target_env *env,
                             const struct override_payload *payload, const char *app_name, struct err *err)
{
	static const struct strings no_shops = { 0 };
	const struct replacement_state *s = op->state;
	struct data_workflow ignored;
	struct text_map run = { 0 };
	lane_workflow_env(t, op, &env->map, &run);
	return data_workflow_prepare(t->arena, &run, payload, s->data_restore ? WORKFLOW_RESTORE : WORKFLOW_MAINTENANCE,
	                             app_name, &no_shops, false, &ignored, err);
}

/* The keys that a preview staged on this target has set to its own address. */
static SUSPENDS bool keys_of_staged_preview(struct task *t, const struct operation *op, struct strings *keys,
                                            struct err *err)
{
	struct product_profile profile;
	bool found;
	*keys = (struct strings){ 0 };
	if (!replacement_read_profile(t, replacement_order(op), &profile, &found, err))
		return false;
	if (!found || !preview_is_staged_on(&profile, op->instance))
		return true;
	const struct strings *lists[] = { &profile.preview.preview_url_env_keys,
		                          &profile.preview.preview_domain_env_keys };
	for (size_t k = 0; k < countof(lists); k++)
		for (size_t i = 0; i < lists[k]->n; i++)
			strings_add(t->arena, keys, lists[k]->v[i]);
	return true;
}

SUSPENDS enum phase_outcome replacement_environment(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct text_map runtime;
	struct odoo_override record;
	struct override_payload payload;
	struct artifact_manifest manifest;
	struct dokploy d;
	struct dokploy_compose live;
	struct strings dropped;
	bool found, has_manifest;
	if (!lane_runtime(t, op, &runtime, err) || !keys_of_staged_preview(t, op, &dropped, err) ||
	    !replacement_payload(t, op, replacement_intent(s), &record, &found, &payload, err) ||
	    !read_manifest(t, s->artifact_id, &manifest, &has_manifest, err) || !dokploy_open(t, &d, err) ||
	    !dokploy_compose_one(t, &d, s->target_id, &live, err))
		return PHASE_FAILED;
	if (!has_manifest) {
		err_set(err, &E_operation_blocked, "the manifest of artifact %s is gone", s->artifact_id);
		return PHASE_FAILED;
	}
	replacement_note_web(t, s, found, &payload);
	route_evidence_add(t->arena, "pre_deploy_", live.compose_file, &s->hosts, &s->runtime_source);
	note_converted(t, op, &d, "converted_");
	const struct target_env_wish wish = { .live_env = live.env,
		                              .runtime = &runtime,
		                              .payload = &payload,
		                              .manifest_modules = &manifest.odoo_install_modules,
		                              .context = op->context,
		                              .instance = op->instance,
		                              .image_reference = s->image_reference,
		                              .identity = s->identity,
		                              .dropped = &dropped };
	struct target_env env;
	if (!target_env_build(t->arena, &wish, &env, err))
		return PHASE_FAILED;
	if (!workflow_can_run(t, op, &env, &payload, live.app_name, err))
		return PHASE_FAILED;
	replacement_note(t, s, "required_odoo_modules", env.required_modules);
	replacement_note(t, s, "artifact_odoo_install_modules", env.manifest_modules);
	replacement_note(t, s, "odoo_install_modules", env.install_modules);
	struct strings differing = target_env_differences(t->arena, &env, live.env);
	if (differing.n) {
		if (!dokploy_compose_set_env(t, &d, s->target_id, env.text, err) ||
		    !dokploy_compose_one(t, &d, s->target_id, &live, err))
			return PHASE_FAILED;
		differing = target_env_differences(t->arena, &env, live.env);
	}
	if (differing.n && !replacement_refuse_differences(t, &differing, err))
		return PHASE_FAILED;
	s->identity_injected = true;
	return PHASE_DONE;
}

/* ---- deploy ---- */

/* The mark by which our run is found: an operation asks for one deploy. */
static const char *deploy_title(const struct operation *op)
{
	const struct replacement_state *s = op->state;
	return s->deployment_record_id[0] ? s->deployment_record_id : op->operation_id;
}

static struct deploy_order order_of(struct task *t, const struct operation *op)
{
	const struct replacement_state *s = op->state;
	return (struct deploy_order){ .service_id = s->target_id,
		                      .title = deploy_title(op),
		                      .description =
		                              arena_printf(t->arena, "Launchplane operation %s", op->operation_id),
		                      .rebuild = replacement_order(op)->no_cache,
		                      .name = arena_printf(t->arena, "target %s", s->target_name),
		                      .aftermath = "",
		                      .limit_s = s->deploy_timeout_s };
}

SUSPENDS enum phase_outcome replacement_deploy(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	if (s->skips_deploy)
		return PHASE_DONE;
	const struct deploy_order order = order_of(t, op);
	return deploy_ask(t, op, &order, &s->deploy, err);
}

SUSPENDS enum phase_outcome replacement_deploy_wait(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	if (s->skips_deploy)
		return PHASE_DONE;
	const struct deploy_order order = order_of(t, op);
	enum phase_outcome outcome = deploy_follow(t, op, &order, &s->deploy, "deploy", err);
	if (outcome == PHASE_DONE) {
		s->deploy_status = RELEASE_PASS;
		s->deploy_finished_at = utc_now(t);
	}
	return outcome;
}

/* ---- inspect: evidence only, nothing here decides ---- */

static SUSPENDS void note_containers(struct task *t, struct operation *op, struct dokploy *d)
{
	struct replacement_state *s = op->state;
	struct dokploy_containers list;
	struct dokploy_container_config config;
	struct err ignored = { 0 };
	if (!dokploy_containers(t, d, s->app_name, s->server_id, &list, &ignored))
		return;
	replacement_note(t, s, "container_count", arena_printf(t->arena, "%zu", list.n));
	const struct dokploy_container *web = NULL;
	for (size_t i = 0; i < list.n && !web; i++)
		if (lane_is_web(list.v[i].name))
			web = &list.v[i];
	replacement_note_bool(t, s, "container_web_found", web != NULL);
	if (!web)
		return;
	replacement_note(t, s, "container_web_state", web->state);
	if (!dokploy_container_config(t, d, web->id, s->server_id, &config, &ignored))
		return;
	replacement_note(t, s, "container_web_image", config.image);
	replacement_note_bool(t, s, "container_web_image_matches", strcmp(config.image, s->image_reference) == 0);
	static const char *const keys[] = { "LAUNCHPLANE_RUNTIME_IDENTITY_JSON", "LAUNCHPLANE_DEPLOYMENT_RECORD_ID",
		                            "LAUNCHPLANE_ARTIFACT_ID", "LAUNCHPLANE_SOURCE_GIT_REF" };
	for (size_t i = 0; i < countof(keys); i++)
		replacement_note_bool(t, s, arena_printf(t->arena, "container_web_key_%s_present", keys[i]),
		                      strings_have(&config.env_keys, keys[i]));
}

SUSPENDS enum phase_outcome replacement_inspect(struct task *t, struct operation *op, struct err *err)
{
	struct replacement_state *s = op->state;
	struct dokploy d;
	struct dokploy_compose live;
	if (!dokploy_open(t, &d, err) || !dokploy_compose_one(t, &d, s->target_id, &live, err))
		return PHASE_FAILED;
	note_live(t, s, &live);
	replacement_note(t, s, "compose_status", live.status);
	replacement_note(t, s, "source_type", live.source_type);
	replacement_note(t, s, "deployment_record_count", arena_printf(t->arena, "%zu", live.deployments.n));
	const struct dokploy_deployment *latest = deployment_latest(&live.deployments);
	if (latest) {
		replacement_note(t, s, "latest_deployment_key", latest->id);
		replacement_note(t, s, "latest_deployment_status", latest->status);
		replacement_note(t, s, "latest_deployment_title", latest->title);
		replacement_note(t, s, "latest_deployment_created_at", latest->created_at);
		replacement_note(t, s, "latest_deployment_finished_at", latest->finished_at);
	}
	route_evidence_add(t->arena, "post_deploy_", live.compose_file, &s->hosts, &s->runtime_source);
	note_converted(t, op, &d, "post_deploy_converted_");
	note_containers(t, op, &d);
	return PHASE_DONE;
}
