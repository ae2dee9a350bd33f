"""SIGKILL at every provider call and around every checkpoint of each kind of operation: it ends pass, each effect once.

The table of points is not written down: dry_run.py finds it out, and the last test looks whether it is complete.
"""
import os
import signal

import pytest

from dry_run import measure, passed
from dying import finish, insist
from rehearsal.lane import Lane
from rehearsal.waiting import wait_until
from replacement import submit
from scenarios import SCENARIOS

DRY_RUN = passed()
REPLACEMENT = DRY_RUN["replacement"]


def prepare(plane, lane):
    SCENARIOS["replacement"].prepare(plane, lane)


def judge(plane, lane, operation, name="replacement"):
    assert operation["status"] == "pass", operation
    SCENARIOS[name].judge(plane, lane, operation)


def submit_and_reach(plane, lane, rule, name="replacement"):
    """The operation's id, once the call is held."""
    operation_id = SCENARIOS[name].submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    return operation_id


def hold(rule, side):
    if side == "after":
        return rule.hold_after()
    return rule.hold_before().drop_before()      # the caller is dead: nothing reaches the provider


def name_of(call):
    return "-".join(map(str, call[1:]))


def each(of, ids=str):
    """Parameters (scenario, one of of(its dry run))."""
    return [pytest.param(name, value, id=f"{name}-{ids(value)}") for name, found in DRY_RUN.items() for value in of(found)]


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("name, call", each(lambda found: found.calls, name_of))
def test_a_kill_at_each_provider_call(plane, lane, name, call, side):
    """TREP, F1, F2: restart never fails, cancels or repeats an operation"""
    method, procedure, earlier = call
    SCENARIOS[name].prepare(plane, lane)
    rule = hold(plane.doubles.dokploy.on(method, procedure).after(earlier).times(1), side)
    operation_id = submit_and_reach(plane, lane, rule, name)
    plane.kill()
    rule.release()
    plane.restart()
    judge(plane, lane, plane.finish(operation_id), name)


@pytest.mark.parametrize("number", range(3))
def test_a_kill_while_the_deploy_is_watched(plane, lane, number):
    plane.doubles.dokploy.deploy_seconds = 30
    rule = plane.doubles.dokploy.on("GET", "deployment.allByCompose").after(number).times(1).hold_after()
    operation_id = submit_and_reach(plane, lane, rule)
    plane.kill()
    rule.release()
    plane.restart()
    judge(plane, lane, plane.finish(operation_id))


def points(found):
    return [
        *[f"claim.after:{number + 1}" for number in range(found.claims)],
        *[f"{place}:{number + 1}" for place in ("checkpoint.before", "checkpoint.after") for number in range(found.checkpoints)],
    ]


@pytest.fixture
def dies_at(doubles, make_plane, state_dir):
    """dies_at("place:number", scenario) makes a service that kills itself the n-th time it passes the place; see core/fault.h.

    The lane is prepared by another process before. It returns (plane, lane, condition that is true when it has happened).
    """
    def make(point, name="replacement", **settings):
        done_file = state_dir / "fault-done"
        first = make_plane()
        lane = Lane(doubles)
        lane.create_in_dokploy()
        first.secrets += lane.secret_values()
        lane.prepare(first)
        SCENARIOS[name].prepare(first, lane)
        assert first.terminate() == 0
        plane = make_plane(LAUNCHPLANE_TEST_FAULT=f"{point}:kill", LAUNCHPLANE_TEST_FAULT_DONE=str(done_file),
                           LAUNCHPLANE_MASTER_ENCRYPTION_KEY=first.master_key, **settings)
        plane.secrets += lane.secret_values()
        return plane, lane, done_file.exists

    return make


@pytest.mark.parametrize("name, point", each(points))
def test_a_process_that_dies_around_each_checkpoint(dies_at, name, point):
    plane, lane, has_died = dies_at(point, name)
    operation_id = insist(plane, lambda: SCENARIOS[name].submit(plane, lane))
    operation = finish(plane, operation_id)
    wait_until(has_died, "the fault")
    judge(plane, lane, operation, name)


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

@pytest.mark.parametrize("phase", REPLACEMENT.phases)
def test_one_of_two_workers_dies_at_the_start_of_each_phase(dies_at, phase):
    """The other one, or the one started in its place, goes on."""
    plane, lane, has_died = dies_at(f"phase.{phase}:1", LAUNCHPLANE_WORKERS="2")
    operation_id = insist(plane, lambda: submit(plane, lane))
    operation = finish(plane, operation_id)
    wait_until(has_died, "the fault")
    judge(plane, lane, operation)
    assert len(plane.logged(event="worker.died")) == 1


EFFECTS = [call for call in REPLACEMENT.calls if call[0] == "POST"]


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
@pytest.mark.parametrize("call", EFFECTS, ids=name_of)
def test_one_of_two_workers_dies_after_each_effect(plane, lane, call):
    method, procedure, earlier = call
    prepare(plane, lane)
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
@pytest.mark.parametrize("call", [REPLACEMENT.calls[0], *EFFECTS], ids=name_of)
def test_a_worker_that_was_frozen_past_its_lease_writes_nothing_when_it_wakes(plane, lane, call, side):
    """Fencing: the other worker finishes; what the woken one learns late goes nowhere."""
    method, procedure, earlier = call
    prepare(plane, lane)
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

@pytest.mark.parametrize("name", SCENARIOS)
def test_the_reference_run_without_a_kill(plane, lane, name):
    SCENARIOS[name].prepare(plane, lane)
    judge(plane, lane, plane.finish(SCENARIOS[name].submit(plane, lane)), name)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_sweep_is_complete(name):
    """Another run takes the same steps: no call, claim or checkpoint is missing in the tables."""
    assert measure(name) == DRY_RUN[name]


def test_each_provider_write_is_swept():
    """Every kind there is, this and those to come: test_kill_kinds.py."""
    swept = {call[1] for found in DRY_RUN.values() for call in found.calls if call[0] == "POST"}
    assert swept >= {"compose.update", "domain.update", "compose.deploy", "schedule.create", "schedule.runManually", "project.create",
                     "environment.create", "compose.create", "domain.create", "domain.delete"}
