"""The Odoo driver's workflows: syntax, inputs, and their scripts run against the service. ODOO-09, 18..21, table 6."""
import http.server
import json
import os
import pathlib
import re
import subprocess
import threading

import pytest

from preview import Previews
from rehearsal.waiting import wait_until
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
    used = {word for step in steps(document) for value in step.get("env", {}).values() for word in re.findall(r"inputs\.(\w+)", value)}
    assert used == set(trigger(name)["inputs"])
    assert all(value["type"] in ("string", "number", "boolean", "choice") and value["description"] for value in trigger(name)["inputs"].values())


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


def script(name, step_id):
    return next(step["run"] for step in steps(load(name)) if step.get("id") == step_id)


def run(name, step_id, directory, **env):
    """(exit code, outputs) of a step as the runner would run it."""
    output = directory / "output"
    output.write_text("")
    settings = {"PATH": os.environ["PATH"], "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(directory / "summary"), "PAUSE": "0.2", **env}
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script(name, step_id)], cwd=directory, env=settings, text=True,
                          capture_output=True, check=False, timeout=120)
    return done.returncode, dict(line.split("=", 1) for line in output.read_text().splitlines()), done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given, product", [("", "odoo-tenant-cm-website"), ("mine", "mine")])
def test_the_product_is_resolved(tmp_path, name, given, product):
    """ODOO-18, ODOO-19"""
    assert run(name, "product", tmp_path, PRODUCT=given, CONTEXT="cm_website")[1] == {"product": product}


@needs_tools
def test_a_token_is_minted_and_masked(tmp_path):
    asked = []

    class Minter(http.server.BaseHTTPRequestHandler):
        def do_GET(self):                                   # noqa: N802
            asked.append((self.path, self.headers["Authorization"]))
            body = b'{"value": "the-token"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.HTTPServer(("127.0.0.1", 0), Minter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    code, outputs, said = run("odoo-preview", "token", tmp_path, ACTIONS_ID_TOKEN_REQUEST_TOKEN="runner", AUDIENCE="a b",
                              ACTIONS_ID_TOKEN_REQUEST_URL=f"http://127.0.0.1:{server.server_address[1]}/t?v=1")
    server.shutdown()
    server.server_close()
    assert (code, outputs) == (0, {"token": "the-token"}) and "::add-mask::the-token" in said
    assert asked == [("/t?v=1&audience=a%20b", "Bearer runner")]


def ask(name, plane, lane, directory, **env):
    return run(name, "ask", directory, TOKEN=plane.token(), SERVICE_URL=plane.url, PRODUCT=lane.product, CONTEXT=lane.context, **env)


def while_time_passes(plane, work):
    """What work returns; the service's clock moves meanwhile."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def over():
        plane.pass_time(seconds=1)
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
    code, _, said = while_time_passes(plane, lambda: run(
        "odoo-preview", "ask", tmp_path, TOKEN=plane.token(), SERVICE_URL=plane.url, PRODUCT=lane.product, CONTEXT=lane.context,
        OPERATION="destroy", MANIFEST="", **{**common, "GITHUB_RUN_ID": "2"}))
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


@needs_tools
def test_a_lane_is_planned_deployed_and_told(plane, lane, tmp_path):
    env = {"INSTANCE": "testing", "ARTIFACT_ID": lane.new.artifact_id, "SOURCE_GIT_REF": lane.new.source_commit}
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


@needs_tools
def test_a_bootstrap_that_is_not_allowed_fails(plane, lane, tmp_path):
    code, _, said = while_time_passes(plane, lambda: ask("odoo-stable-bootstrap", plane, lane, tmp_path, INSTANCE="testing", CONFIRMATION="yes"))
    assert code != 0, said


@needs_tools
def test_a_lane_is_brought_up_to_its_records(plane, lane, tmp_path):
    code, outputs, said = while_time_passes(plane, lambda: ask("odoo-post-deploy", plane, lane, tmp_path, INSTANCE="testing", PHASE="deploy"))
    assert code == 0, said
    assert outputs["transition"] == "odoo-post-deploy:shop:testing:deploy" and outputs["website_bootstrap_included"] == "false"
