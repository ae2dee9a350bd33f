#include "drivers/odoo/replacement_plan.h"
#include "storage/codes.h"

#include "support.h"

/* Everything in order; each case spoils one thing. */
struct scene {
	struct replacement_request request;
	struct product_profile profile;
	struct lane lanes[2];
	struct dokploy_target target;
	struct dokploy_target_id target_id;
	struct inventory inventory;
	struct artifact_reference artifact;
	struct artifact_manifest manifest;
	struct text_map runtime;
	struct dokploy_compose live;
	struct dokploy_domain domain;
	struct dokploy_domains domains;
	struct replacement_facts facts;
};

static struct scene *scene(void)
{
	struct scene *s = ARENA_NEW(a, struct scene);
	const char *text = "{\"product\":\"odoo-shop\",\"instance\":\"Testing\"}";
	assert_true(contract_read_text(a, &replacement_plan_request_contract, text, strlen(text), "body", &s->request,
	                               &err));
	s->lanes[0] = (struct lane){ .instance = "prod", .context = "shop", .base_url = "", .health_url = "" };
	s->lanes[1] = (struct lane){ .instance = "testing", .context = "shop", .base_url = "", .health_url = "" };
	s->profile = (struct product_profile){ .product = "odoo-shop",
		                               .driver_id = "odoo",
		                               .image.repository = "ghcr.io/acme/shop/ " };
	s->profile.lanes.n = 2;
	s->profile.lanes.v = s->lanes;
	s->target = (struct dokploy_target){ .context = "shop",
		                             .instance = "testing",
		                             .target_name = "shop-testing",
		                             .domains = list_of("record.example.com") };
	s->target_id = (struct dokploy_target_id){ .target_id = "c1" };
	s->artifact.artifact_id = "artifact-shop-1";
	s->inventory = (struct inventory){ .artifact_identity = &s->artifact, .source_git_ref = "abc1234" };
	s->manifest = (struct artifact_manifest){ .artifact_id = "artifact-shop-1",
		                                  .source_commit = "abc1234",
		                                  .image.repository = "ghcr.io/acme/shop",
		                                  .odoo_install_modules =
		                                          list_of("sale,launchplane_settings,disable_odoo_online") };
	map_set(a, &s->runtime, "ODOO_DB_NAME", "shop");
	map_set(a, &s->runtime, "ODOO_DATA_VOLUME", "v1");
	map_set(a, &s->runtime, "ODOO_LOG_VOLUME", "v2");
	map_set(a, &s->runtime, "ODOO_DB_VOLUME", "v3");
	s->live = (struct dokploy_compose){
		.id = "c1",
		.name = "shop-testing",
		.project_name = "shop",
		.source_type = "raw",
		.compose_path = "docker-compose.yml",
		.compose_file = "services: {}\n",
		.env = "ODOO_DB_PASSWORD=hunter2\nODOO_DATA_VOLUME=v1\nODOO_LOG_VOLUME=v2\nODOO_DB_VOLUME=v3\n"
		       "LAUNCHPLANE_RUNTIME_IDENTITY_JSON={\"deployment_record_id\":\"deployment-0\"}",
	};
	s->domain = (struct dokploy_domain){ .host = "Shop.example.com" };
	s->domains = (struct dokploy_domains){ 1, &s->domain };
	s->facts = (struct replacement_facts){ .profile = &s->profile,
		                               .target = &s->target,
		                               .target_id = &s->target_id,
		                               .inventory = &s->inventory,
		                               .manifest = &s->manifest,
		                               .runtime = &s->runtime,
		                               .live = &s->live,
		                               .domains = &s->domains };
	return s;
}

static struct replacement_plan plan(const struct scene *s)
{
	struct replacement_plan p;
	if (!replacement_plan_make(a, &s->request, &s->facts, &p, &err))
		fail_msg("%s", err.message);
	return p;
}

static void rebuild(struct scene *s)
{
	s->request.data_source_mode = DATA_UPSTREAM_RESTORE;
	s->request.allow_empty_data = true;
	s->request.confirmation = "rebuild shop";
	s->lanes[1].odoo_prelaunch_rebuild = (struct odoo_prelaunch_rebuild_policy){
		.enabled = true,
		.approval_issue_url = "https://issues.example/1",
		.data_source_mode = "upstream_restore",
		.confirmation = "rebuild shop",
		.expected_target_name = "shop-testing",
		.expected_domains = list_of("shop.example.com"),
	};
	s->lanes[1].odoo_data_policy.data_authority = AUTHORITY_RESETTABLE;
	s->lanes[1].odoo_data_policy.allowed_rebuild_sources = list_of("empty,upstream_restore");
	s->live.env = "";
}

static void nothing(struct scene *s)
{
	(void)s;
}
static void no_target(struct scene *s)
{
	s->facts.target = NULL;
}
static void no_target_id(struct scene *s)
{
	s->facts.target_id = NULL;
}
static void an_application(struct scene *s)
{
	s->target.target_type = TARGET_APPLICATION;
}
static void mode_without_flag(struct scene *s)
{
	const char *env = s->live.env;
	rebuild(s);
	s->request.allow_empty_data = false;
	s->live.env = env;
}
static void no_runtime(struct scene *s)
{
	s->facts.runtime = NULL;
	s->facts.runtime_error = "no records for shop";
}
static void runtime_lacks(struct scene *s)
{
	map_set(a, &s->runtime, "ODOO_DB_VOLUME", " ");
}
static void not_live(struct scene *s)
{
	s->facts.live = NULL;
	s->facts.live_error = "Dokploy GET compose.one failed (503)";
}
static void no_policy(struct scene *s)
{
	rebuild(s);
	s->lanes[1].odoo_prelaunch_rebuild.enabled = false;
}
static void other_mode(struct scene *s)
{
	rebuild(s);
	s->request.data_source_mode = DATA_EMPTY;
}
static void source_not_allowed(struct scene *s)
{
	rebuild(s);
	s->lanes[1].odoo_data_policy.allowed_rebuild_sources = list_of("empty");
}
static void other_phrase(struct scene *s)
{
	rebuild(s);
	s->request.confirmation = "rebuild it";
}
static void other_name(struct scene *s)
{
	rebuild(s);
	s->live.name = "shop-prod";
}
static void other_domain(struct scene *s)
{
	rebuild(s);
	s->domain.host = "else.example.com";
}
static void no_issue(struct scene *s)
{
	rebuild(s);
	s->lanes[1].odoo_prelaunch_rebuild.approval_issue_url = "";
}
static void no_volumes(struct scene *s)
{
	s->live.env = "ODOO_DATA_VOLUME=\nODOO_LOG_VOLUME=v2";
}
static void drift(struct scene *s)
{
	map_set(a, &s->runtime, "ODOO_DATA_VOLUME", "other");
}
static void no_domain(struct scene *s)
{
	s->domains.n = 0;
	s->target.domains.n = 0;
}
static void odd_domain(struct scene *s)
{
	s->domain.host = "a`b";
}
static void moved_on(struct scene *s)
{
	s->request.expected_current_artifact_id = "artifact-shop-0";
}
static void no_artifact(struct scene *s)
{
	s->inventory.artifact_identity = NULL;
}
static void no_manifest(struct scene *s)
{
	s->facts.manifest = NULL;
}
static void other_repository(struct scene *s)
{
	s->manifest.image.repository = "ghcr.io/acme/other";
}
static void other_commit(struct scene *s)
{
	s->request.artifact_id = "artifact-shop-1";
	s->request.source_git_ref = "fff";
}
static void no_ref(struct scene *s)
{
	s->inventory.source_git_ref = "";
}
static void modules(struct scene *s)
{
	s->manifest.odoo_install_modules = list_of("sale,launchplane_settings");
}

static void each_reason_against_is_named(void **state)
{
	(void)state;
	static const struct {
		void (*spoil)(struct scene *s);
		const char *blocker; /* a part of it; NULL: ready */
	} cases[] = {
		{ nothing, NULL },
		{ rebuild, NULL },
		{ no_target, "No Dokploy target is tracked for shop/testing" },
		{ no_target_id, "No Dokploy target id is tracked" },
		{ an_application, "of type application" },
		{ mode_without_flag, "set allow_empty_data to true" },
		{ no_runtime, "cannot be resolved: no records for shop" },
		{ runtime_lacks, "runtime values lack ODOO_DB_VOLUME" },
		{ not_live, "could not be read: Dokploy GET compose.one failed (503)" },
		{ no_policy, "no enabled odoo_prelaunch_rebuild policy" },
		{ other_mode, "allows data_source_mode upstream_restore, not empty" },
		{ source_not_allowed, "does not allow upstream_restore" },
		{ other_phrase, "confirmation is not the phrase" },
		{ other_name, "not the one the prelaunch policy expects by name" },
		{ other_domain, "does not expose the domains the prelaunch policy expects: shop.example.com" },
		{ no_issue, "no approval issue" },
		{ no_volumes, "environment lacks ODOO_DATA_VOLUME, ODOO_DB_VOLUME" },
		{ drift, "volume drift: the live target's ODOO_DATA_VOLUME differ" },
		{ no_domain, "names a domain" },
		{ odd_domain, "cannot be routed" },
		{ moved_on, "names artifact-shop-1 as current, not the expected artifact-shop-0" },
		{ no_artifact, "no artifact to deploy" },
		{ no_manifest, "No manifest is stored for artifact artifact-shop-1" },
		{ other_repository, "another repository" },
		{ other_commit, "not the commit artifact artifact-shop-1 was built from" },
		{ no_ref, "no source ref" },
		{ modules, "required modules disable_odoo_online" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct scene *s = scene();
		cases[i].spoil(s);
		struct replacement_plan p = plan(s);
		const char *said = p.blockers.n ? p.blockers.v[0] : "";
		if (p.is_ready != !cases[i].blocker || p.blockers.n > 1 ||
		    (cases[i].blocker && !strstr(said, cases[i].blocker)))
			fail_msg("case %zu: %s", i, replacement_blocked_text(a, &p));
		assert_string_equal(json_str(&p.result, "plan_status", ""), p.is_ready ? "ready" : "blocked");
		assert_null(strstr(json_text(a, &p.result), "hunter2"));
		if (cases[i].spoil != rebuild)
			assert_true(p.approval_issue_url[0] == '\0' || !p.is_ready);
	}
}

static void the_result_is_as_agreed(void **state)
{
	(void)state;
	struct scene *s = scene();
	struct replacement_plan p = plan(s);
	assert_golden("replacement_plan_ready.json", arena_printf(a, "%s\n", json_text(a, &p.result)));
	rebuild(s);
	p = plan(s);
	assert_string_equal(p.approval_issue_url, "https://issues.example/1");
	s = scene();
	s->facts = (struct replacement_facts){ .profile = &s->profile };
	p = plan(s);
	assert_golden("replacement_plan_blocked.json", arena_printf(a, "%s\n", json_text(a, &p.result)));
	s = scene();
	s->request.strategy = STRATEGY_REPLACE_AND_CUTOVER;
	p = plan(s);
	assert_string_equal(json_str(&json_get(&p.result, "steps")->items[2], "status", ""), "manual");
}

static void domains_come_from_the_live_target_first(void **state)
{
	(void)state;
	struct scene *s = scene();
	struct replacement_plan p = plan(s);
	assert_string_equal(text_of_list(&p.hosts), "shop.example.com");
	s->domains.n = 0;
	p = plan(s);
	assert_true(p.is_ready);
	assert_string_equal(text_of_list(&p.hosts), "record.example.com");
}

static void missing_evidence_is_only_a_warning(void **state)
{
	(void)state;
	struct scene *s = scene();
	s->facts.inventory = NULL;
	s->request.artifact_id = "artifact-shop-1";
	s->request.source_git_ref = "abc1234";
	s->live.env = "ODOO_DATA_VOLUME=v1\nODOO_LOG_VOLUME=v2\nODOO_DB_VOLUME=v3";
	struct replacement_plan p = plan(s);
	assert_true(p.is_ready);
	assert_int_equal(p.warnings.n, 2);
}

static void without_product_or_lane_there_is_nothing_to_plan(void **state)
{
	(void)state;
	struct replacement_plan p;
	struct scene *s = scene();
	s->profile.driver_id = "generic-web";
	assert_false(replacement_plan_make(a, &s->request, &s->facts, &p, &err));
	assert_ptr_equal(err.code, &E_product_driver_mismatch);
	s->facts.base_driver_id = "odoo";
	assert_true(replacement_plan_make(a, &s->request, &s->facts, &p, &err));
	s->facts.profile = NULL;
	assert_false(replacement_plan_make(a, &s->request, &s->facts, &p, &err));
	s = scene();
	s->lanes[0].instance = "testing";
	assert_false(replacement_plan_make(a, &s->request, &s->facts, &p, &err));
	assert_non_null(strstr(err.message, "has 2 lanes"));
}

static void a_request_has_rules(void **state)
{
	(void)state;
	static const struct {
		const char *body, *plan_field, *apply_field; /* NULL: accepted */
	} cases[] = {
		{ "{\"product\":\"p\",\"instance\":\" TESTING \"}", NULL, NULL },
		{ "{\"instance\":\"testing\"}", "product", "product" },
		{ "{\"product\":\" \",\"instance\":\"testing\"}", "product", "product" },
		{ "{\"product\":\"p\"}", "instance", "instance" },
		{ "{\"product\":\"p\",\"instance\":\"prod\"}", NULL, "instance" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"context\":\"c\"}", "context", "context" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"strategy\":\"replace-and-cutover\"}", NULL,
		  "strategy" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"strategy\":\"x\"}", "strategy", "strategy" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"artifact_id\":\"a\"}", "source_git_ref",
		  "source_git_ref" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"source_git_ref\":\"a\"}", "artifact_id",
		  "artifact_id" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"data_source_mode\":\"copy\"}", "data_source_mode",
		  "data_source_mode" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"no_cache\":true}", "no_cache", NULL },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"timeout_seconds\":0}", "timeout_seconds",
		  "timeout_seconds" },
		{ "{\"product\":\"p\",\"instance\":\"testing\",\"schema_version\":0}", "schema_version",
		  "schema_version" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct replacement_request r;
		const char *body = cases[i].body;
		err = (struct err){ 0 };
		assert_int_equal(
		        contract_read_text(a, &replacement_plan_request_contract, body, strlen(body), "body", &r, &err),
		        !cases[i].plan_field);
		assert_string_equal(err.field, cases[i].plan_field ? cases[i].plan_field : "");
		err = (struct err){ 0 };
		assert_int_equal(contract_read_text(a, &replacement_apply_request_contract, body, strlen(body), "body",
		                                    &r, &err),
		                 !cases[i].apply_field);
		assert_string_equal(err.field, cases[i].apply_field ? cases[i].apply_field : "");
	}
}

static void identity_is_demanded_by_policy_or_check(void **state)
{
	(void)state;
	struct health_check check = { .enabled = true, .require_runtime_identity = true };
	struct lane lane = { .odoo_data_policy.requires_runtime_identity = true };
	assert_true(lane_requires_runtime_identity(&lane));
	lane.odoo_data_policy.requires_runtime_identity = false;
	assert_false(lane_requires_runtime_identity(&lane));
	lane.health_monitoring.checks.n = 1;
	lane.health_monitoring.checks.v = &check;
	assert_true(lane_requires_runtime_identity(&lane));
	check.enabled = false;
	assert_false(lane_requires_runtime_identity(&lane));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_reason_against_is_named),
		TEST(the_result_is_as_agreed),
		TEST(domains_come_from_the_live_target_first),
		TEST(missing_evidence_is_only_a_warning),
		TEST(without_product_or_lane_there_is_nothing_to_plan),
		TEST(a_request_has_rules),
		TEST(identity_is_demanded_by_policy_or_check),
	};
	return cmocka_run_group_tests_name("replacement_plan", tests, NULL, NULL);
}
