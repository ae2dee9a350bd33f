"""The binary is swapped under load: the new process gets the listening socket, the old one drains. F2.

No request fails, on whatever kind of connection, and no operation is touched. A few swaps here, 200 with FAULT_FULL=1.
"""
import socket
import threading

import pytest
import requests

from rehearsal.service import Service
from rehearsal.waiting import wait_until
from replacement import submit
from sweep import FULL
from writers import Writers, judge

SWAPS = 200 if FULL else 5
OPERATION_EVERY = 10 if FULL else 3


class Readers:
    """Callers that keep their connection, as a browser or a monitor does, and some that make a new one each time."""

    def __init__(self, plane, path, count=4):
        self.plane, self.path = plane, path
        self.answered, self.failed = 0, []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number % 2 == 0,), daemon=True) for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a reader never got its answer"

    def _run(self, keeps):
        session = requests.Session()
        while not self._stopped.wait(0.005):
            asked = session if keeps else requests
            try:
                answer = asked.get(self.plane.url + self.path, timeout=60, headers={"Authorization": f"Bearer {self.plane.token()}"})
            except requests.RequestException as error:
                self.failed.append(f"{'kept' if keeps else 'new'} connection: {error}")
                continue
            self.answered += 1
            if answer.status_code != 200:
                self.failed.append(f"{answer.status_code} {answer.text}")


@pytest.fixture
def listening():
    """As a socket unit of systemd holds it, over all runs of the service."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        made.listen(1024)
        yield made


def swap(plane, listening):
    old = plane.service
    plane.service = Service(settings=plane.settings, keep_log=plane.log_lines, listening=listening)
    plane.service.wait_until_ready()
    assert old.terminate(60) == 0


def test_swaps_under_load(plane, lane, listening):
    swap(plane, listening)
    plane.api.close()
    plane.api.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    plane.doubles.dokploy.deploy_seconds = 20
    operations = []
    with Writers(plane, lane, 2) as writers, Readers(plane, f"/v1/inventory/{lane.context}/{lane.instance}") as readers:
        for number in range(SWAPS):
            if number % OPERATION_EVERY == 0:
                if operations:
                    plane.finish(operations[-1])
                operations.append(submit(plane, lane, key=f"replace-{number}"))
            swap(plane, listening)
            seen = readers.answered
            wait_until(lambda: readers.answered > seen + 4 or readers.failed, "readers to be answered", 60)
            writers.wait_for_more(1)
    assert readers.failed == []
    assert writers.refused == []
    judge(plane, writers)
    for operation_id in operations:
        operation = plane.finish(operation_id)
        assert operation["status"] == "pass", operation
        assert not {event["event"] for event in operation["events"]} & {"retry", "failed", "cancel_requested"}, operation["events"]
    assert plane.doubles.dokploy.deploys(lane.compose_id) == len(operations)
