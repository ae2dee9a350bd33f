/* launchplane products, environments, lanes, drivers, secrets: the read models (facts/core.md 7). */
#include "server/cli/client.h"

static const struct setting *const show_options[] = { client_settings, NULL };

static const struct column product_columns[] = {
	{ "PRODUCT", "product" },
	{ "NAME", "display_name" },
	{ "DRIVER", "driver_id" },
	{ "REPOSITORY", "repository" },
	{ "PREVIEWS", "preview.active_count" },
	{ "TRUST", "trust_state" },
	{ 0 },
};
static const struct api_call product_list = { "GET", "/v1/products", .member = "products", .columns = product_columns };
static const struct api_call product_show = { "GET", "/v1/products/{product}", .member = "product" };

static const struct column event_columns[] = {
	{ "AT", "occurred_at" }, { "EVENT", "event_type" }, { "CONTEXT", "context" }, { "ENVIRONMENT", "environment" },
	{ "STATUS", "status" },  { "TITLE", "title" },      { "SUMMARY", "summary" }, { 0 },
};
static const struct api_call product_activity = { "GET", "/v1/products/{product}/activity", .member = "activity.events",
	                                          .columns = event_columns };

static const struct column environment_columns[] = {
	{ "ENVIRONMENT", "environment" },
	{ "CONTEXT", "context" },
	{ "URL", "base_url" },
	{ "PUBLIC", "public_ingress.status" },
	{ "TRUST", "trust_state" },
	{ "RECORDED", "provenance.recorded_at" },
	{ 0 },
};
static const struct api_call environment_list = { "GET", "/v1/products/{product}/environments",
	                                          .member = "environments", .columns = environment_columns };
static const struct api_call environment_show = { "GET", "/v1/products/{product}/environments/{environment}",
	                                          .member = "environment" };
static const struct api_call config_status = { "GET", "/v1/products/{product}/environments/{environment}/config-status",
	                                       .member = "config_status" };

static const struct api_call lane_origin = { "GET", "/v1/products/{product}/environments/{environment}/origin",
	                                     .member = "origin" };
static const struct api_call rollback_target = { "GET",
	                                         "/v1/products/{product}/environments/{environment}/rollback-target",
	                                         .member = "rollback" };

static const struct setting diff_settings[] = {
	{ "--from", NULL, NULL, "NAME", "The one environment", 0 },
	{ "--to", NULL, NULL, "NAME", "The other", 0 },
	{ 0 },
};
static const struct argument diff_arguments[] = {
	{ "--from", "from", .is_required = true },
	{ "--to", "to", .is_required = true },
	{ 0 },
};
static const struct setting *const diff_options[] = { diff_settings, client_settings, NULL };
static const struct column diff_columns[] = {
	{ "WHAT", "subject" },
	{ "FROM", "from" },
	{ "TO", "to" },
	{ 0 },
};
static const struct api_call lane_diff = { "GET", "/v1/products/{product}/diff", diff_arguments, "diff.differences",
	                                   diff_columns };

static const struct setting lane_settings[] = {
	{ "--product", NULL, NULL, "NAME", "Only of this product; without it the grant must be for all products", 0 },
	{ "--context", NULL, NULL, "NAME", "Only of this context; without it the grant must be for all contexts", 0 },
	{ "--instance", NULL, NULL, "NAME", "Only of this instance", 0 },
	{ "--health", NULL, NULL, "NAME", "Only verified or unverified ones", 0 },
	{ "--limit", NULL, NULL, "N", "How many, at most 200", 0 },
	{ "--cursor", NULL, NULL, "TEXT", "Go on where the last list ended", 0 },
	{ 0 },
};
static const struct argument lane_arguments[] = {
	{ "--product", "product" },
	{ "--context", "context" },
	{ "--instance", "instance" },
	{ "--health", "health" },
	{ "--limit", "limit" },
	{ "--cursor", "cursor" },
	{ 0 },
};
static const struct setting *const lane_options[] = { lane_settings, client_settings, NULL };
static const struct column lane_columns[] = {
	{ "PRODUCT", "product" },   { "CONTEXT", "context" },
	{ "INSTANCE", "instance" }, { "ARTIFACT", "artifact_id" },
	{ "SINCE", "since" },       { "HEALTH", "health_status" },
	{ "TRUST", "trust_state" }, { 0 },
};
static const struct api_call lane_list = { "GET", "/v1/lanes", lane_arguments, "lanes", lane_columns };
static const struct api_call lane_show = { "GET", "/v1/contexts/{context}/instances/{instance}/driver-view",
	                                   .member = "view" };
static const struct api_call context_show = { "GET", "/v1/contexts/{context}/driver-view", .member = "view" };
static const struct api_call context_recent = { "GET", "/v1/contexts/{context}/operations/recent", 0 };

static const struct column driver_columns[] = {
	{ "DRIVER", "driver_id" }, { "BASE", "base_driver_id" }, { "NAME", "label" }, { "ABOUT", "description" }, { 0 },
};
static const struct api_call driver_list = { "GET", "/v1/drivers", .member = "drivers", .columns = driver_columns };
static const struct api_call driver_show = { "GET", "/v1/drivers/{driver_id}", .member = "driver" };

static const struct column secret_columns[] = {
	{ "SECRET", "secret_id" },        { "SCOPE", "scope" },
	{ "KEY", "binding.binding_key" }, { "STATUS", "status" },
	{ "VERSIONS", "version_count" },  { "CHANGED", "updated_at" },
	{ "BY", "updated_by" },           { 0 },
};
static const struct setting secrets_list_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The context, instead of the word", 0 },
	{ 0 },
};
static const struct setting secret_show_settings[] = {
	{ "--secret-id", NULL, NULL, "ID", "The secret, instead of the word", 0 },
	{ 0 },
};
static const struct setting *const secrets_list_options[] = { secrets_list_settings, client_settings, NULL };
static const struct setting *const secret_show_options[] = { secret_show_settings, client_settings, NULL };
static const struct argument secrets_list_arguments[] = { { "--context", "{context}" }, { 0 } };
static const struct argument secret_show_arguments[] = { { "--secret-id", "{secret_id}" }, { 0 } };
static const struct api_call context_secrets = { "GET", "/v1/contexts/{context}/secrets", secrets_list_arguments, .member = "secrets",
	                                         .columns = secret_columns };
static const struct api_call lane_secrets = { "GET", "/v1/contexts/{context}/instances/{instance}/secrets",
	                                      .member = "secrets", .columns = secret_columns };
static const struct api_call secret_show = { "GET", "/v1/secrets/{secret_id}", secret_show_arguments, .member = "secret" };

const struct command product_commands[] = {
	{ "products", "list", "All products", NULL, 0, show_options, api_run, &product_list },
	{ "products", "show", "One product with its environments and what can be done", "PRODUCT", 1, show_options,
	  api_run, &product_show },
	{ "products", "activity", "The newest 50 events of a product", "PRODUCT", 1, show_options, api_run,
	  &product_activity },
	{ "product-environments", "list", "The environments of a product", "PRODUCT", 1, show_options, api_run,
	  &environment_list },
	{ "product-environments", "show", "One environment of a product", "PRODUCT ENVIRONMENT", 2, show_options,
	  api_run, &environment_show },
	{ "product-environments", "config-status", "Which expected keys and secrets an environment has",
	  "PRODUCT ENVIRONMENT", 2, show_options, api_run, &config_status },
	{ "lanes", "list", "What runs in the lanes of products, since when and how healthy", NULL, 0, lane_options,
	  api_run, &lane_list },
	{ "lanes", "show", "What drivers show of a lane, with the summary of its records", "CONTEXT INSTANCE", 2,
	  show_options, api_run, &lane_show },
	{ "lanes", "origin", "Where what runs in an environment comes from: commit, promotion, gate",
	  "PRODUCT ENVIRONMENT", 2, show_options, api_run, &lane_origin },
	{ "lanes", "rollback-target", "What a rollback of an environment would deploy", "PRODUCT ENVIRONMENT", 2,
	  show_options, api_run, &rollback_target },
	{ "lanes", "diff", "What differs between two environments of a product", "PRODUCT", 1, diff_options, api_run,
	  &lane_diff },
	{ "contexts", "show", "What drivers show of a context", "CONTEXT", 1, show_options, api_run, &context_show },
	{ "contexts", "recent", "What runs in a context and what changed last", "CONTEXT", 1, show_options, api_run,
	  &context_recent },
	{ "drivers", "list", "The drivers", NULL, 0, show_options, api_run, &driver_list },
	{ "drivers", "show", "One driver and what it can do", "DRIVER_ID", 1, show_options, api_run, &driver_show },
	{ "secrets", "list", "The secrets of a context, without their values", "CONTEXT", 1, secrets_list_options, api_run,
	  &context_secrets },
	{ "secrets", "list-lane", "The secrets that apply to a lane, without their values", "CONTEXT INSTANCE", 2,
	  show_options, api_run, &lane_secrets },
	{ "secrets", "show", "One secret, without its value", "SECRET_ID", 1, secret_show_options, api_run,
	  &secret_show },
	{ 0 },
};
