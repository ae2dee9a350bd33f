"""What a deploy makes of a compose file, its env and its domain rows: converted YAML and containers."""
import dataclasses
import re

import yaml

from . import dotenv
from .errors import DeployError

NETWORK = "dokploy-network"
_REFERENCE = re.compile(r"\$\{\{\s*([^}]+?)\s*\}\}")
_HOST_RULE = re.compile(r"Host\(`([^`]+)`\)")


@dataclasses.dataclass
class Service:
    name: str
    image: str
    env: dict
    labels: dict
    networks: list
    command: object
    container_id: str
    container_name: str


@dataclasses.dataclass
class Snapshot:
    """What really runs, as opposed to what the rows say."""
    deployment_id: str
    title: str
    app_name: str
    compose_text: str
    converted_text: str
    env: dict
    services: dict
    started_at: float
    web_running: bool = True

    def routes(self):
        """{host: port} of the routers Traefik would build for service web."""
        web = self.services.get("web")
        if web is None or web.labels.get("traefik.enable") != "true" or NETWORK not in web.networks:
            return {}
        found = {}
        for label, rule in web.labels.items():
            match = re.fullmatch(r"traefik\.http\.routers\.(.+)\.rule", label)
            if not match:
                continue
            service = web.labels.get(f"traefik.http.routers.{match.group(1)}.service", match.group(1))
            port = web.labels.get(f"traefik.http.services.{service}.loadbalancer.server.port", "")
            for host in _HOST_RULE.findall(rule):
                found[host.lower()] = port
        return found


def convert(compose_text, domains, app_name):
    """The compose file as Dokploy writes it: parsed, with labels and networks per domain row."""
    try:
        document = yaml.safe_load(compose_text or "")
    except yaml.YAMLError as error:
        raise DeployError(f"compose file is not YAML: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("services"), dict):
        raise DeployError("compose file has no services")
    for domain in domains:
        _add_domain(document, domain, app_name)
    return document


def to_text(document):
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)


def resolve_references(env_text, project_env, environment_env):
    """${{project.X}}, ${{environment.X}} and ${{X}}; an unknown name aborts the deploy."""
    values = dotenv.parse(env_text)
    project, environment = dotenv.parse(project_env), dotenv.parse(environment_env)

    def look_up(match):
        name = match.group(1)
        scope, _, key = name.rpartition(".")
        source = {"project": project, "environment": environment}.get(scope, values)
        if key not in source:
            raise DeployError(f"Invalid environment variable: {name}")
        return source[key]

    return {name: _REFERENCE.sub(look_up, value) for name, value in values.items()}


def snapshot(row, domains, env, deployment, generation, new_id, now):
    """Runs docker compose up in the imagination; raises what the command would complain about."""
    app_name = row["appName"]
    document = convert(row["composeFile"], domains, app_name)
    converted = to_text(document)
    written = {"APP_NAME": app_name, "COMPOSE_PROJECT_NAME": app_name, **env}
    if "DOCKER_CONFIG" not in (row["env"] or ""):
        written["DOCKER_CONFIG"] = "/root/.docker"
    dot_env = dotenv.as_compose_reads_it(written, generation)
    try:
        effective = _interpolated(document, dot_env)
    except dotenv.MissingVariable as error:
        raise DeployError(str(error)) from None
    _check_references(effective)
    services = {
        name: _service(name, service, app_name, dot_env, new_id)
        for name, service in effective["services"].items()
    }
    return Snapshot(
        deployment["deploymentId"], deployment["title"], app_name, row["composeFile"], converted,
        dot_env, services, now,
    )


def _add_domain(document, domain, app_name):
    name = domain["serviceName"]
    if not name or name not in document["services"]:
        raise DeployError(f"The service {name} not found in the compose")
    service = document["services"][name]
    labels = service.setdefault("labels", [])
    # Dokploy adds labels only to a list; with a mapping they get lost without a word.
    if isinstance(labels, list):
        for label in _domain_labels(domain, app_name):
            if label not in labels:
                labels.append(label)
    _join_network(service)
    document.setdefault("networks", {})[NETWORK] = {"external": True}


def _domain_labels(domain, app_name):
    stem = f"{app_name}-{domain['uniqueConfigKey']}"
    rule = f"Host(`{domain['host']}`)"
    if domain["path"] not in (None, "", "/"):
        rule += f" && PathPrefix(`{domain['path']}`)"
    labels = ["traefik.enable=true", f"traefik.docker.network={NETWORK}"]
    for entry in ["web", "websecure"] if domain["https"] else ["web"]:
        router = f"traefik.http.routers.{stem}-{entry}"
        labels += [
            f"{router}.rule={rule}",
            f"{router}.entrypoints={entry}",
            f"traefik.http.services.{stem}-{entry}.loadbalancer.server.port={domain['port']}",
            f"{router}.service={stem}-{entry}",
        ]
        if entry == "web" and domain["https"]:
            labels.append(f"{router}.middlewares=redirect-to-https@file")
        if entry == "websecure":
            labels.append(_tls_label(router, domain))
    return labels


def _tls_label(router, domain):
    if domain["certificateType"] == "letsencrypt":
        return f"{router}.tls.certresolver=letsencrypt"
    if domain["certificateType"] == "custom":
        return f"{router}.tls.certresolver={domain['customCertResolver']}"
    return f"{router}.tls=true"


def _join_network(service):
    networks = service.setdefault("networks", [])
    for name in (NETWORK, "default"):
        if name in networks:
            continue
        if isinstance(networks, list):
            networks.append(name)
        else:
            networks[name] = {}


def _interpolated(node, values):
    if isinstance(node, str):
        return dotenv.interpolate(node, values)
    if isinstance(node, list):
        return [_interpolated(item, values) for item in node]
    if isinstance(node, dict):
        return {key: _interpolated(value, values) for key, value in node.items()}
    return node


def _check_references(document):
    """Names that docker compose refuses when nothing declares them."""
    networks = document.get("networks") or {}
    volumes = document.get("volumes") or {}
    for name, network in networks.items():
        if (network or {}).get("external") and (network.get("name") or name) != NETWORK:
            raise DeployError(f"network {name} declared as external, but could not be found")
    for name, service in document["services"].items():
        for needed in service.get("depends_on") or []:
            if needed not in document["services"]:
                raise DeployError(f'service "{name}" depends on undefined service {needed}')
        for network in service.get("networks") or []:
            if network != "default" and network not in networks:
                raise DeployError(f'service "{name}" refers to undefined network {network}')
        for mount in service.get("volumes") or []:
            source = mount.get("source", "") if isinstance(mount, dict) else str(mount).split(":")[0]
            if re.fullmatch(r"[A-Za-z0-9][\w.-]*", source) and source not in volumes:
                raise DeployError(f'service "{name}" refers to undefined volume {source}')


def _service(name, service, app_name, dot_env, new_id):
    if not service.get("image") and not service.get("build"):
        raise DeployError(f'service "{name}" has neither an image nor a build context specified')
    networks = service.get("networks") or ["default"]
    return Service(
        name=name,
        image=service.get("image", f"{app_name}-{name}"),
        env={**_env_files(name, service, dot_env), **_pairs(service.get("environment"), dot_env)},
        labels=_pairs(service.get("labels"), {}),
        networks=list(networks),
        command=service.get("command"),
        container_id=new_id().lower(),
        container_name=f"{app_name}-{name}-1",
    )


def _env_files(name, service, dot_env):
    wanted = service.get("env_file") or []
    env = {}
    for item in wanted if isinstance(wanted, list) else [wanted]:
        path = item["path"] if isinstance(item, dict) else item
        required = item.get("required", True) if isinstance(item, dict) else True
        if path in (".env", "./.env"):
            env.update(dot_env)
        elif required:
            raise DeployError(f"service {name}: env file {path} not found")
    return env


def _pairs(node, fallback):
    """A list of K=V or a mapping; a bare key takes its value from the .env file."""
    if isinstance(node, dict):
        items = node.items()
    else:
        items = [tuple(str(item).partition("=")[::2]) if "=" in str(item) else (item, None) for item in node or []]
    pairs = {}
    for key, value in items:
        if value is None:
            value = fallback.get(key)
        if value is not None:
            pairs[key] = _scalar(value)
    return pairs


def _scalar(value):
    return str(value).lower() if isinstance(value, bool) else str(value)
