"""PostgreSQL fails under the service in every way it does in practice: nothing is lost, nothing happens twice, and callers are
told when to come back. SVC rows; architecture F2, F3."""
import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time

import psycopg
import pytest

from checks import assert_accepted, assert_ok
from rehearsal.waiting import wait_until
from replacement import inventory_of, submit
from sweep import FULL, report
from writers import Writers, judge

RECOVERY_SECONDS = 60
ENOUGH = 0.98             # of the throughput before


@pytest.fixture
def speed(request, plane, lane):
    """Measures the throughput before and after the trouble, and reports the ratio; only with FAULT_FULL=1. Is what it was before.

    A ratio that is too small fails the test when the machine was quiet enough to tell.
    """
    if not FULL:
        yield 0
        return
    with Writers(plane, lane, name="wbefore") as writers:
        before, is_quiet = writers.rate()
    judge(plane, writers)
    yield before
    with Writers(plane, lane, name="wafter") as writers:
        end, after = time.monotonic() + RECOVERY_SECONDS, 0
        while after < ENOUGH * before and time.monotonic() < end:
            after = max(after, writers.rate()[0])
    judge(plane, writers)
    report(f"postgresql {request.node.name}: {before:.0f}/s before, {after:.0f}/s after, ratio {after / before:.2f}"
           f"{'' if is_quiet else ', on a machine too busy to tell'}")
    assert after >= ENOUGH * before or not is_quiet


def name_of(plane):
    return plane.database_url.split("@/")[1].split("?")[0]


def assert_one_deploy(plane, lane, operation):
    assert operation["status"] == "pass", operation
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    assert len(plane.doubles.dokploy.schedule_runs) == 1
    assert inventory_of(plane, lane)["deployment_record_id"] == operation["deployment_record_id"]


def finish(plane, operation_id):
    """plane.finish() while reads may be refused."""
    def over():
        answer = plane.get(f"/v1/operations/{operation_id}")
        if answer.status_code != 200:
            assert answer.status_code in (503, 504) and int(answer.headers["Retry-After"]) >= 1, answer.text
            return None
        with contextlib.suppress(psycopg.Error):
            plane.skip_sleep(operation_id)
        operation = answer.json()["operation"]
        return operation if operation["status"] in ("pass", "fail") else None

    return wait_until(over, "the end", 90)


def held(plane, lane, procedure="compose.deploy"):
    """(operation id, rule): the job has got as far as this call, which has had its effect and is not answered yet."""
    rule = plane.doubles.dokploy.on("POST", procedure).times(1).hold_after()
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    return operation_id, rule


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
@pytest.mark.postgres(fsync="on", synchronous_commit="on", full_page_writes="on")
def test_a_restart_of_postgresql_loses_no_operation(cluster, plane, lane, how, speed):
    operation_id, rule = held(plane, lane)
    cluster.down(how)
    refused = plane.get(f"/v1/operations/{operation_id}")
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1, refused.text
    assert refused.json()["error"]["code"] == "database_unavailable"
    assert plane.get("/readyz", token=None).status_code == 503
    assert plane.get("/livez", token=None).status_code == 200
    rule.release()
    cluster.up()
    assert_one_deploy(plane, lane, finish(plane, operation_id))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
@pytest.mark.postgres(fsync="on", synchronous_commit="on", full_page_writes="on")
def test_a_restart_under_writers_keeps_each_accepted_write_once(cluster, plane, lane, how):
    with Writers(plane, lane) as writers:
        for _ in range(3):
            writers.wait_for_more()
            cluster.down(how)
            cluster.up()
        writers.wait_for_more()
    judge(plane, writers)


def test_terminated_connections_in_a_stream_of_writes(cluster, plane, lane, speed):
    with Writers(plane, lane) as writers:
        for _ in range(25):
            wait_until(lambda: cluster.connections_of(name_of(plane)), "a connection", RECOVERY_SECONDS)
            cluster.terminate(cluster.connections_of(name_of(plane)))
            writers.wait_for_more(3)
    judge(plane, writers)


def test_terminated_connections_in_the_middle_of_an_operation(cluster, plane, lane):
    operation_id = submit(plane, lane)
    stop = threading.Event()

    def terminate():
        pause = 0.2
        while not stop.wait(pause):
            cluster.terminate(cluster.connections_of(name_of(plane)))
            pause *= 1.2                   # on a slow machine, too, something gets done in the end

    thread = threading.Thread(target=terminate, daemon=True)
    thread.start()
    try:
        plane.run_until(operation_id, lambda: plane.doubles.dokploy.deploys(lane.compose_id), "the deploy")
    finally:
        stop.set()
        thread.join(30)
    assert_one_deploy(plane, lane, finish(plane, operation_id))


def refused_meanwhile(plane, path):
    """The answer to a read of which the database says nothing; the clock moves until the service gives up."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(plane.get(path, timeout=RECOVERY_SECONDS)), daemon=True)
    thread.start()
    while thread.is_alive():
        plane.pass_time(seconds=5)
        thread.join(0.2)
    return answers[0]


def test_a_database_paused_past_the_lease(cluster, plane, lane, speed):
    """The worker cannot renew; when the database goes on it has lost the lease or keeps it, and nothing happens twice."""
    operation_id, rule = held(plane, lane)
    cluster.pause()
    try:
        refused = refused_meanwhile(plane, f"/v1/operations/{operation_id}")
        assert refused.status_code in (503, 504) and int(refused.headers["Retry-After"]) >= 1, refused.text
        plane.pass_time(seconds=120)
        rule.release()
    finally:
        cluster.go_on()
    assert_one_deploy(plane, lane, finish(plane, operation_id))


def test_a_worker_that_dies_while_postgresql_is_away_is_replaced_when_it_is_back(cluster, plane, lane):
    """F2: its successors cannot start meanwhile; that must not end the service."""
    operation_id, rule = held(plane, lane)
    cluster.down(signal.SIGINT)
    plane.kill_worker()
    wait_until(lambda: len(plane.logged(event="worker.died")) >= 2 or not plane.service.runs(), "a successor to give up", 90)
    rule.release()
    cluster.up()
    assert plane.service.runs()
    wait_until(lambda: plane.get("/readyz", token=None).status_code == 200, "a worker", RECOVERY_SECONDS)
    assert_one_deploy(plane, lane, finish(plane, operation_id))


SLOTS = 12


@pytest.mark.postgres(max_connections=str(SLOTS), superuser_reserved_connections="0")
def test_connection_slots_taken_by_others(cluster, plane, lane, speed):
    """Callers are told to come back until there is room, and an operation goes on then."""
    operation_id, rule = held(plane, lane)
    name, others = name_of(plane), []
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as admin:
        def all_taken():
            """Takes each slot the service loses; true when it has none left, nor one that is only just beginning."""
            of_service = "FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'launchplane%%'"
            admin.execute(f"SELECT pg_terminate_backend(pid) {of_service}", [name])
            with contextlib.suppress(psycopg.OperationalError):
                while True:
                    others.append(psycopg.connect(cluster.url("postgres")))
            return len(others) == SLOTS - 1

        try:
            wait_until(all_taken, "every slot to be taken", RECOVERY_SECONDS)
            refused = plane.get("/v1/inventory/shop/testing")
            assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1, refused.text
            rule.release()
        finally:
            for connection in others:
                connection.close()
    wait_until(lambda: plane.get("/v1/inventory/shop/testing").status_code == 200, "room", RECOVERY_SECONDS)
    assert_one_deploy(plane, lane, finish(plane, operation_id))
    assert_accepted(plane.post("/v1/evidence/deployments", lane.deployment("deployment-1"), key="k"))


class Readers:
    """Four that read the same tables again and again, each time in one snapshot."""

    def __init__(self, plane, count=4):
        self.url, self.rounds, self.wrong = plane.database_url, 0, []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self):
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            while not self._stopped.is_set():
                seen = set()
                with connection.transaction():
                    for _ in range(10):
                        seen.add(connection.execute("SELECT (SELECT count(*) FROM launchplane_deployments),"
                                                    " (SELECT count(*) FROM launchplane_operation_events)").fetchone())
                        self._stopped.wait(0.05)
                self.rounds += 1
                self.wrong += [] if len(seen) == 1 else [seen]


def test_a_transaction_held_open_and_repeatable_readers_stop_nobody(request, plane, lane, speed):
    """xmin is held for the whole run by a transaction that has written, and four readers come back with a snapshot each."""
    meanwhile = 0
    with psycopg.connect(plane.database_url) as holder, Readers(plane) as readers:
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert holder.execute("SELECT txid_current(), count(*) FROM launchplane_deployments").fetchone()
        assert_one_deploy(plane, lane, finish(plane, submit(plane, lane)))
        with Writers(plane, lane) as writers:
            writers.wait_for_more(200, 120)
            meanwhile = writers.rate()[0] if FULL else 0
        judge(plane, writers)
        wait_until(lambda: readers.rounds >= 4, "the readers")
        assert readers.wrong == []
    if FULL:
        report(f"postgresql {request.node.name}: {speed:.0f}/s before, {meanwhile:.0f}/s meanwhile, ratio {meanwhile / speed:.2f}")


@pytest.fixture
def small_disk(cluster):
    """A directory with room for a few MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    directory = cluster.directory / "small"
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0777", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=True)


def fill(small_disk, plane, table):
    """Moves the table to the small disk, where nothing else has room then; the file that takes it."""
    home = small_disk / "tablespace"
    home.mkdir()
    shutil.chown(home, "postgres", "postgres")
    with psycopg.connect(plane.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE small LOCATION '{home}'")
        connection.execute(f"ALTER TABLE {table} SET TABLESPACE small")
    ballast = small_disk / "ballast"
    with open(ballast, "wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(65536))
            file.flush()
    return ballast


def test_a_full_disk_refuses_writes_and_recovers(small_disk, plane, lane, speed):
    """Writes are refused as temporary, reads go on, and nothing is half written."""
    before = assert_ok(plane.get("/v1/inventory/shop/testing"))["record"]
    ballast = fill(small_disk, plane, "launchplane_deployments")
    counts = plane.counts()
    refused = None
    for number in range(2000):
        answer = plane.post("/v1/evidence/deployments", lane.deployment(f"deployment-{number}"), key=f"k{number}")
        if answer.status_code != 202:
            refused = answer
            break
    assert refused is not None, "the disk never got full"
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) >= 1, refused.text
    assert plane.counts()["launchplane_deployments"] == counts["launchplane_deployments"] + number
    assert assert_ok(plane.get("/v1/inventory/shop/testing"))["record"]["context"] == before["context"]
    ballast.unlink()
    assert_accepted(plane.post("/v1/evidence/deployments", lane.deployment(f"deployment-{number}"), key=f"k{number}"))
    assert plane.counts()["launchplane_deployments"] == counts["launchplane_deployments"] + number + 1
    with psycopg.connect(plane.database_url, autocommit=True) as connection:    # what comes next is more than the small disk has room for
        connection.execute("ALTER TABLE launchplane_deployments SET TABLESPACE pg_default")


def test_a_disk_that_fills_in_the_middle_of_an_operation(small_disk, plane, lane):
    """No step can be written while the deploy has begun: whoever takes the operation over does not begin it again."""
    operation_id, rule = held(plane, lane)

    def fence():
        return plane.query("SELECT fence FROM launchplane_operations WHERE operation_id = %s", operation_id)[0]["fence"]

    before = fence()
    ballast = fill(small_disk, plane, "launchplane_operation_events")
    with psycopg.connect(plane.database_url, autocommit=True) as connection:
        with pytest.raises(psycopg.errors.DiskFull):
            for number in range(100000):    # what room is left in the table's last page
                connection.execute("INSERT INTO launchplane_operation_events (operation_id, seq, event) VALUES ('other', %s, 'submitted')",
                                   [number])
    rule.release()
    wait_until(lambda: plane.logged(event="operation.checkpoint_failed"), "a step that cannot be written", RECOVERY_SECONDS)
    wait_until(lambda: plane.pass_time(seconds=1) or fence() > before, "the next claim", RECOVERY_SECONDS)
    ballast.unlink()
    assert_one_deploy(plane, lane, finish(plane, operation_id))
