-- The audit log (docs/audit.md). Statements that change something and take their leaf along do it with this fragment:
--   leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT $n::json FROM <what was changed> WHERE $n::json IS NOT NULL)

-- name: audit_append
INSERT INTO launchplane_audit_pending (leaf) VALUES ($1::json);

-- name: audit_is_waiting
-- Whether the sequencer has something to do: it was told so ($3), entries behind $2 have no position, or, if it can sign, no
-- checkpoint covers some; and the last entry_id that was given to any writer.
SELECT $3::boolean OR EXISTS (SELECT 1 FROM launchplane_audit_pending WHERE entry_id > $2::bigint)
    OR ($1::boolean AND (SELECT coalesce(max(position) + 1, 0) FROM launchplane_audit_entries)
                        > (SELECT coalesce(max(size), 0) FROM launchplane_audit_checkpoints)),
       (SELECT last_value FROM launchplane_audit_pending_entry_id_seq);

-- name: audit_sequence_lock
-- One sequencer among all processes of all hosts. Until the transaction ends it may take entries out of the pending table.
SELECT pg_try_advisory_xact_lock(hashtext('launchplane_audit_entries')),
       set_config('launchplane.audit_sequencing', 'on', true);

-- name: audit_key_lock
SELECT pg_advisory_xact_lock(hashtext('launchplane_audit_keys'));

-- name: audit_head
SELECT (SELECT coalesce(max(position) + 1, 0) FROM launchplane_audit_entries), c.size, c.note
  FROM (SELECT 1) AS one
  LEFT JOIN (SELECT size, note FROM launchplane_audit_checkpoints ORDER BY size DESC LIMIT 1) AS c ON true;

-- name: audit_hashes
-- The hashes of the entries at these positions, in their order.
SELECT position, encode(hashes, 'hex') FROM launchplane_audit_entries WHERE position = ANY ($1::bigint[]) ORDER BY position;

-- name: audit_pending
SELECT entry_id, leaf FROM launchplane_audit_pending WHERE entry_id > $2::bigint ORDER BY entry_id LIMIT $1::bigint;

-- name: audit_place
-- Gives pending entries positions from $2 on. The leaves do not travel; what lists go by (storage/audit_filing.h) does.
WITH placed AS (
    SELECT t.entry_id, $2::bigint + t.n - 1 AS position, decode(t.hashes, 'hex') AS hashes, t.at, t.product, t.action,
           t.deployment_record_id, t.promotion_record_id
      FROM unnest($1::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[]) WITH ORDINALITY
           AS t(entry_id, hashes, at, product, action, deployment_record_id, promotion_record_id, n)),
taken AS (
    DELETE FROM launchplane_audit_pending p USING placed WHERE p.entry_id = placed.entry_id
    RETURNING placed.*, p.leaf),
made AS (
    INSERT INTO launchplane_audit_entries
        (position, leaf, hashes, at, product, action, deployment_record_id, promotion_record_id)
    SELECT position, leaf, hashes, at, product, action, deployment_record_id, promotion_record_id FROM taken
    RETURNING 1)
SELECT count(*) FROM made;

-- name: audit_checkpoint_insert
INSERT INTO launchplane_audit_checkpoints (size, key_id, note) VALUES ($1::bigint, $2, $3);

-- name: audit_keys
-- Oldest first.
SELECT key_id, origin, public_key, source, sealed, launchplane_utc(created_at)
  FROM launchplane_audit_keys
 ORDER BY created_at, key_id;

-- name: audit_key_generated
-- The newest key of our own making, and the log's name.
SELECT k.key_id, k.sealed, o.origin
  FROM (SELECT 1) AS one
  LEFT JOIN (SELECT origin FROM launchplane_audit_keys ORDER BY created_at, key_id LIMIT 1) AS o ON true
  LEFT JOIN (SELECT key_id, sealed FROM launchplane_audit_keys WHERE source = 'generated'
              ORDER BY created_at DESC, key_id DESC LIMIT 1) AS k ON true;

-- name: audit_key_insert
INSERT INTO launchplane_audit_keys (key_id, origin, public_key, source, sealed)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (key_id) DO NOTHING;

-- name: audit_entries_from
SELECT position, leaf, encode(hashes, 'hex'), at, product, action, deployment_record_id, promotion_record_id
  FROM launchplane_audit_entries
 WHERE position >= $1::bigint
 ORDER BY position
 LIMIT $2::bigint;

-- name: audit_checkpoints_after
SELECT size, note FROM launchplane_audit_checkpoints WHERE size > $1::bigint ORDER BY size LIMIT $2::bigint;

-- name: audit_entry_list
-- Filters that are null do not filter. $6: not before that moment, as the writer's clock had it.
SELECT position, json_build_object('position', position, 'leaf', leaf, 'hashes', encode(hashes, 'hex'))
  FROM launchplane_audit_entries
 WHERE position >= $1::bigint
   AND ($2::text IS NULL OR product = $2)
   AND ($3::text IS NULL OR leaf ->> 'context' = $3)
   AND ($4::text IS NULL OR action = $4)
   AND ($5::text IS NULL OR leaf ->> 'actor' = $5)
   AND ($6::text IS NULL OR at >= $6)
 ORDER BY position
 LIMIT $7::bigint;

-- name: audit_entry_read
SELECT json_build_object('position', position, 'leaf', leaf, 'hashes', encode(hashes, 'hex')),
       coalesce(leaf ->> 'product', ''), coalesce(leaf ->> 'context', '')
  FROM launchplane_audit_entries
 WHERE position = $1::bigint;

-- name: audit_checkpoint_latest
SELECT size, note FROM launchplane_audit_checkpoints ORDER BY size DESC LIMIT 1;

-- name: audit_checkpoint_of
SELECT note FROM launchplane_audit_checkpoints WHERE size = $1::bigint;

-- name: audit_size
SELECT coalesce(max(position) + 1, 0) FROM launchplane_audit_entries;
