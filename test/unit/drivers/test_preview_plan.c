#include "drivers/odoo/preview.h"

#include "support.h"

#define HEX64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define IMAGE "ghcr.io/acme/shop@sha256:" HEX64

/* Everything in order; each case spoils one thing. */
struct scene {
	struct preview_inputs in;
	struct preview_reading r;
	struct lane lane;
	struct dokploy_domain domains[2];
	struct preview_intent out;
};

static struct scene *scene(bool is_staged)
{
	static const char *const keys[] = { "ODOO_DB_USER", "ODOO_DB_PASSWORD", "ODOO_MASTER_PASSWORD",
		                            "ODOO_ADMIN_PASSWORD", "ODOO_WORKERS" };
	struct scene *s = ARENA_NEW(a, struct scene);
	s->in = (struct preview_inputs){ .product = "odoo-shop",
		                         .operation = PREVIEW_REFRESH,
		                         .pr_number = 7,
		                         .preview_slug = "",
		                         .preview_url = "",
		                         .image_reference = IMAGE,
		                         .source_git_ref = "c0ffee",
		                         .source = "" };
	s->lane = (struct lane){ .instance = "testing", .context = "shop" };
	s->r = (struct preview_reading){ .lane = &s->lane,
		                         .is_staged = is_staged,
		                         .has_target = true,
		                         .has_live = true,
		                         .compose_id = is_staged ? "c1" : "",
		                         .compose_environment_id = "",
		                         .preview_state = "" };
	s->r.target_id.target_id = "c1";
	s->r.profile = (struct product_profile){ .product = "odoo-shop",
		                                 .repository = "acme/odoo-shop",
		                                 .driver_id = "odoo",
		                                 .runtime_port = 8069,
		                                 .image.repository = "ghcr.io/acme/shop" };
	s->r.profile.preview = (struct preview_profile){ .enabled = true,
		                                         .context = "shop-preview",
		                                         .slug_template = "pr-{number}",
		                                         .template_instance = "testing",
		                                         .data_transport_mode = is_staged ? 2 : 0,
		                                         .preview_url_env_keys = list_of("PREVIEW_URL"),
		                                         .preview_domain_env_keys = list_of("PREVIEW_HOST") };
	for (size_t i = 0; i < countof(keys); i++)
		map_set(a, &s->r.template_env, keys[i], arena_printf(a, "value-of-%s", keys[i]));
	map_set(a, &s->r.context_env, "LAUNCHPLANE_PREVIEW_BASE_URL", "https://previews.example.com");
	map_set(a, &s->r.context_env, "DOKPLOY_ENVIRONMENT_ID", "e1");
	s->domains[0] = (struct dokploy_domain){ .id = "d1", .host = "shop.example.com" };
	s->r.live = (struct dokploy_compose){ .id = "c1",
		                              .name = "shop-testing",
		                              .environment_id = "e0",
		                              .env = "ODOO_DB_NAME=db\nODOO_DB_USER=odoo\nODOO_DB_PASSWORD=p1\n"
		                                     "ODOO_DATA_VOLUME=d\nODOO_LOG_VOLUME=l\nODOO_DB_VOLUME=v\n"
		                                     "ODOO_MASTER_PASSWORD=p2\nODOO_ADMIN_PASSWORD=p3\n" };
	s->r.live.domains.n = 1;
	s->r.live.domains.v = s->domains;
	return s;
}

/* The codes of both plans, comma-separated. */
static const char *codes_of(struct scene *s)
{
	struct buf b = buf_in(a);
	if (!preview_make(a, &s->in, &s->r, &s->out, &err))
		fail_msg("%s", err.message);
	const struct json *const lists[] = { json_get(json_of(s->out.runtime_plan), "blockers"), s->out.plan.blockers };
	for (size_t k = 0; k < countof(lists); k++)
		for (uint32_t i = 0; i < lists[k]->n; i++)
			buf_printf(&b, "%s%s", b.n ? "," : "", json_str(&lists[k]->items[i], "code", ""));
	return buf_cstr(&b);
}

static void what_is_in_order_is_ready(void **state)
{
	(void)state;
	struct scene *s = scene(false);
	assert_string_equal(codes_of(s), "");
	assert_true(s->out.is_ready);
	assert_string_equal(s->out.url, "https://pr-7.previews.example.com");
	assert_string_equal(s->out.host, "pr-7.previews.example.com");
	assert_string_equal(s->out.plan.compose_ref, "${created.composeId:odoo-shop-pr-7}");
	assert_string_equal(s->out.plan.environment_id, "e1");
	assert_true(s->out.plan.delete_volumes);
	struct scene *staged = scene(true);
	assert_string_equal(codes_of(staged), "");
	assert_string_equal(staged->out.plan.compose_ref, "c1");
	assert_string_equal(staged->out.compose_name, "shop-testing");
	assert_false(staged->out.plan.delete_volumes);
}

/* ---- each blocker ---- */

static void no_image(struct scene *s)
{
	s->in.image_reference = "";
}
static void a_tag(struct scene *s)
{
	s->in.image_reference = "ghcr.io/acme/shop:latest";
}
static void another_repository(struct scene *s)
{
	s->in.image_reference = "ghcr.io/acme/shop2@sha256:" HEX64;
}
static void no_source(struct scene *s)
{
	s->in.source_git_ref = "";
}
static void a_missing_key(struct scene *s)
{
	map_set(a, &s->r.template_env, "ODOO_DB_USER", " ");
}
static void a_default_password(struct scene *s)
{
	map_set(a, &s->r.template_env, "ODOO_ADMIN_PASSWORD", " Admin ");
}
static void a_required_key(struct scene *s)
{
	s->r.profile.preview.required_template_env_keys = list_of("STRIPE_KEY");
}
static void an_unsafe_secret(struct scene *s)
{
	s->r.key_safety_problem = "prod only";
}
static void a_prod_template(struct scene *s)
{
	s->lane.instance = "prod";
}
static void a_silent_provider(struct scene *s)
{
	s->r.discovery_problem = "no answer";
}
static void an_old_provider(struct scene *s)
{
	s->r.discovery_problem = "404";
	s->r.lacks_procedure = "project.all";
}
static void an_application(struct scene *s)
{
	s->r.is_application = true;
	s->r.has_target = false;
}
static void cloned_data(struct scene *s)
{
	s->r.profile.preview.data_transport_mode = 1;
}
static void seeded_data(struct scene *s)
{
	s->r.profile.preview.data_transport_mode = 3;
}
static void another_environment(struct scene *s)
{
	s->r.compose_id = "c9";
	s->r.compose_environment_id = "e9";
}
static void no_url(struct scene *s)
{
	map_set(a, &s->r.context_env, "LAUNCHPLANE_PREVIEW_BASE_URL", "");
}
static void a_base_with_a_path(struct scene *s)
{
	map_set(a, &s->r.context_env, "LAUNCHPLANE_PREVIEW_BASE_URL", "https://x.example.com/a");
}
static void a_url_with_a_query(struct scene *s)
{
	s->in.preview_url = "https://x.example.com/?a=1";
}
static void no_environment(struct scene *s)
{
	map_set(a, &s->r.context_env, "DOKPLOY_ENVIRONMENT_ID", "");
}
static void no_template(struct scene *s)
{
	s->r.has_target = false;
}
static void nothing_to_destroy(struct scene *s)
{
	s->in.operation = PREVIEW_DESTROY;
}
static void a_destroyed_one(struct scene *s)
{
	s->in.operation = PREVIEW_DESTROY;
	s->r.preview_state = "destroyed";
}
static void a_recorded_one(struct scene *s)
{
	s->in.operation = PREVIEW_DESTROY;
	s->r.preview_state = "active";
}
static void a_destroy_without_image(struct scene *s)
{
	a_recorded_one(s);
	s->in.image_reference = s->in.source_git_ref = "";
	s->r.template_env = (struct text_map){ 0 };
}
static void another_staged_preview(struct scene *s)
{
	s->domains[1] = (struct dokploy_domain){ .id = "d2", .host = "PR-8.previews.example.com" };
	s->r.live.domains.n = 2;
}
static void the_same_staged_preview(struct scene *s)
{
	s->domains[1] = (struct dokploy_domain){ .id = "d2", .host = "pr-7.previews.example.com" };
	s->r.live.domains.n = 2;
}
static void a_lanes_host(struct scene *s)
{
	static struct lane lanes[] = {
		{ .instance = "testing", .context = "shop", .base_url = "" },
		{ .instance = "prod", .context = "shop", .base_url = "https://pr-7.example.com/" }
	};
	static struct dokploy_target targets[2];
	targets[0].domains = list_of("shop.example.com,PR-7.shop.example.com");
	s->r.profile.lanes.n = countof(lanes);
	s->r.profile.lanes.v = lanes;
	s->r.lane_targets = targets;
	s->in.preview_url = "https://pr-7.example.com";
}
static void a_targets_host(struct scene *s)
{
	a_lanes_host(s);
	s->in.preview_url = "https://pr-7.shop.example.com";
}
static void a_host_of_nobody(struct scene *s)
{
	a_lanes_host(s);
	s->in.preview_url = "https://pr-7.other.example.com";
}
static void a_lanes_host_destroyed(struct scene *s)
{
	a_targets_host(s);
	a_recorded_one(s);
	s->r.lane_targets = NULL;
}
static void another_slug(struct scene *s)
{
	s->in.preview_url = "https://pr-8.previews.example.com";
}
static void a_longer_slug(struct scene *s)
{
	s->in.preview_url = "https://pr-77.previews.example.com";
}
static void no_slug(struct scene *s)
{
	s->in.preview_url = "https://latest.example.com";
}
static void a_live_target_without_keys(struct scene *s)
{
	s->r.live.env = "ODOO_DB_NAME=db";
}
static void a_live_default_password(struct scene *s)
{
	s->r.live.env = arena_printf(a, "%sODOO_MASTER_PASSWORD=ADMIN\n", s->r.live.env);
}

static void each_blocker_has_its_cause(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		void (*spoil)(struct scene *);
		bool is_staged;
		const char *codes; /* of the runtime plan, then of the plan */
	} cases[] = {
		{ "no image", no_image, false, "refresh_artifact_missing,runtime_plan_not_ready" },
		{ "a tag", a_tag, false, "refresh_artifact_missing,runtime_plan_not_ready" },
		{ "another repository", another_repository, false, "refresh_artifact_missing,runtime_plan_not_ready" },
		{ "no source", no_source, false, "refresh_source_missing,runtime_plan_not_ready" },
		{ "a missing key", a_missing_key, false, "runtime_env_missing,runtime_plan_not_ready" },
		{ "a required key", a_required_key, false, "runtime_env_missing,runtime_plan_not_ready" },
		{ "a default password", a_default_password, false,
		  "default_credential_binding,runtime_plan_not_ready" },
		{ "an unsafe secret", an_unsafe_secret, false, "prod_secret_binding,runtime_plan_not_ready" },
		{ "a prod template", a_prod_template, false, "runtime_target_not_preview,runtime_plan_not_ready" },
		{ "a silent provider", a_silent_provider, false,
		  "runtime_target_discovery_failed,runtime_plan_not_ready" },
		{ "an old provider", an_old_provider, false,
		  "provider_capability_missing,endpoint_path_missing,runtime_plan_not_ready" },
		{ "an application", an_application, false,
		  "provider_capability_missing,template_compose_id_missing,runtime_plan_not_ready" },
		{ "cloned data", cloned_data, false, "runtime_strategy_not_isolated,runtime_plan_not_ready" },
		{ "seeded data", seeded_data, false, "runtime_strategy_not_isolated,runtime_plan_not_ready" },
		{ "another environment", another_environment, false,
		  "runtime_target_not_preview,runtime_plan_not_ready" },
		{ "no URL", no_url, false, "preview_url_missing,runtime_plan_not_ready" },
		{ "a base with a path", a_base_with_a_path, false, "preview_url_missing,runtime_plan_not_ready" },
		{ "a URL with a query", a_url_with_a_query, false, "preview_url_invalid" },
		{ "no environment", no_environment, false, "environment_id_missing" },
		{ "no template", no_template, false, "template_compose_id_missing" },
		{ "nothing to destroy", nothing_to_destroy, false, "destroy_target_missing,runtime_plan_not_ready" },
		{ "a destroyed one", a_destroyed_one, false, "destroy_target_missing,runtime_plan_not_ready" },
		{ "a recorded one", a_recorded_one, false, "" },
		{ "a destroy without image", a_destroy_without_image, false, "" },
		{ "staged: another preview", another_staged_preview, true,
		  "runtime_target_slug_mismatch,runtime_plan_not_ready" },
		{ "staged: the same", the_same_staged_preview, true, "" },
		{ "a lane's host", a_lanes_host, false, "runtime_target_slug_mismatch,runtime_plan_not_ready" },
		{ "a target's host", a_targets_host, false, "runtime_target_slug_mismatch,runtime_plan_not_ready" },
		{ "a host of nobody", a_host_of_nobody, false, "" },
		{ "no slug", no_slug, false, "" },
		{ "a destroy of a lane's host", a_lanes_host_destroyed, false, "" },
		{ "staged: a lane's host", a_targets_host, true,
		  "runtime_target_slug_mismatch,runtime_plan_not_ready" },
		{ "staged: another slug", another_slug, true, "runtime_target_slug_mismatch,runtime_plan_not_ready" },
		{ "staged: a longer slug", a_longer_slug, true, "runtime_target_slug_mismatch,runtime_plan_not_ready" },
		{ "staged: no slug", no_slug, true, "runtime_target_slug_mismatch,runtime_plan_not_ready" },
		{ "staged: its slug elsewhere", a_host_of_nobody, true, "" },
		{ "staged: keys missing live", a_live_target_without_keys, true,
		  "runtime_env_missing,runtime_plan_not_ready" },
		{ "staged: a default live", a_live_default_password, true,
		  "default_credential_binding,runtime_plan_not_ready" },
		{ "staged: no target", no_template, true,
		  "runtime_target_discovery_failed,template_compose_id_missing,runtime_plan_not_ready" },
		{ "staged: records are no keys", a_missing_key, true, "" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct scene *s = scene(cases[i].is_staged);
		cases[i].spoil(s);
		if (strcmp(codes_of(s), cases[i].codes) != 0)
			fail_msg("%s: %s", cases[i].name, codes_of(s));
		assert_int_equal(s->out.is_ready, cases[i].codes[0] == '\0');
		assert_false(strstr(s->out.blocked_text, "value-of-") != NULL); /* names, never values */
	}
}

static void contradicting_images_are_refused(void **state)
{
	(void)state;
	struct scene *s = scene(false);
	struct artifact_manifest m = { .artifact_id = "artifact-shop-1",
		                       .source_commit = "beef",
		                       .image = { "ghcr.io/acme/shop", "sha256:" HEX64, { 0 } } };
	s->in.manifest = &m;
	assert_string_equal(codes_of(s), ""); /* both say the same */
	assert_string_equal(s->out.artifact_id, "artifact-shop-1");
	assert_string_equal(s->out.source_git_ref, "c0ffee"); /* given, not the manifest's */
	s->in.source_git_ref = "";
	assert_string_equal(codes_of(s), "");
	assert_string_equal(s->out.source_git_ref, "beef");
	s->in.image_reference = "ghcr.io/acme/shop@sha256:0";
	assert_false(preview_make(a, &s->in, &s->r, &s->out, &err));
	assert_string_equal(err.field, "image_reference");
}

/* facts/odoo.md 15.2: records, then the profile's own, then identifiers, then address keys. */
static void values_have_their_order(void **state)
{
	(void)state;
	struct scene *s = scene(false);
	struct preview_profile *p = &s->r.profile.preview;
	map_set(a, &s->r.template_env, "ODOO_DB_NAME", "the-templates");
	map_set(a, &p->override_env, "ODOO_WORKERS", "2");
	map_set(a, &p->override_env, "ODOO_DATA_VOLUME", "the-templates");
	map_set(a, &p->override_env, "PREVIEW_URL", "of the profile");
	assert_string_equal(codes_of(s), "");
	const struct text_map *env = &s->out.env;
	assert_string_equal(map_get(env, "ODOO_WORKERS"), "2");
	assert_string_equal(map_get(env, "ODOO_DB_NAME"), "odoo-shop-pr-7_db");
	assert_string_equal(map_get(env, "ODOO_DATA_VOLUME"), "odoo-shop-pr-7_data");
	assert_string_equal(map_get(env, "ODOO_LOG_VOLUME"), "odoo-shop-pr-7_logs");
	assert_string_equal(map_get(env, "ODOO_DB_VOLUME"), "odoo-shop-pr-7_db_volume");
	assert_string_equal(map_get(env, "ODOO_PROJECT_NAME"), "odoo-shop-pr-7");
	assert_string_equal(map_get(env, "ODOO_STACK_NAME"), "odoo-shop-pr-7");
	assert_string_equal(map_get(env, "PREVIEW_URL"), "https://pr-7.previews.example.com");
	assert_string_equal(map_get(env, "PREVIEW_HOST"), "pr-7.previews.example.com");
	assert_null(map_get(env, "DOKPLOY_ENVIRONMENT_ID"));
	p->omitted_env_keys = list_of("ODOO_WORKERS");
	p->copied_env_keys = list_of("ODOO_DB_USER,ODOO_DB_PASSWORD,ODOO_MASTER_PASSWORD,ODOO_ADMIN_PASSWORD");
	p->override_env = (struct text_map){ 0 };
	assert_string_equal(codes_of(s), "");
	assert_null(map_get(&s->out.env, "ODOO_WORKERS"));
}

static void staged_values_keep_the_targets_identity(void **state)
{
	(void)state;
	struct scene *s = scene(true);
	assert_string_equal(codes_of(s), "");
	assert_null(map_get(&s->out.env, "ODOO_DB_VOLUME"));
	assert_string_equal(text_of_list(&s->out.hosts), "shop.example.com,pr-7.previews.example.com");
}

static void calls_are_listed_as_they_are_made(void **state)
{
	(void)state;
	static const struct {
		bool is_staged, exists, destroys, no_cache;
		const char *names, *back;
	} cases[] = {
		{ false, false, false, false, "create_compose,sync_source,write_environment,ensure_domain,deploy",
		  "delete_domain,delete_compose" },
		{ false, true, false, false, "sync_source,write_environment,ensure_domain,deploy", "delete_domain" },
		{ true, true, false, false, "sync_source,write_environment,ensure_domain,deploy", "delete_domain" },
		{ false, true, true, false, "delete_domain,delete_compose", "" },
		{ true, true, true, false, "delete_domain", "" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct scene *s = scene(cases[i].is_staged);
		s->in.operation = cases[i].destroys ? PREVIEW_DESTROY : PREVIEW_REFRESH;
		if (cases[i].exists && !cases[i].is_staged) {
			s->r.compose_id = "c9";
			s->r.compose_environment_id = "e1";
		}
		assert_string_equal(codes_of(s), "");
		struct strings names = { 0 }, back = { 0 };
		for (uint32_t k = 0; k < s->out.plan.operations->n; k++)
			strings_add(a, &names, json_str(&s->out.plan.operations->items[k], "name", ""));
		for (uint32_t k = 0; k < s->out.plan.rollback_operations->n; k++)
			strings_add(a, &back, json_str(&s->out.plan.rollback_operations->items[k], "name", ""));
		assert_string_equal(text_of_list(&names), cases[i].names);
		assert_string_equal(text_of_list(&back), cases[i].back);
	}
	struct scene *s = scene(false);
	s->in.no_cache = true;
	codes_of(s);
	assert_string_equal(json_str(&s->out.plan.operations->items[4], "path", ""), "/api/compose.redeploy");
}

static void slugs_go_both_ways(void **state)
{
	(void)state;
	assert_string_equal(preview_slug_of(a, "PR-{number}-x", 12), "pr-12-x");
	assert_string_equal(preview_slug_of(a, "none", 12), "");
	static const struct {
		const char *template, *slug;
		int64_t number;
	} cases[] = {
		{ "pr-{number}", "pr-7", 7 },  { "pr-{number}", "PR-7", 7 },
		{ "pr-{number}", "pr-07", 0 }, { "pr-{number}", "pr-", 0 },
		{ "pr-{number}", "pr-7x", 0 }, { "pr-{number}", "main", 0 },
		{ "{number}-x", "3-x", 3 },    { "pr-{number}", "pr-99999999999", 0 },
		{ "none", "none", 0 },         { "pr-{number}", "pr-2147483647", 2147483647 },
	};
	for (size_t i = 0; i < countof(cases); i++)
		if (preview_number_of(cases[i].template, cases[i].slug) != cases[i].number)
			fail_msg("%s", cases[i].slug);
	assert_true(preview_host_is_of(a, "pr-{number}", "PR-7.previews.example.com"));
	assert_false(preview_host_is_of(a, "pr-{number}", "shop.pr-7.example.com"));
}

static void only_digests_are_immutable(void **state)
{
	(void)state;
	assert_true(is_immutable_image(IMAGE));
	static const char *const others[] = { "",
		                              "shop:latest",
		                              "@sha256:" HEX64,
		                              "shop@sha256:abc",
		                              "shop@sha256:" HEX64 "a",
		                              "sh op@sha256:" HEX64,
		                              "$x@sha256:" HEX64 };
	for (size_t i = 0; i < countof(others); i++)
		assert_false(is_immutable_image(others[i]));
}

static void an_apply_asks_what_its_plan_says(void **state)
{
	(void)state;
	struct preview_apply r = { .image_reference = IMAGE, .timeout_seconds = 9 };
	struct preview_inputs in;
	r.dry_run_plan =
	        (struct preview_plan){ .product = "p", .preview_slug = "pr-7", .preview_url = "u", .no_cache = true };
	preview_inputs_of(&r, 7, &in);
	assert_string_equal(in.source_git_ref, HEX64); /* without a manifest the image is all that is known */
	assert_int_equal(in.pr_number, 7);
	assert_true(in.no_cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_in_order_is_ready),
		TEST(each_blocker_has_its_cause),
		TEST(contradicting_images_are_refused),
		TEST(values_have_their_order),
		TEST(staged_values_keep_the_targets_identity),
		TEST(calls_are_listed_as_they_are_made),
		TEST(slugs_go_both_ways),
		TEST(only_digests_are_immutable),
		TEST(an_apply_asks_what_its_plan_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
