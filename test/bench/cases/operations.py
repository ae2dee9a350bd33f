"""Operations of three durable phases, from submission to pass (P4), beside job queues that run three jobs for the same work.

The kind "trial" does nothing, so what is measured is the engine. "By SQL": pgbench sends the engine's submitting statement, one
operation a commit, and the service hears of them by NOTIFY. Peers are given one job at a time by as many submitters.
"""
import json
import statistics
import subprocess
import time
import uuid

import machine
import peers
from engine import submission
from machine import Missing
from plane import with_values
from statements import statements

KIND, PHASE, SUBMITTERS = "trial", "first", 16
# Whether something is left that does not sleep until tomorrow, of what was submitted after a moment; by the index of what is
# unfinished, so that asking costs little, also while xmin is held: all that was ever due lies there before that moment.
LEFT = """SELECT operation_id, next_run_at FROM launchplane_operations WHERE status IN ('pending', 'running') AND next_run_at >= %s
             AND next_run_at < clock_timestamp() + interval '1 hour' ORDER BY next_run_at, operation_id LIMIT 1"""
PEERS = [    # name, script, settings, how many times as many operations we want
    ("graphile-worker, 10 at a time", "graphile.mjs", {"CONCURRENCY": "10"}, 2),
    ("graphile-worker, its batching", "graphile.mjs", {"CONCURRENCY": "24", "LOCAL_QUEUE": "500", "COMPLETE_DELAY_MS": "0"}, 2),
    ("pg-boss, 4 loops", "pgboss.mjs", {"LOOPS": "4", "BATCH": "1"}, 5),
    ("pg-boss, 4 loops, 10 at a time", "pgboss.mjs", {"LOOPS": "4", "BATCH": "10"}, 5),
]


def trial(bench, instance):
    """The body of POST /v1/trials."""
    return {"schema_version": 1, "product": bench.lane.product, "context": bench.lane.context, "instance": instance}


def check_kind(bench):
    if KIND not in bench.kinds():
        raise Missing(f"the service has no operation kind {KIND}: `./ci/run bench` builds one that has")


def _quoted(value):
    if value is None:
        return "NULL"
    return str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def submission_of(bench, name):
    """What HTTP would submit as this operation, by parameter of operation_submit."""
    leaf = json.dumps({"v": 1, "at": "2026-01-01T00:00:00Z", "type": "request", "event": "accepted", "route": "POST /v1/trials",
                       "product": bench.lane.product, "context": bench.lane.context, "kind": KIND, "padding": "x" * 500})
    return {"kind": KIND, "product": bench.lane.product, "context": bench.lane.context, "instance": name, "idempotency_key": name,
            "idempotency_scope": "bench", "phase": PHASE, "request": json.dumps(trial(bench, "bench")), "leaf": leaf,
            "actor": json.dumps({"repository": "example-org/odoo-tenant-shop"}), "trace_id": "launchplane_req_" + "0" * 32,
            "request_fingerprint": "0" * 64}


def submitting(bench, prefix):
    """A pgbench script: one new operation on a lane of its own."""
    values = submission(operation_id="@ID@", **submission_of(bench, "@ID@"))
    identity = f"('{prefix}' || :client_id || '-' || :n)"
    texts = [identity if value == "@ID@" else _quoted(value) for value in values]
    path = bench.directory / "submit.sql"
    sql = " ".join(with_values(statements()["operation_submit"].sql, texts).split())
    path.write_text(f"\\set n random(1, 9000000000000000000)\n{sql};\n", encoding="utf-8")
    return path


def now(connection):
    """The database's clock, before something is submitted."""
    return connection.execute("SELECT clock_timestamp()").fetchone()[0]


def wait_until_passed(connection, since, seconds=120):
    until = time.monotonic() + seconds
    connection.execute("SET enable_seqscan = off")
    while left := connection.execute(LEFT, [since], prepare=True).fetchone():
        since = left[1]    # wake-ups move forward only
        if time.monotonic() > until:
            raise Missing(f"{left[0]} has not ended after {seconds} s")
        time.sleep(0.02)


def _check_passed(connection, prefix, count):
    passed = connection.execute("SELECT count(*) FROM launchplane_operations WHERE starts_with(operation_id, %s) AND status = 'pass'"
                                " AND state ->> 'steps' = '3'", [prefix]).fetchone()[0]
    if passed != count:
        raise Missing(f"{passed} of {count} operations have passed")


def by_sql(bench, connection, count):
    """{per_s, and CPU an operation} of count operations, from the first submission to the last pass."""
    prefix = f"sql-{uuid.uuid4().hex[:8]}-"
    script = submitting(bench, prefix)
    since = now(connection)
    load, at = machine.Load(bench.supervisor_pid, bench.postmaster), time.monotonic()
    machine.pgbench_transactions(bench.database, script, SUBMITTERS, count // SUBMITTERS)
    wait_until_passed(connection, since)
    result = load.result(count, time.monotonic() - at)
    _check_passed(connection, prefix, count // SUBMITTERS * SUBMITTERS)
    return result


def by_http(bench, connection, run, seconds):
    """The same by POST: as many as come within the time."""
    since = now(connection)
    load, at = machine.Load(bench.supervisor_pid, bench.postmaster), time.monotonic()
    _, _, told = run.ask("trials", 64, BENCH_PRODUCT=bench.lane.product)
    wait_until_passed(connection, since)
    elapsed = time.monotonic() - at
    load.end()
    passed = connection.execute("SELECT count(*) FROM launchplane_operations WHERE kind = %s AND status = 'pass' AND created_at >= %s",
                                [KIND, since]).fetchone()[0]
    result = load.result(passed, elapsed)
    if passed < told["per_s"] * seconds * 0.9:
        raise Missing(f"{passed} operations passed of {told['per_s'] * seconds:.0f} accepted")
    return {**result, "p50_us": told["p50_us"], "p99_us": told["p99_us"]}


def by_peer(bench, script, count, **environment):
    """What a script of test/bench/peers says, in a database of its own."""
    database = bench.cluster.url(bench.cluster.create())
    process = peers.spawn(script, {"DATABASE_URL": database, "N": str(count), "SUBMITTERS": str(SUBMITTERS), **environment},
                          stdout=subprocess.PIPE, text=True)
    with process:
        if process.stdout.readline() != "ready\n":
            raise Missing(f"{script} does not start")
        load = machine.Load(process.pid, bench.postmaster)
        told = json.loads(process.stdout.readline() or '{"done": 0}')
        if told["done"] != count:
            raise Missing(f"{script} did {told['done']} of {count}")
        return {**load.result(count, count / told["per_s"]), "waits_ms": told.get("waits_ms", [])}


def graphile_absent(run, what):
    """Whether this machine has no peers, which the table then says."""
    try:
        peers.installed()
    except peers.Absent as why:
        run.skip(what, why.args[0])
        return True
    return False


def measure(run):
    bench, quick = run.bench, run.options.quick
    check_kind(bench)
    count = 1600 if quick else 8000
    beside = [] if graphile_absent(run, "operations beside job queues") else PEERS
    with bench.connect() as connection:
        by_sql(bench, connection, 320)    # prepares statements, grows the pool
        programs = [lambda: ("service", 0, by_sql(bench, connection, count)),
                    lambda: ("service, HTTP", 0, by_http(bench, connection, run, run.options.seconds))]
        for name, script, environment, _ in beside:
            programs.append(lambda name=name, script=script, environment=environment:
                            (name, 0, by_peer(bench, script, count, **environment)))
        run.rounds("operations", *programs)
    if not beside:
        return
    for way, mine in (("by SQL", "service"), ("over HTTP, 64 connections", "service, HTTP")):
        for name, _, _, least in beside:
            pairs = list(zip(run.of("operations", mine, 0, "per_s"), run.of("operations", name, 0, "per_s")))
            run.row(f"operations of 3 durable phases submitted {way}, until passed", f"{name}, 3 jobs an operation",
                    [one / other for one, other in pairs], goal="P4", at_least=least,
                    work_ratio=statistics.median(one / other for one, other in zip(
                        run.of("operations", mine, 0, "work_us"), run.of("operations", name, 0, "work_us"))),
                    server_us=run.median("operations", mine, 0, "server_us"),
                    postgresql_us=run.median("operations", mine, 0, "postgresql_us"),
                    note=f"{statistics.median(one for one, _ in pairs):.0f}/s beside {statistics.median(other for _, other in pairs):.0f}/s")
