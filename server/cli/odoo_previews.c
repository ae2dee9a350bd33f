/* launchplane odoo-previews ...: previews of Odoo pull requests. */
#include "server/cli/client.h"

static const struct setting inputs_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--operation", NULL, NULL, "NAME", "refresh or destroy", 0 },
	{ "--pr-number", NULL, NULL, "N", "The pull request", 0 },
	{ "--image-reference", NULL, NULL, "IMAGE", "<repository>@sha256:<digest>, for a refresh", 0 },
	{ "--source-git-ref", NULL, NULL, "COMMIT", "What the image was built from", 0 },
	{ "--preview-url", NULL, NULL, "URL", "Default: the slug below the context's base URL", 0 },
	{ "--no-cache", NULL, NULL, NULL, "Redeploy instead of deploy", SETTING_SWITCH },
	{ 0 },
};
static const struct argument inputs_arguments[] = {
	{ "--product", "product inputs.product", .is_required = true },
	{ "--operation", "inputs.operation", .is_required = true },
	{ "--pr-number", "inputs.pr_number", ARGUMENT_NUMBER, .is_required = true },
	{ "--image-reference", "inputs.image_reference" },
	{ "--source-git-ref", "inputs.source_git_ref" },
	{ "--preview-url", "inputs.preview_url" },
	{ "--no-cache", "inputs.no_cache", ARGUMENT_TRUE },
	{ 0 },
};
static const struct setting *const inputs_options[] = { inputs_settings, input_settings, client_settings, NULL };
static const struct setting *const apply_options[] = { input_settings, idempotency_settings, client_settings, NULL };
static const struct api_call plan = { "POST", "/v1/drivers/odoo/preview-apply-inputs", inputs_arguments, 0 };
static const struct api_call apply = { "POST", "/v1/drivers/odoo/preview-apply", 0 };

static const struct setting inventory_settings[] = {
	{ "--product", NULL, NULL, "NAME", "The product, as in its profile", 0 },
	{ "--source", NULL, NULL, "TEXT", "Who looked, for the scan's record; default: odoo-preview-inventory", 0 },
	{ 0 },
};
static const struct argument inventory_arguments[] = {
	{ "--product", "product inventory.product", .is_required = true },
	{ "--source", "inventory.source" },
	{ 0 },
};
static const struct column inventory_columns[] = {
	{ "SLUG", "previewSlug" },         { "TYPE", "providerType" }, { "SERVICE", "applicationName" },
	{ "SERVICE ID", "applicationId" }, { "HOST", "domainHost" },   { 0 },
};
static const struct setting *const inventory_options[] = { inventory_settings, client_settings, NULL };
static const struct api_call inventory = { "POST", "/v1/drivers/odoo/preview-inventory", inventory_arguments,
	                                   "result.previews", inventory_columns };

const struct command odoo_preview_commands[] = {
	{ "odoo-previews", "plan", "What would be done for a pull request's preview, and what speaks against it", NULL,
	  0, inputs_options, api_run, &plan },
	{ "odoo-previews", "apply", "Carry such a plan out: {\"product\", \"apply\": {\"dry_run_plan\", ...}}", NULL, 0,
	  apply_options, api_run, &apply },
	{ "odoo-previews", "inventory", "Which previews a product has at the provider; recorded as a scan", NULL, 0,
	  inventory_options, api_run, &inventory },
	{ 0 },
};
