"""What is left of a secret in the memory of the service: nothing when it was used, nothing that a crash would show meanwhile."""
import base64
import os
import pathlib
import re
import resource
import signal
import struct

import pytest

import live
from checks import assert_accepted
from replacement import replace
from rehearsal import service
from rehearsal.lane import Lane
from rehearsal.waiting import wait_until

CONFIG = "/v1/product-config/apply"
MARKER = "marker-of-this-test/4711"
PLAIN = pathlib.Path(__file__).resolve().parents[2] / "build" / "launchplane"


@pytest.fixture(autouse=True)
def without_sanitizers(monkeypatch):
    """A sanitizer keeps copies of its own and terabytes of shadow, and ends a process that crashes itself: the plain build is asked."""
    if "asan" in str(service.BINARY):
        monkeypatch.setattr(service, "BINARY", PLAIN)


def mappings(process):
    """(begin, end, is in a core dump) of what can be read, without the kernel's own pages."""
    found = []
    for line in pathlib.Path(f"/proc/{process}/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(\S*)", line):
            begin, end, mode, name = int(head[1], 16), int(head[2], 16), head[3], head[4]
        elif line.startswith("VmFlags:") and "r" in mode and name not in ("[vvar]", "[vvar_vclock]", "[vsyscall]", "[vdso]"):
            found.append((begin, end, " dd" not in line))
    return found


def places(process, text, dumped_only=False):
    """Addresses at which the text, or bytes, stand in the memory of a process."""
    found, searched = [], text if isinstance(text, bytes) else text.encode()
    with open(f"/proc/{process}/mem", "rb", 0) as memory:
        for begin, end, is_dumped in mappings(process):
            if dumped_only and not is_dumped:
                continue
            memory.seek(begin)
            try:
                content = memory.read(end - begin)
            except OSError:
                continue                                       # gone meanwhile
            found += [hex(begin + hit.start()) for hit in re.finditer(re.escape(searched), content)]
    return found


@pytest.fixture
def worker(plane):
    if not os.access(f"/proc/{plane.workers()[0]}/mem", os.R_OK):
        pytest.skip("reading the memory of the service needs root")
    return plane.workers()[0]


@pytest.fixture
def marked(plane, lane, worker):
    lane.secrets["ODOO_DB_PASSWORD"] = MARKER
    plane.secrets.append(MARKER)
    return lane


def left_behind(plane, worker):
    """Where the marker is once the turn in which the answer went out is over."""
    assert plane.get("/v1/health").status_code == 200
    return places(worker, MARKER)


def test_a_secret_is_overwritten_once_it_was_used(plane, marked, worker):
    """The request's buffers, the parser, the provider's client, the arenas: written, compared, applied, deployed"""
    assert_accepted(plane.post(CONFIG, marked.lane_config()))
    assert left_behind(plane, worker) == []
    assert_accepted(plane.post(CONFIG, {**marked.lane_config(), "mode": "dry-run"}))
    live.look(plane, marked)
    assert left_behind(plane, worker) == []
    assert_accepted(live.apply(plane, marked))
    assert replace(plane, marked)["status"] == "pass"
    assert left_behind(plane, worker) == [] and places(worker, plane.doubles.token) == []


def test_a_large_body_with_a_secret_is_overwritten(plane, marked, worker):
    """Beyond what fits into one buffer"""
    body = marked.lane_config()
    body["runtime_env"] = {f"FILLER_{number}": "x" * 900 for number in range(100)}
    assert_accepted(plane.post(CONFIG, body))
    assert left_behind(plane, worker) == []


def test_refused_requests_leave_no_secret(plane, marked, worker):
    for change in ({"surprise": 1}, {"runtime_env": {"A_TOKEN": MARKER}}, {"product": 5}, {"plan_digest": "0" * 64}):
        assert plane.post(CONFIG, {**marked.lane_config(), **change}).status_code in (400, 409)
    assert plane.post_raw(CONFIG, f'{{"secrets": [{{"value": "{MARKER}"', "Content-Type: application/json")[0] == 400
    assert left_behind(plane, worker) == []


def test_a_secret_that_is_being_used_is_in_no_core_dump(plane, marked, worker):
    """Held while it is on its way to the provider: only in pages that a dump leaves out"""
    assert_accepted(plane.post(CONFIG, marked.lane_config()))
    rule = plane.doubles.dokploy.on("POST", "compose.update").hold_before()
    answer = live.beside(plane, marked, "held")
    assert rule.reached.wait(60)
    try:
        assert places(worker, MARKER) != [], "it is there"
        assert places(worker, MARKER, dumped_only=True) == []
    finally:
        rule.release()
    assert_accepted(answer())


def test_the_master_key_is_not_left_in_a_worker(plane, lane, worker):
    """The supervisor, which starts workers, has it, and never leaves a core dump"""
    assert places(worker, plane.master_key) == []
    raw = base64.urlsafe_b64decode(plane.master_key)
    assert places(worker, raw) != [] and places(worker, raw, dumped_only=True) == []
    assert_accepted(plane.post(CONFIG, lane.lane_config()))


# crashes

@pytest.fixture
def dumping(tmp_path, monkeypatch):
    """A place and the permission for core files, as a machine set up for finding faults would give them."""
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard == 0 or "/" in pattern or pattern.startswith("|"):
        pytest.skip("cores of this machine do not go to the working directory")
    monkeypatch.chdir(tmp_path)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def crash(plane):
    """A worker dies of a memory fault; what the supervisor says about it."""
    before = plane.workers()[0]
    os.kill(before, signal.SIGSEGV)
    wait_until(lambda: plane.logged(event="worker.died", pid=before), "the worker's death", 60)
    wait_until(lambda: len(plane.logged(event="worker.ready")) > 1, "the next worker", 60)
    return plane.logged(event="worker.died", pid=before)[0]


def memory_of(path):
    """The dumped memory of a core file; its notes hold the registers, and those what was moved last."""
    content = path.read_bytes()
    at, size, count = *struct.unpack_from("<Q", content, 32), *struct.unpack_from("<HH", content, 54)
    headers = [struct.unpack_from("<IIQQQQ", content, at + number * size) for number in range(count)]
    return b"".join(content[offset:offset + length] for kind, _, offset, _, _, length in headers if kind == 1)


def test_a_crash_leaves_no_core_dump(dumping, make_plane):
    died = crash(make_plane())
    assert (died["signal"], died["core_dumped"]) == (signal.SIGSEGV, False)
    assert list(dumping.glob("core*")) == []


def test_a_core_dump_that_was_asked_for_holds_no_secret(dumping, make_plane, doubles):
    plane = make_plane(LAUNCHPLANE_CORE_DUMPS="true")
    lane = Lane(doubles)
    lane.create_in_dokploy()
    lane.secrets["ODOO_DB_PASSWORD"] = MARKER
    plane.secrets += lane.secret_values()
    lane.prepare(plane)
    rule = doubles.dokploy.on("POST", "compose.update").hold_before()
    live.beside(plane, lane, "held")
    assert rule.reached.wait(60)
    assert plane.get("/v1/health").status_code == 200    # the turn in which the request went out is over
    died = crash(plane)
    rule.release()
    assert died["core_dumped"] is True
    core = memory_of(next(dumping.glob("core*")))
    assert lane.target_name.encode() in core, "what is no secret is there"
    assert [secret for secret in (plane.master_key, *lane.secrets.values()) if secret.encode() in core] == []
    assert base64.urlsafe_b64decode(plane.master_key) not in core
