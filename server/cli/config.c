/* Configuration authority: product profiles, runtime values and secrets, key safety. */
#include "server/cli/client.h"
#include "server/cli/direct.h"
#include "server/service.h"
#include "storage/codes.h"
#include "storage/product_config.h"

#include <stdio.h>

static const struct setting *const write_options[] = { input_settings, idempotency_settings, client_settings, NULL };

static const struct setting profile_list_settings[] = {
	{ "--driver-id", NULL, NULL, "NAME", "Only products of this driver", 0 },
	{ 0 },
};
static const struct setting *const profile_list_options[] = { profile_list_settings, client_settings, NULL };
static const struct argument profile_list_arguments[] = { { "--driver-id", "driver_id" }, { 0 } };
static const struct column profile_columns[] = {
	{ "PRODUCT", "product" },       { "NAME", "display_name" },  { "DRIVER", "driver_id" },
	{ "REPOSITORY", "repository" }, { "IMAGE", "image.repository" }, { "PORT", "runtime_port" },
	{ "HEALTH", "health_path" }, { "PREVIEWS", "preview.enabled" }, { "PREVIEW CONTEXT", "preview.context" },
	{ "UPDATED", "updated_at" }, { "SOURCE", "source" }, { 0 },
};
static const struct api_call profile_list = { "GET",      "/v1/product-profiles", profile_list_arguments,
	                                      "profiles", profile_columns,        0 };
static const struct setting profile_show_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, instead of the word", 0 },
	{ 0 },
};
static const struct setting *const profile_show_options[] = { profile_show_settings, client_settings, NULL };
static const struct argument profile_show_arguments[] = { { "--product", "{product}" }, { 0 } };
static const struct api_call profile_show = { "GET", "/v1/product-profiles/{product}", profile_show_arguments,
	                                      "profile" };

static const struct setting profile_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product's key", 0 },
	{ "--display-name", NULL, NULL, "TEXT", "Its name for people", 0 },
	{ "--repository", NULL, NULL, "OWNER/NAME", "Its repository", 0 },
	{ "--driver-id", NULL, NULL, "NAME", "Its driver; default: generic-web", 0 },
	{ "--image-repository", NULL, NULL, "NAME", "Where its images are", 0 },
	{ "--runtime-port", NULL, NULL, "N", "Its HTTP port; 0: it has none", 0 },
	{ "--health-path", NULL, NULL, "PATH", "Asked for its health", 0 },
	{ "--lanes-json", NULL, NULL, "JSON", "The list of lanes", 0 },
	{ "--preview-enabled", NULL, NULL, NULL, "It has previews", SETTING_SWITCH },
	{ "--preview-disabled", NULL, NULL, NULL, "It has none", SETTING_SWITCH },
	{ "--preview-context", NULL, NULL, "NAME", "The previews' context", 0 },
	{ "--preview-slug-template", NULL, NULL, "TEXT", "How a preview is called", 0 },
	{ "--updated-at", NULL, NULL, "TIME", "Default: now", 0 },
	{ "--source-label", NULL, NULL, "TEXT", "Default: cli:product-profiles:upsert", 0 },
	{ 0 },
};
static const struct argument profile_arguments[] = {
	{ "--product", "product" },
	{ "--display-name", "display_name" },
	{ "--repository", "repository" },
	{ "--driver-id", "driver_id", .fallback = "generic-web" },
	{ "--image-repository", "image.repository" },
	{ "--runtime-port", "runtime_port", ARGUMENT_NUMBER },
	{ "--health-path", "health_path" },
	{ "--lanes-json", "lanes", ARGUMENT_JSON },
	{ "--preview-enabled", "preview.enabled", ARGUMENT_TRUE },
	{ "--preview-disabled", "preview.enabled", ARGUMENT_FALSE },
	{ "--preview-context", "preview.context" },
	{ "--preview-slug-template", "preview.slug_template" },
	{ "--updated-at", "updated_at", .fallback = "now" },
	{ "--source-label", "source", .fallback = "cli:product-profiles:upsert" },
	{ 0 },
};
static const struct setting *const profile_options[] = { profile_settings, input_settings, idempotency_settings,
	                                                 client_settings, NULL };
static const struct api_call profile_upsert = { "POST", "/v1/product-profiles", profile_arguments,
	                                        .flags = API_FLAGS_DO };

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
static const struct setting label_settings[] = {
	{ "--source-label", NULL, NULL, "TEXT", "For the record; default: product-config-apply", 0 },
	{ 0 },
};
static const struct argument config_arguments[] = { { "--reason", "reason" },
	                                            { "--plan-digest", "plan_digest" },
	                                            { "--source-label", "source_label",
	                                              .fallback = "product-config-apply" },
	                                            { 0 } };
static const struct setting *const config_options[] = { input_settings,      mode_settings,     reason_settings,
	                                                plan_settings,       label_settings,    idempotency_settings,
	                                                client_settings,     database_settings, actor_settings,
	                                                master_key_settings, log_settings,      NULL };
static const struct api_call config_apply = { "POST", "/v1/product-config/apply", config_arguments,
	                                      .flags = API_MODES };

/* Straight in the database, for a shell that has its address and the master key: no service, no policy. */
static SUSPENDS bool config_direct(struct direct *d, struct buf *out, struct err *err)
{
	static const struct command self = { .options = config_options, .call = &config_apply };
	const char *body, *result = NULL;
	struct json sent;
	struct product_config_request request;
	struct product_config config;
	struct config_plan plan = { 0 };
	struct err ignored = { 0 };
	struct tx *tx;
	bool applies = setting_on(d->s, "--apply");
	if (!api_body(d->t->arena, &self, d->s, &body, err) ||
	    !json_parse(d->t->arena, body, strlen(body), "the bundle", &sent, err) ||
	    !contract_read(d->t->arena, &product_config_request_contract, &sent, "", &request, err) ||
	    !product_config_read(d->t->arena, &request, d->by.actor, d->by.now, &config, err) ||
	    !tx_begin(d->t, &tx, err))
		return false;
	bool done = product_config_run(tx, &config, d->t->loop->keyring, applies, &plan, &result, err);
	if (done && applies)
		done = tx_commit(tx, err);
	else
		tx_rollback(tx);
	if (!secret_plans_note(d->t, plan.secrets, config.wishes, plan.secrets_n, &config.by, &ignored))
		fprintf(stderr, "launchplane: that secrets were compared could not be noted: %s\n", ignored.message);
	if (!done && err->code == &E_plan_changed && result)
		puts(result); /* what would happen now */
	if (done)
		buf_str(out, result);
	return done;
}

static int config_run(const struct command *c, struct settings *s, char **argv)
{
	bool applies;
	if (!setting(s, "LAUNCHPLANE_DATABASE_URL"))
		return api_run(c, s, argv);
	return direct_mode(s, &applies) ? direct_run(s, c, NULL, config_direct) : EXIT_USAGE;
}
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
	{ "product-profiles", "show", "One product profile", "PRODUCT", 1, profile_show_options, api_run,
	  &profile_show },
	{ "product-profiles", "upsert", "Write a product profile, from flags, from a file, or flags over a file", NULL,
	  0, profile_options, api_run, &profile_upsert },
	{ "product-config", "apply", "Plan or write runtime values and secrets of one place", NULL, 0, config_options,
	  config_run, &config_apply },
	{ "product-onboarding", "apply", "Plan or make a product with all it needs from one manifest", NULL, 0,
	  onboarding_options, api_run, &onboarding_apply },
	{ "live-target-runtime", "apply", "Compare or bring recorded runtime values to a live target", NULL, 0,
	  live_options, api_run, &live_apply },
	{ "runtime-key-safety", "apply", "Merge rules into the key-safety policy", NULL, 0, write_options, api_run,
	  &key_safety_apply },
	{ 0 },
};
