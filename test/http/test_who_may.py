"""The service against test/model/who_may.py, which was written from the facts: routes, callers and grants at random."""
import json
import random
import re

import pytest

from browser import CLIENT_SECRET, SESSION_SECRET, Browser
from browser import settings as browser_settings
from cli import bare
from conftest import module_plane, prepared_lane
from model import draw, who_may
from rehearsal.policy import CONTEXT, PRODUCT, lane_rules, render
from rehearsal.waiting import wait_until
from test_identities import TOKENS, settings

SEEDS = range(4)
POLICIES, QUESTIONS = 100, 300                     # for each seed: 120,000 decisions in all
HTTP_POLICIES, REQUESTS = 12, 500
KEEPER = {"repository": "example-org/keeper", "actions": ["authz_policy_grant.write"], "products": ["launchplane"],
          "contexts": ["launchplane"]}
ADMIN_EMAIL = "octocat@example.com"                # an administrator whatever the policy says of roles
READER = {"logins": ["hubot"], "roles": ["read_only"], "actions": ["nothing.read"]}   # keeps the role, and lets do nothing


@pytest.mark.parametrize("seed", SEEDS)
def test_decisions_at_random(tmp_path, seed):
    """AUTH-02 to AUTH-14, AUTH-70, AUTH-71: every section, condition and kind of caller"""
    rng = random.Random(seed)
    asked, lines = [], []
    for _ in range(POLICIES):
        policy = draw.policy(rng)
        lines.append({"policy": policy})
        for _ in range(QUESTIONS):
            caller, question = draw.caller(rng), draw.question(rng)
            asked.append((policy, caller, question))
            lines.append({"caller": caller, **question})
    cases = tmp_path / "cases.jsonl"
    cases.write_text("\n".join(json.dumps(line) for line in lines))
    result = bare("authz-policies", "test", "--cases", str(cases))
    assert result.code == 0, result.err
    decisions = [json.loads(line)["allowed"] for line in result.out.splitlines()]
    assert len(decisions) == len(asked)
    for decided, (policy, caller, question) in zip(decisions, asked):
        expected = who_may.allows(policy, caller, **question)
        assert decided == expected, f"seed {seed}: {json.dumps({'policy': policy, 'caller': caller, **question})}"
    assert 0.05 < sum(decisions) / len(decisions) < 0.6      # neither side is a matter of course


@pytest.fixture(scope="module")
def tested(cluster, template):
    """A service with one lane's records, whose policy the test replaces again and again."""
    def all_settings(doubles):
        github = doubles.github
        github.person("octocat", 583231, email=ADMIN_EMAIL, emails=[(ADMIN_EMAIL, True, True)], organizations=["example-org"],
                      teams=[("example-org", "ops")])
        github.person("hubot", 7, organizations=["other-org"], teams=[("other-org", "dev")])
        return {**settings(), **browser_settings(doubles), "LAUNCHPLANE_BOOTSTRAP_ADMIN_EMAILS": ADMIN_EMAIL}

    with module_plane(cluster, template, render(github_actions=lane_rules(), github_humans=[READER]), all_settings) as plane:
        plane.secrets += [*TOKENS.values(), CLIENT_SECRET, SESSION_SECRET]
        plane.lane = prepared_lane(plane)
        plane.people = [signed_in(plane, login) for login in ("octocat", "hubot")]
        yield plane


def signed_in(plane, login):
    """(caller for the model, browser) of a person with a real session"""
    plane.doubles.github.signed_in = login
    browser = Browser(plane)
    browser.sign_in()
    identity = browser.get("/v1/auth/session").json()["identity"]
    return {"type": "github_human", **{name: identity[name] for name in ("login", "role", "organizations", "teams")}}, browser


def grant(member, rule):
    return {"product": "launchplane", "mode": "dry_run", "reason": "to see", member: rule}


def routes(plane):
    """{route: (method, path, body, what the model knows of it)}; facts/core.md 1.10"""
    lane, reason = plane.lane, {"reason": "to see"}
    deployment = plane.query("SELECT record_id FROM launchplane_deployments LIMIT 1")[0]["record_id"]
    lp = {"product": "launchplane", "context": "launchplane"}
    own = {"product": PRODUCT, "context": CONTEXT}
    token_grant = {"subjects": ["x"], "token_labels": ["y"], "actions": ["product_config.plan"]}
    workflow_grant = {"repository": "example-org/new", "actions": ["x.read"]}
    policies = "/v1/authz-policies"
    write = {"class": who_may.WRITE}
    grants = {"class": who_may.WRITE_HUMAN, "action": "authz_policy_grant.write", **lp}

    def read(action, scope, **more):
        return {"class": who_may.READ, "action": action, **scope, **more}

    return {
        "runtime": ("GET", "/v1/service/runtime", None, read("launchplane_service.read", lp)),
        "deployment": ("GET", f"/v1/deployments/{deployment}", None, read(
            "deployment.read", {"product": "launchplane", "context": CONTEXT})),
        "no deployment": ("GET", "/v1/deployments/nothing", None, read("deployment.read", lp, missing=True)),
        "inventory": ("GET", f"/v1/inventory/{CONTEXT}/testing", None, read(
            "inventory.read", {"product": "launchplane", "context": CONTEXT})),
        "another inventory": ("GET", "/v1/inventory/shop-prod/testing", None, read(
            "inventory.read", {"product": "launchplane", "context": "shop-prod"})),
        "profiles": ("GET", "/v1/product-profiles", None, read("product_profile.read", lp)),
        "profile": ("GET", f"/v1/product-profiles/{PRODUCT}", None, read(
            "product_profile.read", {"product": PRODUCT, "context": "launchplane"})),
        "write a profile": ("POST", "/v1/product-profiles", lane.profile(), {
            **write, "action": "product_profile.write", "product": PRODUCT, "context": "launchplane"}),
        "config, planned": ("POST", "/v1/product-config/apply", {**lane.lane_config(), "mode": "dry-run", **reason}, {
            "class": who_may.WRITE_HUMAN, "action": "product_config.plan", **own}),
        "config, applied": ("POST", "/v1/product-config/apply", {**lane.lane_config(), "mode": "apply", **reason}, {
            "class": who_may.WRITE_HUMAN, "action": "product_config.apply", **own}),
        "key safety": ("POST", "/v1/runtime-key-safety/policies/apply", lane.key_safety(), {
            **write, "action": "runtime_key_safety.write", **lp}),
        "publish": ("POST", "/v1/drivers/odoo/artifact-publish", lane.publish(lane.new), {
            **write, "action": "odoo_artifact_publish.write", **own}),
        "evidence": ("POST", "/v1/evidence/deployments", lane.deployment("deployment-again"), {
            **write, "action": "deployment.write", **own}),
        "plan": ("POST", "/v1/drivers/odoo/target-replacement-plan", lane.plan_request(), {
            **write, "action": "odoo_target_replacement_plan.read", **own}),
        "no operation": ("POST", "/v1/operations/nothing/cancel", {"reason": "to see"}, {
            "class": who_may.WRITE_HUMAN, "action": "operations.cancel", "missing": True, **lp}),
        "explain": ("POST", "/v1/authz/explain", {"action": "a", "product": "p", "context": "c"}, {
            "class": who_may.WRITE_HUMAN, "action": "authz_explain.read", **lp}),
        "grant": ("POST", f"{policies}/github-actions/grants", grant("grant", workflow_grant), grants),
        "removal": ("POST", f"{policies}/github-actions/removals", grant("removal", workflow_grant), grants),
        "human grant": ("POST", f"{policies}/github-humans/grants", grant(
            "grant", {"logins": ["x"], "actions": ["x.read"]}), grants),
        **{f"{family} grant": ("POST", f"{policies}/{family}/grants", grant("grant", token_grant), grants)
           for family in ("terminal-agents", "local-operators", "local-admins")},
        "human removal": ("POST", f"{policies}/github-humans/removals", grant(
            "removal", {"logins": ["x"], "actions": ["x.read"]}), grants),
        **{f"{family} removal": ("POST", f"{policies}/{family}/removals", grant("removal", token_grant), grants)
           for family in ("terminal-agents", "local-operators", "local-admins")},
        "write intent, planned": ("POST", "/v1/agent/write-intents/evaluate", {"intent": "product_config", **own, **reason}, {
            "class": who_may.WRITE_HUMAN, "action": "product_config.plan", **own}),
        "write intent, applied": ("POST", "/v1/agent/write-intents/evaluate", {
            "intent": "product_config", "mode": "apply", **own, **reason}, {
            "class": who_may.WRITE_HUMAN, "action": "product_config.apply", **own}),
        "sessions": ("GET", "/v1/auth/sessions", None, read("human_session.read", lp)),
        **{path: ("GET", path, None, read(action, lp)) for path, action in LAUNCHPLANES_OWN.items()},
        **{path: ("GET", path, None, read(action, {"product": "launchplane", "context": CONTEXT}))
           for path, action in OF_A_CONTEXT.items()},
        **{path: ("GET", path, None, read("product_environment.read", {"product": PRODUCT, "context": "launchplane"}))
           for path in (f"/v1/products/{PRODUCT}", f"/v1/products/{PRODUCT}/activity", f"/v1/products/{PRODUCT}/environments")},
    }


# {path: action}: on launchplane/launchplane, and on launchplane in the path's context
LAUNCHPLANES_OWN = {
    "/v1/repo-product-mapping": "product_environment.read", "/v1/agent/context?repository=example-org/x": "product_environment.read",
    "/v1/products": "product_environment.read", "/v1/artifacts": "artifact.read", "/v1/artifacts/nothing": "artifact.read",
    "/v1/dokploy-targets": "dokploy_target.inspect", f"/v1/dokploy-targets/{CONTEXT}/testing": "dokploy_target.inspect",
    "/v1/drivers": "driver.read", "/v1/drivers/odoo": "driver.read",
}
OF_A_CONTEXT = {
    f"/v1/contexts/{CONTEXT}/driver-view": "driver.read", f"/v1/contexts/{CONTEXT}/instances/testing/driver-view": "driver.read",
    f"/v1/contexts/{CONTEXT}/operations/recent": "operations.read", f"/v1/contexts/{CONTEXT}/secrets": "secret.list",
    f"/v1/contexts/{CONTEXT}/instances/testing/secrets": "secret.list",
    f"/v1/inventory/{CONTEXT}/testing/status": "inventory.read", f"/v1/release-tuples/{CONTEXT}/testing": "release_tuple.read",
}
OPEN = {"GET /auth/github/login", "GET /auth/github/callback", "POST /auth/logout", "GET /v1/health", "GET /livez", "GET /readyz",
        "GET /metrics", "GET /v1/openapi.json", "GET /v1/auth/session"}
# Not asked at random: their records, provider or body are another file's. Nobody and strangers are turned away all the same.
TURNED_AWAY = {
    "GET /v1/artifacts/protected",
    "GET /v1/audit/checkpoint",
    "GET /v1/audit/checkpoints",
    "GET /v1/audit/entries",
    "GET /v1/audit/entries/{position}",
    "GET /v1/audit/keys",
    "GET /v1/audit/proof/consistency",
    "GET /v1/audit/proof/inclusion",
    "GET /v1/backup-gates",
    "GET /v1/backup-gates/{record_id}",
    "GET /v1/contexts/{context}/instances/{instance}/logs",
    "GET /v1/deployments",
    "GET /v1/dokploy-targets/inspect",
    "GET /v1/dokploy-targets/preflight",
    "GET /v1/drivers/odoo/promotion-holds/{context}/{instance}",
    "GET /v1/drivers/odoo/stable-bootstrap/operations/{operation_id}",
    "GET /v1/drivers/odoo/target-replacement/operations/{operation_id}",
    "GET /v1/inventory",
    "GET /v1/lanes",
    "GET /v1/odoo-overrides",
    "GET /v1/odoo-overrides/{context}/{instance}",
    "GET /v1/operations",
    "GET /v1/operations/{operation_id}",
    "GET /v1/operations/{operation_id}/events",
    "GET /v1/previews",
    "GET /v1/previews/{preview_id}",
    "GET /v1/previews/{preview_id}/history",
    "GET /v1/product-profiles/{product}/context-cutover-audit",
    "GET /v1/products/{product}/diff",
    "GET /v1/products/{product}/environments/{environment}",
    "GET /v1/products/{product}/environments/{environment}/config-status",
    "GET /v1/products/{product}/environments/{environment}/origin",
    "GET /v1/products/{product}/environments/{environment}/rollback-target",
    "GET /v1/promotions",
    "GET /v1/promotions/{record_id}",
    "GET /v1/release-tuples",
    "GET /v1/release-tuples/catalog",
    "GET /v1/secrets/{secret_id}",
    "GET /v1/service/odoo-workers/status",
    "POST /v1/artifacts",
    "POST /v1/auth/sessions/revocations",
    "POST /v1/dokploy-targets/metadata",
    "POST /v1/dokploy-targets/setup",
    "POST /v1/drivers/odoo/artifact-publish-inputs",
    "POST /v1/drivers/odoo/config-parameter-override",
    "POST /v1/drivers/odoo/post-deploy",
    "POST /v1/drivers/odoo/preview-apply",
    "POST /v1/drivers/odoo/preview-apply-inputs",
    "POST /v1/drivers/odoo/preview-inventory",
    "POST /v1/drivers/odoo/prod-backup-gate",
    "POST /v1/drivers/odoo/prod-promotion",
    "POST /v1/drivers/odoo/prod-promotion-inputs",
    "POST /v1/drivers/odoo/prod-rollback",
    "POST /v1/drivers/odoo/promotion-hold-lift",
    "POST /v1/drivers/odoo/stable-bootstrap",
    "POST /v1/drivers/odoo/target-replacement-apply",
    "POST /v1/drivers/odoo/website-bootstrap-override",
    "POST /v1/evidence/backup-gates",
    "POST /v1/evidence/previews/destroyed",
    "POST /v1/evidence/previews/generations",
    "POST /v1/evidence/promotions",
    "POST /v1/inventory/write-from-deployment",
    "POST /v1/inventory/write-from-promotion",
    "POST /v1/live-target-runtime/apply",
    "POST /v1/odoo-overrides/addon-settings",
    "POST /v1/odoo-overrides/apply-status",
    "POST /v1/odoo-overrides/config-parameters",
    "POST /v1/odoo-overrides/secret-transport",
    "POST /v1/odoo-overrides/website-bootstrap",
    "POST /v1/product-onboarding/apply",
    "POST /v1/product-profiles/context-cutover/apply",
    "POST /v1/product-profiles/legacy-context-cleanup/apply",
    "POST /v1/promote/execute",
    "POST /v1/promote/plan",
    "POST /v1/promote/resolve",
    "POST /v1/provider-targets/operations",
    "POST /v1/release-tuples/write-from-promotion",
    "POST /v1/secrets/rekey",
    "POST /v1/service/odoo-workers/reconcile",
    "POST /v1/ship/execute",
    "POST /v1/ship/plan",
    "POST /v1/ship/resolve",
    "POST /v1/previews",
    "POST /v1/previews/enablement",
    "POST /v1/previews/generations",
    "POST /v1/previews/generations/mark",
    "POST /v1/previews/generations/request",
}


def described(plane):
    paths = plane.get("/v1/openapi.json", token=None).json()["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def asked_of(method, path, among):
    """The described route that a request goes to: the one with the most text of its own."""
    path = path.partition("?")[0]
    found = [route for route in among if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", route), f"{method} {path}")]
    return min(found, key=lambda route: route.count("{"))


def test_every_route_has_a_row(tested):
    """A route that is new belongs in one of the tables above, and one that is gone does not"""
    known = described(tested)
    asked = {asked_of(method, path, known) for method, path, _, _ in routes(tested).values()}
    assert asked | OPEN | TURNED_AWAY == known
    assert not asked & TURNED_AWAY and not asked & OPEN


def test_nobody_and_strangers_are_turned_away(tested, tmp_path):
    """401 without a credential, and no success without a grant, on the routes that are not asked at random"""
    in_force(tested, tmp_path, {"schema_version": 1, "github_actions": [KEEPER], "github_humans": [READER]})
    for route in sorted(TURNED_AWAY):
        method, _, path = route.partition(" ")
        path = re.sub(r"\{[^}]*\}", "x", path)
        body = {} if method == "POST" else None
        assert tested.api.request(method, path, token=None, json=body).status_code == 401, route
        for token in (tested.token(), *TOKENS.values()):
            assert tested.api.request(method, path, token=token, json=body).status_code in (400, 403, 404), route
        if method == "POST":
            assert tested.api.request(method, path, token=TOKENS["terminal_agents"], json=body).status_code == 403, route


def someone(rng, plane):
    """(caller for the model, token, browser); the static tokens belong to owner, laptop."""
    kind = rng.choice(["github_actions"] * 6 + ["person", "person", "terminal_agent", "local_operator", "local_admin", "nobody", "bad"])
    if kind == "person":
        caller, browser = rng.choice(plane.people)
        return caller, None, browser
    if kind == "github_actions":
        caller = draw.workflow(rng)
        claims = {name: value for name, value in caller.items() if name != "type"}
        return caller, plane.token(**{"job_workflow_ref": None, **claims}), None
    if kind in ("nobody", "bad"):
        return None, None if kind == "nobody" else plane.token(exp=1), None
    return {"type": kind, "subject": "owner", "token_label": "laptop"}, TOKENS[f"{kind}s"], None


def in_force(plane, directory, policy):
    """Replaces the policy from outside, as an operator does, and waits until the service has it."""
    path = directory / "policy.json"
    path.write_text(json.dumps(policy))
    result = bare("authz-policies", "import-toml", "--policy-file", str(path), LAUNCHPLANE_DATABASE_URL=plane.database_url)
    assert result.code == 0, result.err
    sha256 = result.fields()["policy_sha256"]
    wait_until(lambda: plane.logged(event="policy.loaded", sha256=sha256), "the policy to be loaded", 60)


@pytest.mark.parametrize("seed", [1, 2])
def test_requests_at_random(tested, tmp_path, seed):
    """Every route and kind of caller over HTTP: 401, 403, 404 before 403, or past the boundary"""
    rng = random.Random(f"requests {seed}")
    known = routes(tested)
    seen = set()
    for _ in range(HTTP_POLICIES // 2):
        policy = draw.policy(rng)
        policy["github_actions"].append(KEEPER)
        policy["github_humans"].append(READER)
        in_force(tested, tmp_path, policy)
        for _ in range(REQUESTS):
            name = rng.choice(list(known))
            method, path, body, route = known[name]
            caller, token, browser = someone(rng, tested)
            if browser and method == "GET":
                answer = browser.get(path)
            elif browser:
                answer = browser.post(path, body)
            else:
                answer = tested.api.request(method, path, token=token, json=body)
            expected = who_may.verdict(policy, route, caller)
            story = f"seed {seed}: {name}: {answer.text}\n{json.dumps({'policy': policy, 'caller': caller, 'route': route})}"
            if expected is None:
                assert answer.status_code not in (401, 403) and answer.status_code < 500, story
            else:
                assert answer.status_code == expected, story
            seen.add((name, expected))
    let_through = {name for name, expected in seen if expected in (None, 404)}
    assert len(let_through) >= len(known) - 2, f"hardly a route was never let through: {set(known) - let_through}"
    assert len({name for name, expected in seen if expected == 403}) >= len(known) - 2
