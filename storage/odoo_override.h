/* storage/odoo_override.h - typed Odoo settings of one lane. Shape and rules: facts/odoo.md 9.1, 9.2.
 *
 * One record a context and instance. Values of secrets are never in it: a setting names the binding of a managed
 * secret. */
#pragma once

#include "core/contract.h"

enum override_phase { OVERRIDE_RESTORE, OVERRIDE_DEPLOY, OVERRIDE_PROMOTION, OVERRIDE_PREVIEW, OVERRIDE_MANUAL };
extern const char *const override_phase_names[];

enum override_source { OVERRIDE_LITERAL, OVERRIDE_SECRET_BINDING };
extern const char *const override_source_names[];

struct override_value {
	int source;
	const struct json *value;      /* of a literal: a string, number or boolean; else NULL */
	const char *secret_binding_id; /* of a secret binding; else "" */
};
struct override_config_parameter {
	const char *key;
	struct override_value value;
};
struct override_addon_setting {
	const char *addon, *setting;
	struct override_value value;
};
struct website_route {
	const char *name, *url, *module;
	bool published, homepage;
};
struct website_bootstrap {
	const char *tenant, *name, *default_lang, *homepage_url, *primary_page_xmlid, *logo_path, *logo_alt,
	        *canonical_url;
	const struct json *pages_source, *routes_source; /* objects, or NULL */
	LIST_OF(struct website_route) routes;
};
extern const struct contract website_bootstrap_contract;

struct override_apply {
	bool attempted;
	int status; /* enum release_status */
	const char *applied_at, *detail;
};

struct odoo_override {
	int64_t schema_version;
	const char *context, *instance;
	struct strings apply_on;
	LIST_OF(struct override_config_parameter) config_parameters;
	LIST_OF(struct override_addon_setting) addon_settings;
	struct website_bootstrap *website_bootstrap;
	struct override_apply last_apply;
	const char *updated_at, *source_label;
};
extern const struct contract odoo_override_contract;

bool odoo_override_applies_on(const struct odoo_override *o, enum override_phase phase);
/* A name with a part PASSWORD, TOKEN, SECRET or KEY between '.', '-' and '_', in any case: it demands a binding. */
bool odoo_override_needs_binding(const char *name);
/* The environment keys of secret values. NULL when the name cannot become one. */
char *override_parameter_key(struct arena *a, const char *key);
char *override_setting_key(struct arena *a, const char *addon, const char *setting);
