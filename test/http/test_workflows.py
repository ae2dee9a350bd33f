"""The manual workflows: their syntax and inputs, and that their scripts ask the service for what it understands. PTGT-17, PENV, CUT-02, CUT-24."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

FOLDER = pathlib.Path(__file__).parents[2] / ".github/workflows"
WORKFLOWS = {
    "provider-target-operations": ("Provider Target Operations", {"mode", "routes", "reason", "confirmation"}, {"mode", "routes"}),
    "product-environment-evidence": ("Product Environment Evidence", {"environments"}, {"environments"}),
    "product-context-cutover": ("Product Context Cutover",
                                {"product", "source_context", "target_context", "display_name", "dry_run", "plan_digest", "reason"},
                                {"product", "source_context", "target_context", "display_name", "dry_run"}),
    "product-legacy-context-cleanup": ("Product Legacy Context Cleanup",
                                       {"product", "source_context", "target_context", "dry_run", "plan_digest", "reason"},
                                       {"product", "source_context", "target_context", "dry_run"}),
}
needs_tools = pytest.mark.skipif(not (shutil.which("jq") and shutil.which("curl")), reason="jq and curl run the scripts")


def load(name):
    document = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    document["on"] = document.pop(True, None) or document["on"]           # YAML reads on as a truth value
    return document


def steps(document):
    (job,) = document["jobs"].values()
    return job["steps"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_is_manual_and_has_its_inputs(name):
    title, inputs, required = WORKFLOWS[name]
    document = load(name)
    assert document["name"] == title
    assert list(document["on"]) == ["workflow_dispatch"]
    found = document["on"]["workflow_dispatch"]["inputs"]
    assert set(found) == inputs and {key for key, value in found.items() if value["required"]} == required
    for key in ("product", "source_context", "target_context", "display_name"):
        assert "default" not in found.get(key, {})                        # CUT-03
    assert found.get("dry_run", {}).get("default", True) is True          # CUT-08
    assert document["permissions"] == {"contents": "read", "id-token": "write"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_scripts_are_shell_and_take_no_input_as_code(name):
    for step in steps(load(name)):
        script = step.get("run", "")
        assert "${{" not in script, "an input in a script is code"
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    used = {word for step in steps(load(name)) for value in step.get("env", {}).values() for word in re.findall(r"inputs\.(\w+)", value)}
    assert used == WORKFLOWS[name][1]


def run_script(name, step_name, plane, directory, **env):
    """The step as the runner would run it; returns its exit code."""
    script = next(step["run"] for step in steps(load(name)) if step["name"] == step_name)
    settings = {"PATH": os.environ["PATH"], "TOKEN": plane.token(), "SERVICE_URL": plane.url, "GITHUB_RUN_ID": "1", "GITHUB_RUN_ATTEMPT": "1",
                "GITHUB_STEP_SUMMARY": str(directory / "summary"), **env}
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=directory, env=settings, text=True, capture_output=True, check=False)
    return done.returncode


@needs_tools
def test_provider_target_operations_fail_unless_every_lane_is_ok(plane, lane, tmp_path):
    def run(mode, *routes, reason="", confirmation=""):
        return run_script("provider-target-operations", "Ask for each lane", plane, tmp_path, MODE=mode, REASON=reason,
                          CONFIRMATION=confirmation, ROUTES=json.dumps([{"context": c, "instance": i} for c, i in routes]))

    assert run("audit", ("shop", "testing")) == 0
    assert run("audit", ("shop", "testing"), ("shop", "prod")) == 1
    plane.query("DELETE FROM launchplane_provider_targets")
    assert run("audit", ("shop", "testing")) == 1
    assert run("backfill-apply", ("shop", "testing")) == 1
    assert run("backfill-apply", ("shop", "testing"), reason="phase two", confirmation="APPLY PROVIDER TARGET BACKFILL") == 0
    answer = json.loads((tmp_path / "artifact/shop-testing.json").read_text())
    assert answer["result"]["report"]["counts"] == {"created": 1}


@needs_tools
@pytest.mark.parametrize("mode, routes, reason, phrase, good", [
    ("audit", '[{"context": "a", "instance": "b"}]', "", "", True),
    ("audit", '[]', "", "", False), ("audit", 'x', "", "", False), ("audit", '[{"context": "a"}]', "", "", False),
    ("backfill-apply", '[{"context": "a", "instance": "b"}]', "why", "APPLY PROVIDER TARGET BACKFILL", True),
    ("backfill-apply", '[{"context": "a", "instance": "b"}]', " ", "APPLY PROVIDER TARGET BACKFILL", False),
    ("backfill-apply", '[{"context": "a", "instance": "b"}]', "why", "apply", False),
])
def test_inputs_are_checked_before_anything_is_asked(tmp_path, mode, routes, reason, phrase, good):
    script = steps(load("provider-target-operations"))[0]["run"]
    env = {"PATH": os.environ["PATH"], "MODE": mode, "ROUTES": routes, "REASON": reason, "CONFIRMATION": phrase}
    done = subprocess.run(["bash", "-e", "-c", script], env=env, cwd=tmp_path, capture_output=True, check=False)
    assert (done.returncode == 0) is good


@needs_tools
def test_cutover_and_cleanup_reach_their_routes(plane, lane, tmp_path):
    env = {"PRODUCT": lane.product, "SOURCE_CONTEXT": "shop", "TARGET_CONTEXT": lane.product, "DISPLAY_NAME": "Shop", "PLAN_DIGEST": "",
           "REASON": "phase two", "DRY_RUN": "true"}

    def run(name, **changes):
        assert run_script(name, "Ask the service", plane, tmp_path, **{**env, **changes}) == 0
        return json.loads((tmp_path / "artifact/answer.json").read_text())["result"]

    reviewed = run("product-context-cutover")
    assert reviewed["applied"] is False
    assert run("product-context-cutover", DRY_RUN="false", PLAN_DIGEST=reviewed["plan_digest"])["applied"] is True
    assert run("product-legacy-context-cleanup")["blocked"] is False
    assert run("product-legacy-context-cleanup", DRY_RUN="false")["applied"] is True


class Answers:
    """Stands for the service's environment read model."""

    def __init__(self, by_path):
        import http.server
        import threading
        outer = by_path

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):                                   # noqa: N802
                body = json.dumps(outer.get(self.path, {})).encode()
                self.send_response(200 if self.path in outer else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def token(self):
        return "t"


def environment(trust, **more):
    return {"status": "ok", "environment": {
        "target": {"provider": "dokploy", "target_type": "compose", "target_id": "raw-target-id", "trust_state": trust}, "trust_state": "recorded",
        "runtime_settings": [{"env_keys": ["RAW_KEY"]}], "managed_secrets": [], "base_url": "https://raw.example.com", **more}}


@needs_tools
@pytest.mark.parametrize("second, code", [("recorded", 0), ("missing", 1), (None, 1)])
def test_environment_evidence_fails_closed_and_keeps_no_raw_answer(tmp_path, second, code):
    """PENV-04..08"""
    paths = {"/v1/products/shop/environments/testing": environment("recorded")}
    if second:
        paths["/v1/products/shop/environments/prod"] = environment(second)
    answers = Answers(paths)
    wanted = json.dumps([{"product": "shop", "environment": "testing"}, {"product": "shop", "environment": "prod"}])
    try:
        found = run_script("product-environment-evidence", "Read each environment", answers, tmp_path, ENVIRONMENTS=wanted)
    finally:
        answers.server.shutdown()
        answers.server.server_close()
    assert found == code
    assert os.listdir(tmp_path / "artifact") == ["evidence.json"]
    text = (tmp_path / "artifact/evidence.json").read_text()
    assert "raw" not in text.lower()
    evidence = json.loads(text)
    assert evidence["routes"] == ["/v1/products/shop/environments/testing", "/v1/products/shop/environments/prod"]
    assert set(evidence["environments"][0]) == {
        "product", "environment", "http_status", "provider", "target_type", "target_trust_state", "trust_state",
        "runtime_setting_count", "managed_secret_count", "warning_count"}
