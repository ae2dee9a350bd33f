"""Assertions that many tests share."""
import os
import pathlib
import re

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
TRACE = re.compile(r"launchplane_req_[0-9a-f]{32}")


def assert_rejected(answer, status, code, path=None):
    """The failure envelope of every route; path must be named in the error."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    body = answer.json()
    assert body["status"] == "rejected"
    assert TRACE.fullmatch(body["trace_id"])
    assert body["error"]["code"] == code, body
    assert body["error"]["message"]
    if path is not None:
        assert path in body["error"].values() or path in body["error"]["message"], (path, body)
    return body


def assert_accepted(answer, **records):
    """The success envelope of a write."""
    assert answer.status_code == 202, f"{answer.status_code} {answer.text}"
    body = answer.json()
    assert body["status"] == "accepted"
    assert TRACE.fullmatch(body["trace_id"])
    assert all(isinstance(value, str) for value in body["records"].values())
    for name, value in records.items():
        assert body["records"][name] == value
    return body


def assert_ok(answer):
    """The success envelope of a read."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    body = answer.json()
    assert body["status"] == "ok"
    assert TRACE.fullmatch(body["trace_id"])
    return body


def assert_unauthenticated(answer):
    body = assert_rejected(answer, 401, "authentication_required")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Launchplane API"'
    return body


def assert_golden(name, text):
    """Compares with test/golden/<name>; GOLDEN_UPDATE=1 in the environment writes the file instead."""
    path = GOLDEN / name
    if os.environ.get("GOLDEN_UPDATE"):
        path.write_text(text)
    assert text == path.read_text()
