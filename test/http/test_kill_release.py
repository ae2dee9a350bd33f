"""SIGKILL in every phase of a promotion and around its effects: one deploy, and records that agree. test_kill.py has the engine."""
import re

import pytest

from cli import bare
from dry_run import prepare
from dying import finish, insist
from evidence import inventory_of, put_tuple, tuple_rows
from release import Product

KINDS = bare("docs", "print", "operation-kinds").out
PHASES = re.findall(r"^\| `(\w+)`", KINDS.split("## promote", 1)[1].split("\n### ")[0], re.M)


def made_ready(plane):
    product = Product(plane, plane.doubles).create()
    prepare(plane.doubles.dokploy)
    product.prepare().gate()
    put_tuple(plane, artifact=product.new.artifact_id)
    return product


def judge(plane, product, operation):
    assert operation["status"] == "pass", operation
    dokploy = plane.doubles.dokploy
    assert dokploy.deploys(product.prod.compose_id) == 1
    assert len(dokploy.schedule_runs) == 1
    assert dokploy.running(product.prod.compose_id).services["web"].image == product.new.image
    shown, minted = inventory_of(plane, "prod"), tuple_rows(plane, "prod")[0]["payload"]
    promotions = plane.query("SELECT payload FROM launchplane_promotions")
    assert [row["payload"]["deploy"]["status"] for row in promotions] == ["pass"]
    record = promotions[0]["payload"]
    assert shown["deployment_record_id"] == record["deployment_record_id"] == minted["deployment_record_id"] == \
        operation["deployment_record_id"]
    assert shown["promotion_record_id"] == record["record_id"] == minted["promotion_record_id"]


POINTS = [*[f"phase.{phase}:1" for phase in PHASES], *[f"checkpoint.{side}:{len(PHASES)}" for side in ("before", "after")]]


def test_every_phase_is_here():
    assert PHASES[0] == "plan" and "deploy" in PHASES and PHASES[-1] == "identity"


@pytest.mark.parametrize("point", POINTS)
def test_a_promotion_whose_process_dies(make_plane, state_dir, point):
    """F1, F2"""
    done = state_dir / "fault-done"
    plane = make_plane(LAUNCHPLANE_TEST_FAULT=f"{point}:kill", LAUNCHPLANE_TEST_FAULT_DONE=str(done))
    product = made_ready(plane)
    operation = finish(plane, insist(plane, product.promote))
    assert done.exists()
    judge(plane, product, operation)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("procedure", ["compose.update", "compose.deploy", "schedule.create", "schedule.runManually"])
def test_a_promotion_killed_at_an_effect(plane, procedure, side):
    product = made_ready(plane)
    rule = plane.doubles.dokploy.on("POST", procedure).times(1)
    rule = rule.hold_after() if side == "after" else rule.hold_before().drop_before()
    operation_id = product.promote()
    plane.run_until(operation_id, rule.reached.is_set, "the call")
    plane.kill()
    rule.release()
    plane.restart()
    judge(plane, product, plane.finish(operation_id))
