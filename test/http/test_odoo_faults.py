"""What goes wrong around a lane, and how each kind that works on it must end: pass, or fail with the cause and what to do next,
and the lane's web service runs. One table for testing and prod; the phases are the engine's own list.

Here each fault with one kind, and some phases of each kind; every cell with FAULT_FULL=1, as `./ci/run fault` does.
Elsewhere: SIGKILL around each effect (test_kill.py), each wait failing once (test_waits.py), previews (test_odoo_preview_*.py),
what is recorded of each failure (test_replacement_failures.py, test_stable_bootstrap.py, test_post_deploy.py, test_prod_lane.py).
"""
import contextlib
import dataclasses
import re
import typing

import pytest

import kinds
from checks import assert_accepted, assert_rejected
from conftest import short_directory
from lane_work import ASYNC, post_deploy_request, put_overrides
from rehearsal.service import run_to_end
from rehearsal.tenant import ODOO, Life
from sweep import FULL, Sweep, evenly

NEXT = re.compile(r"\b(look at|read its log|submit|wait until|start it)\b")
NEVER = 10**9
PATIENT = 240                                    # seconds: some ask 200 times before they give up
MAYBE_RUN = "may or may not have started"        # a destructive run is not asked for twice


# the kinds

def replaced(plane):
    """Testing runs the second artifact and says so; it has settings that no deploy has brought it yet."""
    made = kinds.tenant(plane)
    assert Life(made, plane, plane.finish).replace(made.second)["status"] == "pass"
    put_overrides(plane)
    return made


STARTS = {"replaced": replaced, "promotable": kinds.promotable_tenant, "promoted": kinds.promoted_tenant}


@dataclasses.dataclass(frozen=True)
class Kind:
    name: str
    start: str
    instance: str
    path: str
    body: typing.Callable            # (tenant) -> the request
    busy: str = "operation_active"
    deploys: int = 1                 # of one that passes
    runs: int = 1
    again: bool = True               # may be asked for again once it has passed

    def submit(self, plane, tenant, key="fault-1"):
        assert_accepted(plane.post(f"{ODOO}/{self.path}", self.body(tenant), key=key, headers=ASYNC))
        row, = plane.query("SELECT operation_id FROM launchplane_operations WHERE kind = %s AND idempotency_key = %s", self.name, key)
        return row["operation_id"]


KINDS = {
    "replacement": Kind("odoo_stable_target_replacement", "replaced", "testing", "target-replacement-apply",
                        lambda t: t.replacement(t.third), "odoo_stable_target_replacement_operation_active"),
    "promotion": Kind("odoo_prod_promotion", "promotable", "prod", "prod-promotion",
                      lambda t: t.promotion(t.second, "gate-1"), again=False),
    "rollback": Kind("odoo_prod_rollback", "promoted", "prod", "prod-rollback", lambda t: t.rollback(t.first)),
    "rollback to testing's": Kind("odoo_prod_rollback", "promoted", "prod", "prod-rollback", lambda t: t.rollback()),
    "bootstrap": Kind("odoo_stable_bootstrap", "replaced", "testing", "stable-bootstrap", lambda t: t.bootstrap(),
                      "odoo_stable_bootstrap_operation_active", runs=2),
    "post-deploy": Kind("odoo_post_deploy", "replaced", "testing", "post-deploy", lambda t: post_deploy_request(t.testing)),
    "backup gate": Kind("odoo_prod_backup_gate", "promotable", "prod", "prod-backup-gate", lambda t: t.gate("gate-2"), deploys=0),
}
REPLACES = ("replacement", "promotion", "rollback", "rollback to testing's")


@pytest.fixture(scope="module")
def starts(cluster, template):
    """starts(name): one prepared start, gone from again and again."""
    with contextlib.ExitStack() as stack:
        made = {}

        def start(name):
            if name not in made:
                directory = stack.enter_context(short_directory())
                scenario = kinds.Scenario("", STARTS[name], None, None)
                made[name] = stack.enter_context(Sweep(name, cluster, template, directory, scenario))
            return made[name]

        yield start


class World:
    """One cell: the service on a copy of the prepared start, and doubles without a fault yet."""

    def __init__(self, plane, tenant, kind):
        self.plane, self.tenant, self.kind = plane, tenant, kind
        self.lane = getattr(tenant, kind.instance)
        self.dokploy, self.face = plane.doubles.dokploy, plane.doubles.odoo.face(self.lane.host)

    def finish(self, meanwhile=lambda operation_id: None):
        operation_id = self.kind.submit(self.plane, self.tenant)
        meanwhile(operation_id)
        return self.plane.finish(operation_id, PATIENT)

    def web_runs(self):
        return all(self.dokploy.running(lane.compose_id).web_running for lane in self.tenant.lanes)

    def judge(self, operation, words):
        """words "": it must pass, with each effect once; else they are in what is told."""
        assert self.web_runs()
        assert operation["status"] == ("fail" if words else "pass"), operation
        told = operation["error_message"]
        if words:
            assert words in told and NEXT.search(told), told
            assert operation["error_code"] and operation["result"]["error_message"] == told
        else:
            ours = [title for _, title in self.dokploy.queue.started if title != "Manual deployment"]
            assert len(ours) == self.kind.deploys
            assert len(self.dokploy.schedule_runs) == self.kind.runs
        assert self.plane.query("SELECT 1 FROM launchplane_operations WHERE status IN ('pending', 'running')") == []


@pytest.fixture
def world(starts):
    """world(kind)"""
    with contextlib.ExitStack() as stack:
        def make(kind):
            sweep = starts(KINDS[kind].start)
            dokploy = sweep.doubles.dokploy
            dokploy.faults.clear()
            dokploy.restart()
            kinds.instant(sweep.base)
            sweep.doubles.odoo.faces.clear()
            plane = stack.enter_context(sweep.start())
            plane.start()
            stack.callback(lambda: check_requests(dokploy))
            return World(plane, sweep.world, KINDS[kind])

        yield make


def check_requests(dokploy):
    assert dokploy.defects == []


# the faults

# Those that happen in the middle are arranged before anything is submitted, and return what is done then: (operation's id) -> None.

def while_held(procedure, act, side="before"):
    """Does act at the first such call, before it has its effect."""
    def arrange(world):
        rule = world.dokploy.on("POST", procedure).times(1)
        rule = rule.hold_before() if side == "before" else rule.hold_after()

        def meanwhile(operation_id):
            world.plane.run_until(operation_id, rule.reached.is_set, procedure, PATIENT)
            act(world)
            rule.release()
        return meanwhile
    return arrange


def restart_in_the_deploy(world):
    world.dokploy.deploy_seconds = NEVER

    def meanwhile(operation_id):
        world.plane.run_until(operation_id, lambda: world.dokploy.deploys(world.lane.compose_id), "the deploy to run", PATIENT)
        world.dokploy.deploy_seconds = 0
        world.dokploy.restart()
    return meanwhile


def restart_in_the_script(world):
    """It has stopped web by then, and does not come to start it."""
    def runs():
        return any(row["status"] == "running" and row.get("scheduleId") for row in list(world.dokploy.state.deployments.values()))

    def meanwhile(operation_id):
        world.plane.run_until(operation_id, runs, "the script to run", PATIENT)
        world.dokploy.running(world.lane.compose_id).web_running = False
        world.dokploy.schedule_seconds = 0
        world.dokploy.restart()

    world.dokploy.schedule_seconds = NEVER
    return meanwhile


class Fault:
    """How it is arranged, what happens meanwhile, and how each kind ends: what is told, "" for a pass, None: it does not meet it."""

    def __init__(self, replaces, bootstrap, post_deploy, backup_gate, arrange=lambda world: None, meanwhile=None):
        self.told = {**dict.fromkeys(REPLACES, replaces), "bootstrap": bootstrap, "post-deploy": post_deploy, "backup gate": backup_gate}
        self.arrange, self.meanwhile = arrange, meanwhile

    def happens(self, world):
        """Before anything is submitted; returns what is done while the operation is at work, for World.finish()."""
        self.arrange(world)
        return self.meanwhile(world) if self.meanwhile else lambda operation_id: None


def deploy(how):
    return lambda world: how(world.dokploy.on("POST", "compose.deploy").times(1))


def run(how):
    return lambda world: how(world.dokploy.on("POST", "schedule.runManually").times(1))


def face(**changes):
    return lambda world: [setattr(world.face, name, value) for name, value in changes.items()]


FAULTS = {
    # Dokploy
    "it times out after it accepted the deploy": Fault("", "", "", None, deploy(lambda rule: rule.drop_after())),
    "it accepts the deploy and answers too late": Fault("", "", "", None, deploy(lambda rule: rule.hold_after())),
    "it never gets the deploy": Fault("", "", "", None, deploy(lambda rule: rule.drop_before())),
    "it reports success while the old artifact is served": Fault("identity", "", "", None, deploy(lambda rule: rule.lie("old_snapshot"))),
    "it loses the deploy": Fault(*["appeared within"] * 3, None, deploy(lambda rule: rule.lie("lost_job"))),
    "it ends the deploy with an error": Fault(*["ended the deploy"] * 3, None, deploy(lambda rule: rule.lie("deploy_error"))),
    "it refuses the deploy": Fault(*["403"] * 3, None, deploy(lambda rule: rule.answer(403))),
    "it does not end the deploy": Fault(
        *["did not end within"] * 3, None, lambda world: setattr(world.dokploy, "deploy_seconds", NEVER)),
    "somebody deploys before us": Fault("", "", "", None, deploy(lambda rule: rule.lie("foreign_deploy"))),
    "it restarts in the middle of the deploy": Fault(*["cancelled"] * 3, None, meanwhile=restart_in_the_deploy),
    "it loses the schedule before its run": Fault(
        *["was not run"] * 4, meanwhile=while_held("schedule.runManually", lambda world: world.dokploy.state.schedules.clear())),
    "it loses the schedule after its run": Fault(
        *[""] * 4, meanwhile=while_held("schedule.runManually", lambda world: world.dokploy.state.schedules.clear(), "after")),
    "it times out after it ran the script": Fault(*[""] * 4, run(lambda rule: rule.drop_after())),
    "it runs the script and answers too late": Fault(*[""] * 4, run(lambda rule: rule.hold_after())),
    "it never gets to run the script": Fault("", MAYBE_RUN, "", "", run(lambda rule: rule.drop_before())),
    "its log lacks the last line": Fault(
        *["lacks the line it ends with"] * 4, run(lambda rule: rule.lie("script_recorded_done", exit_code=0, lines=["a line"]))),
    "its log cannot be read": Fault(
        "", "", "", "could not be read", lambda world: world.dokploy.on("GET", "deployment.readLogs").answer(500)),
    "the script fails and leaves web stopped": Fault(*["failed (error)"] * 4, run(lambda rule: rule.lie("script_leaves_web_stopped"))),
    "it does not end the script": Fault(*["did not end within"] * 4, lambda world: setattr(world.dokploy, "schedule_seconds", NEVER)),
    "it refuses the environment": Fault(*["403"] * 3, None, lambda world: world.dokploy.on("POST", "compose.update").having("env").answer(403)),
    "it refuses the schedule": Fault(*["403"] * 4, lambda world: world.dokploy.on("POST", "schedule.*").answer(403)),
    "it is away": Fault(*["503"] * 4, lambda world: world.dokploy.on("*", "*").answer(503)),
    "it restarts in the middle of the script": Fault(*["cancelled"] * 4, meanwhile=restart_in_the_script),
    # Odoo
    "it starts later than the deadline": Fault("health check", "health check", "", "", face(start_seconds=NEVER)),
    "it starts late, within the deadline": Fault(*[""] * 4, face(start_seconds=120)),
    "its health has no identity": Fault("identity", "identity", "", "", face(identity="missing")),
    "its health has the identity of another artifact": Fault(
        "artifact_id", "artifact_id", "", "", face(identity_changes={"artifact_id": "artifact-shop-9999"})),
    "its page redirects to another host": Fault(
        "redirects to", "redirects to", "", "",
        lambda world: setattr(world.face, "redirect", world.plane.doubles.odoo.base_url("elsewhere.example.com") + "/")),
    "its canonical link names another host": Fault("canonical", "canonical", "", "", face(canonical="https://elsewhere.example.com")),
}


def cells():
    """Each fault with one of the kinds that meet it, taken in turn; with all of them when FULL."""
    for number, (name, fault) in enumerate(FAULTS.items()):
        meeting = [kind for kind in KINDS if fault.told[kind] is not None]
        yield from ((kind, name) for kind in (meeting if FULL else [meeting[number % len(meeting)]]))


@pytest.mark.parametrize("kind, name", cells())
def test_each_fault_ends_well(world, kind, name):
    """F8, TREP-35, BOOT-16 to 19, RID-12, RID-13, ODOO-11, BKP-07, BKP-08"""
    here, fault = world(kind), FAULTS[name]
    here.judge(here.finish(fault.happens(here)), fault.told[kind])


# the operator

def phases():
    """(kind, phase, the phase before which a wish to cancel that is there at its entry stops it; "": it runs to its end).

    Of the program's own reference. The first is entered as the operation is made: the wish can only come while it is at work.
    """
    code, out, err = run_to_end("docs", "print", "operation-kinds", settings={})
    assert code == 0, err
    for kind, row in KINDS.items():
        section = out.split(f"\n## {row.name}\n")[1].split("\n## ")[0]
        found = re.findall(r"^\| `(\w+)` \|(.*)\|$", section.split("### Request")[0], re.M)
        names = [name for name, _ in found]
        stops = ["" if columns.split("|")[4].strip() == "no" else name for name, columns in found]
        all_of_it = list(zip([kind] * len(names), names, [stops[1], *stops[1:]]))
        yield from all_of_it if FULL else evenly(all_of_it, 3)


def cancel_on_entry(plane, phase, is_first):
    """The request to cancel is there as the operation enters the phase: exactly then, on however slow a machine."""
    moment = "INSERT" if is_first else "UPDATE"
    plane.query("CREATE FUNCTION cancel_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                " NEW.cancel_requested_at := clock_timestamp(); NEW.cancel_requested_by := 'operator';"
                " NEW.cancel_reason := 'drill'; RETURN NEW; END $$")
    plane.query(f"CREATE TRIGGER cancel_here BEFORE {moment} ON launchplane_operations FOR EACH ROW"
                f" WHEN (NEW.phase = '{phase}' AND NEW.cancel_requested_at IS NULL) EXECUTE FUNCTION cancel_here()")


@pytest.mark.parametrize("kind, phase, stops", phases())
def test_a_cancel_in_each_phase_ends_well(world, kind, phase, stops):
    """F10: before an effect it stops there; after it the work runs to its end"""
    here = world(kind)
    cancel_on_entry(here.plane, phase, is_first=stops not in (phase, ""))
    operation = here.finish()
    here.plane.query("DROP TRIGGER cancel_here ON launchplane_operations")
    assert here.web_runs() and operation["cancel_requested"] is True
    if stops:
        assert (operation["status"], operation["error_code"]) == ("fail", "operation_cancelled"), operation
        assert operation["error_message"].startswith("cancelled before ") and "drill" in operation["error_message"]
        assert operation["step"] == stops
        assert here.dokploy.deploys(here.lane.compose_id) == len(here.dokploy.schedule_runs) == 0
    else:
        here.judge(operation, "")
    if stops or here.kind.again:                             # the lane is free, and nothing stands in the way
        again = here.kind.submit(here.plane, here.tenant, key="again")
        assert here.plane.finish(again)["status"] == "pass"


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_finds_it_and_another_meets_a_busy_lane(world, kind):
    """TREP-18 to 21, BOOT-25 to 27"""
    here = world(kind)
    plane, tenant = here.plane, here.tenant
    rule = here.dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = here.kind.submit(plane, tenant)
    assert rule.reached.wait(PATIENT)
    assert here.kind.submit(plane, tenant) == operation_id
    busy = plane.post(f"{ODOO}/{here.kind.path}", here.kind.body(tenant), key="other", headers=ASYNC)
    assert assert_rejected(busy, 409, here.kind.busy)["operation"]["operation_id"] == operation_id
    rule.release()
    here.judge(plane.finish(operation_id), "")
    assert here.kind.submit(plane, tenant) == operation_id
    found = plane.query("SELECT 1 FROM launchplane_operations WHERE kind = %s AND idempotency_key IN ('fault-1', 'other')", here.kind.name)
    assert len(found) == 1
