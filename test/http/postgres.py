"""A private PostgreSQL cluster: a unix socket in a short directory, no TCP, no fsync, gone at the end.

Without fsync the files may as well be in memory, where creating a database costs a fraction: a tmpfs is used where there is one
with room."""
import contextlib
import glob
import itertools
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

import psycopg

from rehearsal.waiting import wait_until

USER = "launchplane"
SETTINGS = {
    "listen_addresses": "", "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off",
    "max_connections": "200", "shared_buffers": "64MB", "autovacuum": "off", "log_min_messages": "warning",
}

MEMORY = pathlib.Path("/dev/shm")
ROOM = 3 << 30


def _place(settings):
    if settings["fsync"] != "off" or not os.access(MEMORY, os.W_OK):
        return "/tmp"
    free = os.statvfs(MEMORY)
    return MEMORY if free.f_bavail * free.f_frsize >= ROOM else "/tmp"


def stands_still(process):
    """Stopped by a signal."""
    return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


class Cluster:
    def __init__(self, **settings):
        self.settings = {**SETTINGS, **settings}
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="lp", dir=_place(self.settings)))
        self.process = None
        self._numbers = itertools.count(1)

    def start(self):
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self.directory, account.pw_uid, account.pw_gid)
        self.directory.chmod(0o755)
        data = self.directory / "data"
        self._run("initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync", "--no-instructions",
                  "-E", "UTF8", "--locale=C.UTF-8")
        return self.up()

    def up(self):
        """Starts the server on the data that is there."""
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                self._command("postgres", "-D", self.directory / "data", "-k", self.directory, *options),
                stdout=log, stderr=log, cwd="/")
        wait_until(self._answers, "PostgreSQL to start", 60)
        return self

    def down(self, how=signal.SIGINT):
        """SIGINT: PostgreSQL's fast shutdown; SIGQUIT: immediate, as if the machine had lost power."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(120)         # a slow disk may have much to write

    def stop(self):
        self.down(signal.SIGQUIT)
        shutil.rmtree(self.directory, ignore_errors=True)

    def pause(self):
        """SIGSTOP to every process of the server: connections stay open and nobody answers."""
        os.kill(self.process.pid, signal.SIGSTOP)      # first: it starts no more of them
        wait_until(lambda: stands_still(self.process.pid), "PostgreSQL to stand still")
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)

    def go_on(self):
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def processes(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [self.process.pid, *map(int, children.split())]

    def connections_of(self, database):
        """Process ids of the service's connections."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            return [row[0] for row in connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'launchplane%%'", [database])]

    def terminate(self, processes):
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for process in processes:
                connection.execute("SELECT pg_terminate_backend(%s)", [process])

    def url(self, database):
        return f"postgresql://{USER}@/{database}?host={self.directory}"

    def create(self, template=None):
        """A fresh database's name; a copy of template when given."""
        name = f"d{next(self._numbers)}"
        source = f' TEMPLATE "{template}"' if template else ""
        self._admin(f'CREATE DATABASE "{name}"{source}')
        return name

    def drop(self, name):
        self._admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _admin(self, statement):
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"PostgreSQL ended: {(self.directory / 'log').read_text()}")
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, *arguments):
        subprocess.run(self._command(*arguments), check=True, capture_output=True, cwd="/")

    def _command(self, program, *arguments):
        """As user postgres when we are root; ends with us in any case."""
        found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))
        if not found:
            raise AssertionError(f"PostgreSQL's {program} is not installed")
        become = ["setpriv", "--pdeathsig", "QUIT"]
        if os.geteuid() == 0:
            become += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        return [*become, found[-1], *map(str, arguments)]
