"""A caller of the Launchplane API: one session, a token minted per request unless one is given."""
import requests

_MINT = object()
TIMEOUT = 60


class Api:
    def __init__(self, url, mint):
        self.url, self.mint = url, mint
        self.answers = []            # texts, for the search for leaked secrets
        self.accepted_writes = []    # (path, body, answer) of what the audit log must tell of
        self.session = requests.Session()
        self.session.trust_env = False

    def request(self, method, path, token=_MINT, key=None, headers=None, **options):
        """token=None sends no Authorization header; key is the Idempotency-Key."""
        sent = dict(headers or {})
        bearer = self.mint() if token is _MINT else token
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if key is not None:
            sent["Idempotency-Key"] = key
        options.setdefault("timeout", TIMEOUT)
        answer = self.session.request(
            method, self.url + path, headers=sent, allow_redirects=False, **options)
        if not options.get("stream"):
            self.answers.append(answer.text)
        if method != "GET" and answer.status_code == 202:
            self.accepted_writes.append((path, options.get("json"), answer.json()))
        return answer

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, json=body, **options)

    def close(self):
        self.session.close()


def accepted(answer):
    """The parsed body of a 202, or a failure that shows what came instead."""
    if answer.status_code != 202:
        raise AssertionError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}")
    return answer.json()


def ok(answer):
    """The parsed body of a 200, likewise."""
    if answer.status_code != 200:
        raise AssertionError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text}")
    return answer.json()
