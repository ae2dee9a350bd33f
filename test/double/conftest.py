"""Fixtures for the tests of the doubles themselves."""
import pytest
import requests

from double import Rehearsal
from rehearsal.lane import Lane
from rehearsal.waiting import wait_until


class Client:
    """A Dokploy client that does nothing clever."""

    def __init__(self, doubles):
        self.doubles = doubles
        self.session = requests.Session()
        self.session.trust_env = False

    def raw(self, method, procedure, members, key=None):
        url = f"{self.doubles.dokploy.url}/api/{procedure}"
        sent = {"params": members} if method == "GET" else {"json": members}
        headers = {"x-api-key": self.doubles.token if key is None else key}
        return self.session.request(method, url, headers=headers, timeout=20, **sent)

    def get(self, procedure, **members):
        return self._good(self.raw("GET", procedure, members))

    def post(self, procedure, **members):
        return self._good(self.raw("POST", procedure, members))

    @staticmethod
    def _good(answer):
        assert answer.status_code == 200, answer.text
        return answer.json()

    def deployed(self, compose_id, **members):
        """Deploys and waits for the row to end."""
        before = len(self.doubles.dokploy.queue.started)
        self.post("compose.deploy", composeId=compose_id, **members)

        def ended():
            started = self.doubles.dokploy.queue.started[before:]
            rows = self.get("deployment.allByCompose", composeId=compose_id)
            return started and rows[0]["status"] != "running" and rows[0]

        return wait_until(ended, "the deploy to end")


@pytest.fixture
def doubles(request, tmp_path):
    with Rehearsal(tmp_path / "clock", getattr(request, "param", "0.30"), seed=1) as made:
        yield made


@pytest.fixture
def client(doubles):
    return Client(doubles)


@pytest.fixture
def lane(doubles):
    made = Lane(doubles)
    made.create_in_dokploy()
    return made
