-- How operations are shown: composed here, so that the service passes PostgreSQL's bytes on (facts/odoo.md 6.1, 6.3).

CREATE OR REPLACE FUNCTION launchplane_utc(moment timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN coalesce(to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '');

CREATE OR REPLACE FUNCTION launchplane_operation_document(o launchplane_operations) RETURNS json
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN json_build_object(
        'schema_version', 1,
        'operation_id', o.operation_id,
        'kind', o.kind,
        'product', o.product,
        'context', o.context,
        'instance', o.instance,
        'idempotency_key', o.idempotency_key,
        'idempotency_scope', o.idempotency_scope,
        'request_fingerprint', o.request_fingerprint,
        'request', o.request,
        'status', o.status,
        'phase', o.public_phase,
        'step', o.phase,
        'deployment_record_id', o.deployment_record_id,
        'release_tuple_id', o.release_tuple_id,
        'created_at', launchplane_utc(o.created_at),
        'updated_at', launchplane_utc(o.updated_at),
        'started_at', launchplane_utc(o.started_at),
        'finished_at', launchplane_utc(o.finished_at),
        'next_run_at', launchplane_utc(o.next_run_at),
        'lease_owner', o.lease_owner,
        'lease_expires_at', launchplane_utc(o.lease_expires_at),
        'heartbeat_at', launchplane_utc(o.heartbeat_at),
        'attempt', o.attempt,
        'cancel_requested', o.cancel_requested_at IS NOT NULL,
        'result', o.result,
        'error_code', o.error_code,
        'error_message', o.error_message,
        'runner_trace_id', o.trace_id,
        'poll_url', CASE o.kind
            WHEN 'odoo_stable_target_replacement' THEN '/v1/drivers/odoo/target-replacement/operations/'
            WHEN 'odoo_stable_bootstrap' THEN '/v1/drivers/odoo/stable-bootstrap/operations/'
            ELSE '/v1/operations/' END || o.operation_id);

-- A new policy record takes effect in every worker of every host: they listen.
CREATE OR REPLACE FUNCTION launchplane_policy_changed() RETURNS trigger
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('launchplane_policy', '');
    RETURN NULL;
END
$$;
DROP TRIGGER IF EXISTS launchplane_authz_policies_changed ON launchplane_authz_policies;
CREATE TRIGGER launchplane_authz_policies_changed
    AFTER INSERT OR UPDATE OR DELETE ON launchplane_authz_policies
    FOR EACH STATEMENT EXECUTE FUNCTION launchplane_policy_changed();
