-- Product profiles, targets, runtime environments, managed secrets and key-safety policies (facts/config-health.md 1-5).

-- name: product_profile_upsert
INSERT INTO launchplane_product_profiles (product, display_name, repository, driver_id, updated_at, payload)
VALUES ($1, $2, $3, $4, $5, $6::json)
ON CONFLICT (product) DO UPDATE
   SET display_name = excluded.display_name, repository = excluded.repository, driver_id = excluded.driver_id,
       updated_at = excluded.updated_at, payload = excluded.payload;

-- name: product_profile_read
-- together
SELECT payload FROM launchplane_product_profiles WHERE product = $1;

-- name: odoo_products_of_lane
SELECT product FROM launchplane_product_profiles
 WHERE driver_id = 'odoo'
   AND payload::jsonb -> 'lanes' @> jsonb_build_array(jsonb_build_object('context', $1::text, 'instance', $2::text))
 ORDER BY product;

-- name: product_profile_lock
SELECT payload FROM launchplane_product_profiles WHERE product = $1 FOR UPDATE;

-- name: product_profile_list
SELECT payload FROM launchplane_product_profiles
 WHERE $1::text IS NULL OR driver_id = $1
 ORDER BY product;

-- name: historical_context_owner
SELECT product FROM launchplane_product_profiles
 WHERE EXISTS (SELECT 1 FROM json_array_elements_text(coalesce(payload::json -> 'historical_contexts', '[]'::json)) AS h(context)
                WHERE h.context = $1)
 ORDER BY product
 LIMIT 1;

-- name: target_read
-- The tracked target, its id and the provider row of a lane, each null when missing.
SELECT (SELECT payload FROM launchplane_dokploy_targets WHERE context = $1 AND instance = $2),
       (SELECT payload FROM launchplane_dokploy_target_ids WHERE context = $1 AND instance = $2),
       (SELECT payload FROM launchplane_provider_targets WHERE context = $1 AND instance = $2);

-- name: dokploy_target_upsert
INSERT INTO launchplane_dokploy_targets (context, instance, updated_at, payload)
VALUES ($1, $2, $3, $4::json)
ON CONFLICT (context, instance) DO UPDATE SET updated_at = excluded.updated_at, payload = excluded.payload;

-- name: dokploy_target_id_upsert
INSERT INTO launchplane_dokploy_target_ids (context, instance, target_id, updated_at, payload)
VALUES ($1, $2, $3, $4, $5::json)
ON CONFLICT (context, instance) DO UPDATE
   SET target_id = excluded.target_id, updated_at = excluded.updated_at, payload = excluded.payload;

-- name: provider_target_upsert
INSERT INTO launchplane_provider_targets
    (context, instance, provider_id, target_category, target_id, display_name, provider_target_type, updated_at, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::json)
ON CONFLICT (context, instance) DO UPDATE
   SET provider_id = excluded.provider_id, target_category = excluded.target_category, target_id = excluded.target_id,
       display_name = excluded.display_name, provider_target_type = excluded.provider_target_type,
       updated_at = excluded.updated_at, payload = excluded.payload;

-- name: runtime_environment_read_for_update
SELECT payload FROM launchplane_runtime_environments
 WHERE scope = $1 AND context = $2 AND instance = $3
   FOR UPDATE;

-- name: runtime_environment_read
SELECT payload FROM launchplane_runtime_environments WHERE scope = $1 AND context = $2 AND instance = $3;

-- name: runtime_environment_upsert
INSERT INTO launchplane_runtime_environments (scope, context, instance, updated_at, payload)
VALUES ($1, $2, $3, $4, $5::json)
ON CONFLICT (scope, context, instance) DO UPDATE SET updated_at = excluded.updated_at, payload = excluded.payload;

-- name: runtime_environment_for_lane
-- Global, context and instance records of a lane, in the order they are merged.
SELECT scope, payload -> 'env' FROM launchplane_runtime_environments
 WHERE scope = 'global'
    OR (scope = 'context' AND context = $1)
    OR (scope = 'instance' AND context = $1 AND instance = $2)
 ORDER BY array_position(ARRAY['global', 'context', 'instance'], scope);

-- name: key_safety_active
SELECT payload FROM launchplane_runtime_key_safety_policies
 WHERE status = 'active'
 ORDER BY updated_at DESC, record_id DESC
 LIMIT 1;

-- name: key_safety_lock
SELECT pg_advisory_xact_lock(hashtext('launchplane_runtime_key_safety_policies'));

-- name: key_safety_insert
INSERT INTO launchplane_runtime_key_safety_policies (record_id, status, source, updated_at, payload)
VALUES ($1, 'active', $2, $3, $4::json);

-- name: odoo_override_read
SELECT payload FROM launchplane_odoo_instance_overrides WHERE context = $1 AND instance = $2;

-- name: odoo_override_upsert
INSERT INTO launchplane_odoo_instance_overrides (context, instance, updated_at, payload)
VALUES ($1, $2, $3, $4::json)
ON CONFLICT (context, instance) DO UPDATE SET updated_at = excluded.updated_at, payload = excluded.payload;
