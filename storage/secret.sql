-- Managed secrets: records, bindings, versions, audit events (facts/config-health.md 4).

-- name: secrets_for_lane
-- Configured secrets of an integration that apply to a lane, in the order they override each other, each with its newest
-- configured binding and its current version. Handing them out leaves an audit event for each version and reader ($4), in the
-- same commit; $7 false: nobody can open them, so nobody reads.
WITH found AS (
    SELECT s.secret_id, b.binding_id, b.binding_key, v.version_id, v.payload ->> 'ciphertext' AS ciphertext, s.scope,
           s.updated_at
      FROM launchplane_secrets s
      JOIN LATERAL (SELECT binding_id, binding_key FROM launchplane_secret_bindings
                     WHERE secret_id = s.secret_id AND integration = s.integration AND status = 'configured'
                     ORDER BY updated_at DESC, binding_id DESC LIMIT 1) b ON true
      JOIN launchplane_secret_versions v ON v.version_id = s.current_version_id
     WHERE s.integration = $1 AND s.status = 'configured'
       AND (s.scope = 'global'
            OR (s.scope = 'context' AND s.context = $2)
            OR (s.scope = 'context_instance' AND s.context = $2 AND s.instance = $3))),
noted AS (
    INSERT INTO launchplane_secret_audit_events (event_id, secret_id, event_type, recorded_at, payload)
    SELECT e.id, f.secret_id, 'read', $6,
           json_build_object('schema_version', 1, 'event_id', e.id, 'secret_id', f.secret_id, 'event_type', 'read',
                             'recorded_at', $6::text, 'actor', $5::text, 'detail', '',
                             'metadata', json_build_object('source', $4::text, 'binding_key', f.binding_key,
                                                           'version_id', f.version_id, 'context', $2::text,
                                                           'instance', $3::text))
      FROM found f,
           LATERAL (SELECT f.secret_id || '-event-read-' || left(md5($4 || '/' || f.version_id), 12) AS id) e
     WHERE $7::boolean
    ON CONFLICT DO NOTHING)
SELECT secret_id, binding_id, binding_key, version_id, ciphertext
  FROM found
 ORDER BY array_position(ARRAY['global', 'context', 'context_instance'], scope), updated_at, secret_id;

-- name: secret_bindings_for_lane
SELECT payload FROM launchplane_secret_bindings
 WHERE integration = $1
   AND (context = '' OR (context = $2 AND (instance = '' OR instance = $3)))
 ORDER BY binding_id;

-- name: lanes_below
-- The lanes that a context's, or with $1 empty the global, values and secrets reach.
SELECT DISTINCT context, instance
  FROM (SELECT l ->> 'context', l ->> 'instance'
          FROM launchplane_product_profiles p, jsonb_array_elements(coalesce(p.payload::jsonb -> 'lanes', '[]')) l
        UNION ALL
        SELECT p.payload::jsonb -> 'preview' ->> 'context', 'preview' FROM launchplane_product_profiles p
         WHERE p.payload::jsonb -> 'preview' ->> 'enabled' = 'true'
        UNION ALL
        SELECT context, instance FROM launchplane_runtime_environments WHERE scope = 'instance'
        UNION ALL
        SELECT context, instance FROM launchplane_dokploy_targets) AS known(context, instance)
 WHERE instance <> '' AND ($1 = '' OR context = $1)
 ORDER BY context, instance;

-- name: secret_read_for_update
SELECT s.payload, v.version_id, v.payload ->> 'ciphertext'
  FROM launchplane_secrets s
  LEFT JOIN launchplane_secret_versions v ON v.version_id = s.current_version_id
 WHERE s.secret_id = $1
   FOR UPDATE OF s;

-- name: secret_upsert
INSERT INTO launchplane_secrets
    (secret_id, scope, integration, name, context, instance, status, current_version_id, updated_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json)
ON CONFLICT (secret_id) DO UPDATE
   SET status = excluded.status, current_version_id = excluded.current_version_id, updated_at = excluded.updated_at,
       payload = excluded.payload;

-- name: secret_version_insert
INSERT INTO launchplane_secret_versions (version_id, secret_id, created_at, payload) VALUES ($1, $2, $3, $4::json);

-- name: secret_binding_upsert
-- A binding that is written again keeps the time it was made at.
INSERT INTO launchplane_secret_bindings AS known
    (binding_id, secret_id, integration, binding_key, context, instance, status, updated_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::json)
ON CONFLICT (binding_id) DO UPDATE
   SET integration = excluded.integration, binding_key = excluded.binding_key, status = excluded.status,
       updated_at = excluded.updated_at,
       payload = (excluded.payload::jsonb
                  || jsonb_build_object('created_at', coalesce(known.payload ->> 'created_at', excluded.updated_at)))::json;

-- name: secret_placeholders_retire
-- Disabled placeholders that a configured binding now covers give way to it (config-health.md 3.2, step 7).
UPDATE launchplane_secret_bindings
   SET integration = 'retired:' || integration, updated_at = $6,
       payload = (payload::jsonb || jsonb_build_object('integration', 'retired:' || integration, 'updated_at', $6::text))::json
 WHERE status = 'disabled' AND integration = $1 AND binding_key = $2 AND context = $3 AND instance = $4 AND binding_id <> $5;

-- name: secret_audit_insert
INSERT INTO launchplane_secret_audit_events (event_id, secret_id, event_type, recorded_at, payload)
VALUES ($1, $2, $3, $4, $5::json);

-- name: secret_newest_version
SELECT secret_id, version_id, payload ->> 'ciphertext'
  FROM launchplane_secret_versions
 ORDER BY created_at DESC, version_id DESC
 LIMIT 1;

-- name: secret_reads_note
-- $1: [{"secret_id", "version_id", "binding_key"}] that were opened to be compared.
INSERT INTO launchplane_secret_audit_events (event_id, secret_id, event_type, recorded_at, payload)
SELECT e.id, r.v ->> 'secret_id', 'compared', $4,
       json_build_object('schema_version', 1, 'event_id', e.id, 'secret_id', r.v ->> 'secret_id', 'event_type', 'compared',
                         'recorded_at', $4::text, 'actor', $3::text, 'detail', '',
                         'metadata', json_build_object('source', $2::text, 'binding_key', r.v ->> 'binding_key',
                                                       'version_id', r.v ->> 'version_id'))
  FROM json_array_elements($1::json) AS r(v),
       LATERAL (SELECT (r.v ->> 'secret_id') || '-event-compared-'
                       || left(md5($2 || '/' || (r.v ->> 'version_id') || '/' || $5), 12) AS id) e
ON CONFLICT DO NOTHING;

-- name: config_place_lock
-- Two writers of one place take turns, also while it has no record yet.
SELECT pg_advisory_xact_lock(hashtext('launchplane_config/' || $1 || '/' || $2));

-- name: secret_versions_to_rekey
SELECT version_id, secret_id, payload ->> 'ciphertext'
  FROM launchplane_secret_versions
 WHERE version_id > $1 AND coalesce(payload ->> 'key_id', '') <> $2
 ORDER BY version_id
 LIMIT $3::bigint;

-- name: secret_versions_not_under
SELECT count(*) FROM launchplane_secret_versions WHERE coalesce(payload ->> 'key_id', '') <> $1;

-- name: secret_version_reseal
UPDATE launchplane_secret_versions
   SET payload = (payload::jsonb || jsonb_build_object('ciphertext', $3::text, 'cipher_alg', $4::text, 'key_id', $5::text))::json
 WHERE version_id = $1 AND payload ->> 'ciphertext' = $2;

-- name: secret_placeholder_write
-- A placeholder for a secret that is still to be written: nothing where a configured binding covers the place, and one that
-- stands there is retired.
WITH covering AS (
    SELECT 1 FROM launchplane_secret_bindings
     WHERE integration = $3 AND binding_key = $4 AND status = 'configured'
       AND (context = '' OR (context = $5 AND (instance = '' OR instance = $6)))
     LIMIT 1),
retired AS (
    UPDATE launchplane_secret_bindings
       SET integration = 'retired:' || integration, updated_at = $7,
           payload = (payload::jsonb || jsonb_build_object('integration', 'retired:' || integration, 'updated_at', $7::text))::json
     WHERE status = 'disabled' AND integration = $3 AND binding_key = $4 AND context = $5 AND instance = $6
       AND EXISTS (SELECT 1 FROM covering)
    RETURNING 1),
written AS (
    INSERT INTO launchplane_secret_bindings
        (binding_id, secret_id, integration, binding_key, context, instance, status, updated_at, payload)
    SELECT $1, $2, $3, $4, $5, $6, 'disabled', $7, $8::json
     WHERE NOT EXISTS (SELECT 1 FROM covering)
    ON CONFLICT (binding_id) DO NOTHING
    RETURNING 1)
SELECT CASE WHEN EXISTS (SELECT 1 FROM written) THEN 'placeholder_created'
            WHEN EXISTS (SELECT 1 FROM retired) THEN 'placeholder_retired'
            WHEN EXISTS (SELECT 1 FROM covering) THEN 'covered'
            ELSE 'unchanged' END;

-- name: secret_bindings_of
SELECT payload FROM launchplane_secret_bindings
 WHERE secret_id = $1 AND integration = $2
 ORDER BY status = 'configured' DESC, updated_at DESC, binding_id DESC
   FOR UPDATE;

-- name: secret_disable
-- Secret and bindings stay, unused.
WITH secret AS (
    UPDATE launchplane_secrets
       SET status = 'disabled', updated_at = $2,
           payload = (payload::jsonb || jsonb_build_object('status', 'disabled', 'updated_at', $2::text, 'updated_by', $3::text))::json
     WHERE secret_id = $1 AND status <> 'disabled'
    RETURNING secret_id),
bindings AS (
    UPDATE launchplane_secret_bindings b
       SET status = 'disabled', updated_at = $2,
           payload = (b.payload::jsonb || jsonb_build_object('status', 'disabled', 'updated_at', $2::text))::json
      FROM secret
     WHERE b.secret_id = secret.secret_id AND b.status = 'configured')
SELECT (SELECT count(*) FROM secret);
