-- Promotions and backup gates (facts/core.md 5.2, 5.4).

-- name: backup_gate_evidence_store
-- Verdicts as in deployment_evidence_store; a gate's times are its created_at.
WITH judged AS (
    SELECT CASE WHEN g.context <> $10 OR g.instance <> $11 THEN 'elsewhere'
                WHEN g.created_at COLLATE "C" > $12 THEN 'older'
                ELSE '' END AS verdict
      FROM (SELECT 1) AS one LEFT JOIN launchplane_backup_gates g ON g.record_id = $9),
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
gate AS (
    INSERT INTO launchplane_backup_gates AS known (record_id, context, instance, created_at, status, payload)
    SELECT $9, $10, $11, $12, $13, $14::json FROM fresh
    ON CONFLICT (record_id) DO UPDATE
       SET created_at = excluded.created_at, status = excluded.status, payload = excluded.payload
     WHERE known.context = excluded.context AND known.instance = excluded.instance
       AND known.created_at COLLATE "C" <= excluded.created_at
       AND known.payload::text IS DISTINCT FROM excluded.payload::text),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT $15::json FROM fresh WHERE $15::json IS NOT NULL)
SELECT verdict, EXISTS (SELECT 1 FROM fresh), launchplane_evidence_note(verdict) FROM judged;

-- name: backup_gate_read
-- together
SELECT context, payload FROM launchplane_backup_gates WHERE record_id = $1;

-- name: promotion_evidence_store
-- The idempotency row, the promotion and, with a link, the destination's inventory and (when the promotion passed and the
-- source lane's tuple is of this artifact) its release tuple. The link's refusals are verdicts: 'missing', 'context', 'instance',
-- 'artifact'. The last column tells whether a tuple is minted.
WITH linked AS (
    SELECT d.record_id, d.payload, d.context, d.instance, d.artifact_id, d.source_git_ref, d.deploy_started_at, d.deploy_finished_at
      FROM launchplane_deployments d
     WHERE d.record_id = $17 AND $17 <> ''
       FOR NO KEY UPDATE),
source AS (
    SELECT s.payload FROM launchplane_release_tuples s
     WHERE s.context = $10 AND s.channel = $11 AND s.artifact_id = $13
       AND $11 IN ('testing', 'prod') AND $12 IN ('testing', 'prod')),
judged AS (
    SELECT CASE WHEN p.context <> $10 OR p.from_instance <> $11 OR p.to_instance <> $12 THEN 'elsewhere'
                WHEN $17 <> '' AND l.context IS NULL THEN 'missing'
                WHEN l.context <> $10 THEN 'context'
                WHEN l.instance <> $12 THEN 'instance'
                WHEN l.artifact_id <> '' AND l.artifact_id <> $13 THEN 'artifact'
                WHEN launchplane_is_later(p.deploy_started_at, p.deploy_finished_at, $14, $15) THEN 'older'
                WHEN $17 <> '' AND i.deployment_record_id <> $17
                     AND launchplane_came_after(coalesce(i.payload -> 'deploy' ->> 'started_at', ''),
                                                coalesce(i.payload -> 'deploy' ->> 'finished_at', ''),
                                                l.deploy_started_at, l.deploy_finished_at) THEN 'behind'
                ELSE '' END AS verdict
      FROM (SELECT 1) AS one
      LEFT JOIN launchplane_promotions p ON p.record_id = $9
      LEFT JOIN linked l ON true
      LEFT JOIN launchplane_inventory i ON i.context = $10 AND i.instance = $12),
accepted AS (
    SELECT verdict, verdict = '' AND $18::boolean AND EXISTS (SELECT 1 FROM linked) AND EXISTS (SELECT 1 FROM source) AS mints
      FROM judged
     WHERE verdict IN ('', 'older', 'behind')),
idem AS (
    INSERT INTO launchplane_idempotency_records
        (record_id, scope, route_path, idempotency_key, request_fingerprint, response_status_code, response_trace_id,
         recorded_at, payload)
    SELECT $1, $2, $3, $4, $5, 202, $6, $7,
           CASE WHEN mints THEN jsonb_set($8::jsonb, '{response_payload,records,release_tuple_id}', to_jsonb($19::text))::json
                WHEN verdict = '' THEN $8::json
                ELSE jsonb_set($8::jsonb, '{response_payload,result}', launchplane_evidence_note(verdict)::jsonb)::json END
      FROM accepted
     WHERE $4::text IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING 1),
fresh AS (
    SELECT verdict, mints FROM accepted WHERE $4::text IS NULL OR EXISTS (SELECT 1 FROM idem)),
promotion AS (
    INSERT INTO launchplane_promotions AS known
        (record_id, context, from_instance, to_instance, artifact_id, deploy_started_at, deploy_finished_at, payload)
    SELECT $9, $10, $11, $12, $13, $14, $15, $16::json FROM fresh
    ON CONFLICT (record_id) DO UPDATE
       SET artifact_id = excluded.artifact_id, deploy_started_at = excluded.deploy_started_at,
           deploy_finished_at = excluded.deploy_finished_at, payload = excluded.payload
     WHERE known.context = excluded.context AND known.from_instance = excluded.from_instance
       AND known.to_instance = excluded.to_instance
       AND known.payload::text IS DISTINCT FROM excluded.payload::text
       AND NOT launchplane_is_later(known.deploy_started_at, known.deploy_finished_at,
                                    excluded.deploy_started_at, excluded.deploy_finished_at)
    RETURNING 1),
inventory AS (
    INSERT INTO launchplane_inventory AS known
        (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
         promoted_from_instance, payload)
    SELECT l.context, l.instance, l.artifact_id, l.source_git_ref, $7, $17, $9, $11,
           launchplane_inventory_from(l.context, l.instance, l.source_git_ref, l.record_id, l.payload::json, $7, $9, $11)
      FROM promotion, linked l
    ON CONFLICT (context, instance) DO UPDATE
       SET artifact_id = excluded.artifact_id, source_git_ref = excluded.source_git_ref, updated_at = excluded.updated_at,
           deployment_record_id = excluded.deployment_record_id, promotion_record_id = excluded.promotion_record_id,
           promoted_from_instance = excluded.promoted_from_instance,
           payload = launchplane_inventory_over(excluded.payload::json, known.payload ->> 'bootstrap_record_id', NULL, NULL)
     WHERE known.deployment_record_id = excluded.deployment_record_id
        OR NOT launchplane_came_after(coalesce(known.payload -> 'deploy' ->> 'started_at', ''),
                                      coalesce(known.payload -> 'deploy' ->> 'finished_at', ''),
                                      coalesce(excluded.payload -> 'deploy' ->> 'started_at', ''),
                                      coalesce(excluded.payload -> 'deploy' ->> 'finished_at', ''))
    RETURNING 1),
tuple AS (
    INSERT INTO launchplane_release_tuples (context, channel, tuple_id, artifact_id, minted_at, provenance, payload)
    SELECT $10, $12, $19, $13, $7, 'promotion',
           (s.payload::jsonb || jsonb_build_object(
               'tuple_id', $19::text, 'channel', $12::text, 'minted_at', $7::text, 'deployment_record_id', $17::text,
               'promotion_record_id', $9::text, 'promoted_from_channel', $11::text, 'provenance', 'promotion'))::json
      FROM inventory, source s, fresh
     WHERE fresh.mints
    ON CONFLICT (context, channel) DO UPDATE
       SET tuple_id = excluded.tuple_id, artifact_id = excluded.artifact_id, minted_at = excluded.minted_at,
           provenance = excluded.provenance, payload = excluded.payload),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT $20::json FROM fresh WHERE $20::json IS NOT NULL)
SELECT verdict, EXISTS (SELECT 1 FROM fresh), launchplane_evidence_note(verdict),
       coalesce((SELECT mints FROM accepted), false)
  FROM judged;

-- name: promotion_read
-- together
SELECT context, payload FROM launchplane_promotions WHERE record_id = $1;

-- name: promotion_upsert
INSERT INTO launchplane_promotions
    (record_id, context, from_instance, to_instance, artifact_id, deploy_started_at, deploy_finished_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::json)
ON CONFLICT (record_id) DO UPDATE
   SET artifact_id = excluded.artifact_id, deploy_started_at = excluded.deploy_started_at,
       deploy_finished_at = excluded.deploy_finished_at, payload = excluded.payload;
