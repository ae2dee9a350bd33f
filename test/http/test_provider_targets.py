"""Audit and backfill of provider targets, and the guarded dual write. PTGT, config-health 5.6."""
import json

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli, bare

OPERATIONS = "/v1/provider-targets/operations"
METADATA = "/v1/dokploy-targets/metadata"
PHRASE = "APPLY PROVIDER TARGET BACKFILL"


def ask(plane, mode, context="shop", instance="testing", key=None, **changes):
    body = {"mode": mode, "product": "launchplane", "provider_id": "dokploy", "context": context, "instance": instance, **changes}
    return plane.post(OPERATIONS, body, key=key)


def result_of(answer):
    return assert_accepted(answer)["result"]


def apply(plane, key="backfill-1", **changes):
    return ask(plane, "backfill-apply", key=key, **{"reason": "phase two", "confirmation": PHRASE, **changes})


def edit_row(plane, **members):
    """The explicit row as somebody else would have left it."""
    row = plane.query("SELECT payload FROM launchplane_provider_targets")[0]["payload"]
    row.update(members)
    plane.query("UPDATE launchplane_provider_targets SET payload = %s::json, provider_id = %s, target_id = %s",
                json.dumps(row), row["provider_id"], row["target_id"])


def forget(plane, *tables):
    for table in tables:
        plane.query(f"DELETE FROM launchplane_{table}")


def make_complete(plane):
    pass


STATES = {
    "complete": (make_complete, "ok", "skipped-exists", "ok"),
    "missing_provider_target": (lambda plane: forget(plane, "provider_targets"), "blocked", "would-create", "ok"),
    "missing_dokploy_pair": (lambda plane: forget(plane, "dokploy_targets", "dokploy_target_ids"), "blocked",
                             "skipped-incomplete", "blocked"),
    "missing_dokploy_target": (lambda plane: forget(plane, "dokploy_targets"), "blocked", "skipped-incomplete", "blocked"),
    "missing_target_id": (lambda plane: forget(plane, "dokploy_target_ids", "provider_targets"), "blocked",
                          "skipped-incomplete", "warning"),
    "identity_mismatch": (lambda plane: edit_row(plane, target_id="another"), "blocked", "skipped-conflict", "blocked"),
    "category_mismatch": (lambda plane: edit_row(plane, target_category="application"), "blocked", "skipped-conflict", "blocked"),
    "display_name_mismatch": (lambda plane: edit_row(plane, display_name="old name"), "blocked", "skipped-conflict", "blocked"),
    "provider_target_type_mismatch": (lambda plane: edit_row(plane, provider_target_type="application"), "blocked",
                                      "skipped-conflict", "blocked"),
    "provider_evidence_mismatch": (lambda plane: edit_row(plane, provider_evidence={"project_name": "elsewhere"}), "blocked",
                                   "skipped-conflict", "blocked"),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_of_a_lane(plane, lane, state):
    """Every audit finding, the backfill outcome that belongs to it, and that a dry-run writes nothing"""
    spoil, severity, outcome, outcome_severity = STATES[state]
    spoil(plane)
    before = plane.counts()
    audit = result_of(ask(plane, "audit"))
    finding = audit["report"]["findings"][0]
    assert (finding["status"], finding["severity"]) == (state, severity)
    assert audit["operation_status"] == severity
    assert audit["report"]["counts"] == {state: 1}
    item = result_of(ask(plane, "backfill-dry-run"))["report"]["items"][0]
    assert (item["status"], item["severity"]) == (outcome, outcome_severity)
    assert plane.counts() == before


@pytest.mark.parametrize("state", STATES)
def test_apply_writes_only_what_is_missing(plane, lane, state):
    """PTGT-35, 37: all or nothing, never over a conflict"""
    spoil, _, outcome, severity = STATES[state]
    spoil(plane)
    before = plane.query("SELECT payload::text AS p FROM launchplane_provider_targets")
    result = result_of(apply(plane))
    after = plane.query("SELECT payload::text AS p FROM launchplane_provider_targets")
    item = result["report"]["items"][0]
    assert item["status"] == ("created" if outcome == "would-create" else outcome)
    assert result["operation_status"] == ("blocked" if severity == "blocked" else "ok")
    assert result["report"]["applied"] is (severity != "blocked")
    assert len(after) == 1 if outcome == "would-create" else after == before


def test_a_row_of_another_provider_is_left_alone(plane, lane):
    """future_provider, unsupported-provider"""
    forget(plane, "dokploy_targets", "dokploy_target_ids")
    edit_row(plane, provider_id="acme")
    result = bare("storage", "provider-target-audit", LAUNCHPLANE_DATABASE_URL=plane.database_url)
    assert result.code == 0 and result.json()["findings"][0]["status"] == "future_provider"
    assert result.json()["warning_count"] == 1
    result = bare("storage", "provider-target-backfill", "--apply", LAUNCHPLANE_DATABASE_URL=plane.database_url)
    assert result.json()["items"][0]["status"] == "unsupported-provider"


def test_filters_that_match_nothing_block(plane, lane):
    audit = result_of(ask(plane, "audit", context="nowhere"))
    assert audit["report"]["findings"][0]["status"] == "no_matching_routes"
    assert (audit["operation_status"], audit["inspected_route_count"]) == ("blocked", 0)
    assert result_of(apply(plane, context="nowhere"))["report"]["items"][0]["status"] == "no_matching_routes"


def test_times_and_labels_are_no_difference(plane, lane):
    edit_row(plane, updated_at="2020-01-01T00:00:00Z", source_label="somebody")
    assert result_of(ask(plane, "audit"))["operation_status"] == "ok"


def test_backfill_is_idempotent_and_leaves_a_clean_audit(plane, lane):
    """PTGT-38, 39"""
    forget(plane, "provider_targets")
    first = result_of(apply(plane))
    assert first["report"]["counts"] == {"created": 1}
    assert result_of(ask(plane, "audit"))["operation_status"] == "ok"
    again = assert_accepted(apply(plane))
    assert again["replayed"] is True and again["result"] == first
    assert result_of(apply(plane, key="backfill-2"))["report"]["counts"] == {"skipped-exists": 1}


def test_what_applying_asks_for(plane, lane):
    forget(plane, "provider_targets")
    before = plane.counts()
    assert_rejected(apply(plane, key=None), 400, "idempotency_key_required")
    assert_rejected(apply(plane, reason=" "), 400, "reason_required")
    assert_rejected(apply(plane, confirmation=PHRASE.lower()), 400, "confirmation_required")
    assert_rejected(ask(plane, "apply"), 400, "invalid_request", "mode")
    assert_rejected(ask(plane, "audit", instance=""), 400, "invalid_request", "instance")
    assert plane.counts() == before


def test_a_pinned_plan_that_is_no_longer_true_is_refused(plane, lane):
    forget(plane, "provider_targets")
    digest = result_of(ask(plane, "backfill-dry-run"))["plan_digest"]
    plane.query("UPDATE launchplane_dokploy_target_ids SET target_id = 'x', payload = (payload::jsonb || '{\"target_id\": \"x\"}')::json")
    body = assert_rejected(apply(plane, plan_digest=digest), 409, "plan_changed")
    assert body["plan"]["items"][0]["projected_record"]["target_id"] == "x"
    fresh = result_of(ask(plane, "backfill-dry-run"))["plan_digest"]
    assert result_of(apply(plane, key="fresh", plan_digest=fresh))["report"]["counts"] == {"created": 1}


def test_grants_are_apart(make_plane, doubles):
    """PTGT-05, 06: audit does not allow apply"""
    from rehearsal import policy as policies
    rule = policies.workflow_rule(["provider_target.audit"], ["launchplane"], ["launchplane"])
    plane = make_plane(policy=policies.render(github_actions=[rule]))
    assert ask(plane, "audit").status_code == 202
    assert ask(plane, "backfill-dry-run").status_code == 202
    assert_rejected(apply(plane), 403, "authorization_denied")


# the command line, on the database itself

def test_the_audit_command_exits_with_what_it_found(plane, lane):
    """PTGT-18..25"""
    database = {"LAUNCHPLANE_DATABASE_URL": plane.database_url}
    assert bare("storage", "provider-target-audit", **database).code == 0
    forget(plane, "provider_targets")
    result = bare("storage", "provider-target-audit", "--provider-id", "dokploy", "--context", "Shop", **database)
    assert result.code == 1 and result.json()["findings"][0]["status"] == "missing_provider_target"
    assert bare("storage", "provider-target-audit", "--context", "nowhere", **database).code == 1


def test_the_backfill_command_writes_only_with_apply(plane, lane):
    """PTGT-28..36"""
    database = {"LAUNCHPLANE_DATABASE_URL": plane.database_url}
    forget(plane, "provider_targets")
    result = bare("storage", "provider-target-backfill", **database)
    assert result.code == 0 and result.json()["counts"] == {"would-create": 1}
    assert plane.query("SELECT 1 FROM launchplane_provider_targets") == []
    result = bare("storage", "provider-target-backfill", "--apply", **database)
    assert result.code == 0 and result.json()["counts"] == {"created": 1}
    edit_row(plane, display_name="old name")
    result = bare("storage", "provider-target-backfill", "--apply", **database)
    assert result.code == 1 and result.json()["applied"] is False


def test_one_blocked_lane_keeps_all_from_being_written(plane, lane):
    forget(plane, "provider_targets")
    plane.query("INSERT INTO launchplane_provider_targets SELECT 'other', 'prod', 'dokploy', 'compose', 'y', 'y', 'compose', '',"
                " '{\"context\": \"other\", \"instance\": \"prod\", \"provider_id\": \"dokploy\", \"target_id\": \"y\", \"display_name\": \"y\"}'")
    result = bare("storage", "provider-target-backfill", "--apply", LAUNCHPLANE_DATABASE_URL=plane.database_url)
    assert result.code == 1
    assert plane.query("SELECT context FROM launchplane_provider_targets") == [{"context": "other"}]


def test_the_service_command(plane, lane):
    cli = Cli(plane)
    assert cli("provider-targets", "run", "--mode", "audit", "--context", "shop", "--instance", "testing").code == 0
    edit_row(plane, display_name="old name")
    assert cli("provider-targets", "run", "--mode", "audit", "--context", "shop", "--instance", "testing").code == 1


# tracked target metadata

def edit(plane, operation, **changes):
    return plane.post(METADATA, {"operation": operation, "context": "Shop", "instance": "testing", **changes})


def test_shopify_keys_are_put_and_unset(plane, lane):
    """DOK-12, 13, 50"""
    first = result_of(edit(plane, "put-shopify-protected-store-key", key="Main-Store"))
    assert (first["change"], first["protected_store_keys"]) == ("added", ["main-store"])
    assert result_of(edit(plane, "put-shopify-protected-store-key", key="main-store"))["change"] == "already_present"
    assert result_of(edit(plane, "unset-shopify-protected-store-key", key="main-store"))["change"] == "removed"
    assert result_of(edit(plane, "unset-shopify-protected-store-key", key="main-store"))["change"] == "already_absent"
    assert_rejected(edit(plane, "put-shopify-protected-store-key"), 400, "invalid_request", "key")


def test_metadata_commands_write_the_provider_row_and_stop_at_a_stale_one(plane, lane):
    """PTGT-44..46"""
    forget(plane, "provider_targets")
    assert result_of(edit(plane, "relabel", source_label="by hand"))["change"] == "relabeled"
    row = plane.query("SELECT payload FROM launchplane_provider_targets")[0]["payload"]
    assert (row["target_id"], row["source_label"]) == (lane.compose_id, "by hand")
    edit_row(plane, display_name="old name")
    before = plane.query("SELECT payload::text AS p FROM launchplane_dokploy_targets")
    assert_rejected(edit(plane, "put-shopify-protected-store-key", key="k"), 409, "provider_target_conflict")
    assert plane.query("SELECT payload::text AS p FROM launchplane_dokploy_targets") == before


def test_a_password_in_a_recorded_url_is_not_shown(plane, lane):
    """Rows of an earlier product hold what its files said; values are never shown (SEC-01)"""
    url = "https://robot:hidden-word@git.example.com/shop.git?a=b@c"
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || jsonb_build_object('custom_git_url', %s::text))::json", url)
    shown = "https://[redacted]@git.example.com/shop.git?a=b@c"
    listed = assert_ok(plane.get("/v1/dokploy-targets"))["targets"]
    target = assert_ok(plane.get("/v1/dokploy-targets/shop/testing"))["target"]
    planned = plane.post("/v1/dokploy-targets/setup", {
        "product": "launchplane", "mode": "dry-run", "operation": "reconcile-compose-domain", "context": "shop", "instance": "testing",
        "domains": ["more.example.com"], "runtime_port": 8069})
    assert [row["custom_git_url"] for row in listed] == [target["custom_git_url"]] == [shown]
    assert_accepted(planned)
    assert shown in planned.text and "hidden-word" not in planned.text
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || '{\"custom_git_url\": \"git@example.com:shop.git\"}')::json")
    assert assert_ok(plane.get("/v1/dokploy-targets/shop/testing"))["target"]["custom_git_url"] == "git@example.com:shop.git"


def test_the_target_commands(plane, lane):
    """DOK-10..14"""
    cli = Cli(plane)
    lane_flags = ("--context", "shop", "--instance", "testing")
    assert cli("dokploy-targets", "list").rows()[0]["ID"] == lane.compose_id
    assert cli("dokploy-targets", "put-shopify-protected-store-key", *lane_flags, "--key", "store").code == 0
    shown = cli("dokploy-targets", "show", *lane_flags, "--json").json()["target"]
    assert shown["policies"]["shopify"]["protected_store_keys"] == ["store"]
    assert "env" not in shown and shown["env_value_count"] == 0
    assert cli("dokploy-targets", "unset-shopify-protected-store-key", *lane_flags, "--key", "store").code == 0
    assert cli("dokploy-targets", "relabel", *lane_flags, "--source-label", "cli").code == 0
    assert cli("dokploy-targets", "show", "--context", "nowhere", "--instance", "testing").code == 1
