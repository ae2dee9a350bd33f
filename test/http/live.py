"""Shorthand for bringing recorded values to a live target."""
import threading

from checks import assert_accepted
from rehearsal.waiting import wait_until

LIVE = "/v1/live-target-runtime/apply"
CONFIG = "/v1/product-config/apply"
PROFILES = "/v1/product-profiles"


def body(lane, mode="apply", **changes):
    return {"mode": mode, "product": lane.product, "context": lane.context, "instance": lane.instance, **changes}


def expect(plane, lane, *keys):
    """The profile also expects these runtime keys on the lane."""
    profile = lane.profile()
    profile["expected_config"]["runtime_environment_keys"] = [
        {"key": key, "context": lane.context, "instance": lane.instance} for key in keys]
    assert_accepted(plane.post(PROFILES, profile))


def record(plane, lane, environment=None, secrets=None):
    """Changes the records, not the target."""
    lane.environment.update(environment or {})
    lane.secrets.update(secrets or {})
    plane.secrets += list((secrets or {}).values())
    return assert_accepted(plane.post(CONFIG, lane.lane_config()))["result"]


def look(plane, lane):
    return assert_accepted(plane.post(LIVE, body(lane, "dry-run")))["result"]


def apply(plane, lane, key=None, **changes):
    return plane.post(LIVE, body(lane, **changes), key=key)


def apply_async(plane, lane, key):
    """Answered at once, with the operation as it is then."""
    return plane.post(LIVE, body(lane), key=key, headers={"Prefer": "respond-async"})


def beside(plane, lane, key, **changes):
    """An apply beside the test; the returned function waits for its answer, None when the service died."""
    answers = []

    def ask():
        try:
            answers.append(apply(plane, lane, key, **changes))
        except OSError:
            answers.append(None)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()

    def wait():
        thread.join(90)
        assert answers, "no answer came"
        return answers[0]
    return wait


def operation_of(plane):
    rows = plane.query("SELECT operation_id FROM launchplane_operations WHERE kind = 'live_target_runtime_apply'"
                       " ORDER BY created_at DESC LIMIT 1")
    return rows[0]["operation_id"] if rows else None


def operation_id_of(plane):
    return wait_until(lambda: operation_of(plane), "the operation to be there", 30)
