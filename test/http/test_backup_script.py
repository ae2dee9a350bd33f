"""The script that captures a backup gate, really run by bash against a fake docker. odoo 12"""
import json
import pathlib

import pytest

from rehearsal.waiting import wait_until
from test_post_deploy_script import Host

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


@pytest.mark.parametrize("point", ["stop web", "pg_dump", "tar -czf", "manifest.json"])
def test_web_is_started_again_after_a_sigkill(host, point):
    host.world["kill_at"] = point
    done = host.run()
    assert done.returncode == -9
    wait_until(host.web_runs_now, "the guard to start web", 30)
    assert json.loads((host.directory / "world.json").read_text())["services"]["web"]["running"]
