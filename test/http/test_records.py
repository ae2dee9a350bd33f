"""The records the main job needs, through their routes: what is stored, merged, shown and never shown."""
import base64
import json
from hashlib import sha256

import pytest
from cryptography.fernet import Fernet

from checks import assert_accepted, assert_ok, assert_rejected
from rehearsal.lane import CONFIRM_SETUP, Lane
from replacement import env_of, replace

PROFILES = "/v1/product-profiles"
CONFIG = "/v1/product-config/apply"
SAFETY = "/v1/runtime-key-safety/policies/apply"
SETUP = "/v1/dokploy-targets/setup"
PUBLISH = "/v1/drivers/odoo/artifact-publish"


# product profiles: config-health section 1

def test_a_profile_is_stored_with_its_defaults(plane, lane):
    body = assert_accepted(plane.post(PROFILES, lane.profile()))
    assert body["records"] == {"product_profile": lane.product}
    assert "result" not in body
    profile = assert_ok(plane.get(f"{PROFILES}/{lane.product}"))["profile"]
    assert (profile["product"], profile["driver_id"], profile["runtime_port"]) == (lane.product, "odoo", 8069)
    shown = profile["lanes"][0]
    assert (shown["base_url"], shown["health_url"]) == (lane.base_url, lane.health_url)
    assert shown["odoo_prelaunch_rebuild"]["enabled"] is False
    assert shown["odoo_data_policy"] == {
        "data_authority": "unknown", "allowed_rebuild_sources": [], "upstream_source": "",
        "requires_backup_before_destroy": True, "requires_restore_proof": True, "requires_runtime_identity": True}
    assert profile["preview"]["enable_label"] == "launchplane-preview"
    assert profile["promotion_workflow"]["workflow_id"] == "promote-prod.yml"


def test_a_profile_normalises_what_the_facts_say(plane, lane):
    profile = lane.profile()
    profile["lanes"][0]["odoo_stable_bootstrap"] = {
        "enabled": True, "approval_issue_url": "https://example.com/1", "confirmation": "  Yes Please ",
        "expected_target_name": "t", "expected_domains": ["https://Shop.Example.com/", "shop.example.com"]}
    profile["historical_contexts"] = ["old ", "old", "older"]
    profile["preview"] = {"enable_label": ""}
    assert_accepted(plane.post(PROFILES, profile))
    shown = assert_ok(plane.get(f"{PROFILES}/{lane.product}"))["profile"]
    gate = shown["lanes"][0]["odoo_stable_bootstrap"]
    assert (gate["confirmation"], gate["expected_domains"]) == ("yes please", ["shop.example.com"])
    assert shown["historical_contexts"] == ["old", "older"]
    assert shown["preview"]["enable_label"] == "launchplane-preview"


def test_profiles_of_old_payloads_get_their_health_check(plane, lane):
    """config-health 1.2.1: read migration, also of records that an older program wrote"""
    assert_accepted(plane.post(PROFILES, lane.profile()))
    plane.query("UPDATE launchplane_product_profiles SET payload = (payload::jsonb #- '{lanes,0,health_monitoring}')::json"
                " WHERE product = 'odoo-tenant-shop'")
    checks = assert_ok(plane.get(f"{PROFILES}/{lane.product}"))["profile"]["lanes"][0]["health_monitoring"]["checks"]
    assert [(check["name"], check["kind"]) for check in checks] == [("public-ingress", "public_http")]


def test_an_unknown_profile_is_a_404(shared_plane):
    assert_rejected(shared_plane.get(f"{PROFILES}/unknown"), 404, "not_found")


def test_the_last_profile_wins(plane, lane):
    assert_accepted(plane.post(PROFILES, {**lane.profile(), "display_name": "Renamed"}))
    assert assert_ok(plane.get(f"{PROFILES}/{lane.product}"))["profile"]["display_name"] == "Renamed"
    assert plane.query("SELECT count(*) AS n FROM launchplane_product_profiles")[0]["n"] == 1


# product config: config-health section 3

def config(plane, lane, **changes):
    return assert_accepted(plane.post(CONFIG, {**lane.lane_config(), **changes}))["result"]


def test_a_dry_run_tells_and_writes_nothing(plane, unprepared_lane):
    lane = unprepared_lane
    lane.prepare(plane, without=["runtime values and secrets"])
    before = plane.counts()
    result = config(plane, lane, mode="dry-run")
    assert plane.counts() == before
    assert (result["mode"], result["runtime_environment"]["action"]) == ("dry-run", "created")
    assert {secret["action"] for secret in result["secrets"]} == {"created"}


def test_apply_creates_then_finds_unchanged_then_rotates(plane, lane):
    again = config(plane, lane)
    assert again["runtime_environment"]["action"] == "unchanged"
    assert {secret["action"] for secret in again["secrets"]} == {"unchanged"}
    assert again["summary"] == {"runtime_changed_key_count": 0, "secret_change_count": 0}
    lane.secrets["ODOO_DB_PASSWORD"] = "another-password-of-the-database"
    plane.secrets.append(lane.secrets["ODOO_DB_PASSWORD"])
    lane.environment["ODOO_DB_USER"] = "other"
    rotated = config(plane, lane)
    assert rotated["runtime_environment"]["changed_keys"] == ["ODOO_DB_USER"]
    actions = {secret["binding_key"]: secret["action"] for secret in rotated["secrets"]}
    assert actions == {"ODOO_DB_PASSWORD": "rotated", "ODOO_ADMIN_PASSWORD": "unchanged", "ODOO_MASTER_PASSWORD": "unchanged"}
    assert rotated["status"] == "records_applied_live_sync_required"
    assert rotated["next_actions"][0]["changed_keys"] == ["ODOO_DB_USER"]


def test_keys_that_are_not_mentioned_stay(plane, lane):
    result = config(plane, lane, runtime_env={"NEW_SETTING": True, "NUMBER": 5}, secrets=[])
    assert result["runtime_environment"]["changed_keys"] == ["NEW_SETTING", "NUMBER"]
    assert result["runtime_environment"]["env_value_count_after"] == len(lane.environment) + 2


VERSIONS = ("SELECT s.secret_id, s.name, v.version_id, v.payload->>'ciphertext' AS ciphertext,"
            "       v.payload->>'cipher_alg' AS alg, v.payload->>'key_id' AS key_id"
            "  FROM launchplane_secrets s JOIN launchplane_secret_versions v ON v.version_id = s.current_version_id")


def current_versions(plane):
    return {row["name"]: row for row in plane.query(VERSIONS)}


def store_ciphertext(plane, version_id, ciphertext, alg, key_id):
    document = "payload::jsonb || jsonb_build_object('ciphertext', %s::text, 'cipher_alg', %s::text, 'key_id', %s::text)"
    plane.query(f"UPDATE launchplane_secret_versions SET payload = ({document})::json WHERE version_id = %s",
                ciphertext, alg, key_id, version_id)


def test_each_secret_is_sealed_under_a_data_key_of_its_own(plane, lane):
    """core/seal.h: lpseal1.<key id>.<wrapped data key>.<sealed bytes>"""
    rows = current_versions(plane)
    assert set(rows) >= set(lane.secrets)
    wrapped, key_ids = set(), set()
    for row in rows.values():
        prefix, key_id, data_key, sealed = row["ciphertext"].split(".")
        assert (prefix, row["alg"], row["key_id"]) == ("lpseal1", "aes-256-gcm-v1", key_id)
        assert len(sealed) > 0
        wrapped.add(data_key)
        key_ids.add(key_id)
    assert len(wrapped) == len(rows)
    assert len(key_ids) == 1
    assert plane.tables_with_secrets() == []


def test_a_sealed_value_does_not_open_in_another_row(plane, lane):
    """It is bound to the secret's id and version."""
    rows = current_versions(plane)
    moved, other = rows["ODOO_ADMIN_PASSWORD"], rows["ODOO_DB_PASSWORD"]
    store_ciphertext(plane, moved["version_id"], other["ciphertext"], other["alg"], other["key_id"])
    operation = replace(plane, lane)
    assert operation["status"] == "fail", operation
    assert plane.doubles.dokploy.mutations() == []


PASSPHRASE = "correct horse battery staple"


@pytest.mark.parametrize("master_key", [base64.urlsafe_b64encode(b"k" * 32).decode(), PASSPHRASE], ids=["key", "passphrase"])
def test_secrets_of_an_earlier_release_are_still_read(make_plane, doubles, master_key):
    """config-health 4.3: Fernet tokens; anything but 32 bytes of base64 is hashed"""
    plane = make_plane(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=master_key)
    plane.secrets.append(master_key)
    lane = Lane(doubles)
    lane.create_in_dokploy()
    plane.secrets += lane.secret_values()
    lane.prepare(plane)
    old_value = "a-password-sealed-long-ago"
    plane.secrets.append(old_value)
    fernet_key = master_key if master_key != PASSPHRASE else base64.urlsafe_b64encode(sha256(PASSPHRASE.encode()).digest())
    token = Fernet(fernet_key).encrypt(old_value.encode()).decode()
    row = current_versions(plane)["ODOO_DB_PASSWORD"]
    store_ciphertext(plane, row["version_id"], token, "fernet-v1", "launchplane-master-key")
    plane.restart()
    assert replace(plane, lane)["status"] == "pass"
    assert env_of(doubles.dokploy.compose(lane.compose_id)["env"])["ODOO_DB_PASSWORD"] == old_value


def test_secret_ids_are_the_documented_ones(plane, lane):
    """config-health 4.2"""
    found = {row["secret_id"] for row in plane.query("SELECT secret_id FROM launchplane_secrets")}
    assert "secret-runtime-environment-odoo-db-password-shop-testing" in found
    assert "secret-dokploy-dokploy-token" in found
    bindings = {row["binding_id"] for row in plane.query("SELECT binding_id FROM launchplane_secret_bindings")}
    assert "secret-dokploy-dokploy-token-binding-dokploy-token" in bindings


def test_every_secret_write_leaves_an_audit_event(plane, lane):
    events = plane.query("SELECT event_type, payload->>'actor' AS actor FROM launchplane_secret_audit_events"
                         " WHERE event_type <> 'read'")
    assert {event["event_type"] for event in events} == {"created"}
    assert all(event["actor"].startswith("github-actions:example-org/odoo-tenant-shop:") for event in events)


def test_config_without_a_key_safety_policy_is_refused(plane, unprepared_lane):
    """config-health 3.2: absence fails closed, in a dry-run too"""
    for mode in ("dry-run", "apply"):
        answer = plane.post(CONFIG, {**unprepared_lane.lane_config(), "mode": mode})
        assert_rejected(answer, 503, "runtime_key_safety_unavailable")


@pytest.mark.parametrize("change", [
    {"secret_class": "prod_only"}, {"allowed_contexts": ["other"]}, {"allowed_instances": ["prod"]}])
def test_an_unsafe_binding_is_refused(plane, unprepared_lane, change):
    lane = unprepared_lane
    body = lane.key_safety()
    body["rules"][0].update(change)
    assert_accepted(plane.post(SAFETY, body))
    before = plane.counts()
    assert_rejected(plane.post(CONFIG, lane.lane_config()), 400, "runtime_key_safety_failed")
    assert plane.counts() == before


def test_an_unclassified_secret_is_refused(plane, lane):
    body = lane.lane_config()
    body["secrets"].append({"name": "STRANGE_TOKEN", "value": "x-y-z-value"})
    assert_rejected(plane.post(CONFIG, body), 400, "runtime_key_safety_failed")


@pytest.mark.settings(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=None)
def test_without_master_key_secrets_are_refused(plane, unprepared_lane):
    assert_accepted(plane.post(SAFETY, unprepared_lane.key_safety()))
    assert_rejected(plane.post(CONFIG, unprepared_lane.lane_config()), 503, "secret_configuration_required")


def test_a_master_key_of_any_text_works(make_plane, doubles):
    """config-health 4.3; another one cannot start the service: see test_start.py"""
    plane = make_plane(LAUNCHPLANE_MASTER_ENCRYPTION_KEY=PASSPHRASE)
    plane.secrets.append(PASSPHRASE)
    lane = Lane(doubles)
    lane.create_in_dokploy()
    plane.secrets += lane.secret_values()
    lane.prepare(plane)
    plane.restart()
    assert replace(plane, lane)["status"] == "pass"
    env = env_of(doubles.dokploy.compose(lane.compose_id)["env"])
    assert {name: env[name] for name in lane.secrets} == lane.secrets


# runtime key-safety policy: config-health 4.6

def safety(plane, rules):
    return assert_accepted(plane.post(SAFETY, {"product": "launchplane", "rules": rules}))


def stored_rules(plane):
    row = plane.query("SELECT payload FROM launchplane_runtime_key_safety_policies WHERE status = 'active'"
                      " ORDER BY updated_at DESC, record_id DESC LIMIT 1")[0]
    return {rule["binding_key"]: rule for rule in row["payload"]["rules"]}


def test_policies_are_merged_by_binding_key(plane):
    first = safety(plane, [{"binding_key": "B_TOKEN", "secret_class": "testing", "allowed_contexts": ["one"]}])
    assert first["result"]["changed"] is True
    shown = first["result"]["runtime_key_safety_policy"]
    assert (shown["rule_count"], shown["binding_keys"]) == (1, ["B_TOKEN"])
    assert first["records"] == {"runtime_key_safety_policy_record_id": shown["record_id"]}
    plane.pass_time(seconds=2)
    safety(plane, [{"binding_key": "B_TOKEN", "secret_class": "testing", "allowed_contexts": ["two"]},
                   {"binding_key": "A_TOKEN", "secret_class": "shared_safe"}])
    rules = stored_rules(plane)
    assert list(rules) == ["A_TOKEN", "B_TOKEN"]
    assert sorted(rules["B_TOKEN"]["allowed_contexts"]) == ["one", "two"]


def test_an_empty_side_means_unrestricted_and_wins(plane):
    safety(plane, [{"binding_key": "A_TOKEN", "secret_class": "testing", "allowed_instances": ["testing"]}])
    plane.pass_time(seconds=2)
    safety(plane, [{"binding_key": "A_TOKEN", "secret_class": "testing"}])
    assert stored_rules(plane)["A_TOKEN"]["allowed_instances"] == []


def test_a_changed_class_replaces_the_rule(plane):
    safety(plane, [{"binding_key": "A_TOKEN", "secret_class": "testing", "allowed_contexts": ["one"]}])
    plane.pass_time(seconds=2)
    safety(plane, [{"binding_key": "A_TOKEN", "secret_class": "prod_only", "allowed_contexts": ["two"]}])
    rule = stored_rules(plane)["A_TOKEN"]
    assert (rule["secret_class"], rule["allowed_contexts"]) == ("prod_only", ["two"])


def test_changes_within_one_second_build_on_each_other(plane):
    for _ in range(2):
        for number in range(4):
            classes = ("testing", "shared_safe") if number % 2 else ("shared_safe", "testing")
            safety(plane, [{"binding_key": f"KEY_{number}", "secret_class": classes[0]},
                           {"binding_key": "TURNING_KEY", "secret_class": classes[1]}])
    rules = stored_rules(plane)
    assert set(rules) == {"KEY_0", "KEY_1", "KEY_2", "KEY_3", "TURNING_KEY"}
    assert rules["TURNING_KEY"]["secret_class"] == "shared_safe"


def test_an_unchanged_policy_writes_nothing(plane):
    rules = [{"binding_key": "A_TOKEN", "secret_class": "testing"}]
    first = safety(plane, rules)
    plane.pass_time(seconds=2)
    again = safety(plane, rules)
    assert again["result"]["changed"] is False
    assert again["records"] == first["records"]
    assert plane.query("SELECT count(*) AS n FROM launchplane_runtime_key_safety_policies")[0]["n"] == 1


# target setup: config-health 5.5

def test_adopting_reads_the_target_and_writes_three_rows(plane, lane):
    row = plane.query("SELECT payload FROM launchplane_dokploy_targets")[0]["payload"]
    assert (row["target_type"], row["target_name"], row["domains"]) == ("compose", lane.target_name, [lane.host])
    assert row["healthcheck_path"] == "/web/health"
    assert plane.query("SELECT target_id FROM launchplane_dokploy_target_ids")[0]["target_id"] == lane.compose_id
    provider = plane.query("SELECT payload FROM launchplane_provider_targets")[0]["payload"]
    assert (provider["provider_id"], provider["target_category"], provider["target_id"]) == (
        "dokploy", "compose", lane.compose_id)


def test_setup_is_a_dry_run_by_default(plane, unprepared_lane):
    lane = unprepared_lane
    lane.prepare(plane, without=["Dokploy target"])
    before = plane.counts()
    body = lane.target_setup()
    del body["mode"], body["confirmation"], body["reason"]
    result = assert_accepted(plane.post(SETUP, body))["result"]
    assert (result["mode"], result["operation"], result["applied"]) == ("dry-run", "adopt", False)
    assert plane.counts() == before
    assert plane.doubles.dokploy.mutations() == []


def test_setup_shows_no_environment_values(plane, lane):
    body = {**lane.target_setup()}
    answer = plane.post(SETUP, body, key="again")
    assert_accepted(answer)
    assert "kept as it is" not in answer.text


def test_adopting_what_does_not_exist_is_refused(plane, unprepared_lane):
    unprepared_lane.prepare(plane, without=["Dokploy target"])
    before = plane.counts()
    body = {**unprepared_lane.target_setup(), "target_id": "nobody"}
    assert_rejected(plane.post(SETUP, body, key="k"), 400, "invalid_dokploy_target_setup")
    assert plane.counts() == before


def test_a_historical_context_is_refused(plane, lane):
    assert_accepted(plane.post(PROFILES, {**lane.profile(), "historical_contexts": ["shop-old"]}))
    body = {**lane.target_setup(), "context": "shop-old"}
    assert plane.post(SETUP, body, key="k").status_code == 400


def test_setup_apply_is_replayed(plane, lane):
    answer = assert_accepted(plane.post(SETUP, lane.target_setup(), key="setup-shop-testing"))
    assert answer["replayed"] is True
    changed = {**lane.target_setup(), "reason": "another"}
    assert changed["confirmation"] == CONFIRM_SETUP
    assert_rejected(plane.post(SETUP, changed, key="setup-shop-testing"), 409, "idempotency_key_reused")


# artifacts: odoo 14

def test_a_published_manifest_is_stored_as_given(plane, lane):
    body = assert_accepted(plane.post(PUBLISH, lane.publish(lane.new)))
    assert body["records"] == {
        "artifact_id": lane.new.artifact_id, "publish_status": "pass", "image_repository": lane.new.repository,
        "image_digest": lane.new.digest, "source_commit": lane.new.source_commit}
    stored = plane.query("SELECT payload FROM launchplane_artifact_manifests WHERE artifact_id = %s", lane.new.artifact_id)
    manifest = lane.new.manifest()
    assert {name: stored[0]["payload"][name] for name in manifest} == manifest


def test_publishing_does_not_touch_the_provider(plane, lane):
    calls = len(plane.doubles.dokploy.requests)
    assert_accepted(plane.post(PUBLISH, lane.publish(lane.new)))
    assert len(plane.doubles.dokploy.requests) == calls


def test_nothing_of_a_request_body_is_logged(plane, lane):
    """config-health 3.4"""
    log = "\n".join(plane.log_lines)
    assert lane.environment["ODOO_DATA_VOLUME"] not in log
    assert json.dumps(lane.profile()["display_name"]) not in log
