"""Ways to end and to be killed of which test_kill.py knows nothing: more than once, politely, all at once, right after the answer."""
import pytest

import ends
from dying import finish
from kinds import instant, lead_elsewhere
from rehearsal.waiting import wait_until
from replacement import submit
from sweep import FULL, LEASE_SECONDS, report


def judge(plane, lane, operation):
    assert operation["status"] == "pass", operation
    ends.replaced(plane, lane, operation)


def test_a_kill_right_after_the_answer(plane, lane):
    operation_id = submit(plane, lane)
    plane.kill()
    plane.restart()
    judge(plane, lane, plane.finish(operation_id))


def test_kills_again_and_again(plane, lane):
    instant(plane)
    lead_elsewhere(plane)
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


@pytest.mark.parametrize("number", range(5 if FULL else 1))
def test_work_of_a_host_that_died_is_resumed_when_its_lease_ends(plane, lane, number):
    """Nobody here can know that it is dead: the lease is waited for, in real time with FAULT_FULL=1."""
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = submit(plane, lane)
    assert rule.reached.wait(60)
    plane.kill()
    rule.release()
    lease, = plane.query("UPDATE launchplane_operations SET lease_owner = 'elsewhere/00000000-1/1.1/0.1'"
                         " WHERE operation_id = %s RETURNING lease_expires_at AS ends, fence", operation_id)
    plane.restart()
    if not FULL:
        plane.pass_time(seconds=LEASE_SECONDS - 1)
    claim, = wait_until(lambda: plane.query("SELECT heartbeat_at AS at FROM launchplane_operations WHERE operation_id = %s"
                                            " AND fence = %s", operation_id, lease["fence"] + 1), "the next claim", 3 * LEASE_SECONDS)
    late = (claim["at"] - lease["ends"]).total_seconds()
    report(f"lease resumed {late:.3f} s after the lease of a dead host")
    assert late >= 0
    assert late <= 1 or not FULL
    judge(plane, lane, plane.finish(operation_id))


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_both_workers_die_while_the_deploy_runs(plane, lane):
    plane.doubles.dokploy.deploy_seconds = 30
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, lambda: plane.doubles.dokploy.deploys(lane.compose_id), "the deploy")
    for process in plane.workers():
        plane.kill_worker(process)
    judge(plane, lane, finish(plane, operation_id))
