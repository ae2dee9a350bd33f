#include "server/auth/glob.h"
#include "server/auth/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

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

static void patterns_match_as_a_shell_would(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool expected;
	} cases[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "a", "", false },
		{ "abc", "abc", true },
		{ "abc", "ABC", false },
		{ "abc", "abcd", false },
		{ "*", "", true },
		{ "*", "a/b@c", true },
		{ "**", "x", true },
		{ "a*", "a", true },
		{ "*a", "bca", true },
		{ "*a", "bcab", false },
		{ "a*b*c", "a1b2b3c", true },
		{ "a*b*c", "a1b2b3", false },
		{ "acme/shop/.github/workflows/preview.yml@*",
		  "acme/shop/.github/workflows/preview.yml@refs/pull/7/merge", true },
		{ "acme/shop/.github/workflows/preview.yml@*", "acme/shop/.github/workflows/preview.yml", false },
		{ "acme/shop/.github/workflows/preview.yml@*", "evil/shop/.github/workflows/preview.yml@x", false },
		{ "?", "a", true },
		{ "?", "", false },
		{ "?", "ab", false },
		{ "?", "\xc3\xa4", true }, /* one character, two bytes */
		{ "??", "\xc3\xa4", false },
		{ "?", "\xf0\x9f\x98\x80", true },
		{ "[ab]c", "bc", true },
		{ "[ab]c", "cc", false },
		{ "[a-c]x", "bx", true },
		{ "[a-c]x", "dx", false },
		{ "[c-a]x", "bx", false },
		{ "[!a-c]x", "dx", true },
		{ "[!a-c]x", "bx", false },
		{ "[!a]", "", false },
		{ "[]]", "]", true },
		{ "[]a]", "a", true },
		{ "[!]]", "]", false },
		{ "[!]]", "a", true },
		{ "[a-]", "-", true },
		{ "[-a]", "-", true },
		{ "[--0]", ".", true },
		{ "[a", "[a", true },
		{ "[a", "a", false },
		{ "[", "[", true },
		{ "[]", "[]", true },
		{ "[!]", "[!]", true },
		{ "[^a]", "^", true }, /* only ! inverts */
		{ "[^a]", "b", false },
		{ "\\*", "*", false }, /* nothing escapes */
		{ "\\*", "\\x", true },
		{ "[*]", "*", true },
		{ "[*]", "a", false },
		{ "[\xc3\xa4-\xc3\xbc]", "\xc3\xb6", true },
		{ "[[]x", "[x", true },
		{ "{a,b}", "a", false },
		{ "a.c", "abc", false },
		{ "*\n*", "a\nb", true },
		{ "pr-*", "pr-", true },
	};
	for (size_t i = 0; i < countof(cases); i++)
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].expected)
			fail_msg("%s against %s", cases[i].pattern, cases[i].text);
}

static void no_pattern_takes_for_ever(void **state)
{
	(void)state;
	char pattern[401], text[20001];
	for (size_t i = 0; i < 400; i += 2)
		memcpy(pattern + i, "*a", 2);
	pattern[400] = '\0';
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 2] = 'b';
	text[sizeof(text) - 1] = '\0';
	clock_t from = clock();
	assert_false(glob_match(pattern, text));
	assert_true((clock() - from) < CLOCKS_PER_SEC);
}

static struct policy *policy_of(const char *text)
{
	struct err err = { 0 };
	struct policy *p = policy_of_text(text, strlen(text), "the policy", &err);
	if (!p)
		fail_msg("%s", err.message);
	return p;
}

static const char *problem(const char *text)
{
	struct err err = { 0 };
	struct policy *p = policy_of_text(text, strlen(text), "the policy", &err);
	policy_free(p);
	if (!p)
		assert_ptr_equal(err.code, &E_invalid_request);
	return p ? "none" : arena_strdup(a, err.message);
}

static const struct github_claims shop = {
	.repository = "acme/shop",
	.repository_owner = "acme",
	.repository_id = "74",
	.repository_owner_id = "65",
	.workflow_ref = "acme/shop/.github/workflows/preview.yml@refs/pull/7/merge",
	.job_workflow_ref = "",
	.ref = "refs/pull/7/merge",
	.ref_type = "branch",
	.event_name = "pull_request",
	.environment = "",
	.runner_environment = "github-hosted",
	.sub = "repo:acme/shop:pull_request",
	.sha = "abc",
};

static bool workflow_may(const struct policy *p, const struct github_claims *c, const char *action, const char *product,
                         const char *context)
{
	struct principal who;
	principal_of_workflow(a, c, &who);
	return policy_allows(p, &who, action, product, context);
}

#define RULE "[[github_actions]]\nrepository = \"acme/shop\"\n"

static bool shop_may(const char *rule)
{
	struct policy *p = policy_of(arena_printf(a, RULE "%s", rule));
	bool ok = workflow_may(p, &shop, "preview_generation.write", "shop", "shop-testing");
	policy_free(p);
	return ok;
}

static void nothing_is_allowed_unless_a_rule_says_so(void **state)
{
	(void)state;
	struct policy *empty = policy_of("");
	assert_false(workflow_may(empty, &shop, "x.read", "shop", "shop"));
	assert_string_equal(policy_sha256(empty), policy_sha256(empty));
	policy_free(empty);
	struct policy *other = policy_of("[[github_actions]]\nrepository = \"acme/shop2\"\n"
	                                 "[[github_actions]]\nrepository = \"acme/sho\"\n"
	                                 "[[github_actions]]\nrepository = \"Acme/Shop\"\n"
	                                 "[[github_actions]]\nrepository = \"*\"\n"
	                                 "[[github_actions]]\nrepository = \"acme/*\"\n");
	assert_false(workflow_may(other, &shop, "x.read", "shop", "shop"));
	policy_free(other);
}

static void each_condition_of_a_workflow_rule_counts(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		bool expected;
	} cases[] = {
		{ "", true },
		{ "workflow_refs = []\nactions = []\nproducts = []\ncontexts = []", true },
		{ "workflow_refs = [\"acme/shop/.github/workflows/preview.yml@*\"]", true },
		{ "workflow_refs = [\"acme/shop/.github/workflows/deploy.yml@*\"]", false },
		{ "workflow_refs = [\"x\", \"*preview.yml@refs/pull/?/merge\"]", true },
		{ "job_workflow_refs = [\"*\"]", true },
		{ "job_workflow_refs = [\"acme/*\"]", false },
		{ "job_workflow_refs = [\"\"]", true },
		{ "event_names = [\"push\", \"pull_request\"]", true },
		{ "event_names = [\"pull*\"]", false },
		{ "event_names = [\"Pull_Request\"]", false },
		{ "refs = [\"refs/pull/7/merge\"]", true },
		{ "refs = [\"refs/pull/*\"]", false },
		{ "environments = [\"production\"]", false },
		{ "environments = [\"\"]", true },
		{ "products = [\"shop\"]", true },
		{ "products = [\"sh?p\"]", true },
		{ "products = [\"shop2\"]", false },
		{ "contexts = [\"shop-*\"]", true },
		{ "contexts = [\"shop\"]", false },
		{ "actions = [\"preview_generation.write\"]", true },
		{ "actions = [\"preview_generation.*\"]", false },
		{ "actions = [\"*\"]", false },
		{ "repository_id = \"74\"", true },
		{ "repository_id = 74", true },
		{ "repository_id = \"75\"", false },
		{ "repository_owner_id = \"65\"", true },
		{ "repository_owner_id = 66", false },
		{ "runner_environments = [\"github-hosted\"]", true },
		{ "runner_environments = [\"self-hosted\"]", false },
		{ "event_names = [\"pull_request\"]\nproducts = [\"shop\"]\nrefs = [\"refs/heads/main\"]", false },
	};
	for (size_t i = 0; i < countof(cases); i++)
		if (shop_may(cases[i].rule) != cases[i].expected)
			fail_msg("%s", cases[i].rule);
	/* The repository of a rule is compared trimmed, and exactly. */
	struct policy *p = policy_of("[[github_actions]]\nrepository = \" acme/shop \"");
	assert_true(workflow_may(p, &shop, "x.read", "shop", "shop"));
	policy_free(p);
}

static void rules_are_found_among_many(void **state)
{
	(void)state;
	struct buf b = buf_in(a);
	for (int i = 0; i < 500; i++)
		buf_printf(&b, "[[github_actions]]\nrepository = \"acme/r%d\"\nactions = [\"a%d\"]\n", (i * 37) % 100,
		           i / 100);
	struct policy *p = policy_of(b.p);
	assert_int_equal(policy_rule_count(p, PRINCIPAL_GITHUB_ACTIONS), 500);
	for (int i = 0; i < 100; i++) {
		struct github_claims c = shop;
		c.repository = arena_printf(a, "acme/r%d", i);
		for (int k = 0; k < 5; k++)
			assert_true(workflow_may(p, &c, arena_printf(a, "a%d", k), "p", "c"));
		assert_false(workflow_may(p, &c, "a5", "p", "c"));
	}
	policy_free(p);
}

static void all_contexts_at_once_need_a_rule_that_says_so(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		bool expected;
	} cases[] = {
		{ "", true },
		{ "contexts = [\"*\"]", true },
		{ "contexts = [\"a\", \"*\"]", true },
		{ "contexts = [\"shop\"]", false },
		{ "contexts = [\"shop*\"]", false },
		{ "contexts = [\"?\"]", false },
		{ "contexts = [\"[*]\"]", false },
		{ "contexts = [\"**\"]", false },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct policy *p = policy_of(arena_printf(a, RULE "%s", cases[i].rule));
		assert_int_equal(workflow_may(p, &shop, "artifact_protection.read", "shop", "*"), cases[i].expected);
		policy_free(p);
	}
}

static bool human_may(const char *rule, const struct human *h, const char *action)
{
	struct principal who;
	principal_of_human(a, h, &who);
	struct policy *p = policy_of(arena_printf(a, "[[github_humans]]\n%s", rule));
	bool ok = policy_allows(p, &who, action, "shop", "shop-testing");
	policy_free(p);
	return ok;
}

static const char *const orgs[] = { "acme", "others", NULL };
static const char *const teams[] = { "ops", "acme/ops", NULL };
static const struct human octo = { .login = "octo",
	                           .name = "",
	                           .email = "",
	                           .github_id = 7,
	                           .organizations = orgs,
	                           .teams = teams,
	                           .role = HUMAN_ADMIN };

static void humans_are_known_by_login_organisation_and_team(void **state)
{
	(void)state;
	static const struct {
		const char *rule;
		bool expected;
	} cases[] = {
		{ "", true },
		{ "logins = [\"oct?\"]", true },
		{ "logins = [\"Octo\"]", false },
		{ "organizations = [\"ac*\"]", true },
		{ "organizations = [\"x\", \"others\"]", true },
		{ "organizations = [\"x\"]", false },
		{ "teams = [\"ops\"]", true },
		{ "teams = [\"acme/*\"]", true },
		{ "teams = [\"dev\"]", false },
		{ "logins = [\"octo\"]\nteams = [\"dev\"]", false },
		{ "roles = [\"admin\"]", true },
		{ "roles = [\"read_only\"]", false },
		{ "roles = [\"read_only\", \"admin\"]", true },
		{ "products = [\"shop\"]", true },
		{ "products = [\"sh*\"]", false }, /* exact for people */
		{ "contexts = [\"shop-testing\"]", true },
		{ "contexts = [\"shop-*\"]", false },
		{ "actions = [\"product_config.apply\"]", true },
		{ "actions = [\"product_config.*\"]", false },
	};
	for (size_t i = 0; i < countof(cases); i++)
		if (human_may(cases[i].rule, &octo, "product_config.apply") != cases[i].expected)
			fail_msg("%s", cases[i].rule);
	struct human alone = octo;
	alone.organizations = alone.teams = NULL;
	assert_true(human_may("logins = [\"octo\"]", &alone, "x.read"));
	assert_false(human_may("organizations = [\"*\"]", &alone, "x.read"));
}

static void a_read_only_person_gets_no_further_than_safe_writes(void **state)
{
	(void)state;
	struct human h = octo;
	h.role = HUMAN_READ_ONLY;
	assert_true(human_may("", &h, "deployment.read"));
	assert_true(human_may("", &h, "deployment.write"));
	assert_true(human_may("", &h, "preview.rerun"));
	assert_false(human_may("", &h, "product_config.apply"));
	assert_false(human_may("", &h, "promotion.read"));
	assert_false(human_may("", &h, "secret.read"));
	assert_false(human_may("", &h, "authz_policy_grant.write"));
	assert_false(human_may("", &h, "preview.destroy"));
	h.role = HUMAN_NO_ROLE;
	assert_false(human_may("", &h, "deployment.read"));
}

static void a_role_at_sign_in_is_the_highest_that_matches(void **state)
{
	(void)state;
	static const struct {
		const char *rules;
		enum human_role expected;
	} cases[] = {
		{ "", HUMAN_NO_ROLE },
		{ "[[github_humans]]\nlogins = [\"octo\"]\nroles = [\"read_only\"]", HUMAN_READ_ONLY },
		{ "[[github_humans]]\nlogins = [\"octo\"]\nroles = [\"read_only\"]\n"
		  "[[github_humans]]\nteams = [\"acme/ops\"]\nroles = [\"admin\"]",
		  HUMAN_ADMIN },
		{ "[[github_humans]]\nlogins = [\"octo\"]\nproducts = [\"x\"]", HUMAN_ADMIN },
		{ "[[github_humans]]", HUMAN_ADMIN },
		{ "[[github_humans]]\nlogins = [\"other\"]", HUMAN_NO_ROLE },
		{ "[[github_humans]]\norganizations = [\"nope\"]", HUMAN_NO_ROLE },
	};
	for (size_t i = 0; i < countof(cases); i++) {
		struct policy *p = policy_of(cases[i].rules);
		assert_int_equal(policy_human_role(p, "octo", orgs, teams), cases[i].expected);
		policy_free(p);
	}
}

static bool token_may(enum principal_kind kind, const char *rules, const char *product, const char *context,
                      const char *action)
{
	struct principal who;
	assert_true(principal_of_token(a, kind, " owner ", "laptop", &who));
	struct policy *p = policy_of(rules);
	bool ok = policy_allows(p, &who, action, product, context);
	policy_free(p);
	return ok;
}

static void each_kind_of_token_has_its_own_section(void **state)
{
	(void)state;
	for (enum principal_kind kind = PRINCIPAL_TERMINAL_AGENT; kind < PRINCIPAL_KINDS; kind++) {
		for (enum principal_kind section = 0; section < PRINCIPAL_KINDS; section++) {
			const char *rules =
			        arena_printf(a, "[[%s]]\n%s", policy_section(section),
			                     section == PRINCIPAL_GITHUB_ACTIONS ? "repository = \"owner\"" : "");
			assert_int_equal(token_may(kind, rules, "shop", "shop", "x.read"), section == kind);
		}
		assert_true(token_may(
		        kind,
		        arena_printf(a, "[[%s]]\nsubjects=[\"own*\"]\ntoken_labels=[\"lap?op\"]", policy_section(kind)),
		        "shop", "shop", "x.read"));
		assert_false(token_may(kind, arena_printf(a, "[[%s]]\nsubjects=[\"own\"]", policy_section(kind)),
		                       "shop", "shop", "x.read"));
		assert_false(token_may(kind, arena_printf(a, "[[%s]]\nactions=[\"x.*\"]", policy_section(kind)), "shop",
		                       "shop", "x.read"));
		bool globs = kind != PRINCIPAL_TERMINAL_AGENT;
		assert_int_equal(token_may(kind,
		                           arena_printf(a, "[[%s]]\nproducts=[\"sh*\"]\ncontexts=[\"*p\"]",
		                                        policy_section(kind)),
		                           "shop", "shop", "x.read"),
		                 globs);
	}
	struct principal who;
	assert_true(principal_of_token(a, PRINCIPAL_LOCAL_OPERATOR, " owner ", "laptop", &who));
	assert_string_equal(who.scope, "local-operator|owner|laptop");
	assert_string_equal(who.actor, "local-operator:owner:laptop");
	assert_false(principal_reads_only(&who));
	assert_false(principal_of_token(a, PRINCIPAL_LOCAL_OPERATOR, " ", "laptop", &who));
	assert_false(principal_of_token(a, PRINCIPAL_LOCAL_ADMIN, "owner", NULL, &who));
	assert_true(principal_of_token(a, PRINCIPAL_TERMINAL_AGENT, "owner", "laptop", &who));
	assert_true(principal_reads_only(&who));
	assert_false(token_may(PRINCIPAL_LOCAL_OPERATOR, "[[local_operators]]", "shop", "shop", ""));
}

static void a_bad_policy_names_the_place(void **state)
{
	(void)state;
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "nope = 1", "nope: is not part of a policy" },
		{ "schema_version = 0", "schema_version: must be a whole number from 1 on" },
		{ "schema_version = \"1\"", "schema_version: must be a whole number from 1 on" },
		{ "schema_version = 1.0", "schema_version: must be a whole number from 1 on" },
		{ "github_actions = 1", "github_actions: must be a list of rules" },
		{ "[github_actions]\nrepository = \"a/b\"", "github_actions: must be a list of rules" },
		{ "github_actions = [1]", "github_actions[0]: must be a rule: an object" },
		{ "[[github_actions]]", "github_actions[0].repository: is required" },
		{ "[[github_actions]]\nrepository = \" \"", "github_actions[0].repository: must not be blank" },
		{ "[[github_actions]]\nrepository = 1", "github_actions[0].repository: must be a string" },
		{ RULE RULE "products = \"x\"", "github_actions[1].products: must be a list of strings" },
		{ RULE "products = [\"x\", 1]", "github_actions[0].products[1]: must be a string" },
		{ RULE "instances = [\"prod\"]",
		  "github_actions[0].instances: is not a field of a rule in github_actions" },
		{ RULE "repository_id = \"7x\"",
		  "github_actions[0].repository_id: must be a number of GitHub's, as digits" },
		{ RULE "repository_id = -7",
		  "github_actions[0].repository_id: must be a number of GitHub's, as digits" },
		{ "[[github_humans]]\nroles = [\"root\"]", "github_humans[0].roles[0]: must be read_only or admin" },
		{ "[[github_humans]]\nsubjects = []",
		  "github_humans[0].subjects: is not a field of a rule in github_humans" },
		{ "[[local_admins]]\nlogins = []", "local_admins[0].logins: is not a field of a rule in local_admins" },
		{ "{\"github_actions\": null}", "github_actions: must be a list of rules" },
		{ "{\"github_actions\": [{\"repository\": \"a/b\", \"actions\": null}]}",
		  "github_actions[0].actions: must be a list of strings" },
		{ "{\"a\":1,\"a\":2}", "the policy names the member \"a\" twice" },
		{ "x = 2020-01-01", "the policy has a date or time, which nothing here is (line 1, column 5)" },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(problem(cases[i].text), cases[i].expected);
	assert_non_null(strstr(problem("a = \n"), "the policy is not valid TOML"));
	assert_non_null(strstr(problem("[[github_actions]]\nrepository = \"a\"\nrepository = \"b\""), "line 3"));
	char *deep = arena_alloc(a, 2001);
	memset(deep, '[', 1000);
	memset(deep + 1000, ']', 1000);
	assert_string_not_equal(problem(arena_printf(a, "x = %s", deep)), "none");
	assert_string_not_equal(problem("{"), "none");
	assert_string_equal(problem("  \n{}"), "none");
}

/* The digests are of Python's json.dumps(..., sort_keys=True, separators=(",", ":")) of the whole document. */
static void the_digest_is_over_the_whole_document(void **state)
{
	(void)state;
	struct policy *p = policy_of("");
	assert_string_equal(policy_sha256(p), "00acbce577bb9d5b9ebca902203078cef18c4045337643681b73cb0ff5636364");
	policy_free(p);
	static const char toml[] = "[[github_actions]]\nrepository = \"example-org/example-repo\"\n"
	                           "workflow_refs = [\"example-org/example-repo/.github/workflows/preview.yml@*\"]\n"
	                           "event_names = [\"pull_request\"]\nproducts = [\"example-product\"]\n"
	                           "contexts = [\"example-testing\"]\nactions = [\"preview_generation.write\"]\n"
	                           "[[github_humans]]\nlogins = [\"j\xc3\xb6rg\"]\n";
	p = policy_of(toml);
	assert_string_equal(policy_sha256(p), "d0c5e43189c0faed9ef94b065ac934440f56f6af639ed2b4b2d8b8f63600e335");
	/* The stored document gives the same digest again. */
	char *stored = json_text(a, policy_document(p));
	struct policy *again = policy_of(stored);
	assert_string_equal(policy_sha256(again), policy_sha256(p));
	policy_free(again);
	policy_free(p);
	/* A section older documents did not know counts once it holds a rule. */
	p = policy_of("terminal_agents = []\nlocal_admins = []");
	assert_string_equal(policy_sha256(p), "00acbce577bb9d5b9ebca902203078cef18c4045337643681b73cb0ff5636364");
	policy_free(p);
	p = policy_of("[[terminal_agents]]\nsubjects = [\"x\"]");
	assert_string_equal(policy_sha256(p), "64c88e0b6950b4feb9203491b3d71eab31f000a493f677079c266f91dbaad803");
	policy_free(p);
}

static void actions_fall_into_safety_classes(void **state)
{
	(void)state;
	static const struct {
		const char *action, *expected;
	} cases[] = {
		{ "", "read" },
		{ "  ", "read" },
		{ "authz_policy_grant.write", "policy_admin" },
		{ "authz_policy.read", "policy_admin" },
		{ "authz_policyx", "policy_admin" },
		{ "secret.read", "secret_backed" },
		{ "product-secret-rotate", "secret_backed" },
		{ "secrets.read", "read" },
		{ "preview.destroy", "destructive" },
		{ "secret.delete", "secret_backed" },
		{ "odoo_prod_rollback.execute", "destructive" },
		{ "preview_cleanup.write", "destructive" },
		{ "generic_web_prod_promotion.execute", "prod" },
		{ "promotion.read", "prod" },
		{ "promotion.write", "prod" },
		{ "product.read", "read" },
		{ "deployment.read", "read" },
		{ "work_graph.rank", "read" },
		{ "work_graph.ranks", "mutation" },
		{ "deployment.write", "safe_write" },
		{ "every_code.rerun", "safe_write" },
		{ "runner.reconcile.now", "safe_write" },
		{ "product_config.apply", "mutation" },
		{ "launchplane_service_deploy.execute", "mutation" },
		{ ".read", "read" },
		{ "read", "mutation" },
		{ "__destroy--x", "destructive" },
	};
	for (size_t i = 0; i < countof(cases); i++)
		assert_string_equal(action_safety_name(action_safety(cases[i].action)), cases[i].expected);
}

static void principals_have_scope_actor_and_audit_fields(void **state)
{
	(void)state;
	struct principal p;
	struct github_claims c = shop;
	c.workflow_ref = "";
	c.job_workflow_ref = "acme/shared/w.yml@v1";
	principal_of_workflow(a, &c, &p);
	assert_string_equal(p.scope, "acme/shop|acme/shared/w.yml@v1|repo:acme/shop:pull_request");
	struct json j = principal_audit(a, &p);
	assert_string_equal(json_text(a, &j),
	                    "{\"type\":\"github_actions\",\"repository\":\"acme/shop\",\"workflow_ref\":\"\","
	                    "\"event_name\":\"pull_request\",\"ref\":\"refs/pull/7/merge\",\"sha\":\"abc\"}");
	principal_of_human(a, &octo, &p);
	assert_string_equal(p.scope, "github-human|octo|7");
	assert_string_equal(p.actor, "github:octo");
	j = principal_audit(a, &p);
	assert_string_equal(json_text(a, &j), "{\"type\":\"github_human\",\"login\":\"octo\",\"role\":\"admin\"}");
	assert_true(principal_of_token(a, PRINCIPAL_TERMINAL_AGENT, "me", "box", &p));
	j = principal_audit(a, &p);
	assert_string_equal(json_text(a, &j),
	                    "{\"type\":\"terminal_agent\",\"subject\":\"me\",\"token_label\":\"box\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_a_shell_would),
		cmocka_unit_test(no_pattern_takes_for_ever),
		cmocka_unit_test(nothing_is_allowed_unless_a_rule_says_so),
		cmocka_unit_test(each_condition_of_a_workflow_rule_counts),
		cmocka_unit_test(rules_are_found_among_many),
		cmocka_unit_test(all_contexts_at_once_need_a_rule_that_says_so),
		cmocka_unit_test(humans_are_known_by_login_organisation_and_team),
		cmocka_unit_test(a_read_only_person_gets_no_further_than_safe_writes),
		cmocka_unit_test(a_role_at_sign_in_is_the_highest_that_matches),
		cmocka_unit_test(each_kind_of_token_has_its_own_section),
		cmocka_unit_test(a_bad_policy_names_the_place),
		cmocka_unit_test(the_digest_is_over_the_whole_document),
		cmocka_unit_test(actions_fall_into_safety_classes),
		cmocka_unit_test(principals_have_scope_actor_and_audit_fields),
	};
	return cmocka_run_group_tests_name("policy", tests, make_arena, drop_arena);
}
