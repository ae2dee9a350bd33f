"""SIGKILL at every provider call and around every checkpoint of a replacement: it ends pass, with one deploy.

The table of points is not written down: dry_run.py finds it out, and the last test looks whether it is complete.
"""
import os
import signal

import pytest

from dry_run import measure, passed, prepare
from plane import TERMINAL
from rehearsal.lane import Lane
from rehearsal.waiting import wait_until
from replacement import deployment_of, inventory_of, replace, submit

DRY_RUN = passed()


def judge(plane, lane, operation):
    dokploy = plane.doubles.dokploy
    assert operation["status"] == "pass", operation
    assert dokploy.deploys(lane.compose_id) == 1
    assert len(dokploy.schedule_runs) == 1
    assert len(dokploy.state.schedules) == 1
    assert len(dokploy.domains_of(lane.compose_id)) == 1
    assert dokploy.running(lane.compose_id).web_running
    assert inventory_of(plane, lane)["deployment_record_id"] == operation["deployment_record_id"]
    assert deployment_of(plane, operation)["deploy"]["status"] == "pass"
    rows = plane.query("SELECT count(*) AS n FROM launchplane_deployments WHERE deploy_started_at <> '2026-01-01T00:00:00Z'")
    assert rows[0]["n"] == 1


def submit_and_reach(plane, lane, rule):
    """The operation's id, once the call is held."""
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    return operation_id


def finish(plane, operation_id):
    """plane.finish() for a service that breaks connections, or dies and is started again as systemd would."""
    def over():
        if not plane.service.runs():
            plane.kill()
            plane.restart()
        try:
            operation = plane.operation(operation_id)
        except OSError:
            return None
        plane.skip_sleep(operation_id)
        return operation if operation["status"] in TERMINAL else None

    return wait_until(over, "the end", 90)


def submit_to_the_dying(plane, lane):
    """submit() to a service that may die before it answers: the same key is sent again until an answer comes.

    A claim follows the commit at once, so a kill at the claim or in the first phase races with the answer.
    """
    def answered():
        if not plane.service.runs():
            plane.kill()
            plane.restart()
        try:
            return submit(plane, lane)
        except OSError:
            return None

    return wait_until(answered, "an answer to the submission", 30)


def hold(rule, side):
    if side == "after":
        return rule.hold_after()
    return rule.hold_before().drop_before()      # the caller is dead: nothing reaches the provider


def name_of(call):
    return "-".join(map(str, call[1:]))


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("call", DRY_RUN.calls, ids=name_of)
def test_a_kill_at_each_provider_call(plane, lane, call, side):
    """TREP, F1, F2: restart never fails, cancels or repeats an operation"""
    method, procedure, earlier = call
    prepare(plane.doubles.dokploy)
    rule = hold(plane.doubles.dokploy.on(method, procedure).after(earlier).times(1), side)
    operation_id = submit_and_reach(plane, lane, rule)
    plane.kill()
    rule.release()
    plane.restart()
    judge(plane, lane, plane.finish(operation_id))


@pytest.mark.parametrize("number", range(3))
def test_a_kill_while_the_deploy_is_watched(plane, lane, number):
    plane.doubles.dokploy.deploy_seconds = 30
    rule = plane.doubles.dokploy.on("GET", "deployment.allByCompose").after(number).times(1).hold_after()
    operation_id = submit_and_reach(plane, lane, rule)
    plane.kill()
    rule.release()
    plane.restart()
    judge(plane, lane, plane.finish(operation_id))


POINTS = [
    *[f"claim.after:{number + 1}" for number in range(DRY_RUN.claims)],
    *[f"{place}:{number + 1}" for place in ("checkpoint.before", "checkpoint.after") for number in range(DRY_RUN.checkpoints)],
]


@pytest.fixture
def dies_at(doubles, make_plane, state_dir):
    """dies_at("place:number") makes a service that kills itself the n-th time it passes the place; see core/fault.h.

    It returns (plane, lane, condition that is true when it has happened).
    """
    def make(point, **settings):
        done_file = state_dir / "fault-done"
        plane = make_plane(LAUNCHPLANE_TEST_FAULT=f"{point}:kill", LAUNCHPLANE_TEST_FAULT_DONE=str(done_file), **settings)
        lane = Lane(doubles)
        lane.create_in_dokploy()
        prepare(doubles.dokploy)
        plane.secrets += lane.secret_values()
        lane.prepare(plane)
        return plane, lane, done_file.exists

    return make


@pytest.mark.parametrize("point", POINTS)
def test_a_process_that_dies_around_each_checkpoint(dies_at, point):
    plane, lane, has_died = dies_at(point)
    operation_id = submit_to_the_dying(plane, lane)
    operation = finish(plane, operation_id)
    wait_until(has_died, "the fault")
    judge(plane, lane, operation)


def test_a_kill_right_after_the_answer(plane, lane):
    operation_id = submit(plane, lane)
    plane.kill()
    plane.restart()
    judge(plane, lane, plane.finish(operation_id))


def test_kills_again_and_again(plane, lane):
    operation_id = submit(plane, lane)
    for _ in range(6):
        plane.kill()
        plane.restart()
        plane.skip_sleep(operation_id)
    judge(plane, lane, plane.finish(operation_id))


def test_sigterm_in_the_middle_loses_nothing(plane, lane):
    plane.doubles.dokploy.deploy_seconds = 30
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, lambda: plane.doubles.dokploy.deploys(lane.compose_id), "the deploy")
    assert plane.terminate() == 0
    plane.restart()
    judge(plane, lane, plane.finish(operation_id))


def test_a_service_that_was_frozen_cannot_write_after_its_lease_was_taken_over(plane, make_plane, lane):
    """Fencing: the late worker finds itself replaced."""
    dokploy = plane.doubles.dokploy
    rule = dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = submit(plane, lane)
    assert rule.reached.wait(20)
    everybody = [plane.service.process.pid, *plane.workers()]      # each worker leads a group of its own
    for process in everybody:
        os.kill(process, signal.SIGSTOP)
    other = make_plane(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    other.pass_time(minutes=30)
    rule.release()
    operation = other.finish(operation_id)
    for process in everybody:
        os.kill(process, signal.SIGCONT)
    judge(other, lane, operation)
    wait_until(lambda: plane.get("/v1/health", token=None).status_code == 200, "the woken service")
    assert other.operation(operation_id) == operation


# several workers

@pytest.mark.parametrize("phase", DRY_RUN.phases)
def test_one_of_two_workers_dies_at_the_start_of_each_phase(dies_at, phase):
    """The other one, or the one started in its place, goes on."""
    plane, lane, has_died = dies_at(f"phase.{phase}:1", LAUNCHPLANE_WORKERS="2")
    operation_id = submit_to_the_dying(plane, lane)
    operation = finish(plane, operation_id)
    wait_until(has_died, "the fault")
    judge(plane, lane, operation)
    assert len(plane.logged(event="worker.died")) == 1


EFFECTS = [call for call in DRY_RUN.calls if call[0] == "POST"]


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
@pytest.mark.parametrize("call", EFFECTS, ids=name_of)
def test_one_of_two_workers_dies_after_each_effect(plane, lane, call):
    method, procedure, earlier = call
    prepare(plane.doubles.dokploy)
    rule = plane.doubles.dokploy.on(method, procedure).after(earlier).times(1).hold_after()
    operation_id = submit_and_reach(plane, lane, rule)
    plane.kill_worker(plane.worker_of(operation_id))
    rule.release()
    judge(plane, lane, finish(plane, operation_id))


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_both_workers_die_while_the_deploy_runs(plane, lane):
    plane.doubles.dokploy.deploy_seconds = 30
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, lambda: plane.doubles.dokploy.deploys(lane.compose_id), "the deploy")
    for process in plane.workers():
        plane.kill_worker(process)
    judge(plane, lane, finish(plane, operation_id))


def row_of(plane, operation_id):
    return plane.query("SELECT o::text AS row FROM launchplane_operations o WHERE operation_id = %s", operation_id)


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("call", [DRY_RUN.calls[0], *EFFECTS], ids=name_of)
def test_a_worker_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(plane, lane, call, side):
    """Fencing: the other worker finishes; what the woken one learns late goes nowhere."""
    method, procedure, earlier = call
    prepare(plane.doubles.dokploy)
    rule = hold(plane.doubles.dokploy.on(method, procedure).after(earlier).times(1), side)
    operation_id = submit_and_reach(plane, lane, rule)
    frozen = plane.worker_of(operation_id)
    os.kill(frozen, signal.SIGSTOP)
    plane.api.close()                  # a kept connection may be the frozen worker's
    rule.release()
    plane.pass_time(minutes=1)
    judge(plane, lane, plane.finish(operation_id))
    before, calls = row_of(plane, operation_id), len(plane.doubles.dokploy.mutations())
    os.kill(frozen, signal.SIGCONT)
    wait_until(lambda: plane.logged(event="operation.lease_lost"), "the woken worker")
    assert frozen in plane.workers()
    assert plane.terminate() == 0
    assert row_of(plane, operation_id) == before
    assert len(plane.doubles.dokploy.mutations()) == calls
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


# the tables above

def test_the_reference_run_without_a_kill(plane, lane):
    judge(plane, lane, replace(plane, lane))


def test_the_sweep_is_complete():
    """Another run takes the same steps: no call, claim or checkpoint is missing in the tables."""
    again = measure()
    assert again == DRY_RUN
    assert {call[1] for call in EFFECTS} >= {"compose.update", "domain.update", "compose.deploy", "schedule.create", "schedule.runManually"}
