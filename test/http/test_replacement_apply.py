"""A replacement that works: answer, provider calls, what runs afterwards, records. odoo 4.4 to 4.6, 5, 6."""
import json
import re

import pytest
import yaml

from checks import assert_accepted
from rehearsal.lane import RUNTIME_PORT
from replacement import APPLY, ID, deployment_of, env_of, inventory_of, read, replace, submit

BOTH = [pytest.param("0.29", marks=pytest.mark.generation("0.29")), pytest.param("0.30", marks=pytest.mark.generation("0.30"))]


HOST = "shop-testing.example.com"
OF_A_COMPOSE_TEXT = [
    "compose_sha256", "domain_hosts", "traefik_router_label_count", "traefik_service_label_count", "traefik_enable_label_present",
    "dokploy_network_label_present", f"domain_{HOST}_http_rule_present", f"domain_{HOST}_https_rule_present"]
OF_A_DOMAIN = [
    "action", "record_present", "domain_id_present", "service_name", "port", "port_matches_runtime", "https", "certificate_type",
    "domain_type", "path", "internal_path", "strip_path", "unique_config_key_present"]
RUNTIME_SOURCE = [
    *(f"runtime_override_{name}" for name in (
        "payload_present", "payload_sha256", "config_parameter_count", "addon_setting_count", "overrides_required",
        "website_bootstrap_required")),
    *(f"runtime_key_safety_{name}" for name in ("required", "status", "policy_record_id", "policy_sha256")),
    *(f"{text}_{name}" for name in OF_A_COMPOSE_TEXT for text in (
        "rendered", "live", "converted", "pre_deploy", "post_deploy", "post_deploy_converted")),
    "live_source_type", "live_compose_path",
    *(f"raw_compose_{name}" for name in ("source_type", "compose_sha256", "compose_bytes", "compose_path", "required_services", "changed")),
    "domain_record_count", *(f"domain_route_{HOST}_{name}" for name in OF_A_DOMAIN),
    "compose_app_name", "compose_status", "compose_type", "source_type", "server_id_present", "isolated_deployment", "randomize",
    "deployment_record_count", *(f"latest_deployment_{name}" for name in ("key", "status", "title", "created_at", "finished_at")),
    "container_count", "container_web_found", "container_web_state", "container_web_image",
    "required_odoo_modules", "artifact_odoo_install_modules", "odoo_install_modules",
]


@pytest.fixture
def done(plane, lane):
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation
    return operation


def test_the_answer_comes_at_once_and_is_durable(plane, lane):
    """TREP-12, TREP-14: the request thread never touches the provider"""
    plane.doubles.dokploy.on("*", "*").hold_before()
    body = assert_accepted(plane.post(APPLY, lane.replacement(), key="k"))
    result = body["result"]
    assert body["records"][ID] == result["operation_id"]
    assert result["operation_id"].startswith("odoo-target-replacement-shop-testing-")
    assert re.search(r"-[0-9a-f]{16}$", result["operation_id"])
    assert (result["status"], result["phase"]) in [("pending", "created"), ("running", "running"), ("running", "plan")]
    assert (result["product"], result["context"], result["instance"]) == (lane.product, "shop", "testing")
    assert result["poll_url"].endswith(result["operation_id"])
    plane.doubles.dokploy.faults.clear()
    assert plane.finish(result["operation_id"])["status"] == "pass"


@pytest.mark.parametrize("generation", BOTH)
def test_it_passes_on_both_generations_with_one_deploy(plane, lane, generation):
    operation = replace(plane, lane)
    assert (operation["status"], operation["phase"], operation["error_message"] or "") == ("pass", "completed", ""), operation
    assert plane.doubles.dokploy.generation == generation
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1
    assert plane.doubles.dokploy.running(lane.compose_id).services["web"].image == lane.new.image


def test_the_operation_can_be_read_on_both_routes(plane, lane, done):
    """TREP-15, TREP-16; odoo 6.3"""
    body = read(plane, f"/v1/drivers/odoo/target-replacement/operations/{done['operation_id']}")
    operation = body["operation"]
    assert (operation["status"], operation["phase"], operation["attempt"]) == ("pass", "completed", done["attempt"])
    assert operation["poll_url"] == done["poll_url"]
    assert body["result"] == operation["result"] == done["result"]
    for name in ("created_at", "updated_at", "started_at", "finished_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", operation[name]), name
    assert operation["request"]["artifact_id"] == lane.new.artifact_id


def test_the_result_is_complete(plane, lane, done):
    """odoo 4.6"""
    result = done["result"]
    expected = {
        "product": lane.product, "context": "shop", "instance": "testing", "strategy": "recreate-in-place",
        "deployment_record_id": done["deployment_record_id"],
        "release_tuple_id": f"shop-testing-{lane.new.artifact_id}", "deploy_status": "pass",
        "post_deploy_status": "pass", "post_deploy_override_record_found": False, "health_status": "pass",
        "canonical_status": "pass", "logo_status": "pass", "health_url": lane.health_url,
        "canonical_url": lane.base_url, "runtime_identity_injected": True, "target_id": lane.compose_id,
        "target_name": lane.target_name, "artifact_id": lane.new.artifact_id, "image_reference": lane.new.image,
        "error_message": "",
    }
    assert {name: result[name] for name in expected} == expected
    assert result["logo_urls"]
    probes = {probe["probe"]: probe["status"] for probe in result["verification_evidence"]["probes"]}
    assert probes == {"health": "pass", "canonical": "pass", "logo": "pass"}
    source = result["runtime_source"]
    assert all(isinstance(value, str) for value in source.values())
    assert source["raw_compose_required_services"] == "web,database,script-runner"
    assert source["runtime_key_safety_status"] == "pass"
    assert set(RUNTIME_SOURCE) <= set(source), sorted(set(RUNTIME_SOURCE) - set(source))


def test_the_deployment_record(plane, lane, done):
    """TREP-36"""
    record = deployment_of(plane, done)
    assert re.fullmatch(r"deployment-\d{8}T\d{6}Z-shop-testing.*", record["record_id"])
    assert record["artifact_identity"]["artifact_id"] == lane.new.artifact_id
    assert record["source_git_ref"] == lane.new.source_commit
    assert record["resolved_target"] == {
        "target_type": "compose", "target_id": lane.compose_id, "target_name": lane.target_name}
    deploy = record["deploy"]
    assert (deploy["status"], deploy["deployment_id"], deploy["deploy_mode"]) == (
        "pass", "control-plane-dokploy", "dokploy-compose-api")
    assert deploy["started_at"] and deploy["finished_at"]
    assert record["post_deploy_update"]["attempted"] is True
    assert record["post_deploy_update"]["status"] == "pass"
    assert record["bootstrap"]["attempted"] is False
    health = record["destination_health"]
    assert (health["verified"], health["status"], health["runtime_identity_status"]) == (True, "pass", "match")
    assert health["urls"] == [lane.health_url]
    assert record["runtime_source"] == done["result"]["runtime_source"]


def test_the_inventory_and_the_release_tuple(plane, lane, done):
    """TREP-36, DERIV"""
    inventory = inventory_of(plane, lane)
    assert inventory["deployment_record_id"] == done["deployment_record_id"]
    assert inventory["artifact_identity"]["artifact_id"] == lane.new.artifact_id
    assert inventory["source_git_ref"] == lane.new.source_commit
    assert inventory["runtime_identity"]["deployment_record_id"] == done["deployment_record_id"]
    tuples = plane.query("SELECT payload FROM launchplane_release_tuples WHERE context = 'shop' AND channel = 'testing'")
    assert len(tuples) == 1
    made = tuples[0]["payload"]
    assert (made["tuple_id"], made["provenance"]) == (f"shop-testing-{lane.new.artifact_id}", "ship")
    assert made["repo_shas"] == {"tenant-shop": lane.new.source_commit, "shared-addons": "c" * 40}
    assert made["deployment_record_id"] == done["deployment_record_id"]


def test_the_environment_of_the_target(plane, lane, done):
    """TREP-25, TREP-32, RID-02 to RID-05; odoo 4.5"""
    env = env_of(plane.doubles.dokploy.compose(lane.compose_id)["env"])
    assert env["LEGACY_SETTING"] == "kept as it is"
    assert {name: env[name] for name in lane.volumes} == lane.volumes
    assert {name: env[name] for name in lane.secrets} == lane.secrets
    assert (env["PLATFORM_CONTEXT"], env["PLATFORM_INSTANCE"]) == ("shop", "testing")
    assert env["DOCKER_IMAGE_REFERENCE"] == lane.new.image
    assert env["LAUNCHPLANE_DEPLOYMENT_RECORD_ID"] == done["deployment_record_id"]
    assert env["LAUNCHPLANE_ARTIFACT_ID"] == lane.new.artifact_id
    assert env["LAUNCHPLANE_SOURCE_GIT_REF"] == lane.new.source_commit
    assert env["ODOO_INSTALL_MODULES"] == "launchplane_settings,disable_odoo_online"
    assert "ODOO_WEB_COMMAND" not in env                      # the bare server binary gives way to the wrapper
    assert "ODOO_INSTANCE_OVERRIDES_PAYLOAD_B64" not in env
    identity = json.loads(env["LAUNCHPLANE_RUNTIME_IDENTITY_JSON"])
    assert env["LAUNCHPLANE_RUNTIME_IDENTITY_JSON"] == json.dumps(identity, sort_keys=True, separators=(",", ":"))
    assert (identity["environment_kind"], identity["artifact_id"]) == ("stable", lane.new.artifact_id)
    assert identity["deployment_record_id"] == done["deployment_record_id"]


def test_the_rendered_compose_file(plane, lane, done):
    """TREP-27, TREP-29 to TREP-31; odoo 5"""
    row = plane.doubles.dokploy.compose(lane.compose_id)
    assert (row["sourceType"], row["composePath"], row["autoDeploy"]) == ("raw", "docker-compose.yml", False)
    document = yaml.safe_load(row["composeFile"])
    assert set(document["services"]) >= {"web", "database", "script-runner"}
    web, runner = document["services"]["web"], document["services"]["script-runner"]
    assert web["image"] == runner["image"] == lane.new.image
    assert document["services"]["database"]["image"] == "postgres:17"
    assert "run_odoo_startup.py" in json.dumps(web["command"])
    assert isinstance(web["labels"], list)
    assert "traefik.enable=true" in web["labels"]
    assert "traefik.docker.network=dokploy-network" in web["labels"]
    route = next(re.match(r"traefik\.http\.routers\.(launchplane-odoo-web-.+)-web\.rule=", label).group(1)
                 for label in web["labels"] if re.match(r"traefik\.http\.routers\.launchplane-odoo-web-.+-web\.rule=", label))
    assert re.fullmatch(r"launchplane-odoo-web-[a-z0-9-]{1,48}-[0-9a-f]{8}", route)
    for entry in ("web", "websecure"):
        assert f"traefik.http.routers.{route}-{entry}.rule=Host(`{lane.host}`)" in web["labels"]
        assert f"traefik.http.routers.{route}-{entry}.entrypoints={entry}" in web["labels"]
        assert f"traefik.http.services.{route}-{entry}.loadbalancer.server.port={RUNTIME_PORT}" in web["labels"]
    assert f"traefik.http.routers.{route}-websecure.tls=true" in web["labels"]
    assert document["networks"]["dokploy-network"]["external"] is True
    assert lane.secrets["ODOO_DB_PASSWORD"] not in row["composeFile"]


def test_what_runs_has_the_settings(plane, lane, done):
    web = plane.doubles.dokploy.running(lane.compose_id).services["web"].env
    assert (web["ODOO_DB_HOST"], web["ODOO_DB_PORT"]) == ("database", "5432")
    assert web["ODOO_DB_NAME"] == lane.environment["ODOO_DB_NAME"]
    assert web["ODOO_DB_PASSWORD"] == lane.secrets["ODOO_DB_PASSWORD"]
    assert "launchplane_runtime_health" in web["ODOO_SERVER_WIDE_MODULES"]
    database = plane.doubles.dokploy.running(lane.compose_id).services["database"].env
    assert database["POSTGRES_PASSWORD"] == lane.secrets["ODOO_DB_PASSWORD"]


def test_the_domain_row_is_reconciled(plane, lane, done):
    """TREP-28, TREP-26; dokploy 5.2"""
    rows = plane.doubles.dokploy.domains_of(lane.compose_id)
    assert [row["host"] for row in rows] == [lane.host]
    wanted = {"serviceName": "web", "port": RUNTIME_PORT, "path": "/", "internalPath": "/", "https": True,
              "certificateType": "none", "domainType": "compose", "stripPath": False}
    assert {name: rows[0][name] for name in wanted} == wanted


def test_a_missing_domain_row_is_created(plane, unprepared_lane):
    lane = unprepared_lane
    dokploy = plane.doubles.dokploy
    dokploy.state.domains.clear()
    lane.prepare(plane)
    assert replace(plane, lane)["status"] == "pass"
    assert [row["host"] for row in dokploy.domains_of(lane.compose_id)] == [lane.host]
    assert dokploy.calls("POST", "domain.create") == 1


def test_post_deploy_ran_once_as_maintenance_and_web_is_up(plane, lane, done):
    """TREP-34"""
    runs = plane.doubles.dokploy.schedule_runs
    assert [(run.schedule, run.mode, run.exit_code) for run in runs] == [("platform-data-workflow", "maintenance", 0)]
    assert runs[0].app_name == "platform-shop-testing-data-workflow"
    assert plane.doubles.dokploy.running(lane.compose_id).web_running
    created = plane.doubles.dokploy.sent("POST", "schedule.create")[0]
    assert (created["enabled"], created["cronExpression"], created["timezone"]) == (False, "0 0 31 2 *", "UTC")
    assert (created["scheduleType"], created["shellType"]) == ("dokploy-server", "bash")


def test_the_markers_of_the_run_are_kept_as_evidence(plane, lane, done):
    """odoo 8.4"""
    evidence = deployment_of(plane, done)["post_deploy_update"]["evidence"]
    assert evidence["post_deploy_readback_log_available"] == "true"
    assert evidence["post_deploy_readback_odoo_instance_overrides_payload_present"] == "false"
    assert evidence["post_deploy_readback_website_bootstrap_website_id"] == "1"
    assert "website_bootstrap_web_base_url_matches" not in json.dumps(evidence)
    assert evidence["schedule_id"] and evidence["schedule_deployment_key"]


def test_the_deploy_carries_our_own_marker(plane, lane, done):
    """dokploy 6.3"""
    sent = plane.doubles.dokploy.sent("POST", "compose.deploy")
    assert len(sent) == 1
    assert done["deployment_record_id"] in sent[0]["title"] or done["operation_id"] in sent[0]["title"]


def test_no_cache_is_a_redeploy(plane, lane):
    """odoo 4.1"""
    assert replace(plane, lane, no_cache=True)["status"] == "pass"
    assert plane.doubles.dokploy.calls("POST", "compose.redeploy") == 1
    assert plane.doubles.dokploy.calls("POST", "compose.deploy") == 0


def test_a_second_replacement_works_like_the_first(plane, lane, done):
    again = replace(plane, lane, key="replace-2", artifact_id="", source_git_ref="")
    assert again["status"] == "pass", again
    assert again["deployment_record_id"] != done["deployment_record_id"]
    assert again["result"]["artifact_id"] == lane.new.artifact_id
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 2
    schedules = plane.doubles.dokploy.state.schedules
    assert len(schedules) == 1                                 # found again, not created again


def test_verification_can_be_switched_off_piece_by_piece(plane, lane):
    """odoo 10.1"""
    operation = replace(plane, lane, verify_canonical=False, verify_logo=False)
    result = operation["result"]
    assert (result["health_status"], result["canonical_status"], result["logo_status"]) == ("pass", "skipped", "skipped")


def test_the_probes_introduce_themselves(plane, lane, done):
    """odoo 10.1"""
    agents = {agent for _, agent, _ in plane.doubles.odoo.requests}
    assert "Launchplane-Odoo-Verify/1" in agents


def test_a_slow_start_is_waited_for(plane, lane):
    """odoo 10.2: health is retried until the deadline"""
    plane.doubles.odoo.face(lane.host).start_seconds = 90
    assert replace(plane, lane)["status"] == "pass"


@pytest.mark.parametrize("name", [
    "runtime_identity", "launchplane_runtime_identity", "launchplaneRuntimeIdentity", "LAUNCHPLANE_RUNTIME_IDENTITY_JSON"])
@pytest.mark.parametrize("as_text", [True, False])
def test_identity_is_found_under_each_name_as_object_and_as_text(plane, lane, name, as_text):
    """RID-06 to RID-09"""
    face = plane.doubles.odoo.face(lane.host)
    face.identity_name, face.identity_as_text = name, as_text
    operation = replace(plane, lane)
    assert operation["status"] == "pass"
    assert deployment_of(plane, operation)["destination_health"]["runtime_identity_status"] == "match"


def test_a_queue_that_takes_its_time_is_waited_for(plane, lane):
    plane.doubles.dokploy.queue_seconds, plane.doubles.dokploy.deploy_seconds = 120, 240
    assert replace(plane, lane)["status"] == "pass"
    assert plane.doubles.dokploy.deploys(lane.compose_id) == 1


def test_a_lane_on_a_remote_server_uses_a_server_schedule(plane, doubles, unprepared_lane):
    """dokploy 7.3"""
    lane = unprepared_lane
    server = doubles.dokploy.add_server()
    doubles.dokploy.state.composes[lane.compose_id]["serverId"] = server
    lane.prepare(plane)
    assert replace(plane, lane)["status"] == "pass"
    created = doubles.dokploy.sent("POST", "schedule.create")[0]
    assert (created["scheduleType"], created["serverId"]) == ("server", server)


def test_a_source_that_is_right_already_is_not_written_again(plane, lane, done):
    """dokploy 3.6"""
    before = len([sent for sent in plane.doubles.dokploy.sent("POST", "compose.update") if "composeFile" in sent])
    assert replace(plane, lane, key="replace-2")["status"] == "pass"
    after = len([sent for sent in plane.doubles.dokploy.sent("POST", "compose.update") if "composeFile" in sent])
    assert before == after == 1


def test_events_tell_the_story_in_order(plane, lane, done):
    seqs = [event["seq"] for event in done["events"]]
    assert seqs == sorted(set(seqs))
    phases = [event["phase"] for event in done["events"]]
    assert phases[-1] == "completed" or done["events"][-1]["event"] in ("pass", "finished", "completed")
    assert submit(plane, lane) == done["operation_id"]         # the same key finds it again
