"""Asking Dokploy for a deploy and following its run, for each kind that has phases of its own for it. dokploy 6, F2.

Dokploy answers without an id and shows the run late, or never. Whatever happens to the request, the target is deployed once, and
an end that nobody saw is no success.
"""
import pytest

from kinds import SCENARIOS, operation_id_of
from rehearsal.waiting import wait_until

WAYS = ["live", "preview", "replacement"]
LOST = {"live_target_runtime_apply": "dokploy_deploy_failed"}


def as_application(plane, lane):
    """The lane's target is one image instead of a compose file."""
    dokploy = plane.doubles.dokploy
    app = dokploy.add_application("shop-app", lane.environment_id)
    dokploy.state.applications[app].update(sourceType="docker", dockerImage=lane.old.image)
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || '{\"target_type\":\"application\"}')::json")
    plane.query("UPDATE launchplane_dokploy_target_ids SET target_id = %s,"
                " payload = (payload::jsonb || jsonb_build_object('target_id', %s::text))::json", app, app)


@pytest.fixture(params=[*WAYS, "live of an application"])
def deploying(request, plane):
    """(kind, procedure, function that submits): a prepared start of one kind."""
    name, _, of = request.param.partition(" of an ")
    scenario = SCENARIOS[name]
    world = scenario.prepare(plane)
    if of:
        as_application(plane, world)
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || '{\"deploy_timeout_seconds\": 90}')::json")
    return scenario.kind, f"{of or 'compose'}.deploy", lambda: operation_id_of(plane, scenario.kind, scenario.submit(plane, world))


def deployed(plane):
    return len(plane.doubles.dokploy.queue.started)


def test_a_request_that_never_arrived_is_sent_again_once_nothing_runs(plane, deploying):
    _, procedure, submit = deploying
    plane.doubles.dokploy.on("POST", procedure).times(1).drop_before()
    operation = plane.finish(submit(), seconds=180)
    assert operation["status"] == "pass", operation["error_message"]
    assert (plane.doubles.dokploy.calls("POST", procedure), deployed(plane)) == (2, 1)


def test_a_request_that_arrives_late_is_waited_for(plane, deploying):
    """The connection was lost at once, the run appears later."""
    _, procedure, submit = deploying
    dokploy = plane.doubles.dokploy
    rule = dokploy.on("POST", procedure).times(1).drop_late()
    operation_id = submit()
    assert rule.reached.wait(60)
    for _ in range(2):
        seen = dokploy.calls("GET", "project.all")
        plane.run_until(operation_id, lambda: dokploy.calls("GET", "project.all") > seen, "a look at Dokploy", 60)
    assert dokploy.calls("POST", procedure) == 1
    rule.release()
    wait_until(lambda: dokploy.effects("POST", procedure) == 1, "the late request", 60)
    assert plane.finish(operation_id, seconds=180)["status"] == "pass"
    assert (dokploy.calls("POST", procedure), deployed(plane)) == (1, 1)


def test_a_deploy_that_dokploy_lost_is_neither_repeated_nor_called_a_success(plane, deploying):
    kind, procedure, submit = deploying
    plane.doubles.dokploy.on("POST", procedure).lie("lost_job")
    operation = plane.finish(submit(), seconds=180)
    assert (operation["status"], operation["error_code"]) == ("fail", LOST.get(kind, "upstream_lost"))
    assert "accepted" in operation["error_message"] and "appeared" in operation["error_message"]
    assert plane.doubles.dokploy.calls("POST", procedure) == 1


def test_requests_that_never_arrive_are_given_up(plane, deploying):
    kind, procedure, submit = deploying
    rule = plane.doubles.dokploy.on("POST", procedure).drop_before()
    operation = plane.finish(submit(), seconds=180)
    assert (operation["status"], operation["error_code"]) == ("fail", LOST.get(kind, "upstream_lost"))
    assert 2 <= rule.struck <= 5 and deployed(plane) == 0


def test_a_refused_deploy_is_asked_for_once(plane, deploying):
    kind, procedure, submit = deploying
    rule = plane.doubles.dokploy.on("POST", procedure).answer(403, {"message": "no", "code": "FORBIDDEN"})
    operation = plane.finish(submit(), seconds=180)
    assert (operation["status"], operation["error_code"]) == ("fail", LOST.get(kind, "provider_refused"))
    assert rule.struck == 1
