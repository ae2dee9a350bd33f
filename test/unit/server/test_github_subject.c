#include "server/auth/github_subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct arena *a;

static int set_up(void **state)
{
	(void)state;
	a = arena_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_free(a);
	return 0;
}

static struct github_claims shop(const char *sub)
{
	return (struct github_claims){ .repository = "octo/shop",
		                       .repository_owner = "octo",
		                       .repository_id = "74",
		                       .repository_owner_id = "65",
		                       .workflow_ref = "octo/shop/.github/workflows/d.yml@refs/heads/main",
		                       .job_workflow_ref = "octo/ci/.github/workflows/r.yml@v1",
		                       .ref = "refs/heads/main",
		                       .ref_type = "branch",
		                       .event_name = "push",
		                       .environment = "",
		                       .runner_environment = "",
		                       .sub = sub,
		                       .sha = "" };
}

static const char *verdict(struct github_claims c)
{
	return token_refusal_name(github_subject_check(a, &c));
}

static void either_form_agrees_with_the_claims(void **state)
{
	(void)state;
	static const struct {
		const char *sub, *expected;
	} cases[] = {
		{ "", "accepted" },
		{ "repo:octo/shop:ref:refs/heads/main", "accepted" },
		{ "repo:octo@65/shop@74:ref:refs/heads/main", "accepted" },
		{ "repo:octo/shop:ref:refs/heads/other", "subject_contradicts_ref" },
		{ "repo:octo/shop:ref:refs/heads/mai", "subject_contradicts_ref" },
		{ "repo:octo/shop:ref:refs/heads/main2", "subject_contradicts_ref" },
		{ "repo:octo@65/shop@74:ref:refs/tags/main", "subject_contradicts_ref" },
		{ "repo:octo/other:ref:refs/heads/main", "subject_contradicts_repository" },
		{ "repo:octo/sho:ref:refs/heads/main", "subject_contradicts_repository" },
		{ "repo:octo/shop2:ref:refs/heads/main", "subject_contradicts_repository" },
		{ "repo:other/shop:ref:refs/heads/main", "subject_contradicts_repository" },
		{ "repo:Octo/shop:ref:refs/heads/main", "subject_contradicts_repository" },
		{ "repo:other@65/shop@74:ref:refs/heads/main", "subject_contradicts_repository" },
		{ "repo:octo@66/shop@74:ref:refs/heads/main", "subject_contradicts_id" },
		{ "repo:octo@65/shop@75:ref:refs/heads/main", "subject_contradicts_id" },
		{ "repo:octo@65/shop@074:ref:refs/heads/main", "subject_contradicts_id" },
		{ "repo:octo@74/shop@65:ref:refs/heads/main", "subject_contradicts_id" },
		{ "repo:octo@65/shop:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo/shop@74:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo@/shop@74:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo@65x/shop@74:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo@65@65/shop@74:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo@65/shop@123456789012345678901:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo:ref:refs/heads/main", "subject_malformed" },
		{ "repo:/shop:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo/:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo/shop/more:ref:refs/heads/main", "subject_malformed" },
		{ "repo:octo/shop:ref", "subject_malformed" },
		{ "repo:octo/shop:", "subject_malformed" },
		{ "repo:", "subject_malformed" },
		{ "repo:octo/shop:pull_request", "subject_contradicts_event" },
		{ "repo:octo/shop:environment:production", "subject_contradicts_environment" },
		/* Customised: what it says of claims that decide is checked, the rest is not known here. */
		{ "repo:octo/shop:actor:octocat", "accepted" },
		{ "repo:octo/shop:event_name:push", "accepted" },
		{ "repo:octo/shop:event_name:release", "subject_contradicts_event" },
		{ "repository_owner_id:65:repository_id:74", "accepted" },
		{ "repository_owner_id:65:repository_id:75", "subject_contradicts_id" },
		{ "repository_owner:other", "subject_contradicts_repository" },
		{ "job_workflow_ref:octo/ci/.github/workflows/r.yml@v1", "accepted" },
		{ "job_workflow_ref:octo/ci/.github/workflows/r.yml@v2", "subject_contradicts_workflow" },
		{ "something of their own", "accepted" },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(verdict(shop(cases[i].sub)), cases[i].expected);
}

static void an_environment_is_escaped(void **state)
{
	(void)state;
	static const struct {
		const char *environment, *sub, *expected;
	} cases[] = {
		{ "production", "repo:octo/shop:environment:production", "accepted" },
		{ "production", "repo:octo@65/shop@74:environment:production", "accepted" },
		{ "production", "repo:octo/shop:environment:staging", "subject_contradicts_environment" },
		{ "production", "repo:octo/shop:environment:Production", "subject_contradicts_environment" },
		{ "production", "repo:octo/shop:ref:refs/heads/main", "accepted" }, /* customised to repo and ref */
		{ "a:b", "repo:octo/shop:environment:a%3Ab", "accepted" },
		{ "a:b", "repo:octo/shop:environment:a:b", "subject_contradicts_environment" },
		{ "a:", "repo:octo/shop:environment:a%3", "subject_contradicts_environment" },
		{ "prod:ref:refs/heads/main", "repo:octo/shop:environment:prod:ref:refs/heads/main",
		  "subject_contradicts_environment" },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct github_claims c = shop(cases[i].sub);
		c.environment = cases[i].environment;
		assert_string_equal(verdict(c), cases[i].expected);
	}
}

static void a_pull_request_is_one(void **state)
{
	(void)state;
	struct github_claims c = shop("repo:octo@65/shop@74:pull_request");
	c.event_name = "pull_request";
	assert_string_equal(verdict(c), "accepted");
	c.event_name = "pull_request_target";
	assert_string_equal(verdict(c), "accepted");
	c.event_name = "workflow_dispatch";
	assert_string_equal(verdict(c), "subject_contradicts_event");
	c.event_name = "pull_request";
	c.environment = "production";
	assert_string_equal(verdict(c), "subject_contradicts_environment");
}

static void numbers_that_only_sub_has_are_taken_from_it(void **state)
{
	(void)state;
	struct github_claims c = shop("repo:octo@65/shop@74:ref:refs/heads/main");
	c.repository_id = c.repository_owner_id = "";
	assert_int_equal(github_subject_check(a, &c), TOKEN_ACCEPTED);
	assert_string_equal(c.repository_id, "74");
	assert_string_equal(c.repository_owner_id, "65");
}

static void what_the_claims_do_not_say_is_not_contradicted(void **state)
{
	(void)state;
	struct github_claims c = shop("repo:octo/shop:ref:refs/heads/main");
	c.ref = "";
	assert_string_equal(verdict(c), "accepted");
	c.sub = "repo:octo/shop:environment:production"; /* but a job without an environment has none */
	assert_string_equal(verdict(c), "subject_contradicts_environment");
}

static void the_owner_is_the_repositorys(void **state)
{
	(void)state;
	static const char *const others[] = { "oct", "octo2", "Octo", "octo/shop", "shop" };
	struct github_claims c = shop("");
	assert_string_equal(verdict(c), "accepted");
	c.repository_owner = "";
	assert_string_equal(verdict(c), "accepted");
	for (size_t i = 0; i < countof(others); i++) {
		c.repository_owner = others[i];
		assert_string_equal(verdict(c), "owner_contradicts_repository");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(either_form_agrees_with_the_claims),
		cmocka_unit_test(an_environment_is_escaped),
		cmocka_unit_test(a_pull_request_is_one),
		cmocka_unit_test(numbers_that_only_sub_has_are_taken_from_it),
		cmocka_unit_test(what_the_claims_do_not_say_is_not_contradicted),
		cmocka_unit_test(the_owner_is_the_repositorys),
	};
	return cmocka_run_group_tests_name("github_subject", tests, set_up, tear_down);
}
