"""From the commit of a submission to the start of its first phase (P5): submitted over HTTP to the process that runs it, and by
another process, of which the service hears by NOTIFY; beside graphile-worker and a bare NOTIFY round trip.

The commit's time is PostgreSQL's (track_commit_timestamp, of the operation's first event, which nothing changes afterwards), the
phase notes its start by the same machine's clock. PostgreSQL notes that time before it flushes the commit to disk, which nobody may
know of earlier: what a flush takes is told beside, and taken off in a row of its own. Lone operations, one after the other.
"""
import select
import statistics
import time
import uuid

from cases.operations import by_peer, check_kind, graphile_absent, now, submission_of, trial, wait_until_passed
from engine import Engine
from rehearsal.api import accepted

WAITS = """SELECT 1000 * ((o.state ->> 'began_us')::float8 / 1e6 - extract(epoch FROM pg_xact_commit_timestamp(e.xmin))::float8)
  FROM launchplane_operations o JOIN launchplane_operation_events e ON e.operation_id = o.operation_id AND e.seq = 1
 WHERE o.status = 'pass' AND o.operation_id = ANY (%s)"""
BEGAN = "SELECT (state ->> 'began_us')::float8 / 1e6 FROM launchplane_operations WHERE operation_id = %s"


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def _pause():
    time.sleep(0.012)


class Flushes:
    """How long PostgreSQL's flushes take: mean_ms() since it was made."""

    SEEN = "SELECT pg_stat_force_next_flush(), wal_sync_time, wal_sync FROM pg_stat_wal"

    def __init__(self, connection):
        self.connection, self.before = connection, self._seen(connection)

    @staticmethod
    def _seen(connection):
        return connection.execute(Flushes.SEEN).fetchone()[1:]

    def mean_ms(self):
        spent, number = (after - before for after, before in zip(self._seen(self.connection), self.before))
        return spent / number if number else 0.0


def over_http(bench, connection, count):
    names, flushes, since = [], Flushes(connection), now(connection)
    for _ in range(count):
        body = trial(bench, uuid.uuid4().hex)
        names.append(accepted(bench.api.post("/v1/trials", body, key=uuid.uuid4().hex))["records"]["operation_id"])
        _pause()
    wait_until_passed(connection, since)
    return {"waits_ms": [row[0] for row in connection.execute(WAITS, [names]).fetchall()], "flush_ms": flushes.mean_ms()}


def by_other_process(bench, connection, engine, count):
    """waits_ms as above; calls_ms from the call, which is what a peer's client can see."""
    called, flushes, since = {}, Flushes(connection), now(connection)
    for _ in range(count):
        name = f"pickup-{uuid.uuid4().hex}"
        called[name] = time.time()
        engine.submit(name, **submission_of(bench, name))
        _pause()
    wait_until_passed(connection, since)
    waits = [row[0] for row in connection.execute(WAITS, [list(called)]).fetchall()]
    return {"waits_ms": waits, "flush_ms": flushes.mean_ms(), "calls_ms": [1000 * (connection.execute(BEGAN, [name]).fetchone()[0] - at) for name, at in called.items()]}


def notified(bench, count):
    """From sending a one-row insert with NOTIFY to its arrival at another client."""
    found = []
    with bench.connect() as listener, bench.connect() as speaker:
        speaker.execute("CREATE TABLE IF NOT EXISTS bench_notified (id bigserial PRIMARY KEY, body text)")
        listener.execute("LISTEN bench")
        for _ in range(count):
            at = time.monotonic()
            speaker.execute("WITH i AS (INSERT INTO bench_notified (body) VALUES (repeat('x', 500)) RETURNING id)"
                            " SELECT pg_notify('bench', id::text) FROM i")
            select.select([listener.fileno()], [], [], 5)
            listener.pgconn.consume_input()
            while listener.pgconn.notifies():
                pass
            found.append(1000 * (time.monotonic() - at))
            _pause()
    return {"waits_ms": found}


def measure(run):
    bench = run.bench
    check_kind(bench)
    count = 60 if run.options.quick else 200
    engine = Engine(bench.database)
    with bench.connect() as connection:
        over_http(bench, connection, 10)
        by_other_process(bench, connection, engine, 10)
        programs = [lambda: ("same process", 0, over_http(bench, connection, count)),
                    lambda: ("other process", 0, by_other_process(bench, connection, engine, count)),
                    lambda: ("NOTIFY", 0, notified(bench, count))]
        has_peer = not graphile_absent(run, "pickup beside graphile-worker")
        if has_peer:
            programs.append(lambda: ("graphile-worker", 0, by_peer(bench, "graphile.mjs", count, CONCURRENCY="1", LATENCY="1")))
        run.rounds("pickup", *programs)
    engine.connection.close()
    for way, limit in (("same process", 1), ("other process", 3)):
        rounds = run.of("pickup", way, 0, "waits_ms")
        every = [wait for waits in rounds for wait in waits]
        run.row(f"commit of a submission to its first phase, {way}: p50", "-", [statistics.median(waits) for waits in rounds], goal="P5",
                at_most=limit, unit="ms", p50_us=1000 * statistics.median(every), p99_us=1000 * percentile(every, 99))
        flush = run.of("pickup", way, 0, "flush_ms")
        run.row(f"the same, {way}, from when the commit is on disk: p50", "-",
                [statistics.median(waits) - mean for waits, mean in zip(rounds, flush)], goal="P5", at_most=limit, unit="ms",
                note=f"a flush takes {statistics.median(flush):.2f} ms")
    calls = [statistics.median(waits) for waits in run.of("pickup", "other process", 0, "calls_ms")]
    beside = {"a one-row insert with NOTIFY until another client has it": ("NOTIFY", None)}
    if has_peer:
        beside["graphile-worker, addJob() to its start"] = ("graphile-worker", 1)
    for against, (program, limit) in beside.items():
        theirs = run.of("pickup", program, 0, "waits_ms")
        run.row("call to submit, until the first phase, other process: p50", against,
                [mine / statistics.median(waits) for mine, waits in zip(calls, theirs)], goal="P5", at_most=limit,
                note=f"{statistics.median(calls):.2f} ms beside {statistics.median(wait for waits in theirs for wait in waits):.2f} ms")
