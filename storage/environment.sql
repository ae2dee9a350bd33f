-- Runtime environment records as the command line changes and shows them (facts/config-health.md 2.4). Never values.

-- name: environment_list
SELECT json_build_object(
           'status', 'ok', 'count', count(*),
           'records', coalesce(json_agg(json_build_object(
               'scope', scope, 'context', context, 'instance', instance, 'updated_at', updated_at,
               'source_label', coalesce(payload ->> 'source_label', ''),
               'env_keys', (SELECT coalesce(json_agg(k ORDER BY k COLLATE "C"), '[]')
                              FROM jsonb_object_keys(payload::jsonb -> 'env') AS k),
               'env_value_count', (SELECT count(*) FROM jsonb_object_keys(payload::jsonb -> 'env')))
               ORDER BY array_position(ARRAY['global', 'context', 'instance'], scope), context, instance), '[]'))
  FROM launchplane_runtime_environments;

-- name: environment_deletion_read
-- The record and the tracked targets it could influence.
SELECT e.payload, p.targets, json_array_length(p.targets)
  FROM launchplane_runtime_environments e,
       LATERAL (SELECT coalesce(json_agg(json_build_object(
                           'context', t.context, 'instance', t.instance, 'target_name', coalesce(t.payload ->> 'target_name', ''),
                           'target_type', coalesce(t.payload ->> 'target_type', 'compose'),
                           'source_label', coalesce(t.payload ->> 'source_label', '')) ORDER BY t.context, t.instance),
                           '[]') AS targets
                  FROM launchplane_dokploy_targets t
                 WHERE $2 = '' OR (t.context = $2 AND ($3 = '' OR t.instance = $3))) p
 WHERE e.scope = $1 AND e.context = $2 AND e.instance = $3;

-- name: environment_deletion_lock
SELECT e.payload,
       (SELECT count(*) FROM launchplane_dokploy_targets t
         WHERE $2 = '' OR (t.context = $2 AND ($3 = '' OR t.instance = $3))),
       (SELECT string_agg(t.context || '/' || t.instance, ', ' ORDER BY t.context, t.instance)
          FROM launchplane_dokploy_targets t WHERE $2 = '' OR (t.context = $2 AND ($3 = '' OR t.instance = $3)))
  FROM launchplane_runtime_environments e
 WHERE e.scope = $1 AND e.context = $2 AND e.instance = $3
   FOR UPDATE OF e;

-- name: environment_delete
DELETE FROM launchplane_runtime_environments WHERE scope = $1 AND context = $2 AND instance = $3;

-- name: environment_delete_event
INSERT INTO launchplane_runtime_environment_delete_events (event_id, scope, context, instance, recorded_at, payload)
VALUES ($1, $2, $3, $4, $5, $6::json);
