-- A product's move from one context to another, and what is cleaned up afterwards (facts/config-health.md 6). What is
-- moved is decided by the functions of migrations/0008_targets.sql, for plan and apply alike.

-- name: move_profile_lock
SELECT payload FROM launchplane_product_profiles WHERE product = $1 FOR UPDATE;

-- name: move_lock
-- Moves between contexts wait for each other, whatever their products.
SELECT pg_advisory_xact_lock(hashtext('launchplane_context_move'));

-- name: move_context_owner
-- Another product that owns the context.
SELECT product FROM launchplane_product_profiles
 WHERE product <> $1
   AND (product = $2
        OR EXISTS (SELECT 1 FROM jsonb_array_elements(coalesce(nullif(payload::jsonb -> 'lanes', 'null'), '[]')) AS l
                    WHERE l ->> 'context' = $2)
        OR (payload::jsonb -> 'preview' ->> 'enabled' = 'true' AND payload::jsonb -> 'preview' ->> 'context' = $2))
 ORDER BY product LIMIT 1;

-- name: move_audit_block
SELECT launchplane_context_block($1);

-- name: cutover_plan
SELECT launchplane_cutover_plan($1, $2);

-- name: cutover_environments
INSERT INTO launchplane_runtime_environments (scope, context, instance, updated_at, payload)
SELECT r.scope, $2, r.instance, $3,
       (launchplane_in_context(r.payload::jsonb, $2) || jsonb_build_object('updated_at', $3::text, 'source_label', $4::text))::json
  FROM launchplane_runtime_environments r
 WHERE r.context = $1 AND r.scope <> 'global'
ON CONFLICT DO NOTHING;

-- name: cutover_targets
SELECT launchplane_write_target($2, c.instance,
           (c.new_target || jsonb_build_object('updated_at', $3::text, 'source_label', $4::text))::json,
           (c.new_id || jsonb_build_object('updated_at', $3::text, 'source_label', $4::text))::json, NULL)
  FROM launchplane_cutover_targets($1, $2) AS c
 WHERE c.new_target IS NOT NULL OR c.new_id IS NOT NULL;

-- name: cutover_inventory
INSERT INTO launchplane_inventory
    (context, instance, artifact_id, source_git_ref, updated_at, deployment_record_id, promotion_record_id,
     promoted_from_instance, payload)
SELECT $2, v.instance, v.artifact_id, v.source_git_ref, v.updated_at, v.deployment_record_id, v.promotion_record_id,
       v.promoted_from_instance, launchplane_in_context(v.payload::jsonb, $2)::json
  FROM launchplane_inventory v WHERE v.context = $1
ON CONFLICT DO NOTHING;

-- name: cutover_tuples
INSERT INTO launchplane_release_tuples (context, channel, tuple_id, artifact_id, minted_at, provenance, payload)
SELECT $2, u.channel, $2 || '-' || u.channel || '-' || u.artifact_id, u.artifact_id, u.minted_at, u.provenance,
       (launchplane_in_context(u.payload::jsonb, $2)
        || jsonb_build_object('tuple_id', $2 || '-' || u.channel || '-' || u.artifact_id))::json
  FROM launchplane_release_tuples u WHERE u.context = $1
ON CONFLICT DO NOTHING;

-- name: cutover_secrets
-- Secrets without a twin in the target context, with their current version.
SELECT s.payload, v.payload,
       (SELECT coalesce(json_agg(b.payload ORDER BY b.binding_id), '[]') FROM launchplane_secret_bindings b WHERE b.secret_id = s.secret_id)
  FROM launchplane_secrets s
  LEFT JOIN launchplane_secret_versions v ON v.version_id = s.current_version_id
 WHERE s.context = $1
   AND NOT EXISTS (SELECT 1 FROM launchplane_secrets o
                    WHERE o.scope = s.scope AND o.integration = s.integration AND o.name = s.name
                      AND o.context = $2 AND o.instance = s.instance)
 ORDER BY s.secret_id;

-- name: cutover_secret
INSERT INTO launchplane_secrets
    (secret_id, scope, integration, name, context, instance, status, current_version_id, updated_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json);

-- name: cutover_secret_version
INSERT INTO launchplane_secret_versions (version_id, secret_id, created_at, payload) VALUES ($1, $2, $3, $4::json);

-- name: cutover_secret_binding
INSERT INTO launchplane_secret_bindings
    (binding_id, secret_id, integration, binding_key, context, instance, status, updated_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::json);

-- name: cutover_secret_event
INSERT INTO launchplane_secret_audit_events (event_id, secret_id, event_type, recorded_at, payload)
VALUES ($1, $2, $3, $4, $5::json);

-- name: cutover_profile
UPDATE launchplane_product_profiles SET display_name = $2, updated_at = $3, payload = $4::json WHERE product = $1;

-- name: cleanup_plan
SELECT launchplane_cleanup_plan($1, $2);

-- name: cleanup_lock
-- The records that are judged stay as they are until the end.
SELECT (SELECT count(*) FROM (SELECT 1 FROM launchplane_runtime_environments WHERE context IN ($1, $2) FOR UPDATE) AS r),
       (SELECT count(*) FROM (SELECT 1 FROM launchplane_dokploy_targets WHERE context IN ($1, $2) FOR UPDATE) AS t),
       (SELECT count(*) FROM (SELECT 1 FROM launchplane_dokploy_target_ids WHERE context IN ($1, $2) FOR UPDATE) AS i),
       (SELECT count(*) FROM (SELECT 1 FROM launchplane_provider_targets WHERE context IN ($1, $2) FOR UPDATE) AS p),
       (SELECT count(*) FROM (SELECT 1 FROM launchplane_secrets WHERE context IN ($1, $2) FOR UPDATE) AS s);

-- name: cleanup_environments
WITH gone AS (
    DELETE FROM launchplane_runtime_environments r
     WHERE r.context = $1 AND r.scope <> 'global'
       AND EXISTS (SELECT 1 FROM launchplane_runtime_environments o
                    WHERE o.scope = r.scope AND o.context = $2 AND o.instance = r.instance)
    RETURNING r.scope, r.context, r.instance, r.updated_at, launchplane_env_keys(r.payload::jsonb) AS keys),
named AS (
    SELECT g.*, 'runtime-env-delete-' || substr(encode(sha256(convert_to(
               concat_ws('|', g.scope, g.context, g.instance, g.updated_at, $5::text, $4::text, $3::text, gen_random_uuid()::text, g.keys::text),
               'UTF8')), 'hex'), 1, 16) AS event_id
      FROM gone g)
INSERT INTO launchplane_runtime_environment_delete_events (event_id, scope, context, instance, recorded_at, payload)
SELECT n.event_id, n.scope, n.context, n.instance, $3,
       json_build_object('event_id', n.event_id, 'event_type', 'deleted', 'recorded_at', $3::text, 'actor', $4::text, 'scope', n.scope,
                         'context', n.context, 'instance', n.instance, 'source_label', $5::text, 'env_keys', n.keys,
                         'env_value_count', jsonb_array_length(n.keys), 'detail', 'cleaned up after the move to ' || $2)
  FROM named n;

-- name: cleanup_bindings
UPDATE launchplane_secret_bindings AS b
   SET status = 'disabled', updated_at = $2,
       payload = (b.payload::jsonb || jsonb_build_object('status', 'disabled', 'updated_at', $2::text))::json
 WHERE b.status <> 'disabled'
   AND b.secret_id IN (SELECT s.secret_id FROM launchplane_secrets s WHERE s.context = $1);

-- name: cleanup_secrets
WITH affected AS (
    SELECT i.facts ->> 'secret_id' AS secret_id FROM launchplane_cleanup_items($1, $2) AS i
     WHERE i.family = 'managed_secret_records' AND i.action = 'disabled'),
gone AS (
    UPDATE launchplane_secrets AS s
       SET status = 'disabled', updated_at = $3,
           payload = (s.payload::jsonb || jsonb_build_object('status', 'disabled', 'updated_at', $3::text, 'updated_by', $4::text))::json
     WHERE s.secret_id IN (SELECT secret_id FROM affected)
    RETURNING s.secret_id),
named AS (SELECT g.secret_id, g.secret_id || '-event-disabled-' || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12) AS event_id FROM gone g)
INSERT INTO launchplane_secret_audit_events (event_id, secret_id, event_type, recorded_at, payload)
SELECT n.event_id, n.secret_id, 'disabled', $3,
       json_build_object('event_id', n.event_id, 'secret_id', n.secret_id, 'event_type', 'disabled', 'recorded_at', $3::text,
                         'actor', $4::text, 'detail', 'legacy context cleanup',
                         'metadata', json_build_object('source_context', $1::text, 'target_context', $2::text, 'source_label', $5::text))
  FROM named n;

-- name: cleanup_provider_rows
DELETE FROM launchplane_provider_targets p
 WHERE p.context = $1
   AND EXISTS (SELECT 1 FROM launchplane_cleanup_items($1, $2) AS i
                WHERE i.family = 'provider_targets' AND i.action = 'deleted' AND i.facts ->> 'instance' = p.instance);

-- name: cleanup_target_ids
DELETE FROM launchplane_dokploy_target_ids d
 WHERE d.context = $1
   AND EXISTS (SELECT 1 FROM launchplane_dokploy_target_ids o WHERE o.context = $2 AND o.instance = d.instance);

-- name: cleanup_targets
DELETE FROM launchplane_dokploy_targets d
 WHERE d.context = $1
   AND EXISTS (SELECT 1 FROM launchplane_dokploy_targets o WHERE o.context = $2 AND o.instance = d.instance);
