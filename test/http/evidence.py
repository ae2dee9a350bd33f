"""Evidence bodies that tests send, and what they read back."""
from checks import assert_accepted, assert_ok
from rehearsal.policy import CONTEXT, PRODUCT

DEPLOYMENTS = "/v1/evidence/deployments"
PROMOTIONS = "/v1/evidence/promotions"
GATES = "/v1/evidence/backup-gates"
GENERATIONS = "/v1/evidence/previews/generations"
DESTROYED = "/v1/evidence/previews/destroyed"
ARTIFACT = "artifact-shop-0001"
SHA = "a" * 40
REPO, PR = "odoo-tenant-shop", 7
PREVIEW_ID = "preview-shop-odoo-tenant-shop-pr-7"


def at(minute, hour=10):
    return f"2026-03-01T{hour:02d}:{minute:02d}:00Z"


def run(minute, status="pass", **changes):
    """A deploy that began at that minute and took one."""
    return {"target_name": "shop", "target_type": "compose", "deploy_mode": "dokploy-compose-api", "status": status,
            "started_at": at(minute), "finished_at": "" if status == "pending" else at(minute + 1), **changes}


def deployment(record_id, minute=0, instance="testing", artifact=ARTIFACT, context=CONTEXT, status="pass", **changes):
    return {"product": PRODUCT, "deployment": {
        "record_id": record_id, "context": context, "instance": instance, "source_git_ref": SHA,
        "artifact_identity": {"artifact_id": artifact}, "deploy": run(minute, status), **changes}}


def promotion(record_id, minute=0, link="", artifact=ARTIFACT, context=CONTEXT, status="pass", **changes):
    return {"product": PRODUCT, "promotion": {
        "record_id": record_id, "context": context, "from_instance": "testing", "to_instance": "prod",
        "artifact_identity": {"artifact_id": artifact}, "deployment_record_id": link,
        "backup_gate": {"required": False}, "deploy": run(minute, status), **changes}}


def gate(record_id, minute=0, status="pass", instance="prod", context=CONTEXT, **changes):
    return {"product": PRODUCT, "backup_gate": {
        "record_id": record_id, "context": context, "instance": instance, "created_at": at(minute), "source": "workflow",
        "status": status, "evidence": {"snapshot": record_id} if status == "pass" else {}, **changes}}


def generation(state="ready", minute=0, pr=PR, repo=REPO, context=CONTEXT, preview=None, **changes):
    anchor = {"context": context, "anchor_repo": repo, "anchor_pr_number": pr,
              "anchor_pr_url": f"https://github.com/example-org/{repo}/pull/{pr}"}
    return {"product": PRODUCT,
            "preview": {**anchor, "canonical_url": f"https://pr-{pr}.example.com", "state": "active",
                        "updated_at": at(minute), "eligible_at": at(minute), **(preview or {})},
            "generation": {**anchor, "anchor_head_sha": SHA, "state": state, "requested_reason": "external_preview_refresh",
                           "requested_at": at(minute), "resolved_manifest_fingerprint": f"fingerprint-{minute}",
                           "artifact_id": "registry.example.com/shop@sha256:" + "d" * 64, **changes}}


def destroyed(minute=0, pr=PR, repo=REPO, context=CONTEXT, **changes):
    return {"product": PRODUCT, "destroy": {
        "context": context, "anchor_repo": repo, "anchor_pr_number": pr, "destroyed_at": at(minute),
        "destroy_reason": "external_preview_cleanup_completed", **changes}}


def send(plane, path, body, **options):
    return assert_accepted(plane.post(path, body, **options))


def preview_of(plane, preview_id=PREVIEW_ID):
    return assert_ok(plane.get(f"/v1/previews/{preview_id}"))["record"]


def history_of(plane, preview_id=PREVIEW_ID):
    return assert_ok(plane.get(f"/v1/previews/{preview_id}/history"))["generations"]


def inventory_of(plane, instance="testing", context=CONTEXT):
    """None when there is none."""
    answer = plane.get(f"/v1/inventory/{context}/{instance}")
    return None if answer.status_code == 404 else assert_ok(answer)["record"]


def tuple_rows(plane, channel, context=CONTEXT):
    return plane.query("SELECT tuple_id, artifact_id, provenance, payload FROM launchplane_release_tuples"
                       " WHERE context = %s AND channel = %s", context, channel)


def put_tuple(plane, channel="testing", artifact=ARTIFACT, context=CONTEXT):
    """A lane's tuple as a deployment of long ago has left it."""
    import json
    document = {"schema_version": 1, "tuple_id": f"{context}-{channel}-{artifact}", "context": context, "channel": channel,
                "artifact_id": artifact, "minted_at": at(0), "repo_shas": {f"tenant-{context}": SHA},
                "image_repository": "registry.example.com/shop", "image_digest": "sha256:" + "d" * 64,
                "deployment_record_id": "deployment-of-old", "promotion_record_id": "", "promoted_from_channel": "",
                "provenance": "ship"}
    plane.query("INSERT INTO launchplane_release_tuples (context, channel, tuple_id, artifact_id, minted_at, provenance, payload)"
                " VALUES (%s, %s, %s, %s, %s, 'ship', %s::json) ON CONFLICT (context, channel) DO UPDATE"
                " SET tuple_id = excluded.tuple_id, artifact_id = excluded.artifact_id, payload = excluded.payload",
                context, channel, document["tuple_id"], artifact, at(0), json.dumps(document))
