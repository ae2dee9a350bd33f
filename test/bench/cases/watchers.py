"""10,000 clients that listen to the events of one operation (P7): memory of each, and how soon an event reaches all."""
import json
import os
import subprocess
import sys
import time

import machine

COUNT = 10000
PROGRAM = machine.ROOT / "build" / "test" / "bench" / "bench-listeners"
SLEEPING = """INSERT INTO launchplane_operations
    (operation_id, kind, product, context, instance, holds_lane, status, phase, request, state, created_at, updated_at, next_run_at)
VALUES (%s, 'odoo_stable_target_replacement', %s, %s, 'watched', true, 'pending', 'plan', '{}', '{}', clock_timestamp(), clock_timestamp(),
        clock_timestamp() + interval '1 day')"""
# As a process of the service does it: the event, then the word to the others.
EVENT = """INSERT INTO launchplane_operation_events (operation_id, seq, event, phase)
SELECT %s, coalesce(max(seq), 0) + 1, 'phase_done', 'plan' FROM launchplane_operation_events WHERE operation_id = %s"""
SAID = "SELECT pg_notify('launchplane_operation_events', 'bench')"


def measure(run):
    if machine.allow_many_files() < COUNT + 200:
        raise machine.Missing(f"the limit of open files is below {COUNT + 200}: raise it with ulimit -n")
    subprocess.run(["ninja", "-C", machine.ROOT / "build", "test/bench/bench-listeners"], check=True, stdout=subprocess.DEVNULL)
    bench = run.bench.restart()
    identity = "bench-watched"
    bench.query("DELETE FROM launchplane_operation_events WHERE operation_id = %s", identity)
    bench.query("DELETE FROM launchplane_operations WHERE operation_id = %s", identity)
    bench.query(SLEEPING, identity, bench.lane.product, bench.lane.context)
    path = f"/v1/operations/{identity}/events"
    warm = listeners(bench, path, 200)    # what the first requests allocate once
    warm.communicate(timeout=30)
    time.sleep(0.5)
    before = machine.memory(bench.worker())
    print(f"watchers: {COUNT} streams", file=sys.stderr)
    clients = listeners(bench, path, COUNT)
    after = machine.memory(bench.worker())
    with bench.connect() as connection:
        told = [one_event(clients, connection, identity) for _ in range(5)]
    clients.stdin.close()
    clients.wait(30)
    each = {name: (after[name] - before[name]) / COUNT for name in before}
    run.put("watchers", "service", COUNT, {**each, "told": told})
    what = f"{COUNT} event streams of one operation"
    run.row(f"{what}: resident memory each", "-", each["resident"] / 1024, goal="P7", at_most=16, unit="KiB",
            note=f"worker {after['resident'] / 2**20:.0f} MiB with them")
    run.row(f"{what}: commit of an event to the median client", "-", [one["median_ms"] for one in told], goal="P7", at_most=100, unit="ms",
            note="load from bench-listeners")
    run.row(f"{what}: commit of an event to the last client", "-", [one["max_ms"] for one in told], goal="P7", at_most=100, unit="ms")


def listeners(bench, path, count):
    """count clients, each of which has its answer's head."""
    command = [str(PROGRAM), bench.url.rpartition(":")[2], path, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "BENCH_TOKEN": bench.token})
    if process.stdout.readline() != "ready\n":
        raise machine.Missing("not all event streams began")
    return process


def one_event(clients, connection, identity):
    clients.stdin.write("\n")
    clients.stdin.flush()
    clients.stdout.readline()
    connection.execute(EVENT, [identity, identity])
    connection.execute(SAID)
    return json.loads(clients.stdout.readline())
