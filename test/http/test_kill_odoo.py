"""SIGKILL before and after each effect of each kind that works on a lane besides replacement (that one: test_kill.py).

Each kind's effects are listed; a run without a kill shows that the list is whole. Every run ends pass with each effect
had once, but a destructive run of which nobody knows whether it began: that one ends with a person asked to look.
"""
import pytest

from checks import assert_accepted
from lane_work import post_deploy_request, put_overrides
from rehearsal.tenant import ASYNC, ODOO, Life, Tenant

RUN = ["schedule.create", "schedule.runManually"]
EXECUTOR = ["compose.update", "domain.update", "compose.update", "compose.deploy", *RUN]


class Kind:
    """How one kind is asked for, and what it must leave behind."""
    effects = ()
    runs = 1
    deploys = 1
    record = "operation_id"

    def arrange(self, plane, tenant, life):
        pass

    def submit(self, plane, tenant):
        answer = assert_accepted(plane.post(f"{ODOO}/{self.path}", self.body(tenant), key="kill-1", headers=ASYNC))
        return answer["records"][self.record]

    def lane(self, tenant):
        return tenant.prod

    def judge(self, plane, tenant, life, operation):
        pass


class Bootstrap(Kind):
    path, record = "stable-bootstrap", "odoo_stable_bootstrap_operation_id"
    effects = [*RUN, "compose.update", "compose.deploy", *RUN]
    runs = 2

    def arrange(self, plane, tenant, life):
        put_overrides(plane)

    def body(self, tenant):
        return tenant.bootstrap()

    def lane(self, tenant):
        return tenant.testing

    def judge(self, plane, tenant, life, operation):
        assert life.inventory("testing")["bootstrap_record_id"] == operation["deployment_record_id"]
        modes = [run.mode for run in plane.doubles.dokploy.schedule_runs]
        assert modes == ["bootstrap", "maintenance"]


class PostDeploy(Kind):
    path = "post-deploy"
    effects = ["compose.update", "compose.deploy", *RUN]

    def arrange(self, plane, tenant, life):
        put_overrides(plane)

    def body(self, tenant):
        return post_deploy_request(tenant.testing)

    def lane(self, tenant):
        return tenant.testing


class BackupGate(Kind):
    path, deploys = "prod-backup-gate", 0
    effects = RUN

    def body(self, tenant):
        return tenant.gate("gate-1")

    def judge(self, plane, tenant, life, operation):
        assert plane.query("SELECT status FROM launchplane_backup_gates") == [{"status": "pass"}]


class Promotion(Kind):
    path = "prod-promotion"
    effects = EXECUTOR

    def arrange(self, plane, tenant, life):
        assert life.replace(tenant.second)["status"] == "pass"
        assert life.capture("gate-1")["backup_status"] == "pass"

    def body(self, tenant):
        return tenant.promotion(tenant.second, "gate-1")

    def judge(self, plane, tenant, life, operation):
        rows = plane.query("SELECT payload FROM launchplane_promotions")
        assert [row["payload"]["deploy"]["status"] for row in rows] == ["pass"]
        assert life.inventory("prod")["promotion_record_id"] == rows[0]["payload"]["record_id"]


class Rollback(Promotion):
    path = "prod-rollback"
    effects = ["compose.update", "domain.update", "compose.update", "compose.deploy", "schedule.update", "schedule.runManually"]

    def arrange(self, plane, tenant, life):
        super().arrange(plane, tenant, life)
        assert life.promote(tenant.second, "gate-1")["promotion_status"] == "pass"

    def body(self, tenant):
        return tenant.rollback(tenant.first)

    def judge(self, plane, tenant, life, operation):
        super().judge(plane, tenant, life, operation)
        row, = plane.query("SELECT payload FROM launchplane_promotions")
        assert row["payload"]["rollback"]["status"] == "pass"
        assert plane.query("SELECT count(*) AS n FROM launchplane_promotion_holds") == [{"n": 1}]


KINDS = {kind.path: kind() for kind in (Bootstrap, PostDeploy, BackupGate, Promotion, Rollback)}


def points():
    """(path, procedure, how many of the same came before) of each effect of each kind."""
    for path, kind in KINDS.items():
        for place, procedure in enumerate(kind.effects):
            yield path, procedure, kind.effects[:place].count(procedure)


@pytest.fixture
def tenant(doubles, plane):
    made = Tenant(doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    return made.prepare(plane)


class World:
    def __init__(self, plane, tenant, kind):
        self.plane, self.tenant, self.kind = plane, tenant, kind
        self.dokploy = plane.doubles.dokploy
        self.life = Life(tenant, plane, plane.finish)
        self.dokploy.queue_seconds = self.dokploy.deploy_seconds = self.dokploy.schedule_seconds = 0
        kind.arrange(plane, tenant, self.life)
        if "domain.update" in kind.effects:
            for row in self.dokploy.state.domains.values():      # they lead elsewhere: each has to be written
                row["port"] = 3000
        self.lane = kind.lane(tenant)
        self.deploys, self.runs = self.dokploy.deploys(self.lane.compose_id), len(self.dokploy.schedule_runs)
        self.before = len(self.dokploy.requests)

    def judge(self, operation):
        assert operation["status"] == "pass", operation
        assert self.dokploy.deploys(self.lane.compose_id) - self.deploys == self.kind.deploys
        assert len(self.dokploy.schedule_runs) - self.runs == self.kind.runs
        assert self.dokploy.running(self.lane.compose_id).web_running
        self.kind.judge(self.plane, self.tenant, self.life, operation)

    def effects(self):
        return [seen.procedure for seen in self.dokploy.requests[self.before:] if seen.method == "POST"]


def hold(rule, side):
    if side == "after":
        return rule.hold_after()
    return rule.hold_before().drop_before()      # the caller is dead: nothing reaches the provider


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("point", points(), ids=lambda point: "-".join(map(str, point)))
def test_a_kill_around_each_effect(plane, tenant, point, side):
    """F1, F2: restart never fails, cancels or repeats an operation"""
    path, procedure, earlier = point
    world = World(plane, tenant, KINDS[path])
    rule = hold(world.dokploy.on("POST", procedure).after(earlier).times(1), side)
    operation_id = world.kind.submit(plane, tenant)
    plane.run_until(operation_id, rule.reached.is_set, "the call", 60)
    plane.kill()
    rule.release()
    plane.restart()
    operation = plane.finish(operation_id)
    if (path, procedure, earlier, side) == ("stable-bootstrap", "schedule.runManually", 0, "before"):
        assert operation["error_code"] == "operation_reconciliation_required", operation
        assert world.dokploy.running(world.lane.compose_id).web_running
        return
    world.judge(operation)


@pytest.mark.parametrize("path", KINDS)
def test_the_effects_are_all_listed(plane, tenant, path):
    world = World(plane, tenant, KINDS[path])
    operation = plane.finish(world.kind.submit(plane, tenant))
    world.judge(operation)
    assert world.effects() == world.kind.effects


@pytest.mark.parametrize("path", KINDS)
def test_a_cancel_is_honoured_before_the_first_effect_and_not_after_the_last(plane, tenant, path):
    world = World(plane, tenant, KINDS[path])
    first = world.dokploy.on("GET", "compose.one").hold_before().times(1)
    operation_id = world.kind.submit(plane, tenant)
    plane.run_until(operation_id, first.reached.is_set, "the first look", 60)
    assert plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "drill"}).status_code in (200, 202)
    first.release()
    operation = plane.finish(operation_id)
    assert (operation["status"], operation["error_code"]) == ("fail", "operation_cancelled"), operation
    assert world.effects() == []
    assert world.dokploy.running(world.lane.compose_id).web_running


@pytest.mark.parametrize("path", KINDS)
def test_a_cancel_after_the_run_was_asked_for_waits_for_its_end(plane, tenant, path):
    world = World(plane, tenant, KINDS[path])
    rule = world.dokploy.on("POST", "schedule.runManually").hold_after().times(1)
    operation_id = world.kind.submit(plane, tenant)
    plane.run_until(operation_id, rule.reached.is_set, "the run", 60)
    assert plane.post(f"/v1/operations/{operation_id}/cancel", {"reason": "drill"}).status_code in (200, 202)
    rule.release()
    world.judge(plane.finish(operation_id))
