#!/usr/bin/python3
"""Measures the service beside its limits: nginx for HTTP, pgbench with the service's own statements for PostgreSQL.

    test/bench/run.py --quick          about a minute
    test/bench/run.py                  longer runs, more connection counts
    test/bench/run.py --only read      one case; may be given several times

The load generators are wrk (HTTP, one thread) and pgbench (PostgreSQL, one thread), on the same machine and in the same minutes
as the service. The programs take turns within each round; a figure is the median of the rounds, a ratio the median of the
rounds' ratios, with the least and the most. Absolute figures belong to the machine, ratios are what to compare. "CPU with
PostgreSQL" compares the CPU time per request of service and PostgreSQL with that of pgbench and PostgreSQL: it says more than
requests/s where other work keeps the CPUs busy. Everything is on loopback; pgbench and the service use PostgreSQL's unix
socket, with fsync and synchronous_commit on.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import sys
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "http")]

import idle  # noqa: E402
import operations  # noqa: E402
import reads  # noqa: E402
import machine  # noqa: E402
from machine import Missing, pgbench, wrk  # noqa: E402
from plane import LANES, Bench, queries, with_values  # noqa: E402

SCRIPT = HERE / "load.lua"
CASES = ("health", "read", "reads", "evidence", "operations", "idle", "start")


class Run:
    """The cases of one call: measurements by case, program and connections, one entry a round."""

    def __init__(self, bench, options):
        self.bench, self.options = bench, options
        self.measured = {}
        self.rows = []

    def put(self, case, program, connections, result):
        self.measured.setdefault((case, program, connections), []).append(result)

    def of(self, case, program, connections, name):
        return [result[name] for result in self.measured[case, program, connections]]

    def median(self, case, program, connections, name):
        values = [value for value in self.of(case, program, connections, name) if value is not None]
        return statistics.median(values) if values else None

    def ratios(self, case, connections, limit, limit_connections, name="per_s"):
        """Service / limit, round by round."""
        pairs = zip(self.of(case, "service", connections, name), self.of(*limit, limit_connections, name))
        return [mine / theirs for mine, theirs in pairs]

    def ratio(self, *of):
        return statistics.median(self.ratios(*of))

    def best(self, case, connections):
        """The number of pgbench clients that did best beside so many connections."""
        known = [key[2][0] for key in self.measured
                 if key[:2] == (case, "pgbench") and key[2][1] == connections]
        return max(known, key=lambda clients: self.median(case, "pgbench", (clients, connections), "per_s"))

    def row(self, what, against, ratios, **more):
        """ratios: of the rounds, or one figure, or None."""
        every = ratios if isinstance(ratios, list) else [ratios] if ratios is not None else []
        self.rows.append({"what": what, "against": against, "ratio": statistics.median(every) if every else None,
                          "least": min(every, default=None), "most": max(every, default=None), **more})

    # one measurement each

    def ask(self, case, connections, program="service", url=None, pid=None, **environment):
        bench = self.bench
        settings = {"BENCH_CASE": case, "BENCH_TOKEN": bench.token, "BENCH_LANES": str(LANES),
                    "BENCH_CONTEXT": bench.lane.context, "BENCH_RUN": uuid.uuid4().hex[:12], **environment}
        result = wrk(SCRIPT, url or bench.url, connections, self.options.seconds, settings,
                     pid or bench.supervisor_pid, bench.postmaster)
        return program, connections, result

    def sql(self, name, script, clients, variables=None, statements=1, beside=None):
        """beside: the connections of the case that is measured next to it."""
        return name, (clients, beside) if beside else clients, pgbench(self.bench.database, script, clients, self.options.seconds, variables, statements,
                                      self.bench.postmaster)

    def rounds(self, case, *programs):
        """programs: functions that measure once and return (program, connections, result)."""
        for number in range(self.options.rounds):
            print(f"{case}: round {number + 1} of {self.options.rounds}", file=sys.stderr)
            for program in programs if number % 2 == 0 else programs[::-1]:
                self.put(case, *program())

    # cases

    def health(self):
        bench, nginx = self.bench, None
        body = bench.api.get("/v1/health", token=None).text
        try:
            nginx = machine.Nginx(bench.directory / "nginx", body).start()
            programs = []
            for n in self.options.connections:
                programs.append(lambda n=n: self.ask("health", n))
                programs.append(lambda n=n: self.ask("health", n, "nginx", nginx.url, nginx.process.pid, BENCH_PATH="/constant"))
                programs.append(lambda n=n: self.ask("health", n, "nginx 304", nginx.url, nginx.process.pid,
                                                     BENCH_PATH="/unchanged"))
            self.rounds("health", *programs)
        finally:
            if nginx:
                nginx.stop()
        for n in self.options.connections:
            self.row(f"GET /v1/health, {n} connections", f"nginx returning the same {len(body)} bytes",
                     self.ratios("health", n, ("health", "nginx"), n), **self.figures("health", n),
                     cpu_ratio=self.ratio("health", n, ("health", "nginx"), n, "server_us"),
                     p99_ratio=self.ratio("health", n, ("health", "nginx"), n, "p99_us"))

    def read(self):
        bench = self.bench
        tags, size = bench.seed_lanes()
        sql = with_values(queries()["inventory_read"], [f"'{bench.lane.context}'", "('lane' || :i)"])
        script = bench.directory / "read.sql"
        script.write_text(f"\\set i random(0, {LANES - 1})\n{' '.join(sql.split())};\n", encoding="utf-8")
        together = bench.directory / "read16.sql"
        one = "\n".join(f"{' '.join(sql.split())};".replace(":i", f":i{k}") for k in range(16))
        sets = "\n".join(f"\\set i{k} random(0, {LANES - 1})" for k in range(16))
        together.write_text(f"{sets}\n\\startpipeline\n{one}\n\\endpipeline\n", encoding="utf-8")
        clients = (1, 4) if self.options.quick else (1, 4, 16)
        programs = []
        for n in self.options.connections:    # what is compared is measured one after the other
            for limit in clients[:1] if n == 1 else clients[1:]:
                programs.append(lambda n=n, limit=limit: self.sql("pgbench", script, limit, beside=n))
            programs.append(lambda n=n: self.ask("read", n))
            programs.append(lambda n=n: ("304", n, self.ask("unchanged", n, BENCH_TAGS=str(tags))[2]))
        programs.append(lambda: self.sql("pgbench, 16 in a pipeline", together, 4, statements=16))
        self.rounds("read", *programs)
        for n in self.options.connections:
            limit = self.best("read", n)
            against = f"pgbench, the same prepared select, {limit} client{'s' if limit > 1 else ''}"
            self.row(f"GET inventory, {size} byte record, {n} connections", against,
                     self.ratios("read", n, ("read", "pgbench"), (limit, n)), **self.figures("read", n),
                     work_ratio=self.ratio("read", n, ("read", "pgbench"), (limit, n), "work_us"),
                     **({"p50_ratio": self.ratio("read", 1, ("read", "pgbench"), (1, 1), "p50_us")} if n == 1 else {}))
            self.measured["unchanged", "service", n] = self.measured["read", "304", n]
            self.row(f"the same answered 304, {n} connections", against, self.ratios("unchanged", n, ("read", "pgbench"), (limit, n)),
                     **self.figures("unchanged", n))
            if ("health", "nginx 304", n) in self.measured:
                self.row(f"the same answered 304, {n} connections", "nginx returning 304",
                         self.ratios("unchanged", n, ("health", "nginx 304"), n), **self.figures("unchanged", n))
        n = self.options.connections[-1]
        self.row(f"GET inventory, {n} connections", "pgbench, 16 selects in a pipeline, 4 clients",
                 self.ratios("read", n, ("read", "pgbench, 16 in a pipeline"), 4), **self.figures("read", n))

    def reads(self):
        reads.measure(self)

    def evidence(self):
        bench = self.bench
        template, size = bench.template()
        environment = {"BENCH_BODY": str(template)}
        self.ask("evidence", 1, **environment)    # leaves rows for pgbench to imitate
        idempotency, deployment, inventory, scope, leaf = bench.last_write()
        variables = {"answer": idempotency, "deployment": deployment, "inventory": inventory, "scope": scope, "leaf": leaf,
                     "fingerprint": "0" * 64, "trace": "launchplane_req_" + "0" * 32}
        script, together = bench.directory / "write.sql", bench.directory / "write16.sql"
        script.write_text(f"\\set key random(1, 9000000000000000000)\n\\set lane random(0, {LANES - 1})\n{self.store('')}",
                          encoding="utf-8")
        # Each client has its own lanes: transactions of several writes would wait for each other in circles otherwise.
        sets = "\n".join(f"\\set key{k} random(1, 9000000000000000000)\n\\set lane{k} random(0, {LANES // 4 - 1}) * 4 + :client_id"
                         for k in range(16))
        together.write_text(sets + "\n\\startpipeline\n" + "".join(self.store(k) for k in range(16)) + "\\endpipeline\n",
                            encoding="utf-8")
        clients = (1, 16) if self.options.quick else (1, 4, 16, 32)
        programs = []
        for n in self.options.connections:
            for limit in clients[:1] if n == 1 else clients[1:]:
                programs.append(lambda n=n, limit=limit: self.sql("pgbench", script, limit, variables, beside=n))
            programs.append(lambda n=n: self.ask("evidence", n, **environment))
        programs.append(lambda: self.sql("pgbench, 16 a commit", together, 4, variables, 16))
        untold = bench.directory / "untold.sql"       # the same without its leaf of the audit log
        untold.write_text(script.read_text(encoding="utf-8").replace(":leaf", "NULL"), encoding="utf-8")
        for n in (1, 16):
            programs.append(lambda n=n: self.sql("pgbench, told", script, n, variables))
            programs.append(lambda n=n: self.sql("pgbench, untold", untold, n, variables))
        self.rounds("evidence", *programs)
        for n in self.options.connections:
            limit = self.best("evidence", n)
            self.row(f"POST deployment evidence, {size} bytes, {n} connections",
                     f"pgbench, the same statement, {limit} client{'s' if limit > 1 else ''}",
                     self.ratios("evidence", n, ("evidence", "pgbench"), (limit, n)), **self.figures("evidence", n),
                     work_ratio=self.ratio("evidence", n, ("evidence", "pgbench"), (limit, n), "work_us"),
                     **({"p50_ratio": self.ratio("evidence", 1, ("evidence", "pgbench"), (1, 1), "p50_us")} if n == 1 else {}))
        for n in (1, 16):
            told, without = ("evidence", "pgbench, told"), ("evidence", "pgbench, untold")
            self.row(f"the evidence statement with its audit leaf, {n} clients", "without it",
                     [mine / theirs for mine, theirs in zip(self.of(*told, n, "per_s"), self.of(*without, n, "per_s"))],
                     per_s=self.median(*told, n, "per_s"), p50_us=self.median(*told, n, "p50_us"),
                     work_ratio=statistics.median(mine / theirs for mine, theirs in zip(
                         self.of(*told, n, "work_us"), self.of(*without, n, "work_us"))))
        n = self.options.connections[-1]
        self.row(f"POST deployment evidence, {n} connections", "pgbench, 16 statements a commit, 4 clients",
                 self.ratios("evidence", n, ("evidence", "pgbench, 16 a commit"), 4), **self.figures("evidence", n))

    def store(self, k):
        key, instance = f"('k' || :key{k})", f"('busy' || :lane{k})"
        context = f"'{self.bench.lane.context}'"
        now = "'2026-01-01T00:00:00Z'"
        values = [f"('idempotency-' || :key{k})", ":scope", "'/v1/evidence/deployments'", key, ":fingerprint", ":trace", now,
                  ":answer", f"('deployment-' || :key{k})", context, instance, "'artifact-shop-0001'", "'" + "a" * 40 + "'",
                  "'2026-01-01T00:00:00Z'", "'2026-01-01T00:01:00Z'", ":deployment", ":inventory", ":leaf"]
        return " ".join(with_values(queries()["deployment_evidence_store"], values).split()) + ";\n"

    def operations(self):
        operations.measure(self)

    def idle(self):
        idle.measure_connections(self)

    def start(self):
        idle.measure_start(self)

    # what came out

    def figures(self, case, connections):
        names = ("per_s", "p50_us", "p99_us", "server_us", "postgresql_us", "server_cores", "postgresql_cores", "client_cores")
        return {name: self.median(case, "service", connections, name) for name in names}

    def table(self):
        head = ("what", "measured against", "ratio", "p50 ms", "p99 ms", "CPU us: service", "PostgreSQL", "other")
        lines = [head]
        for row in self.rows:
            others = {"cpu_ratio": "CPU", "work_ratio": "CPU with PostgreSQL", "p50_ratio": "p50", "p99_ratio": "p99"}
            other = [f"{word} x{row[name]:.2f}" for name, word in others.items() if row.get(name) is not None]
            lines.append((
                row["what"], row["against"], _span(row),
                _number(row.get("p50_us"), 1000, 2), _number(row.get("p99_us"), 1000, 2), _number(row.get("server_us"), 1, 1),
                _number(row.get("postgresql_us"), 1, 1), ", ".join([*other, *([row["note"]] if row.get("note") else [])])))
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        lines.insert(1, tuple("-" * width for width in widths))
        return "\n".join("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines)

    def document(self):
        measured = {f"{case}/{program}/{n}": results for (case, program, n), results in self.measured.items()}
        return {
            "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "cpus": os.cpu_count(),
            "rounds": self.options.rounds, "seconds": self.options.seconds, "load_generators": ["wrk -t1", "pgbench -j1"],
            "rows": self.rows, "measured": measured,
        }


def _span(row):
    if row["ratio"] is None:
        return ""
    spread = f" ({row['least']:.2f}-{row['most']:.2f})" if row["most"] > row["least"] else ""
    return f"{row['ratio']:.2f}{spread}"


def _number(value, divisor, digits):
    return "" if value is None else f"{value / divisor:.{digits}f}"


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a minute: short runs, few connection counts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, help="of each measurement; default 4, with --quick 1")
    parser.add_argument("--connections", type=lambda text: tuple(map(int, text.split(","))), help="default 1,16,64,256")
    parser.add_argument("--only", action="append", choices=CASES)
    parser.add_argument("--json", type=pathlib.Path, default=pathlib.Path("bench.json"), help="default: bench.json")
    options = parser.parse_args()
    options.seconds = options.seconds or (1 if options.quick else 4)
    options.connections = options.connections or ((1, 64) if options.quick else (1, 16, 64, 256))
    return options


def main():
    options = _options()
    machine.check_tools()
    machine.allow_many_files()
    bench = Bench()
    try:
        run = Run(bench.open(), options)
        for case in options.only or CASES:
            getattr(run, case)()
    finally:
        bench.close()
        shutil.rmtree(bench.directory, ignore_errors=True)
    options.json.write_text(json.dumps(run.document(), indent=1) + "\n", encoding="utf-8")
    print(run.table())
    print(f"\nMedians of {options.rounds} interleaved rounds of {options.seconds} s; load from wrk and pgbench, one thread each, on"
          f" the same {os.cpu_count()} CPUs. All figures: {options.json}")


if __name__ == "__main__":
    try:
        main()
    except Missing as error:
        sys.exit(f"bench: {error}")
