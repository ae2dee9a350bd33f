#include "storage/odoo_override.h"

#include "storage/evidence.h"
#include "storage/runtime_environment.h"

const char *const override_phase_names[] = { "restore", "deploy", "promotion", "preview", "manual", NULL };
const char *const override_source_names[] = { "literal", "secret_binding", NULL };

static bool check_value(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct override_value *v = record;
	if (v->source == OVERRIDE_SECRET_BINDING) {
		if (is_blank(v->secret_binding_id))
			return contract_fail(a, err, path, "secret_binding_id",
			                     "is required when source is secret_binding");
		if (v->value)
			return contract_fail(a, err, path, "value", "must not be given when source is secret_binding");
		return true;
	}
	if (!is_blank(v->secret_binding_id))
		return contract_fail(a, err, path, "secret_binding_id", "must not be given when source is literal");
	if (!v->value)
		return contract_fail(a, err, path, "value", "is required when source is literal");
	if (v->value->type == JSON_ARRAY || v->value->type == JSON_OBJECT)
		return contract_fail(a, err, path, "value", "must be a string, a number or a boolean");
	return true;
}

static const struct field value_fields[] = {
	F_ENUM(override_value, source, REQUIRED, .names = override_source_names),
	F_JSON(override_value, value, 0, .help = "String, number or boolean of a literal"),
	F_STR(override_value, secret_binding_id, TRIMMED, .max = 300,
	      .help = "Managed-secret binding of a secret value"),
	F_END,
};
static const struct contract value_contract =
        CONTRACT(override_value, value_fields, "A literal, or a reference to a managed secret", .check = check_value);

static const struct field config_parameter_fields[] = {
	F_STR(override_config_parameter, key, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 200),
	F_OBJECT(override_config_parameter, value, REQUIRED, &value_contract),
	F_END,
};
static const struct contract config_parameter_contract =
        CONTRACT(override_config_parameter, config_parameter_fields, "An ir.config_parameter");

static const struct field addon_setting_fields[] = {
	F_STR(override_addon_setting, addon, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_STR(override_addon_setting, setting, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_OBJECT(override_addon_setting, value, REQUIRED, &value_contract),
	F_END,
};
static const struct contract addon_setting_contract =
        CONTRACT(override_addon_setting, addon_setting_fields, "A setting of one addon");

static bool check_path(struct arena *a, const char *path, const char *member, const char *value, struct err *err)
{
	return value[0] == '/' || contract_fail(a, err, path, member, "must start with /");
}

static bool check_route(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct website_route *r = record;
	return check_path(a, path, "url", r->url, err);
}

static const struct field route_fields[] = {
	F_STR(website_route, name, REQUIRED | TRIMMED | NON_BLANK),
	F_STR(website_route, url, REQUIRED | TRIMMED | NON_BLANK, .help = "Starts with /"),
	F_STR(website_route, module, TRIMMED),
	F_BOOL(website_route, published, 0, .fallback = "true"),
	F_BOOL(website_route, homepage, 0, .fallback = "false"),
	F_END,
};
static const struct contract route_contract =
        CONTRACT(website_route, route_fields, "A page the website serves", .check = check_route);

static bool check_source(struct arena *a, const char *path, const char *member, const struct json **value,
                         struct err *err)
{
	if (*value && (*value)->type != JSON_OBJECT)
		return contract_fail(a, err, path, member, "must be an object");
	return true;
}

static bool has_members(const struct json *object)
{
	return object && object->n > 0;
}

static bool check_website(struct arena *a, void *record, const char *path, struct err *err)
{
	struct website_bootstrap *w = record;
	if (w->homepage_url[0] && !check_path(a, path, "homepage_url", w->homepage_url, err))
		return false;
	if (!check_source(a, path, "pages_source", &w->pages_source, err) ||
	    !check_source(a, path, "routes_source", &w->routes_source, err))
		return false;
	if (is_blank(w->name) && is_blank(w->default_lang) && is_blank(w->homepage_url) &&
	    is_blank(w->primary_page_xmlid) && is_blank(w->logo_path) && is_blank(w->logo_alt) &&
	    is_blank(w->canonical_url) && !has_members(w->pages_source) && !has_members(w->routes_source) &&
	    w->routes.n == 0)
		return err_field(err, path, "must have at least one member besides tenant");
	return true;
}

static const struct field website_fields[] = {
	F_STR(website_bootstrap, tenant, TRIMMED),
	F_STR(website_bootstrap, name, TRIMMED),
	F_STR(website_bootstrap, default_lang, TRIMMED),
	F_STR(website_bootstrap, homepage_url, TRIMMED, .help = "Starts with /"),
	F_STR(website_bootstrap, primary_page_xmlid, TRIMMED),
	F_STR(website_bootstrap, logo_path, TRIMMED),
	F_STR(website_bootstrap, logo_alt, TRIMMED),
	F_STR(website_bootstrap, canonical_url, TRIMMED),
	F_JSON(website_bootstrap, pages_source, 0, .help = "Object"),
	F_JSON(website_bootstrap, routes_source, 0, .help = "Object"),
	F_LIST(website_bootstrap, routes, 0, &route_contract, .max = 500),
	F_END,
};
const struct contract website_bootstrap_contract =
        CONTRACT(website_bootstrap, website_fields, "What the website is set up with", .check = check_website);

static bool check_apply(struct arena *a, void *record, const char *path, struct err *err)
{
	const struct override_apply *l = record;
	if (!l->attempted && l->status != RELEASE_SKIPPED)
		return contract_fail(a, err, path, "status", "must be skipped when attempted is false");
	if (l->attempted && l->status == RELEASE_SKIPPED)
		return contract_fail(a, err, path, "status", "must be pending, pass or fail when attempted is true");
	if ((l->status == RELEASE_PASS || l->status == RELEASE_FAIL) && is_blank(l->applied_at))
		return contract_fail(a, err, path, "applied_at", "is required when status is pass or fail");
	return true;
}

static const struct field apply_fields[] = {
	F_BOOL(override_apply, attempted, 0, .fallback = "false"),
	F_ENUM(override_apply, status, 0, .names = release_status_names, .fallback = "skipped"),
	F_STR(override_apply, applied_at, 0),
	F_STR(override_apply, detail, 0),
	F_END,
};
static const struct contract apply_contract =
        CONTRACT(override_apply, apply_fields, "How the latest application went", .check = check_apply);

static bool check_override(struct arena *a, void *record, const char *path, struct err *err)
{
	struct odoo_override *o = record;
	for (size_t i = 0; i < o->apply_on.n; i++) {
		bool is_known = false;
		for (size_t k = 0; override_phase_names[k]; k++)
			is_known = is_known || strcmp(override_phase_names[k], o->apply_on.v[i]) == 0;
		if (!is_known)
			return contract_fail(a, err, path, arena_printf(a, "apply_on[%zu]", i),
			                     "must be one of restore, deploy, promotion, preview, manual");
	}
	for (size_t i = 0; i < o->config_parameters.n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(o->config_parameters.v[i].key, o->config_parameters.v[k].key) == 0)
				return contract_fail(a, err, path, arena_printf(a, "config_parameters[%zu].key", i),
				                     "is there twice");
	for (size_t i = 0; i < o->addon_settings.n; i++)
		for (size_t k = 0; k < i; k++)
			if (strcmp(o->addon_settings.v[i].addon, o->addon_settings.v[k].addon) == 0 &&
			    strcmp(o->addon_settings.v[i].setting, o->addon_settings.v[k].setting) == 0)
				return contract_fail(a, err, path, arena_printf(a, "addon_settings[%zu]", i),
				                     "names an addon and setting that are there twice");
	if (o->config_parameters.n == 0 && o->addon_settings.n == 0 && !o->website_bootstrap)
		return err_field(err, path, "needs config_parameters, addon_settings or website_bootstrap");
	return true;
}

static const struct field override_fields[] = {
	F_SCHEMA_VERSION(odoo_override),
	F_STR(odoo_override, context, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_STR(odoo_override, instance, REQUIRED | LOWERED | NON_BLANK | NO_BLANKS, .max = 100),
	F_STRINGS(odoo_override, apply_on, UNIQUE, .min = 1, .fallback = "deploy promotion",
	          .help = "restore, deploy, promotion, preview, manual"),
	F_LIST(odoo_override, config_parameters, 0, &config_parameter_contract, .max = 500),
	F_LIST(odoo_override, addon_settings, 0, &addon_setting_contract, .max = 500),
	F_OPT_OBJECT(odoo_override, website_bootstrap, 0, &website_bootstrap_contract),
	F_OBJECT(odoo_override, last_apply, 0, &apply_contract),
	F_STR(odoo_override, updated_at, REQUIRED | NON_BLANK),
	F_STR(odoo_override, source_label, 0),
	F_END,
};
const struct contract odoo_override_contract =
        CONTRACT(odoo_override, override_fields, "Typed Odoo settings of a lane", .check = check_override);

bool odoo_override_applies_on(const struct odoo_override *o, enum override_phase phase)
{
	return strings_have(&o->apply_on, override_phase_names[phase]);
}

bool odoo_override_needs_binding(const char *name)
{
	static const char *const parts[] = { "password", "token", "secret", "key" };
	while (*name) {
		size_t n = strcspn(name, ".-_");
		for (size_t i = 0; i < countof(parts); i++)
			if (strlen(parts[i]) == n && strncasecmp(parts[i], name, n) == 0)
				return true;
		name += n + (name[n] != '\0');
	}
	return false;
}

/* ---- environment keys ---- */

/* Upper case, '.' as two underscores; '-' as one where dash allows it. */
static void add_key_part(struct buf *b, const char *s, bool dash)
{
	for (; *s; s++) {
		if (*s == '.')
			buf_str(b, "__");
		else if (*s == '-' && dash)
			buf_char(b, '_');
		else
			buf_char(b, *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s);
	}
}

char *override_parameter_key(struct arena *a, const char *key)
{
	struct buf b = buf_in(a);
	buf_str(&b, "ODOO_OVERRIDE_SECRET__CONFIG_PARAM__");
	add_key_part(&b, key, false);
	return is_env_key(b.p) ? b.p : NULL;
}

char *override_setting_key(struct arena *a, const char *addon, const char *setting)
{
	struct buf b = buf_in(a);
	buf_str(&b, "ODOO_OVERRIDE_SECRET__ADDON__");
	add_key_part(&b, addon, true);
	buf_str(&b, "__");
	add_key_part(&b, setting, true);
	return is_env_key(b.p) ? b.p : NULL;
}
