-- The audit log (docs/audit.md). Statements that change something and take their leaf along do it with this fragment:
--   leaf AS (INSERT INTO launchplane_audit_pending (leaf) SELECT $n::json FROM <what was changed> WHERE $n::json IS NOT NULL)

-- name: audit_append
INSERT INTO launchplane_audit_pending (leaf) VALUES ($1::json);
