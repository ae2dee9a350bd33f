"""ship and promote: conditions that fail closed, what runs, and the records afterwards. SHIP, BKP-02, TUP-02 to TUP-04."""
import concurrent.futures

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli, input_file
from evidence import inventory_of, promotion, put_tuple, tuple_rows
from lane_work import scripts
from rehearsal.policy import CONTEXT, PRODUCT
from release import PROMOTE, SHIP, Product


@pytest.fixture
def product(plane, doubles):
    return Product(plane, doubles).create().prepare()


def plan_of(plane, path, body):
    return assert_accepted(plane.post(path, body))["result"]


# ship


def test_a_shipped_artifact_runs_and_all_records_say_so(plane, product):
    """SHIP-03, SHIP-07, DERIV-05, DERIV-07, TUP-02"""
    operation = plane.finish(product.ship())
    assert (operation["kind"], operation["status"]) == ("ship", "pass"), operation
    dokploy, lane = plane.doubles.dokploy, product.testing
    assert dokploy.deploys(lane.compose_id) == 1
    assert dokploy.running(lane.compose_id).services["web"].image == product.new.image
    assert f"DOCKER_IMAGE_REFERENCE={product.new.image}" in dokploy.compose(lane.compose_id)["env"]
    record = assert_ok(plane.get(f"/v1/deployments/{operation['deployment_record_id']}"))["record"]
    assert (record["deploy"]["status"], record["source_git_ref"]) == ("pass", product.new.source_commit)
    shown = inventory_of(plane)
    assert shown["deployment_record_id"] == record["record_id"] and shown["promotion_record_id"] == ""
    minted = tuple_rows(plane, "testing")[0]
    assert (minted["artifact_id"], minted["provenance"]) == (product.new.artifact_id, "ship")
    assert minted["tuple_id"] == operation["release_tuple_id"] == f"shop-testing-{product.new.artifact_id}"
    assert minted["payload"]["repo_shas"]["tenant-shop"] == product.new.source_commit


def test_the_same_key_is_the_same_operation_and_the_lane_is_held(plane, product):
    first = product.ship()
    assert product.ship() == first
    assert_rejected(plane.post(SHIP, product.ship_request(no_cache=True), key="ship-1"), 409, "idempotency_key_reused")
    busy = plane.post(SHIP, product.ship_request(), key="ship-2")
    assert busy.status_code in (202, 409)
    plane.finish(first)
    assert plane.doubles.dokploy.deploys(product.testing.compose_id) == 1 or busy.status_code == 202


def test_the_overlay_reaches_the_post_deploy_update_alone(plane, product):
    """SHIP-10, SHIP-12"""
    operation = plane.finish(product.ship(env_overlay={"ODOO_FILESTORE_PATH": "/volumes/elsewhere"}))
    assert operation["status"] == "pass", operation
    assert any("/volumes/elsewhere" in script for script in scripts(plane))
    assert "/volumes/elsewhere" not in plane.doubles.dokploy.compose(product.testing.compose_id)["env"]


def break_manifest(product, plane):
    plane.query("DELETE FROM launchplane_artifact_manifests WHERE artifact_id = %s", product.new.artifact_id)


def set_manifest(plane, product, patch):
    plane.query(f"UPDATE launchplane_artifact_manifests SET payload = (payload::jsonb || '{patch}')::json"
                " WHERE artifact_id = %s", product.new.artifact_id)


def checkout(product, plane):
    plane.doubles.dokploy.state.composes[product.testing.compose_id]["sourceType"] = "github"


def addons(product, plane):
    row = plane.doubles.dokploy.state.composes[product.testing.compose_id]
    row["env"] += "\nODOO_ADDON_REPOSITORIES=example-org/addons@main,example-org/other@" + "c" * 40


def mode(product, plane):
    config = product.testing.lane_config()
    config.update(secrets=[], runtime_env={"DOKPLOY_SHIP_MODE_SHOP_TESTING": "application"})
    assert_accepted(plane.post("/v1/product-config/apply", config))


CONDITIONS = {
    "manifest is not stored": (break_manifest, "no stored manifest"),
    "digest is no digest": (lambda product, plane: set_manifest(
        plane, product, '{"image": {"repository": "r", "digest": "latest", "tags": []}}'), "digest"),
    "commit is a branch": (lambda product, plane: set_manifest(plane, product, '{"source_commit": "main"}'), "exact git commit"),
    "addon is a branch": (lambda product, plane: set_manifest(
        plane, product, '{"addon_sources": [{"repository": "example-org/addons", "ref": "main"}]}'), "exact git commit"),
    "source is a checkout": (checkout, "repository checkout"),
    "live addons are branches": (addons, "example-org/addons@main"),
    "ship mode is another": (mode, "ship mode"),
    "target record is gone": (lambda product, plane: plane.query(
        "DELETE FROM launchplane_dokploy_targets WHERE instance = 'testing'"), "target"),
    "target id is gone": (lambda product, plane: plane.query(
        "DELETE FROM launchplane_dokploy_target_ids WHERE instance = 'testing'"), "target"),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_ship_fails_closed_when(plane, product, name):
    """ART-18, SHIP-08, SHIP-09, SHIP-13"""
    apply, told = CONDITIONS[name]
    apply(product, plane)
    plan = plan_of(plane, "/v1/ship/plan", product.ship_request())
    assert plan["plan_status"] == "blocked" and any(told in blocker for blocker in plan["blockers"]), plan
    assert_rejected(plane.post("/v1/ship/resolve", product.ship_request()), 409, "operation_blocked")
    before, seen = inventory_of(plane), len(plane.doubles.dokploy.mutations())
    operation = plane.finish(product.ship())
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked"), operation
    assert told in operation["error_message"] or "more" in operation["error_message"]
    assert len(plane.doubles.dokploy.mutations()) == seen
    assert inventory_of(plane) == before and tuple_rows(plane, "testing") == []


def test_a_ready_plan_resolves_to_a_whole_request(plane, product):
    """SHIP-01, SHIP-02"""
    plan = plan_of(plane, "/v1/ship/plan", product.ship_request())
    assert (plan["plan_status"], plan["blockers"]) == ("ready", [])
    assert (plan["image_reference"], plan["target_id"]) == (product.new.image, product.testing.compose_id)
    resolved = plan_of(plane, "/v1/ship/resolve", product.ship_request())
    assert resolved["request"]["source_git_ref"] == product.new.source_commit
    before = plane.counts()
    operation = plane.finish(assert_accepted(plane.post(SHIP, resolved["request"], key="resolved"))["records"]["operation_id"])
    assert operation["status"] == "pass"
    assert plane.counts() != before


def test_a_failed_deploy_leaves_inventory_and_tuple(plane, product):
    before = inventory_of(plane)
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    operation = plane.finish(product.ship())
    assert operation["status"] == "fail"
    assert inventory_of(plane) == before and tuple_rows(plane, "testing") == []
    record = assert_ok(plane.get(f"/v1/deployments/{operation['deployment_record_id']}"))["record"]
    assert record["deploy"]["status"] == "fail"


# promote


def test_a_promotion_ships_the_source_lanes_tuple(plane, product):
    """SHIP-06, TUP-03, TUP-04, DERIV-06, BKP-02"""
    product.shipped()
    operation = plane.finish(product.promote())
    assert (operation["kind"], operation["status"]) == ("promote", "pass"), operation
    assert plane.doubles.dokploy.running(product.prod.compose_id).services["web"].image == product.new.image
    shown, minted = inventory_of(plane, "prod"), tuple_rows(plane, "prod")[0]["payload"]
    source = tuple_rows(plane, "testing")[0]["payload"]
    record = assert_ok(plane.get(f"/v1/promotions/{shown['promotion_record_id']}"))["record"]
    assert (record["deployment_record_id"], record["backup_record_id"]) == (operation["deployment_record_id"], "gate-1")
    assert (record["from_instance"], record["to_instance"], record["deploy"]["status"]) == ("testing", "prod", "pass")
    assert record["backup_gate"]["status"] == "pass" and record["source_health"]["status"] == "pass"
    assert record["destination_health"]["status"] == "pass"
    assert (shown["deployment_record_id"], shown["promoted_from_instance"]) == (operation["deployment_record_id"], "testing")
    assert (minted["provenance"], minted["promoted_from_channel"], minted["promotion_record_id"]) == (
        "promotion", "testing", record["record_id"])
    assert all(minted[name] == source[name] for name in ("artifact_id", "repo_shas", "image_repository", "image_digest"))


PROMOTE_CONDITIONS = {
    "gate is not stored": (lambda product, plane: plane.query("DELETE FROM launchplane_backup_gates"), "not stored"),
    "gate has not passed": (lambda product, plane: product.gate("gate-1", minute=30, status="fail"), "is fail"),
    "gate is of another lane": (lambda product, plane: plane.query(
        "UPDATE launchplane_backup_gates SET payload = (payload::jsonb || '{\"instance\": \"testing\"}')::json"), "does not protect"),
    "gate is of another context": (lambda product, plane: plane.query(
        "UPDATE launchplane_backup_gates SET payload = (payload::jsonb || '{\"context\": \"other\"}')::json"), "does not protect"),
    "gate is older than what runs": (lambda product, plane: plane.query(
        "UPDATE launchplane_backup_gates SET payload = (payload::jsonb || '{\"created_at\": \"2025-01-01T00:00:00Z\"}')::json"),
        "fresh"),
    "source lane has no tuple": (lambda product, plane: plane.query("DELETE FROM launchplane_release_tuples"), "no release tuple"),
    "source lane stands elsewhere": (lambda product, plane: put_tuple(plane, artifact="artifact-shop-0009"), "artifact-shop-0009"),
    "manifest is not stored": (break_manifest, "no stored manifest"),
}


@pytest.mark.parametrize("name", PROMOTE_CONDITIONS)
def test_promote_fails_closed_when(plane, product, name):
    """BKP-02, BKP-09, TUP-03"""
    apply, told = PROMOTE_CONDITIONS[name]
    product.gate()
    put_tuple(plane, artifact=product.new.artifact_id)
    apply(product, plane)
    plan = plan_of(plane, "/v1/promote/plan", product.promote_request())
    assert plan["plan_status"] == "blocked" and any(told in blocker for blocker in plan["blockers"]), plan
    before, seen = inventory_of(plane, "prod"), len(plane.doubles.dokploy.mutations())
    operation = plane.finish(product.promote())
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_blocked"), operation
    assert len(plane.doubles.dokploy.mutations()) == seen
    assert inventory_of(plane, "prod") == before and tuple_rows(plane, "prod") == []
    assert plane.query("SELECT count(*) AS n FROM launchplane_promotions")[0]["n"] == 0


def test_a_failed_promotion_is_recorded_as_failed(plane, product):
    product.gate()
    put_tuple(plane, artifact=product.new.artifact_id)
    before = inventory_of(plane, "prod")
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error").times(1)
    operation = plane.finish(product.promote())
    assert operation["status"] == "fail"
    records = plane.query("SELECT payload FROM launchplane_promotions")
    assert [row["payload"]["deploy"]["status"] for row in records] == ["fail"]
    assert inventory_of(plane, "prod") == before and tuple_rows(plane, "prod") == []


@pytest.mark.settings(LAUNCHPLANE_WORKERS="2")
def test_two_promotions_of_one_lane_at_once_are_one(plane, product):
    product.gate()
    put_tuple(plane, artifact=product.new.artifact_id)
    plane.doubles.dokploy.on("*", "*").hold_before()         # the first does not end before the second comes
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda key: plane.post(PROMOTE, product.promote_request(), key=key), ["one", "two"]))
    plane.doubles.dokploy.faults.clear()
    assert sorted(answer.status_code for answer in answers) == [202, 409]
    winner = next(answer for answer in answers if answer.status_code == 202).json()
    loser = next(answer for answer in answers if answer.status_code == 409).json()
    assert loser["operation"]["operation_id"] == winner["records"]["operation_id"]
    assert plane.finish(winner["records"]["operation_id"])["status"] == "pass"
    assert plane.doubles.dokploy.deploys(product.prod.compose_id) == 1


def test_a_used_gate_does_not_allow_the_next_promotion(plane, product):
    """BKP-09"""
    product.gate()
    put_tuple(plane, artifact=product.new.artifact_id)
    assert plane.finish(product.promote())["status"] == "pass"
    plan = plan_of(plane, "/v1/promote/plan", product.promote_request())
    assert any("fresh" in blocker for blocker in plan["blockers"]), plan


# requests

WRONG = [
    (SHIP, {"instance": "stage"}, "instance"), (SHIP, {"artifact_id": " "}, "artifact_id"), (SHIP, {"surprise": 1}, "surprise"),
    (SHIP, {"env_overlay": {"ODOO_DB_PASSWORD": "x"}}, "env_overlay.ODOO_DB_PASSWORD"),
    (SHIP, {"timeout_seconds": 0}, "timeout_seconds"), (SHIP, {"verify_health": "perhaps"}, "verify_health"),
    (PROMOTE, {"to_instance": "testing"}, "to_instance"), (PROMOTE, {"from_instance": "dev"}, "from_instance"),
    (PROMOTE, {"backup_record_id": ""}, "backup_record_id"), (PROMOTE, {"instance": "prod"}, "instance"),
]


@pytest.mark.parametrize("path, changes, named", WRONG, ids=[f"{path} {named}" for path, _, named in WRONG])
def test_a_wrong_request_is_refused(shared_plane, path, changes, named):
    lanes = {"instance": "testing"} if path == SHIP else {
        "from_instance": "testing", "to_instance": "prod", "backup_record_id": "gate-1"}
    body = {"product": PRODUCT, "context": CONTEXT, "artifact_id": "a", **lanes, **changes}
    before = shared_plane.counts()
    assert_rejected(shared_plane.post(path, body, key="wrong"), 400, "invalid_request", named)
    assert shared_plane.counts() == before


def test_execute_needs_a_key(shared_plane):
    body = {"product": PRODUCT, "context": CONTEXT, "artifact_id": "a", "instance": "testing"}
    assert_rejected(shared_plane.post(SHIP, body), 400, "idempotency_key_required")


# from the command line


def test_ship_and_promote_from_the_command_line(plane, product, tmp_path):
    cli = Cli(plane)
    words = ("--product", PRODUCT, "--context", CONTEXT, "--artifact-id", product.new.artifact_id)
    planned = cli("ship", "plan", *words, "--instance", "testing")
    assert planned.fields()["result.plan_status"] == "ready", planned
    assert cli("ship", "resolve", *words, "--instance", "testing").code == 0
    env = tmp_path / "overlay.env"
    env.write_text("# for the update\nODOO_DB_NAME=shop_testing\n\n")
    shipped = cli("ship", "execute", *words, "--instance", "testing", "--env-file", str(env))
    assert shipped.code == 0, shipped
    assert plane.finish(shipped.fields()["operation_id"])["status"] == "pass"
    product.gate()
    lanes = ("--from-instance", "testing", "--to-instance", "prod", "--backup-record-id", "gate-1")
    assert cli("promote", "plan", *words, *lanes).fields()["result.plan_status"] == "ready"
    assert cli("promote", "resolve", *words, *lanes).code == 0
    promoted = cli("promote", "execute", *words, *lanes)
    assert plane.finish(promoted.fields()["operation_id"])["status"] == "pass"
    recorded = cli("promote", "record", "--input-file", input_file(tmp_path, promotion("promotion-by-hand")))
    assert recorded.fields()["promotion_record_id"] == "promotion-by-hand"


@pytest.mark.parametrize("text, told", [("NONSENSE", "KEY=VALUE"), ("ODOO_DB_PASSWORD=x", "env_overlay.ODOO_DB_PASSWORD")])
def test_a_wrong_overlay_is_told(shared_plane, tmp_path, text, told):
    env = tmp_path / "overlay.env"
    env.write_text(text)
    refused = Cli(shared_plane)("ship", "execute", "--product", PRODUCT, "--context", CONTEXT, "--artifact-id", "a",
                                "--instance", "testing", "--env-file", str(env))
    assert refused.code != 0 and told in refused.err
