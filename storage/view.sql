-- Driver views, recent operations and the status of managed secrets (facts/core.md 7.1, 7.3, 7.4; facts/config-health.md 4.5).

-- name: operations_recent
SELECT json_build_object(
           'inventory', (SELECT coalesce(json_agg(i.payload ORDER BY i.instance), '[]'::json) FROM launchplane_inventory i WHERE i.context = $1),
           'recent_deployments', (SELECT coalesce(json_agg(x.payload ORDER BY x.deploy_finished_at DESC, x.deploy_started_at DESC, x.record_id DESC), '[]'::json)
              FROM (SELECT * FROM launchplane_deployments d WHERE d.context = $1
                     ORDER BY d.deploy_finished_at DESC, d.deploy_started_at DESC, d.record_id DESC LIMIT 10) x),
           'recent_promotions', (SELECT coalesce(json_agg(x.payload ORDER BY x.deploy_finished_at DESC, x.deploy_started_at DESC, x.record_id DESC), '[]'::json)
              FROM (SELECT * FROM launchplane_promotions d WHERE d.context = $1
                     ORDER BY d.deploy_finished_at DESC, d.deploy_started_at DESC, d.record_id DESC LIMIT 10) x),
           'recent_previews', (SELECT coalesce(json_agg(x.payload ORDER BY x.updated_at DESC, x.preview_id DESC), '[]'::json)
              FROM (SELECT * FROM launchplane_preview_records d WHERE d.context = $1
                     ORDER BY d.updated_at DESC, d.preview_id DESC LIMIT 10) x));

-- name: driver_view
-- $1 context, $2 instance or '' , $3 now, $4 catalog. A driver shows when one of its patterns fits the context, or a product of
-- it has a lane or enabled previews there; products of generic-web show as drivers of their own.
WITH profiles AS (
    SELECT p.product, p.display_name, p.driver_id, p.repository, p.payload::json AS doc,
           coalesce((p.payload::json -> 'preview' ->> 'enabled')::boolean, false) AND p.payload::json -> 'preview' ->> 'context' = $1 AS previews_here
      FROM launchplane_product_profiles p
     WHERE EXISTS (SELECT FROM json_array_elements(launchplane_items(p.payload::json -> 'lanes')) l WHERE l ->> 'context' = $1)
        OR (coalesce((p.payload::json -> 'preview' ->> 'enabled')::boolean, false) AND p.payload::json -> 'preview' ->> 'context' = $1)),
shown AS (
    SELECT k AS driver_id, e -> 'descriptor' AS descriptor, (e ->> 'has_previews')::boolean AS has_previews, n, '' AS sub
      FROM json_each($4::json) WITH ORDINALITY x(k, e, n)
     WHERE EXISTS (SELECT FROM json_array_elements_text(e -> 'descriptor' -> 'context_patterns') g
                    WHERE $1 LIKE replace(replace(replace(replace(g, '\', '\\'), '_', '\_'), '*', '%'), '?', '_'))
        OR (k <> 'generic-web' AND EXISTS (SELECT FROM profiles p WHERE p.driver_id = k))
    UNION ALL
    SELECT p.product, (($4::jsonb -> p.driver_id -> 'descriptor') || jsonb_build_object(
               'driver_id', p.product, 'product', p.product, 'label', p.display_name, 'base_driver_id', p.driver_id,
               'description', p.display_name || ', a product of ' || p.driver_id,
               'context_patterns', (SELECT jsonb_agg(DISTINCT c) FROM (SELECT l ->> 'context' FROM json_array_elements(launchplane_items(p.doc -> 'lanes')) l
                                                                     UNION SELECT p.doc -> 'preview' ->> 'context' WHERE p.previews_here) u(c))))::json,
           true, 0, p.product
      FROM profiles p WHERE p.driver_id = 'generic-web'),
lane AS (
    SELECT i.payload::json AS inventory, i.updated_at, d.payload::json AS deployment, d.record_id, d.at,
           CASE WHEN i.context IS NULL OR i.updated_at < coalesce(d.at, '') THEN NULL ELSE i.payload::json END AS current,
           i.deployment_record_id
      FROM (VALUES (1)) one
      LEFT JOIN launchplane_inventory i ON i.context = $1 AND i.instance = $2
      LEFT JOIN LATERAL (SELECT x.record_id, x.payload, coalesce(nullif(x.deploy_finished_at, ''), x.deploy_started_at) AS at
                           FROM launchplane_deployments x WHERE x.context = $1 AND x.instance = $2
                          ORDER BY x.deploy_finished_at DESC, x.deploy_started_at DESC, x.record_id DESC LIMIT 1) d ON true
     WHERE $2 <> ''),
lane_state AS (
    SELECT l.*, CASE WHEN l.current IS NOT NULL THEN l.updated_at WHEN l.record_id IS NOT NULL THEN l.at END AS recorded_at,
           CASE WHEN l.current IS NOT NULL THEN l.deployment_record_id ELSE l.record_id END AS source_id,
           coalesce((coalesce(l.current, l.deployment) -> 'destination_health' ->> 'verified')::boolean, false) AS verified
      FROM lane l),
summary AS (
    SELECT json_build_object(
               'context', $1::text, 'instance', $2::text, 'inventory', l.current,
               'artifact_manifest', (SELECT m.payload FROM launchplane_artifact_manifests m
                                      WHERE m.artifact_id = coalesce(l.current, l.deployment) -> 'artifact_identity' ->> 'artifact_id'),
               'release_tuple', (SELECT t.payload FROM launchplane_release_tuples t WHERE t.context = $1 AND t.channel = $2),
               'latest_deployment', l.deployment,
               'latest_promotion', (SELECT x.payload FROM launchplane_promotions x WHERE x.context = $1 AND x.to_instance = $2
                                     ORDER BY x.deploy_finished_at DESC, x.deploy_started_at DESC, x.record_id DESC LIMIT 1),
               'latest_backup_gate', (SELECT x.payload FROM launchplane_backup_gates x WHERE x.context = $1 AND x.instance = $2
                                       ORDER BY x.created_at DESC, x.record_id DESC LIMIT 1),
               'deployed_target', launchplane_value(l.deployment -> 'deployed_target'),
               'provider_target', (SELECT t.payload FROM launchplane_provider_targets t WHERE t.context = $1 AND t.instance = $2),
               'dokploy_target_id', (SELECT t.payload FROM launchplane_dokploy_target_ids t WHERE t.context = $1 AND t.instance = $2),
               'dokploy_target', (SELECT (t.payload::jsonb - 'env' || jsonb_build_object(
                                             'env_keys', launchplane_keys(t.payload::json -> 'env'),
                                             'env_value_count', json_array_length(launchplane_keys(t.payload::json -> 'env'))))::json
                                    FROM launchplane_dokploy_targets t WHERE t.context = $1 AND t.instance = $2),
               'runtime_environment_records', (SELECT r.document FROM launchplane_runtime_settings($1, $2) r),
               'odoo_instance_override', (SELECT (o.payload::jsonb - 'config_parameters' - 'addon_settings' || jsonb_build_object(
                                             'config_parameters', (SELECT coalesce(json_agg(json_build_object('key', q ->> 'key', 'source', q -> 'value' ->> 'source')), '[]'::json)
                                                                     FROM json_array_elements(launchplane_items(o.payload::json -> 'config_parameters')) q),
                                             'addon_settings', (SELECT coalesce(json_agg(json_build_object('addon', q ->> 'addon', 'setting', q ->> 'setting', 'source', q -> 'value' ->> 'source')), '[]'::json)
                                                                  FROM json_array_elements(launchplane_items(o.payload::json -> 'addon_settings')) q)))::json
                                            FROM launchplane_odoo_instance_overrides o WHERE o.context = $1 AND o.instance = $2),
               'secret_bindings', (SELECT b.document FROM launchplane_lane_secrets($1, $2) b),
               'provenance', CASE WHEN l.source_id IS NULL THEN launchplane_provenance('record', '', '', 'missing', false, 'neither inventory nor deployment is recorded')
                                  ELSE launchplane_provenance('record', l.source_id, l.recorded_at, launchplane_freshness(l.recorded_at, l.verified, $3::timestamptz), true,
                                                              CASE WHEN l.current IS NOT NULL THEN 'environment inventory' ELSE 'latest deployment' END) END) AS document
      FROM lane_state l),
preview_rows AS (
    SELECT x.* FROM launchplane_preview_records x WHERE x.context = $1 AND x.state <> 'destroyed'
     ORDER BY x.updated_at DESC, x.preview_id DESC LIMIT 50),
previews AS (
    SELECT r.preview_id, r.updated_at, r.anchor_repo, json_build_object(
               'preview', r.payload, 'latest_generation', g.list -> 0, 'recent_generations', coalesce(g.list, '[]'::json),
               'provenance', CASE WHEN g.list IS NULL
                    THEN launchplane_provenance('record', r.preview_id, r.updated_at, launchplane_freshness(r.updated_at, false, $3::timestamptz), true, 'preview')
                    ELSE launchplane_provenance('record', g.id, g.at, launchplane_freshness(g.at, g.healthy, $3::timestamptz), true, 'latest generation') END) AS document
      FROM preview_rows r
      LEFT JOIN LATERAL (
           SELECT json_agg(y.payload ORDER BY y.sequence DESC, y.requested_at DESC, y.generation_id DESC) AS list,
                  (array_agg(y.generation_id ORDER BY y.sequence DESC, y.requested_at DESC, y.generation_id DESC))[1] AS id,
                  (array_agg(coalesce(nullif(y.finished_at, ''), nullif(y.payload::json ->> 'ready_at', ''), y.requested_at)
                             ORDER BY y.sequence DESC, y.requested_at DESC, y.generation_id DESC))[1] AS at,
                  coalesce((array_agg(y.payload::json ->> 'overall_health_status'
                             ORDER BY y.sequence DESC, y.requested_at DESC, y.generation_id DESC))[1] = 'pass', false) AS healthy
             FROM (SELECT * FROM launchplane_preview_generations z WHERE z.preview_id = r.preview_id
                    ORDER BY z.sequence DESC, z.requested_at DESC, z.generation_id DESC LIMIT 5) y) g ON true),
preview_state AS (
    SELECT CASE WHEN s.scan_id IS NOT NULL
                THEN launchplane_provenance('record', s.scan_id, s.scanned_at, launchplane_freshness(s.scanned_at, s.status = 'pass', $3::timestamptz), true, 'preview inventory scan')
                ELSE coalesce((SELECT document -> 'provenance' FROM previews ORDER BY updated_at DESC, preview_id DESC LIMIT 1),
                              launchplane_provenance('record', '', '', 'missing', false, 'no preview and no scan is recorded')) END AS document
      FROM (VALUES (1)) one
      LEFT JOIN LATERAL (SELECT x.scan_id, x.scanned_at, x.status FROM launchplane_preview_inventory_scans x WHERE x.context = $1
                          ORDER BY x.scanned_at DESC, x.scan_id DESC LIMIT 1) s ON true)
SELECT json_build_object(
           'schema_version', 1, 'context', $1::text, 'instance', $2::text,
           'drivers', coalesce((SELECT json_agg(json_build_object(
               'driver_id', s.driver_id, 'descriptor', s.descriptor,
               'available_actions', (SELECT coalesce(json_agg(a ORDER BY n), '[]'::json)
                    FROM json_array_elements($4::json -> (CASE WHEN s.sub = '' THEN s.driver_id ELSE 'generic-web' END) -> 'actions') WITH ORDINALITY q(a, n)
                   WHERE (a ->> 'offered')::boolean AND ($2 = '' OR a ->> 'scope' IN ('instance', 'global')) AND ($2 <> '' OR a ->> 'scope' <> 'instance')),
               'lane_summary', (SELECT document FROM summary),
               'preview_summaries', CASE WHEN s.has_previews THEN (SELECT coalesce(json_agg(document ORDER BY updated_at DESC, preview_id DESC), '[]'::json) FROM previews)
                                         ELSE '[]'::json END,
               'preview_inventory_provenance', CASE WHEN s.has_previews THEN (SELECT document FROM preview_state) END) ORDER BY s.n, s.sub) FROM shown s), '[]'::json));

-- name: secret_status_list
-- Secrets of a context, with an instance those of the instance as well; the global ones apply everywhere. $3: one secret alone.
SELECT s.context, json_build_object(
           'secret_id', s.secret_id, 'scope', s.scope, 'integration', s.integration, 'name', s.name, 'context', s.context,
           'instance', s.instance, 'policy', coalesce(s.payload::json ->> 'policy', 'write_only'), 'status', s.status,
           'description', coalesce(s.payload::json ->> 'description', ''), 'created_at', coalesce(s.payload::json ->> 'created_at', ''),
           'updated_at', s.updated_at, 'updated_by', coalesce(s.payload::json ->> 'updated_by', ''),
           'last_validated_at', coalesce(s.payload::json ->> 'last_validated_at', ''), 'current_version_id', s.current_version_id,
           'version_count', (SELECT count(*) FROM launchplane_secret_versions v WHERE v.secret_id = s.secret_id),
           'current_version_created_at', coalesce((SELECT v.created_at FROM launchplane_secret_versions v WHERE v.version_id = s.current_version_id), ''),
           'binding', (SELECT json_build_object('binding_id', b.binding_id, 'binding_type', coalesce(b.payload::json ->> 'binding_type', 'env'),
                                                'binding_key', b.binding_key, 'status', b.status, 'context', b.context, 'instance', b.instance,
                                                'updated_at', b.updated_at)
                         FROM launchplane_secret_bindings b WHERE b.secret_id = s.secret_id
                        ORDER BY b.updated_at DESC, b.binding_id DESC LIMIT 1),
           'recent_audit_events', (SELECT coalesce(json_agg(json_build_object(
                                       'event_id', e.event_id, 'event_type', e.event_type, 'recorded_at', e.recorded_at,
                                       'actor', coalesce(e.payload::json ->> 'actor', ''), 'detail', coalesce(e.payload::json ->> 'detail', ''),
                                       'metadata', coalesce(launchplane_value(e.payload::json -> 'metadata'), '{}'::json))
                                       ORDER BY e.recorded_at DESC, e.event_id DESC), '[]'::json)
                                     FROM (SELECT * FROM launchplane_secret_audit_events x WHERE x.secret_id = s.secret_id
                                            ORDER BY x.recorded_at DESC, x.event_id DESC LIMIT 5) e))
  FROM launchplane_secrets s
 WHERE ($3::text IS NULL OR s.secret_id = $3)
   AND ($3::text IS NOT NULL
        OR (s.context IN ('', $1::text)
            AND (s.scope IN ('global', 'context') OR (s.scope = 'context_instance' AND $2::text <> '' AND s.instance = $2))))
 ORDER BY s.updated_at DESC, s.secret_id DESC;
