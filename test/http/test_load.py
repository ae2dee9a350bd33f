"""More than the service can do, and clients that do not behave: it sheds and says when to come back, its memory stays bounded,
and others are served meanwhile. SVC rows."""
import collections
import contextlib
import os
import pathlib
import resource
import selectors

import psycopg
import pytest

from checks import assert_ok
from raw import Connection

CAPACITY = 4096               # requests that one worker works on at once: server/http/server.h
ASKED = CAPACITY + 400
MEGABYTE = 1 << 20
MOST_MEMORY = 400 * MEGABYTE  # with every place taken


@pytest.fixture
def descriptors():
    """Room for both ends of many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < ASKED + 200:
        pytest.skip(f"only {hard} descriptors are allowed here")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident(plane):
    pages = pathlib.Path(f"/proc/{plane.workers()[0]}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def is_sanitized(plane):
    return "libasan" in pathlib.Path(f"/proc/{plane.workers()[0]}/maps").read_text()


def answers_of(connections, until, seconds=60):
    """Reads one answer of each connection that has one, until there are so many; the others stay in the set."""
    found = []
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        while len(found) < until and (ready := selector.select(seconds)):
            for key, _ in ready:
                selector.unregister(key.fileobj)
                connections.remove(key.data)
                found.append(key.data.answer())
                key.data.socket.close()
    return found


def test_past_its_capacity_the_service_sheds_and_recovers(plane, lane, descriptors):
    path, bearer = f"/v1/inventory/{lane.context}/{lane.instance}", f"Authorization: Bearer {plane.token()}"
    before = resident(plane)
    with contextlib.ExitStack() as stack:
        blocker = stack.enter_context(psycopg.connect(plane.database_url))
        blocker.execute("LOCK TABLE launchplane_inventory IN ACCESS EXCLUSIVE MODE")
        waiting = set()
        for _ in range(ASKED):
            connection = Connection(plane.url, timeout=60)
            waiting.add(connection)
            connection.get(path, bearer)
        shed = answers_of(waiting, ASKED - CAPACITY)
        assert {status for status, _, _ in shed} <= {429, 503}
        assert len(shed) >= ASKED - CAPACITY
        assert all(int(headers["retry-after"]) >= 1 for _, headers, _ in shed)
        assert plane.get("/livez", token=None, timeout=20).status_code == 200
        if not is_sanitized(plane):
            assert resident(plane) < MOST_MEMORY, (before, resident(plane))
        blocker.rollback()
        late = answers_of(waiting, len(waiting))
    statuses = collections.Counter(status for status, _, _ in late)
    assert set(statuses) <= {200, 503} and not waiting, statuses
    assert all(int(headers["retry-after"]) >= 1 for status, headers, _ in late if status == 503)
    assert_ok(plane.get(path))


@pytest.mark.settings(LAUNCHPLANE_WORKERS="1")
def test_clients_that_dawdle_harm_nobody_else(plane, lane):
    path, bearer = f"/v1/inventory/{lane.context}/{lane.instance}", f"Authorization: Bearer {plane.token()}"
    before = resident(plane)
    slow = [Connection(plane.url, timeout=60) for _ in range(800)]
    try:
        for number, connection in enumerate(slow):
            kind = number % 4
            if kind == 0:                        # a head that never ends
                connection.send("GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Slow: ")
            elif kind == 1:                      # a body that never comes
                connection.get("/v1/evidence/deployments", bearer, "Content-Type: application/json", "Content-Length: 900000",
                               method="POST")
                connection.send("{")
            elif kind == 2:                      # asks for much and reads nothing; every other one is gone without a word, half-open
                connection.socket.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    for _ in range(20):
                        connection.get("/v1/openapi.json")
                if number % 8 == 6:
                    connection.vanish()
            # else: a connection that was opened and forgotten
        for number in range(40):
            with contextlib.suppress(OSError):
                slow[4 * number].send("x")       # one byte more, so that it looks alive
            assert_ok(plane.get(path, timeout=30))
            assert plane.post("/v1/evidence/deployments", lane.deployment(f"deployment-{number}"), timeout=30).status_code == 202
        if not is_sanitized(plane):
            assert resident(plane) - before < 300 * MEGABYTE, (before, resident(plane))
    finally:
        for connection in slow:
            connection.socket.close()
    assert_ok(plane.get(path))
