#include "drivers/odoo/compose_file.h"

#include "support.h"

static struct compose_wish usual(void)
{
	return (struct compose_wish){
		.image_reference = "ghcr.io/acme/shop-odoo@sha256:0123456789abcdef",
		.hosts = list_of("Shop-Testing.example.com,www.shop.example.com,shop-testing.example.com"),
		.letsencrypt_hosts = list_of("WWW.shop.example.com"),
		.runtime_port = 8069,
		.publishes_ports = true,
	};
}

static void the_file_is_as_agreed(void **state)
{
	(void)state;
	const char *yaml;
	struct compose_wish wish = usual();
	assert_true(compose_file_render(a, &wish, &yaml, &err));
	assert_golden("compose_stable.yml", yaml);
	wish.publishes_ports = false;
	wish.hosts = list_of("pr-7.preview.example.com");
	assert_true(compose_file_render(a, &wish, &yaml, &err));
	assert_golden("compose_preview.yml", yaml);
}

static void any_value_stays_one_string(void **state)
{
	(void)state;
	const char *yaml;
	struct compose_wish wish = usual();
	wish.image_reference = "odd \"image\": ${HOME} \\ #x\n- y@sha256:1";
	assert_true(compose_file_render(a, &wish, &yaml, &err));
	assert_non_null(strstr(yaml, "  image: \"odd \\\"image\\\": $${HOME} \\\\ #x\\n- y@sha256:1\"\n"));
}

static void a_route_name_cannot_collide(void **state)
{
	(void)state;
	assert_string_equal(compose_route_name(a, "shop.example.com"),
	                    "launchplane-odoo-web-shop-example-com-2f684373");
	const char *x = compose_route_name(a, "a-very-long-host-name-which-goes-on-and-on-and-on.one.example.com");
	const char *y = compose_route_name(a, "a-very-long-host-name-which-goes-on-and-on-and-on.two.example.com");
	assert_int_equal(strlen(x), strlen("launchplane-odoo-web-") + 48 + 9);
	assert_string_not_equal(x, y);
	assert_string_not_equal(compose_route_name(a, "a.b.example"), compose_route_name(a, "a-b.example"));
}

static void what_cannot_be_routed_is_refused(void **state)
{
	(void)state;
	static const struct {
		const char *hosts, *image;
		int port;
		const char *message;
	} cases[] = {
		{ "a`b.example", "i", 8069, "a backtick or a blank" },
		{ "a b.example", "i", 8069, "a backtick or a blank" },
		{ "ok.example,a\tb", "i", 8069, "a backtick or a blank" },
		{ "ok.example, ", "i", 8069, "A blank host" },
		{ "", "i", 8069, "at least one host" },
		{ "ok.example", " ", 8069, "an image reference" },
		{ "ok.example", "i", 0, "runtime port" },
		{ "ok.example", "i", 65536, "runtime port" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		const char *yaml;
		struct compose_wish wish = { .image_reference = cases[i].image,
			                     .hosts = list_of(cases[i].hosts),
			                     .runtime_port = cases[i].port };
		assert_false(compose_file_render(a, &wish, &yaml, &err));
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s", err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_file_is_as_agreed),
		TEST(any_value_stays_one_string),
		TEST(a_route_name_cannot_collide),
		TEST(what_cannot_be_routed_is_refused),
	};
	return cmocka_run_group_tests_name("compose_file", tests, NULL, NULL);
}
