-- Holds of automatic promotion, and what a promotion or rollback changes of the evidence (facts/odoo.md 12, 13).

-- name: promotion_hold_set
-- By a rollback, on behalf of who asked for it. A hold that stands already is enough.
INSERT INTO launchplane_promotion_holds
    (record_id, product, context, instance, promotion_record_id, operation_id, reason, held_by, held_at)
SELECT $1, o.product, o.context, o.instance, $2, o.operation_id, $3, o.actor, $4
  FROM launchplane_operations o
 WHERE o.operation_id = $5
ON CONFLICT DO NOTHING;

-- name: promotion_hold_active
SELECT record_id, promotion_record_id, held_at, reason FROM launchplane_promotion_holds
 WHERE context = $1 AND instance = $2 AND lifted_at = '';

-- name: promotion_hold_lift
UPDATE launchplane_promotion_holds h
   SET lifted_by = $3::json, lifted_at = $4, lift_reason = $5
 WHERE context = $1 AND instance = $2 AND lifted_at = ''
RETURNING launchplane_promotion_hold_document(h), record_id;

-- name: promotion_hold_list
-- The lane's holds, newest first.
SELECT coalesce(json_agg(launchplane_promotion_hold_document(h) ORDER BY held_at DESC, record_id DESC), '[]')
  FROM (SELECT * FROM launchplane_promotion_holds WHERE context = $1 AND instance = $2
         ORDER BY held_at DESC, record_id DESC LIMIT 100) h;

-- name: promotion_note_rollback
-- What the record says of the promotion itself stays.
UPDATE launchplane_promotions
   SET payload = (payload::jsonb || jsonb_build_object('rollback', $2::jsonb, 'rollback_health', $3::jsonb))::text::json
 WHERE record_id = $1;

-- name: backup_gate_capture
-- A gate that passed stays as it is.
INSERT INTO launchplane_backup_gates AS known (record_id, context, instance, created_at, status, payload)
VALUES ($1, $2, $3, $4, 'pass', $5::json)
ON CONFLICT (record_id) DO UPDATE
   SET created_at = excluded.created_at, status = excluded.status, payload = excluded.payload
 WHERE known.context = excluded.context AND known.instance = excluded.instance AND known.status <> 'pass';

-- name: backup_gate_used_up
-- Why the gate does not stand for the lane as it is now: a promotion that passed has used it, or the lane was built anew since.
SELECT 'promotion ' || record_id || ' has used it' FROM launchplane_promotions
 WHERE payload ->> 'backup_record_id' = $1 AND context = $2 AND to_instance = $3
   AND payload -> 'deploy' ->> 'status' = 'pass'
UNION ALL
SELECT 'it is older than what the lane runs now'
  FROM launchplane_inventory i
  JOIN launchplane_backup_gates g ON g.record_id = $1
 WHERE i.context = $2 AND i.instance = $3
   AND (i.payload -> 'deploy' ->> 'finished_at') COLLATE "C" > g.created_at COLLATE "C"
UNION ALL
SELECT 'the lane was built anew after it, by ' || d.record_id
  FROM launchplane_inventory i
  JOIN launchplane_deployments d ON d.record_id = i.payload ->> 'bootstrap_record_id'
  JOIN launchplane_backup_gates g ON g.record_id = $1
 WHERE i.context = $2 AND i.instance = $3 AND d.deploy_finished_at COLLATE "C" > g.created_at COLLATE "C"
LIMIT 1;
