"""Domain rows, for each kind that makes one. dokploy 5: a second row of one host is taken without a word, and a row carries no mark.

A creation whose answer was lost may land later. It is waited for; one that lands later still is told, and taken away where it
repeats a route.
"""
import pytest

from checks import assert_accepted, assert_rejected
from kinds import SCENARIOS, instant
from preview import Previews
from rehearsal.waiting import wait_until
from replacement import submit as submit_replacement
from test_target_setup import SETUP, reconcile, submitted

CREATE = ("POST", "domain.create")
STARTS = {"dokploy_target_setup": "live", "odoo_stable_target_replacement": "replacement", "odoo_preview_refresh": "preview"}
PREVIEW_HOST = "pr-7.previews.example.com"


class Routing:
    """A prepared start of one kind whose host has no row yet."""

    def __init__(self, plane, kind):
        self.plane, self.kind, self.dokploy = plane, kind, plane.doubles.dokploy
        self.lane = SCENARIOS[STARTS[kind]].prepare(plane)
        if kind == "odoo_preview_refresh":
            self.host = PREVIEW_HOST
            return
        self.host = "new.example.com" if kind == "dokploy_target_setup" else self.lane.host
        self.dokploy.state.domains.clear()

    def submit(self, key="routing-1"):
        if self.kind == "odoo_preview_refresh":
            return self.lane.previews.submit(self.lane.preview_plan, key)
        if self.kind == "dokploy_target_setup":
            return submitted(self.plane, reconcile(self.lane, self.host), key)
        return submit_replacement(self.plane, self.lane, key)

    def rows(self):
        return [row for row in self.dokploy.state.domains.values() if row["host"] == self.host]


@pytest.fixture(params=STARTS)
def routing(request, plane):
    return Routing(plane, request.param)


def looks(plane, routing, operation_id):
    """The operation has listed the rows once more. Little time passes: on a slow machine the clock itself moves on."""
    seen = routing.dokploy.calls("GET", "domain.byComposeId")
    plane.run_until(operation_id, lambda: routing.dokploy.calls("GET", "domain.byComposeId") > seen, "another look", 60)


def test_a_row_that_lands_late_is_waited_for(plane, routing):
    rule = routing.dokploy.on(*CREATE).times(1).drop_late()
    operation_id = routing.submit()
    assert rule.reached.wait(60)
    looks(plane, routing, operation_id)
    looks(plane, routing, operation_id)
    assert routing.dokploy.calls(*CREATE) == 1
    rule.release()
    wait_until(lambda: routing.dokploy.effects(*CREATE) == 1, "the late row", 60)
    assert plane.finish(operation_id)["status"] == "pass"
    assert routing.dokploy.calls(*CREATE) == 1 and len(routing.rows()) == 1


def test_the_process_that_asked_dies(plane, routing):
    """Who comes after it finds no row yet, and waits all the same."""
    rule = routing.dokploy.on(*CREATE).times(1).drop_late()
    operation_id = routing.submit()
    assert rule.reached.wait(60)
    plane.kill()
    plane.start()
    looks(plane, routing, operation_id)
    looks(plane, routing, operation_id)
    rule.release()
    wait_until(lambda: routing.dokploy.effects(*CREATE) == 1, "the late row", 60)
    assert plane.finish(operation_id)["status"] == "pass"
    assert routing.dokploy.calls(*CREATE) == 1 and len(routing.rows()) == 1


def test_a_row_that_lands_beside_its_second_request_is_told(plane, routing):
    """Later than anybody waits: taken away again where nothing but Launchplane makes rows of the host, else noted."""
    late = routing.dokploy.on(*CREATE).times(1).drop_late()
    second = routing.dokploy.on(*CREATE).times(1).hold_before()
    operation_id = routing.submit()
    assert late.reached.wait(60)
    plane.run_until(operation_id, second.reached.is_set, "the second request", 60)
    late.release()
    wait_until(lambda: routing.dokploy.effects(*CREATE) == 1, "the late row", 60)
    second.release()
    operation = plane.finish(operation_id)
    assert operation["status"] == "pass", operation["error_message"]
    if routing.kind == "odoo_stable_target_replacement":
        assert operation["result"]["runtime_source"][f"domain_route_{routing.host}_row_count"] == "2"
        assert len(routing.rows()) == 2
        return
    assert len(routing.rows()) == 1
    if routing.kind == "dokploy_target_setup":
        setup = operation["result"]["setup"]
        assert [row["domainId"] for row in routing.rows()] == operation["result"]["route_domain_ids"]
        assert len(setup["warnings"]) == 1 and routing.host in setup["warnings"][0] and "removed" in setup["warnings"][0]


def test_rows_that_never_land_are_given_up(plane, routing):
    rule = routing.dokploy.on(*CREATE).drop_before()
    operation = plane.finish(routing.submit())
    assert (operation["status"], operation["error_code"]) == ("fail", "upstream_lost")
    assert routing.host in operation["error_message"] and rule.struck == 3


def test_what_landed_after_the_end_is_taken_away_by_the_next_reconciliation(plane, lane):
    """Equal rows but one; those of another path, of other makers, or with members of their own stay. DOK-35, DOK-51"""
    instant(plane)
    dokploy, host = plane.doubles.dokploy, lane.host
    kept, = [row["domainId"] for row in dokploy.domains_of(lane.compose_id)]
    equal = [dokploy.add_domain(lane.compose_id, host, https=True) for _ in range(2)]
    others = [dokploy.add_domain(lane.compose_id, host, https=True, path="/websocket", port=8072),
              dokploy.add_domain(lane.compose_id, host, https=True, middlewares=["guard@file"]),
              dokploy.add_domain(lane.compose_id, "other.example.com", https=True)]
    dry = assert_accepted(plane.post(SETUP, {**reconcile(lane, host), "mode": "dry-run"}))["result"]
    assert len(dokploy.domains_of(lane.compose_id)) == 6
    result = assert_accepted(plane.post(SETUP, reconcile(lane, host, plan_digest=dry["plan_digest"]), key="k"))["result"]
    assert {row["domainId"] for row in dokploy.domains_of(lane.compose_id)} == {kept, *others}
    assert result["route_domain_ids"] == [kept]
    warnings = "\n".join(result["setup"]["warnings"])
    assert all(domain_id in warnings for domain_id in equal) and "2 rows" in warnings
    assert result["setup"]["routes"] == [{"host": host, "domain_id": kept, "action": "unchanged"}]


def test_an_equal_row_that_cannot_be_removed_fails_the_reconciliation(plane, lane):
    plane.doubles.dokploy.add_domain(lane.compose_id, lane.host, https=True)
    plane.doubles.dokploy.on("POST", "domain.delete").answer(403)
    assert_rejected(plane.post(SETUP, reconcile(lane, lane.host), key="k"), 400, "invalid_dokploy_target_setup")


def test_a_custom_certificate_keeps_its_resolver(plane, lane):
    row, = plane.doubles.dokploy.state.domains.values()
    row.update(certificateType="custom", customCertResolver="internal-ca", port=3000)
    assert_accepted(plane.post(SETUP, reconcile(lane, lane.host), key="k"))
    row, = plane.doubles.dokploy.state.domains.values()
    assert (row["port"], row["certificateType"], row["customCertResolver"]) == (8069, "custom", "internal-ca")


def test_a_cancelled_staged_preview_leaves_no_row_that_was_on_its_way(plane, lane):
    """The target is shared, so nothing else would take it away."""
    instant(plane)
    staged = Previews(plane, lane, staged=True).prepare()
    rule = staged.dokploy.on(*CREATE).times(1).drop_late()
    operation_id = staged.submit(staged.inputs()["dry_run_plan"])
    assert rule.reached.wait(60)
    assert_accepted(plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "rehearsal"}))
    seen = staged.dokploy.calls("GET", "domain.byComposeId")
    plane.run_until(operation_id, lambda: staged.dokploy.calls("GET", "domain.byComposeId") > seen + 2, "the way back", 60)
    rule.release()
    wait_until(lambda: staged.dokploy.effects(*CREATE) == 1, "the late row", 60)
    assert plane.finish(operation_id)["error_code"] == "operation_cancelled"
    assert [row["host"] for row in staged.dokploy.domains_of(lane.compose_id)] == [lane.host]
