/* The documents of previews: what is asked for, the plan, what phases hand on (facts/odoo.md 15). */
#include "drivers/odoo/preview.h"

/* ---- inputs ---- */

static const struct field inputs_fields[] = {
	F_SCHEMA_VERSION(preview_inputs),
	F_STR(preview_inputs, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_ENUM(preview_inputs, operation, REQUIRED, .names = preview_operation_names),
	F_INT(preview_inputs, pr_number, REQUIRED, .min = 1, .max = INT32_MAX),
	F_STR(preview_inputs, preview_slug, LOWERED, .max = 100, .help = "Default: from the profile's slug_template"),
	F_STR(preview_inputs, preview_url, TRIMMED, .max = 500,
	      .help = "Default: the slug below the context's LAUNCHPLANE_PREVIEW_BASE_URL"),
	F_STR(preview_inputs, image_reference, TRIMMED, .max = 500,
	      .help = "<repository>@sha256:<64 hex>; a refresh needs it or manifest"),
	F_OPT_OBJECT(preview_inputs, manifest, 0, &artifact_manifest_contract),
	F_STR(preview_inputs, source_git_ref, TRIMMED, .max = 200, .help = "Default: the manifest's commit"),
	F_STR(preview_inputs, source, TRIMMED, .max = 200, .help = "Who asks, for people"),
	F_INT(preview_inputs, timeout_seconds, 0, .min = 1, .max = 86400, .fallback = "300"),
	F_BOOL(preview_inputs, no_cache, 0, .fallback = "false"),
	F_END,
};
const struct contract preview_inputs_contract =
        CONTRACT(preview_inputs, inputs_fields, "A pull request whose preview is to be made or taken down");

/* ---- the plan ---- */

static const struct field plan_fields[] = {
	F_STR(preview_plan, status, REQUIRED, .max = 20, .help = "ready or blocked"),
	F_BOOL(preview_plan, dry_run, 0, .fallback = "true"),
	F_ENUM(preview_plan, operation, REQUIRED, .names = preview_operation_names),
	F_STR(preview_plan, product, REQUIRED | TRIMMED | NON_BLANK, .max = 200),
	F_STR(preview_plan, repository, REQUIRED | NON_BLANK, .max = 300),
	F_STR(preview_plan, preview_slug, REQUIRED | LOWERED | NON_BLANK, .max = 100),
	F_STR(preview_plan, preview_url, 0, .max = 500),
	F_STR(preview_plan, domain_host, 0, .max = 300),
	F_STR(preview_plan, compose_ref, 0, .max = 300,
	      .help = "The compose service, or what will stand for the new one"),
	F_STR(preview_plan, compose_name, 0, .max = 200),
	F_STR(preview_plan, environment_id, 0, .max = 200),
	F_STR(preview_plan, template_compose_id, 0, .max = 200),
	F_BOOL(preview_plan, no_cache, 0, .fallback = "false"),
	F_BOOL(preview_plan, delete_volumes, 0, .fallback = "true"),
	F_INT(preview_plan, runtime_port, 0, .min = 0, .max = 65535),
	F_JSON(preview_plan, blockers, 0, .help = "[{code, message}]"),
	F_JSON(preview_plan, operations, 0, .help = "Calls to the provider, in order"),
	F_JSON(preview_plan, rollback_operations, 0),
	F_STR(preview_plan, summary, 0),
	F_END,
};
const struct contract preview_plan_contract =
        CONTRACT(preview_plan, plan_fields, "What would be done for a preview, as preview-apply-inputs answers it");

/* ---- apply ---- */

static bool check_apply(struct arena *a, void *record, const char *path, struct err *err)
{
	struct preview_apply *r = record;
	if (strcmp(r->dry_run_plan.status, "ready") != 0)
		return contract_fail(a, err, path, "dry_run_plan.status", "must be ready; see the plan's blockers");
	if (r->health_path[0] != '/' || r->health_path[strcspn(r->health_path, " ?#\\")])
		return contract_fail(a, err, path, "health_path", "must be a path from / on, without query");
	if (r->smoke_check && !r->wait_for_deploy)
		return contract_fail(a, err, path, "smoke_check", "needs wait_for_deploy");
	/* The service resolves both by itself; what a caller sends is neither used nor kept. */
	r->environment_values = NULL;
	r->compose_file = "";
	return true;
}

static const struct field apply_fields[] = {
	F_SCHEMA_VERSION(preview_apply),
	F_OBJECT(preview_apply, dry_run_plan, REQUIRED, &preview_plan_contract),
	F_STR(preview_apply, image_reference, TRIMMED, .max = 500),
	F_OPT_OBJECT(preview_apply, manifest, 0, &artifact_manifest_contract),
	F_JSON(preview_apply, environment_values, 0, .help = "Not used: the service resolves the values"),
	F_STR(preview_apply, compose_file, 0, .max = 1 << 20, .help = "Not used: the service renders the file"),
	F_STR(preview_apply, health_path, TRIMMED, .fallback = "/web/health", .max = 200),
	F_INT(preview_apply, timeout_seconds, 0, .min = 1, .max = 86400, .fallback = "300",
	      .help = "Longest wait for the deploy, and for the smoke check"),
	F_BOOL(preview_apply, wait_for_deploy, 0, .fallback = "true"),
	F_BOOL(preview_apply, smoke_check, 0, .fallback = "true"),
	F_END,
};
const struct contract preview_apply_contract =
        CONTRACT(preview_apply, apply_fields, "A plan to be carried out", .check = check_apply);

/* ---- state ---- */

static const struct field step_fields[] = {
	F_STR(preview_step, name, 0),
	F_STR(preview_step, target, 0),
	F_STR(preview_step, status, 0),
	F_STR(preview_step, detail, 0),
	F_END,
};
static const struct contract step_contract = CONTRACT(preview_step, step_fields, "One step at the provider");
static const struct field state_fields[] = {
	F_STR(preview_state_kept, context, 0),
	F_STR(preview_state_kept, repo, 0),
	F_STR(preview_state_kept, repository, 0),
	F_STR(preview_state_kept, slug, 0),
	F_STR(preview_state_kept, url, 0),
	F_STR(preview_state_kept, host, 0),
	F_STR(preview_state_kept, compose_id, 0),
	F_STR(preview_state_kept, compose_name, 0),
	F_STR(preview_state_kept, environment_id, 0),
	F_STR(preview_state_kept, template_compose_id, 0),
	F_STR(preview_state_kept, server_id, 0),
	F_STR(preview_state_kept, image_reference, 0),
	F_STR(preview_state_kept, artifact_id, 0),
	F_STR(preview_state_kept, source_git_ref, 0),
	F_INT(preview_state_kept, pr_number, 0),
	F_INT(preview_state_kept, sequence, 0),
	F_INT(preview_state_kept, runtime_port, 0),
	F_STR(preview_state_kept, preview_id, 0),
	F_STR(preview_state_kept, generation_id, 0),
	F_STR(preview_state_kept, domain_id, 0),
	F_STR(preview_state_kept, transition, 0),
	F_BOOL(preview_state_kept, is_staged, 0),
	F_BOOL(preview_state_kept, created_compose, 0),
	F_BOOL(preview_state_kept, domain_existed, 0),
	F_BOOL(preview_state_kept, asked_for_compose, 0),
	F_BOOL(preview_state_kept, is_fenced, 0),
	F_BOOL(preview_state_kept, is_recorded, 0),
	F_LIST(preview_state_kept, steps, 0, &step_contract),
	F_STRINGS(preview_state_kept, hosts, 0),
	F_STRINGS(preview_state_kept, rollback_errors, 0),
	F_STR(preview_state_kept, failure_code, 0),
	F_STR(preview_state_kept, failure_message, 0),
	F_STR(preview_state_kept, failure_stage, 0),
	F_BOOL(preview_state_kept, deploy_acknowledged, 0),
	F_INT(preview_state_kept, deploy_requests, 0),
	F_INT(preview_state_kept, absent_since_ms, 0),
	F_STR(preview_state_kept, provider_deployment_id, 0),
	F_STR(preview_state_kept, smoke_status, 0, .fallback = "skipped"),
	F_OPT_OBJECT(preview_state_kept, identity, 0, &runtime_identity_contract),
	F_END,
};
const struct contract preview_state_contract =
        CONTRACT(preview_state_kept, state_fields, "What the phases of a preview hand on: names, ids and statuses");

/* ---- what both kinds share ---- */

void preview_step_done(struct task *t, struct preview_state_kept *s, const char *name, const char *target,
                       const char *status, const char *detail)
{
	struct preview_step *v = arena_array(t->arena, s->steps.n + 1, sizeof(*v));
	size_t n = 0;
	for (size_t i = 0; i < s->steps.n; i++)
		if (strcmp(s->steps.v[i].name, name) != 0) /* the last run of a step is its evidence */
			v[n++] = s->steps.v[i];
	v[n++] = (struct preview_step){ name, target, status, detail };
	s->steps.v = v;
	s->steps.n = n;
}

struct json *preview_result(struct task *t, const struct operation *op, const struct err *failure)
{
	const struct preview_state_kept *s = op->state;
	const struct preview_apply *r = op->request;
	struct arena *a = t->arena;
	struct json *o = ARENA_NEW(a, struct json), steps = json_array(), errors = json_array(),
	            records = json_object();
	*o = json_object();
	for (size_t i = 0; i < s->steps.n; i++)
		json_push(a, &steps, contract_json(a, &step_contract, &s->steps.v[i], false));
	for (size_t i = 0; i < s->rollback_errors.n; i++)
		json_push(a, &errors, json_of_str(s->rollback_errors.v[i]));
	bool blocked = failure && !s->steps.n;
	json_set_str(a, o, "status", blocked ? "blocked" : failure ? "fail" : "pass");
	json_set_str(a, o, "operation", preview_operation_names[r->dry_run_plan.operation]);
	json_set_str(a, o, "product", op->product);
	json_set_str(a, o, "repository", r->dry_run_plan.repository);
	json_set_str(a, o, "preview_slug", r->dry_run_plan.preview_slug);
	json_set_str(a, o, "preview_url", r->dry_run_plan.preview_url);
	json_set_str(a, o, "domain_host", r->dry_run_plan.domain_host);
	json_set_str(a, o, "compose_id", s->compose_id);
	json_set_str(a, o, "compose_name", r->dry_run_plan.compose_name);
	json_set(a, o, "created_compose", json_of_bool(s->created_compose));
	json_set_str(a, o, "domain_id", s->domain_id);
	json_set(a, o, "steps", steps);
	json_set(a, o, "rollback_errors", errors);
	json_set_str(a, o, "error_message", failure ? arena_strdup(a, failure->message) : "");
	json_set_str(a, &records, "compose_id", s->compose_id);
	json_set_str(a, &records, "domain_id", s->domain_id);
	json_set_str(a, &records, "preview_id", s->preview_id);
	json_set_str(a, &records, "generation_id", s->generation_id);
	json_set_str(a, &records, "transition", s->transition);
	json_set_str(a, &records, "preview_status", failure ? "fail" : "pass");
	json_set(a, o, "records", records);
	return o;
}
