"""What the measurements need from the machine: tools, CPU and memory of process trees, PostgreSQL, nginx, wrk, pgbench."""
import glob
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PACKAGES = {"wrk": "wrk", "nginx": "nginx-light", "pgbench": "postgresql"}
RESULT = re.compile(r"^RESULT (\{.*\})$", re.M)


class Missing(Exception):
    """A tool is not installed, or an answer is not what it must be."""


def tool(name):
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    found = found or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
    if not found:
        raise Missing(f"{name} is not installed: it comes with the Debian package {PACKAGES[name]}")
    return found


def check_tools():
    for name in PACKAGES:
        tool(name)


def allow_many_files():
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


# ---- processes ----

def _stat(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def tree(root):
    """{pid: CPU seconds, with those of its ended children} of a process and everything below it."""
    stats = {int(name): _stat(name) for name in os.listdir("/proc") if name.isdigit()}
    stats = {pid: stat for pid, stat in stats.items() if stat}
    members = {root: stats[root][1]} if root in stats else {}
    while grown := [pid for pid in stats if pid not in members and stats[pid][0] in members]:
        members.update({pid: stats[pid][1] for pid in grown})
    return members


def cpu(root):
    return sum(tree(root).values()) if root else 0.0


def memory(pid):
    """{"resident", "private", "proportional"} of one process, in bytes; the last has a share of the pages it shares."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        text = file.read()

    def sum_of(*names):
        return 1024 * sum(int(re.search(rf"^{name}:\s+(\d+) kB", text, re.M).group(1)) for name in names)
    return {"resident": sum_of("Rss"), "private": sum_of("Private_Dirty", "Private_Clean"), "proportional": sum_of("Pss")}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_200(url, process, seconds=30):
    until = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        if time.monotonic() > until or process.poll() is not None:
            raise Missing(f"{url} does not answer 200")
        time.sleep(0.0005)


# ---- nginx ----

NGINX = """\
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log stderr error;
daemon off;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  client_header_buffer_size 4k;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location = /constant {{ default_type application/json; return 200 '{body}'; }}
    location ^~ /v1/inventory/ {{ add_header ETag 'W/"0123456789abcdef"' always; return 304; }}
  }}
}}
"""


class Nginx:
    def __init__(self, directory, body):
        self.directory = directory
        self.port = free_port()
        directory.mkdir()
        text = NGINX.format(directory=directory, port=self.port, body=body.replace("'", "\\'"))
        (directory / "nginx.conf").write_text(text, encoding="utf-8")
        self.process = None

    def start(self):
        command = [tool("nginx"), "-p", str(self.directory), "-c", str(self.directory / "nginx.conf"), "-e", "stderr"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_for_200(self.url + "/constant", self.process)
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def worker(self):
        return max(tree(self.process.pid))


# ---- load ----

class Load:
    """One run of a load generator, and what it cost whom."""

    def __init__(self, server, database):
        self.server, self.database = server, database
        self.before, self.after = self._now(), None

    def _now(self):
        children = os.times()
        return {
            "server": cpu(self.server), "postgresql": cpu(self.database),
            "client": children.children_user + children.children_system, "wall": time.monotonic(),
        }

    def end(self):
        """What happens from here on is not of the run; result() says so by itself where nothing does."""
        self.after = self._now()

    def result(self, requests, seconds, **more):
        """work_us: CPU time of whoever answers and of PostgreSQL, per request; pgbench counts as the one who answers."""
        after = self.after or self._now()
        used = {name: after[name] - self.before[name] for name in after}
        answering = used["server"] if self.server else used["client"]
        return {
            "work_us": 1e6 * (answering + used["postgresql"]) / max(requests, 1),
            "per_s": requests / seconds, **more,
            **{f"{name}_us": 1e6 * used[name] / max(requests, 1) for name in ("server", "postgresql", "client")},
            **{f"{name}_cores": used[name] / used["wall"] for name in ("server", "postgresql", "client")},
        }


def wrk(script, url, connections, seconds, environment, server=None, database=None):
    load = Load(server, database)
    command = [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    found = RESULT.search(done.stdout)
    if not found:
        raise Missing(f"wrk said: {done.stdout}{done.stderr}")
    told = json.loads(found.group(1))
    if told["errors"]:
        raise Missing(f"{told['errors']} of {told['requests']} requests to {url} failed ({environment.get('BENCH_CASE')})")
    return load.result(told["requests"], told["us"] / 1e6, p50_us=told["p50_us"], p99_us=told["p99_us"])


def pgbench_transactions(url, script, clients, each):
    """So many transactions of each client, none of which may fail."""
    command = [tool("pgbench"), url, "-n", "-M", "prepared", f"-c{clients}", "-j1", f"-t{each}", "-f", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Missing(f"pgbench said: {done.stdout}{done.stderr}")


def pgbench(url, script, clients, seconds, variables=None, statements=1, database=None):
    """A script file with pgbench -M prepared; statements: how many of the counted ones a transaction has."""
    load = Load(None, database)
    command = [tool("pgbench"), url, "-n", "-M", "prepared", f"-c{clients}", "-j1", f"-T{seconds}", "-f", str(script)]
    for name, value in (variables or {}).items():
        command += ["-D", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rate = re.search(r"tps = ([0-9.]+) \(without initial", done.stdout)
    if done.returncode != 0 or not rate:
        raise Missing(f"pgbench said: {done.stdout}{done.stderr}")
    latency = float(re.search(r"latency average = ([0-9.]+) ms", done.stdout).group(1))
    per_s = float(rate.group(1)) * statements
    return load.result(per_s * seconds, seconds, p50_us=1000 * latency, p99_us=None)
