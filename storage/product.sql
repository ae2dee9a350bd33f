-- The product read model (facts/core.md 7.2, facts/config-health.md 5.8): each document is composed here and passed on as it is.
-- $now is the service's time, $catalog the drivers (drivers/descriptor.h), $grants what the caller may do
-- (server/auth/policy_grants.h).

-- name: product_overview
-- Of one product, or of all with null. $5: the overview, else the environments alone.
SELECT p.product,
       CASE WHEN $5::boolean THEN json_build_object(
           'schema_version', 1, 'product', p.product, 'display_name', p.display_name, 'repository', p.repository,
           'driver_id', p.driver_id, 'base_driver_id', coalesce($3::json -> p.driver_id ->> 'base_driver_id', ''),
           'environments', e.list,
           'preview', json_build_object(
               'enabled', v.enabled, 'context', v.context, 'slug_template', coalesce(p.payload::json -> 'preview' ->> 'slug_template', 'pr-{number}'),
               'active_count', coalesce(n.active_count, 0), 'latest_preview_id', coalesce(w.preview_id, ''),
               'trust_state', t.state,
               'provenance', CASE WHEN v.enabled
                                  THEN launchplane_provenance('record', coalesce(s.scan_id, w.preview_id), coalesce(s.scanned_at, w.updated_at), t.state, true,
                                       CASE WHEN s.scan_id IS NOT NULL THEN 'preview inventory scan' WHEN w.preview_id IS NOT NULL THEN 'newest preview'
                                            ELSE 'no preview and no scan is recorded' END)
                                  ELSE launchplane_provenance('unsupported', '', '', 'unsupported', false, 'previews are not enabled') END),
           'warnings', CASE WHEN $3::json -> p.driver_id IS NULL
                            THEN json_build_array('driver ' || p.driver_id || ' is not registered') ELSE '[]'::json END,
           'trust_state', launchplane_worst(e.states, 'recorded'),
           'provenance', launchplane_provenance('record', p.product, p.updated_at, 'recorded', false, 'product profile'),
           'available_actions', launchplane_actions($3::json, $4::json, p.product, p.driver_id, p.payload::json, NULL, true))
       ELSE json_build_object(
           'product', p.product, 'display_name', p.display_name, 'repository', p.repository, 'driver_id', p.driver_id,
           'base_driver_id', coalesce($3::json -> p.driver_id ->> 'base_driver_id', ''), 'environments', e.list,
           'trust_state', launchplane_worst(e.states, 'recorded'),
           'provenance', launchplane_provenance('record', p.product, p.updated_at, 'recorded', false, 'product profile')) END
  FROM launchplane_product_profiles p
 CROSS JOIN LATERAL (
       SELECT coalesce(json_agg(json_build_object(
                  'environment', l.instance, 'context', l.context, 'base_url', coalesce(l.lane ->> 'base_url', ''),
                  'health_url', coalesce(l.lane ->> 'health_url', ''),
                  'prelaunch_rebuild_allowed', coalesce((l.lane -> 'odoo_prelaunch_rebuild' ->> 'enabled')::boolean, false),
                  'prelaunch_rebuild_data_source_mode', CASE WHEN (l.lane -> 'odoo_prelaunch_rebuild' ->> 'enabled')::boolean
                                                             THEN coalesce(l.lane -> 'odoo_prelaunch_rebuild' ->> 'data_source_mode', 'empty') ELSE '' END,
                  'prelaunch_rebuild_approval_issue_url', coalesce(l.lane -> 'odoo_prelaunch_rebuild' ->> 'approval_issue_url', ''),
                  'odoo_data_authority', coalesce(l.lane -> 'odoo_data_policy' ->> 'data_authority', 'unknown'),
                  'odoo_allowed_rebuild_sources', launchplane_items(l.lane -> 'odoo_data_policy' -> 'allowed_rebuild_sources'),
                  'odoo_upstream_source', coalesce(l.lane -> 'odoo_data_policy' ->> 'upstream_source', ''),
                  'odoo_requires_backup_before_destroy', coalesce((l.lane -> 'odoo_data_policy' ->> 'requires_backup_before_destroy')::boolean, true),
                  'odoo_requires_restore_proof', coalesce((l.lane -> 'odoo_data_policy' ->> 'requires_restore_proof')::boolean, true),
                  'odoo_requires_runtime_identity', coalesce((l.lane -> 'odoo_data_policy' ->> 'requires_runtime_identity')::boolean, true),
                  'public_ingress', g.document, 'trust_state', l.trust_state, 'provenance', l.provenance,
                  'warnings', CASE WHEN $3::json -> l.driver_id IS NULL
                                   THEN json_build_array('driver ' || l.driver_id || ' is not registered') ELSE '[]'::json END,
                  'available_actions', launchplane_actions($3::json, $4::json, l.product, l.driver_id, l.profile, l.context, false))
                  ORDER BY l.place), '[]'::json) AS list,
              array_agg(l.trust_state) AS states
         FROM launchplane_lanes($2::timestamptz) l
        CROSS JOIN LATERAL launchplane_public_ingress(l.product, l.context, l.instance) g
        WHERE l.product = p.product) e
 CROSS JOIN LATERAL (SELECT coalesce((p.payload::json -> 'preview' ->> 'enabled')::boolean, false) AS enabled,
                            coalesce(p.payload::json -> 'preview' ->> 'context', '') AS context,
                            split_part(p.repository, '/', 2) AS repo) v
  LEFT JOIN LATERAL (SELECT count(*) AS active_count FROM launchplane_preview_records r
                      WHERE v.enabled AND r.context = v.context AND r.anchor_repo = v.repo AND r.state <> 'destroyed') n ON true
  LEFT JOIN LATERAL (SELECT r.preview_id, r.updated_at FROM launchplane_preview_records r
                      WHERE v.enabled AND r.context = v.context AND r.anchor_repo = v.repo AND r.state <> 'destroyed'
                      ORDER BY r.updated_at DESC, r.preview_id DESC LIMIT 1) w ON true
  LEFT JOIN LATERAL (SELECT r.scan_id, r.scanned_at, r.status FROM launchplane_preview_inventory_scans r
                      WHERE v.enabled AND r.context = v.context
                      ORDER BY r.scanned_at DESC, r.scan_id DESC LIMIT 1) s ON true
 CROSS JOIN LATERAL (SELECT CASE WHEN NOT v.enabled THEN 'unsupported'
                                 WHEN s.scan_id IS NOT NULL THEN launchplane_freshness(s.scanned_at, s.status = 'pass', $2::timestamptz)
                                 WHEN w.preview_id IS NOT NULL THEN launchplane_freshness(w.updated_at, false, $2::timestamptz)
                                 ELSE 'missing' END AS state) t
 WHERE ($1::text IS NULL OR p.product = $1)
 ORDER BY p.product;

-- name: product_environment
-- A lane's context, for the policy, and its document.
SELECT l.context, json_build_object(
           'schema_version', 1, 'product', l.product, 'display_name', l.display_name, 'repository', l.repository,
           'driver_id', l.driver_id, 'base_driver_id', coalesce($4::json -> l.driver_id ->> 'base_driver_id', ''),
           'environment', l.instance, 'context', l.context, 'base_url', coalesce(l.lane ->> 'base_url', ''),
           'health_url', coalesce(l.lane ->> 'health_url', ''),
           'prelaunch_rebuild_allowed', coalesce((l.lane -> 'odoo_prelaunch_rebuild' ->> 'enabled')::boolean, false),
           'prelaunch_rebuild_data_source_mode', CASE WHEN (l.lane -> 'odoo_prelaunch_rebuild' ->> 'enabled')::boolean
                                                      THEN coalesce(l.lane -> 'odoo_prelaunch_rebuild' ->> 'data_source_mode', 'empty') ELSE '' END,
           'prelaunch_rebuild_approval_issue_url', coalesce(l.lane -> 'odoo_prelaunch_rebuild' ->> 'approval_issue_url', ''),
           'odoo_data_authority', coalesce(l.lane -> 'odoo_data_policy' ->> 'data_authority', 'unknown'),
           'odoo_allowed_rebuild_sources', launchplane_items(l.lane -> 'odoo_data_policy' -> 'allowed_rebuild_sources'),
           'odoo_upstream_source', coalesce(l.lane -> 'odoo_data_policy' ->> 'upstream_source', ''),
           'odoo_requires_backup_before_destroy', coalesce((l.lane -> 'odoo_data_policy' ->> 'requires_backup_before_destroy')::boolean, true),
           'odoo_requires_restore_proof', coalesce((l.lane -> 'odoo_data_policy' ->> 'requires_restore_proof')::boolean, true),
           'odoo_requires_runtime_identity', coalesce((l.lane -> 'odoo_data_policy' ->> 'requires_runtime_identity')::boolean, true),
           'target', t.document, 'public_ingress', g.document, 'runtime_settings', r.document, 'managed_secrets', s.document,
           'available_actions', launchplane_actions($4::json, $5::json, l.product, l.driver_id, l.profile, l.context, true),
           'warnings', CASE WHEN $4::json -> l.driver_id IS NULL
                            THEN json_build_array('driver ' || l.driver_id || ' is not registered') ELSE '[]'::json END,
           'trust_state', l.trust_state, 'provenance', l.provenance)
  FROM launchplane_lanes($3::timestamptz) l
 CROSS JOIN LATERAL launchplane_lane_target(l.context, l.instance, l.inventory, l.deployment) t
 CROSS JOIN LATERAL launchplane_public_ingress(l.product, l.context, l.instance) g
 CROSS JOIN LATERAL launchplane_runtime_settings(l.context, l.instance) r
 CROSS JOIN LATERAL launchplane_lane_secrets(l.context, l.instance) s
 WHERE l.product = $1 AND l.instance = $2
 ORDER BY l.place
 LIMIT 1;

-- name: product_config_status
-- Which of the profile's expected keys and secrets a lane has: the narrowest record wins, names alone are shown.
SELECT l.context, json_build_object(
           'schema_version', 1, 'product', l.product, 'display_name', l.display_name, 'repository', l.repository,
           'driver_id', l.driver_id, 'base_driver_id', coalesce($4::json -> l.driver_id ->> 'base_driver_id', ''),
           'environment', l.instance, 'context', l.context, 'runtime_settings', r.list, 'managed_secrets', s.list,
           'warnings', to_json(array_remove(array[
               CASE WHEN r.absent > 0 THEN r.absent || ' of ' || json_array_length(r.list) || ' expected runtime keys are missing' END,
               CASE WHEN s.absent > 0 THEN s.absent || ' of ' || json_array_length(s.list) || ' expected secrets are missing or disabled' END,
               CASE WHEN $4::json -> l.driver_id IS NULL THEN 'driver ' || l.driver_id || ' is not registered' END], NULL)),
           'trust_state', launchplane_worst(r.states || s.states, 'recorded'),
           'provenance', launchplane_provenance('record', l.product, l.profile_updated_at, 'recorded', false, 'expected_config of the product profile'))
  FROM launchplane_lanes($3::timestamptz) l
 CROSS JOIN LATERAL (
       SELECT coalesce(json_agg(json_build_object(
                  'key', q.e ->> 'key', 'status', CASE WHEN f.scope IS NULL THEN 'missing' ELSE 'configured' END,
                  'context', coalesce(f.context, q.e ->> 'context', ''), 'instance', coalesce(f.instance, q.e ->> 'instance', ''),
                  'source_label', coalesce(f.source_label, ''), 'updated_at', coalesce(f.updated_at, ''),
                  'trust_state', CASE WHEN f.scope IS NULL THEN 'missing' ELSE 'recorded' END) ORDER BY q.n), '[]'::json) AS list,
              count(*) FILTER (WHERE f.scope IS NULL AND q.e IS NOT NULL) AS absent,
              array_agg(CASE WHEN f.scope IS NULL THEN 'missing' ELSE 'recorded' END) AS states
         FROM json_array_elements(launchplane_items(l.profile -> 'expected_config' -> 'runtime_environment_keys')) WITH ORDINALITY q(e, n)
         LEFT JOIN LATERAL (SELECT x.scope, x.context, x.instance, x.updated_at, x.payload::json ->> 'source_label' AS source_label
                              FROM launchplane_runtime_environments x
                             WHERE (x.scope, x.context, x.instance)
                                   IN (('global', '', ''), ('context', l.context, ''), ('instance', l.context, l.instance))
                               AND x.payload::json -> 'env' -> (q.e ->> 'key') IS NOT NULL
                             ORDER BY array_position(array['instance', 'context', 'global'], x.scope) LIMIT 1) f ON true
        WHERE coalesce(q.e ->> 'context', '') = ''
           OR (q.e ->> 'context' = l.context AND coalesce(q.e ->> 'instance', '') IN ('', l.instance))) r
 CROSS JOIN LATERAL (
       SELECT coalesce(json_agg(json_build_object(
                  'binding_key', q.e ->> 'binding_key',
                  'status', coalesce(f.status, 'missing'), 'integration', coalesce(q.e ->> 'integration', 'runtime_environment'),
                  'context', coalesce(f.context, q.e ->> 'context', ''), 'instance', coalesce(f.instance, q.e ->> 'instance', ''),
                  'updated_at', coalesce(f.updated_at, ''),
                  'trust_state', CASE f.status WHEN 'configured' THEN 'recorded' WHEN 'disabled' THEN 'disabled' ELSE 'missing' END)
                  ORDER BY q.n), '[]'::json) AS list,
              count(*) FILTER (WHERE f.status IS DISTINCT FROM 'configured') AS absent,
              array_agg(CASE f.status WHEN 'configured' THEN 'recorded' WHEN 'disabled' THEN 'stale' ELSE 'missing' END) AS states
         FROM json_array_elements(launchplane_items(l.profile -> 'expected_config' -> 'managed_secret_bindings')) WITH ORDINALITY q(e, n)
         LEFT JOIN LATERAL (SELECT CASE x.status WHEN 'configured' THEN 'configured' ELSE 'disabled' END AS status, x.context, x.instance, x.updated_at
                              FROM launchplane_secret_bindings x
                             WHERE x.integration = coalesce(q.e ->> 'integration', 'runtime_environment') AND x.binding_key = q.e ->> 'binding_key'
                               AND (x.context, x.instance) IN (('', ''), (l.context, ''), (l.context, l.instance))
                             ORDER BY x.status = 'configured' DESC, x.instance DESC, x.context DESC, x.updated_at DESC LIMIT 1) f ON true
        WHERE coalesce(q.e ->> 'context', '') = ''
           OR (q.e ->> 'context' = l.context AND coalesce(q.e ->> 'instance', '') IN ('', l.instance))) s
 WHERE l.product = $1 AND l.instance = $2
 ORDER BY l.place
 LIMIT 1;

-- name: product_activity
-- The newest 50 events in the product's contexts, those before a cutover included. Lanes of other products in the same
-- contexts stay theirs; a policy counts when it is one of the newest 50 and names the product.
WITH profile AS (
    SELECT p.product, p.display_name, p.repository, p.driver_id, p.payload::json AS doc, split_part(p.repository, '/', 2) AS repo
      FROM launchplane_product_profiles p WHERE p.product = $1),
lanes AS (
    SELECT l ->> 'context' AS context, l ->> 'instance' AS instance FROM profile, json_array_elements(launchplane_items(doc -> 'lanes')) l),
contexts AS (
    SELECT context FROM lanes
    UNION SELECT h FROM profile, json_array_elements_text(launchplane_items(doc -> 'historical_contexts')) h),
preview_contexts AS (
    SELECT context FROM contexts
    UNION SELECT doc -> 'preview' ->> 'context' FROM profile WHERE coalesce(doc -> 'preview' ->> 'context', '') <> ''),
foreign_lanes AS (
    SELECT l ->> 'context' AS context, l ->> 'instance' AS instance
      FROM launchplane_product_profiles o, json_array_elements(launchplane_items(o.payload::json -> 'lanes')) l
     WHERE o.product <> $1 AND l ->> 'context' IN (SELECT context FROM contexts)
    EXCEPT SELECT context, instance FROM lanes),
deployments AS (
    SELECT d.* FROM contexts c CROSS JOIN LATERAL (
        (SELECT * FROM launchplane_deployments x
          WHERE x.context = c.context AND x.deploy_finished_at > '' AND (x.context, x.instance) NOT IN (SELECT context, instance FROM foreign_lanes)
          ORDER BY x.deploy_finished_at DESC, x.deploy_started_at DESC, x.record_id DESC LIMIT 50)
        UNION ALL
        (SELECT * FROM launchplane_deployments x
          WHERE x.context = c.context AND x.deploy_finished_at = '' AND (x.context, x.instance) NOT IN (SELECT context, instance FROM foreign_lanes)
          ORDER BY x.deploy_started_at DESC, x.record_id DESC LIMIT 50)) d),
promotions AS (
    SELECT d.* FROM contexts c CROSS JOIN LATERAL (
        (SELECT * FROM launchplane_promotions x
          WHERE x.context = c.context AND x.deploy_finished_at > '' AND (x.context, x.to_instance) NOT IN (SELECT context, instance FROM foreign_lanes)
          ORDER BY x.deploy_finished_at DESC, x.deploy_started_at DESC, x.record_id DESC LIMIT 50)
        UNION ALL
        (SELECT * FROM launchplane_promotions x
          WHERE x.context = c.context AND x.deploy_finished_at = '' AND (x.context, x.to_instance) NOT IN (SELECT context, instance FROM foreign_lanes)
          ORDER BY x.deploy_started_at DESC, x.record_id DESC LIMIT 50)) d),
events(event_type, id, context, environment, driver_id, action_id, status, occurred_at, title, summary, records) AS (
    SELECT 'deployment', d.record_id, d.context, d.instance, p.driver_id,
           CASE WHEN p.driver_id = 'verireel' THEN d.instance || '_deploy' ELSE 'stable_deploy' END,
           coalesce(d.payload::json -> 'deploy' ->> 'status', ''), coalesce(nullif(d.deploy_finished_at, ''), d.deploy_started_at),
           'Deployment of ' || d.instance, coalesce(nullif(d.artifact_id, ''), d.source_git_ref),
           json_build_array(json_build_object('record_type', 'deployment', 'record_id', d.record_id))
      FROM deployments d, profile p
    UNION ALL
    SELECT 'promotion', d.record_id, d.context, d.to_instance, p.driver_id, 'prod_promotion',
           coalesce(d.payload::json -> 'deploy' ->> 'status', ''), coalesce(nullif(d.deploy_finished_at, ''), d.deploy_started_at),
           'Promotion from ' || d.from_instance || ' to ' || d.to_instance, d.artifact_id,
           (SELECT json_agg(json_build_object('record_type', r.t, 'record_id', r.i))
              FROM (VALUES ('promotion', d.record_id), ('deployment', d.payload::json ->> 'deployment_record_id'),
                           ('backup_gate', d.payload::json ->> 'backup_record_id')) r(t, i) WHERE coalesce(r.i, '') <> '')
      FROM promotions d, profile p
    UNION ALL
    SELECT 'rollback', d.record_id, d.context, d.to_instance, p.driver_id, 'prod_rollback',
           coalesce(d.payload::json -> 'rollback' ->> 'status', ''),
           coalesce(nullif(d.payload::json -> 'rollback' ->> 'finished_at', ''), nullif(d.payload::json -> 'rollback' ->> 'started_at', ''),
                    nullif(d.deploy_finished_at, ''), d.deploy_started_at),
           'Rollback of ' || d.to_instance, coalesce(d.payload::json -> 'rollback' ->> 'detail', ''),
           json_build_array(json_build_object('record_type', 'promotion', 'record_id', d.record_id))
      FROM promotions d, profile p WHERE (d.payload::json -> 'rollback' ->> 'attempted')::boolean
    UNION ALL
    SELECT 'backup_gate', d.record_id, d.context, d.instance, p.driver_id, 'prod_backup_gate', d.status, d.created_at,
           'Backup gate of ' || d.instance, coalesce(d.payload::json ->> 'source', ''),
           json_build_array(json_build_object('record_type', 'backup_gate', 'record_id', d.record_id))
      FROM contexts c CROSS JOIN LATERAL (
        SELECT * FROM launchplane_backup_gates x
         WHERE x.context = c.context AND (x.context, x.instance) NOT IN (SELECT context, instance FROM foreign_lanes)
         ORDER BY x.created_at DESC, x.record_id DESC LIMIT 50) d, profile p
    UNION ALL
    SELECT 'preview', d.preview_id, d.context, 'preview', p.driver_id,
           CASE d.state WHEN 'destroyed' THEN 'preview_destroy' ELSE 'preview_refresh' END, d.state, d.updated_at,
           'Preview of pull request ' || d.anchor_pr_number, coalesce(d.payload::json ->> 'canonical_url', ''),
           json_build_array(json_build_object('record_type', 'preview', 'record_id', d.preview_id))
      FROM profile p, preview_contexts c CROSS JOIN LATERAL (
        SELECT * FROM launchplane_preview_records x
         WHERE x.context = c.context AND x.anchor_repo = (SELECT repo FROM profile)
         ORDER BY x.updated_at DESC, x.preview_id DESC LIMIT 50) d
    UNION ALL
    SELECT 'preview_desired_state', d.desired_state_id, d.context, 'preview', p.driver_id, 'preview_desired_state', d.status, d.discovered_at,
           'Previews asked for', d.desired_count || ' wanted',
           json_build_array(json_build_object('record_type', 'preview_desired_state', 'record_id', d.desired_state_id))
      FROM profile p, preview_contexts c CROSS JOIN LATERAL (
        SELECT * FROM launchplane_preview_desired_states x WHERE x.context = c.context AND x.product = $1
         ORDER BY x.discovered_at DESC, x.desired_state_id DESC LIMIT 50) d
    UNION ALL
    SELECT 'preview_cleanup', d.cleanup_id, d.context, 'preview', p.driver_id, 'preview_destroy', d.status, d.requested_at,
           'Preview cleanup', d.plan_id,
           json_build_array(json_build_object('record_type', 'preview_lifecycle_cleanup', 'record_id', d.cleanup_id))
      FROM profile p, preview_contexts c CROSS JOIN LATERAL (
        SELECT * FROM launchplane_preview_lifecycle_cleanups x WHERE x.context = c.context AND x.product = $1
         ORDER BY x.requested_at DESC, x.cleanup_id DESC LIMIT 50) d
    UNION ALL
    SELECT 'preview_pr_feedback', d.feedback_id, d.context, 'preview', p.driver_id,
           CASE WHEN d.status IN ('destroyed', 'cleanup_failed') THEN 'preview_destroy' ELSE 'preview_refresh' END, d.status, d.requested_at,
           'Feedback on pull request ' || d.anchor_pr_number, 'delivery ' || d.delivery_status,
           json_build_array(json_build_object('record_type', 'preview_pr_feedback', 'record_id', d.feedback_id))
      FROM profile p, preview_contexts c CROSS JOIN LATERAL (
        SELECT * FROM launchplane_preview_pr_feedback x WHERE x.context = c.context AND x.product = $1
         ORDER BY x.requested_at DESC, x.feedback_id DESC LIMIT 50) d
    UNION ALL
    SELECT 'authz_policy', d.record_id, 'launchplane', '', 'launchplane', 'authz_policy.update', d.status, d.updated_at,
           'Authorization policy changed', coalesce(nullif(d.payload::json -> 'audit' ->> 'reason', ''), d.source),
           json_build_array(json_build_object('record_type', 'authz_policy', 'record_id', d.record_id))
      FROM (SELECT * FROM launchplane_authz_policies ORDER BY updated_at DESC, record_id DESC LIMIT 50) d
     WHERE (d.payload::jsonb -> 'policy' -> 'github_actions') @> jsonb_build_array(jsonb_build_object('products', jsonb_build_array($1::text)))
        OR (d.payload::jsonb -> 'policy' -> 'github_humans') @> jsonb_build_array(jsonb_build_object('products', jsonb_build_array($1::text)))),
newest AS (
    SELECT event_type || ':' || id AS event_id, e.* FROM events e ORDER BY occurred_at DESC, event_type || ':' || id DESC LIMIT 50)
SELECT json_build_object(
           'schema_version', 1, 'product', p.product, 'display_name', p.display_name, 'repository', p.repository, 'driver_id', p.driver_id,
           'events', coalesce((SELECT json_agg(json_build_object(
               'event_id', event_id, 'event_type', event_type, 'product', p.product, 'context', context, 'environment', environment,
               'driver_id', n.driver_id, 'action_id', action_id, 'status', status, 'occurred_at', occurred_at, 'title', title,
               'summary', summary, 'records', records, 'trust_state', 'recorded') ORDER BY occurred_at DESC, event_id DESC) FROM newest n), '[]'::json))
  FROM profile p;

-- name: lane_page
-- Every lane of every product, as a list (server/routes/list.h); $9 is the time.
SELECT json_build_object(
           'product', l.product, 'driver_id', l.driver_id, 'context', l.context, 'instance', l.instance,
           'base_url', coalesce(l.lane ->> 'base_url', ''),
           'artifact_id', coalesce(coalesce(l.inventory, l.deployment) -> 'artifact_identity' ->> 'artifact_id', ''),
           'source_git_ref', coalesce(coalesce(l.inventory, l.deployment) ->> 'source_git_ref', ''),
           'since', coalesce(l.provenance ->> 'recorded_at', ''), 'health_verified', h.verified,
           'health_status', coalesce(coalesce(l.inventory, l.deployment) -> 'destination_health' ->> 'status', 'missing'),
           'runtime_identity_status', coalesce(coalesce(l.inventory, l.deployment) -> 'destination_health' ->> 'runtime_identity_status', 'unchecked'),
           'provider_target_recorded', EXISTS (SELECT FROM launchplane_provider_targets t WHERE t.context = l.context AND t.instance = l.instance),
           'trust_state', l.trust_state),
       l.product, l.context, l.instance
  FROM launchplane_lanes($9::timestamptz) l
 CROSS JOIN LATERAL (SELECT coalesce((coalesce(l.inventory, l.deployment) -> 'destination_health' ->> 'verified')::boolean, false)
                            AND coalesce(l.inventory, l.deployment) -> 'destination_health' ->> 'status' = 'pass' AS verified) h
 WHERE ($1::text IS NULL OR l.product = $1)
   AND ($2::text IS NULL OR l.context = $2)
   AND ($3::text IS NULL OR l.instance = $3)
   AND ($4::text IS NULL OR coalesce(h.verified, false) = ($4 = 'verified'))
   AND ($5::text IS NULL OR (l.product, l.context, l.instance) > ($5, $6::text, $7::text))
 ORDER BY l.product, l.context, l.instance
 LIMIT $8::bigint;

-- name: lane_diff
-- What differs between two lanes of a product. Runtime values are compared here and never shown.
WITH pair AS (
    SELECT l.*, coalesce(l.inventory, l.deployment) AS record FROM launchplane_lanes($4::timestamptz) l
     WHERE l.product = $1 AND l.instance IN ($2, $3)),
a AS (SELECT * FROM pair WHERE instance = $2 ORDER BY place LIMIT 1),
b AS (SELECT * FROM pair WHERE instance = $3 ORDER BY place LIMIT 1),
facts(n, subject, a, b) AS (
    SELECT f.n, f.subject, coalesce(f.a, ''), coalesce(f.b, '')
      FROM a CROSS JOIN b
      LEFT JOIN launchplane_artifact_manifests m ON m.artifact_id = a.record -> 'artifact_identity' ->> 'artifact_id'
      LEFT JOIN launchplane_artifact_manifests n ON n.artifact_id = b.record -> 'artifact_identity' ->> 'artifact_id'
      LEFT JOIN launchplane_provider_targets t ON t.context = a.context AND t.instance = a.instance
      LEFT JOIN launchplane_provider_targets u ON u.context = b.context AND u.instance = b.instance
     CROSS JOIN LATERAL (VALUES
           (1, 'artifact', a.record -> 'artifact_identity' ->> 'artifact_id', b.record -> 'artifact_identity' ->> 'artifact_id'),
           (2, 'commit', a.record ->> 'source_git_ref', b.record ->> 'source_git_ref'),
           (3, 'image', m.image_repository || '@' || m.image_digest, n.image_repository || '@' || n.image_digest),
           (4, 'health', a.record -> 'destination_health' ->> 'status', b.record -> 'destination_health' ->> 'status'),
           (5, 'trust', a.trust_state, b.trust_state),
           (6, 'target type', t.target_category, u.target_category)) f(n, subject, a, b)),
settings AS (
    SELECT DISTINCT ON (l.instance, e.key) l.instance, e.key, e.value
      FROM pair l
      JOIN launchplane_runtime_environments r
        ON (r.scope, r.context, r.instance) IN (('global', '', ''), ('context', l.context, ''), ('instance', l.context, l.instance))
     CROSS JOIN LATERAL json_each_text(r.payload::json -> 'env') e
     ORDER BY l.instance, e.key, array_position(array['instance', 'context', 'global'], r.scope)),
secrets AS (
    SELECT DISTINCT l.instance, x.binding_key
      FROM pair l
      JOIN launchplane_secret_bindings x ON x.integration = 'runtime_environment' AND x.status = 'configured'
       AND (x.context, x.instance) IN (('', ''), (l.context, ''), (l.context, l.instance))),
differences(n, subject, a, b) AS (
    SELECT * FROM facts WHERE facts.a <> facts.b
    UNION ALL
    SELECT 7, 'runtime key ' || coalesce(x.key, y.key), CASE WHEN x.key IS NULL THEN 'missing' ELSE 'set' END,
           CASE WHEN y.key IS NULL THEN 'missing' WHEN x.key IS NULL THEN 'set' ELSE 'set to another value' END
      FROM (SELECT * FROM settings WHERE instance = $2) x
      FULL JOIN (SELECT * FROM settings WHERE instance = $3) y ON y.key = x.key
     WHERE x.value IS DISTINCT FROM y.value
    UNION ALL
    SELECT 8, 'secret ' || coalesce(x.binding_key, y.binding_key), CASE WHEN x.binding_key IS NULL THEN 'missing' ELSE 'configured' END,
           CASE WHEN y.binding_key IS NULL THEN 'missing' ELSE 'configured' END
      FROM (SELECT * FROM secrets WHERE instance = $2) x
      FULL JOIN (SELECT * FROM secrets WHERE instance = $3) y ON y.binding_key = x.binding_key
     WHERE x.binding_key IS NULL OR y.binding_key IS NULL)
SELECT a.context, b.context, json_build_object(
           'product', a.product, 'from', a.instance, 'to', b.instance, 'from_context', a.context, 'to_context', b.context,
           'differences', coalesce((SELECT json_agg(json_build_object('subject', d.subject, 'from', d.a, 'to', d.b) ORDER BY d.n, d.subject)
                                      FROM differences d), '[]'::json))
  FROM a, b;

-- name: lane_rollback_target
-- What a rollback of a lane would deploy: the newest deployment that passed with another artifact than the one it runs.
SELECT l.context, json_build_object(
           'product', l.product, 'environment', l.instance, 'context', l.context,
           'current', json_build_object('artifact_id', c.artifact_id, 'since', l.provenance ->> 'recorded_at',
                                        'deployment_record_id', l.provenance ->> 'source_record_id'),
           'target', CASE WHEN d.record_id IS NOT NULL THEN json_build_object(
               'artifact_id', d.artifact_id, 'source_git_ref', d.source_git_ref, 'deployment_record_id', d.record_id,
               'deployed_at', d.deploy_finished_at,
               'health_verified', coalesce((d.payload::json -> 'destination_health' ->> 'verified')::boolean, false),
               'image_reference', coalesce(m.image_repository || '@' || m.image_digest, '')) END,
           'backup_gate_record_id', coalesce(g.record_id, ''), 'backup_gate_created_at', coalesce(g.created_at, ''),
           'blockers', to_json(array_remove(array[
               CASE WHEN c.artifact_id = '' THEN 'nothing is recorded to run in the lane' END,
               CASE WHEN d.record_id IS NULL THEN 'no earlier deployment of another artifact passed' END,
               CASE WHEN d.record_id IS NOT NULL AND m.artifact_id IS NULL THEN 'the manifest of ' || d.artifact_id || ' is not stored' END], NULL)))
  FROM launchplane_lanes($3::timestamptz) l
 CROSS JOIN LATERAL (SELECT coalesce(coalesce(l.inventory, l.deployment) -> 'artifact_identity' ->> 'artifact_id', '') AS artifact_id) c
  LEFT JOIN LATERAL (SELECT * FROM launchplane_deployments x
                      WHERE x.context = l.context AND x.instance = l.instance AND x.artifact_id NOT IN ('', c.artifact_id)
                        AND x.payload::json -> 'deploy' ->> 'status' = 'pass'
                      ORDER BY x.deploy_finished_at DESC, x.deploy_started_at DESC, x.record_id DESC LIMIT 1) d ON true
  LEFT JOIN launchplane_artifact_manifests m ON m.artifact_id = d.artifact_id
  LEFT JOIN LATERAL (SELECT x.record_id, x.created_at FROM launchplane_backup_gates x
                      WHERE x.context = l.context AND x.instance = l.instance AND x.status = 'pass'
                      ORDER BY x.created_at DESC, x.record_id DESC LIMIT 1) g ON true
 WHERE l.product = $1 AND l.instance = $2
 ORDER BY l.place
 LIMIT 1;

-- name: lane_origin
-- Where what a lane runs comes from: commit, artifact, deployment, promotion, and the gate before it. Who, when and why is
-- what the audit log says of the first change that named the record; null where the log is younger.
SELECT l.context, json_build_object(
           'product', l.product, 'environment', l.instance, 'context', l.context, 'since', l.provenance ->> 'recorded_at',
           'artifact_id', c.artifact_id, 'source_commit', coalesce(m.source_commit, l.record ->> 'source_git_ref', ''),
           'image_reference', coalesce(m.image_repository || '@' || m.image_digest, ''),
           'addon_sources', launchplane_items(m.payload::json -> 'addon_sources'),
           'deployment', CASE WHEN d.record_id IS NOT NULL THEN json_build_object(
               'record_id', d.record_id, 'status', d.payload::json -> 'deploy' ->> 'status', 'finished_at', d.deploy_finished_at,
               'recorded', dl.document) END,
           'promotion', CASE WHEN p.record_id IS NOT NULL THEN json_build_object(
               'record_id', p.record_id, 'from_instance', p.from_instance, 'finished_at', p.deploy_finished_at,
               'status', p.payload::json -> 'deploy' ->> 'status', 'recorded', pl.document) END,
           'backup_gate', CASE WHEN g.record_id IS NOT NULL THEN json_build_object(
               'record_id', g.record_id, 'status', g.status, 'created_at', g.created_at, 'source', g.payload::json ->> 'source') END,
           'release_tuple_id', coalesce(t.tuple_id, ''))
  FROM (SELECT x.*, coalesce(x.inventory, x.deployment) AS record FROM launchplane_lanes($3::timestamptz) x) l
 CROSS JOIN LATERAL (SELECT coalesce(l.record -> 'artifact_identity' ->> 'artifact_id', '') AS artifact_id) c
  LEFT JOIN launchplane_artifact_manifests m ON m.artifact_id = c.artifact_id
  LEFT JOIN launchplane_deployments d ON d.record_id = l.provenance ->> 'source_record_id'
  LEFT JOIN launchplane_promotions p ON p.record_id = l.inventory ->> 'promotion_record_id'
  LEFT JOIN launchplane_backup_gates g ON g.record_id = p.payload::json ->> 'backup_record_id'
  LEFT JOIN launchplane_release_tuples t ON t.context = l.context AND t.channel = l.instance
  LEFT JOIN LATERAL (
       SELECT json_build_object('actor', x.leaf ->> 'actor', 'at', x.leaf ->> 'at', 'reason', coalesce(x.leaf ->> 'reason', '')) AS document
         FROM (SELECT e.leaf, e.position FROM launchplane_audit_entries e
                WHERE e.deployment_record_id = d.record_id AND e.leaf ->> 'actor' IS NOT NULL
               UNION ALL
               SELECT w.leaf, NULL FROM launchplane_audit_pending w
                WHERE w.leaf -> 'records' ->> 'deployment_record_id' = d.record_id AND w.leaf ->> 'actor' IS NOT NULL) x
        ORDER BY x.position LIMIT 1) dl ON true
  LEFT JOIN LATERAL (
       SELECT json_build_object('actor', x.leaf ->> 'actor', 'at', x.leaf ->> 'at', 'reason', coalesce(x.leaf ->> 'reason', '')) AS document
         FROM (SELECT e.leaf, e.position FROM launchplane_audit_entries e
                WHERE e.promotion_record_id = p.record_id AND e.leaf ->> 'actor' IS NOT NULL
               UNION ALL
               SELECT w.leaf, NULL FROM launchplane_audit_pending w
                WHERE w.leaf -> 'records' ->> 'promotion_record_id' = p.record_id AND w.leaf ->> 'actor' IS NOT NULL) x
        ORDER BY x.position LIMIT 1) pl ON true
 WHERE l.product = $1 AND l.instance = $2
 ORDER BY l.place
 LIMIT 1;
