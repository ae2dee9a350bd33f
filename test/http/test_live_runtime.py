"""POST /v1/live-target-runtime/apply: recorded values to a live target. config-health 5.2, LIVE-01 to LIVE-13."""
import pytest

import live
from checks import assert_accepted, assert_rejected
from replacement import env_of

SETTING = "ODOO_WORKERS"


@pytest.fixture
def changed(plane, lane):
    """A lane whose records say more than its target: one new key, one other value, one rotated secret."""
    live.expect(plane, lane, SETTING, "ODOO_DB_USER")
    live.record(plane, lane, {SETTING: "4", "ODOO_DB_USER": "odoo2"}, {"ODOO_DB_PASSWORD": "rotated-password-of-the-lane"})
    return lane


CHANGED = ["ODOO_DB_PASSWORD", "ODOO_DB_USER", SETTING]


def live_env(plane, lane):
    return env_of(plane.doubles.dokploy.compose(lane.compose_id)["env"])


def change_by_hand(plane, lane):
    row = plane.doubles.dokploy.state.composes[lane.compose_id]
    row["env"] = row["env"].replace("ODOO_DB_USER=odoo", "ODOO_DB_USER=by-hand")


def writes(plane):
    return [seen.procedure for seen in plane.doubles.dokploy.mutations()]


# looking

def test_a_dry_run_names_keys_and_writes_nothing(plane, changed):
    """LIVE-02, LIVE-03, LIVE-07, LIVE-08"""
    before = plane.counts()
    result = live.look(plane, changed)
    assert (result["status"], result["mode"]) == ("ok", "dry-run")
    assert result["tracked_target"]["target_id"] == changed.compose_id
    assert result["runtime_environment"] == {
        "desired_key_count": 5, "live_key_count": len(changed.live_env), "missing_keys": [SETTING],
        "different_keys": ["ODOO_DB_PASSWORD", "ODOO_DB_USER"], "changed_keys": CHANGED, "unchanged_key_count": 2}
    assert result["runtime_key_safety"]["status"] == "pass"
    assert result["apply"]["applied"] is False and result["apply"]["verification"]["status"] == "skipped"
    assert result["deploy"] == {"requested": False, "triggered": False, "result": None}
    assert plane.counts() == before
    assert writes(plane) == []


def test_a_dry_run_tolerates_a_missing_key_safety_policy(plane, changed):
    plane.query("UPDATE launchplane_runtime_key_safety_policies SET status = 'superseded'")
    assert live.look(plane, changed)["runtime_key_safety"]["status"] == "unavailable"
    assert_rejected(live.apply(plane, changed), 503, "runtime_key_safety_unavailable")
    assert writes(plane) == []


def test_an_unsafe_secret_is_not_brought_to_the_target(plane, changed):
    plane.query("UPDATE launchplane_runtime_key_safety_policies"
                " SET payload = replace(payload::text, '\"testing\"', '\"prod_only\"')::json")
    assert live.look(plane, changed)["runtime_key_safety"]["findings"] != []
    assert_rejected(live.apply(plane, changed), 400, "runtime_key_safety_failed")
    assert writes(plane) == []


# applying

def test_apply_writes_the_wanted_keys_and_keeps_the_others(plane, changed):
    """LIVE-04, LIVE-05, LIVE-06"""
    before = live_env(plane, changed)
    result = assert_accepted(live.apply(plane, changed))["result"]
    assert result["apply"] == {"applied": True, "env_updated": True, "verification": {
        "status": "pass", "reason": "", "missing_keys": [], "different_keys": [], "verified_key_count": 5}}
    assert result["runtime_environment"]["changed_keys"] == CHANGED
    wanted = {SETTING: "4", "ODOO_DB_USER": "odoo2", "ODOO_DB_PASSWORD": changed.secrets["ODOO_DB_PASSWORD"]}
    assert live_env(plane, changed) == {**before, **wanted}
    assert writes(plane) == ["compose.update"]
    assert live.look(plane, changed)["runtime_environment"]["changed_keys"] == []


def test_apply_of_nothing_writes_nothing(plane, changed):
    assert_accepted(live.apply(plane, changed))
    result = assert_accepted(live.apply(plane, changed))["result"]
    assert result["apply"]["env_updated"] is False
    assert result["apply"]["verification"]["status"] == "skipped"
    assert writes(plane) == ["compose.update"]


def test_an_application_keeps_its_build_arguments(plane, changed):
    dokploy = plane.doubles.dokploy
    app = dokploy.add_application("shop-app", changed.environment_id)
    dokploy.state.applications[app].update(env="KEPT=yes\nODOO_DB_USER=odoo", buildArgs="A=1", buildSecrets="B=2", createEnvFile=False)
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb || '{\"target_type\":\"application\"}')::json")
    plane.query("UPDATE launchplane_dokploy_target_ids SET target_id = %s,"
                " payload = (payload::jsonb || jsonb_build_object('target_id', %s::text))::json", app, app)
    assert_accepted(live.apply(plane, changed))
    row = dokploy.state.applications[app]
    assert env_of(row["env"])["KEPT"] == "yes" and env_of(row["env"])["ODOO_DB_USER"] == "odoo2"
    assert (row["buildArgs"], row["buildSecrets"], row["createEnvFile"]) == ("A=1", "B=2", False)


def test_the_same_key_answers_again_without_doing_it_again(plane, changed):
    first = assert_accepted(live.apply(plane, changed, key="once"))
    again = assert_accepted(live.apply(plane, changed, key="once"))
    assert again["replayed"] is True and again["original_trace_id"] == first["trace_id"]
    assert again["result"] == first["result"]
    assert_rejected(live.apply(plane, changed, key="once", reason="another"), 409, "idempotency_key_reused")
    assert writes(plane) == ["compose.update"]


def test_a_deploy_is_asked_for_once_and_waited_for(plane, changed):
    answer = live.beside(plane, changed, "with-deploy", deploy=True, no_cache=True)
    operation = plane.finish(live.operation_id_of(plane))
    assert operation["status"] == "pass", operation
    assert operation["result"]["deploy"]["result"]["status"] == "pass"
    assert writes(plane) == ["compose.update", "compose.redeploy"]
    assert_accepted(answer())
    again = assert_accepted(live.apply(plane, changed, "with-deploy", deploy=True, no_cache=True))
    assert again["result"]["deploy"]["triggered"] is True


def test_a_failed_deploy_is_told_and_the_environment_stays(plane, changed):
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    live.beside(plane, changed, "with-deploy", deploy=True)
    operation = plane.finish(live.operation_id_of(plane))
    assert (operation["status"], operation["error_code"]) == ("fail", "dokploy_deploy_failed")
    assert live_env(plane, changed)[SETTING] == "4"


# plans

def test_an_apply_may_pin_the_plan_that_was_reviewed(plane, changed):
    digest = live.look(plane, changed)["plan_digest"]
    assert live.look(plane, changed)["plan_digest"] == digest
    assert assert_accepted(live.apply(plane, changed, plan_digest=digest))["result"]["plan_digest"] == digest


@pytest.mark.parametrize("who", ["target", "records"])
def test_a_change_by_somebody_else_refuses_the_pinned_apply_with_a_fresh_diff(plane, changed, who):
    digest = live.look(plane, changed)["plan_digest"]
    if who == "target":
        change_by_hand(plane, changed)
    else:
        live.record(plane, changed, {SETTING: "8"})
    answer = live.apply(plane, changed, plan_digest=digest)
    plan = assert_rejected(answer, 409, "plan_changed", "plan_digest")["plan"]
    assert plan["runtime_environment"]["changed_keys"] == CHANGED
    assert writes(plane) == []
    assert_accepted(live.apply(plane, changed, plan_digest=plan["plan_digest"]))


def test_keys_that_are_not_ours_do_not_change_the_plan(plane, changed):
    digest = live.look(plane, changed)["plan_digest"]
    plane.doubles.dokploy.state.composes[changed.compose_id]["env"] += "\nBY_SOMEBODY=else"
    assert_accepted(live.apply(plane, changed, plan_digest=digest))
    assert live_env(plane, changed)["BY_SOMEBODY"] == "else"


def test_a_change_between_the_plan_and_the_write_is_refused(plane, changed):
    """Two operators at once: also without a pinned plan nothing is written over what nobody has seen"""
    held = plane.doubles.dokploy.on("GET", "compose.one").after(1).times(1).hold_before()
    answer = live.beside(plane, changed, "raced")
    assert held.reached.wait(60)
    change_by_hand(plane, changed)
    held.release()
    body = assert_rejected(answer(), 409, "plan_changed")
    assert body["plan"]["runtime_environment"]["different_keys"] == ["ODOO_DB_PASSWORD", "ODOO_DB_USER"]
    assert live_env(plane, changed)["ODOO_DB_USER"] == "by-hand"
    assert writes(plane) == []


def test_a_busy_lane_is_refused_with_its_operation(plane, changed):
    held = plane.doubles.dokploy.on("GET", "compose.one").times(1).hold_before()
    first = live.beside(plane, changed, "first")
    assert held.reached.wait(60)
    second = live.apply(plane, changed, key="second")
    held.release()
    assert second.status_code == 409
    assert second.json()["operation"]["operation_id"] == live.operation_of(plane)
    assert_accepted(first())


# what goes wrong at the provider

def test_a_target_that_does_not_keep_what_was_written_fails_the_verification(plane, changed):
    plane.doubles.dokploy.on("POST", "compose.update").lie("env_not_persisted")
    answer = live.apply(plane, changed)
    assert_rejected(answer, 502, "dokploy_target_verification_failed")
    assert SETTING in answer.json()["error"]["message"]


@pytest.mark.defects_expected
@pytest.mark.parametrize("call, code", [
    (("GET", "compose.one"), "dokploy_target_read_failed"), (("POST", "compose.update"), "dokploy_target_update_failed")])
def test_a_provider_that_refuses_is_named(plane, changed, call, code):
    plane.doubles.dokploy.on(*call).answer(403, {"message": "no"})
    assert_rejected(live.apply(plane, changed), 502, code)


@pytest.mark.parametrize("call", [("GET", "compose.one"), ("POST", "compose.update")])
@pytest.mark.parametrize("side", ["hold_before", "hold_after"])
def test_a_kill_around_each_call_leaves_one_write(plane, changed, call, side):
    number = 1 if call[0] == "GET" else 0
    rule = getattr(plane.doubles.dokploy.on(*call).after(number).times(1), side)()
    if side == "hold_before":
        rule.drop_before()
    wait = live.beside(plane, changed, "killed")
    assert rule.reached.wait(60)
    plane.kill()
    rule.release()
    wait()
    plane.restart()
    assert plane.finish(live.operation_id_of(plane))["status"] == "pass"
    again = assert_accepted(live.apply(plane, changed, key="killed"))
    assert again["result"]["apply"]["applied"] is True
    assert live_env(plane, changed)[SETTING] == "4"
    assert plane.doubles.dokploy.effects("POST", "compose.update") == 1


@pytest.mark.parametrize("trouble", [lambda rule: rule.answer(404), lambda rule: rule.answer(403), lambda rule: rule.answer(500),
                                     lambda rule: rule.drop_before()], ids=["gone", "refused", "failing", "away"])
@pytest.mark.parametrize("mode", ["dry-run", "apply"])
def test_a_target_that_cannot_be_read_is_told_alike_by_plan_and_apply(plane, changed, mode, trouble):
    """config-health 5.2"""
    trouble(plane.doubles.dokploy.on("GET", "compose.one"))
    if mode == "dry-run":
        assert_rejected(live.apply(plane, changed, mode=mode), 502, "dokploy_target_read_failed")
        return
    answer = live.beside(plane, changed, "unreadable")
    operation = plane.finish(live.operation_id_of(plane))
    assert (operation["status"], operation["error_code"]) == ("fail", "dokploy_target_read_failed")
    assert answer().status_code in (202, 502)


# bad input

@pytest.mark.parametrize("changes, path", [
    ({"mode": "dry-run", "deploy": True}, "deploy"), ({"mode": "dry-run", "no_cache": True}, "no_cache"),
    ({"mode": "dry-run", "deploy_timeout_seconds": 5}, "deploy_timeout_seconds"), ({"mode": "nonsense"}, "mode"),
    ({"deploy_timeout_seconds": 0}, "deploy_timeout_seconds"), ({"schema_version": 2}, "schema_version"),
    ({"instance": " "}, "instance"), ({"env": {"A": "b"}}, "env")])
def test_bad_input_names_the_field(shared_plane, shared_lane, changes, path):
    assert_rejected(shared_plane.post(live.LIVE, {**live.body(shared_lane), **changes}), 400, "invalid_request", path)


@pytest.mark.parametrize("damage, status, code", [
    ("DELETE FROM launchplane_product_profiles", 404, "product_lane_not_found"),
    ("DELETE FROM launchplane_dokploy_target_ids", 404, "tracked_target_not_found"),
    ("DELETE FROM launchplane_runtime_environments WHERE scope = 'instance'", 409, "runtime_environment_unavailable"),
    ("UPDATE launchplane_secrets SET status = 'disabled' WHERE integration = 'runtime_environment'", 409,
     "runtime_secret_values_missing")])
def test_missing_records_are_named(plane, changed, damage, status, code):
    plane.query(damage)
    for mode in ("dry-run", "apply"):
        assert_rejected(plane.post(live.LIVE, live.body(changed, mode)), status, code)
    assert writes(plane) == []


def test_a_lane_that_expects_nothing_is_empty(plane, lane):
    profile = lane.profile()
    profile["expected_config"] = {}
    assert_accepted(plane.post(live.PROFILES, profile))
    assert_rejected(live.apply(plane, lane), 409, "runtime_environment_empty")
