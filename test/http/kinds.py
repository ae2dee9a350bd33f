"""How each kind of operation is brought about on the doubles: one row for each kind that the program knows.

A new kind needs a row here, and is then swept like all others (sweep.py). A row says what is there before, and what is sent.
"""
import dataclasses
import re
import typing

import ends
import live
import preview
from checks import assert_accepted
from evidence import put_tuple
from lane_work import post_deploy_request, put_overrides
from rehearsal.lane import Lane
from rehearsal.service import run_to_end
from rehearsal.tenant import ASYNC, ODOO, Life, Tenant
from release import PROMOTE, SHIP, Product
from replacement import APPLY


HOSTS = ends.HOSTS


def known_kinds():
    """{name: its phases}, of the program's own reference."""
    code, out, err = run_to_end("docs", "print", "operation-kinds", settings={})
    assert code == 0, err
    parts = [part.split("| field |")[0] for part in out.split("\n## ")[1:]]
    return {part.split("\n", 1)[0]: re.findall(r"^\| `(\w+)`", part, re.M) for part in parts}


@dataclasses.dataclass(frozen=True)
class Scenario:
    kind: str                        # as in launchplane_operations.kind
    prepare: typing.Callable         # (plane) -> the world: whatever submit needs
    submit: typing.Callable          # (plane, world) -> the answer to a POST that submits, always the same one
    judge: typing.Callable           # (plane, world, operation): what an operation that passed must have left
    asks_a_person: tuple = ()        # error codes: nobody knows whether a destructive run began
    fails: str = ""                  # the error code with which it ends, when it is meant to


def instant(plane):
    """Deploys and runs end at once: nothing has to be asked for twice, so that each run takes the same steps."""
    dokploy = plane.doubles.dokploy
    dokploy.queue_seconds = dokploy.deploy_seconds = dokploy.schedule_seconds = 0


def lane(plane):
    made = Lane(plane.doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    instant(plane)
    return made.prepare(plane)


def lead_elsewhere(plane):
    for row in plane.doubles.dokploy.state.domains.values():
        row["port"] = 3000


def lane_elsewhere(plane):
    """The lane's route leads elsewhere, so that each kind of write is needed."""
    made = lane(plane)
    lead_elsewhere(plane)
    return made


def lane_with_overrides(plane):
    made = lane(plane)
    put_overrides(plane)
    return made


def lane_that_takes_time(plane):
    """Deploys and runs have to be waited for."""
    made = lane(plane)
    dokploy = plane.doubles.dokploy
    dokploy.queue_seconds, dokploy.deploy_seconds, dokploy.schedule_seconds = 3, 20, 5
    return made


def lane_whose_deploy_fails(plane):
    made = lane(plane)
    plane.doubles.dokploy.on("POST", "compose.deploy").lie("deploy_error")
    return made


def product(plane):
    instant(plane)
    return Product(plane, plane.doubles).create().prepare()


def promotable(plane):
    made = product(plane)
    put_tuple(plane, artifact=made.new.artifact_id)
    made.gate()
    return made


def lane_and_server(plane):
    made = lane(plane)
    made.server = plane.doubles.dokploy.add_server()
    return made


def lane_without_provider_target(plane):
    made = lane(plane)
    plane.query("DELETE FROM launchplane_provider_targets")
    return made


def lane_behind_its_records(plane):
    made = lane(plane)
    live.expect(plane, made, "ODOO_WORKERS")
    live.record(plane, made, {"ODOO_WORKERS": "4"}, {"ODOO_DB_PASSWORD": "rotated-password-of-the-lane"})
    return made


def lane_and_older_key(plane):
    made = lane(plane)
    plane.settings["LAUNCHPLANE_PREVIOUS_MASTER_ENCRYPTION_KEYS"] = plane.master_key
    plane.settings["LAUNCHPLANE_MASTER_ENCRYPTION_KEY"] = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
    return made


def submit_replacement(plane, world):
    return plane.post(APPLY, world.replacement(), key="sweep")


def submit_ship(plane, world):
    return plane.post(SHIP, world.ship_request(), key="sweep")


def submit_promote(plane, world):
    return plane.post(PROMOTE, world.promote_request(), key="sweep")


def lane_with_more_routes(plane):
    """Two routes of which the records know, which nobody wants any more."""
    made = lane(plane)
    for host in HOSTS:
        plane.doubles.dokploy.add_domain(made.compose_id, host)
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb ||"
                " jsonb_build_object('domains', jsonb_build_array(%s::text, %s::text, %s::text)))::json", made.host, *HOSTS)
    return made


def setup_body(lane, operation, **changes):
    return {**lane.target_setup(), "operation": operation, "target_id": "", "target_name": "", "domains": [], **changes}


def creation(lane):
    return setup_body(lane, "create-compose", instance="prod", target_name="shop-prod", server_id=lane.server, domains=HOSTS,
                      runtime_port=8069, environment_name="prod", project_description="made by rehearsal")


def adoption(lane):
    return setup_body(lane, "adopt", instance="prod", target_id=lane.compose_id)


def reconciliation(lane):
    return setup_body(lane, "reconcile-compose-domain", domains=HOSTS, runtime_port=8069)


def pruning(lane):
    return setup_body(lane, "prune-compose-domain", domains=HOSTS)


def sets_up(body):
    return lambda plane, world: plane.post("/v1/dokploy-targets/setup", body(world), key="sweep", headers=ASYNC)


def submit_backfill(plane, world):
    return plane.post("/v1/provider-targets/operations", {
        "mode": "backfill-apply", "product": "launchplane", "provider_id": "dokploy", "context": world.context,
        "instance": world.instance, "reason": "rehearsal", "confirmation": "APPLY PROVIDER TARGET BACKFILL"},
        key="sweep", headers=ASYNC)


def submit_live(plane, world):
    return plane.post(live.LIVE, live.body(world, deploy=True), key="sweep", headers=ASYNC)


def submit_rekey(plane, world):
    return plane.post("/v1/secrets/rekey", {"reason": "rehearsal"}, key="sweep", headers=ASYNC)


def tenant(plane):
    """Testing and prod of one product; testing runs the second artifact."""
    instant(plane)
    made = Tenant(plane.doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    return made.prepare(plane)


def promotable_tenant(plane):
    made = tenant(plane)
    life = Life(made, plane, plane.finish)
    assert life.replace(made.second)["status"] == "pass"
    assert life.capture("gate-1")["backup_status"] == "pass"
    lead_elsewhere(plane)
    return made


def promoted_tenant(plane):
    made = promotable_tenant(plane)
    life = Life(made, plane, plane.finish)
    assert life.promote(made.second, "gate-1")["promotion_status"] == "pass"
    lead_elsewhere(plane)
    return made


def tenant_with_overrides(plane):
    made = tenant(plane)
    put_overrides(plane)
    return made


def asks(path, body):
    """Submits body(world) at a route of the Odoo driver."""
    return lambda plane, world: plane.post(f"{ODOO}/{path}", body(world), key="sweep", headers=ASYNC)


def lane_with_previews(plane):
    made = lane(plane)
    made.previews = preview.Previews(plane, made).prepare()
    made.preview_plan = made.previews.inputs("refresh")["dry_run_plan"]
    return made


def lane_with_a_preview(plane):
    made = lane_with_previews(plane)
    assert made.previews.refresh(key="before")["status"] == "pass"
    made.preview_plan = made.previews.inputs("destroy")["dry_run_plan"]
    return made


def lane_with_a_stage(plane):
    """Its previews borrow the lane's own target."""
    made = lane(plane)
    made.previews = preview.Previews(plane, made, staged=True).prepare()
    made.preview_plan = made.previews.inputs("refresh")["dry_run_plan"]
    return made


def lane_with_a_staged_preview(plane):
    made = lane_with_a_stage(plane)
    assert made.previews.refresh(key="before")["status"] == "pass"
    made.preview_plan = made.previews.inputs("destroy")["dry_run_plan"]
    return made


def submit_preview(plane, world):
    return plane.post(preview.APPLY, world.previews.request(world.preview_plan), key="sweep", headers=ASYNC)


REPLACEMENT = "odoo_stable_target_replacement"
SETUP = "dokploy_target_setup"

# The main job, in each way that it takes.
MAIN_JOB = {
    "replacement": Scenario(REPLACEMENT, lane_elsewhere, submit_replacement, ends.replaced),
    "replacement-with-overrides": Scenario(REPLACEMENT, lane_with_overrides, submit_replacement, ends.replaced),
    "replacement-that-waits": Scenario(REPLACEMENT, lane_that_takes_time, submit_replacement, ends.replaced),
    "replacement-whose-deploy-fails": Scenario(REPLACEMENT, lane_whose_deploy_fails, submit_replacement, ends.not_replaced,
                                               fails="deploy_failed"),
}

SCENARIOS = {
    **MAIN_JOB,
    "bootstrap": Scenario("odoo_stable_bootstrap", tenant_with_overrides, asks("stable-bootstrap", Tenant.bootstrap), ends.bootstrapped,
                          asks_a_person=("operation_reconciliation_required",)),
    "post-deploy": Scenario("odoo_post_deploy", tenant_with_overrides,
                            asks("post-deploy", lambda made: post_deploy_request(made.testing)), ends.applied),
    "backup-gate": Scenario("odoo_prod_backup_gate", tenant, asks("prod-backup-gate", lambda made: made.gate("gate-1")), ends.gated),
    "prod-promotion": Scenario("odoo_prod_promotion", promotable_tenant,
                               asks("prod-promotion", lambda made: made.promotion(made.second, "gate-1")), ends.promoted),
    "prod-rollback": Scenario("odoo_prod_rollback", promoted_tenant,
                              asks("prod-rollback", lambda made: made.rollback(made.first)), ends.rolled_back),
    "preview": Scenario("odoo_preview_refresh", lane_with_previews, submit_preview, ends.previewed),
    "no-preview": Scenario("odoo_preview_destroy", lane_with_a_preview, submit_preview, ends.not_previewed),
    "staged-preview": Scenario("odoo_preview_refresh", lane_with_a_stage, submit_preview, ends.previewed_on_its_stage),
    "no-staged-preview": Scenario("odoo_preview_destroy", lane_with_a_staged_preview, submit_preview, ends.not_previewed_on_its_stage),
    "ship": Scenario("ship", product, submit_ship, ends.released("testing")),
    "promote": Scenario("promote", promotable, submit_promote, ends.released("prod")),
    "create": Scenario(SETUP, lane_and_server, sets_up(creation), ends.created),
    "adopt": Scenario(SETUP, lane, sets_up(adoption), ends.adopted),
    "reconcile": Scenario(SETUP, lane, sets_up(reconciliation), ends.reconciled),
    "prune": Scenario(SETUP, lane_with_more_routes, sets_up(pruning), ends.pruned),
    "backfill": Scenario("provider_target_backfill", lane_without_provider_target, submit_backfill, ends.backfilled),
    "live": Scenario("live_target_runtime_apply", lane_behind_its_records, submit_live, ends.brought_live),
    "rekey": Scenario("secrets_rekey", lane_and_older_key, submit_rekey, ends.rekeyed),
}


def operation_id_of(plane, kind, answer):
    """The id of what was accepted. An answer that comes after the end has the kind's own records, without it."""
    assert_accepted(answer)
    rows = plane.query("SELECT operation_id FROM launchplane_operations WHERE kind = %s AND idempotency_key = 'sweep'", kind)
    assert len(rows) == 1, rows
    return rows[0]["operation_id"]
