"""Previews of Odoo pull requests: planned, made and renewed; isolated and staged. PREV-47..68, ODOO 15, F6."""
import json

import pytest

from checks import assert_accepted, assert_golden, assert_rejected
from preview import INPUTS, codes, odoo_url
from rehearsal.waiting import wait_until
from replacement import env_of


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


def test_two_refreshes_at_once_are_one_preview(plane, previews):
    """F6: the second is told of the first."""
    plan = previews.inputs()["dry_run_plan"]
    rule = previews.dokploy.on("POST", "compose.create").hold_before().times(1)
    first = previews.submit(plan, key="a")
    assert rule.reached.wait(60)
    busy = assert_rejected(previews.apply(plan, key="b"), 409, "operation_active")
    assert busy["operation"]["operation_id"] == first
    rule.release()
    assert plane.finish(first)["status"] == "pass"
    assert previews.dokploy.effects("POST", "compose.create") == 1


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
    assert rule.reached.wait(60)
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
    previews.dokploy.queue_seconds = 60              # a deploy that was asked for has not begun by then
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
    previews.dokploy.queue_seconds = 0
    plane.pass_time(seconds=60)
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


# staged

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
