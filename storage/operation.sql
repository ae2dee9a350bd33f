-- Durable operations. $offset parameters are the test clock's milliseconds, 0 in production: all times of the engine are the
-- database's own clock, so that hosts need not agree.
--
-- Plans are kept, and may have been made when the tables were empty. A condition status = 'running' would let the planner take the
-- index of unfinished operations, which ends with operation_id, for as good as the primary key: it has to be read as a whole.

-- name: operation_submit, many at once
-- taken_by: the worker that submits takes the operation with it, for lease_ms: it is claimed in the commit that makes it, and
-- nobody need be woken. Null: whoever claims it. Columns as of operation_claim; then the document.
-- Commits that notify go one after the other in PostgreSQL, each with a flush of its own. So nobody is notified while a worker
-- keeps the lock that says that it looks by itself (db_suppress_notify).
-- The condition on n is always true, here and below: with it the planner counts on one row, whatever the number of items is.
WITH given AS (
    SELECT g.*, clock.now_at, taken_by IS NOT NULL AS taken,
           CASE WHEN taken_by IS NOT NULL THEN clock.now_at + lease_ms::bigint * interval '1 millisecond' END AS until
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                  $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[],
                  $18::text[])
           WITH ORDINALITY AS g(operation_id, kind, product, context, instance, holds_lane, idempotency_scope, idempotency_key,
                                request_fingerprint, phase, request, actor, trace_id, traceparent, offset_ms, leaf, taken_by,
                                lease_ms, n)
     CROSS JOIN LATERAL (SELECT clock_timestamp() + offset_ms::bigint * interval '1 millisecond' AS now_at) AS clock
     WHERE n BETWEEN 1 AND 1000000),
created AS (
    INSERT INTO launchplane_operations AS o
        (operation_id, kind, product, context, instance, holds_lane, idempotency_scope, idempotency_key,
         request_fingerprint, status, phase, public_phase, request, state, actor, trace_id, traceparent,
         created_at, updated_at, phase_started_at, next_run_at,
         lease_owner, lease_expires_at, heartbeat_at, started_at, fence, attempt, phase_attempt)
    SELECT operation_id, kind, product, context, instance, holds_lane::boolean, idempotency_scope, idempotency_key,
           request_fingerprint, CASE WHEN taken THEN 'running' ELSE 'pending' END, phase,
           CASE WHEN taken THEN 'running' ELSE 'created' END, request::json, '{}'::json, actor::json, trace_id, traceparent,
           now_at, now_at, now_at, coalesce(until, now_at),
           coalesce(taken_by, ''), until, CASE WHEN taken THEN now_at END, CASE WHEN taken THEN now_at END,
           taken::int, taken::int, taken::int
      FROM given
    ON CONFLICT DO NOTHING
    RETURNING o.operation_id, o.kind, o.product, o.context, o.instance, o.request, o.state, o.phase, o.fence,
              o.phase_attempt, o.failures, NULL::bigint AS deadline_ms, false AS cancelled, '' AS cancel_reason,
              launchplane_utc(o.created_at) AS created_at, o.trace_id, o.deployment_record_id, o.release_tuple_id,
              o.traceparent, o.created_at AS at, launchplane_operation_document(o) AS document),
first_event AS (
    INSERT INTO launchplane_operation_events (operation_id, seq, at, event, phase, detail)
    SELECT operation_id, 1, at, 'submitted', '', '{}'::json FROM created),
leaf AS (
    INSERT INTO launchplane_audit_pending (leaf)
    SELECT g.leaf::json FROM created c JOIN given g ON g.operation_id = c.operation_id WHERE g.leaf IS NOT NULL),
woken AS (
    SELECT pg_notify('launchplane_operations', '')
     WHERE CASE WHEN NOT EXISTS (SELECT 1 FROM created c JOIN given g ON g.operation_id = c.operation_id WHERE NOT g.taken)
                THEN false
                WHEN pg_try_advisory_lock_shared(hashtext('launchplane_notify'), hashtext('launchplane_operations'))
                THEN pg_advisory_unlock_shared(hashtext('launchplane_notify'), hashtext('launchplane_operations'))
                ELSE false END)
SELECT g.n, c.operation_id, c.kind, c.product, c.context, c.instance, c.request, c.state, c.phase, c.fence, c.phase_attempt,
       c.failures, c.deadline_ms, c.cancelled, c.cancel_reason, c.created_at, c.trace_id, c.deployment_record_id,
       c.release_tuple_id, c.traceparent, c.document, (SELECT count(*) FROM woken)
  FROM created c JOIN given g ON g.operation_id = c.operation_id;

-- name: operation_by_key
SELECT operation_id, request_fingerprint, launchplane_operation_document(o)
  FROM launchplane_operations o
 WHERE kind = $1 AND idempotency_scope = $2 AND idempotency_key = $3;

-- name: operation_active_on_lane
-- Lanes are held by context and instance; of another product's operation no more than its name is told.
SELECT operation_id, CASE WHEN product = $1 THEN launchplane_operation_document(o)
                          ELSE json_build_object('operation_id', operation_id, 'kind', kind, 'status', status) END
  FROM launchplane_operations o
 WHERE context = $2 AND instance = $3 AND holds_lane AND status IN ('pending', 'running')
 LIMIT 1;

-- name: operation_read
-- together
SELECT kind, product, context, status, launchplane_operation_document(o), md5(o.fence || '/' || o.updated_at || '/' || o.status)
  FROM launchplane_operations o
 WHERE operation_id = $1;

-- name: operation_events_after
SELECT seq, event, json_build_object('seq', seq, 'at', launchplane_utc(at), 'event', event, 'phase', phase, 'detail', detail)
  FROM launchplane_operation_events
 WHERE operation_id = $1 AND seq > $2::bigint
 ORDER BY seq
 LIMIT 500;

-- name: operation_events_of
-- What is new of several operations, with whether each has ended; an ended one without news has a row without an event. $2 has
-- for each the number of the last event known, and comes back as the last column.
SELECT w.id, e.seq, e.event, json_build_object('seq', e.seq, 'at', launchplane_utc(e.at), 'event', e.event, 'phase', e.phase, 'detail', e.detail),
       coalesce(o.status IN ('pass', 'fail'), true), w.known
  FROM unnest($1::text[], $2::bigint[]) AS w(id, known)
  LEFT JOIN launchplane_operations o ON o.operation_id = w.id
  LEFT JOIN LATERAL (SELECT * FROM launchplane_operation_events x
                      WHERE x.operation_id = w.id AND x.seq > w.known
                      ORDER BY x.seq LIMIT 500) e ON true
 WHERE e.seq IS NOT NULL OR coalesce(o.status IN ('pass', 'fail'), true)
 ORDER BY w.id, e.seq;

-- name: operation_events_announce
SELECT pg_notify('launchplane_operation_events', $1);

-- name: operation_cancel
WITH asked AS (
    UPDATE launchplane_operations
       SET cancel_requested_at = clock_timestamp() + $4::bigint * interval '1 millisecond',
           cancel_requested_by = $2, cancel_reason = $3,
           next_run_at = CASE WHEN lease_owner = ''
                              THEN least(next_run_at, clock_timestamp() + $4::bigint * interval '1 millisecond')
                              ELSE next_run_at END,
           updated_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
     WHERE operation_id = $1 AND status IN ('pending', 'running') AND cancel_requested_at IS NULL
    RETURNING operation_id, updated_at, phase),
noted AS (
    INSERT INTO launchplane_operation_events (operation_id, seq, at, event, phase, detail)
    SELECT a.operation_id, (SELECT max(seq) + 1 FROM launchplane_operation_events e WHERE e.operation_id = a.operation_id),
           a.updated_at, 'cancel_requested', a.phase, json_build_object('by', $2::text, 'reason', $3::text)
      FROM asked a
    RETURNING operation_id),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT $5::json WHERE $5::json IS NOT NULL),
woken AS (SELECT pg_notify('launchplane_operations', '') FROM noted)
SELECT count(*) FROM woken;

-- name: operation_claim
-- A leased operation is due again when its lease ends: a dead worker's work is found by the same rule as everything else.
-- $6: only what became due after that moment (microseconds of the epoch; null: everything). While some transaction holds
-- back cleaning, all that was ever due is still in the index before it. Last columns: the clock, and the latest wake-up among
-- what was claimed, in the same unit.
WITH clock AS (SELECT clock_timestamp() + $4::bigint * interval '1 millisecond' AS now_at),
due AS (
    SELECT ctid AS place, next_run_at FROM launchplane_operations
     WHERE status IN ('pending', 'running') AND next_run_at <= (SELECT now_at FROM clock)
       AND next_run_at >= coalesce('epoch'::timestamptz + $6::bigint * interval '1 microsecond', '-infinity')
       AND kind = ANY (string_to_array($5, ','))
     ORDER BY next_run_at, operation_id
     LIMIT $1::bigint
       FOR UPDATE SKIP LOCKED)
UPDATE launchplane_operations o
   SET status = 'running', lease_owner = $2, fence = fence + 1,
       public_phase = CASE WHEN public_phase = 'created' THEN 'running' ELSE public_phase END,
       lease_expires_at = now_at + $3::bigint * interval '1 millisecond', heartbeat_at = now_at,
       next_run_at = now_at + $3::bigint * interval '1 millisecond',
       attempt = attempt + 1, phase_attempt = phase_attempt + 1,
       lost_leases = lost_leases + CASE WHEN o.lease_owner = '' THEN 0 ELSE 1 END,
       started_at = coalesce(started_at, now_at)
  FROM clock, due
 WHERE o.ctid = due.place -- they are locked, so they stay where they are
RETURNING o.operation_id, o.kind, o.product, o.context, o.instance, o.request, o.state, o.phase, o.fence, o.phase_attempt,
          o.failures, (extract(epoch FROM o.phase_deadline_at) * 1000)::bigint, o.cancel_requested_at IS NOT NULL,
          o.cancel_reason, launchplane_utc(o.created_at), o.trace_id, o.deployment_record_id, o.release_tuple_id,
          o.traceparent, (extract(epoch FROM now_at) * 1000000)::bigint,
          (SELECT (extract(epoch FROM max(d.next_run_at)) * 1000000)::bigint FROM due d);

-- name: operation_next_wake
-- Milliseconds until the next wake-up between $3 (as of operation_claim) and $4 ms from now, null: none; and the clock.
SELECT (extract(epoch FROM min(next_run_at) - now_at) * 1000)::bigint, (extract(epoch FROM now_at) * 1000000)::bigint
  FROM (SELECT clock_timestamp() + $1::bigint * interval '1 millisecond' AS now_at) AS clock
  LEFT JOIN LATERAL (
        SELECT next_run_at FROM launchplane_operations
         WHERE status IN ('pending', 'running') AND kind = ANY (string_to_array($2, ','))
           AND next_run_at >= coalesce('epoch'::timestamptz + $3::bigint * interval '1 microsecond', '-infinity')
           AND next_run_at <= now_at + $4::bigint * interval '1 millisecond'
         ORDER BY next_run_at LIMIT 1) AS first ON true
 GROUP BY now_at;

-- name: operation_heartbeat
UPDATE launchplane_operations
   SET lease_expires_at = clock_timestamp() + ($4::bigint + $3::bigint) * interval '1 millisecond',
       next_run_at = clock_timestamp() + ($4::bigint + $3::bigint) * interval '1 millisecond',
       heartbeat_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
 WHERE operation_id = $1
   AND CASE status WHEN 'running' THEN
       fence = $2::bigint -- guard F9: $2::bigint IS NOT NULL
       END
   AND lease_expires_at > clock_timestamp() + $4::bigint * interval '1 millisecond';

-- name: operation_checkpoint, many at once
-- Ends a run of a phase. delay_ms null: the worker keeps the lease and goes on (lease_ms of lease); else it lets go and the
-- operation is due in delay_ms. entered: this run entered another phase, whose time limit is limit_s seconds (0: none). A lease
-- of which most is left stays as it is: then no indexed column changes and the row moves within its page (HOT). The wish to
-- cancel comes back, so that nobody has to ask for it before the next phase; and how many ms of the lease are left.
WITH given AS (
    SELECT g.operation_id, fence::bigint AS fence, g.phase, g.public_phase, state::json AS state, entered::boolean AS entered,
           delay_ms::bigint * interval '1 millisecond' AS delay, limit_s::bigint AS limit_s, g.deployment_record_id,
           g.release_tuple_id, failures::bigint AS failures, events::json AS events, leaf::json AS leaf, clock.now_at,
           clock.now_at + lease_ms::bigint * interval '0.6 milliseconds' AS enough,
           clock.now_at + lease_ms::bigint * interval '1 millisecond' AS whole, g.n
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                  $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
           WITH ORDINALITY AS g(operation_id, fence, phase, public_phase, state, entered, delay_ms, lease_ms, limit_s,
                                deployment_record_id, release_tuple_id, offset_ms, failures, events, leaf, n)
     CROSS JOIN LATERAL (SELECT clock_timestamp() + offset_ms::bigint * interval '1 millisecond' AS now_at) AS clock
     WHERE n BETWEEN 1 AND 1000000),
moved AS (
    UPDATE launchplane_operations o
       SET phase = g.phase, public_phase = g.public_phase, state = g.state, updated_at = now_at,
           phase_attempt = CASE WHEN entered THEN CASE WHEN delay IS NULL THEN 1 ELSE 0 END ELSE phase_attempt END,
           phase_started_at = CASE WHEN entered THEN now_at ELSE phase_started_at END,
           phase_deadline_at = CASE WHEN NOT entered THEN phase_deadline_at
                                    WHEN limit_s > 0 THEN now_at + limit_s * interval '1 second' END,
           failures = g.failures, lost_leases = 0,
           deployment_record_id = g.deployment_record_id, release_tuple_id = g.release_tuple_id,
           lease_owner = CASE WHEN delay IS NULL THEN lease_owner ELSE '' END,
           lease_expires_at = CASE WHEN delay IS NOT NULL THEN NULL
                                   WHEN o.lease_expires_at BETWEEN enough AND whole THEN o.lease_expires_at
                                   ELSE whole END,
           next_run_at = CASE WHEN delay IS NOT NULL THEN now_at + delay
                              WHEN o.lease_expires_at BETWEEN enough AND whole THEN o.next_run_at
                              ELSE whole END
      FROM given g
     WHERE o.operation_id = g.operation_id AND o.lease_expires_at > now_at
       AND CASE status WHEN 'running' THEN -- in a CASE: see the head of this file
           o.fence = g.fence -- guard F9: g.fence IS NOT NULL
           END
    RETURNING g.n, o.operation_id, now_at, (extract(epoch FROM phase_deadline_at) * 1000)::bigint AS deadline_ms,
              cancel_requested_at IS NOT NULL AS is_cancelled, cancel_reason,
              floor(extract(epoch FROM lease_expires_at - now_at) * 1000)::bigint AS lease_left_ms, g.events, g.leaf),
noted AS (
    INSERT INTO launchplane_operation_events (operation_id, seq, at, event, phase, detail)
    SELECT m.operation_id,
           (SELECT max(seq) FROM launchplane_operation_events e WHERE e.operation_id = m.operation_id) + l.n,
           m.now_at, l.e ->> 'event', l.e ->> 'phase', (l.e -> 'detail')
      FROM moved m, json_array_elements(m.events) WITH ORDINALITY AS l(e, n)),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT leaf FROM moved WHERE leaf IS NOT NULL)
SELECT n, deadline_ms, is_cancelled, cancel_reason, lease_left_ms FROM moved;

-- name: operation_finish, many at once
WITH given AS (
    SELECT g.operation_id, fence::bigint AS fence, g.status, g.phase, g.public_phase, state::json AS state,
           result::json AS result, g.error_code, g.error_message, events::json AS events, g.deployment_record_id,
           g.release_tuple_id, leaf::json AS leaf, clock.now_at, g.n
      FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
                  $10::text[], $11::text[], $12::text[], $13::text[], $14::text[])
           WITH ORDINALITY AS g(operation_id, fence, status, phase, public_phase, state, result, error_code, error_message,
                                events, offset_ms, deployment_record_id, release_tuple_id, leaf, n)
     CROSS JOIN LATERAL (SELECT clock_timestamp() + offset_ms::bigint * interval '1 millisecond' AS now_at) AS clock
     WHERE n BETWEEN 1 AND 1000000),
ended AS (
    UPDATE launchplane_operations o
       SET status = g.status, phase = g.phase, public_phase = g.public_phase, state = g.state, result = g.result,
           error_code = g.error_code, error_message = g.error_message, updated_at = now_at, finished_at = now_at,
           deployment_record_id = g.deployment_record_id, release_tuple_id = g.release_tuple_id,
           lease_owner = '', lease_expires_at = NULL, next_run_at = NULL, phase_deadline_at = NULL
      FROM given g
     WHERE o.operation_id = g.operation_id AND o.lease_expires_at > now_at
       AND CASE o.status WHEN 'running' THEN -- in a CASE: see the head of this file
           o.fence = g.fence -- guard F9: g.fence IS NOT NULL
           END
    RETURNING g.n, o.operation_id, now_at, g.events, g.leaf),
noted AS (
    INSERT INTO launchplane_operation_events (operation_id, seq, at, event, phase, detail)
    SELECT m.operation_id,
           (SELECT max(seq) FROM launchplane_operation_events e WHERE e.operation_id = m.operation_id) + l.n,
           m.now_at, l.e ->> 'event', l.e ->> 'phase', (l.e -> 'detail')
      FROM ended m, json_array_elements(m.events) WITH ORDINALITY AS l(e, n)),
leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT leaf FROM ended WHERE leaf IS NOT NULL)
SELECT n, operation_id FROM ended;

-- name: operation_lease_owners
SELECT DISTINCT lease_owner FROM launchplane_operations
 WHERE status = 'running' AND lease_owner <> '' AND starts_with(lease_owner, $1);

-- name: operation_release_owner
-- For the leases of a process that is certainly dead.
UPDATE launchplane_operations
   SET lease_owner = '', lease_expires_at = NULL, lost_leases = lost_leases + 1, next_run_at = clock_timestamp() + $2::bigint * interval '1 millisecond'
 WHERE status = 'running' AND lease_owner = $1;
