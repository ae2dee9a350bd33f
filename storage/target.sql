-- Tracked targets and provider targets; the rules stand in migrations/0008_targets.sql (facts/config-health.md 5).

-- name: target_refusal
-- Why a change of a lane's target records is refused, null when it is not; and the provider row it leads to.
SELECT launchplane_target_refusal($1, $2, $3::jsonb, $4::jsonb, $5::jsonb),
       launchplane_target_projection(
           coalesce($3::jsonb, (SELECT payload::jsonb FROM launchplane_dokploy_targets WHERE context = $1 AND instance = $2)),
           coalesce($4::jsonb, (SELECT payload::jsonb FROM launchplane_dokploy_target_ids WHERE context = $1 AND instance = $2)));

-- name: target_lock
SELECT pg_advisory_xact_lock(hashtext('launchplane_target'), hashtext($1::text || '/' || $2::text));

-- name: target_write
SELECT launchplane_write_target($1, $2, $3::json, $4::json, $5::json);

-- name: target_domains_write
-- Adds and drops hosts of a tracked target, whatever else changed in it meanwhile.
UPDATE launchplane_dokploy_targets t
   SET updated_at = $5,
       payload = (t.payload::jsonb || jsonb_build_object('updated_at', $5::text, 'domains', coalesce((
           SELECT jsonb_agg(h.host ORDER BY h.n)
             FROM (SELECT a.host, min(a.n) AS n
                     FROM (SELECT o.host, o.n FROM jsonb_array_elements_text(coalesce(nullif(t.payload::jsonb -> 'domains', 'null'), '[]'))
                                                   WITH ORDINALITY AS o(host, n)
                           UNION ALL
                           SELECT o.host, 1000 + o.n FROM jsonb_array_elements_text($3::jsonb) WITH ORDINALITY AS o(host, n)) AS a
                    WHERE NOT $4::jsonb ? a.host
                    GROUP BY a.host) AS h), '[]')))::json
 WHERE t.context = $1 AND t.instance = $2;

-- name: provider_target_audit
SELECT launchplane_provider_target_audit($1, $2, $3);

-- name: provider_target_backfill_plan
SELECT launchplane_backfill_report(false, $1, $2, $3, '{}', '{}');

-- name: provider_target_backfill
SELECT launchplane_write_backfill($1, $2, $3);

-- name: provider_target_backfill_lane
-- What backfilling one lane comes to: whether its row is to be written, and the report when it is.
SELECT i.status = 'would-create',
       launchplane_backfill_report(true, 'dokploy', $1, $2,
                                   CASE WHEN i.status = 'would-create' THEN ARRAY[$1::text || '/' || $2::text] ELSE '{}' END, '{}')
  FROM launchplane_provider_target_backfill_items('dokploy', $1, $2) AS i;

-- name: provider_target_insert
-- A row that appeared meanwhile fails the statement: it is never overwritten.
INSERT INTO launchplane_provider_targets
    (context, instance, provider_id, target_category, target_id, display_name, provider_target_type, updated_at, payload)
SELECT l.context, l.instance, l.projected ->> 'provider_id', l.projected ->> 'target_category', l.projected ->> 'target_id',
       l.projected ->> 'display_name', l.projected ->> 'provider_target_type', l.projected ->> 'updated_at', l.projected::json
  FROM launchplane_target_lanes('dokploy', $1, $2) AS l
 WHERE l.status = 'missing_provider_target';

-- name: target_list
-- Tracked targets with their ids, environments by key alone.
SELECT coalesce(json_agg(launchplane_target_summary(t.payload::jsonb, i.payload::jsonb) ORDER BY t.context, t.instance), '[]')
  FROM launchplane_dokploy_targets t
  LEFT JOIN launchplane_dokploy_target_ids i ON i.context = t.context AND i.instance = t.instance
 WHERE ($1::text IS NULL OR t.context = $1) AND ($2::text IS NULL OR t.instance = $2);

-- name: target_tracked
-- What inspecting a tracked lane shows of its records.
SELECT launchplane_target_summary(t.payload::jsonb, i.payload::jsonb),
       (SELECT (jsonb_build_object('status', 'present') || launchplane_target_identity(p.payload::jsonb))::json
          FROM launchplane_provider_targets p WHERE p.context = t.context AND p.instance = t.instance)
  FROM launchplane_dokploy_targets t
  LEFT JOIN launchplane_dokploy_target_ids i ON i.context = t.context AND i.instance = t.instance
 WHERE t.context = $1 AND t.instance = $2;

-- name: target_read_for_update
SELECT payload FROM launchplane_dokploy_targets WHERE context = $1 AND instance = $2 FOR UPDATE;

-- name: target_preflight_counts
SELECT (SELECT count(*) FROM launchplane_authz_policies WHERE status = 'active'),
       (SELECT count(*) FROM launchplane_dokploy_target_ids),
       (SELECT count(*) FROM launchplane_runtime_environments),
       (SELECT count(*) FROM launchplane_secret_bindings WHERE status = 'configured');
