"""One run of each kind of operation: what the kill sweep repeats with a kill at every step.

A scenario prepares the doubles, submits, and judges the end. Whatever was killed on the way, each effect must have
happened once and the records must tell it.
"""
import dataclasses
import typing

import live
from checks import assert_accepted, assert_ok
from release import PROMOTE, SHIP, Product
from replacement import deployment_of, env_of, inventory_of, submit as submit_replacement

SETUP = "/v1/dokploy-targets/setup"
BACKFILL = "/v1/provider-targets/operations"
HOSTS = ["one.example.com", "two.example.com"]


@dataclasses.dataclass
class Scenario:
    kind: str                        # as in launchplane_operations.kind
    prepare: typing.Callable         # (plane, lane): what is there before; repeatable steps
    submit: typing.Callable          # (plane, lane): the operation's id, without waiting for its end
    judge: typing.Callable           # (plane, lane): of an operation that passed
    ask: typing.Callable = None      # (plane, lane): the dry-run, whose reads the submission repeats


def _nothing(plane, lane):
    pass


# replacement

def _lead_elsewhere(plane, lane):
    """Deploys and runs end at once: nothing has to be asked for twice, so that each run takes the same steps.

    The lane's route leads elsewhere, so that each kind of write is needed.
    """
    dokploy = lane.doubles.dokploy
    dokploy.queue_seconds = dokploy.deploy_seconds = dokploy.schedule_seconds = 0
    for row in dokploy.state.domains.values():
        row["port"] = 3000


def _judge_replacement(plane, lane, operation):
    dokploy = lane.doubles.dokploy
    assert dokploy.deploys(lane.compose_id) == 1
    assert len(dokploy.schedule_runs) == 1
    assert len(dokploy.state.schedules) == 1
    assert len(dokploy.domains_of(lane.compose_id)) == 1
    assert dokploy.running(lane.compose_id).web_running
    assert inventory_of(plane, lane)["deployment_record_id"] == operation["deployment_record_id"]
    assert deployment_of(plane, operation)["deploy"]["status"] == "pass"
    rows = plane.query("SELECT count(*) AS n FROM launchplane_deployments WHERE deploy_started_at <> '2026-01-01T00:00:00Z'")
    assert rows[0]["n"] == 1


# ship and promote

def _both_lanes(plane, lane):
    """The new artifact runs in testing, proved, with a gate of prod: for a promotion."""
    product = Product(plane, lane.doubles)
    product.testing = lane
    product.create().prepare()
    _lead_elsewhere(plane, lane)
    product.shipped()


def _submit_release(path, request):
    def submit(plane, lane):
        body = request(Product(plane, lane.doubles))
        return assert_accepted(plane.post(path, body, key="release-1"))["records"]["operation_id"]
    return submit


def _judge_release(instance):
    def judge(plane, lane, operation):
        dokploy = lane.doubles.dokploy
        compose_id = _rows(plane, instance)[1]
        assert dokploy.deploys(compose_id) == 1
        assert dokploy.running(compose_id).services["web"].image == lane.new.image
        shown = plane.query("SELECT payload FROM launchplane_inventory WHERE instance = %s", instance)[0]["payload"]
        assert shown["deployment_record_id"] == operation["deployment_record_id"]
        minted = plane.query("SELECT artifact_id FROM launchplane_release_tuples WHERE channel = %s", instance)
        assert [row["artifact_id"] for row in minted] == [lane.new.artifact_id]
    return judge


# target setup

def setup_body(lane, operation, **changes):
    return {**lane.target_setup(), "operation": operation, "target_id": "", "target_name": "", "domains": [], **changes}


def _creation(lane):
    dokploy = lane.doubles.dokploy
    server = next(iter(dokploy.state.servers), None) or dokploy.add_server()
    return setup_body(lane, "create-compose", instance="prod", target_name="shop-prod", server_id=server, domains=HOSTS,
                      runtime_port=8069, environment_name="prod", project_description="made by rehearsal")


def _adoption(lane):
    return setup_body(lane, "adopt", instance="prod", target_id=lane.compose_id)


def _reconciliation(lane):
    return setup_body(lane, "reconcile-compose-domain", domains=HOSTS, runtime_port=8069)


def _pruning(lane):
    return setup_body(lane, "prune-compose-domain", domains=HOSTS)


def _submit_setup(body):
    def submit(plane, lane):
        answer = plane.post(SETUP, body(lane), key="setup-1", headers={"Prefer": "respond-async"})
        return _operation_id(plane, answer)
    return submit


def _operation_id(plane, answer):
    """Of an answer that came before or after the end."""
    body = assert_accepted(answer)
    return body["records"].get("operation_id") or answer.headers["Location"].rsplit("/", 1)[1]


def _ask_setup(body):
    return lambda plane, lane: assert_accepted(plane.post(SETUP, {**body(lane), "mode": "dry-run"}))


def _rows(plane, instance):
    found = [plane.query(f"SELECT payload FROM launchplane_{table} WHERE instance = %s", instance)
             for table in ("dokploy_targets", "dokploy_target_ids", "provider_targets")]
    assert [len(rows) for rows in found] == [1, 1, 1]
    target, target_id, provider = (rows[0]["payload"] for rows in found)
    assert target_id["target_id"] == provider["target_id"]
    return target, target_id["target_id"]


def _judge_creation(plane, lane, operation):
    state = lane.doubles.dokploy.state
    assert len(state.projects) == 2 and len(state.composes) == 2
    assert len([row for row in state.environments.values() if row["name"] == "prod"]) == 1
    target, target_id = _rows(plane, "prod")
    made = state.composes[target_id]
    assert (made["sourceType"], made["composePath"], made["name"]) == ("raw", "docker-compose.yml", "shop-prod")
    assert sorted(row["host"] for row in lane.doubles.dokploy.domains_of(target_id)) == target["domains"] == HOSTS
    assert target["project_name"] == lane.context


def _judge_adoption(plane, lane, operation):
    assert _rows(plane, "prod")[1] == lane.compose_id


def _judge_reconciliation(plane, lane, operation):
    routes = lane.doubles.dokploy.domains_of(lane.compose_id)
    assert sorted(row["host"] for row in routes) == sorted([*HOSTS, lane.host])
    assert all((row["serviceName"], row["port"]) == ("web", 8069) for row in routes)
    assert _rows(plane, "testing")[0]["domains"] == [lane.host, *HOSTS]


def _route_both(plane, lane):
    for host in HOSTS:
        lane.doubles.dokploy.add_domain(lane.compose_id, host)
    plane.query("UPDATE launchplane_dokploy_targets SET payload = (payload::jsonb ||"
                " jsonb_build_object('domains', jsonb_build_array(%s::text, %s::text, %s::text)))::json", lane.host, *HOSTS)


def _judge_pruning(plane, lane, operation):
    assert [row["host"] for row in lane.doubles.dokploy.domains_of(lane.compose_id)] == [lane.host]
    assert _rows(plane, "testing")[0]["domains"] == [lane.host]
    assert len(operation["result"]["setup"]["deleted_domain_ids"]) == 2


# backfill

def _forget_row(plane, lane):
    plane.query("DELETE FROM launchplane_provider_targets")


def _submit_backfill(plane, lane):
    body = {"mode": "backfill-apply", "context": lane.context, "instance": lane.instance, "reason": "rehearsal",
            "confirmation": "APPLY PROVIDER TARGET BACKFILL"}
    return _operation_id(plane, plane.post(BACKFILL, body, key="backfill-1", headers={"Prefer": "respond-async"}))


def _judge_backfill(plane, lane, operation):
    assert _rows(plane, "testing")[1] == lane.compose_id
    assert operation["result"]["report"]["counts"] == {"created": 1}


# live runtime, rekey

def _record_values(plane, lane):
    live.expect(plane, lane, "ODOO_WORKERS")
    live.record(plane, lane, {"ODOO_WORKERS": "4"}, {})


def _submit_live(plane, lane):
    answer = plane.post(live.LIVE, live.body(lane), key="live-1", headers={"Prefer": "respond-async"})
    return _operation_id(plane, answer)


def _judge_live(plane, lane, operation):
    env = env_of(lane.doubles.dokploy.compose(lane.compose_id)["env"])
    assert env["ODOO_WORKERS"] == "4" and set(env) == {*lane.live_env, "ODOO_WORKERS"}
    assert operation["result"]["apply"]["verification"]["status"] == "pass"


def _submit_rekey(plane, lane):
    answer = plane.post("/v1/secrets/rekey", {"reason": "rehearsal"}, key="rekey-1", headers={"Prefer": "respond-async"})
    return _operation_id(plane, answer)


def _judge_rekey(plane, lane, operation):
    """Every secret still opens: the provider's credentials are among them."""
    assert_ok(plane.get(f"/v1/dokploy-targets/inspect?context={lane.context}&instance={lane.instance}"))


SCENARIOS = {
    "replacement": Scenario("odoo_stable_target_replacement", _lead_elsewhere, submit_replacement, _judge_replacement),
    "ship": Scenario("ship", _lead_elsewhere, _submit_release(SHIP, Product.ship_request), _judge_release("testing")),
    "promote": Scenario("promote", _both_lanes, _submit_release(PROMOTE, Product.promote_request), _judge_release("prod")),
    "create": Scenario("dokploy_target_setup", _nothing, _submit_setup(_creation), _judge_creation, _ask_setup(_creation)),
    "adopt": Scenario("dokploy_target_setup", _nothing, _submit_setup(_adoption), _judge_adoption, _ask_setup(_adoption)),
    "reconcile": Scenario("dokploy_target_setup", _nothing, _submit_setup(_reconciliation), _judge_reconciliation,
                          _ask_setup(_reconciliation)),
    "prune": Scenario("dokploy_target_setup", _route_both, _submit_setup(_pruning), _judge_pruning, _ask_setup(_pruning)),
    "live": Scenario("live_target_runtime_apply", _record_values, _submit_live, _judge_live),
    "rekey": Scenario("secrets_rekey", _nothing, _submit_rekey, _judge_rekey),
    "backfill": Scenario("provider_target_backfill", _forget_row, _submit_backfill, _judge_backfill),
}
