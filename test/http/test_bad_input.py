"""Every request field wrong in every way it can be wrong: 400 naming the path, and nothing written."""
import itertools

import pytest

from checks import assert_rejected
from wrong import cases, with_value

IDENTITY = {
    "product": "p", "context": "shop", "instance": "testing", "deployment_record_id": "d", "artifact_id": "a",
    "source_git_ref": "r",
}
HEALTH = {"verified": True, "urls": ["https://example.com"], "timeout_seconds": 5, "status": "pass"}
POLICY = {
    "enabled": True, "approval_issue_url": "https://example.com/1", "data_source_mode": "empty",
    "confirmation": "yes", "expected_target_name": "t", "expected_domains": ["example.com"],
}


def deployment(lane):
    body = lane.deployment("deployment-bad")
    body["deployment"].update(
        runtime_identity=dict(IDENTITY), destination_health={**HEALTH, "observed_runtime_identity": dict(IDENTITY)},
        post_deploy_update={"attempted": True, "status": "pass", "detail": "", "evidence": {"k": "v"}},
        bootstrap={"attempted": True, "run_status": "pass", "readiness_status": "pass", "detail": ""},
        runtime_source={"k": "v"}, wait_for_completion=True, verify_destination_health=True, no_cache=False,
        delegated_executor="control-plane.dokploy",
        deployed_target={"provider_id": "dokploy", "target_category": "compose", "target_id": "t", "display_name": "d",
                         "provider_target_type": "compose", "provider_evidence": {"k": "v"}})
    body["deployment"]["artifact_identity"]["manifest_version"] = 1
    return body


STATUS = "one:pending|pass|fail|skipped"
CATEGORY = "one:application|compose|container|service|static|unknown"
IDENTITY_FIELDS = {
    "schema_version": "number", "product": "text", "context": "name!", "instance": "name!", "environment_kind": "text",
    "deployment_record_id": "name!", "artifact_id": "name!", "source_git_ref": "name!", "image_reference": "text",
    "release_tuple_id": "text", "preview_id": "text", "preview_generation_id": "text", "deployed_at": "text",
}


def below(path, fields):
    return {f"{path}.{name}": kind for name, kind in fields.items()}


DEPLOYMENT = {
    "schema_version": "number", "product": "name!", "deployment": "object!",
    **below("deployment", {
        "schema_version": "number", "record_id": "name!", "context": "name!", "instance": "name!",
        "source_git_ref": "name!", "wait_for_completion": "flag", "verify_destination_health": "flag",
        "no_cache": "flag", "delegated_executor": "one:control-plane.dokploy", "artifact_identity": "object?",
        "resolved_target": "object?", "deployed_target": "object?", "runtime_source": "map",
        "runtime_identity": "object?", "deploy": "object!", "bootstrap": "object", "post_deploy_update": "object",
        "destination_health": "object",
        "artifact_identity.artifact_id": "text!", "artifact_identity.manifest_version": "number",
        "resolved_target.target_type": "one:compose|application!", "resolved_target.target_id": "name!",
        "resolved_target.target_name": "name!", "deployed_target.provider_id": "name!",
        "deployed_target.target_category": CATEGORY, "deployed_target.target_id": "name!",
        "deployed_target.display_name": "name!", "deployed_target.provider_target_type": "text",
        "deployed_target.provider_evidence": "map",
        "deploy.target_name": "name!", "deploy.target_type": "one:compose|application!", "deploy.deploy_mode": "text!",
        "deploy.deployment_id": "text", "deploy.status": STATUS, "deploy.started_at": "text",
        "deploy.finished_at": "text",
        "bootstrap.attempted": "flag", "bootstrap.run_status": STATUS,
        "bootstrap.readiness_status": "one:pending|pass|fail|verification_failed|skipped", "bootstrap.detail": "text",
        "post_deploy_update.attempted": "flag", "post_deploy_update.status": STATUS,
        "post_deploy_update.detail": "text", "post_deploy_update.evidence": "map",
        "destination_health.verified": "flag", "destination_health.urls": "strings",
        "destination_health.timeout_seconds": "number?", "destination_health.status": STATUS,
        "destination_health.runtime_identity_status": "one:unchecked|match|mismatch|missing|malformed|unverifiable",
        "destination_health.runtime_identity_detail": "text",
        "destination_health.observed_runtime_identity": "object?",
        **below("runtime_identity", IDENTITY_FIELDS),
        **below("destination_health.observed_runtime_identity", IDENTITY_FIELDS),
    }),
}


def profile(lane):
    body = lane.profile()
    body["lanes"][0].update(
        odoo_stable_bootstrap=dict(POLICY), odoo_prelaunch_rebuild=dict(POLICY),
        odoo_data_policy={"data_authority": "resettable", "allowed_rebuild_sources": ["empty"], "upstream_source": ""},
        health_monitoring={"checks": [{"name": "public", "kind": "public_http", "url": "https://example.com"}]})
    body["preview"] = {"enabled": False, "override_env": {"K": "v"}}
    body["promotion_workflow"] = {"ref": "main"}
    body["historical_contexts"] = ["shop-old"]
    body["expected_config"]["runtime_environment_keys"] = [{"key": "ODOO_DB_NAME"}]
    return body


GATE_FIELDS = {
    "enabled": "flag", "approval_issue_url": "text", "confirmation": "text", "expected_target_name": "text",
    "expected_domains": "strings",
}
PROFILE = {
    "schema_version": "number", "product": "name!", "display_name": "name!", "repository": "name!",
    "driver_id": "name!", "image": "object", "image.repository": "text", "runtime_port": "count", "health_path": "text",
    "lanes": "list", "historical_contexts": "strings", "preview": "object", "promotion_workflow": "object",
    "expected_config": "object", "updated_at": "name!", "source": "name!",
    **below("lanes[0]", {
        "instance": "name!", "context": "name!", "base_url": "text", "health_url": "text",
        "odoo_stable_bootstrap": "object", "odoo_prelaunch_rebuild": "object", "odoo_data_policy": "object",
        "health_monitoring": "object", "health_monitoring.checks": "list",
        **below("odoo_stable_bootstrap", {
            **GATE_FIELDS, "data_source_mode": "one:empty", "require_health_verification": "flag",
            "require_canonical_verification": "flag", "require_logo_verification": "flag"}),
        **below("odoo_prelaunch_rebuild", {**GATE_FIELDS, "data_source_mode": "one:empty|upstream_restore"}),
        **below("odoo_data_policy", {
            "data_authority": "one:unknown|resettable|restorable|authoritative", "allowed_rebuild_sources": "strings",
            "upstream_source": "text", "requires_backup_before_destroy": "flag", "requires_restore_proof": "flag",
            "requires_runtime_identity": "flag"}),
        **below("health_monitoring.checks[0]", {
            "name": "name!", "kind": "one:public_http|private_http|provider", "enabled": "flag", "url": "text",
            "private_endpoint_key": "text", "require_runtime_identity": "flag", "provider": "text",
            "provider_check": "text"}),
    }),
    **below("preview", {
        "enabled": "flag", "context": "text", "enable_label": "text", "slug_template": "text", "app_name_prefix": "text",
        "template_instance": "text", "copied_env_keys": "strings", "omitted_env_keys": "strings", "override_env": "map",
        "data_transport_mode": "one:none|clone|bootstrap|migrate_seed|driver", "migration_command": "text",
        "seed_command": "text"}),
    **below("promotion_workflow", {
        "workflow_id": "name", "ref": "name", "dry_run_input": "name", "bump_input": "name",
        "default_bump": "one:patch|minor|major"}),
    **below("expected_config", {
        "runtime_environment_keys": "list", "managed_secret_bindings": "list",
        "runtime_environment_keys[0].key": "name!", "runtime_environment_keys[0].context": "text",
        "managed_secret_bindings[0].binding_key": "name!", "managed_secret_bindings[0].integration": "name"}),
}

KEY_SAFETY = {
    "schema_version": "number", "product": "name!", "source_label": "text", "rules": "list!",
    **below("rules[0]", {
        "binding_key": "name!", "secret_class": "one:prod_only|testing|preview|non_prod|shared_safe!",
        "allowed_contexts": "strings", "allowed_instances": "strings", "description": "text"}),
}

PUBLISH = {
    "schema_version": "number", "product": "name!", "publish": "object!", "publish.context": "name!",
    "publish.instance": "trimmed:testing|prod", "publish.manifest": "object!",
    **below("publish.manifest", {
        "schema_version": "number", "artifact_id": "name!", "source_commit": "name!", "enterprise_base_digest": "text!",
        "addon_sources": "list", "addon_sources[0].repository": "text!", "addon_sources[0].ref": "text!",
        "odoo_install_modules": "strings", "image": "object!", "image.repository": "text!", "image.digest": "text!",
        "image.tags": "strings"}),
}

SETUP = {
    "mode": "one:dry-run|apply",
    "operation": "one:adopt|create-application|create-compose|reconcile-compose-domain|prune-compose-domain!",
    "product": "name!", "context": "name!", "instance": "name!", "target_type": "one:compose|application",
    "target_id": "text", "target_name": "text", "project_id": "text", "project_name": "text", "environment_id": "text",
    "server_id": "text", "app_name": "text", "description": "text", "source_git_ref": "text", "source_type": "text",
    "compose_path": "text", "healthcheck_path": "text", "domains": "strings", "runtime_port": "number?",
    "deploy_timeout_seconds": "number?", "confirmation": "text", "reason": "text",
}

REPLACEMENT = {
    "schema_version": "number", "product": "name!", "replacement": "object!",
    **below("replacement", {
        "schema_version": "number", "product": "name!", "instance": "name!",
        "strategy": "one:recreate-in-place|replace-and-cutover", "allow_empty_data": "flag",
        "data_source_mode": "one:existing|empty|upstream_restore", "confirmation": "text", "artifact_id": "text",
        "source_git_ref": "text", "expected_current_artifact_id": "text"}),
}
APPLY = {
    **REPLACEMENT,
    **below("replacement", {
        "verify_health": "flag", "verify_canonical": "flag", "verify_logo": "flag", "no_cache": "flag",
        "timeout_seconds": "number?", "health_timeout_seconds": "number?"}),
}

ROUTES = {
    "/v1/evidence/deployments": (deployment, DEPLOYMENT),
    "/v1/product-profiles": (profile, PROFILE),
    "/v1/runtime-key-safety/policies/apply": (lambda lane: lane.key_safety(), KEY_SAFETY),
    "/v1/drivers/odoo/artifact-publish": (lambda lane: lane.publish(lane.new), PUBLISH),
    "/v1/dokploy-targets/setup": (lambda lane: lane.target_setup(), SETUP),
    "/v1/drivers/odoo/target-replacement-plan": (lambda lane: lane.plan_request(), REPLACEMENT),
    "/v1/drivers/odoo/target-replacement-apply": (lambda lane: lane.replacement(), APPLY),
}


@pytest.mark.parametrize("route, field", [
    (route, field) for route, (_, table) in ROUTES.items() for field in table
], ids=lambda value: value.rsplit("/", 1)[-1])
def test_a_field_that_is_wrong(shared_lane, route, field):
    """One test a field; each tries every wrong value of the field's kind."""
    make, table = ROUTES[route]
    plane = shared_lane.plane
    before, calls = plane.counts(), len(plane.doubles.dokploy.requests)
    for name, path, body in cases(make(shared_lane), {field: table[field]}):
        if path == "surprise":
            continue
        answer = plane.post(route, body, key=f"bad {name}"[:200])
        assert answer.status_code == 400, f"{name}: {answer.status_code} {answer.text}"
        # In target setup each refusal has the route's own code.
        code = answer.json()["error"]["code"]
        assert code in ("invalid_request", "invalid_dokploy_target_setup"), name
        assert_rejected(answer, 400, code, path)
    assert plane.counts() == before
    assert len(plane.doubles.dokploy.requests) == calls


@pytest.mark.parametrize("route", ROUTES)
def test_an_unknown_member_at_the_top(shared_lane, route):
    """core 0.3: every object is closed"""
    body = {**ROUTES[route][0](shared_lane), "surprise": 1}
    answer = shared_lane.plane.post(route, body, key="surprise")
    assert_rejected(answer, 400, answer.json()["error"]["code"], "surprise")


def test_a_lane_is_named_in_any_case(shared_lane):
    """odoo 0: context and instance are trimmed and lower-cased"""
    body = with_value(shared_lane.publish(shared_lane.new), "publish.instance", " TESTING ")
    answer = shared_lane.plane.post("/v1/drivers/odoo/artifact-publish", with_value(body, "publish.context", "Shop "))
    assert answer.status_code == 202, answer.text


CONFIG = [
    ("product", 5), ("product", " "), ("product", None), ("mode", "sometimes"), ("mode", 5), ("schema_version", 2),
    ("schema_version", "x"), ("context", 5), ("instance", 5), ("runtime_env", 5), ("runtime_env", []),
    ("runtime_env", {"KEY": {}}), ("runtime_env", {"KEY": []}), ("runtime_env", {"KEY": None}), ("runtime_env", {" ": "x"}),
    ("runtime_env", {"API_TOKEN": "x"}), ("runtime_env", {"db_password": "x"}), ("runtime_env", {"MY_SECRET": "x"}),
    ("runtime_env", {"SIGNING_KEY": "x"}), ("secrets", {}), ("secrets", [5]), ("secrets", [{}]),
    ("secrets", [{"name": "A", "value": ""}]), ("secrets", [{"name": "A", "value": "  "}]),
    ("secrets", [{"name": "A", "value": 5}]), ("secrets", [{"name": "A"}]), ("secrets", [{"value": "x"}]),
    ("secrets", [{"name": "A", "value": "x", "scope": "everywhere"}]),
    ("secrets", [{"name": "A", "value": "x", "scope": "context_instance", "context": "other", "instance": "testing"}]),
    ("secrets", [{"name": "A", "value": "x", "scope": "global", "context": "shop"}]),
    ("secrets", [{"name": "A", "value": "x", "surprise": 1}]), ("surprise", 1),
    ("runtime_env", {"env": {"A": "1"}, "scope": "context", "context": "shop"}),
    ("runtime_env", {"env": {"A": "1"}, "scope": "instance", "context": "other", "instance": "testing"}),
]


@pytest.mark.parametrize("member, value", CONFIG, ids=str)
@pytest.mark.parametrize("mode", ["dry-run", "apply"])
def test_product_config_refuses_and_never_repeats_a_value(shared_lane, member, value, mode):
    """config-health 3.1, 3.4: one generic message per code, so that values never leak"""
    plane = shared_lane.plane
    before = plane.counts()
    hidden = "top-secret-value-" + mode
    body = {**shared_lane.lane_config(), "mode": mode}
    body["secrets"][0]["value"] = hidden
    body = with_value(body, member, value)
    answer = plane.post("/v1/product-config/apply", body)
    assert_rejected(answer, 400, "invalid_request")
    assert hidden not in answer.text
    assert plane.counts() == before


def test_product_config_without_product(shared_lane):
    body = shared_lane.lane_config()
    del body["product"]
    assert_rejected(shared_lane.plane.post("/v1/product-config/apply", body), 400, "invalid_request")


SETUP_RULES = [
    ({"confirmation": ""}, "confirmation_required"),
    ({"confirmation": "apply dokploy target setup"}, "confirmation_required"),
    ({"reason": " "}, "reason_required"),
    ({"target_id": ""}, None),
    ({"product": "other"}, None),
    ({"runtime_port": 8069}, None),                       # not with adopt
    ({"healthcheck_path": "no-slash"}, None),
    ({"operation": "create-compose", "target_name": ""}, None),
    ({"operation": "create-compose", "server_id": ""}, None),
    ({"operation": "reconcile-compose-domain", "domains": []}, None),
    ({"operation": "prune-compose-domain", "domains": []}, None),
]


@pytest.mark.parametrize("changes, code", SETUP_RULES, ids=str)
def test_target_setup_guards(shared_lane, changes, code):
    """config-health 5.5"""
    plane = shared_lane.plane
    before, calls = plane.counts(), len(plane.doubles.dokploy.mutations())
    answer = plane.post("/v1/dokploy-targets/setup", {**shared_lane.target_setup(), **changes}, key="guard")
    assert answer.status_code in (400, 403), answer.text
    if code:
        assert_rejected(answer, 400, code)
    assert plane.counts() == before
    assert len(plane.doubles.dokploy.mutations()) == calls


def test_target_setup_apply_needs_an_idempotency_key(shared_lane):
    answer = shared_lane.plane.post("/v1/dokploy-targets/setup", shared_lane.target_setup())
    assert_rejected(answer, 400, "idempotency_key_required")


PROFILE_RULES = [
    ("runtime_port", 70000), ("runtime_port", 0),         # 0 means no port, then no health path either
    ("health_path", ""), ("health_path", "no-slash"), ("lanes[0].instance", "staging"),
    ("preview", {"enabled": True}), ("preview", {"enabled": False, "migration_command": "x"}),
    ("preview", {"copied_env_keys": ["A"], "omitted_env_keys": ["A"]}), ("preview", {"copied_env_keys": ["A", "A"]}),
    ("lanes[0].odoo_prelaunch_rebuild", {"enabled": True}), ("lanes[0].odoo_stable_bootstrap", {"enabled": True}),
    ("lanes[0].odoo_data_policy", {"data_authority": "unknown", "allowed_rebuild_sources": ["empty"]}),
    ("lanes[0].odoo_data_policy", {"data_authority": "resettable", "allowed_rebuild_sources": ["upstream_restore"]}),
    ("lanes[0].odoo_data_policy", {"data_authority": "authoritative", "requires_backup_before_destroy": False}),
    ("lanes[0].health_monitoring", {"checks": [{"name": "--"}]}),
    ("lanes[0].health_monitoring", {"checks": [{"name": "a"}, {"name": "A"}]}),
    ("lanes[0].health_monitoring", {"checks": [{"name": "a", "kind": "private_http", "url": "https://x"}]}),
    ("lanes[0].health_monitoring", {"checks": [{"name": "a", "kind": "private_http"}]}),
    ("lanes[0].health_monitoring", {"checks": [{"name": "a", "kind": "provider"}]}),
    ("lanes[0].health_monitoring", {"checks": [
        {"name": "public ingress", "kind": "provider", "provider": "p", "provider_check": "c"}]}),
    ("expected_config", {"runtime_environment_keys": [{"key": "A", "instance": "testing"}]}),
    ("expected_config", {"runtime_environment_keys": [{"key": "A"}, {"key": "A"}]}),
]


@pytest.mark.parametrize("path, value", PROFILE_RULES, ids=itertools.count())
def test_profile_rules(shared_lane, path, value):
    """config-health section 1"""
    plane = shared_lane.plane
    before = plane.get(f"/v1/product-profiles/{shared_lane.product}").json()["profile"]
    body = with_value(shared_lane.profile(), path, value)
    assert_rejected(plane.post("/v1/product-profiles", body), 400, "invalid_request")
    assert plane.get(f"/v1/product-profiles/{shared_lane.product}").json()["profile"] == before


KEY_SAFETY_RULES = [
    ("rules", []), ("product", "other"), ("rules", [{"binding_key": "A", "secret_class": "testing"}] * 2),
]


@pytest.mark.parametrize("path, value", KEY_SAFETY_RULES, ids=str)
def test_key_safety_rules(shared_lane, path, value):
    """config-health 4.6"""
    body = with_value(shared_lane.key_safety(), path, value)
    answer = shared_lane.plane.post("/v1/runtime-key-safety/policies/apply", body)
    assert answer.status_code in (400, 403), answer.text


def test_an_artifact_belongs_to_its_context(shared_lane):
    """odoo 14.3"""
    body = with_value(shared_lane.publish(shared_lane.new), "publish.manifest.artifact_id", "artifact-other-1")
    assert_rejected(shared_lane.plane.post("/v1/drivers/odoo/artifact-publish", body), 400, "invalid_request")


REPLACEMENT_RULES = [
    ("replacement.artifact_id", ""), ("replacement.source_git_ref", ""),      # both or neither
    ("replacement.product", "other"), ("product", "other"),
]


@pytest.mark.parametrize("route", ["target-replacement-plan", "target-replacement-apply"])
@pytest.mark.parametrize("path, value", REPLACEMENT_RULES, ids=str)
def test_replacement_rules(shared_lane, route, path, value):
    """odoo 4.1; TREP-39"""
    plane = shared_lane.plane
    before = plane.counts()
    body = with_value(shared_lane.replacement(), path, value)
    answer = plane.post(f"/v1/drivers/odoo/{route}", body, key="rules")
    assert answer.status_code in (400, 403), answer.text
    assert plane.counts() == before


@pytest.mark.parametrize("path, value", [("replacement.strategy", "replace-and-cutover"), ("replacement.instance", "prod")])
def test_apply_takes_testing_in_place_only(shared_lane, path, value):
    """TREP-23, odoo 4.4"""
    plane = shared_lane.plane
    before = plane.counts()
    body = with_value(shared_lane.replacement(), path, value)
    answer = plane.post("/v1/drivers/odoo/target-replacement-apply", body, key="testing only")
    assert answer.status_code in (400, 403, 409), answer.text
    assert plane.counts() == before
