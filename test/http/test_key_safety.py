"""Which secret may reach which runtime: every finding, the classes, and secrets that several lanes share. config-health 4.6."""
import itertools
import json

import pytest

import live
from checks import assert_accepted, assert_rejected

CONFIG = "/v1/product-config/apply"
SAFETY = "/v1/runtime-key-safety/policies/apply"
PROFILES = "/v1/product-profiles"
KEY = "ODOO_DB_PASSWORD"
ID = "secret-runtime-environment-odoo-db-password-shop-testing"
BINDING = f"{ID}-binding-odoo-db-password"


def rule(plane, **members):
    """The active policy's rule for the key; None: it has none."""
    plane.query("UPDATE launchplane_runtime_key_safety_policies SET payload = jsonb_set(payload::jsonb, '{rules}',"
                " (SELECT jsonb_agg(CASE r ->> 'binding_key' WHEN %s THEN r || %s::jsonb ELSE r END)"
                " FROM jsonb_array_elements(payload::jsonb -> 'rules') r))::json", KEY, json.dumps(members))


def binding(plane, binding_id, context, instance, status="configured"):
    plane.query(
        "INSERT INTO launchplane_secret_bindings (binding_id, secret_id, integration, binding_key, context, instance, status, updated_at, payload)"
        " SELECT %s, secret_id, integration, binding_key, %s, %s, %s, updated_at, (payload::jsonb || jsonb_build_object('binding_id', %s::text,"
        " 'context', %s::text, 'instance', %s::text, 'status', %s::text))::json FROM launchplane_secret_bindings WHERE binding_id = %s",
        binding_id, context, instance, status, binding_id, context, instance, status, BINDING)


def without_binding(plane):
    plane.query("DELETE FROM launchplane_secret_bindings WHERE binding_id = %s", BINDING)


def disabled(plane):
    plane.query("UPDATE launchplane_secret_bindings SET status = 'disabled', payload = (payload::jsonb || '{\"status\":\"disabled\"}')::json"
                " WHERE binding_id = %s", BINDING)


def unclassified(plane):
    rule(plane, binding_key="ANOTHER_KEY")


FINDINGS = {
    "binding_missing": [without_binding,
                        lambda plane: (binding(plane, "elsewhere", "other", "testing"), without_binding(plane))],
    "ambiguous_binding": [lambda plane: binding(plane, "second", "shop", "testing"),
                          lambda plane: (binding(plane, "c1", "shop", ""), binding(plane, "c2", "shop", ""), without_binding(plane)),
                          # whatever else is wrong with it
                          lambda plane: (binding(plane, "second", "shop", "testing", "disabled"), unclassified(plane))],
    "binding_disabled": [disabled, lambda plane: (disabled(plane), binding(plane, "wider", "shop", ""), unclassified(plane))],
    "unclassified_binding": [unclassified],
    "secret_class_not_allowed": [lambda plane: rule(plane, secret_class="prod_only", allowed_contexts=["other"]),
                                 lambda plane: rule(plane, secret_class="preview")],
    "context_not_allowed": [lambda plane: rule(plane, allowed_contexts=["other"], allowed_instances=["prod"]),
                            lambda plane: rule(plane, allowed_contexts=[], allowed_instances=[],
                                               allowed_targets=[{"context": "other", "instance_patterns": ["*"]}])],
    "instance_not_allowed": [lambda plane: rule(plane, allowed_instances=["prod"]),
                             lambda plane: rule(plane, allowed_contexts=[], allowed_instances=[],
                                                allowed_targets=[{"context": "shop", "instance_patterns": ["pr-*", "prod"]}])],
}


@pytest.mark.parametrize("code, number", [(code, number) for code, made in FINDINGS.items() for number in range(len(made))])
def test_a_finding_and_its_order(plane, lane, code, number):
    """Told by a dry-run; an apply is refused with it and changes nothing"""
    FINDINGS[code][number](plane)
    row = plane.doubles.dokploy.state.composes[lane.compose_id]
    row["env"] = row["env"].replace(lane.secrets["ODOO_ADMIN_PASSWORD"], "other")      # there is something to write
    judged = live.look(plane, lane)["runtime_key_safety"]
    assert judged["status"] == "fail"
    found = [finding for finding in judged["findings"] if finding["binding_key"] == KEY]
    assert [finding["code"] for finding in found] == [code]
    assert found[0].keys() == {"code", "binding_key", "binding_id", "secret_id", "secret_class", "detail"} and found[0]["detail"]
    assert judged["target"] == {"context": "shop", "instance": "testing", "environment_class": "testing"}
    if (code, number) in (("binding_missing", 0), ("binding_disabled", 0)):    # then the value is missing first of all
        assert KEY in assert_rejected(live.apply(plane, lane), 409, "runtime_secret_values_missing")["error"]["message"]
    else:
        refused = assert_rejected(live.apply(plane, lane), 400, "runtime_key_safety_failed")
        assert f"{KEY}: {code}" in refused["error"]["message"]
    assert plane.doubles.dokploy.mutations() == []


@pytest.mark.parametrize("change", [
    lambda plane: rule(plane, allowed_contexts=[], allowed_instances=[]),
    lambda plane: rule(plane, allowed_contexts=["other"], allowed_targets=[{"context": "shop", "instance_patterns": ["test*"]}]),
    lambda plane: rule(plane, allowed_contexts=[], allowed_instances=[], allowed_targets=[{"context": "shop", "instance_patterns": ["testing"]}]),
    lambda plane: binding(plane, "wider", "shop", ""),
    lambda plane: binding(plane, "widest", "", "", "disabled"),
    lambda plane: (binding(plane, "wider", "shop", ""), without_binding(plane))])
def test_the_closest_binding_and_any_list_that_matches_do(plane, lane, change):
    change(plane)
    assert live.look(plane, lane)["runtime_key_safety"]["status"] == "pass"


# classes, by the plan of a bundle for a lane of that name

ALLOWED = {"prod": {"prod_only", "shared_safe"}, "testing": {"testing", "non_prod", "shared_safe"},
           "preview": {"preview", "non_prod", "shared_safe"}, "dev": {"non_prod", "shared_safe"}, "unknown": set()}
INSTANCES = {"prod": ["prod", "production"], "testing": ["testing", "test", "staging", "stage"], "preview": ["preview", "pr", "pr-7"],
             "dev": ["dev", "local", "development"], "unknown": ["qa", "prod2", "pre", "prx"]}
CLASSES = ("prod_only", "testing", "preview", "non_prod", "shared_safe")


def plan(plane, lane, key, **place):
    return plane.post(CONFIG, {"product": lane.product, "mode": "dry-run", "context": "shop", **place,
                               "secrets": [{"name": key, "value": "value-of-this-test"}]})


@pytest.mark.parametrize("environment", INSTANCES)
def test_classes_of_environments(shared_lane, environment):
    """The table of allowed classes, for each name of the environment"""
    plane = shared_lane.plane
    assert_accepted(plane.post(SAFETY, {"product": "launchplane", "rules": [
        {"binding_key": f"OF_{name.upper()}", "secret_class": name} for name in CLASSES]}))
    for instance, name in itertools.product(INSTANCES[environment], CLASSES):
        answer = plan(plane, shared_lane, f"OF_{name.upper()}", instance=instance)
        if name in ALLOWED[environment]:
            safety = assert_accepted(answer)["result"]["runtime_key_safety"]
            assert (safety["status"], safety["target"]["environment_class"]) == ("pass", environment)
        else:
            message = assert_rejected(answer, 400, "runtime_key_safety_failed")["error"]["message"]
            assert "secret_class_not_allowed" in message and ("unknown_environment_class" in message) == (environment == "unknown")


# secrets of a context and of all

def rules(plane, **classes):
    assert_accepted(plane.post(SAFETY, {"product": "launchplane", "rules": [
        {"binding_key": key, "secret_class": name} for key, name in classes.items()]}))


def add_lane(plane, lane, instance, context="shop"):
    profile = lane.profile()
    profile["lanes"].append({"instance": instance, "context": context})
    assert_accepted(plane.post(PROFILES, profile))


def shared_bundle(lane, mode="apply", **changes):
    return {"product": lane.product, "context": "shop", "mode": mode,
            "secrets": [{"name": "SHARED_TOKEN", "value": "shared-value-of-this-test"}], **changes}


def test_a_secret_of_a_context_is_for_all_its_lanes(plane, lane):
    """CFG-08, CFG-38: safe where it goes, it is written, and reaches the lane"""
    plane.secrets.append("shared-value-of-this-test")
    rules(plane, SHARED_TOKEN="non_prod")
    for mode in ("dry-run", "apply"):
        result = assert_accepted(plane.post(CONFIG, shared_bundle(lane, mode)))["result"]
        assert [(secret["scope"], secret["context"], secret["instance"], secret["action"]) for secret in result["secrets"]] == [
            ("context", "shop", "", "created")]
        assert result["runtime_key_safety"]["status"] == "pass"
    listed = plane.get("/v1/contexts/shop/instances/testing/secrets").json()["secrets"]
    assert "secret-runtime-environment-shared-token-shop" in {secret["secret_id"] for secret in listed}


@pytest.mark.parametrize("mode", ["dry-run", "apply"])
def test_a_secret_of_a_context_must_be_safe_in_each_lane(plane, lane, mode):
    """CFG-11, CFG-25: the refusal names the lane"""
    plane.secrets.append("shared-value-of-this-test")
    rules(plane, SHARED_TOKEN="non_prod")
    add_lane(plane, lane, "prod")
    before = plane.counts()
    refused = assert_rejected(plane.post(CONFIG, shared_bundle(lane, mode)), 400, "runtime_key_safety_failed")
    assert "shop/prod" in refused["error"]["message"] and "SHARED_TOKEN: secret_class_not_allowed" in refused["error"]["message"]
    assert plane.counts() == before


def test_previews_count_as_lanes_of_their_context(plane, lane):
    plane.secrets.append("shared-value-of-this-test")
    rules(plane, SHARED_TOKEN="testing")
    profile = {**lane.profile(), "preview": {"enabled": True, "context": "shop"}}
    assert_accepted(plane.post(PROFILES, profile))
    refused = assert_rejected(plane.post(CONFIG, shared_bundle(lane)), 400, "runtime_key_safety_failed")
    assert "shop/preview" in refused["error"]["message"]


def test_where_no_lane_is_known_nothing_is_safe(plane, unprepared_lane):
    rules(plane, SHARED_TOKEN="shared_safe")
    refused = assert_rejected(plane.post(CONFIG, shared_bundle(unprepared_lane)), 400, "runtime_key_safety_failed")
    assert "unknown_environment_class" in refused["error"]["message"]


def test_a_global_secret_must_be_safe_everywhere(plane, lane):
    """CFG-37"""
    plane.secrets.append("shared-value-of-this-test")
    body = {key: value for key, value in shared_bundle(lane).items() if key != "context"} | {"product": "launchplane"}
    rules(plane, SHARED_TOKEN="non_prod")
    assert assert_accepted(plane.post(CONFIG, body))["result"]["secrets"][0]["scope"] == "global"
    add_lane(plane, lane, "prod", "elsewhere")
    body["secrets"][0]["value"] += "-2"
    refused = assert_rejected(plane.post(CONFIG, body), 400, "runtime_key_safety_failed")
    assert "elsewhere/prod" in refused["error"]["message"]


# merging

def stored_rule(plane):
    policy = plane.query("SELECT payload FROM launchplane_runtime_key_safety_policies ORDER BY updated_at DESC, record_id DESC LIMIT 1")
    return next(one for one in policy[0]["payload"]["rules"] if one["binding_key"] == "A_TOKEN")


TARGETS = [{"context": "shop", "instance_patterns": ["pr-*"]}]


@pytest.mark.parametrize("first, second, merged", [
    ({"allowed_targets": TARGETS}, {"allowed_targets": [{"context": "other", "instance_patterns": ["pr-*"]}]},
     ([], [], [("shop", ["pr-*"]), ("other", ["pr-*"])])),
    ({"allowed_targets": TARGETS}, {"allowed_targets": [{"context": "shop", "instance_patterns": ["preview"]}]},
     ([], [], [("shop", ["pr-*", "preview"])])),
    ({"allowed_targets": TARGETS}, {"allowed_contexts": ["other"]}, (["other"], [], [("shop", ["pr-*"])])),
    ({"allowed_contexts": ["other"]}, {"allowed_targets": TARGETS}, (["other"], [], [("shop", ["pr-*"])])),
    ({"allowed_targets": TARGETS}, {}, ([], [], [])), ({}, {"allowed_targets": TARGETS}, ([], [], []))])
def test_targets_are_merged_like_the_lists(plane, first, second, merged):
    """An empty side means unrestricted and wins; a rule with targets alone is not empty"""
    for members in (first, second):
        assert_accepted(plane.post(SAFETY, {"product": "launchplane", "rules": [{"binding_key": "A_TOKEN", "secret_class": "preview", **members}]}))
    rule_now = stored_rule(plane)
    assert (rule_now["allowed_contexts"], rule_now["allowed_instances"],
            [(target["context"], target["instance_patterns"]) for target in rule_now["allowed_targets"]]) == merged
