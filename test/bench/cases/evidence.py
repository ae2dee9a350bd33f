"""POST of deployment evidence, 1.5 KB, answered after the commit (P3): beside pgbench running the same statement, fastify with the
least that stores it and with the service's own statement, and a commit of one small row."""
import re
import statistics

from plane import LANES, with_values
from statements import statements

BARE = "CREATE TABLE IF NOT EXISTS bench_bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)"
NOW = "'2026-01-01T00:00:00Z'"


def statement(run, k):
    """The service's own statement for one item, with pgbench's variables; k tells those of several in a transaction apart. Each
    inventory differs from the one before, as in life: the version that it replaces is kept."""
    key, instance = f"('k' || :key{k})", f"('busy' || :lane{k})"
    values = [f"('idempotency-' || :key{k})", ":scope", "'/v1/evidence/deployments'", key, ":fingerprint", ":trace", NOW,
              ":answer", f"('deployment-' || :key{k})", f"'{run.bench.lane.context}'", instance, "'artifact-shop-0001'",
              "'" + "a" * 40 + "'", NOW, "'2026-01-01T00:01:00Z'", ":deployment", f"replace(:inventory, '@KEY@', :key{k}::text)", ":leaf"]
    return " ".join(with_values(statements()["deployment_evidence_store"].sql, values).split()) + ";\n"


class Scripts:
    """pgbench's: the statement alone, without its audit leaf, 16 in one commit, and a commit of one small row."""

    def __init__(self, run):
        directory = run.bench.directory
        idempotency, deployment, inventory, scope, leaf = run.bench.last_write()
        inventory = re.sub(r'("deployment_record_id":")[^"]*', r"\1@KEY@", inventory)
        self.variables = {"answer": idempotency, "deployment": deployment, "inventory": inventory, "scope": scope, "leaf": leaf,
                          "fingerprint": "0" * 64, "trace": "launchplane_req_" + "0" * 32}
        self.one, self.untold = directory / "write.sql", directory / "untold.sql"
        self.together, self.bare = directory / "write16.sql", directory / "bare.sql"
        head = f"\\set key random(1, 9000000000000000000)\n\\set lane random(0, {LANES - 1})\n"
        self.one.write_text(head + statement(run, ""), encoding="utf-8")
        self.untold.write_text((head + statement(run, "")).replace(":leaf", "NULL"), encoding="utf-8")
        # Each client has its own lanes: transactions of several writes would wait for each other in circles otherwise.
        sets = "\n".join(f"\\set key{k} random(1, 9000000000000000000)\n\\set lane{k} random(0, {LANES // 4 - 1}) * 4 + :client_id"
                         for k in range(16))
        many = "".join(statement(run, k) for k in range(16))
        self.together.write_text(f"{sets}\n\\startpipeline\n{many}\\endpipeline\n", encoding="utf-8")
        run.bench.query(BARE)
        self.bare.write_text("INSERT INTO bench_bare (body) VALUES ('x');\n", encoding="utf-8")


def measure(run):
    template, size = run.bench.template()
    environment = {"BENCH_BODY": str(template)}
    run.ask("evidence", 1, **environment)    # leaves rows for pgbench to imitate
    scripts = Scripts(run)
    works = {"fastify, the least": None, "fastify, the same statement": statements()["deployment_evidence_store"].sql}
    peers = {name: peer for name, store in works.items() if (peer := run.fastify(f"POST deployment evidence beside {name}", store))}
    clients = (1, 8, 16) if run.options.quick else (1, 4, 8, 16, 32)
    programs = []
    for n in run.options.connections:
        for limit in clients[:1] if n == 1 else clients[1:]:
            programs.append(lambda n=n, limit=limit: run.sql("pgbench", scripts.one, limit, scripts.variables, beside=n))
        programs.append(lambda n=n: run.ask("evidence", n, **environment))
        for name, peer in peers.items():
            programs.append(lambda n=n, name=name, peer=peer: run.ask("evidence", n, name, peer.url, peer.pid, **environment))
    programs.append(lambda: run.sql("pgbench, 16 a commit", scripts.together, 4, scripts.variables, 16))
    programs.append(lambda: run.sql("pgbench, bare", scripts.bare, 1))
    for n in (1, 16):
        programs.append(lambda n=n: run.sql("pgbench, told", scripts.one, n, scripts.variables))
        programs.append(lambda n=n: run.sql("pgbench, untold", scripts.untold, n, scripts.variables))
    run.rounds("evidence", *programs)
    for n in run.options.connections:
        rows(run, n, size, peers)
    for n in (1, 16):
        row_of_the_leaf(run, n)
    n = run.options.connections[-1]
    run.row(f"POST deployment evidence, {n} connections", "pgbench, 16 statements a commit, 4 clients",
            run.ratios("evidence", n, ("evidence", "pgbench, 16 a commit"), 4), goal="P3", **run.figures("evidence", n))


def rows(run, n, size, peers):
    limit = run.best("evidence", n)
    beside = ("evidence", "pgbench"), (limit, n)
    what = f"POST deployment evidence, {size} bytes, {n} connections"
    against = f"pgbench, the same statement, {limit} client{'s' if limit > 1 else ''}"
    busy = n >= 64
    run.row(what, against, run.ratios("evidence", n, *beside), goal="P3", at_least=1.5 if busy else None, **run.figures("evidence", n),
            work_ratio=run.ratio("evidence", n, *beside, "work_us"))
    for name in peers:
        run.row(what, name, run.ratios("evidence", n, ("evidence", name), n), goal="P3", at_least=3 if busy else None)
    if n == 1:
        run.row("the same: p50", against, run.ratios("evidence", 1, *beside, "p50_us"), goal="P3", at_most=1.3)
        run.row("the same: p50", "pgbench, one commit of a one-column row", run.ratios("evidence", 1, ("evidence", "pgbench, bare"), 1, "p50_us"),
                goal="P3")


def row_of_the_leaf(run, n):
    told, untold = ("evidence", "pgbench, told", n), ("evidence", "pgbench, untold", n)
    run.row(f"the evidence statement with its audit leaf, {n} clients", "without it",
            [mine / theirs for mine, theirs in zip(run.of(*told, "per_s"), run.of(*untold, "per_s"))],
            per_s=run.median(*told, "per_s"), p50_us=run.median(*told, "p50_us"),
            work_ratio=statistics.median(
                mine / theirs for mine, theirs in zip(run.of(*told, "work_us"), run.of(*untold, "work_us"))))
