"""launchplane service sync-bootstrap-policy, and authz-policies test."""
import base64
import hashlib
import json

import pytest

from cli import bare
from rehearsal.policy import render, workflow_rule

ADMIN = workflow_rule(["authz_policy_grant.write"], ["launchplane"], ["launchplane"])
TEXT = render(github_actions=[ADMIN])
OLD = "LAUNCHPLANE_POLICY_TOML=old\nLAUNCHPLANE_SERVICE_AUDIENCE=launchplane.test\nOTHER='kept as is'\nLAUNCHPLANE_POLICY_FILE=/old.toml"


@pytest.fixture
def policy_file(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(TEXT)
    return path


@pytest.fixture(params=["compose", "application"])
def target(request, doubles, lane):
    """(type, id, read its environment); the lane's records hold the Dokploy credentials."""
    add = getattr(doubles.dokploy, f"add_{request.param}")
    target_id = add("launchplane", lane.environment_id)
    rows = doubles.dokploy.state.composes if request.param == "compose" else doubles.dokploy.state.applications
    rows[target_id]["env"] = OLD
    return request.param, target_id, rows[target_id]


def sync(plane, policy_file, kind, target_id, *words, **settings):
    settings = {"LAUNCHPLANE_DATABASE_URL": plane.database_url, "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": plane.master_key, **settings}
    result = bare("service", "sync-bootstrap-policy", "--target-type", kind, "--target-id", target_id, "--policy-file", str(policy_file),
                  *words, **settings)
    plane.answers += [result.out, result.err]
    return result


def environment(row):
    return dict(line.split("=", 1) for line in row["env"].splitlines())


def test_a_preview_writes_nothing(plane, target, policy_file):
    """SELF-03"""
    kind, target_id, row = target
    shown = sync(plane, policy_file, kind, target_id)
    assert (shown.code, shown.fields()["mode"], shown.fields()["changed"]) == (0, "dry_run", "true"), shown
    assert shown.fields()["policy_sha256"] == hashlib.sha256(TEXT.encode()).hexdigest()
    assert shown.fields()["LAUNCHPLANE_POLICY_B64"] == "added"
    assert (shown.fields()["LAUNCHPLANE_POLICY_TOML"], shown.fields()["LAUNCHPLANE_POLICY_FILE"]) == ("removed", "removed")
    assert "kept as is" not in shown.out and row["env"] == OLD


def test_applying_leaves_one_selector_and_the_rest(plane, target, policy_file):
    """SELF-04"""
    kind, target_id, row = target
    assert sync(plane, policy_file, kind, target_id, "--apply").fields()["mode"] == "apply"
    kept = environment(row)
    assert base64.b64decode(kept.pop("LAUNCHPLANE_POLICY_B64")).decode() == TEXT
    assert kept == {"LAUNCHPLANE_SERVICE_AUDIENCE": "launchplane.test", "OTHER": "'kept as is'"}
    calls = len(plane.doubles.dokploy.requests)
    again = sync(plane, policy_file, kind, target_id, "--apply")
    assert (again.fields()["changed"], again.fields()["LAUNCHPLANE_POLICY_B64"]) == ("false", "unchanged")
    assert all(seen.method == "GET" for seen in plane.doubles.dokploy.requests[calls:])
    policy_file.write_text(TEXT + "\n")
    assert sync(plane, policy_file, kind, target_id).fields()["LAUNCHPLANE_POLICY_B64"] == "replaced"


def test_a_provider_that_keeps_nothing_is_found_out(plane, target, policy_file, provider):
    kind, target_id, row = target
    procedure = "compose.update" if kind == "compose" else "application.saveEnvironment"
    provider.on("POST", procedure).lie("env_not_persisted").times(1)
    done = sync(plane, policy_file, kind, target_id, "--apply")
    assert (done.code, "did not keep" in done.err) == (1, True), done


def test_the_environment_of_somebody_else_is_left_alone(plane, target, policy_file):
    kind, target_id, row = target
    row["env"] = "ODOO_DB_NAME=shop"
    done = sync(plane, policy_file, kind, target_id, "--apply")
    assert (done.code, "no target of Launchplane's own" in done.err, row["env"]) == (1, True, "ODOO_DB_NAME=shop"), done


def test_wrong_use_says_what_to_do(plane, lane, policy_file, tmp_path):
    def refused(told, code, *arguments, **settings):
        done = sync(plane, *arguments, **settings)
        assert (done.code, told in done.err) == (code, True), done

    calls = len(plane.doubles.dokploy.requests)
    refused("compose or application", 2, policy_file, "host", "x")
    refused("cannot be read", 2, tmp_path / "none.toml", "compose", "x")
    refused("LAUNCHPLANE_MASTER_ENCRYPTION_KEY", 2, policy_file, "compose", "x", LAUNCHPLANE_MASTER_ENCRYPTION_KEY="")
    refused("sealed with a master key", 1, policy_file, "compose", "x", LAUNCHPLANE_MASTER_ENCRYPTION_KEY="another")
    refused("LAUNCHPLANE_DATABASE_URL", 2, policy_file, "compose", "x", LAUNCHPLANE_DATABASE_URL="")
    for text, told in (("[[github_actions]]\n", "repository"), ("schema_version = 1\n", "authz_policy_grant.write"), ("x", "policy")):
        policy_file.write_text(text)
        refused(told, 2, policy_file, "compose", "x")
    assert len(plane.doubles.dokploy.requests) == calls
    policy_file.write_text(TEXT)
    assert sync(plane, policy_file, "compose", "nothing").code == 1


# ---- authz-policies test ----

WORKFLOW = {"type": "github_actions", "repository": "example-org/odoo-tenant-shop", "workflow_ref": "w"}
ASKED = {"action": "authz_policy_grant.write", "product": "launchplane", "context": "launchplane"}


def tried(policy_file, tmp_path, *lines, words=()):
    cases = tmp_path / "cases.jsonl"
    cases.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    files = ("--policy-file", str(policy_file)) if policy_file else ()
    return bare("authz-policies", "test", *files, "--cases", str(cases), *words)


def test_cases_are_decided(policy_file, tmp_path):
    stranger = {**WORKFLOW, "repository": "example-org/stranger"}
    done = tried(policy_file, tmp_path, {"caller": WORKFLOW, **ASKED, "expect": True}, "", {"caller": stranger, **ASKED, "expect": False},
                 {"caller": WORKFLOW, **ASKED, "context": "other"})
    assert done.code == 0, done
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"line": 1, "allowed": True, "reason": "rule", "as_expected": True},
        {"line": 3, "allowed": False, "reason": "no_rule", "as_expected": True}, {"line": 4, "allowed": False, "reason": "contexts"}]
    (line,) = tried(policy_file, tmp_path, {"caller": WORKFLOW, **ASKED}, words=("--explain",)).out.splitlines()
    assert json.loads(line)["explanation"]["rule"]["repository"] == WORKFLOW["repository"]


def test_a_case_that_is_not_as_expected_fails(policy_file, tmp_path):
    done = tried(policy_file, tmp_path, {"caller": WORKFLOW, **ASKED, "expect": False}, {"caller": WORKFLOW, **ASKED, "expect": True})
    assert (done.code, "1 of 2" in done.err, json.loads(done.out.splitlines()[0])["as_expected"]) == (1, True, False)


def test_a_line_may_bring_another_policy(tmp_path):
    nothing = {"policy": {"schema_version": 1}}
    done = tried(None, tmp_path, {"policy": {"github_actions": [ADMIN]}}, {"caller": WORKFLOW, **ASKED}, nothing, {"caller": WORKFLOW, **ASKED})
    assert [json.loads(line)["allowed"] for line in done.out.splitlines()] == [True, False]


@pytest.mark.parametrize("line, told", [
    ("{", "line 1"), ("[]", "JSON object"), ({}, "caller"), ({"caller": {"type": "root"}, **ASKED}, "caller.type"),
    ({"caller": {"type": "local_admin", "subject": "x"}, **ASKED}, "token_label"), ({"caller": {"type": 1}, **ASKED}, "caller.type"),
    ({"caller": {"type": "github_human", "login": "x", "role": "owner"}, **ASKED}, "caller.role"),
    ({"caller": {"type": "github_human", "login": "x", "role": "admin", "teams": "x"}, **ASKED}, "caller.teams"),
    ({"caller": {**WORKFLOW, "repository": ""}, **ASKED}, "repository"),
    ({"caller": {**WORKFLOW, "sub": "repo:evil/x:pull_request"}, **ASKED}, "sub names another repository"),
    ({"caller": WORKFLOW, **ASKED, "action": " "}, "action"), ({"caller": WORKFLOW, **ASKED, "product": None}, "product"),
    ({"caller": WORKFLOW, **ASKED, "expect": "yes"}, "expect"), ({"caller": WORKFLOW, **ASKED, "instance": "x"}, "instance"),
    ({"policy": {"github_actions": [{}]}}, "github_actions[0].repository")], ids=str)
def test_a_bad_case_names_its_place(policy_file, tmp_path, line, told):
    done = tried(policy_file, tmp_path, line)
    assert (done.code, done.out, told in done.err) == (2, "", True), done


def test_cases_need_a_policy_and_a_file(policy_file, tmp_path):
    assert "--policy-file" in tried(None, tmp_path, {"caller": WORKFLOW, **ASKED}).err
    assert bare("authz-policies", "test", "--policy-file", str(policy_file)).code == 2
    assert bare("authz-policies", "test", "--policy-file", str(policy_file), "--cases", str(tmp_path / "none")).code == 2
    policy_file.write_text("x")
    assert tried(policy_file, tmp_path, {"caller": WORKFLOW, **ASKED}).code == 1
