-- People's browser sessions (facts/core.md 2.3, 9.2). session_id is the SHA-256 of the id in the cookie: who can read this table
-- cannot sign in with it. Times are text in UTC, all of one width, and so in order.

-- name: session_read
SELECT login, github_id, role, created_at, expires_at, csrf_generation, payload -> 'identity'
  FROM launchplane_human_sessions
 WHERE session_id = $1;

-- name: session_insert
-- The browser's former session ends; those that have expired go with it.
WITH ended AS (
    DELETE FROM launchplane_human_sessions WHERE session_id = $8 OR expires_at < $5
)
INSERT INTO launchplane_human_sessions (session_id, login, github_id, role, created_at, expires_at, payload)
VALUES ($1, $2, $3::bigint::integer, $4, $5, $6, $7::json);

-- name: session_extend
UPDATE launchplane_human_sessions
   SET expires_at = $2, payload = (payload::jsonb || jsonb_build_object('expires_at', $2::text))::json
 WHERE session_id = $1 AND expires_at < $2;

-- name: session_spend_csrf
-- No row: the token was used before, or the session is gone.
UPDATE launchplane_human_sessions SET csrf_generation = csrf_generation + 1
 WHERE session_id = $1 AND csrf_generation = $2::bigint;

-- name: session_delete
DELETE FROM launchplane_human_sessions WHERE session_id = $1;

-- name: session_delete_of_login
-- GitHub's logins know no case.
DELETE FROM launchplane_human_sessions WHERE lower(login) = lower($1);

-- name: sign_in_state_use
-- No row: this state came back before.
WITH expired AS (
    DELETE FROM launchplane_sign_in_states WHERE expires_at < to_timestamp($2::bigint / 1000.0)
)
INSERT INTO launchplane_sign_in_states (state_sha256, expires_at) VALUES ($1, to_timestamp($3::bigint / 1000.0))
    ON CONFLICT DO NOTHING;

-- name: session_list
-- Without the keys: who may read this cannot end a single one, only all of a person.
SELECT coalesce(json_agg(json_build_object('login', login, 'github_id', github_id, 'role', role, 'created_at', created_at,
                                           'expires_at', expires_at)
                         ORDER BY created_at DESC, session_id), '[]')
  FROM launchplane_human_sessions
 WHERE ($1::text IS NULL OR lower(login) = lower($1)) AND expires_at > $2::text;
