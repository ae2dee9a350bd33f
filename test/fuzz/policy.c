/* A policy in TOML or JSON: what is accepted keeps its digest when it is stored and read again, and decides for
 * anybody. */
#include "server/auth/policy.h"
#include "fuzz.h"

static void ask(struct arena *a, const struct policy *p)
{
	struct principal who;
	const struct github_claims claims = { .repository = "acme/shop",
		                              .repository_owner = "acme",
		                              .workflow_ref = "acme/shop/.github/workflows/deploy.yml@refs/heads/main",
		                              .job_workflow_ref = "",
		                              .ref = "refs/heads/main",
		                              .ref_type = "branch",
		                              .event_name = "push",
		                              .environment = "",
		                              .runner_environment = "",
		                              .repository_id = "1",
		                              .repository_owner_id = "2",
		                              .sub = "repo:acme/shop:ref:refs/heads/main",
		                              .sha = "" };
	principal_of_workflow(a, &claims, &who);
	policy_allows(p, &who, "deployment.write", "shop", "shop");
	if (principal_of_token(a, PRINCIPAL_TERMINAL_AGENT, "terminal", "label", &who))
		policy_allows(p, &who, "deployment.read", "launchplane", "shop");
	policy_has_administrator(p);
	const char *const none[] = { NULL };
	policy_human_role(p, "octocat", none, none);
}

void fuzz_one(struct arena *a, const uint8_t *data, size_t n)
{
	char *text = fuzz_text(data, n);
	struct err err = { 0 };
	struct policy *p = policy_of_text(text, n, "policy", &err);
	if (p) {
		ask(a, p);
		struct policy *again = policy_of_json(policy_document(p), &err);
		assert(again && strcmp(policy_sha256(p), policy_sha256(again)) == 0);
		policy_free(again);
		policy_free(p);
	} else {
		fuzz_refused(&err);
	}
	free(text);
}
