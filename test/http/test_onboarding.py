"""POST /v1/product-onboarding/apply: a product with all it needs, from one manifest. config-health 5.7."""
import copy
import json

import pytest

from checks import assert_accepted, assert_rejected
from cli import Cli, input_file
from rehearsal import policy as policies
from test_records import config

ONBOARD = "/v1/product-onboarding/apply"
PROFILES = "/v1/product-profiles"


def manifest(product="example-site", **changes):
    lanes = [{"instance": "testing", "context": product, "base_url": "https://testing.example.com/"},
             {"instance": "prod", "context": product, "base_url": "https://example.com"}]
    return {
        "product": product, "display_name": "Example", "repository": "example-org/example-repo",
        "image_repository": "registry.example.com/site", "runtime_port": 8080, "health_path": "/healthz", "lanes": lanes,
        "historical_contexts": ["old"],
        "expected_config": {"runtime_environment_keys": [{"key": "SITE_NAME"}]},
        "provider_targets": [{"context": product, "instance": "testing", "target_id": "compose-1", "target_name": "site-testing",
                              "project_name": "sites", "domains": ["testing.example.com"]}],
        "runtime_environments": [{"context": product, "env": {"SITE_NAME": "value-of-the-site"}},
                                 {"scope": "instance", "context": product, "instance": "testing", "env": {"WORKERS": 2}}],
        "secret_bindings": [{"binding_key": "SMTP_PASSWORD", "context": product, "instance": "testing"}], **changes}


def onboard(plane, body=None, **more):
    return plane.post(ONBOARD, {"manifest": body or manifest(), **more})


def test_a_manifest_makes_everything(plane):
    body = assert_accepted(onboard(plane))
    assert body["records"] == {"product_profile": "example-site"}
    result = body["result"]
    assert (result["provider_target_count"], result["runtime_environment_count"], result["secret_binding_count"]) == (1, 2, 1)
    assert result["provider_targets"][0]["target_id"] == "compose-1"
    assert [row["env_keys"] for row in result["runtime_environments"]] == [["SITE_NAME"], ["WORKERS"]]
    assert result["secret_bindings"][0]["action"] == "placeholder_created"
    assert "value-of-the-site" not in str(body)
    profile = plane.query("SELECT payload FROM launchplane_product_profiles")[0]["payload"]
    assert (profile["driver_id"], profile["source"]) == ("generic-web", "product-onboarding")
    assert [lane["health_url"] for lane in profile["lanes"]] == ["https://testing.example.com/healthz", "https://example.com/healthz"]
    target = plane.query("SELECT payload FROM launchplane_dokploy_targets")[0]["payload"]
    assert (target["healthcheck_path"], target["target_name"], target["domains"]) == (
        "/healthz", "site-testing", ["testing.example.com"])
    row = plane.query("SELECT payload FROM launchplane_provider_targets")[0]["payload"]
    assert (row["provider_id"], row["target_id"], row["provider_evidence"]) == ("dokploy", "compose-1", {"project_name": "sites"})
    binding = plane.query("SELECT binding_id, secret_id, status FROM launchplane_secret_bindings")[0]
    assert binding["secret_id"] == "secret-example-site-example-site-testing-smtp-password"
    assert binding["binding_id"].startswith("binding-example-site-") and binding["status"] == "disabled"


def test_the_odoo_driver_gets_no_default_health_url(plane):
    assert_accepted(onboard(plane, manifest(driver_id="odoo")))
    profile = plane.query("SELECT payload FROM launchplane_product_profiles")[0]["payload"]
    assert [lane["health_url"] for lane in profile["lanes"]] == ["", ""]


def test_a_dry_run_leaves_nothing_and_a_pinned_plan_is_kept_to(plane):
    before = plane.counts()
    plan = assert_accepted(onboard(plane, mode="dry-run"))["result"]
    assert plan["mode"] == "dry-run" and plane.counts() == before
    changed = manifest(display_name="Another")
    fresh = assert_rejected(onboard(plane, changed, plan_digest=plan["plan_digest"]), 409, "plan_changed", "plan_digest")["plan"]
    assert plane.counts() == before
    assert_accepted(onboard(plane, changed, plan_digest=fresh["plan_digest"]))


def test_what_people_keep_by_hand_wins_when_it_is_applied_again(plane):
    assert_accepted(onboard(plane))
    row = plane.query("SELECT payload FROM launchplane_product_profiles")[0]["payload"]
    row["lanes"][0]["health_monitoring"]["checks"] = [
        {"name": "by-hand", "kind": "public_http", "url": "https://example.com/own"}]

    plane.query("UPDATE launchplane_product_profiles SET payload = %s::json", json.dumps(row))
    again = manifest(historical_contexts=["older"], display_name="Renamed")
    again["lanes"][0]["health_monitoring"] = {"checks": [{"name": "from-manifest"}]}
    assert_accepted(onboard(plane, again))
    after = plane.query("SELECT payload FROM launchplane_product_profiles")[0]["payload"]
    assert after["display_name"] == "Renamed"
    assert [check["name"] for check in after["lanes"][0]["health_monitoring"]["checks"]] == ["by-hand"]
    assert after["historical_contexts"] == ["old", "older"]


def test_a_provider_row_that_names_something_else_blocks_everything(plane):
    assert_accepted(onboard(plane))
    before = plane.query("SELECT payload::text FROM launchplane_product_profiles"), plane.counts()
    other = manifest(display_name="Renamed", runtime_environments=[{"env": {"NEW": "1"}}])
    other["provider_targets"][0]["target_id"] = "compose-2"
    answer = onboard(plane, other)
    assert 400 <= answer.status_code < 500, answer.text
    assert (plane.query("SELECT payload::text FROM launchplane_product_profiles"), plane.counts()) == before


def test_placeholders_give_way_to_configured_bindings(plane, lane):
    """Not written where one covers the place; one that stands there is retired"""
    key = "ODOO_DB_PASSWORD"
    covered = [{"binding_key": key, "context": lane.context, "instance": lane.instance}]
    body = manifest(lanes=[{"instance": lane.instance, "context": lane.context}], provider_targets=[], runtime_environments=[],
                    secret_bindings=covered)
    result = assert_accepted(onboard(plane, body))["result"]
    assert result["secret_bindings"][0]["action"] == "covered"
    plane.query("UPDATE launchplane_secret_bindings SET status = 'disabled' WHERE binding_key = %s", key)
    assert assert_accepted(onboard(plane, body))["result"]["secret_bindings"][0]["action"] == "placeholder_created"
    config(plane, lane)
    found = plane.query("SELECT integration, status FROM launchplane_secret_bindings WHERE binding_key = %s"
                        " AND binding_id LIKE 'binding-%%'", key)
    assert found == [{"integration": "retired:runtime_environment", "status": "disabled"}]


BAD = [
    ({"lanes": []}, "manifest.lanes"), ({"dokploy_targets": []}, "dokploy_targets"), ({"repository": "nonsense"}, "repository"),
    ({"health_path": "healthz"}, "health_path"), ({"display_name": " "}, "display_name"), ({"nonsense": 1}, "nonsense"),
    ({"provider_targets": [{"context": "other", "instance": "testing", "target_id": "x"}]}, "provider_targets[0].instance"),
    ({"provider_targets": [{"context": "example-site", "instance": "testing"}]}, "provider_targets[0].target_id"),
    ({"provider_targets": [{"context": "example-site", "instance": "testing", "target_id": "x", "provider_id": "fly"}]}, "provider_id"),
    ({"runtime_environments": [{"context": "other", "env": {"A": "1"}}]}, "runtime_environments[0].context"),
    ({"runtime_environments": [{"context": "example-site", "instance": "dev", "env": {"A": "1"}}]}, "runtime_environments[0].instance"),
    ({"runtime_environments": [{"scope": "global", "context": "example-site", "env": {"A": "1"}}]}, "runtime_environments[0].scope"),
    ({"runtime_environments": [{"env": {"API_TOKEN": "hidden-value"}}]}, "runtime_environments[0].env.API_TOKEN"),
    ({"runtime_environments": [{"env": {}}]}, "runtime_environments[0].env"),
    ({"secret_bindings": [{"binding_key": "A_TOKEN", "context": "example-site", "instance": "dev"}]}, "secret_bindings[0].instance"),
    ({"secret_bindings": [{"binding_key": "A_TOKEN", "status": "nonsense"}]}, "secret_bindings[0].status"),
    ({"secret_bindings": [{"binding_key": "A_TOKEN", "status": "configured"}]}, "secret_bindings[0].secret_id"),
    ({"secret_bindings": [{"binding_key": "A_TOKEN", "status": "configured", "secret_id": "secret-none"}]}, "secret_id"),
    ({"secret_bindings": [{"binding_key": "A_TOKEN", "value": "hidden-value"}]}, "value"),
    ({"secret_bindings": [{"binding_key": "A_TOKEN"}, {"binding_key": "A_TOKEN"}]}, "secret_bindings[1].binding_key"),
]


@pytest.mark.parametrize("changes, path", BAD, ids=[f"{number}-{path}" for number, (_, path) in enumerate(BAD)])
def test_bad_manifests_name_the_field_and_write_nothing(shared_plane, changes, path):
    before = shared_plane.counts()
    answer = onboard(shared_plane, manifest(**changes))
    assert_rejected(answer, 400, "invalid_request")
    error = answer.json()["error"]
    assert path in error.get("path", "") + error["message"], error
    assert "hidden-value" not in answer.text
    assert shared_plane.counts() == before


def test_two_lanes_of_one_instance_are_refused(shared_plane):
    body = manifest()
    body["lanes"].append(copy.deepcopy(body["lanes"][0]) | {"context": "example-site"})
    assert_rejected(onboard(shared_plane, body), 400, "invalid_request", "manifest.lanes[2].instance")


def test_another_product_than_launchplane_is_refused(shared_plane):
    assert_rejected(onboard(shared_plane, product="example-site"), 400, "invalid_request", "product")


@pytest.mark.policy(policies.render(github_actions=[policies.workflow_rule(["product_onboarding.apply"], ["example-site"], ["*"])]))
def test_onboarding_is_a_right_on_launchplane_itself(plane):
    assert_rejected(onboard(plane), 403, "authorization_denied")


def test_the_command_line_takes_the_manifest_as_its_file(plane, tmp_path):
    cli = Cli(plane)
    path = input_file(tmp_path, manifest())
    planned = cli("product-onboarding", "apply", "--dry-run", "--input-file", path)
    assert planned.code == 0, planned
    digest = planned.fields()["result.plan_digest"]
    applied = cli("product-onboarding", "apply", "--apply", "--input-file", path, "--plan-digest", digest)
    assert applied.code == 0 and applied.fields()["product_profile"] == "example-site"
    assert_rejected(plane.get(f"{PROFILES}/example-site"), 403, "authorization_denied")
