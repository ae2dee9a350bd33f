"""Building an artifact with a devkit: what it needs, and the hand-over. OART-01..13, ODOO 14."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys

import pytest

from checks import assert_accepted, assert_rejected
from preview import Previews
from rehearsal import policy as policies
from rehearsal.service import BINARY
from rehearsal.waiting import wait_until
from test_audit import leaves

INPUTS = "/v1/drivers/odoo/artifact-publish-inputs"

DEVKIT = '''#!%s
"""Stands for the devkit: notes what it was given, does what the manifest says."""
import json, os, sys, time
order = json.load(open(sys.argv[sys.argv.index("--manifest") + 1]))
fd = os.environ.get("ODOO_DEVKIT_RUNTIME_ENVIRONMENT_FILE")
payload = open(fd).read() if fd else os.environ["ODOO_DEVKIT_RUNTIME_ENVIRONMENT_JSON"]
json.dump({"argv": sys.argv, "environ": dict(os.environ), "payload": json.loads(payload), "pid": os.getpid()}, open(order["notes"] + ".new", "w"))
os.rename(order["notes"] + ".new", order["notes"])
print("step 1: building", flush=True)
print("using", json.loads(payload)["environment"]["ODOO_ADMIN_PASSWORD"], file=sys.stderr, flush=True)
time.sleep(order.get("sleep", 0))
if order.get("artifact") is not None:
    json.dump(order["artifact"], open(sys.argv[sys.argv.index("--output-file") + 1], "w"))
sys.exit(order.get("exit", 0))
''' % sys.executable


class Devkit:
    def __init__(self, plane, lane, folder):
        self.plane, self.lane, self.folder = plane, lane, folder
        self.program = folder / "devkit/.venv/bin/platform"
        self.program.parent.mkdir(parents=True)
        self.program.write_text(DEVKIT)
        self.program.chmod(0o755)
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.order()

    def order(self, **more):
        given = {"notes": str(self.folder / "notes.json"), "artifact": self.lane.new.manifest(), **more}
        (self.folder / "workspace.json").write_text(json.dumps(given))

    def start(self, *options, **given):
        flags = {"--context": self.lane.context, "--manifest": str(self.folder / "workspace.json"), "--devkit-root": str(self.folder / "devkit"),
                 "--image-repository": self.lane.new.repository, "--image-tag": "shop-1", **given}
        words = [word for flag, value in flags.items() if value is not None for word in (flag, value)]
        env = {"PATH": os.environ["PATH"], "PGHOST": "live-database.example.com", "DATABASE_URL": self.plane.database_url, "TMPDIR": str(self.temporary), "LAUNCHPLANE_DATABASE_URL": self.plane.database_url,
               "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": self.plane.master_key}
        return subprocess.Popen([str(BINARY), "odoo-artifacts", "publish", *words, *options], env=env, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def publish(self, *options, **given):
        """(exit code, standard output, standard error)"""
        process = self.start(*options, **given)
        out, err = process.communicate(timeout=60)
        for text in (out, err):
            assert not any(secret in text for secret in self.plane.secrets)
            assert "AddressSanitizer" not in text and "runtime error" not in text
        assert list(self.temporary.iterdir()) == []
        return process.returncode, out, err

    def notes(self):
        return json.loads((self.folder / "notes.json").read_text())

    def stored(self):
        rows = self.plane.query("SELECT payload FROM launchplane_artifact_manifests WHERE artifact_id = %s", self.lane.new.artifact_id)
        return rows[0]["payload"] if rows else None


@pytest.fixture
def devkit(plane, lane, tmp_path):
    plane.query("DELETE FROM launchplane_artifact_manifests")
    return Devkit(plane, lane, tmp_path)


def test_an_artifact_is_built_and_stored(devkit, lane):
    """OART-01..07, 12"""
    code, out, err = devkit.publish("--platform", "linux/amd64", "--platform", "linux/arm64", "--no-cache")
    assert code == 0, err
    result = json.loads(out)
    assert (result["status"], result["artifact_id"], result["image_digest"]) == ("pass", lane.new.artifact_id, lane.new.digest)
    assert devkit.stored()["image"]["digest"] == lane.new.digest
    words = devkit.notes()["argv"][1:]
    assert words[:2] == ["runtime", "publish"] and words[-5:] == ["--platform", "linux/amd64", "--platform", "linux/arm64", "--no-cache"]
    options = dict(zip(words[2::2], words[3::2]))
    assert (options["--instance"], options["--image-repository"], options["--image-tag"]) == ("testing", lane.new.repository, "shop-1")
    assert "step 1: building" in err and "using [redacted]" in err


def test_the_command_is_told_in_the_audit_log_as_the_route_is(devkit, lane, plane):
    """OART-12: who, by which command, which artifact of which lane"""
    assert_accepted(plane.post("/v1/drivers/odoo/artifact-publish", lane.publish(lane.new)))
    assert devkit.publish()[0] == 0
    by_route, = leaves(plane, type="request", action="odoo_artifact_publish.write")[-1:]
    by_command, = leaves(plane, type="command", action="odoo_artifact_publish.write")
    assert by_command["route"] == "odoo-artifacts publish"
    assert by_command["action"] == by_route["action"] and by_command["context"] == by_route["context"] == lane.context
    assert by_command["records"]["artifact_id"] == lane.new.artifact_id
    assert by_command["details"] == by_route["details"] == {"instance": "testing", "image_digest": lane.new.digest}
    assert by_command["caller"]["type"] == "command_line" and by_command["caller"]["user"]


@pytest.mark.parametrize("more", [{"exit": 3}, {"artifact": None}])
def test_what_stores_nothing_is_not_told_as_stored(devkit, plane, more):
    devkit.order(**more)
    assert devkit.publish()[0] == 1
    assert leaves(plane, type="command", action="odoo_artifact_publish.write") == []


def test_secrets_reach_the_devkit_and_nobody_else(devkit, lane, plane):
    """OART-08, OART-10, OART-13: neither arguments nor environment hold them, nor what the control plane itself works with"""
    assert devkit.publish()[0] == 0
    notes = devkit.notes()
    assert (notes["payload"]["context"], notes["payload"]["instance"]) == ("shop", "testing")
    environment = notes["payload"]["environment"]
    assert environment["ODOO_DB_NAME"] == "shop_testing" and environment["ODOO_ADMIN_PASSWORD"] == lane.secrets["ODOO_ADMIN_PASSWORD"]
    seen = json.dumps([notes["argv"], notes["environ"]])
    assert not any(secret in seen for secret in plane.secrets) and "LAUNCHPLANE_" not in seen and plane.database_url not in seen
    assert "live-database" not in seen
    assert not any(secret in path.read_text(errors="ignore") for secret in lane.secrets.values()
                   for path in devkit.folder.rglob("*") if path.is_file() and path.name != "notes.json")


def test_a_devkit_that_knows_only_its_environment_can_be_served(devkit):
    assert devkit.publish("--payload-in-environment")[0] == 0
    notes = devkit.notes()
    assert json.loads(notes["environ"]["ODOO_DEVKIT_RUNTIME_ENVIRONMENT_JSON"]) == notes["payload"]


def test_an_artifact_of_another_context_is_refused(devkit, lane):
    """OART-11"""
    devkit.order(artifact={**lane.new.manifest(), "artifact_id": "artifact-other-1"})
    code, out, err = devkit.publish()
    assert code == 1 and "artifact-shop-" in err and out == "" and devkit.stored() is None


@pytest.mark.parametrize("more, text", [
    ({"exit": 3}, "exit code 3"), ({"artifact": None}, "wrote no manifest"), ({"artifact": {"artifact_id": "x"}}, "source_commit")])
def test_a_devkit_that_fails_stores_nothing(devkit, more, text):
    devkit.order(**more)
    code, out, err = devkit.publish()
    assert code == 1 and text in err and out == "" and devkit.stored() is None


@pytest.mark.parametrize("given, text", [
    ({"--context": None}, "--context"), ({"--manifest": None}, "--manifest"), ({"--devkit-root": None}, "--devkit-root"),
    ({"--instance": "stage"}, "--instance"), ({"--manifest": "/nowhere"}, "/nowhere"), ({"--image-tag": None}, "--product"),
    ({"--context": "nobody"}, "nobody")])
def test_wrong_usage_is_named_and_runs_nothing(devkit, given, text):
    code, out, err = devkit.publish(**given)
    assert code != 0 and text in err and not (devkit.folder / "notes.json").exists()


def test_secrets_must_be_safe_for_the_lane(devkit, plane, lane):
    policy = lane.key_safety()
    for rule in policy["rules"]:
        rule["secret_class"] = "prod_only"
    assert_accepted(plane.post("/v1/runtime-key-safety/policies/apply", policy))
    code, _, err = devkit.publish()
    assert code == 1 and "key-safety" in err and not (devkit.folder / "notes.json").exists()


def test_metadata_comes_from_the_profile(devkit, plane, lane):
    """OART-09"""
    Previews(plane, lane).prepare()
    code, _, err = devkit.publish("--product", lane.product, "--pr-number", "7", "--source-git-ref", "0123456789abcdef",
                                  **{"--image-repository": None, "--image-tag": None})
    assert code == 0, err
    words = devkit.notes()["argv"]
    assert words[words.index("--image-tag") + 1] == "shop-pr-7-01234567-amd64"
    assert words[words.index("--image-repository") + 1] == lane.new.repository


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_devkit_too(devkit, how):
    devkit.order(sleep=600)
    process = devkit.start()
    wait_until(lambda: (devkit.folder / "notes.json").exists(), "the devkit")
    child = devkit.notes()["pid"]
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + how and "interrupted" in err
    wait_until(lambda: not pathlib.Path(f"/proc/{child}").exists(), "the devkit's end")
    assert devkit.stored() is None and list(devkit.temporary.iterdir()) == []


def test_the_manifest_can_be_kept(devkit, tmp_path):
    kept = tmp_path / "kept.json"
    assert devkit.publish(**{"--output-file": str(kept)})[0] == 0
    assert json.loads(kept.read_text())["artifact_id"] and stat.S_ISREG(kept.stat().st_mode)


# the route

def inputs(plane, lane, key=None, product=None, **changes):
    return plane.post(INPUTS, {"product": product or lane.product, "inputs": {"context": lane.context, **changes}}, key=key)


BOTH = policies.for_lanes((policies.PRODUCT, policies.CONTEXT), ("odoo", policies.CONTEXT))


@pytest.mark.policy(BOTH)
def test_inputs_are_told_without_secrets(plane, lane):
    lane.environment["ODOO_VERSION"] = "18.0"
    assert_accepted(plane.post("/v1/product-config/apply", lane.lane_config()))
    body = assert_accepted(inputs(plane, lane, source_git_ref="0123456789abcdef"), image_tag="shop-01234567-amd64", instance="testing")
    result = body["result"]
    assert result["environment"] == {"ODOO_VERSION": "18.0"}
    assert (result["product"], result["image_repository"]) == (lane.product, lane.new.repository)
    assert {name: value for name, value in body["records"].items() if name != "environment"} == {
        name: value for name, value in result.items() if name != "environment"}
    assert json.loads(body["records"]["environment"]) == result["environment"]      # records are texts
    assert assert_accepted(inputs(plane, lane, isolated=True))["result"]["image_tag"] == "shop-isolated-amd64"
    assert assert_accepted(inputs(plane, lane, product="odoo"))["result"]["image_repository"] == ""


def test_inputs_of_a_pull_request_have_its_slug(plane, lane):
    Previews(plane, lane).prepare()
    body = assert_accepted(inputs(plane, lane, pr_number=7, source_git_ref="0123456789abcdef"))
    assert (body["result"]["preview_slug"], body["result"]["image_tag"]) == ("pr-7", "shop-pr-7-01234567-amd64")
    assert_rejected(inputs(plane, lane, pr_number=7, preview_slug="pr-8"), 400, "invalid_request", "preview_slug")


@pytest.mark.policy(BOTH)
def test_inputs_are_replayed_and_checked(plane, lane):
    first = assert_accepted(inputs(plane, lane, key="k"))
    again = assert_accepted(inputs(plane, lane, key="k"))
    assert again["replayed"] is True and again["result"] == first["result"]
    assert_rejected(inputs(plane, lane, key="k", isolated=True), 409, "idempotency_key_reused")
    assert_rejected(inputs(plane, lane, instance="stage"), 400, "invalid_request", "instance")
    assert_rejected(inputs(plane, lane, product="odoo", pr_number=1), 400, "invalid_request", "product")
    assert_rejected(inputs(plane, lane, instance="prod"), 403, "product_driver_mismatch")
    plane.query("DELETE FROM launchplane_runtime_environments")
    assert_rejected(inputs(plane, lane), 404, "driver_route_dependency_not_found")
