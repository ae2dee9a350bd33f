"""100,000 operations that sleep until tomorrow (P6): what claims, operations, an idle service and its memory cost, beside none.

Sleepers come and go between the measurements of a round, the table is vacuumed each time.
"""
import statistics
import time

import machine
from cases.operations import KIND, by_sql, check_kind
from engine import LEASE
from machine import pgbench
from plane import with_values
from statements import statements

SLEEPERS = 100_000
SLEEP = """INSERT INTO launchplane_operations (operation_id, kind, product, context, instance, holds_lane, idempotency_scope,
       idempotency_key, status, phase, request, next_run_at)
SELECT 'sleeper-' || n, %s, 'sleeping', 'sleeping', 'lane' || n, true, 'sleepers', 'key-' || n, 'pending', 'first',
       '{"product": "sleeping", "context": "sleeping", "instance": "lane"}', clock_timestamp() + interval '1 day' + n * interval '1 second'
  FROM generate_series(1, %s) n"""


def _cpu_ms(*roots):
    """CPU of process trees in nanosecond steps, which an idle second needs."""
    total = 0
    for pid in {pid for root in roots for pid in machine.tree(root)}:
        try:
            with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except OSError:
            continue
    return total / 1e6


def _idle(bench, seconds):
    before = _cpu_ms(bench.supervisor_pid, bench.postmaster)
    time.sleep(seconds)
    return (_cpu_ms(bench.supervisor_pid, bench.postmaster) - before) / seconds


def _claiming(bench):
    """The engine's claim, which finds nothing due, and its question when to wake up."""
    claim = with_values(statements()["operation_claim"].sql, ["64", "'bench'", str(LEASE), "0", f"'{KIND}'", "NULL"])
    wake = with_values(statements()["operation_next_wake"].sql, ["0", f"'{KIND}'", "NULL", "2000"])
    path = bench.directory / "claim.sql"
    path.write_text(f"{' '.join(claim.split())};\n{' '.join(wake.split())};\n", encoding="utf-8")
    return path


def _measured(run, connection, script, sleepers):
    bench = run.bench
    connection.execute("DELETE FROM launchplane_operations WHERE operation_id LIKE 'sleeper-%'")
    if sleepers:
        connection.execute(SLEEP, [KIND, sleepers])
    connection.execute("VACUUM (ANALYZE) launchplane_operations")
    connection.execute("CHECKPOINT")
    bench.restart()
    count = 800 if run.options.quick else 4000
    by_sql(bench, connection, 160)    # the new process grows its pool
    operations = by_sql(bench, connection, count)
    claims = pgbench(bench.database, script, 1, run.options.seconds, database=bench.postmaster)
    time.sleep(1)
    return {"claim_us": claims["postgresql_us"] + claims["client_us"], "work_us": operations["work_us"], "per_s": operations["per_s"],
            "idle_ms": _idle(bench, 5 if run.options.quick else 15), "resident": machine.memory(bench.worker())["resident"]}


def measure(run):
    bench = run.bench
    check_kind(bench)
    script = _claiming(bench)
    with bench.connect() as connection:
        run.rounds("sleepers", lambda: ("none", 0, _measured(run, connection, script, 0)),
                   lambda: ("many", 0, _measured(run, connection, script, SLEEPERS)))
        connection.execute("DELETE FROM launchplane_operations WHERE operation_id LIKE 'sleeper-%'")
        connection.execute("VACUUM (ANALYZE) launchplane_operations")
    for what, name, unit in (("CPU of a claim that finds nothing, with the question when to wake", "claim_us", "us"),
                             ("CPU of an operation, service and PostgreSQL", "work_us", "us"),
                             ("CPU of a second in which nothing happens", "idle_ms", "ms"),
                             ("resident memory of the worker", "resident", "bytes")):
        none, many = run.of("sleepers", "none", 0, name), run.of("sleepers", "many", 0, name)
        run.row(f"{what}, {SLEEPERS} operations sleep", "none sleep", [mine / theirs for mine, theirs in zip(many, none)],
                goal="P6", at_most=1.1, note=f"{statistics.median(many):.1f} {unit} beside {statistics.median(none):.1f}")
