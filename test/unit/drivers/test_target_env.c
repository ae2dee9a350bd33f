#include "drivers/odoo/target_env.h"

#include "support.h"

static const struct runtime_identity identity = {
	.schema_version = 1,
	.product = "p",
	.context = "shop",
	.instance = "testing",
	.environment_kind = "stable",
	.deployment_record_id = "deployment-1",
	.artifact_id = "artifact-1",
	.source_git_ref = "abc",
	.image_reference = "",
	.release_tuple_id = "",
	.preview_id = "",
	.preview_generation_id = "",
	.deployed_at = "",
};

struct made {
	struct text_map runtime;
	struct override_payload payload;
	struct strings modules, dropped;
};

static bool build(const char *live, struct made *m, struct target_env *out)
{
	const struct target_env_wish wish = {
		.live_env = live,
		.runtime = &m->runtime,
		.payload = &m->payload,
		.manifest_modules = &m->modules,
		.context = "shop",
		.instance = "testing",
		.image_reference = "r@sha256:1",
		.identity = &identity,
		.dropped = &m->dropped,
	};
	return target_env_build(a, &wish, out, &err);
}

static void the_environment_is_laid_over_the_live_one_in_order(void **state)
{
	(void)state;
	struct made m = { .modules = list_of("sale,launchplane_settings") };
	struct target_env e;
	map_set(a, &m.runtime, "ODOO_DB_NAME", "shop");
	map_set(a, &m.runtime, "ODOO_INSTALL_MODULES", "extra, sale");
	map_set(a, &m.runtime, "NEW", "1");
	map_set(a, &m.payload.env, OVERRIDE_PAYLOAD_KEY, "e30=");
	map_set(a, &m.payload.env, OVERRIDES_REQUIRED_KEY, "true");
	assert_true(build("KEPT=x y\nODOO_DB_NAME=old\nODOO_INSTANCE_OVERRIDES_PAYLOAD_B64=old\n"
	                  "LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED=true\nODOO_INSTALL_MODULES=live\nODOO_DATA_VOLUME=v\n"
	                  "ODOO_WEB_COMMAND=/odoo/odoo-bin\nPLATFORM_CONTEXT=other",
	                  &m, &e));
	assert_golden("target_env.txt", e.text);
	assert_string_equal(e.install_modules, "launchplane_settings,disable_odoo_online,sale,extra");
	assert_string_equal(
	        text_of_list(&e.written),
	        "ODOO_DB_NAME,ODOO_INSTALL_MODULES,NEW,ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64,"
	        "LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED,PLATFORM_CONTEXT,PLATFORM_INSTANCE,DOCKER_IMAGE_REFERENCE,"
	        "LAUNCHPLANE_RUNTIME_IDENTITY_JSON,LAUNCHPLANE_DEPLOYMENT_RECORD_ID,LAUNCHPLANE_ARTIFACT_ID,"
	        "LAUNCHPLANE_SOURCE_GIT_REF");
	struct target_env again;
	assert_true(build(e.text, &m, &again));
	assert_string_equal(again.text, e.text);
}

static void what_is_to_go_goes_unless_it_is_set(void **state)
{
	(void)state;
	struct made m = { 0 };
	struct target_env e;
	m.dropped = list_of("PREVIEW_URL,PREVIEW_HOST,ABSENT");
	map_set(a, &m.runtime, "PREVIEW_HOST", "shop.example.com");
	assert_true(build("PREVIEW_URL=https://pr-7.example.com\nPREVIEW_HOST=pr-7.example.com\nKEPT=1", &m, &e));
	assert_null(map_get(&e.map, "PREVIEW_URL"));
	assert_string_equal(map_get(&e.map, "PREVIEW_HOST"), "shop.example.com");
	assert_string_equal(map_get(&e.map, "KEPT"), "1");
	struct strings d = target_env_differences(a, &e, arena_printf(a, "%s\nPREVIEW_URL=back", e.text));
	assert_string_equal(text_of_list(&d), "PREVIEW_URL");
	d = target_env_differences(a, &e, e.text);
	assert_int_equal(d.n, 0);
}

static void live_modules_count_only_without_a_manifests(void **state)
{
	(void)state;
	struct made m = { 0 };
	struct target_env e;
	assert_true(build("ODOO_INSTALL_MODULES=live, disable_odoo_online,,", &m, &e));
	assert_string_equal(e.install_modules, "launchplane_settings,disable_odoo_online,live");
}

static void a_wrapped_web_command_stays(void **state)
{
	(void)state;
	struct made m = { 0 };
	struct target_env e;
	assert_true(build("ODOO_WEB_COMMAND=/odoo/odoo-bin -c x", &m, &e));
	assert_string_equal(map_get(&e.map, "ODOO_WEB_COMMAND"), "/odoo/odoo-bin -c x");
	map_set(a, &m.runtime, "ODOO_WEB_COMMAND", " /odoo/odoo-bin");
	map_set(a, &m.runtime, "ODOO_WEB_COMMAND", "/odoo/odoo-bin");
	assert_true(build("", &m, &e));
	assert_null(map_get(&e.map, "ODOO_WEB_COMMAND"));
	assert_false(strings_have(&e.written, "ODOO_WEB_COMMAND"));
}

static void a_payloads_secret_must_be_there(void **state)
{
	(void)state;
	struct made m = { .payload.secret_keys =
		                  list_of("ODOO_OVERRIDE_SECRET__A,ODOO_OVERRIDE_SECRET__B,ODOO_OVERRIDE_SECRET__C") };
	struct target_env e;
	map_set(a, &m.runtime, "ODOO_OVERRIDE_SECRET__A", "s3cret");
	assert_false(build("ODOO_OVERRIDE_SECRET__B= ", &m, &e));
	assert_non_null(strstr(err.message, "ODOO_OVERRIDE_SECRET__B, ODOO_OVERRIDE_SECRET__C"));
	assert_null(strstr(err.message, "s3cret"));
}

static void a_value_that_would_not_survive_is_refused_by_name(void **state)
{
	(void)state;
	struct made m = { 0 };
	struct target_env e;
	map_set(a, &m.runtime, "GOOD", "1");
	map_set(a, &m.runtime, "BAD", "one #two");
	map_set(a, &m.runtime, "WORSE", "a\nb");
	map_set(a, &m.runtime, "1X", "v");
	assert_false(build("LIVE=\"kept\" #as it is", &m, &e));
	assert_non_null(strstr(err.message,
	                       "BAD (has a # that starts a comment), WORSE (spans several lines), 1X (is not a name"));
	assert_null(strstr(err.message, "two"));
}

static void what_was_not_kept_is_named(void **state)
{
	(void)state;
	struct made m = { 0 };
	struct target_env e;
	assert_true(build("A=1\nB=2", &m, &e));
	struct strings d = target_env_differences(a, &e, e.text);
	assert_int_equal(d.n, 0);
	d = target_env_differences(a, &e, "A=1\nB=9");
	assert_true(strings_have(&d, "B"));
	assert_true(strings_have(&d, "LAUNCHPLANE_RUNTIME_IDENTITY_JSON"));
	assert_false(strings_have(&d, "A"));
	d = target_env_differences(a, &e,
	                           arena_printf(a, "%s\nLAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED=true\nOTHER=1", e.text));
	assert_string_equal(text_of_list(&d), "LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_environment_is_laid_over_the_live_one_in_order),
		TEST(what_is_to_go_goes_unless_it_is_set),
		TEST(live_modules_count_only_without_a_manifests),
		TEST(a_wrapped_web_command_stays),
		TEST(a_payloads_secret_must_be_there),
		TEST(a_value_that_would_not_survive_is_refused_by_name),
		TEST(what_was_not_kept_is_named),
	};
	return cmocka_run_group_tests_name("target_env", tests, NULL, NULL);
}
