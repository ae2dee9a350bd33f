"""From exec to the ready line, and to the first answer (P9)."""
import statistics
import subprocess
import time

import machine
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


def measure(run):
    bench = run.bench
    bench.stop_service()
    port = machine.free_port()
    settings = {**bench.settings, "LAUNCHPLANE_LISTEN": f"127.0.0.1:{port}"}
    nginx = machine.Nginx(bench.directory / "nginx-start", "ok")
    command = [machine.tool("nginx"), "-p", str(nginx.directory), "-c", str(nginx.directory / "nginx.conf"), "-e", "stderr"]
    ready, mine, theirs = [], [], []
    for _ in range(5 if run.options.quick else 15):
        ready.append(_ready_line(settings))
        mine.append(_first_answer(lambda: spawn("service", "serve", settings=settings), f"http://127.0.0.1:{port}/v1/health"))
        theirs.append(_first_answer(lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL), nginx.url + "/constant"))
    run.put("start", "service", 0, {"ms": [1000 * one for one in mine], "ready_ms": [1000 * one for one in ready]})
    run.put("start", "nginx", 0, {"ms": [1000 * one for one in theirs]})
    run.row(f"exec to ready line, migrated database ({BINARY.name})", "-", 1000 * statistics.median(ready), goal="P9", at_most=60, unit="ms")
    run.row(f"exec to first 200, migrated database ({BINARY.name})", "-", 1000 * statistics.median(mine), goal="P9", at_most=60, unit="ms")
    run.row(f"exec to first 200, migrated database ({BINARY.name})", "nginx, one worker",
            statistics.median(mine) / statistics.median(theirs), goal="P9")
