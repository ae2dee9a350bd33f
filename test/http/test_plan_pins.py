"""Every plan has a digest, and every apply can pin it: whatever route it is, another plan is refused with what would happen now.

The routes come from the service's own description, so that a new one cannot be forgotten here.
"""
import pytest

import live
from checks import assert_accepted, assert_rejected
from rehearsal import policy as policies
from test_context_moves import CLEANUP, CUTOVER, cleanup, move, rules
from test_onboarding import manifest as onboarding_manifest
from test_target_setup import SETUP, body as setup_body, create, prune, reconcile

pytestmark = pytest.mark.policy(rules())

CONFIG = "/v1/product-config/apply"
BACKFILL = "/v1/provider-targets/operations"
ONBOARDING = "/v1/product-onboarding/apply"


def left_context(plane, lane):
    """The product has moved; its old context is to be cleaned."""
    assert_accepted(plane.post(CUTOVER, move(lane, mode="apply")))


def no_provider_row(plane, lane):
    plane.query("DELETE FROM launchplane_provider_targets")


def outdated_target(plane, lane):
    live.record(plane, lane, secrets={"ODOO_DB_PASSWORD": "rotated-password-of-the-lane"})


def backfill(lane, **changes):
    mode = "backfill-apply" if changes.pop("mode") == "apply" else "backfill-dry-run"
    return {"mode": mode, "product": "launchplane", "provider_id": "dokploy", "context": lane.context, "instance": lane.instance,
            "reason": "rehearsal", "confirmation": "APPLY PROVIDER TARGET BACKFILL", **changes}


# name: (route, what is there before, the body of a mode)
PAIRS = {
    "product config": (CONFIG, None, lambda lane, **c: {**lane.lane_config(), "runtime_env": {"A": "1"}, **c}),
    "live runtime": (live.LIVE, outdated_target, lambda lane, **c: live.body(lane, **c)),
    "adopt": (SETUP, None, lambda lane, **c: setup_body(lane, "adopt", target_id=lane.compose_id, target_type="compose", **c)),
    "create-compose": (SETUP, None, lambda lane, **c: create(lane, **c)),
    "create-application": (SETUP, None, lambda lane, **c: create(lane, "application", **c)),
    "reconcile-compose-domain": (SETUP, None, lambda lane, **c: reconcile(lane, "new.example.com", **c)),
    "prune-compose-domain": (SETUP, None, lambda lane, **c: prune(lane, lane.host, **c)),
    "backfill": (BACKFILL, no_provider_row, backfill),
    "onboarding": (ONBOARDING, None, lambda lane, **c: {"product": "launchplane", "manifest": onboarding_manifest(), **c}),
    "cutover": (CUTOVER, None, move),
    "cleanup": (CLEANUP, left_context, cleanup),
}


def pinned_routes(document):
    for path, operations in document["paths"].items():
        for kind in operations.get("post", {}).get("requestBody", {}).get("content", {}).values():
            if "plan_digest" in kind["schema"].get("properties", {}):
                yield path


def test_every_route_that_pins_is_here(shared_plane):
    document = shared_plane.get("/v1/openapi.json", token=None).json()
    assert set(pinned_routes(document)) == {path for path, _, _ in PAIRS.values()}


@pytest.mark.parametrize("name", PAIRS)
def test_another_plan_is_refused_with_a_fresh_one(plane, lane, name):
    path, prepare, body = PAIRS[name]
    if prepare:
        prepare(plane, lane)
    plan = assert_accepted(plane.post(path, body(lane, mode="dry-run")))["result"]
    digest = plan["plan_digest"]
    assert len(digest) == 64 and digest == assert_accepted(plane.post(path, body(lane, mode="dry-run")))["result"]["plan_digest"]
    before, calls = plane.counts(), len(plane.doubles.dokploy.mutations())
    rejected = assert_rejected(plane.post(path, body(lane, mode="apply", plan_digest="0" * 64), key="other"), 409, "plan_changed")
    assert rejected["plan"] and "0" * 64 not in str(rejected["plan"])
    after = {table: rows for table, rows in plane.counts().items() if not table.startswith("launchplane_operation")}
    assert after == {table: rows for table, rows in before.items() if not table.startswith("launchplane_operation")}
    assert len(plane.doubles.dokploy.mutations()) == calls
    result = assert_accepted(plane.post(path, body(lane, mode="apply", plan_digest=digest), key="this"))["result"]
    assert result["plan_digest"] == digest
