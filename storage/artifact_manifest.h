/* storage/artifact_manifest.h - what an immutable artifact is made of. Shape: facts/core.md 6.1, odoo.md 14.1. */
#pragma once

#include "core/contract.h"

struct image_reference {
	const char *repository, *digest;
	struct strings tags;
};
struct addon_source {
	const char *repository, *ref;
};
struct addon_selector {
	const char *repository, *selector, *resolved_ref;
};
struct openupgrade_inputs {
	const char *addon_repository, *install_spec;
};
struct build_flags {
	struct strings addon_skip_flags;
	struct text_map values;
};
enum base_image_role { BASE_RUNTIME, BASE_DEVTOOLS };
struct base_image {
	int role;
	struct image_reference image;
	const char *source_repository, *source_ref;
};
struct build_tool {
	const char *name, *version, *source_repository, *source_ref;
};
struct build_provenance {
	LIST_OF(struct base_image) base_images;
	LIST_OF(struct build_tool) build_tools;
};
struct artifact_manifest {
	int64_t schema_version;
	const char *artifact_id, *source_commit, *enterprise_base_digest;
	LIST_OF(struct addon_source) addon_sources;
	LIST_OF(struct addon_selector) addon_selectors;
	struct strings odoo_install_modules;
	struct openupgrade_inputs openupgrade_inputs;
	struct build_flags build_flags;
	struct build_provenance build_provenance;
	struct image_reference image;
};
extern const struct contract artifact_manifest_contract;

/* <repository>@<digest>: what a deploy pins. */
const char *artifact_image_reference(struct arena *a, const struct artifact_manifest *m);

/* The current release of a stable lane. Shape: facts/core.md 6.3. */
enum tuple_provenance { TUPLE_SHIP, TUPLE_PROMOTION };
struct release_tuple {
	int64_t schema_version;
	const char *tuple_id, *context, *channel, *artifact_id, *minted_at;
	struct text_map repo_shas;
	const char *image_repository, *image_digest, *deployment_record_id, *promotion_record_id,
	        *promoted_from_channel;
	int provenance;
};
extern const struct contract release_tuple_contract;

/* <context>-<channel>-<artifact_id> */
const char *release_tuple_id(struct arena *a, const char *context, const char *channel, const char *artifact_id);
/* The same release at the lane channel: what a promotion mints. */
void release_tuple_promote(struct arena *a, const struct release_tuple *source, const char *channel,
                           const char *deployment_record_id, const char *promotion_record_id, const char *minted_at,
                           struct release_tuple *out);
/* Only testing and prod have release tuples. */
bool is_stable_lane(const char *instance);
/* Mints the tuple a waited deployment of m establishes (core.md 6.3, path "ship"). False when a source is not an exact
 * git commit or two sources of one key disagree. channel must be testing or prod. */
bool release_tuple_mint(struct arena *a, const struct artifact_manifest *m, const char *context, const char *channel,
                        const char *deployment_record_id, const char *minted_at, struct release_tuple *out,
                        struct err *err);
bool is_git_sha(const char *s); /* 7 to 40 hex digits */
