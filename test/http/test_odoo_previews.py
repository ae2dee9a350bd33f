"""Previews of Odoo pull requests: planned, made, renewed, taken down; isolated and staged. PREV-47..68, ODOO 15, F5, F6."""
import json

import pytest

from checks import assert_accepted, assert_golden, assert_rejected
from cli import Cli
from preview import APPLY, INPUTS, INVENTORY, Previews
from rehearsal.waiting import wait_until
from replacement import APPLY as REPLACE
from replacement import env_of, plan, replace


@pytest.fixture
def previews(plane, lane):
    return Previews(plane, lane).prepare()


@pytest.fixture
def staged(plane, lane):
    return Previews(plane, lane, staged=True).prepare()


def codes(plan):
    return {blocker["code"] for blocker in plan["blockers"]}


def odoo_url(lane):
    """Where a preview answers: by another name than the lane, whose host no preview may have."""
    return lane.doubles.odoo.url.replace("127.0.0.1", "localhost")


# planning

def test_a_plan_says_what_would_be_done_and_does_nothing(plane, lane, previews):
    """PREV-47, PREV-50"""
    before, calls = plane.counts(), len(plane.doubles.dokploy.mutations())
    result = previews.inputs()
    assert (result["status"], result["error_message"]) == ("ready", "")
    assert (result["context"], result["template_instance"], result["repository"]) == ("shop-preview", "testing", "example-org/odoo-tenant-shop")
    assert (result["preview_slug"], result["preview_url"]) == ("pr-7", "https://pr-7.previews.example.com")
    runtime, plan = result["runtime_plan"], result["dry_run_plan"]
    assert (runtime["status"], runtime["strategy"], runtime["blockers"]) == ("ready", "isolated_dokploy_compose", [])
    assert plan["compose_ref"] == "${created.composeId:odoo-tenant-shop-pr-7}"
    assert (plan["status"], plan["dry_run"], plan["delete_volumes"], plan["runtime_port"]) == ("ready", True, True, 8069)
    assert (plan["environment_id"], plan["template_compose_id"]) == (lane.environment_id, lane.compose_id)
    assert [call["name"] for call in plan["operations"]] == ["create_compose", "sync_source", "write_environment", "ensure_domain", "deploy"]
    assert [call["name"] for call in plan["operations"] if call["secret_payload"]] == ["write_environment"]
    assert [call["name"] for call in plan["rollback_operations"]] == ["delete_domain", "delete_compose"]
    assert plane.counts() == before and len(plane.doubles.dokploy.mutations()) == calls


@pytest.mark.parametrize("change, code", [
    ({"image_reference": ""}, "refresh_artifact_missing"),
    ({"image_reference": "registry.example.com/example-org/odoo-tenant-shop:latest", "source_git_ref": "a" * 40}, "refresh_artifact_missing"),
    ({"image_reference": "other.example.com/shop@sha256:" + "a" * 64, "source_git_ref": "a" * 40}, "refresh_artifact_missing"),
    ({"image_reference": "registry.example.com/example-org/odoo-tenant-shop@sha256:" + "a" * 64}, "refresh_source_missing"),
])
def test_what_a_refresh_lacks_is_named(previews, change, code):
    result = previews.inputs(**change)
    assert result["status"] == "blocked" and code in codes(result["runtime_plan"])
    assert "runtime_plan_not_ready" in codes(result["dry_run_plan"])


def test_missing_places_and_urls_are_named(plane, previews):
    plane.query("DELETE FROM launchplane_runtime_environments WHERE context = 'shop-preview'")
    result = previews.inputs()
    assert "preview_url_missing" in codes(result["runtime_plan"])
    assert "environment_id_missing" in codes(result["dry_run_plan"])
    assert "preview_url_invalid" in codes(previews.inputs(preview_url="ftp://x")["dry_run_plan"])
    plane.query("DELETE FROM launchplane_dokploy_target_ids")
    assert "template_compose_id_missing" in codes(previews.inputs()["dry_run_plan"])


def test_keys_that_are_missing_or_default_are_named_without_values(plane, lane, previews):
    """PREV-56, PREV-57"""
    previews.prepare(omitted_env_keys=["ODOO_DB_USER"], override_env={"ODOO_MASTER_PASSWORD": "Admin"})
    result = previews.inputs()
    assert {"runtime_env_missing", "default_credential_binding"} <= codes(result["runtime_plan"])
    assert "ODOO_DB_USER" in result["error_message"] and "ODOO_MASTER_PASSWORD" in result["error_message"]


def test_secrets_of_prod_do_not_reach_a_preview(plane, lane, previews):
    assert_accepted(plane.post("/v1/runtime-key-safety/policies/apply", lane.key_safety()))
    assert "prod_secret_binding" in codes(previews.inputs()["runtime_plan"])


def test_a_provider_that_cannot_be_read_blocks_the_plan(plane, previews):
    plane.doubles.dokploy.on("GET", "project.all").answer(403)
    assert "runtime_target_discovery_failed" in codes(previews.inputs()["runtime_plan"])


@pytest.mark.parametrize("mode, code", [
    ("clone", "runtime_strategy_not_isolated"), ("migrate_seed", "runtime_strategy_not_isolated"), ("driver", None), ("none", None)])
def test_a_preview_with_a_lanes_data_is_not_isolated(plane, previews, mode, code):
    """PREV-49, PREV-52: only bootstrap shares the template; what would copy data is none of the two strategies."""
    previews.prepare(data_transport_mode=mode)
    assert codes(previews.inputs()["runtime_plan"]) == ({code} if code else set())
    assert code not in codes(previews.inputs("destroy")["runtime_plan"])


@pytest.mark.parametrize("operation", ["refresh", "destroy"])
def test_a_provider_that_lacks_what_is_needed_is_told_apart(plane, previews, operation):
    plane.doubles.dokploy.on("GET", "project.all").answer(404)
    result = previews.inputs(operation)
    assert "provider_capability_missing" in codes(result["runtime_plan"])
    assert "runtime_target_discovery_failed" not in codes(result["runtime_plan"])
    assert "endpoint_path_missing" in codes(result["dry_run_plan"]) and "/api/project.all" in result["error_message"]


def test_an_application_is_no_template(plane, previews):
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || '{\"target_type\": \"application\"}')::text::json")
    result = previews.inputs()
    assert "provider_capability_missing" in codes(result["runtime_plan"]) and "template_compose_id_missing" in codes(result["dry_run_plan"])


def test_slug_and_images_must_agree(plane, lane, previews):
    body = {"product": lane.product, "operation": "refresh", "pr_number": 7, "manifest": lane.new.manifest()}
    for change, path in ({"preview_slug": "pr-8"}, "preview_slug"), ({"image_reference": lane.old.image}, "image_reference"), \
            ({"product": "other"}, "product"), ({"pr_number": 0}, "pr_number"), ({"operation": "wipe"}, "operation"):
        answer = plane.post(INPUTS, {"product": lane.product, "inputs": {**body, **change}})
        assert_rejected(answer, 400, "invalid_request", path)


def test_products_without_previews_have_no_plan(plane, lane):
    body = {"product": lane.product, "operation": "destroy", "pr_number": 7}
    assert_rejected(plane.post(INPUTS, {"product": lane.product, "inputs": body}), 403, "product_driver_mismatch")


@pytest.mark.parametrize("path", ["preview-refresh", "preview-destroy"])
def test_the_retired_routes_are_gone(shared_plane, path):
    """PREV-51"""
    assert_rejected(shared_plane.post(f"/v1/drivers/odoo/{path}", {}), 404, "not_found")


# making

def test_a_refresh_makes_a_preview_of_its_own(plane, lane, previews):
    """PREV-48, PREV-49, PREV-54, PREV-58, PREV-59, PREV-60"""
    operation = previews.refresh()
    assert operation["status"] == "pass", operation
    row = previews.compose()
    assert (row["sourceType"], row["composePath"], row["environmentId"]) == ("raw", "docker-compose.yml", lane.environment_id)
    assert "ODOO_WEB_HOST_PORT" not in row["composeFile"] and lane.new.image in row["composeFile"]
    env = env_of(row["env"])
    assert env["ODOO_DB_NAME"] == "odoo-tenant-shop-pr-7_db" and env["ODOO_DB_VOLUME"] == "odoo-tenant-shop-pr-7_db_volume"
    assert env["ODOO_PREVIEW_URL"] == "https://pr-7.previews.example.com" and env["ODOO_PREVIEW_DOMAIN"] == "pr-7.previews.example.com"
    assert env["ODOO_INSTALL_MODULES"] == "launchplane_settings,disable_odoo_online,preview_tools"
    assert env["DOCKER_IMAGE_REFERENCE"] == lane.new.image and env["ODOO_ADMIN_PASSWORD"] == lane.secrets["ODOO_ADMIN_PASSWORD"]
    assert "DOKPLOY_ENVIRONMENT_ID" not in env and "LAUNCHPLANE_PREVIEW_BASE_URL" not in env
    assert [domain["host"] for domain in previews.dokploy.domains_of(row["composeId"])] == ["pr-7.previews.example.com"]
    assert previews.dokploy.deploys(row["composeId"]) == 1
    result = operation["result"]
    assert (result["status"], result["compose_id"], result["created_compose"]) == ("pass", row["composeId"], True)
    assert [step["name"] for step in result["steps"]] == ["create", "source", "environment", "domain", "deploy"]
    (generation,) = previews.generations()
    assert (generation["state"], generation["artifact_id"], generation["deploy_status"]) == ("verifying", lane.new.image, "pass")
    record = previews.records()[7]
    assert (record["canonical_url"], record["context"], record["anchor_repo"]) == (
        "https://pr-7.previews.example.com", "shop-preview", "odoo-tenant-shop")
    assert record["latest_generation_id"] == generation["generation_id"] == result["records"]["generation_id"]
    assert lane.compose_id != row["composeId"] and previews.dokploy.deploys(lane.compose_id) == 0     # PREV-62


def test_a_second_refresh_renews_the_same_preview(plane, lane, previews):
    """F6"""
    first = previews.refresh()
    second = previews.refresh(artifact=lane.old)
    assert second["status"] == "pass", second
    assert second["result"]["compose_id"] == first["result"]["compose_id"] and second["result"]["created_compose"] is False
    assert [g["sequence"] for g in previews.generations()] == [1, 2]
    assert list(previews.records()) == [7]
    assert len(previews.dokploy.domains_of(first["result"]["compose_id"])) == 1


def test_the_smoke_check_proves_it_and_makes_the_generation_ready(plane, lane, previews):
    plan = previews.inputs(preview_url=odoo_url(lane))["dry_run_plan"]
    assert plan["domain_host"] == "localhost"
    operation = plane.finish(previews.submit(plan, smoke_check=True))
    assert operation["status"] == "pass", operation
    (generation,) = previews.generations()
    assert (generation["state"], generation["verify_status"]) == ("ready", "pass")
    assert previews.records()[7]["state"] == "active"
    assert previews.records()[7]["serving_generation_id"] == generation["generation_id"]


def test_a_preview_that_never_answers_fails_and_leaves_nothing(plane, lane, previews):
    lane.doubles.odoo.face("localhost").health_code = 500
    plan = previews.inputs(preview_url=odoo_url(lane))["dry_run_plan"]
    operation = plane.finish(previews.submit(plan, smoke_check=True, timeout_seconds=30))
    assert (operation["status"], operation["error_code"]) == ("fail", "verification_failed")
    assert "HTTP 500" in operation["error_message"]
    assert previews.compose() is None
    (generation,) = previews.generations()
    assert (generation["state"], generation["failure_stage"], generation["deploy_status"]) == ("failed", "verify", "pass")
    assert previews.records()[7]["state"] == "failed"


def test_the_route_waits_and_answers_with_result_and_records(plane, lane, previews):
    previews.dokploy.deploy_seconds = previews.dokploy.queue_seconds = 0
    body = assert_accepted(previews.apply(previews.inputs()["dry_run_plan"], key="k", wait_for_deploy=False))
    assert body["result"]["status"] == "pass" and body["records"]["compose_id"] == previews.compose()["composeId"]
    again = assert_accepted(previews.apply(body_plan(previews, lane), key="k", wait_for_deploy=False))
    assert again["replayed"] is True
    assert_rejected(previews.apply(body_plan(previews, lane), key="k"), 409, "idempotency_key_reused")
    assert_rejected(previews.apply(previews.inputs("destroy")["dry_run_plan"], key="k"), 409, "idempotency_key_reused")


def body_plan(previews, lane):
    """The plan of the first request again."""
    stored = previews.plane.query("SELECT request FROM launchplane_operations WHERE kind = 'odoo_preview_refresh' ORDER BY created_at LIMIT 1")
    return stored[0]["request"]["dry_run_plan"]


@pytest.mark.parametrize("member, value", [
    ("preview_url", "https://pr-7.elsewhere.example.com"), ("domain_host", "shop-testing.example.com"), ("compose_name", "shop-testing"),
    ("environment_id", "other"), ("template_compose_id", "other"), ("runtime_port", 1)])
def test_a_plan_that_was_changed_is_refused(plane, previews, member, value):
    plan = {**previews.inputs()["dry_run_plan"], member: value}
    if member == "preview_url":
        value = "dry_run_plan.domain_host"
    calls = len(plane.doubles.dokploy.mutations())
    operation = plane.finish(previews.submit(plan))
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked"), operation
    assert "dry_run_plan." in operation["error_message"]
    assert len(plane.doubles.dokploy.mutations()) == calls and previews.records() == {}


@pytest.mark.parametrize("change, path", [
    ({"status": "blocked"}, "status"), ({"repository": "example-org/other"}, "repository"), ({"preview_slug": "main"}, "preview_slug"),
    ({"product": "other"}, "product")])
def test_plans_of_others_or_blocked_ones_are_refused(plane, previews, change, path):
    before = plane.counts()
    assert_rejected(previews.apply({**previews.inputs()["dry_run_plan"], **change}), 400, "invalid_request", path)
    assert plane.counts() == before


def test_values_of_the_caller_are_neither_used_nor_kept(plane, lane, previews):
    plane.secrets.append("callers-own-value-123")
    plan = previews.inputs()["dry_run_plan"]
    operation = plane.finish(previews.submit(
        plan, environment_values={"ODOO_ADMIN_PASSWORD": "callers-own-value-123"}, compose_file="callers-own-value-123"))
    assert operation["status"] == "pass"
    assert "callers-own-value-123" not in previews.compose()["env"]


def test_values_that_went_missing_since_the_plan_stop_it(plane, lane, previews):
    plan = previews.inputs()["dry_run_plan"]
    previews.prepare(omitted_env_keys=["ODOO_DB_USER"])
    operation = plane.finish(previews.submit(plan))
    assert operation["error_code"] == "odoo_preview_runtime_config_incomplete" and "ODOO_DB_USER" in operation["error_message"]
    assert previews.compose() is None


# the provider fails

@pytest.mark.parametrize("procedure", ["compose.create", "compose.update", "domain.create", "compose.deploy"])
@pytest.mark.parametrize("how", ["drop_before", "drop_after", "answer"])
def test_one_failed_call_is_gone_over_again(plane, previews, procedure, how):
    rule = previews.dokploy.on("POST", procedure).times(1)
    rule.answer(503) if how == "answer" else getattr(rule, how)()
    operation = previews.refresh()
    assert operation["status"] == "pass", operation
    row = previews.compose()
    assert previews.dokploy.deploys(row["composeId"]) == 1
    assert len(previews.dokploy.domains_of(row["composeId"])) == 1
    assert operation["result"]["created_compose"] is True


@pytest.mark.parametrize("procedure, status", [("compose.update", 400), ("domain.create", 400), ("compose.deploy", 403)])
def test_a_refusal_takes_back_what_was_made(plane, previews, procedure, status):
    previews.dokploy.on("POST", procedure).answer(status)
    operation = previews.refresh()
    assert (operation["status"], operation["result"]["status"]) == ("fail", "fail"), operation
    assert operation["error_code"] == "provider_refused"
    assert previews.compose() is None and operation["result"]["rollback_errors"] == []
    (generation,) = previews.generations()
    assert (generation["state"], generation["failure_stage"], generation["verify_status"]) == ("failed", "provision", "skipped")


def test_a_failed_renewal_leaves_the_preview_there(plane, lane, previews):
    compose_id = previews.refresh()["result"]["compose_id"]
    previews.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    operation = previews.refresh(artifact=lane.old)
    assert operation["error_code"] == "deploy_failed"
    assert previews.compose()["composeId"] == compose_id
    assert len(previews.dokploy.domains_of(compose_id)) == 1
    assert [g["state"] for g in previews.generations()] == ["verifying", "failed"]


def test_a_rollback_that_fails_is_told(plane, previews):
    previews.dokploy.on("POST", "compose.deploy").answer(403)
    previews.dokploy.on("POST", "compose.delete").answer(403)
    operation = previews.refresh()
    assert operation["status"] == "fail" and previews.compose() is not None
    assert operation["result"]["rollback_errors"][0].startswith("delete_compose: ")


def test_an_environment_that_is_not_kept_fails(plane, previews):
    previews.dokploy.on("POST", "compose.update").having("env").lie("env_not_persisted")
    operation = previews.refresh()
    assert operation["error_code"] == "provider_refused" and "keys differ" in operation["error_message"]
    assert previews.compose() is None


def test_a_deploy_that_was_lost_fails_at_its_time(plane, previews):
    previews.dokploy.on("POST", "compose.deploy").lie("lost_job")
    operation = previews.refresh(timeout_seconds=60)
    assert operation["error_code"] == "upstream_lost" and previews.compose() is None


def test_a_cancelled_refresh_takes_back_what_it_made(plane, previews):
    rule = previews.dokploy.on("POST", "compose.update").hold_after().times(1)
    operation_id = previews.submit(previews.inputs()["dry_run_plan"])
    assert rule.reached.wait(20)
    assert_accepted(plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "wrong branch"}))
    rule.release()
    operation = plane.finish(operation_id)
    assert operation["error_code"] == "operation_cancelled" and previews.compose() is None


PHASES_WITH_A_COMPOSE = {
    "create": ("POST", "compose.create", 0), "environment": ("POST", "compose.update", 0), "domain": ("POST", "compose.update", 1),
    "deploy": ("POST", "domain.create", 0), "deploy_wait": ("POST", "compose.deploy", 0)}


@pytest.mark.parametrize("phase", PHASES_WITH_A_COMPOSE)
def test_a_compose_service_that_somebody_deletes_meanwhile_is_told(plane, previews, phase):
    """Deleted in Dokploy by hand while the refresh stands before that phase: it ends, names it, and leaves nothing."""
    method, procedure, earlier = PHASES_WITH_A_COMPOSE[phase]
    rule = previews.dokploy.on(method, procedure).after(earlier).hold_after().times(1)
    operation_id = previews.submit(previews.inputs()["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    compose_id = previews.compose()["composeId"]
    del previews.dokploy.state.composes[compose_id]
    rule.release()
    operation = plane.finish(operation_id)
    assert operation["status"] == "fail", operation
    assert "odoo-tenant-shop-pr-7 is not in Dokploy any more" in operation["error_message"], operation["error_message"]
    assert operation["result"]["rollback_errors"] == [] and previews.compose() is None
    assert previews.generations()[0]["state"] == "failed"
    plane.pass_time(seconds=5)
    assert previews.refresh(key="again")["status"] == "pass"


@pytest.mark.parametrize("procedure", ["compose.create", "domain.create", "compose.deploy"])
def test_a_call_that_takes_effect_after_its_connection_went_is_found(plane, previews, procedure):
    """Dokploy times out after accepting: what arrives late is not asked for a second time."""
    rule = previews.dokploy.on("POST", procedure).drop_late().times(1)
    operation_id = previews.submit(previews.inputs()["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    rule.release()
    operation = plane.finish(operation_id)
    assert operation["status"] == "pass", operation
    row = previews.compose()
    assert previews.dokploy.deploys(row["composeId"]) == 1
    assert [domain["host"] for domain in previews.dokploy.domains_of(row["composeId"])] == ["pr-7.previews.example.com"]


def smoke_of(plane, lane, previews, artifact=None):
    plan = previews.inputs(artifact=artifact, preview_url=odoo_url(lane))["dry_run_plan"]
    return plane.finish(previews.submit(
        plan, artifact=artifact, smoke_check=True, health_path="/launchplane/health", timeout_seconds=60))


def test_a_container_that_serves_the_old_artifact_does_not_pass(plane, lane, previews):
    """F8: Dokploy says done; what answers is the generation before. What was there stays there."""
    assert smoke_of(plane, lane, previews)["status"] == "pass"
    plane.pass_time(seconds=5)
    previews.dokploy.on("POST", "compose.deploy").lie("old_snapshot").times(1)
    operation = smoke_of(plane, lane, previews, artifact=lane.old)
    assert (operation["status"], operation["error_code"]) == ("fail", "verification_failed"), operation
    assert "mismatch" in operation["error_message"] and "artifact_id" in operation["error_message"]
    assert previews.compose() is not None
    assert [g["state"] for g in previews.generations()] == ["ready", "failed"]
    assert previews.records()[7]["serving_generation_id"] == previews.generations()[0]["generation_id"]


@pytest.mark.parametrize("identity, status", [("missing", "pass"), ("malformed", "fail"), ("deployed", "pass")])
def test_an_identity_is_advice_unless_it_is_wrong(plane, lane, previews, identity, status):
    lane.doubles.odoo.face("localhost").identity = identity
    assert smoke_of(plane, lane, previews)["status"] == status


def test_a_slow_start_is_waited_for(plane, lane, previews):
    lane.doubles.odoo.face("localhost").start_seconds = 40
    assert smoke_of(plane, lane, previews)["status"] == "pass"


@pytest.mark.parametrize("when", ["queued", "running"])
def test_dokploy_restarts_in_the_middle_of_the_deploy(plane, previews, when):
    """It forgets its queue and cancels what runs: the refresh fails with that, and takes back what it made."""
    if when == "queued":
        previews.dokploy.queue_seconds = 10**6
    else:
        previews.dokploy.deploy_seconds = 10**6
    rule = previews.dokploy.on("GET", "deployment.allByCompose").hold_before().times(1)
    operation_id = previews.submit(previews.inputs()["dry_run_plan"], timeout_seconds=120)
    plane.run_until(operation_id, rule.reached.is_set, "the wait")
    if when == "running":
        wait_until(lambda: previews.dokploy.queue.current, "the deploy to begin")
    previews.dokploy.restart()
    rule.release()
    operation = plane.finish(operation_id)
    assert operation["status"] == "fail" and operation["error_code"] in ("upstream_lost", "deploy_failed"), operation
    assert previews.compose() is None


CANCELLED_AT = {
    "create": ("POST", "compose.create", 0), "source": ("POST", "compose.update", 0), "environment": ("POST", "compose.update", 1),
    "domain": ("POST", "domain.create", 0)}


@pytest.mark.parametrize("phase", CANCELLED_AT)
def test_a_cancel_in_each_phase_before_the_deploy_leaves_nothing(plane, previews, phase):
    method, procedure, earlier = CANCELLED_AT[phase]
    rule = previews.dokploy.on(method, procedure).after(earlier).hold_after().times(1)
    operation_id = previews.submit(previews.inputs()["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    assert_accepted(plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "wrong branch"}))
    rule.release()
    operation = plane.finish(operation_id)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_cancelled"), operation
    assert previews.compose() is None and previews.dokploy.effects("POST", "compose.deploy") == 0


def test_a_cancel_after_the_deploy_was_asked_for_waits_for_its_end(plane, previews):
    rule = previews.dokploy.on("POST", "compose.deploy").hold_after().times(1)
    operation_id = previews.submit(previews.inputs()["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    assert_accepted(plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "too late"}))
    rule.release()
    assert plane.finish(operation_id)["status"] == "pass" and previews.compose() is not None


# taking down

def test_a_destroy_leaves_nothing_and_says_so(plane, lane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    compose_id = previews.compose()["composeId"]
    operation = previews.destroy()
    assert operation["status"] == "pass", operation
    assert previews.compose() is None and previews.dokploy.domains_of(compose_id) == []
    assert previews.dokploy.sent("POST", "compose.delete") == [{"composeId": compose_id, "deleteVolumes": True}]
    record = previews.records()[7]
    assert record["state"] == "destroyed" and record["serving_generation_id"] == ""
    assert operation["result"]["records"]["transition"] == "destroyed"
    assert lane.compose_id in previews.dokploy.state.composes
    assert "destroy_target_missing" in codes(previews.inputs("destroy")["runtime_plan"])


@pytest.mark.parametrize("procedure", ["domain.delete", "compose.delete"])
@pytest.mark.parametrize("status", [404, 503])
def test_what_is_gone_already_is_clean(plane, previews, procedure, status):
    previews.refresh()
    previews.dokploy.on("POST", procedure).answer(status).times(1)
    assert previews.destroy()["status"] == "pass"


def test_a_preview_that_somebody_deleted_can_be_destroyed(plane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    plan = previews.inputs("destroy")["dry_run_plan"]
    del previews.dokploy.state.composes[previews.compose()["composeId"]]
    assert plane.finish(previews.submit(plan))["status"] == "pass"
    assert previews.records()[7]["state"] == "destroyed"


@pytest.mark.parametrize("gone", ["compose", "domain"])
def test_what_goes_while_the_destroy_is_at_work_is_clean(plane, previews, gone):
    previews.refresh()
    plane.pass_time(seconds=5)
    state, compose_id = previews.dokploy.state, previews.compose()["composeId"]
    rule = previews.dokploy.on("GET", "domain.byComposeId").hold_after().times(1)
    operation_id = previews.submit(previews.inputs("destroy")["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the look at the domains")
    for row in previews.dokploy.domains_of(compose_id):
        del state.domains[row["domainId"]]
    if gone == "compose":
        del state.composes[compose_id]
    rule.release()
    operation = plane.finish(operation_id)
    assert operation["status"] == "pass" and previews.records()[7]["state"] == "destroyed", operation


def test_a_second_destroy_finds_nothing_and_passes(plane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    plan = previews.inputs("destroy")["dry_run_plan"]
    first, second = previews.submit(plan, key="a"), previews.submit(plan, key="b")
    assert [plane.finish(one)["status"] for one in (first, second)] == ["pass", "pass"]
    assert previews.dokploy.effects("POST", "compose.delete") == 1 and previews.records()[7]["state"] == "destroyed"


def test_a_destroy_that_fails_leaves_the_preview_recorded(plane, previews):
    previews.refresh()
    previews.dokploy.on("POST", "compose.delete").answer(403)
    operation = previews.destroy()
    assert operation["status"] == "fail" and operation["result"]["records"]["transition"] == "destroy_failed"
    assert previews.records()[7]["state"] != "destroyed"


WRITES = [("compose.create", 0), ("compose.update", 0), ("compose.update", 1), ("domain.create", 0), ("compose.deploy", 0)]


@pytest.mark.parametrize("procedure, earlier", WRITES)
def test_a_destroy_is_a_fence(plane, previews, procedure, earlier):
    """F5: whatever the refresh was about to write, nothing is left, and nothing is written afterwards."""
    plan = previews.inputs()["dry_run_plan"]
    rule = previews.dokploy.on("POST", procedure).after(earlier).hold_after().times(1)
    refresh = previews.submit(plan)
    plane.run_until(refresh, rule.reached.is_set, "the call")
    plane.pass_time(seconds=2)
    plane.query("INSERT INTO launchplane_preview_anchors VALUES ('shop-preview', 'odoo-tenant-shop', 7, 'preview-x') ON CONFLICT DO NOTHING")
    destroy = previews.submit({**plan, "operation": "destroy"})
    rule.release()
    first, second = plane.finish(refresh), plane.finish(destroy)
    assert (first["status"], first["error_code"]) == ("fail", "operation_blocked"), first
    assert second["status"] == "pass", second
    assert previews.compose() is None
    assert previews.records()[7]["state"] == "destroyed"
    posts = [seen.procedure for seen in previews.dokploy.mutations() if seen.procedure.startswith(("compose.", "domain."))]
    assert posts[-1] == "compose.delete"


def test_a_refresh_waits_for_an_earlier_destroy_and_makes_it_anew(plane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    refresh, destroy = previews.inputs()["dry_run_plan"], previews.inputs("destroy")["dry_run_plan"]
    rule = previews.dokploy.on("POST", "compose.delete").hold_before().times(1)
    first = previews.submit(destroy)
    plane.run_until(first, rule.reached.is_set, "the call")
    plane.pass_time(seconds=5)
    second = previews.submit(refresh)
    rule.release()
    assert plane.finish(first)["status"] == "pass"
    operation = plane.finish(second)
    assert operation["status"] == "pass" and operation["result"]["created_compose"] is True, operation
    assert previews.compose() is not None


def test_two_refreshes_at_once_are_one_preview(plane, previews):
    """F6: the second is told of the first."""
    plan = previews.inputs()["dry_run_plan"]
    rule = previews.dokploy.on("POST", "compose.create").hold_before().times(1)
    first = previews.submit(plan, key="a")
    assert rule.reached.wait(20)
    busy = assert_rejected(previews.apply(plan, key="b"), 409, "operation_active")
    assert busy["operation"]["operation_id"] == first
    rule.release()
    assert plane.finish(first)["status"] == "pass"
    assert previews.dokploy.effects("POST", "compose.create") == 1


# evidence

def spoil(plane):
    """The preview's record cannot be read any more; how to mend it."""
    (row,) = plane.query("SELECT preview_id, payload FROM launchplane_preview_records")
    plane.query("UPDATE launchplane_preview_records SET payload = '{}'")
    return lambda: plane.query("UPDATE launchplane_preview_records SET payload = %s", json.dumps(row["payload"]))


def spoiled_while_at_work(plane, previews, operation):
    """An operation whose record was spoilt at its last call to the provider."""
    last = ("POST", "compose.delete") if operation == "destroy" else ("GET", "deployment.allByCompose")
    if operation == "destroy":
        previews.refresh()
        plane.pass_time(seconds=5)
    rule = previews.dokploy.on(*last).hold_after().times(1)
    operation_id = previews.submit(previews.inputs(operation)["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    mend = spoil(plane)
    rule.release()
    return operation_id, mend


@pytest.mark.parametrize("operation, state", [("refresh", "pending"), ("destroy", "destroyed")])
def test_a_record_that_cannot_be_read_for_a_while_is_waited_for(plane, previews, operation, state):
    operation_id, mend = spoiled_while_at_work(plane, previews, operation)
    plane.run_until(operation_id, lambda: "evidence_unreadable" in [
        row["event"] for row in plane.query("SELECT event FROM launchplane_operation_events WHERE operation_id = %s", operation_id)],
        "a look at the record")
    mend()
    ended = plane.finish(operation_id)
    assert (ended["status"], ended["result"]["rollback_errors"]) == ("pass", []), ended
    assert previews.records()[7]["state"] == state


@pytest.mark.parametrize("operation", ["refresh", "destroy"])
def test_a_record_that_stays_unreadable_is_told_and_nothing_passes(plane, previews, operation):
    """What is at the provider and what the records say differ: the operation may not call that a pass."""
    operation_id, mend = spoiled_while_at_work(plane, previews, operation)
    ended = plane.finish(operation_id)
    assert (ended["status"], ended["error_code"], ended["result"]["status"]) == ("fail", "preview_evidence_failed", "fail"), ended
    assert f"{operation} it again" in ended["error_message"]
    assert ended["result"]["rollback_errors"][0].startswith("evidence: ")
    assert (previews.compose() is None) is (operation == "destroy")
    mend()
    plane.pass_time(seconds=5)
    again = plane.finish(previews.submit(previews.inputs(operation)["dry_run_plan"], key="again"))
    assert again["status"] == "pass", again


def test_a_failure_whose_record_stays_unreadable_keeps_its_own_cause(plane, previews):
    previews.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    operation_id, _ = spoiled_while_at_work(plane, previews, "refresh")
    ended = plane.finish(operation_id)
    assert (ended["status"], ended["error_code"]) == ("fail", "deploy_failed"), ended
    assert ended["result"]["rollback_errors"][0].startswith("evidence: ") and previews.compose() is None


# staged

def test_a_staged_preview_borrows_the_template_and_gives_back_only_its_domain(plane, lane, staged):
    """PREV-52, PREV-53, PREV-63, PREV-64, PREV-65, PREV-66"""
    assert staged.inputs()["runtime_plan"]["strategy"] == "staged_dokploy_compose"
    operation = staged.refresh()
    assert operation["status"] == "pass", operation
    assert (operation["context"], operation["instance"]) == (lane.context, lane.instance)
    row = staged.dokploy.compose(lane.compose_id)
    env = env_of(row["env"])
    assert env["LEGACY_SETTING"] == "kept as it is" and env["ODOO_DB_NAME"] == "shop_testing"
    assert env["ODOO_PREVIEW_URL"] == "https://pr-7.previews.example.com" and "preview_tools" in env["ODOO_INSTALL_MODULES"]
    assert lane.new.image in row["composeFile"] and lane.host in row["composeFile"]
    assert sorted(d["host"] for d in staged.dokploy.domains_of(lane.compose_id)) == ["pr-7.previews.example.com", lane.host]
    assert "runtime_target_slug_mismatch" in codes(staged.inputs(number=8)["runtime_plan"])
    plane.pass_time(seconds=5)
    assert staged.destroy()["status"] == "pass"
    assert [d["host"] for d in staged.dokploy.domains_of(lane.compose_id)] == [lane.host]
    assert lane.compose_id in staged.dokploy.state.composes
    assert staged.dokploy.sent("POST", "compose.delete") == []
    assert staged.records()[7]["state"] == "destroyed"


def test_the_lane_inherits_nothing_of_a_staged_preview(plane, lane, staged):
    """PREV-62: its host and its address go with it, also while it is up; its domain is its own matter"""
    assert staged.refresh()["status"] == "pass"
    plane.pass_time(seconds=5)
    before = staged.dokploy.domains_of(lane.compose_id)
    assert sorted(row["host"] for row in before) == ["pr-7.previews.example.com", lane.host]
    assert "ODOO_PREVIEW_DOMAIN" in env_of(staged.dokploy.compose(lane.compose_id)["env"])
    shown = plan(plane, lane)
    assert shown["expected_domain_hosts"] == [lane.host]
    assert shown["current_target"]["domain_hosts"] == ["pr-7.previews.example.com", lane.host]
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation
    row = staged.dokploy.compose(lane.compose_id)
    assert "pr-7" not in row["composeFile"] and lane.host in row["composeFile"]
    env = env_of(row["env"])
    assert "ODOO_PREVIEW_URL" not in env and "ODOO_PREVIEW_DOMAIN" not in env and env["LEGACY_SETTING"] == "kept as it is"
    assert staged.dokploy.domains_of(lane.compose_id) == before


@pytest.mark.parametrize("names_it", [True, False])
def test_a_lanes_page_that_still_leads_to_a_preview_does_not_pass(plane, lane, previews, names_it):
    """TREP-35, odoo 10.2: where previews live stands in their own context, not in the lane's"""
    lane.doubles.odoo.face(lane.host).page_extra = f'<a href="https://pr-7.{"previews" if names_it else "other"}.example.com">'
    operation = replace(plane, lane)
    assert operation["status"] == ("fail" if names_it else "pass"), operation
    assert operation["result"]["canonical_status"] == operation["status"]
    probe = {probe["probe"]: probe for probe in operation["result"]["verification_evidence"]["probes"]}["canonical"]
    assert (probe["status"], probe["failure_class"]) == (operation["status"], "stale_preview_marker" if names_it else "")


def test_a_lane_with_a_staged_previews_domain_alone_goes_by_its_record(plane, lane, staged):
    (row,) = staged.dokploy.domains_of(lane.compose_id)
    staged.dokploy.state.domains[row["domainId"]]["host"] = "PR-7.previews.example.com"
    assert plan(plane, lane)["expected_domain_hosts"] == [lane.host]


def test_a_lanes_own_host_stays_however_much_it_looks_like_a_previews(plane, lane, staged):
    """Stable is what the target's record names; other lanes' targets carry no preview at all."""
    staged.dokploy.add_domain(lane.compose_id, "pr-3.example.com", https=True, port=8069)
    assert plan(plane, lane)["expected_domain_hosts"] == [lane.host]
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || %s::jsonb)::json",
                json.dumps({"domains": [lane.host, "pr-3.example.com"]}))
    assert sorted(plan(plane, lane)["expected_domain_hosts"]) == ["pr-3.example.com", lane.host]
    staged.prepare(template_instance="prod")
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || %s::jsonb)::json", json.dumps({"domains": [lane.host]}))
    assert sorted(plan(plane, lane)["expected_domain_hosts"]) == ["pr-3.example.com", lane.host]


def test_a_refresh_never_takes_a_lanes_host(plane, lane, previews):
    """PREV-66, for what makes previews too; the prod lane has no target yet"""
    profile = {**lane.profile(), "preview": previews.members}
    profile["lanes"].append({**lane.profile_lane(), "instance": "prod", "base_url": "https://shop.example.com", "health_url": ""})
    assert_accepted(plane.post("/v1/product-profiles", profile))
    for host in lane.host, "shop.example.com":
        result = previews.inputs(preview_url=f"https://{host}")
        assert codes(result["runtime_plan"]) == {"runtime_target_slug_mismatch"} and host in result["error_message"]
        assert codes(previews.inputs("destroy", preview_url=f"https://{host}")["runtime_plan"]) == {"destroy_target_missing"}
    assert previews.inputs(preview_url="https://latest.example.com")["status"] == "ready"


def test_a_refresh_whose_host_became_a_lanes_meanwhile_writes_nothing(plane, lane, previews):
    plan, calls = previews.inputs()["dry_run_plan"], len(plane.doubles.dokploy.mutations())
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || %s::jsonb)::json",
                json.dumps({"domains": [lane.host, plan["domain_host"]]}))
    operation = plane.finish(previews.submit(plan))
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked"), operation
    assert "runtime_target_slug_mismatch" in operation["error_message"] and len(plane.doubles.dokploy.mutations()) == calls


@pytest.mark.parametrize("host", ["latest.example.com", "pr-8.previews.example.com"])
def test_a_staged_refresh_has_a_host_of_its_slug(plane, lane, staged, host):
    """PREV-63, PREV-64: by any other its domain would never be found again"""
    result = staged.inputs(preview_url=f"https://{host}")
    assert codes(result["runtime_plan"]) == {"runtime_target_slug_mismatch"} and host in result["error_message"]
    assert staged.inputs(preview_url="https://pr-7.elsewhere.example.com")["status"] == "ready"


def test_the_staged_compose_file_is_as_agreed(plane, lane, staged):
    """PREV-54: routers of the lane and of the preview, no port on the docker host; all else as in the lane's own."""
    assert staged.refresh()["status"] == "pass"
    assert_golden("compose_staged_preview.yml", staged.dokploy.compose(lane.compose_id)["composeFile"])


@pytest.mark.parametrize("procedure", ["compose.update", "domain.create", "compose.deploy"])
@pytest.mark.parametrize("how", ["drop_before", "drop_after", "answer"])
def test_one_failed_call_of_a_staged_refresh_is_gone_over_again(plane, lane, staged, procedure, how):
    rule = staged.dokploy.on("POST", procedure).times(1)
    rule.answer(503) if how == "answer" else getattr(rule, how)()
    assert staged.refresh()["status"] == "pass"
    assert staged.dokploy.deploys(lane.compose_id) == 1 and len(staged.dokploy.domains_of(lane.compose_id)) == 2


def test_a_staged_preview_and_its_lane_do_not_work_at_once(plane, lane, staged):
    """PREV-53, PREV-68: one target, one operation; one preview at a time."""
    rule = staged.dokploy.on("POST", "compose.update").hold_before().times(1)
    plan = staged.inputs()["dry_run_plan"]
    first = staged.submit(plan, key="a")
    plane.run_until(first, rule.reached.is_set, "the call")
    busy = assert_rejected(plane.post(REPLACE, lane.replacement(), key="r"), 409, "odoo_stable_target_replacement_operation_active")
    assert busy["operation"]["operation_id"] == first
    rule.release()
    assert plane.finish(first)["status"] == "pass"


def test_a_staged_destroy_never_takes_a_stable_host(plane, lane, staged):
    plan = staged.inputs("destroy", preview_url=f"https://{lane.host}")["dry_run_plan"]
    operation = plane.finish(staged.submit(plan))
    assert operation["error_code"] == "operation_blocked" and lane.host in operation["error_message"]
    assert [d["host"] for d in staged.dokploy.domains_of(lane.compose_id)] == [lane.host]


def test_a_staged_target_must_have_its_safety_keys_already(plane, lane, staged):
    """PREV-56, PREV-57: records do not stand in for what the live target lacks"""
    row = staged.dokploy.state.composes[lane.compose_id]
    row["env"] = "\n".join(line for line in row["env"].splitlines() if not line.startswith("ODOO_MASTER_PASSWORD"))
    row["env"] = row["env"].replace(lane.secrets["ODOO_ADMIN_PASSWORD"], "admin")
    result = staged.inputs()
    assert {"runtime_env_missing", "default_credential_binding"} <= codes(result["runtime_plan"])
    assert "ODOO_MASTER_PASSWORD" in result["error_message"] and "ODOO_ADMIN_PASSWORD" in result["error_message"]


def test_a_staged_failure_takes_away_its_domain_and_keeps_the_target(plane, lane, staged):
    staged.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    operation = staged.refresh()
    assert operation["error_code"] == "deploy_failed"
    assert lane.compose_id in staged.dokploy.state.composes
    assert [d["host"] for d in staged.dokploy.domains_of(lane.compose_id)] == [lane.host]


# what there is: PREV-63, web-verireel-previews 3.8, 5.5

def look(plane, **changes):
    return plane.post(INVENTORY, {"product": "odoo-tenant-shop", "inventory": {"product": "odoo-tenant-shop", **changes}})


def scans(plane):
    return plane.query("SELECT scan_id, context, scanned_at, source, status, preview_count, payload"
                       " FROM launchplane_preview_inventory_scans ORDER BY scan_id")


def test_the_inventory_of_staged_previews_are_the_domains_of_the_template(plane, lane, staged):
    dokploy = staged.dokploy
    for host in ("pr-12.previews.example.com", "PR-7.previews.example.com", "pr-x.previews.example.com", "shop-pr-9.example.com"):
        dokploy.add_domain(lane.compose_id, host)
    calls = len(dokploy.mutations())
    answer = assert_accepted(look(plane))
    result = answer["result"]
    assert (result["product"], result["context"], result["source"]) == ("odoo-tenant-shop", "shop-preview", "odoo-preview-inventory")
    rows = {row["host"].lower(): row["domainId"] for row in dokploy.domains_of(lane.compose_id)}
    assert result["previews"] == [
        {"applicationId": lane.compose_id, "applicationName": lane.target_name, "previewSlug": slug, "providerType": "compose-domain",
         "domainId": rows[f"{slug}.previews.example.com"], "domainHost": f"{slug}.previews.example.com"} for slug in ("pr-12", "pr-7")]
    scan, = scans(plane)
    assert answer["records"] == {"preview_inventory_scan_id": scan["scan_id"]}
    assert scan["scan_id"].startswith("preview-inventory-scan-shop-preview-2") and scan["scan_id"] == scan["payload"]["scan_id"]
    assert (scan["context"], scan["source"], scan["status"], scan["preview_count"]) == ("shop-preview", "odoo-preview-inventory", "pass", 2)
    assert scan["payload"]["preview_slugs"] == ["pr-12", "pr-7"] and scan["payload"]["preview_count"] == 2
    assert len(dokploy.mutations()) == calls


def test_a_host_of_the_lane_itself_is_no_preview(plane, lane, staged):
    """PREV-66: however much it looks like one"""
    staged.dokploy.add_domain(lane.compose_id, "pr-3.example.com")
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || %s::jsonb)::json",
                json.dumps({"domains": [lane.host, "pr-3.example.com"]}))
    assert assert_accepted(look(plane))["result"]["previews"] == []
    plan = staged.inputs("destroy", 3, preview_url="https://pr-3.example.com")["dry_run_plan"]
    operation = plane.finish(staged.submit(plan))
    assert operation["error_code"] == "operation_blocked" and "pr-3.example.com" in operation["error_message"]
    assert [d["host"] for d in staged.dokploy.domains_of(lane.compose_id)] == [lane.host, "pr-3.example.com"]


def test_the_inventory_of_isolated_previews_are_the_services_of_their_name(plane, lane, previews):
    assert previews.refresh(7)["status"] == "pass"
    other = previews.dokploy.add_compose("odoo-tenant-shop-worker", environment_id=lane.environment_id)
    assert other
    found, = assert_accepted(look(plane, source="nightly"))["result"]["previews"]
    row = previews.compose(7)
    assert (found["applicationId"], found["applicationName"], found["previewSlug"]) == (row["composeId"], row["name"], "pr-7")
    assert (found["providerType"], found["domainHost"]) == ("compose", "pr-7.previews.example.com")
    assert scans(plane)[0]["source"] == "nightly"
    assert previews.destroy(7)["status"] == "pass"
    assert assert_accepted(look(plane))["result"]["previews"] == []
    assert sorted(scan["preview_count"] for scan in scans(plane)) == [0, 1]
    assert len({scan["scan_id"] for scan in scans(plane)}) == 2


def test_a_provider_that_cannot_be_read_leaves_no_scan(plane, lane, staged):
    staged.dokploy.on("GET", "compose.one").answer(500)
    assert look(plane).status_code == 502
    plane.query("DELETE FROM launchplane_dokploy_target_ids")
    assert_rejected(look(plane), 404, "tracked_target_not_found")
    assert scans(plane) == []


def test_an_inventory_needs_a_product_with_previews(plane, lane):
    assert_rejected(look(plane), 403, "product_driver_mismatch")
    body = {"product": "odoo-tenant-shop", "inventory": {"product": "other"}}
    assert_rejected(plane.post(INVENTORY, body), 400, "invalid_request", "inventory.product")
    assert_rejected(look(plane, source=" "), 400, "invalid_request", "inventory.source")
    assert scans(plane) == []


def test_the_inventory_command(plane, lane, staged):
    staged.dokploy.add_domain(lane.compose_id, "pr-12.previews.example.com")
    shown = Cli(plane)("odoo-previews", "inventory", "--product", "odoo-tenant-shop")
    assert shown.code == 0, shown
    assert "pr-12" in shown.out and "compose-domain" in shown.out and "pr-12.previews.example.com" in shown.out
    assert Cli(plane)("odoo-previews", "inventory").code == 2
