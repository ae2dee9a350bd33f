/* Configuration authority: product profiles, runtime values and secrets, key safety. */
#include "server/cli/client.h"

static const struct setting *const show_options[] = { client_settings, NULL };
static const struct setting *const write_options[] = { input_settings, idempotency_settings, client_settings, NULL };

static const struct setting profile_list_settings[] = {
	{ "--driver-id", NULL, NULL, "NAME", "Only products of this driver", 0 },
	{ 0 },
};
static const struct setting *const profile_list_options[] = { profile_list_settings, client_settings, NULL };
static const struct argument profile_list_arguments[] = { { "--driver-id", "driver_id" }, { 0 } };
static const struct column profile_columns[] = {
	{ "PRODUCT", "product" },       { "NAME", "display_name" },  { "DRIVER", "driver_id" },
	{ "REPOSITORY", "repository" }, { "UPDATED", "updated_at" }, { 0 },
};
static const struct api_call profile_list = { "GET",      "/v1/product-profiles", profile_list_arguments,
	                                      "profiles", profile_columns,        0 };
static const struct api_call profile_show = { "GET", "/v1/product-profiles/{product}", .member = "profile" };
static const struct api_call profile_upsert = { "POST", "/v1/product-profiles", 0 };

static const struct setting reason_settings[] = {
	{ "--reason", NULL, NULL, "TEXT", "Why, for the record", 0 },
	{ 0 },
};
static const struct argument reason_arguments[] = { { "--reason", "reason" }, { 0 } };
static const struct setting *const config_options[] = { input_settings,       mode_settings,   reason_settings,
	                                                idempotency_settings, client_settings, NULL };
static const struct api_call config_apply = { "POST", "/v1/product-config/apply", reason_arguments,
	                                      .flags = API_MODES };
static const struct api_call key_safety_apply = { "POST", "/v1/runtime-key-safety/policies/apply", 0 };

const struct command config_commands[] = {
	{ "product-profiles", "list", "All product profiles", NULL, 0, profile_list_options, api_run, &profile_list },
	{ "product-profiles", "show", "One product profile", "PRODUCT", 1, show_options, api_run, &profile_show },
	{ "product-profiles", "upsert", "Write a product profile", NULL, 0, write_options, api_run, &profile_upsert },
	{ "product-config", "apply", "Plan or write runtime values and secrets of one place", NULL, 0, config_options,
	  api_run, &config_apply },
	{ "runtime-key-safety", "apply", "Merge rules into the key-safety policy", NULL, 0, write_options, api_run,
	  &key_safety_apply },
	{ 0 },
};
