"""Random policies, callers and questions, drawn so that rules often match and often miss by little."""
PRODUCTS = ["launchplane", "odoo-tenant-shop", "odoo-tenant-shop2", "web", "web-site", "*"]
CONTEXTS = ["launchplane", "shop", "shop-testing", "shop-prod", "web", "[x]", "*"]
PRODUCT_PATTERNS = PRODUCTS + ["odoo-*", "odoo-tenant-shop?", "w*b", "[!w]*", "web*", "*-site", "launch[a-p]lane", "[", "?*", "we[b]"]
CONTEXT_PATTERNS = CONTEXTS + ["shop*", "shop-[tp]*", "?hop", "*-prod", "[[]x]", "[!s]*", "", "launchplane*", "sho[p", "shop-*t*ing"]
ACTIONS = [
    "launchplane_service.read", "deployment.read", "deployment.write", "inventory.read", "product_profile.read", "product_profile.write",
    "product_config.plan", "product_config.apply", "private_health_endpoint.apply", "secret.read", "secret.list", "promotion.read",
    "promotion.write", "authz_policy_grant.write", "authz_explain.read", "odoo_target_replacement_plan.read", "preview.cleanup",
    "generic_web_prod_rollback.plan", "work_graph.rank", "operations.cancel", "dokploy_target.setup", "runtime_key_safety.write",
    "odoo_artifact_publish.write", "preview-rerun", "x.secret", "operations.read"]
REPOSITORIES = ["example-org/odoo-tenant-shop", "example-org/Odoo-tenant-shop", "example-org/web", "other-org/odoo-tenant-shop"]
REFS = ["refs/heads/main", "refs/heads/mai", "refs/tags/v1", "refs/pull/7/merge"]
FILES = ["deploy.yml", "preview.yml"]
EVENTS = ["push", "pull_request", "workflow_dispatch"]
ENVIRONMENTS = ["", "production", "testing"]
RUNNERS = ["github-hosted", "self-hosted"]
LOGINS = ["octocat", "octo-cat", "hubot", "Octocat"]
ORGANIZATIONS = ["example-org", "other-org"]
TEAMS = ["ops", "example-org/ops", "dev", "other-org/dev"]
SUBJECTS = ["owner", "owner2", "someone"]
LABELS = ["laptop", "desktop", "lap-top"]


def some(rng, values, most=3):
    """A list of few, and often none, which is no condition."""
    return rng.sample(values, rng.randint(1, min(most, len(values)))) if rng.random() < 0.6 else []


def scope(rng, globs):
    return {"products": some(rng, PRODUCT_PATTERNS if globs else PRODUCTS), "contexts": some(rng, CONTEXT_PATTERNS if globs else CONTEXTS),
            "actions": some(rng, ACTIONS, 8)}


def workflow_ref(rng, repository, ref):
    return f"{repository}/.github/workflows/{rng.choice(FILES)}@{ref}"


def workflow_rule(rng):
    repository = rng.choice(REPOSITORIES)
    rule = {"repository": rng.choice([repository, f" {repository}\t"]), **scope(rng, True)}
    refs = [f"{repository}/.github/workflows/{file}@{ref}" for file in FILES for ref in ("*", *REFS)] + [f"{repository}/*", "*@refs/heads/main"]
    for name, values in (("workflow_refs", refs), ("job_workflow_refs", refs), ("event_names", EVENTS), ("refs", REFS),
                         ("environments", ENVIRONMENTS), ("runner_environments", RUNNERS)):
        if rng.random() < 0.25:
            rule[name] = some(rng, values, 4)
    if rng.random() < 0.2:
        rule["repository_id"] = rng.choice(["74", 74, "75"])
    if rng.random() < 0.2:
        rule["repository_owner_id"] = rng.choice(["65", "66"])
    return rule


def human_rule(rng):
    return {"logins": some(rng, LOGINS + ["octo*", "?ctocat"]), "organizations": some(rng, ORGANIZATIONS + ["*-org"]),
            "teams": some(rng, TEAMS + ["*/ops", "d*"]), "roles": some(rng, ["read_only", "admin"]), **scope(rng, False)}


def token_rule(rng, globs):
    return {"subjects": some(rng, SUBJECTS + ["own*", "owner?"]), "token_labels": some(rng, LABELS + ["lap*", "*top"]), **scope(rng, globs)}


def policy(rng):
    rules = {
        "github_actions": lambda: workflow_rule(rng), "github_humans": lambda: human_rule(rng),
        "terminal_agents": lambda: token_rule(rng, False), "local_operators": lambda: token_rule(rng, True),
        "local_admins": lambda: token_rule(rng, True)}
    return {"schema_version": 1, **{name: [make() for _ in range(rng.randint(0, 7))] for name, make in rules.items()}}


def workflow(rng):
    """The claims of one, as the service keeps them."""
    repository, ref = rng.choice(REPOSITORIES), rng.choice(REFS)
    claims = {
        "repository": repository, "repository_owner": repository.split("/")[0], "repository_id": rng.choice(["74", "75"]),
        "repository_owner_id": rng.choice(["65", "66"]), "workflow_ref": workflow_ref(rng, repository, ref), "ref": ref,
        "event_name": rng.choice(EVENTS), "environment": rng.choice(ENVIRONMENTS), "runner_environment": rng.choice(RUNNERS)}
    if rng.random() < 0.7:
        claims["job_workflow_ref"] = workflow_ref(rng, rng.choice(REPOSITORIES), rng.choice(REFS))
    return {"type": "github_actions", **claims}


def caller(rng):
    kind = rng.choice(["github_actions", "github_actions", "github_human", "terminal_agent", "local_operator", "local_admin"])
    if kind == "github_actions":
        return workflow(rng)
    if kind == "github_human":
        return {"type": kind, "login": rng.choice(LOGINS), "role": rng.choice(["read_only", "admin"]),
                "organizations": rng.sample(ORGANIZATIONS, rng.randint(0, 2)), "teams": rng.sample(TEAMS, rng.randint(0, 3))}
    return {"type": kind, "subject": rng.choice(SUBJECTS), "token_label": rng.choice(LABELS)}


def question(rng):
    return {"action": rng.choice(ACTIONS), "product": rng.choice(PRODUCTS), "context": rng.choice(CONTEXTS)}
