"""The programs of test/bench/peers: installed with npm into build/bench-peers, started beside the service.

Whoever needs one asks installed() or starts Fastify(); both raise Absent, in one line, where npm or its registry is missing.
"""
import functools
import os
import pathlib
import shutil
import signal
import subprocess

import machine

HERE = pathlib.Path(__file__).resolve().parent / "peers"
PLACE = HERE.parents[2] / "build" / "bench-peers"
FILES = ("package.json", "package-lock.json")
INSTALL_S = 300


class Absent(Exception):
    """This machine has no peers; the rows that need one are left out."""


def _is_complete():
    return all((PLACE / name).exists() and (PLACE / name).read_bytes() == (HERE / name).read_bytes() for name in FILES) and (
        PLACE / "complete").exists()


@functools.lru_cache
def installed():
    """The folder that holds node_modules, after npm ci where that is not done yet. No install script of a package is run."""
    if _is_complete():
        return PLACE
    if not shutil.which("npm"):
        raise Absent("npm is not installed")
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    for name in FILES:
        shutil.copy(HERE / name, PLACE)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    try:
        done = subprocess.run(command, cwd=PLACE, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        raise Absent(f"npm did not install the peers in {INSTALL_S} s") from None
    if done.returncode != 0:
        reason = next(iter((done.stderr or done.stdout).strip().splitlines()), "no reason told")
        raise Absent(f"npm could not install the peers: {reason}")
    (PLACE / "complete").touch()
    return PLACE


def node():
    """The Node.js of the lock file; the machine's own where there is none for this kind of machine."""
    path = installed() / "node_modules" / ".bin" / "node"
    found = str(path) if path.exists() else shutil.which("node")
    if not found:
        raise Absent("node is not installed")
    return found


def spawn(script, environment, **more):
    """Starts test/bench/peers/<script>; its imports are found in the installed folder."""
    shutil.copy(HERE / script, installed() / script)
    return subprocess.Popen([node(), str(PLACE / script)], env={**os.environ, "NODE_ENV": "production", **environment},
                            stdin=subprocess.DEVNULL, **more)


class Fastify:
    """health, inventory and deployment evidence, in a database of its own beside the service's. store: the statement that it
    runs for evidence, in a database with the service's tables; None: the least, in its own tables."""

    def __init__(self, bench, store=None):
        installed()
        self.database = bench.migrated() if store else bench.cluster.url(bench.cluster.create())
        self.port = machine.free_port()
        settings = {"DATABASE_URL": self.database, "PORT": str(self.port)}
        if store:
            settings["STORE_FILE"] = str(bench.directory / "store.sql")
            (bench.directory / "store.sql").write_text(store, encoding="utf-8")
        self.process = spawn("fastify.mjs", settings, stdout=subprocess.DEVNULL)
        try:
            machine.wait_for_200(self.url + "/v1/health", self.process)
        except machine.Missing as error:
            self.stop()
            raise Absent(f"the fastify peer does not start: {error}") from None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(10)
