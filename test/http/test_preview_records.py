"""Previews and builds written by hand, and the transitions beside evidence. PREV-12 to 20, PREV-43, 44; web-verireel-previews 5.3, 6.4."""
import json

import pytest

from checks import assert_accepted, assert_rejected
from cli import Cli, input_file
from evidence import GENERATIONS, PR, PREVIEW_ID, REPO, SHA, at, destroyed, generation, history_of, preview_of, send
from evidence import DESTROYED
from rehearsal.policy import CONTEXT, PRODUCT

PREVIEWS = "/v1/previews"
BUILDS, REQUEST, MARK, ENABLEMENT = f"{PREVIEWS}/generations", f"{PREVIEWS}/generations/request", f"{PREVIEWS}/generations/mark", f"{PREVIEWS}/enablement"
FIRST = f"{PREVIEW_ID}-generation-0001"


def preview(**changes):
    return {"product": PRODUCT, "preview": {**generation()["preview"], **changes}}


def build(state="building", minute=0, **changes):
    return {"product": PRODUCT, "generation": generation(state, minute, **changes)["generation"]}


def mark(operation, minute=0, generation_id=FIRST, **changes):
    return {**build(operation, minute, generation_id=generation_id, **changes), "operation": operation}


def enablement(minute=0, **changes):
    return {"product": PRODUCT, "enablement": {
        "context": CONTEXT, "anchor_repo": REPO, "anchor_pr_number": PR, "anchor_pr_url": "https://github.com/x/y/pull/7",
        "anchor_head_sha": SHA, "action": "labeled", "pr_state": "open", "label_enabled": True, "action_label": "preview",
        "updated_at": at(minute), **changes}}


def stored_enablement(plane):
    return plane.query("SELECT record_id, context, anchor_repo, anchor_pr_number, pr_state, updated_at, payload FROM launchplane_preview_enablement")


# write-preview

def test_a_preview_is_written_as_it_is_given(plane):
    """PREV-12: state and pointers come from the request"""
    answer = send(plane, PREVIEWS, preview(state="paused", paused_at=at(3), serving_generation_id="some-build"))
    assert answer["records"] == {"preview_id": PREVIEW_ID}
    record = preview_of(plane)
    assert (record["state"], record["paused_at"], record["serving_generation_id"]) == ("paused", at(3), "some-build")
    assert (record["preview_label"], record["created_at"]) == (f"{CONTEXT}/{REPO}/pr-{PR}", at(0))
    assert history_of(plane) == []


def test_a_stored_preview_keeps_its_creation_and_its_address(plane):
    send(plane, PREVIEWS, preview())
    changed = preview(state="destroyed", created_at=at(9), updated_at=at(5), destroyed_at=at(5), destroy_reason="by hand")
    changed["preview"].update(canonical_url="", eligible_at="")
    send(plane, PREVIEWS, changed)
    record = preview_of(plane)
    assert (record["created_at"], record["eligible_at"], record["updated_at"]) == (at(0), at(0), at(5))
    assert record["canonical_url"] == f"https://pr-{PR}.example.com"
    assert (record["state"], record["destroyed_at"], record["destroy_reason"]) == ("destroyed", at(5), "by hand")


@pytest.mark.parametrize("changes, path", [
    ({"canonical_url": ""}, "preview.canonical_url"), ({"updated_at": "", "eligible_at": ""}, "preview.created_at"),
    ({"state": "gone"}, "preview.state"), ({"anchor_pr_number": 0}, "preview.anchor_pr_number"),
], ids=str)
def test_what_a_new_preview_lacks_is_named(shared_plane, changes, path):
    before = shared_plane.counts()
    assert_rejected(shared_plane.post(PREVIEWS, preview(**changes)), 400, "invalid_request", path)
    assert shared_plane.counts() == before


# write-generation

def test_a_build_is_written_and_the_preview_stays(plane):
    """PREV-13"""
    assert_rejected(plane.post(BUILDS, build()), 400, "invalid_request", "generation.anchor_pr_number")
    send(plane, PREVIEWS, preview(state="paused"))
    before = preview_of(plane)
    answer = send(plane, BUILDS, build("ready"))
    assert answer["records"] == {"preview_id": PREVIEW_ID, "generation_id": FIRST}
    send(plane, BUILDS, build("superseded", 1))
    assert preview_of(plane) == before
    assert [(one["generation_id"][-4:], one["state"]) for one in history_of(plane)] == [("0002", "superseded"), ("0001", "ready")]
    send(plane, BUILDS, build("failed", 2, generation_id=FIRST))
    assert [one["state"] for one in history_of(plane)] == ["superseded", "failed"]


# request-generation, mark-generation-*

def test_a_requested_build_makes_the_preview_and_is_marked_ready(plane):
    """PREV-17, PREV-18"""
    answer = send(plane, REQUEST, generation("resolving"))
    assert (answer["records"]["generation_id"], answer["records"]["transition"]) == (FIRST, "resolving")
    record = preview_of(plane)
    assert (record["state"], record["active_generation_id"], record["serving_generation_id"]) == ("pending", FIRST, "")
    assert send(plane, MARK, mark("ready", ready_at=at(4)))["records"]["transition"] == "ready"
    record = preview_of(plane)
    assert (record["state"], record["serving_generation_id"], record["updated_at"]) == ("active", FIRST, at(4))


def test_a_failed_mark_keeps_what_serves(plane):
    """PREV-19"""
    send(plane, GENERATIONS, generation("ready"))
    second = send(plane, REQUEST, generation("building", 5))["records"]["generation_id"]
    send(plane, MARK, mark("failed", 5, second, failed_at=at(6), failure_stage="build"))
    record = preview_of(plane)
    assert (record["state"], record["serving_generation_id"], record["latest_generation_id"]) == ("failed", FIRST, second)
    assert history_of(plane)[0]["failure_stage"] == "build"


@pytest.mark.parametrize("body, path", [
    (mark("ready"), "generation.anchor_pr_number"), (mark("ready", generation_id=""), "generation.generation_id"),
    ({**mark("ready"), "operation": "failed"}, "generation.state"), ({**mark("ready"), "operation": "done"}, "operation"),
], ids=["no-preview", "no-id", "another-state", "another-mark"])
def test_a_mark_of_something_unknown_is_refused(shared_plane, body, path):
    before = shared_plane.counts()
    assert_rejected(shared_plane.post(MARK, body), 400, "invalid_request", path)
    assert shared_plane.counts() == before


def test_a_mark_needs_a_generation_of_this_preview(plane):
    send(plane, GENERATIONS, generation("ready"))
    send(plane, GENERATIONS, generation("ready", pr=8))
    before = history_of(plane)
    assert_rejected(plane.post(MARK, mark("ready", generation_id="nothing")), 400, "invalid_request", "generation.generation_id")
    other = "preview-shop-odoo-tenant-shop-pr-8-generation-0001"
    assert_rejected(plane.post(MARK, mark("failed", generation_id=other)), 400, "invalid_request", "generation.generation_id")
    assert history_of(plane) == before


def test_a_late_mark_does_not_resurrect(plane):
    """F5"""
    send(plane, REQUEST, generation("building"))
    send(plane, DESTROYED, destroyed(3))
    send(plane, MARK, mark("ready", ready_at=at(4)))
    assert preview_of(plane)["state"] == "destroyed"


@pytest.mark.parametrize("state", ["ready", "failed"])
def test_an_end_is_not_requested(shared_plane, state):
    assert_rejected(shared_plane.post(REQUEST, generation(state)), 400, "invalid_request", "generation.state")


# write-enablement

def test_an_enablement_is_one_record_for_each_pull_request(plane):
    """PREV-14, PREV-43, PREV-44: heads as they were resolved; a later event replaces, an earlier one does not"""
    companions = {
        "request_metadata_status": "valid", "request_metadata_baseline_channel": "testing",
        "request_metadata_companions": [{"repo": "addons", "pr_number": 3}],
        "request_metadata_companion_summaries": [{"repo": "addons", "pr_number": 3, "head_sha": "b" * 40, "pr_url": "https://x/3"}]}
    record_id = f"{CONTEXT}-{REPO}-pr-{PR}"
    assert send(plane, ENABLEMENT, enablement(5, **companions))["records"] == {"preview_enablement_record_id": record_id}
    row, = stored_enablement(plane)
    assert (row["record_id"], row["context"], row["anchor_repo"], row["anchor_pr_number"]) == (record_id, CONTEXT, REPO, PR)
    assert (row["payload"]["record_id"], row["payload"]["anchor_head_sha"], row["payload"]["label_enabled"]) == (record_id, SHA, True)
    assert row["payload"]["request_metadata_companion_summaries"] == companions["request_metadata_companion_summaries"]
    late = send(plane, ENABLEMENT, enablement(4, action="closed", pr_state="closed"))
    assert late["result"]["outcome"] == "older_than_stored" and stored_enablement(plane) == [row]
    send(plane, ENABLEMENT, enablement(6, action="closed", pr_state="closed", label_enabled=False))
    row, = stored_enablement(plane)
    assert (row["pr_state"], row["updated_at"], row["payload"]["request_metadata_status"]) == ("closed", at(6), "missing")


@pytest.mark.parametrize("changes, path", [
    ({"record_id": "another"}, "enablement.record_id"), ({"action": "merged"}, "enablement.action"),
    ({"request_metadata_error": "no"}, "enablement.request_metadata_error"),
    ({"request_metadata_status": "invalid"}, "enablement.request_metadata_error"),
    ({"request_metadata_status": "valid"}, "enablement.request_metadata_baseline_channel"),
    ({"request_metadata_baseline_channel": "testing"}, "enablement.request_metadata_baseline_channel"),
    ({"request_metadata_companions": [{"repo": "a", "pr_number": 1}]}, "enablement.request_metadata_companions"),
    ({"request_metadata_status": "valid", "request_metadata_baseline_channel": "testing",
      "request_metadata_companions": [{"repo": "a", "pr_number": 1}],
      "request_metadata_companion_summaries": [{"repo": "a", "pr_number": 2, "head_sha": "b", "pr_url": "c"}]},
     "enablement.request_metadata_companion_summaries"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_enablement_names_its_field(shared_plane, changes, path):
    before = shared_plane.counts()
    assert_rejected(shared_plane.post(ENABLEMENT, enablement(**changes)), 400, "invalid_request", path)
    assert shared_plane.counts() == before


# all of them

@pytest.mark.parametrize("path, body", [
    (PREVIEWS, preview()), (REQUEST, generation("building")), (ENABLEMENT, enablement())], ids=["preview", "request", "enablement"])
def test_the_same_key_is_answered_once(plane, path, body):
    first = send(plane, path, body, key="k")
    before = plane.counts()
    again = assert_accepted(plane.post(path, body, key="k"))
    assert again["records"] == first["records"] and again["replayed"] is True
    assert plane.counts() == before


def test_the_commands(plane, tmp_path):
    cli = Cli(plane)

    def run(name, document, *words):
        done = cli("launchplane-previews", name, "--product", PRODUCT, "--input-file", input_file(tmp_path, document), *words)
        assert done.code == 0, done
        return done.fields()

    pair = generation("building")
    for part in ("preview", "generation"):
        (tmp_path / f"{part}.json").write_text(json.dumps(pair[part]))
    assert run("write-preview", preview()["preview"])["preview_id"] == PREVIEW_ID
    assert run("write-generation", build("building")["generation"])["generation_id"] == FIRST
    asked = cli("launchplane-previews", "request-generation", "--product", PRODUCT, "--preview-input-file", str(tmp_path / "preview.json"),
                "--generation-input-file", str(tmp_path / "generation.json"))
    assert asked.code == 0 and asked.fields()["transition"] == "building", asked
    assert run("mark-generation-failed", mark("failed")["generation"])["transition"] == "failed"
    assert run("mark-generation-ready", mark("ready")["generation"])["transition"] == "ready"
    assert preview_of(plane)["state"] == "active"
    assert run("write-enablement", enablement()["enablement"])["preview_enablement_record_id"].endswith("-pr-7")
    refused = cli("launchplane-previews", "mark-generation-ready", "--product", PRODUCT, "--input-file",
                  input_file(tmp_path, mark("failed")["generation"]))
    assert refused.code == 1 and "generation.state" in refused.err
