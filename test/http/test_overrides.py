"""Typed Odoo settings: what workflows and operators may write, and what is shown of it. odoo 9"""
import json

import pytest

from checks import assert_accepted, assert_ok, assert_rejected
from cli import Cli, bare
from lane_work import post_deploy, put_overrides, stored_overrides
from replacement import replace

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


def test_a_shops_address_is_plain_text_though_it_is_called_a_key(plane, lane):
    """odoo 9.4: it must be a literal, so that protected shops can be refused"""
    assert_accepted(operator(plane, "addon-settings", addon="shopify", setting="shop_url_key", value="x"))
    assert stored_overrides(plane)["addon_settings"][0]["value"]["value"] == "x"
    for body in ({"addon": "other", "setting": "shop_url_key"}, {"addon": "shopify", "setting": "webhook_key"}):
        assert_rejected(operator(plane, "addon-settings", **body, value="x"), 400, "invalid_request", "value")


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
    shown = cli("odoo-overrides", "show", *where, "--json").json()
    assert shown["record"]["addon_settings"] == ["authentik.api_token"]
    listed = cli("odoo-overrides", "list")
    assert listed.code == 0 and "testing" in listed.out and "fail" in listed.out


# in the database itself: odoo 9.6

WHERE = ("--context", "shop", "--instance", "testing")


@pytest.fixture
def direct(plane):
    def call(*words):
        result = bare("odoo-overrides", *words, "--actor", "operator", LAUNCHPLANE_DATABASE_URL=plane.database_url)
        plane.answers += [result.out, result.err]
        return result
    return call


def test_the_command_line_in_the_database(plane, lane, direct, tmp_path):
    """OVR-01 to 09"""
    put = direct("put-config-param", *WHERE, "--key", "A.B", "--value", "literal-nobody-may-see").json()
    assert (put["status"], put["record"]["config_parameter_keys"], put["record"]["source_label"]) == ("ok", ["a.b"], "cli")
    refused = direct("put-addon-setting", *WHERE, "--addon", "authentik", "--setting", "api_token", "--value", "plain")
    assert refused.code == 1 and "secret_binding_id" in refused.err
    assert direct("put-addon-setting", *WHERE, "--addon", "authentik", "--setting", "api_token").code == 1
    bound = direct("put-addon-setting", *WHERE, "--addon", "authentik", "--setting", "api_token",
                   "--secret-binding-id", "binding-nobody-may-see", "--source-label", "me")
    assert bound.json()["record"]["source_label"] == "me"
    site = tmp_path / "site.json"
    site.write_text(json.dumps({"name": "Shop", "homepage_url": "/shop"}))
    assert direct("put-website-bootstrap", *WHERE, "--payload-file", str(site)).json()["record"]["website_bootstrap"] is True
    site.write_text(json.dumps({"homepage_url": "shop"}))
    wrong = direct("put-website-bootstrap", *WHERE, "--payload-file", str(site))
    assert wrong.code == 1 and "website_bootstrap.homepage_url" in wrong.err
    marked = direct("mark-apply", *WHERE, "--status", "pass", "--detail", "by hand").json()
    assert marked["status"] == "ok" and marked["record"]["last_apply_at"]
    shown = direct("show", *WHERE).json()
    assert shown == assert_ok(plane.get(f"{OPERATOR}/shop/testing"))["record"]
    assert direct("list").json() == {"status": "ok", "count": 1, "records": [shown]}
    assert direct("show", "--context", "shop", "--instance", "prod").code == 1
    missing = direct("mark-apply", "--context", "shop", "--instance", "prod", "--status", "fail")
    assert missing.code == 1 and "no settings" in missing.err
    assert not [text for text in plane.answers if "nobody-may-see" in str(text)]


def test_a_website_from_a_file_through_the_service(plane, lane, tmp_path):
    site = tmp_path / "site.json"
    site.write_text(json.dumps({"name": "Shop"}))
    assert Cli(plane)("odoo-overrides", "put-website-bootstrap", *WHERE, "--payload-file", str(site)).code == 0
    assert stored_overrides(plane)["website_bootstrap"]["name"] == "Shop"


# secrets under neutral keys: odoo 9.6, OVR-25, OVR-28

TRANSPORT = f"{OPERATOR}/secret-transport"
DRY_RUN = {"mode": "dry-run"}
NEUTRAL = "ODOO_OVERRIDE_SECRET__CONFIG_PARAM__SHOP__API_TOKEN"


def binding_of(plane, key):
    """The newest configured binding under this key."""
    rows = plane.query("SELECT binding_id FROM launchplane_secret_bindings WHERE binding_key = %s AND status = 'configured'", key)
    return rows[0]["binding_id"] if rows else None


@pytest.fixture
def old_key(plane, lane):
    """A setting whose secret still stands under a key of the former transport; the binding's id."""
    value = "secret-of-the-setting"
    plane.secrets.append(value)
    rules = lane.key_safety()
    for key in ("ENV_OVERRIDE_SHOP_API_TOKEN", NEUTRAL):
        rules["rules"].append({**rules["rules"][0], "binding_key": key})
    assert_accepted(plane.post("/v1/runtime-key-safety/policies/apply", rules))
    body = {**lane.lane_config(), "secrets": [{
        "name": "shop api token", "binding_key": "ENV_OVERRIDE_SHOP_API_TOKEN", "value": value, "scope": "context_instance", **LANE}]}
    assert_accepted(plane.post("/v1/product-config/apply", body))
    return binding_of(plane, "ENV_OVERRIDE_SHOP_API_TOKEN")


def refer(plane, *ids, instance="testing", **changes):
    keys = ["shop.api_token", "shop.second_token"]
    put_overrides(plane, instance=instance, website_bootstrap=None, addon_settings=[], config_parameters=[
        {"key": key, "value": {"source": "secret_binding", "secret_binding_id": one}} for key, one in zip(keys, ids)], **changes)


def test_a_secret_moves_under_its_neutral_key_and_the_setting_after_it(plane, lane, old_key):
    refer(plane, old_key)
    before = stored_overrides(plane)
    planned = assert_accepted(plane.post(TRANSPORT, {"mode": "dry-run", **LANE}))["result"]
    item, = planned["items"]
    assert item == {
        **LANE, "kind": "config_parameter", "key": "shop.api_token", "action": "rename", "old_binding_id": old_key,
        "new_binding_id": item["new_binding_id"], "old_binding_key": "ENV_OVERRIDE_SHOP_API_TOKEN", "new_binding_key": NEUTRAL}
    assert (planned["mode"], planned["count"], planned["renamed_count"]) == ("dry-run", 1, 1)
    assert stored_overrides(plane) == before and binding_of(plane, NEUTRAL) is None
    applied = assert_accepted(plane.post(TRANSPORT, {"mode": "apply", **LANE}, key="k"))["result"]
    assert applied == {**planned, "mode": "apply"}
    assert binding_of(plane, NEUTRAL) == item["new_binding_id"]
    assert binding_of(plane, "ENV_OVERRIDE_SHOP_API_TOKEN") is None
    record = stored_overrides(plane)
    assert record["config_parameters"][0]["value"]["secret_binding_id"] == item["new_binding_id"]
    assert record["source_label"] == "odoo-secret-transport-migration"
    again = assert_accepted(plane.post(TRANSPORT, {"mode": "apply", **LANE}, key="k2"))["result"]
    assert (again["items"][0]["action"], again["renamed_count"]) == ("unchanged", 0)
    assert assert_accepted(plane.post(TRANSPORT, {"mode": "apply", **LANE}, key="k"))["replayed"] is True


def test_the_moved_secret_reaches_the_lane(plane, lane, old_key):
    """OVR-28, OVR-29: with a key-safety rule for the neutral key the payload's key is there"""
    refer(plane, old_key)
    assert_accepted(plane.post(TRANSPORT, {"mode": "apply", "context": "shop"}, key="k"))
    operation = replace(plane, lane)
    assert operation["status"] == "pass", operation
    runner = plane.doubles.dokploy.running(lane.compose_id).services["script-runner"].env
    assert runner[NEUTRAL] == "secret-of-the-setting"
    assert not any(name.startswith("ENV_OVERRIDE_") for name in runner)


def test_what_cannot_be_moved_is_told_and_then_nothing_is(plane, lane, old_key):
    refer(plane, old_key, old_key)
    actions = [item["action"] for item in assert_accepted(plane.post(TRANSPORT, DRY_RUN))["result"]["items"]]
    assert actions == ["rename", "conflict"]
    refused = assert_rejected(plane.post(TRANSPORT, {"mode": "apply", "context": "shop"}, key="k"), 409, "conflict")
    assert "shop.second_token" in refused["error"]["message"]
    assert binding_of(plane, NEUTRAL) is None
    plane.query("DELETE FROM launchplane_odoo_instance_overrides")
    refer(plane, "binding-nobody-knows", instance="prod")
    assert [item["action"] for item in assert_accepted(plane.post(TRANSPORT, DRY_RUN))["result"]["items"]] == ["missing"]
    assert assert_accepted(plane.post(TRANSPORT, {**DRY_RUN, **LANE}))["result"]["items"] == []
    assert_rejected(plane.post(TRANSPORT, {"instance": "prod"}), 400, "invalid_request", "context")
    assert_rejected(plane.post(TRANSPORT, {"mode": "apply"}, key="k"), 403, "authorization_denied")      # not all contexts
    assert_rejected(plane.post(TRANSPORT, {"mode": "now"}), 400, "invalid_request", "mode")


def test_the_move_from_the_command_line(plane, lane, old_key, direct):
    refer(plane, old_key)
    cli = Cli(plane)
    assert cli("odoo-overrides", "migrate-secret-transport", "--json").json()["result"]["renamed_count"] == 1
    planned = direct("migrate-secret-transport", *WHERE).json()
    assert (planned["status"], planned["mode"], planned["items"][0]["action"]) == ("ok", "dry-run", "rename")
    assert direct("migrate-secret-transport", "--instance", "testing").code == 1
    assert binding_of(plane, NEUTRAL) is None
    assert direct("migrate-secret-transport", *WHERE, "--apply").json()["renamed_count"] == 1
    assert binding_of(plane, NEUTRAL)
    assert stored_overrides(plane)["source_label"] == "odoo-secret-transport-migration"
