"""Deployment evidence, the inventory that follows from it, and reading both. core 5.3, 6.4, 7.1."""
import json

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from wrong import with_value

PATH = "/v1/evidence/deployments"
INVENTORY = "/v1/inventory/shop/testing"


def put(plane, lane, record_id="deployment-1", **changes):
    body = lane.deployment(record_id)
    body["deployment"].update(changes)
    return assert_accepted(plane.post(PATH, body))


def test_accepted_evidence_is_stored_and_becomes_the_inventory(plane, lane):
    """SVC-06, DERIV-01"""
    answer = put(plane, lane)
    assert answer["records"] == {"deployment_record_id": "deployment-1", "inventory_record_id": "shop-testing"}
    record = assert_ok(plane.get("/v1/deployments/deployment-1"))["record"]
    inventory = assert_ok(plane.get(INVENTORY))["record"]
    assert inventory["deployment_record_id"] == "deployment-1"
    for name in ("context", "instance", "source_git_ref", "artifact_identity", "deploy", "destination_health"):
        assert inventory[name] == record[name]


def test_reads_show_defaults_and_nulls(plane, lane):
    """core 0.3"""
    put(plane, lane)
    record = assert_ok(plane.get("/v1/deployments/deployment-1"))["record"]
    assert record["schema_version"] == 1
    assert (record["wait_for_completion"], record["verify_destination_health"], record["no_cache"]) == (True, True, False)
    assert record["delegated_executor"] == "control-plane.dokploy"
    assert record["runtime_identity"] is None
    assert record["bootstrap"] == {"attempted": False, "run_status": "skipped", "readiness_status": "skipped", "detail": ""}
    assert record["post_deploy_update"] == {"attempted": False, "status": "skipped", "detail": "", "evidence": {}}
    assert record["destination_health"] == {
        "verified": False, "urls": [], "timeout_seconds": None, "status": "skipped",
        "runtime_identity_status": "unchecked", "runtime_identity_detail": "", "observed_runtime_identity": None}
    assert record["artifact_identity"]["manifest_version"] == 1


def test_the_deployed_target_is_derived(plane, lane):
    """core 5.3"""
    put(plane, lane)
    record = assert_ok(plane.get("/v1/deployments/deployment-1"))["record"]
    assert record["deployed_target"] == {
        "provider_id": "dokploy", "target_category": "compose", "provider_target_type": "compose",
        "target_id": lane.compose_id, "display_name": lane.target_name, "provider_evidence": {}}
    deploy = record["deploy"]
    assert (deploy["provider_id"], deploy["target_category"], deploy["provider_target_type"],
            deploy["provider_deploy_mode"]) == ("dokploy", "compose", "compose", "dokploy-compose-api")


def test_a_given_deployed_target_is_kept(plane, lane):
    target = {"provider_id": "DOKPLOY ", "target_id": " t1 ", "display_name": "Shop"}
    put(plane, lane, deployed_target=target, resolved_target=None)
    record = assert_ok(plane.get("/v1/deployments/deployment-1"))["record"]
    kept = record["deployed_target"]
    assert (kept["provider_id"], kept["target_id"], kept["target_category"]) == ("dokploy", "t1", "unknown")


@pytest.mark.parametrize("status", ["pending", "pass", "fail", "skipped"])
def test_every_accepted_status_refreshes_the_inventory(plane, lane, status):
    """core 5.3"""
    body = lane.deployment("deployment-1")
    body["deployment"]["deploy"]["status"] = status
    assert_accepted(plane.post(PATH, body))
    assert assert_ok(plane.get(INVENTORY))["record"]["deploy"]["status"] == status


def test_the_same_record_id_is_replaced(plane, lane):
    put(plane, lane, source_git_ref="a" * 40)
    put(plane, lane, source_git_ref="b" * 40)
    assert assert_ok(plane.get("/v1/deployments/deployment-1"))["record"]["source_git_ref"] == "b" * 40
    assert plane.query("SELECT count(*) AS n FROM launchplane_deployments WHERE record_id = 'deployment-1'")[0]["n"] == 1


def test_a_blank_record_id_is_refused(plane, lane):
    """core 5.3"""
    body = lane.deployment()
    body["deployment"]["record_id"] = " "
    assert_rejected(plane.post(PATH, body), 400, "invalid_request", "deployment.record_id")


def test_runtime_identity_is_carried_into_the_inventory(plane, lane):
    """core 6.4"""
    identity = {"context": "shop", "instance": "testing", "deployment_record_id": "deployment-1",
                "artifact_id": lane.old.artifact_id, "source_git_ref": lane.old.source_commit}
    put(plane, lane, runtime_identity=identity)
    shown = assert_ok(plane.get(INVENTORY))["record"]["runtime_identity"]
    assert shown["environment_kind"] == "stable"
    assert {name: shown[name] for name in identity} == identity


@pytest.mark.parametrize("status", ["unchecked", "match", "mismatch", "missing", "malformed", "unverifiable"])
def test_every_identity_class_can_be_recorded(plane, lane, status):
    """RID-10"""
    health = {"verified": True, "urls": ["https://shop.example.com/health"], "timeout_seconds": 5, "status": "pass",
              "runtime_identity_status": status}
    put(plane, lane, destination_health=health)
    shown = assert_ok(plane.get(INVENTORY))["record"]["destination_health"]
    assert shown["runtime_identity_status"] == status


RULES = [
    ("deployment.destination_health", {"verified": True, "status": "pass", "timeout_seconds": 5}, "urls are missing"),
    ("deployment.destination_health", {"verified": True, "urls": ["u"], "status": "pass"}, "timeout is missing"),
    ("deployment.destination_health", {"verified": True, "urls": ["u"], "timeout_seconds": 5, "status": "pending"}, "pending"),
    ("deployment.post_deploy_update", {"attempted": False, "status": "pass"}, "not attempted but pass"),
    ("deployment.post_deploy_update", {"attempted": True, "status": "skipped"}, "attempted but skipped"),
    ("deployment.bootstrap", {"attempted": False, "run_status": "pass"}, "not attempted but run"),
    ("deployment.bootstrap", {"attempted": True, "run_status": "pass", "readiness_status": "skipped"}, "no readiness"),
    ("deployment.bootstrap", {"attempted": True, "run_status": "fail", "readiness_status": "pass"}, "fail then pass"),
    ("deployment.deploy.target_category", "application", "category is not the type"),
    ("deployment.deploy.provider_target_type", "application", "provider type is not the type"),
    ("deployment.deploy.provider_id", " ", "blank provider"),
]


@pytest.mark.parametrize("path, value, why", RULES, ids=[why for _, _, why in RULES])
def test_rules_about_several_fields(shared_lane, path, value, why):
    """core 5.1"""
    plane = shared_lane.plane
    before = plane.counts()
    body = with_value(shared_lane.deployment("deployment-rule"), path, value)
    assert_rejected(plane.post(PATH, body), 400, "invalid_request", ".".join(path.split(".")[:2]))
    assert plane.counts() == before


def test_unknown_records_are_404(shared_plane):
    assert_rejected(shared_plane.get("/v1/deployments/deployment-unknown"), 404, "not_found")
    assert_rejected(shared_plane.get("/v1/inventory/shop/prod"), 404, "not_found")


def test_reading_needs_the_grant_of_the_records_context(shared_lane):
    """core 1.10: a record is read first (404 before 403), an inventory is authorized before it is read"""
    plane = shared_lane.plane
    stranger = plane.token(repository="example-org/stranger")
    record = shared_lane.deployment()["deployment"]["record_id"]
    assert_rejected(plane.get(f"/v1/deployments/{record}", token=stranger), 403, "authorization_denied")
    assert_rejected(plane.get("/v1/deployments/deployment-unknown", token=stranger), 404, "not_found")
    assert_rejected(plane.get("/v1/inventory/shop/prod", token=stranger), 403, "authorization_denied")


def test_a_read_can_be_conditional(plane, lane):
    put(plane, lane)
    first = plane.get(INVENTORY)
    again = plane.get(INVENTORY, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    put(plane, lane, "deployment-2")
    assert plane.get(INVENTORY, headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_unusual_text_survives(plane, lane):
    name = 'Lädchen "☕" \\ \U0001f6d2 </script> \u2028'
    body = lane.deployment("deployment-1")
    body["deployment"]["deploy"]["target_name"] = name
    body["deployment"].pop("resolved_target")
    body["deployment"]["runtime_source"] = {"k\u00e4y": "v\n\t\u0001"}
    assert_accepted(plane.post(PATH, body))
    record = assert_ok(plane.get("/v1/deployments/deployment-1"))["record"]
    assert record["deploy"]["target_name"] == name
    assert record["runtime_source"] == {"k\u00e4y": "v\n\t\u0001"}


def test_a_nul_character_is_refused_and_does_not_reach_postgresql(shared_lane):
    body = json.dumps(shared_lane.deployment("deployment-nul")).replace("by-hand", "by\\u0000hand")
    answer = shared_lane.plane.api.request(
        "POST", PATH, data=body.encode(), headers={"Content-Type": "application/json"})
    assert_rejected(answer, 400, "invalid_request")


def test_two_lanes_do_not_touch_each_other(plane, lane):
    before = assert_ok(plane.get(INVENTORY))["record"]
    body = lane.deployment("deployment-prod")
    body["deployment"]["instance"] = "prod"
    assert_accepted(plane.post(PATH, body))
    assert assert_ok(plane.get(INVENTORY))["record"] == before


def test_an_accepted_record_survives_a_kill(plane, lane):
    """F3: 2xx only after commit"""
    put(plane, lane)
    plane.kill()
    plane.restart()
    assert_ok(plane.get("/v1/deployments/deployment-1"))
