"""Schedules and the simulated scripts."""
import base64
import json

import pytest

from rehearsal.waiting import wait_until

BOTH = pytest.mark.parametrize("doubles", ["0.29", "0.30"], indirect=True)
SCRIPT = """set -euo pipefail
compose_project='{app}'
required_keys=(ODOO_DB_NAME {extra})
docker stop "$web"
docker exec "$runner" python3 -u /volumes/scripts/run_odoo_data_workflows.py --post-deploy-maintenance
docker start "$web"
"""


def schedule(doubles, client, lane, extra="", **changed):
    app = doubles.dokploy.compose(lane.compose_id)["appName"]
    members = {
        "name": "platform-data-workflow", "appName": "platform-shop-testing-data-workflow",
        "cronExpression": "0 0 31 2 *", "command": "control-plane post-deploy update", "shellType": "bash",
        "scheduleType": "dokploy-server", "script": SCRIPT.format(app=app, extra=extra), "enabled": False,
        "timezone": "UTC", "serverId": None, "userId": doubles.dokploy.state.user_id, **changed,
    }
    return client.post("schedule.create", **members)


def log_of(client, row):
    runs = client.get("deployment.allByType", id=row["scheduleId"], type="schedule")
    return client.get("deployment.readLogs", deploymentId=runs[0]["deploymentId"], tail=1000)


@BOTH
def test_host_schedules_are_listed_with_their_runs(doubles, client, lane):
    row = schedule(doubles, client, lane)
    client.post("schedule.runManually", scheduleId=row["scheduleId"])
    listed = client.get("schedule.list", id=doubles.dokploy.state.user_id, scheduleType="dokploy-server")
    assert [item["name"] for item in listed] == ["platform-data-workflow"]
    assert [run["status"] for run in listed[0]["deployments"]] == ["done"]
    assert doubles.dokploy.defects == []


@BOTH
def test_the_answer_of_a_run_depends_on_the_generation(doubles, client, lane):
    good = schedule(doubles, client, lane)
    bad = schedule(doubles, client, lane, extra="NOT_THERE", name="bad")
    first = client.post("schedule.runManually", scheduleId=good["scheduleId"])
    second = client.raw("POST", "schedule.runManually", {"scheduleId": bad["scheduleId"]})
    if doubles.dokploy.generation == "0.29":
        assert (first, second.status_code) == (True, 500)
    else:
        assert (first["status"], second.status_code, second.json()["status"]) == ("done", 200, "error")
    assert "missing environment key NOT_THERE" in log_of(client, bad)


@BOTH
def test_029_records_a_failing_server_script_as_done(doubles, client, lane):
    server = doubles.dokploy.add_server()
    row = schedule(doubles, client, lane, extra="NOT_THERE", scheduleType="server", serverId=server)
    client.raw("POST", "schedule.runManually", {"scheduleId": row["scheduleId"]})
    run = client.get("deployment.allByType", id=row["scheduleId"], type="schedule")[0]
    assert run["status"] == {"0.29": "done", "0.30": "error"}[doubles.dokploy.generation]


def test_markers_follow_what_is_deployed(doubles, client, lane):
    payload = {"schema_version": 1, "website_bootstrap": {"canonical_url": "https://x", "logo_path": "/l.png"}}
    encoded = base64.b64encode(json.dumps(payload).encode()).decode()
    env = doubles.dokploy.compose(lane.compose_id)["env"]
    client.post("compose.update", composeId=lane.compose_id, env=f"{env}\nODOO_INSTANCE_OVERRIDES_PAYLOAD_B64={encoded}")
    client.deployed(lane.compose_id)
    row = schedule(doubles, client, lane)
    client.post("schedule.runManually", scheduleId=row["scheduleId"])
    lines = [line.split(" ", 1)[1] for line in log_of(client, row).splitlines()]
    assert "odoo_instance_overrides_payload_present=true" in lines
    assert "website_bootstrap_logo_present=true" in lines
    assert "website_bootstrap_homepage_url_set=false" in lines
    assert "website_bootstrap_website_id=1" in lines


def test_a_script_that_stops_web_without_starting_it_is_noticed(doubles, client, lane):
    app = doubles.dokploy.compose(lane.compose_id)["appName"]
    row = schedule(doubles, client, lane, script=f"docker stop {app}-web-1\n")
    client.post("schedule.runManually", scheduleId=row["scheduleId"])
    assert doubles.dokploy.running(lane.compose_id).web_running is False


def test_a_script_that_bash_cannot_parse_is_a_defect(doubles, client, lane):
    schedule(doubles, client, lane, script="if true; then\n")
    assert "script is not bash" in doubles.dokploy.defects[0]


@pytest.mark.parametrize("lie, status, web_running", [
    ("script_fails", "error", True), ("script_recorded_done", "done", True),
    ("script_leaves_web_stopped", "error", False), ("run_cancelled", "cancelled", True),
])
def test_failing_scripts(doubles, client, lane, lie, status, web_running):
    doubles.dokploy.on("POST", "schedule.runManually").lie(lie)
    row = schedule(doubles, client, lane)
    assert client.post("schedule.runManually", scheduleId=row["scheduleId"])["status"] == status
    assert doubles.dokploy.running(lane.compose_id).web_running is web_running


def test_a_run_goes_on_when_its_caller_is_cut_off(doubles, client, lane):
    doubles.dokploy.on("POST", "schedule.runManually").drop_after()
    row = schedule(doubles, client, lane)
    with pytest.raises(Exception):
        client.post("schedule.runManually", scheduleId=row["scheduleId"])
    wait_until(lambda: [run.mode for run in doubles.dokploy.schedule_runs] == ["maintenance"], "the run")
