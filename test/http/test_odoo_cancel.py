"""Cancelling each kind of operation that works on a lane: honoured before the first effect, and not in the middle of a run."""
import pytest

from kinds import SCENARIOS, operation_id_of

NAMES = ["bootstrap", "post-deploy", "backup-gate", "prod-promotion", "prod-rollback"]


@pytest.fixture(params=NAMES)
def scenario(request):
    return SCENARIOS[request.param]


@pytest.fixture
def world(plane, scenario):
    made = scenario.prepare(plane)
    for seen in (plane.doubles.dokploy.requests, plane.doubles.dokploy.schedule_runs, plane.doubles.dokploy.queue.started):
        seen.clear()
    return made


def submit_and_cancel_at(plane, scenario, world, rule):
    """The operation's end after a cancel while this call was held."""
    operation_id = operation_id_of(plane, scenario.kind, scenario.submit(plane, world))
    plane.run_until(operation_id, rule.reached.is_set, "the call", 60)
    assert plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "drill"}).status_code in (200, 202)
    rule.release()
    return plane.finish(operation_id)


def test_a_cancel_is_honoured_before_the_first_effect(plane, scenario, world):
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    operation = submit_and_cancel_at(plane, scenario, world, rule)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_cancelled"), operation
    assert plane.doubles.dokploy.mutations() == []
    assert all(plane.doubles.dokploy.running(lane.compose_id).web_running for lane in world.lanes)


def test_a_cancel_after_the_run_was_asked_for_waits_for_its_end(plane, scenario, world):
    rule = plane.doubles.dokploy.on("POST", "schedule.runManually").hold_after().times(1)
    operation = submit_and_cancel_at(plane, scenario, world, rule)
    assert operation["status"] == "pass", operation
    scenario.judge(plane, world, operation)
