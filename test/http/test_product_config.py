"""Bundles: what is refused, what two operators at once do, what a plan pins, and what is noted. config-health 3, CFG-01 to CFG-41."""
import threading

import pytest
import requests

from checks import assert_accepted, assert_rejected
from test_records import config, current_versions

CONFIG = "/v1/product-config/apply"


def bundle(lane, mode="apply", **changes):
    return {"product": lane.product, "context": lane.context, "instance": lane.instance, "mode": mode, **changes}


def environment(plane):
    return plane.query("SELECT payload->'env' AS env FROM launchplane_runtime_environments WHERE scope = 'instance'")[0]["env"]


# several secrets in one bundle

def test_all_secrets_are_judged_before_the_first_is_written(plane, lane):
    """CFG-12: the last one is not allowed"""
    body = lane.lane_config()
    for secret in body["secrets"]:
        secret["value"] = "new-value-of-this-test"
    plane.secrets.append("new-value-of-this-test")
    body["secrets"].append({"name": "UNKNOWN_TOKEN", "value": "another-new-value"})
    before, versions = plane.counts(), current_versions(plane)
    assert_rejected(plane.post(CONFIG, body), 400, "runtime_key_safety_failed")
    assert (plane.counts(), current_versions(plane)) == (before, versions)


def test_a_bundle_is_written_as_a_whole_or_not_at_all(plane, lane):
    """CFG-12: the database refuses the last statement"""
    body = lane.lane_config()
    for secret in body["secrets"]:
        secret["value"] = "new-value-of-this-test"
    plane.secrets.append("new-value-of-this-test")
    body["runtime_env"]["NEW_VALUE"] = "1"
    plane.query("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$")
    plane.query("CREATE TRIGGER refuse BEFORE UPDATE ON launchplane_runtime_environments FOR EACH ROW EXECUTE FUNCTION refuse()")
    before, versions = plane.counts(), current_versions(plane)
    assert plane.post(CONFIG, body).status_code == 500
    assert (plane.counts(), current_versions(plane)) == (before, versions)


# places

@pytest.mark.parametrize("secret, path", [
    ({"scope": "global"}, "secrets[0].scope"), ({"scope": "context"}, "secrets[0].scope"), ({"context": "other"}, "secrets[0].context"),
    ({"instance": "prod"}, "secrets[0].instance"), ({"value": " "}, "secrets[0].value"), ({"value": None}, "secrets[0].value"),
    ({"value": {"a": "b"}}, "secrets[0].value"), ({"binding_key": "A-B"}, "secrets[0].binding_key")])
def test_a_secret_belongs_to_the_place_of_its_bundle(shared_plane, shared_lane, secret, path):
    """CFG-09, CFG-10, CFG-23, CFG-37 to CFG-39"""
    body = bundle(shared_lane, secrets=[{"name": "A_TOKEN", "value": "some-value", **secret}])
    for mode in ("dry-run", "apply"):
        assert_rejected(shared_plane.post(CONFIG, {**body, "mode": mode}), 400, "invalid_request", path)


@pytest.mark.parametrize("env, path", [
    ({"API_TOKEN": "x"}, "runtime_env.API_TOKEN"), ({"env": {"API_TOKEN": "x"}}, "runtime_env.env.API_TOKEN"),
    ({"A": {"b": 1}}, "runtime_env.A"), ({"A": None}, "runtime_env.A"), ({"A": "1\n2"}, "runtime_env.A"),
    ({"scope": "global", "A": "1"}, "runtime_env.scope"), ({"env": {"A": "1"}, "context": "other"}, "runtime_env.context"),
    ({"env": {"A": "1"}, "more": 1}, "runtime_env.more"), ([], "runtime_env")])
def test_plain_values_are_plain_and_of_their_place(shared_plane, shared_lane, env, path):
    """CFG-05, CFG-06, CFG-08, CFG-33"""
    assert_rejected(shared_plane.post(CONFIG, bundle(shared_lane, runtime_env=env)), 400, "invalid_request", path)


def test_a_key_is_sent_once(shared_plane, shared_lane):
    body = bundle(shared_lane, runtime_env={"DSN": "x"}, secrets=[{"name": "DSN", "value": "y-value"}])
    assert_rejected(shared_plane.post(CONFIG, body), 400, "invalid_request", "secrets[0].binding_key")


def test_two_spellings_of_one_secret_are_refused(shared_plane, shared_lane):
    body = bundle(shared_lane, secrets=[{"name": "a_token", "binding_key": "X", "value": "1-value"},
                                        {"name": "A-TOKEN", "binding_key": "Y", "value": "2-value"}])
    assert_rejected(shared_plane.post(CONFIG, body), 400, "invalid_request", "secrets[1].name")


def test_a_secret_of_another_place_with_the_same_id_is_left_alone(plane, lane):
    """The lane "testing" of context "shop", and a context "shop-testing": one id"""
    before = current_versions(plane)["ODOO_DB_PASSWORD"]["version_id"]
    body = {"product": "launchplane", "context": "shop-testing", "mode": "apply", "secrets": [
        {"name": "ODOO_DB_PASSWORD", "integration": "runtime-environment", "value": "value-of-another-place"}]}
    plane.secrets.append("value-of-another-place")
    assert_rejected(plane.post(CONFIG, body), 409, "conflict")
    assert current_versions(plane)["ODOO_DB_PASSWORD"]["version_id"] == before


# two operators at once

def test_two_bundles_for_a_place_without_a_record_are_both_kept(plane, unprepared_lane):
    """Neither overwrites what the other one has just made"""
    lane, answers = unprepared_lane, []
    plane.query("CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END$$")
    plane.query("CREATE TRIGGER linger BEFORE INSERT ON launchplane_runtime_environments FOR EACH ROW EXECUTE FUNCTION linger()")
    tokens = [plane.token() for _ in range(4)]

    def ask(number):
        answers.append(requests.post(plane.url + CONFIG, json=bundle(lane, runtime_env={f"VALUE_{number}": number}),
                                     headers={"Authorization": f"Bearer {tokens[number]}"}, timeout=60))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    actions = sorted(answer.json()["result"]["runtime_environment"]["action"] for answer in answers)
    assert actions == ["created", "updated", "updated", "updated"]
    assert environment(plane) == {f"VALUE_{number}": number for number in range(4)}


# plans

def test_an_apply_may_pin_the_plan_that_was_reviewed(plane, lane):
    body = bundle(lane, runtime_env={"ODOO_DB_USER": "b"})
    plan = assert_accepted(plane.post(CONFIG, {**body, "mode": "dry-run"}))["result"]
    config(plane, lane, runtime_env={"ODOO_DB_USER": "c"}, secrets=[])
    refused = assert_rejected(plane.post(CONFIG, {**body, "plan_digest": plan["plan_digest"]}), 409, "plan_changed", "plan_digest")
    assert refused["plan"]["runtime_environment"]["changed_keys"] == ["ODOO_DB_USER"]
    assert environment(plane)["ODOO_DB_USER"] == "c"
    assert_accepted(plane.post(CONFIG, {**body, "plan_digest": refused["plan"]["plan_digest"]}))
    assert environment(plane)["ODOO_DB_USER"] == "b"


def test_a_rotation_by_somebody_else_changes_the_plan(plane, lane):
    """The reviewed change was "rotated" and still is, but over another value"""
    body = bundle(lane, secrets=[{"name": "ODOO_DB_PASSWORD", "value": "mine-of-this-test"}])
    plan = assert_accepted(plane.post(CONFIG, {**body, "mode": "dry-run"}))["result"]
    lane.secrets["ODOO_DB_PASSWORD"] = "theirs-of-this-test"
    plane.secrets += ["mine-of-this-test", "theirs-of-this-test"]
    config(plane, lane)
    assert_rejected(plane.post(CONFIG, {**body, "plan_digest": plan["plan_digest"]}), 409, "plan_changed")


def test_a_digest_does_not_tell_values_apart_without_the_key(plane, lane):
    """It is no oracle: the same bundle has another digest under another master key"""
    body = bundle(lane, "dry-run", runtime_env={"PIN": "1234"})
    first = assert_accepted(plane.post(CONFIG, body))["result"]["plan_digest"]
    plane.settings["LAUNCHPLANE_PREVIOUS_MASTER_ENCRYPTION_KEYS"] = plane.master_key
    plane.settings["LAUNCHPLANE_MASTER_ENCRYPTION_KEY"] = "another master key of this test"
    plane.restart()
    assert assert_accepted(plane.post(CONFIG, body))["result"]["plan_digest"] != first


# what is noted

def test_comparing_and_opening_leave_audit_events(plane, lane):
    def noted(kind):
        return plane.query("SELECT secret_id, payload->>'actor' AS actor FROM launchplane_secret_audit_events WHERE event_type = %s", kind)

    assert noted("compared") == []
    plane.post(CONFIG, {**lane.lane_config(), "mode": "dry-run"})
    assert len(noted("compared")) == len(lane.secrets)
    assert noted("compared")[0]["actor"].startswith("github-actions:")
    assert {row["secret_id"] for row in noted("read")} == {"secret-dokploy-dokploy-host", "secret-dokploy-dokploy-token"}


def test_a_binding_keeps_the_time_it_was_made_at(plane, lane):
    made = plane.query("SELECT binding_id, payload->>'created_at' AS at FROM launchplane_secret_bindings ORDER BY 1")
    plane.pass_time(hours=1)
    config(plane, lane)
    assert plane.query("SELECT binding_id, payload->>'created_at' AS at FROM launchplane_secret_bindings ORDER BY 1") == made
