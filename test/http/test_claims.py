"""Who works on an operation, and when it is found: taken along by who submits it, claimed when due, wherever its wake-up lies."""
import contextlib
import json

import psycopg

from engine import Engine
from rehearsal.waiting import wait_until
from replacement import replace, submit

# In one statement, as a submission does it: a claim may come at once.
AGAIN = """WITH made AS (
    INSERT INTO launchplane_operations
           (operation_id, kind, product, context, instance, holds_lane, status, phase, request, state, created_at, updated_at, next_run_at)
    SELECT %s, kind, product, context, instance, true, 'pending', %s, request, '{}', now(), now(), now() - %s::interval
      FROM launchplane_operations WHERE operation_id = %s
    RETURNING operation_id)
INSERT INTO launchplane_operation_events (operation_id, seq, event) SELECT operation_id, 1, 'submitted' FROM made"""
CLAIMED = "SELECT fence FROM launchplane_operations WHERE operation_id = %s AND fence > 0"


def test_who_submits_over_http_takes_the_operation_in_the_same_commit(plane, lane):
    operation = plane.finish(submit(plane, lane))
    row = plane.query("SELECT attempt, fence, created_at, started_at FROM launchplane_operations WHERE operation_id = %s",
                      operation["operation_id"])[0]
    assert row["started_at"] == row["created_at"], "another statement claimed it"
    assert operation["status"] == "pass" and row["fence"] == row["attempt"]


def test_a_worker_without_the_operation_s_lease_leaves_it_alone(plane, lane):
    """Claims of others find nothing while the lease of who submitted it holds."""
    held = plane.doubles.dokploy.on("POST", "compose.deploy").hold_before().times(1)
    identity = submit(plane, lane)
    assert held.reached.wait(60)
    engine = Engine(plane.database_url)
    kind = plane.query("SELECT kind FROM launchplane_operations WHERE operation_id = %s", identity)[0]["kind"]
    before = plane.query("SELECT fence FROM launchplane_operations WHERE operation_id = %s", identity)
    assert engine.run("operation_claim", 5, "another", 15000, plane.clock.offset_ms(), kind, None) == []
    assert plane.query("SELECT fence FROM launchplane_operations WHERE operation_id = %s", identity) == before
    engine.connection.close()
    held.release()
    assert plane.finish(identity)["status"] == "pass"


def test_a_wake_up_far_behind_the_last_claim_is_found(plane, lane):
    """Claims begin where the last one ended; now and then they look at everything."""
    first = replace(plane, lane)
    phase = plane.query("SELECT phase FROM launchplane_operation_events WHERE operation_id = %s AND event = 'phase_done' ORDER BY seq LIMIT 1",
                        first["operation_id"])[0]["phase"]
    for number in range(3):                            # each behind what was claimed before
        name = f"late-{number}"
        plane.query(AGAIN, name, phase, f"{number + 1} hours", first["operation_id"])
        wait_until(lambda: plane.query(CLAIMED, name), "the claim", seconds=60)   # pylint: disable=cell-var-from-loop
        plane.finish(name)


# who need not be notified

AWAKE = "hashtext('launchplane_notify'), hashtext('launchplane_operations')"    # the lock of a worker that looks by itself
NO_LOCK = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2)"


class Listener:
    """Hears of operations as a worker does."""

    def __init__(self, url):
        self.connection = psycopg.connect(url, autocommit=True)
        self.heard = []
        self.connection.add_notify_handler(lambda notice: self.heard.append(notice))
        self.connection.execute("LISTEN launchplane_operations")

    def since_last(self):
        """Who has notified since; notifications come with the answer to the next statement, at the latest."""
        self.connection.execute("SELECT 1")
        heard, self.heard[:] = list(self.heard), []
        return [notice.pid for notice in heard]


@contextlib.contextmanager
def ears(plane):
    listener = Listener(plane.database_url)
    yield listener
    listener.connection.close()


def test_who_submits_notifies_unless_some_worker_looks_by_itself(plane):
    engine = Engine(plane.database_url)
    me = engine.connection.info.backend_pid
    with ears(plane) as listener, psycopg.connect(plane.database_url, autocommit=True) as awake:
        engine.submit("first")
        assert listener.since_last() == [me]
        awake.execute(f"SELECT pg_advisory_lock({AWAKE})")
        engine.submit("second")
        assert listener.since_last() == []
        awake.execute(f"SELECT pg_advisory_unlock({AWAKE})")
        engine.submit("third")
        assert listener.since_last() == [me]
        engine.submit("taken", taken_by="somebody")
        engine.submit("third")                                     # the key was used before: nothing is new
        assert listener.since_last() == []
        assert plane.query(NO_LOCK), "who submits keeps no lock"
    engine.connection.close()


def put(connection, plane, first, name):
    """Somebody else's submission of an operation like the first, for a lane of its own."""
    request = plane.query("SELECT product, kind, context, request, holds_lane FROM launchplane_operations WHERE operation_id = %s", first)[0]
    phase = plane.query("SELECT phase FROM launchplane_operation_events WHERE operation_id = %s AND event = 'phase_done' ORDER BY seq LIMIT 1",
                        first)[0]["phase"]
    connection.submit(name, offset=plane.clock.offset_ms(), phase=phase, product=request["product"], kind=request["kind"],
                      context=request["context"], request=json.dumps(request["request"]))


def test_a_worker_that_finds_much_looks_by_itself_and_gives_back_the_lock(plane, lane):
    """Nobody who submits meanwhile notifies; then the worker tells all who listen to go on."""
    first = replace(plane, lane)["operation_id"]
    plane.doubles.dokploy.on("GET", "compose.one").hold_before()
    engine = Engine(plane.database_url)
    me = engine.connection.info.backend_pid
    with ears(plane) as listener:
        engine.connection.execute("BEGIN")
        for number in range(8):
            put(engine, plane, first, f"many-{number}")
        engine.connection.execute("COMMIT")
        heard = []
        wait_until(lambda: heard.extend(listener.since_last()) or set(heard) - {me}, "that the worker gives back the lock")
        wait_until(lambda: plane.query(NO_LOCK), "the lock to be free")
        assert len(plane.query("SELECT 1 FROM launchplane_operations WHERE fence > 0 AND operation_id LIKE 'many-%'")) == 8
    plane.doubles.dokploy.faults.clear()
    engine.connection.close()


def test_who_trusted_in_a_worker_and_commits_late_is_found(plane, lane):
    """It was not notified, and whoever had the lock looks no more: what is due is looked for now and then without."""
    first = replace(plane, lane)["operation_id"]
    engine = Engine(plane.database_url)
    with ears(plane) as listener, psycopg.connect(plane.database_url, autocommit=True) as awake:
        awake.execute(f"SELECT pg_advisory_lock({AWAKE})")
        engine.connection.execute("BEGIN")
        put(engine, plane, first, "late")
        awake.execute(f"SELECT pg_advisory_unlock({AWAKE})")
        engine.connection.execute("COMMIT")
        wait_until(lambda: plane.query(CLAIMED, "late"), "the claim", seconds=60)
        assert listener.since_last() == []
    engine.connection.close()
