-- Browser sign-in. launchplane_human_sessions is the baseline's; its session_id holds the SHA-256 of the id in the cookie.

-- States of sign-ins that came back from GitHub: each is good for one return. Rows go when the state has expired anyway.
CREATE TABLE IF NOT EXISTS launchplane_sign_in_states (
    state_sha256 text PRIMARY KEY,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS launchplane_sign_in_states_expires_idx ON launchplane_sign_in_states (expires_at);
