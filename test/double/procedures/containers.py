"""What docker says about running snapshots. Every failure reads as an empty answer."""
from ..clock import iso_ms as iso
from . import procedure


def _running(state, app_name):
    return [snapshot for snapshot in state.running.values() if snapshot.app_name == app_name]


def _container(state, container_id):
    for snapshot in state.running.values():
        for service in snapshot.services.values():
            if service.container_id == container_id:
                return snapshot, service
    return None, None


@procedure("docker.getContainersByAppNameMatch")
def containers(dokploy, sent, lies):
    if "no_containers" in lies:
        return []
    return [
        {
            "containerId": service.container_id, "name": service.container_name,
            "state": "running" if service.name != "web" or snapshot.web_running else "exited",
            "status": "Up 3 seconds" if service.name != "web" or snapshot.web_running else "Exited (0)",
        }
        for snapshot in _running(dokploy.state, sent["appName"])
        for service in snapshot.services.values()
    ]


@procedure("docker.getConfig")
def config(dokploy, sent, lies):
    snapshot, service = _container(dokploy.state, sent["containerId"])
    if service is None:
        return {}
    labels = {
        "com.docker.compose.project": snapshot.app_name, "com.docker.compose.service": service.name,
        **service.labels,
    }
    return {
        "Id": service.container_id, "Name": "/" + service.container_name,
        "Image": "sha256:" + "0" * 64,
        "State": {"Status": "running" if snapshot.web_running or service.name != "web" else "exited"},
        "Config": {
            "Image": service.image, "Labels": labels,
            "Env": [f"{name}={value}" for name, value in service.env.items()],
        },
    }


@procedure("compose.readLogs")
def compose_logs(dokploy, sent, lies):
    dokploy.state.get("composes", sent["composeId"], "Compose")
    _, service = _container(dokploy.state, sent["containerId"])
    return "" if service is None else _logs(dokploy, service.name, sent)


@procedure("application.readLogs")
def application_logs(dokploy, sent, lies):
    row = dokploy.state.get("applications", sent["applicationId"], "Application")
    return _logs(dokploy, row["name"], sent)


def _logs(dokploy, name, sent):
    """Lines are texts, or (age in seconds, text) where since matters."""
    lines = [line if isinstance(line, tuple) else (0, line) for line in dokploy.log_lines.get(name, [f"{name} is up"])]
    oldest = _seconds(sent.get("since", "all"))
    fresh = [line for line in lines if oldest is None or line[0] <= oldest]
    wanted = [line for line in fresh if sent.get("search", "") in line[1]][-sent.get("tail", 100):]
    return "\n".join(f"{iso(dokploy.clock.now() - age)} {line}" for age, line in wanted)


def _seconds(since):
    return None if since == "all" else int(since[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[since[-1]]
