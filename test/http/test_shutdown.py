"""SIGTERM while something holds the service up: it ends within its limit, with 0, and leaves no process behind."""
import contextlib
import os
import pathlib
import signal
import socket

import psycopg
import pytest

import live
from checks import assert_accepted
from raw import Connection
from rehearsal.waiting import wait_until

DRAIN = 20                  # seconds that requests and phases get, all together: docs/operations.md
CLOSE = 2 + 5               # then for the audit log's last work, and for what is in flight to PostgreSQL
SECONDS = 30 + 10           # until the supervisor kills, and some: the log tells whether it had to
READ = "GET", "compose.one"
EFFECT = "POST", "compose.update"


def processes_of(session):
    """Processes of the session that the service was started in, zombies included."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, fields = path.read_text().rpartition(")")
            if int(fields.split()[3]) == session:
                found.append(name)
    return found


def signal_to(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def ask_to_end(plane):
    plane.service.process.send_signal(signal.SIGTERM)


def assert_ended(plane):
    """By itself, in order and completely."""
    wait_until(lambda: not plane.service.runs(), "the service to end", SECONDS)
    assert plane.terminate() == 0
    assert plane.logged(event="supervisor.drain_overdue") == [], "the supervisor had to kill"
    assert processes_of(plane.service.process.pid) == []
    assert plane.logged(event="supervisor.ended", exit_code=0)


def let_limits_pass(plane):
    """The service's clock runs fast through all that it grants: less than a call to a provider may take, 30 s."""
    moved = 0

    def over():
        nonlocal moved
        if moved < DRAIN + CLOSE:
            plane.pass_time(seconds=0.5)
            moved += 0.5
        return not plane.service.runs()

    wait_until(over, "the service to end", SECONDS)


def begin_to_end(plane):
    ask_to_end(plane)
    wait_until(lambda: plane.logged(event="worker.draining"), "the drain to begin", SECONDS)


def end_at_its_limits(plane):
    begin_to_end(plane)
    let_limits_pass(plane)
    assert_ended(plane)


@pytest.fixture
def changed(plane, lane):
    """A lane whose records have what its target does not."""
    live.expect(plane, lane, "ODOO_DB_USER")
    live.record(plane, lane, {"ODOO_DB_USER": "another"})
    return lane


@pytest.fixture
def held(plane):
    """held(METHOD, procedure): the next such call to the provider is not answered until the test is over."""
    rules = []

    def hold(method, procedure, times=1):
        rules.append(plane.doubles.dokploy.on(method, procedure).hold_before().times(times))
        return rules[-1]

    yield hold
    for rule in rules:
        rule.release()


@contextlib.contextmanager
def locked(plane, table):
    """Statements that use the table wait for as long as this lasts, as during a migration."""
    with psycopg.connect(plane.database_url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def waits_for_lock(plane):
    return plane.query("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
                       " AND application_name = 'launchplane'")


# what is under way

def test_an_operation_whose_provider_hangs(plane, changed, held):
    """After its first checkpoint, too, a phase can be told to let go"""
    rule = held(*EFFECT)
    live.beside(plane, changed, "hangs")
    assert rule.reached.wait(60)
    end_at_its_limits(plane)


def test_an_operation_at_work_for_long_ends_with_its_phase(plane, changed, held):
    """Whoever renews its lease does not hold it up: after the clock went back, that wait would not end"""
    rule = held(*EFFECT)
    assert_accepted(live.apply_async(plane, changed, "long"))
    assert rule.reached.wait(60)
    operation_id = live.operation_id_of(plane)
    begun = plane.query("SELECT heartbeat_at AS at FROM launchplane_operations WHERE operation_id = %s", operation_id)
    plane.pass_time(seconds=6)
    wait_until(lambda: plane.query("SELECT heartbeat_at AS at FROM launchplane_operations WHERE operation_id = %s",
                                   operation_id) != begun, "a renewal of the lease", 60)
    plane.pass_time(seconds=-3600)
    begin_to_end(plane)
    rule.release()
    assert_ended(plane)


def test_a_change_whose_provider_hangs(plane, changed, held):
    """A request that may change something is not cancelled when its caller leaves; it does not outlast the drain"""
    rule = held(*READ)
    with Connection(plane.url) as caller:
        caller.post(live.LIVE, live.body(changed, "dry-run"), f"Authorization: Bearer {plane.token()}")
        assert rule.reached.wait(60)
        end_at_its_limits(plane)


def test_a_change_whose_provider_hangs_and_whose_caller_left(plane, changed, held):
    rule = held(*READ)
    with Connection(plane.url) as caller:
        caller.post(live.LIVE, live.body(changed, "dry-run"), f"Authorization: Bearer {plane.token()}")
        assert rule.reached.wait(60)
    end_at_its_limits(plane)


def test_requests_and_operations_share_the_limit(plane, changed, held):
    """Not one after the other"""
    effect = held(*EFFECT)
    live.beside(plane, changed, "operation")
    assert effect.reached.wait(60)
    read = held(*READ)
    with Connection(plane.url) as caller:
        caller.post(live.LIVE, live.body(changed, "dry-run"), f"Authorization: Bearer {plane.token()}")
        assert read.reached.wait(60)
        begin_to_end(plane)
        plane.pass_time(seconds=DRAIN)
        wait_until(lambda: not plane.service.runs(), "the service to end", SECONDS)
    assert_ended(plane)


# connections

def test_connections_that_say_nothing_or_half_of_it(plane):
    fresh, kept, head, body = (Connection(plane.url, timeout=SECONDS) for _ in range(4))
    with fresh, kept, head, body:
        kept.get("/v1/health")
        assert kept.answer()[0] == 200
        head.send("GET /v1/health HTTP/1.1\r\nHost: a\r\n")
        body.send("POST /v1/evidence/deployments HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
                  f"Authorization: Bearer {plane.token()}\r\n\r\n{{")
        end_at_its_limits(plane)


def test_a_stream_whose_reader_has_gone_half(plane, changed, held):
    """It follows an operation that hangs, and has shut its side of the connection"""
    rule = held(*EFFECT)
    live.beside(plane, changed, "followed")
    assert rule.reached.wait(60)
    with Connection(plane.url, timeout=SECONDS) as reader:
        reader.get(f"/v1/operations/{live.operation_id_of(plane)}/events", f"Authorization: Bearer {plane.token()}",
                   "Accept: text/event-stream")
        assert reader.answer(to_head=True)[0] == 200
        reader.socket.shutdown(socket.SHUT_WR)
        end_at_its_limits(plane)


# the database

@pytest.mark.parametrize("table", ["launchplane_audit_pending", "launchplane_operations", "launchplane_authz_policies"])
def test_a_database_that_does_not_answer(plane, table):
    """A lock, as a migration takes it, under what the service does at its end and in the background"""
    with locked(plane, table):
        plane.pass_time(minutes=2)
        wait_until(lambda: waits_for_lock(plane), "somebody to wait for the lock", 60)
        end_at_its_limits(plane)


# a worker has crashed

@pytest.fixture
def successor(plane, tmp_path):
    """successor(place, number): crashes the worker; the one that follows is stopped at that place of its start. Its process."""
    def start(place, number):
        done = tmp_path / "done"
        done.touch()                       # those that are started while it is there are spared
        plane.settings.update(LAUNCHPLANE_TEST_FAULT=f"{place}:{number}:stop", LAUNCHPLANE_TEST_FAULT_DONE=str(done))
        plane.restart()
        first, = plane.workers()
        done.unlink()
        plane.kill_worker(first)
        wait_until(done.exists, f"the next worker to be stopped at {place}", 60)
        process, = plane.workers()
        wait_until(lambda: state_of(process) == "T", "it to stand still", 60)
        return process

    return start


def state_of(process):
    return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("place,number", [("db.wait", 1), ("db.answer", 1), ("commit.before", 1), ("commit.after", 1), ("db.wait", 3)])
def test_while_the_next_worker_starts(plane, successor, place, number):
    process = successor(place, number)
    ask_to_end(plane)
    wait_until(lambda: plane.logged(event="supervisor.stopping"), "the supervisor to hear of it", SECONDS)
    signal_to(process, signal.SIGCONT)
    assert_ended(plane)


def test_while_the_next_worker_waits_for_the_database(plane):
    """It cannot even begin, and is not waited for"""
    with locked(plane, "launchplane_authz_policies"):
        plane.kill_worker()
        wait_until(lambda: len(plane.logged(event="worker.started")) >= 2 and waits_for_lock(plane), "it to wait", 60)
        ask_to_end(plane)
        assert_ended(plane)


@pytest.mark.parametrize("event", ["worker.died", "worker.started", "worker.ready"])
@pytest.mark.parametrize("is_at_work", [False, True], ids=["idle", "at-work"])
def test_right_after_a_crash(plane, changed, held, is_at_work, event):
    """A caller waits for an operation; its worker crashes, and SIGTERM comes as soon as that can be seen in the log"""
    if is_at_work:
        rule = held(*EFFECT, times=2)
        answer = live.beside(plane, changed, "crashed")
        assert rule.reached.wait(60)
    before = len(plane.logged(event=event))
    signal_to(plane.workers()[0], signal.SIGABRT)
    wait_until(lambda: len(plane.logged(event=event)) > before, event, 60)
    ask_to_end(plane)
    if is_at_work:
        wait_until(lambda: plane.logged(event="supervisor.stopping"), "the supervisor to hear of it", SECONDS)
        let_limits_pass(plane)
    assert_ended(plane)
    if is_at_work:
        answer()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_right_beside_the_signal(plane, when):
    process, = plane.workers()
    if when == "before":
        signal_to(process, signal.SIGABRT)
    ask_to_end(plane)
    if when == "after":
        signal_to(process, signal.SIGABRT)
    assert_ended(plane)
