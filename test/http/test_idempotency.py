"""Idempotency-Key: replay, conflict, scope. core section 4."""
import concurrent.futures
import hashlib
import json

import pytest

from checks import assert_accepted, assert_rejected

PATH = "/v1/evidence/deployments"


def test_the_same_request_replays_the_stored_answer(plane, lane):
    """AUTH-25"""
    body = lane.deployment("deployment-1")
    first = assert_accepted(plane.post(PATH, body, key="k1"))
    again = assert_accepted(plane.post(PATH, body, key="k1"))
    assert "replayed" not in first
    assert again["replayed"] is True
    assert again["original_trace_id"] == first["trace_id"] != again["trace_id"]
    assert again["records"] == first["records"]
    assert again.get("result") == first.get("result")


def test_a_replay_writes_nothing(plane, lane):
    body = lane.deployment("deployment-1")
    assert_accepted(plane.post(PATH, body, key="k1"))
    assert_accepted(plane.post(PATH, lane.deployment("deployment-2", lane.new), key="k2"))
    before = plane.counts(), plane.get("/v1/inventory/shop/testing").json()["record"]
    assert_accepted(plane.post(PATH, body, key="k1"))
    assert (plane.counts(), plane.get("/v1/inventory/shop/testing").json()["record"]) == before


def test_white_space_and_member_order_do_not_matter(plane, lane):
    body = lane.deployment("deployment-1")
    assert_accepted(plane.post(PATH, body, key="k1"))
    turned = json.dumps(dict(reversed(body.items())), indent=3, ensure_ascii=False)
    status, answer = plane.post_raw(PATH, turned, "Idempotency-Key: \t k1 ")
    assert (status, answer["replayed"]) == (202, True)


@pytest.mark.parametrize("change", [
    lambda body: body["deployment"].update(source_git_ref="d" * 40),
    lambda body: body["deployment"].update(no_cache=False),          # an explicit default is another request
    lambda body: body["deployment"]["deploy"].update(status="fail"),
    lambda body: body.pop("schema_version"),
])
def test_another_request_with_the_same_key_is_a_conflict(plane, lane, change):
    """AUTH-25; core 4: the fingerprint is taken before defaults"""
    body = lane.deployment("deployment-1")
    assert_accepted(plane.post(PATH, body, key="k1"))
    before = plane.counts()
    other = json.loads(json.dumps(body))
    change(other)
    assert_rejected(plane.post(PATH, other, key="k1"), 409, "idempotency_key_reused")
    assert plane.counts() == before


def test_a_blank_key_is_no_key(plane, lane):
    body = lane.deployment("deployment-1")
    for _ in range(2):
        status, answer = plane.post_raw(PATH, body, "Idempotency-Key:    ")
        assert status == 202
        assert "replayed" not in answer
    assert plane.query("SELECT count(*) AS n FROM launchplane_idempotency_records WHERE route_path = %s", PATH)[0]["n"] == 0


def test_a_key_belongs_to_its_caller(plane, lane):
    """core 4: scope is repository, workflow and subject"""
    body = lane.deployment("deployment-1")
    assert_accepted(plane.post(PATH, body, key="k1"))
    for claims in ({"environment": "testing"},
                   {"workflow_ref": "example-org/odoo-tenant-shop/.github/workflows/other.yml@refs/heads/main"}):
        answer = plane.post(PATH, body, key="k1", token=plane.token(**claims))
        assert "replayed" not in assert_accepted(answer)


def test_a_key_belongs_to_its_route(plane, lane):
    assert_accepted(plane.post(PATH, lane.deployment("deployment-1"), key="k1"))
    answer = plane.post("/v1/drivers/odoo/artifact-publish", lane.publish(lane.new), key="k1")
    assert "replayed" not in assert_accepted(answer)


def test_rejections_are_not_stored(plane, lane):
    body = lane.deployment("deployment-1")
    bad = json.loads(json.dumps(body))
    bad["deployment"]["context"] = " "
    assert_rejected(plane.post(PATH, bad, key="k1"), 400, "invalid_request")
    assert "replayed" not in assert_accepted(plane.post(PATH, body, key="k1"))


def test_the_stored_row_is_the_documented_one(plane, lane):
    first = assert_accepted(plane.post(PATH, lane.deployment("deployment-1"), key="k1"))
    row = plane.query("SELECT * FROM launchplane_idempotency_records WHERE idempotency_key = 'k1'")[0]
    workflow = "example-org/odoo-tenant-shop/.github/workflows/odoo-target-replacement-apply.yml@refs/heads/main"
    assert row["record_id"] == f"idempotency-{first['trace_id']}"
    assert row["scope"] == f"example-org/odoo-tenant-shop|{workflow}|repo:example-org/odoo-tenant-shop:ref:refs/heads/main"
    assert (row["route_path"], row["response_status_code"]) == (PATH, 202)
    assert row["response_trace_id"] == first["trace_id"]


def test_the_fingerprint_is_that_of_the_sorted_ascii_body(plane, lane):
    body = lane.deployment("deployment-1")
    body["deployment"]["deploy"]["target_name"] = "Lädchen ☕ \U0001f6d2"
    body["deployment"].pop("resolved_target")
    assert_accepted(plane.post(PATH, body, key="k1"))
    row = plane.query("SELECT request_fingerprint FROM launchplane_idempotency_records WHERE idempotency_key = 'k1'")[0]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    assert row["request_fingerprint"] == hashlib.sha256(text.encode()).hexdigest()


def test_many_at_once_with_one_key_write_once(plane, lane):
    """core 4: concurrency"""
    body = lane.deployment("deployment-1")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: plane.post(PATH, body, key="k1"), range(8)))
    accepted = [assert_accepted(answer) for answer in answers if answer.status_code == 202]
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert sum("replayed" not in body for body in accepted) == 1
    rows = plane.query("SELECT count(*) AS n FROM launchplane_idempotency_records WHERE idempotency_key = 'k1'")
    assert rows[0]["n"] == 1


@pytest.mark.parametrize("key", ["x" * 100_000, "with\ttab"])
def test_a_strange_key_does_no_harm(plane, lane, key):
    answer = plane.post(PATH, lane.deployment("deployment-1"), key=key)
    assert answer.status_code in (202, 400, 431)
