/* launchplane odoo-overrides ...: typed Odoo settings of lanes. */
#include "server/cli/client.h"

static const struct setting lane_settings[] = {
	{ "--context", NULL, NULL, "NAME", "The lane's context", 0 },
	{ "--instance", NULL, NULL, "NAME", "The lane: testing, prod, ...", 0 },
	{ "--source-label", NULL, NULL, "TEXT", "Who or what wrote it; default: cli", 0 },
	{ 0 },
};
static const struct setting value_settings[] = {
	{ "--value", NULL, NULL, "TEXT", "The value; not for names like secrets", 0 },
	{ "--secret-binding-id", NULL, NULL, "ID", "The managed secret's binding, in place of a value", 0 },
	{ 0 },
};
static const struct setting parameter_settings[] = {
	{ "--key", NULL, NULL, "NAME", "The ir.config_parameter", 0 },
	{ 0 },
};
static const struct setting setting_settings[] = {
	{ "--addon", NULL, NULL, "NAME", "The addon: shopify, ...", 0 },
	{ "--setting", NULL, NULL, "NAME", "The setting of it", 0 },
	{ 0 },
};
static const struct setting apply_settings[] = {
	{ "--status", NULL, NULL, "NAME", "skipped, pending, pass or fail", 0 },
	{ "--applied-at", NULL, NULL, "TIME", "UTC; default: now, for pass and fail", 0 },
	{ "--detail", NULL, NULL, "TEXT", "What there is to say", 0 },
	{ 0 },
};

#define LANE_ARGUMENTS                                                                                                 \
	{ "--context", "context", .is_required = true }, { "--instance", "instance", .is_required = true },            \
	{                                                                                                              \
		"--source-label", "source_label"                                                                       \
	}
static const struct argument parameter_arguments[] = {
	LANE_ARGUMENTS,
	{ "--key", "key", .is_required = true },
	{ "--value", "value" },
	{ "--secret-binding-id", "secret_binding_id" },
	{ 0 },
};
static const struct argument setting_arguments[] = {
	LANE_ARGUMENTS,
	{ "--addon", "addon", .is_required = true },
	{ "--setting", "setting", .is_required = true },
	{ "--value", "value" },
	{ "--secret-binding-id", "secret_binding_id" },
	{ 0 },
};
static const struct argument apply_arguments[] = {
	LANE_ARGUMENTS,
	{ "--status", "status", .is_required = true },
	{ "--applied-at", "applied_at" },
	{ "--detail", "detail" },
	{ 0 },
};

static const struct setting *const parameter_options[] = { lane_settings,        parameter_settings, value_settings,
	                                                   idempotency_settings, client_settings,    NULL };
static const struct setting *const setting_options[] = { lane_settings,        setting_settings, value_settings,
	                                                 idempotency_settings, client_settings,  NULL };
static const struct setting *const apply_options[] = { lane_settings, apply_settings, idempotency_settings,
	                                               client_settings, NULL };
static const struct setting *const body_options[] = { input_settings, idempotency_settings, client_settings, NULL };
static const struct setting *const show_options[] = { client_settings, NULL };

static const struct column list_columns[] = {
	{ "CONTEXT", "context" },
	{ "INSTANCE", "instance" },
	{ "PARAMETERS", "config_parameter_count" },
	{ "SETTINGS", "addon_setting_count" },
	{ "LAST APPLY", "last_apply_status" },
	{ "UPDATED AT", "updated_at" },
	{ "SOURCE", "source_label" },
	{ 0 },
};

static const struct api_call put_parameter = { "POST", "/v1/odoo-overrides/config-parameters", parameter_arguments };
static const struct api_call put_setting = { "POST", "/v1/odoo-overrides/addon-settings", setting_arguments };
static const struct api_call put_website = { "POST", "/v1/odoo-overrides/website-bootstrap", 0 };
static const struct api_call mark_apply = { "POST", "/v1/odoo-overrides/apply-status", apply_arguments };
static const struct api_call list = { "GET", "/v1/odoo-overrides", .member = "records", .columns = list_columns };
static const struct api_call show = { "GET", "/v1/odoo-overrides/{context}/{instance}", .member = "record" };
static const struct api_call driver_parameter = { "POST", "/v1/drivers/odoo/config-parameter-override", 0 };
static const struct api_call driver_website = { "POST", "/v1/drivers/odoo/website-bootstrap-override", 0 };

const struct command odoo_override_commands[] = {
	{ "odoo-overrides", "put-config-param", "Write an ir.config_parameter of a lane", NULL, 0, parameter_options,
	  api_run, &put_parameter },
	{ "odoo-overrides", "put-addon-setting", "Write a setting of an addon of a lane", NULL, 0, setting_options,
	  api_run, &put_setting },
	{ "odoo-overrides", "put-website-bootstrap", "Write what a lane's website is set up with", NULL, 0,
	  body_options, api_run, &put_website },
	{ "odoo-overrides", "list", "Typed settings of all lanes: keys, counts, labels and times", NULL, 0,
	  show_options, api_run, &list },
	{ "odoo-overrides", "show", "Typed settings of a lane, likewise", "CONTEXT INSTANCE", 2, show_options, api_run,
	  &show },
	{ "odoo-overrides", "mark-apply", "Say how the latest application of a lane's settings went", NULL, 0,
	  apply_options, api_run, &mark_apply },
	{ "odoo-overrides", "write-config-param", "Write a lane's web.base.url, as workflows do", NULL, 0, body_options,
	  api_run, &driver_parameter },
	{ "odoo-overrides", "write-website-bootstrap", "Write what a lane's website is set up with, as workflows do",
	  NULL, 0, body_options, api_run, &driver_website },
	{ 0 },
};
