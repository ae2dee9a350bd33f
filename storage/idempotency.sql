-- Answers kept for replay: one row per caller scope, route and key (facts/core.md 4).

-- name: idempotency_find
SELECT request_fingerprint, response_status_code, response_trace_id,
       coalesce(payload -> 'response_payload' -> 'records', '{}'), payload -> 'response_payload' -> 'result'
  FROM launchplane_idempotency_records
 WHERE scope = $1 AND route_path = $2 AND idempotency_key = $3;

-- name: idempotency_store
INSERT INTO launchplane_idempotency_records
    (record_id, scope, route_path, idempotency_key, request_fingerprint, response_status_code, response_trace_id, recorded_at,
     payload)
VALUES ($1, $2, $3, $4, $5, $6::integer, $7, $8, $9::json);

-- name: dry_run_store
-- That a caller saw what a request would do: the key is the request's fingerprint without mode and reason.
INSERT INTO launchplane_idempotency_records
    (record_id, scope, route_path, idempotency_key, request_fingerprint, response_status_code, response_trace_id, recorded_at,
     payload)
VALUES ($1, $2, $3, $4, $4, 202, $5, $6, $7::json)
    ON CONFLICT (scope, route_path, idempotency_key) DO UPDATE
   SET record_id = excluded.record_id, response_trace_id = excluded.response_trace_id, recorded_at = excluded.recorded_at,
       payload = excluded.payload;

-- name: dry_run_find
SELECT recorded_at FROM launchplane_idempotency_records WHERE scope = $1 AND route_path = $2 AND idempotency_key = $3;
