"""From exec to the ready line, and to the first answer (P9)."""
import statistics
import subprocess
import time

import machine
import peers
from rehearsal.service import BINARY, spawn


def _first_answer(start, url):
    at = time.monotonic()
    process = start()
    try:
        machine.wait_for_200(url, process)
        return time.monotonic() - at
    finally:
        process.terminate()
        process.wait(30)


def _ready_line(settings):
    at = time.monotonic()
    process = spawn("service", "serve", settings=settings)
    try:
        if not any(line.startswith("ready ") for line in process.stdout):
            raise machine.Missing("the service ended before it was ready")
        return time.monotonic() - at
    finally:
        process.terminate()
        process.wait(30)


def fastify(run):
    """(what starts the peer, the address that it answers), once its tables are there; None where the machine has none."""
    started = run.fastify("exec to first 200 beside fastify")
    if not started:
        return None
    port = machine.free_port()
    environment = {"DATABASE_URL": started.database, "PORT": str(port)}
    return lambda: peers.spawn("fastify.mjs", environment, stdout=subprocess.DEVNULL), f"http://127.0.0.1:{port}/v1/health"


def measure(run):
    bench = run.bench
    bench.stop_service()
    port = machine.free_port()
    settings = {**bench.settings, "LAUNCHPLANE_LISTEN": f"127.0.0.1:{port}"}
    nginx = machine.Nginx(bench.directory / "nginx-start", "ok")
    command = [machine.tool("nginx"), "-p", str(nginx.directory), "-c", str(nginx.directory / "nginx.conf"), "-e", "stderr"]
    peer = fastify(run)
    ready, mine, theirs, fastifys = [], [], [], []
    for _ in range(5 if run.options.quick else 15):
        ready.append(_ready_line(settings))
        mine.append(_first_answer(lambda: spawn("service", "serve", settings=settings), f"http://127.0.0.1:{port}/v1/health"))
        theirs.append(_first_answer(lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL), nginx.url + "/constant"))
        if peer:
            fastifys.append(_first_answer(*peer))
    run.put("start", "service", 0, {"ms": [1000 * one for one in mine], "ready_ms": [1000 * one for one in ready]})
    run.put("start", "nginx", 0, {"ms": [1000 * one for one in theirs]})
    run.row(f"exec to ready line, migrated database ({BINARY.name})", "-", 1000 * statistics.median(ready), goal="P9", at_most=60, unit="ms")
    run.row(f"exec to first 200, migrated database ({BINARY.name})", "-", 1000 * statistics.median(mine), goal="P9", at_most=60, unit="ms")
    run.row(f"exec to first 200, migrated database ({BINARY.name})", "nginx, one worker",
            statistics.median(mine) / statistics.median(theirs), goal="P9")
    if peer:
        run.row(f"exec to first 200, migrated database ({BINARY.name})", "fastify", [one / other for one, other in zip(mine, fastifys)],
                goal="P9", note=f"{1000 * statistics.median(fastifys):.0f} ms of fastify")
