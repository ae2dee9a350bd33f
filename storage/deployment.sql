-- Deployments, inventory and release tuples (facts/core.md 5.3, 6.3, 6.4).

-- name: deployment_evidence_store, many at once
-- One statement, one commit: for each item the idempotency row, the deployment and the lane's inventory. The items are of
-- different lanes. Answers for each, by its number, the verdict, whether it was stored under the key (false: the key was used
-- before), and what the answer tells besides. Verdicts: '' all is current, 'older' a later state of the record stays, 'behind'
-- the inventory of a later deployment stays, 'elsewhere' refused: the record belongs to another lane. The lane's row is locked
-- before it is judged; the conditions of the upserts hold for rows that came in between.
-- The condition on n is always true: with it the planner counts on one row, whatever the number of items is, and keeps its plan.
WITH given AS (
    SELECT *
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                  $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
                  $18::text[])
           WITH ORDINALITY AS g(idempotency_id, scope, route, key, fingerprint, trace_id, now, answer, record_id,
                                context, instance, artifact_id, source_git_ref, started, finished, deployment, inventory,
                                leaf, n)
     WHERE n BETWEEN 1 AND 1000000),
judged AS (
    SELECT g.*, i.kept, i.payload AS replaced,
           CASE WHEN d.context <> g.context OR d.instance <> g.instance THEN 'elsewhere'
                WHEN launchplane_is_later(d.deploy_started_at, d.deploy_finished_at, g.started, g.finished) THEN 'older'
                WHEN NOT i.is_of_it AND launchplane_came_after(i.started, i.finished, g.started, g.finished) THEN 'behind'
                ELSE '' END AS verdict,
           CASE WHEN i.bootstrap_record_id <> '' OR (i.is_of_it AND i.promotion_record_id <> '')
                THEN launchplane_inventory_over(g.inventory::json, i.bootstrap_record_id,
                                                CASE WHEN i.is_of_it THEN i.promotion_record_id END,
                                                CASE WHEN i.is_of_it THEN i.promoted_from_instance END)
                ELSE g.inventory::json END AS established,
           coalesce(i.bootstrap_record_id, '') AS bootstrap_record_id
      FROM given g
      LEFT JOIN LATERAL (
           SELECT s.context, s.instance, s.deploy_started_at, s.deploy_finished_at
             FROM launchplane_deployments s WHERE s.record_id = g.record_id) d ON true
      LEFT JOIN LATERAL (
           SELECT s.kept, s.payload, s.deployment_record_id = g.record_id AS is_of_it, s.promotion_record_id,
                  s.promoted_from_instance,
                  coalesce(s.deploy_started_at, s.payload -> 'deploy' ->> 'started_at', '') AS started,
                  coalesce(s.deploy_finished_at, s.payload -> 'deploy' ->> 'finished_at', '') AS finished,
                  coalesce(s.bootstrap_record_id, s.payload ->> 'bootstrap_record_id', '') AS bootstrap_record_id
             FROM launchplane_inventory s
            WHERE s.context = g.context AND s.instance = g.instance
              FOR NO KEY UPDATE) i ON true),
idem AS (
    INSERT INTO launchplane_idempotency_records
        (record_id, scope, route_path, idempotency_key, request_fingerprint, response_status_code, response_trace_id,
         recorded_at, payload)
    SELECT idempotency_id, scope, route, key, fingerprint, 202, trace_id, now,
           CASE verdict WHEN '' THEN answer::json
                ELSE jsonb_set(answer::jsonb, '{response_payload,result}', launchplane_evidence_note(verdict)::jsonb)::json END
      FROM judged
     WHERE key IS NOT NULL AND verdict <> 'elsewhere'
    ON CONFLICT DO NOTHING
    RETURNING record_id),
fresh AS (
    SELECT * FROM judged
     WHERE verdict <> 'elsewhere'
       AND (key IS NULL OR EXISTS (SELECT 1 FROM idem WHERE idem.record_id = judged.idempotency_id))),
deployment AS (
    INSERT INTO launchplane_deployments AS known
        (record_id, context, instance, artifact_id, source_git_ref, deploy_started_at, deploy_finished_at, payload)
    SELECT record_id, context, instance, artifact_id, source_git_ref, started, finished, deployment::json FROM fresh
    ON CONFLICT (record_id) DO UPDATE
       SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref,
           deploy_started_at = excluded.deploy_started_at, deploy_finished_at = excluded.deploy_finished_at,
           payload = excluded.payload
     WHERE known.context = excluded.context AND known.instance = excluded.instance
       AND known.payload::text IS DISTINCT FROM excluded.payload::text
       AND NOT launchplane_is_later(known.deploy_started_at, known.deploy_finished_at,
                                    excluded.deploy_started_at, excluded.deploy_finished_at)
    RETURNING record_id),
taken AS (
    SELECT * FROM fresh WHERE verdict = '' AND record_id IN (SELECT record_id FROM deployment)),
kept AS (
    INSERT INTO launchplane_record_versions (family, record_key, payload)
    SELECT 'inventory', context || '/' || instance, replaced::json
      FROM taken
     WHERE kept IS NOT NULL AND replaced::text IS DISTINCT FROM established::text),
inventory AS (
    INSERT INTO launchplane_inventory AS known
        (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
         promoted_from_instance, payload, deploy_started_at, deploy_finished_at, bootstrap_record_id, kept)
    SELECT context, instance, artifact_id, source_git_ref, now, record_id, '', '', established, started, finished,
           bootstrap_record_id, coalesce(kept + 1, 0)
      FROM taken
    ON CONFLICT (context, instance) DO UPDATE
       SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref, updated_at = excluded.updated_at,
           deployment_record_id = excluded.deployment_record_id,
           promotion_record_id = CASE WHEN known.deployment_record_id = excluded.deployment_record_id
                                      THEN known.promotion_record_id ELSE '' END,
           promoted_from_instance = CASE WHEN known.deployment_record_id = excluded.deployment_record_id
                                         THEN known.promoted_from_instance ELSE '' END,
           payload = CASE WHEN excluded.kept = known.kept + 1 THEN excluded.payload::json
                          ELSE launchplane_inventory_over(
                               excluded.payload::json, known.payload ->> 'bootstrap_record_id',
                               CASE WHEN known.deployment_record_id = excluded.deployment_record_id THEN known.promotion_record_id END,
                               CASE WHEN known.deployment_record_id = excluded.deployment_record_id THEN known.promoted_from_instance END)
                     END,
           deploy_started_at = excluded.deploy_started_at, deploy_finished_at = excluded.deploy_finished_at,
           bootstrap_record_id = excluded.bootstrap_record_id,
           kept = CASE WHEN excluded.kept = known.kept + 1 THEN excluded.kept ELSE known.kept END
     WHERE excluded.kept = known.kept + 1 OR known.deployment_record_id = excluded.deployment_record_id
        OR NOT launchplane_came_after(coalesce(known.payload -> 'deploy' ->> 'started_at', ''),
                                      coalesce(known.payload -> 'deploy' ->> 'finished_at', ''),
                                      excluded.deploy_started_at, excluded.deploy_finished_at)),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT leaf::json FROM fresh WHERE leaf IS NOT NULL)
SELECT n, verdict, EXISTS (SELECT 1 FROM fresh WHERE fresh.n = judged.n),
       CASE WHEN verdict IN ('older', 'behind') THEN launchplane_evidence_note(verdict) END
  FROM judged;

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
