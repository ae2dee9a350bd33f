"""Backup gates, promotion to prod and the way back: what is refused, what fails well, what is recorded. odoo 12, 13"""
import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from rehearsal import policy as policies
from rehearsal.tenant import ASYNC, BACKUP_ROOT, ODOO, Life, Tenant
from release import PROMOTE
from test_audit import leaves

GATE, PROMOTION, ROLLBACK = (f"{ODOO}/prod-{name}" for name in ("backup-gate", "promotion", "rollback"))
INPUTS, HOLDS, LIFT = f"{ODOO}/prod-promotion-inputs", f"{ODOO}/promotion-holds/shop/prod", f"{ODOO}/promotion-hold-lift"
DIRECTORY = f"{BACKUP_ROOT}/shop_prod/gate-1"


@pytest.fixture
def tenant(doubles, plane):
    made = Tenant(doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    made.prepare(plane)
    return made


@pytest.fixture
def life(plane, tenant):
    """Testing runs the second artifact; prod the first, by hand."""
    made = Life(tenant, plane, plane.finish)
    assert made.replace(tenant.second)["status"] == "pass"
    return made


def web_runs(plane, tenant):
    return all(plane.doubles.dokploy.running(lane.compose_id).web_running for lane in tenant.lanes)


def gates(plane):
    return plane.query("SELECT payload FROM launchplane_backup_gates ORDER BY record_id")


# backup gates

def test_a_gate_is_captured_and_recorded(plane, tenant, life):
    """ODOO-02"""
    answer = life.operate("prod-backup-gate", tenant.gate("gate-1"))
    paths = {
        "backup_root": BACKUP_ROOT, "database_dump_path": f"{DIRECTORY}/shop_prod.dump",
        "filestore_archive_path": f"{DIRECTORY}/shop_prod-filestore.tar.gz", "manifest_path": f"{DIRECTORY}/manifest.json"}
    assert answer["records"] == {"backup_record_id": "gate-1", "backup_status": "pass", **paths}
    assert answer["result"] == {"context": "shop", "instance": "prod", **answer["records"], "error_message": ""}
    run = plane.doubles.dokploy.schedule_runs[-1]
    assert (run.schedule, run.app_name, run.stopped_web) == (
        "platform-odoo-backup-gate", "platform-shop-prod-odoo-backup-gate", True)
    assert web_runs(plane, tenant)
    record = assert_ok(plane.get("/v1/backup-gates/gate-1"))["record"]
    assert (record["source"], record["status"], record["required"]) == ("launchplane-odoo-prod-backup-gate", "pass", True)
    assert record["evidence"] == {"database_name": "shop_prod", "filestore_path": "/volumes/data/filestore", "backup_dir": DIRECTORY, **paths}


def test_the_same_id_again_captures_nothing(plane, tenant, life):
    first = life.operate("prod-backup-gate", tenant.gate("gate-1"))
    runs, before = len(plane.doubles.dokploy.schedule_runs), gates(plane)
    assert life.operate("prod-backup-gate", tenant.gate("gate-1"))["result"] == first["result"]
    assert len(plane.doubles.dokploy.schedule_runs) == runs
    assert gates(plane) == before


def test_a_gate_of_another_lane_is_not_overwritten(plane, tenant, life):
    gate = {"product": tenant.product, "backup_gate": {
        "record_id": "gate-1", "context": "shop", "instance": "testing", "created_at": "2026-01-01T00:00:00Z", "source": "x",
        "status": "pass", "evidence": {"a": "b"}}}
    assert_accepted(plane.post("/v1/evidence/backup-gates", gate))
    result = life.operate("prod-backup-gate", tenant.gate("gate-1"))["result"]
    assert result["backup_status"] == "fail" and "shop/testing" in result["error_message"]
    assert gates(plane)[0]["payload"]["instance"] == "testing"


GATE_FAILURES = {
    "the script fails": (lambda d: d.on("POST", "schedule.runManually").lie("script_fails").times(1), "failed"),
    "it is recorded done and was not": (
        lambda d: d.on("POST", "schedule.runManually").lie("script_recorded_done").times(1), "lacks the line"),
    "its log cannot be read": (lambda d: d.on("GET", "deployment.readLogs").answer(500), "could not be read"),
    "its log ends before its last line": (
        lambda d: d.on("POST", "schedule.runManually").lie("script_recorded_done", exit_code=0, lines=["database dumped", "filestore archived"]),
        "lacks the line"),
    "its log only speaks of the last line": (
        lambda d: d.on("POST", "schedule.runManually").lie("script_recorded_done", exit_code=0, lines=["no backup captured", 'echo "backup captured"']),
        "lacks the line"),
    "its log is empty": (lambda d: d.on("GET", "deployment.readLogs").answer(200, ""), "could not be read"),
    "the run is cancelled": (lambda d: d.on("POST", "schedule.runManually").lie("run_cancelled").times(1), "cancelled"),
    "web stays stopped": (lambda d: d.on("POST", "schedule.runManually").lie("script_leaves_web_stopped").times(1), "failed"),
    "it is killed and web stays stopped": (
        lambda d: d.on("POST", "schedule.runManually").lie("script_leaves_web_stopped").lie("run_cancelled").times(1), "cancelled"),
    "it never ends": (lambda d: setattr(d, "schedule_seconds", 10**7), "did not end"),
    "the schedule is refused": (lambda d: d.on("POST", "schedule.create").answer(403), ""),
}


@pytest.mark.parametrize("name", GATE_FAILURES)
def test_what_is_not_proved_is_no_gate_and_web_runs(plane, tenant, life, name):
    """odoo 12: a record only after success; the web service is never left stopped"""
    arrange, told = GATE_FAILURES[name]
    plane.doubles.dokploy.state.schedules.clear()
    arrange(plane.doubles.dokploy)
    result = life.operate("prod-backup-gate", tenant.gate("gate-1"))["result"]
    assert result["backup_status"] == "fail"
    assert result["error_message"] and told in result["error_message"]
    assert gates(plane) == []
    assert web_runs(plane, tenant)


def test_a_lane_without_a_compose_target_has_no_gate(plane, tenant, life):
    for statement in ("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || '{\"target_type\": \"application\"}')::text::json"
                      " WHERE instance = 'prod'", "DELETE FROM launchplane_dokploy_target_ids WHERE instance = 'prod'"):
        plane.query(statement)
        result = life.capture("gate-1")
        assert result["backup_status"] == "fail" and result["error_message"] and gates(plane) == []
    assert web_runs(plane, tenant)


def test_a_passed_gate_with_other_evidence_is_not_overwritten(plane, tenant, life):
    assert life.capture("gate-1")["backup_status"] == "pass"
    before, runs = gates(plane), len(plane.doubles.dokploy.schedule_runs)
    tenant.prod.environment["ODOO_DB_NAME"] = "shop_renamed"
    assert_accepted(plane.post("/v1/product-config/apply", tenant.prod.lane_config()))
    result = life.capture("gate-1")
    assert result["backup_status"] == "fail" and "choose another id" in result["error_message"]
    assert gates(plane) == before and len(plane.doubles.dokploy.schedule_runs) == runs


def test_a_gate_that_was_recorded_as_failed_is_made_good(plane, tenant, life):
    """odoo 12.7: a fail row is optional, satisfies nothing, and stands in nobody's way."""
    gate = {"record_id": "gate-1", "context": "shop", "instance": "prod", "created_at": "2026-01-01T00:00:00Z", "source": "x",
            "status": "fail", "evidence": {"a": "b"}}
    assert_accepted(plane.post("/v1/evidence/backup-gates", {"product": tenant.product, "backup_gate": gate}))
    refused(plane, tenant, "promotion.backup_record_id")
    assert life.capture("gate-1")["backup_status"] == "pass"
    assert gates(plane)[0]["payload"]["status"] == "pass"


@pytest.mark.parametrize("key, value, told", [
    ("ODOO_BACKUP_ROOT", "", "ODOO_BACKUP_ROOT"), ("ODOO_BACKUP_ROOT", "relative/path", "absolute"),
    ("ODOO_BACKUP_ROOT", "/volumes/../etc", "absolute"), ("ODOO_BACKUP_ROOT", "/srv/backups", "/volumes"),
    ("ODOO_DB_NAME", "a b", "plain name"),
])
def test_unsafe_places_are_refused_before_the_host_is_touched(plane, doubles, key, value, told):
    tenant = Tenant(doubles)
    tenant.prod.environment[key] = value
    if not value:
        del tenant.prod.environment[key]
    tenant.create_in_dokploy()
    plane.secrets += tenant.secret_values()
    tenant.prepare(plane)
    result = Life(tenant, plane, plane.finish).capture("gate-1")
    assert result["backup_status"] == "fail" and told in result["error_message"], result
    assert doubles.dokploy.calls("POST", "schedule.create") == 0


@pytest.mark.parametrize("change, path", [
    ({"instance": "testing"}, "backup_gate.instance"), ({"backup_record_id": "../x"}, "backup_gate.backup_record_id"),
    ({"backup_record_id": ""}, "backup_gate.backup_record_id"), ({"timeout_seconds": 0}, "backup_gate.timeout_seconds"),
], ids=str)
def test_a_malformed_gate_names_its_field(plane, tenant, change, path):
    assert_rejected(plane.post(GATE, tenant.gate(**{"backup_record_id": "g", **change})), 400, "invalid_request", path)


# promotion

def test_inputs_name_what_would_be_promoted_and_write_nothing(plane, tenant, life):
    """ODOO-01"""
    before = plane.counts()
    result = life.inputs("Release 2.0 (RC)")
    assert result["input_status"] == "ready" and result["error_message"] == ""
    assert result["artifact_id"] == tenant.second.artifact_id
    assert result["source_git_ref"] == tenant.second.source_commit
    assert (result["image_repository"], result["image_digest"]) == (tenant.second.repository, tenant.second.digest)
    assert result["backup_record_id"] == "backup-gate-shop-prod-release-2-0--rc"
    assert life.inputs("---")["backup_record_id"] == "backup-gate-shop-prod-request"
    assert plane.counts() == before


def test_without_a_tuple_the_inputs_are_blocked(plane, tenant):
    result = assert_accepted(plane.post(INPUTS, tenant.inputs("r")))["result"]
    assert result["input_status"] == "blocked" and "release tuple" in result["error_message"]


def test_a_promotion_writes_its_records(plane, tenant, life):
    """ODOO-03 to 06, 25, 26"""
    life.capture("gate-1")
    answer = life.operate("prod-promotion", tenant.promotion(tenant.second, "gate-1"))
    records, result = answer["records"], answer["result"]
    assert {name: result[name] for name in records} == records
    assert (records["promotion_status"], records["deployment_status"], records["post_deploy_status"],
            records["destination_health_status"]) == ("pass", "pass", "pass", "pass")
    assert records["promotion_record_id"].startswith("promotion-") and "-shop-testing-to-prod" in records["promotion_record_id"]
    promotion = life.promotion(records["promotion_record_id"])
    assert promotion["deploy"]["status"] == "pass" and promotion["backup_gate"]["status"] == "pass"
    assert promotion["deployment_record_id"] == records["deployment_record_id"]
    assert promotion["source_health"]["status"] == promotion["destination_health"]["status"] == "pass"
    inventory = life.inventory("prod")
    assert (inventory["promotion_record_id"], inventory["promoted_from_instance"]) == (records["promotion_record_id"], "testing")
    assert inventory["artifact_identity"]["artifact_id"] == tenant.second.artifact_id
    tuples = plane.query("SELECT payload FROM launchplane_release_tuples WHERE channel = 'prod'")[0]["payload"]
    assert (tuples["provenance"], tuples["promoted_from_channel"]) == ("promotion", "testing")
    assert tuples["promotion_record_id"] == records["promotion_record_id"]
    assert plane.doubles.dokploy.running(tenant.prod.compose_id).services["web"].image == tenant.second.image


def refused(plane, tenant, path, **changes):
    body = tenant.promotion(tenant.second, "gate-1")
    body["promotion"].update(changes)
    before, seen = plane.counts(), len(plane.doubles.dokploy.mutations())
    answer = assert_rejected(plane.post(PROMOTION, body, key="p"), 400, "invalid_request", path)
    after = plane.counts()
    assert {name: rows for name, rows in after.items() if "audit" not in name} == {
        name: rows for name, rows in before.items() if "audit" not in name}
    assert len(plane.doubles.dokploy.mutations()) == seen
    return answer["error"]["message"]


@pytest.mark.parametrize("change, path", [
    ({"artifact_id": "artifact-shop-9999"}, "promotion.artifact_id"), ({"artifact_id": "artifact-shop-0003"}, "promotion.artifact_id"),
    ({"backup_record_id": "no-such-gate"}, "promotion.backup_record_id"), ({"source_git_ref": "f" * 40}, "promotion.source_git_ref"),
    ({"from_instance": "staging"}, "promotion.from_instance"), ({"to_instance": "testing"}, "promotion.to_instance"),
    ({"wait": False}, "promotion.wait"), ({"product": "other"}, "promotion.product"),
], ids=str)
def test_a_promotion_that_may_not_be_is_refused_and_writes_nothing(plane, tenant, life, change, path):
    life.capture("gate-1")
    refused(plane, tenant, path, **change)


@pytest.mark.parametrize("change", [{"status": "fail"}, {"status": "pending"}, {"required": False}, {"instance": "testing"}], ids=str)
def test_only_a_passed_required_gate_of_the_destination_counts(plane, tenant, life, change):
    """ODOO-06"""
    gate = {"record_id": "gate-1", "context": "shop", "instance": "prod", "created_at": "2099-01-01T00:00:00Z", "source": "x",
            "status": "pass", "evidence": {"a": "b"}, **change}
    assert_accepted(plane.post("/v1/evidence/backup-gates", {"product": tenant.product, "backup_gate": gate}))
    refused(plane, tenant, "promotion.backup_record_id")


def test_a_gate_serves_once(plane, tenant, life):
    """ODOO-45"""
    life.capture("gate-1")
    assert life.promote(tenant.second, "gate-1")["promotion_status"] == "pass"
    assert "fresh one" in refused(plane, tenant, "promotion.backup_record_id")


PROMOTION_FAILURES = {
    "the source is not kept": lambda d, o: d.on("POST", "compose.update").having("composeFile").lie("member_stripped"),
    "the deploy fails": lambda d, o: d.on("POST", "compose.deploy").lie("deploy_error"),
    "the old image goes on": lambda d, o: d.on("POST", "compose.deploy").lie("old_snapshot"),
    "the script fails": lambda d, o: d.on("POST", "schedule.runManually").lie("script_fails").times(1),
    "health fails": lambda d, o: setattr(o, "health_status", "fail"),
    "it never starts": lambda d, o: setattr(o, "start_seconds", 10**9),
    "the identity is another artifact's": lambda d, o: o.identity_changes.update(artifact_id="artifact-shop-0001"),
    "the canonical address is another": lambda d, o: setattr(o, "canonical", "https://elsewhere.example.com"),
}


@pytest.mark.parametrize("name", PROMOTION_FAILURES)
def test_a_failed_promotion_is_recorded_as_such(plane, tenant, life, name):
    life.capture("gate-1")
    PROMOTION_FAILURES[name](plane.doubles.dokploy, plane.doubles.odoo.face(tenant.prod.host))
    result = life.promote(tenant.second, "gate-1")
    assert (result["promotion_status"], result["deployment_status"]) == ("fail", "fail")
    assert result["error_message"]
    promotion = life.promotion(result["promotion_record_id"])
    assert promotion["deploy"]["status"] == "fail"
    assert life.inventory("prod")["artifact_identity"]["artifact_id"] == tenant.first.artifact_id
    assert plane.query("SELECT 1 FROM launchplane_release_tuples WHERE channel = 'prod'") == []
    assert web_runs(plane, tenant)
    plane.doubles.dokploy.faults.clear()
    plane.doubles.odoo.faces.clear()
    assert life.promote(tenant.second, "gate-1")["promotion_status"] == "pass"     # the gate still stands for what runs


# rollback

@pytest.fixture
def promoted(tenant, life):
    life.capture("gate-1")
    return life.promote(tenant.second, "gate-1")


def test_a_rollback_to_an_earlier_artifact(plane, tenant, life, promoted):
    """ODOO-07, 24 to 28, 37 to 41, DERIV-10"""
    answer = life.operate("prod-rollback", tenant.rollback(tenant.first, reason="orders fail"))
    records, result = answer["records"], answer["result"]
    assert (records["rollback_status"], records["rollback_health_status"]) == ("pass", "pass")
    assert (result["source_channel"], result["artifact_id"]) == ("artifact", tenant.first.artifact_id)
    assert result["rollback_started_at"] <= result["rollback_finished_at"]
    inventory = life.inventory("prod")
    assert (inventory["promotion_record_id"], inventory["promoted_from_instance"]) == (
        promoted["promotion_record_id"], "explicit-artifact")
    promotion = life.promotion(promoted["promotion_record_id"])
    assert promotion["deploy"]["status"] == "pass"
    assert promotion["rollback"] == {
        "attempted": True, "status": "pass", "detail": "orders fail", "snapshot_name": f"artifact:{tenant.first.artifact_id}",
        "started_at": result["rollback_started_at"], "finished_at": promotion["rollback"]["finished_at"]}
    assert promotion["rollback_health"]["status"] == "pass"
    assert plane.doubles.dokploy.running(tenant.prod.compose_id).services["web"].image == tenant.first.image
    tuples = plane.query("SELECT payload FROM launchplane_release_tuples WHERE channel = 'prod'")[0]["payload"]
    assert (tuples["artifact_id"], tuples["provenance"]) == (tenant.first.artifact_id, "ship")


def test_a_rollback_without_an_artifact_takes_testings(plane, tenant, life, promoted):
    """ODOO-23, 35"""
    result = life.roll_back()
    assert (result["rollback_status"], result["source_channel"]) == ("pass", "testing")
    promotion = life.promotion(promoted["promotion_record_id"])
    assert promotion["rollback"]["snapshot_name"].startswith("release-tuple:shop-testing-")
    assert life.inventory("prod")["promoted_from_instance"] == "testing"


BARE = pytest.mark.policy(policies.render(github_actions=[
    *policies.lane_rules(), policies.workflow_rule(["odoo_prod_rollback.execute", "operations.read"], ["odoo"], ["shop"])]))


def forget_profile(plane):
    plane.query("DELETE FROM launchplane_product_profiles")


@BARE
def test_a_rollback_needs_no_profile(plane, tenant, life, promoted):
    """odoo 1.2 step 2: for the literal product the lane's own records do"""
    forget_profile(plane)
    body = {**tenant.rollback(tenant.first, reason="orders fail"), "product": "odoo"}
    result = life.operate("prod-rollback", body)["result"]
    assert (result["rollback_status"], result["rollback_health_status"]) == ("pass", "pass"), result
    web = plane.doubles.dokploy.running(tenant.prod.compose_id).services["web"]
    assert web.image == tenant.first.image
    assert {value for name, value in web.labels.items() if name.endswith(".loadbalancer.server.port")} == {"8069"}
    deployment = life.read(f"/v1/deployments/{result['deployment_record_id']}")
    assert deployment["runtime_identity"]["product"] == "odoo"
    assert deployment["destination_health"]["runtime_identity_status"] == "match"
    assert life.inventory("prod")["promoted_from_instance"] == "explicit-artifact"
    assert life.promotion(promoted["promotion_record_id"])["rollback"]["status"] == "pass"
    assert assert_ok(plane.get(HOLDS))["records"][0]["is_held"] is True


@BARE
def test_without_a_profile_the_image_must_be_of_the_repository_that_runs(plane, tenant, life, promoted):
    forget_profile(plane)
    plane.query("UPDATE launchplane_artifact_manifests SET payload = jsonb_set(payload::jsonb, '{image,repository}', '\"registry.example.com/other\"')::json"
                " WHERE artifact_id = %s", tenant.first.artifact_id)
    deploys = plane.doubles.dokploy.deploys(tenant.prod.compose_id)
    result = life.operate("prod-rollback", {**tenant.rollback(tenant.first), "product": "odoo"})["result"]
    assert result["rollback_status"] == "fail" and "another repository" in result["error_message"]
    assert plane.doubles.dokploy.deploys(tenant.prod.compose_id) == deploys


@BARE
def test_a_product_that_has_no_profile_is_refused_all_the_same(plane, tenant, life, promoted):
    forget_profile(plane)
    assert_rejected(plane.post(ROLLBACK, tenant.rollback(tenant.first)), 403, "product_driver_mismatch")
    body = {**tenant.promotion(tenant.second, "gate-1"), "product": "odoo"}
    assert_rejected(plane.post(PROMOTION, body), 403, "product_driver_mismatch")


@pytest.mark.parametrize("change, path", [
    ({"artifact_id": "artifact-shop-9999"}, "rollback.artifact_id"), ({"promotion_record_id": "no-such"}, "rollback.promotion_record_id"),
    ({"instance": "testing"}, "rollback.instance"), ({"source_channel": "prod"}, "rollback.source_channel"),
    ({"wait": False}, "rollback.verify_health"),
], ids=str)
def test_a_rollback_that_is_not_backed_by_records_is_refused(plane, tenant, life, promoted, change, path):
    """ODOO-29, 36"""
    assert_rejected(plane.post(ROLLBACK, tenant.rollback(**change), key="r"), 400, "invalid_request", path)
    assert life.promotion(promoted["promotion_record_id"])["rollback"]["attempted"] is False
    assert assert_ok(plane.get(HOLDS))["records"] == []


def test_without_a_tuple_or_promotion_a_rollback_fails_closed(plane, tenant):
    assert_rejected(plane.post(ROLLBACK, tenant.rollback()), 400, "invalid_request", "rollback.source_channel")
    assert_rejected(plane.post(ROLLBACK, tenant.rollback(tenant.first)), 400, "invalid_request", "rollback.promotion_record_id")


def test_a_failed_rollback_is_annotated_and_holds_promotion_all_the_same(plane, tenant, life, promoted):
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error")
    result = life.roll_back(tenant.first)
    assert result["rollback_status"] == "fail" and result["error_message"]
    rollback = life.promotion(promoted["promotion_record_id"])["rollback"]
    assert (rollback["status"], rollback["detail"]) == ("fail", result["error_message"])
    assert life.inventory("prod")["artifact_identity"]["artifact_id"] == tenant.second.artifact_id
    assert assert_ok(plane.get(HOLDS))["records"][0]["is_held"] is True


def test_promotion_is_held_until_somebody_lifts_it(plane, tenant, life, promoted):
    """F12: automation must not bring back what was just taken away; who, why, when"""
    life.roll_back(tenant.first)
    life.capture("gate-2")
    body = tenant.promotion(tenant.second, "gate-2")
    held = assert_rejected(plane.post(PROMOTION, body, key="p"), 409, "promotion_held")
    assert "lift the hold" in held["error"]["message"]
    assert life.inputs("again")["input_status"] == "blocked"
    hold, = assert_ok(plane.get(HOLDS))["records"]
    assert hold["is_held"] and hold["promotion_record_id"] == promoted["promotion_record_id"] and hold["reason"] == "drill"
    assert hold["held_by"] and hold["held_at"]
    assert_rejected(plane.post(LIFT, tenant.lift(reason=" ")), 400, "invalid_request", "lift.reason")
    lifted = assert_accepted(plane.post(LIFT, tenant.lift("mended"), key="l"))
    assert assert_accepted(plane.post(LIFT, tenant.lift("mended"), key="l"))["replayed"] is True
    assert (lifted["result"]["lift_reason"], lifted["result"]["is_held"]) == ("mended", False)
    assert lifted["result"]["lifted_by"] and lifted["result"]["lifted_at"]
    assert_rejected(plane.post(LIFT, tenant.lift("again")), 404, "not_found")
    assert life.promote(tenant.second, "gate-2")["promotion_status"] == "pass"


HOLD_POLICY = policies.render(github_actions=[*policies.lane_rules(), policies.workflow_rule(["audit.read"], ["launchplane"], ["launchplane"])])


@pytest.mark.policy(HOLD_POLICY)
def test_hold_and_lift_are_told_with_who_and_why(plane, tenant, life, promoted):
    """F11, F12: the rollback's entry and the lift's, each with its reason and its caller"""
    life.operate("prod-rollback", tenant.rollback(tenant.first, reason="orders fail"))
    life.lift("mended by the second fix")
    back = [leaf for leaf in leaves(plane, action="odoo_prod_rollback.execute") if leaf["event"] == "accepted"]
    lift, = leaves(plane, action="odoo_promotion_hold.lift")
    assert {leaf["reason"] for leaf in back} == {"orders fail"} and lift["reason"] == "mended by the second fix"
    assert lift["caller"]["type"] == back[0]["caller"]["type"] == "github_actions" and lift["actor"]
    hold, = assert_ok(plane.get(HOLDS))["records"]
    assert lift["records"]["promotion_hold_record_id"] == hold["record_id"]
    assert hold["held_by"]["repository"] == hold["lifted_by"]["repository"] == lift["caller"]["repository"]


def test_only_who_may_lift_can_lift_and_nothing_lifts_itself(plane, tenant, life, promoted):
    """F12: a second rollback, time, a redeploy of testing and a new gate leave the hold where it is."""
    life.roll_back(tenant.first)
    stranger = plane.token(repository="example-org/stranger")
    assert_rejected(plane.post(LIFT, tenant.lift(), token=stranger), 403, "authorization_denied")
    plane.pass_time(hours=24 * 30)
    assert life.replace(tenant.third)["status"] == "pass"
    assert life.roll_back(tenant.first)["rollback_status"] == "pass"
    hold, = assert_ok(plane.get(HOLDS))["records"]           # one stands already: it is enough
    assert hold["is_held"] is True
    assert life.inputs("again")["input_status"] == "blocked"
    life.lift("all is well")
    assert life.inputs("again")["input_status"] == "ready"


def test_every_way_to_promote_is_held(plane, tenant, life, promoted):
    """F12: promote execute as well as the Odoo driver's route, by hand as by a workflow; the lift is the one way on."""
    life.roll_back(tenant.first)
    life.capture("gate-2")
    body = tenant.promotion(tenant.second, "gate-2")
    assert_rejected(plane.post(PROMOTION, body), 409, "promotion_held")
    answer = assert_accepted(plane.post(PROMOTE, {
        "product": tenant.product, "context": "shop", "artifact_id": tenant.second.artifact_id, "from_instance": "testing",
        "to_instance": "prod", "backup_record_id": "gate-2"}, key="generic"))
    operation = plane.finish(answer["records"]["operation_id"])
    assert operation["status"] == "fail" and "lift the hold" in operation["error_message"], operation


def test_a_hold_that_comes_while_a_promotion_waits_its_turn_stops_it(plane, tenant, life, promoted):
    """The operation checks again: what was true at the request may not be any more."""
    life.capture("gate-2")
    rule = plane.doubles.dokploy.on("GET", "compose.one").hold_before().times(1)
    body = tenant.promotion(tenant.second, "gate-2")
    operation_id = assert_accepted(plane.post(PROMOTION, body, key="p", headers=ASYNC))["records"]["operation_id"]
    assert rule.reached.wait(60)
    busy = assert_rejected(plane.post(ROLLBACK, tenant.rollback(tenant.first), key="r"), 409, "operation_active")
    assert busy["operation"]["operation_id"] == operation_id
    rule.release()
    assert plane.finish(operation_id)["status"] == "pass"
