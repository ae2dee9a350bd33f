"""Memory of idle keep-alive connections (P7)."""
import socket
import time

import machine

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


def measure(run):
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
    note = f"worker {before / 2**20:.0f} MiB idle, {mine['all_resident'] / 2**20:.0f} MiB with them"
    run.row(f"resident memory per idle keep-alive connection, {CONNECTIONS} of them", "-", mine["resident"] / 1024, goal="P7",
            at_most=8, unit="KiB", note=note)
    run.row(f"resident memory per idle keep-alive connection, {CONNECTIONS} of them", "nginx, one worker",
            mine["resident"] / max(theirs["resident"], 1), goal="P7")
