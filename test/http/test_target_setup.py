"""POST /v1/dokploy-targets/setup: adopt, create, reconcile and prune. DOK-34..52, config-health 5.5."""
import threading

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from rehearsal.lane import CONFIRM_SETUP
from rehearsal.waiting import wait_until

SETUP = "/v1/dokploy-targets/setup"
ASYNC = {"Prefer": "respond-async"}


def body(lane, operation, **changes):
    return {
        "mode": "apply", "operation": operation, "product": "launchplane", "context": lane.context,
        "instance": lane.instance, "confirmation": CONFIRM_SETUP, "reason": "rehearsal", **changes,
    }


def create(lane, kind="compose", **changes):
    made = {"target_type": kind, "target_name": "shop-prod", "instance": "prod", **changes}
    if kind == "compose":
        made.setdefault("server_id", lane.doubles.dokploy.add_server())
    return body(lane, f"create-{kind}", **made)


def reconcile(lane, *hosts, **changes):
    return body(lane, "reconcile-compose-domain", **{"domains": list(hosts), "runtime_port": 8069, **changes})


def prune(lane, *hosts, **changes):
    return body(lane, "prune-compose-domain", domains=list(hosts), **changes)


def target_of(plane, context="shop", instance="testing"):
    return assert_ok(plane.get(f"/v1/dokploy-targets/{context}/{instance}"))["target"]


def rows_of(plane, instance):
    tables = ("dokploy_targets", "dokploy_target_ids", "provider_targets")
    return [len(plane.query(f"SELECT 1 FROM launchplane_{table} WHERE instance = %s", instance)) for table in tables]


def submitted(plane, request, key="setup-1"):
    return assert_accepted(plane.post(SETUP, request, key=key, headers=ASYNC))["records"]["operation_id"]


# waiting on the caller's behalf

def test_respond_async_answers_with_the_operation(plane, lane):
    """RFC 7240: the same key asks for its end later"""
    plane.doubles.dokploy.on("GET", "domain.byComposeId").delay(3)
    request = reconcile(lane, "one.example.com")
    answer = plane.post(SETUP, request, key="k", headers=ASYNC)
    operation_id = assert_accepted(answer)["records"]["operation_id"]
    assert answer.headers["Location"] == f"/v1/operations/{operation_id}"
    assert (answer.headers["Retry-After"], answer.headers["Preference-Applied"]) == ("2", "respond-async")
    assert answer.json()["result"]["status"] in ("pending", "running")
    plane.finish(operation_id)
    again = plane.post(SETUP, request, key="k")
    assert again.json()["result"]["applied"] is True and again.json()["replayed"] is True
    assert "Retry-After" not in again.headers


def test_the_wait_is_bounded(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "domain.byComposeId").hold_before()
    answer = plane.post(SETUP, reconcile(lane, "one.example.com"), key="k", headers={"Prefer": "wait=1"})
    operation_id = assert_accepted(answer)["records"]["operation_id"]
    assert answer.headers["Preference-Applied"] == "wait=1"
    rule.release()
    assert plane.finish(operation_id)["status"] == "pass"


def test_a_caller_that_leaves_changes_nothing_for_the_operation(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "domain.byComposeId").times(1).hold_before()
    request = reconcile(lane, "one.example.com")
    with pytest.raises(OSError):
        plane.post(SETUP, request, key="k", timeout=0.5)
    assert rule.reached.wait(60)
    rule.release()
    again = assert_accepted(plane.post(SETUP, request, key="k"))
    assert again["result"]["applied"] is True
    assert plane.doubles.dokploy.effects("POST", "domain.create") == 1


def test_a_service_that_stops_answers_those_who_wait(plane, lane):
    rule = plane.doubles.dokploy.on("GET", "domain.byComposeId").hold_before()
    answers = []
    thread = threading.Thread(target=lambda: answers.append(plane.post(SETUP, reconcile(lane, "one.example.com"), key="k")))
    thread.start()
    assert rule.reached.wait(60)
    stopped = threading.Thread(target=plane.terminate)
    stopped.start()
    thread.join(30)
    rule.release()
    stopped.join(60)
    assert answers and answers[0].status_code == 202 and "operation_id" in answers[0].json()["records"]
    plane.restart()
    assert plane.finish(answers[0].json()["records"]["operation_id"])["status"] == "pass"


# adopting

def test_a_dry_run_of_each_operation_changes_nothing(plane, lane):
    before, mutations = plane.counts(), len(plane.doubles.dokploy.mutations())
    for request in (create(lane), create(lane, "application"), reconcile(lane, "one.example.com"), prune(lane, lane.host),
                    body(lane, "adopt", target_id=lane.compose_id)):
        request = {**request, "mode": "dry-run", "confirmation": "", "reason": ""}
        result = assert_accepted(plane.post(SETUP, request))["result"]
        assert result["applied"] is False and len(result["plan_digest"]) == 64
    assert plane.counts() == before
    assert len(plane.doubles.dokploy.mutations()) == mutations


def test_what_applying_asks_for(plane, lane):
    before = plane.counts()
    request = reconcile(lane, "one.example.com")
    assert_rejected(plane.post(SETUP, request), 400, "idempotency_key_required")
    assert_rejected(plane.post(SETUP, {**request, "confirmation": CONFIRM_SETUP.lower()}, key="k"), 400, "confirmation_required")
    assert_rejected(plane.post(SETUP, {**request, "reason": " "}, key="k"), 400, "reason_required")
    assert plane.counts() == before


BAD = {
    "adopt without id": (dict(operation="adopt"), "target_id"),
    "create without name": (dict(operation="create-compose", server_id="s"), "target_name"),
    "create with id": (dict(operation="create-compose", server_id="s", target_name="x", target_id="y"), "target_id"),
    "create without server": (dict(operation="create-compose", target_name="x"), "server_id"),
    "create of the other type": (dict(operation="create-application", target_name="x", target_type="compose"), "target_type"),
    "reconcile without domains": (dict(operation="reconcile-compose-domain", runtime_port=1), "domains"),
    "reconcile without port": (dict(operation="reconcile-compose-domain", domains=["x"]), "runtime_port"),
    "reconcile of an application": (dict(operation="reconcile-compose-domain", target_type="application", domains=["x"], runtime_port=1),
                                    "target_type"),
    "prune without domains": (dict(operation="prune-compose-domain"), "domains"),
    "port where it means nothing": (dict(operation="prune-compose-domain", domains=["x"], runtime_port=1), "runtime_port"),
    "port without domains": (dict(operation="create-compose", target_name="x", server_id="s", runtime_port=1), "runtime_port"),
    "health path": (dict(operation="adopt", target_id="x", healthcheck_path="health"), "healthcheck_path"),
    "operation": (dict(operation="repair"), "operation"),
    "product": (dict(operation="adopt", target_id="x", product="shop"), "product"),
}


@pytest.mark.parametrize("name", BAD)
def test_members_that_do_not_fit_together(shared_lane, name):
    members, path = BAD[name]
    request = {**body(shared_lane, "adopt"), **members}
    plane = shared_lane.plane
    before, calls = plane.counts(), len(plane.doubles.dokploy.requests)
    assert_rejected(plane.post(SETUP, request, key=name), 400, "invalid_request", path)
    assert plane.counts() == before and len(plane.doubles.dokploy.requests) == calls


def test_another_target_is_adopted_only_when_the_recorded_one_is_named(plane, lane):
    """PTGT-45, 46"""
    other = plane.doubles.dokploy.add_compose("shop-new", lane.environment_id)
    request = body(lane, "adopt", target_id=other)
    before = plane.counts()
    assert_rejected(plane.post(SETUP, request, key="k1"), 400, "invalid_dokploy_target_setup", "not overwritten")
    known = plane.query("SELECT payload FROM launchplane_provider_targets")[0]["payload"]
    named = {name: known[name] for name in ("provider_id", "target_category", "target_id", "display_name", "provider_target_type",
                                            "provider_evidence")}
    wrong = {**request, "expected_current_provider_target": {**named, "target_id": other}}
    assert_rejected(plane.post(SETUP, wrong, key="k2"), 400, "invalid_dokploy_target_setup", "expected_current_provider_target")
    assert plane.counts() == before
    result = assert_accepted(plane.post(SETUP, {**request, "expected_current_provider_target": named}, key="k3"))["result"]
    assert result["setup"]["provider_target_record"]["target_id"] == other
    assert target_of(plane)["target_id"] == other


def test_a_stale_row_stops_every_operation(plane, lane):
    plane.query("UPDATE launchplane_provider_targets SET payload = (payload::jsonb || '{\"display_name\": \"old\"}')::json")
    before, mutations = plane.counts(), len(plane.doubles.dokploy.mutations())
    known = plane.query("SELECT payload FROM launchplane_provider_targets")[0]["payload"]
    named = {name: known[name] for name in ("provider_id", "target_category", "target_id", "display_name", "provider_target_type",
                                            "provider_evidence")}
    for number, request in enumerate((reconcile(lane, "one.example.com"), prune(lane, lane.host),
                                      body(lane, "adopt", target_id=lane.compose_id),
                                      body(lane, "adopt", target_id=lane.compose_id, expected_current_provider_target=named))):
        answer = plane.post(SETUP, request, key=f"stale-{number}")
        assert_rejected(answer, 400, "invalid_dokploy_target_setup", "display_name")
    assert plane.counts() == before and len(plane.doubles.dokploy.mutations()) == mutations


# creating

def test_creating_a_compose_target(plane, lane):
    """5.5, dokploy 11: project, environment, service, source, routes, records"""
    request = create(lane, domains=["prod.example.com"], runtime_port=8069)
    dry = assert_accepted(plane.post(SETUP, {**request, "mode": "dry-run"}))["result"]
    assert [step["request"] for step in dry["setup"]["plan"]] == [
        "project.create", "environment.create", "compose.create", "compose.update", "domain.create"]
    result = assert_accepted(plane.post(SETUP, {**request, "plan_digest": dry["plan_digest"]}, key="k"))["result"]
    made = plane.doubles.dokploy.compose(result["setup"]["target_id_record"]["target_id"])
    assert (made["name"], made["sourceType"], made["composePath"]) == ("shop-prod", "raw", "docker-compose.yml")
    assert result["setup"]["provider_fields"]["app_name"] == made["appName"]
    assert rows_of(plane, "prod") == [1, 1, 1]
    assert target_of(plane, instance="prod")["domains"] == ["prod.example.com"]
    assert_rejected(plane.post(SETUP, {**request, "reason": "again"}, key="k2"), 400, "invalid_dokploy_target_setup")


def test_creating_an_application_in_an_existing_environment(plane, lane):
    request = create(lane, "application", environment_id=lane.environment_id)
    result = assert_accepted(plane.post(SETUP, request, key="k"))["result"]
    made = plane.doubles.dokploy.state.applications[result["setup"]["target_id_record"]["target_id"]]
    assert made["environmentId"] == lane.environment_id
    assert plane.doubles.dokploy.calls("POST", "project.create") == plane.doubles.dokploy.calls("POST", "environment.create") == 0
    assert target_of(plane, instance="prod")["target_type"] == "application"


@pytest.mark.generation("0.29")
def test_creating_on_the_older_generation(plane, lane):
    result = assert_accepted(plane.post(SETUP, create(lane), key="k"))["result"]
    assert plane.doubles.dokploy.compose(result["setup"]["target_id_record"]["target_id"])["sourceType"] == "raw"


@pytest.mark.parametrize("procedure", ["project.create", "environment.create", "compose.create", "domain.create"])
def test_an_answer_that_is_lost_makes_nothing_twice(plane, lane, procedure):
    """A time-out after accepting: found again by the mark, or by looking"""
    plane.doubles.dokploy.on("POST", procedure).times(1).drop_after()
    request = create(lane, domains=["prod.example.com"], runtime_port=8069)
    operation = plane.finish(submitted(plane, request))
    assert operation["status"] == "pass"
    assert plane.doubles.dokploy.effects("POST", procedure) == 1


CREATIONS = ["project.create", "environment.create", "compose.create", "domain.create"]


def looks_again(plane, operation_id):
    """The operation has looked for what it asked for."""
    seen = len(plane.doubles.dokploy.requests)
    plane.run_until(operation_id, lambda: len(plane.doubles.dokploy.requests) >= seen + 2, "another look at Dokploy", 60)


@pytest.mark.parametrize("procedure", CREATIONS)
def test_a_creation_that_shows_late_is_waited_for(plane, lane, procedure):
    """The connection was lost at once, the thing appears later"""
    rule = plane.doubles.dokploy.on("POST", procedure).times(1).drop_late()
    operation_id = submitted(plane, create(lane, domains=["prod.example.com"], runtime_port=8069))
    assert rule.reached.wait(60)
    looks_again(plane, operation_id)
    looks_again(plane, operation_id)
    assert plane.doubles.dokploy.calls("POST", procedure) == 1
    rule.release()
    wait_until(lambda: plane.doubles.dokploy.effects("POST", procedure) == 1, "the late effect", 60)
    assert plane.finish(operation_id)["status"] == "pass"
    assert plane.doubles.dokploy.calls("POST", procedure) == 1


@pytest.mark.parametrize("procedure", CREATIONS[:3])
def test_a_creation_that_shows_beside_its_second_request_is_for_a_person(plane, lane, procedure):
    """Later than anybody waits: two things with one mark are named, and nothing is recorded"""
    late = plane.doubles.dokploy.on("POST", procedure).times(1).drop_late()
    second = plane.doubles.dokploy.on("POST", procedure).times(1).hold_before()
    operation_id = submitted(plane, create(lane))
    assert late.reached.wait(60)
    plane.run_until(operation_id, second.reached.is_set, "the second request", 60)
    late.release()
    wait_until(lambda: plane.doubles.dokploy.effects("POST", procedure) == 1, "the late effect", 60)
    second.release()
    operation = plane.finish(operation_id)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_reconciliation_required")
    assert rows_of(plane, "prod") == [0, 0, 0]


def test_a_creation_is_asked_for_three_times_at_most(plane, lane):
    rule = plane.doubles.dokploy.on("POST", "project.create").drop_before()
    operation = plane.finish(submitted(plane, create(lane)))
    assert (operation["status"], operation["error_code"]) == ("fail", "upstream_lost")
    assert rule.struck == 3


def test_a_creation_that_fails_on_the_way_says_what_it_made(plane, lane):
    """Resumable: a new request goes on from there"""
    plane.doubles.dokploy.on("POST", "compose.create").answer(403)
    answer = plane.post(SETUP, create(lane), key="k")
    rejected = assert_rejected(answer, 400, "invalid_dokploy_target_setup")
    fields = rejected["operation"]["result"]["setup"]["provider_fields"]
    assert set(fields) >= {"project_id", "environment_id"} and rows_of(plane, "prod") == [0, 0, 0]
    assert plane.post(SETUP, create(lane, server_id="other"), key="k").status_code == 409
    plane.doubles.dokploy.faults.clear()
    more = create(lane, project_id=fields["project_id"], environment_id=fields["environment_id"])
    assert_accepted(plane.post(SETUP, more, key="k2"))
    assert plane.doubles.dokploy.effects("POST", "project.create") == 1


# routes

def test_a_reconcile_dry_run_asks_no_provider(plane, lane):
    """DOK-38"""
    calls = len(plane.doubles.dokploy.requests)
    result = assert_accepted(plane.post(SETUP, {**reconcile(lane, "One.Example.com"), "mode": "dry-run"}))["result"]
    assert result["setup"]["domains"] == [lane.host, "one.example.com"] and result["setup"]["runtime_port"] == 8069
    assert len(plane.doubles.dokploy.requests) == calls


def test_reconciling_routes_every_host_to_web(plane, lane):
    """DOK-35..37"""
    plane.doubles.dokploy.add_domain(lane.compose_id, "two.example.com", port=3000, serviceName="db")
    result = assert_accepted(plane.post(SETUP, reconcile(lane, "one.example.com", "two.example.com", lane.host), key="k"))["result"]
    assert {route["host"]: route["action"] for route in result["setup"]["routes"]} == {
        "one.example.com": "created", "two.example.com": "updated", lane.host: "unchanged"}
    assert len(result["route_domain_ids"]) == 3
    rows = plane.doubles.dokploy.domains_of(lane.compose_id)
    assert len(rows) == 3 and all((row["serviceName"], row["port"]) == ("web", 8069) for row in rows)
    assert target_of(plane)["domains"] == [lane.host, "one.example.com", "two.example.com"]
    assert plane.doubles.dokploy.calls("POST", "compose.deploy") == 0


def test_the_second_of_three_domains_is_refused(plane, lane):
    """What was done is recorded, and another try does the rest"""
    hosts = ["one.example.com", "two.example.com", "three.example.com"]
    plane.doubles.dokploy.on("POST", "domain.create").after(1).answer(400, {"message": "Invalid hostname", "code": "BAD_REQUEST"})
    rejected = assert_rejected(plane.post(SETUP, reconcile(lane, *hosts), key="k"), 400, "invalid_dokploy_target_setup")
    result = rejected["operation"]["result"]
    assert [(route["host"], route["action"]) for route in result["setup"]["routes"]] == [("one.example.com", "created")]
    assert result["applied"] is False
    assert target_of(plane)["domains"] == [lane.host, "one.example.com"]
    plane.doubles.dokploy.faults.clear()
    done = assert_accepted(plane.post(SETUP, reconcile(lane, *hosts), key="k2"))["result"]
    assert [route["action"] for route in done["setup"]["routes"]] == ["unchanged", "created", "created"]
    assert target_of(plane)["domains"] == [lane.host, *hosts]


def test_pruning_deletes_exactly_what_matches(plane, lane):
    """DOK-39..44, 51"""
    dokploy = plane.doubles.dokploy
    assert_accepted(plane.post(SETUP, reconcile(lane, "old.example.com"), key="k0"))
    matched = next(row["domainId"] for row in dokploy.domains_of(lane.compose_id) if row["host"] == "old.example.com")
    kept = [dokploy.add_domain(lane.compose_id, "old.example.com", path="/api"),
            dokploy.add_domain(lane.compose_id, "old.example.com", serviceName="db"),
            dokploy.add_domain(lane.compose_id, "kept.example.com")]
    request = prune(lane, "old.example.com", "gone.example.com")
    dry = assert_accepted(plane.post(SETUP, {**request, "mode": "dry-run"}))["result"]
    assert dry["setup"]["matched_domain_ids"] == [matched] and dry["setup"]["deleted_domain_ids"] == []
    assert dry["setup"]["missing_domains"] == ["gone.example.com"]
    result = assert_accepted(plane.post(SETUP, {**request, "plan_digest": dry["plan_digest"]}, key="k"))["result"]
    assert result["setup"]["deleted_domain_ids"] == [matched]
    assert {row["domainId"] for row in dokploy.domains_of(lane.compose_id)} >= set(kept)
    assert matched not in {row["domainId"] for row in dokploy.domains_of(lane.compose_id)}
    assert target_of(plane)["domains"] == [lane.host]


def test_the_second_deletion_is_refused(plane, lane):
    hosts = ["one.example.com", "two.example.com", "three.example.com"]
    assert_accepted(plane.post(SETUP, reconcile(lane, *hosts), key="k0"))
    plane.doubles.dokploy.on("POST", "domain.delete").after(1).answer(403)
    rejected = assert_rejected(plane.post(SETUP, prune(lane, *hosts), key="k"), 400, "invalid_dokploy_target_setup")
    assert len(rejected["operation"]["result"]["setup"]["deleted_domain_ids"]) == 1
    left = {row["host"] for row in plane.doubles.dokploy.domains_of(lane.compose_id)}
    assert set(target_of(plane)["domains"]) == left and len(left) == 3
    plane.doubles.dokploy.faults.clear()
    assert_accepted(plane.post(SETUP, prune(lane, *hosts), key="k2"))
    assert target_of(plane)["domains"] == [lane.host]


@pytest.mark.parametrize("operation", [reconcile, prune])
def test_routes_need_a_tracked_compose_target(plane, lane, operation):
    """DOK-36, 40, 52"""
    plane.query("DELETE FROM launchplane_dokploy_target_ids")
    assert_rejected(plane.post(SETUP, operation(lane, "x.example.com"), key="k"), 400, "invalid_dokploy_target_setup", "target id")
    other = operation(lane, "x.example.com", instance="prod")
    assert_rejected(plane.post(SETUP, other, key="k2"), 400, "invalid_dokploy_target_setup", "no tracked target")


def test_the_callers_target_id_is_no_authority(plane, lane):
    request = prune(lane, lane.host, target_id="another")
    assert_rejected(plane.post(SETUP, request, key="k"), 400, "invalid_dokploy_target_setup", "target_id")


def test_a_target_changed_between_review_and_apply_is_shown_afresh(plane, lane):
    dry = assert_accepted(plane.post(SETUP, {**prune(lane, lane.host), "mode": "dry-run"}))["result"]
    plane.doubles.dokploy.add_domain(lane.compose_id, lane.host)
    rejected = assert_rejected(plane.post(SETUP, prune(lane, lane.host, plan_digest=dry["plan_digest"]), key="k"), 409, "plan_changed")
    assert len(rejected["plan"]["matched_domain_ids"]) == 2
    assert plane.doubles.dokploy.calls("POST", "domain.delete") == 0


# two at once

def test_of_two_operators_exactly_one_works_on_a_lane(plane, lane):
    """F3: an explicit 409 that names the active operation, whatever product holds the lane"""
    rule = plane.doubles.dokploy.on("GET", "domain.byComposeId").times(1).hold_before()
    first = submitted(plane, reconcile(lane, "one.example.com"), "k1")
    assert rule.reached.wait(60)
    busy = assert_rejected(plane.post(SETUP, reconcile(lane, "two.example.com"), key="k2"), 409, "operation_active")
    assert busy["operation"]["operation_id"] == first
    replacing = plane.post("/v1/drivers/odoo/target-replacement-apply", lane.replacement(), key="k3")
    assert_rejected(replacing, 409, "odoo_stable_target_replacement_operation_active")
    rule.release()
    assert plane.finish(first)["status"] == "pass"
    assert target_of(plane)["domains"] == [lane.host, "one.example.com"]
    assert_accepted(plane.post(SETUP, reconcile(lane, "two.example.com"), key="k2"))


def test_a_provider_that_is_away_is_asked_again(plane, lane):
    plane.doubles.dokploy.on("GET", "domain.byComposeId").times(2).answer(502)
    operation = plane.finish(submitted(plane, reconcile(lane, "one.example.com")))
    assert operation["status"] == "pass"
    plane.doubles.dokploy.on("GET", "domain.byComposeId").answer(502)
    operation = plane.finish(submitted(plane, reconcile(lane, "two.example.com"), "k2"))
    assert (operation["status"], operation["error_code"]) == ("fail", "upstream_failed")
    assert plane.post(SETUP, reconcile(lane, "two.example.com"), key="k2").status_code == 502
    assert "two.example.com" not in target_of(plane)["domains"]
