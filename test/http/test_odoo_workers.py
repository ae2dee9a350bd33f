"""What the engine does for Odoo's durable operations, for operators: status, taking up lost work, a worker by hand. odoo 6.6."""
import contextlib
import json
import os
import signal
import threading

import pytest

from checks import assert_ok, assert_rejected
from cli import Cli, bare
from kinds import instant
from plane import SANITIZER_SIGNS
from rehearsal import policy as policies
from rehearsal.service import spawn
from rehearsal.waiting import wait_until
from replacement import deployment_of, replace, submit

STATUS = "/v1/service/odoo-workers/status"
RECONCILE = "/v1/service/odoo-workers/reconcile"
GONE = "elsewhere/0000-1/1.1/0.1"          # a worker of another host: nobody here can see that it is dead
OPERATOR = pytest.mark.policy(policies.render(github_actions=[
    *policies.lane_rules(),
    policies.workflow_rule(["launchplane_service.read", "launchplane_service.reconcile_odoo_workers"], ["launchplane"], ["launchplane"])]))


def lose(plane, lane, expired=True, key="replace-1", **columns):
    """An operation whose worker died on another host, after the plan; the engine itself would look again in an hour."""
    rule = plane.doubles.dokploy.on("POST", "compose.update").hold_before().drop_before().times(1)
    operation_id = submit(plane, lane, key)
    plane.run_until(operation_id, rule.reached.is_set, "the first write")
    plane.kill()
    rule.release()
    columns = {"lease_owner": GONE, **columns}
    plane.query(f"UPDATE launchplane_operations SET {', '.join(f'{name} = %s' for name in columns)},"
                f" lease_expires_at = now() + %s * interval '1 second', next_run_at = now() + interval '1 hour'"
                " WHERE operation_id = %s", *columns.values(), -1 if expired else 3600, operation_id)
    plane.restart()
    return operation_id


@OPERATOR
def test_the_status_tells_counts_leases_and_ends_and_no_requests(plane, lane):
    operation_id = lose(plane, lane, expired=False)
    told = assert_ok(plane.get(STATUS))["workers"]
    assert told["replacement"]["counts"] == {"pending": 0, "running": 1, "pass": 0, "fail": 0, "cancelled": 0}
    lease, = told["replacement"]["leases"]
    assert (lease["operation_id"], lease["lease_owner"], lease["is_expired"]) == (operation_id, GONE, False)
    assert (lease["context"], lease["instance"], lease["step"]) == ("shop", "testing", "source")
    assert told["bootstrap"]["leases"] == told["replacement"]["recent_terminal"] == []
    assert assert_ok(plane.post(RECONCILE, {}))["reconciled_count"] == 0      # its worker may live
    plane.query("UPDATE launchplane_operations SET lease_expires_at = now(), next_run_at = now() WHERE operation_id = %s", operation_id)
    assert plane.finish(operation_id)["status"] == "pass"
    assert replace(plane, lane, key="second", source_git_ref="f" * 40)["status"] == "fail"
    told = assert_ok(plane.get(f"{STATUS}?recent_terminal_limit=1"))["workers"]["replacement"]
    assert (told["counts"]["pass"], told["counts"]["fail"], told["leases"]) == (1, 1, [])
    ended, = told["recent_terminal"]
    assert (ended["status"], ended["error_code"]) == ("fail", "operation_blocked")
    assert "request" not in ended and "result" not in ended
    assert assert_ok(plane.get(f"{STATUS}?recent_terminal_limit=0"))["workers"]["replacement"]["recent_terminal"] == []


@OPERATOR
@pytest.mark.parametrize("limit", ["101", "-1", "ten", "1.5"])
def test_a_wrong_limit_is_told(plane, limit):
    assert_rejected(plane.get(f"{STATUS}?recent_terminal_limit={limit}"), 400, "invalid_query")
    assert_rejected(plane.post(RECONCILE, {"max_attempts": 0}), 400, "invalid_request", "max_attempts")
    assert_rejected(plane.post(RECONCILE, {"max_attempts": 101}), 400, "invalid_request", "max_attempts")


def test_taking_up_needs_an_action_of_its_own(plane):
    assert_rejected(plane.post(RECONCILE, {}), 403, "authorization_denied")


@OPERATOR
def test_lost_work_is_taken_up_and_goes_on(plane, lane):
    """odoo 6.5, F2: resumed by what is recorded, nothing had twice"""
    operation_id = lose(plane, lane)
    answer = assert_ok(plane.post(RECONCILE, {}))
    assert answer["reconciled_replacement_ids"] == [operation_id]
    assert (answer["reconciled_bootstrap_ids"], answer["reconciled_count"]) == ([], 1)
    operation = plane.finish(operation_id)
    assert operation["status"] == "pass", operation
    assert "reconciled" in [event["event"] for event in operation["events"]]
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    assert assert_ok(plane.post(RECONCILE, {}))["reconciled_count"] == 0


@OPERATOR
def test_what_ends_every_worker_fails_for_an_operator(plane, lane):
    """odoo 6.5: attempts exhausted; the lane is free again and says what to do"""
    operation_id = lose(plane, lane, lost_leases=2)
    assert assert_ok(plane.post(RECONCILE, {"max_attempts": 4}))["reconciled_count"] == 1     # one is left
    operation = plane.finish(operation_id)
    assert operation["status"] == "pass", operation
    operation_id = lose(plane, lane, key="second", lost_leases=2)
    assert assert_ok(plane.post(RECONCILE, {"max_attempts": 3}))["reconciled_replacement_ids"] == [operation_id]
    failed = plane.operation(operation_id)
    assert (failed["status"], failed["error_code"], failed["phase"]) == ("fail", "operation_attempts_exhausted", "failed")
    assert "Dokploy" in failed["error_message"] and failed["finished_at"]
    assert deployment_of(plane, failed)["deploy"]["status"] == "fail"
    assert replace(plane, lane, key="third")["status"] == "pass"


def test_each_worker_that_is_lost_counts_until_a_checkpoint(plane, lane):
    def hold_the_first_write():
        return plane.doubles.dokploy.on("POST", "compose.update").hold_before().drop_before().times(1)

    held = hold_the_first_write()
    operation_id = submit(plane, lane)
    for number in range(2):
        plane.run_until(operation_id, held.reached.is_set, "the first write")
        lost = plane.query("SELECT lost_leases FROM launchplane_operations WHERE operation_id = %s", operation_id)[0]["lost_leases"]
        assert lost == number
        plane.kill()
        held.release()
        if number == 0:
            held = hold_the_first_write()     # before the next worker lives: it may be there at once
        plane.restart()
    assert plane.finish(operation_id)["status"] == "pass"
    assert plane.query("SELECT lost_leases FROM launchplane_operations WHERE operation_id = %s", operation_id) == [{"lost_leases": 0}]


@OPERATOR
def test_the_commands(plane, lane):
    """odoo 6.6, 16: status and reconcile ask the service; run-once is a worker of its own"""
    cli = Cli(plane)
    assert cli("service", "odoo-workers", "status", "--recent-terminal-limit", "3").code == 0
    assert cli("service", "odoo-workers", "reconcile", "--max-attempts", "2").json()["reconciled_count"] == 0
    assert cli("service", "odoo-workers", "wrong").code == 2
    instant(plane)
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().drop_before().times(1)
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the first look")
    plane.kill()
    rule.release()
    plane.query("UPDATE launchplane_operations SET lease_owner = '', lease_expires_at = NULL, next_run_at = now()"
                " WHERE operation_id = %s", operation_id)
    ran = bare("service", "odoo-workers", "run-once", LAUNCHPLANE_DATABASE_URL=plane.database_url,
               LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    assert ran.code == 0, ran
    assert ran.json()["workers"]["replacement"]["counts"]["pending"] == 0
    assert plane.doubles.dokploy.mutations() != []      # it got well past the plan, with no service at all
    plane.restart()
    assert plane.finish(operation_id)["status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


# the loop: odoo 6.5, 6.6

@contextlib.contextmanager
def worker(plane, *options, **settings):
    """The command at work, without the service's own workers having a chance; ends it if the test did not."""
    settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": plane.master_key,
                "LAUNCHPLANE_TEST_CLOCK_FILE": str(plane.doubles.clock.path), **settings}
    process = spawn("service", "odoo-workers", "run", *options, settings=settings)
    said, printed = [], []
    readers = [threading.Thread(target=lambda stream=stream, lines=lines: lines.extend(iter(stream.readline, "")), daemon=True)
               for stream, lines in ((process.stderr, said), (process.stdout, printed))]
    for reader in readers:
        reader.start()
    process.said, process.printed = said, printed
    try:
        wait_until(lambda: any(line.startswith("ready command/") for line in said), "the worker's ready line", 60)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
        for reader in readers:
            reader.join(10)
        process.stdout.close()
        process.stderr.close()
    assert not any(sign in line for line in said for sign in SANITIZER_SIGNS), said
    assert not any(secret in line for line in said + printed for secret in plane.secrets), said


def status_of(plane, operation_id):
    return plane.query("SELECT status, phase, lease_owner, error_message FROM launchplane_operations WHERE operation_id = %s", operation_id)[0]


def left_behind(plane, lane):
    """A pending operation, and no service at all."""
    instant(plane)
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().drop_before().times(1)
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the first look")
    plane.kill()
    rule.release()
    plane.query("UPDATE launchplane_operations SET lease_owner = '', lease_expires_at = NULL, next_run_at = now()"
                " WHERE operation_id = %s", operation_id)
    return operation_id


def ends(process, number=signal.SIGTERM):
    process.send_signal(number)
    return process.wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_loop_works_an_operation_off_and_ends_cleanly(plane, lane, number):
    operation_id = left_behind(plane, lane)
    with worker(plane) as process:
        plane.run_until(operation_id, lambda: status_of(plane, operation_id)["status"] in ("pass", "fail"), "its end", 120)
        assert status_of(plane, operation_id)["status"] == "pass", status_of(plane, operation_id)
        assert process.poll() is None                      # it waits for more
        assert ends(process, number) == 0, process.said
    assert json.loads("".join(process.printed))["workers"]["replacement"]["counts"]["pass"] == 1
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    plane.restart()
    assert plane.operation(operation_id)["status"] == "pass"


def test_a_stopped_loop_leaves_its_work_at_a_checkpoint_for_others(plane, lane):
    operation_id = left_behind(plane, lane)
    rule = plane.doubles.dokploy.on("POST", "compose.update").hold_before().times(1)
    with worker(plane) as process:
        plane.run_until(operation_id, rule.reached.is_set, "the first write", 120)
        assert status_of(plane, operation_id)["lease_owner"].startswith("command/")
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: any(line.startswith("stopping") for line in process.said), "that it heard", 60)
        rule.release()
        assert process.wait(60) == 0, process.said
    left = status_of(plane, operation_id)
    assert (left["status"], left["phase"], left["lease_owner"]) == ("running", "routes", ""), left
    plane.restart()
    assert plane.finish(operation_id)["status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    events = plane.operation(operation_id)["events"]
    assert len([event for event in events if event["event"] == "phase_done" and event["phase"] == "source"]) == 1


def test_a_killed_loop_loses_nothing(plane, lane):
    operation_id = left_behind(plane, lane)
    rule = plane.doubles.dokploy.on("POST", "compose.deploy").hold_after().times(1)
    with worker(plane) as process:
        plane.run_until(operation_id, rule.reached.is_set, "the deploy", 120)
        assert ends(process, signal.SIGKILL) == -signal.SIGKILL
    rule.release()
    plane.restart()
    assert plane.finish(operation_id)["status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


OTHER_KEY = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="


@pytest.mark.parametrize("command", ["run", "run-once"])
@pytest.mark.parametrize("words, settings, code, told", [
    (("--forever",), {}, 2, "--forever"),
    (("now",), {}, 2, ""),
    (("--log-level", "loud"), {}, 1, "--log-level"),
    ((), {"LAUNCHPLANE_DATABASE_URL": None}, 2, "LAUNCHPLANE_DATABASE_URL"),
    ((), {"LAUNCHPLANE_DATABASE_URL": "postgresql:///nothing?host=/nowhere"}, 1, "PostgreSQL cannot be reached"),
    ((), {"LAUNCHPLANE_MASTER_ENCRYPTION_KEY": None}, 1, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY is not set"),
    ((), {"LAUNCHPLANE_MASTER_ENCRYPTION_KEY": "short"}, 1, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY"),
    ((), {"LAUNCHPLANE_MASTER_ENCRYPTION_KEY": OTHER_KEY}, 1, "does not open the secrets"),
], ids=["option", "argument", "level", "no-database", "dead-database", "no-key", "bad-key", "other-key"])
def test_a_loop_that_could_do_no_good_does_not_start(shared_plane, shared_lane, command, words, settings, code, told):
    """odoo 6.5: it refuses to start, and takes no operation that it would fail"""
    given = {"LAUNCHPLANE_DATABASE_URL": shared_plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": shared_plane.master_key, **settings}
    refused = bare("service", "odoo-workers", command, *words, **given)
    assert refused.code == code and told in refused.err and "ready" not in refused.err, refused
    assert refused.out == "" or code == 2
