"""Domain rows. Host names are not unique here, and a compose row acts only at the next deploy."""
import re

from ..errors import ApiError
from . import procedure

_LABELS = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.I)
_OWNERS = ("composeId", "applicationId", "previewDeploymentId")


def new_domain(state, **members):
    row = {
        "domainId": state.new_id(), "host": "", "https": False, "port": 3000, "path": "/",
        "internalPath": "/", "stripPath": False, "serviceName": None, "domainType": "application",
        "uniqueConfigKey": state.config_key(), "createdAt": state.created_at(), "composeId": None,
        "applicationId": None, "previewDeploymentId": None, "certificateType": "none",
        "customCertResolver": None, "customEntrypoint": None, "middlewares": [],
        "forwardAuthEnabled": False,
    }
    row.update(members)
    state.domains[row["domainId"]] = row
    return row


def _check_host(dokploy, host):
    good = bool(host) and host == host.strip()
    if dokploy.generation == "0.30":
        good = good and bool(_LABELS.fullmatch(host))
    if not good:
        raise ApiError("BAD_REQUEST", "Input validation failed", ["Invalid hostname"])


@procedure("domain.create")
def domain_create(dokploy, sent, lies):
    _check_host(dokploy, sent["host"])
    state = dokploy.state
    for table, owner in (("composes", "composeId"), ("applications", "applicationId")):
        if sent.get(owner) and sent[owner] not in getattr(state, table):
            raise ApiError("BAD_REQUEST", "Error creating the domain")
    if "duplicate_row" in lies:
        new_domain(state, **sent)
    return new_domain(state, **sent)


@procedure("domain.update")
def domain_update(dokploy, sent, lies):
    _check_host(dokploy, sent["host"])
    row = dokploy.state.get("domains", sent["domainId"], "Domain")
    row.update({name: value for name, value in sent.items() if name not in _OWNERS})
    return row


@procedure("domain.delete")
def domain_delete(dokploy, sent, lies):
    row = dokploy.state.get("domains", sent["domainId"], "Domain")
    del dokploy.state.domains[row["domainId"]]
    return row


@procedure("domain.one")
def domain_one(dokploy, sent, lies):
    return dokploy.state.get("domains", sent["domainId"], "Domain")


@procedure("domain.byComposeId")
def domain_by_compose(dokploy, sent, lies):
    dokploy.state.get("composes", sent["composeId"], "Compose")
    return dokploy.state.shuffled(dokploy.state.where("domains", composeId=sent["composeId"]))


@procedure("domain.byApplicationId")
def domain_by_application(dokploy, sent, lies):
    dokploy.state.get("applications", sent["applicationId"], "Application")
    return dokploy.state.shuffled(dokploy.state.where("domains", applicationId=sent["applicationId"]))
