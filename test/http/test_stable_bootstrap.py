"""A lane that is empty on purpose is built anew: proofs first, one destructive run, and what is current stays. odoo 7."""
import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from lane_work import (BOOTSTRAP, PHRASE, bootstrap, bootstrap_request, mutations, policies, put_overrides, stored_overrides,
                       submit_bootstrap)
from rehearsal import policy as policy_texts
from rehearsal.lane import Lane
from replacement import deployment_of, inventory_of, submit


@pytest.fixture
def make_lane(doubles, plane):
    """make_lane(**policy changes) prepares a lane whose profile allows the bootstrap."""
    def make(change=lambda lane: None, **policy):
        lane = Lane(doubles)
        lane.policies = policies(lane, **policy)
        change(lane)
        lane.create_in_dokploy()
        plane.secrets += lane.secret_values()
        return lane.prepare(plane)

    return make


@pytest.fixture
def lane(make_lane):
    return make_lane()


def modes(plane):
    return [(run.schedule, run.mode) for run in plane.doubles.dokploy.schedule_runs]


def test_the_lane_is_built_anew_and_proved(plane, lane):
    """BOOT-01, 14 to 17, 22, 30"""
    put_overrides(plane)
    before = inventory_of(plane, lane)
    operation = bootstrap(plane, lane)
    assert (operation["status"], operation["phase"]) == ("pass", "completed"), operation
    assert modes(plane) == [("platform-odoo-bootstrap", "bootstrap"), ("platform-data-workflow", "maintenance")]
    run = plane.doubles.dokploy.schedule_runs[0]
    assert run.app_name == "platform-shop-testing-odoo-bootstrap"
    result = operation["result"]
    assert (result["bootstrap_status"], result["bootstrap_run_status"], result["readiness_status"]) == ("pass", "pass", "pass")
    assert {result[name] for name in ("post_deploy_status", "health_status", "canonical_status", "logo_status")} == {"pass"}
    assert (result["artifact_id"], result["target_name"]) == (lane.old.artifact_id, lane.target_name)
    record = deployment_of(plane, operation)
    assert record["bootstrap"] == {"attempted": True, "run_status": "pass", "readiness_status": "pass", "detail": ""}
    assert record["deploy"]["deploy_mode"] == "dokploy-compose-schedule"
    assert record["deploy"]["deployment_id"] == "control-plane-dokploy-schedule"
    after = inventory_of(plane, lane)
    assert after["bootstrap_record_id"] == after["deployment_record_id"] == operation["deployment_record_id"]
    assert after["artifact_identity"] == before["artifact_identity"]
    assert stored_overrides(plane)["website_bootstrap"]["canonical_url"] == lane.base_url
    assert stored_overrides(plane)["last_apply"]["status"] == "pass"


def test_without_overrides_nothing_is_deployed(plane, lane):
    assert bootstrap(plane, lane)["status"] == "pass"
    assert plane.doubles.dokploy.calls("POST", "compose.deploy") == 0


def test_it_is_polled_at_its_own_address(plane, lane):
    """BOOT-23, 28, 29"""
    answer = plane.post(BOOTSTRAP, bootstrap_request(lane), key="b")
    operation_id = assert_accepted(answer)["records"]["odoo_stable_bootstrap_operation_id"]
    assert operation_id.startswith("odoo-stable-bootstrap-shop-testing-")
    path = f"{BOOTSTRAP}/operations/{operation_id}"
    assert answer.headers["Location"] == path
    plane.finish(operation_id)
    shown = assert_ok(plane.get(path))
    assert shown["operation"]["request"]["confirmation"] == PHRASE
    assert shown["result"]["bootstrap_status"] == "pass"
    assert shown["operation"]["deployment_record_id"]
    assert_rejected(plane.get(path.replace("stable-bootstrap/operations", "target-replacement/operations")), 404, "not_found")


BLOCKED = {
    "the policy is off": ({"enabled": False}, {}, "no enabled odoo_stable_bootstrap"),
    "the phrase is another": ({}, {"confirmation": "something else"}, "confirmation"),
    "another target is expected": ({"expected_target_name": "shop-prod"}, {}, "expects by name"),
    "another domain is expected": ({"expected_domains": ["other.example.com"]}, {}, "other.example.com"),
    "health must be verified": ({}, {"verify_health": False}, "verify_health"),
    "the canonical address must be": ({"require_canonical_verification": True}, {"verify_canonical": False}, "verify_canonical"),
    "the logo must be": ({"require_logo_verification": True}, {"verify_logo": False}, "verify_logo"),
}


@pytest.mark.parametrize("name", BLOCKED)
def test_what_is_not_proved_never_reaches_the_provider(plane, make_lane, name):
    """BOOT-03 to 09, 12"""
    policy, request, told = BLOCKED[name]
    lane = make_lane(**policy)
    seen = len(plane.doubles.dokploy.requests)
    operation = bootstrap(plane, lane, **request)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked"), operation
    assert told in operation["error_message"]
    assert len(plane.doubles.dokploy.requests) == seen
    assert operation["result"]["bootstrap_run_status"] == "skipped"
    assert inventory_of(plane, lane)["bootstrap_record_id"] == ""


def test_the_data_policy_must_allow_an_empty_source(plane, make_lane):
    lane = make_lane(lambda lane: lane.policies["odoo_data_policy"].update(allowed_rebuild_sources=[]))
    operation = bootstrap(plane, lane)
    assert "odoo_data_policy" in operation["error_message"]
    assert mutations(plane) == []


def test_authoritative_data_are_never_emptied(plane, make_lane):
    """odoo 3: on no lane, whatever its bootstrap policy allows"""
    lane = make_lane(lambda lane: lane.policies["odoo_data_policy"].update(data_authority="authoritative"))
    operation = bootstrap(plane, lane)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked")
    assert "authoritative" in operation["error_message"]
    assert mutations(plane) == []


def test_dokploys_own_name_must_be_the_expected_one(plane, lane):
    """BOOT-13"""
    plane.doubles.dokploy.state.composes[lane.compose_id]["name"] = "renamed-by-hand"
    operation = bootstrap(plane, lane)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked")
    assert "Dokploy's own name" in operation["error_message"]
    assert mutations(plane) == []


def test_a_target_renamed_before_the_run_is_left_alone(plane, lane):
    """BOOT-13: the name is looked at once more right before the run"""
    rule = plane.doubles.dokploy.on("GET", "compose.one").after(1).hold_before().times(1)
    operation_id = submit_bootstrap(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the second look")
    plane.doubles.dokploy.state.composes[lane.compose_id]["name"] = "renamed-by-hand"
    rule.release()
    operation = plane.finish(operation_id)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked"), operation
    assert "own name of the target changed" in operation["error_message"]
    assert mutations(plane) == []


def test_the_live_target_must_expose_the_expected_domains(plane, lane):
    for row in plane.doubles.dokploy.state.domains.values():
        row["host"] = "elsewhere.example.com"
    operation = bootstrap(plane, lane)
    assert "does not expose" in operation["error_message"]
    assert mutations(plane) == []


PROD = {
    "data of unknown authority": ({"data_authority": "unknown", "allowed_rebuild_sources": []}, "odoo_data_policy"),
    "authoritative data": ({"data_authority": "authoritative"}, "authoritative"),
    "a restore proof": ({"requires_backup_before_destroy": False}, "restore proof"),
    "a backup": ({"requires_restore_proof": False}, "backup gate"),
    "nothing": ({"requires_restore_proof": False, "requires_backup_before_destroy": False}, ""),
}


@pytest.mark.parametrize("name", PROD)
def test_a_prod_lane_needs_evidence_that_its_data_may_go(plane, doubles, name):
    """BOOT-21"""
    lane = Lane(doubles, instance="prod")
    lane.policies = policies(lane)
    lane.policies["odoo_data_policy"].update(PROD[name][0])
    lane.create_in_dokploy()
    plane.secrets += lane.secret_values()
    lane.prepare(plane)
    operation = bootstrap(plane, lane)
    assert operation["status"] == ("fail" if PROD[name][1] else "pass"), operation
    assert PROD[name][1] in operation["error_message"]
    assert bool(mutations(plane)) == (not PROD[name][1])


FAILURES = {
    "the bootstrap run fails": (lambda d, o: d.on("POST", "schedule.runManually").lie("script_fails").times(1), "fail", "fail"),
    "the bootstrap run is cancelled": (
        lambda d, o: d.on("POST", "schedule.runManually").lie("run_cancelled").times(1), "fail", "fail"),
    "it is recorded done and was not": (
        lambda d, o: d.on("POST", "schedule.runManually").lie("script_recorded_done").times(1), "fail", "fail"),
    "post-deploy fails": (
        lambda d, o: d.on("POST", "schedule.runManually").after(1).lie("script_fails").times(1), "pass", "fail"),
    "health fails": (lambda d, o: setattr(o, "health_status", "fail"), "pass", "verification_failed"),
    "the canonical address is another": (
        lambda d, o: setattr(o, "canonical", "https://elsewhere.example.com"), "pass", "verification_failed"),
    "there is no logo": (lambda d, o: setattr(o, "logo", "missing"), "pass", "verification_failed"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_keeps_what_is_current_and_names_the_attempt(plane, lane, name):
    """BOOT-18 to 20, DERIV-11, odoo 7.4"""
    arrange, run_status, readiness = FAILURES[name]
    before = inventory_of(plane, lane)
    arrange(plane.doubles.dokploy, plane.doubles.odoo.face(lane.host))
    operation = bootstrap(plane, lane)
    assert operation["status"] == "fail", operation
    assert operation["error_message"]
    result = operation["result"]
    assert (result["bootstrap_run_status"], result["readiness_status"]) == (run_status, readiness)
    record = deployment_of(plane, operation)["bootstrap"]
    assert (record["run_status"], record["readiness_status"]) == (run_status, readiness)
    assert record["detail"]
    after = inventory_of(plane, lane)
    assert after["bootstrap_record_id"] == operation["deployment_record_id"]
    for kept in ("deployment_record_id", "artifact_identity", "source_git_ref", "deploy", "destination_health"):
        assert after[kept] == before[kept], kept
    assert plane.doubles.dokploy.running(lane.compose_id).web_running


def test_a_run_that_may_have_started_is_never_asked_for_again(plane, lane):
    """Destructive: when it cannot be told whether it began, a person looks."""
    plane.doubles.dokploy.on("POST", "schedule.runManually").drop_before()
    operation = bootstrap(plane, lane)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_reconciliation_required"), operation
    assert "platform-odoo-bootstrap" in operation["error_message"]
    assert plane.doubles.dokploy.calls("POST", "schedule.runManually") == 1


def test_the_lane_is_reserved_against_both_kinds(plane, lane):
    """BOOT-25 to 27, odoo 6.2"""
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = submit_bootstrap(plane, lane)
    assert rule.reached.wait(60)
    body = assert_rejected(plane.post(BOOTSTRAP, bootstrap_request(lane), key="other"), 409, "odoo_stable_bootstrap_operation_active")
    assert body["operation"]["operation_id"] == operation_id
    answer = plane.post("/v1/drivers/odoo/target-replacement-apply", lane.replacement(), key="other")
    assert_rejected(answer, 409, "odoo_stable_target_replacement_operation_active")
    assert submit_bootstrap(plane, lane) == operation_id
    again = plane.post(BOOTSTRAP, bootstrap_request(lane, verify_logo=False), key="bootstrap-1")
    assert_rejected(again, 409, "idempotency_key_reused")
    rule.release()
    assert plane.finish(operation_id)["status"] == "pass"
    assert submit_bootstrap(plane, lane) == operation_id
    assert plane.finish(submit(plane, lane, key="replace"))["status"] == "pass"


@pytest.mark.policy(policy_texts.render(github_actions=[
    *policy_texts.lane_rules(),
    policy_texts.workflow_rule(["odoo_stable_bootstrap.execute", "operations.read"], ["odoo"], ["shop"])]))
def test_the_drivers_own_name_stands_for_the_owner_of_the_lane(plane, lane):
    """BOOT-01, odoo 1.2 step 2: the lane is reserved under the product's name, and its profile is the one that allows it"""
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = submit(plane, lane)
    assert rule.reached.wait(60)
    body = {**bootstrap_request(lane, product="odoo"), "product": "odoo"}
    busy = assert_rejected(plane.post(BOOTSTRAP, body, key="k"), 409, "odoo_stable_bootstrap_operation_active")
    assert busy["operation"]["operation_id"] == operation_id
    rule.release()
    plane.finish(operation_id)
    accepted = assert_accepted(plane.post(BOOTSTRAP, body, key="k"))
    operation = plane.finish(accepted["records"]["odoo_stable_bootstrap_operation_id"])
    assert (operation["status"], operation["result"]["product"]) == ("pass", lane.product), operation


def test_a_later_replacement_keeps_the_history(plane, lane):
    first = bootstrap(plane, lane)
    assert plane.finish(submit(plane, lane))["status"] == "pass"
    assert inventory_of(plane, lane)["bootstrap_record_id"] == first["deployment_record_id"]


@pytest.mark.parametrize("change, path", [
    ({"confirmation": " "}, "bootstrap.confirmation"), ({"context": ""}, "bootstrap.context"),
    ({"timeout_seconds": 0}, "bootstrap.timeout_seconds"), ({"product": "other"}, "bootstrap.product"),
    ({"allow_empty_data": True}, "bootstrap.allow_empty_data"),
], ids=str)
def test_a_malformed_request_names_its_field(shared_plane, shared_lane, change, path):
    assert_rejected(shared_plane.post(BOOTSTRAP, bootstrap_request(shared_lane, **change), key="x"), 400, "invalid_request", path)


def test_it_needs_a_key_and_a_lane_of_its_own(shared_plane, shared_lane):
    assert_rejected(shared_plane.post(BOOTSTRAP, bootstrap_request(shared_lane)), 400, "idempotency_key_required")
    other = bootstrap_request(shared_lane, context="elsewhere")
    assert_rejected(shared_plane.post(BOOTSTRAP, other, key="x"), 403, "product_driver_mismatch")


@pytest.mark.parametrize("call, kind", [
    (("GET", "compose.one", 0), "before"), (("POST", "schedule.create", 0), "before"), (("POST", "schedule.runManually", 0), "running"),
])
def test_a_cancelled_bootstrap_ends_well(plane, lane, call, kind):
    """Before the run it ends there; a run that was asked for is followed to its end."""
    method, procedure, earlier = call
    rule = plane.doubles.dokploy.on(method, procedure).after(earlier).times(1).hold_before()
    operation_id = submit_bootstrap(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    answer = plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "drill"})
    assert answer.status_code in (200, 202), answer.text
    rule.release()
    operation = plane.finish(operation_id)
    if kind == "before":
        assert (operation["status"], operation["error_code"]) == ("fail", "operation_cancelled"), operation
        assert plane.doubles.dokploy.schedule_runs == []
    else:
        assert operation["status"] == "pass", operation
    assert plane.doubles.dokploy.running(lane.compose_id).web_running
