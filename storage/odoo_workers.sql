-- What the engine does for Odoo's two durable kinds, for operators (facts/odoo.md 6.6). Requests are not told.

-- name: odoo_workers_status
-- $1: how many ended ones of each kind; $2: the test clock.
SELECT json_object_agg(k.name, json_build_object(
    'kind', k.kind,
    'counts', (SELECT json_build_object(
                   'pending', count(*) FILTER (WHERE status = 'pending'), 'running', count(*) FILTER (WHERE status = 'running'),
                   'pass', count(*) FILTER (WHERE status = 'pass'), 'fail', count(*) FILTER (WHERE status = 'fail'),
                   'cancelled', count(*) FILTER (WHERE status = 'cancelled'))
                 FROM launchplane_operations WHERE kind = k.kind),
    'leases', (SELECT coalesce(json_agg(json_build_object(
                   'operation_id', operation_id, 'product', product, 'context', context, 'instance', instance,
                   'phase', public_phase, 'step', phase, 'lease_owner', lease_owner,
                   'lease_expires_at', launchplane_utc(lease_expires_at), 'heartbeat_at', launchplane_utc(heartbeat_at),
                   'next_run_at', launchplane_utc(next_run_at), 'attempt', attempt, 'lost_leases', lost_leases,
                   'is_expired', coalesce(lease_expires_at < now_at, false)) ORDER BY created_at, operation_id), '[]')
                 FROM launchplane_operations WHERE kind = k.kind AND status = 'running'),
    'recent_terminal', (SELECT coalesce(json_agg(e.one), '[]') FROM (
        SELECT json_build_object(
                   'operation_id', operation_id, 'product', product, 'context', context, 'instance', instance,
                   'status', status, 'phase', public_phase, 'step', phase, 'error_code', error_code,
                   'error_message', error_message, 'deployment_record_id', deployment_record_id,
                   'created_at', launchplane_utc(created_at), 'finished_at', launchplane_utc(finished_at)) AS one
          FROM launchplane_operations WHERE kind = k.kind AND status NOT IN ('pending', 'running')
         ORDER BY finished_at DESC, operation_id DESC LIMIT $1::bigint) AS e)) ORDER BY k.name)
  FROM (VALUES ('bootstrap', 'odoo_stable_bootstrap'), ('replacement', 'odoo_stable_target_replacement')) AS k(name, kind),
       (SELECT clock_timestamp() + $2::bigint * interval '1 millisecond' AS now_at) AS clock;

-- name: odoo_workers_reconcile
-- Operations whose worker is gone: due at once, or failed for an operator when $1 workers in a row lost them. The engine does
-- the first by itself when the lease is over; it never does the second.
WITH clock AS (SELECT clock_timestamp() + $2::bigint * interval '1 millisecond' AS now_at),
lost AS (
    SELECT operation_id, lost_leases + 1 >= $1::bigint AS is_exhausted
      FROM launchplane_operations, clock
     WHERE kind IN ('odoo_stable_bootstrap', 'odoo_stable_target_replacement')
       AND status = 'running' AND lease_owner <> '' AND lease_expires_at < now_at
       FOR UPDATE OF launchplane_operations SKIP LOCKED),
moved AS (
    UPDATE launchplane_operations o
       SET lease_owner = '', lease_expires_at = NULL, fence = fence + 1, lost_leases = lost_leases + 1, updated_at = now_at,
           next_run_at = CASE WHEN NOT is_exhausted THEN now_at END,
           status = CASE WHEN is_exhausted THEN 'fail' ELSE status END,
           public_phase = CASE WHEN is_exhausted THEN 'failed' ELSE public_phase END,
           error_code = CASE WHEN is_exhausted THEN 'operation_attempts_exhausted' ELSE '' END,
           error_message = CASE WHEN is_exhausted
               THEN 'Each worker that took this operation stopped in its phase ' || phase
                    || '. Look at the target in Dokploy, and start its web service there if it is stopped; then submit a new operation.'
               ELSE '' END,
           finished_at = CASE WHEN is_exhausted THEN now_at END,
           phase_deadline_at = CASE WHEN is_exhausted THEN NULL ELSE phase_deadline_at END
      FROM lost, clock
     WHERE o.operation_id = lost.operation_id
    RETURNING o.operation_id, o.kind, o.phase, o.deployment_record_id, now_at, is_exhausted),
noted AS (
    INSERT INTO launchplane_operation_events (operation_id, seq, at, event, phase, detail)
    SELECT m.operation_id,
           (SELECT max(seq) + 1 FROM launchplane_operation_events e WHERE e.operation_id = m.operation_id), m.now_at,
           CASE WHEN is_exhausted THEN 'failed' ELSE 'reconciled' END, m.phase,
           CASE WHEN is_exhausted THEN json_build_object('code', 'operation_attempts_exhausted') ELSE '{}' END
      FROM moved m
    RETURNING operation_id),
recorded AS (
    UPDATE launchplane_deployments d
       SET payload = jsonb_set(payload::jsonb, '{deploy,status}', '"fail"')::text::json
      FROM moved m
     WHERE m.is_exhausted AND d.record_id = m.deployment_record_id AND d.payload -> 'deploy' ->> 'status' = 'pending'
    RETURNING 1),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT $3::json WHERE $3::json IS NOT NULL),
woken AS (SELECT pg_notify('launchplane_operations', '') FROM noted LIMIT 1)
SELECT json_build_object(
    'reconciled_bootstrap_ids', (SELECT coalesce(json_agg(operation_id ORDER BY operation_id), '[]') FROM moved WHERE kind = 'odoo_stable_bootstrap'),
    'reconciled_replacement_ids', (SELECT coalesce(json_agg(operation_id ORDER BY operation_id), '[]') FROM moved WHERE kind <> 'odoo_stable_bootstrap'),
    'reconciled_count', (SELECT count(*) FROM moved), 'woken', (SELECT count(*) FROM woken));
