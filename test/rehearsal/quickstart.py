#!/usr/bin/python3
"""Rehearses the main job: a workflow replaces an Odoo target and finds its deployment and inventory records.

The real service runs on a private PostgreSQL; Dokploy, the OIDC issuer and the Odoo endpoint are doubles.
"""
import argparse
import base64
import json
import os
import pathlib
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from double import Rehearsal  # noqa: E402
from rehearsal import policy, service  # noqa: E402
from rehearsal.api import Api, accepted, ok  # noqa: E402
from rehearsal.lane import Lane  # noqa: E402

TERMINAL = ("pass", "fail", "cancelled")
PATIENCE = 100
_pause = threading.Event()


def main():
    options = _options()
    # Ends like Ctrl-C, so that nothing stays behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    service.BINARY = options.binary
    state_dir = tempfile.mkdtemp(prefix="lpq", dir="/tmp")
    # PostgreSQL refuses to run as root; whoever it runs as has to get in here.
    os.chmod(state_dir, 0o755)
    try:
        with Rehearsal() as doubles:
            return Show(doubles, state_dir, options).run()
    except AssertionError as error:
        return verdict(False, str(error))
    finally:
        shutil.rmtree(state_dir, ignore_errors=True)


def _options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave everything up until Ctrl-C, print commands to try")
    parser.add_argument("--kill", action="store_true", help="SIGKILL the service in the middle of the operation")
    parser.add_argument("--binary", type=pathlib.Path, default=service.BINARY)
    return parser.parse_args()


class Show:
    def __init__(self, doubles, state_dir, options):
        self.doubles, self.state_dir, self.options = doubles, state_dir, options
        self.lane = Lane(doubles)
        self.log = []
        self.service = self.api = None
        self.began = time.monotonic()
        self.settings = {
            "LAUNCHPLANE_LISTEN": "127.0.0.1:0", "LAUNCHPLANE_OIDC_ISSUER": doubles.issuer.url,
            "LAUNCHPLANE_SERVICE_AUDIENCE": doubles.issuer.audience,
            "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "LAUNCHPLANE_POLICY_TOML": policy.for_lanes(),
        }

    def run(self):
        try:
            self.prepare()
            operation = self.replace_target()
            self.show_records(operation)
            code = self.judge(operation)
            if self.options.keep:
                self.keep()
            return code
        except Exception:
            self.say("the service's last log lines:", *self.log[-10:])
            raise
        finally:
            if self.service is not None and self.service.runs():
                self.service.terminate()

    # steps

    def prepare(self):
        dokploy = self.doubles.dokploy
        dokploy.queue_seconds, dokploy.deploy_seconds, dokploy.schedule_seconds = 1.0, 3.0, 1.5
        self.doubles.odoo.face(self.lane.host).start_seconds = 2.0
        self.say("doubles are up", f"Dokploy {dokploy.url}", f"OIDC issuer {self.doubles.issuer.url}",
                 f"Odoo {self.doubles.odoo.url}")
        self.lane.create_in_dokploy()
        self.start_service()
        self.say("creating the lane's records through the API")
        for title, path, body, key in self.lane.steps():
            accepted(self.api.post(path, body, key=key))
            self.note(f"{title}: POST {path}")

    def start_service(self):
        self.service = service.Service(
            "--embedded-postgres", "--state-dir", self.state_dir, settings=self.settings, keep_log=self.log)
        self.api = Api(self.service.wait_until_ready(), self.doubles.issuer.mint)
        self.say(f"service is ready at {self.api.url}")

    def replace_target(self):
        path = "/v1/drivers/odoo/target-replacement-apply"
        answer = accepted(self.api.post(path, self.lane.replacement(), key="quickstart-1"))
        operation_id = answer["records"]["odoo_stable_target_replacement_operation_id"]
        self.say(f"POST {path}", f"202 accepted, operation {operation_id}")
        return self.watch(operation_id)

    def watch(self, operation_id):
        """Shows each new event until the operation is over; with --kill ends the service once on the way."""
        shown, killed = 0, not self.options.kill
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            operation = ok(self.api.get(f"/v1/operations/{operation_id}"))["operation"]
            for event in operation["events"]:
                if event["seq"] > shown:
                    shown = event["seq"]
                    self.note(f"{event['phase'] or '':<22} {event['event']:<12} {_detail(event)}")
            if operation["status"] in TERMINAL:
                return operation
            if not killed and self.doubles.dokploy.deploys(self.lane.compose_id):
                killed = True
                self.kill_and_restart()
            _pause.wait(0.2)
        raise AssertionError(f"the operation did not end within {PATIENCE} s")

    def kill_and_restart(self):
        self.service.kill()
        self.say("the deploy runs: SIGKILL to the service's process group", "starting the service again")
        self.start_service()

    def show_records(self, operation):
        record_id = operation["deployment_record_id"]
        if record_id:
            self.show(f"/v1/deployments/{record_id}")
        self.show(f"/v1/inventory/{self.lane.context}/{self.lane.instance}")

    def show(self, path):
        self.say(f"GET {path}")
        print(json.dumps(ok(self.api.get(path))["record"], indent=2), flush=True)

    def judge(self, operation):
        dokploy = self.doubles.dokploy
        deploys = dokploy.deploys(self.lane.compose_id)
        snapshot = dokploy.running(self.lane.compose_id)
        wrong = []
        if operation["status"] != "pass":
            wrong.append(f"operation ended {operation['status']}: {operation.get('error_message')}")
        if deploys != 1:
            wrong.append(f"{deploys} deploys instead of one")
        if snapshot.services["web"].image != self.lane.new.image:
            wrong.append("the new image does not run")
        wrong += dokploy.defects
        if wrong:
            return verdict(False, "; ".join(wrong))
        how = ", although the service was killed on the way" if self.options.kill else ""
        return verdict(True, f"{self.lane.new.artifact_id} runs on {self.lane.host}, one deploy{how}")

    def keep(self):
        control = f"{self.doubles.dokploy.url}/_control"
        self.say("all of it stays up; Ctrl-C ends it. Things to try:")
        print(f"""
  export LAUNCHPLANE_SERVICE_URL={self.api.url}
  export LAUNCHPLANE_TOKEN=$(curl -s -X POST {control}/mint | /usr/bin/python3 -c 'import json,sys; print(json.load(sys.stdin)["token"])')
  curl -s $LAUNCHPLANE_SERVICE_URL/v1/health
  curl -s -H "Authorization: Bearer $LAUNCHPLANE_TOKEN" $LAUNCHPLANE_SERVICE_URL/v1/operations?product={self.lane.product}\\&context={self.lane.context}
  curl -s -H "Authorization: Bearer $LAUNCHPLANE_TOKEN" $LAUNCHPLANE_SERVICE_URL/v1/inventory/{self.lane.context}/{self.lane.instance}
  {self.options.binary} operations list --product {self.lane.product} --context {self.lane.context}
  curl -s {control}/state            # what the Dokploy double knows
  curl -s {control}/requests         # every call it got
  curl -s {self.lane.health_url}     # the lane itself
  curl -s -X POST {control}/faults -d '{{"method":"POST","procedure":"compose.deploy","lies":["deploy_error"],"times":1}}'
""", flush=True)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print()

    # printing

    def say(self, title, *lines):
        print(f"== {title}", flush=True)
        for line in lines:
            print(f"   {line}", flush=True)

    def note(self, line):
        print(f"   {time.monotonic() - self.began:6.1f} s  {line}", flush=True)


def _detail(event):
    detail = event.get("detail")
    return detail if isinstance(detail, str) else json.dumps(detail) if detail else ""


def verdict(good, text):
    print(f"{'PASS' if good else 'FAIL'}: {text}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
