#include "server/auth/policy_edit.h"
#include "server/auth/policy_explain.h"
#include "server/auth/static_tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct arena *a;

static int make_arena(void **state)
{
	(void)state;
	a = arena_new();
	return 0;
}

static int drop_arena(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static const struct json *json_of(const char *text)
{
	struct json *j = ARENA_NEW(a, struct json);
	struct err err = { 0 };
	if (!json_parse(a, text, strlen(text), "the test", j, &err))
		fail_msg("%s: %s", text, err.message);
	return j;
}

static void free_policy(void *p)
{
	policy_free(p);
}

static const struct policy *policy_of(const char *text)
{
	struct err err = { 0 };
	struct policy *p = policy_of_text(text, strlen(text), "the policy", &err);
	if (!p)
		fail_msg("%s", err.message);
	arena_defer(a, free_policy, p);
	return p;
}

static void rules_are_compared_as_a_whole(void **state)
{
	(void)state;
	static const struct {
		const char *x, *y;
		bool equal;
	} cases[] = {
		{ "{}", "{}", true },
		{ "{\"actions\":[]}", "{}", true },
		{ "{\"repository_id\":null}", "{}", true },
		{ "{\"repository\":\"a/b\"}", "{\"repository\":\"a/b\"}", true },
		{ "{\"repository\":\"a/b\"}", "{\"repository\":\"A/b\"}", false },
		{ "{\"repository\":\"a/b\"}", "{}", false },
		{ "{\"repository_id\":74}", "{\"repository_id\":\"74\"}", true },
		{ "{\"repository_id\":74}", "{\"repository_id\":\"75\"}", false },
		{ "{\"actions\":[\"a\",\"b\"]}", "{\"actions\":[\"a\",\"b\"]}", true },
		{ "{\"actions\":[\"a\",\"b\"]}", "{\"actions\":[\"b\",\"a\"]}", false },
		{ "{\"actions\":[\"a\",\"b\"]}", "{\"actions\":[\"a\"]}", false },
		{ "{\"actions\":[\"a\"]}", "{\"actions\":[\"a\",\"a\"]}", false },
		{ "{\"actions\":[\"a\"],\"refs\":[\"r\"]}", "{\"actions\":[\"a\"]}", false },
		{ "{\"actions\":[\"a\"]}", "{\"actions\":\"a\"}", false },
		{ "{\"products\":[\"p\"],\"actions\":[\"a\"]}", "{\"actions\":[\"a\"],\"products\":[\"p\"]}", true },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		if (policy_rules_equal(json_of(cases[i].x), json_of(cases[i].y)) != cases[i].equal)
			fail_msg("%s and %s", cases[i].x, cases[i].y);
		assert_int_equal(policy_rules_equal(json_of(cases[i].y), json_of(cases[i].x)), cases[i].equal);
	}
}

#define ADMIN "[[github_actions]]\nrepository=\"acme/ops\"\nactions=[\"authz_policy_grant.write\"]\n"

static void a_change_leaves_the_rest_alone(void **state)
{
	(void)state;
	struct err err = { 0 };
	struct policy_edit made, undone, again;
	const struct policy *from = policy_of(ADMIN "[[github_humans]]\nlogins=[\"octocat\"]\n");
	struct policy_change change = { PRINCIPAL_LOCAL_ADMIN,
		                        json_of("{\"subjects\":[\"owner\"],\"actions\":[\"a\"]}"), false };
	assert_true(policy_edit(a, from, &change, &made, &err));
	assert_true(made.changed);
	assert_int_equal(policy_rule_count(made.policy, PRINCIPAL_LOCAL_ADMIN), 1);
	assert_int_equal(policy_rule_count(made.policy, PRINCIPAL_GITHUB_ACTIONS), 1);
	assert_int_equal(policy_rule_count(from, PRINCIPAL_LOCAL_ADMIN), 0);
	assert_true(policy_edit(a, made.policy, &change, &again, &err));
	assert_false(again.changed);
	assert_null(again.policy);
	change.removes = true;
	assert_true(policy_edit(a, made.policy, &change, &undone, &err));
	assert_int_equal(undone.matched, 1);
	assert_string_equal(policy_sha256(undone.policy), policy_sha256(from));
	assert_true(policy_edit(a, from, &change, &again, &err));
	assert_false(again.changed);
	assert_int_equal(again.matched, 0);
}

static void somebody_has_to_stay_who_may_change_the_policy(void **state)
{
	(void)state;
	static const struct {
		const char *rules;
		bool has;
	} cases[] = {
		{ ADMIN, true },
		{ "", false },
		{ "[[github_actions]]\nrepository=\"acme/ops\"\n", true },
		{ "[[github_actions]]\nrepository=\"acme/ops\"\nactions=[\"other\"]\n", false },
		{ "[[github_actions]]\nrepository=\"acme/ops\"\nproducts=[\"shop\"]\n", false },
		{ "[[github_actions]]\nrepository=\"acme/ops\"\nproducts=[\"launch*\"]\ncontexts=[\"launchplane\"]\n",
		  true },
		{ "[[github_humans]]\nlogins=[\"octocat\"]\n", true },
		{ "[[github_humans]]\nlogins=[\"octocat\"]\nroles=[\"admin\"]\n", true },
		{ "[[github_humans]]\nlogins=[\"octocat\"]\nroles=[\"read_only\"]\n", false },
		{ "[[terminal_agents]]\n", false },
		{ "[[local_operators]]\n", true },
		{ "[[local_admins]]\ncontexts=[\"shop\"]\n", false },
	};
	for (size_t i = 0; i < countof(cases); i++)
		if (policy_has_administrator(policy_of(arena_printf(a, "schema_version = 1\n%s", cases[i].rules))) !=
		    cases[i].has)
			fail_msg("%s", cases[i].rules);
	struct err err = { 0 };
	struct policy_edit out;
	const struct policy_change change = {
		PRINCIPAL_GITHUB_ACTIONS,
		json_of("{\"repository\":\"acme/ops\",\"actions\":[\"authz_policy_grant.write\"]}"), true
	};
	assert_false(policy_edit(a, policy_of(ADMIN), &change, &out, &err));
	assert_ptr_equal(err.code, &E_conflict);
}

static void a_bad_rule_is_named_as_the_request_has_it(void **state)
{
	(void)state;
	struct err err = { 0 };
	assert_false(policy_rule_check(a, PRINCIPAL_GITHUB_HUMAN, json_of("{\"roles\":[\"admin\",\"owner\"]}"), "grant",
	                               &err));
	assert_string_equal(err.field, "grant.roles[1]");
	assert_string_equal(err.message, "grant.roles[1]: must be read_only or admin");
	assert_false(policy_rule_check(a, PRINCIPAL_GITHUB_ACTIONS, json_of("{}"), "removal", &err));
	assert_string_equal(err.field, "removal.repository");
	assert_true(policy_rule_check(a, PRINCIPAL_LOCAL_ADMIN, json_of("{\"actions\":[\"a\"]}"), "grant", &err));
}

static void every_record_comes_after_the_one_before(void **state)
{
	(void)state;
	static const struct {
		int64_t now_ms;
		const char *previous, *expected;
	} cases[] = {
		{ 1000123, "", "1970-01-01T00:16:40.123000Z" },
		{ 1000123, "1970-01-01T00:16:39Z", "1970-01-01T00:16:40.123000Z" },
		{ 1000123, "1970-01-01T00:16:40Z", "1970-01-01T00:16:41.000000Z" },
		{ 1000123, "1970-01-01T00:16:40.122999Z", "1970-01-01T00:16:40.123000Z" },
		{ 1000123, "1970-01-01T00:16:40.123Z", "1970-01-01T00:16:40.124000Z" },
		{ 1000123, "1970-01-01T00:16:40.123000Z", "1970-01-01T00:16:40.123001Z" },
		{ 1000123, "1970-01-01T00:16:40.999999Z", "1970-01-01T00:16:41.000000Z" },
		{ 1000123, "1970-01-02T00:00:00.5Z", "1970-01-02T00:00:00.600000Z" },
		{ 1000123, "1970-12-31T23:59:59Z", "1971-01-01T00:00:00.000000Z" },
		{ 1000123, "not a time", "1970-01-01T00:16:40.123000Z" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		const char *got = policy_time(a, cases[i].now_ms, cases[i].previous);
		assert_string_equal(got, cases[i].expected);
		if (cases[i].previous[0] == '1')
			assert_true(strcmp(got, cases[i].previous) > 0);
	}
}

static void operators_get_three_actions(void **state)
{
	(void)state;
	assert_true(local_operator_may_get("product_config.plan"));
	assert_true(local_operator_may_get("product_config.apply"));
	assert_true(local_operator_may_get("private_health_endpoint.apply"));
	assert_false(local_operator_may_get("product_profile.read"));
	assert_false(local_operator_may_get("product_config."));
	assert_false(local_operator_may_get(""));
}

static void a_token_is_found_by_its_whole_text(void **state)
{
	(void)state;
	struct static_tokens t = { 0 };
	enum principal_kind kind;
	assert_false(static_token_find(&t, "", &kind));
	assert_false(static_token_find(&t, "x", &kind));
	t.of[PRINCIPAL_TERMINAL_AGENT].token = t.of[PRINCIPAL_LOCAL_OPERATOR].token = "same";
	t.of[PRINCIPAL_LOCAL_ADMIN].token = "admin";
	assert_true(static_token_find(&t, "same", &kind));
	assert_int_equal(kind, PRINCIPAL_LOCAL_OPERATOR);
	assert_true(static_token_find(&t, "admin", &kind));
	assert_int_equal(kind, PRINCIPAL_LOCAL_ADMIN);
	static const char *const wrong[] = { "", "adm", "admin ", "admins", "Admin", "amin" };
	for (size_t i = 0; i < countof(wrong); i++)
		assert_false(static_token_find(&t, wrong[i], &kind));
}

static const struct json *explain(const struct policy *p, const struct principal *who, const char *action)
{
	return json_of(policy_explain(a, p, who, action, "shop", "testing"));
}

static void an_explanation_agrees_with_the_decision(void **state)
{
	(void)state;
	static const char *const teams[] = { "crew", "acme/crew", NULL }, *const organizations[] = { "acme", NULL };
	const struct human people[] = {
		{ .login = "ann", .organizations = organizations, .teams = teams, .role = HUMAN_ADMIN },
		{ .login = "ann", .organizations = organizations, .teams = teams, .role = HUMAN_READ_ONLY },
		{ .login = "bob",
		  .organizations = (const char *const[]){ NULL },
		  .teams = (const char *const[]){ NULL },
		  .role = HUMAN_ADMIN },
	};
	static const char *const rules[] = {
		"logins=[\"ann\"]",
		"organizations=[\"acm*\"]",
		"teams=[\"acme/crew\",\"hidden/team\"]",
		"logins=[\"b?b\",\"hidden\"]",
		"logins=[\"ann\"]\nroles=[\"admin\"]",
		"products=[\"shop\"]",
		"contexts=[\"hidden\"]\nlogins=[\"hidden\"]",
		"actions=[\"x.read\"]",
		"contexts=[\"prod\"]",
	};
	static const char *const actions[] = { "x.read", "x.execute", "authz_policy_grant.write" };
	for (size_t k = 0; k < countof(rules) * countof(rules); k++) {
		const struct policy *p = policy_of(arena_printf(a, "[[github_humans]]\n%s\n[[github_humans]]\n%s\n",
		                                                rules[k % countof(rules)], rules[k / countof(rules)]));
		for (size_t i = 0; i < countof(people) * countof(actions); i++) {
			struct principal who;
			const char *action = actions[i / countof(people)];
			principal_of_human(a, &people[i % countof(people)], &who);
			const struct json *e = explain(p, &who, action);
			bool allowed = policy_allows(p, &who, action, "shop", "testing");
			assert_int_equal(json_bool(e, "allowed", !allowed), allowed);
			assert_int_equal(json_get(e, "rule")->type == JSON_OBJECT, allowed);
			assert_null(strstr(json_text(a, e), "hidden"));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rules_are_compared_as_a_whole, make_arena, drop_arena),
		cmocka_unit_test_setup_teardown(a_change_leaves_the_rest_alone, make_arena, drop_arena),
		cmocka_unit_test_setup_teardown(somebody_has_to_stay_who_may_change_the_policy, make_arena, drop_arena),
		cmocka_unit_test_setup_teardown(a_bad_rule_is_named_as_the_request_has_it, make_arena, drop_arena),
		cmocka_unit_test_setup_teardown(every_record_comes_after_the_one_before, make_arena, drop_arena),
		cmocka_unit_test_setup_teardown(operators_get_three_actions, make_arena, drop_arena),
		cmocka_unit_test_setup_teardown(a_token_is_found_by_its_whole_text, make_arena, drop_arena),
		cmocka_unit_test_setup_teardown(an_explanation_agrees_with_the_decision, make_arena, drop_arena),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
