"""Typed Odoo settings on their way into a replacement, and the destructive restore. odoo 4.5, 4.7, 9."""
import base64
import hashlib
import json

import pytest

from checks import assert_accepted
from lane_work import scripts
from rehearsal.lane import Lane
from replacement import deployment_of, env_of, replace, submit

RECORD = {
    "schema_version": 1, "context": "shop", "instance": "testing", "apply_on": ["deploy", "promotion"],
    "config_parameters": [{"key": "mail.catchall.alias", "value": {"source": "literal", "value": "catchall"}}],
    "addon_settings": [{"addon": "shop_addon", "setting": "mode", "value": {"source": "literal", "value": True}}],
    "website_bootstrap": {"name": "Shop", "homepage_url": "/shop", "logo_path": "/logo.png", "canonical_url": "https://old"},
    "last_apply": {"attempted": False, "status": "skipped", "applied_at": "", "detail": ""},
    "updated_at": "2026-01-01T00:00:00Z", "source_label": "test",
}


def put(plane, **changes):
    record = {**RECORD, **changes}
    plane.query("INSERT INTO launchplane_odoo_instance_overrides (context, instance, updated_at, payload)"
                " VALUES ('shop', 'testing', %s, %s::json)", record["updated_at"], json.dumps(record))


def stored(plane):
    return plane.query("SELECT payload FROM launchplane_odoo_instance_overrides")[0]["payload"]


def payload_of(env):
    text = base64.b64decode(env["ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64"]).decode()
    payload = json.loads(text)
    assert text == json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return payload


def live_env(plane, lane):
    return env_of(plane.doubles.dokploy.compose(lane.compose_id)["env"])


def test_the_payload_and_its_flags_reach_the_running_web(plane, lane):
    put(plane)
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation
    env = live_env(plane, lane)
    payload = payload_of(env)
    assert payload["config_parameters"] == RECORD["config_parameters"]
    assert payload["addon_settings"] == RECORD["addon_settings"]
    assert payload["website_bootstrap"]["canonical_url"] == lane.base_url
    assert env["LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED"] == env["LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED"] == "true"
    running = plane.doubles.dokploy.running(lane.compose_id).services["web"].env
    assert running["ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64"] == env["ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64"]
    result = operation["result"]
    assert result["post_deploy_override_record_found"] is True
    assert result["post_deploy_override_payload_rendered"] is True
    assert result["post_deploy_website_bootstrap_included"] is True
    assert (result["post_deploy_override_status"], result["post_deploy_override_count"]) == ("pass", 2)
    sent = env["ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64"]
    sha256 = hashlib.sha256(base64.b64decode(sent)).hexdigest()
    record = deployment_of(plane, operation)
    assert result["post_deploy_override_evidence"]["payload_sha256"] == sha256
    assert record["post_deploy_update"]["evidence"]["payload_sha256"] == sha256
    assert record["runtime_source"]["runtime_override_payload_sha256"] == sha256
    assert record["post_deploy_update"]["evidence"]["schedule_id"]
    assert f"ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64={sent}" in scripts(plane)[-1]


@pytest.mark.parametrize("at", ["the plan is made", "the environment is written"])
def test_a_setting_written_meanwhile_reaches_web_and_the_runner_or_neither(plane, lane, at):
    """OVR-20; odoo 9.3: evidence names what was sent"""
    put(plane)
    call = ("GET", "compose.one") if at == "the plan is made" else ("POST", "compose.deploy")
    rule = plane.doubles.dokploy.on(*call).after(1 if at == "the plan is made" else 0).hold_before().times(1)
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    assert_accepted(plane.post("/v1/odoo-overrides/config-parameters",
                               {"context": "shop", "instance": "testing", "key": "late.one", "value": "late"}))
    rule.release()
    operation = plane.finish(operation_id)
    if at == "the environment is written":
        assert (operation["status"], operation["error_code"]) == ("fail", "conflict"), operation
        assert "submit again" in operation["error_message"]
        assert plane.doubles.dokploy.schedule_runs == []
        operation = replace(plane, lane, key="again")
    assert operation["status"] == "pass", operation
    sent = live_env(plane, lane)["ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64"]
    assert "late.one" in [row["key"] for row in payload_of(live_env(plane, lane))["config_parameters"]]
    evidence = operation["result"]["post_deploy_override_evidence"]
    assert evidence["payload_sha256"] == hashlib.sha256(base64.b64decode(sent)).hexdigest()
    assert operation["result"]["post_deploy_override_count"] == 3
    assert f"ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64={sent}" in scripts(plane)[-1]


@pytest.mark.parametrize("in_web, status", [("", "pass"), ("none", "fail")])
def test_an_operation_that_is_older_than_the_comparison_goes_on(plane, lane, in_web, status):
    """In flight across an upgrade it does not say what web got, and the runner gets what there is; "none" is a word on it."""
    put(plane)
    rule = plane.doubles.dokploy.on("GET", "schedule.list").hold_before().times(1)
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, rule.reached.is_set, "the schedule")
    plane.kill()
    rule.release()
    state = """state::jsonb || '{"override_in_web": "none"}'""" if in_web else "state::jsonb - 'override_in_web'"
    changed = plane.query(f"UPDATE launchplane_operations SET state = ({state})::json WHERE operation_id = %s"
                          " RETURNING state::jsonb ? 'override_in_web' AS told", operation_id)
    assert changed == [{"told": bool(in_web)}]
    plane.start()
    assert plane.finish(operation_id)["status"] == status


def test_the_markers_confirm_the_override(plane, lane):
    put(plane)
    evidence = deployment_of(plane, replace(plane, lane))["post_deploy_update"]["evidence"]
    assert evidence["post_deploy_readback_odoo_instance_overrides_payload_present"] == "true"
    assert evidence["post_deploy_readback_website_bootstrap_logo_present"] == "true"


def test_the_record_remembers_the_last_apply(plane, lane):
    put(plane)
    replace(plane, lane)
    record = stored(plane)
    assert (record["last_apply"]["attempted"], record["last_apply"]["status"]) == (True, "pass")
    assert record["last_apply"]["applied_at"]
    assert record["source_label"] == "odoo-post-deploy-driver"
    assert record["website_bootstrap"]["canonical_url"] == lane.base_url


def test_a_failed_post_deploy_is_remembered_too(plane, lane):
    put(plane)
    plane.doubles.dokploy.on("POST", "schedule.runManually").lie("script_fails")
    assert replace(plane, lane)["status"] == "fail"
    assert stored(plane)["last_apply"]["status"] == "fail"


def test_a_record_for_other_phases_is_not_applied(plane, lane):
    put(plane, apply_on=["manual"])
    operation = replace(plane, lane)
    assert operation["status"] == "pass"
    assert "ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64" not in live_env(plane, lane)
    assert operation["result"]["post_deploy_override_status"] == "skipped"


@pytest.mark.parametrize("group, flags", [
    ("config_parameters", {"LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED"}),
    ("website_bootstrap", {"LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED"}),
])
def test_each_group_has_its_flag(plane, lane, group, flags):
    empty = {"config_parameters": [], "addon_settings": [], "website_bootstrap": None}
    put(plane, **{**empty, group: RECORD[group]})
    assert replace(plane, lane)["status"] == "pass"
    env = live_env(plane, lane)
    assert {name for name in env if name.startswith("LAUNCHPLANE_") and name.endswith("_REQUIRED")} == flags


def test_a_secret_is_sent_as_a_reference_to_a_key_the_target_has(plane, lane):
    """odoo 9.3: the plaintext never enters the payload"""
    key = "ODOO_OVERRIDE_SECRET__CONFIG_PARAM__SHOP__API_TOKEN"
    secret = "a-very-secret-token-of-the-shop"
    plane.secrets.append(secret)
    safety = {"product": "launchplane", "rules": [{"binding_key": key, "secret_class": "testing"}]}
    assert plane.post("/v1/runtime-key-safety/policies/apply", safety).status_code == 202
    config = {**lane.lane_config(), "runtime_env": {}, "secrets": [{"name": key, "value": secret}]}
    answer = plane.post("/v1/product-config/apply", config)
    assert answer.status_code == 202, answer.text
    binding = plane.query("SELECT binding_id FROM launchplane_secret_bindings WHERE binding_key = %s", key)[0]["binding_id"]
    value = {"source": "secret_binding", "secret_binding_id": binding}
    put(plane, config_parameters=[{"key": "shop.api_token", "value": value}])
    assert replace(plane, lane)["status"] == "pass"
    env = live_env(plane, lane)
    sent = payload_of(env)["config_parameters"][0]["value"]
    assert sent == {"source": "secret_binding", "secret_binding_id": binding, "environment_variable": key}
    assert env[key] == secret
    assert key in scripts(plane)[-1] and not [script for script in scripts(plane) if secret in script]      # OVR-27, 29


def test_a_secret_the_target_would_not_have_stops_the_job(plane, lane):
    """odoo 4.5 order 4"""
    value = {"source": "secret_binding", "secret_binding_id": "binding-unknown"}
    put(plane, config_parameters=[{"key": "shop.api_token", "value": value}])
    operation = replace(plane, lane)
    assert operation["status"] == "fail"
    assert "ODOO_OVERRIDE_SECRET__CONFIG_PARAM__SHOP__API_TOKEN" in operation["error_message"]
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 0


def test_old_override_keys_on_the_target_are_removed(plane, doubles):
    lane = Lane(doubles)
    lane.live_env.update(ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64="b2xk", LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED="true",
                         ODOO_INSTALL_MODULES="old_module")
    lane.create_in_dokploy()
    plane.secrets += lane.secret_values()
    lane.prepare(plane)
    assert replace(plane, lane)["status"] == "pass"
    env = live_env(plane, lane)
    assert "ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64" not in env
    assert "LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED" not in env
    assert env["ODOO_INSTALL_MODULES"] == "launchplane_settings,disable_odoo_online"


# upstream_restore: odoo 4.7, TREP-42, TREP-43

CONFIRMATION = "restore shop testing"
RESTORE = {"data_source_mode": "upstream_restore", "allow_empty_data": True, "confirmation": CONFIRMATION}
UPSTREAM = {
    "ODOO_UPSTREAM_HOST": "old.example.com", "ODOO_UPSTREAM_USER": "odoo", "ODOO_UPSTREAM_DB_NAME": "old",
    "ODOO_UPSTREAM_DB_USER": "odoo", "ODOO_UPSTREAM_FILESTORE_PATH": "/srv/filestore",
}


def restore_policies(lane):
    """Profile members that allow a restore of this lane."""
    return {
        "odoo_prelaunch_rebuild": {
            "enabled": True, "approval_issue_url": "https://github.com/example-org/shop/issues/8",
            "data_source_mode": "upstream_restore", "confirmation": CONFIRMATION,
            "expected_target_name": lane.target_name, "expected_domains": [lane.host]},
        "odoo_data_policy": {"data_authority": "restorable", "allowed_rebuild_sources": ["upstream_restore"],
                             "upstream_source": "old.example.com"},
    }


@pytest.fixture
def restorable(plane, doubles):
    lane = Lane(doubles)
    lane.policies = restore_policies(lane)
    lane.environment.update(UPSTREAM)
    lane.live_env.update(UPSTREAM)
    plane.secrets += lane.secret_values()
    return lane


def test_a_restore_runs_the_workflow_destructively_once(plane, restorable):
    restorable.create_in_dokploy()
    restorable.prepare(plane)
    operation = replace(plane, restorable, **RESTORE)
    assert operation["status"] == "pass", operation
    assert [run.mode for run in plane.doubles.dokploy.schedule_runs] == ["restore"]


def test_a_restore_applies_settings_and_website_before_readiness(plane, restorable):
    """TREP-43: the restored database gets the lane's website and settings in the same run, which readiness then judges"""
    restorable.create_in_dokploy()
    restorable.prepare(plane)
    put(plane, apply_on=["restore"])
    operation = replace(plane, restorable, **RESTORE)
    assert operation["status"] == "pass", operation
    env = live_env(plane, restorable)
    payload = payload_of(env)
    assert payload["website_bootstrap"]["canonical_url"] == restorable.base_url
    assert payload["config_parameters"] == RECORD["config_parameters"]
    assert env["LAUNCHPLANE_WEBSITE_BOOTSTRAP_REQUIRED"] == "true"
    assert operation["result"]["post_deploy_website_bootstrap_included"] is True
    evidence = deployment_of(plane, operation)["post_deploy_update"]["evidence"]
    assert (evidence["workflow_intent"], evidence["website_bootstrap_included"]) == ("restore", "true")
    assert evidence["post_deploy_readback_website_bootstrap_applied"] == "true"
    assert evidence["post_deploy_readback_website_bootstrap_domain_matches_canonical"] == "true"
    assert stored(plane)["last_apply"]["status"] == "pass"
    finished = [event["phase"] for event in operation["events"] if event["event"] == "phase_done"]
    assert finished.index("post_deploy_wait") < finished.index("health")


def test_a_restore_with_a_website_alone_has_a_payload(plane, restorable):
    restorable.create_in_dokploy()
    restorable.prepare(plane)
    put(plane, apply_on=["restore"], config_parameters=[], addon_settings=[])
    assert replace(plane, restorable, **RESTORE)["status"] == "pass"
    env = live_env(plane, restorable)
    assert payload_of(env)["website_bootstrap"]["name"] == "Shop"
    assert "LAUNCHPLANE_INSTANCE_OVERRIDES_REQUIRED" not in env


@pytest.mark.parametrize("key", UPSTREAM)
def test_a_restore_needs_every_upstream_key(plane, restorable, key):
    del restorable.environment[key], restorable.live_env[key]
    restorable.create_in_dokploy()
    restorable.prepare(plane)
    operation = replace(plane, restorable, **RESTORE)
    assert operation["status"] == "fail"
    assert key in operation["error_message"]
    assert plane.doubles.dokploy.deploys(restorable.compose_id) == 0      # told before anything runs


def test_a_failed_restore_is_never_repeated(plane, restorable):
    """odoo 4.7, 4.8"""
    restorable.create_in_dokploy()
    restorable.prepare(plane)
    plane.doubles.dokploy.on("POST", "schedule.runManually").lie("script_fails")
    assert replace(plane, restorable, **RESTORE)["status"] == "fail"
    assert len(plane.doubles.dokploy.schedule_runs) == 1
