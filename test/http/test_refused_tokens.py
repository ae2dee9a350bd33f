"""Some hundreds of tokens and requests, each refused for its own reason: the answer says little, the log says why."""
import json

import pytest

from checks import TRACE
from conftest import module_plane
from raw import Connection
from refused_tokens import ACCEPTED, POLICY, ROWS, STATIC, Forge, settings
from rehearsal.waiting import wait_until

RUNTIME = "/v1/service/runtime"
CODES = {400: "invalid_request", 401: "authentication_required", 403: "authorization_denied", 431: "request_header_fields_too_large"}
REASON_EVENTS = ("auth.refused", "authz.denied")


@pytest.fixture(scope="module")
def pinned(cluster, template):
    with module_plane(cluster, template, POLICY, **settings()) as plane:
        plane.secrets += STATIC.values()
        yield plane


def addresses():
    """A new loopback address for each request: who fails often from one may be slowed down."""
    for third in range(256):
        for fourth in range(1, 255):
            yield f"127.77.{third}.{fourth}"


def sent(plane, made, source):
    """The answer to one request, on a connection of its own."""
    lines = made.get("lines")
    if lines is None:
        lines = [f"Authorization: Bearer {made['token']}"]
    head = [f"{made.get('method', 'GET')} {made.get('path', RUNTIME)} HTTP/1.1", "Host: launchplane", *lines]
    if made.get("method") == "POST":
        head += ["Content-Type: application/json", "Content-Length: 2"]
    with Connection(plane.url, source=source, timeout=60) as connection:
        connection.send("\r\n".join([*head, "", ""]).encode() + (b"{}" if made.get("method") == "POST" else b""))
        status, headers, text = connection.answer()
    plane.answers.append(text.decode())
    return status, headers, json.loads(text), made


@pytest.fixture(scope="module")
def outcomes(pinned):
    """{row's name: (status, headers, answer, request, reasons in the log)} of all rows at once."""
    forge, source = Forge(pinned.issuer), addresses()
    before = pinned.counts()
    answers = {name: sent(pinned, make(forge), next(source)) for name, _, _, make in ROWS}
    assert pinned.counts() == before
    wanted = {answer["trace_id"] for _, _, answer, _ in answers.values()}
    reasons = {}

    def all_logged():
        reasons.clear()
        requests = set()
        for line in pinned.logged():
            if line["event"] in REASON_EVENTS:
                reasons.setdefault(line.get("trace_id", ""), []).append(line["reason"])
            elif line["event"] == "request":
                requests.add(line.get("trace_id", ""))
        rows = {answers[name][2]["trace_id"] for name, _, reason, _ in ROWS if reason}
        return rows <= requests and rows <= wanted

    wait_until(all_logged, "the log of every request", 60)
    return {name: (*answer, reasons.get(answer[2]["trace_id"], [])) for name, answer in answers.items()}


def test_there_are_enough_of_them():
    names = [name for name, *_ in ROWS]
    assert len(names) == len(set(names)) >= 300


@pytest.mark.parametrize("name, status, reason", [row[:3] for row in ROWS], ids=[row[0] for row in ROWS])
def test_it_is_refused_for_its_own_reason(outcomes, name, status, reason):
    """AUTH-07, SVC-27: one public answer for every reason"""
    got, headers, answer, _, reasons = outcomes[name]
    assert (got, answer["status"], answer["error"]["code"]) == (status, "rejected", CODES[status])
    assert TRACE.fullmatch(answer["trace_id"])
    assert reasons == ([reason] if reason else [])
    if status == 401:
        assert headers["www-authenticate"] == 'Bearer realm="Launchplane API"'


def test_the_answers_tell_nothing_of_the_reason(outcomes):
    """Byte for byte the same but for the trace id"""
    for status in (401, 403):
        errors = {json.dumps(answer["error"]) for got, _, answer, *_ in outcomes.values() if got == status}
        assert len(errors) == (1 if status == 401 else 2), errors   # reads_only says so: who sends it knows what it is


def test_no_token_stands_in_the_log(pinned, outcomes):
    log = "\n".join(pinned.log_lines)
    tokens = [made["token"] for _, _, _, made, _ in outcomes.values() if len(made.get("token", "")) > 60]
    assert len(tokens) > 300
    for token in tokens:
        assert token[:60] not in log and token[-60:] not in log


@pytest.mark.parametrize("name, make", ACCEPTED, ids=[name for name, _ in ACCEPTED])
def test_what_differs_in_nothing_is_let_in(pinned, name, make):
    status, _, answer, _ = sent(pinned, {"token": make(Forge(pinned.issuer))}, "127.78.0.1")
    assert (status, answer["status"]) == (200, "ok")


@pytest.mark.parametrize("seconds, reason", [(300, "token_expired"), (3600, "token_expired"), (86400 * 365, "token_expired")])
def test_a_token_that_was_let_in_ends_with_its_time(pinned, seconds, reason):
    """Remembered or not: the clock moves, the token stays"""
    token = Forge(pinned.issuer).token()
    assert sent(pinned, {"token": token}, "127.78.0.2")[0] == 200
    pinned.pass_time(seconds=seconds)
    status, _, answer, _ = sent(pinned, {"token": token}, "127.78.0.2")
    assert status == 401
    wait_until(lambda: pinned.logged(event="auth.refused", trace_id=answer["trace_id"], reason=reason), "the log line", 30)
