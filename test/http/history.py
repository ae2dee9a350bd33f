"""Records as a predecessor leaves them: realistic rows of every table, each written once as its document.

insert(connection) puts them into any database that has the tables; the columns beside payload are taken from the document,
so that a taken-over database and a fresh one hold the same. NOW is the moment they were left.
"""
import base64
import calendar
import json
import time

from cryptography.fernet import Fernet

NOW = "2026-06-10T12:00:00Z"
SHOP, SITE = "odoo-tenant-shop", "site"


def seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def sha(digit):
    return digit * 40


def digest(digit):
    return "sha256:" + digit * 64


def health(status="pass", verified=True, **more):
    return {"verified": verified, "urls": ["https://shop.example.com/launchplane/health"] if verified else [],
            **({"timeout_seconds": 45} if verified else {}), "status": status, "runtime_identity_status": "match" if verified else "unchecked",
            "runtime_identity_detail": "", **more}


def identity(product, context, instance, deployment, artifact, commit):
    return {"schema_version": 1, "product": product, "context": context, "instance": instance, "environment_kind": "stable",
            "deployment_record_id": deployment, "artifact_id": artifact, "source_git_ref": commit, "image_reference": "",
            "release_tuple_id": "", "preview_id": "", "preview_generation_id": "", "deployed_at": ""}


def deploy(name, status, start, finish, kind="compose"):
    return {"target_name": name, "target_type": kind, "deploy_mode": f"dokploy-{kind}-api", "deployment_id": "d-1", "status": status,
            "started_at": start, "finished_at": finish, "provider_id": "dokploy", "target_category": kind,
            "provider_target_type": kind, "provider_deploy_mode": f"dokploy-{kind}-api"}


NOT_ATTEMPTED = {"attempted": False, "status": "skipped", "detail": "", "evidence": {}}
NO_ROLLBACK = {"attempted": False, "status": "skipped", "detail": "", "snapshot_name": "", "started_at": "", "finished_at": ""}


def deployment(day, context, instance, artifact, commit, status="pass", hour="10", checked=None, product=SHOP, kind="compose"):
    record_id = f"deployment-{day.replace('-', '')}T{hour}0000Z-{context}-{instance}"
    finish = "" if status == "pending" else f"{day}T{hour}:04:00Z"
    name = f"{context}-{instance}"
    return {
        "schema_version": 1, "record_id": record_id, "artifact_identity": {"artifact_id": artifact, "manifest_version": 1},
        "context": context, "instance": instance, "source_git_ref": commit, "wait_for_completion": True,
        "verify_destination_health": True, "no_cache": False, "delegated_executor": "control-plane.dokploy",
        "resolved_target": {"target_type": kind, "target_id": f"t-{name}", "target_name": name},
        "deployed_target": {"provider_id": "dokploy", "target_category": kind, "target_id": f"t-{name}", "display_name": name,
                            "provider_target_type": kind, "provider_evidence": {}},
        "runtime_source": {}, "runtime_identity": identity(product, context, instance, record_id, artifact, commit),
        "deploy": deploy(name, status, f"{day}T{hour}:00:00Z", finish, kind),
        "bootstrap": {"attempted": False, "run_status": "skipped", "readiness_status": "skipped", "detail": ""},
        "post_deploy_update": NOT_ATTEMPTED, "destination_health": checked or health(),
    }


DEPLOYMENTS = [
    deployment("2026-05-20", "shop", "testing", "artifact-shop-0001", sha("a")),
    deployment("2026-05-21", "shop", "prod", "artifact-shop-0001", sha("a")),
    deployment("2026-06-01", "shop", "testing", "artifact-shop-0002", sha("b")),
    deployment("2026-06-02", "shop", "prod", "artifact-shop-0002", sha("b")),
    deployment("2026-06-08", "shop", "testing", "artifact-shop-0003", sha("c"), "fail", checked=health("skipped", False)),
    deployment("2026-06-10", "shop", "testing", "artifact-shop-0003", sha("c"), hour="11"),
    deployment("2025-12-01", "shop-old", "prod", "artifact-shop-0000", sha("0")),
    deployment("2026-06-05", "site", "testing", "artifact-site-0007", sha("d"), product=SITE, kind="application"),
    deployment("2026-06-06", "site", "prod", "artifact-site-0006", sha("e"), product=SITE, kind="application",
               checked=health("skipped", False)),
    deployment("2026-06-09", "site", "prod", "artifact-site-0007", sha("d"), "fail", product=SITE, kind="application",
               checked=health("fail")),
]


def promotion(day, context, artifact, deployment_id, gate, **more):
    return {
        "schema_version": 1, "record_id": f"promotion-{day.replace('-', '')}T100000Z-{context}-testing-to-prod",
        "artifact_identity": {"artifact_id": artifact, "manifest_version": 1}, "deployment_record_id": deployment_id,
        "backup_record_id": gate, "context": context, "from_instance": "testing", "to_instance": "prod",
        "source_health": health(), "destination_health": health(), "rollback_health": health("skipped", False),
        "backup_gate": {"required": True, "status": "pass", "evidence": {"snapshot": gate}},
        "deploy": deploy(f"{context}-prod", "pass", f"{day}T10:00:00Z", f"{day}T10:04:00Z"), "post_deploy_update": NOT_ATTEMPTED,
        "rollback": NO_ROLLBACK, **more}


PROMOTIONS = [
    promotion("2026-05-21", "shop", "artifact-shop-0001", DEPLOYMENTS[1]["record_id"], "backup-shop-prod-20260521T095500Z"),
    promotion("2026-06-02", "shop", "artifact-shop-0002", DEPLOYMENTS[3]["record_id"], "backup-shop-prod-20260602T095500Z"),
    promotion("2026-06-09", "site", "artifact-site-0007", DEPLOYMENTS[9]["record_id"], "backup-site-prod-20260609T095500Z",
              deploy=deploy("site-prod", "fail", "2026-06-09T10:00:00Z", "2026-06-09T10:04:00Z", "application"),
              rollback={"attempted": True, "status": "pass", "detail": "back to artifact-site-0006", "snapshot_name": "s-1",
                        "started_at": "2026-06-09T10:05:00Z", "finished_at": "2026-06-09T10:09:00Z"}),
]


def gate(day, context, status="pass"):
    stamp = day.replace("-", "")
    return {"schema_version": 1, "record_id": f"backup-{context}-prod-{stamp}T095500Z", "context": context, "instance": "prod",
            "created_at": f"{day}T09:55:00Z", "source": "product-workflow", "required": True, "status": status,
            "evidence": {"snapshot": f"snap-{stamp}"} if status == "pass" else {}}


def inventory(made, updated_at, promoted=None, **more):
    return {"schema_version": 1, "context": made["context"], "instance": made["instance"],
            "artifact_identity": made["artifact_identity"], "source_git_ref": made["source_git_ref"], "deploy": made["deploy"],
            "post_deploy_update": made["post_deploy_update"], "destination_health": made["destination_health"],
            "updated_at": updated_at, "deployment_record_id": made["record_id"],
            "promotion_record_id": promoted["record_id"] if promoted else "",
            "promoted_from_instance": promoted["from_instance"] if promoted else "",
            "runtime_identity": made["runtime_identity"], "bootstrap_record_id": "", **more}


def manifest(context, number, commit, mark, repository=None):
    return {"schema_version": 1, "artifact_id": f"artifact-{context}-{number:04d}", "source_commit": commit,
            "enterprise_base_digest": digest("e"), "addon_sources": [{"repository": "example-org/odoo-shared-addons", "ref": sha("f")}],
            "addon_selectors": [], "odoo_install_modules": ["launchplane_settings"],
            "openupgrade_inputs": {"addon_repository": "", "install_spec": ""}, "build_flags": {"addon_skip_flags": [], "values": {}},
            "image": {"repository": repository or f"registry.example.com/example-org/{context}", "digest": digest(mark), "tags": ["testing"]}}


def lane(context, instance, host, **more):
    return {"instance": instance, "context": context, "base_url": f"https://{host}", "health_url": f"https://{host}/launchplane/health", **more}


PREVIEW_OFF = {"enabled": False, "context": "", "slug_template": "pr-{number}"}
PROFILES = [
    {"schema_version": 1, "product": SHOP, "display_name": "Shop", "repository": "example-org/odoo-tenant-shop", "driver_id": "odoo",
     "image": {"repository": "registry.example.com/example-org/shop"}, "runtime_port": 8069, "health_path": "/launchplane/health",
     "lanes": [lane("shop", "testing", "shop-testing.example.com",
                    odoo_data_policy={"data_authority": "resettable", "allowed_rebuild_sources": ["empty"], "upstream_source": "",
                                      "requires_backup_before_destroy": False, "requires_restore_proof": False,
                                      "requires_runtime_identity": True}),
               lane("shop", "prod", "shop.example.com", public_ingress_monitoring={"enabled": True, "require_runtime_identity": True})],
     "historical_contexts": ["shop-old"],
     "preview": {"enabled": True, "context": "shop-previews", "slug_template": "pr-{number}"},
     "expected_config": {
         "runtime_environment_keys": [{"key": "ODOO_DB_NAME"}, {"key": "ODOO_BACKUP_ROOT", "context": "shop", "instance": "prod"}],
         "managed_secret_bindings": [{"binding_key": "ODOO_DB_PASSWORD", "integration": "runtime_environment", "context": "shop"}]},
     "updated_at": "2026-05-01T08:00:00Z", "source": "operator"},
    {"schema_version": 1, "product": SITE, "display_name": "Site", "repository": "example-org/site", "driver_id": "generic-web",
     "image": {"repository": "registry.example.com/example-org/site"}, "runtime_port": 3000, "health_path": "/health",
     "lanes": [lane("site", "testing", "site-testing.example.com"), lane("site", "prod", "site.example.com")],
     "preview": PREVIEW_OFF, "updated_at": "2026-05-02T08:00:00Z", "source": "operator"},
]


def tuple_of(context, channel, artifact, minted, mark, provenance="ship", **more):
    return {"schema_version": 1, "tuple_id": f"{context}-{channel}-{artifact}", "context": context, "channel": channel,
            "artifact_id": artifact, "repo_shas": {f"tenant-{context}": sha(mark)}, "image_repository": "", "image_digest": "",
            "deployment_record_id": "", "promotion_record_id": "", "promoted_from_channel": "", "provenance": provenance,
            "minted_at": minted, **more}


PREVIEW = "preview-shop-previews-odoo-tenant-shop-pr-{}"


def preview(number, state, updated):
    preview_id = PREVIEW.format(number)
    return {"schema_version": 1, "preview_id": preview_id, "context": "shop-previews", "anchor_repo": "odoo-tenant-shop",
            "anchor_pr_number": number, "anchor_pr_url": f"https://github.com/example-org/odoo-tenant-shop/pull/{number}",
            "preview_label": f"shop-previews/odoo-tenant-shop/pr-{number}", "canonical_url": f"https://pr-{number}.example.com",
            "state": state, "created_at": "2026-06-01T08:00:00Z", "updated_at": updated, "eligible_at": "2026-06-01T08:00:00Z",
            "paused_at": "", "destroy_after": "", "destroyed_at": updated if state == "destroyed" else "",
            "destroy_reason": "closed" if state == "destroyed" else "", "active_generation_id": "", "serving_generation_id": "",
            "latest_generation_id": f"{preview_id}-generation-0001", "latest_manifest_fingerprint": "f"}


def generation(number, sequence, state, at):
    preview_id = PREVIEW.format(number)
    return {"schema_version": 1, "generation_id": f"{preview_id}-generation-{sequence:04d}", "preview_id": preview_id,
            "sequence": sequence, "state": state, "requested_reason": "pull request", "requested_at": at, "started_at": at,
            "ready_at": at if state == "ready" else "", "finished_at": at, "superseded_at": "", "failed_at": "", "expires_at": "",
            "resolved_manifest_fingerprint": "f", "artifact_id": "artifact-shop-0003", "baseline_release_tuple_id": "",
            "source_map": [], "companion_summaries": [], "deploy_status": "pass", "verify_status": "pass",
            "overall_health_status": "pass", "failure_stage": "", "failure_summary": "",
            "anchor_summary": {"repo": "odoo-tenant-shop", "pr_number": number, "head_sha": sha("c"), "pr_url": "https://example.com"}}


def secret(integration, key, scope, context, instance, status="configured"):
    secret_id = "-".join(part for part in ("secret", integration.replace("_", "-"), key.lower().replace("_", "-"), context, instance) if part)
    record = {"schema_version": 1, "secret_id": secret_id, "scope": scope, "integration": integration, "name": key, "context": context,
              "instance": instance, "description": "", "policy": "write_only", "status": status,
              "current_version_id": f"{secret_id}-version-2", "created_at": "2026-05-01T09:00:00Z", "updated_at": "2026-05-03T09:00:00Z",
              "last_validated_at": "", "updated_by": "github:octocat"}
    versions = [{"schema_version": 1, "version_id": f"{secret_id}-version-{n}", "secret_id": secret_id,
                 "created_at": f"2026-05-0{n}T09:00:00Z", "created_by": "github:octocat", "cipher_alg": "fernet-v1",
                 "key_id": "launchplane-master-key", "ciphertext": CIPHERTEXT} for n in (1, 2)]
    binding = {"schema_version": 1, "binding_id": f"{secret_id}-binding-{key.lower().replace('_', '-')}", "secret_id": secret_id,
               "integration": integration, "binding_type": "env", "binding_key": key, "context": context, "instance": instance,
               "status": status, "created_at": "2026-05-01T09:00:00Z", "updated_at": "2026-05-03T09:00:00Z"}
    events = [{"schema_version": 1, "event_id": f"{secret_id}-event-rotated-{n}", "secret_id": secret_id,
               "event_type": "rotated" if n else "created", "recorded_at": f"2026-05-0{n + 1}T09:00:00Z", "actor": "github:octocat",
               "detail": "", "metadata": {"source": "cli", "binding_key": key}} for n in range(7)]
    return record, versions, binding, events


MASTER_KEY = base64.urlsafe_b64encode(b"the key of the earlier release!!").decode()
CIPHERTEXT = Fernet(MASTER_KEY).encrypt(b"sealed long ago and never shown").decode()
RUNTIME_VALUE = "a-runtime-value-nobody-may-see"
SECRETS = [secret("dokploy", "DOKPLOY_TOKEN", "global", "", ""),
           secret("runtime_environment", "ODOO_DB_PASSWORD", "context_instance", "shop", "prod"),
           secret("runtime_environment", "ODOO_DB_PASSWORD", "context_instance", "shop", "testing", "disabled"),
           secret("runtime_environment", "SITE_TOKEN", "context", "site", "")]


def environment(scope, context, instance, env, day):
    return {"schema_version": 1, "scope": scope, "context": context, "instance": instance, "env": env,
            "updated_at": f"2026-05-{day}T10:00:00Z", "source_label": "cli"}


def both_targets(context, instance, kind):
    name = f"{context}-{instance}"
    return ({"schema_version": 1, "context": context, "instance": instance, "project_name": context, "target_type": kind,
             "target_name": name, "git_branch": "", "source_git_ref": "origin/main", "env": {"SETTING": RUNTIME_VALUE},
             "domains": [f"{name}.example.com"], "policies": {"shopify": {"protected_store_keys": []}}, "healthcheck_enabled": True,
             "healthcheck_path": "/web/health", "updated_at": "2026-05-01T10:00:00Z", "source_label": "cli"},
            {"schema_version": 1, "context": context, "instance": instance, "target_id": f"t-{name}", "updated_at": "2026-05-01T10:00:00Z",
             "source_label": "cli"},
            {"schema_version": 1, "context": context, "instance": instance, "provider_id": "dokploy", "target_category": kind,
             "target_id": f"t-{name}", "display_name": name, "provider_target_type": kind, "provider_evidence": {"project_name": context},
             "updated_at": "2026-05-01T10:00:00Z", "source_label": "cli"})


TARGETS = [both_targets("shop", "testing", "compose"), both_targets("shop", "prod", "compose"), both_targets("site", "prod", "application")]


def old_policy(number, at, products, reason):
    rule = {"repository": "example-org/site", "workflow_refs": [], "event_names": [], "products": products, "contexts": ["site"],
            "actions": ["deployment.write"]}
    return {"schema_version": 1, "record_id": f"launchplane-authz-policy-{number}", "status": "superseded" if number < 3 else "active",
            "source": "service-grant", "updated_at": at, "policy_sha256": f"{number}" * 64,
            "policy": {"schema_version": 1, "github_actions": [rule], "github_humans": [], "terminal_agents": []},
            "audit": {"reason": reason}}


def observation(instance, at, status, host="shop"):
    code = "" if status == "pass" else "http_status"
    return {"schema_version": 1, "record_id": f"public-ingress-{SHOP}-shop-{instance}-{at}", "product": SHOP,
            "repository": "example-org/odoo-tenant-shop", "driver_id": "odoo", "context": "shop", "instance": instance,
            "check_name": "public-ingress", "check_kind": "public_http", "observed_at": at, "status": status, "failure_code": code,
            "base_url": f"https://{host}.example.com", "health_url": "", "targets": [{"target": "base_url", "url": "", "status": status}],
            "notification_key": "", "notification_sent": status == "fail", "summary": f"{host} {status}"}


def operation_of(kind, number, status, instance="testing", **more):
    return {"schema_version": 1, "operation_id": f"{kind}-{number}", "product": SHOP, "context": "shop", "instance": instance,
            "idempotency_key": f"key-{number}", "idempotency_scope": "github-actions:example-org/odoo-tenant-shop", "request_fingerprint": "f",
            "request": {"product": SHOP, "instance": instance}, "status": status, "phase": "completed" if status == "pass" else "failed",
            "created_at": f"2026-06-0{number}T09:00:00Z", "updated_at": f"2026-06-0{number}T09:10:00Z",
            "started_at": f"2026-06-0{number}T09:00:01Z", "finished_at": f"2026-06-0{number}T09:10:00Z",
            "error_message": "" if status == "pass" else "the deploy failed", "error_code": "", **more}


def rows():
    """{table: [document, ...]}"""
    made = {
        "launchplane_backup_gates": [gate("2026-05-21", "shop"), gate("2026-06-02", "shop"), gate("2026-06-09", "site"),
                                     gate("2026-06-10", "shop", "pending")],
        "launchplane_deployments": DEPLOYMENTS,
        "launchplane_promotions": PROMOTIONS,
        "launchplane_inventory": [
            inventory(DEPLOYMENTS[5], "2026-06-10T11:50:00Z"), inventory(DEPLOYMENTS[3], "2026-06-02T10:04:00Z", PROMOTIONS[1]),
            inventory(DEPLOYMENTS[7], "2026-06-05T10:04:00Z"), inventory(DEPLOYMENTS[8], "2026-06-06T10:04:00Z")],
        "launchplane_artifact_manifests": [
            manifest("shop", 1, sha("a"), "1"), manifest("shop", 2, sha("b"), "2"), manifest("shop", 3, sha("c"), "3"),
            manifest("site", 6, sha("e"), "6"), manifest("site", 7, sha("d"), "7")],
        "launchplane_release_tuples": [
            tuple_of("shop", "testing", "artifact-shop-0003", "2026-06-10T11:05:00Z", "c"),
            tuple_of("shop", "prod", "artifact-shop-0002", "2026-06-02T10:05:00Z", "b", "promotion", promoted_from_channel="testing",
                     promotion_record_id=PROMOTIONS[1]["record_id"], deployment_record_id=DEPLOYMENTS[3]["record_id"])],
        "launchplane_preview_records": [preview(7, "active", "2026-06-10T11:40:00Z"), preview(5, "destroyed", "2026-06-03T10:00:00Z")],
        "launchplane_preview_generations": [generation(7, 1, "superseded", "2026-06-09T11:00:00Z"),
                                            generation(7, 2, "ready", "2026-06-10T11:40:00Z"), generation(5, 1, "ready", "2026-06-02T10:00:00Z")],
        "launchplane_preview_enablement": [
            {"schema_version": 1, "record_id": "shop-previews-odoo-tenant-shop-pr-7", "context": "shop-previews",
             "anchor_repo": "odoo-tenant-shop", "anchor_pr_number": 7, "anchor_pr_url": "https://example.com/7", "anchor_head_sha": sha("c"),
             "action": "labeled", "pr_state": "open", "label_enabled": True, "action_label": "launchplane-preview",
             "request_metadata_status": "missing", "updated_at": "2026-06-09T10:00:00Z"}],
        "launchplane_preview_inventory_scans": [
            {"schema_version": 1, "scan_id": "preview-inventory-scan-shop-previews-20260610T114500Z", "context": "shop-previews",
             "scanned_at": "2026-06-10T11:45:00Z", "source": "workflow", "status": "pass", "preview_count": 1, "preview_slugs": ["pr-7"],
             "error_message": ""}],
        "launchplane_preview_desired_states": [
            {"schema_version": 1, "desired_state_id": "preview-desired-state-shop-previews-20260610T114000Z", "product": SHOP,
             "context": "shop-previews", "source": "workflow", "discovered_at": "2026-06-10T11:40:00Z",
             "repository": "example-org/odoo-tenant-shop", "label": "launchplane-preview", "anchor_repo": "odoo-tenant-shop", "status": "pass",
             "desired_count": 1, "desired_previews": [{"preview_slug": "pr-7", "anchor_pr_number": 7}], "error_message": ""}],
        "launchplane_preview_lifecycle_plans": [
            {"schema_version": 1, "plan_id": "preview-lifecycle-plan-shop-previews-20260603T100000Z", "product": SHOP,
             "context": "shop-previews", "planned_at": "2026-06-03T10:00:00Z", "source": "workflow", "status": "pass",
             "inventory_scan_id": "preview-inventory-scan-shop-previews-20260603T095900Z", "orphaned_slugs": ["pr-5"]}],
        "launchplane_preview_lifecycle_cleanups": [
            {"schema_version": 1, "cleanup_id": "preview-lifecycle-cleanup-shop-previews-20260603T100100Z", "product": SHOP,
             "context": "shop-previews", "plan_id": "preview-lifecycle-plan-shop-previews-20260603T100000Z",
             "requested_at": "2026-06-03T10:01:00Z", "source": "workflow", "apply": True, "status": "pass", "destroyed_slugs": ["pr-5"]}],
        "launchplane_preview_pr_feedback": [
            {"schema_version": 1, "feedback_id": "preview-pr-feedback-shop-previews-pr-7-20260610T114100Z", "product": SHOP,
             "context": "shop-previews", "source": "workflow", "requested_at": "2026-06-10T11:41:00Z",
             "repository": "example-org/odoo-tenant-shop", "anchor_repo": "odoo-tenant-shop", "anchor_pr_number": 7,
             "anchor_pr_url": "https://example.com/7", "marker": "<!-- m -->", "comment_markdown": "ready", "status": "ready",
             "immutable_image_reference": f"registry.example.com/example-org/shop@{digest('3')}", "refresh_image_reference": "",
             "delivery_status": "delivered"}],
        "launchplane_preview_pr_feedback_notification_policies": [
            {"policy_id": "fp-1", "product": SHOP, "context": "shop-previews", "repository": "", "status": "enabled", "updated_at": NOW}],
        "launchplane_preview_pr_feedback_notification_attempts": [
            {"attempt_id": "fa-1", "feedback_id": "preview-pr-feedback-shop-previews-pr-7-20260610T114100Z", "event": "ready",
             "destination_kind": "discord_webhook", "delivery_status": "delivered", "attempted_at": NOW}],
        "launchplane_product_profiles": PROFILES,
        "launchplane_runtime_environments": [
            environment("global", "", "", {"TZ": "UTC"}, "01"), environment("context", "shop", "", {"ODOO_DB_NAME": RUNTIME_VALUE}, "02"),
            environment("instance", "shop", "prod", {"ODOO_DB_NAME": RUNTIME_VALUE + "-prod", "WORKERS": 4}, "03")],
        "launchplane_runtime_environment_delete_events": [
            {"event_id": "runtime-env-delete-1", "event_type": "deleted", "recorded_at": "2026-05-04T10:00:00Z", "actor": "github:octocat",
             "scope": "context", "context": "shop", "instance": "", "source_label": "cli", "env_keys": ["OLD"], "env_value_count": 1, "detail": ""}],
        "launchplane_runtime_key_safety_policies": [
            {"schema_version": 1, "record_id": "runtime-key-safety-policy-1", "status": "active", "source": "operator",
             "updated_at": "2026-05-01T10:00:00Z",
             "rules": [{"binding_key": "ODOO_DB_PASSWORD", "secret_class": "shared_safe", "allowed_contexts": [], "allowed_instances": [],
                        "description": ""}]}],
        "launchplane_dokploy_targets": [target for target, _, _ in TARGETS],
        "launchplane_dokploy_target_ids": [target_id for _, target_id, _ in TARGETS],
        "launchplane_provider_targets": [row for _, _, row in TARGETS],
        "launchplane_odoo_instance_overrides": [
            {"schema_version": 1, "context": "shop", "instance": "prod", "apply_on": ["deploy", "promotion"],
             "config_parameters": [{"key": "web.base.url", "value": {"source": "literal", "value": RUNTIME_VALUE}}],
             "addon_settings": [{"addon": "sale", "setting": "mode", "value": {"source": "literal", "value": RUNTIME_VALUE}}],
             "last_apply": {"attempted": False, "status": "skipped", "applied_at": "", "detail": ""}, "updated_at": "2026-05-05T10:00:00Z",
             "source_label": "cli"}],
        "launchplane_secrets": [record for record, _, _, _ in SECRETS],
        "launchplane_secret_versions": [version for _, versions, _, _ in SECRETS for version in versions],
        "launchplane_secret_bindings": [binding for _, _, binding, _ in SECRETS],
        "launchplane_secret_audit_events": [event for _, _, _, events in SECRETS for event in events],
        "launchplane_authz_policies": [
            old_policy(1, "2025-01-01T08:00:00Z", [SHOP], "first grants"), old_policy(2, "2025-01-02T08:00:00Z", [SITE], "the site deploys itself")],
        "launchplane_human_sessions": [
            {"session_id": "s-1", "login": "octocat", "github_id": 1, "role": "admin", "created_at": "2026-06-01T08:00:00+00:00",
             "expires_at": "2026-06-15T08:00:00+00:00"}],
        "launchplane_idempotency_records": [
            {"schema_version": 1, "record_id": "idempotency-launchplane_req_" + "1" * 32, "scope": "github-actions:example-org/site",
             "route_path": "/v1/evidence/deployments", "idempotency_key": "k-1", "request_fingerprint": "f", "response_status_code": 202,
             "response_trace_id": "launchplane_req_" + "1" * 32, "recorded_at": "2026-06-05T10:05:00Z",
             "response_payload": {"status": "accepted", "trace_id": "launchplane_req_" + "1" * 32, "records": {}}}],
        "launchplane_public_ingress_observations": [
            observation("prod", "2026-06-10T11:50:00Z", "pass"), observation("testing", "2026-06-10T11:50:00Z", "fail", "shop-testing")],
        "launchplane_public_ingress_incidents": [
            {"schema_version": 1, "incident_id": f"public-ingress-incident-{SHOP}-shop-testing", "product": SHOP, "context": "shop",
             "instance": "testing", "check_name": "public-ingress", "check_kind": "public_http", "status": "open",
             "opened_at": "2026-06-10T11:30:00Z", "latest_observed_at": "2026-06-10T11:50:00Z", "failure_code": "http_status",
             "summary": "shop-testing fail"}],
    }
    made.update(_rest())
    return made


def _rest():
    """Families that this release keeps for others."""
    branch = {"repository": "example-org/site", "base_branch": "main"}
    record = {"status": "active", "source": "operator", "updated_at": NOW}
    attempt = {"destination_kind": "discord_webhook", "delivery_status": "delivered", "attempted_at": NOW}
    return {
        "launchplane_public_ingress_notification_policies": [
            {"policy_id": "np-1", "product": SHOP, "context": "", "instance": "", "status": "enabled", "updated_at": NOW}],
        "launchplane_public_ingress_notification_attempts": [
            {"attempt_id": "na-1", "incident_id": f"public-ingress-incident-{SHOP}-shop-testing", "event": "opened", **attempt}],
        "launchplane_private_health_endpoints": [
            {"endpoint_key": "shop-prod", "product": SHOP, "context": "shop", "instance": "prod", "url": "http://10.0.0.1/health",
             "status": "active", "updated_at": NOW}],
        "launchplane_edge_endpoints": [
            {"endpoint_key": "edge-1", "provider": "npm", "server_name": "edge", "upstream_host": "10.0.0.2", "upstream_scheme": "http",
             "upstream_port": 80, "status": "active", "updated_at": NOW}],
        "launchplane_ingress_canary_routes": [
            {"canary_key": "canary-1", "product": SHOP, "context": "shop", "domain_name": "canary.example.com", "expected_host_id": 3,
             "edge_endpoint_key": "edge-1", "certificate_id": "c-1", "status": "active", "updated_at": NOW}],
        "launchplane_ingress_route_audits": [
            {"record_id": "audit-1", "product": SHOP, "context": "shop", "mode": "apply", "status": "pass", "provider_host_id": None,
             "recorded_at": NOW}],
        "launchplane_odoo_stable_bootstrap_operations": [operation_of("bootstrap", 1, "pass")],
        "launchplane_odoo_stable_target_replacement_operations": [
            operation_of("replacement", 2, "pass", "prod"), operation_of("replacement", 8, "fail")],
        "launchplane_runner_host_hygiene_audits": [
            {"audit_record_key": "hygiene/2026-06-01", "host_name": "h-1", "action": "audit", "status": "completed", "mutate": False}],
        "launchplane_runner_lane_registration_audits": [
            {"audit_record_key": "runner-lane-registration/2026-06-01/h-1", "repository": "example-org/site", "host_name": "h-1",
             "lane_name": "l-1", "status": "planned", "mutate": False}],
        "launchplane_agent_write_intents": [
            {"record_id": "intent-1", "recorded_at": NOW, "trace_id": "t", "intent": "deploy", "mode": "evaluate", "status": "allowed",
             "authz_action": "deployment.write", "product": SHOP, "context": "shop"}],
        "launchplane_every_code_work_requests": [
            {"request_id": "w-1", "source": "github", "state": "queued", "repository": "example-org/site", "issue_number": 3,
             "trigger_label": "code", "updated_at": NOW, "claimed_by_host": ""}],
        "launchplane_every_code_pr_feedback": [
            {"feedback_id": "f-1", "request_id": "w-1", "repository": "example-org/site", "pr_number": 4, "feedback_kind": "review",
             "github_delivery_id": "d-1", "actor": "octocat", "received_at": NOW, "status": "new"}],
        "launchplane_every_code_preview_gates": [
            {"gate_id": "g-1", "request_id": "w-1", "repository": "example-org/site", "issue_number": 3, "pr_number": 4, "head_sha": sha("d"),
             "status": "pending", "updated_at": NOW}],
        "launchplane_every_code_notification_policies": [
            {"policy_id": "ep-1", "repository": "example-org/site", "status": "enabled", "updated_at": NOW}],
        "launchplane_every_code_notification_attempts": [{"attempt_id": "ea-1", "request_id": "w-1", "event": "done", **attempt}],
        "launchplane_merge_train_policies": [{"record_id": "mp-1", "policy_sha256": "a" * 64, **record}],
        "launchplane_merge_train_runs": [
            {"run_id": "mr-1", "recorded_at": NOW, "trace_id": "t", **branch, "mode": "dry-run", "status": "pass",
             "intended_next_action": "none", "selected_pr_number": None, "policy_key": "k", "policy_sha256": "a" * 64}],
        "launchplane_merge_train_pr_feedback": [
            {"feedback_id": "mf-1", **branch, "pull_request_number": 4, "event": "queued", "delivery_status": "delivered", "recorded_at": NOW}],
        "launchplane_merge_train_batch_candidates": [{"record_id": "bc-1", **record, **branch, "batch_id": "b-1", "candidate_status": "open"}],
        "launchplane_merge_train_batch_landing_plans": [{"record_id": "lp-1", **record, **branch, "batch_id": "b-1", "plan_id": "p-1"}],
        "launchplane_merge_train_stack_collapse_plans": [
            {"record_id": "sc-1", **record, **branch, "collapse_id": "c-1", "root_pull_request_number": 4, "plan_status": "open"}],
        "launchplane_generic_web_rollback_plans": [{"plan_id": "rollback-plan-1", "product": SITE}],
    }


PATHS = {"artifact_id": ("artifact_identity", "artifact_id"), "deploy_started_at": ("deploy", "started_at"),
         "deploy_finished_at": ("deploy", "finished_at"), "image_repository": ("image", "repository"),
         "image_digest": ("image", "digest")}


def column(document, name, kind):
    found = document.get(name)
    if found is None and name in PATHS:
        first, second = PATHS[name]
        found = document.get(first, {}).get(second)
    if found is None and name not in document:
        found = 0 if kind == "integer" else ""
    return int(found) if isinstance(found, bool) else found


def insert(connection, without=()):
    """Every row, into tables of this or of an earlier release."""
    for table, documents in rows().items():
        if table in without:
            continue
        columns = connection.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s AND column_name <> 'payload'"
            "   AND column_default IS NULL AND table_schema = 'public'", (table,)).fetchall()
        assert columns, f"there is no table {table}"
        names = [name for name, _ in columns] + ["payload"]
        for document in documents:
            values = [column(document, name, kind) for name, kind in columns] + [json.dumps(document)]
            connection.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(['%s'] * len(names))})", values)
