"""POST /v1/dokploy-targets/setup: adopt, create, reconcile and prune. DOK-34..52, config-health 5.5."""
import threading

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from rehearsal.lane import CONFIRM_SETUP
from rehearsal.waiting import wait_until

SETUP = "/v1/dokploy-targets/setup"
ASYNC = {"Prefer": "respond-async"}


def body(lane, operation, **changes):
    return {
        "mode": "apply", "operation": operation, "product": "launchplane", "context": lane.context,
        "instance": lane.instance, "confirmation": CONFIRM_SETUP, "reason": "rehearsal", **changes,
    }


def create(lane, kind="compose", **changes):
    made = {"target_type": kind, "target_name": "shop-prod", "instance": "prod", **changes}
    if kind == "compose":
        made.setdefault("server_id", lane.doubles.dokploy.add_server())
    return body(lane, f"create-{kind}", **made)


def reconcile(lane, *hosts, **changes):
    return body(lane, "reconcile-compose-domain", **{"domains": list(hosts), "runtime_port": 8069, **changes})


def prune(lane, *hosts, **changes):
    return body(lane, "prune-compose-domain", domains=list(hosts), **changes)


def target_of(plane, context="shop", instance="testing"):
    return assert_ok(plane.get(f"/v1/dokploy-targets/{context}/{instance}"))["target"]


def rows_of(plane, instance):
    tables = ("dokploy_targets", "dokploy_target_ids", "provider_targets")
    return [len(plane.query(f"SELECT 1 FROM launchplane_{table} WHERE instance = %s", instance)) for table in tables]


def submitted(plane, request, key="setup-1"):
    return assert_accepted(plane.post(SETUP, request, key=key, headers=ASYNC))["records"]["operation_id"]


# waiting on the caller's behalf

def test_respond_async_answers_with_the_operation(plane, lane):
    """RFC 7240: the same key asks for its end later"""
    plane.doubles.dokploy.on("GET", "domain.byComposeId").delay(3)
    request = reconcile(lane, "one.example.com")
    answer = plane.post(SETUP, request, key="k", headers=ASYNC)
    operation_id = assert_accepted(answer)["records"]["operation_id"]
    assert answer.headers["Location"] == f"/v1/operations/{operation_id}"
    assert (answer.headers["Retry-After"], answer.headers["Preference-Applied"]) == ("2", "respond-async")
    assert answer.json()["result"]["status"] in ("pending", "running")
    plane.finish(operation_id)
    again = plane.post(SETUP, request, key="k")
    assert again.json()["result"]["applied"] is True and again.json()["replayed"] is True
    assert "Retry-After" not in again.headers


def test_the_wait_is_bounded(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "domain.byComposeId").hold_before()
    answer = plane.post(SETUP, reconcile(lane, "one.example.com"), key="k", headers={"Prefer": "wait=1"})
    operation_id = assert_accepted(answer)["records"]["operation_id"]
    assert answer.headers["Preference-Applied"] == "wait=1"
    rule.release()
    assert plane.finish(operation_id)["status"] == "pass"


def test_a_caller_that_leaves_changes_nothing_for_the_operation(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "domain.byComposeId").times(1).hold_before()
    request = reconcile(lane, "one.example.com")
    with pytest.raises(OSError):
        plane.post(SETUP, request, key="k", timeout=0.5)
    assert rule.reached.wait(20)
    rule.release()
    again = assert_accepted(plane.post(SETUP, request, key="k"))
    assert again["result"]["applied"] is True
    assert plane.doubles.dokploy.effects("POST", "domain.create") == 1


def test_a_service_that_stops_answers_those_who_wait(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "domain.byComposeId").hold_before()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(plane.post(SETUP, reconcile(lane, "one.example.com"), key="k")))
    thread.start()
    assert rule.reached.wait(20)
    stopped = threading.Thread(target=plane.terminate)
    stopped.start()
    thread.join(30)
    rule.release()
    stopped.join(60)
    assert answers and answers[0].status_code == 202 and "operation_id" in answers[0].json()["records"]
    plane.restart()
    assert plane.finish(answers[0].json()["records"]["operation_id"])["status"] == "pass"
