"""The service against test/model/who_may.py, which was written from the facts: routes, callers and grants at random."""
import json
import random

import pytest

from cli import bare
from conftest import module_plane, prepared_lane
from model import draw, who_may
from rehearsal.policy import CONTEXT, PRODUCT, for_lanes
from rehearsal.waiting import wait_until
from test_identities import TOKENS, settings

SEEDS = range(4)
POLICIES, QUESTIONS = 100, 300                     # for each seed: 120,000 decisions in all
HTTP_POLICIES, REQUESTS = 12, 250
KEEPER = {"repository": "example-org/keeper", "actions": ["authz_policy_grant.write"], "products": ["launchplane"],
          "contexts": ["launchplane"]}


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
    with module_plane(cluster, template, for_lanes(), **settings()) as plane:
        plane.secrets += TOKENS.values()
        plane.lane = prepared_lane(plane)
        yield plane


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
    }


def someone(rng, plane):
    """(caller for the model, token); the static tokens belong to owner, laptop."""
    kind = rng.choice(["github_actions"] * 6 + ["terminal_agent", "local_operator", "local_admin", "nobody", "bad"])
    if kind == "github_actions":
        caller = draw.workflow(rng)
        claims = {name: value for name, value in caller.items() if name != "type"}
        return caller, plane.token(**{"job_workflow_ref": None, **claims})
    if kind in ("nobody", "bad"):
        return None, None if kind == "nobody" else plane.token(exp=1)
    return {"type": kind, "subject": "owner", "token_label": "laptop"}, TOKENS[f"{kind}s"]


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
        in_force(tested, tmp_path, policy)
        for _ in range(REQUESTS):
            name = rng.choice(list(known))
            method, path, body, route = known[name]
            caller, token = someone(rng, tested)
            answer = tested.api.request(method, path, token=token, json=body)
            expected = who_may.verdict(policy, route, caller)
            story = f"seed {seed}: {name}: {answer.text}\n{json.dumps({'policy': policy, 'caller': caller, 'route': route})}"
            if expected is None:
                assert answer.status_code not in (401, 403) and answer.status_code < 500, story
            else:
                assert answer.status_code == expected, story
            seen.add((name, expected))
    assert {name for name, expected in seen if expected in (None, 404)} == set(known), "each route was also let through"
    assert len({name for name, expected in seen if expected == 403}) >= len(known) - 2
