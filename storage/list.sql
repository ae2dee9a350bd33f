-- Lists (server/routes/list.h): the filters, then the sort keys to go on behind, then how many; all filters and keys may be
-- null. Orders are those of facts/core.md 7.1. They are sent unprepared: the planner sees which filters are given.

-- name: deployment_page
SELECT payload, deploy_finished_at, deploy_started_at, record_id
  FROM launchplane_deployments
 WHERE ($1::text IS NULL OR context = $1)
   AND ($2::text IS NULL OR instance = $2)
   AND ($3::text IS NULL OR artifact_id = $3)
   AND ($4::text IS NULL OR payload -> 'deploy' ->> 'status' = $4)
   AND ($5::text IS NULL OR deploy_finished_at >= $5)
   AND ($6::text IS NULL OR (deploy_finished_at, deploy_started_at, record_id) < ($6, $7::text, $8::text))
 ORDER BY deploy_finished_at DESC, deploy_started_at DESC, record_id DESC
 LIMIT $9::bigint;

-- name: promotion_page
SELECT payload, deploy_finished_at, deploy_started_at, record_id
  FROM launchplane_promotions
 WHERE ($1::text IS NULL OR context = $1)
   AND ($2::text IS NULL OR from_instance = $2)
   AND ($3::text IS NULL OR to_instance = $3)
   AND ($4::text IS NULL OR artifact_id = $4)
   AND ($5::text IS NULL OR payload -> 'deploy' ->> 'status' = $5)
   AND ($6::text IS NULL OR deploy_finished_at >= $6)
   AND ($7::text IS NULL OR (deploy_finished_at, deploy_started_at, record_id) < ($7, $8::text, $9::text))
 ORDER BY deploy_finished_at DESC, deploy_started_at DESC, record_id DESC
 LIMIT $10::bigint;

-- name: backup_gate_page
SELECT payload, created_at, record_id
  FROM launchplane_backup_gates
 WHERE ($1::text IS NULL OR context = $1)
   AND ($2::text IS NULL OR instance = $2)
   AND ($3::text IS NULL OR status = $3)
   AND ($4::text IS NULL OR created_at >= $4)
   AND ($5::text IS NULL OR (created_at, record_id) < ($5, $6::text))
 ORDER BY created_at DESC, record_id DESC
 LIMIT $7::bigint;

-- name: preview_page
SELECT payload, updated_at, preview_id
  FROM launchplane_preview_records
 WHERE ($1::text IS NULL OR context = $1)
   AND ($2::text IS NULL OR anchor_repo = $2)
   AND ($3::text IS NULL OR state = $3)
   AND ($4::text IS NULL OR (updated_at, preview_id) < ($4, $5::text))
 ORDER BY updated_at DESC, preview_id DESC
 LIMIT $6::bigint;

-- name: inventory_page
SELECT payload, context, instance
  FROM launchplane_inventory
 WHERE ($1::text IS NULL OR context = $1)
   AND ($2::text IS NULL OR instance = $2)
   AND ($3::text IS NULL OR artifact_id = $3)
   AND ($4::text IS NULL OR (context, instance) > ($4, $5::text))
 ORDER BY context, instance
 LIMIT $6::bigint;

-- name: release_tuple_page
SELECT payload, context, channel
  FROM launchplane_release_tuples
 WHERE ($1::text IS NULL OR context = $1)
   AND ($2::text IS NULL OR channel = $2)
   AND ($3::text IS NULL OR artifact_id = $3)
   AND ($4::text IS NULL OR (context, channel) > ($4, $5::text))
 ORDER BY context, channel
 LIMIT $6::bigint;

-- name: artifact_manifest_page
SELECT payload, artifact_id
  FROM launchplane_artifact_manifests
 WHERE ($1::text IS NULL OR source_commit = $1)
   AND ($2::text IS NULL OR image_repository = $2)
   AND ($3::text IS NULL OR image_digest = $3)
   AND ($4::text IS NULL OR artifact_id < $4)
 ORDER BY artifact_id DESC
 LIMIT $5::bigint;

-- name: operation_page
SELECT launchplane_operation_document(o), (extract(epoch FROM created_at) * 1000000)::bigint::text, operation_id
  FROM launchplane_operations o
 WHERE product = $1
   AND ($2::text IS NULL OR context = $2)
   AND ($3::text IS NULL OR instance = $3)
   AND ($4::text IS NULL OR status = $4)
   AND ($5::text IS NULL OR kind = $5)
   AND ($6::bigint IS NULL OR (created_at, operation_id)
                              < (timestamptz 'epoch' + $6::bigint * interval '1 microsecond', $7::text))
 ORDER BY created_at DESC, operation_id DESC
 LIMIT $8::bigint;
