/* launchplane deployments, promotions, backup-gates, inventory, artifacts, release-tuples ...: what happened, what runs
 * now, and from what. Facts from outside are handed in; no command here claims that the control plane did what they
 * tell. */
#include "server/cli/client.h"
#include "server/cli/release_direct.h"
#include "server/service.h"

static const struct setting *const show_options[] = { client_settings, NULL };
static const struct setting *const write_options[] = { input_settings, idempotency_settings, client_settings, NULL };

static const struct api_call deployment_show = { "GET", "/v1/deployments/{record_id}", .member = "record" };
static const struct api_call deployment_write = { "POST", "/v1/evidence/deployments", 0 };
static const struct api_call promotion_show = { "GET", "/v1/promotions/{record_id}", .member = "record" };
static const struct api_call promotion_write = { "POST", "/v1/evidence/promotions", 0 };
static const struct api_call gate_show = { "GET", "/v1/backup-gates/{record_id}", .member = "record" };
static const struct api_call gate_write = { "POST", "/v1/evidence/backup-gates", 0 };
static const struct api_call inventory_show = { "GET", "/v1/inventory/{context}/{instance}", .member = "record" };
static const struct api_call inventory_status = { "GET", "/v1/inventory/{context}/{instance}/status",
	                                          .member = "inventory" };
static const struct api_call preview_show = { "GET", "/v1/previews/{preview_id}", .member = "record" };
static const struct api_call preview_history = { "GET", "/v1/previews/{preview_id}/history", 0 };
static const struct setting product_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ 0 },
};
static const struct setting generation_settings[] = {
	{ "--preview-input-file", NULL, NULL, "FILE", "The preview, without --input-file", 0 },
	{ "--generation-input-file", NULL, NULL, "FILE", "Its build, without --input-file", 0 },
	{ 0 },
};
static const struct argument generation_arguments[] = {
	{ "--product", "product" },
	{ "--preview-input-file", "preview", ARGUMENT_JSON_FILE },
	{ "--generation-input-file", "generation", ARGUMENT_JSON_FILE },
	{ 0 },
};
static const struct setting *const generation_options[] = { product_settings,     generation_settings, input_settings,
	                                                    idempotency_settings, client_settings,     NULL };
static const struct api_call generation_write = { "POST", "/v1/evidence/previews/generations", generation_arguments,
	                                          .flags = API_FLAGS_DO };
static const struct argument product_arguments[] = { { "--product", "product", .is_required = true }, { 0 } };
static const struct setting *const destroy_options[] = { product_settings, input_settings, idempotency_settings,
	                                                 client_settings, NULL };
static const struct api_call preview_destroy = { "POST", "/v1/evidence/previews/destroyed", product_arguments,
	                                         .input_member = "destroy" };
static const struct api_call destroyed_write = { "POST", "/v1/evidence/previews/destroyed", 0 };
static const struct api_call preview_write = { "POST", "/v1/previews", product_arguments, .input_member = "preview" };
static const struct api_call build_write = { "POST", "/v1/previews/generations", product_arguments,
	                                     .input_member = "generation" };
static const struct api_call enablement_write = { "POST", "/v1/previews/enablement", product_arguments,
	                                          .input_member = "enablement" };
static const struct api_call generation_request = { "POST", "/v1/previews/generations/request", generation_arguments,
	                                            .flags = API_FLAGS_DO };
static const struct api_call mark_ready = { "POST", "/v1/previews/generations/mark", product_arguments,
	                                    .input_member = "generation", .operation_name = "ready" };
static const struct api_call mark_failed = { "POST", "/v1/previews/generations/mark", product_arguments,
	                                     .input_member = "generation", .operation_name = "failed" };
static const struct api_call artifact_show = { "GET", "/v1/artifacts/{artifact_id}", .member = "record" };
static const struct api_call tuple_show = { "GET", "/v1/release-tuples/{context}/{channel}", .member = "record" };

/* ---- derived from stored records ---- */

static const struct setting derive_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--context", NULL, NULL, "NAME", "The record's context", 0 },
	{ "--record-id", NULL, NULL, "ID", "The stored record to derive from", 0 },
	{ 0 },
};
static const struct argument derive_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "context", .is_required = true },
	{ "--record-id", "record_id", .is_required = true },
	{ 0 },
};
static const struct setting *const derive_options[] = { derive_settings, idempotency_settings, client_settings, NULL };
static const struct api_call from_deployment = { "POST", "/v1/inventory/write-from-deployment", derive_arguments, 0 };
static const struct api_call from_promotion = { "POST", "/v1/inventory/write-from-promotion", derive_arguments, 0 };
static const struct api_call tuple_from_promotion = { "POST", "/v1/release-tuples/write-from-promotion",
	                                              derive_arguments, 0 };

/* ---- artifacts ---- */

static const struct setting place_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--context", NULL, NULL, "NAME", "Where the artifact is meant to run", 0 },
	{ 0 },
};
static const struct argument place_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "context", .is_required = true },
	{ 0 },
};
static const struct setting *const ingest_options[] = { input_settings, place_settings, idempotency_settings,
	                                                client_settings, NULL };
static const struct api_call artifact_write = { "POST", "/v1/artifacts", 0 };
static const struct api_call artifact_ingest = { "POST", "/v1/artifacts", place_arguments, .input_member = "manifest" };

static const struct setting scope_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--context", NULL, NULL, "NAME", "Only of this context; without it the grant must be for all contexts", 0 },
	{ 0 },
};
static const struct argument scope_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "context" },
	{ 0 },
};
static const struct setting *const protected_options[] = { scope_settings, rehearsal_settings, database_settings,
	                                                   log_settings,   client_settings,    NULL };
static const struct column protected_columns[] = {
	{ "CONTEXT", "context" },     { "INSTANCE", "instance" },       { "ARTIFACT", "artifact_id" },
	{ "REASON", "reason" },       { "RECORD", "source_record_id" }, { "PR", "anchor_pr_number" },
	{ "DIGEST", "image_digest" }, { "IMAGES", "image_references" }, { 0 },
};
static const struct api_call protected_call = { "GET",
	                                        "/v1/artifacts/protected",
	                                        scope_arguments,
	                                        "protected_artifacts.entries",
	                                        protected_columns,
	                                        .warnings = "protected_artifacts.warnings" };

static const struct setting catalog_settings[] = {
	{ "--context", NULL, NULL, "NAME", "Only of this context; without it the grant must be for all contexts", 0 },
	{ "--state-dir", NULL, NULL, "DIR", "Of the tuples in DIR/release_tuples/*.json; no service is asked", 0 },
	{ 0 },
};
static const struct argument catalog_arguments[] = { { "--context", "context" }, { 0 } };
static const struct setting *const catalog_options[] = { catalog_settings, client_settings, NULL };
static const struct api_call catalog = { "GET", "/v1/release-tuples/catalog", catalog_arguments, "catalog",
	                                 .flags = API_TEXT };

const struct command evidence_commands[] = {
	{ "artifacts", "write", "Hand in a request that holds an artifact's manifest", NULL, 0, write_options, api_run,
	  &artifact_write },
	{ "artifacts", "ingest", "Hand in a manifest file as a build has made it", NULL, 0, ingest_options, api_run,
	  &artifact_ingest },
	{ "artifacts", "show", "One artifact's manifest", "ARTIFACT_ID", 1, show_options, api_run, &artifact_show },
	{ "artifacts", "protected", "What registry cleanup must not delete; warnings mean: delete nothing", NULL, 0,
	  protected_options, protected_run, &protected_call },
	{ "backup-gates", "show", "One backup gate", "RECORD_ID", 1, show_options, api_run, &gate_show },
	{ "backup-gates", "write", "Hand in a backup that was made of a lane", NULL, 0, write_options, api_run,
	  &gate_write },
	{ "deployments", "show", "One deployment", "RECORD_ID", 1, show_options, api_run, &deployment_show },
	{ "deployments", "write", "Hand in a deployment made elsewhere; refreshes the lane's inventory", NULL, 0,
	  write_options, api_run, &deployment_write },
	{ "inventory", "show", "What runs in a lane now", "CONTEXT INSTANCE", 2, show_options, api_run,
	  &inventory_show },
	{ "inventory", "status", "What runs in a lane, what says so, and what ran before", "CONTEXT INSTANCE", 2,
	  show_options, api_run, &inventory_status },
	{ "inventory", "write-from-deployment", "Make a lane's inventory from a stored deployment", NULL, 0,
	  derive_options, api_run, &from_deployment },
	{ "inventory", "write-from-promotion", "Make a lane's inventory from a stored promotion", NULL, 0,
	  derive_options, api_run, &from_promotion },
	{ "launchplane-previews", "destroy-preview", "Note that a preview was torn down: when, and why", NULL, 0,
	  destroy_options, api_run, &preview_destroy },
	{ "launchplane-previews", "history", "A preview and its builds, newest first", "PREVIEW_ID", 1, show_options,
	  api_run, &preview_history },
	{ "launchplane-previews", "show", "One preview", "PREVIEW_ID", 1, show_options, api_run, &preview_show },
	{ "launchplane-previews", "mark-generation-failed", "Note that a known build failed", NULL, 0, destroy_options,
	  api_run, &mark_failed },
	{ "launchplane-previews", "mark-generation-ready", "Note that a known build serves", NULL, 0, destroy_options,
	  api_run, &mark_ready },
	{ "launchplane-previews", "request-generation", "Ask for a build of a preview", NULL, 0, generation_options,
	  api_run, &generation_request },
	{ "launchplane-previews", "write-enablement", "Note whether a pull request wants a preview", NULL, 0,
	  destroy_options, api_run, &enablement_write },
	{ "launchplane-previews", "write-generation", "Write a build's record; the preview stays as it is", NULL, 0,
	  destroy_options, api_run, &build_write },
	{ "launchplane-previews", "write-preview", "Write a preview's record: state and pointers as given", NULL, 0,
	  destroy_options, api_run, &preview_write },
	{ "launchplane-previews", "write-destroyed", "Hand in that a preview was torn down", NULL, 0, write_options,
	  api_run, &destroyed_write },
	{ "launchplane-previews", "write-from-generation", "Hand in a preview and one of its builds", NULL, 0,
	  generation_options, api_run, &generation_write },
	{ "promotions", "show", "One promotion", "RECORD_ID", 1, show_options, api_run, &promotion_show },
	{ "promotions", "write", "Hand in a promotion made elsewhere", NULL, 0, write_options, api_run,
	  &promotion_write },
	{ "release-tuples", "export-catalog", "All release tuples as TOML: for review, never an authority", NULL, 0,
	  catalog_options, export_catalog_run, &catalog },
	{ "release-tuples", "show", "The release a stable lane stands on", "CONTEXT CHANNEL", 2, show_options, api_run,
	  &tuple_show },
	{ "release-tuples", "write-from-promotion", "Make the destination lane's tuple from a stored promotion", NULL,
	  0, derive_options, api_run, &tuple_from_promotion },
	{ 0 },
};
