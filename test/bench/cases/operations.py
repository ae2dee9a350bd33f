"""How soon an operation starts after it was submitted, and how many are claimed and ended a second."""
import select
import statistics
import time
import uuid

from machine import Missing
from plane import queries
from rehearsal.api import accepted

APPLY = "/v1/drivers/odoo/target-replacement-apply"
ID = "odoo_stable_target_replacement_operation_id"
# A lane without its records: the operation's first phase finds out and the operation ends; no provider is asked.
COPY = """INSERT INTO launchplane_operations
    (operation_id, kind, product, context, instance, holds_lane, status, phase, request, state, created_at, updated_at, next_run_at)
SELECT %(prefix)s || n, kind, product, context, %(prefix)s || n, true, 'pending', %(phase)s, request, '{}',
       clock_timestamp(), clock_timestamp(), clock_timestamp()
  FROM launchplane_operations, generate_series(1, %(count)s::int) n WHERE operation_id = %(like)s"""
FIRST_EVENT = """INSERT INTO launchplane_operation_events (operation_id, seq, event)
SELECT operation_id, 1, 'submitted' FROM launchplane_operations WHERE starts_with(operation_id, %(prefix)s)"""
LATENCY = """SELECT 1000 * extract(epoch FROM started_at - created_at)::float8 FROM launchplane_operations
 WHERE operation_id = %s AND status IN ('pass', 'fail')"""


def _wait(what, condition, seconds=60):
    until = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > until:
            raise Missing(f"after {seconds} s still waiting for {what}")
        time.sleep(0.002)
    return value


def _through_http(bench, connection, count):
    """Milliseconds from the submitting statement to the claim, both by PostgreSQL's clock."""
    found = []
    for _ in range(count):
        answer = accepted(bench.api.post(APPLY, bench.lane.replacement(), key=uuid.uuid4().hex))
        identity = answer["records"][ID]
        found.append(_wait("an operation to end", lambda: connection.execute(LATENCY, [identity]).fetchone())[0])
    return found, identity


def _through_sql(connection, like, count):
    """The same, submitted by another process: the service hears of it by NOTIFY."""
    row = connection.execute(
        "SELECT kind, product, context, request::text, actor::text FROM launchplane_operations WHERE operation_id = %s",
        [like]).fetchone()
    kind, product, context, request, actor = row
    phase = connection.execute("SELECT phase FROM launchplane_operations WHERE operation_id = %s", [like]).fetchone()[0]
    names = [f"${n}" for n in range(15, 0, -1)]
    statement = queries()["operation_submit"].replace("%", "%%")
    for name in names:
        statement = statement.replace(name, f"%(p{name[1:]})s")
    found = []
    for _ in range(count):
        identity = f"bench-{uuid.uuid4().hex}"
        values = [identity, kind, product, context, identity, True, "", None, "", phase, request, actor, "", "", 0]
        connection.execute(statement, {f"p{n}": value for n, value in enumerate(values, 1)})
        found.append(_wait("an operation to end", lambda: connection.execute(LATENCY, [identity]).fetchone())[0])
    return found, phase


def _commit_and_notify(bench, count):
    """Milliseconds from sending a one-row insert with NOTIFY to its arrival at another client: no submission can be faster."""
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
    return found


def _drain(connection, like, phase, count):
    """Operations claimed, failed in their first phase and ended, a second."""
    prefix = f"drain-{uuid.uuid4().hex[:8]}-"
    values = {"prefix": prefix, "phase": phase, "count": count, "like": like}
    with connection.transaction():
        connection.execute(COPY, values)
        connection.execute(FIRST_EVENT, values)
        connection.execute("NOTIFY launchplane_operations")
    at = time.monotonic()
    left = "SELECT count(*) = 0 FROM launchplane_operations WHERE status IN ('pending', 'running')"
    _wait("the operations to end", lambda: connection.execute(left).fetchone()[0])
    return count / (time.monotonic() - at)


def _percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p / 100))]


def measure(run):
    bench, quick = run.bench, run.options.quick
    count, many = (100, 500) if quick else (400, 3000)
    accepted(bench.api.post("/v1/product-profiles", bench.lane.profile()))
    with bench.connect() as connection:
        http, like = _through_http(bench, connection, count)
        sql, phase = _through_sql(connection, like, count)
        notify = _commit_and_notify(bench, count)
        drained = [_drain(connection, like, phase, many) for _ in range(run.options.rounds)]
    run.put("operations", "service", 1, {"http_ms": http, "sql_ms": sql, "drained_per_s": drained})
    run.put("operations", "notify", 1, {"ms": notify})
    for what, values in (("submitted over HTTP to the same process", http), ("submitted by another process", sql)):
        run.row(f"operation {what}: submit to claim", "a one-row insert with NOTIFY, until another client has it",
                statistics.median(values) / statistics.median(notify), p50_us=1000 * statistics.median(values),
                p99_us=1000 * _percentile(values, 99))
    per_s = statistics.median(drained)
    limit = ("evidence", "pgbench", (16, run.options.connections[-1]))
    known = limit in run.measured
    run.row(f"operations claimed and ended, {many} waiting", "pgbench, evidence statement, 16 clients" if known else "-",
            per_s / run.median(*limit, "per_s") if known else None, note=f"{per_s:.0f}/s")
