"""GET of an inventory record of 2 KB, token verified and policy checked, beside pgbench and the fastify peer (P2); and the same
answered 304, beside nginx doing so (P1).

While nothing is committed, the service knows its answers and asks PostgreSQL for the current snapshot only; so the reads are measured
again while another session commits all the time (the limit is measured then too), where each is a read of the table.
"""
import contextlib
import threading
import time

import machine
from plane import LANES, with_values
from statements import statements


def scripts(run):
    """The select for pgbench: alone, and 16 of them in a pipeline."""
    bench = run.bench
    sql = " ".join(with_values(statements()["inventory_read"].sql, [f"'{bench.lane.context}'", "('lane' || :i)"]).split())
    script, together = bench.directory / "read.sql", bench.directory / "read16.sql"
    script.write_text(f"\\set i random(0, {LANES - 1})\n{sql};\n", encoding="utf-8")
    sets = "\n".join(f"\\set i{k} random(0, {LANES - 1})" for k in range(16))
    many = "\n".join(f"{sql};".replace(":i", f":i{k}") for k in range(16))
    together.write_text(f"{sets}\n\\startpipeline\n{many}\n\\endpipeline\n", encoding="utf-8")
    return script, together


COMMITS = 200    # a second


@contextlib.contextmanager
def commits(bench):
    """Somebody else commits one small row after the other."""
    over = threading.Event()

    def go():
        with bench.connect() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (id bigint GENERATED ALWAYS AS IDENTITY, body text)")
            due = time.monotonic()
            while not over.wait(max(0, due - time.monotonic())):
                connection.execute("INSERT INTO bench_commits (body) VALUES ('x')")
                due += 1 / COMMITS

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def among_commits(run, measured):
    with commits(run.bench):
        name, connections, result = measured()
    return f"{name} among commits", connections, result


def measure(run):
    bench = run.bench
    tags, size = bench.seed_lanes()
    script, together = scripts(run)
    peer = run.fastify("GET inventory beside fastify")
    if peer:
        bench.copy_inventory(peer.database)
    nginx = machine.Nginx(bench.directory / "nginx-read", "ok").start()
    clients = (1, 4) if run.options.quick else (1, 4, 16)
    programs = []
    for n in run.options.connections:    # what is compared is measured one after the other
        for limit in clients[:1] if n == 1 else clients[1:]:
            programs.append(lambda n=n, limit=limit: run.sql("pgbench", script, limit, beside=n))
        programs.append(lambda n=n: run.ask("read", n))
        programs.append(lambda n=n: ("304", n, run.ask("unchanged", n, BENCH_TAGS=str(tags))[2]))
        programs.append(lambda n=n: ("nginx 304", n, run.ask("unchanged", n, "", nginx.url, nginx.process.pid, BENCH_TAGS=str(tags))[2]))
        if peer:
            programs.append(lambda n=n: run.ask("read", n, "fastify", peer.url, peer.pid))
    most = run.options.connections[-1]
    programs.append(lambda: run.sql("pgbench, 16 in a pipeline", together, 4, statements=16))
    programs.append(lambda: among_commits(run, lambda: run.sql("pgbench", script, clients[-1])))
    programs.append(lambda: among_commits(run, lambda: run.ask("read", most)))
    try:
        run.rounds("read", *programs)
    finally:
        nginx.stop()
    for n in run.options.connections:
        rows(run, n, size, peer)
    n = run.options.connections[-1]
    run.row(f"GET inventory, {n} connections", "pgbench, 16 selects in a pipeline, 4 clients",
            run.ratios("read", n, ("read", "pgbench, 16 in a pipeline"), 4), goal="P2", **run.figures("read", n))
    pairs = zip(run.of("read", "service among commits", n, "per_s"), run.of("read", "pgbench among commits", clients[-1], "per_s"))
    run.row(f"GET inventory, {n} connections, while another session commits {COMMITS} times a second",
            f"pgbench, the same prepared select, {clients[-1]} clients", [mine / theirs for mine, theirs in pairs], goal="P2",
            at_least=1.1, **run.figures("read", n, "service among commits"))


def rows(run, n, size, peer):
    limit = run.best("read", n)
    beside = ("read", "pgbench"), (limit, n)
    what = f"GET inventory, {size} byte record, {n} connections"
    against = f"pgbench, the same prepared select, {limit} client{'s' if limit > 1 else ''}"
    run.row(what, against, run.ratios("read", n, *beside), goal="P2", at_least=1.1 if n > 1 else None, **run.figures("read", n),
            work_ratio=run.ratio("read", n, *beside, "work_us"))
    if n == 1:
        run.row("the same: p50", against, run.ratios("read", 1, *beside, "p50_us"), goal="P2", at_most=1.4)
    if peer:
        run.row(what, "fastify", run.ratios("read", n, ("read", "fastify"), n), goal="P2", at_least=4 if n > 1 else None)
    run.measured["unchanged", "service", n] = run.measured["read", "304", n]
    run.row(f"GET inventory answered 304, {n} connections", against, run.ratios("unchanged", n, *beside), **run.figures("unchanged", n))
    run.row(f"GET inventory answered 304, {n} connections", "nginx returning 304 to the same requests",
            run.ratios("unchanged", n, ("read", "nginx 304"), n), goal="P1", at_least=0.95 if n > 1 else None, **run.figures("unchanged", n))
    run.row(f"GET inventory answered 304, {n} connections: p99", "nginx returning 304 to the same requests",
            run.ratios("unchanged", n, ("read", "nginx 304"), n, "p99_us"), goal="P1", at_most=1)
