-- Deployments, inventory and release tuples (facts/core.md 5.3, 6.3, 6.4).

-- name: deployment_evidence_store
-- One statement, one commit: the idempotency row, the deployment and the lane's inventory. No row back: the key was used before.
WITH idem AS (
    INSERT INTO launchplane_idempotency_records
        (record_id, scope, route_path, idempotency_key, request_fingerprint, response_status_code, response_trace_id,
         recorded_at, payload)
    SELECT $1, $2, $3, $4, $5, 202, $6, $7, $8::json
     WHERE $4::text IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING 1),
fresh AS (SELECT 1 AS one WHERE $4::text IS NULL OR EXISTS (SELECT 1 FROM idem)),
deployment AS (
    INSERT INTO launchplane_deployments
        (record_id, context, instance, artifact_id, source_git_ref, deploy_started_at, deploy_finished_at, payload)
    SELECT $9, $10, $11, $12, $13, $14, $15, $16::json FROM fresh
    ON CONFLICT (record_id) DO UPDATE
       SET context = excluded.context, instance = excluded.instance, artifact_id = excluded.artifact_id,
           source_git_ref = excluded.source_git_ref, deploy_started_at = excluded.deploy_started_at,
           deploy_finished_at = excluded.deploy_finished_at, payload = excluded.payload),
inventory AS (
    INSERT INTO launchplane_inventory AS known
        (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
         promoted_from_instance, payload)
    SELECT $10, $11, $12, $13, $7, $9, '', '', $17::json FROM fresh
    ON CONFLICT (context, instance) DO UPDATE
       SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref, updated_at = excluded.updated_at,
           deployment_record_id = excluded.deployment_record_id, promotion_record_id = '', promoted_from_instance = '',
           payload = CASE WHEN coalesce(known.payload ->> 'bootstrap_record_id', '') = '' THEN excluded.payload::text
                          ELSE (excluded.payload::jsonb ||
                                jsonb_build_object('bootstrap_record_id', known.payload ->> 'bootstrap_record_id'))::text
                     END::json)
SELECT one FROM fresh;

-- name: deployment_upsert
INSERT INTO launchplane_deployments
    (record_id, context, instance, artifact_id, source_git_ref, deploy_started_at, deploy_finished_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json)
ON CONFLICT (record_id) DO UPDATE
   SET context = excluded.context, instance = excluded.instance, artifact_id = excluded.artifact_id,
       source_git_ref = excluded.source_git_ref, deploy_started_at = excluded.deploy_started_at,
       deploy_finished_at = excluded.deploy_finished_at, payload = excluded.payload;

-- name: deployment_read
SELECT context, payload FROM launchplane_deployments WHERE record_id = $1;

-- name: inventory_upsert
INSERT INTO launchplane_inventory
    (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
     promoted_from_instance, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::json)
ON CONFLICT (context, instance) DO UPDATE
   SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref, updated_at = excluded.updated_at,
       deployment_record_id = excluded.deployment_record_id, promotion_record_id = excluded.promotion_record_id,
       promoted_from_instance = excluded.promoted_from_instance, payload = excluded.payload;

-- name: inventory_read
SELECT payload FROM launchplane_inventory WHERE context = $1 AND instance = $2;

-- name: artifact_manifest_upsert
INSERT INTO launchplane_artifact_manifests (artifact_id, source_commit, image_repository, image_digest, payload)
VALUES ($1, $2, $3, $4, $5::json)
ON CONFLICT (artifact_id) DO UPDATE
   SET source_commit = excluded.source_commit, image_repository = excluded.image_repository,
       image_digest = excluded.image_digest, payload = excluded.payload;

-- name: artifact_manifest_read
SELECT payload FROM launchplane_artifact_manifests WHERE artifact_id = $1;

-- name: release_tuple_upsert
INSERT INTO launchplane_release_tuples (context, channel, tuple_id, artifact_id, minted_at, provenance, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7::json)
ON CONFLICT (context, channel) DO UPDATE
   SET tuple_id = excluded.tuple_id, artifact_id = excluded.artifact_id, minted_at = excluded.minted_at,
       provenance = excluded.provenance, payload = excluded.payload;

-- name: inventory_note_bootstrap
-- What is current stays; the latest attempt at a bootstrap is named beside it.
UPDATE launchplane_inventory
   SET payload = (payload::jsonb || jsonb_build_object('bootstrap_record_id', $3::text, 'updated_at', $4::text))::text::json,
       updated_at = $4
 WHERE context = $1 AND instance = $2;

-- name: backup_gate_passed_of_lane
SELECT record_id FROM launchplane_backup_gates
 WHERE context = $1 AND instance = $2 AND status = 'pass'
 ORDER BY created_at DESC LIMIT 1;
