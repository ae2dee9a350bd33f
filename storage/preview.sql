-- Previews and their generations (facts/core.md 5.5, 5.6).

-- name: preview_id_lock
-- Claims of one id come one after the other: ON CONFLICT settles a race on the anchor, not one on the id.
SELECT pg_advisory_xact_lock(hashtextextended('preview ' || $1::text, 0));

-- name: preview_anchor_claim
-- The preview of an anchor, the anchor locked until the transaction ends. $4 becomes its id when it has none yet; $5 does when
-- another anchor has that id already. Whoever makes several statements asks for preview_id_lock first, so that this one sees
-- what the claim before it did.
WITH claim AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended('preview ' || $4::text, 0)))
INSERT INTO launchplane_preview_anchors AS known (context, anchor_repo, anchor_pr_number, preview_id)
SELECT $1, $2, $3::integer,
       CASE WHEN EXISTS (SELECT 1 FROM launchplane_preview_anchors o
                          WHERE o.preview_id = $4 AND (o.context, o.anchor_repo, o.anchor_pr_number) <> ($1, $2, $3::integer))
            THEN $5 ELSE $4 END
  FROM claim
ON CONFLICT (context, anchor_repo, anchor_pr_number) DO UPDATE SET preview_id = known.preview_id
RETURNING preview_id;

-- name: preview_anchor_lock
SELECT preview_id FROM launchplane_preview_anchors
 WHERE context = $1 AND anchor_repo = $2 AND anchor_pr_number = $3::integer
   FOR UPDATE;

-- name: preview_read
-- together
SELECT context, payload FROM launchplane_preview_records WHERE preview_id = $1;

-- name: preview_history
SELECT p.context, p.payload,
       coalesce((SELECT json_agg(g.payload ORDER BY g.sequence DESC, g.requested_at COLLATE "C" DESC, g.generation_id COLLATE "C" DESC)
                   FROM launchplane_preview_generations g WHERE g.preview_id = p.preview_id), '[]'::json)
  FROM launchplane_preview_records p
 WHERE p.preview_id = $1;

-- name: preview_base_url
SELECT payload -> 'env' ->> 'LAUNCHPLANE_PREVIEW_BASE_URL' FROM launchplane_runtime_environments
 WHERE (scope = 'global' OR (scope = 'context' AND context = $1))
   AND coalesce(payload -> 'env' ->> 'LAUNCHPLANE_PREVIEW_BASE_URL', '') <> ''
 ORDER BY scope = 'context' DESC
 LIMIT 1;

-- name: generation_candidates
-- The generation of an id, and those a request without an id may mean.
SELECT payload, preview_id FROM launchplane_preview_generations
 WHERE generation_id = $2
    OR (preview_id = $1 AND $3::boolean AND state = $4 AND requested_at = $5 AND finished_at = $6 AND artifact_id = $7)
 ORDER BY (generation_id = $2) DESC, sequence DESC;

-- name: generation_sequences
-- Over the generations of a preview but for one: the highest sequence and the latest request; and the sequence of $3.
SELECT coalesce(max(sequence) FILTER (WHERE generation_id <> $2), 0),
       coalesce(max(requested_at COLLATE "C"), ''),
       coalesce(max(sequence) FILTER (WHERE generation_id = $3), 0),
       coalesce(max(sequence), 0)
  FROM launchplane_preview_generations
 WHERE preview_id = $1;

-- name: preview_upsert
INSERT INTO launchplane_preview_records (preview_id, context, anchor_repo, anchor_pr_number, state, updated_at, payload)
VALUES ($1, $2, $3, $4::integer, $5, $6, $7::json)
ON CONFLICT (preview_id) DO UPDATE
   SET state = excluded.state, updated_at = excluded.updated_at, payload = excluded.payload;

-- name: generation_upsert
INSERT INTO launchplane_preview_generations
    (generation_id, preview_id, sequence, state, requested_at, finished_at, artifact_id, payload)
VALUES ($1, $2, $3::integer, $4, $5, $6, $7, $8::json)
ON CONFLICT (generation_id) DO UPDATE
   SET sequence = excluded.sequence, state = excluded.state, requested_at = excluded.requested_at,
       finished_at = excluded.finished_at, artifact_id = excluded.artifact_id, payload = excluded.payload;

-- name: preview_enablement_upsert
-- An event that came late changes nothing: no row comes back.
INSERT INTO launchplane_preview_enablement AS known (record_id, context, anchor_repo, anchor_pr_number, pr_state, updated_at, payload)
VALUES ($1, $2, $3, $4::integer, $5, $6, $7::json)
ON CONFLICT (record_id) DO UPDATE
   SET pr_state = excluded.pr_state, updated_at = excluded.updated_at, payload = excluded.payload
 WHERE known.updated_at COLLATE "C" <= excluded.updated_at COLLATE "C"
RETURNING record_id;
