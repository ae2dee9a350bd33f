"""Operations for everybody: read, list, events, cancel."""
import json
import threading

import pytest

from checks import assert_ok, assert_rejected
from raw import Connection
from rehearsal.waiting import wait_until
from replacement import APPLY, replace, submit


class Events:
    """A reader of Server-Sent Events on its own thread."""

    def __init__(self, plane, operation_id, last=None):
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": str(last)} if last is not None else {})}
        self.answer = plane.get(f"/v1/operations/{operation_id}/events", headers=headers, stream=True, timeout=60)
        assert self.answer.status_code == 200
        assert self.answer.headers["Content-Type"].startswith("text/event-stream")
        self.seen, self.ended = [], threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        event = {}
        for line in self.answer.iter_lines(decode_unicode=True):
            if line.startswith(":"):
                continue
            if not line:
                if event:
                    self.seen.append(event)
                event = {}
            else:
                name, _, value = line.partition(": ")
                event[name] = value
        self.ended.set()

    def ids(self):
        return [int(event["id"]) for event in self.seen]


@pytest.fixture
def held(plane, lane):
    plane.doubles.dokploy.on("GET", "compose.one").hold_before()
    yield submit(plane, lane)
    plane.doubles.dokploy.faults.clear()


def test_an_active_operation_says_when_to_look_again(plane, held):
    answer = plane.get(f"/v1/operations/{held}")
    operation = assert_ok(answer)["operation"]
    assert operation["status"] in ("pending", "running")
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["ETag"]


def test_the_accepting_answer_leads_to_the_operation(plane, lane):
    answer = plane.post(APPLY, lane.replacement(), key="k")
    location = answer.headers["Location"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert assert_ok(plane.get(location))["operation"]["operation_id"] == answer.json()["result"]["operation_id"]
    plane.finish(answer.json()["result"]["operation_id"])


def test_a_finished_operation_has_no_retry_after_and_can_be_cached(plane, lane):
    done = replace(plane, lane)
    answer = plane.get(f"/v1/operations/{done['operation_id']}")
    assert "Retry-After" not in answer.headers
    again = plane.get(f"/v1/operations/{done['operation_id']}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_the_record_is_complete(plane, lane):
    operation = replace(plane, lane)
    for name in ("operation_id", "kind", "product", "context", "instance", "status", "phase", "attempt", "created_at",
                 "updated_at", "started_at", "finished_at", "next_run_at", "deployment_record_id", "error_code",
                 "error_message", "poll_url", "request", "result", "events"):
        assert name in operation, name
    assert (operation["product"], operation["context"], operation["instance"]) == (lane.product, "shop", "testing")


def test_unknown_and_foreign_operations(plane, lane):
    """6.3: 404 unknown, 403 without the grant"""
    done = replace(plane, lane)
    stranger = plane.token(repository="example-org/stranger")
    old = "/v1/drivers/odoo/target-replacement/operations"
    for path in ("/v1/operations", old):
        assert_rejected(plane.get(f"{path}/unknown"), 404, "not_found")
        assert_rejected(plane.get(f"{path}/{done['operation_id']}", token=stranger), 403, "authorization_denied")
    assert_rejected(plane.get(f"/v1/operations/{done['operation_id']}/events", token=stranger), 403, "authorization_denied")
    assert_rejected(plane.get("/v1/operations/unknown/events"), 404, "not_found")


def test_events_stream_while_it_runs_and_end_with_it(plane, lane, held):
    events = Events(plane, held)
    wait_until(lambda: events.seen, "the first event")
    assert not events.ended.is_set()
    plane.doubles.dokploy.faults.clear()
    done = plane.finish(held)
    assert events.ended.wait(60)
    assert events.ids() == [event["seq"] for event in done["events"]]
    stories = [json.loads(event["data"]) for event in events.seen]
    assert [story["phase"] for story in stories] == [event["phase"] for event in done["events"]]


def test_events_go_on_after_the_last_one_seen(plane, lane):
    done = replace(plane, lane)
    seqs = [event["seq"] for event in done["events"]]
    for last in (seqs[0], seqs[len(seqs) // 2], seqs[-1]):
        events = Events(plane, done["operation_id"], last)
        assert events.ended.wait(60)
        assert events.ids() == [seq for seq in seqs if seq > last]


@pytest.mark.parametrize("last", ["x", "-1", "", "9" * 30])
def test_a_strange_last_event_id_does_no_harm(plane, lane, last):
    done = replace(plane, lane)
    answer = plane.get(f"/v1/operations/{done['operation_id']}/events", headers={"Last-Event-ID": last})
    assert answer.status_code in (200, 400)


def test_a_reader_that_goes_away_does_not_matter(plane, lane, held):
    with Connection(plane.url) as reader:
        reader.get(f"/v1/operations/{held}/events", f"Authorization: Bearer {plane.token()}", "Accept: text/event-stream")
        assert b" 200 " in reader.until(b"\r\n\r\n")
        reader.until(b"data:")
    plane.doubles.dokploy.faults.clear()
    assert plane.finish(held)["status"] == "pass"


def ids(plane, query):
    body = assert_ok(plane.get(f"/v1/operations?{query}"))
    return [operation["operation_id"] for operation in body["operations"]], body.get("next_cursor")


def test_operations_are_listed_and_filtered(plane, lane):
    scope = f"product={lane.product}&context=shop"
    first = replace(plane, lane, key="k1")
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    second = replace(plane, lane, key="k2")
    assert set(ids(plane, scope)[0]) == {first["operation_id"], second["operation_id"]}
    assert ids(plane, f"{scope}&status=pass")[0] == [first["operation_id"]]
    assert ids(plane, f"{scope}&status=fail&instance=testing")[0] == [second["operation_id"]]
    assert ids(plane, f"{scope}&instance=prod")[0] == []
    assert len(ids(plane, f"{scope}&kind={first['kind']}")[0]) == 2


def test_a_list_is_read_page_by_page_in_a_stable_order(plane, lane):
    scope = f"product={lane.product}&context=shop"
    plane.doubles.dokploy.on("POST", "compose.deploy").answer(403)
    made = [replace(plane, lane, key=f"k{number}")["operation_id"] for number in range(5)]
    seen, cursor = [], ""
    for _ in range(3):
        page, cursor = ids(plane, f"{scope}&limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += page
    assert not cursor
    assert sorted(seen) == sorted(made)
    assert seen == ids(plane, scope)[0]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=100000", "cursor=nonsense", "status=great", "surprise=1"])
def test_a_bad_query_is_a_400(shared_lane, query):
    answer = shared_lane.plane.get(f"/v1/operations?product={shared_lane.product}&context=shop&{query}")
    assert_rejected(answer, 400, "invalid_query")


def test_a_list_needs_the_grant(shared_lane):
    stranger = shared_lane.plane.token(repository="example-org/stranger")
    path = f"/v1/operations?product={shared_lane.product}&context=shop"
    assert_rejected(shared_lane.plane.get(path, token=stranger), 403, "authorization_denied")


def cancel(plane, operation_id, reason="no longer wanted", **options):
    return plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": reason}, **options)


def test_a_cancelled_operation_stops_before_its_next_effect(plane, lane, held):
    assert cancel(plane, held).status_code == 202
    plane.doubles.dokploy.faults.clear()
    operation = plane.finish(held)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_cancelled"), operation
    assert "no longer wanted" in operation["error_message"]
    assert operation["events"][-1]["event"] == "failed"
    assert plane.doubles.dokploy.mutations() == []
    assert replace(plane, lane, key="replace-2")["status"] == "pass"


def test_cancel_is_idempotent_and_durable(plane, lane, held):
    """F10"""
    assert [cancel(plane, held).status_code for _ in range(3)] == [202] * 3
    plane.kill()
    plane.doubles.dokploy.faults.clear()
    plane.restart()
    operation = plane.finish(held)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_cancelled"), operation


def test_a_finished_operation_cannot_be_cancelled(plane, lane):
    done = replace(plane, lane)
    assert_rejected(cancel(plane, done["operation_id"]), 409, "operation_finished")


def test_cancel_needs_a_grant_and_a_reason(plane, lane, held):
    stranger = plane.token(repository="example-org/stranger")
    assert_rejected(cancel(plane, held, token=stranger), 403, "authorization_denied")
    for reason in ("", "  ", 5, None):
        answer = cancel(plane, held, reason)
        assert answer.status_code == 400, answer.text
    assert_rejected(cancel(plane, "unknown"), 404, "not_found")
    assert plane.operation(held)["status"] in ("pending", "running")
