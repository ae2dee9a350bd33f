#!/usr/bin/python3
"""Runs the whole life of a product's lanes against the doubles, and prints the records of each step.

onboard, bootstrap testing, replace, backup gate, promote to prod, roll back (harmlessly and for real), promote again.
"""
import base64
import json
import os
import pathlib
import secrets
import shutil
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from double import Rehearsal  # noqa: E402
from rehearsal import policy, service  # noqa: E402
from rehearsal.api import Api, ok  # noqa: E402
from rehearsal.tenant import Life, Tenant  # noqa: E402

PATIENCE = 120
_pause = threading.Event()


def main():
    state_dir = tempfile.mkdtemp(prefix="lpd", dir="/tmp")
    os.chmod(state_dir, 0o755)              # PostgreSQL refuses to run as root; whoever it runs as has to get in here
    try:
        with Rehearsal() as doubles:
            return drill(doubles, state_dir)
    finally:
        shutil.rmtree(state_dir, ignore_errors=True)


def drill(doubles, state_dir):
    dokploy = doubles.dokploy
    dokploy.queue_seconds, dokploy.deploy_seconds, dokploy.schedule_seconds = 0.2, 0.5, 0.5
    log = []
    running = service.Service("--embedded-postgres", "--state-dir", state_dir, keep_log=log, settings={
        "LAUNCHPLANE_LISTEN": "127.0.0.1:0", "LAUNCHPLANE_OIDC_ISSUER": doubles.issuer.url,
        "LAUNCHPLANE_SERVICE_AUDIENCE": doubles.issuer.audience,
        "LAUNCHPLANE_MASTER_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "LAUNCHPLANE_POLICY_TOML": policy.for_lanes(),
    })
    try:
        api = Api(running.wait_until_ready(), doubles.issuer.mint)
        health = api.get("/v1/health", token=None).json()
        print(f"== the service stores in {health['storage_backend']}", flush=True)
        tenant = Tenant(doubles)
        tenant.create_in_dokploy()
        tenant.prepare(api)
        began = time.monotonic()
        for title, records in Life(tenant, api, lambda operation_id: finish(api, operation_id)).whole():
            print(f"\n== {title} ({time.monotonic() - began:.0f} s)", flush=True)
            for name, record in records.items():
                print(f"-- {name}\n{json.dumps(short(record, doubles), indent=2)}", flush=True)
        return verdict(tenant)
    except Exception:
        print("the service's last log lines:", *log[-10:], sep="\n", flush=True)
        raise
    finally:
        if running.runs():
            running.terminate()


def finish(api, operation_id):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        operation = ok(api.get(f"/v1/operations/{operation_id}"))["operation"]
        if operation["status"] in ("pass", "fail"):
            return operation
        _pause.wait(0.2)
    raise AssertionError(f"operation {operation_id} did not end within {PATIENCE} s")


def short(record, doubles, depth=0):
    """The texts and numbers of a record, and of its parts what tells how they ended."""
    shown = {}
    for name, value in record.items():
        if isinstance(value, dict) and depth == 0:
            part = short(value, doubles, 1)
            value = {key: part[key] for key in ("artifact_id", "status", "run_status", "readiness_status", "snapshot_name") if key in part}
        if isinstance(value, str):
            shown[name] = value.replace(f"{doubles.odoo.url}/", "https://")
        elif isinstance(value, (bool, int)) or (isinstance(value, dict) and depth == 0):
            shown[name] = value
    return {name: value for name, value in shown.items() if value not in ("", {}) and name != "schema_version"}


def verdict(tenant):
    dokploy = tenant.doubles.dokploy
    wrong = [f"web of {lane.target_name} does not run" for lane in tenant.lanes
             if not dokploy.running(lane.compose_id).web_running]
    if dokploy.running(tenant.prod.compose_id).services["web"].image != tenant.third.image:
        wrong.append("prod does not run the artifact that was promoted last")
    wrong += dokploy.defects
    print(f"\nFAIL: {'; '.join(wrong)}" if wrong else
          f"\nPASS: {tenant.third.artifact_id} runs on {tenant.prod.host}; web of both lanes runs", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
