"""Resident memory of the service (P9): idle, and while it answers the reads of P2; and of the fastify peer beside it."""
import threading

import machine

CONNECTIONS = 64


class Watch:
    """The most that a process was seen to need while a block ran."""

    def __init__(self, pid):
        self.pid, self.most, self._over = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _look(self):
        while True:
            self.most = max(self.most, machine.memory(self.pid)["resident"])
            if self._over.wait(0.05):
                return


def measure(run):
    bench = run.bench.restart()
    idle = {name: machine.memory(pid) for name, pid in (("worker", bench.worker()), ("supervisor", bench.supervisor_pid))}
    bench.seed_lanes()
    peer = run.fastify("memory beside fastify")
    if peer:
        theirs_idle = machine.memory(peer.pid)["resident"]
        bench.copy_inventory(peer.database)
    bench = run.bench.restart()    # seeding is not part of P2
    with Watch(bench.worker()) as mine:
        run.ask("read", CONNECTIONS)
    own = sum(one["proportional"] for one in idle.values())
    run.put("memory", "service", CONNECTIONS, {"idle": idle, "reading": mine.most})
    run.row("resident memory of the worker, idle", "-", idle["worker"]["resident"] / 2**20, goal="P9", at_most=16, unit="MiB",
            note=f"supervisor {idle['supervisor']['resident'] / 2**20:.0f} MiB; both, shared pages counted once, {own / 2**20:.0f} MiB")
    what = f"resident memory of the worker, GET inventory, {CONNECTIONS} connections"
    run.row(what, "-", mine.most / 2**20, goal="P9", at_most=48, unit="MiB")
    if peer:
        with Watch(peer.pid) as theirs:
            run.ask("read", CONNECTIONS, "fastify", peer.url, peer.pid)
        run.row("resident memory of the worker, idle", "fastify", idle["worker"]["resident"] / theirs_idle, goal="P9")
        run.row(what, "fastify", mine.most / theirs.most, goal="P9")
