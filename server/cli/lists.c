/* launchplane ... list: one command for the list of every record family, page by page. */
#include "server/cli/client.h"

#define PAGE_SETTINGS                                                                                                  \
	{ "--limit", NULL, NULL, "N", "How many, at most 200", 0 },                                                    \
	{                                                                                                              \
		"--cursor", NULL, NULL, "TEXT", "Go on where the last list ended", 0                                   \
	}
#define PAGE_ARGUMENTS                                                                                                 \
	{ "--limit", "limit" },                                                                                        \
	{                                                                                                              \
		"--cursor", "cursor"                                                                                   \
	}
#define FLAG(flag_, metavar_, help_)                                                                                   \
	{                                                                                                              \
		flag_, NULL, NULL, metavar_, help_, 0                                                                  \
	}
#define IN_CONTEXT  FLAG("--context", "NAME", "Only of this context; without it the grant must be for all contexts")
#define OF_INSTANCE FLAG("--instance", "NAME", "Only of this instance")
#define OF_ARTIFACT FLAG("--artifact-id", "ID", "Only of this artifact")
#define SINCE       FLAG("--since", "TIME", "Only those of this time (RFC 3339) or later")

static const struct setting deployment_settings[] = {
	IN_CONTEXT, OF_INSTANCE,   OF_ARTIFACT, FLAG("--status", "NAME", "Only pending, pass, fail or skipped ones"),
	SINCE,      PAGE_SETTINGS, { 0 },
};
static const struct argument deployment_arguments[] = {
	{ "--context", "context" },
	{ "--instance", "instance" },
	{ "--artifact-id", "artifact_id" },
	{ "--status", "status" },
	{ "--since", "since" },
	PAGE_ARGUMENTS,
	{ 0 },
};
static const struct column deployment_columns[] = {
	{ "DEPLOYMENT", "record_id" },        { "CONTEXT", "context" },
	{ "INSTANCE", "instance" },           { "ARTIFACT", "artifact_identity.artifact_id" },
	{ "STATUS", "deploy.status" },        { "HEALTH", "destination_health.status" },
	{ "FINISHED", "deploy.finished_at" }, { 0 },
};
static const struct api_call deployments = { "GET",         "/v1/deployments",  deployment_arguments,
	                                     "deployments", deployment_columns, 0 };

static const struct setting promotion_settings[] = {
	IN_CONTEXT,
	FLAG("--from-instance", "NAME", "Only from this instance"),
	FLAG("--to-instance", "NAME", "Only to this instance"),
	OF_ARTIFACT,
	FLAG("--status", "NAME", "Only those whose deploy is pending, pass, fail or skipped"),
	SINCE,
	PAGE_SETTINGS,
	{ 0 },
};
static const struct argument promotion_arguments[] = {
	{ "--context", "context" },
	{ "--from-instance", "from_instance" },
	{ "--to-instance", "to_instance" },
	{ "--artifact-id", "artifact_id" },
	{ "--status", "status" },
	{ "--since", "since" },
	PAGE_ARGUMENTS,
	{ 0 },
};
static const struct column promotion_columns[] = {
	{ "PROMOTION", "record_id" },
	{ "CONTEXT", "context" },
	{ "FROM", "from_instance" },
	{ "TO", "to_instance" },
	{ "ARTIFACT", "artifact_identity.artifact_id" },
	{ "GATE", "backup_record_id" },
	{ "STATUS", "deploy.status" },
	{ "FINISHED", "deploy.finished_at" },
	{ 0 },
};
static const struct api_call promotions = { "GET",        "/v1/promotions",  promotion_arguments,
	                                    "promotions", promotion_columns, 0 };

static const struct setting gate_settings[] = {
	IN_CONTEXT, OF_INSTANCE,   FLAG("--status", "NAME", "Only pending, pass, fail or skipped ones"),
	SINCE,      PAGE_SETTINGS, { 0 },
};
static const struct argument gate_arguments[] = {
	{ "--context", "context" },
	{ "--instance", "instance" },
	{ "--status", "status" },
	{ "--since", "since" },
	PAGE_ARGUMENTS,
	{ 0 },
};
static const struct column gate_columns[] = {
	{ "GATE", "record_id" },    { "CONTEXT", "context" }, { "INSTANCE", "instance" }, { "STATUS", "status" },
	{ "REQUIRED", "required" }, { "SOURCE", "source" },   { "MADE", "created_at" },   { 0 },
};
static const struct api_call gates = { "GET", "/v1/backup-gates", gate_arguments, "backup_gates", gate_columns, 0 };

static const struct setting preview_settings[] = {
	IN_CONTEXT,
	FLAG("--anchor-repo", "NAME", "Only of this repository, by its short name"),
	FLAG("--state", "NAME", "Only pending, active, failed, paused, teardown_pending or destroyed ones"),
	PAGE_SETTINGS,
	{ 0 },
};
static const struct argument preview_arguments[] = {
	{ "--context", "context" }, { "--anchor-repo", "anchor_repo" }, { "--state", "state" }, PAGE_ARGUMENTS, { 0 },
};
static const struct column preview_columns[] = {
	{ "PREVIEW", "preview_id" }, { "STATE", "state" },        { "PR", "anchor_pr_number" },
	{ "URL", "canonical_url" },  { "UPDATED", "updated_at" }, { 0 },
};
static const struct api_call previews = { "GET", "/v1/previews", preview_arguments, "previews", preview_columns, 0 };

static const struct setting inventory_settings[] = { IN_CONTEXT, OF_INSTANCE, OF_ARTIFACT, PAGE_SETTINGS, { 0 } };
static const struct argument inventory_arguments[] = {
	{ "--context", "context" },
	{ "--instance", "instance" },
	{ "--artifact-id", "artifact_id" },
	PAGE_ARGUMENTS,
	{ 0 },
};
static const struct column inventory_columns[] = {
	{ "CONTEXT", "context" },
	{ "INSTANCE", "instance" },
	{ "ARTIFACT", "artifact_identity.artifact_id" },
	{ "COMMIT", "source_git_ref" },
	{ "HEALTH", "destination_health.status" },
	{ "DEPLOYMENT", "deployment_record_id" },
	{ "SINCE", "updated_at" },
	{ 0 },
};
static const struct api_call inventory = { "GET",       "/v1/inventory",   inventory_arguments,
	                                   "inventory", inventory_columns, 0 };

static const struct setting tuple_settings[] = {
	IN_CONTEXT, FLAG("--channel", "NAME", "Only of testing or prod"), OF_ARTIFACT, PAGE_SETTINGS, { 0 },
};
static const struct argument tuple_arguments[] = {
	{ "--context", "context" },
	{ "--channel", "channel" },
	{ "--artifact-id", "artifact_id" },
	PAGE_ARGUMENTS,
	{ 0 },
};
static const struct column tuple_columns[] = {
	{ "TUPLE", "tuple_id" },        { "CONTEXT", "context" },
	{ "CHANNEL", "channel" },       { "ARTIFACT", "artifact_id" },
	{ "PROVENANCE", "provenance" }, { "FROM", "promoted_from_channel" },
	{ "MINTED", "minted_at" },      { 0 },
};
static const struct api_call tuples = {
	"GET", "/v1/release-tuples", tuple_arguments, "release_tuples", tuple_columns, 0
};

static const struct setting artifact_settings[] = {
	FLAG("--source-commit", "SHA", "Only built from this commit"),
	FLAG("--image-repository", "NAME", "Only images of this repository"),
	FLAG("--image-digest", "DIGEST", "Only the image with this digest"),
	PAGE_SETTINGS,
	{ 0 },
};
static const struct argument artifact_arguments[] = {
	{ "--source-commit", "source_commit" },
	{ "--image-repository", "image_repository" },
	{ "--image-digest", "image_digest" },
	PAGE_ARGUMENTS,
	{ 0 },
};
static const struct column artifact_columns[] = {
	{ "ARTIFACT", "artifact_id" },
	{ "COMMIT", "source_commit" },
	{ "REPOSITORY", "image.repository" },
	{ "DIGEST", "image.digest" },
	{ 0 },
};
static const struct api_call artifacts = {
	"GET", "/v1/artifacts", artifact_arguments, "artifacts", artifact_columns, 0
};

#define OPTIONS(name) static const struct setting *const name##_options[] = { name##_settings, client_settings, NULL }
OPTIONS(deployment);
OPTIONS(promotion);
OPTIONS(gate);
OPTIONS(preview);
OPTIONS(inventory);
OPTIONS(tuple);
OPTIONS(artifact);

const struct command list_commands[] = {
	{ "artifacts", "list", "Artifact manifests, by descending id", NULL, 0, artifact_options, api_run, &artifacts },
	{ "backup-gates", "list", "Backup gates, newest first", NULL, 0, gate_options, api_run, &gates },
	{ "deployments", "list", "Deployments, newest first", NULL, 0, deployment_options, api_run, &deployments },
	{ "inventory", "list", "What runs in every lane now", NULL, 0, inventory_options, api_run, &inventory },
	{ "launchplane-previews", "list", "Previews, the last changed first", NULL, 0, preview_options, api_run,
	  &previews },
	{ "previews", "list", "Previews, the last changed first", NULL, 0, preview_options, api_run, &previews },
	{ "promotions", "list", "Promotions, newest first", NULL, 0, promotion_options, api_run, &promotions },
	{ "release-tuples", "list", "The release tuple of every lane", NULL, 0, tuple_options, api_run, &tuples },
	{ 0 },
};
