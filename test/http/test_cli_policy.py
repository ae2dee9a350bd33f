"""launchplane authz-policies ..., service render-authz-policy."""
import base64
import hashlib
import json

import pytest

from checks import assert_ok
from cli import Cli, bare
from rehearsal.policy import render, workflow_rule
from rehearsal.waiting import wait_until
from test_grants import ADMIN, NOTIFIED, POLICY, STRANGER, rules, stored, stranger_may

pytestmark = pytest.mark.policy(POLICY)
RULE = ("--repository", STRANGER, "--workflow-ref", f"{STRANGER}/.github/workflows/*", "--product", "launchplane",
        "--context", "launchplane", "--action", "launchplane_service.read", "--action", "a.read")
SCOPE = ("--product", "shop", "--context", "shop-testing", "--action", "product_config.plan")
TOKEN = ("--subject", "owner", "--subject", "second", "--token-label", "laptop", *SCOPE)


@pytest.fixture
def own_cli(plane):
    return Cli(plane)


def test_a_workflow_is_let_in_and_out(own_cli, plane):
    """AUTH-28, AUTH-30, AUTH-34, AUTH-36, AUTH-37"""
    before = plane.counts()
    for words in (("--dry-run",), ()):
        planned = own_cli("authz-policies", "grant-workflow", *RULE, *words)
        assert (planned.code, planned.fields().get("result.changed")) == (0, "true"), planned
    assert plane.counts() == before
    unexplained = own_cli("authz-policies", "grant-workflow", *RULE, "--apply")
    assert (unexplained.code, "reason_required" in unexplained.err) == (1, True)
    words = ("--apply", "--reason", "agreed", "--related-issue", "example-org/x#1", "--source-label", "deploy:x-grant")
    made = own_cli("authz-policies", "grant-workflow", *RULE, *words, "--idempotency-key", "once")
    assert made.fields()["authz_policy_record_id"] == stored(plane)[-1]["record_id"], made
    assert rules(plane)[-1]["actions"] == ["launchplane_service.read", "a.read"]
    assert stored(plane)[-1]["source"] == "deploy:x-grant"
    assert stranger_may(plane)
    assert "replayed" in own_cli("authz-policies", "grant-workflow", *RULE, *words, "--idempotency-key", "once").fields()
    planned = own_cli("authz-policies", "remove-workflow-rule", *RULE)
    assert planned.fields()["result.diff.matched_rule_count"] == "1"
    assert stranger_may(plane)
    assert own_cli("authz-policies", "remove-workflow-rule", *RULE, "--apply", "--reason", "over").code == 0
    assert not stranger_may(plane)


@pytest.mark.parametrize("command, section, words", [
    ("grant-human", "github_humans", ("--login", "octocat", "--team", "org/crew", "--role", "admin", *SCOPE)),
    ("grant-terminal-agent", "terminal_agents", TOKEN),
    ("grant-local-operator", "local_operators", TOKEN),
    ("grant-local-admin", "local_admins", TOKEN)])
def test_the_other_families(own_cli, plane, command, section, words):
    """AUTH-29, and out again"""
    assert own_cli("authz-policies", command, *words).code == 0
    assert rules(plane, section) == []
    assert own_cli("authz-policies", command, *words, "--apply", "--reason", "agreed").code == 0
    (rule,) = rules(plane, section)
    assert (rule["products"], rule["contexts"], rule["actions"]) == (["shop"], ["shop-testing"], ["product_config.plan"])
    assert rule.get("subjects", rule.get("logins")) in (["owner", "second"], ["octocat"])
    removal = command.replace("grant-", "remove-") + "-rule"
    planned = own_cli("authz-policies", removal, *words)
    assert planned.fields()["result.diff.matched_rule_count"] == "1", planned
    assert own_cli("authz-policies", removal, *words, "--apply", "--reason", "over").code == 0
    assert rules(plane, section) == []


def test_what_is_missing_is_said_before_anything_is_sent():
    for words in (("grant-workflow", *SCOPE), ("grant-human", "--login", "x"), ("explain", "--action", "a")):
        refused = bare("authz-policies", *words)
        assert (refused.code, refused.out) == (2, ""), refused


def test_explain_says_what_is_missing(own_cli):
    shown = own_cli("authz-policies", "explain", "--action", "deployment.write", "--product", "shop", "--context", "prod", "--json")
    assert shown.json()["result"]["decided_by"] == "condition"
    shown = own_cli("authz-policies", "explain", "--action", "authz_policy_grant.write", "--product", "launchplane",
                    "--context", "launchplane")
    assert shown.fields()["result.allowed"] == "true"


# beside the service

def test_records_are_listed_newest_first(own_cli, plane):
    own_cli("authz-policies", "grant-workflow", *RULE, "--apply", "--reason", "agreed")
    settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url}
    shown = bare("authz-policies", "list", **settings)
    assert [row["RECORD"] for row in shown.rows()] == [record["record_id"] for record in reversed(stored(plane))], shown
    assert shown.rows()[0]["REASON"] == "agreed"
    assert len(bare("authz-policies", "list", "--limit", "1", **settings).rows()) == 1
    assert bare("authz-policies", "list", "--status", "superseded", **settings).rows() == []
    assert bare("authz-policies", "list", "--limit", "0", **settings).code == 2


def policy_file(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return str(path)


def test_an_imported_policy_counts_in_the_running_service(plane, tmp_path):
    """AUTH-73"""
    path = policy_file(tmp_path, render(github_actions=[ADMIN, workflow_rule(
        ["launchplane_service.read"], ["launchplane"], ["launchplane"])]))
    settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_TEST_CLOCK_FILE": plane.clock.path}
    done = bare("authz-policies", "import-toml", "--policy-file", path, **settings)
    assert (done.code, done.fields()["changed"]) == (0, "true"), done
    assert stored(plane)[-1]["record_id"] == done.fields()["record_id"]
    assert stored(plane)[-1]["source"] == "cli:import-toml"
    wait_until(lambda: plane.get("/v1/service/runtime").status_code == 200, "the service to follow", NOTIFIED)
    assert_ok(plane.get("/v1/service/runtime"))
    again = bare("authz-policies", "import-toml", "--policy-file", path, **settings)
    assert (again.fields()["changed"], again.fields()["record_id"]) == ("false", done.fields()["record_id"])
    assert len(stored(plane)) == 2


def test_an_imported_policy_is_the_first_of_an_empty_database(template, database, tmp_path):
    path = policy_file(tmp_path, render(github_actions=[ADMIN]))
    done = bare("authz-policies", "import-toml", "--policy-file", path, "--source-label", "bootstrap", LAUNCHPLANE_DATABASE_URL=database)
    assert done.code == 0, done
    assert [row["SOURCE"] for row in bare("authz-policies", "list", LAUNCHPLANE_DATABASE_URL=database).rows()] == ["bootstrap"]


@pytest.mark.parametrize("text, said", [
    ("github_actions = 5", "github_actions"), ("not toml", "policy.toml"), ("[[github_actions]]\nactions = []", "repository"),
    ("schema_version = 1", "authz_policy_grant.write"),
    (render(github_actions=[workflow_rule(["a.read"])]), "authz_policy_grant.write")])
def test_a_policy_that_cannot_be_used_is_not_imported(plane, tmp_path, text, said):
    refused = bare("authz-policies", "import-toml", "--policy-file", policy_file(tmp_path, text),
                   LAUNCHPLANE_DATABASE_URL=plane.database_url)
    assert refused.code == 1 and said in refused.err, refused
    assert len(stored(plane)) == 1


def test_a_policy_file_is_rendered(tmp_path):
    """core 3.9"""
    path = policy_file(tmp_path, POLICY)
    shown = json.loads(bare("service", "render-authz-policy", "--policy-file", path).out)
    assert base64.b64decode(shown["policy_b64"]).decode() == POLICY
    assert shown == {"policy_file": path, "policy_b64": shown["policy_b64"], "github_actions_rule_count": 2,
                     "policy_sha256": hashlib.sha256(POLICY.encode()).hexdigest()}
    assert bare("service", "render-authz-policy", "--policy-file", path, "--format", "b64").out.strip() == shown["policy_b64"]
    assert bare("service", "render-authz-policy", "--policy-file", path, "--format", "xml").code == 2
    assert bare("service", "render-authz-policy", "--policy-file", str(tmp_path / "none")).code == 2
    assert bare("service", "render-authz-policy", "--policy-file", policy_file(tmp_path, "x = 1")).code == 1
