"""Callers that go on until each of their writes is answered, as a workflow's retry does."""
import statistics
import threading
import time

import requests

from rehearsal.waiting import wait_until

PATH = "/v1/evidence/deployments"
TRANSIENT = (429, 503, 504)


class Writers:
    """n threads; each hands in evidence of one lane, asks again with the same key while told to, and reads what was accepted."""

    def __init__(self, plane, lane, count=4, name="w"):
        self.plane, self.lane, self.name = plane, lane, name
        self.accepted, self.refused, self.broken = {}, [], []
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a caller never got its answer"

    def wait_for_more(self, count=20, seconds=60):
        """Until so many more writes were accepted from now on."""
        wanted = len(self.accepted) + count
        wait_until(lambda: len(self.accepted) >= wanted or self.broken, f"{count} more accepted writes", seconds)
        assert not self.broken, self.broken

    def _run(self, number):
        for turn in range(100000):
            if self._stopped.is_set():
                return
            record_id = f"deployment-{self.name}{number}-{turn}"
            if not self._write(record_id) or not self._read(record_id):
                return

    def _write(self, record_id):
        """True when the record was accepted; asks again while the service says that it may work later."""
        body = self.lane.deployment(record_id)
        while True:
            try:
                answer = requests.post(self.plane.url + PATH, json=body, timeout=60, headers={
                    "Authorization": f"Bearer {self.plane.token()}", "Idempotency-Key": record_id})
            except requests.ConnectionError as error:
                self.broken.append(f"{record_id}: {error}")
                return False
            if answer.status_code == 202:
                self.accepted[record_id] = answer.json()["trace_id"]
                return True
            if not self._may_come_back(record_id, answer):
                return False

    def _read(self, record_id):
        """True when the accepted record was shown."""
        while True:
            try:
                answer = requests.get(f"{self.plane.url}/v1/deployments/{record_id}", timeout=60,
                                      headers={"Authorization": f"Bearer {self.plane.token()}"})
            except requests.ConnectionError as error:
                self.broken.append(f"reading {record_id}: {error}")
                return False
            if answer.status_code == 200:
                return True
            if not self._may_come_back(f"reading {record_id}", answer):
                return False

    def _may_come_back(self, what, answer):
        if answer.status_code not in TRANSIENT:
            self.broken.append(f"{what}: {answer.status_code} {answer.text}")
            return False
        self.refused.append((answer.status_code, answer.headers.get("Retry-After"), answer.text))
        return not self._stopped.wait(0.05)

    def rate(self, windows=5, seconds=2.0):
        """(accepted and read again, in a second: the median of several windows; whether they agree within a tenth)."""
        found = []
        for _ in range(windows):
            begin, count = time.monotonic(), len(self.accepted)
            self._stopped.wait(seconds)
            assert not self.broken, self.broken
            found.append((len(self.accepted) - count) / (time.monotonic() - begin))
        return statistics.median(found), max(found) <= 1.1 * min(found)


def judge(plane, writers):
    """Every accepted write is there once; what was refused said when to come back."""
    assert not writers.broken, writers.broken
    rows = plane.query("SELECT record_id, count(*) AS n FROM launchplane_deployments WHERE record_id LIKE 'deployment-w%%'"
                       " GROUP BY 1")
    stored = {row["record_id"]: row["n"] for row in rows}
    assert set(writers.accepted) <= set(stored), "an accepted write is lost"
    assert set(stored.values()) <= {1}
    for status, retry_after, text in writers.refused:
        assert retry_after and int(retry_after) >= 1, (status, text)
