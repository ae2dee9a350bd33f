"""Post-deploy on its own: typed overrides into the target's environment, then the data workflow. odoo 8, 9."""
import concurrent.futures

import pytest

from checks import assert_accepted, assert_rejected
from cli import Cli
from kinds import instant
from lane_work import ASYNC, POST_DEPLOY, mutations, operated, post_deploy, post_deploy_request, put_overrides, scripts, stored_overrides
from rehearsal import policy as policies
from rehearsal.lane import Lane
from replacement import env_of, submit

PAYLOAD = "ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64"


def live_env(plane, lane):
    return env_of(plane.doubles.dokploy.compose(lane.compose_id)["env"])


def test_overrides_are_persisted_deployed_and_applied(plane, lane):
    """ODOO-10 to 14, 20, OVR-18 to 24"""
    put_overrides(plane)
    before = live_env(plane, lane)
    answer = post_deploy(plane, lane)
    assert answer["records"] == {"transition": "odoo-post-deploy:shop:testing:deploy"}
    result = answer["result"]
    assert (result["post_deploy_status"], result["override_status"]) == ("pass", "pass"), result
    assert result["override_record_found"] and result["override_payload_rendered"] and result["website_bootstrap_included"]
    assert result["override_count"] == 2
    assert result["override_payload_sha256"] and result["applied_at"]
    assert "ODOO_DB_PASSWORD" in result["required_container_environment_keys"]
    assert result["override_evidence"]["post_deploy_readback_website_bootstrap_applied"] == "true"
    env = live_env(plane, lane)
    assert {name: env[name] for name in before} == before
    assert env["LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED"] == env["LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED"] == "true"
    running = plane.doubles.dokploy.running(lane.compose_id)
    assert running.services["web"].env[PAYLOAD] == env[PAYLOAD]
    assert f"{PAYLOAD}={env[PAYLOAD]}" in scripts(plane)[0]
    assert [(run.schedule, run.mode) for run in plane.doubles.dokploy.schedule_runs] == [("platform-data-workflow", "maintenance")]
    assert running.web_running
    apply = stored_overrides(plane)["last_apply"]
    assert (apply["attempted"], apply["status"]) == (True, "pass")
    assert stored_overrides(plane)["source_label"] == "odoo-post-deploy-driver"


def test_what_is_there_already_is_not_deployed_again(plane, lane):
    put_overrides(plane)
    post_deploy(plane, lane)
    deploys = plane.doubles.dokploy.deploys(lane.compose_id)
    assert post_deploy(plane, lane, key="second")["result"]["post_deploy_status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == deploys
    assert len(plane.doubles.dokploy.schedule_runs) == 2


def running_payload(plane, lane):
    return plane.doubles.dokploy.running(lane.compose_id).services["web"].env.get(PAYLOAD)


@pytest.mark.parametrize("end", ["its deploy fails", "it is cancelled before its deploy"])
def test_what_was_written_and_never_deployed_is_deployed_by_the_next_run(plane, lane, end):
    """OVR-18, 19, 22: Dokploy's stored environment says nothing of the web that runs"""
    put_overrides(plane)
    if end == "its deploy fails":
        plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
        assert post_deploy(plane, lane)["result"]["post_deploy_status"] == "fail"
    else:
        rule = plane.doubles.dokploy.on("POST", "compose.update").hold_after().times(1)
        body = post_deploy_request(lane)
        operation_id = assert_accepted(plane.post(POST_DEPLOY, body, key="k", headers=ASYNC))["records"]["operation_id"]
        plane.run_until(operation_id, rule.reached.is_set, "the write")
        assert plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "drill"}).status_code in (200, 202)
        rule.release()
        assert plane.finish(operation_id)["error_code"] == "operation_cancelled"
    written = live_env(plane, lane)[PAYLOAD]
    assert running_payload(plane, lane) is None
    assert post_deploy(plane, lane, key="second")["result"]["post_deploy_status"] == "pass"
    assert running_payload(plane, lane) == live_env(plane, lane)[PAYLOAD] == written


def setting_written(plane, lane):
    return plane.post("/v1/odoo-overrides/config-parameters",
                      {"context": lane.context, "instance": lane.instance, "key": "late.one", "value": "late"})


@pytest.mark.parametrize("before, held", [
    ("settings", ("POST", "compose.deploy")), ("settings that are deployed", ("GET", "schedule.list")), ("none", ("GET", "schedule.list")),
])
def test_a_setting_written_between_web_and_the_runner_is_a_conflict(plane, lane, before, held):
    """OVR-20: both get the same payload, or the run does not pass"""
    if before != "none":
        put_overrides(plane)
    if before == "settings that are deployed":
        post_deploy(plane, lane, key="earlier")
    runs = len(plane.doubles.dokploy.schedule_runs)
    rule = plane.doubles.dokploy.on(*held).hold_before().times(1)
    body = post_deploy_request(lane)
    operation_id = assert_accepted(plane.post(POST_DEPLOY, body, key="k", headers=ASYNC))["records"]["operation_id"]
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    assert_accepted(setting_written(plane, lane))
    rule.release()
    operation = plane.finish(operation_id)
    assert (operation["status"], operation["error_code"]) == ("fail", "conflict"), operation
    assert "submit again" in operation["error_message"]
    assert len(plane.doubles.dokploy.schedule_runs) == runs
    assert post_deploy(plane, lane, key="again")["result"]["post_deploy_status"] == "pass"
    assert running_payload(plane, lane) == live_env(plane, lane)[PAYLOAD]
    assert f"{PAYLOAD}={running_payload(plane, lane)}" in scripts(plane)[-1]


def test_without_a_record_only_the_workflow_runs(plane, lane):
    result = post_deploy(plane, lane)["result"]
    assert (result["post_deploy_status"], result["override_status"]) == ("pass", "skipped")
    assert result["override_record_found"] is False
    assert plane.doubles.dokploy.calls("POST", "compose.deploy") == 0


@pytest.mark.parametrize("phase, applies", [("deploy", True), ("promotion", True), ("manual", False), ("restore", False)])
def test_records_apply_to_their_phases(plane, lane, phase, applies):
    """ODOO-12"""
    put_overrides(plane)
    result = post_deploy(plane, lane, phase)["result"]
    assert result["override_status"] == ("pass" if applies else "skipped")
    assert (PAYLOAD in live_env(plane, lane)) == applies
    assert [run.mode for run in plane.doubles.dokploy.schedule_runs] == ["maintenance"]      # never a restore


def test_a_payload_of_an_earlier_deploy_is_taken_away(plane, lane):
    row = plane.doubles.dokploy.state.composes[lane.compose_id]
    row["env"] += f"\n{PAYLOAD}=e30=\nLAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED=true\nODOO_INSTALL_MODULES=kept"
    assert post_deploy(plane, lane)["result"]["post_deploy_status"] == "pass"
    env = live_env(plane, lane)
    assert PAYLOAD not in env and "LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED" not in env
    assert env["ODOO_INSTALL_MODULES"] == "kept"


FAILURES = {
    "the environment is not kept": (
        lambda d: d.on("POST", "compose.update").lie("env_not_persisted"), "did not keep the environment", "fail"),
    "the deploy fails": (lambda d: d.on("POST", "compose.deploy").lie("deploy_error"), "ended the deploy", "fail"),
    "the script fails": (lambda d: d.on("POST", "schedule.runManually").lie("script_fails").times(1), "data workflow", "fail"),
    "the log lacks its last line": (
        lambda d: d.on("GET", "deployment.readLogs").answer(200, "website_bootstrap_applied=true"), "lacks the line", "fail"),
    "the run is lost sight of": (
        lambda d: d.on("POST", "schedule.runManually").lie("run_cancelled").times(1), "cancelled", "fail"),
    "web stays down": (
        lambda d: d.on("POST", "schedule.runManually").lie("script_leaves_web_stopped").times(1), "data workflow", "fail"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures_are_the_results_of_the_driver(plane, lane, name):
    """odoo 1.2: a result with fail status is still 202; OVR-24"""
    arrange, told, override = FAILURES[name]
    put_overrides(plane)
    arrange(plane.doubles.dokploy)
    answer = post_deploy(plane, lane)
    assert answer["records"]["transition"] == "odoo-post-deploy:shop:testing:deploy"
    assert answer["result"]["post_deploy_status"] == "fail"
    assert told in answer["result"]["error_message"]
    assert answer["result"]["override_status"] == override
    assert stored_overrides(plane)["last_apply"]["status"] == "fail"
    assert plane.doubles.dokploy.running(lane.compose_id).web_running


def test_an_override_that_cannot_be_built_changes_nothing(plane, lane):
    """odoo 8.2 step 2"""
    value = {"source": "secret_binding", "secret_binding_id": "binding-1"}
    put_overrides(plane, config_parameters=[{"key": "shop.api_token", "value": value}])
    result = post_deploy(plane, lane)["result"]
    assert (result["post_deploy_status"], result["override_status"]) == ("fail", "fail")
    assert "ODOO_OVERRIDE_SECRET__CONFIG_PARAM__SHOP__API_TOKEN" in result["error_message"]
    assert mutations(plane) == []
    assert stored_overrides(plane)["last_apply"]["status"] == "fail"


def test_a_lost_schedule_is_made_again(plane, lane):
    assert post_deploy(plane, lane)["result"]["post_deploy_status"] == "pass"
    plane.doubles.dokploy.state.schedules.clear()
    assert post_deploy(plane, lane, key="second")["result"]["post_deploy_status"] == "pass"
    assert len(plane.doubles.dokploy.state.schedules) == 1


def test_a_schedule_that_vanishes_before_its_run_is_a_failure_with_a_cause(plane, lane):
    rule = plane.doubles.dokploy.on("POST", "schedule.runManually").hold_before().times(1)
    body = post_deploy_request(lane)
    operation_id = assert_accepted(plane.post(POST_DEPLOY, body, key="k", headers=ASYNC))["records"]["operation_id"]
    plane.run_until(operation_id, rule.reached.is_set, "the run")
    plane.doubles.dokploy.state.schedules.clear()
    rule.release()
    operation = plane.finish(operation_id)
    assert operation["status"] == "fail"
    assert operation["error_message"]
    assert plane.doubles.dokploy.running(lane.compose_id).web_running


def test_web_that_a_lost_run_left_stopped_is_started(plane, lane):
    """The web service of the lane is never left stopped by us."""
    rule = plane.doubles.dokploy.on("POST", "schedule.runManually").lie("script_leaves_web_stopped").lie("run_cancelled").times(1)
    result = post_deploy(plane, lane)["result"]
    assert rule.struck and result["post_deploy_status"] == "fail"
    runs = [run.schedule for run in plane.doubles.dokploy.schedule_runs]
    assert runs == ["platform-data-workflow", "platform-odoo-web-start"]
    assert plane.doubles.dokploy.running(lane.compose_id).web_running


def test_web_that_cannot_be_started_is_told(plane, lane):
    plane.doubles.dokploy.on("POST", "schedule.runManually").lie("script_leaves_web_stopped")
    result = post_deploy(plane, lane)["result"]
    assert "start it in Dokploy" in result["error_message"]


def test_web_that_cannot_be_started_is_told_when_the_time_ran_out_within_a_look(plane, lane):
    """A phase that was told that there is time left is asked once more, and then says in its own words what to do."""
    held = plane.doubles.dokploy.on("POST", "schedule.runManually").after(2).hold_before().lie("script_leaves_web_stopped").times(1)
    plane.doubles.dokploy.on("POST", "schedule.runManually").lie("script_leaves_web_stopped")
    body = post_deploy_request(lane)
    operation_id = assert_accepted(plane.post(POST_DEPLOY, body, key="k", headers=ASYNC))["records"]["operation_id"]
    plane.run_until(operation_id, lambda: "web_start_requested" in [event["event"] for event in plane.operation(operation_id)["events"]],
                    "the first try")
    plane.query("UPDATE launchplane_operations SET phase_deadline_at = next_run_at + interval '2 seconds' WHERE operation_id = %s", operation_id)
    plane.run_until(operation_id, held.reached.is_set, "the second try")
    plane.pass_time(seconds=5)
    held.release()
    assert "start it in Dokploy" in plane.finish(operation_id)["error_message"]


def test_the_answer_waits_for_the_end(plane, lane):
    """The caller asks once; meanwhile the clock goes on."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(plane.post, POST_DEPLOY, post_deploy_request(lane), key="k", headers={"Prefer": "wait=60"})
        while not asked.done():
            plane.pass_time(seconds=0.5)
            concurrent.futures.wait([asked], timeout=0.1)
    assert assert_accepted(asked.result())["result"]["post_deploy_status"] == "pass"


def test_the_same_key_finds_the_same_run_and_another_one_waits_its_turn(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    body = post_deploy_request(lane)
    first = assert_accepted(plane.post(POST_DEPLOY, body, key="k", headers=ASYNC))
    assert rule.reached.wait(60)
    again = assert_accepted(plane.post(POST_DEPLOY, body, key="k", headers=ASYNC))
    assert again["records"] == first["records"] and again["replayed"] is True
    busy = assert_rejected(plane.post(POST_DEPLOY, body, key="other", headers=ASYNC), 409, "operation_active")
    assert busy["operation"]["operation_id"] == first["records"]["operation_id"]
    assert_rejected(plane.post(POST_DEPLOY, post_deploy_request(lane, "manual"), key="k"), 409, "idempotency_key_reused")
    rule.release()
    assert plane.finish(first["records"]["operation_id"])["status"] == "pass"


@pytest.mark.policy(policies.render(github_actions=[
    *policies.lane_rules(), policies.workflow_rule(["odoo_post_deploy.execute", "operations.read"], ["odoo"], ["shop"])]))
def test_the_drivers_own_name_stands_for_the_owner_of_the_lane(plane, lane):
    """odoo 1.2 step 2: the lane is reserved under the product's name all the same"""
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = submit(plane, lane)
    assert rule.reached.wait(60)
    body = post_deploy_request(lane, product="odoo")
    busy = assert_rejected(plane.post(POST_DEPLOY, body, key="k", headers=ASYNC), 409, "operation_active")
    assert busy["operation"]["operation_id"] == operation_id
    rule.release()
    plane.finish(operation_id)
    assert operated(plane, POST_DEPLOY, body, "k")["result"]["post_deploy_status"] == "pass"


@pytest.mark.parametrize("change, path", [
    ({"phase": "deployment"}, "post_deploy.phase"), ({"instance": ""}, "post_deploy.instance"), ({"dry_run": True}, "post_deploy.dry_run"),
], ids=str)
def test_a_malformed_request_names_its_field(shared_plane, shared_lane, change, path):
    body = post_deploy_request(shared_lane)
    body["post_deploy"].update(change)
    assert_rejected(shared_plane.post(POST_DEPLOY, body), 400, "invalid_request", path)


def test_a_lane_that_is_not_the_products_is_refused(shared_plane, shared_lane):
    body = post_deploy_request(shared_lane)
    body["post_deploy"]["context"] = "other"
    assert_rejected(shared_plane.post(POST_DEPLOY, body), 403, "product_driver_mismatch")


def test_without_a_target_it_fails_before_the_provider(plane, doubles):
    lane = Lane(doubles)
    lane.create_in_dokploy()
    plane.secrets += lane.secret_values()
    lane.prepare(plane, without=("Dokploy target",))
    answer = operated(plane, POST_DEPLOY, post_deploy_request(lane), "k")
    assert "target setup" in answer["result"]["error_message"]
    assert mutations(plane) == []


# the overlay of one run: odoo 8.2 step 3

def test_an_overlay_reaches_the_run_alone(plane, lane):
    body = post_deploy_request(lane)
    body["post_deploy"]["env_overlay"] = {"ODOO_FILESTORE_PATH": "/volumes/elsewhere", "ODOO_DB_NAME": "shop_copy"}
    before = live_env(plane, lane)
    assert operated(plane, POST_DEPLOY, body, "k")["result"]["post_deploy_status"] == "pass"
    script, = scripts(plane)
    assert "/volumes/elsewhere" in script and "database_name='shop_copy'" in script
    assert live_env(plane, lane) == before


@pytest.mark.parametrize("key", ["ODOO_DB_PASSWORD", "DOKPLOY_TOKEN", "ODOO_INSTALL_MODULES"])
def test_other_keys_of_an_overlay_are_refused(shared_plane, shared_lane, key):
    body = post_deploy_request(shared_lane)
    body["post_deploy"]["env_overlay"] = {key: "x"}
    assert_rejected(shared_plane.post(POST_DEPLOY, body), 400, "invalid_request", f"post_deploy.env_overlay.{key}")


def test_an_overlay_file_from_the_command_line(plane, lane, tmp_path):
    """The provider's own address and token in the file are left out, never sent."""
    cli, env = Cli(plane), tmp_path / "overlay.env"
    env.write_text("DOKPLOY_HOST=https://dokploy.example.com\nDOKPLOY_TOKEN = never-to-be-sent\nODOO_FILESTORE_PATH=/volumes/elsewhere\n")
    plane.secrets.append("never-to-be-sent")
    words = ("odoo-targets", "post-deploy", "--product", lane.product, "--context", "shop", "--instance", "testing")
    instant(plane)
    assert cli(*words, "--env-file", str(env), "--json").json()["result"]["post_deploy_status"] == "pass"
    assert "/volumes/elsewhere" in scripts(plane)[0]
    env.write_text("ODOO_DB_PASSWORD=x\n")
    refused = cli(*words, "--env-file", str(env))
    assert refused.code != 0 and "env_overlay.ODOO_DB_PASSWORD" in refused.err
