"""The script that post-deploy gives to the provider, really run by bash against a fake docker. odoo 8.3."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

from lane_work import scripts
from rehearsal.waiting import wait_until
from replacement import replace

SCRIPTS = sorted((pathlib.Path(__file__).resolve().parents[1] / "golden").glob("*.sh"))
TEMPLATES = pathlib.Path(__file__).resolve().parents[2] / "drivers" / "odoo" / "templates"
FAKE = pathlib.Path(__file__).with_name("fake_docker.py")


@pytest.fixture(scope="module")
def script(shared_lane):
    """(script, compose project) of a replacement that passed; the lane is this module's own."""
    plane = shared_lane.plane
    operation = replace(plane, shared_lane)
    assert operation["status"] == "pass", operation
    dokploy = plane.doubles.dokploy
    row = next(iter(dokploy.state.schedules.values()))
    return row["script"], dokploy.compose(shared_lane.compose_id)["appName"]


class Host:
    def __init__(self, directory, script, project):
        self.directory, self.script = directory, script
        env = {"ODOO_DB_NAME": "shop_testing", "ODOO_DB_USER": "odoo", "ODOO_DB_PASSWORD": "a-password"}
        self.world = {
            "project": project,
            "services": {name: {"running": True, "env": env} for name in ("web", "database", "script-runner")},
        }
        (directory / "docker").symlink_to(FAKE)

    def run(self):
        (self.directory / "world.json").write_text(json.dumps(self.world))
        env = {"PATH": f"{self.directory}:{os.environ['PATH']}", "FAKE_DOCKER": str(self.directory)}
        # Dokploy puts a line of its own before the script.
        text = 'echo "PID: $$, Schedule ID: x"\n' + self.script
        done = subprocess.run(["bash", "-c", text], env=env, text=True, capture_output=True, timeout=300, check=False)
        self.world = json.loads((self.directory / "world.json").read_text())
        return done

    def calls(self):
        return [json.loads(line) for line in (self.directory / "calls.jsonl").read_text().splitlines()]

    def web_runs_now(self):
        return json.loads((self.directory / "world.json").read_text())["services"]["web"]["running"]

    def runs(self, name):
        return self.world["services"][name]["running"]


@pytest.fixture
def host(tmp_path, script):
    return Host(tmp_path, *script)


def test_it_runs_the_workflow_while_web_is_stopped_and_starts_web_again(host):
    done = host.run()
    assert done.returncode == 0, done.stderr
    assert "odoo_instance_overrides_payload_present=true" in done.stdout.splitlines()
    assert host.world["web_ran_during_workflow"] is False
    assert host.runs("web")
    workflow = [call for call in host.calls() if "/volumes/scripts/run_odoo_data_workflows.py" in call]
    assert len(workflow) == 1
    assert workflow[0][-1] == "--post-deploy-maintenance"


def test_web_is_started_again_after_a_failed_workflow(host):
    host.world["workflow_exit"] = 3
    assert host.run().returncode != 0
    assert host.runs("web")


def test_web_is_started_again_after_a_sigkill(host):
    """No trap runs: the guard outlives the script."""
    host.world["kill_at"] = "run_odoo_data_workflows.py"
    assert host.run().returncode == -9
    wait_until(host.web_runs_now, "the guard to start web")


def test_a_stopped_web_is_not_stopped_again(host):
    """It is stopped only if it ran; it runs in any case when the script ends."""
    host.world["services"]["web"]["running"] = False
    done = host.run()
    assert ["stop", "web-id"] not in host.calls()
    assert done.returncode == 0, done.stderr
    assert host.runs("web")


def test_a_workflow_that_still_runs_is_left_alone(host):
    """A run that the provider lost sight of may still be at work."""
    host.world["process"] = "odoo 7 python3 -u /volumes/scripts/run_odoo_data_workflows.py --post-deploy-maintenance"
    done = host.run()
    assert done.returncode != 0
    assert "still running" in done.stderr
    assert not any(call[0] == "stop" for call in host.calls())
    assert not any("/volumes/scripts/run_odoo_data_workflows.py" in call for call in host.calls())


@pytest.mark.parametrize("name", ["database", "script-runner"])
def test_a_stopped_helper_is_started(host, name):
    host.world["services"][name]["running"] = False
    assert host.run().returncode == 0
    assert ["start", f"{name}-id"] in host.calls()


@pytest.mark.parametrize("name", ["web", "database", "script-runner"])
def test_a_missing_container_ends_it(host, name):
    del host.world["services"][name]
    done = host.run()
    assert done.returncode != 0
    assert name in done.stderr
    assert not any(call[0] == "stop" for call in host.calls())


def test_another_project_is_left_alone(host):
    host.world["project"] = "somebody-elses"
    assert host.run().returncode != 0
    assert {call[0] for call in host.calls()} == {"ps"}


def test_a_missing_key_is_named(host):
    host.world["services"]["script-runner"]["env"] = {}
    done = host.run()
    assert done.returncode != 0
    assert "ODOO_DB_NAME" in done.stderr
    assert host.runs("web")


def test_an_unstartable_web_is_a_failure(host):
    host.world["start_fails"] = True
    assert host.run().returncode != 0


def test_no_secret_stands_in_the_script(host, shared_lane):
    assert not any(value in host.script for value in shared_lane.secret_values())


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_each_rendered_script_is_bash(path):
    """A golden file for each script that is rendered, and a shell that reads it."""
    subprocess.run(["bash", "-n", str(path)], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "--shell=bash", "--severity=warning", str(path)], check=True)


def test_each_template_has_golden_files():
    """lane_host.sh.in is what the others begin with"""
    kinds = {path.name.removesuffix(".in").split(".")[0] for path in TEMPLATES.glob("*.in")} - {"lane_host"}
    golden = [path.name for path in TEMPLATES.parents[2].joinpath("test", "golden").iterdir()]
    assert kinds == {kind for kind in kinds if any(name.startswith(kind) for name in golden)}
    assert {"data_workflow_bootstrap.sh", "data_workflow_maintenance.sh", "data_workflow_restore.sh"} <= set(golden)


def test_what_is_sent_to_the_host_is_bash(plane, lane):
    assert replace(plane, lane)["status"] == "pass"
    for script in scripts(plane):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    assert scripts(plane)
