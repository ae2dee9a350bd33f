"""scripts/deploy/ensure-authz-grants.sh, as a deploy runs it, against the real service."""
import http.server
import json
import pathlib
import subprocess
import threading

import pytest

from rehearsal.policy import render, workflow_rule
from test_grants import rules, stored

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "deploy" / "ensure-authz-grants.sh"
REPOSITORY = "example-org/control-plane"
DEPLOY = f"{REPOSITORY}/.github/workflows/deploy.yml"
POLICY = render(github_actions=[workflow_rule(["authz_policy_grant.write"], ["launchplane"], ["launchplane"], REPOSITORY)])
pytestmark = pytest.mark.policy(POLICY)
OWN = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_WORKFLOW_REF": f"{DEPLOY}@refs/heads/main", "GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "1"}
OPERATORS = {"LAUNCHPLANE_PRODUCT_CONFIG_OPERATOR_LOGINS": "octocat, hubot,", "LAUNCHPLANE_PRODUCT_CONFIG_OPERATOR_PRODUCTS": "shop",
             "LAUNCHPLANE_PRODUCT_CONFIG_OPERATOR_CONTEXTS": "shop-testing,shop-prod"}
BRIDGE = {"repository": "example-org/shop", "workflow_file": "preview.yml", "product": "shop", "context": "shop-testing",
          "action": "preview_generation.write", "source_label": "bridge:shop-preview", "idempotency_suffix": "shop-preview"}
LOCAL = {"LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT": "owner", "LAUNCHPLANE_LOCAL_OPERATOR_TOKEN_LABEL": "laptop"}
SCOPES = ("LAUNCHPLANE_LOCAL_OPERATOR_PRODUCT_CONFIG_SCOPES_JSON", "LAUNCHPLANE_PRIVATE_HEALTH_ENDPOINT_SCOPES_JSON",
          "LAUNCHPLANE_INGRESS_CANARY_ROUTE_SCOPES_JSON")


def token(plane):
    return plane.token(repository=REPOSITORY, workflow_ref=f"{DEPLOY}@refs/heads/main")


def reconcile(plane, *options, **variables):
    """The script with these variables and no others."""
    sent = {"PATH": "/usr/bin:/bin", "LAUNCHPLANE_SERVICE_URL": plane.url, "LAUNCHPLANE_TOKEN": token(plane), **variables}
    done = subprocess.run([SCRIPT, *options], env=sent, capture_output=True, text=True, timeout=120)
    assert sent["LAUNCHPLANE_TOKEN"] == "" or sent["LAUNCHPLANE_TOKEN"] not in done.stdout + done.stderr
    return done


def of_source(plane, section, source):
    return [rule for record in stored(plane) if record["source"] == source for rule in record["payload"]["policy"].get(section, [])[-1:]]


def test_nothing_configured_changes_nothing(plane):
    """AUTH-47, AUTH-61, AUTH-66"""
    before = plane.counts()
    done = reconcile(plane)
    assert (done.returncode, done.stderr) == (0, "")
    for variable in ("LAUNCHPLANE_PRODUCT_CONFIG_OPERATOR_LOGINS", "LAUNCHPLANE_AUTHZ_GRANTS_JSON", *SCOPES[:2]):
        assert f"skipped    {variable}" in done.stdout
    assert plane.counts() == before
    assert reconcile(plane, **{variable: "" for variable in (*OPERATORS, *SCOPES)}).returncode == 0     # unset in GitHub is empty here
    assert plane.counts() == before


def test_the_deploy_keeps_its_own_grants(plane):
    """AUTH-55, AUTH-56, AUTH-59: by hand and after CI, and those of the workflows beside it"""
    done = reconcile(plane, **OWN)
    assert done.returncode == 0, done.stderr
    made = rules(plane)[1:]
    scope = {"products": ["launchplane"], "contexts": ["launchplane"]}
    assert [(rule["workflow_refs"], rule["event_names"], rule["actions"]) for rule in made] == [
        ([f"{DEPLOY}@refs/heads/main"], ["workflow_dispatch"], ["authz_policy_grant.write"]),
        ([f"{DEPLOY}@refs/heads/main"], ["workflow_run"], ["authz_policy_grant.write"]),
        ([f"{REPOSITORY}/.github/workflows/provider-target-operations.yml@refs/heads/main"], ["workflow_dispatch"], ["provider_target.audit"]),
        ([f"{REPOSITORY}/.github/workflows/provider-target-operations.yml@refs/heads/main"], ["workflow_dispatch"], ["provider_target.backfill"]),
        ([f"{REPOSITORY}/.github/workflows/ingress-route-canary-apply.yml@refs/heads/main"], ["workflow_dispatch"], ["ingress_route.apply"])]
    assert all({name: rule[name] for name in scope} == scope and rule["repository"] == REPOSITORY for rule in made)
    assert not any("launchplane_service_deploy.execute" in rule["actions"] for rule in made)      # AUTH-57


def test_every_variable_becomes_its_grants(plane):
    """AUTH-42 to AUTH-46, AUTH-50 to AUTH-52, AUTH-61, AUTH-64"""
    scopes = json.dumps([{"product": "shop", "context": "shop-testing"}, {"product": "shop", "context": "shop-prod"}])
    variables = {**OPERATORS, **LOCAL, SCOPES[0]: scopes, SCOPES[1]: scopes, "LAUNCHPLANE_AUTHZ_GRANTS_JSON": json.dumps([BRIDGE])}
    done = reconcile(plane, **variables)
    assert done.returncode == 0, done.stderr
    (human,) = rules(plane, "github_humans")
    assert (human["logins"], human["products"], human["contexts"], human["actions"]) == (
        ["octocat", "hubot"], ["shop"], ["shop-testing", "shop-prod"], ["product_config.plan", "product_config.apply"])
    bridged = rules(plane)[-1]
    assert (bridged["repository"], bridged["workflow_refs"], bridged["products"], bridged["contexts"], bridged["actions"]) == (
        "example-org/shop", ["example-org/shop/.github/workflows/preview.yml@*"], ["shop"], ["shop-testing"], ["preview_generation.write"])
    assert of_source(plane, "github_actions", "bridge:shop-preview") == [bridged]
    local = rules(plane, "local_operators")
    assert [(rule["subjects"], rule["token_labels"], rule["contexts"], rule["actions"]) for rule in local] == [
        (["owner"], ["laptop"], [context], actions) for actions in (["product_config.plan", "product_config.apply"], ["private_health_endpoint.apply"])
        for context in ("shop-testing", "shop-prod")]
    assert len(rules(plane)) == 2        # nothing of its own beside what is configured (AUTH-52)


def test_another_run_finds_everything_as_it_is(plane):
    variables = {**OWN, **OPERATORS}
    assert reconcile(plane, **variables).stdout.count("granted ") == 6
    records = len(stored(plane))
    again = reconcile(plane, **variables)
    assert (again.stdout.count("replayed "), again.stdout.count("granted ")) == (6, 0)       # the same run: the same keys
    later = reconcile(plane, **{**variables, "GITHUB_RUN_ID": "78"})
    assert (later.stdout.count("unchanged "), len(stored(plane))) == (6, records)
    keys = [row["idempotency_key"] for row in plane.query("SELECT idempotency_key FROM launchplane_idempotency_records")]
    assert "authz-grants:77-1:product-config-operators" in keys


def test_what_was_taken_away_comes_back_with_the_next_run(plane):
    reconcile(plane, **OWN)
    rule = rules(plane)[1]
    sent = {"product": "launchplane", "reason": "to see", "removal": rule}
    assert plane.post("/v1/authz-policies/github-actions/removals", sent, token=token(plane)).status_code == 202
    assert rule not in rules(plane)
    assert reconcile(plane, **{**OWN, "GITHUB_RUN_ID": "78"}).stdout.count("granted ") == 1
    assert rule in rules(plane)


def test_a_dry_run_shows_and_writes_nothing(plane):
    before = plane.counts()
    done = reconcile(plane, "--dry-run", **OWN, **OPERATORS)
    assert (done.returncode, done.stdout.count("missing ")) == (0, 6)
    assert plane.counts() == before


def test_the_canary_goes_where_it_is_told(plane):
    told = json.dumps([{"product": "shop", "context": "shop-testing"}])
    assert reconcile(plane, **OWN, **{SCOPES[2]: told}).returncode == 0
    assert (rules(plane)[-1]["products"], rules(plane)[-1]["contexts"]) == (["shop"], ["shop-testing"])
    assert not any(rule["actions"] == ["ingress_route.apply"] and rule["products"] == ["launchplane"] for rule in rules(plane))


def wild(variable, **changes):
    return {variable: json.dumps([{"product": "shop", "context": "shop-testing", **changes}])}


WRONG = {
    **{f"{variable}: {changes}": (wild(variable, **changes), variable) for variable in SCOPES for changes in (
        {"product": "*"}, {"context": "*"}, {"context": "shop-*"}, {"product": "sho?"}, {"context": "shop-[tp]rod"}, {"product": ""}, {"context": " "},
        {"product": None}, {"product": ["shop"]}, {"product": 7}, {"context": "a b"}, {"instance": "testing"})},
    **{f"{variable}: {text}": ({variable: text}, variable) for variable in (*SCOPES, "LAUNCHPLANE_AUTHZ_GRANTS_JSON")
       for text in ("{}", "[1]", '["shop"]', "shop", "[{}]", "null", '"*"')},
    **{f"bridge: {changes}": ({"LAUNCHPLANE_AUTHZ_GRANTS_JSON": json.dumps([{**BRIDGE, **changes}])}, f"[0].{next(iter(changes))}") for changes in (
        {"repository": "example-org/*"}, {"workflow_file": "*.yml"}, {"product": "*"}, {"context": "shop-*"}, {"action": "*"}, {"action": ""},
        {"source_label": ""}, {"idempotency_suffix": ""}, {"product": None})},
    "bridge: a member more": ({"LAUNCHPLANE_AUTHZ_GRANTS_JSON": json.dumps([{**BRIDGE, "ref": "x"}])}, "exactly the fields"),
    "bridge: one suffix twice": ({"LAUNCHPLANE_AUTHZ_GRANTS_JSON": json.dumps([BRIDGE, {**BRIDGE, "product": "web"}])}, "suffix"),
    **{f"operators without {name}": ({**OPERATORS, name: ""}, name) for name in OPERATORS},
    **{f"operators with a wildcard in {name}": ({**OPERATORS, name: "shop,*"}, name) for name in OPERATORS},
    "scopes of nobody": ({**wild(SCOPES[0]), "LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT": ""}, "LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT"),
    "scopes of everybody": ({**wild(SCOPES[0]), "LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT": "*"}, "LAUNCHPLANE_LOCAL_OPERATOR_SUBJECT"),
    "no address": ({"LAUNCHPLANE_SERVICE_URL": ""}, "LAUNCHPLANE_SERVICE_URL"),
    "no token": ({"LAUNCHPLANE_TOKEN": ""}, "LAUNCHPLANE_TOKEN"),
}


def test_what_is_wrong_changes_nothing(plane):
    """AUTH-60, AUTH-65: everything is checked before the first grant is asked for"""
    before = plane.counts()
    for name, (variables, told) in WRONG.items():
        done = reconcile(plane, **{**OWN, **LOCAL, **variables})
        assert (done.returncode, told in done.stderr) == (1, True), (name, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
    assert plane.counts() == before


def test_a_refusal_of_the_service_ends_the_run(plane):
    before = plane.counts()
    done = reconcile(plane, **OWN, LAUNCHPLANE_TOKEN=plane.token(repository="example-org/stranger"))
    assert (done.returncode, "authorization_denied" in done.stderr) == (1, True), done.stderr
    done = reconcile(plane, **OWN, LAUNCHPLANE_SERVICE_URL="http://127.0.0.1:1")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert plane.counts() == before


def test_a_workflow_fetches_its_own_token(plane):
    asked = []

    class Minter(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["Authorization"]))
            text = json.dumps({"value": token(plane)}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Minter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            done = reconcile(plane, **OWN, LAUNCHPLANE_TOKEN="", ACTIONS_ID_TOKEN_REQUEST_TOKEN="request-secret",
                             ACTIONS_ID_TOKEN_REQUEST_URL=f"http://127.0.0.1:{server.server_port}/token?api-version=2",
                             LAUNCHPLANE_PUBLIC_URL="https://launchplane.test/")
        finally:
            server.shutdown()
            thread.join()
    assert done.returncode == 0, done.stderr
    assert asked == [("/token?api-version=2&audience=launchplane.test", "Bearer request-secret")]


def test_nobody_stands_in_the_script():
    """AUTH-48, AUTH-49, AUTH-53, AUTH-63: no login, product or repository of anybody"""
    text = (SCRIPT.parent / "ensure_authz_grants.py").read_text()
    assert "example" not in text and "@users" not in text
    assert {word for word in ("products=[", "contexts=[") if f'{word}"' in text and f'{word}"launchplane"' not in text} == set()
    assert "launchplane_service_deploy" not in text
