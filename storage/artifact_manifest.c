#include "storage/artifact_manifest.h"

#include <ctype.h>

static const char *const role_names[] = { "runtime", "devtools", NULL };
static const char *const provenance_names[] = { "ship", "promotion", NULL };

static const struct field image_fields[] = {
	F_STR(image_reference, repository, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 500),
	F_STR(image_reference, digest, REQUIRED | TRIMMED | NON_BLANK | NO_BLANKS, .max = 200, .help = "sha256:..."),
	F_STRINGS(image_reference, tags, 0),
	F_END,
};
static const struct contract image_contract = CONTRACT(image_reference, image_fields, "An image by digest");

static const struct field addon_source_fields[] = {
	F_STR(addon_source, repository, REQUIRED | NON_BLANK),
	F_STR(addon_source, ref, REQUIRED | NON_BLANK, .help = "An exact git commit where tuples are minted"),
	F_END,
};
static const struct contract addon_source_contract = CONTRACT(addon_source, addon_source_fields, "An addon repository");

static const struct field addon_selector_fields[] = {
	F_STR(addon_selector, repository, REQUIRED | NON_BLANK),
	F_STR(addon_selector, selector, REQUIRED),
	F_STR(addon_selector, resolved_ref, REQUIRED),
	F_END,
};
static const struct contract addon_selector_contract =
        CONTRACT(addon_selector, addon_selector_fields, "What was asked for, and what it resolved to");

static const struct field openupgrade_fields[] = {
	F_STR(openupgrade_inputs, addon_repository, 0),
	F_STR(openupgrade_inputs, install_spec, 0),
	F_END,
};
static const struct contract openupgrade_contract =
        CONTRACT(openupgrade_inputs, openupgrade_fields, "OpenUpgrade inputs");

static const struct field build_flags_fields[] = {
	F_STRINGS(build_flags, addon_skip_flags, 0),
	F_MAP(build_flags, values, 0),
	F_END,
};
static const struct contract build_flags_contract = CONTRACT(build_flags, build_flags_fields, "Flags of the build");

static bool check_source_pair(struct arena *a, const char *repository, const char *ref, const char *path,
                              struct err *err)
{
	if (!repository[0] != !ref[0])
		return contract_fail(a, err, path, "source_ref",
		                     "and source_repository are given together or not at all");
	return true;
}

static bool check_base_image(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct base_image *b = record;
	return check_source_pair(a, b->source_repository, b->source_ref, path, err);
}

static const struct field base_image_fields[] = {
	F_ENUM(base_image, role, REQUIRED, .names = role_names),
	F_OBJECT(base_image, image, REQUIRED, &image_contract),
	F_STR(base_image, source_repository, 0),
	F_STR(base_image, source_ref, 0),
	F_END,
};
static const struct contract base_image_contract =
        CONTRACT(base_image, base_image_fields, "An image the build started from", .check = check_base_image);

static bool check_build_tool(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct build_tool *t = record;
	if (!t->version[0] && !t->source_repository[0])
		return contract_fail(a, err, path, "version", "or the source pair is required");
	return check_source_pair(a, t->source_repository, t->source_ref, path, err);
}

static const struct field build_tool_fields[] = {
	F_STR(build_tool, name, REQUIRED | NON_BLANK),
	F_STR(build_tool, version, 0),
	F_STR(build_tool, source_repository, 0),
	F_STR(build_tool, source_ref, 0),
	F_END,
};
static const struct contract build_tool_contract =
        CONTRACT(build_tool, build_tool_fields, "A tool the build used", .check = check_build_tool);

static bool check_provenance(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct build_provenance *p = record;
	for (size_t i = 1; i < p->base_images.n; i++)
		for (size_t k = 0; k < i; k++)
			if (p->base_images.v[i].role == p->base_images.v[k].role)
				return contract_fail(a, err, path, arena_printf(a, "base_images[%zu].role", i),
				                     "is there twice");
	return true;
}

static const struct field build_provenance_fields[] = {
	F_LIST(build_provenance, base_images, 0, &base_image_contract),
	F_LIST(build_provenance, build_tools, 0, &build_tool_contract),
	F_END,
};
static const struct contract build_provenance_contract =
        CONTRACT(build_provenance, build_provenance_fields, "Where the build came from", .check = check_provenance);

static const struct field artifact_manifest_fields[] = {
	F_SCHEMA_VERSION(artifact_manifest),
	F_STR(artifact_manifest, artifact_id, REQUIRED | NON_BLANK | NO_BLANKS, .max = 300),
	F_STR(artifact_manifest, source_commit, REQUIRED | NON_BLANK, .max = 200),
	F_STR(artifact_manifest, enterprise_base_digest, REQUIRED),
	F_LIST(artifact_manifest, addon_sources, 0, &addon_source_contract),
	F_LIST(artifact_manifest, addon_selectors, 0, &addon_selector_contract),
	F_STRINGS(artifact_manifest, odoo_install_modules, TRIMMED | NON_BLANK),
	F_OBJECT(artifact_manifest, openupgrade_inputs, 0, &openupgrade_contract),
	F_OBJECT(artifact_manifest, build_flags, 0, &build_flags_contract),
	F_OBJECT(artifact_manifest, build_provenance, 0, &build_provenance_contract),
	F_OBJECT(artifact_manifest, image, REQUIRED, &image_contract),
	F_END,
};
const struct contract artifact_manifest_contract =
        CONTRACT(artifact_manifest, artifact_manifest_fields, "What an immutable artifact is made of");

const char *artifact_image_reference(struct arena *a, const struct artifact_manifest *m)
{
	return arena_printf(a, "%s@%s", m->image.repository, m->image.digest);
}

bool is_git_sha(const char *s)
{
	size_t n = 0;
	while (isxdigit((unsigned char)s[n]))
		n++;
	return !s[n] && n >= 7 && n <= 40;
}

bool is_stable_lane(const char *instance)
{
	return strcmp(instance, "testing") == 0 || strcmp(instance, "prod") == 0;
}

const char *release_tuple_id(struct arena *a, const char *context, const char *channel, const char *artifact_id)
{
	return arena_printf(a, "%s-%s-%s", context, channel, artifact_id);
}

static bool check_tuple(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct release_tuple *t = record;
	if (!is_stable_lane(t->channel))
		return contract_fail(a, err, path, "channel", "must be testing or prod");
	for (size_t i = 0; i < t->repo_shas.n; i++)
		if (!is_git_sha(t->repo_shas.v[i].value))
			return contract_fail(a, err, path, arena_printf(a, "repo_shas.%s", t->repo_shas.v[i].key),
			                     "must be a git commit of 7 to 40 hex digits");
	if (t->provenance == TUPLE_PROMOTION && is_blank(t->promoted_from_channel))
		return contract_fail(a, err, path, "promoted_from_channel", "is required when provenance is promotion");
	return true;
}

static const struct field release_tuple_fields[] = {
	F_SCHEMA_VERSION(release_tuple),
	F_STR(release_tuple, tuple_id, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(release_tuple, context, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(release_tuple, channel, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(release_tuple, artifact_id, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(release_tuple, minted_at, REQUIRED | TRIMMED | NON_BLANK),
	F_MAP(release_tuple, repo_shas, REQUIRED | TRIMMED, .min = 1),
	F_STR(release_tuple, image_repository, 0),
	F_STR(release_tuple, image_digest, 0),
	F_STR(release_tuple, deployment_record_id, 0),
	F_STR(release_tuple, promotion_record_id, 0),
	F_STR(release_tuple, promoted_from_channel, 0),
	F_ENUM(release_tuple, provenance, REQUIRED, .names = provenance_names),
	F_END,
};
const struct contract release_tuple_contract =
        CONTRACT(release_tuple, release_tuple_fields, "The release a stable lane stands on", .check = check_tuple);

/* "https://host/owner/odoo-shop-addons.git" -> "shop-addons" */
static const char *repository_key(struct arena *a, const char *repository)
{
	const char *slash = strrchr(repository, '/');
	const char *name = slash ? slash + 1 : repository;
	size_t n = strlen(name);
	if (n > 4 && strcmp(name + n - 4, ".git") == 0)
		n -= 4;
	if (n > 5 && strncmp(name, "odoo-", 5) == 0) {
		name += 5;
		n -= 5;
	}
	return arena_strndup(a, name, n);
}

bool release_tuple_mint(struct arena *a, const struct artifact_manifest *m, const char *context, const char *channel,
                        const char *deployment_record_id, const char *minted_at, struct release_tuple *out,
                        struct err *err)
{
	struct text_map shas = { 0 };
	map_set(a, &shas, arena_printf(a, "tenant-%s", context), m->source_commit);
	for (size_t i = 0; i < m->addon_sources.n; i++) {
		const char *key = repository_key(a, m->addon_sources.v[i].repository);
		const char *ref = m->addon_sources.v[i].ref, *known = map_get(&shas, key);
		if (known && strcmp(known, ref) != 0)
			return err_set(err, &E_invalid_request,
			               "artifact %s names two commits for %s, so no release tuple can be minted",
			               m->artifact_id, key);
		map_set(a, &shas, key, ref);
	}
	for (size_t i = 0; i < shas.n; i++)
		if (!is_git_sha(shas.v[i].value))
			return err_set(err, &E_invalid_request,
			               "artifact %s has a source of %s that is not an exact git commit, so no release "
			               "tuple can be minted",
			               m->artifact_id, shas.v[i].key);
	*out = (struct release_tuple){
		.schema_version = 1,
		.tuple_id = release_tuple_id(a, context, channel, m->artifact_id),
		.context = context,
		.channel = channel,
		.artifact_id = m->artifact_id,
		.minted_at = minted_at,
		.repo_shas = shas,
		.image_repository = m->image.repository,
		.image_digest = m->image.digest,
		.deployment_record_id = deployment_record_id,
		.promotion_record_id = "",
		.promoted_from_channel = "",
		.provenance = TUPLE_SHIP,
	};
	return true;
}

void release_tuple_promote(struct arena *a, const struct release_tuple *source, const char *channel,
                           const char *deployment_record_id, const char *promotion_record_id, const char *minted_at,
                           struct release_tuple *out)
{
	*out = *source;
	out->tuple_id = release_tuple_id(a, source->context, channel, source->artifact_id);
	out->channel = channel;
	out->minted_at = minted_at;
	out->deployment_record_id = deployment_record_id;
	out->promotion_record_id = promotion_record_id;
	out->promoted_from_channel = source->channel;
	out->provenance = TUPLE_PROMOTION;
}
