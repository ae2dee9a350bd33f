#!/usr/bin/env python3
"""Deploy-time reconciliation of authorization grants.

Reads the variables of the deploy, checks them all, and only then asks the service for each grant that is configured. A
variable that is unset or empty is skipped. Nobody's login, product or context stands in this file: who gets what is the
operator's to say, in the variables. A grant that is there already stays as it is; grants are never removed here.
"""
import argparse
import json
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid

TIMEOUT = 30
ROUTES = "/v1/authz-policies/{}/grants"
OWN_SCOPE = {"product": "launchplane", "context": "launchplane"}
PRODUCT_CONFIG = ["product_config.plan", "product_config.apply"]
GRANT_FIELDS = {"repository", "workflow_file", "product", "context", "action", "source_label", "idempotency_suffix"}
PLAIN = re.compile(r"[^\s*?\[\]]+")


class Wrong(Exception):
    """A variable or an answer that ends the run; the text says what to do."""


def setting(name):
    return os.environ.get(name, "").strip()


def plain(value, where):
    """One explicit name: wildcards would give more than anybody has read."""
    if not isinstance(value, str) or not PLAIN.fullmatch(value):
        raise Wrong(f"{where} must be one explicit name without wildcards or blanks, not {value!r}")
    return value


def names(variable):
    return [plain(name.strip(), f"{variable}") for name in setting(variable).split(",") if name.strip()]


def json_list(variable):
    """The objects of a variable; None when it is unset."""
    if not setting(variable):
        return None
    try:
        items = json.loads(setting(variable))
    except ValueError as error:
        raise Wrong(f"{variable} is not JSON: {error}") from None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Wrong(f"{variable} must be a JSON array of objects")
    return items


def members(item, known, where):
    if set(item) != known:
        raise Wrong(f"{where} must have exactly the fields {', '.join(sorted(known))}; it has {', '.join(sorted(item)) or 'none'}")
    return {name: plain(item[name], f"{where}.{name}") for name in sorted(known)}


def scopes(variable):
    items = json_list(variable)
    return items and [members(item, {"product", "context"}, f"{variable}[{i}]") for i, item in enumerate(items)]


def skipped(variable):
    print(f"skipped    {variable} is not set")
    return []


def grant(family, suffix, label, **rule):
    return {"family": family, "suffix": suffix, "grant": {**rule, "source_label": label}}


def workflow_ref(repository, file, ref="*"):
    path = file if "/" in file else f".github/workflows/{file}"
    return f"{repository}/{path}@{ref}"


# ---- what is configured ----

def own_workflow():
    """(repository, the workflow's path, ref) of the deploy that runs this."""
    repository, ref = setting("GITHUB_REPOSITORY"), setting("GITHUB_WORKFLOW_REF")
    path, _, at = ref.partition("@")
    if not repository or not at or not path.startswith(f"{repository}/"):
        return None
    return plain(repository, "GITHUB_REPOSITORY"), plain(path, "GITHUB_WORKFLOW_REF"), plain(at, "GITHUB_WORKFLOW_REF")


def self_grants():
    """The deploy keeps its own authority to grant, by hand and after CI; deploying the service is another one."""
    own = own_workflow()
    if not own:
        return skipped("GITHUB_WORKFLOW_REF")
    repository, path, ref = own
    return [grant("github-actions", f"self-{event}", "deploy:self-authz-grant", repository=repository, workflow_refs=[f"{path}@{ref}"],
                  event_names=[event], products=["launchplane"], contexts=["launchplane"], actions=["authz_policy_grant.write"])
            for event in ("workflow_dispatch", "workflow_run")]


def provider_target_grants():
    """The manual Provider Target Operations workflow of this repository: audit and dry-run, and apply."""
    own = own_workflow()
    if not own:
        return skipped("GITHUB_WORKFLOW_REF")
    file = setting("LAUNCHPLANE_PROVIDER_TARGET_WORKFLOW") or "provider-target-operations.yml"
    return [grant("github-actions", f"provider-target-{action}", "deploy:provider-target-grant", repository=own[0],
                  workflow_refs=[workflow_ref(own[0], plain(file, "LAUNCHPLANE_PROVIDER_TARGET_WORKFLOW"), own[2])],
                  event_names=["workflow_dispatch"], products=["launchplane"], contexts=["launchplane"],
                  actions=[f"provider_target.{action}"]) for action in ("audit", "backfill")]


def canary_grants():
    """The Ingress Route Canary Apply workflow of this repository, for launchplane alone unless told otherwise."""
    variable = "LAUNCHPLANE_INGRESS_CANARY_ROUTE_SCOPES_JSON"
    own, configured = own_workflow(), scopes(variable)
    if not own:
        return skipped("GITHUB_WORKFLOW_REF")
    file = setting("LAUNCHPLANE_INGRESS_CANARY_WORKFLOW") or "ingress-route-canary-apply.yml"
    return [grant("github-actions", f"ingress-canary-{scope['product']}-{scope['context']}", "deploy:ingress-canary-grant",
                  repository=own[0], workflow_refs=[workflow_ref(own[0], plain(file, "LAUNCHPLANE_INGRESS_CANARY_WORKFLOW"), own[2])],
                  event_names=["workflow_dispatch"], products=[scope["product"]], contexts=[scope["context"]],
                  actions=["ingress_route.apply"]) for scope in ([OWN_SCOPE] if configured is None else configured)]


def operator_grants():
    """Signed-in operators who may write product config."""
    variables = [f"LAUNCHPLANE_PRODUCT_CONFIG_OPERATOR_{what}" for what in ("LOGINS", "PRODUCTS", "CONTEXTS")]
    logins, products, contexts = lists = [names(variable) for variable in variables]
    if not any(lists):
        return skipped(f"{variables[0]}, _PRODUCTS or _CONTEXTS")
    for variable, given in zip(variables, lists):
        if not given:
            raise Wrong(f"{variable} is missing: set all three variables, or none; an empty list would mean everything")
    return [grant("github-humans", "product-config-operators", "deploy:product-config-operator-grant", logins=logins,
                  products=products, contexts=contexts, actions=PRODUCT_CONFIG)]


def bridged_grants():
    """What an operator bridges for a while; the lasting grants belong into the policy itself."""
    variable = "LAUNCHPLANE_AUTHZ_GRANTS_JSON"
    items = json_list(variable)
    if items is None:
        return skipped(variable)
    made = []
    for i, item in enumerate(items):
        one = members(item, GRANT_FIELDS, f"{variable}[{i}]")
        made.append(grant("github-actions", one["idempotency_suffix"], one["source_label"], repository=one["repository"],
                          workflow_refs=[workflow_ref(one["repository"], one["workflow_file"])], products=[one["product"]],
                          contexts=[one["context"]], actions=[one["action"]]))
    return made


def local_operator_grants(variable, name, actions):
    configured = scopes(variable)
    if configured is None:
        return skipped(variable)
    identity = [setting(f"LAUNCHPLANE_LOCAL_OPERATOR_{what}") for what in ("SUBJECT", "TOKEN_LABEL")]
    if configured and not all(identity):
        raise Wrong(f"{variable} needs LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT and LAUNCHPLANE_LOCAL_OPERATOR_TOKEN_LABEL: whose grants they are")
    subject, label = [plain(value, "LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT or _TOKEN_LABEL") for value in identity] if configured else ("", "")
    return [grant("local-operators", f"{name}-{scope['product']}-{scope['context']}", f"deploy:{name}-grant", subjects=[subject],
                  token_labels=[label], products=[scope["product"]], contexts=[scope["context"]], actions=actions)
            for scope in configured]


def configured_grants():
    """All of them, checked, before any is asked for."""
    grants = [
        *self_grants(), *provider_target_grants(), *canary_grants(), *operator_grants(), *bridged_grants(),
        *local_operator_grants("LAUNCHPLANE_LOCAL_OPERATOR_PRODUCT_CONFIG_SCOPES_JSON", "local-operator-product-config", PRODUCT_CONFIG),
        *local_operator_grants("LAUNCHPLANE_PRIVATE_HEALTH_ENDPOINT_SCOPES_JSON", "private-health-endpoint", ["private_health_endpoint.apply"]),
    ]
    suffixes = [f"{one['family']}:{one['suffix']}" for one in grants]
    for suffix in suffixes:
        if suffixes.count(suffix) > 1:
            raise Wrong(f"two grants have the idempotency suffix {suffix.partition(':')[2]!r}: give each its own")
    return grants


# ---- the service ----

def fetched(request, what):
    """The parsed answer. Redirects and retries are not followed: a key makes the next run safe."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        text = error.read().decode("utf-8", "replace")
        try:
            told = json.loads(text)["error"]
            text = f"{told['code']}: {told['message']}"
        except (ValueError, KeyError, TypeError):
            text = text[:200]
        raise Wrong(f"{what}: status {error.code}, {text}") from None
    except (OSError, ValueError) as error:
        raise Wrong(f"{what}: {error}") from None


def bearer():
    """LAUNCHPLANE_TOKEN, or a token of this workflow run for the service."""
    if setting("LAUNCHPLANE_TOKEN"):
        return setting("LAUNCHPLANE_TOKEN")
    url, secret = setting("ACTIONS_ID_TOKEN_REQUEST_URL"), setting("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    audience = setting("LAUNCHPLANE_SERVICE_AUDIENCE") or urllib.parse.urlsplit(setting("LAUNCHPLANE_PUBLIC_URL")).hostname
    if not url or not secret or not audience:
        raise Wrong("set LAUNCHPLANE_TOKEN, or give the job id-token: write and set LAUNCHPLANE_SERVICE_AUDIENCE or LAUNCHPLANE_PUBLIC_URL")
    query = ("&" if "?" in url else "?") + urllib.parse.urlencode({"audience": audience})
    request = urllib.request.Request(url + query, headers={"Authorization": f"Bearer {secret}", "Accept": "application/json"})
    return fetched(request, "the workflow's identity token")["value"]


def send(base, token, one, mode, run):
    body = {"product": "launchplane", "mode": mode, "reason": f"deploy-time grant reconciliation, run {run}", "grant": one["grant"]}
    request = urllib.request.Request(
        base + ROUTES.format(one["family"]), data=json.dumps(body).encode(), method="POST",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json",
                 "Idempotency-Key": f"authz-grants:{run}:{one['suffix']}"})
    answer = fetched(request, f"{one['family']} {one['suffix']}")
    done = "replayed" if answer.get("replayed") else "unchanged" if not answer["result"]["changed"] else \
        "granted" if mode == "apply" else "missing"
    print(f"{done:10} {one['family']} {one['suffix']}  {answer['records']['authz_policy_record_id']}")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--dry-run", action="store_true", help="only show what would change")
    mode = "dry_run" if options.parse_args().dry_run else "apply"
    try:
        base = setting("LAUNCHPLANE_SERVICE_URL").rstrip("/") or setting("LAUNCHPLANE_PUBLIC_URL").rstrip("/")
        if not base.startswith(("https://", "http://")):
            raise Wrong("set LAUNCHPLANE_SERVICE_URL to the service's address")
        grants = configured_grants()
        run = "-".join(filter(None, (setting("GITHUB_RUN_ID"), setting("GITHUB_RUN_ATTEMPT")))) or uuid.uuid4().hex
        token = bearer() if grants else None
        for one in grants:
            send(base, token, one, mode, run)
    except Wrong as wrong:
        print(f"ensure-authz-grants: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
