"""Projects, environments, servers, the session behind the key."""
from ..errors import ApiError
from . import procedure


def new_project(state, name, description=None, env=""):
    row = {
        "projectId": state.new_id(), "name": name, "description": description, "env": env,
        "createdAt": state.created_at(), "organizationId": state.organization_id,
    }
    state.projects[row["projectId"]] = row
    return row


def new_environment(state, project_id, name, description=None, is_default=False):
    row = {
        "environmentId": state.new_id(), "name": name, "description": description, "env": "",
        "projectId": project_id, "isDefault": is_default, "createdAt": state.created_at(),
    }
    state.environments[row["environmentId"]] = row
    return row


def environment_view(state, row):
    project = state.projects[row["projectId"]]
    composes = state.where("composes", environmentId=row["environmentId"])
    applications = state.where("applications", environmentId=row["environmentId"])
    return {
        **row,
        "project": {"projectId": project["projectId"], "name": project["name"]},
        "compose": [_pick(item, "composeId", "name", "composeStatus") for item in composes],
        "applications": [_pick(item, "applicationId", "name", "applicationStatus") for item in applications],
    }


def _project_view(state, row):
    environments = state.where("environments", projectId=row["projectId"])
    return {**row, "environments": [environment_view(state, item) for item in environments]}


def _pick(row, *names):
    return {name: row[name] for name in names}


@procedure("project.all")
def project_all(dokploy, sent, lies):
    return [_project_view(dokploy.state, row) for row in dokploy.state.projects.values()]


@procedure("project.one")
def project_one(dokploy, sent, lies):
    return _project_view(dokploy.state, dokploy.state.get("projects", sent["projectId"], "Project"))


@procedure("project.create")
def project_create(dokploy, sent, lies):
    project = new_project(dokploy.state, sent["name"], sent.get("description"), sent.get("env", ""))
    environment = new_environment(dokploy.state, project["projectId"], "production", is_default=True)
    return {"project": project, "environment": environment}


@procedure("environment.one")
def environment_one(dokploy, sent, lies):
    row = dokploy.state.get("environments", sent["environmentId"], "Environment")
    return environment_view(dokploy.state, row)


@procedure("environment.byProjectId")
def environment_by_project(dokploy, sent, lies):
    rows = dokploy.state.where("environments", projectId=sent["projectId"])
    return [environment_view(dokploy.state, row) for row in rows]


@procedure("environment.create")
def environment_create(dokploy, sent, lies):
    if sent["projectId"] not in dokploy.state.projects:
        raise ApiError("BAD_REQUEST", "Error creating the environment")
    return new_environment(dokploy.state, sent["projectId"], sent["name"], sent.get("description"))


@procedure("server.all")
def server_all(dokploy, sent, lies):
    return dokploy.state.newest_first(dokploy.state.servers.values())


@procedure("user.session")
def user_session(dokploy, sent, lies):
    state = dokploy.state
    return {"user": {"id": state.user_id}, "session": {"activeOrganizationId": state.organization_id}}


@procedure("settings.getDokployVersion")
def version(dokploy, sent, lies):
    return {"0.29": "v0.29.8", "0.30": "v0.30.2"}[dokploy.generation]


@procedure("settings.health")
def settings_health(dokploy, sent, lies):
    return {"status": "ok"}


@procedure("health")
def health(dokploy, sent, lies):
    return {"ok": True}
