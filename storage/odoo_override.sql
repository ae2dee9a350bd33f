-- Typed Odoo settings of a lane (facts/odoo.md 9). Answers never show values or binding ids.

-- name: odoo_override_lock
-- For a change: nobody else changes the record until the end of the transaction.
SELECT payload FROM launchplane_odoo_instance_overrides WHERE context = $1 AND instance = $2 FOR UPDATE;

-- name: odoo_overrides_lock
-- The same for those of all lanes, of a context, or of one lane.
SELECT payload FROM launchplane_odoo_instance_overrides
 WHERE ($1 = '' OR context = $1) AND ($2 = '' OR instance = $2)
 ORDER BY context, instance
   FOR UPDATE;

-- name: odoo_override_binding
SELECT secret_id, binding_key, status,
       EXISTS (SELECT 1 FROM launchplane_secret_bindings x WHERE x.secret_id = b.secret_id AND x.status = 'configured')
  FROM launchplane_secret_bindings b
 WHERE binding_id = $1;

-- name: odoo_override_note_apply
-- How the latest application went; the settings stay as somebody may just have written them.
UPDATE launchplane_odoo_instance_overrides
   SET payload = (payload::jsonb || jsonb_build_object('last_apply', $3::jsonb, 'updated_at', $4::text, 'source_label', $5::text))::text::json,
       updated_at = $4
 WHERE context = $1 AND instance = $2;

-- name: odoo_override_set_canonical
UPDATE launchplane_odoo_instance_overrides
   SET payload = (payload::jsonb || jsonb_build_object(
                      'website_bootstrap', payload::jsonb -> 'website_bootstrap' || jsonb_build_object('canonical_url', $3::text),
                      'updated_at', $4::text, 'source_label', $5::text))::text::json,
       updated_at = $4
 WHERE context = $1 AND instance = $2 AND jsonb_typeof(payload::jsonb -> 'website_bootstrap') = 'object';

-- name: odoo_override_summary
SELECT launchplane_odoo_override_summary(payload::json)
  FROM launchplane_odoo_instance_overrides WHERE context = $1 AND instance = $2;

-- name: odoo_override_summaries
SELECT count(*), coalesce(json_agg(launchplane_odoo_override_summary(payload::json) ORDER BY context, instance), '[]')
  FROM launchplane_odoo_instance_overrides;
