"""Drives supervised: a supervisor with HTTP workers that are killed, hang, refuse to start or drain.

usage: test_supervisor.py PATH_TO_SUPERVISED [name of one test]"""
import math
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = sys.argv[1]
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


def until(what, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


class Service:
    def __init__(self, listen="127.0.0.1:0", workers=2, drain_ms=3000, hang_ms=0, wait=True, env=None, **popen):
        self.process = subprocess.Popen([PROGRAM, listen, str(workers), str(drain_ms), str(hang_ms)], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True, env={**os.environ, **(env or {})}, **popen)
        self.lines = []
        self.reader = threading.Thread(target=lambda: [self.lines.append(line.strip()) for line in self.process.stdout], daemon=True)
        self.reader.start()
        if wait:
            self.url = self.line("ready ")[len("ready "):]
            self.port = int(self.url.rsplit(":", 1)[1]) if self.url.startswith("http") else 0

    def line(self, start):
        return until(lambda: next((line for line in self.lines if line.startswith(start)), None))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    def get(self, path):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.settimeout(5)
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while True:
                more = s.recv(65536)
                if not more:
                    break
                data += more
        head, body = data.split(b"\r\n\r\n", 1)
        assert b" 200 " in head.split(b"\r\n")[0], data
        return body.decode()

    def workers(self):
        """Process ids by slot."""
        found = {}
        until(lambda: found.update({int(slot): int(pid) for pid, slot, _ in [self.get("/").split()]}) or len(found) == 2)
        return found


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(p) for p in f.read().split()]


@test
def a_dead_worker_is_started_again_at_once():
    with Service() as service:
        assert re.fullmatch(r"http://127.0.0.1:\d+", service.url)
        pids = children(service.process.pid)
        assert len(pids) == 2
        began = time.monotonic()
        os.kill(pids[0], signal.SIGKILL)
        until(lambda: len(children(service.process.pid)) == 2 and pids[0] not in children(service.process.pid))
        assert time.monotonic() - began < 20
        service.line("death of ")
        for _ in range(20):
            service.get("/")
        service.process.terminate()
        assert service.process.wait(30) == 0
        assert service.lines[0] == "before workers" and service.lines[-1] == "after workers"


def deaths_of(service):
    return [line for line in service.lines if line.startswith("death")]


@test
def a_worker_that_keeps_dying_is_started_ever_more_slowly():
    with Service(wait=False, workers=1, env={"TEST_FATE": "crash"}) as service:
        began = time.monotonic()
        deaths = until(lambda: [None, *deaths_of(service)][3:] and deaths_of(service))
        time.sleep(1)
        assert len(deaths) <= len(deaths_of(service)) <= 4 + math.log2(1 + (time.monotonic() - began) / 0.1), service.lines
        assert not any(line.startswith("ready") for line in service.lines)
        service.process.terminate()
        assert service.process.wait(30) == 0


@test
def a_worker_that_cannot_start_ends_the_service():
    with Service(wait=False, env={"TEST_FATE": "cannot start"}) as service:
        assert service.process.wait(30) == 78
    with Service(wait=False, env={"TEST_FATE": "no database"}) as service:
        assert service.process.wait(30) == 1, "that may pass: systemd starts it again"
        assert service.lines == ["before workers"]
    for listen in ["nonsense", "host.example:80", "127.0.0.1:70000", "127.0.0.1:1x", "[::1:80", "::1:80"]:
        with Service(listen=listen, wait=False) as service:
            assert service.process.wait(30) == 78, listen
    with Service() as service, Service(listen=f"127.0.0.1:{service.port}", wait=False) as second:
        assert second.process.wait(30) == 78


@test
def metrics_are_added_up_and_outlive_a_worker():
    with Service() as service:
        for _ in range(30):
            service.get("/")
        assert "answers_total 30\n" in service.get("/metrics")
        for pid in children(service.process.pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda: pid not in children(service.process.pid))
        until(lambda: len(children(service.process.pid)) == 2)
        assert "answers_total 31\n" in service.get("/metrics")


@test
def terminating_drains_the_workers():
    with Service() as service:
        answers = []
        asking = [threading.Thread(target=lambda: answers.append(service.get("/slow"))) for _ in range(8)]
        for thread in asking:
            thread.start()
        time.sleep(0.15)
        service.process.send_signal(signal.SIGHUP)
        service.process.terminate()
        assert service.process.wait(30) == 0
        for thread in asking:
            thread.join()
        assert len(answers) == 8


@test
def a_second_signal_or_the_deadline_kills():
    for again, drain_ms in [(True, 600000), (False, 800)]:
        with Service(drain_ms=drain_ms) as service:
            s = socket.create_connection(("127.0.0.1", service.port))
            s.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.1)
            service.process.send_signal(signal.SIGINT)
            if again:
                time.sleep(0.1)
                service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(30) == 0
            s.close()


@test
def a_second_signal_after_the_workers_changes_nothing():
    with Service(env={"TEST_FATE": "is told when to end"}, stdin=subprocess.PIPE) as service:
        service.process.terminate()
        service.line("after workers")
        service.process.terminate()
        service.process.stdin.close()
        assert service.process.wait(30) == 0


@test
def a_parent_that_blocks_the_signal_does_not_keep_it_from_the_workers():
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        service = Service(drain_ms=60000)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    with service:
        service.process.terminate()
        assert service.process.wait(20) == 0


@test
def workers_die_with_the_supervisor():
    with Service() as service:
        pids = children(service.process.pid)
        service.process.kill()
        service.process.wait()
        until(lambda: not any(is_alive(pid) for pid in pids), 2)


@test
def a_worker_that_hangs_is_killed():
    with Service(hang_ms=1500) as service:
        pids = children(service.process.pid)
        s = socket.create_connection(("127.0.0.1", service.port))
        s.sendall(b"GET /hang HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: set(children(service.process.pid)) != set(pids), 6)
        assert len(set(children(service.process.pid)) & set(pids)) == 1
        s.close()


@test
def systemd_is_told():
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(folder + "/notify")
            notify.settimeout(5)
            with Service(env={"NOTIFY_SOCKET": folder + "/notify", "WATCHDOG_USEC": "400000"}) as service:
                got = ""
                while "READY=1" not in got:
                    got = notify.recv(4096).decode()
                beats = 0
                while beats < 3:
                    beats += "WATCHDOG=1" in notify.recv(4096).decode()
                service.process.terminate()
                while "STOPPING=1" not in got:
                    got = notify.recv(4096).decode()
                assert service.process.wait(30) == 0


@test
def a_socket_may_come_from_systemd():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        port = listening.getsockname()[1]
        os.set_inheritable(listening.fileno(), True)
        start = ["/bin/sh", "-c", f'exec 3<&{listening.fileno()}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" nonsense 2 3000 0', PROGRAM]
        process = subprocess.Popen(start, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, close_fds=False)
        try:
            assert process.stdout.readline() == "before workers\n"
            assert process.stdout.readline() == f"ready http://127.0.0.1:{port}\n"
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert s.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()


@test
def ipv6_is_spoken():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
    except OSError:
        return  # a machine without IPv6
    with Service(listen="[::1]:0") as service:
        assert re.fullmatch(r"http://\[::1\]:\d+", service.url)


def main():
    failed = 0
    for fn in TESTS:
        if len(sys.argv) > 2 and sys.argv[2] != fn.__name__:
            continue
        began = time.monotonic()
        try:
            fn()
            print(f"ok   {fn.__name__} {time.monotonic() - began:.2f} s", flush=True)
        except Exception as e:  # noqa: BLE001 - every failure is reported, then the run fails
            failed += 1
            line = e.__traceback__.tb_next or e.__traceback__
            print(f"FAIL {fn.__name__} line {line.tb_lineno}: {type(e).__name__} {e}", flush=True)
    sys.exit(1 if failed else 0)


main()
