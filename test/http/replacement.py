"""Shorthand for the main job."""
from checks import assert_accepted, assert_ok

PLAN = "/v1/drivers/odoo/target-replacement-plan"
APPLY = "/v1/drivers/odoo/target-replacement-apply"
ID = "odoo_stable_target_replacement_operation_id"


def plan(plane, lane, **changes):
    body = assert_accepted(plane.post(PLAN, lane.plan_request(**changes)))
    assert body["records"] == {}
    return body["result"]


def submit(plane, lane, key="replace-1", **changes):
    """The operation's id."""
    return assert_accepted(plane.post(APPLY, lane.replacement(**changes), key=key))["records"][ID]


def replace(plane, lane, key="replace-1", **changes):
    """The finished operation."""
    return plane.finish(submit(plane, lane, key, **changes))


def read(plane, path):
    return assert_ok(plane.get(path))


def deployment_of(plane, operation):
    return read(plane, f"/v1/deployments/{operation['deployment_record_id']}")["record"]


def inventory_of(plane, lane):
    return read(plane, f"/v1/inventory/{lane.context}/{lane.instance}")["record"]


def env_of(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
