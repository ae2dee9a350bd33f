#include "drivers/odoo/replacement.h"

#include "drivers/odoo/override_payload.h"
#include "storage/codes.h"
#include "storage/deployment.sql.h"
#include "storage/odoo_override.sql.h"

static const struct field release_fields[] = {
	F_STR(lane_release, promotion_record_id, 0),
	F_STR(lane_release, promoted_from, 0),
	F_STR(lane_release, gate_source, 0),
	F_STR(lane_release, gate_created_at, 0),
	F_OPT_OBJECT(lane_release, source_tuple, 0, &release_tuple_contract),
	F_OPT_OBJECT(lane_release, source_health, 0, &healthcheck_evidence_contract),
	F_STR(lane_release, snapshot_name, 0),
	F_STR(lane_release, source_channel, 0),
	F_STR(lane_release, rollback_started_at, 0),
	F_MAP(lane_release, backup, 0),
	F_BOOL(lane_release, backup_is_there, 0),
	F_END,
};
static const struct contract lane_release_contract =
        CONTRACT(lane_release, release_fields, "How an artifact comes to a prod lane, or leaves it");

static const struct field web_fields[] = {
	F_BOOL(lane_web_state, at_risk, 0),        F_BOOL(lane_web_state, workflow_proved, 0),
	F_STR(lane_web_state, failure_phase, 0),   F_STR(lane_web_state, failure_code, 0),
	F_STR(lane_web_state, failure_message, 0), F_END,
};
static const struct contract lane_web_contract =
        CONTRACT(lane_web_state, web_fields, "Web, which scripts on the host stop for a while");

static const struct field state_fields[] = {
	F_OPT_OBJECT(replacement_state, order, 0, &replacement_order_contract),
	F_ENUM(replacement_state, override_phase, 0, .names = override_phase_names, .fallback = "deploy"),
	F_BOOL(replacement_state, delegates, 0),
	F_BOOL(replacement_state, skips_deploy, 0),
	F_STR(replacement_state, deployment_record_id, 0),
	F_STR(replacement_state, artifact_id, 0),
	F_STR(replacement_state, source_git_ref, 0),
	F_STR(replacement_state, image_reference, 0),
	F_STR(replacement_state, context, 0),
	F_STR(replacement_state, target_id, 0),
	F_STR(replacement_state, target_name, 0),
	F_STR(replacement_state, project_name, 0),
	F_STR(replacement_state, app_name, 0),
	F_STR(replacement_state, server_id, 0),
	F_STR(replacement_state, base_url, 0),
	F_STR(replacement_state, health_url, 0),
	F_STR(replacement_state, preview_host, 0),
	F_STRINGS(replacement_state, hosts, 0),
	F_INT(replacement_state, runtime_port, 0),
	F_INT(replacement_state, deploy_timeout_s, 0, .fallback = "600"),
	F_INT(replacement_state, health_timeout_s, 0, .fallback = "180"),
	F_BOOL(replacement_state, requires_identity, 0),
	F_BOOL(replacement_state, data_restore, 0),
	F_STR(replacement_state, started_at, 0),
	F_STR(replacement_state, deploy_finished_at, 0),
	F_OPT_OBJECT(replacement_state, identity, 0, &runtime_identity_contract),
	F_MAP(replacement_state, runtime_source, 0),
	F_BOOL(replacement_state, identity_injected, 0),
	F_DOMAIN_WATCH(replacement_state, domains),
	F_DEPLOY_WATCH(replacement_state, deploy),
	F_ENUM(replacement_state, deploy_status, 0, .names = release_status_names, .fallback = "pending"),
	F_BOOL(replacement_state, override_found, 0),
	F_BOOL(replacement_state, override_rendered, 0),
	F_BOOL(replacement_state, override_website, 0),
	F_INT(replacement_state, override_count, 0),
	F_STR(replacement_state, override_sha256, 0),
	F_STR(replacement_state, override_in_web, 0),
	F_MAP(replacement_state, override_evidence, 0),
	F_STRINGS(replacement_state, required_keys, 0),
	F_OBJECT(replacement_state, workflow, 0, &host_run_contract),
	F_OBJECT(replacement_state, bootstrap_run, 0, &host_run_contract),
	F_ENUM(replacement_state, bootstrap_run_status, 0, .names = release_status_names, .fallback = "skipped"),
	F_OBJECT(replacement_state, release, 0, &lane_release_contract),
	F_OBJECT(replacement_state, web, 0, &lane_web_contract),
	F_ENUM(replacement_state, post_deploy_status, 0, .names = release_status_names, .fallback = "skipped"),
	F_ENUM(replacement_state, override_status, 0, .names = release_status_names, .fallback = "skipped"),
	F_OBJECT(replacement_state, verification, 0, &verification_evidence_contract),
	F_ENUM(replacement_state, health_status, 0, .names = release_status_names, .fallback = "skipped"),
	F_ENUM(replacement_state, canonical_status, 0, .names = release_status_names, .fallback = "skipped"),
	F_ENUM(replacement_state, logo_status, 0, .names = release_status_names, .fallback = "skipped"),
	F_ENUM(replacement_state, identity_status, 0, .names = identity_status_names, .fallback = "unchecked"),
	F_STR(replacement_state, identity_detail, 0),
	F_OPT_OBJECT(replacement_state, observed_identity, 0, &runtime_identity_contract),
	F_INT(replacement_state, verify_deadline_ms, 0),
	F_END,
};
const struct contract replacement_state_contract =
        CONTRACT(replacement_state, state_fields, "What the phases of a replacement hand on");

void replacement_note(struct task *t, struct replacement_state *s, const char *key, const char *value)
{
	map_set(t->arena, &s->runtime_source, key, value ? value : "");
}

void replacement_note_bool(struct task *t, struct replacement_state *s, const char *key, bool value)
{
	replacement_note(t, s, key, value ? "true" : "false");
}

const struct replacement_request *replacement_order(const struct operation *op)
{
	const struct replacement_state *s = op->state;
	return s->order ? s->order : op->request;
}

/* ---- records ---- */

void replacement_deployment(struct task *t, const struct operation *op, const struct err *failure,
                            struct deployment *out)
{
	const struct replacement_state *s = op->state;
	const struct replacement_request *r = replacement_order(op);
	struct artifact_reference *artifact = ARENA_NEW(t->arena, struct artifact_reference);
	*artifact = (struct artifact_reference){ s->artifact_id, 1 };
	struct resolved_target *target = ARENA_NEW(t->arena, struct resolved_target);
	*target = (struct resolved_target){ TARGET_COMPOSE, s->target_id, s->target_name };
	struct deployed_target *deployed = ARENA_NEW(t->arena, struct deployed_target);
	*deployed = (struct deployed_target){ .provider_id = "dokploy",
		                              .target_category = 2,
		                              .target_id = s->target_id,
		                              .display_name = s->target_name,
		                              .provider_target_type = "compose" };
	struct runtime_identity *identity = NULL;
	if (s->identity) {
		identity = ARENA_NEW(t->arena, struct runtime_identity);
		*identity = *s->identity;
	}
	*out = (struct deployment){
		.schema_version = 1,
		.record_id = s->deployment_record_id,
		.artifact_identity = artifact,
		.context = op->context,
		.instance = op->instance,
		.source_git_ref = s->source_git_ref,
		.wait_for_completion = true,
		.verify_destination_health = r->verify_health,
		.no_cache = r->no_cache,
		.resolved_target = target,
		.deployed_target = deployed,
		.runtime_source = s->runtime_source,
		.runtime_identity = identity,
		.deploy = { .target_name = s->target_name,
		            .target_type = TARGET_COMPOSE,
		            .deploy_mode = "dokploy-compose-api",
		            .deployment_id = "control-plane-dokploy",
		            .status = failure ? RELEASE_FAIL : s->deploy_status,
		            .started_at = s->started_at,
		            .finished_at = s->deploy_finished_at,
		            .provider_id = "dokploy",
		            .target_category = "compose",
		            .provider_target_type = "compose",
		            .provider_deploy_mode = "dokploy-compose-api" },
		.bootstrap = { .run_status = RELEASE_SKIPPED, .readiness_status = READINESS_SKIPPED, .detail = "" },
		.post_deploy_update = { .attempted = s->post_deploy_status != RELEASE_SKIPPED,
		                        .status = s->post_deploy_status,
		                        .detail = "",
		                        .evidence = s->override_evidence },
		.destination_health = { .status = RELEASE_SKIPPED, .runtime_identity_detail = "" },
	};
	if (failure && out->post_deploy_update.status == RELEASE_PENDING)
		out->post_deploy_update.status = RELEASE_FAIL;
	struct healthcheck_evidence *h = &out->destination_health;
	h->runtime_identity_status = s->identity_status;
	h->runtime_identity_detail = s->identity_detail;
	h->observed_runtime_identity = s->observed_identity;
	if (s->health_status != RELEASE_SKIPPED) {
		h->verified = true;
		h->status = s->health_status == RELEASE_PASS ? RELEASE_PASS : RELEASE_FAIL;
		strings_add(t->arena, &h->urls, s->health_url);
		h->timeout_seconds = (struct opt_int){ true, s->health_timeout_s };
	}
}

void replacement_write_deployment(struct task *t, struct operation *op, const struct deployment *d)
{
	operation_write(t, op, &Q_deployment_upsert,
	                PARAMS(P_TEXT(d->record_id), P_TEXT(d->context), P_TEXT(d->instance),
	                       P_TEXT(d->artifact_identity->artifact_id), P_TEXT(d->source_git_ref),
	                       P_TEXT(d->deploy.started_at), P_TEXT(d->deploy.finished_at),
	                       P_TEXT(contract_text(t->arena, &deployment_contract, d))));
}

void replacement_write_inventory(struct task *t, struct operation *op, const struct deployment *d,
                                 const char *bootstrap_record_id)
{
	const struct replacement_state *s = op->state;
	struct inventory i;
	inventory_from_deployment(d, utc_now(t), bootstrap_record_id, &i);
	i.promotion_record_id = s->release.promotion_record_id;
	i.promoted_from_instance = s->release.promoted_from;
	operation_write(t, op, &Q_inventory_upsert,
	                PARAMS(P_TEXT(i.context), P_TEXT(i.instance), P_TEXT(d->artifact_identity->artifact_id),
	                       P_TEXT(i.source_git_ref), P_TEXT(i.updated_at), P_TEXT(i.deployment_record_id),
	                       P_TEXT(i.promotion_record_id), P_TEXT(i.promoted_from_instance),
	                       P_TEXT(contract_text(t->arena, &inventory_contract, &i))));
}

static void write_tuple(struct task *t, struct operation *op, const struct release_tuple *tuple)
{
	op->release_tuple_id = tuple->tuple_id;
	operation_write(t, op, &Q_release_tuple_upsert,
	                PARAMS(P_TEXT(tuple->context), P_TEXT(tuple->channel), P_TEXT(tuple->tuple_id),
	                       P_TEXT(tuple->artifact_id), P_TEXT(tuple->minted_at),
	                       P_TEXT(tuple->provenance == TUPLE_PROMOTION ? "promotion" : "ship"),
	                       P_TEXT(contract_text(t->arena, &release_tuple_contract, tuple))));
}

void replacement_write_last_apply(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	int status = failure && s->override_status == RELEASE_PENDING ? RELEASE_FAIL : s->override_status;
	if (!s->override_found || (status != RELEASE_PASS && status != RELEASE_FAIL))
		return;
	struct json apply = json_object();
	json_set(t->arena, &apply, "attempted", json_of_bool(true));
	json_set_str(t->arena, &apply, "status", release_status_names[status]);
	json_set_str(t->arena, &apply, "applied_at", utc_now(t));
	json_set_str(t->arena, &apply, "detail", failure ? arena_strdup(t->arena, failure->message) : "");
	operation_write(t, op, &Q_odoo_override_note_apply,
	                PARAMS(P_TEXT(op->context), P_TEXT(op->instance), P_TEXT(json_text(t->arena, &apply)),
	                       P_TEXT(utc_now(t)), P_TEXT("odoo-post-deploy-driver")));
}

static SUSPENDS void conclude_records(struct task *t, struct operation *op, const struct err *failure)
{
	struct replacement_state *s = op->state;
	struct deployment d;
	struct err err = { 0 };
	if (!s->deployment_record_id[0])
		return; /* it ended before there was a deployment to speak of */
	replacement_deployment(t, op, failure, &d);
	if (d.deploy.status == RELEASE_PASS && d.runtime_identity)
		d.runtime_identity->deployed_at = utc_now(t);
	replacement_write_deployment(t, op, &d);
	replacement_write_last_apply(t, op, failure);
	if (failure)
		return;
	const struct lane lane = { .context = op->context, .instance = op->instance };
	bool found;
	struct inventory before;
	struct artifact_manifest manifest;
	struct release_tuple tuple;
	bool known = read_inventory(t, &lane, &before, &found, &err) && found;
	if (err.code && operation_put_off(op, &err))
		return;
	replacement_write_inventory(t, op, &d, known ? before.bootstrap_record_id : "");
	if (s->release.source_tuple) {
		release_tuple_promote(t->arena, s->release.source_tuple, op->instance, s->deployment_record_id,
		                      s->release.promotion_record_id, utc_now(t), &tuple);
		write_tuple(t, op, &tuple);
		return;
	}
	if (read_manifest(t, s->artifact_id, &manifest, &found, &err) && found &&
	    release_tuple_mint(t->arena, &manifest, op->context, op->instance, s->deployment_record_id, utc_now(t),
	                       &tuple, &err))
		write_tuple(t, op, &tuple);
	else if (err.code)
		operation_put_off(op, &err);
}

/* ---- the result ---- */

static void put_status(struct task *t, struct json *o, const char *key, int status)
{
	json_set_str(t->arena, o, key, release_status_names[status]);
}

struct json json_of_map(struct arena *a, const struct text_map *map)
{
	struct json o = json_object();
	for (size_t i = 0; i < map->n; i++)
		json_set_str(a, &o, map->v[i].key, map->v[i].value);
	return o;
}

struct json json_of_strings(struct arena *a, const struct strings *list)
{
	struct json o = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_push(a, &o, json_of_str(list->v[i]));
	return o;
}

/* facts/odoo.md 4.6 */
static void write_result(struct task *t, struct operation *op, const struct err *failure)
{
	const struct replacement_state *s = op->state;
	struct json *o = ARENA_NEW(t->arena, struct json);
	*o = json_object();
	json_set_str(t->arena, o, "product", op->product);
	json_set_str(t->arena, o, "context", op->context);
	json_set_str(t->arena, o, "instance", op->instance);
	json_set_str(t->arena, o, "strategy", "recreate-in-place");
	json_set_str(t->arena, o, "deployment_record_id", s->deployment_record_id);
	json_set_str(t->arena, o, "release_tuple_id", op->release_tuple_id);
	json_set_str(t->arena, o, "deploy_status", s->deploy_status == RELEASE_PASS ? "pass" : "fail");
	put_status(t, o, "post_deploy_status",
	           failure && s->post_deploy_status == RELEASE_PENDING ? RELEASE_FAIL : s->post_deploy_status);
	put_status(t, o, "post_deploy_override_status",
	           failure && s->override_status == RELEASE_PENDING ? RELEASE_FAIL : s->override_status);
	json_set(t->arena, o, "post_deploy_override_record_found", json_of_bool(s->override_found));
	json_set(t->arena, o, "post_deploy_override_payload_rendered", json_of_bool(s->override_rendered));
	json_set(t->arena, o, "post_deploy_website_bootstrap_included", json_of_bool(s->override_website));
	json_set(t->arena, o, "post_deploy_override_count", json_of_int(s->override_count));
	json_set(t->arena, o, "post_deploy_override_evidence", json_of_map(t->arena, &s->override_evidence));
	put_status(t, o, "health_status", s->health_status);
	put_status(t, o, "canonical_status", s->canonical_status);
	put_status(t, o, "logo_status", s->logo_status);
	json_set_str(t->arena, o, "health_url", s->health_url);
	json_set_str(t->arena, o, "canonical_url", s->base_url);
	json_set(t->arena, o, "logo_urls", json_of_strings(t->arena, &s->verification.logo_urls));
	json_set(t->arena, o, "verification_evidence",
	         contract_json(t->arena, &verification_evidence_contract, &s->verification, false));
	json_set(t->arena, o, "runtime_identity_injected", json_of_bool(s->identity_injected));
	json_set_str(t->arena, o, "runtime_identity_status", identity_status_names[s->identity_status]);
	json_set_str(t->arena, o, "target_id", s->target_id);
	json_set_str(t->arena, o, "target_name", s->target_name);
	json_set_str(t->arena, o, "artifact_id", s->artifact_id);
	json_set_str(t->arena, o, "image_reference", s->image_reference);
	json_set(t->arena, o, "runtime_source", json_of_map(t->arena, &s->runtime_source));
	json_set_str(t->arena, o, "error_message", failure ? arena_strdup(t->arena, failure->message) : "");
	op->result = o;
}

SUSPENDS void replacement_conclude(struct task *t, struct operation *op, const struct err *failure)
{
	struct replacement_state *s = op->state;
	if (!failure)
		s->deploy_status = RELEASE_PASS;
	if (!s->deploy_finished_at[0])
		s->deploy_finished_at = utc_now(t);
	conclude_records(t, op, failure);
	write_result(t, op, failure);
}

/* ---- the kind ---- */

int replacement_deploy_limit(const struct operation *op)
{
	const struct replacement_state *s = op->state;
	return (int)s->deploy_timeout_s;
}

int replacement_health_limit(const struct operation *op)
{
	const struct replacement_state *s = op->state;
	return (int)s->health_timeout_s;
}

static const struct phase phases[] = { REPLACEMENT_PHASES, { 0 } };

const struct op_kind odoo_replacement_kind = {
	.name = "odoo_stable_target_replacement",
	.id_prefix = "odoo-target-replacement",
	.help = "Replaces an Odoo stable target in place with an artifact, and proves that it runs",
	.request = &replacement_apply_request_contract,
	.state = &replacement_state_contract,
	.phases = phases,
	.busy = &E_odoo_stable_target_replacement_operation_active,
	.conclude = replacement_conclude,
	.recover = lane_recover,
};
