-- Previews of Odoo pull requests: what their operations ask about each other (drivers/odoo/preview.h).

-- name: odoo_preview_of_anchor
-- The recorded state of a pull request's preview; $2 is the repository with or without its owner.
SELECT p.state
  FROM launchplane_preview_anchors a JOIN launchplane_preview_records p USING (preview_id)
 WHERE a.context = $1 AND a.anchor_repo = regexp_replace($2, '^.*/', '') AND a.anchor_pr_number = $3::integer;

-- name: odoo_preview_anchor
SELECT preview_id FROM launchplane_preview_anchors
 WHERE context = $1 AND anchor_repo = $2 AND anchor_pr_number = $3::integer;

-- name: odoo_preview_fence
-- Before a write at the provider: whether operation $1 is still this worker's, and whether somebody wants the preview gone who
-- asked later than it did; whether it is to be cancelled, and why.
SELECT o.status = 'running' AND o.fence = $2::bigint
           AND o.lease_expires_at > clock_timestamp() + $4::bigint * interval '1 millisecond',
       EXISTS (SELECT 1 FROM launchplane_operations d
                WHERE d.kind = 'odoo_preview_destroy' AND d.context = o.context AND d.instance = o.instance
                  AND d.product = o.product AND d.status IN ('pending', 'running')
                  AND d.request #>> '{dry_run_plan,preview_slug}' = $5
                  AND (d.created_at, d.operation_id) > (o.created_at, o.operation_id))
       OR EXISTS (SELECT 1 FROM launchplane_preview_records p
                   WHERE p.preview_id = $3 AND p.state = 'destroyed' AND p.payload ->> 'destroyed_at' > launchplane_utc(o.created_at)),
       o.cancel_requested_at IS NOT NULL, o.cancel_reason
  FROM launchplane_operations o
 WHERE o.operation_id = $1;

-- name: odoo_preview_others
-- Operations of kind $2 on the same preview that were asked for earlier and have not ended.
SELECT d.operation_id
  FROM launchplane_operations o
  JOIN launchplane_operations d ON d.context = o.context AND d.instance = o.instance AND d.product = o.product
 WHERE o.operation_id = $1 AND d.kind = $2 AND d.status IN ('pending', 'running')
   AND d.request #>> '{dry_run_plan,preview_slug}' = $3
   AND (d.created_at, d.operation_id) < (o.created_at, o.operation_id)
 LIMIT 1;

-- name: odoo_preview_stored
-- A preview with a mark of its state, for odoo_preview_unchanged.
SELECT payload, md5(payload::text) FROM launchplane_preview_records WHERE preview_id = $1;

-- name: odoo_preview_unchanged
-- Locks the preview's anchor and refuses the transaction when the preview is not the one that $2 was read from.
SELECT 1 / CASE WHEN coalesce((SELECT md5(p.payload::text) FROM launchplane_preview_records p WHERE p.preview_id = a.preview_id), '') = $2
                THEN 1 ELSE 0 END
  FROM launchplane_preview_anchors a
 WHERE a.preview_id = $1
   FOR UPDATE;

-- name: odoo_preview_scan_write
INSERT INTO launchplane_preview_inventory_scans (scan_id, context, scanned_at, source, status, preview_count, payload)
VALUES ($1, $2, $3, $4, $5, $6::integer, $7::json);
