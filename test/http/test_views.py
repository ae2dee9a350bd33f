"""Drivers, driver views, recent operations and the status of secrets (core 7.1, 7.3, 7.4; config-health 4.5)."""
import pytest

from checks import assert_ok, assert_rejected

from rehearsal import policy as policies
from test_products import READS, filled  # noqa: F401  (a fixture)

ALL = policies.workflow_rule(READS)
SHOP_ONLY = policies.workflow_rule(READS, ["launchplane"], ["shop"], repository="example-org/shop-only")
pytestmark = pytest.mark.policy(policies.render(github_actions=[ALL, SHOP_ONLY]))

SUMMARY = {"context", "instance", "inventory", "artifact_manifest", "release_tuple", "latest_deployment", "latest_promotion",
           "latest_backup_gate", "deployed_target", "provider_target", "dokploy_target_id", "dokploy_target",
           "runtime_environment_records", "odoo_instance_override", "secret_bindings", "provenance"}


def view(plane, path, **options):
    return assert_ok(plane.get(f"/v1/contexts/{path}/driver-view", **options))["view"]


# drivers

def test_drivers_describe_themselves(plane):
    drivers = assert_ok(plane.get("/v1/drivers"))["drivers"]
    assert [driver["driver_id"] for driver in drivers] == ["generic-web", "odoo", "verireel"]
    for driver in drivers:
        assert set(driver) >= {"schema_version", "driver_id", "base_driver_id", "label", "product", "description", "context_patterns",
                               "provider_boundary", "capabilities", "actions", "setting_groups"}
        assert driver == assert_ok(plane.get(f"/v1/drivers/{driver['driver_id']}"))["driver"]
        named = {action["action_id"] for action in driver["actions"]}
        base = {action["action_id"] for action in drivers[0]["actions"]}
        for capability in driver["capabilities"]:
            assert set(capability["actions"]) <= named | base, capability
        for action in driver["actions"]:
            assert action["safety"] in ("read", "safe_write", "mutation", "destructive")
            assert action["scope"] in ("global", "context", "instance", "preview")
            assert action["authz_action"]
        assert "dokploy" not in str(driver).lower()
    paths = [action["route_path"] for driver in drivers for action in driver["actions"]]
    assert len(paths) == len(set(paths))
    assert_rejected(plane.get("/v1/drivers/none"), 404, "not_found")


# views

def test_a_context_nobody_knows_has_no_drivers(plane):
    assert view(plane, "nowhere") == {"schema_version": 1, "context": "nowhere", "instance": "", "drivers": []}


def test_drivers_show_by_pattern_by_product_and_as_clones(filled):
    assert [driver["driver_id"] for driver in view(filled, "shop")["drivers"]] == ["odoo"]
    assert [driver["driver_id"] for driver in view(filled, "shop-previews")["drivers"]] == ["odoo"]
    assert [driver["driver_id"] for driver in view(filled, "verireel-testing")["drivers"]] == ["verireel"]
    clone = view(filled, "site")["drivers"][0]
    assert (clone["driver_id"], clone["descriptor"]["base_driver_id"], clone["descriptor"]["label"]) == ("site", "generic-web", "Site")
    assert clone["descriptor"]["context_patterns"] == ["site"]
    assert clone["lane_summary"] is None
    assert "prod_rollback" not in {action["action_id"] for action in clone["available_actions"]}   # of an instance


def test_a_lane_summary_has_every_field(filled):
    driver = view(filled, "shop/instances/prod")["drivers"][0]
    assert set(driver) == {"driver_id", "descriptor", "available_actions", "lane_summary", "preview_summaries",
                           "preview_inventory_provenance"}
    shown = driver["lane_summary"]
    assert set(shown) == SUMMARY
    assert shown["inventory"]["deployment_record_id"] == shown["latest_deployment"]["record_id"]
    assert shown["artifact_manifest"]["artifact_id"] == shown["release_tuple"]["artifact_id"] == "artifact-shop-0002"
    assert shown["latest_promotion"]["record_id"] == "promotion-20260602T100000Z-shop-testing-to-prod"
    assert shown["latest_backup_gate"]["record_id"] == "backup-shop-prod-20260610T095500Z"
    assert shown["dokploy_target_id"]["target_id"] == shown["provider_target"]["target_id"] == "t-shop-prod"
    assert (shown["dokploy_target"]["env_keys"], "env" in shown["dokploy_target"]) == (["SETTING"], False)
    assert shown["odoo_instance_override"]["config_parameters"] == [{"key": "web.base.url", "source": "literal"}]
    assert shown["provenance"]["freshness_status"] == "stale"
    assert "prod_rollback" in {action["action_id"] for action in driver["available_actions"]}


def test_an_inventory_older_than_the_latest_deployment_is_dropped(filled):
    """core 7.4: site/prod was rolled forward after its inventory was written"""
    shown = view(filled, "site/instances/prod")["drivers"][0]["lane_summary"]
    assert shown["inventory"] is None
    assert shown["provenance"]["source_record_id"] == shown["latest_deployment"]["record_id"] == "deployment-20260609T100000Z-site-prod"


def test_an_empty_lane_is_missing(filled):
    shown = view(filled, "shop/instances/staging")["drivers"][0]["lane_summary"]
    assert shown["provenance"]["freshness_status"] == "missing"
    assert {name for name in SUMMARY if shown[name] is None} == SUMMARY - {
        "context", "instance", "runtime_environment_records", "secret_bindings", "provenance"}


def test_previews_show_their_generations(filled):
    driver = view(filled, "shop-previews")["drivers"][0]
    shown = driver["preview_summaries"]
    assert [row["preview"]["anchor_pr_number"] for row in shown] == [7]              # a destroyed one is history
    assert [row["sequence"] for row in shown[0]["recent_generations"]] == [2, 1]
    assert shown[0]["latest_generation"]["sequence"] == 2
    assert shown[0]["provenance"]["freshness_status"] == "verified"
    assert driver["preview_inventory_provenance"]["source_record_id"].startswith("preview-inventory-scan-")
    filled.query("DELETE FROM launchplane_preview_inventory_scans")
    assert view(filled, "shop-previews")["drivers"][0]["preview_inventory_provenance"] == shown[0]["provenance"]
    filled.pass_time(minutes=11)
    assert view(filled, "shop-previews")["drivers"][0]["preview_summaries"][0]["provenance"]["freshness_status"] == "stale"


# recent operations

def test_recent_operations_of_a_context(filled):
    body = assert_ok(filled.get("/v1/contexts/shop/operations/recent"))
    assert set(body) == {"status", "trace_id", "context", "storage_backend", "inventory", "recent_deployments", "recent_promotions",
                         "recent_previews"}
    assert (body["context"], body["storage_backend"]) == ("shop", "postgres")
    assert [row["instance"] for row in body["inventory"]] == ["prod", "testing"]
    assert body["recent_deployments"][0]["record_id"] == "deployment-20260610T110000Z-shop-testing"
    assert [row["record_id"][10:18] for row in body["recent_promotions"]] == ["20260602", "20260521"]
    filled.query("INSERT INTO launchplane_deployments SELECT 'd-' || n, 'shop', 'prod', '', '', '', '2027', '{}' FROM generate_series(1, 12) n")
    assert len(assert_ok(filled.get("/v1/contexts/shop/operations/recent"))["recent_deployments"]) == 10
    empty = assert_ok(filled.get("/v1/contexts/none/operations/recent"))
    assert [empty[name] for name in ("inventory", "recent_deployments", "recent_promotions", "recent_previews")] == [[]] * 4


# secrets

def test_the_status_of_secrets_has_every_field_and_no_value(filled):
    shown = assert_ok(filled.get("/v1/contexts/shop/instances/prod/secrets"))
    assert (shown["context"], shown["instance"]) == ("shop", "prod")
    assert [secret["secret_id"] for secret in shown["secrets"]] == [
        "secret-runtime-environment-odoo-db-password-shop-prod", "secret-dokploy-dokploy-token"]
    secret = shown["secrets"][0]
    assert set(secret) == {"secret_id", "scope", "integration", "name", "context", "instance", "policy", "status", "description",
                           "created_at", "updated_at", "updated_by", "last_validated_at", "current_version_id", "version_count",
                           "current_version_created_at", "binding", "recent_audit_events"}
    assert (secret["version_count"], secret["current_version_created_at"]) == (2, "2026-05-02T09:00:00Z")
    assert set(secret["binding"]) == {"binding_id", "binding_type", "binding_key", "status", "context", "instance", "updated_at"}
    events = secret["recent_audit_events"]
    assert [event["recorded_at"] for event in events] == [f"2026-05-0{day}T09:00:00Z" for day in (7, 6, 5, 4, 3)]
    assert set(events[0]) == {"event_id", "event_type", "recorded_at", "actor", "detail", "metadata"}
    assert assert_ok(filled.get(f"/v1/secrets/{secret['secret_id']}"))["secret"] == secret


def test_which_secrets_a_context_shows(filled):
    def ids(path):
        return [secret["secret_id"] for secret in assert_ok(filled.get(path))["secrets"]]

    assert assert_ok(filled.get("/v1/contexts/shop/secrets"))["instance"] == ""
    assert ids("/v1/contexts/shop/secrets") == ["secret-dokploy-dokploy-token"]
    assert ids("/v1/contexts/site/secrets") == ["secret-runtime-environment-site-token-site", "secret-dokploy-dokploy-token"]
    assert ids("/v1/contexts/site/instances/prod/secrets") == ids("/v1/contexts/site/secrets")
    assert_rejected(filled.get("/v1/secrets/none"), 404, "not_found")


# who may see what

@pytest.mark.parametrize("path", ["contexts/{}/driver-view", "contexts/{}/instances/prod/driver-view", "contexts/{}/operations/recent",
                                  "contexts/{}/secrets", "contexts/{}/instances/prod/secrets"])
def test_a_context_is_shown_to_its_own_callers_alone(filled, path):
    mine = filled.token(repository="example-org/shop-only")
    first = filled.get(f"/v1/{path.format('shop')}", token=mine)
    assert_ok(first)
    again = filled.get(f"/v1/{path.format('shop')}", token=mine, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert_rejected(filled.get(f"/v1/{path.format('site')}", token=mine), 403, "authorization_denied")


def test_a_secret_is_read_before_it_is_authorized(filled):
    """core 1.10: the stored context decides"""
    mine = filled.token(repository="example-org/shop-only")
    assert_ok(filled.get("/v1/secrets/secret-runtime-environment-odoo-db-password-shop-prod", token=mine))
    assert_rejected(filled.get("/v1/secrets/secret-runtime-environment-site-token-site", token=mine), 403, "authorization_denied")
    assert_rejected(filled.get("/v1/secrets/none", token=mine), 404, "not_found")
    assert_rejected(filled.get("/v1/drivers", token=mine), 403, "authorization_denied")
