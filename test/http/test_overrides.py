"""Typed Odoo settings: what workflows and operators may write, and what is shown of it. odoo 9"""
import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli
from lane_work import post_deploy, put_overrides, stored_overrides

PARAMETER = "/v1/drivers/odoo/config-parameter-override"
WEBSITE = "/v1/drivers/odoo/website-bootstrap-override"
OPERATOR = "/v1/odoo-overrides"
LANE = {"context": "shop", "instance": "testing"}


def parameter(lane, **changes):
    return {"product": lane.product, "override": {
        "product": lane.product, **LANE, "key": "web.base.url", "value": "https://shop.example.com", **changes}}


def website(lane, **site):
    return {"product": lane.product, "override": {"product": lane.product, **LANE, "website_bootstrap": site}}


def test_a_workflow_writes_the_base_url(plane, lane):
    """OVR-11 to 17; odoo 1.1: the records are the result"""
    answer = assert_accepted(plane.post(PARAMETER, parameter(lane), key="k"))
    assert answer["result"] == {**LANE, "config_parameter_keys": ["web.base.url"]}
    assert answer["records"] == {**LANE, "config_parameter_keys": "web.base.url"}
    record = stored_overrides(plane)
    assert record["config_parameters"] == [
        {"key": "web.base.url", "value": {"source": "literal", "value": "https://shop.example.com", "secret_binding_id": ""}}]
    assert record["apply_on"] == ["deploy", "promotion"]
    assert record["source_label"] == "launchplane-service"
    again = assert_accepted(plane.post(PARAMETER, parameter(lane), key="k"))
    assert again["replayed"] is True
    assert (again["result"], again["records"]) == (answer["result"], answer["records"])
    assert_rejected(plane.post(PARAMETER, parameter(lane, value="https://x"), key="k"), 409, "idempotency_key_reused")


def test_it_joins_what_is_there_and_reaches_the_lane(plane, lane):
    put_overrides(plane, apply_on=["manual"], last_apply={
        "attempted": True, "status": "pass", "applied_at": "2026-01-01T00:00:00Z", "detail": ""})
    answer = assert_accepted(plane.post(PARAMETER, parameter(lane)))
    assert answer["result"]["config_parameter_keys"] == ["mail.catchall.alias", "web.base.url"]
    assert answer["records"]["config_parameter_keys"] == "mail.catchall.alias,web.base.url"
    record = stored_overrides(plane)
    assert record["apply_on"] == ["manual", "deploy", "promotion"]
    assert record["last_apply"] == {"attempted": False, "status": "skipped", "applied_at": "", "detail": ""}
    assert record["website_bootstrap"]["name"] == "Shop" and len(record["addon_settings"]) == 1
    assert post_deploy(plane, lane)["result"]["override_count"] == 3


@pytest.mark.parametrize("change, path", [
    ({"key": "mail.catchall.domain"}, "override.key"), ({"value": " "}, "override.value"), ({"product": "other"}, "override.product"),
    ({"instance": ""}, "override.instance"), ({"secret_binding_id": "x"}, "override.secret_binding_id"),
], ids=str)
def test_all_inputs_are_given_and_the_key_is_the_one(shared_plane, shared_lane, change, path):
    """OVR-12, 14"""
    assert_rejected(shared_plane.post(PARAMETER, parameter(shared_lane, **change)), 400, "invalid_request", path)


def test_only_the_products_own_lanes(shared_plane, shared_lane):
    """OVR-13, 15"""
    answer = shared_plane.post(PARAMETER, parameter(shared_lane, context="other"))
    assert_rejected(answer, 403, "product_driver_mismatch")


def test_a_workflow_writes_the_website(plane, lane):
    answer = assert_accepted(plane.post(WEBSITE, website(lane, name="Shop", homepage_url="/shop")))
    assert answer["result"] == {**LANE, "website_bootstrap": True}
    assert answer["records"] == {**LANE, "website_bootstrap": "true"}
    assert stored_overrides(plane)["website_bootstrap"]["homepage_url"] == "/shop"
    assert_rejected(plane.post(WEBSITE, website(lane, homepage_url="shop")), 400, "invalid_request",
                    "override.website_bootstrap.homepage_url")
    assert_rejected(plane.post(WEBSITE, website(lane, tenant="shop")), 400, "invalid_request", "override.website_bootstrap")


def operator(plane, path, **body):
    return plane.post(f"{OPERATOR}/{path}", {**LANE, **body})


@pytest.mark.parametrize("path, body", [
    ("config-parameters", {"key": "shop.api_token"}), ("config-parameters", {"key": "mail.Password"}),
    ("addon-settings", {"addon": "authentik", "setting": "client_secret"}), ("addon-settings", {"addon": "a", "setting": "access-key"}),
])
def test_names_like_secrets_need_a_binding(plane, lane, path, body):
    """OVR-08, 09"""
    refused = assert_rejected(operator(plane, path, **body, value="in plain text"), 400, "invalid_request", "value")
    assert "secret_binding_id" in refused["error"]["message"]
    assert plane.query("SELECT 1 FROM launchplane_odoo_instance_overrides") == []
    assert_accepted(operator(plane, path, **body, secret_binding_id="binding-7"))
    assert_rejected(operator(plane, path, **body), 400, "invalid_request", "value")
    assert_rejected(operator(plane, path, **body, value=1, secret_binding_id="binding-7"), 400, "invalid_request", "value")


def test_list_and_show_tell_keys_and_counts_but_no_values(plane, lane):
    """OVR-04 to 06"""
    plane.secrets += ["literal-nobody-may-see", "binding-nobody-may-see"]
    assert_accepted(operator(plane, "config-parameters", key="b.two", secret_binding_id="b7"))
    assert_accepted(operator(plane, "config-parameters", key="A.One", value=True))
    assert_accepted(operator(plane, "addon-settings", addon="Shopify", setting="api_version", value="2026-01", source_label="me"))
    summary = assert_ok(plane.get(f"{OPERATOR}/shop/testing"))["record"]
    assert summary == {
        **LANE, "updated_at": summary["updated_at"], "source_label": "me", "apply_on": ["deploy", "promotion"],
        "last_apply_status": "skipped", "last_apply_at": "", "config_parameter_keys": ["a.one", "b.two"],
        "addon_settings": ["shopify.api_version"], "config_parameter_count": 2, "addon_setting_count": 1, "website_bootstrap": False}
    listed = assert_ok(plane.get(OPERATOR))
    assert (listed["count"], listed["records"]) == (1, [summary])
    assert_rejected(plane.get(f"{OPERATOR}/shop/prod"), 404, "not_found")


def test_mark_apply(plane, lane):
    """OVR-07"""
    assert_rejected(operator(plane, "apply-status", status="pass"), 404, "not_found")
    put_overrides(plane)
    answer = assert_accepted(operator(plane, "apply-status", status="pass", detail="by hand"))
    assert answer["result"]["last_apply_status"] == "pass" and answer["result"]["last_apply_at"]
    answer = assert_accepted(operator(plane, "apply-status", status="skipped"))
    assert (answer["result"]["last_apply_status"], answer["result"]["last_apply_at"]) == ("skipped", "")


def test_a_write_while_a_run_ends_is_not_lost(plane, lane):
    """The run's last word is about the run alone."""
    put_overrides(plane)
    rule = plane.doubles.dokploy.on("GET", "deployment.readLogs").hold_before().times(1)
    body = {"product": lane.product, "post_deploy": LANE}
    operation_id = assert_accepted(plane.post("/v1/drivers/odoo/post-deploy", body, key="k", headers={"Prefer": "respond-async"}))[
        "records"]["operation_id"]
    plane.run_until(operation_id, rule.reached.is_set, "the run")
    assert_accepted(operator(plane, "config-parameters", key="new.one", value="kept"))
    rule.release()
    assert plane.finish(operation_id)["status"] == "pass"
    record = stored_overrides(plane)
    assert record["last_apply"]["status"] == "pass"
    assert "new.one" in [row["key"] for row in record["config_parameters"]]


def test_the_command_line(plane, lane):
    """OVR-02 to 07"""
    cli = Cli(plane)
    where = ("--context", "shop", "--instance", "testing")
    assert cli("odoo-overrides", "put-config-param", *where, "--key", "a.b", "--value", "c").code == 0
    setting = ("odoo-overrides", "put-addon-setting", *where, "--addon", "authentik", "--setting", "api_token")
    refused = cli(*setting, "--value", "plain")
    assert refused.code != 0 and "secret_binding_id" in refused.err
    assert cli(*setting, "--secret-binding-id", "b1").code == 0
    assert cli("odoo-overrides", "mark-apply", *where, "--status", "fail", "--detail", "by hand").code == 0
    shown = cli("odoo-overrides", "show", "shop", "testing", "--json").json()
    assert shown["record"]["addon_settings"] == ["authentik.api_token"]
    listed = cli("odoo-overrides", "list")
    assert listed.code == 0 and "testing" in listed.out and "fail" in listed.out
