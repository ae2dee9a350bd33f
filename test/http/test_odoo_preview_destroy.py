"""Previews of Odoo pull requests: taken down, whatever else is at work; the lane they borrow from; what there is. PREV-52..68, F5."""
import json

import pytest

from checks import assert_accepted, assert_rejected
from cli import Cli
from preview import INVENTORY, codes
from replacement import APPLY as REPLACE
from replacement import env_of, plan, replace


# taking down

def test_a_destroy_leaves_nothing_and_says_so(plane, lane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    compose_id = previews.compose()["composeId"]
    operation = previews.destroy()
    assert operation["status"] == "pass", operation
    assert previews.compose() is None and previews.dokploy.domains_of(compose_id) == []
    assert previews.dokploy.sent("POST", "compose.delete") == [{"composeId": compose_id, "deleteVolumes": True}]
    record = previews.records()[7]
    assert record["state"] == "destroyed" and record["serving_generation_id"] == ""
    assert operation["result"]["records"]["transition"] == "destroyed"
    assert lane.compose_id in previews.dokploy.state.composes
    assert "destroy_target_missing" in codes(previews.inputs("destroy")["runtime_plan"])


@pytest.mark.parametrize("procedure", ["domain.delete", "compose.delete"])
@pytest.mark.parametrize("status", [404, 503])
def test_what_is_gone_already_is_clean(plane, previews, procedure, status):
    previews.refresh()
    previews.dokploy.on("POST", procedure).answer(status).times(1)
    assert previews.destroy()["status"] == "pass"


def test_a_preview_that_somebody_deleted_can_be_destroyed(plane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    plan = previews.inputs("destroy")["dry_run_plan"]
    del previews.dokploy.state.composes[previews.compose()["composeId"]]
    assert plane.finish(previews.submit(plan))["status"] == "pass"
    assert previews.records()[7]["state"] == "destroyed"


@pytest.mark.parametrize("gone", ["compose", "domain"])
def test_what_goes_while_the_destroy_is_at_work_is_clean(plane, previews, gone):
    previews.refresh()
    plane.pass_time(seconds=5)
    state, compose_id = previews.dokploy.state, previews.compose()["composeId"]
    rule = previews.dokploy.on("GET", "domain.byComposeId").hold_after().times(1)
    operation_id = previews.submit(previews.inputs("destroy")["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the look at the domains")
    for row in previews.dokploy.domains_of(compose_id):
        del state.domains[row["domainId"]]
    if gone == "compose":
        del state.composes[compose_id]
    rule.release()
    operation = plane.finish(operation_id)
    assert operation["status"] == "pass" and previews.records()[7]["state"] == "destroyed", operation


def test_a_second_destroy_finds_nothing_and_passes(plane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    plan = previews.inputs("destroy")["dry_run_plan"]
    first, second = previews.submit(plan, key="a"), previews.submit(plan, key="b")
    assert [plane.finish(one)["status"] for one in (first, second)] == ["pass", "pass"]
    assert previews.dokploy.effects("POST", "compose.delete") == 1 and previews.records()[7]["state"] == "destroyed"


def test_a_destroy_that_fails_leaves_the_preview_recorded(plane, previews):
    previews.refresh()
    previews.dokploy.on("POST", "compose.delete").answer(403)
    operation = previews.destroy()
    assert operation["status"] == "fail" and operation["result"]["records"]["transition"] == "destroy_failed"
    assert previews.records()[7]["state"] != "destroyed"


WRITES = [("compose.create", 0), ("compose.update", 0), ("compose.update", 1), ("domain.create", 0), ("compose.deploy", 0)]


@pytest.mark.parametrize("procedure, earlier", WRITES)
def test_a_destroy_is_a_fence(plane, previews, procedure, earlier):
    """F5: whatever the refresh was about to write, nothing is left, and nothing is written afterwards."""
    plan = previews.inputs()["dry_run_plan"]
    rule = previews.dokploy.on("POST", procedure).after(earlier).hold_after().times(1)
    refresh = previews.submit(plan)
    plane.run_until(refresh, rule.reached.is_set, "the call")
    plane.pass_time(seconds=2)
    plane.query("INSERT INTO launchplane_preview_anchors VALUES ('shop-preview', 'odoo-tenant-shop', 7, 'preview-x') ON CONFLICT DO NOTHING")
    destroy = previews.submit({**plan, "operation": "destroy"})
    rule.release()
    first, second = plane.finish(refresh), plane.finish(destroy)
    assert (first["status"], first["error_code"]) == ("fail", "operation_blocked"), first
    assert second["status"] == "pass", second
    assert previews.compose() is None
    assert previews.records()[7]["state"] == "destroyed"
    posts = [seen.procedure for seen in previews.dokploy.mutations() if seen.procedure.startswith(("compose.", "domain."))]
    assert posts[-1] == "compose.delete"


def test_a_refresh_waits_for_an_earlier_destroy_and_makes_it_anew(plane, previews):
    previews.refresh()
    plane.pass_time(seconds=5)
    refresh, destroy = previews.inputs()["dry_run_plan"], previews.inputs("destroy")["dry_run_plan"]
    rule = previews.dokploy.on("POST", "compose.delete").hold_before().times(1)
    first = previews.submit(destroy)
    plane.run_until(first, rule.reached.is_set, "the call")
    plane.pass_time(seconds=5)
    second = previews.submit(refresh)
    rule.release()
    assert plane.finish(first)["status"] == "pass"
    operation = plane.finish(second)
    assert operation["status"] == "pass" and operation["result"]["created_compose"] is True, operation
    assert previews.compose() is not None


# evidence

def spoil(plane):
    """The preview's record cannot be read any more; how to mend it."""
    (row,) = plane.query("SELECT preview_id, payload FROM launchplane_preview_records")
    plane.query("UPDATE launchplane_preview_records SET payload = '{}'")
    return lambda: plane.query("UPDATE launchplane_preview_records SET payload = %s", json.dumps(row["payload"]))


def spoiled_while_at_work(plane, previews, operation):
    """An operation whose record was spoilt at its last call to the provider."""
    last = ("POST", "compose.delete") if operation == "destroy" else ("GET", "deployment.allByCompose")
    if operation == "destroy":
        previews.refresh()
        plane.pass_time(seconds=5)
    rule = previews.dokploy.on(*last).hold_after().times(1)
    operation_id = previews.submit(previews.inputs(operation)["dry_run_plan"])
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    mend = spoil(plane)
    rule.release()
    return operation_id, mend


@pytest.mark.parametrize("operation, state", [("refresh", "pending"), ("destroy", "destroyed")])
def test_a_record_that_cannot_be_read_for_a_while_is_waited_for(plane, previews, operation, state):
    operation_id, mend = spoiled_while_at_work(plane, previews, operation)
    plane.run_until(operation_id, lambda: "evidence_unreadable" in [
        row["event"] for row in plane.query("SELECT event FROM launchplane_operation_events WHERE operation_id = %s", operation_id)],
        "a look at the record")
    mend()
    ended = plane.finish(operation_id)
    assert (ended["status"], ended["result"]["rollback_errors"]) == ("pass", []), ended
    assert previews.records()[7]["state"] == state


@pytest.mark.parametrize("operation", ["refresh", "destroy"])
def test_a_record_that_stays_unreadable_is_told_and_nothing_passes(plane, previews, operation):
    """What is at the provider and what the records say differ: the operation may not call that a pass."""
    operation_id, mend = spoiled_while_at_work(plane, previews, operation)
    ended = plane.finish(operation_id)
    assert (ended["status"], ended["error_code"], ended["result"]["status"]) == ("fail", "preview_evidence_failed", "fail"), ended
    assert f"{operation} it again" in ended["error_message"]
    assert ended["result"]["rollback_errors"][0].startswith("evidence: ")
    assert (previews.compose() is None) is (operation == "destroy")
    mend()
    plane.pass_time(seconds=5)
    again = plane.finish(previews.submit(previews.inputs(operation)["dry_run_plan"], key="again"))
    assert again["status"] == "pass", again


def test_a_failure_whose_record_stays_unreadable_keeps_its_own_cause(plane, previews):
    previews.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    operation_id, _ = spoiled_while_at_work(plane, previews, "refresh")
    ended = plane.finish(operation_id)
    assert (ended["status"], ended["error_code"]) == ("fail", "deploy_failed"), ended
    assert ended["result"]["rollback_errors"][0].startswith("evidence: ") and previews.compose() is None


# staged: the lane gets back what it lent

def test_a_staged_preview_borrows_the_template_and_gives_back_only_its_domain(plane, lane, staged):
    """PREV-52, PREV-53, PREV-63, PREV-64, PREV-65, PREV-66"""
    assert staged.inputs()["runtime_plan"]["strategy"] == "staged_dokploy_compose"
    operation = staged.refresh()
    assert operation["status"] == "pass", operation
    assert (operation["context"], operation["instance"]) == (lane.context, lane.instance)
    row = staged.dokploy.compose(lane.compose_id)
    env = env_of(row["env"])
    assert env["LEGACY_SETTING"] == "kept as it is" and env["ODOO_DB_NAME"] == "shop_testing"
    assert env["ODOO_PREVIEW_URL"] == "https://pr-7.previews.example.com" and "preview_tools" in env["ODOO_INSTALL_MODULES"]
    assert lane.new.image in row["composeFile"] and lane.host in row["composeFile"]
    assert sorted(d["host"] for d in staged.dokploy.domains_of(lane.compose_id)) == ["pr-7.previews.example.com", lane.host]
    assert "runtime_target_slug_mismatch" in codes(staged.inputs(number=8)["runtime_plan"])
    plane.pass_time(seconds=5)
    assert staged.destroy()["status"] == "pass"
    assert [d["host"] for d in staged.dokploy.domains_of(lane.compose_id)] == [lane.host]
    assert lane.compose_id in staged.dokploy.state.composes
    assert staged.dokploy.sent("POST", "compose.delete") == []
    assert staged.records()[7]["state"] == "destroyed"


def test_the_lane_inherits_nothing_of_a_staged_preview(plane, lane, staged):
    """PREV-62: its host and its address go with it, also while it is up; its domain is its own matter"""
    assert staged.refresh()["status"] == "pass"
    plane.pass_time(seconds=5)
    before = staged.dokploy.domains_of(lane.compose_id)
    assert sorted(row["host"] for row in before) == ["pr-7.previews.example.com", lane.host]
    assert "ODOO_PREVIEW_DOMAIN" in env_of(staged.dokploy.compose(lane.compose_id)["env"])
    shown = plan(plane, lane)
    assert shown["expected_domain_hosts"] == [lane.host]
    assert shown["current_target"]["domain_hosts"] == ["pr-7.previews.example.com", lane.host]
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation
    row = staged.dokploy.compose(lane.compose_id)
    assert "pr-7" not in row["composeFile"] and lane.host in row["composeFile"]
    env = env_of(row["env"])
    assert "ODOO_PREVIEW_URL" not in env and "ODOO_PREVIEW_DOMAIN" not in env and env["LEGACY_SETTING"] == "kept as it is"
    assert staged.dokploy.domains_of(lane.compose_id) == before


@pytest.mark.parametrize("names_it", [True, False])
def test_a_lanes_page_that_still_leads_to_a_preview_does_not_pass(plane, lane, previews, names_it):
    """TREP-35, odoo 10.2: where previews live stands in their own context, not in the lane's"""
    lane.doubles.odoo.face(lane.host).page_extra = f'<a href="https://pr-7.{"previews" if names_it else "other"}.example.com">'
    operation = replace(plane, lane)
    assert operation["status"] == ("fail" if names_it else "pass"), operation
    assert operation["result"]["canonical_status"] == operation["status"]
    probe = {probe["probe"]: probe for probe in operation["result"]["verification_evidence"]["probes"]}["canonical"]
    assert (probe["status"], probe["failure_class"]) == (operation["status"], "stale_preview_marker" if names_it else "")


def test_a_lane_with_a_staged_previews_domain_alone_goes_by_its_record(plane, lane, staged):
    (row,) = staged.dokploy.domains_of(lane.compose_id)
    staged.dokploy.state.domains[row["domainId"]]["host"] = "PR-7.previews.example.com"
    assert plan(plane, lane)["expected_domain_hosts"] == [lane.host]


def test_a_lanes_own_host_stays_however_much_it_looks_like_a_previews(plane, lane, staged):
    """Stable is what the target's record names; other lanes' targets carry no preview at all."""
    staged.dokploy.add_domain(lane.compose_id, "pr-3.example.com", https=True, port=8069)
    assert plan(plane, lane)["expected_domain_hosts"] == [lane.host]
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || %s::jsonb)::json",
                json.dumps({"domains": [lane.host, "pr-3.example.com"]}))
    assert sorted(plan(plane, lane)["expected_domain_hosts"]) == ["pr-3.example.com", lane.host]
    staged.prepare(template_instance="prod")
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || %s::jsonb)::json", json.dumps({"domains": [lane.host]}))
    assert sorted(plan(plane, lane)["expected_domain_hosts"]) == ["pr-3.example.com", lane.host]


def test_a_staged_preview_and_its_lane_do_not_work_at_once(plane, lane, staged):
    """PREV-53, PREV-68: one target, one operation; one preview at a time."""
    rule = staged.dokploy.on("POST", "compose.update").hold_before().times(1)
    plan = staged.inputs()["dry_run_plan"]
    first = staged.submit(plan, key="a")
    plane.run_until(first, rule.reached.is_set, "the call")
    busy = assert_rejected(plane.post(REPLACE, lane.replacement(), key="r"), 409, "odoo_stable_target_replacement_operation_active")
    assert busy["operation"]["operation_id"] == first
    rule.release()
    assert plane.finish(first)["status"] == "pass"


def test_a_staged_destroy_never_takes_a_stable_host(plane, lane, staged):
    plan = staged.inputs("destroy", preview_url=f"https://{lane.host}")["dry_run_plan"]
    operation = plane.finish(staged.submit(plan))
    assert operation["error_code"] == "operation_blocked" and lane.host in operation["error_message"]
    assert [d["host"] for d in staged.dokploy.domains_of(lane.compose_id)] == [lane.host]


# what there is: PREV-63, web-verireel-previews 3.8, 5.5

def look(plane, **changes):
    return plane.post(INVENTORY, {"product": "odoo-tenant-shop", "inventory": {"product": "odoo-tenant-shop", **changes}})


def scans(plane):
    return plane.query("SELECT scan_id, context, scanned_at, source, status, preview_count, payload"
                       " FROM launchplane_preview_inventory_scans ORDER BY scan_id")


def test_the_inventory_of_staged_previews_are_the_domains_of_the_template(plane, lane, staged):
    dokploy = staged.dokploy
    for host in ("pr-12.previews.example.com", "PR-7.previews.example.com", "pr-x.previews.example.com", "shop-pr-9.example.com"):
        dokploy.add_domain(lane.compose_id, host)
    calls = len(dokploy.mutations())
    answer = assert_accepted(look(plane))
    result = answer["result"]
    assert (result["product"], result["context"], result["source"]) == ("odoo-tenant-shop", "shop-preview", "odoo-preview-inventory")
    rows = {row["host"].lower(): row["domainId"] for row in dokploy.domains_of(lane.compose_id)}
    assert result["previews"] == [
        {"applicationId": lane.compose_id, "applicationName": lane.target_name, "previewSlug": slug, "providerType": "compose-domain",
         "domainId": rows[f"{slug}.previews.example.com"], "domainHost": f"{slug}.previews.example.com"} for slug in ("pr-12", "pr-7")]
    scan, = scans(plane)
    assert answer["records"] == {"preview_inventory_scan_id": scan["scan_id"]}
    assert scan["scan_id"].startswith("preview-inventory-scan-shop-preview-2") and scan["scan_id"] == scan["payload"]["scan_id"]
    assert (scan["context"], scan["source"], scan["status"], scan["preview_count"]) == ("shop-preview", "odoo-preview-inventory", "pass", 2)
    assert scan["payload"]["preview_slugs"] == ["pr-12", "pr-7"] and scan["payload"]["preview_count"] == 2
    assert len(dokploy.mutations()) == calls


def test_a_host_of_the_lane_itself_is_no_preview(plane, lane, staged):
    """PREV-66: however much it looks like one"""
    staged.dokploy.add_domain(lane.compose_id, "pr-3.example.com")
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || %s::jsonb)::json",
                json.dumps({"domains": [lane.host, "pr-3.example.com"]}))
    assert assert_accepted(look(plane))["result"]["previews"] == []
    plan = staged.inputs("destroy", 3, preview_url="https://pr-3.example.com")["dry_run_plan"]
    operation = plane.finish(staged.submit(plan))
    assert operation["error_code"] == "operation_blocked" and "pr-3.example.com" in operation["error_message"]
    assert [d["host"] for d in staged.dokploy.domains_of(lane.compose_id)] == [lane.host, "pr-3.example.com"]


def test_the_inventory_of_isolated_previews_are_the_services_of_their_name(plane, lane, previews):
    assert previews.refresh(7)["status"] == "pass"
    other = previews.dokploy.add_compose("odoo-tenant-shop-worker", environment_id=lane.environment_id)
    assert other
    found, = assert_accepted(look(plane, source="nightly"))["result"]["previews"]
    row = previews.compose(7)
    assert (found["applicationId"], found["applicationName"], found["previewSlug"]) == (row["composeId"], row["name"], "pr-7")
    assert (found["providerType"], found["domainHost"]) == ("compose", "pr-7.previews.example.com")
    assert scans(plane)[0]["source"] == "nightly"
    assert previews.destroy(7)["status"] == "pass"
    assert assert_accepted(look(plane))["result"]["previews"] == []
    assert sorted(scan["preview_count"] for scan in scans(plane)) == [0, 1]
    assert len({scan["scan_id"] for scan in scans(plane)}) == 2


def test_a_provider_that_cannot_be_read_leaves_no_scan(plane, lane, staged):
    staged.dokploy.on("GET", "compose.one").answer(500)
    assert look(plane).status_code == 502
    plane.query("DELETE FROM launchplane_dokploy_target_ids")
    assert_rejected(look(plane), 404, "tracked_target_not_found")
    assert scans(plane) == []


def test_an_inventory_needs_a_product_with_previews(plane, lane):
    assert_rejected(look(plane), 403, "product_driver_mismatch")
    body = {"product": "odoo-tenant-shop", "inventory": {"product": "other"}}
    assert_rejected(plane.post(INVENTORY, body), 400, "invalid_request", "inventory.product")
    assert_rejected(look(plane, source=" "), 400, "invalid_request", "inventory.source")
    assert scans(plane) == []


def test_the_inventory_command(plane, lane, staged):
    staged.dokploy.add_domain(lane.compose_id, "pr-12.previews.example.com")
    shown = Cli(plane)("odoo-previews", "inventory", "--product", "odoo-tenant-shop")
    assert shown.code == 0, shown
    assert "pr-12" in shown.out and "compose-domain" in shown.out and "pr-12.previews.example.com" in shown.out
    assert Cli(plane)("odoo-previews", "inventory").code == 2
