"""Compose and application services: rows, environment, deploy."""
from .. import render
from ..errors import ApiError, DeployError
from ..jobs import TITLES
from . import procedure

# Members of an update that the server takes no notice of.
_FIXED = ("composeId", "applicationId", "appName", "serverId")


def new_compose(state, name, environment_id, **members):
    row = {
        "composeId": state.new_id(), "name": name, "appName": state.app_name(members.get("appName") or "compose"),
        "description": None, "env": "", "composeFile": "", "refreshToken": state.new_id(),
        "sourceType": "github", "composeType": "docker-compose", "autoDeploy": True,
        "composePath": "./docker-compose.yml", "suffix": "", "randomize": False,
        "isolatedDeployment": False, "isolatedDeploymentsVolume": False, "triggerType": "push",
        "composeStatus": "idle", "environmentId": environment_id, "serverId": None,
        "createdAt": state.created_at(), "watchPaths": None, "customGitUrl": None,
        "customGitBranch": None, "customGitSSHKeyId": None, "enableSubmodules": False,
        "repository": None, "owner": None, "branch": None, "command": "",
    }
    row.update({key: value for key, value in members.items() if key != "appName"})
    state.composes[row["composeId"]] = row
    return row


def new_application(state, name, environment_id, **members):
    row = {
        "applicationId": state.new_id(), "name": name, "appName": state.app_name(members.get("appName") or "app"),
        "description": None, "env": "", "buildArgs": "", "buildSecrets": "", "createEnvFile": True,
        "sourceType": "github", "buildType": "nixpacks", "dockerImage": None, "username": None,
        "password": None, "registryUrl": None, "registryId": None, "applicationStatus": "idle",
        "replicas": 1, "enabled": None, "autoDeploy": True, "endpointSpecSwarm": None,
        "triggerType": "push", "environmentId": environment_id, "serverId": members.get("serverId"),
        "createdAt": state.created_at(),
    }
    state.applications[row["applicationId"]] = row
    return row


def _view(dokploy, row, owner):
    state = dokploy.state
    service_id = row[owner]
    environment = state.environments[row["environmentId"]]
    project = state.projects[environment["projectId"]]
    return {
        **row,
        "environment": {**environment, "project": {"projectId": project["projectId"], "name": project["name"]}},
        "deployments": state.shuffled(state.where("deployments", **{owner: service_id})),
        "domains": state.shuffled(state.where("domains", **{owner: service_id})),
        "mounts": state.where("mounts", **{owner: service_id}),
        "server": state.servers.get(row["serverId"]),
    }


def _check_environment(dokploy, sent):
    if sent["environmentId"] not in dokploy.state.environments:
        raise ApiError("NOT_FOUND", "Environment not found")
    if sent.get("serverId") and sent["serverId"] not in dokploy.state.servers:
        raise ApiError("NOT_FOUND", "Server not found")


def _change(row, sent, lies):
    """Full replace of the members sent, minus what the server ignores or what a lie holds back."""
    kept = {name: value for name, value in sent.items() if name not in _FIXED}
    if "env_not_persisted" in lies:
        kept.pop("env", None)
    if "member_stripped" in lies:
        kept.pop(lies["member_stripped"].get("member", "composeFile"), None)
    row.update(kept)


# compose

@procedure("compose.one")
def compose_one(dokploy, sent, lies):
    row = dokploy.state.get("composes", sent["composeId"], "Compose")
    view = _view(dokploy, row, "composeId")
    return {**view, "backups": [], "hasGitProviderAccess": True, "unauthorizedProvider": None}


@procedure("compose.create")
def compose_create(dokploy, sent, lies):
    _check_environment(dokploy, sent)
    members = {name: value for name, value in sent.items() if name not in ("name", "environmentId")}
    row = new_compose(dokploy.state, sent["name"], sent["environmentId"], **members)
    dokploy.state.created_with_key.add(row["composeId"])
    return row


@procedure("compose.update")
def compose_update(dokploy, sent, lies):
    row = dokploy.state.get("composes", sent["composeId"], "Compose")
    _change(row, sent, lies)
    return row


@procedure("compose.saveEnvironment")
def compose_save_environment(dokploy, sent, lies):
    _change(dokploy.state.get("composes", sent["composeId"], "Compose"), sent, lies)
    return True


@procedure("compose.delete")
def compose_delete(dokploy, sent, lies):
    state = dokploy.state
    row = state.get("composes", sent["composeId"], "Compose")
    del state.composes[row["composeId"]]
    state.running.pop(row["composeId"], None)
    _forget(state, composeId=row["composeId"])
    return row


@procedure("compose.deploy")
def compose_deploy(dokploy, sent, lies):
    return _enqueue_compose(dokploy, sent, lies, "deploy")


@procedure("compose.redeploy")
def compose_redeploy(dokploy, sent, lies):
    return _enqueue_compose(dokploy, sent, lies, "redeploy")


def _enqueue_compose(dokploy, sent, lies, how):
    dokploy.state.get("composes", sent["composeId"], "Compose")
    _enqueue(dokploy, "compose", sent["composeId"], sent, lies, how)
    message = {"deploy": "Deployment queued", "redeploy": "Redeployment queued"}[how]
    return {"success": True, "message": message, "composeId": sent["composeId"]}


def _enqueue(dokploy, kind, service_id, sent, lies, how):
    title = sent.get("title") or TITLES[how]
    dokploy.queue.put(kind, service_id, title, sent.get("description", ""), lies)


@procedure("compose.getConvertedCompose")
def compose_converted(dokploy, sent, lies):
    state = dokploy.state
    row = state.get("composes", sent["composeId"], "Compose")
    text = row["composeFile"]
    if dokploy.generation == "0.29":
        if row["composeId"] not in state.running:
            raise ApiError("INTERNAL_SERVER_ERROR", "docker-compose.yml: no such file or directory")
        text = state.running[row["composeId"]].compose_text
    domains = state.where("domains", composeId=row["composeId"])
    try:
        return render.to_text(render.convert(text, domains, row["appName"]))
    except DeployError as error:
        raise ApiError("INTERNAL_SERVER_ERROR", str(error)) from None


@procedure("compose.search")
def compose_search(dokploy, sent, lies):
    return _search(dokploy.state, dokploy.state.composes, "composeId", sent)


# applications

@procedure("application.one")
def application_one(dokploy, sent, lies):
    row = dokploy.state.get("applications", sent["applicationId"], "Application")
    return _view(dokploy, row, "applicationId")


@procedure("application.create")
def application_create(dokploy, sent, lies):
    _check_environment(dokploy, sent)
    members = {name: value for name, value in sent.items() if name not in ("name", "environmentId")}
    row = new_application(dokploy.state, sent["name"], sent["environmentId"], **members)
    dokploy.state.created_with_key.add(row["applicationId"])
    return row


def _application_change(dokploy, sent, lies, **extra):
    _change(dokploy.state.get("applications", sent["applicationId"], "Application"), {**sent, **extra}, lies)
    return True


@procedure("application.update")
def application_update(dokploy, sent, lies):
    return _application_change(dokploy, sent, lies)


@procedure("application.saveEnvironment")
def application_save_environment(dokploy, sent, lies):
    return _application_change(dokploy, sent, lies)


@procedure("application.saveBuildType")
def application_save_build_type(dokploy, sent, lies):
    return _application_change(dokploy, sent, lies)


@procedure("application.saveDockerProvider")
def application_save_docker_provider(dokploy, sent, lies):
    return _application_change(dokploy, sent, lies, sourceType="docker")


@procedure("application.delete")
def application_delete(dokploy, sent, lies):
    state = dokploy.state
    row = state.get("applications", sent["applicationId"], "Application")
    del state.applications[row["applicationId"]]
    state.running.pop(row["applicationId"], None)
    _forget(state, applicationId=row["applicationId"])
    return row


@procedure("application.deploy")
def application_deploy(dokploy, sent, lies):
    dokploy.state.get("applications", sent["applicationId"], "Application")
    _enqueue(dokploy, "application", sent["applicationId"], sent, lies, "deploy")
    return True


@procedure("application.redeploy")
def application_redeploy(dokploy, sent, lies):
    dokploy.state.get("applications", sent["applicationId"], "Application")
    _enqueue(dokploy, "application", sent["applicationId"], sent, lies, "redeploy")
    return True


@procedure("application.search")
def application_search(dokploy, sent, lies):
    return _search(dokploy.state, dokploy.state.applications, "applicationId", sent)


# deployments

@procedure("deployment.all")
def deployment_all(dokploy, sent, lies):
    return dokploy.state.deployments_of("applicationId", sent["applicationId"])


@procedure("deployment.allByCompose")
def deployment_all_by_compose(dokploy, sent, lies):
    return dokploy.state.deployments_of("composeId", sent["composeId"])


@procedure("deployment.allByType")
def deployment_all_by_type(dokploy, sent, lies):
    return dokploy.state.deployments_of(f"{sent['type']}Id", sent["id"])


@procedure("deployment.readLogs")
def deployment_read_logs(dokploy, sent, lies):
    state = dokploy.state
    row = state.get("deployments", sent["deploymentId"], "Deployment")
    lines = state.logs.get(row["deploymentId"], "").splitlines()
    return "\n".join(lines[-sent.get("tail", 100):])


def _forget(state, **owner):
    for table, key in (("deployments", "deploymentId"), ("domains", "domainId"), ("mounts", "mountId")):
        for row in state.where(table, **owner):
            del getattr(state, table)[row[key]]


def _search(state, rows, key, sent):
    """Owners too see only services which their own user created: nothing made by somebody else."""
    texts = {name: sent[name].lower() for name in ("name", "appName", "description", "dockerImage") if name in sent}
    anywhere = sent.get("q", "").lower()

    def holds(row, text, *names):
        return any(text in str(row.get(name) or "").lower() for name in names)

    def fits(row):
        project = state.environments[row["environmentId"]]["projectId"]
        return (
            row[key] in state.created_with_key
            and sent.get("environmentId", row["environmentId"]) == row["environmentId"]
            and sent.get("projectId", project) == project
            and holds(row, anywhere, "name", "appName", "description")
            and all(holds(row, text, name) for name, text in texts.items())
        )

    found = state.newest_first([row for row in rows.values() if fits(row)])
    offset, limit = int(sent.get("offset", 0)), int(sent.get("limit", 20))
    return {"items": found[offset:offset + limit], "total": len(found)}
