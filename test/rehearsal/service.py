"""The launchplane program as a process: started with exact settings, read, killed, ended."""
import os
import pathlib
import signal
import subprocess
import tempfile
import threading

from .waiting import wait_until

BINARY = pathlib.Path(os.environ.get(      # resolved: some tests change their directory
    "LAUNCHPLANE_BINARY", pathlib.Path(__file__).resolve().parents[2] / "build" / "launchplane")).resolve()
START_SECONDS = 60
# What ASan says about any use of fibers; core/fiber.c announces them to it.
_HARMLESS = "ASan doesn't fully support makecontext/swapcontext"
_PASSED_ON = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "LLVM_PROFILE_FILE")


# As systemd hands a socket over: descriptor 3, and the process it is meant for. The program follows as arguments.
_WITH_SOCKET = 'exec 3<&%d; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" "$@"'


def spawn(*arguments, settings, listening=None):
    """Starts launchplane with exactly these settings, in a process group of its own; listening is a socket to hand over."""
    if not BINARY.exists():
        raise AssertionError(f"{BINARY} does not exist: build the service first, or set LAUNCHPLANE_BINARY")
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    env["HOME"] = settings.get("LAUNCHPLANE_STATE_DIR") or tempfile.gettempdir()
    env.update({name: value for name, value in settings.items() if value is not None})
    with_socket = ["/bin/bash", "-c", _WITH_SOCKET % listening.fileno()] if listening else []
    return subprocess.Popen(
        [*with_socket, str(BINARY), *arguments], env=env, pass_fds=[listening.fileno()] if listening else [], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL, start_new_session=True)


def run_to_end(*arguments, settings, seconds=60):
    """(exit code, stdout, stderr) of a command that ends by itself."""
    process = spawn(*arguments, settings=settings)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AssertionError(f"launchplane {' '.join(arguments)} did not end") from None
    return process.returncode, out, "".join(line for line in err.splitlines(True) if _HARMLESS not in line)


class Service:
    """One run of `launchplane service serve`."""

    def __init__(self, *options, settings, keep_log, listening=None):
        self.process = spawn("service", "serve", *options, settings=settings, listening=listening)
        self.printed = []
        self._log = keep_log
        self._threads = [
            _reader(self.process.stdout, self.printed), _reader(self.process.stderr, keep_log)]

    def wait_until_ready(self, seconds=START_SECONDS):
        """The address on the ready line."""
        return wait_until(self._address, "the ready line on stdout", seconds)

    def runs(self):
        return self.process.poll() is None

    def kill(self):
        """SIGKILL to every process of the service at once."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass                    # all of them had ended already
        return self._ended()

    def terminate(self, seconds=30):
        """SIGTERM, as an operator does it; returns the exit code."""
        if self.runs():
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the service did not end {seconds} s after SIGTERM") from None
        return self._ended()

    def children(self):
        path = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(child) for child in path.read_text().split()]

    def _address(self):
        if not self.runs():
            self._ended()
            log = "\n".join(self._log)
            raise AssertionError(f"the service ended with {self.process.returncode} before it was ready:\n{log}")
        return next((line.split()[1] for line in self.printed if line.startswith("ready ")), None)

    def _ended(self):
        code = self.process.wait(30)
        for thread in self._threads:
            thread.join(10)
        return code


def _reader(stream, lines):
    def read():
        with stream:
            for line in stream:
                if _HARMLESS not in line:
                    lines.append(line.rstrip("\n"))
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread
