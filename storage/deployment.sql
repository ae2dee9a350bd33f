-- Deployments, inventory and release tuples (facts/core.md 5.3, 6.3, 6.4).

-- name: deployment_evidence_store
-- One statement, one commit: the idempotency row, the deployment and the lane's inventory. Answers the verdict, whether it was
-- stored under the key (false: the key was used before), and what the answer tells besides. Verdicts: '' all is current,
-- 'older' a later state of the record stays, 'behind' the inventory of a later deployment stays, 'elsewhere' refused: the
-- record belongs to another lane. The conditions of the upserts hold in a race what the verdict saw before it.
WITH judged AS (
    SELECT CASE WHEN d.context <> $10 OR d.instance <> $11 THEN 'elsewhere'
                WHEN launchplane_is_later(d.deploy_started_at, d.deploy_finished_at, $14, $15) THEN 'older'
                WHEN i.deployment_record_id <> $9
                     AND launchplane_came_after(coalesce(i.payload -> 'deploy' ->> 'started_at', ''),
                                                coalesce(i.payload -> 'deploy' ->> 'finished_at', ''), $14, $15) THEN 'behind'
                ELSE '' END AS verdict
      FROM (SELECT 1) AS one
      LEFT JOIN launchplane_deployments d ON d.record_id = $9
      LEFT JOIN launchplane_inventory i ON i.context = $10 AND i.instance = $11),
idem AS (
    INSERT INTO launchplane_idempotency_records
        (record_id, scope, route_path, idempotency_key, request_fingerprint, response_status_code, response_trace_id,
         recorded_at, payload)
    SELECT $1, $2, $3, $4, $5, 202, $6, $7,
           CASE verdict WHEN '' THEN $8::json
                ELSE jsonb_set($8::jsonb, '{response_payload,result}', launchplane_evidence_note(verdict)::jsonb)::json END
      FROM judged
     WHERE $4::text IS NOT NULL AND verdict <> 'elsewhere'
    ON CONFLICT DO NOTHING
    RETURNING 1),
fresh AS (
    SELECT verdict FROM judged WHERE verdict <> 'elsewhere' AND ($4::text IS NULL OR EXISTS (SELECT 1 FROM idem))),
deployment AS (
    INSERT INTO launchplane_deployments AS known
        (record_id, context, instance, artifact_id, source_git_ref, deploy_started_at, deploy_finished_at, payload)
    SELECT $9, $10, $11, $12, $13, $14, $15, $16::json FROM fresh
    ON CONFLICT (record_id) DO UPDATE
       SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref,
           deploy_started_at = excluded.deploy_started_at, deploy_finished_at = excluded.deploy_finished_at,
           payload = excluded.payload
     WHERE known.context = excluded.context AND known.instance = excluded.instance
       AND known.payload::text IS DISTINCT FROM excluded.payload::text
       AND NOT launchplane_is_later(known.deploy_started_at, known.deploy_finished_at,
                                    excluded.deploy_started_at, excluded.deploy_finished_at)
    RETURNING 1),
inventory AS (
    INSERT INTO launchplane_inventory AS known
        (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
         promoted_from_instance, payload)
    SELECT $10, $11, $12, $13, $7, $9, '', '', $17::json FROM deployment
    ON CONFLICT (context, instance) DO UPDATE
       SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref, updated_at = excluded.updated_at,
           deployment_record_id = excluded.deployment_record_id,
           promotion_record_id = CASE WHEN known.deployment_record_id = excluded.deployment_record_id
                                      THEN known.promotion_record_id ELSE '' END,
           promoted_from_instance = CASE WHEN known.deployment_record_id = excluded.deployment_record_id
                                         THEN known.promoted_from_instance ELSE '' END,
           payload = launchplane_inventory_over(
               excluded.payload::json, known.payload ->> 'bootstrap_record_id',
               CASE WHEN known.deployment_record_id = excluded.deployment_record_id THEN known.promotion_record_id END,
               CASE WHEN known.deployment_record_id = excluded.deployment_record_id THEN known.promoted_from_instance END)
     WHERE known.deployment_record_id = excluded.deployment_record_id
        OR NOT launchplane_came_after(coalesce(known.payload -> 'deploy' ->> 'started_at', ''),
                                      coalesce(known.payload -> 'deploy' ->> 'finished_at', ''), $14, $15)),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT $18::json FROM fresh WHERE $18::json IS NOT NULL)
SELECT verdict, EXISTS (SELECT 1 FROM fresh), launchplane_evidence_note(verdict) FROM judged;

-- name: deployment_upsert
INSERT INTO launchplane_deployments
    (record_id, context, instance, artifact_id, source_git_ref, deploy_started_at, deploy_finished_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json)
ON CONFLICT (record_id) DO UPDATE
   SET context = excluded.context, instance = excluded.instance, artifact_id = excluded.artifact_id,
       source_git_ref = excluded.source_git_ref, deploy_started_at = excluded.deploy_started_at,
       deploy_finished_at = excluded.deploy_finished_at, payload = excluded.payload;

-- name: deployment_read
-- together
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
-- together
SELECT payload FROM launchplane_inventory WHERE context = $1 AND instance = $2;

-- name: artifact_manifest_upsert
INSERT INTO launchplane_artifact_manifests (artifact_id, source_commit, image_repository, image_digest, payload)
VALUES ($1, $2, $3, $4, $5::json)
ON CONFLICT (artifact_id) DO UPDATE
   SET source_commit = excluded.source_commit, image_repository = excluded.image_repository,
       image_digest = excluded.image_digest, payload = excluded.payload;

-- name: artifact_manifest_read
-- together
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
