"""Replacements that must fail: what is told, what is recorded, what stays as it was. odoo 4.4."""
import pytest

from rehearsal.lane import Lane
from replacement import deployment_of, inventory_of, replace, submit


BEFORE_DEPLOY = {
    "the source is not kept": lambda d, o: d.on("POST", "compose.update").having("composeFile").lie("member_stripped"),
    "the source write is refused": lambda d, o: d.on("POST", "compose.update").having("composeFile").answer(400),
    "the env is not kept": lambda d, o: d.on("POST", "compose.update").having("env").lie("env_not_persisted"),
    "the env write is refused": lambda d, o: d.on("POST", "compose.update").having("env").answer(403),
    "the domain write is refused": lambda d, o: other_port(d).on("POST", "domain.update").answer(400),
    "the deploy is refused": lambda d, o: d.on("POST", "compose.deploy").answer(403),
    "the key is no longer accepted": lambda d, o: d.on("*", "*").after(3).unauthorized(),
    "the service belongs to somebody else": lambda d, o: d.on("POST", "*").unauthorized(code=True),
}
AT_DEPLOY = {
    "the deploy ends in error": lambda d, o: d.on("POST", "compose.deploy").lie("deploy_error"),
    "the deploy is cancelled": lambda d, o: d.on("POST", "compose.deploy").lie("deploy_cancelled"),
    "the deploy never appears": lambda d, o: d.on("POST", "compose.deploy").lie("lost_job"),
}
AFTER_DEPLOY = {
    "done, but the old snapshot runs": lambda d, o: d.on("POST", "compose.deploy").lie("old_snapshot"),
    "the script fails": lambda d, o: d.on("POST", "schedule.runManually").lie("script_fails"),
    "the script leaves web stopped": lambda d, o: d.on("POST", "schedule.runManually").lie("script_leaves_web_stopped"),
    "the run is cancelled": lambda d, o: d.on("POST", "schedule.runManually").lie("run_cancelled"),
    "the schedule is refused": lambda d, o: d.on("POST", "schedule.create").answer(403),
    "health says fail": lambda d, o: setattr(o, "health_status", "fail"),
    "health is a 500": lambda d, o: setattr(o, "health_code", 500),
    "nobody answers": lambda d, o: setattr(o, "unreachable", True),
    "it never starts": lambda d, o: setattr(o, "start_seconds", 10**9),
    "the canonical link is missing": lambda d, o: setattr(o, "canonical", "missing"),
    "the canonical link leads elsewhere": lambda d, o: setattr(o, "canonical", "https://elsewhere.example.com"),
    "the page is a 404": lambda d, o: setattr(o, "page_code", 404),
    "the logo is an html 404": lambda d, o: setattr(o, "logo", "html_404"),
    "the logo is missing": lambda d, o: setattr(o, "logo", "missing"),
    "the identity is missing": lambda d, o: setattr(o, "identity", "missing"),
    "the identity is malformed": lambda d, o: setattr(o, "identity", "malformed"),
    "the identity is another artifact's": lambda d, o: o.identity_changes.update(artifact_id="artifact-shop-0001"),
    "the identity is another deployment's": lambda d, o: o.identity_changes.update(deployment_record_id="other"),
}
EXPECTED = {
    "health says fail": {"health_status": "fail", "canonical_status": "skipped", "logo_status": "skipped"},
    "health is a 500": {"health_status": "fail", "canonical_status": "skipped"},
    "the canonical link is missing": {"health_status": "pass", "canonical_status": "fail", "logo_status": "skipped"},
    "the logo is an html 404": {"canonical_status": "pass", "logo_status": "fail"},
    "the script fails": {"deploy_status": "pass", "post_deploy_status": "fail", "health_status": "skipped"},
}


def other_port(dokploy):
    """The lane's route leads elsewhere, so that it has to be written."""
    for row in dokploy.state.domains.values():
        row["port"] = 3000
    return dokploy


def arrange(table, name, plane, lane):
    table[name](plane.doubles.dokploy, plane.doubles.odoo.face(lane.host))


def fails(plane, lane, **changes):
    operation = replace(plane, lane, **changes)
    assert (operation["status"], operation["phase"]) == ("fail", "failed"), operation
    assert operation["error_message"]
    assert operation["finished_at"]
    return operation


def nothing_new_in_inventory(plane, lane):
    """odoo 4.4: after a failure inventory and tuple stay untouched"""
    assert inventory_of(plane, lane)["artifact_identity"]["artifact_id"] == lane.old.artifact_id
    assert plane.query("SELECT 1 FROM launchplane_release_tuples") == []


@pytest.mark.parametrize("name", BEFORE_DEPLOY)
def test_failures_before_the_deploy(plane, lane, name):
    arrange(BEFORE_DEPLOY, name, plane, lane)
    operation = fails(plane, lane)
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 0
    assert plane.doubles.dokploy.running(lane.compose_id).services["web"].image == lane.old.image
    nothing_new_in_inventory(plane, lane)
    if operation["deployment_record_id"]:
        record = deployment_of(plane, operation)
        assert (record["deploy"]["status"], record["destination_health"]["status"]) == ("fail", "skipped")


@pytest.mark.parametrize("name", AT_DEPLOY)
def test_failures_of_the_deploy(plane, lane, name):
    arrange(AT_DEPLOY, name, plane, lane)
    operation = fails(plane, lane)
    record = deployment_of(plane, operation)
    assert record["deploy"]["status"] == "fail"
    assert record["post_deploy_update"]["attempted"] is False
    assert plane.doubles.dokploy.calls("POST", "compose.deploy") == 1      # never repeated blindly
    assert plane.doubles.dokploy.schedule_runs == []
    nothing_new_in_inventory(plane, lane)


@pytest.mark.parametrize("name", AFTER_DEPLOY)
def test_failures_after_the_deploy(plane, lane, name):
    """F8: evidence decides, not what the provider says; TREP-35, RID-12, RID-13"""
    arrange(AFTER_DEPLOY, name, plane, lane)
    operation = fails(plane, lane)
    record = deployment_of(plane, operation)
    assert record["deploy"]["status"] == "fail"
    assert operation["result"]["runtime_identity_injected"] is True
    for member, value in EXPECTED.get(name, {}).items():
        assert operation["result"][member] == value, member
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    nothing_new_in_inventory(plane, lane)


def test_a_blocked_plan_ends_the_operation_before_any_mutation(plane, lane):
    """odoo 4.4 step 1"""
    operation = fails(plane, lane, source_git_ref="f" * 40)
    assert plane.doubles.dokploy.mutations() == []
    assert operation["deployment_record_id"] in (None, "")


def test_identity_required_but_health_not_verified_is_an_error_before_any_mutation(plane, lane):
    """odoo 4.4 step 5"""
    operation = fails(plane, lane, verify_health=False)
    assert "verify_health" in operation["error_message"]
    assert operation["deployment_record_id"] in (None, "")
    assert plane.doubles.dokploy.mutations() == []
    assert replace(plane, lane, key="replace-2")["status"] == "pass"


def test_without_required_identity_a_missing_one_is_only_advice(plane, doubles):
    """RID-13"""
    lane = Lane(doubles)
    lane.policies = {"odoo_data_policy": {"requires_runtime_identity": False}}
    lane.create_in_dokploy()
    plane.secrets += lane.secret_values()
    lane.prepare(plane)
    doubles.odoo.face(lane.host).identity = "missing"
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation


@pytest.mark.parametrize("change", [
    {"rules": []}, {"secret_class": "prod_only"}, {"allowed_contexts": ["other"]}, {"allowed_instances": ["prod"]},
], ids=str)
def test_an_unsafe_secret_stops_the_job_before_it_writes(plane, unprepared_lane, change):
    """odoo 4.4 step 8; config-health 4.6"""
    lane = unprepared_lane
    lane.prepare(plane)
    # Applying a policy only ever merges, so a tighter one can only take the place of a removed one.
    plane.query("DELETE FROM launchplane_runtime_key_safety_policies")
    body = lane.key_safety()
    if "rules" in change:
        body["rules"] = [{"binding_key": "SOMETHING_ELSE", "secret_class": "testing"}]
    else:
        body["rules"][0].update(change)
    assert plane.post("/v1/runtime-key-safety/policies/apply", body).status_code == 202
    operation = fails(plane, lane)
    assert plane.doubles.dokploy.mutations() == []
    assert operation["status"] == "fail"


def test_a_schedule_that_runs_already_is_refused(plane, lane):
    """odoo 8.2: busy check"""
    assert replace(plane, lane)["status"] == "pass"
    dokploy = plane.doubles.dokploy
    schedule = next(iter(dokploy.state.schedules))
    with dokploy.state.lock:
        dokploy.state.start_deployment("scheduleId", schedule, "Schedule", "")
    fails(plane, lane, key="replace-2")


def test_duplicate_domain_rows_are_noticed(plane, lane):
    """dokploy 5.1: two rows for one host are two conflicting routers"""
    plane.doubles.dokploy.add_domain(lane.compose_id, lane.host, https=True)
    operation = replace(plane, lane)
    assert operation["status"] in ("pass", "fail")
    told = operation["error_message"] or str(operation["result"]["runtime_source"])
    assert lane.host in told


TRANSIENT = [
    ("GET", "compose.one", lambda rule: rule.answer(500).times(2)),
    ("GET", "compose.one", lambda rule: rule.answer(503).times(1)),
    ("GET", "compose.one", lambda rule: rule.drop_before().times(1)),
    ("GET", "compose.one", lambda rule: rule.truncate().times(1)),
    ("GET", "domain.byComposeId", lambda rule: rule.answer(502).times(1)),
    ("GET", "deployment.allByCompose", lambda rule: rule.answer(500).times(3)),
    ("GET", "schedule.list", lambda rule: rule.drop_before().times(1)),
    ("POST", "compose.update", lambda rule: rule.drop_after().times(1)),
    ("POST", "compose.update", lambda rule: rule.answer(500).times(1)),
    ("POST", "domain.update", lambda rule: rule.drop_after().times(1)),   # the lane's route is made to need it
    ("POST", "compose.deploy", lambda rule: rule.drop_after().times(1)),
    ("POST", "compose.deploy", lambda rule: rule.truncate().times(1)),
    ("POST", "schedule.create", lambda rule: rule.drop_after().times(1)),
    ("POST", "schedule.runManually", lambda rule: rule.drop_after().times(1)),
    ("GET", "deployment.readLogs", lambda rule: rule.answer(500).times(1)),
]


@pytest.mark.parametrize("number", range(len(TRANSIENT)),
                         ids=[f"{method} {name} {index}" for index, (method, name, _) in enumerate(TRANSIENT)])
def test_trouble_that_passes_does_not_stop_the_job_nor_double_it(plane, lane, number):
    method, procedure, make = TRANSIENT[number]
    if procedure == "domain.update":
        other_port(plane.doubles.dokploy)
    rule = make(plane.doubles.dokploy.on(method, procedure))
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation
    assert rule.struck
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    assert len(plane.doubles.dokploy.schedule_runs) == 1
    assert len(plane.doubles.dokploy.state.schedules) == 1
    assert len(plane.doubles.dokploy.domains_of(lane.compose_id)) == 1


def test_a_foreign_deploy_in_between_is_not_taken_for_ours(plane, lane):
    """dokploy 6.3"""
    dokploy = plane.doubles.dokploy
    dokploy.deploy_seconds = 20
    dokploy.on("POST", "compose.deploy").lie("foreign_deploy").times(1)
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation
    ours = [row for row in dokploy.deployments(lane.compose_id) if row["title"] != "Manual deployment"]
    assert [row["status"] for row in ours] == ["done"]
    assert ours[0]["deploymentId"] in str(operation["result"]) + str(deployment_of(plane, operation))


def test_a_provider_that_restarts_while_our_deploy_runs(plane, lane):
    """dokploy 6.1: cancelled means lost sight of; it is never reported as pass on its own"""
    dokploy = plane.doubles.dokploy
    dokploy.deploy_seconds = 10**6
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, lambda: dokploy.deploys(lane.compose_id), "the deploy to start")
    dokploy.restart()
    operation = plane.finish(operation_id)
    assert operation["status"] == "fail", operation
    assert "cancelled" in operation["error_message"]
    assert dokploy.deploys(lane.compose_id) == 1
    nothing_new_in_inventory(plane, lane)


def test_a_provider_that_restarts_while_our_deploy_waits_in_its_queue(plane, lane):
    """dokploy 6.1: the queue is forgotten; what was accepted is never asked for twice"""
    dokploy = plane.doubles.dokploy
    dokploy.queue_seconds = 10**6
    operation_id = submit(plane, lane)
    plane.run_until(operation_id, lambda: dokploy.effects("POST", "compose.deploy"), "the deploy to be queued")
    dokploy.restart()
    dokploy.queue_seconds = 0
    operation = plane.finish(operation_id)
    assert operation["status"] == "fail", operation
    assert dokploy.calls("POST", "compose.deploy") == 1
    assert dokploy.deploys(lane.compose_id) == 0
    nothing_new_in_inventory(plane, lane)


def test_no_containers_is_evidence_not_failure(plane, lane):
    """odoo 4.4 step 14"""
    plane.doubles.dokploy.on("GET", "docker.getContainersByAppNameMatch").lie("no_containers")
    assert replace(plane, lane)["status"] == "pass"


def test_a_hanging_provider_ends_in_a_failure_not_in_a_stuck_lane(plane, lane):
    """F1"""
    plane.doubles.dokploy.on("GET", "compose.one").hang()
    operation = fails(plane, lane)
    assert operation["error_message"]
    plane.doubles.dokploy.faults.clear()
    assert replace(plane, lane, key="replace-2")["status"] == "pass"


@pytest.mark.parametrize("procedure, phase", [("compose.deploy", "deploy"), ("schedule.runManually", "post_deploy")])
def test_a_request_that_never_arrives_is_given_up_after_a_few_tries(plane, lane, procedure, phase):
    """dokploy 6.3: asked again only when it is proved that nothing came of it, and not for ever"""
    plane.doubles.dokploy.on("POST", procedure).drop_before()
    operation = fails(plane, lane)
    assert operation["step"] == phase
    assert operation["error_code"] == "upstream_lost"
    assert 1 < plane.doubles.dokploy.calls("POST", procedure) <= 5
