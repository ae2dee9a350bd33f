#!/usr/bin/python3
"""Measures the service beside its limits and its peers, and says which goals it meets.

    test/bench/run.py --quick          about two minutes
    test/bench/run.py                  longer runs, more connection counts
    test/bench/run.py --only read      one case; may be given several times

The load generators are wrk (HTTP, one thread) and pgbench (PostgreSQL, one thread), on the same machine and in the same minutes
as the service. The programs take turns within each round; a figure is the median of the rounds, a ratio the median of the
rounds' ratios, with the least and the most. Absolute figures belong to the machine, ratios are what to compare. "CPU with
PostgreSQL" compares the CPU time per request of service and PostgreSQL with that of pgbench and PostgreSQL: it says more than
requests/s where other work keeps the CPUs busy. Everything is on loopback; pgbench, the peers and the service use PostgreSQL's
unix socket, with fsync and synchronous_commit on.
"""
import argparse
import importlib
import json
import os
import pathlib
import shutil
import sys
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "http")]

import machine  # noqa: E402
import peers  # noqa: E402
from machine import Missing, pgbench, wrk  # noqa: E402
from plane import LANES, Bench  # noqa: E402
from report import Report  # noqa: E402

SCRIPT = HERE / "load.lua"
# Modules of cases/, in this order.
CASES = ("health", "read", "tokens", "history", "evidence", "operations", "pickup", "sleepers", "held", "idle", "watchers", "memory",
         "start")


class Run(Report):
    """What the cases have in common: the service, how long to measure, programs that take turns."""

    def __init__(self, bench, options):
        super().__init__()
        self.bench, self.options = bench, options
        self._peers = {}

    def ask(self, case, connections, program="service", url=None, pid=None, **environment):
        """One run of wrk; case is one of load.lua."""
        bench = self.bench
        settings = {"BENCH_CASE": case, "BENCH_TOKEN": bench.token, "BENCH_LANES": str(LANES),
                    "BENCH_CONTEXT": bench.lane.context, "BENCH_RUN": uuid.uuid4().hex[:12], **environment}
        result = wrk(SCRIPT, url or bench.url, connections, self.options.seconds, settings,
                     pid or bench.supervisor_pid, bench.postmaster)
        return program, connections, result

    def sql(self, name, script, clients, variables=None, statements=1, beside=None):
        """One run of pgbench. beside: the connections of the case that is measured next to it."""
        result = pgbench(self.bench.database, script, clients, self.options.seconds, variables, statements, self.bench.postmaster)
        return name, (clients, beside) if beside else clients, result

    def rounds(self, case, *programs):
        """programs: functions that measure once and return (program, connections, result)."""
        for number in range(self.options.rounds):
            print(f"{case}: round {number + 1} of {self.options.rounds}", file=sys.stderr)
            for program in programs if number % 2 == 0 else programs[::-1]:
                self.put(case, *program())

    def fastify(self, for_what, store=None):
        """The fastify peer, started once (store: see peers.Fastify); None where the machine has none, which the table then says."""
        if store not in self._peers:
            try:
                self._peers[store] = peers.Fastify(self.bench, store)
            except peers.Absent as why:
                self._peers[store] = why
        if isinstance(self._peers[store], peers.Absent):
            self.skip(for_what, self._peers[store].args[0])
            return None
        return self._peers[store]

    def close(self):
        for peer in self._peers.values():
            if isinstance(peer, peers.Fastify):
                peer.stop()


def _options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about two minutes: short runs, few connection counts")
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
    bench, run = Bench(), None
    try:
        run = Run(bench.open(), options)
        for case in CASES if not options.only else [case for case in CASES if case in options.only]:
            importlib.import_module(f"cases.{case}").measure(run)
    finally:
        if run:
            run.close()
        bench.close()
        shutil.rmtree(bench.directory, ignore_errors=True)
    options.json.write_text(json.dumps(run.document(options), indent=1) + "\n", encoding="utf-8")
    print(run.table())
    print(f"\nMedians of {options.rounds} interleaved rounds of {options.seconds} s; load from wrk and pgbench, one thread each, on"
          f" the same {os.cpu_count()} CPUs. All figures: {options.json}")


if __name__ == "__main__":
    try:
        main()
    except Missing as error:
        sys.exit(f"bench: {error}")
