"""Backup gates and promotions: every rule, the link to the deployment, inventory and tuple that follow. core 5.2, 5.4, 6.3."""
import concurrent.futures

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from evidence import (
    ARTIFACT, DEPLOYMENTS, GATES, PROMOTIONS, deployment, gate, inventory_of, promotion, put_tuple, send, tuple_rows)
from wrong import cases, with_value

# backup gates


def test_a_gate_is_stored_and_shown(plane):
    """EVID-01, BKP-01"""
    answer = send(plane, GATES, gate("gate-1"))
    assert answer["records"] == {"backup_gate_record_id": "gate-1"}
    assert "result" not in answer
    record = assert_ok(plane.get("/v1/backup-gates/gate-1"))["record"]
    assert record == {**gate("gate-1")["backup_gate"], "schema_version": 1, "required": True}


def test_a_gate_passes_later_and_what_it_said_before_is_kept(plane):
    send(plane, GATES, gate("gate-1", status="pending"))
    send(plane, GATES, gate("gate-1"))
    assert assert_ok(plane.get("/v1/backup-gates/gate-1"))["record"]["status"] == "pass"
    kept = plane.query("SELECT payload ->> 'status' AS status FROM launchplane_record_versions"
                       " WHERE family = 'backup_gate' AND record_key = 'gate-1'")
    assert kept == [{"status": "pending"}]


def test_an_older_gate_does_not_overwrite(plane):
    """F4"""
    send(plane, GATES, gate("gate-1", minute=5))
    answer = send(plane, GATES, gate("gate-1", minute=4, status="fail"), key="late")
    assert answer["result"]["outcome"] == "older_than_stored"
    assert assert_ok(plane.get("/v1/backup-gates/gate-1"))["record"]["status"] == "pass"
    again = send(plane, GATES, gate("gate-1", minute=4, status="fail"), key="late")
    assert again["replayed"] and again["result"] == answer["result"]


GATE_FIELDS = {
    "backup_gate": "object!", "backup_gate.schema_version": "number", "backup_gate.record_id": "name!",
    "backup_gate.context": "name!", "backup_gate.instance": "name!", "backup_gate.created_at": "name!",
    "backup_gate.source": "name!", "backup_gate.required": "flag",
    "backup_gate.status": "one:pending|pass|fail|skipped", "backup_gate.evidence": "map", "product": "name!",
    "schema_version": "number",
}
GATE_CASES = list(cases(gate("gate-wrong"), GATE_FIELDS))


@pytest.mark.parametrize("path, body", [case[1:] for case in GATE_CASES], ids=[case[0] for case in GATE_CASES])
def test_every_wrong_field_of_a_gate_is_named(shared_plane, path, body):
    assert_rejected(shared_plane.post(GATES, body), 400, "invalid_request", path)


def test_a_passing_gate_says_what_was_backed_up(shared_plane):
    """core 5.2"""
    body = gate("gate-empty", evidence={})
    assert_rejected(shared_plane.post(GATES, body), 400, "invalid_request", "backup_gate.evidence")


# promotions


def test_a_promotion_without_a_link_is_a_record_alone(plane):
    """EVID-03, DERIV-02"""
    answer = send(plane, PROMOTIONS, promotion("promotion-1"))
    assert answer["records"] == {"promotion_record_id": "promotion-1"}
    record = assert_ok(plane.get("/v1/promotions/promotion-1"))["record"]
    assert (record["from_instance"], record["to_instance"], record["rollback"]["status"]) == ("testing", "prod", "skipped")
    assert record["rollback_health"]["status"] == record["source_health"]["status"] == "skipped"
    assert inventory_of(plane, "prod") is None


def test_a_linked_promotion_makes_the_destinations_inventory(plane):
    """DERIV-02, DERIV-03"""
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod"))
    answer = send(plane, PROMOTIONS, promotion("promotion-1", 2, link="deployment-prod"))
    assert answer["records"] == {"promotion_record_id": "promotion-1", "inventory_record_id": "shop-prod"}
    shown = inventory_of(plane, "prod")
    record = assert_ok(plane.get("/v1/deployments/deployment-prod"))["record"]
    assert (shown["promotion_record_id"], shown["promoted_from_instance"]) == ("promotion-1", "testing")
    assert shown["deployment_record_id"] == "deployment-prod"
    for name in ("artifact_identity", "source_git_ref", "deploy", "post_deploy_update", "destination_health", "runtime_identity"):
        assert shown[name] == record[name], name
    assert tuple_rows(plane, "prod") == []


def test_the_link_is_kept_when_the_deployment_is_told_again(plane):
    """EVID-39"""
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod"))
    send(plane, PROMOTIONS, promotion("promotion-1", 2, link="deployment-prod"))
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod"))
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod", no_cache=True))
    assert inventory_of(plane, "prod")["promotion_record_id"] == "promotion-1"
    send(plane, DEPLOYMENTS, deployment("deployment-next", 9, instance="prod"))
    shown = inventory_of(plane, "prod")
    assert (shown["promotion_record_id"], shown["promoted_from_instance"]) == ("", "")


def test_the_known_source_tuple_is_promoted_with_it(plane):
    """DERIV-04"""
    put_tuple(plane)
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod"))
    answer = send(plane, PROMOTIONS, promotion("promotion-1", 2, link="deployment-prod"), key="once")
    assert answer["records"]["release_tuple_id"] == f"shop-prod-{ARTIFACT}"
    minted = tuple_rows(plane, "prod")[0]["payload"]
    source = tuple_rows(plane, "testing")[0]["payload"]
    assert {name: minted[name] for name in ("artifact_id", "repo_shas", "image_repository", "image_digest")} == \
        {name: source[name] for name in ("artifact_id", "repo_shas", "image_repository", "image_digest")}
    assert (minted["provenance"], minted["promoted_from_channel"], minted["deployment_record_id"],
            minted["promotion_record_id"]) == ("promotion", "testing", "deployment-prod", "promotion-1")
    again = send(plane, PROMOTIONS, promotion("promotion-1", 2, link="deployment-prod"), key="once")
    assert again["replayed"] and again["records"] == answer["records"]


@pytest.mark.parametrize("how", ["another artifact", "not passed", "no link"])
def test_no_tuple_is_minted_when(plane, how):
    put_tuple(plane, artifact="artifact-shop-0009" if how == "another artifact" else ARTIFACT)
    send(plane, DEPLOYMENTS, deployment("deployment-prod", instance="prod"))
    body = promotion("promotion-1", 2, link="" if how == "no link" else "deployment-prod",
                     status="fail" if how == "not passed" else "pass")
    assert "release_tuple_id" not in send(plane, PROMOTIONS, body)["records"]
    assert tuple_rows(plane, "prod") == []


LINKS = [
    ("deployment-unknown", {}), ("deployment-testing", {}), ("deployment-elsewhere", {}), ("deployment-other", {}),
]


@pytest.mark.parametrize("link, changes", LINKS, ids=[link for link, _ in LINKS])
@pytest.mark.parametrize("key", [None, "key"])
def test_a_wrong_link_is_refused_and_nothing_is_written(plane, link, changes, key):
    """core 5.4"""
    send(plane, DEPLOYMENTS, deployment("deployment-testing"))
    send(plane, DEPLOYMENTS, deployment("deployment-other", instance="prod", artifact="artifact-shop-0009"))
    plane.query("INSERT INTO launchplane_deployments SELECT 'deployment-elsewhere', 'other', 'prod', artifact_id, source_git_ref,"
                " deploy_started_at, deploy_finished_at, payload FROM launchplane_deployments WHERE record_id = 'deployment-testing'")
    before = plane.counts()
    answer = plane.post(PROMOTIONS, promotion("promotion-1", link=link, **changes), key=key)
    assert_rejected(answer, 400, "invalid_request", "promotion.deployment_record_id")
    assert plane.counts() == before


RULES = [
    ("promotion.to_instance", "testing", "to_instance"),
    ("promotion.backup_gate", {"required": True, "status": "pass"}, "backup_record_id"),
    ("promotion.rollback", {"attempted": True}, "rollback.status"),
    ("promotion.rollback", {"attempted": False, "status": "pass"}, "rollback.status"),
    ("promotion.source_health", {"verified": True, "status": "pass", "timeout_seconds": 5}, "source_health.urls"),
    ("promotion.rollback_health", {"verified": True, "urls": ["u"], "status": "pass"}, "rollback_health.timeout_seconds"),
    ("promotion.post_deploy_update", {"attempted": True, "status": "skipped"}, "post_deploy_update.status"),
    ("promotion.deploy.target_category", "application", "deploy.target_category"),
]


@pytest.mark.parametrize("path, value, named", RULES, ids=[f"{path}: {named}" for path, _, named in RULES])
def test_rules_about_several_fields(shared_plane, path, value, named):
    before = shared_plane.counts()
    body = with_value(promotion("promotion-rule"), path, value)
    assert_rejected(shared_plane.post(PROMOTIONS, body), 400, "invalid_request", f"promotion.{named}")
    assert shared_plane.counts() == before


PROMOTION_FIELDS = {
    "promotion": "object!", "promotion.schema_version": "number", "promotion.record_id": "name!",
    "promotion.artifact_identity": "object!", "promotion.artifact_identity.artifact_id": "name!",
    "promotion.deployment_record_id": "text", "promotion.backup_record_id": "text", "promotion.context": "name!",
    "promotion.from_instance": "name!", "promotion.to_instance": "name!", "promotion.backup_gate": "object",
    "promotion.backup_gate.required": "flag", "promotion.backup_gate.status": "one:pending|pass|fail|skipped",
    "promotion.backup_gate.evidence": "map", "promotion.deploy": "object!", "promotion.rollback": "object",
    "promotion.rollback.attempted": "flag", "promotion.rollback.status": "one:pending|pass|fail|skipped",
    "promotion.rollback.detail": "text", "promotion.rollback.snapshot_name": "text", "promotion.rollback.started_at": "text",
    "promotion.rollback.finished_at": "text", "promotion.source_health": "object", "promotion.destination_health": "object",
    "promotion.rollback_health": "object", "promotion.post_deploy_update": "object", "product": "name!",
}
PROMOTION_CASES = [case for case in cases(promotion("promotion-wrong", rollback={}), PROMOTION_FIELDS) if case[2] is not None]


@pytest.mark.parametrize("path, body", [case[1:] for case in PROMOTION_CASES], ids=[case[0] for case in PROMOTION_CASES])
def test_every_wrong_field_of_a_promotion_is_named(shared_plane, path, body):
    answer = shared_plane.post(PROMOTIONS, body)
    assert_rejected(answer, 400, "invalid_request", path)


# order and ownership


def test_an_older_deployment_of_the_lane_keeps_the_inventory(plane):
    """F4: an older commit never overwrites a newer"""
    send(plane, DEPLOYMENTS, deployment("deployment-2", 20))
    answer = send(plane, DEPLOYMENTS, deployment("deployment-1", 10))
    assert answer["result"]["outcome"] == "inventory_kept"
    assert answer["records"]["deployment_record_id"] == "deployment-1"
    assert_ok(plane.get("/v1/deployments/deployment-1"))
    assert inventory_of(plane)["deployment_record_id"] == "deployment-2"


def test_an_earlier_state_of_a_deployment_changes_nothing(plane):
    """F4"""
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    answer = send(plane, DEPLOYMENTS, deployment("deployment-1", status="pending"))
    assert answer["result"]["outcome"] == "older_than_stored"
    assert assert_ok(plane.get("/v1/deployments/deployment-1"))["record"]["deploy"]["status"] == "pass"
    assert inventory_of(plane)["deploy"]["status"] == "pass"


def test_a_late_promotion_of_an_older_deployment_keeps_inventory_and_tuple(plane):
    put_tuple(plane)
    send(plane, DEPLOYMENTS, deployment("deployment-1", 10, instance="prod"))
    send(plane, DEPLOYMENTS, deployment("deployment-2", 20, instance="prod"))
    answer = send(plane, PROMOTIONS, promotion("promotion-1", 11, link="deployment-1"))
    assert answer["result"]["outcome"] == "inventory_kept"
    assert inventory_of(plane, "prod")["deployment_record_id"] == "deployment-2"
    assert tuple_rows(plane, "prod") == []


def test_equal_evidence_has_no_second_effect(plane):
    """EVID-39"""
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    before, counts = inventory_of(plane), plane.counts()
    plane.pass_time(seconds=30)
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    assert (inventory_of(plane), plane.counts()) == (before, counts)


OTHERS = [
    (DEPLOYMENTS, deployment("theirs", context="other"), deployment("theirs"), "deployment"),
    (DEPLOYMENTS, deployment("theirs", instance="prod"), deployment("theirs"), "deployment"),
    (PROMOTIONS, promotion("theirs", context="other"), promotion("theirs"), "promotion"),
    (GATES, gate("theirs", context="other"), gate("theirs"), "backup_gate"),
]


@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("path, theirs, ours, record", OTHERS, ids=["context", "lane", "promotion", "gate"])
def test_a_record_of_another_lane_cannot_be_overwritten(make_plane, path, theirs, ours, record, key):
    """A grant for one context is no grant to change another's records through their ids."""
    from rehearsal.policy import CONTEXT, PRODUCT, for_lanes
    plane = make_plane(for_lanes((PRODUCT, CONTEXT), (PRODUCT, "other")))
    send(plane, path, theirs)
    before = plane.counts()
    assert_rejected(plane.post(path, ours, key=key), 400, "invalid_request", f"{record}.record_id")
    assert plane.counts() == before


def test_the_past_cannot_be_rewritten(plane):
    """Evidence is append-only: what an upsert replaced stays, and PostgreSQL refuses to change it."""
    send(plane, DEPLOYMENTS, deployment("deployment-1", status="pending"))
    send(plane, DEPLOYMENTS, deployment("deployment-1"))
    kept = plane.query("SELECT family, record_key, payload -> 'deploy' ->> 'status' AS status FROM launchplane_record_versions"
                       " ORDER BY version_id")
    assert {(row["family"], row["record_key"], row["status"]) for row in kept} == {
        ("deployment", "deployment-1", "pending"), ("inventory", "shop/testing", "pending")}
    for change in ("DELETE FROM launchplane_record_versions", "UPDATE launchplane_record_versions SET family = 'x'"):
        with pytest.raises(Exception, match="append-only"):
            plane.query(change)


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_two_promotions_of_one_lane_at_once_leave_one_consistent_state(plane):
    put_tuple(plane)
    for number in range(2):
        send(plane, DEPLOYMENTS, deployment(f"deployment-{number}", 10, instance="prod"))

    def promote(number):
        body = promotion(f"promotion-{number}", 10, link=f"deployment-{number % 2}")
        return assert_accepted(plane.post(PROMOTIONS, body))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(promote, range(24)))
    shown, minted = inventory_of(plane, "prod"), tuple_rows(plane, "prod")[0]["payload"]
    assert shown["promotion_record_id"] == minted["promotion_record_id"]
    assert shown["deployment_record_id"] == minted["deployment_record_id"]
    last = int(shown["promotion_record_id"].rpartition("-")[2])
    assert shown["deployment_record_id"] == f"deployment-{last % 2}"
    assert plane.query("SELECT count(*) AS n FROM launchplane_promotions")[0]["n"] == 24


def test_an_unknown_record_is_404_and_a_stranger_gets_403(shared_plane):
    stranger = shared_plane.token(repository="example-org/stranger")
    for path in ("/v1/promotions/none", "/v1/backup-gates/none"):
        assert_rejected(shared_plane.get(path), 404, "not_found")
        assert_rejected(shared_plane.get(path, token=None), 401, "authentication_required")
    for path, body in ((GATES, gate("gate-x")), (PROMOTIONS, promotion("promotion-x"))):
        assert_rejected(shared_plane.post(path, body, token=stranger), 403, "authorization_denied")


