-- Authorization policy records: the newest active one is in force (facts/core.md 3.4).

-- name: authz_policy_active
SELECT record_id, source, updated_at, policy_sha256, payload -> 'policy'
  FROM launchplane_authz_policies
 WHERE status = 'active'
 ORDER BY updated_at DESC, record_id DESC
 LIMIT 1;

-- name: authz_policy_list
-- Newest first, without the policies themselves.
SELECT record_id, status, source, updated_at, policy_sha256, coalesce(payload -> 'audit' ->> 'reason', '')
  FROM launchplane_authz_policies
 WHERE $1::text IS NULL OR status = $1
 ORDER BY updated_at DESC, record_id DESC
 LIMIT $2::bigint;

-- name: authz_policy_lock
SELECT pg_advisory_xact_lock(hashtext('launchplane_authz_policies'));

-- name: authz_policy_insert
INSERT INTO launchplane_authz_policies (record_id, status, source, updated_at, policy_sha256, payload)
VALUES ($1, 'active', $2, $3, $4, $5::json);
