"""Tests of guards (docs/guards.md) that no scenario elsewhere would miss: each fails in a build without its guard."""
import os
import signal

import pytest

import ends
from checks import assert_accepted
from rehearsal.waiting import wait_until
from replacement import APPLY, submit


def test_f1_a_frozen_services_work_is_taken_over_and_it_cannot_write(plane, make_plane, lane):
    """Fencing: the late worker finds itself replaced."""
    dokploy = plane.doubles.dokploy
    rule = dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = submit(plane, lane)
    assert rule.reached.wait(60)
    plane.api.close()                  # a kept connection may be too old when it wakes
    everybody = [plane.service.process.pid, *plane.workers()]      # each worker leads a group of its own
    for process in everybody:
        os.kill(process, signal.SIGSTOP)
    other = make_plane(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    other.pass_time(minutes=30)
    rule.release()
    operation = other.finish(operation_id)
    for process in everybody:
        os.kill(process, signal.SIGCONT)
    assert operation["status"] == "pass", operation
    ends.replaced(other, lane, operation)
    wait_until(lambda: plane.logged(event="operation.lease_lost"), "the woken worker to be refused")
    assert plane.get("/v1/health", token=None).status_code == 200
    assert other.operation(operation_id) == operation


def test_f2_a_deploy_is_not_repeated_after_a_kill(plane, lane):
    rule = plane.doubles.dokploy.on("POST", "compose.deploy").times(1).hold_after()
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    plane.kill()
    rule.release()
    plane.restart()
    assert plane.finish(operation_id)["status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


def test_f3_a_commit_that_fails_is_not_told_as_accepted(plane, lane):
    plane.query("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'at commit'; END $$")
    plane.query("CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON launchplane_runtime_environments"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()")
    before = plane.counts()
    body = lane.lane_config()
    body["runtime_env"]["ODOO_WORKERS"] = "4"
    answer = plane.post("/v1/product-config/apply", body)
    assert answer.status_code == 500, answer.text
    assert plane.counts() == before


def test_f7_a_waiting_operation_holds_its_lane(plane, lane):
    plane.doubles.dokploy.deploy_seconds = 30
    first = submit(plane, lane)
    plane.run_until(first, lambda: plane.doubles.dokploy.deploys(lane.compose_id), "the deploy")
    second = plane.post(APPLY, lane.replacement(), key="replace-2")
    assert second.status_code == 409 and second.json()["operation"]["operation_id"] == first, second.text
    assert plane.finish(first)["status"] == "pass"
    assert_accepted(plane.post(APPLY, lane.replacement(), key="replace-2"))


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_f9_a_worker_that_was_replaced_writes_nothing_while_its_successor_works(plane, lane):
    dokploy = plane.doubles.dokploy
    late, now = [dokploy.on("GET", "compose.one").after(number).times(1).hold_before() for number in range(2)]
    operation_id = submit(plane, lane)
    assert late.reached.wait(30)
    frozen = plane.worker_of(operation_id)
    os.kill(frozen, signal.SIGSTOP)
    plane.api.close()                  # a kept connection may be the frozen worker's
    plane.pass_time(seconds=16)
    assert now.reached.wait(30)        # its successor is at work
    before = plane.query("SELECT o::text AS row, (SELECT count(*) FROM launchplane_operation_events) AS events"
                         " FROM launchplane_operations o")
    late.release()
    os.kill(frozen, signal.SIGCONT)
    wait_until(lambda: plane.logged(event="operation.lease_lost"), "the woken worker to be refused", 30)
    after = plane.query("SELECT o::text AS row, (SELECT count(*) FROM launchplane_operation_events) AS events"
                        " FROM launchplane_operations o")
    now.release()
    assert [row["events"] for row in after] == [row["events"] for row in before]
    assert plane.finish(operation_id)["status"] == "pass"
    assert dokploy.deploys(lane.compose_id) == 1
