#include "drivers/odoo/override_payload.h"

#include "core/digest.h"
#include "storage/runtime_environment.h"

#include <assert.h>

const char *const workflow_intent_names[] = { "deploy", "restore", "bootstrap", NULL };

bool override_applies(const struct odoo_override *o, enum workflow_intent intent)
{
	if (odoo_override_applies_on(o, OVERRIDE_DEPLOY))
		return true;
	return intent == INTENT_RESTORE && odoo_override_applies_on(o, OVERRIDE_RESTORE);
}

/* ---- values ---- */

static bool payload_value(struct arena *a, const struct override_value *v, const char *key, const char *name,
                          struct override_payload *p, struct json *out, struct err *err)
{
	*out = json_object();
	json_set_str(a, out, "source", override_source_names[v->source]);
	if (v->source == OVERRIDE_LITERAL) {
		json_set(a, out, "value", *v->value);
		return true;
	}
	if (!key)
		return err_set(
		        err, &E_invalid_request,
		        "The override %.150s is a secret, but its name cannot be made into an environment key: use "
		        "letters, digits, dots and underscores",
		        name);
	if (strings_have(&p->secret_keys, key))
		return err_set(err, &E_invalid_request,
		               "Two overrides are secrets under the one environment key %.150s: rename one", key);
	strings_add(a, &p->secret_keys, key);
	json_set_str(a, out, "secret_binding_id", v->secret_binding_id);
	json_set_str(a, out, "environment_variable", key);
	return true;
}

static bool add_parameter(struct arena *a, const struct override_config_parameter *c, struct override_payload *p,
                          struct json *list, struct err *err)
{
	struct json item = json_object(), value;
	if (!payload_value(a, &c->value, override_parameter_key(a, c->key), c->key, p, &value, err))
		return false;
	json_set_str(a, &item, "key", c->key);
	json_set(a, &item, "value", value);
	json_push(a, list, item);
	return true;
}

static bool add_setting(struct arena *a, const struct override_addon_setting *s, struct override_payload *p,
                        struct json *list, struct err *err)
{
	struct json item = json_object(), value;
	const char *name = arena_printf(a, "%s.%s", s->addon, s->setting);
	if (!payload_value(a, &s->value, override_setting_key(a, s->addon, s->setting), name, p, &value, err))
		return false;
	json_set_str(a, &item, "addon", s->addon);
	json_set_str(a, &item, "setting", s->setting);
	json_set(a, &item, "value", value);
	json_push(a, list, item);
	return true;
}

/* ---- the Shopify group, facts/odoo.md 9.4 ---- */

static bool is_shopify(const struct override_addon_setting *s)
{
	return strcmp(s->addon, "shopify") == 0;
}

static const struct override_addon_setting *shopify_setting(const struct odoo_override *o, const char *setting)
{
	for (size_t i = 0; i < o->addon_settings.n; i++)
		if (is_shopify(&o->addon_settings.v[i]) && strcmp(o->addon_settings.v[i].setting, setting) == 0)
			return &o->addon_settings.v[i];
	return NULL;
}

/* A literal as text; false for a secret, whose value is not known here. */
static bool literal_text(struct arena *a, const struct override_value *v, const char **out)
{
	if (v->source != OVERRIDE_LITERAL)
		return false;
	*out = v->value->type == JSON_STRING ? v->value->string : json_text(a, v->value);
	return true;
}

static bool allows_production(struct arena *a, const struct odoo_override *o, bool *out, struct err *err)
{
	static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "", "0", "false", "no", "off" };
	const struct override_addon_setting *s = shopify_setting(o, "allow_production");
	const char *text = "";
	*out = false;
	if (s && !literal_text(a, &s->value, &text))
		return err_set(err, &E_invalid_request, "shopify.allow_production must be a literal, not a secret");
	text = lowered(a, trimmed(a, text));
	for (size_t i = 0; i < countof(yes); i++)
		if (strcmp(text, yes[i]) == 0) {
			*out = true;
			return true;
		}
	for (size_t i = 0; i < countof(no); i++)
		if (strcmp(text, no[i]) == 0)
			return true;
	return err_set(err, &E_invalid_request,
	               "shopify.allow_production must be one of true, yes, on, 1, false, no, off, 0");
}

static bool looks_like_production(struct arena *a, const struct odoo_override *o, const char *shop, bool *out,
                                  struct err *err)
{
	const struct override_addon_setting *s = shopify_setting(o, "production_indicators");
	const char *words = "production,live,prod-";
	if (s && !literal_text(a, &s->value, &words))
		return err_set(err, &E_invalid_request,
		               "shopify.production_indicators must be a literal, not a secret");
	*out = false;
	while (*words) {
		size_t n = strcspn(words, ",");
		const char *word = trimmed(a, arena_strndup(a, words, n));
		if (word[0] && strcasestr(shop, word))
			*out = true;
		words += n + (words[n] == ',');
	}
	return true;
}

static bool check_shop(struct arena *a, const struct odoo_override *o, const struct strings *protected_shops,
                       struct err *err)
{
	const char *shop;
	if (!literal_text(a, &shopify_setting(o, "shop_url_key")->value, &shop))
		return err_set(err, &E_invalid_request,
		               "shopify.shop_url_key must be a literal, so that protected shops can be refused");
	shop = trimmed(a, shop);
	for (size_t i = 0; i < protected_shops->n; i++)
		if (strcasecmp(trimmed(a, protected_shops->v[i]), shop) == 0)
			return err_set(err, &E_invalid_request,
			               "shopify.shop_url_key names a shop that is protected on this target: choose "
			               "another shop");
	bool is_production = false, is_allowed = false;
	if (!looks_like_production(a, o, shop, &is_production, err) || !allows_production(a, o, &is_allowed, err))
		return false;
	if (is_production && !is_allowed)
		return err_set(err, &E_invalid_request,
		               "shopify.shop_url_key looks like a production shop: set shopify.allow_production to "
		               "true if it is meant");
	return true;
}

static bool add_action(struct arena *a, const char *action, struct override_payload *p, struct json *list,
                       struct err *err)
{
	const struct json word = json_of_str(action);
	const struct override_addon_setting s = {
		.addon = "shopify",
		.setting = "action",
		.value = { .source = OVERRIDE_LITERAL, .value = &word, .secret_binding_id = "" },
	};
	return add_setting(a, &s, p, list, err);
}

static bool add_shopify(struct arena *a, const struct odoo_override *o, const struct strings *protected_shops,
                        struct override_payload *p, struct json *list, struct err *err)
{
	static const char *const needed[] = { "shop_url_key", "api_token", "webhook_key", "api_version" };
	bool is_complete = true;
	for (size_t i = 0; i < countof(needed); i++)
		is_complete = is_complete && shopify_setting(o, needed[i]);
	if (!is_complete)
		return add_action(a, "clear", p, list, err);
	if (!check_shop(a, o, protected_shops, err) || !add_action(a, "apply", p, list, err))
		return false;
	for (size_t i = 0; i < o->addon_settings.n; i++) {
		const struct override_addon_setting *s = &o->addon_settings.v[i];
		if (!is_shopify(s) || strcmp(s->setting, "allow_production") == 0 ||
		    strcmp(s->setting, "production_indicators") == 0 || strcmp(s->setting, "action") == 0)
			continue;
		if (!add_setting(a, s, p, list, err))
			return false;
	}
	return true;
}

static bool add_settings(struct arena *a, const struct odoo_override *o, const struct strings *protected_shops,
                         struct override_payload *p, struct json *list, struct err *err)
{
	bool has_shopify = false;
	for (size_t i = 0; i < o->addon_settings.n; i++) {
		if (is_shopify(&o->addon_settings.v[i]))
			has_shopify = true;
		else if (!add_setting(a, &o->addon_settings.v[i], p, list, err))
			return false;
	}
	return !has_shopify || add_shopify(a, o, protected_shops, p, list, err);
}

/* ---- evidence ---- */

static const char *yes_no(bool b)
{
	return b ? "true" : "false";
}

static void website_evidence(struct arena *a, const struct website_bootstrap *w, struct text_map *out)
{
	assert(w);
	for (const struct field *f = website_bootstrap_contract.fields; f->kind != FIELD_END; f++) {
		const void *member = (const char *)w + f->offset;
		bool is_present = false;
		if (f->kind == FIELD_STR)
			is_present = !is_blank(*(const char *const *)member);
		else if (f->kind == FIELD_JSON)
			is_present =
			        *(const struct json *const *)member && (*(const struct json *const *)member)->n > 0;
		else if (f->kind == FIELD_LIST)
			is_present = ((const struct any_list *)member)->n > 0;
		map_set(a, out, arena_printf(a, "website_bootstrap_%s_present", f->name), yes_no(is_present));
	}
	size_t published = 0, homepages = 0;
	for (size_t i = 0; i < w->routes.n; i++) {
		published += w->routes.v[i].published;
		homepages += w->routes.v[i].homepage;
	}
	map_set(a, out, "website_bootstrap_route_count", arena_printf(a, "%zu", w->routes.n));
	map_set(a, out, "website_bootstrap_published_route_count", arena_printf(a, "%zu", published));
	map_set(a, out, "website_bootstrap_homepage_route_count", arena_printf(a, "%zu", homepages));
}

static void add_evidence(struct arena *a, const struct odoo_override *o, enum workflow_intent intent,
                         struct override_payload *p)
{
	map_set(a, &p->evidence, "workflow_intent", workflow_intent_names[intent]);
	map_set(a, &p->evidence, "payload_rendered", yes_no(p->is_rendered));
	if (!p->is_rendered)
		return;
	map_set(a, &p->evidence, "payload_schema_version", arena_printf(a, "%d", OVERRIDE_PAYLOAD_VERSION));
	map_set(a, &p->evidence, "payload_sha256", p->sha256);
	map_set(a, &p->evidence, "config_parameter_count", arena_printf(a, "%lld", (long long)p->config_parameters));
	map_set(a, &p->evidence, "addon_setting_count", arena_printf(a, "%lld", (long long)p->addon_settings));
	map_set(a, &p->evidence, "secret_key_count", arena_printf(a, "%zu", p->secret_keys.n));
	map_set(a, &p->evidence, "website_bootstrap_included", yes_no(p->has_website_bootstrap));
	if (p->has_website_bootstrap) {
		assert(o);
		website_evidence(a, o->website_bootstrap, &p->evidence);
	}
}

/* ---- the payload ---- */

static void encode(struct arena *a, const struct json *payload, struct override_payload *p)
{
	struct buf b = buf_in(a);
	char *sha = arena_alloc(a, SHA256_HEX);
	json_write_canonical(&b, payload);
	sha256_hex(b.p, b.n, sha);
	p->sha256 = sha;
	p->base64 = base64_encode(a, b.p, b.n);
	map_set(a, &p->env, OVERRIDE_PAYLOAD_KEY, p->base64);
	if (p->config_parameters || p->addon_settings)
		map_set(a, &p->env, OVERRIDES_REQUIRED_KEY, "true");
	if (p->has_website_bootstrap)
		map_set(a, &p->env, WEBSITE_REQUIRED_KEY, "true");
}

bool override_payload_build(struct arena *a, const struct odoo_override *o, enum workflow_intent intent,
                            const struct strings *protected_shops, struct override_payload *out, struct err *err)
{
	return override_payload_of(a, o && override_applies(o, intent) ? o : NULL, intent, protected_shops, out, err);
}

bool override_payload_of(struct arena *a, const struct odoo_override *o, enum workflow_intent intent,
                         const struct strings *protected_shops, struct override_payload *out, struct err *err)
{
	struct override_payload p = { .base64 = "", .sha256 = "" };
	if (o) {
		struct json parameters = json_array(), settings = json_array(), payload = json_object();
		for (size_t i = 0; i < o->config_parameters.n; i++)
			if (!add_parameter(a, &o->config_parameters.v[i], &p, &parameters, err))
				return false;
		if (!add_settings(a, o, protected_shops, &p, &settings, err))
			return false;
		p.config_parameters = parameters.n;
		p.addon_settings = settings.n;
		p.has_website_bootstrap = o->website_bootstrap != NULL;
		p.is_rendered = parameters.n || settings.n || p.has_website_bootstrap;
		json_set(a, &payload, "schema_version", json_of_int(OVERRIDE_PAYLOAD_VERSION));
		json_set_str(a, &payload, "context", o->context);
		json_set_str(a, &payload, "instance", o->instance);
		json_set(a, &payload, "config_parameters", parameters);
		json_set(a, &payload, "addon_settings", settings);
		if (p.has_website_bootstrap)
			json_set(a, &payload, "website_bootstrap",
			         contract_json(a, &website_bootstrap_contract, o->website_bootstrap, true));
		if (p.is_rendered)
			encode(a, &payload, &p);
	}
	add_evidence(a, o, intent, &p);
	*out = p;
	return true;
}
