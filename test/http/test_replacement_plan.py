"""The replacement plan: what it reads, every check of it, and that it changes nothing. odoo 4.2, 4.3."""
import pytest

from checks import assert_accepted, assert_rejected
from cli import bare
from rehearsal.lane import Artifact, Lane
from replacement import APPLY, PLAN, plan

STEPS = ["inventory", "volume-contract", "replacement-apply", "post-deploy-verification"]
CONFIRMATION = "rebuild shop testing"


def rebuild_policy(lane, **changes):
    """Profile members that allow an empty rebuild of this lane."""
    return {
        "odoo_prelaunch_rebuild": {
            "enabled": True, "approval_issue_url": "https://github.com/example-org/shop/issues/7",
            "data_source_mode": "empty", "confirmation": CONFIRMATION, "expected_target_name": lane.target_name,
            "expected_domains": [lane.host], **changes},
        "odoo_data_policy": {"data_authority": "resettable", "allowed_rebuild_sources": ["empty"]},
    }


REBUILD = {"data_source_mode": "empty", "allow_empty_data": True, "confirmation": CONFIRMATION}


@pytest.fixture
def new_lane(doubles, plane):
    """A lane to be made wrong before create_in_dokploy() and prepare()."""
    made = Lane(doubles)
    plane.secrets += made.secret_values()
    return made


def blocked(result, *words):
    """One of the blockers speaks of all these words."""
    assert result["plan_status"] == "blocked", result
    assert result["blockers"]
    found = [text for text in result["blockers"] if all(word.lower() in text.lower() for word in words)]
    assert found, (words, result["blockers"])


def test_a_ready_plan_shows_what_it_read(plane, lane):
    """TREP-02, TREP-05 to TREP-10"""
    result = plan(plane, lane)
    assert (result["plan_status"], result["blockers"]) == ("ready", [])
    assert (result["product"], result["context"], result["instance"]) == (lane.product, "shop", "testing")
    assert (result["target_record_found"], result["target_id_record_found"], result["inventory_found"]) == (True,) * 3
    assert [step["step_id"] for step in result["steps"]] == STEPS
    assert (result["expected_artifact_id"], result["expected_source_git_ref"]) == (
        lane.new.artifact_id, lane.new.source_commit)
    assert result["expected_domain_hosts"] == [lane.host]
    assert result["expected_next_target_name"] == lane.target_name
    target = result["current_target"]
    assert (target["target_type"], target["target_id"], target["target_name"]) == (
        "compose", lane.compose_id, lane.target_name)
    assert target["domain_hosts"] == [lane.host]
    assert target["latest_deployment_status"] == "done"
    assert sorted(target["env_keys"]) == sorted(lane.live_env)
    assert target["live_volume_values"] == lane.volumes
    assert (target["required_volume_keys_missing"], target["runtime_identity_present"]) == ([], False)
    assert any("identity" in text.lower() for text in result["warnings"])


def test_a_plan_changes_nothing(plane, lane):
    """TREP-11"""
    before = plane.counts()
    plan(plane, lane)
    assert plane.counts() == before
    assert plane.doubles.dokploy.mutations() == []


def test_a_plan_shows_key_names_and_no_values(plane, lane):
    answer = plane.post(PLAN, lane.plan_request())
    assert not any(value in answer.text for value in lane.secret_values())
    assert "kept as it is" not in answer.text


def test_without_artifact_the_inventory_decides(plane, lane):
    """TREP-38"""
    result = plan(plane, lane, artifact_id="", source_git_ref="")
    assert (result["plan_status"], result["expected_artifact_id"]) == ("ready", lane.old.artifact_id)


# check 1 and 2: errors

def test_an_unknown_product_is_refused(plane, lane):
    body = lane.plan_request()
    body["product"] = body["replacement"]["product"] = "unknown-product"
    assert plane.post(PLAN, body).status_code == 403


@pytest.mark.parametrize("driver", ["generic-web", "verireel"])
def test_a_product_of_another_driver_is_a_mismatch(plane, lane, driver):
    """odoo 1.2"""
    assert_accepted(plane.post("/v1/product-profiles", {**lane.profile(), "driver_id": driver}))
    assert_rejected(plane.post(PLAN, lane.plan_request()), 403, "product_driver_mismatch")


def test_a_lane_that_the_profile_does_not_have_is_refused(plane, lane):
    body = lane.plan_request()
    body["replacement"]["instance"] = "prod"
    assert plane.post(PLAN, body).status_code in (400, 403)


# checks 3 to 5: records

def test_missing_target_records_are_blockers(plane, unprepared_lane):
    """checks 3, 4"""
    unprepared_lane.prepare(plane, without=["Dokploy target"])
    result = plan(plane, unprepared_lane)
    blocked(result, "target")
    assert (result["target_record_found"], result["target_id_record_found"]) == (False, False)
    assert result["current_target"] is None


def test_an_application_target_is_a_blocker(plane, doubles, unprepared_lane):
    """check 5"""
    lane = unprepared_lane
    application = doubles.dokploy.add_application("site", lane.environment_id)
    lane.prepare(plane, without=["Dokploy target"])
    setup = {**lane.target_setup(), "target_type": "application", "target_id": application, "target_name": "site"}
    assert_accepted(plane.post("/v1/dokploy-targets/setup", setup, key="k"))
    blocked(plan(plane, lane), "compose")


# check 6

def test_another_data_source_needs_allow_empty_data(plane, lane):
    """check 6, TREP-53"""
    blocked(plan(plane, lane, data_source_mode="empty", confirmation=CONFIRMATION), "allow_empty_data")


# check 7

def test_missing_runtime_records_are_a_blocker(plane, unprepared_lane):
    unprepared_lane.prepare(plane, without=["runtime values and secrets"])
    blocked(plan(plane, unprepared_lane), "runtime")


# check 8

@pytest.mark.parametrize("status", [401, 404, 500])
def test_a_provider_that_cannot_be_read_is_no_ready_plan(plane, lane, status):
    plane.doubles.dokploy.on("GET", "compose.one").answer(status)
    answer = plane.post(PLAN, lane.plan_request())
    if answer.status_code == 202:
        blocked(answer.json()["result"])
    else:
        assert answer.status_code in (400, 502, 503, 504), answer.text
    assert plane.doubles.dokploy.mutations() == []


def test_missing_dokploy_credentials_are_an_error(plane, unprepared_lane):
    unprepared_lane.prepare(plane, without=["Dokploy host and token", "Dokploy target"])
    answer = plane.post(PLAN, unprepared_lane.plan_request())
    assert answer.status_code != 202 or answer.json()["result"]["plan_status"] == "blocked"


# check 9: prelaunch policy proof

def test_a_rebuild_with_all_proofs_is_ready(plane, new_lane):
    """TREP-45 to TREP-54"""
    new_lane.policies = rebuild_policy(new_lane)
    for key in new_lane.volumes:
        del new_lane.live_env[key]
    new_lane.create_in_dokploy(running=False)
    new_lane.prepare(plane)
    result = plan(plane, new_lane, **REBUILD)
    assert (result["plan_status"], result["blockers"]) == ("ready", [])
    assert result["approval_issue_url"].endswith("/issues/7")


PROOFS = {
    "policy is disabled": (lambda lane: {**rebuild_policy(lane), "odoo_prelaunch_rebuild": {}}, {}),
    "policy is for another source": (lambda lane: {
        **rebuild_policy(lane, data_source_mode="upstream_restore"),
        "odoo_data_policy": {"data_authority": "resettable", "allowed_rebuild_sources": ["empty", "upstream_restore"],
                             "upstream_source": "old"}}, {}),
    "data policy does not allow it": (lambda lane: {**rebuild_policy(lane), "odoo_data_policy": {}}, {}),
    "the data are authoritative": (lambda lane: {
        **rebuild_policy(lane), "odoo_data_policy": {"data_authority": "authoritative", "allowed_rebuild_sources": ["empty"]}}, {}),
    "confirmation differs": (rebuild_policy, {"confirmation": "another phrase"}),
    "confirmation is missing": (rebuild_policy, {"confirmation": ""}),
    "target name differs": (lambda lane: rebuild_policy(lane, expected_target_name="other"), {}),
    "an expected domain is not live": (
        lambda lane: rebuild_policy(lane, expected_domains=[lane.host, "missing.example.com"]), {}),
}


def test_a_policys_domains_are_compared_without_scheme_case_and_slash(plane, new_lane):
    """odoo 3"""
    new_lane.policies = rebuild_policy(new_lane, expected_domains=[f"https://{new_lane.host.upper()}/"])
    new_lane.create_in_dokploy()
    new_lane.prepare(plane)
    assert plan(plane, new_lane, **REBUILD)["plan_status"] == "ready"


@pytest.mark.parametrize("proof", PROOFS)
def test_a_rebuild_without_one_proof_is_blocked(plane, new_lane, proof):
    """check 9, TREP-51, TREP-52, TREP-55"""
    policies, changes = PROOFS[proof]
    new_lane.policies = policies(new_lane)
    new_lane.create_in_dokploy()
    new_lane.prepare(plane)
    result = plan(plane, new_lane, **{**REBUILD, **changes})
    blocked(result)
    assert result["approval_issue_url"] == ""


def test_authoritative_data_stop_a_rebuild_and_nothing_else(plane, new_lane):
    """odoo 3"""
    new_lane.policies = rebuild_policy(new_lane)
    new_lane.policies["odoo_data_policy"]["data_authority"] = "authoritative"
    new_lane.create_in_dokploy()
    new_lane.prepare(plane)
    result = plan(plane, new_lane, **REBUILD)
    blocked(result, "odoo_data_policy", "authoritative")
    assert len(result["blockers"]) == 1
    assert plan(plane, new_lane)["plan_status"] == "ready"


@pytest.mark.parametrize("changes", [REBUILD, {}], ids=["rebuild", "existing data"])
def test_a_proved_prod_lane_is_planned_and_not_replaced(plane, doubles, changes):
    """TREP-23, U-60: what the policy proves, the plan says; the apply is testing's alone"""
    prod = Lane(doubles, instance="prod")
    prod.policies = rebuild_policy(prod)
    prod.create_in_dokploy()
    plane.secrets += prod.secret_values()
    prod.prepare(plane)
    assert plan(plane, prod, **changes)["plan_status"] == "ready"
    before = plane.counts()
    body = assert_rejected(plane.post(APPLY, prod.replacement(**changes), key="k"), 400, "invalid_request", "replacement.instance")
    assert "promotion and rollback" in body["error"]["message"]
    assert plane.counts() == before and plane.doubles.dokploy.mutations() == []


def test_a_confirmation_is_compared_without_case(plane, new_lane):
    new_lane.policies = rebuild_policy(new_lane)
    new_lane.create_in_dokploy()
    new_lane.prepare(plane)
    assert plan(plane, new_lane, **{**REBUILD, "confirmation": f" {CONFIRMATION.upper()} "})["plan_status"] == "ready"


# checks 10 and 11: volumes

@pytest.mark.parametrize("key", ["ODOO_DATA_VOLUME", "ODOO_LOG_VOLUME", "ODOO_DB_VOLUME"])
@pytest.mark.parametrize("blank", [True, False])
def test_a_missing_or_blank_volume_key_is_a_blocker_that_names_it(plane, new_lane, key, blank):
    new_lane.live_env.pop(key)
    if blank:
        new_lane.live_env[key] = ""
    new_lane.create_in_dokploy(running=False)
    new_lane.prepare(plane)
    result = plan(plane, new_lane)
    blocked(result, key)
    assert result["current_target"]["required_volume_keys_missing"] == [key]


def test_the_flag_alone_does_not_make_missing_volumes_intended(plane, new_lane):
    """TREP-54: only with the whole proof, or the lane would start with empty data by mistake"""
    new_lane.policies = rebuild_policy(new_lane)
    new_lane.live_env.pop("ODOO_DB_VOLUME")
    new_lane.create_in_dokploy(running=False)
    new_lane.prepare(plane)
    blocked(plan(plane, new_lane, allow_empty_data=True), "ODOO_DB_VOLUME")
    unproved = plan(plane, new_lane, **{**REBUILD, "confirmation": "other"})
    blocked(unproved, "confirmation")
    assert {step["step_id"]: step["status"] for step in unproved["steps"]}["volume-contract"] == "blocked"
    assert plan(plane, new_lane, **REBUILD)["plan_status"] == "ready"


def test_volume_drift_is_a_blocker(plane, new_lane):
    """check 11"""
    new_lane.live_env["ODOO_DB_VOLUME"] = "another_volume"
    new_lane.create_in_dokploy()
    new_lane.prepare(plane)
    blocked(plan(plane, new_lane), "volume")


# check 12

def test_no_domain_at_all_is_a_blocker(plane, new_lane):
    new_lane.create_in_dokploy(domain=False)
    new_lane.prepare(plane, without=["Dokploy target"])
    assert_accepted(plane.post("/v1/dokploy-targets/setup", {**new_lane.target_setup(), "domains": []}, key="k"))
    blocked(plan(plane, new_lane), "domain")


def test_record_domains_stand_in_for_missing_live_ones(plane, new_lane):
    new_lane.create_in_dokploy(domain=False)
    new_lane.prepare(plane)
    assert plan(plane, new_lane)["expected_domain_hosts"] == [new_lane.host]


# checks 13 to 18: artifact

def test_an_unexpected_current_artifact_is_a_blocker(plane, lane):
    assert plan(plane, lane, expected_current_artifact_id=lane.old.artifact_id)["plan_status"] == "ready"
    blocked(plan(plane, lane, expected_current_artifact_id="artifact-shop-9999"), "artifact")


def test_no_artifact_at_all_is_a_blocker(plane, unprepared_lane):
    """check 14, and the warning of check 19"""
    unprepared_lane.prepare(plane, without=["first deployment and inventory"])
    result = plan(plane, unprepared_lane, artifact_id="", source_git_ref="")
    blocked(result, "artifact")
    assert result["inventory_found"] is False
    assert any("inventory" in text.lower() for text in result["warnings"])


def test_an_unknown_manifest_is_a_blocker(plane, lane):
    """check 15, TREP-40"""
    blocked(plan(plane, lane, artifact_id="artifact-shop-9999"), "artifact-shop-9999")


def test_a_manifest_of_another_image_repository_is_a_blocker(plane, lane):
    """check 16"""
    other = Artifact("shop", 3, repository="registry.example.com/example-org/other")
    assert_accepted(plane.post("/v1/drivers/odoo/artifact-publish", lane.publish(other)))
    blocked(plan(plane, lane, artifact_id=other.artifact_id, source_git_ref=other.source_commit), "repository")


def test_a_source_ref_other_than_the_manifests_is_a_blocker(plane, lane):
    """check 17, TREP-40"""
    blocked(plan(plane, lane, source_git_ref="f" * 40), "source")


@pytest.mark.parametrize("module", ["launchplane_settings", "disable_odoo_online"])
def test_a_manifest_without_a_required_module_is_a_blocker(plane, lane, module):
    """check 18"""
    modules = [name for name in lane.new.modules if name != module]
    other = Artifact("shop", 4, modules=modules)
    assert_accepted(plane.post("/v1/drivers/odoo/artifact-publish", lane.publish(other)))
    blocked(plan(plane, lane, artifact_id=other.artifact_id, source_git_ref=other.source_commit), module)


def test_several_blockers_are_told_together(plane, lane):
    result = plan(plane, lane, source_git_ref="f" * 40, expected_current_artifact_id="other")
    assert len(result["blockers"]) >= 2


def test_replace_and_cutover_can_be_planned(plane, lane):
    """odoo 4.1: plan only"""
    result = plan(plane, lane, strategy="replace-and-cutover")
    assert result["strategy"] == "replace-and-cutover"
    assert result["expected_next_target_name"]


def test_the_plan_from_the_database_itself(plane, lane):
    """TREP-01, TREP-04, TREP-11"""
    words = ("odoo-targets", "replacement-plan", "--product", lane.product, "--instance", "testing",
             "--artifact-id", lane.new.artifact_id, "--source-git-ref", lane.new.source_commit)
    before = plane.counts()
    printed = bare(*words, LAUNCHPLANE_DATABASE_URL=plane.database_url, LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    assert printed.code == 0, printed
    plane.answers.append(printed.out)
    assert printed.json() == plan(plane, lane)
    assert plane.doubles.dokploy.mutations() == []
    assert plane.counts() == before
    unknown = bare(*words[:3], "nobody", *words[4:], LAUNCHPLANE_DATABASE_URL=plane.database_url,
                   LAUNCHPLANE_MASTER_ENCRYPTION_KEY=plane.master_key)
    assert unknown.code == 1 and "nobody" in unknown.err
