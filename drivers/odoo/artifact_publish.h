/* drivers/odoo/artifact_publish.h - building an artifact with the devkit (facts/odoo.md 14).
 *
 * What a workflow needs for it, and doing it from a trusted shell: the lane's runtime environment with its secrets goes
 * to the devkit once, through a pipe, and what comes back is checked and stored. */
#pragma once

#include "core/contract.h"
#include "core/task.h"
#include "storage/artifact_manifest.h"
#include "storage/db.h"
#include "storage/product_profile.h"

struct artifact_inputs {
	int64_t schema_version;
	const char *context, *instance;
	struct opt_int pr_number;
	const char *preview_slug, *source_git_ref;
	bool isolated;
};
extern const struct contract artifact_inputs_contract;

/* <context>[-<slug>][-<first 8 of ref>][-isolated]-amd64 */
const char *artifact_image_tag(struct arena *a, const char *context, const char *slug, const char *source_git_ref,
                               bool isolated);
/* The result of artifact-publish-inputs; profile may be NULL. Names no secret: keys that managed secrets give are left
 * out. E_driver_route_dependency_not_found: nothing is recorded for the lane. */
SUSPENDS bool artifact_inputs_make(struct task *t, const struct artifact_inputs *in,
                                   const struct product_profile *profile, struct json *out, struct err *err);

/* A manifest handed in for a lane, by the route as by the command. */
struct artifact_publish {
	const char *context, *instance;
	struct artifact_manifest manifest;
};
extern const struct contract artifact_publish_contract;
/* Queues the write of the manifest, and has the audit entry of t name the artifact and the lane. */
void artifact_publish_store(struct task *t, struct tx *tx, const struct artifact_publish *p);
/* The result document (facts/odoo.md 14.3). */
const char *artifact_publish_result(struct arena *a, const struct artifact_publish *p, const char *output_file);

struct artifact_publish_wish {
	const char *product; /* for the audit log; "" when none was named */
	const char *context, *instance, *manifest, *devkit_root, *image_repository, *image_tag;
	struct strings platforms;
	const char *output_file; /* "": a temporary one */
	bool no_cache;
	bool payload_in_environment; /* for a devkit that knows no other way */
	void (*progress)(const char *line);
};
/* Runs the devkit, checks and stores the manifest, and writes the result document. *exit_code is 0, 1, or 128 and the
 * signal that interrupted it. False: nothing was stored. */
SUSPENDS bool artifact_publish(struct task *t, const struct artifact_publish_wish *w, struct buf *out, int *exit_code,
                               struct err *err);
