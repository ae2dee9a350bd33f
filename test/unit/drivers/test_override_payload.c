#include "drivers/odoo/override_payload.h"

#include "core/digest.h"

#include "support.h"

#define HEAD "{\"context\":\"shop\",\"instance\":\"testing\",\"updated_at\":\"2026-06-01T00:00:00Z\","

static struct odoo_override *record(const char *rest)
{
	struct odoo_override *o = ARENA_NEW(a, struct odoo_override);
	const char *text = arena_printf(a, HEAD "%s}", rest);
	if (!contract_read_text(a, &odoo_override_contract, text, strlen(text), "record", o, &err))
		fail_msg("%s", err.message);
	return o;
}

static const char *payload_json(const struct override_payload *p)
{
	unsigned char *text;
	size_t n;
	assert_true(base64_decode(a, p->base64, strlen(p->base64), &text, &n));
	return (const char *)text;
}

static void a_record_has_rules(void **state)
{
	(void)state;
	static const struct {
		const char *rest, *field;
	} cases[] = {
		{ "\"apply_on\":[\"deploy\"]", "" },
		{ "\"apply_on\":[],\"website_bootstrap\":{\"name\":\"x\"}", "apply_on" },
		{ "\"apply_on\":[\"deploy\",\"deploy\"],\"website_bootstrap\":{\"name\":\"x\"}", "apply_on[1]" },
		{ "\"apply_on\":[\"never\"],\"website_bootstrap\":{\"name\":\"x\"}", "apply_on[0]" },
		{ "\"config_parameters\":[{\"key\":\"a\",\"value\":{\"source\":\"literal\",\"value\":1}},"
		  "{\"key\":\" A \",\"value\":{\"source\":\"literal\",\"value\":2}}]",
		  "config_parameters[1].key" },
		{ "\"config_parameters\":[{\"key\":\"a\",\"value\":{\"source\":\"literal\"}}]",
		  "config_parameters[0].value.value" },
		{ "\"config_parameters\":[{\"key\":\"a\",\"value\":{\"source\":\"literal\",\"value\":[]}}]",
		  "config_parameters[0].value.value" },
		{ "\"config_parameters\":[{\"key\":\"a\",\"value\":{\"source\":\"secret_binding\"}}]",
		  "config_parameters[0].value.secret_binding_id" },
		{ "\"config_parameters\":[{\"key\":\"a\",\"value\":{\"source\":\"secret_binding\",\"secret_binding_"
		  "id\":\"b\",\"value\":\"x\"}}]",
		  "config_parameters[0].value.value" },
		{ "\"config_parameters\":[{\"key\":\"a\",\"value\":{\"source\":\"literal\",\"value\":1,\"secret_"
		  "binding_id\":\"b\"}}]",
		  "config_parameters[0].value.secret_binding_id" },
		{ "\"addon_settings\":[{\"addon\":\"x\",\"setting\":\"y\",\"value\":{\"source\":\"literal\",\"value\":"
		  "1}},"
		  "{\"addon\":\"X\",\"setting\":\"Y\",\"value\":{\"source\":\"literal\",\"value\":1}}]",
		  "addon_settings[1]" },
		{ "\"website_bootstrap\":{\"tenant\":\"t\"}", "website_bootstrap" },
		{ "\"website_bootstrap\":{\"homepage_url\":\"home\"}", "website_bootstrap.homepage_url" },
		{ "\"website_bootstrap\":{\"routes\":[{\"name\":\"n\",\"url\":\"x\"}]}",
		  "website_bootstrap.routes[0].url" },
		{ "\"website_bootstrap\":{\"pages_source\":[]}", "website_bootstrap.pages_source" },
		{ "\"website_bootstrap\":{\"name\":\"x\"},\"last_apply\":{\"attempted\":true}", "last_apply.status" },
		{ "\"website_bootstrap\":{\"name\":\"x\"},\"last_apply\":{\"attempted\":false,\"status\":\"pass\"}",
		  "last_apply.status" },
		{ "\"website_bootstrap\":{\"name\":\"x\"},\"last_apply\":{\"attempted\":true,\"status\":\"pass\"}",
		  "last_apply.applied_at" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct odoo_override o;
		const char *text = arena_printf(a, HEAD "%s}", cases[i].rest);
		err = (struct err){ 0 };
		assert_false(contract_read_text(a, &odoo_override_contract, text, strlen(text), "record", &o, &err));
		assert_string_equal(err.field, cases[i].field);
	}
}

static void a_name_like_a_secrets_demands_a_binding(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool is_secret;
	} cases[] = {
		{ "mail.smtp_password", true },
		{ "API-Token", true },
		{ "a.secret.b", true },
		{ "key", true },
		{ "web.base.url", false },
		{ "keyboard.layout", false },
		{ "", false },
		{ "tokens", false },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_int_equal(odoo_override_needs_binding(cases[i].name), cases[i].is_secret);
}

static void the_payload_is_sorted_json_and_names_secrets_by_their_key(void **state)
{
	(void)state;
	struct odoo_override *o = record(
	        "\"config_parameters\":[{\"key\":\"web.base.url\",\"value\":{\"source\":\"literal\",\"value\":\"https:/"
	        "/a.example\"}},"
	        "{\"key\":\"mail.api_key\",\"value\":{\"source\":\"secret_binding\",\"secret_binding_id\":\"b-1\"}}],"
	        "\"addon_settings\":[{\"addon\":\"auth-x.y\",\"setting\":\"client-secret\",\"value\":{\"source\":"
	        "\"secret_binding\","
	        "\"secret_binding_id\":\"b-2\"}}],"
	        "\"website_bootstrap\":{\"name\":\"Shop\",\"routes\":[{\"name\":\"h\",\"url\":\"/"
	        "\",\"homepage\":true}]}");
	struct override_payload p;
	struct strings none = { 0 };
	assert_true(override_payload_build(a, o, INTENT_DEPLOY, &none, &p, &err));
	assert_string_equal(payload_json(&p),
	                    "{\"addon_settings\":[{\"addon\":\"auth-x.y\",\"setting\":\"client-secret\",\"value\":{"
	                    "\"environment_variable\":"
	                    "\"ODOO_OVERRIDE_SECRET__ADDON__AUTH_X__Y__CLIENT_SECRET\",\"secret_binding_id\":\"b-2\","
	                    "\"source\":\"secret_binding\"}}],"
	                    "\"config_parameters\":[{\"key\":\"web.base.url\",\"value\":{\"source\":\"literal\","
	                    "\"value\":\"https://a.example\"}},"
	                    "{\"key\":\"mail.api_key\",\"value\":{\"environment_variable\":\"ODOO_OVERRIDE_SECRET__"
	                    "CONFIG_PARAM__MAIL__API_KEY\","
	                    "\"secret_binding_id\":\"b-1\",\"source\":\"secret_binding\"}}],\"context\":\"shop\","
	                    "\"instance\":\"testing\","
	                    "\"schema_version\":1,\"website_bootstrap\":{\"canonical_url\":\"\",\"default_lang\":\"\","
	                    "\"homepage_url\":\"\","
	                    "\"logo_alt\":\"\",\"logo_path\":\"\",\"name\":\"Shop\",\"primary_page_xmlid\":\"\","
	                    "\"routes\":[{\"homepage\":true,"
	                    "\"module\":\"\",\"name\":\"h\",\"published\":true,\"url\":\"/\"}],\"tenant\":\"\"}}");
	assert_string_equal(text_of_list(&p.secret_keys), "ODOO_OVERRIDE_SECRET__CONFIG_PARAM__MAIL__API_KEY,"
	                                                  "ODOO_OVERRIDE_SECRET__ADDON__AUTH_X__Y__CLIENT_SECRET");
	assert_string_equal(map_get(&p.env, OVERRIDE_PAYLOAD_KEY), p.base64);
	assert_string_equal(map_get(&p.env, OVERRIDES_REQUIRED_KEY), "true");
	assert_string_equal(map_get(&p.env, WEBSITE_REQUIRED_KEY), "true");
	assert_int_equal(strlen(p.sha256), 64);
	assert_string_equal(map_get(&p.evidence, "workflow_intent"), "deploy");
	assert_string_equal(map_get(&p.evidence, "config_parameter_count"), "2");
	assert_string_equal(map_get(&p.evidence, "website_bootstrap_name_present"), "true");
	assert_string_equal(map_get(&p.evidence, "website_bootstrap_logo_path_present"), "false");
	assert_string_equal(map_get(&p.evidence, "website_bootstrap_homepage_route_count"), "1");
	for (size_t i = 0; i < p.evidence.n; i++)
		assert_null(strstr(p.evidence.v[i].value, "example"));
}

static void a_restore_carries_the_website_too(void **state)
{
	(void)state;
	struct override_payload p;
	struct strings none = { 0 };
	struct odoo_override *o = record("\"apply_on\":[\"restore\"],\"website_bootstrap\":{\"name\":\"Shop\"}");
	assert_true(override_payload_build(a, o, INTENT_RESTORE, &none, &p, &err));
	assert_true(p.is_rendered);
	assert_true(p.has_website_bootstrap);
	assert_string_equal(map_get(&p.env, WEBSITE_REQUIRED_KEY), "true");
	assert_null(map_get(&p.env, OVERRIDES_REQUIRED_KEY));
	assert_string_equal(map_get(&p.evidence, "workflow_intent"), "restore");
	assert_string_equal(map_get(&p.evidence, "website_bootstrap_name_present"), "true");
	assert_false(override_applies(o, INTENT_DEPLOY));
	assert_true(override_payload_build(a, NULL, INTENT_DEPLOY, &none, &p, &err));
	assert_false(p.is_rendered);
	assert_string_equal(map_get(&p.evidence, "payload_rendered"), "false");
	o = record("\"apply_on\":[\"manual\"],\"website_bootstrap\":{\"name\":\"Shop\"}");
	assert_true(override_payload_build(a, o, INTENT_DEPLOY, &none, &p, &err));
	assert_false(p.is_rendered);
}

#define LIT(setting, value)                                                                                            \
	"{\"addon\":\"shopify\",\"setting\":\"" setting "\",\"value\":{\"source\":\"literal\",\"value\":" value "}}"
#define SEC(setting)                                                                                                   \
	"{\"addon\":\"shopify\",\"setting\":\"" setting                                                                \
	"\",\"value\":{\"source\":\"secret_binding\",\"secret_binding_id\":\"b\"}}"
#define ALL4 SEC("api_token") "," SEC("webhook_key") "," LIT("api_version", "\"2026-01\"") ","

static void the_shop_group_is_applied_cleared_or_refused(void **state)
{
	(void)state;
	static const struct {
		const char *settings, *message, *part;
	} cases[] = {
		{ LIT("shop_url_key", "\"dev-shop\""), NULL,
		  "[{\"addon\":\"shopify\",\"setting\":\"action\",\"value\":{\"source\":\"literal\",\"value\":"
		  "\"clear\"}}]" },
		{ ALL4 LIT("shop_url_key", "\"dev-shop\""), NULL,
		  "\"setting\":\"action\",\"value\":{\"source\":\"literal\",\"value\":\"apply\"}},{\"addon\":"
		  "\"shopify\",\"setting\":\"api_token\"" },
		{ ALL4 SEC("shop_url_key"), "must be a literal", NULL },
		{ ALL4 LIT("shop_url_key", "\"Guarded-Shop\""), "is protected", NULL },
		{ ALL4 LIT("shop_url_key", "\"my-LIVE-shop\""), "looks like a production shop", NULL },
		{ ALL4 LIT("shop_url_key", "\"my-live-shop\"") "," LIT("allow_production", "\"No\""),
		  "looks like a production shop", NULL },
		{ ALL4 LIT("shop_url_key", "\"my-live-shop\"") "," LIT("allow_production", "\" Yes \""), NULL,
		  "my-live-shop" },
		{ ALL4 LIT("shop_url_key", "\"my-live-shop\"") "," LIT("allow_production", "true"), NULL,
		  "my-live-shop" },
		{ ALL4 LIT("shop_url_key", "\"my-live-shop\"") "," LIT("production_indicators", "\"main, real\""), NULL,
		  "my-live-shop" },
		{ ALL4 LIT("shop_url_key", "\"really\"") "," LIT("production_indicators", "\"main, real\""),
		  "looks like a production", NULL },
		{ ALL4 LIT("shop_url_key", "\"dev\"") "," LIT("allow_production", "\"maybe\""),
		  "allow_production must be one of", NULL },
		{ ALL4 LIT("shop_url_key", "\"dev\"") "," SEC("allow_production"), "must be a literal", NULL },
	};
	struct strings guarded = list_of("other, guarded-shop ");
	for (size_t i = 0; i < countof(cases); i++) {
		struct override_payload p;
		struct odoo_override *o = record(arena_printf(a, "\"addon_settings\":[%s]", cases[i].settings));
		bool ok = override_payload_build(a, o, INTENT_DEPLOY, &guarded, &p, &err);
		if (ok != !cases[i].message || (!ok && !strstr(err.message, cases[i].message)))
			fail_msg("%s: %s", cases[i].settings, ok ? "passed" : err.message);
		if (!ok) {
			assert_null(strstr(err.message, "uarded-"));
			continue;
		}
		assert_non_null(strstr(payload_json(&p), cases[i].part));
		assert_null(strstr(payload_json(&p), "allow_production"));
		assert_null(strstr(payload_json(&p), "production_indicators"));
	}
}

static void secrets_need_a_key_of_their_own(void **state)
{
	(void)state;
	struct override_payload p;
	struct strings none = { 0 };
	struct odoo_override *o = record("\"config_parameters\":[{\"key\":\"a-b\",\"value\":{\"source\":\"secret_"
	                                 "binding\",\"secret_binding_id\":\"b\"}}]");
	assert_false(override_payload_build(a, o, INTENT_DEPLOY, &none, &p, &err));
	assert_non_null(strstr(err.message, "a-b is a secret, but its name"));
	o = record("\"config_parameters\":[{\"key\":\"a.b\",\"value\":{\"source\":\"secret_binding\",\"secret_binding_"
	           "id\":\"b\"}},"
	           "{\"key\":\"a__b\",\"value\":{\"source\":\"secret_binding\",\"secret_binding_id\":\"c\"}}]");
	assert_false(override_payload_build(a, o, INTENT_DEPLOY, &none, &p, &err));
	assert_non_null(strstr(err.message, "CONFIG_PARAM__A__B"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_record_has_rules),
		TEST(a_name_like_a_secrets_demands_a_binding),
		TEST(the_payload_is_sorted_json_and_names_secrets_by_their_key),
		TEST(a_restore_carries_the_website_too),
		TEST(the_shop_group_is_applied_cleared_or_refused),
		TEST(secrets_need_a_key_of_their_own),
	};
	return cmocka_run_group_tests_name("override_payload", tests, NULL, NULL);
}
