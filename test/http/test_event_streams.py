"""Event streams of operations: pushed to everybody who follows, resumed where they broke off, nobody waits for a slow one."""
import json
import re
import socket
import time

import pytest

from checks import assert_rejected
from raw import Connection
from rehearsal.api import accepted
from rehearsal.policy import CONTEXT, PRODUCT

SLEEPING = """INSERT INTO launchplane_operations
    (operation_id, kind, product, context, instance, holds_lane, status, phase, request, state, created_at, updated_at, next_run_at)
VALUES (%s, 'odoo_stable_target_replacement', %s, %s, %s, true, 'pending', 'plan', '{}', '{}', clock_timestamp(),
        clock_timestamp(), clock_timestamp() + interval '1 day')"""
EVENT = """INSERT INTO launchplane_operation_events (operation_id, seq, event, phase, detail)
SELECT %s, coalesce(max(seq), 0) + 1, 'phase_done', 'plan', %s FROM launchplane_operation_events WHERE operation_id = %s"""
SAID = "SELECT pg_notify('launchplane_operation_events', 'another process')"
ENDED = "UPDATE launchplane_operations SET status = 'fail', finished_at = clock_timestamp(), holds_lane = false, next_run_at = NULL WHERE operation_id = %s"


class Sleeping:
    """An operation that is due tomorrow; its events are written as another process would."""

    def __init__(self, plane, name="sleeping"):
        self.plane, self.id = plane, name
        plane.query(SLEEPING, name, PRODUCT, CONTEXT, name)

    def event(self, size=0, say=True):
        self.plane.query(EVENT, self.id, json.dumps({"text": "x" * size}), self.id)
        if say:
            self.plane.query(SAID)

    def end(self):
        self.plane.query(ENDED, self.id)
        self.plane.query(SAID)


class Reader(Connection):
    """Reads chunks of an event stream when it is asked to."""

    def __init__(self, plane, operation, last=None, receive=None):
        super().__init__(plane.url, timeout=60)
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        resume = [] if last is None else [f"Last-Event-ID: {last}"]
        self.get(f"/v1/operations/{operation.id}/events", f"Authorization: Bearer {plane.token()}", *resume)
        assert b" 200 " in self.until(b"\r\n\r\n")

    def chunk(self):
        """The next chunk that tells something, which a sign of life does not; b"" ends the stream."""
        while True:
            size = int(self.until(b"\r\n"), 16)
            text = self._exactly(size + 2)[:-2]
            if not text.startswith(b":"):
                return text

    def ids(self, count):
        """The numbers of the next count events."""
        found = []
        while len(found) < count:
            text = self.chunk()
            assert text, f"the stream ended after {found}"
            found += [int(number) for number in re.findall(rb"(?m)^id: (\d+)$", text)]
        return found


@pytest.fixture
def sleeping(plane):
    return Sleeping(plane)


def test_everybody_who_follows_gets_every_event_once(plane, sleeping):
    sleeping.event()
    readers = [Reader(plane, sleeping) for _ in range(40)]
    for _ in range(3):
        sleeping.event()
    assert [reader.ids(4) for reader in readers] == [[1, 2, 3, 4]] * len(readers)
    sleeping.end()
    assert [reader.chunk() for reader in readers] == [b""] * len(readers)


def test_operations_do_not_mix(plane, sleeping):
    other = Sleeping(plane, "other")
    mine, theirs = Reader(plane, sleeping), Reader(plane, other)
    for operation in (other, sleeping, other):
        operation.event()
    other.end()
    assert mine.ids(1) == [1]
    assert theirs.ids(2) == [1, 2]
    assert theirs.chunk() == b""
    sleeping.end()
    assert mine.chunk() == b""


def test_an_event_nobody_announced_arrives_all_the_same(plane, sleeping):
    reader = Reader(plane, sleeping)
    sleeping.event(say=False)
    assert reader.ids(1) == [1]


def test_what_this_process_commits_arrives_without_a_word(plane, sleeping):
    sleeping.event()
    reader = Reader(plane, sleeping)
    accepted(plane.post(f"/v1/operations/{sleeping.id}/cancel", {"schema_version": 1, "reason": "not needed"}))
    assert reader.ids(2) == [1, 2]


def test_a_stream_goes_on_where_another_broke_off(plane, sleeping):
    with Reader(plane, sleeping) as first:
        sleeping.event()
        sleeping.event()
        assert first.ids(2) == [1, 2]
    sleeping.event()
    second = Reader(plane, sleeping, last=1)
    sleeping.event()
    assert second.ids(3) == [2, 3, 4]
    third = Reader(plane, sleeping, last=4)
    sleeping.event()
    assert third.ids(1) == second.ids(1) == [5]


def test_a_stranger_is_refused_while_others_follow(plane, sleeping):
    reader = Reader(plane, sleeping)
    stranger = plane.token(repository="example-org/stranger")
    assert_rejected(plane.get(f"/v1/operations/{sleeping.id}/events", token=stranger), 403, "authorization_denied")
    sleeping.event()
    assert reader.ids(1) == [1]


def test_a_slow_reader_is_sent_away_and_loses_nothing(plane, sleeping):
    """What it does not take is not kept for it: it comes back with the last event it has seen."""
    slow, quick = Reader(plane, sleeping, receive=65536), Reader(plane, sleeping)
    count = 0
    while count < 16:      # 8 MB: more than the sockets hold
        sleeping.event(size=500_000)
        count += 1
        assert quick.ids(1) == [count]
    seen = []
    while text := slow.chunk():
        seen += [int(number) for number in re.findall(rb"(?m)^id: (\d+)$", text)]
        last = text
    assert last == b"retry: 1000\n\n"
    assert seen == list(range(1, len(seen) + 1)) and len(seen) < count
    again = Reader(plane, sleeping, last=seen[-1] if seen else 0)
    assert again.ids(count - len(seen)) == list(range(len(seen) + 1, count + 1))
    sleeping.event()
    assert quick.ids(1) == again.ids(1) == [count + 1]


def test_one_that_goes_away_does_not_disturb_the_others(plane, sleeping):
    readers = [Reader(plane, sleeping) for _ in range(20)]
    for reader in readers[::2]:
        reader.socket.close()
    sleeping.event()
    sleeping.event()
    assert [reader.ids(2) for reader in readers[1::2]] == [[1, 2]] * 10


def test_a_connection_is_of_use_after_its_stream(plane, sleeping):
    reader = Reader(plane, sleeping)
    sleeping.event()
    sleeping.end()
    assert reader.ids(1) == [1]
    while reader.chunk():
        pass
    reader.get("/v1/health")
    assert reader.answer()[0] == 200


def test_the_service_ends_streams_in_order_when_it_stops(plane, sleeping):
    reader = Reader(plane, sleeping)
    sleeping.event()
    assert reader.ids(1) == [1]
    began = time.monotonic()
    assert plane.terminate() == 0
    assert time.monotonic() - began < 20
    assert reader.chunk() == b""
