#include "storage/deployment.h"

static const char *const executor_names[] = { "control-plane.dokploy", NULL };

static bool check_deployment(struct arena *a, void *record, const char *path, struct err *err)
{
	(void)path;
	(void)err;
	struct deployment *d = record;
	if (!d->deployed_target && d->resolved_target) {
		const char *type = target_type_names[d->resolved_target->target_type];
		d->deployed_target = ARENA_NEW(a, struct deployed_target);
		*d->deployed_target = (struct deployed_target){
			.provider_id = "dokploy",
			.target_category = d->resolved_target->target_type == TARGET_COMPOSE ? 2 : 1,
			.target_id = d->resolved_target->target_id,
			.display_name = d->resolved_target->target_name,
			.provider_target_type = type,
		};
	}
	return true;
}

static const struct field deployment_fields[] = {
	F_SCHEMA_VERSION(deployment),
	F_STR(deployment, record_id, REQUIRED | NON_BLANK | NO_BLANKS, .max = 300, .help = "Chosen by the caller"),
	F_OPT_OBJECT(deployment, artifact_identity, 0, &artifact_reference_contract),
	F_STR(deployment, context, REQUIRED | NON_BLANK, .max = 200),
	F_STR(deployment, instance, REQUIRED | NON_BLANK, .max = 200),
	F_STR(deployment, source_git_ref, REQUIRED | NON_BLANK, .max = 500),
	F_BOOL(deployment, wait_for_completion, 0, .fallback = "true"),
	F_BOOL(deployment, verify_destination_health, 0, .fallback = "true"),
	F_BOOL(deployment, no_cache, 0, .fallback = "false"),
	F_ENUM(deployment, delegated_executor, 0, .names = executor_names, .fallback = "control-plane.dokploy"),
	F_OPT_OBJECT(deployment, resolved_target, 0, &resolved_target_contract),
	F_OPT_OBJECT(deployment, deployed_target, 0, &deployed_target_contract,
	             .help = "Default: from resolved_target"),
	F_MAP(deployment, runtime_source, 0),
	F_OPT_OBJECT(deployment, runtime_identity, 0, &runtime_identity_contract, .help = "The expected identity"),
	F_OBJECT(deployment, deploy, REQUIRED, &deploy_evidence_contract),
	F_OBJECT(deployment, bootstrap, 0, &bootstrap_evidence_contract),
	F_OBJECT(deployment, post_deploy_update, 0, &post_deploy_evidence_contract),
	F_OBJECT(deployment, destination_health, 0, &healthcheck_evidence_contract),
	F_END,
};
const struct contract deployment_contract =
        CONTRACT(deployment, deployment_fields, "A deployment of an artifact to a lane", .check = check_deployment);

static const struct field deployment_evidence_request_fields[] = {
	F_SCHEMA_VERSION(deployment_evidence_request),
	F_STR(deployment_evidence_request, product, REQUIRED | NON_BLANK, .max = 200),
	F_OBJECT(deployment_evidence_request, deployment, REQUIRED, &deployment_contract),
	F_END,
};
const struct contract deployment_evidence_request_contract = CONTRACT(
        deployment_evidence_request, deployment_evidence_request_fields, "Evidence of a deployment that happened");

static bool check_inventory(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct inventory *i = record;
	if (!is_blank(i->promotion_record_id) != !is_blank(i->promoted_from_instance))
		return contract_fail(a, err, path, "promoted_from_instance",
		                     "and promotion_record_id appear together only");
	return true;
}

static const struct field inventory_fields[] = {
	F_SCHEMA_VERSION(inventory),
	F_STR(inventory, context, REQUIRED | NON_BLANK),
	F_STR(inventory, instance, REQUIRED | NON_BLANK),
	F_OPT_OBJECT(inventory, artifact_identity, 0, &artifact_reference_contract),
	F_STR(inventory, source_git_ref, REQUIRED | NON_BLANK),
	F_OBJECT(inventory, deploy, REQUIRED, &deploy_evidence_contract),
	F_OBJECT(inventory, post_deploy_update, 0, &post_deploy_evidence_contract),
	F_OBJECT(inventory, destination_health, 0, &healthcheck_evidence_contract),
	F_STR(inventory, updated_at, REQUIRED | NON_BLANK),
	F_STR(inventory, deployment_record_id, REQUIRED | NON_BLANK),
	F_STR(inventory, promotion_record_id, 0),
	F_STR(inventory, promoted_from_instance, 0),
	F_OPT_OBJECT(inventory, runtime_identity, 0, &runtime_identity_contract),
	F_STR(inventory, bootstrap_record_id, 0),
	F_END,
};
const struct contract inventory_contract =
        CONTRACT(inventory, inventory_fields, "What runs in a lane now", .check = check_inventory);

void inventory_from_deployment(const struct deployment *d, const char *updated_at, const char *bootstrap_record_id,
                               struct inventory *out)
{
	*out = (struct inventory){
		.schema_version = 1,
		.context = d->context,
		.instance = d->instance,
		.artifact_identity = d->artifact_identity,
		.source_git_ref = d->source_git_ref,
		.deploy = d->deploy,
		.post_deploy_update = d->post_deploy_update,
		.destination_health = d->destination_health,
		.updated_at = updated_at,
		.deployment_record_id = d->record_id,
		.promotion_record_id = "",
		.promoted_from_instance = "",
		.runtime_identity = d->runtime_identity,
		.bootstrap_record_id = bootstrap_record_id ? bootstrap_record_id : "",
	};
}

const char *inventory_record_id(struct arena *a, const char *context, const char *instance)
{
	return arena_printf(a, "%s-%s", context, instance);
}
