"""One replacement a lane: keys, repeats, conflicts, concurrency. odoo 6.2, TREP-18 to TREP-21."""
import concurrent.futures

import pytest

from checks import assert_accepted, assert_rejected
from replacement import APPLY, ID, replace, submit

BUSY = "odoo_stable_target_replacement_operation_active"


@pytest.fixture
def held(plane, lane):
    """A running operation that waits for the provider."""
    plane.doubles.dokploy.on("GET", "compose.one").hold_before()
    operation_id = submit(plane, lane)
    yield operation_id
    plane.doubles.dokploy.faults.clear()


@pytest.mark.parametrize("header", [[], ["Idempotency-Key:"], ["Idempotency-Key:   "]], ids=["none", "empty", "blank"])
def test_a_key_is_required(shared_lane, header):
    """TREP-18, AUTH-81"""
    plane = shared_lane.plane
    before = plane.counts()
    status, answer = plane.post_raw(APPLY, shared_lane.replacement(), *header)
    assert (status, answer["error"]["code"]) == (400, "idempotency_key_required")
    assert plane.counts() == before


def test_a_repeat_answers_with_the_operation_while_it_runs(plane, lane, held):
    """TREP-19"""
    before = plane.counts()
    body = assert_accepted(plane.post(APPLY, lane.replacement(), key="replace-1"))
    assert body["records"][ID] == held
    assert body["result"]["operation_id"] == held
    assert plane.counts()["launchplane_operations"] == before["launchplane_operations"]


def test_a_repeat_answers_with_the_operation_after_its_end(plane, lane):
    """TREP-19: also when finished"""
    done = replace(plane, lane)
    body = assert_accepted(plane.post(APPLY, lane.replacement(), key="replace-1"))
    assert body["records"][ID] == done["operation_id"]
    assert (body["result"]["status"], body["records"]["deployment_record_id"]) == ("pass", done["deployment_record_id"])
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


def test_the_same_key_with_another_request_is_a_conflict(plane, lane, held):
    """odoo 6.2 rule 3; an explicit default is another request"""
    for changes in ({"no_cache": True}, {"no_cache": False}, {"artifact_id": "", "source_git_ref": ""}):
        answer = plane.post(APPLY, lane.replacement(**changes), key="replace-1")
        assert_rejected(answer, 409, "idempotency_key_reused")


def test_another_key_on_a_busy_lane_is_refused_with_the_operation(plane, lane, held):
    """TREP-20"""
    body = assert_rejected(plane.post(APPLY, lane.replacement(), key="replace-2"), 409, BUSY)
    assert body["operation"]["operation_id"] == held
    assert body["operation"]["status"] in ("pending", "running")
    assert body["operation"]["poll_url"].endswith(held)


def test_the_same_key_of_another_caller_meets_a_busy_lane(plane, lane, held):
    """TREP-19: equal caller identity"""
    other = plane.token(environment="testing")
    assert_rejected(plane.post(APPLY, lane.replacement(), key="replace-1", token=other), 409, BUSY)


def test_a_stranger_learns_nothing_about_a_busy_lane(plane, lane, held):
    stranger = plane.token(repository="example-org/stranger")
    answer = plane.post(APPLY, lane.replacement(), key="replace-1", token=stranger)
    assert_rejected(answer, 403, "authorization_denied")
    assert held not in answer.text


def test_the_lane_is_free_again_after_the_end(plane, lane, held):
    plane.doubles.dokploy.faults.clear()
    assert plane.finish(held)["status"] == "pass"
    assert replace(plane, lane, key="replace-2")["status"] == "pass"


def test_the_lane_is_free_again_after_a_failure(plane, lane):
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    assert replace(plane, lane)["status"] == "fail"
    assert replace(plane, lane, key="replace-2")["status"] == "pass"


def test_many_at_once_get_one_operation(plane, lane):
    """TREP-21: the reservation is made in storage"""
    plane.doubles.dokploy.on("GET", "compose.one").hold_before()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: plane.post(APPLY, lane.replacement(), key=f"k{number}"), range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 7
    started = next(answer for answer in answers if answer.status_code == 202).json()["records"][ID]
    assert {answer.json()["operation"]["operation_id"] for answer in answers if answer.status_code == 409} == {started}
    plane.doubles.dokploy.faults.clear()
    assert plane.finish(started)["status"] == "pass"


def test_many_at_once_with_one_key_get_the_same_operation(plane, lane):
    plane.doubles.dokploy.on("GET", "compose.one").hold_before()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: plane.post(APPLY, lane.replacement(), key="k"), range(8)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["records"][ID] for answer in answers}) == 1
    plane.doubles.dokploy.faults.clear()
    assert plane.finish(answers[0].json()["records"][ID])["status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


def test_two_services_on_one_database_carry_an_operation_out_once(plane, make_plane, lane):
    """architecture: any number of processes run against one database"""
    other = make_plane(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    operation = replace(plane, lane)
    assert operation["status"] == "pass"
    assert other.operation(operation["operation_id"])["status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    assert len(plane.doubles.dokploy.schedule_runs) == 1


def test_the_callers_trace_context_reaches_the_provider(plane, lane):
    """architecture: traceparent in, out and into operation rows"""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    before = len(plane.doubles.dokploy.requests)
    answer = plane.post(APPLY, lane.replacement(), key="traced", headers={"traceparent": trace})
    plane.finish(answer.json()["result"]["operation_id"])
    assert {seen.traceparent for seen in plane.doubles.dokploy.requests[before:]} == {trace}


@pytest.mark.parametrize("value", ["00-zz", "x" * 55, "00-" + "A" * 32 + "-" + "0" * 16 + "-01"])
def test_a_malformed_trace_context_is_dropped(plane, lane, value):
    answer = plane.post(APPLY, lane.replacement(), key="traced", headers={"traceparent": value})
    assert answer.status_code == 202
    rows = plane.query("SELECT traceparent FROM launchplane_operations WHERE operation_id = %s",
                       answer.json()["result"]["operation_id"])
    assert rows == [{"traceparent": ""}]
