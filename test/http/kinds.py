"""How each kind of operation is brought about on the doubles: one row for each kind that the program knows.

A new kind needs a row here, and is then swept like all others (sweep.py). A row says what is there before, and what is sent.
"""
import dataclasses
import typing

import live
from checks import assert_accepted
from evidence import put_tuple
from lane_work import post_deploy_request, put_overrides
from rehearsal.lane import CONFIRM_SETUP, Lane
from rehearsal.service import run_to_end
from rehearsal.tenant import ODOO, Life, Tenant
from release import PROMOTE, SHIP, Product
from replacement import APPLY

ASYNC = {"Prefer": "respond-async"}


def known_kinds():
    """The names in the program's own reference."""
    code, out, err = run_to_end("docs", "print", "operation-kinds", settings={})
    assert code == 0, err
    return [line[3:] for line in out.splitlines() if line.startswith("## ")]


@dataclasses.dataclass(frozen=True)
class Scenario:
    prepare: typing.Callable         # (plane) -> the world: whatever submit needs
    submit: typing.Callable          # (plane, world) -> the answer to a POST that submits, always the same one


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


def lane_elsewhere(plane):
    """The lane's route leads elsewhere, so that each kind of write is needed."""
    made = lane(plane)
    for row in plane.doubles.dokploy.state.domains.values():
        row["port"] = 3000
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


def submit_setup(plane, world):
    return plane.post("/v1/dokploy-targets/setup", {
        "mode": "apply", "operation": "create-compose", "product": "launchplane", "context": world.context, "instance": "prod",
        "target_type": "compose", "target_name": "shop-prod", "server_id": world.server, "confirmation": CONFIRM_SETUP,
        "reason": "rehearsal"}, key="sweep", headers=ASYNC)


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
    made = Tenant(plane.doubles)
    made.create_in_dokploy()
    plane.secrets += made.secret_values()
    instant(plane)
    return made.prepare(plane)


def tenant_with_overrides(plane):
    made = tenant(plane)
    put_overrides(plane)
    return made


def tenant_to_promote(plane):
    made = tenant(plane)
    life = Life(made, plane, plane.finish)
    assert life.replace(made.second)["status"] == "pass"
    assert life.capture("gate-1")["backup_status"] == "pass"
    return made


def tenant_promoted(plane):
    made = tenant_to_promote(plane)
    assert Life(made, plane, plane.finish).promote(made.second, "gate-1")["promotion_status"] == "pass"
    return made


def submit_bootstrap(plane, world):
    return plane.post(f"{ODOO}/stable-bootstrap", world.bootstrap(), key="sweep")


def submit_post_deploy(plane, world):
    return plane.post(f"{ODOO}/post-deploy", post_deploy_request(world.testing), key="sweep", headers=ASYNC)


def submit_backup_gate(plane, world):
    return plane.post(f"{ODOO}/prod-backup-gate", world.gate("gate-1"), key="sweep", headers=ASYNC)


def submit_prod_promotion(plane, world):
    return plane.post(f"{ODOO}/prod-promotion", world.promotion(world.second, "gate-1"), key="sweep", headers=ASYNC)


def submit_prod_rollback(plane, world):
    return plane.post(f"{ODOO}/prod-rollback", world.rollback(world.first), key="sweep", headers=ASYNC)


SCENARIOS = {
    "odoo_stable_target_replacement": Scenario(lane_elsewhere, submit_replacement),
    "odoo_stable_bootstrap": Scenario(tenant_with_overrides, submit_bootstrap),
    "odoo_post_deploy": Scenario(tenant_with_overrides, submit_post_deploy),
    "odoo_prod_backup_gate": Scenario(tenant, submit_backup_gate),
    "odoo_prod_promotion": Scenario(tenant_to_promote, submit_prod_promotion),
    "odoo_prod_rollback": Scenario(tenant_promoted, submit_prod_rollback),
    "ship": Scenario(product, submit_ship),
    "promote": Scenario(promotable, submit_promote),
    "dokploy_target_setup": Scenario(lane_and_server, submit_setup),
    "provider_target_backfill": Scenario(lane_without_provider_target, submit_backfill),
    "live_target_runtime_apply": Scenario(lane_behind_its_records, submit_live),
    "secrets_rekey": Scenario(lane_and_older_key, submit_rekey),
}


def operation_id_of(kind, answer):
    """The id in the records of a submission; they name it by the kind or plainly."""
    records = assert_accepted(answer)["records"]
    return records.get("operation_id") or records[f"{kind}_operation_id"]
