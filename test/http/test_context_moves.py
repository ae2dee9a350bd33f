"""A product moves from one context to another; what it left is cleaned up. CUT, config-health 6."""
import threading

import pytest

import live
from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli
from rehearsal import policy as policies
from rehearsal.lane import Lane

CUTOVER = "/v1/product-profiles/context-cutover/apply"
CLEANUP = "/v1/product-profiles/legacy-context-cleanup/apply"
COPIED = {"runtime_environments": "scope, instance", "secrets": "integration, name, instance", "dokploy_targets": "instance",
          "dokploy_target_ids": "instance", "provider_targets": "instance", "inventory": "instance", "release_tuples": "channel"}
KEPT = ("deployments", "promotions", "backup_gates", "preview_records")


def rules():
    made = policies.lane_rules() + policies.lane_rules(context=policies.PRODUCT)
    return policies.render(github_actions=made)


pytestmark = pytest.mark.policy(rules())


def move(lane, **changes):
    return {"product": lane.product, "source_context": lane.context, "target_context": lane.product,
            "display_name": "Shop of today", **changes}


def cleanup(lane, **changes):
    body = move(lane, **changes)
    del body["display_name"]
    return body


def cut_over(plane, lane, **changes):
    return assert_accepted(plane.post(CUTOVER, move(lane, mode="apply", **changes)))["result"]


def records(plane, context):
    return {table: len(plane.query(f"SELECT 1 FROM launchplane_{table} WHERE context = %s", context)) for table in COPIED}


def profile_of(plane, lane):
    return assert_ok(plane.get(f"/v1/product-profiles/{lane.product}"))["profile"]


@pytest.fixture
def tuple_row(plane, lane):
    plane.query("INSERT INTO launchplane_release_tuples VALUES ('shop', 'testing', 'shop-testing-a1', 'a1', '2026-01-01T00:00:00Z',"
                " 'ship', '{\"context\": \"shop\", \"channel\": \"testing\", \"tuple_id\": \"shop-testing-a1\", \"artifact_id\": \"a1\"}')")


@pytest.fixture
def moved(plane, lane, tuple_row):
    cut_over(plane, lane)
    return lane


# cutover

def test_a_dry_run_shows_keys_and_counts_and_writes_nothing(plane, lane, tuple_row):
    """CUT-08, 18"""
    before = plane.counts()
    answer = plane.post(CUTOVER, move(lane))
    result = assert_accepted(answer)["result"]
    assert (result["mode"], result["applied"]) == ("dry-run", False)
    assert result["counts"] == {
        "runtime_environment_records": {"created": 1, "skipped": 0}, "managed_secret_records": {"created": 3, "skipped": 0},
        "provider_targets": {"created": 1, "skipped": 0}, "provider_target_ids": {"created": 1, "skipped": 0},
        "inventory_records": {"created": 1, "skipped": 0}, "release_tuple_records": {"created": 1, "skipped": 0}}
    assert result["profile"]["lane_contexts"] == {"testing": lane.product}
    assert result["profile"]["historical_contexts"] == [lane.context]
    item = result["groups"]["runtime_environment_records"][0]
    assert item["env_keys"] == sorted(lane.environment) and item["action"] == "created"
    assert not any(value in answer.text for value in lane.volumes.values())
    assert plane.counts() == before


def test_apply_copies_exactly_the_families_and_leaves_the_source(plane, lane, tuple_row):
    """CUT-10..17, 19"""
    source = records(plane, lane.context)
    kept = {table: len(plane.query(f"SELECT 1 FROM launchplane_{table}")) for table in KEPT}
    body = assert_accepted(plane.post(CUTOVER, move(lane, mode="apply")))
    assert body["records"] == {"product_profile": lane.product}
    assert body["result"]["applied"] is True
    assert records(plane, lane.context) == source
    assert records(plane, lane.product) == source
    assert {table: len(plane.query(f"SELECT 1 FROM launchplane_{table}")) for table in KEPT} == kept
    row = plane.query("SELECT payload, tuple_id FROM launchplane_release_tuples WHERE context = %s", lane.product)[0]
    assert row["tuple_id"] == row["payload"]["tuple_id"] == f"{lane.product}-testing-a1"
    provider = plane.query("SELECT payload FROM launchplane_provider_targets WHERE context = %s", lane.product)[0]["payload"]
    assert (provider["context"], provider["target_id"]) == (lane.product, lane.compose_id)


def test_the_profile_follows_and_remembers(plane, lane):
    """CUT-16, 20, 22"""
    cut_over(plane, lane)
    profile = profile_of(plane, lane)
    assert profile["lanes"][0]["context"] == lane.product
    assert profile["historical_contexts"] == [lane.context]
    assert (profile["display_name"], profile["source"]) == ("Shop of today", "service:product-context-cutover")
    body = {**lane.target_setup(), "mode": "dry-run"}
    assert_rejected(plane.post("/v1/dokploy-targets/setup", body), 400, "invalid_dokploy_target_setup", "context")


def test_what_the_lanes_are_expected_to_have_follows_them(plane, lane):
    """CUT-16: else nothing that is recorded would ever reach the live target again"""
    live.expect(plane, lane, "ODOO_DB_USER")
    profile = profile_of(plane, lane)
    profile["expected_config"]["runtime_environment_keys"] += [
        {"key": "ODOO_DB_USER", "context": lane.product, "instance": lane.instance}, {"key": "EVERYWHERE", "context": "", "instance": ""}]
    assert_accepted(plane.post("/v1/product-profiles", profile))
    before = live.look(plane, lane)["runtime_environment"]
    plan = assert_accepted(plane.post(CUTOVER, move(lane)))["result"]["profile"]
    assert (plan["expected_key_count"], plan["expected_binding_count"]) == (1, len(lane.secrets))
    cut_over(plane, lane)
    expected = profile_of(plane, lane)["expected_config"]
    assert [(row["key"], row["context"]) for row in expected["runtime_environment_keys"]] == [
        ("ODOO_DB_USER", lane.product), ("EVERYWHERE", "")]
    assert {row["context"] for row in expected["managed_secret_bindings"]} == {lane.product}
    lane.context = lane.product
    assert live.look(plane, lane)["runtime_environment"] == before


def test_copied_secrets_open_in_the_new_context(plane, lane):
    """A sealed value is bound to its record; the copy is one of its own, and its history says where it came from"""
    cut_over(plane, lane)
    lane.context = lane.product
    assert_accepted(plane.post("/v1/runtime-key-safety/policies/apply", lane.key_safety()))
    rows = plane.query("SELECT s.secret_id, v.version_id, v.payload AS version FROM launchplane_secrets s JOIN launchplane_secret_versions v"
                       " ON v.version_id = s.current_version_id WHERE s.context = %s", lane.product)
    assert len(rows) == 3
    assert all("-version-copy-" in row["version_id"] and row["version"]["secret_id"] == row["secret_id"] for row in rows)
    events = plane.query("SELECT payload FROM launchplane_secret_audit_events WHERE event_type = 'imported'")
    assert {event["payload"]["metadata"]["source_context"] for event in events} == {"shop"}
    result = assert_accepted(plane.post("/v1/product-config/apply", lane.lane_config()))["result"]
    assert {secret["action"] for secret in result["secrets"]} == {"unchanged"}     # compared with what the copy opens to


def test_what_the_target_context_has_already_is_skipped(plane, lane, tuple_row):
    cut_over(plane, lane)
    plane.query("DELETE FROM launchplane_inventory WHERE context = %s", lane.product)
    plane.post("/v1/product-profiles", lane.profile())                # back to the old context, as it was
    before = plane.query("SELECT context, payload::text AS p FROM launchplane_runtime_environments ORDER BY 1, 2")
    result = cut_over(plane, lane)
    assert {name: count["created"] for name, count in result["counts"].items() if count["created"]} == {"inventory_records": 1}
    assert plane.query("SELECT context, payload::text AS p FROM launchplane_runtime_environments ORDER BY 1, 2") == before


def test_moving_again_changes_nothing(plane, moved):
    """The product key is its own context: asked again, everything is there"""
    before = plane.counts()
    body = move(moved, mode="apply", source_context=moved.product, target_context=moved.context)
    assert_rejected(plane.post(CUTOVER, body), 403, "context_not_in_product_boundary", "target_context")
    assert_rejected(plane.post(CUTOVER, move(moved, mode="apply")), 403, "context_not_in_product_boundary", "source_context")
    assert plane.counts() == before


@pytest.mark.parametrize("where", ["source", "target"])
def test_a_stale_provider_row_blocks_the_move(plane, lane, where):
    """PTGT-43, 46"""
    if where == "source":
        plane.query("UPDATE launchplane_provider_targets SET payload = (payload::jsonb || '{\"display_name\": \"old\"}')::json")
    else:
        plane.query("INSERT INTO launchplane_provider_targets SELECT %s, instance, provider_id, target_category, target_id, 'x',"
                    " provider_target_type, updated_at, (payload::jsonb || '{\"display_name\": \"x\"}')::json"
                    " FROM launchplane_provider_targets", lane.product)
    before = plane.counts()
    dry = assert_accepted(plane.post(CUTOVER, move(lane)))["result"]
    assert len(dry["blockers"]) == 1 and "display_name" in dry["blockers"][0]
    assert_rejected(plane.post(CUTOVER, move(lane, mode="apply")), 400, "invalid_context_cutover_request", "display_name")
    assert plane.counts() == before
    assert profile_of(plane, lane)["lanes"][0]["context"] == lane.context


def test_a_secret_that_cannot_be_opened_undoes_the_whole_move(plane, lane):
    plane.query("UPDATE launchplane_secret_versions SET payload = jsonb_set(payload::jsonb, '{ciphertext}', '\"lpseal1.broken\"')::json")
    before = plane.counts()
    assert plane.post(CUTOVER, move(lane, mode="apply")).status_code >= 400
    assert plane.counts() == before
    assert profile_of(plane, lane)["lanes"][0]["context"] == lane.context


def test_bad_moves_are_refused(plane, lane):
    """CUT-03..07: no defaults"""
    before = plane.counts()
    for name in ("product", "source_context", "target_context", "display_name"):
        body = {key: value for key, value in move(lane).items() if key != name}
        assert_rejected(plane.post(CUTOVER, body), 400, "invalid_request", name)
    assert_rejected(plane.post(CUTOVER, move(lane, target_context=lane.context)), 400, "invalid_request", "target_context")
    assert_rejected(plane.post(CUTOVER, move(lane, mode="now")), 400, "invalid_request", "mode")
    assert_rejected(plane.post(CUTOVER, move(lane, source_context="foreign")), 403, "context_not_in_product_boundary")
    stranger = plane.token(repository="example-org/stranger")
    assert_rejected(plane.post(CUTOVER, move(lane, mode="apply"), token=stranger), 403, "authorization_denied")
    assert plane.counts() == before


def test_a_pinned_plan_that_changed_is_refused(plane, lane):
    digest = assert_accepted(plane.post(CUTOVER, move(lane)))["result"]["plan_digest"]
    plane.query("DELETE FROM launchplane_inventory")
    body = assert_rejected(plane.post(CUTOVER, move(lane, mode="apply", plan_digest=digest)), 409, "plan_changed")
    assert body["plan"]["counts"]["inventory_records"] == {"created": 0, "skipped": 0}
    fresh = assert_accepted(plane.post(CUTOVER, move(lane)))["result"]["plan_digest"]
    assert cut_over(plane, lane, plan_digest=fresh)["plan_digest"] == fresh


def test_of_two_operators_one_wins(plane, lane):
    """Both have read the product when the first one moves it"""
    answers = []
    import psycopg
    with psycopg.connect(plane.database_url) as blocker:
        blocker.execute("SELECT pg_advisory_xact_lock(hashtext('launchplane_context_move'))")
        from rehearsal.api import Api
        threads = []
        for _ in range(2):
            api = Api(plane.url, plane.issuer.mint)
            threads.append(threading.Thread(target=lambda api=api: answers.append(api.post(CUTOVER, move(lane, mode="apply")))))
        for thread in threads:
            thread.start()
        waits(plane, 2)
    for thread in threads:
        thread.join(60)
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    assert_rejected(lost, 409, "conflict", "somebody else")


def waits(plane, number):
    from rehearsal.waiting import wait_until
    wait_until(lambda: plane.query("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")[0]["n"] == number,
               "both at the lock")


def test_the_same_key_is_replayed(plane, lane):
    first = assert_accepted(plane.post(CUTOVER, move(lane, mode="apply"), key="move"))
    again = assert_accepted(plane.post(CUTOVER, move(lane, mode="apply"), key="move"))
    assert again["replayed"] is True and again["result"] == first["result"]


def test_the_audit(plane, lane):
    """6.2"""
    path = f"/v1/product-profiles/{lane.product}/context-cutover-audit"
    audit = assert_ok(plane.get(f"{path}?source_context=shop&target_context={lane.product}"))["audit"]
    assert audit["profile"]["stable_lanes"][0]["context"] == "shop"
    source = audit["contexts"]["source"]
    assert source["append_only_evidence_counts"] == {"backup_gates": 0, "deployments": 1, "promotions": 0}
    assert len(source["managed_secrets"]) == 3 and source["targets"][0]["target_id"] == lane.compose_id
    assert audit["contexts"]["preview"] is None
    assert len(audit["warnings"]) == 3
    assert_rejected(plane.get(f"{path}?source_context=shop"), 400, "invalid_context_cutover_audit_request", "target_context")
    assert_rejected(plane.get(f"{path}?source_context=x&target_context={lane.product}"), 403, "context_not_in_product_boundary")


# cleanup

def test_cleanup_waits_for_the_cutover(plane, lane):
    """CUT-23"""
    assert_rejected(plane.post(CLEANUP, cleanup(lane)), 403, "context_not_in_product_boundary", "source_context")


def test_another_products_context_is_not_cleaned(plane, moved):
    other = Lane(plane.doubles, product="other", context="shop")
    assert plane.query("UPDATE launchplane_product_profiles SET product = product") == []
    plane.query("INSERT INTO launchplane_product_profiles SELECT 'other', 'Other', repository, driver_id, updated_at,"
                " (payload::jsonb || '{\"product\": \"other\"}' || jsonb_build_object('lanes', jsonb_build_array(jsonb_build_object("
                "'instance', 'prod', 'context', 'shop'))))::json FROM launchplane_product_profiles")
    body = assert_rejected(plane.post(CLEANUP, cleanup(moved)), 403, "context_not_in_product_boundary")
    assert other.product in body["error"]["message"]


def test_cleanup_deletes_and_disables_what_has_a_twin(plane, moved):
    """CUT-25..29, 31"""
    dry = assert_accepted(plane.post(CLEANUP, cleanup(moved)))["result"]
    assert (dry["blocked"], dry["applied"]) == (False, False)
    assert dry["counts"] == {"deleted": 3, "disabled": 3, "skipped": 0, "blocked_missing_target": 0, "blocked_stale_provider_target": 0}
    assert dry["preserved_records"] == {"inventory_records": 1, "release_tuple_records": 1}
    kept = {table: len(plane.query(f"SELECT 1 FROM launchplane_{table}")) for table in (*KEPT, "inventory", "release_tuples")}
    result = assert_accepted(plane.post(CLEANUP, cleanup(moved, mode="apply")))["result"]
    assert result["counts"] == dry["counts"] and result["applied"] is True
    left = records(plane, "shop")
    assert left == {"runtime_environments": 0, "secrets": 3, "dokploy_targets": 0, "dokploy_target_ids": 0,
                    "provider_targets": 0, "inventory": 1, "release_tuples": 1}
    for table in ("secrets", "secret_bindings"):
        rows = plane.query(f"SELECT status, payload FROM launchplane_{table} WHERE context = 'shop'")
        assert {(row["status"], row["payload"]["status"]) for row in rows} == {("disabled", "disabled")}
    assert {table: len(plane.query(f"SELECT 1 FROM launchplane_{table}")) for table in kept} == kept
    event = plane.query("SELECT payload FROM launchplane_runtime_environment_delete_events")[0]["payload"]
    assert event["env_keys"] == sorted(moved.environment) and event["env_value_count"] == len(event["env_keys"])
    assert len(plane.query("SELECT 1 FROM launchplane_secret_audit_events WHERE event_type = 'disabled'")) == 3
    again = assert_accepted(plane.post(CLEANUP, cleanup(moved, mode="apply")))["result"]
    assert again["counts"]["skipped"] == 3 and again["counts"]["disabled"] == again["counts"]["deleted"] == 0


@pytest.mark.parametrize("table", ["runtime_environments", "dokploy_targets", "dokploy_target_ids"])
def test_a_missing_twin_blocks_everything(plane, moved, table):
    """CUT-26, 27, 30"""
    plane.query(f"DELETE FROM launchplane_{table} WHERE context = %s", moved.product)
    dry = assert_accepted(plane.post(CLEANUP, cleanup(moved)))["result"]
    assert dry["blocked"] is True and dry["counts"]["blocked_missing_target"] == 1
    before = plane.counts()
    assert_rejected(plane.post(CLEANUP, cleanup(moved, mode="apply")), 400, "invalid_legacy_context_cleanup_request", "blocked")
    assert plane.counts() == before


def test_a_stale_provider_row_blocks_the_cleanup(plane, moved):
    plane.query("UPDATE launchplane_provider_targets SET payload = (payload::jsonb || '{\"display_name\": \"old\"}')::json"
                " WHERE context = 'shop'")
    dry = assert_accepted(plane.post(CLEANUP, cleanup(moved)))["result"]
    assert dry["counts"]["blocked_stale_provider_target"] == 2
    assert_rejected(plane.post(CLEANUP, cleanup(moved, mode="apply")), 400, "invalid_legacy_context_cleanup_request")


def test_the_commands(plane, lane):
    cli = Cli(plane)
    flags = ("--product", lane.product, "--source-context", "shop", "--target-context", lane.product)
    assert cli("product-profiles", "audit-context-cutover", *flags).code == 0
    assert cli("product-profiles", "context-cutover", *flags, "--display-name", "Shop").code == 0
    assert profile_of(plane, lane)["lanes"][0]["context"] == "shop"
    assert cli("product-profiles", "context-cutover", *flags, "--display-name", "Shop", "--apply").code == 0
    assert profile_of(plane, lane)["lanes"][0]["context"] == lane.product
    assert cli("product-profiles", "legacy-context-cleanup", *flags, "--apply").code == 0
    assert records(plane, "shop")["dokploy_targets"] == 0
