"""What the service costs when nothing happens: memory of idle connections, and the time until it answers first."""
import socket
import statistics
import subprocess
import time

import machine
from rehearsal.service import BINARY, spawn

CONNECTIONS = 10000
REQUEST = "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n"


def _open(port, path, count):
    """Keep-alive connections, each answered once."""
    opened = []
    request = REQUEST.format(path=path).encode()
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        opened.append(connection)
        connection.sendall(request)
        if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
            raise machine.Missing(f"{path} was not answered 200")
    return opened


def _bytes_per_connection(pid, port, path):
    for connection in _open(port, path, 100):    # what the first requests allocate once
        connection.close()
    time.sleep(0.2)
    before = machine.memory(pid)
    opened = _open(port, path, CONNECTIONS)
    after = machine.memory(pid)
    for connection in opened:
        connection.close()
    return {name: (after[name] - before[name]) / CONNECTIONS for name in before} | {"all_resident": after["resident"]}


def measure_connections(run):
    if machine.allow_many_files() < CONNECTIONS + 200:
        raise machine.Missing(f"the limit of open files is below {CONNECTIONS + 200}: raise it with ulimit -n")
    bench = run.bench.restart()
    before = machine.memory(bench.worker())["resident"]
    nginx = machine.Nginx(bench.directory / "nginx-idle", bench.api.get("/v1/health", token=None).text).start()
    try:
        mine = _bytes_per_connection(bench.worker(), int(bench.url.rpartition(":")[2]), "/v1/health")
        theirs = _bytes_per_connection(nginx.worker(), nginx.port, "/constant")
    finally:
        nginx.stop()
    run.put("idle", "service", CONNECTIONS, mine)
    run.put("idle", "nginx", CONNECTIONS, theirs)
    run.row(f"resident memory per idle keep-alive connection, {CONNECTIONS} of them", "nginx, one worker",
            mine["resident"] / max(theirs["resident"], 1), note=f"{mine['resident'] / 1024:.2f} KiB each;"
            f" worker {before / 2**20:.0f} MiB idle, {mine['all_resident'] / 2**20:.0f} MiB with them")


def _first_answer(start, url):
    at = time.monotonic()
    process = start()
    try:
        machine.wait_for_200(url, process)
        return time.monotonic() - at
    finally:
        process.terminate()
        process.wait(30)


def measure_start(run):
    bench = run.bench
    bench.stop_service()
    port = machine.free_port()
    settings = {**bench.settings, "LAUNCHPLANE_LISTEN": f"127.0.0.1:{port}"}
    nginx = machine.Nginx(bench.directory / "nginx-start", "ok")
    command = [machine.tool("nginx"), "-p", str(nginx.directory), "-c", str(nginx.directory / "nginx.conf"), "-e", "stderr"]
    mine, theirs = [], []
    for _ in range(5 if run.options.quick else 15):
        mine.append(_first_answer(lambda: spawn("service", "serve", settings=settings), f"http://127.0.0.1:{port}/v1/health"))
        theirs.append(_first_answer(lambda: subprocess.Popen(command, stdout=subprocess.DEVNULL), nginx.url + "/constant"))
    run.put("start", "service", 0, {"ms": [1000 * one for one in mine]})
    run.put("start", "nginx", 0, {"ms": [1000 * one for one in theirs]})
    run.row(f"exec to first 200, migrated database ({BINARY.name})", "nginx, one worker",
            statistics.median(mine) / statistics.median(theirs), note=f"{1000 * statistics.median(mine):.0f} ms")
