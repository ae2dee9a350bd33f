"""Shorthand for the work on one lane besides replacement: bootstrap, post-deploy, overrides."""
import json

from checks import assert_accepted

BOOTSTRAP = "/v1/drivers/odoo/stable-bootstrap"
POST_DEPLOY = "/v1/drivers/odoo/post-deploy"
PHRASE = "build shop testing anew"
ASYNC = {"Prefer": "respond-async"}

OVERRIDES = {
    "schema_version": 1, "context": "shop", "instance": "testing", "apply_on": ["deploy", "promotion"],
    "config_parameters": [{"key": "mail.catchall.alias", "value": {"source": "literal", "value": "catchall"}}],
    "addon_settings": [{"addon": "shop_addon", "setting": "mode", "value": {"source": "literal", "value": True}}],
    "website_bootstrap": {"name": "Shop", "homepage_url": "/shop", "logo_path": "/logo.png", "canonical_url": "https://old"},
    "last_apply": {"attempted": False, "status": "skipped", "applied_at": "", "detail": ""},
    "updated_at": "2026-01-01T00:00:00Z", "source_label": "test",
}


def policies(lane, **changes):
    """The lane's policies under which it may be built anew."""
    return {
        "odoo_stable_bootstrap": {
            "enabled": True, "approval_issue_url": "https://github.com/example-org/shop/issues/7",
            "data_source_mode": "empty", "confirmation": PHRASE, "expected_target_name": lane.target_name,
            "expected_domains": [f"https://{lane.host.upper()}/"], "require_health_verification": True, **changes,
        },
        "odoo_data_policy": {"data_authority": "resettable", "allowed_rebuild_sources": ["empty"]},
    }


def bootstrap_request(lane, **changes):
    return {
        "product": lane.product,
        "bootstrap": {
            "product": lane.product, "context": lane.context, "instance": lane.instance, "confirmation": PHRASE, **changes,
        },
    }


def submit_bootstrap(plane, lane, key="bootstrap-1", **changes):
    answer = assert_accepted(plane.post(BOOTSTRAP, bootstrap_request(lane, **changes), key=key))
    return answer["records"]["odoo_stable_bootstrap_operation_id"]


def bootstrap(plane, lane, key="bootstrap-1", **changes):
    """The finished operation."""
    return plane.finish(submit_bootstrap(plane, lane, key, **changes))


def operated(plane, path, body, key):
    """The driver's answer of a route that waits: submitted without waiting, and asked again when it has ended."""
    submitted = assert_accepted(plane.post(path, body, key=key, headers=ASYNC))
    plane.finish(submitted["records"]["operation_id"])
    return assert_accepted(plane.post(path, body, key=key))


def post_deploy_request(lane, phase="deploy", product=None):
    return {
        "product": product or lane.product,
        "post_deploy": {"context": lane.context, "instance": lane.instance, "phase": phase},
    }


def post_deploy(plane, lane, phase="deploy", key="post-deploy-1"):
    return operated(plane, POST_DEPLOY, post_deploy_request(lane, phase), key)


def put_overrides(plane, instance="testing", **changes):
    record = {**OVERRIDES, "instance": instance, **changes}
    plane.query("INSERT INTO launchplane_odoo_instance_overrides (context, instance, updated_at, payload)"
                " VALUES ('shop', %s, %s, %s::json)", instance, record["updated_at"], json.dumps(record))


def stored_overrides(plane, instance="testing"):
    return plane.query("SELECT payload FROM launchplane_odoo_instance_overrides WHERE instance = %s", instance)[0]["payload"]


def mutations(plane):
    return [seen.procedure for seen in plane.doubles.dokploy.mutations()]


def scripts(plane):
    """Those sent to Dokploy, in order."""
    return [seen.sent["script"] for seen in plane.doubles.dokploy.requests if seen.procedure in ("schedule.create", "schedule.update")]
