"""Who may do what: default deny, and every condition of a rule."""
import hashlib
import json

import pytest

from checks import assert_ok, assert_rejected
from rehearsal.policy import REPOSITORY, render, workflow_rule

READ = ["launchplane_service.read"]
RUNTIME = "/v1/service/runtime"


def rule(**changes):
    return {**workflow_rule(READ, ["launchplane"], ["launchplane"]), **changes}


def allowed(plane, **claims):
    answer = plane.get(RUNTIME, token=plane.token(**claims))
    if answer.status_code == 403:
        assert_rejected(answer, 403, "authorization_denied")
        return False
    assert_ok(answer)
    return True


WORKFLOW = f"{REPOSITORY}/.github/workflows/deploy.yml"
# name: (rule, claims that match, claims that do not)
CONDITIONS = {
    "repository": (rule(), {}, {"repository": "example-org/other", "workflow_ref": f"{WORKFLOW}@refs/heads/main"}),
    "repository is case-sensitive": (rule(), {}, {"repository": REPOSITORY.upper()}),
    "repository is no glob": (rule(repository="example-org/*"), None, {}),
    "workflow_refs": (rule(workflow_refs=[f"{WORKFLOW}@*"]), {"workflow_ref": f"{WORKFLOW}@refs/pull/1/merge"},
                      {"workflow_ref": f"{REPOSITORY}/.github/workflows/other.yml@refs/heads/main"}),
    "workflow_refs match as a whole": (rule(workflow_refs=["*/deploy.yml"]), None,
                                       {"workflow_ref": f"{WORKFLOW}@refs/heads/main"}),
    "workflow_refs, any of several": (rule(workflow_refs=["none", "*deploy.yml@refs/heads/ma[i]n"]),
                                      {"workflow_ref": f"{WORKFLOW}@refs/heads/main"},
                                      {"workflow_ref": f"{WORKFLOW}@refs/heads/maxn"}),
    "job_workflow_refs": (rule(job_workflow_refs=[f"{WORKFLOW}@*"]), {"job_workflow_ref": f"{WORKFLOW}@x"},
                          {"job_workflow_ref": None}),
    "event_names": (rule(event_names=["push", "workflow_dispatch"]), {"event_name": "push"}, {"event_name": "pus"}),
    "event_names are no globs": (rule(event_names=["*"]), None, {"event_name": "push"}),
    "refs": (rule(refs=["refs/heads/main"]), {}, {"ref": "refs/heads/main2"}),
    "environments": (rule(environments=["testing"]), {"environment": "testing"}, {"environment": None}),
    "products": (rule(products=["other"]), None, {}),
    "products may be globs": (rule(products=["launch*"]), {}, None),
    "contexts": (rule(contexts=["other"]), None, {}),
    "contexts may be globs": (rule(contexts=["launchplan?"]), {}, None),
    "actions": (rule(actions=["deployment.read"]), None, {}),
    "actions are no globs": (rule(actions=["launchplane_service.*"]), None, {}),
    "empty lists are no conditions": (rule(actions=[], products=[], contexts=[]), {}, None),
    "all conditions of one rule have to match": (
        rule(refs=["refs/heads/main"], environments=["testing"]),
        {"environment": "testing"}, {"environment": "testing", "ref": "refs/heads/other"}),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_of_a_rule(make_plane, name):
    """core 3.2; AUTH-02 to AUTH-06, AUTH-09, AUTH-10, AUTH-70, AUTH-71"""
    tested, matching, other = CONDITIONS[name]
    plane = make_plane(render(github_actions=[tested]))
    if matching is not None:
        assert allowed(plane, **matching)
    if other is not None:
        assert not allowed(plane, **other)


def test_any_matching_rule_is_enough(make_plane):
    plane = make_plane(render(github_actions=[rule(actions=["other"]), rule()]))
    assert allowed(plane)


@pytest.mark.policy("schema_version = 1\n")
def test_an_empty_policy_denies_everything(plane):
    """AUTH: default deny"""
    assert not allowed(plane)


def test_rules_of_other_sections_do_not_count_for_workflows(make_plane):
    everything = {"subjects": ["*"], "token_labels": ["*"], "products": ["*"], "contexts": ["*"], "actions": []}
    plane = make_plane(render(local_operators=[everything], local_admins=[everything]))
    assert not allowed(plane)


NARROW = [  # (action that is missing, request)
    ("product_profile.write", lambda lane: ("/v1/product-profiles", lane.profile())),
    ("runtime_key_safety.write", lambda lane: ("/v1/runtime-key-safety/policies/apply", lane.key_safety())),
    ("product_config.apply", lambda lane: ("/v1/product-config/apply", lane.lane_config())),
    ("product_config.plan", lambda lane: ("/v1/product-config/apply", {**lane.lane_config(), "mode": "dry-run"})),
    ("dokploy_target.setup", lambda lane: ("/v1/dokploy-targets/setup", lane.target_setup())),
    ("odoo_artifact_publish.write", lambda lane: ("/v1/drivers/odoo/artifact-publish", lane.publish(lane.new))),
    ("deployment.write", lambda lane: ("/v1/evidence/deployments", lane.deployment())),
    ("odoo_target_replacement_plan.read",
     lambda lane: ("/v1/drivers/odoo/target-replacement-plan", lane.plan_request())),
    ("odoo_target_replacement_apply.execute",
     lambda lane: ("/v1/drivers/odoo/target-replacement-apply", lane.replacement())),
]


@pytest.mark.parametrize("action, request_of", NARROW, ids=[action for action, _ in NARROW])
def test_a_write_without_its_grant_is_a_403_that_writes_nothing(shared_lane, action, request_of):
    """SVC-30: the same lane, another repository: every grant is bound to its subject"""
    plane = shared_lane.plane
    before, calls = plane.counts(), len(plane.doubles.dokploy.requests)
    path, body = request_of(shared_lane)
    stranger = plane.token(repository="example-org/stranger")
    assert_rejected(plane.post(path, body, token=stranger, key="k"), 403, "authorization_denied")
    assert plane.counts() == before
    assert len(plane.doubles.dokploy.requests) == calls


@pytest.mark.parametrize("changes", [{"product": "other-product"}, {"context": "other"}])
def test_a_grant_for_one_product_and_context_is_none_for_another(shared_lane, changes):
    body = shared_lane.deployment("deployment-x")
    if "product" in changes:
        body["product"] = changes["product"]
    else:
        body["deployment"]["context"] = changes["context"]
    before = shared_lane.plane.counts()
    assert_rejected(shared_lane.plane.post("/v1/evidence/deployments", body), 403, "authorization_denied")
    assert shared_lane.plane.counts() == before


def test_a_403_does_not_tell_whether_a_key_was_used(plane, lane):
    """config-health 0.4: authorization comes before the replay look-up"""
    body = lane.deployment("deployment-key")
    plane.post("/v1/evidence/deployments", body, key="used")
    stranger = plane.token(repository="example-org/stranger")
    first, second = [
        assert_rejected(plane.post("/v1/evidence/deployments", body, token=stranger, key=key), 403, "authorization_denied")
        for key in ("used", "unused")]
    assert {**first, "trace_id": ""} == {**second, "trace_id": ""}


def test_the_database_policy_rules_not_the_bootstrap_text(plane, make_plane):
    """AUTH-08: the bootstrap text only seeds the record"""
    assert allowed(plane)
    other = make_plane("schema_version = 1\n")
    assert allowed(other)
    runtime = assert_ok(other.get(RUNTIME))["runtime"]
    assert runtime["authz_policy_source"] == "db"
    assert runtime["authz_policy_sha256"] == assert_ok(plane.get(RUNTIME))["runtime"]["authz_policy_sha256"]


def test_the_stored_policy_has_the_documented_digest(plane):
    """core 3.4"""
    rows = plane.query("SELECT record_id, status, policy_sha256, payload FROM launchplane_authz_policies")
    assert [(row["status"], row["policy_sha256"]) for row in rows] == [("active", rows[0]["payload"]["policy_sha256"])]
    policy = {name: value for name, value in rows[0]["payload"]["policy"].items()
              if value or name not in ("terminal_agents", "local_operators", "local_admins")}
    text = json.dumps(policy, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == rows[0]["policy_sha256"]
