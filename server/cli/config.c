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
static const struct setting plan_settings[] = {
	{ "--plan-digest", NULL, NULL, "HEX", "Apply only the plan that was reviewed: its plan_digest", 0 },
	{ 0 },
};
static const struct argument reason_arguments[] = { { "--reason", "reason" },
	                                            { "--plan-digest", "plan_digest" },
	                                            { 0 } };
static const struct setting *const config_options[] = {
	input_settings, mode_settings, reason_settings, plan_settings, idempotency_settings, client_settings, NULL
};
static const struct api_call config_apply = { "POST", "/v1/product-config/apply", reason_arguments,
	                                      .flags = API_MODES };
static const struct api_call key_safety_apply = { "POST", "/v1/runtime-key-safety/policies/apply", 0 };

static const struct setting live_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, prod", 0 },
	{ "--deploy", NULL, NULL, NULL, "Deploy afterwards; with --apply", SETTING_SWITCH },
	{ "--no-cache", NULL, NULL, NULL, "Rebuild when deploying", SETTING_SWITCH },
	{ "--deploy-timeout-seconds", NULL, NULL, "N", "Longest wait for the deploy", 0 },
	{ 0 },
};
static const struct argument live_arguments[] = {
	{ "--product", "product", .is_required = true },
	{ "--context", "context", .is_required = true },
	{ "--instance", "instance", .is_required = true },
	{ "--deploy", "deploy", ARGUMENT_TRUE },
	{ "--no-cache", "no_cache", ARGUMENT_TRUE },
	{ "--deploy-timeout-seconds", "deploy_timeout_seconds", ARGUMENT_NUMBER },
	{ "--reason", "reason" },
	{ "--plan-digest", "plan_digest" },
	{ 0 },
};
static const struct setting *const live_options[] = { live_settings, mode_settings,        reason_settings,
	                                              plan_settings, idempotency_settings, client_settings,
	                                              NULL };
static const struct api_call live_apply = { "POST", "/v1/live-target-runtime/apply", live_arguments,
	                                    .flags = API_MODES };

static const struct setting *const onboarding_options[] = {
	input_settings, mode_settings, reason_settings, plan_settings, idempotency_settings, client_settings, NULL
};
static const struct api_call onboarding_apply = { "POST", "/v1/product-onboarding/apply", reason_arguments,
	                                          .flags = API_MODES, .input_member = "manifest" };

const struct command config_commands[] = {
	{ "product-profiles", "list", "All product profiles", NULL, 0, profile_list_options, api_run, &profile_list },
	{ "product-profiles", "show", "One product profile", "PRODUCT", 1, show_options, api_run, &profile_show },
	{ "product-profiles", "upsert", "Write a product profile", NULL, 0, write_options, api_run, &profile_upsert },
	{ "product-config", "apply", "Plan or write runtime values and secrets of one place", NULL, 0, config_options,
	  api_run, &config_apply },
	{ "product-onboarding", "apply", "Plan or make a product with all it needs from one manifest", NULL, 0,
	  onboarding_options, api_run, &onboarding_apply },
	{ "live-target-runtime", "apply", "Compare or bring recorded runtime values to a live target", NULL, 0,
	  live_options, api_run, &live_apply },
	{ "runtime-key-safety", "apply", "Merge rules into the key-safety policy", NULL, 0, write_options, api_run,
	  &key_safety_apply },
	{ 0 },
};
