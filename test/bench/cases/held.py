"""Reads, writes and operations with 10^6 rows of history while an idle transaction holds xmin (P10), beside the same on an empty
database, each with a service of its own in the same PostgreSQL.

What holds xmin does so for the tables of its own database alone; nothing that was updated or deleted there since can be cleared away.
"""
import contextlib
import statistics
import sys

from cases.operations import KIND, by_http, by_sql, check_kind

ROWS = 1_000_000
BATCH = 100_000
FILL = [
    """INSERT INTO launchplane_deployments
       SELECT 'held-' || n, 'held', 'lane' || n %% 1000, 'a-' || n %% 500, 'abc', stamp, stamp,
              json_build_object('schema_version', 1, 'record_id', 'held-' || n, 'context', 'held', 'padding', repeat('x', 300))
         FROM (SELECT n, to_char(timestamp '2020-01-01' + n * interval '1 minute', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS stamp
                 FROM generate_series(%(first)s, %(last)s) n) rows""",
    """INSERT INTO launchplane_operations (operation_id, kind, product, context, instance, holds_lane, idempotency_scope,
              idempotency_key, status, phase, public_phase, request, state, created_at, updated_at, started_at, finished_at, fence)
       SELECT 'held-' || n, %(kind)s, 'held', 'held', 'lane' || n %% 1000, true, 'held', 'key-' || n, 'pass', 'third', 'completed',
              json_build_object('product', 'held', 'context', 'held', 'instance', 'lane'), '{"began_us": 1, "steps": 3}',
              at, at, at, at, 1
         FROM (SELECT n, timestamptz '2020-01-01' + n * interval '1 minute' AS at FROM generate_series(%(first)s, %(last)s) n) rows""",
    """INSERT INTO launchplane_operation_events (operation_id, seq, event)
       SELECT 'held-' || n, 1, 'submitted' FROM generate_series(%(first)s, %(last)s) n""",
]
# What leaves dead rows behind while none may be cleared away: the rows that come in, and how many dead ones each may cost. An
# operation of three phases is claimed, goes on three times and ends; a leaf leaves once it is placed, also one that was there before.
COST = {"launchplane_operations": ("launchplane_operations", 6), "launchplane_inventory": ("launchplane_deployments", 1.1),
        "launchplane_audit_pending": ("launchplane_audit_pending", 1.3),
        "launchplane_idempotency_records": ("launchplane_idempotency_records", 0.1)}
HOT = ("launchplane_operations", "launchplane_inventory", "launchplane_audit_pending", "launchplane_idempotency_records")
STATE = """SELECT relname, n_dead_tup, n_tup_upd, n_tup_hot_upd, pg_total_relation_size(relid), n_tup_ins FROM pg_stat_user_tables
 WHERE relname = ANY (%s) ORDER BY relname"""


def fill(bench, rows):
    with bench.connect() as connection:
        for first in range(1, rows + 1, BATCH):
            print(f"held: {first - 1} rows of history", file=sys.stderr)
            values = {"first": first, "last": min(first + BATCH - 1, rows), "kind": KIND}
            for statement in FILL:
                connection.execute(statement, values)
        connection.execute("VACUUM (ANALYZE)")


@contextlib.contextmanager
def held_xmin(bench):
    """A session somebody forgot: it has looked once, and holds what it saw."""
    with bench.connect() as connection:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM launchplane_inventory")
        yield connection
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def _at(run, bench):
    usual, run.bench = run.bench, bench
    try:
        yield
    finally:
        run.bench = usual


def _measured(run, bench, template, count):
    """{what: operations or requests a second} of one round."""
    with _at(run, bench), bench.connect() as connection:
        return {
            "read": run.ask("read", 64)[2], "evidence": run.ask("evidence", 64, BENCH_BODY=str(template))[2],
            "operations by SQL": by_sql(bench, connection, count), "operations over HTTP": by_http(bench, connection, run, run.options.seconds)}


def tables(bench):
    with bench.connect() as connection:
        return {row[0]: row[1:] for row in connection.execute(STATE, [[*HOT, "launchplane_deployments"]]).fetchall()}


def measure(run):
    bench, quick = run.bench, run.options.quick
    check_kind(bench)
    rows, count = (ROWS // 10 if quick else ROWS), (1600 if quick else 8000)
    empty = bench.twin()
    try:
        template, _ = bench.template()
        for one in (bench, empty):
            one.seed_lanes()
        fill(bench, rows)
        for one in (bench, empty):    # pools grow, statements are prepared
            _measured(run, one, template, 320)
        with held_xmin(bench):
            before = tables(bench)
            programs = [("held", bench), ("empty", empty)]
            for number in range(run.options.rounds):
                for name, one in programs if number % 2 == 0 else programs[::-1]:
                    print(f"held: round {number + 1}, {name}", file=sys.stderr)
                    for what, result in _measured(run, one, template, count).items():
                        run.put("held", f"{name} {what}", 0, result)
            after = tables(bench)
    finally:
        empty.stop_service()
    for goal, what in (("P2", "read"), ("P3", "evidence"), ("P4", "operations by SQL"), ("P4", "operations over HTTP")):
        held, plain = (run.of("held", f"{name} {what}", 0, "per_s") for name in ("held", "empty"))
        work = [a / b for a, b in zip(*(run.of("held", f"{name} {what}", 0, "work_us") for name in ("held", "empty")))]
        run.row(f"{what} ({goal}) with {rows} rows of history and xmin held", "the same on an empty database",
                [a / b for a, b in zip(held, plain)], goal="P10", at_least=0.9, work_ratio=statistics.median(work),
                note=f"{statistics.median(held):.0f}/s beside {statistics.median(plain):.0f}/s")
    _dead(run, bench, before, after)


def _dead(run, bench, before, after):
    """What is left behind: while xmin is held so much for each change, and nothing of it once it is let go."""
    bench.query("VACUUM launchplane_operations, launchplane_inventory, launchplane_audit_pending")
    cleared = tables(bench)
    for name in HOT:
        changed, hot = after[name][1] - before[name][1], after[name][2] - before[name][2]
        share = f", {100 * hot / changed:.0f} % of the updates within their page (HOT)" if changed else ""
        of, most = COST[name]
        came, dead = after[of][4] - before[of][4], after[name][0] - before[name][0]
        run.row(f"dead rows in {name} while xmin is held, for each row that came into {of}", "-", dead / max(came, 1), goal="P10",
                at_most=most, note=f"{dead} of {came}{share}; {cleared[name][3] / 2**20:.0f} MiB; {cleared[name][0]} are left by a"
                                   " vacuum after it is let go")
