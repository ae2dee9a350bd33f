"""Schedules, and the one blocking call of this API: runManually."""
import subprocess

from .. import script
from ..errors import ApiError
from . import procedure


@procedure("schedule.create")
def schedule_create(dokploy, sent, lies):
    state = dokploy.state
    row = {
        "scheduleId": state.new_id(), "description": None, "appName": state.app_name("schedule"),
        "serviceName": None, "shellType": "bash", "scheduleType": "application", "script": None,
        "applicationId": None, "composeId": None, "serverId": None, "enabled": True,
        "timezone": None, "createdAt": state.created_at(),
    }
    row["userId" if dokploy.generation == "0.29" else "organizationId"] = (
        state.user_id if dokploy.generation == "0.29" else state.organization_id
    )
    row.update(sent)
    _check_owner(dokploy, row)
    state.schedules[row["scheduleId"]] = row
    _check_script(dokploy, row)
    return row


@procedure("schedule.update")
def schedule_update(dokploy, sent, lies):
    row = dokploy.state.get("schedules", sent["scheduleId"], "Schedule")
    row.update(sent)
    _check_script(dokploy, row)
    return row


@procedure("schedule.delete")
def schedule_delete(dokploy, sent, lies):
    row = dokploy.state.get("schedules", sent["scheduleId"], "Schedule")
    del dokploy.state.schedules[row["scheduleId"]]
    return True


@procedure("schedule.list")
def schedule_list(dokploy, sent, lies):
    kind = sent["scheduleType"]
    owner = {"application": "applicationId", "compose": "composeId", "server": "serverId"}.get(kind)
    rows = dokploy.state.where("schedules", scheduleType=kind)
    if owner:
        rows = [row for row in rows if row[owner] == sent["id"]]
    elif dokploy.generation == "0.29":
        rows = [row for row in rows if row.get("userId") == sent["id"]]
    return [_view(dokploy.state, row) for row in rows]


@procedure("schedule.one")
def schedule_one(dokploy, sent, lies):
    return _view(dokploy.state, dokploy.state.get("schedules", sent["scheduleId"], "Schedule"))


@procedure("schedule.runManually")
async def schedule_run_manually(dokploy, sent, lies):
    """Answers when the script has ended. The caller shields it: a lost caller stops nothing."""
    state = dokploy.state
    with state.lock:
        schedule = state.get("schedules", sent["scheduleId"], "Schedule")
        row = state.start_deployment("scheduleId", schedule["scheduleId"], "Schedule", "")
    await dokploy.clock.sleep(dokploy.schedule_seconds)
    with state.lock:
        status = _finish(dokploy, schedule, row, lies)
    if dokploy.schedule_answers_row:
        return {**row, "status": status}
    if status != "done":
        raise ApiError("INTERNAL_SERVER_ERROR", "Error running the schedule")
    return True


def _finish(dokploy, schedule, row, lies):
    state = dokploy.state
    done = script.run(dokploy, schedule)
    failing = next((lies[name] for name in ("script_fails", "script_recorded_done") if name in lies), None)
    if failing is not None:
        done.exit_code, done.lines = failing.get("exit_code", 1), failing.get("lines", ["workflow failed"])
    if "script_leaves_web_stopped" in lies:
        done.exit_code = 1
        state.running[done.compose_id].web_running = False
    dokploy.schedule_runs.append(done)
    status = "done" if done.exit_code == 0 else "error"
    # On 0.29 a server's script is piped through tee: its exit code gets lost.
    if "script_recorded_done" in lies or (dokploy.generation == "0.29" and schedule["scheduleType"] == "server"):
        status = "done"
    if "run_cancelled" in lies:
        status = "cancelled"
    if row["deploymentId"] in state.deployments and row["status"] == "running":
        state.finish_deployment(row, status, log=script.log_text(done, dokploy.clock.iso()))
    return status


def _view(state, row):
    return {**row, "deployments": state.deployments_of("scheduleId", row["scheduleId"])}


def _check_owner(dokploy, row):
    if row["scheduleType"] == "server" and row["serverId"] not in dokploy.state.servers:
        raise ApiError("NOT_FOUND", "Server not found")


def _check_script(dokploy, row):
    """The real host runs it with bash: a script bash cannot even parse is the client's defect."""
    if row["shellType"] != "bash" or not row["script"]:
        return
    checked = subprocess.run(["bash", "-n"], input=row["script"], text=True, capture_output=True, check=False)
    if checked.returncode != 0:
        dokploy.defects.append(f"schedule {row['name']}: script is not bash: {checked.stderr.strip()}")
