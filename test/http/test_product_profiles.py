"""Product profiles: every nested block with its rules and defaults, and what an earlier release left. config-health 1."""
import copy
import json

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli
from wrong import with_value

PROFILES = "/v1/product-profiles"
CHECKS = "lanes[0].health_monitoring.checks"


def check(**members):
    return {"health_monitoring": {"checks": [{"name": "front", **members}]}}


def gate(**members):
    return {"enabled": True, "approval_issue_url": "https://example.com/1", "confirmation": "yes", "expected_target_name": "t",
            "expected_domains": ["example.com"], **members}


def preview(**members):
    return {"enabled": True, "context": "shop-preview", **members}


RULES = [
    # (member, value, the path the refusal names)
    ("repository", "no-slash", "repository"), ("repository", "a/b/c", "repository"), ("health_path", "health", "health_path"),
    ("runtime_port", 0, "health_path"), ("health_path", "", "health_path"), ("historical_contexts", [" "], "historical_contexts[0]"),
    # 1.2.1
    ("lanes[0].health_monitoring", {"checks": [{"name": "...", "url": "https://x"}]}, f"{CHECKS}[0].name"),
    ("lanes[0].health_monitoring", {"checks": [{"name": "a b"}, {"name": "A-B"}]}, f"{CHECKS}[1].name"),
    ("lanes[0].health_monitoring", {"checks": [{"name": "public-ingress"}, {"name": "Public Ingress"}]}, f"{CHECKS}[1].name"),
    ("lanes[0].health_monitoring", {"checks": [{"name": "Public Ingress", "kind": "private_http", "private_endpoint_key": "k"}]}, f"{CHECKS}[0].name"),
    *[(f"lanes[0].{name}", value[name], f"{CHECKS}[0].{member}") for value, member in [
        (check(kind="private_http", private_endpoint_key="k", url="https://x"), "url"),
        (check(kind="provider", provider="p", provider_check="c", url="https://x"), "url"),
        (check(private_endpoint_key="k"), "private_endpoint_key"),
        (check(kind="provider", provider="p", provider_check="c", private_endpoint_key="k"), "private_endpoint_key"),
        (check(provider="p"), "provider"), (check(provider_check="c"), "provider_check"),
        (check(kind="private_http", private_endpoint_key="k", provider="p"), "provider"),
        (check(kind="provider", provider_check="c"), "provider"), (check(kind="provider", provider="p"), "provider_check"),
        (check(kind="private_http"), "private_endpoint_key"), (check(surprise=1), "surprise"),
    ] for name in value],
    # 1.3
    *[(f"lanes[0].{policy}", gate(**{member: empty}), f"lanes[0].{policy}.{member}")
      for policy in ("odoo_stable_bootstrap", "odoo_prelaunch_rebuild")
      for member, empty in [("approval_issue_url", ""), ("confirmation", " "), ("expected_target_name", ""), ("expected_domains", []),
                            ("expected_domains", ["https://"]), ("data_source_mode", "existing")]],
    ("lanes[0].odoo_stable_bootstrap", gate(data_source_mode="upstream_restore"), "lanes[0].odoo_stable_bootstrap.data_source_mode"),
    ("lanes[0].odoo_prelaunch_rebuild", {"require_logo_verification": True}, "lanes[0].odoo_prelaunch_rebuild.require_logo_verification"),
    *[("lanes[0].odoo_data_policy", value, f"lanes[0].odoo_data_policy.{member}") for value, member in [
        ({"allowed_rebuild_sources": ["empty"]}, "allowed_rebuild_sources"),
        ({"data_authority": "resettable", "allowed_rebuild_sources": ["existing"]}, "allowed_rebuild_sources[0]"),
        ({"data_authority": "restorable", "allowed_rebuild_sources": ["upstream_restore"]}, "upstream_source"),
        ({"data_authority": "authoritative", "requires_backup_before_destroy": False}, "requires_backup_before_destroy"),
        ({"data_authority": "authoritative", "requires_restore_proof": False}, "requires_restore_proof")]],
    # 1.4
    *[("preview", value, f"preview.{member}") for value, member in [
        (preview(context=""), "context"), (preview(slug_template="pr"), "slug_template"), (preview(template_instance=""), "template_instance"),
        ({"copied_env_keys": ["A"], "omitted_env_keys": ["A"]}, "copied_env_keys[0]"),
        ({"override_env": {"": "x"}}, "override_env"), ({"override_env": {"A": None}}, "override_env"), ({"override_env": {"A": 1}}, "override_env"),
        ({"migration_command": "x"}, "migration_command"), ({"seed_command": "x"}, "seed_command"),
        *[({name: value}, name) for value in (["A", "A"], [" "]) for name in (
            "required_template_env_keys", "copied_env_keys", "omitted_env_keys", "preview_url_env_keys", "preview_domain_env_keys",
            "required_provider_fields")]]],
    ("image", {"repository": ""}, "image.repository"),         # with previews: see the test
    # 1.5
    *[("promotion_workflow", {name: " "}, f"promotion_workflow.{name}") for name in ("workflow_id", "ref", "dry_run_input", "bump_input")],
    # 1.6
    *[("expected_config", {name: [{member: key, **more}] * times}, f"expected_config.{name}[{times - 1}]")
      for name, member in (("runtime_environment_keys", "key"), ("managed_secret_bindings", "binding_key"))
      for key, more, times in [(" ", {}, 1), ("A", {"instance": "testing"}, 1), ("A", {}, 2),
                               ("A", {"context": "shop"}, 2), ("A", {"context": "shop", "instance": "testing"}, 2)]],
    ("expected_config", {"managed_secret_bindings": [{"binding_key": "A", "integration": " "}]}, "expected_config.managed_secret_bindings[0].integration"),
]


@pytest.mark.parametrize("member, value, path", RULES, ids=lambda value: str(value)[:40])
def test_a_rule_of_a_profile(shared_lane, member, value, path):
    """config-health 1.1 to 1.6: refused with the place, and the record stays"""
    plane = shared_lane.plane
    before = assert_ok(plane.get(f"{PROFILES}/{shared_lane.product}"))["profile"]
    body = shared_lane.profile()
    if member == "image":
        body["preview"] = preview()
    body = with_value(body, member, value)
    refused = assert_rejected(plane.post(PROFILES, body), 400, "invalid_request")
    assert path in refused["error"].get("path", refused["error"]["message"]), refused
    assert assert_ok(plane.get(f"{PROFILES}/{shared_lane.product}"))["profile"] == before


def test_triples_that_differ_are_no_duplicates(plane, lane):
    profile = lane.profile()
    places = [{}, {"context": "shop"}, {"context": "shop", "instance": "testing"}, {"context": "shop", "instance": "prod"}]
    profile["expected_config"] = {"runtime_environment_keys": [{"key": "A", **place} for place in places],
                                  "managed_secret_bindings": [{"binding_key": "A", **place} for place in places] + [
                                      {"binding_key": "A", "integration": "other"}]}
    assert_accepted(plane.post(PROFILES, profile))
    shown = assert_ok(plane.get(f"{PROFILES}/{lane.product}"))["profile"]["expected_config"]
    assert shown["runtime_environment_keys"][0] == {"key": "A", "context": "", "instance": ""}
    assert shown["managed_secret_bindings"][0] == {"binding_key": "A", "integration": "runtime_environment", "context": "", "instance": ""}


@pytest.mark.parametrize("checks, path", [
    ([{"name": "a"}], ".checks[0].url"), ([{"name": "a", "enabled": False}], None), ([{"name": "a", "url": "https://x"}], None),
    ([{"name": "a", "kind": "private_http", "enabled": False}], None),
    ([{"name": "a", "kind": "provider", "provider": "p", "provider_check": "c"}], None)])
def test_an_enabled_check_needs_something_to_ask(plane, lane, checks, path):
    """config-health 1.7: the write-only rule, here of a lane without any address"""
    profile = lane.profile()
    profile["lanes"][0].update(base_url="", health_url="", health_monitoring={"checks": checks})
    answer = plane.post(PROFILES, profile)
    if path is None:
        assert_accepted(answer)
        return
    refused = assert_rejected(answer, 400, "invalid_request")
    assert refused["error"]["path"].endswith(path)
    for address in ({"health_url": "https://x/health"}, {"base_url": "https://x"}):
        again = copy.deepcopy(profile)
        again["lanes"][0].update(address)
        assert_accepted(plane.post(PROFILES, again))
    again.update(health_path="", runtime_port=0)           # a base address without a path says nothing
    assert_rejected(plane.post(PROFILES, again), 400, "invalid_request", refused["error"]["path"])


def test_defaults_of_the_nested_blocks(plane, lane):
    """config-health 1.2 to 1.6"""
    profile = {name: lane.profile()[name] for name in ("product", "display_name", "repository", "driver_id", "updated_at", "source")}
    profile["lanes"] = [{"instance": "testing", "context": "shop", "health_monitoring": {"checks": [{"name": " Front ", "url": "https://x"}]}}]
    assert_accepted(plane.post(PROFILES, profile))
    shown = assert_ok(plane.get(f"{PROFILES}/{lane.product}"))["profile"]
    gate_defaults = {"enabled": False, "approval_issue_url": "", "data_source_mode": "empty", "confirmation": "",
                     "expected_target_name": "", "expected_domains": []}
    assert shown["lanes"][0] == {
        "instance": "testing", "context": "shop", "base_url": "", "health_url": "", "odoo_prelaunch_rebuild": gate_defaults,
        "odoo_stable_bootstrap": {**gate_defaults, "require_health_verification": True, "require_canonical_verification": True,
                                  "require_logo_verification": True},
        "odoo_data_policy": {"data_authority": "unknown", "allowed_rebuild_sources": [], "upstream_source": "",
                             "requires_backup_before_destroy": True, "requires_restore_proof": True, "requires_runtime_identity": True},
        "health_monitoring": {"checks": [{"name": "Front", "kind": "public_http", "enabled": True, "url": "https://x",
                                          "private_endpoint_key": "", "require_runtime_identity": False, "provider": "", "provider_check": ""}]}}
    assert shown["preview"] == {
        "enabled": False, "context": "", "enable_label": "launchplane-preview", "slug_template": "pr-{number}", "app_name_prefix": "",
        "template_instance": "testing", "required_template_env_keys": [], "copied_env_keys": [], "omitted_env_keys": [],
        "preview_url_env_keys": [], "preview_domain_env_keys": [], "required_provider_fields": [], "override_env": {},
        "data_transport_mode": "none", "migration_command": "", "seed_command": ""}
    assert shown["promotion_workflow"] == {"workflow_id": "promote-prod.yml", "ref": "main", "dry_run_input": "dry_run",
                                           "bump_input": "bump", "default_bump": "patch"}
    assert shown["expected_config"] == {"runtime_environment_keys": [], "managed_secret_bindings": []}
    assert (shown["schema_version"], shown["image"], shown["runtime_port"], shown["health_path"], shown["historical_contexts"]) == (
        1, {"repository": ""}, 0, "", [])


def test_the_old_address_for_alerts_is_taken_and_dropped(plane, lane):
    """config-health 1.2.1: destinations are notification policies"""
    profile = lane.profile()
    profile["lanes"][0].update(check(url="https://x", alert_issue_url="https://github.com/example-org/example-repo/issues/1"))
    assert_accepted(plane.post(PROFILES, profile))
    stored = plane.query("SELECT payload::text AS text FROM launchplane_product_profiles")[0]["text"]
    assert "alert_issue_url" not in stored and "issues/1" not in stored


DEFAULT_CHECK = {"name": "public-ingress", "kind": "public_http", "enabled": True, "url": "", "private_endpoint_key": "",
                 "require_runtime_identity": False, "provider": "", "provider_check": ""}


@pytest.mark.parametrize("lane_members, profile_members, checks", [
    ({"public_ingress_monitoring": {"enabled": False, "require_runtime_identity": True}}, {},
     [{**DEFAULT_CHECK, "enabled": False, "require_runtime_identity": True}]),
    ({"public_ingress_monitoring": {}, "health_url": "", "base_url": ""}, {}, [DEFAULT_CHECK]),
    ({"health_url": "https://x/health", "base_url": ""}, {"health_path": "", "runtime_port": 0}, [DEFAULT_CHECK]),
    ({"health_url": "", "base_url": "https://x"}, {}, [DEFAULT_CHECK]),
    ({"health_url": "", "base_url": "https://x"}, {"health_path": "", "runtime_port": 0}, []),
    ({"health_url": "", "base_url": ""}, {}, []),
    ({"health_monitoring": {"checks": []}}, {}, []),
    ({"health_monitoring": {"checks": [{"name": "own", "alert_issue_url": "https://x"}]}, "public_ingress_monitoring": {"enabled": True}}, {},
     [{**DEFAULT_CHECK, "name": "own"}])])
@pytest.mark.parametrize("column", ["json", "jsonb"])
def test_payloads_of_an_earlier_release_are_read(plane, lane, column, lane_members, profile_members, checks):
    """config-health 1.2.1: the read migration, whichever type the column has"""
    profile = {**lane.profile(), **profile_members}
    del profile["lanes"][0]["base_url"], profile["lanes"][0]["health_url"]
    profile["lanes"][0].update({"base_url": lane.base_url, "health_url": lane.health_url, **lane_members})
    if column == "jsonb":
        plane.query("ALTER TABLE launchplane_product_profiles ALTER COLUMN payload TYPE jsonb USING payload::jsonb")
    plane.query(f"UPDATE launchplane_product_profiles SET payload = %s::{column}", json.dumps(profile))
    shown = assert_ok(plane.get(f"{PROFILES}/{lane.product}"))["profile"]["lanes"][0]
    assert shown["health_monitoring"]["checks"] == checks
    assert "public_ingress_monitoring" not in shown


# command line

def test_a_product_is_named_by_a_word_or_by_a_flag(plane, lane):
    """config-health 1.7: show --product"""
    cli = Cli(plane)
    by_word, by_flag = cli("product-profiles", "show", lane.product), cli("product-profiles", "show", "--product", lane.product)
    assert by_flag.code == 0 and by_flag.out == by_word.out and lane.product in by_flag.out
    assert cli("product-profiles", "show").code == 2
    assert cli("secrets", "list", "--context", "shop").out == cli("secrets", "list", "shop").out
    secret_id = "secret-runtime-environment-odoo-db-password-shop-testing"
    assert cli("secrets", "show", "--secret-id", secret_id).out == cli("secrets", "show", secret_id).out
