"""Preview evidence: what a generation does to its preview, late and repeated evidence, the end. core 5.5, 5.6."""
import concurrent.futures

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from evidence import DESTROYED, GENERATIONS, PREVIEW_ID, at, destroyed, generation, history_of, preview_of, send
from wrong import cases, with_value


def test_the_first_generation_makes_the_preview(plane):
    """EVID-04, EVID-07, EVID-08 to EVID-30"""
    answer = send(plane, GENERATIONS, generation(minute=3, ready_at=at(4), finished_at=at(5), deploy_status="pass"))
    made = f"{PREVIEW_ID}-generation-0001"
    assert answer["records"] == {"preview_id": PREVIEW_ID, "generation_id": made, "transition": "ready",
                                 "preview_path": PREVIEW_ID, "generation_path": made}
    assert preview_of(plane) == {
        "schema_version": 1, "preview_id": PREVIEW_ID, "context": "shop", "anchor_repo": "odoo-tenant-shop",
        "anchor_pr_number": 7, "anchor_pr_url": "https://github.com/example-org/odoo-tenant-shop/pull/7",
        "preview_label": "shop/odoo-tenant-shop/pr-7", "canonical_url": "https://pr-7.example.com", "state": "active",
        "created_at": at(3), "updated_at": at(4), "eligible_at": at(3), "paused_at": "", "destroy_after": "",
        "destroyed_at": "", "destroy_reason": "", "active_generation_id": made, "serving_generation_id": made,
        "latest_generation_id": made, "latest_manifest_fingerprint": "fingerprint-3"}
    stored = history_of(plane)
    assert len(stored) == 1 and stored[0]["sequence"] == 1
    assert stored[0]["anchor_summary"] == {"repo": "odoo-tenant-shop", "pr_number": 7, "head_sha": "a" * 40,
                                           "pr_url": "https://github.com/example-org/odoo-tenant-shop/pull/7"}
    assert (stored[0]["deploy_status"], stored[0]["verify_status"]) == ("pass", "pending")


TRANSITIONS = [
    ("resolving", {}, "active", at(9), False), ("building", {}, "active", at(9), False),
    ("deploying", {}, "active", at(9), False), ("verifying", {}, "active", at(9), False),
    ("superseded", {}, "active", at(9), False), ("ready", {}, "active", at(9), True),
    ("ready", {"finished_at": at(11)}, "active", at(11), True),
    ("ready", {"finished_at": at(11), "ready_at": at(10)}, "active", at(10), True),
    ("failed", {}, "failed", at(9), False), ("failed", {"finished_at": at(11)}, "failed", at(11), False),
    ("failed", {"finished_at": at(11), "failed_at": at(10)}, "failed", at(10), False),
]


@pytest.mark.parametrize("state, changes, becomes, updated, serves", TRANSITIONS)
def test_each_state_moves_the_preview(plane, state, changes, becomes, updated, serves):
    first = send(plane, GENERATIONS, generation())["records"]["generation_id"]
    second = send(plane, GENERATIONS, generation(state, 9, **changes))["records"]["generation_id"]
    shown = preview_of(plane)
    assert (shown["state"], shown["updated_at"]) == (becomes, updated)
    assert shown["active_generation_id"] == shown["latest_generation_id"] == second
    assert shown["serving_generation_id"] == (second if serves else first)
    assert shown["latest_manifest_fingerprint"] == "fingerprint-9"


def test_before_anything_serves_it_is_pending(plane):
    send(plane, GENERATIONS, generation("building"))
    assert preview_of(plane)["state"] == "pending"


def test_stored_members_are_overwritten_with_what_is_said_alone(plane):
    send(plane, GENERATIONS, generation(preview={"destroy_after": at(50)}))
    send(plane, GENERATIONS, generation(minute=2, preview={"canonical_url": "", "eligible_at": " ", "state": "paused"}))
    shown = preview_of(plane)
    assert (shown["canonical_url"], shown["destroy_after"], shown["eligible_at"]) == (
        "https://pr-7.example.com", at(50), at(0))
    assert shown["state"] == "active"


def test_the_url_comes_from_the_contexts_base(plane, lane):
    """PREV-37"""
    config = {**lane.lane_config(), "instance": "", "secrets": [], "runtime_env": {
        "LAUNCHPLANE_PREVIEW_BASE_URL": "https://previews.example.com/"}}
    assert_accepted(plane.post("/v1/product-config/apply", config))
    send(plane, GENERATIONS, generation(preview={"canonical_url": ""}))
    assert preview_of(plane)["canonical_url"] == "https://previews.example.com/previews/shop/odoo-tenant-shop/pr-7"


@pytest.mark.parametrize("changes, named", [
    ({"canonical_url": ""}, "preview.canonical_url"),
    ({"updated_at": "", "eligible_at": ""}, "preview.created_at"),
])
def test_a_new_preview_needs(shared_plane, changes, named):
    before = shared_plane.counts()
    assert_rejected(shared_plane.post(GENERATIONS, generation(pr=99, preview=changes)), 400, "invalid_request", named)
    assert shared_plane.counts() == before


def test_equal_evidence_is_one_generation_and_another_state_a_second(plane):
    """EVID-39"""
    for _ in range(3):
        send(plane, GENERATIONS, generation("building"))
    send(plane, GENERATIONS, generation("ready"))
    assert [g["sequence"] for g in history_of(plane)] == [2, 1]


def test_a_named_generation_is_updated_and_keeps_sequence_and_identity(plane):
    identity = {"context": "shop", "instance": "pr-7", "environment_kind": "preview", "deployment_record_id": "d",
                "artifact_id": "a", "source_git_ref": "c"}
    send(plane, GENERATIONS, generation("building", generation_id="generation-a", sequence=4, runtime_identity=identity))
    send(plane, GENERATIONS, generation("ready", generation_id="generation-a", sequence=9))
    stored = history_of(plane)
    assert [(g["generation_id"], g["sequence"], g["state"]) for g in stored] == [("generation-a", 4, "ready")]
    assert stored[0]["runtime_identity"]["instance"] == "pr-7"
    answer = send(plane, GENERATIONS, generation("building", 5))
    assert answer["records"]["generation_id"] == f"{PREVIEW_ID}-generation-0005"


def test_the_same_sequence_is_the_same_generation(plane):
    for state in ("building", "deploying", "ready"):
        send(plane, GENERATIONS, generation(state, sequence=1))
    assert [(g["sequence"], g["state"]) for g in history_of(plane)] == [(1, "ready")]


def test_a_late_state_of_a_generation_changes_nothing(plane):
    """F4"""
    send(plane, GENERATIONS, generation("ready", 3, sequence=1))
    before, told = preview_of(plane), generation("building", 3, sequence=1)
    answer = send(plane, GENERATIONS, told)
    assert answer["result"]["outcome"] == "older_than_stored"
    assert preview_of(plane) == before
    assert history_of(plane)[0]["state"] == "ready"


def test_an_older_generation_does_not_take_the_preview_back(plane):
    """F4"""
    send(plane, GENERATIONS, generation("building", 1, sequence=1))
    send(plane, GENERATIONS, generation("ready", 5, sequence=2))
    before = preview_of(plane)
    answer = send(plane, GENERATIONS, generation("ready", 1, sequence=1, preview={"canonical_url": "https://old.example.com"}))
    assert answer["result"]["outcome"] == "older_generation"
    assert preview_of(plane) == before
    assert [g["state"] for g in history_of(plane)] == ["ready", "ready"]


def test_an_older_generation_may_begin_to_serve_while_the_newer_is_built(plane):
    send(plane, GENERATIONS, generation("building", 1, sequence=1))
    send(plane, GENERATIONS, generation("building", 5, sequence=2))
    send(plane, GENERATIONS, generation("ready", 1, sequence=1))
    shown = preview_of(plane)
    assert (shown["state"], shown["serving_generation_id"], shown["latest_generation_id"]) == (
        "active", f"{PREVIEW_ID}-generation-0001", f"{PREVIEW_ID}-generation-0002")


def test_a_generation_of_another_preview_is_not_taken(plane):
    send(plane, GENERATIONS, generation(generation_id="theirs"))
    before = plane.counts()
    answer = plane.post(GENERATIONS, generation(pr=8, generation_id="theirs"))
    assert_rejected(answer, 400, "invalid_request", "generation.generation_id")
    assert plane.counts() == before


# the end


def test_a_destroyed_preview_stays_readable(plane):
    """EVID-05, EVID-32"""
    made = send(plane, GENERATIONS, generation())["records"]["generation_id"]
    answer = send(plane, DESTROYED, destroyed(5))
    assert answer["records"] == {"preview_id": PREVIEW_ID, "preview_path": PREVIEW_ID, "transition": "destroyed"}
    shown = preview_of(plane)
    assert (shown["state"], shown["updated_at"], shown["destroyed_at"], shown["destroy_reason"]) == (
        "destroyed", at(5), at(5), "external_preview_cleanup_completed")
    assert (shown["active_generation_id"], shown["serving_generation_id"], shown["latest_generation_id"]) == ("", "", made)


def test_the_janitor_overwrites_what_the_cleanup_said_and_not_the_other_way_round(plane):
    """EVID-36, EVID-37"""
    send(plane, GENERATIONS, generation())
    send(plane, DESTROYED, destroyed(5), key="cleanup")
    send(plane, DESTROYED, destroyed(6, destroy_reason="external_preview_janitor_cleanup_completed"), key="janitor")
    assert preview_of(plane)["destroy_reason"] == "external_preview_janitor_cleanup_completed"
    assert send(plane, DESTROYED, destroyed(5))["result"]["outcome"] == "older_than_stored"
    assert preview_of(plane)["destroyed_at"] == at(6)


def test_a_preview_that_never_was_cannot_be_destroyed(shared_plane):
    before = shared_plane.counts()
    assert_rejected(shared_plane.post(DESTROYED, destroyed(pr=98)), 400, "invalid_request", "destroy.anchor_pr_number")
    assert shared_plane.counts() == before


@pytest.mark.parametrize("state", ["building", "ready", "failed"])
@pytest.mark.parametrize("minute", [4, 5])
def test_a_late_generation_does_not_resurrect(plane, state, minute):
    """F5: what was asked for before the end does not begin anew after it"""
    send(plane, GENERATIONS, generation())
    send(plane, DESTROYED, destroyed(5))
    before = preview_of(plane)
    answer = send(plane, GENERATIONS, generation(state, minute, ready_at=at(9)))
    assert answer["result"]["outcome"] == "preview_destroyed"
    assert preview_of(plane) == before
    assert len(history_of(plane)) == 2


def test_a_reopened_pull_request_has_its_preview_again(plane):
    send(plane, GENERATIONS, generation())
    send(plane, DESTROYED, destroyed(5))
    send(plane, GENERATIONS, generation(minute=6))
    shown = preview_of(plane)
    assert (shown["state"], shown["destroyed_at"], shown["destroy_reason"]) == ("active", "", "")
    answer = send(plane, DESTROYED, destroyed(5))
    assert answer["result"]["outcome"] == "older_than_stored"
    assert preview_of(plane) == shown


# one preview per pull request


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_evidence_that_comes_at_once_makes_one_preview(plane):
    """F6"""
    def hand_in(number):
        return assert_accepted(plane.post(GENERATIONS, generation("building", number)))["records"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = list(pool.map(hand_in, range(24)))
    assert {records["preview_id"] for records in made} == {PREVIEW_ID}
    assert sorted(g["sequence"] for g in history_of(plane)) == list(range(1, 25))
    assert plane.query("SELECT count(*) AS n FROM launchplane_preview_records")[0]["n"] == 1


def test_ids_that_would_be_equal_are_told_apart(make_plane):
    from rehearsal.policy import PRODUCT, for_lanes
    plane = make_plane(for_lanes((PRODUCT, "shop"), (PRODUCT, "shop-a")))
    first = send(plane, GENERATIONS, generation(context="shop", repo="a-b"))["records"]["preview_id"]
    second = send(plane, GENERATIONS, generation(context="shop-a", repo="b"))["records"]["preview_id"]
    assert first == "preview-shop-a-b-pr-7" and second.startswith(first + "-")
    assert preview_of(plane, second)["context"] == "shop-a"
    assert send(plane, GENERATIONS, generation(minute=2, context="shop-a", repo="b"))["records"]["preview_id"] == second


def test_replay(plane):
    first = send(plane, GENERATIONS, generation(), key="once")
    again = send(plane, GENERATIONS, generation(), key="once")
    assert again["replayed"] and again["records"] == first["records"]
    assert_rejected(plane.post(GENERATIONS, generation(minute=1), key="once"), 409, "idempotency_key_reused")


# wrong fields

GENERATION_FIELDS = {
    "product": "name!", "preview": "object!", "generation": "object!", "preview.schema_version": "number",
    "preview.context": "name!", "preview.anchor_repo": "name!", "preview.anchor_pr_number": "number!",
    "preview.anchor_pr_url": "name!", "preview.canonical_url": "text",
    "preview.state": "one:pending|active|failed|paused|teardown_pending|destroyed", "preview.created_at": "text",
    "preview.updated_at": "text", "preview.eligible_at": "text", "preview.paused_at": "text",
    "preview.destroy_after": "text", "preview.destroyed_at": "text", "preview.destroy_reason": "text",
    "preview.active_generation_id": "text", "preview.latest_manifest_fingerprint": "text",
    "generation.schema_version": "number", "generation.context": "name!", "generation.anchor_repo": "name!",
    "generation.anchor_pr_url": "name!", "generation.anchor_head_sha": "name!", "generation.anchor_pr_number": "number!",
    "generation.sequence": "number?", "generation.generation_id": "text",
    "generation.state": "one:resolving|building|deploying|verifying|ready|failed|superseded",
    "generation.requested_reason": "name!", "generation.requested_at": "name!",
    "generation.resolved_manifest_fingerprint": "name!", "generation.started_at": "text", "generation.artifact_id": "text",
    "generation.source_map": "list", "generation.source_map[0].repo": "name!", "generation.source_map[0].git_sha": "name!",
    "generation.source_map[0].selection": "one:anchor|companion|baseline", "generation.companion_summaries": "list",
    "generation.companion_summaries[0].repo": "name!", "generation.companion_summaries[0].pr_number": "number!",
    "generation.companion_summaries[0].head_sha": "name!", "generation.companion_summaries[0].pr_url": "name!",
    "generation.deploy_status": "one:pending|pass|fail|skipped", "generation.verify_status": "one:pending|pass|fail|skipped",
    "generation.overall_health_status": "one:pending|pass|fail|skipped", "generation.failure_stage": "text",
    "generation.runtime_identity": "object?",
}
VALID = generation(source_map=[{"repo": "r", "git_sha": "c", "selection": "anchor"}],
                   companion_summaries=[{"repo": "r", "pr_number": 1, "head_sha": "c", "pr_url": "u"}])
GENERATION_CASES = list(cases(VALID, GENERATION_FIELDS))
DESTROY_CASES = list(cases(destroyed(), {
    "product": "name!", "destroy": "object!", "destroy.context": "name!", "destroy.anchor_repo": "name!",
    "destroy.anchor_pr_number": "number!", "destroy.destroyed_at": "name!", "destroy.destroy_reason": "name!",
    "destroy.schema_version": "number"}))


@pytest.mark.parametrize("path, body", [case[1:] for case in GENERATION_CASES], ids=[case[0] for case in GENERATION_CASES])
def test_every_wrong_field_of_a_generation_is_named(shared_plane, path, body):
    assert_rejected(shared_plane.post(GENERATIONS, body), 400, "invalid_request", path)


@pytest.mark.parametrize("path, body", [case[1:] for case in DESTROY_CASES], ids=[case[0] for case in DESTROY_CASES])
def test_every_wrong_field_of_an_end_is_named(shared_plane, path, body):
    assert_rejected(shared_plane.post(DESTROYED, body), 400, "invalid_request", path)


@pytest.mark.parametrize("member, value", [("context", "other"), ("anchor_repo", "other"), ("anchor_pr_number", 8),
                                           ("anchor_pr_url", "https://example.com")])
def test_both_parts_name_the_same_pull_request(shared_plane, member, value):
    body = with_value(generation(), f"generation.{member}", value)
    assert_rejected(shared_plane.post(GENERATIONS, body), 400, "invalid_request", f"generation.{member}")


def test_an_unknown_preview_is_404(shared_plane):
    for path in ("/v1/previews/none", "/v1/previews/none/history"):
        assert_rejected(shared_plane.get(path), 404, "not_found")


def test_a_preview_is_read_with_the_grant_of_its_context(plane):
    send(plane, GENERATIONS, generation())
    stranger = plane.token(repository="example-org/stranger")
    for path in (f"/v1/previews/{PREVIEW_ID}", f"/v1/previews/{PREVIEW_ID}/history"):
        assert_rejected(plane.get(path, token=stranger), 403, "authorization_denied")
        assert_ok(plane.get(path))
