"""What each kind of operation must have left behind when it passed, whatever happened on the way: each effect once, and records
that tell it. kinds.py names one of these for each scenario; the doubles' counters begin with the scenario's submission."""
from checks import assert_ok
from preview import Previews
from replacement import deployment_of, env_of, inventory_of

HOSTS = ["one.example.com", "two.example.com"]


def _once(plane, lane, deploys=1, runs=0):
    """So many deploys of the lane and so many runs on its host; its web container is up."""
    dokploy = plane.doubles.dokploy
    assert dokploy.deploys(lane.compose_id) == deploys
    assert len(dokploy.schedule_runs) == runs
    assert dokploy.running(lane.compose_id).web_running


def _rows(plane, instance):
    """(target, its id at the provider) as the records have them: one row in each table."""
    found = [plane.query(f"SELECT payload FROM launchplane_{table} WHERE instance = %s", instance)
             for table in ("dokploy_targets", "dokploy_target_ids", "provider_targets")]
    assert [len(rows) for rows in found] == [1, 1, 1]
    target, target_id, provider = (rows[0]["payload"] for rows in found)
    assert target_id["target_id"] == provider["target_id"]
    return target, target_id["target_id"]


def _shown(plane, lane, instance):
    return plane.query("SELECT payload FROM launchplane_inventory WHERE context = %s AND instance = %s", lane.context, instance)[0]["payload"]


def _new_deployments(plane):
    return plane.query("SELECT count(*) AS n FROM launchplane_deployments WHERE deploy_started_at <> '2026-01-01T00:00:00Z'")[0]["n"]


# the main job

def replaced(plane, lane, operation):
    _once(plane, lane, runs=1)
    dokploy = plane.doubles.dokploy
    assert len(dokploy.state.schedules) == 1
    assert len(dokploy.domains_of(lane.compose_id)) == 1
    assert dokploy.running(lane.compose_id).services["web"].image == lane.new.image
    assert inventory_of(plane, lane)["deployment_record_id"] == operation["deployment_record_id"]
    assert deployment_of(plane, operation)["deploy"]["status"] == "pass"
    assert _new_deployments(plane) == 1


def not_replaced(plane, lane, operation):
    """The deploy ended with an error: that is told, and the old image runs on."""
    dokploy = plane.doubles.dokploy
    assert dokploy.deploys(lane.compose_id) == 1
    assert dokploy.running(lane.compose_id).services["web"].image == lane.old.image
    assert deployment_of(plane, operation)["deploy"]["status"] == "fail"


# a tenant's lanes

def bootstrapped(plane, tenant, operation):
    _once(plane, tenant.testing, runs=2)
    assert [run.mode for run in plane.doubles.dokploy.schedule_runs] == ["bootstrap", "maintenance"]
    assert _shown(plane, tenant, "testing")["bootstrap_record_id"] == operation["deployment_record_id"]


def applied(plane, tenant, operation):
    _once(plane, tenant.testing, runs=1)


def gated(plane, tenant, operation):
    _once(plane, tenant.prod, deploys=0, runs=1)
    assert plane.query("SELECT status FROM launchplane_backup_gates") == [{"status": "pass"}]


def promoted(plane, tenant, operation):
    _once(plane, tenant.prod, runs=1)
    row, = plane.query("SELECT payload FROM launchplane_promotions")
    assert row["payload"]["deploy"]["status"] == "pass"
    assert _shown(plane, tenant, "prod")["promotion_record_id"] == row["payload"]["record_id"]


def rolled_back(plane, tenant, operation):
    promoted(plane, tenant, operation)
    row, = plane.query("SELECT payload FROM launchplane_promotions")
    assert row["payload"]["rollback"]["status"] == "pass"
    assert plane.query("SELECT count(*) AS n FROM launchplane_promotion_holds") == [{"n": 1}]


def released(instance):
    def judge(plane, product, operation):
        lane = product.testing if instance == "testing" else product.prod
        assert _rows(plane, instance)[1] == lane.compose_id
        _once(plane, lane, runs=1)
        assert plane.doubles.dokploy.running(lane.compose_id).services["web"].image == product.new.image
        assert _shown(plane, lane, instance)["deployment_record_id"] == operation["deployment_record_id"]
        minted = plane.query("SELECT artifact_id FROM launchplane_release_tuples WHERE channel = %s", instance)
        assert product.new.artifact_id in [row["artifact_id"] for row in minted]
    return judge


# previews

def previewed(plane, lane, operation):
    previews = Previews(plane, lane)
    row = previews.compose()
    assert plane.doubles.dokploy.deploys(row["composeId"]) == 1
    assert [domain["host"] for domain in plane.doubles.dokploy.domains_of(row["composeId"])] == ["pr-7.previews.example.com"]
    assert operation["result"]["created_compose"] is True
    assert [(g["sequence"], g["state"]) for g in previews.generations()] == [(1, "verifying")]
    assert previews.records()[7]["latest_generation_id"] == operation["result"]["records"]["generation_id"]


def not_previewed(plane, lane, operation):
    previews = Previews(plane, lane)
    assert previews.compose() is None and list(plane.doubles.dokploy.state.composes) == [lane.compose_id]
    assert plane.doubles.dokploy.effects("POST", "compose.delete") == 1
    assert previews.records()[7]["state"] == "destroyed"


def previewed_on_its_stage(plane, lane, operation):
    """It borrows the lane's own target: one deploy of that, and no compose service of its own."""
    previews = Previews(plane, lane)
    assert previews.compose() is None and list(plane.doubles.dokploy.state.composes) == [lane.compose_id]
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    assert previews.records()[7]["latest_generation_id"] == operation["result"]["records"]["generation_id"]


def not_previewed_on_its_stage(plane, lane, operation):
    previews = Previews(plane, lane)
    assert list(plane.doubles.dokploy.state.composes) == [lane.compose_id]
    assert plane.doubles.dokploy.effects("POST", "compose.delete") == 0
    assert previews.records()[7]["state"] == "destroyed"


# targets

def created(plane, lane, operation):
    state = plane.doubles.dokploy.state
    assert len(state.projects) == 2 and len(state.composes) == 2
    assert len([row for row in state.environments.values() if row["name"] == "prod"]) == 1
    target, target_id = _rows(plane, "prod")
    made = state.composes[target_id]
    assert (made["sourceType"], made["composePath"], made["name"]) == ("raw", "docker-compose.yml", "shop-prod")
    assert sorted(row["host"] for row in plane.doubles.dokploy.domains_of(target_id)) == target["domains"] == HOSTS
    assert target["project_name"] == lane.context


def adopted(plane, lane, operation):
    assert _rows(plane, "prod")[1] == lane.compose_id


def reconciled(plane, lane, operation):
    routes = plane.doubles.dokploy.domains_of(lane.compose_id)
    assert sorted(row["host"] for row in routes) == sorted([*HOSTS, lane.host])
    assert all((row["serviceName"], row["port"]) == ("web", 8069) for row in routes)
    assert _rows(plane, "testing")[0]["domains"] == [lane.host, *HOSTS]


def pruned(plane, lane, operation):
    assert [row["host"] for row in plane.doubles.dokploy.domains_of(lane.compose_id)] == [lane.host]
    assert _rows(plane, "testing")[0]["domains"] == [lane.host]
    assert len(operation["result"]["setup"]["deleted_domain_ids"]) == 2


def backfilled(plane, lane, operation):
    assert _rows(plane, "testing")[1] == lane.compose_id
    assert operation["result"]["report"]["counts"] == {"created": 1}


# settings

def brought_live(plane, lane, operation):
    env = env_of(plane.doubles.dokploy.compose(lane.compose_id)["env"])
    assert env["ODOO_WORKERS"] == "4" and set(env) == {*lane.live_env, "ODOO_WORKERS"}
    assert operation["result"]["apply"]["verification"]["status"] == "pass"


def rekeyed(plane, lane, operation):
    """Every secret still opens: the provider's credentials are among them."""
    assert_ok(plane.get(f"/v1/dokploy-targets/inspect?context={lane.context}&instance={lane.instance}"))
