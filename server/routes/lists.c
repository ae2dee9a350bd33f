/* The list of every record family, in the orders of facts/core.md 7.1. */
#include "server/routes/list.h"
#include "server/routes/tables.h"
#include "storage/artifact_manifest.h"
#include "storage/deployment.h"
#include "storage/list.sql.h"
#include "storage/product.sql.h"

static const char *const release_statuses[] = { "pending", "pass", "fail", "skipped", NULL };
static const char *const operation_statuses[] = { "pending", "running", "pass", "fail", NULL };
static const char *const preview_states[] = { "pending",          "active",    "failed", "paused",
	                                      "teardown_pending", "destroyed", NULL };
static const char *const channels[] = { "testing", "prod", NULL };

#define IN_CONTEXT                                                                                                     \
	{                                                                                                              \
		"context", "Only of this context; without it the grant must be for all contexts"                       \
	}
#define OF_INSTANCE                                                                                                    \
	{                                                                                                              \
		"instance", "Only of this instance"                                                                    \
	}
#define OF_ARTIFACT                                                                                                    \
	{                                                                                                              \
		"artifact_id", "Only of this artifact"                                                                 \
	}

static const struct list_filter deployment_filters[] = {
	IN_CONTEXT,
	OF_INSTANCE,
	OF_ARTIFACT,
	{ "status", "Only deploys that ended so", release_statuses },
	{ "since", "Only those that finished at this time (RFC 3339) or later" },
	{ 0 },
};
static const struct list deployments = { "deployments", &Q_deployment_page, deployment_filters, "ttt" };

static const struct list_filter promotion_filters[] = {
	IN_CONTEXT,
	{ "from_instance", "Only from this instance" },
	{ "to_instance", "Only to this instance" },
	OF_ARTIFACT,
	{ "status", "Only those whose deploy ended so", release_statuses },
	{ "since", "Only those that finished at this time (RFC 3339) or later" },
	{ 0 },
};
static const struct list promotions = { "promotions", &Q_promotion_page, promotion_filters, "ttt" };

static const struct list_filter backup_gate_filters[] = {
	IN_CONTEXT,
	OF_INSTANCE,
	{ "status", "Only gates of this status", release_statuses },
	{ "since", "Only those made at this time (RFC 3339) or later" },
	{ 0 },
};
static const struct list backup_gates = { "backup_gates", &Q_backup_gate_page, backup_gate_filters, "tt" };

static const struct list_filter preview_filters[] = {
	IN_CONTEXT,
	{ "anchor_repo", "Only of this repository, by its short name" },
	{ "state", "Only in this state", preview_states },
	{ 0 },
};
static const struct list previews = { "previews", &Q_preview_page, preview_filters, "tt" };

static const struct list_filter inventory_filters[] = { IN_CONTEXT, OF_INSTANCE, OF_ARTIFACT, { 0 } };
static const struct list inventory = { "inventory", &Q_inventory_page, inventory_filters, "tt" };

static const struct list_filter tuple_filters[] = {
	IN_CONTEXT,
	{ "channel", "Only of this channel", channels },
	OF_ARTIFACT,
	{ 0 },
};
static const struct list release_tuples = { "release_tuples", &Q_release_tuple_page, tuple_filters, "tt" };

static const struct list_filter artifact_filters[] = {
	{ "source_commit", "Only built from this commit" },
	{ "image_repository", "Only images of this repository" },
	{ "image_digest", "Only the image with this digest" },
	{ 0 },
};
static const struct list artifacts = { "artifacts", &Q_artifact_manifest_page, artifact_filters, "t" };

static const struct list_filter operation_filters[] = {
	{ "product", "Operations of this product", NULL, true },
	IN_CONTEXT,
	OF_INSTANCE,
	{ "status", "Only of this status", operation_statuses },
	{ "kind", "Only of this kind" },
	{ 0 },
};
static const struct list operations = { "operations", &Q_operation_page, operation_filters, "it" };

static const char *const healths[] = { "verified", "unverified", NULL };
static const struct list_filter lane_filters[] = {
	{ "product", "Only of this product; without it the grant must be for all products" }, IN_CONTEXT, OF_INSTANCE,
	{ "health", "Only lanes whose health was verified, or whose was not", healths },      { 0 },
};
static const struct list lanes = { "lanes", &Q_lane_page, lane_filters, "ttt", true };

/* Records that have no product of their own are authorized on product launchplane, as their single reads are. */
#define LIST(path_, summary_, action_, list_)                                                                          \
	{                                                                                                              \
		HTTP_GET, path_, summary_, call_list, .callers = CALLERS_READ, .action = (action_),                    \
		                                      .product = "=launchplane", .context = "handler",                 \
		                                      .list = &(list_)                                                 \
	}

const struct route list_routes[] = {
	LIST("/v1/deployments", "Deployments, newest first", "deployment.read", deployments),
	LIST("/v1/promotions", "Promotions, newest first", "promotion.read", promotions),
	LIST("/v1/backup-gates", "Backup gates, newest first", "backup_gate.read", backup_gates),
	LIST("/v1/previews", "Previews, the last changed first", "preview.read", previews),
	LIST("/v1/inventory", "What runs in every lane now", "inventory.read", inventory),
	LIST("/v1/release-tuples", "The release tuple of every lane", "release_tuple.read", release_tuples),
	{ HTTP_GET, "/v1/artifacts", "Artifact manifests, by descending id", call_list, .callers = CALLERS_READ,
	  .action = "artifact.read", .product = "=launchplane", .context = "=launchplane", .list = &artifacts },
	{ HTTP_GET, "/v1/lanes", "What runs in the lanes of products, since when and how healthy", call_list,
	  .callers = CALLERS_READ, .action = "product_environment.read", .product = "handler", .context = "handler",
	  .list = &lanes },
	{ HTTP_GET, "/v1/operations", "Operations of a product, newest first", call_list, .callers = CALLERS_READ,
	  .action = "operations.read", .product = "handler", .context = "handler", .list = &operations },
	{ 0 },
};
