"""The script that captures a backup gate, really run by bash against a fake docker. odoo 12"""
import json
import os
import pathlib
import subprocess

import pytest

from rehearsal.waiting import wait_until
from test_post_deploy_script import FAKE, Host

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "golden" / "backup_gate.sh"
DIRECTORY = "/volumes/data/backups/launchplane/shop_prod/gate-1"


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path, SCRIPT.read_text(), "shop-prod-abc123")


def commands(host):
    return [" ".join(call) for call in host.calls()]


def test_it_captures_both_while_web_is_stopped_and_says_so_last(host):
    done = host.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "backup captured"
    assert host.world["web_ran_during_dump"] is False
    assert host.runs("web")
    order = [next(i for i, text in enumerate(commands(host)) if part in text)
             for part in ("stop web", "pg_dump --format=custom", "tar -czf", "manifest.json", "mv --", "start web")]
    assert order == sorted(order)
    assert any("chmod 700" in text and f"{DIRECTORY}.partial" in text for text in commands(host))


FAILURES = {"the dump fails": {"dump_exit": 1}, "a file is empty": {"test_fails": "-s"}, "there is no filestore": {"test_fails": "-d"},
            "something is at work": {"process": "odoo 7 python3 /volumes/scripts/run_odoo_data_workflows.py"}}


@pytest.mark.parametrize("name", FAILURES)
def test_what_goes_wrong_is_no_backup_and_web_runs(host, name):
    host.world.update(FAILURES[name])
    done = host.run()
    assert done.returncode != 0
    assert "backup captured" not in done.stdout
    assert not any("mv --" in text for text in commands(host))
    assert host.runs("web")


STEPS = ["inspect --format {{.State.Running}} web", "stop web", "rm -rf -- \"$1\" && mkdir", "pg_dump", "shop_prod.dump", "tar -czf",
         "test -s", "stat -c", "manifest.json", "mv --"]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_is_no_backup_and_web_runs(host, step):
    """BKP-07, BKP-08, odoo 12: strict to the last command; the directory of the right name is a whole backup or is not there"""
    host.world["fails_at"] = step
    done = host.run()
    assert "backup captured" not in done.stdout and done.returncode != 0, (done.stdout, done.stderr)
    assert host.runs("web")
    if step != "mv --":
        assert not any("mv --" in text for text in commands(host))


@pytest.mark.parametrize("name", ["web", "database", "script-runner"])
def test_a_missing_container_touches_nothing(host, name):
    del host.world["services"][name]
    done = host.run()
    assert done.returncode != 0 and name in done.stderr
    assert not any(call[0] in ("stop", "exec") for call in host.calls())


@pytest.mark.parametrize("name", ["database", "script-runner"])
def test_a_stopped_helper_is_started(host, name):
    host.world["services"][name]["running"] = False
    assert host.run().returncode == 0
    assert ["start", f"{name}-id"] in host.calls()


def test_a_web_that_was_stopped_is_not_stopped_and_runs_in_the_end(host):
    host.world["services"]["web"]["running"] = False
    assert host.run().returncode == 0
    assert ["stop", "web-id"] not in host.calls() and host.runs("web")


def test_a_web_that_cannot_be_started_again_is_a_failure_although_all_is_captured(host):
    host.world["fails_at"] = "start web-id"
    done = host.run()
    assert done.returncode != 0 and "web could not be started again" in done.stderr


@pytest.mark.parametrize("point", ["stop web", "pg_dump", "tar -czf"])
def test_a_run_that_is_cancelled_starts_web_at_once(host, point):
    host.world.update(kill_at=point, signal="SIGTERM")
    done = host.run()
    assert done.returncode != 0 and "backup captured" not in done.stdout
    assert host.runs("web")


@pytest.mark.parametrize("point", ["stop web", "pg_dump", "tar -czf", "manifest.json"])
def test_web_is_started_again_after_a_sigkill(host, point):
    host.world["kill_at"] = point
    done = host.run()
    assert done.returncode == -9
    wait_until(host.web_runs_now, "the guard to start web", 30)
    assert json.loads((host.directory / "world.json").read_text())["services"]["web"]["running"]


def test_the_stand_in_loses_nothing_of_many_calls_at_once(tmp_path):
    """As a pipe and a guard make them: else these tests would fail now and then, for no fault of the script."""
    (tmp_path / "docker").symlink_to(FAKE)
    names = [f"service-{number}" for number in range(16)]
    (tmp_path / "world.json").write_text(json.dumps({"services": {name: {"running": True} for name in names}}))
    calls = [subprocess.Popen([tmp_path / "docker", "stop", f"{name}-id"], env={**os.environ, "FAKE_DOCKER": str(tmp_path)})
             for name in names]
    assert [call.wait() for call in calls] == [0] * len(names)
    services = json.loads((tmp_path / "world.json").read_text())["services"]
    assert [name for name in names if services[name]["running"]] == []
