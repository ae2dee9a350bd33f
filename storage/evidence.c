#include "storage/evidence.h"

const char *const release_status_names[] = { "pending", "pass", "fail", "skipped", NULL };
const char *const target_type_names[] = { "compose", "application", NULL };
const char *const target_category_names[] = { "unknown", "application", "compose", "container",
	                                      "service", "static",      NULL };
const char *const identity_status_names[] = { "unchecked", "match",        "mismatch", "missing",
	                                      "malformed", "unverifiable", NULL };
static const char *const readiness_status_names[] = {
	"pending", "pass", "fail", "verification_failed", "skipped", NULL
};

static const struct field artifact_reference_fields[] = {
	F_STR(artifact_reference, artifact_id, REQUIRED | NON_BLANK, .help = "Artifact id; may be an image reference"),
	F_INT(artifact_reference, manifest_version, 0, .min = 1, .fallback = "1"),
	F_END,
};
const struct contract artifact_reference_contract =
        CONTRACT(artifact_reference, artifact_reference_fields, "Names an artifact");

static const struct field runtime_identity_fields[] = {
	F_SCHEMA_VERSION(runtime_identity),
	F_STR(runtime_identity, product, 0),
	F_STR(runtime_identity, context, REQUIRED | NON_BLANK),
	F_STR(runtime_identity, instance, REQUIRED | NON_BLANK),
	F_STR(runtime_identity, environment_kind, 0, .fallback = "stable", .help = "stable, or preview"),
	F_STR(runtime_identity, deployment_record_id, REQUIRED | NON_BLANK),
	F_STR(runtime_identity, artifact_id, REQUIRED | NON_BLANK),
	F_STR(runtime_identity, source_git_ref, REQUIRED | NON_BLANK),
	F_STR(runtime_identity, image_reference, 0),
	F_STR(runtime_identity, release_tuple_id, 0),
	F_STR(runtime_identity, preview_id, 0),
	F_STR(runtime_identity, preview_generation_id, 0),
	F_STR(runtime_identity, deployed_at, 0),
	F_END,
};
const struct contract runtime_identity_contract = CONTRACT(
        runtime_identity, runtime_identity_fields, "What a running target is, as its health endpoint may echo it");

static bool check_health(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct healthcheck_evidence *h = record;
	if (!h->verified)
		return true;
	if (h->urls.n == 0)
		return contract_fail(a, err, path, "urls", "must name at least one URL when verified is true");
	if (!h->timeout_seconds.is_set)
		return contract_fail(a, err, path, "timeout_seconds", "is required when verified is true");
	if (h->status != RELEASE_PASS && h->status != RELEASE_FAIL)
		return contract_fail(a, err, path, "status", "must be pass or fail when verified is true");
	return true;
}

static const struct field healthcheck_evidence_fields[] = {
	F_BOOL(healthcheck_evidence, verified, 0, .fallback = "false"),
	F_STRINGS(healthcheck_evidence, urls, NON_BLANK, .help = "Alternatives; the first that answers counts"),
	F_OPT_INT(healthcheck_evidence, timeout_seconds, 0, .min = 1),
	F_ENUM(healthcheck_evidence, status, 0, .names = release_status_names, .fallback = "skipped"),
	F_ENUM(healthcheck_evidence, runtime_identity_status, 0, .names = identity_status_names,
	       .fallback = "unchecked"),
	F_STR(healthcheck_evidence, runtime_identity_detail, 0),
	F_OPT_OBJECT(healthcheck_evidence, observed_runtime_identity, 0, &runtime_identity_contract),
	F_END,
};
const struct contract healthcheck_evidence_contract =
        CONTRACT(healthcheck_evidence, healthcheck_evidence_fields, "What a health check saw", .check = check_health);

static const struct field target_reference_fields[] = {
	F_STR(target_reference_input, target_name, 0),
	F_STR(target_reference_input, provider_id, 0),
	F_STR(target_reference_input, target_category, 0),
	F_STR(target_reference_input, provider_target_type, 0),
	F_END,
};
static const struct contract target_reference_contract = CONTRACT(
        target_reference_input, target_reference_fields, "Compatibility input; fills the flat fields beside it");

static bool fold_in(struct arena *a, const char *path, const char *member, const char **flat, const char *given,
                    bool is_default, struct err *err)
{
	if (is_blank(given))
		return true;
	if (is_blank(*flat) || is_default)
		*flat = given;
	else if (strcmp(*flat, given) != 0)
		return contract_fail(a, err, path, member,
		                     "does not agree with the same field beside target_reference");
	return true;
}

static bool is_category(const char *s)
{
	for (size_t i = 0; target_category_names[i]; i++)
		if (strcmp(s, target_category_names[i]) == 0)
			return true;
	return false;
}

static bool must_equal_type(const char *value, const char *type)
{
	return (strcmp(value, "application") == 0 || strcmp(value, "compose") == 0) && strcmp(value, type) != 0;
}

static bool check_deploy(struct arena *a, void *record, const char *path, struct err *err)
{
	struct deploy_evidence *d = record;
	const char *type = target_type_names[d->target_type];
	if (d->target_reference) {
		const struct target_reference_input *r = d->target_reference;
		const char *at = contract_field_path(a, path, "target_reference");
		if (!fold_in(a, at, "target_name", &d->target_name, r->target_name, false, err) ||
		    !fold_in(a, at, "provider_id", &d->provider_id, r->provider_id,
		             strcmp(d->provider_id, "dokploy") == 0, err) ||
		    !fold_in(a, at, "target_category", &d->target_category, r->target_category, false, err) ||
		    !fold_in(a, at, "provider_target_type", &d->provider_target_type, r->provider_target_type, false,
		             err))
			return false;
		d->target_reference = NULL;
	}
	if (is_blank(d->provider_id))
		return contract_fail(a, err, path, "provider_id", "must not be blank");
	if (is_blank(d->target_category))
		d->target_category = type;
	if (!is_category(d->target_category))
		return contract_fail(a, err, path, "target_category",
		                     "must be one of unknown, application, compose, container, service, static");
	if (must_equal_type(d->target_category, type))
		return contract_fail(a, err, path, "target_category", "must be %s like target_type", type);
	if (is_blank(d->provider_target_type))
		d->provider_target_type = type;
	if (must_equal_type(d->provider_target_type, type))
		return contract_fail(a, err, path, "provider_target_type", "must be %s like target_type", type);
	if (is_blank(d->provider_deploy_mode))
		d->provider_deploy_mode = d->deploy_mode;
	return true;
}

static const struct field deploy_evidence_fields[] = {
	F_STR(deploy_evidence, target_name, REQUIRED | TRIMMED | NON_BLANK),
	F_ENUM(deploy_evidence, target_type, REQUIRED, .names = target_type_names),
	F_STR(deploy_evidence, deploy_mode, REQUIRED, .help = "How it was deployed, in the deployer's words"),
	F_STR(deploy_evidence, deployment_id, 0, .help = "The provider's id of the run"),
	F_ENUM(deploy_evidence, status, 0, .names = release_status_names, .fallback = "pending"),
	F_STR(deploy_evidence, started_at, 0, .help = "UTC, kept as sent"),
	F_STR(deploy_evidence, finished_at, 0, .help = "UTC, kept as sent"),
	F_STR(deploy_evidence, provider_id, LOWERED, .fallback = "dokploy"),
	F_STR(deploy_evidence, target_category, 0, .help = "Default: target_type"),
	F_STR(deploy_evidence, provider_target_type, LOWERED, .help = "Default: target_type"),
	F_STR(deploy_evidence, provider_deploy_mode, TRIMMED, .help = "Default: deploy_mode"),
	F_OPT_OBJECT(deploy_evidence, target_reference, SECRET, &target_reference_contract,
	             .help = "Compatibility input: fills blanks of the flat fields, is never stored"),
	F_END,
};
const struct contract deploy_evidence_contract = CONTRACT(
        deploy_evidence, deploy_evidence_fields, "One run of a deployment at a provider", .check = check_deploy);

static bool check_attempt(struct arena *a, bool attempted, int status, const char *path, struct err *err)
{
	if (!attempted && status != RELEASE_SKIPPED)
		return contract_fail(a, err, path, "status", "must be skipped when attempted is false");
	if (attempted && status == RELEASE_SKIPPED)
		return contract_fail(a, err, path, "status", "must be pending, pass or fail when attempted is true");
	return true;
}

static bool check_post_deploy(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct post_deploy_evidence *p = record;
	return check_attempt(a, p->attempted, p->status, path, err);
}

static const struct field post_deploy_evidence_fields[] = {
	F_BOOL(post_deploy_evidence, attempted, 0, .fallback = "false"),
	F_ENUM(post_deploy_evidence, status, 0, .names = release_status_names, .fallback = "skipped"),
	F_STR(post_deploy_evidence, detail, 0),
	F_MAP(post_deploy_evidence, evidence, 0),
	F_END,
};
const struct contract post_deploy_evidence_contract =
        CONTRACT(post_deploy_evidence, post_deploy_evidence_fields, "The update run after a deployment",
                 .check = check_post_deploy);

static bool check_bootstrap(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct bootstrap_evidence *b = record;
	if (!b->attempted) {
		if (b->run_status != RELEASE_SKIPPED)
			return contract_fail(a, err, path, "run_status", "must be skipped when attempted is false");
		if (b->readiness_status != READINESS_SKIPPED)
			return contract_fail(a, err, path, "readiness_status",
			                     "must be skipped when attempted is false");
		return true;
	}
	if (b->run_status == RELEASE_SKIPPED)
		return contract_fail(a, err, path, "run_status", "must not be skipped when attempted is true");
	if (b->readiness_status == READINESS_SKIPPED)
		return contract_fail(a, err, path, "readiness_status", "must not be skipped when attempted is true");
	if (b->run_status == RELEASE_FAIL && b->readiness_status != READINESS_FAIL &&
	    b->readiness_status != READINESS_PENDING)
		return contract_fail(a, err, path, "readiness_status",
		                     "must be fail or pending when run_status is fail");
	return true;
}

static const struct field bootstrap_evidence_fields[] = {
	F_BOOL(bootstrap_evidence, attempted, 0, .fallback = "false"),
	F_ENUM(bootstrap_evidence, run_status, 0, .names = release_status_names, .fallback = "skipped"),
	F_ENUM(bootstrap_evidence, readiness_status, 0, .names = readiness_status_names, .fallback = "skipped"),
	F_STR(bootstrap_evidence, detail, 0),
	F_END,
};
const struct contract bootstrap_evidence_contract =
        CONTRACT(bootstrap_evidence, bootstrap_evidence_fields, "A destructive bootstrap and its readiness",
                 .check = check_bootstrap);

static const struct field resolved_target_fields[] = {
	F_ENUM(resolved_target, target_type, REQUIRED, .names = target_type_names),
	F_STR(resolved_target, target_id, REQUIRED | NON_BLANK),
	F_STR(resolved_target, target_name, REQUIRED | NON_BLANK),
	F_END,
};
const struct contract resolved_target_contract =
        CONTRACT(resolved_target, resolved_target_fields, "The Dokploy target a deployment was aimed at");

static const struct field deployed_target_fields[] = {
	F_STR(deployed_target, provider_id, REQUIRED | LOWERED | NON_BLANK),
	F_ENUM(deployed_target, target_category, 0, .names = target_category_names, .fallback = "unknown"),
	F_STR(deployed_target, target_id, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(deployed_target, display_name, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(deployed_target, provider_target_type, 0),
	F_MAP(deployed_target, provider_evidence, TRIMMED),
	F_END,
};
const struct contract deployed_target_contract =
        CONTRACT(deployed_target, deployed_target_fields, "A provider's target, whatever the provider");
