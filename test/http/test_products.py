"""The product read model: fields, trust, availability of actions, configuration, activity, and who sees what (core 7.2)."""
import json

import pytest

import history
from checks import assert_ok, assert_rejected
from history import NOW, SHOP, SITE
from rehearsal import policy as policies
from rehearsal.waiting import wait_until

READS = ["product_environment.read", "driver.read", "operations.read", "secret.list", "secret.read", "product_profile.read"]
EVERYTHING = policies.workflow_rule([*READS, "odoo_prod_promotion.execute"])
SHOP_ONLY = policies.workflow_rule(READS, [SHOP], ["shop", "launchplane"], repository="example-org/shop-only")
PROD_OF_SITE = policies.workflow_rule(["product_environment.read", "generic_web_deploy.execute", "generic_web_prod_rollback.execute",
                                       "generic_web_prod_promotion.execute"], [SITE], ["site*"], repository="example-org/site")
pytestmark = pytest.mark.policy(policies.render(github_actions=[EVERYTHING, SHOP_ONLY, PROD_OF_SITE]))

LANE_KEYS = {"prelaunch_rebuild_allowed", "prelaunch_rebuild_data_source_mode", "prelaunch_rebuild_approval_issue_url",
             "odoo_data_authority", "odoo_allowed_rebuild_sources", "odoo_upstream_source", "odoo_requires_backup_before_destroy",
             "odoo_requires_restore_proof", "odoo_requires_runtime_identity"}
PROVENANCE = {"source_kind", "source_record_id", "recorded_at", "refreshed_at", "stale_after", "freshness_status", "detail"}
KNOWN = {"stable_deploy", "prod_promotion", "prod_promotion_workflow", "prod_backup_gate", "prod_rollback", "preview_desired_state",
         "preview_inventory", "preview_refresh", "preview_readiness", "preview_destroy"}


def read(plane, path, member, **options):
    return assert_ok(plane.get(path, **options))[member]


def environment(plane, product, name, **options):
    return read(plane, f"/v1/products/{product}/environments/{name}", "environment", **options)


@pytest.fixture
def filled(plane, doubles):
    """The service with the predecessor's records, at the moment they were left."""
    import psycopg

    with psycopg.connect(plane.database_url, autocommit=True) as connection:
        history.insert(connection, without=["launchplane_authz_policies"])
    doubles.clock.advance(history.seconds(NOW) - doubles.clock.now())
    return plane


def actions(document):
    return {action["action_id"]: action for action in document["available_actions"]}


# empty, partial, full

def test_nothing_is_there_at_first(plane):
    assert read(plane, "/v1/products", "products") == []
    for path in ("", "/activity", "/environments", "/environments/prod", "/environments/prod/config-status",
                 "/environments/prod/origin", "/environments/prod/rollback-target", "/diff?from=testing&to=prod"):
        assert_rejected(plane.get(f"/v1/products/none{path}"), 404, "not_found")


def test_a_product_without_records_has_missing_lanes(plane):
    """partial: a profile alone"""
    import psycopg

    with psycopg.connect(plane.database_url, autocommit=True) as connection:
        history.insert(connection, without=set(history.rows()) - {"launchplane_product_profiles"})
    shown = environment(plane, SITE, "prod")
    assert (shown["trust_state"], shown["provenance"]["freshness_status"]) == ("missing", "missing")
    assert shown["target"] == {
        "provider": "dokploy", "target_type": "", "target_name": "", "target_id": "", "provider_target_type": "",
        "target_id_recorded": False, "artifact_manifest": None, "expected_runtime_identity": None, "observed_runtime_identity": None,
        "runtime_identity_status": "unchecked", "runtime_identity_detail": "", "trust_state": "missing"}
    assert (shown["runtime_settings"], shown["managed_secrets"], shown["warnings"]) == ([], [], [])
    assert (shown["public_ingress"]["status"], shown["public_ingress"]["trust_state"]) == ("missing", "missing")
    assert read(plane, f"/v1/products/{SITE}", "product")["trust_state"] == "missing"
    events = read(plane, f"/v1/products/{SITE}/activity", "activity")["events"]
    assert {event["event_type"] for event in events} <= {"authz_policy"}


def test_a_deployment_without_inventory_speaks_for_the_lane(filled):
    filled.query("DELETE FROM launchplane_inventory WHERE context = 'site' AND instance = 'prod'")
    shown = environment(filled, SITE, "prod")
    assert shown["provenance"]["source_record_id"] == "deployment-20260609T100000Z-site-prod"
    assert shown["provenance"]["recorded_at"] == "2026-06-09T10:04:00Z"
    assert shown["target"]["artifact_manifest"]["artifact_id"] == "artifact-site-0007"


def test_the_environment_has_every_field(filled):
    shown = environment(filled, SHOP, "prod")
    assert set(shown) == LANE_KEYS | {
        "schema_version", "product", "display_name", "repository", "driver_id", "base_driver_id", "environment", "context", "base_url",
        "health_url", "target", "public_ingress", "runtime_settings", "managed_secrets", "available_actions", "warnings", "trust_state",
        "provenance"}
    assert set(shown["provenance"]) == set(shown["public_ingress"]["provenance"]) == PROVENANCE
    assert (shown["driver_id"], shown["base_driver_id"], shown["base_url"]) == ("odoo", "generic-web", "https://shop.example.com")
    target = shown["target"]
    assert (target["target_id"], target["target_type"], target["target_id_recorded"], target["trust_state"]) == (
        "t-shop-prod", "compose", True, "recorded")
    assert target["artifact_manifest"]["artifact_id"] == "artifact-shop-0002"
    assert target["expected_runtime_identity"]["deployment_record_id"] == "deployment-20260602T100000Z-shop-prod"
    assert target["runtime_identity_status"] == "match"
    assert [(row["scope"], row["env_keys"], row["env_value_count"]) for row in shown["runtime_settings"]] == [
        ("global", ["TZ"], 1), ("context", ["ODOO_DB_NAME"], 1), ("instance", ["ODOO_DB_NAME", "WORKERS"], 2)]
    assert [(row["binding_key"], row["status"], row["trust_state"]) for row in shown["managed_secrets"]] == [
        ("ODOO_DB_PASSWORD", "configured", "recorded")]
    assert environment(filled, SHOP, "testing")["managed_secrets"][0]["trust_state"] == "disabled"


def test_values_and_ciphertexts_are_never_shown(filled):
    paths = [f"/v1/products/{SHOP}/environments/prod", f"/v1/products/{SHOP}/environments/prod/config-status",
             f"/v1/products/{SHOP}/diff?from=testing&to=prod", "/v1/contexts/shop/instances/prod/driver-view",
             "/v1/contexts/shop/instances/prod/secrets", "/v1/secrets/secret-runtime-environment-odoo-db-password-shop-prod"]
    for path in paths:
        text = filled.get(path).text
        assert history.RUNTIME_VALUE not in text and history.CIPHERTEXT not in text, path


# trust

def test_a_lane_is_trusted_for_half_an_hour(filled):
    assert environment(filled, SHOP, "testing")["trust_state"] == "verified"
    assert environment(filled, SHOP, "testing")["provenance"]["stale_after"] == "2026-06-10T12:20:00Z"
    filled.pass_time(minutes=21)
    assert environment(filled, SHOP, "testing")["trust_state"] == "stale"
    assert environment(filled, SHOP, "prod")["trust_state"] == "stale"


@pytest.mark.parametrize("stamp, verified, state, stale_after", [
    ("2026-06-10T11:55:00Z", "true", "verified", "2026-06-10T12:25:00Z"),
    ("2026-06-10T11:55:00Z", "false", "recorded", "2026-06-10T12:25:00Z"),
    ("2026-06-10T13:55:00+02:00", "true", "verified", "2026-06-10T12:25:00Z"),
    ("2026-06-10T11:55:00", "true", "verified", "2026-06-10T12:25:00Z"),
    ("2026-06-10T11:00:00.5Z", "true", "stale", "2026-06-10T11:30:00Z"),
    ("yesterday", "true", "recorded", ""), ("2026-02-31T10:00:00Z", "true", "recorded", ""), ("", "true", "recorded", ""),
])
def test_times_are_read_as_they_come(filled, stamp, verified, state, stale_after):
    """core 8.2, 8.5: offsets and naive times are understood; what cannot be read is only recorded"""
    filled.query("UPDATE launchplane_inventory SET updated_at = %s, payload = jsonb_set(payload::jsonb,"
                 " '{destination_health,verified}', %s::jsonb)::json WHERE context = 'shop' AND instance = 'prod'", stamp, verified)
    shown = environment(filled, SHOP, "prod")
    assert (shown["trust_state"], shown["provenance"]["stale_after"]) == (state, stale_after)


def test_the_worst_lane_decides_a_product(filled):
    assert read(filled, f"/v1/products/{SHOP}", "product")["trust_state"] == "stale"
    filled.query("UPDATE launchplane_inventory SET updated_at = '2026-06-10T11:59:00Z' WHERE context = 'shop'")
    assert read(filled, f"/v1/products/{SHOP}", "product")["trust_state"] == "verified"
    filled.query("DELETE FROM launchplane_inventory WHERE context = 'shop' AND instance = 'prod'")
    filled.query("DELETE FROM launchplane_deployments WHERE context = 'shop' AND instance = 'prod'")
    assert read(filled, f"/v1/products/{SHOP}", "product")["trust_state"] == "missing"


@pytest.mark.parametrize("status, state", [("pass", "verified"), ("fail", "stale"), ("skipped", "unsupported")])
def test_the_newest_public_observation_counts(filled, status, state):
    filled.query("UPDATE launchplane_public_ingress_observations SET status = %s", status)
    filled.query("INSERT INTO launchplane_public_ingress_observations VALUES ('private', %s, 'shop', 'prod', 'fail',"
                 " '2026-06-10T11:59:00Z', '{\"check_kind\": \"private_http\"}')", SHOP)
    shown = environment(filled, SHOP, "prod")["public_ingress"]
    assert (shown["status"], shown["trust_state"], shown["incident_status"]) == (status, state, "")
    shown = environment(filled, SHOP, "testing")["public_ingress"]
    assert (shown["incident_status"], shown["incident_opened_at"], shown["notification_sent"]) == ("open", "2026-06-10T11:30:00Z", True)


# overview

def test_the_overview_has_every_field(filled):
    shown = read(filled, f"/v1/products/{SHOP}", "product")
    assert set(shown) == {"schema_version", "product", "display_name", "repository", "driver_id", "base_driver_id", "environments",
                          "preview", "warnings", "trust_state", "provenance", "available_actions"}
    assert [row["environment"] for row in shown["environments"]] == ["testing", "prod"]
    assert set(shown["environments"][0]) == LANE_KEYS | {
        "environment", "context", "base_url", "health_url", "public_ingress", "trust_state", "provenance", "warnings", "available_actions"}
    assert shown["environments"][0]["odoo_data_authority"] == "resettable"
    assert shown["provenance"]["recorded_at"] == "2026-05-01T08:00:00Z"
    preview = shown["preview"]
    assert (preview["enabled"], preview["context"], preview["active_count"], preview["trust_state"]) == (True, "shop-previews", 1, "verified")
    assert preview["latest_preview_id"] == "preview-shop-previews-odoo-tenant-shop-pr-7"
    assert preview["provenance"]["source_record_id"].startswith("preview-inventory-scan-")
    off = read(filled, f"/v1/products/{SITE}", "product")["preview"]
    assert (off["enabled"], off["active_count"], off["trust_state"], off["provenance"]["source_kind"]) == (
        False, 0, "unsupported", "unsupported")


def test_products_and_their_environments_agree(filled):
    products = read(filled, "/v1/products", "products")
    assert [product["product"] for product in products] == [SHOP, SITE]
    for product in products:
        assert product == read(filled, f"/v1/products/{product['product']}", "product")
        body = assert_ok(filled.get(f"/v1/products/{product['product']}/environments"))
        assert body["environments"] == product["environments"]
        assert set(body) == {"status", "trace_id", "product", "display_name", "repository", "driver_id", "base_driver_id", "environments",
                             "trust_state", "provenance"}


def test_an_unknown_driver_is_a_warning(filled):
    filled.query("UPDATE launchplane_product_profiles SET driver_id = 'lost' WHERE product = %s", SITE)
    shown = read(filled, f"/v1/products/{SITE}", "product")
    assert shown["warnings"] == ["driver lost is not registered"]
    assert environment(filled, SITE, "prod")["warnings"] == ["driver lost is not registered"]


# actions

def test_actions_say_why_they_cannot_be_used(filled):
    shown = actions(read(filled, f"/v1/products/{SHOP}", "product"))
    assert KNOWN <= set(shown)
    assert set(shown["prod_promotion"]) == {"action_id", "label", "description", "safety", "scope", "method", "route_path", "authz_action",
                                            "alternate_authz_actions", "enabled", "disabled_reasons", "trust_state"}
    assert (shown["prod_promotion"]["enabled"], shown["prod_promotion"]["route_path"]) == (True, "/v1/drivers/odoo/prod-promotion")
    assert shown["stable_deploy"]["route_path"] == "/v1/drivers/generic-web/deploy"         # inherited
    assert shown["stable_deploy"]["disabled_reasons"] == ["the caller's grants do not allow generic_web_deploy.execute here"]
    assert "stable_verification" not in shown                           # not for operators
    site = actions(read(filled, f"/v1/products/{SITE}", "product"))
    assert (site["prod_backup_gate"]["enabled"], site["prod_backup_gate"]["trust_state"]) == (False, "unsupported")
    assert "previews are not enabled for the product" in site["preview_refresh"]["disabled_reasons"]


def test_actions_follow_the_callers_grants(filled):
    token = filled.token(repository="example-org/site")
    shown = actions(environment(filled, SITE, "prod", token=token))
    assert shown["stable_deploy"]["enabled"] and shown["prod_rollback"]["enabled"]
    assert shown["preview_destroy"]["disabled_reasons"][-1] == "the caller's grants do not allow preview_destroy.execute here"
    strangers = actions(environment(filled, SITE, "prod"))
    assert not strangers["stable_deploy"]["enabled"]


def test_promotion_of_generic_web_needs_both_lanes_in_one_context(filled):
    token = filled.token(repository="example-org/site")
    path = "UPDATE launchplane_product_profiles SET payload = jsonb_set(payload::jsonb, '{lanes,0,context}', '\"site-t\"')::json"
    assert actions(environment(filled, SITE, "prod", token=token))["prod_promotion"]["enabled"]
    filled.query(f"{path} WHERE product = '{SITE}'")
    reasons = actions(environment(filled, SITE, "prod", token=token))["prod_promotion"]["disabled_reasons"]
    assert reasons == ["promotion needs a testing and a prod lane in one context"]
    filled.query(f"UPDATE launchplane_product_profiles SET payload = (payload::jsonb #- '{{lanes,1}}')::json WHERE product = '{SITE}'")
    reasons = actions(environment(filled, SITE, "testing", token=token))["prod_rollback"]["disabled_reasons"]
    assert reasons == ["the product has no prod lane"]


# configuration

def test_config_status_names_what_is_there_and_what_is_not(filled):
    shown = read(filled, f"/v1/products/{SHOP}/environments/prod/config-status", "config_status")
    assert set(shown) == {"schema_version", "product", "display_name", "repository", "driver_id", "base_driver_id", "environment",
                          "context", "runtime_settings", "managed_secrets", "warnings", "trust_state", "provenance"}
    assert shown["runtime_settings"] == [
        {"key": "ODOO_DB_NAME", "status": "configured", "context": "shop", "instance": "prod", "source_label": "cli",
         "updated_at": "2026-05-03T10:00:00Z", "trust_state": "recorded"},
        {"key": "ODOO_BACKUP_ROOT", "status": "missing", "context": "shop", "instance": "prod", "source_label": "", "updated_at": "",
         "trust_state": "missing"}]
    assert [row["status"] for row in shown["managed_secrets"]] == ["configured"]
    assert "secret_id" not in shown["managed_secrets"][0]
    assert shown["trust_state"] == "missing"
    testing = read(filled, f"/v1/products/{SHOP}/environments/testing/config-status", "config_status")
    assert [(row["key"], row["context"], row["instance"]) for row in testing["runtime_settings"]] == [("ODOO_DB_NAME", "shop", "")]
    assert [row["status"] for row in testing["managed_secrets"]] == ["disabled"]
    assert read(filled, f"/v1/products/{SITE}/environments/prod/config-status", "config_status")["trust_state"] == "recorded"


# activity

def test_activity_tells_all_kinds_of_events_newest_first(filled):
    shown = read(filled, f"/v1/products/{SHOP}/activity", "activity")
    assert set(shown) == {"schema_version", "product", "display_name", "repository", "driver_id", "events"}
    events = shown["events"]
    assert {event["event_type"] for event in events} == {
        "deployment", "promotion", "backup_gate", "preview", "preview_desired_state", "preview_cleanup", "preview_pr_feedback",
        "authz_policy"}
    order = [(event["occurred_at"], event["event_id"]) for event in events]
    assert order == sorted(order, reverse=True)
    assert all(event["context"] != "site" for event in events)
    promoted = next(event for event in events if event["event_id"] == "promotion:promotion-20260602T100000Z-shop-testing-to-prod")
    assert [record["record_type"] for record in promoted["records"]] == ["promotion", "deployment", "backup_gate"]
    assert set(promoted) == {"event_id", "event_type", "product", "context", "environment", "driver_id", "action_id", "status",
                             "occurred_at", "title", "summary", "records", "trust_state"}
    site = read(filled, f"/v1/products/{SITE}/activity", "activity")["events"]
    rollback = next(event for event in site if event["event_type"] == "rollback")
    assert (rollback["action_id"], rollback["status"], rollback["occurred_at"]) == ("prod_rollback", "pass", "2026-06-09T10:09:00Z")


def test_evidence_from_before_a_cutover_stays_visible(filled):
    """CUT-21"""
    ids = [event["event_id"] for event in read(filled, f"/v1/products/{SHOP}/activity", "activity")["events"]]
    assert "deployment:deployment-20251201T100000Z-shop-old-prod" in ids
    filled.query("UPDATE launchplane_product_profiles SET payload = (payload::jsonb - 'historical_contexts')::json")
    ids = [event["event_id"] for event in read(filled, f"/v1/products/{SHOP}/activity", "activity")["events"]]
    assert "deployment:deployment-20251201T100000Z-shop-old-prod" not in ids


def test_activity_is_bounded_and_does_not_show_the_lanes_of_others(filled):
    filled.query("INSERT INTO launchplane_deployments SELECT 'many-' || n, 'shop', 'testing', '', 'x', '2026-06-11T00:00:00Z',"
                 " '2026-06-11T00:00:00Z', '{}' FROM generate_series(1, 70) n")
    assert len(read(filled, f"/v1/products/{SHOP}/activity", "activity")["events"]) == 50
    filled.query("UPDATE launchplane_product_profiles SET payload = jsonb_set(payload::jsonb, '{historical_contexts}', '[\"site\"]')::json"
                 " WHERE product = %s", SHOP)
    events = read(filled, f"/v1/products/{SHOP}/activity", "activity")["events"]
    assert all(event["context"] != "site" for event in events)


def test_a_running_deployment_is_activity_too(filled):
    filled.query("INSERT INTO launchplane_deployments VALUES ('now', 'shop', 'prod', '', 'x', '2026-06-10T11:59:00Z', '',"
                 " '{\"deploy\": {\"status\": \"pending\"}}')")
    events = read(filled, f"/v1/products/{SHOP}/activity", "activity")["events"]
    first = next(event for event in events if event["event_type"] != "authz_policy")
    assert (first["event_id"], first["status"], first["occurred_at"]) == ("deployment:now", "pending", "2026-06-10T11:59:00Z")


def test_policies_that_name_the_product_are_activity(filled):
    filled.query("INSERT INTO launchplane_authz_policies VALUES ('p-9', 'superseded', 'service-grant', '2024-01-01T00:00:00Z', '',"
                 " '{\"policy\": {\"github_actions\": [{\"products\": [\"site\"]}]}, \"audit\": {\"reason\": \"why\"}}')")
    events = read(filled, f"/v1/products/{SITE}/activity", "activity")["events"]
    found = [event for event in events if event["event_id"] == "authz_policy:p-9"]
    assert [(event["summary"], event["driver_id"], event["context"]) for event in found] == [("why", "launchplane", "launchplane")]


# lanes

def test_the_origin_names_who_recorded_the_promotion_and_why(filled):
    """From the audit log; the first entry that names the record, whether it has its position yet or not."""
    import psycopg

    def leaf(actor, at, reason):
        return json.dumps({"actor": actor, "at": at, "reason": reason,
                           "records": {"promotion_record_id": "promotion-20260602T100000Z-shop-testing-to-prod"}})

    path = f"/v1/products/{SHOP}/environments/prod/origin"
    assert read(filled, path, "origin")["promotion"]["recorded"] is None
    first = {"actor": "github-human:ada", "at": "2026-06-02T10:04:02.000Z", "reason": "the June release"}
    with psycopg.connect(filled.database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO launchplane_audit_pending (leaf) VALUES (%s)", [leaf(**first)])
        assert read(filled, path, "origin")["promotion"]["recorded"] == first
        wait_until(lambda: not connection.execute("SELECT 1 FROM launchplane_audit_pending").fetchall(), "the entry to be placed", 60)
        connection.execute("INSERT INTO launchplane_audit_pending (leaf) VALUES (%s)",
                           [leaf("github-human:bob", "2026-06-03T08:00:00.000Z", "again")])
        assert read(filled, path, "origin")["promotion"]["recorded"] == first
    assert read(filled, path, "origin")["deployment"]["recorded"] is None


def test_the_origin_of_a_lane(filled):
    origin = read(filled, f"/v1/products/{SHOP}/environments/prod/origin", "origin")
    assert (origin["artifact_id"], origin["source_commit"]) == ("artifact-shop-0002", "b" * 40)
    assert origin["promotion"]["record_id"] == "promotion-20260602T100000Z-shop-testing-to-prod"
    assert (origin["backup_gate"]["record_id"], origin["backup_gate"]["status"]) == ("backup-shop-prod-20260602T095500Z", "pass")
    assert origin["release_tuple_id"] == "shop-prod-artifact-shop-0002"
    assert read(filled, f"/v1/products/{SHOP}/environments/testing/origin", "origin")["promotion"] is None


def test_the_target_of_a_rollback(filled):
    rollback = read(filled, f"/v1/products/{SHOP}/environments/prod/rollback-target", "rollback")
    assert (rollback["current"]["artifact_id"], rollback["target"]["artifact_id"]) == ("artifact-shop-0002", "artifact-shop-0001")
    assert rollback["target"]["image_reference"].endswith("1" * 64)
    assert (rollback["blockers"], rollback["backup_gate_record_id"]) == ([], "backup-shop-prod-20260602T095500Z")
    filled.query("DELETE FROM launchplane_artifact_manifests WHERE artifact_id = 'artifact-shop-0001'")
    rollback = read(filled, f"/v1/products/{SHOP}/environments/prod/rollback-target", "rollback")
    assert rollback["blockers"] == ["the manifest of artifact-shop-0001 is not stored"]
    rollback = read(filled, f"/v1/products/{SITE}/environments/prod/rollback-target", "rollback")
    assert rollback["target"] is None and rollback["blockers"] == ["no earlier deployment of another artifact passed"]


def test_the_difference_of_two_lanes(filled):
    diff = read(filled, f"/v1/products/{SHOP}/diff?from=testing&to=prod", "diff")
    subjects = {row["subject"]: (row["from"], row["to"]) for row in diff["differences"]}
    assert subjects["artifact"] == ("artifact-shop-0003", "artifact-shop-0002")
    assert subjects["commit"] == ("c" * 40, "b" * 40)
    assert subjects["runtime key WORKERS"] == ("missing", "set")
    assert subjects["runtime key ODOO_DB_NAME"] == ("set", "set to another value")
    assert subjects["secret ODOO_DB_PASSWORD"] == ("missing", "configured")
    assert "health" not in subjects
    assert read(filled, f"/v1/products/{SHOP}/diff?from=prod&to=prod", "diff")["differences"] == []
    assert_rejected(filled.get(f"/v1/products/{SHOP}/diff?from=testing"), 400, "invalid_query")
    assert_rejected(filled.get(f"/v1/products/{SHOP}/diff?from=testing&to=none"), 404, "not_found")


def test_lanes_are_listed_with_their_health(filled):
    lanes = read(filled, "/v1/lanes", "lanes")
    assert [(row["product"], row["instance"]) for row in lanes] == [(SHOP, "prod"), (SHOP, "testing"), (SITE, "prod"), (SITE, "testing")]
    unverified = read(filled, "/v1/lanes?health=unverified", "lanes")
    assert [(row["product"], row["instance"], row["provider_target_recorded"]) for row in unverified] == [(SITE, "prod", True)]
    first = assert_ok(filled.get("/v1/lanes?limit=3"))
    assert [row["instance"] for row in read(filled, f"/v1/lanes?cursor={first['next_cursor']}", "lanes")] == ["testing"]


# who may see what

def test_a_product_is_shown_to_its_own_callers_alone(filled):
    mine = filled.token(repository="example-org/shop-only")
    assert environment(filled, SHOP, "prod", token=mine)["product"] == SHOP
    assert read(filled, f"/v1/products/{SHOP}", "product", token=mine)["product"] == SHOP
    for path in (f"/v1/products/{SITE}", f"/v1/products/{SITE}/activity", f"/v1/products/{SITE}/environments", "/v1/products", "/v1/lanes",
                 f"/v1/products/{SITE}/environments/prod", f"/v1/products/{SITE}/environments/prod/config-status",
                 f"/v1/products/{SITE}/diff?from=testing&to=prod", f"/v1/products/{SITE}/environments/prod/origin"):
        assert_rejected(filled.get(path, token=mine), 403, "authorization_denied")
    # what is not there is told before who may see it, to callers who hold the action at all
    assert_rejected(filled.get(f"/v1/products/{SITE}/environments/none", token=mine), 404, "not_found")


@pytest.mark.parametrize("path", ["", "/activity", "/environments", "/environments/prod", "/environments/prod/config-status",
                                  "/environments/prod/origin", "/environments/prod/rollback-target", "/diff?from=testing&to=prod"])
def test_what_has_not_changed_is_not_sent_again(filled, path):
    first = filled.get(f"/v1/products/{SHOP}{path}")
    tag = first.headers["ETag"]
    again = filled.get(f"/v1/products/{SHOP}{path}", headers={"If-None-Match": tag})
    assert (again.status_code, again.text, again.headers["ETag"]) == (304, "", tag)
    filled.query("UPDATE launchplane_product_profiles SET display_name = 'Renamed'")
    filled.query("UPDATE launchplane_inventory SET updated_at = '2026-06-10T11:58:00Z', artifact_id = 'x', payload = jsonb_set(payload::jsonb,"
                 " '{artifact_identity,artifact_id}', '\"x\"')::json")
    filled.query("UPDATE launchplane_runtime_environments SET updated_at = '2026-06-10T11:58:00Z'")
    changed = filled.get(f"/v1/products/{SHOP}{path}", headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["ETag"] != tag
