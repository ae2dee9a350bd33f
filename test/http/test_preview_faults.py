"""What goes wrong around a preview of its own: it passes, or fails with the cause and what to do next, leaves nothing half made,
and never touches the lane it takes after. PREV-47, PREV-66, F8, F10. More of each in test_odoo_preview_refresh.py."""
import pytest

from sweep import FULL
from test_odoo_faults import NEVER, NEXT, PATIENT, cancel_on_entry


@pytest.fixture
def previews(previews):
    dokploy = previews.dokploy
    dokploy.queue_seconds = dokploy.deploy_seconds = dokploy.schedule_seconds = 0
    return previews


@pytest.fixture
def made(plane, previews):
    """A preview that is there."""
    assert previews.refresh(key="before")["status"] == "pass"
    plane.pass_time(seconds=5)
    return previews


def judge(plane, lane, previews, operation, words):
    """words "": it passed; else they are in what is told, with what to do next."""
    assert operation["status"] == ("fail" if words else "pass"), operation
    told = operation["error_message"]
    if words:
        assert words in told and NEXT.search(told), told
        assert operation["result"]["error_message"] == told
    assert previews.dokploy.running(lane.compose_id).web_running and lane.compose_id in previews.dokploy.state.composes
    assert plane.query("SELECT 1 FROM launchplane_operations WHERE status IN ('pending', 'running')") == []


ONCE = {"it times out after it did it": lambda rule: rule.drop_after(), "it cuts its answer": lambda rule: rule.truncate()}
if FULL:
    ONCE.update({"it never gets it": lambda rule: rule.drop_before(), "it answers too late": lambda rule: rule.hold_after()})

REFRESH = {
    **{name: ("", lambda dokploy, how=how: how(dokploy.on("POST", "compose.deploy").times(1))) for name, how in ONCE.items()},
    "it refuses the deploy": ("403", lambda dokploy: dokploy.on("POST", "compose.deploy").answer(403)),
    "it ends the deploy with an error": ("ended the deploy", lambda dokploy: dokploy.on("POST", "compose.deploy").lie("deploy_error")),
    "it loses the deploy": ("appeared within", lambda dokploy: dokploy.on("POST", "compose.deploy").lie("lost_job")),
    "it does not end the deploy": ("did not end within", lambda dokploy: setattr(dokploy, "deploy_seconds", NEVER)),
    "somebody deploys before us": ("", lambda dokploy: dokploy.on("POST", "compose.deploy").lie("foreign_deploy").times(1)),
    "it refuses the domain": ("403", lambda dokploy: dokploy.on("POST", "domain.create").answer(403)),
    "it is away for the rest": ("503", lambda dokploy: dokploy.on("POST", "compose.update").answer(503)),
}


@pytest.mark.parametrize("name", REFRESH)
def test_each_fault_of_a_refresh_ends_well(plane, lane, previews, name):
    words, arrange = REFRESH[name]
    plan = previews.inputs()["dry_run_plan"]
    arrange(previews.dokploy)
    judge(plane, lane, previews, plane.finish(previews.submit(plan), PATIENT), words)
    assert (previews.compose() is None) is bool(words)
    previews.dokploy.faults.clear()
    previews.dokploy.restart()
    previews.dokploy.deploy_seconds = 0
    plane.pass_time(seconds=5)
    assert previews.refresh(key="again")["status"] == "pass"


@pytest.mark.parametrize("shown", [{}, {"environmentId": "e", "compose": None}, "<html>", None], ids=["empty", "without", "page", "null"])
def test_an_environment_that_is_not_shown_whole_is_no_empty_one(plane, lane, made, shown):
    """Taken for one, it would get a second compose service of that name."""
    plan = made.inputs()["dry_run_plan"]
    made.dokploy.on("GET", "environment.one").answer(200, shown).times(1)
    judge(plane, lane, made, plane.finish(made.submit(plan), PATIENT), "answer to environment.one is not an environment")
    plane.pass_time(seconds=5)
    assert made.refresh(key="again")["status"] == "pass"
    assert len(made.dokploy.state.composes) == 2


DESTROY = {
    **{f"{procedure}: {name}": ("", lambda dokploy, how=how, procedure=procedure: how(dokploy.on("POST", procedure).times(1)))
       for procedure in ("domain.delete", "compose.delete") for name, how in ONCE.items()},
    "it refuses to delete the route": ("403", lambda dokploy: dokploy.on("POST", "domain.delete").answer(403)),
    "it refuses to delete the compose service": ("403", lambda dokploy: dokploy.on("POST", "compose.delete").answer(403)),
    "it is away": ("503", lambda dokploy: dokploy.on("*", "*").answer(503)),
}


@pytest.mark.parametrize("name", DESTROY)
def test_each_fault_of_a_destroy_ends_well(plane, lane, made, name):
    words, arrange = DESTROY[name]
    plan = made.inputs("destroy")["dry_run_plan"]
    arrange(made.dokploy)
    judge(plane, lane, made, plane.finish(made.submit(plan), PATIENT), words)
    assert (made.compose() is None) is (not words)
    assert (made.records()[7]["state"] == "destroyed") is (not words)
    made.dokploy.faults.clear()
    if words:
        plane.pass_time(seconds=5)
        assert made.destroy(key="again")["status"] == "pass" and made.compose() is None


@pytest.mark.parametrize("phase, stops", [("wait", "plan"), ("plan", "plan"), ("domains", "domains"), ("compose", ""), ("record", "")])
def test_a_cancel_in_each_phase_of_a_destroy(plane, lane, made, phase, stops):
    """Until the first route is deleted it stops, and the preview is as it was; afterwards it is taken down to its end."""
    plan = made.inputs("destroy")["dry_run_plan"]
    cancel_on_entry(plane, phase, is_first=phase == "wait")
    operation = plane.finish(made.submit(plan), PATIENT)
    plane.query("DROP TRIGGER cancel_here ON launchplane_operations")
    assert operation["cancel_requested"] is True
    if stops:
        assert (operation["status"], operation["error_code"], operation["step"]) == ("fail", "operation_cancelled", stops), operation
        assert made.dokploy.domains_of(made.compose()["composeId"]) and made.records()[7]["state"] != "destroyed"
        plane.pass_time(seconds=5)
        assert made.destroy(key="again")["status"] == "pass"
    else:
        judge(plane, lane, made, operation, "")
    assert made.compose() is None and made.records()[7]["state"] == "destroyed"
