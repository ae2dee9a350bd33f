#include "drivers/odoo/route_evidence.h"

#include "drivers/odoo/compose_file.h"

#include "support.h"

static void our_own_rendering_has_all_routers(void **state)
{
	(void)state;
	const char *yaml;
	struct strings hosts = list_of("a.example,b.example");
	const struct compose_wish wish = { .image_reference = "i@sha256:1", .hosts = hosts, .runtime_port = 8069 };
	struct text_map out = { 0 };
	assert_true(compose_file_render(a, &wish, &yaml, &err));
	route_evidence_add(a, "rendered_", yaml, &hosts, &out);
	assert_int_equal(strlen(map_get(&out, "rendered_compose_sha256")), 64);
	assert_string_equal(map_get(&out, "rendered_domain_hosts"), "a.example,b.example");
	assert_string_equal(map_get(&out, "rendered_traefik_router_label_count"), "14");
	assert_string_equal(map_get(&out, "rendered_traefik_service_label_count"), "4");
	assert_string_equal(map_get(&out, "rendered_traefik_enable_label_present"), "true");
	assert_string_equal(map_get(&out, "rendered_dokploy_network_label_present"), "true");
	assert_string_equal(map_get(&out, "rendered_domain_a.example_http_rule_present"), "true");
	assert_string_equal(map_get(&out, "rendered_domain_b.example_https_rule_present"), "true");
	assert_int_equal(compose_missing_services(a, yaml, &odoo_required_services).n, 0);
}

/* As Dokploy writes it: comments gone, labels plain or single-quoted, another indentation. */
static const char rewritten[] =
        "name: x\n"
        "services:\n"
        "    'web':\n"
        "        image: i\n"
        "        labels:\n"
        "        - traefik.http.routers.x-1-web.rule=Host(`A.example`)\n"
        "        - 'traefik.http.routers.x-1-web.entrypoints=web'\n"
        "        - \"traefik.http.routers.x-1-websecure.rule=Host(`a.example`) && PathPrefix(`/x`)\"\n"
        "        - traefik.http.routers.x-1-websecure.entrypoints=websecure,other\n"
        "        - traefik.http.routers.y.rule=Host(`b.example`)\n"
        "        - traefik.http.routers.y.entrypoints=webs\n"
        "        database: no service\n"
        "    database:\n"
        "        image: postgres\n"
        "volumes:\n"
        "    script-runner: {}\n";

static void a_rewritten_file_is_read_as_well(void **state)
{
	(void)state;
	struct text_map out = { 0 };
	struct strings hosts = list_of("a.example,b.example");
	route_evidence_add(a, "converted_", rewritten, &hosts, &out);
	assert_string_equal(map_get(&out, "converted_domain_a.example_http_rule_present"), "true");
	assert_string_equal(map_get(&out, "converted_domain_a.example_https_rule_present"), "true");
	assert_string_equal(map_get(&out, "converted_domain_b.example_http_rule_present"), "false");
	assert_string_equal(map_get(&out, "converted_traefik_enable_label_present"), "false");
	assert_string_equal(map_get(&out, "converted_traefik_router_label_count"), "6");
	assert_true(route_evidence_has_router(a, rewritten, "a.example", "web"));
	assert_false(route_evidence_has_router(a, rewritten, "example", "web"));
	struct strings missing = compose_missing_services(a, rewritten, &odoo_required_services);
	assert_string_equal(text_of_list(&missing), "script-runner");
}

static void an_empty_text_has_nothing(void **state)
{
	(void)state;
	struct text_map out = { 0 };
	struct strings hosts = list_of("a.example");
	route_evidence_add(a, "live_", "", &hosts, &out);
	assert_string_equal(map_get(&out, "live_traefik_router_label_count"), "0");
	assert_string_equal(map_get(&out, "live_domain_a.example_http_rule_present"), "false");
	assert_int_equal(compose_missing_services(a, "services:", &odoo_required_services).n, 3);
	assert_int_equal(compose_missing_services(a, "\tservices\n  - web\n:::\n", &odoo_required_services).n, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(our_own_rendering_has_all_routers),
		TEST(a_rewritten_file_is_read_as_well),
		TEST(an_empty_text_has_nothing),
	};
	return cmocka_run_group_tests_name("route_evidence", tests, NULL, NULL);
}
