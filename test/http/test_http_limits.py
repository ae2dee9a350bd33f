"""HTTP/1.1 itself, on raw sockets: framing, pipelining, limits, slow clients. Limits stay loose here: the
tests ask for a clear refusal far beyond any sane limit, and for service far below it."""
import concurrent.futures
import json
import signal

import pytest

from raw import Connection
from rehearsal.waiting import wait_until


@pytest.fixture
def wire(plane):
    with Connection(plane.url) as connection:
        yield connection


def code(body):
    return json.loads(body)["error"]["code"]


def post_head(connection, plane, *headers, path="/v1/evidence/deployments"):
    token = plane.token()
    return "\r\n".join([
        f"POST {path} HTTP/1.1", f"Host: {connection.host}", f"Authorization: Bearer {token}",
        "Content-Type: application/json", *headers, "", ""])


def test_a_connection_is_kept_alive(wire):
    for _ in range(3):
        wire.get("/v1/health")
        assert wire.answer()[0] == 200


def test_connection_close_is_honoured(wire):
    wire.get("/v1/health", "Connection: close")
    assert wire.answer()[0] == 200
    assert wire.is_closed()


def test_http_1_0_closes_by_itself(wire):
    wire.send("GET /v1/health HTTP/1.0\r\n\r\n")
    assert wire.answer()[0] == 200
    assert wire.is_closed()


def test_pipelined_requests_are_answered_in_order(wire):
    request = f"GET /v1/health HTTP/1.1\r\nHost: {wire.host}\r\n\r\n"
    other = f"GET /v1/nope HTTP/1.1\r\nHost: {wire.host}\r\n\r\n"
    wire.send((request + other) * 10)
    assert [wire.answer()[0] for _ in range(20)] == [200, 404] * 10


def test_a_request_may_arrive_byte_by_byte(wire):
    for byte in f"GET /v1/health HTTP/1.1\r\nHost: {wire.host}\r\n\r\n":
        wire.send(byte)
    assert wire.answer()[0] == 200


def test_head_has_the_headers_of_get_and_no_body(wire):
    wire.get("/v1/health")
    _, get_headers, body = wire.answer()
    wire.get("/v1/health", method="HEAD")
    status, headers, _ = wire.answer(to_head=True)
    assert (status, headers["content-length"]) == (200, str(len(body)))
    assert headers["content-type"] == get_headers["content-type"]
    wire.get("/v1/health")
    assert wire.answer()[0] == 200


def test_a_chunked_body_is_read_like_any_other(wire, plane, lane):
    body = json.dumps(lane.deployment("deployment-chunked")).encode()
    wire.send(post_head(wire, plane, "Transfer-Encoding: chunked"))
    for start in range(0, len(body), 100):
        part = body[start:start + 100]
        wire.send(b"%x\r\n%s\r\n" % (len(part), part))
    wire.send(b"0\r\n\r\n")
    status, _, answer = wire.answer()
    assert (status, json.loads(answer)["records"]["deployment_record_id"]) == (202, "deployment-chunked")


def test_expect_100_continue_is_answered_before_the_body(wire, plane, lane):
    body = json.dumps(lane.deployment("deployment-continue")).encode()
    wire.send(post_head(wire, plane, f"Content-Length: {len(body)}", "Expect: 100-continue"))
    assert wire.answer()[0] == 100
    wire.send(body)
    assert wire.answer()[0] == 202


def test_any_other_expectation_is_refused(wire, plane):
    wire.send(post_head(wire, plane, "Content-Length: 2", "Expect: the-unexpected"))
    status, _, body = wire.answer()
    assert (status, code(body)) == (417, "expectation_failed")


@pytest.mark.parametrize("head", [
    "GET /v1/health HTTP/1.1\r\n\r\n",                                             # no Host
    "GET /v1/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET  /v1/health HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v1/health HTTP/3.7\r\nHost: a\r\n\r\n",
    "GET /v1/health\r\nHost: a\r\n\r\n",
    "G@T /v1/health HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v1/health HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET /v1/health HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
    "GET /v1/health HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    "GET /v1/%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /v1/%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /v1/evidence/deployments HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "POST /v1/evidence/deployments HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    "POST /v1/evidence/deployments HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\n",
    "POST /v1/evidence/deployments HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /v1/evidence/deployments HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
])
def test_a_malformed_request_is_a_400_and_ends_the_connection(plane, wire, head):
    """Anything that two parsers could read in two ways is refused (request smuggling)."""
    wire.send(head.encode("latin-1"))
    assert wire.answer()[0] in (400, 404, 505)
    if "%" not in head:
        assert wire.is_closed()
    assert plane.get("/v1/health", token=None).status_code == 200


def test_a_large_head_is_a_431(wire):
    wire.send(f"GET /v1/health HTTP/1.1\r\nHost: {wire.host}\r\nX-Large: {'x' * 200_000}\r\n\r\n")
    status, _, body = wire.answer()
    assert (status, code(body)) == (431, "request_header_fields_too_large")
    assert wire.is_closed()


def test_very_many_headers_are_a_431(wire):
    wire.send(f"GET /v1/health HTTP/1.1\r\nHost: {wire.host}\r\n" + "X: y\r\n" * 5000 + "\r\n")
    assert wire.answer()[0] == 431


def test_a_long_request_line_is_refused(wire):
    wire.send(f"GET /{'x' * 200_000} HTTP/1.1\r\nHost: {wire.host}\r\n\r\n")
    assert wire.answer()[0] in (414, 431)


def test_a_declared_oversize_body_is_refused_before_it_is_sent(wire, plane):
    wire.send(post_head(wire, plane, f"Content-Length: {1 << 30}"))
    status, _, body = wire.answer()
    assert (status, code(body)) == (413, "request_entity_too_large")


def test_a_chunked_body_without_end_is_cut_off(wire, plane):
    wire.send(post_head(wire, plane, "Transfer-Encoding: chunked"))
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    try:
        for _ in range(1024):
            wire.send(chunk)
    except (BrokenPipeError, ConnectionResetError):
        pass
    try:
        assert wire.answer()[0] == 413
    except ConnectionError:
        pass                                # the reset may overtake the answer
    assert plane.get("/v1/health", token=None).status_code == 200


def test_deep_nesting_is_a_400(plane):
    body = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    answer = plane.api.request(
        "POST", "/v1/evidence/deployments", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_a_client_that_does_not_finish_its_head_is_cut_off(plane):
    """The network's timeouts follow the machine's clock: this one takes as long as the limit for a head."""
    slow = [Connection(plane.url) for _ in range(2)]
    slow[0].send("GET /v1/health HT")
    slow[1].send("GET /v1/health HTTP/1.1\r\nHost: a\r\n")
    for connection in slow:
        with connection:
            try:
                assert connection.answer()[0] == 408
            except ConnectionError:
                assert connection.buffer == b""
    assert plane.get("/v1/health", token=None).status_code == 200


def test_many_idle_connections_do_not_keep_others_out(plane):
    idle = [Connection(plane.url) for _ in range(300)]
    try:
        assert plane.get("/v1/health", token=None).status_code == 200
    finally:
        for connection in idle:
            connection.socket.close()


def test_many_at_once_are_all_served(plane):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: plane.get("/v1/nope", token=None).status_code, range(200)))
    assert answers == [404] * 200


def test_sigterm_lets_a_request_in_flight_finish(plane, lane):
    """A graceful drain: new work is refused, old work is answered, the exit code is 0."""
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(plane.post, "/v1/drivers/odoo/target-replacement-plan", lane.plan_request())
        assert rule.reached.wait(60)
        plane.service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: plane.logged(event="worker.draining"), "the drain")
        rule.release()
        assert asked.result(60).status_code == 202
    assert plane.service.process.wait(60) == 0        # another SIGTERM would have its workers killed
