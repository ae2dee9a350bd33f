-- What agents read before they act, and what they say they want to do (facts/config-health.md 10.6).

-- name: repo_product_mapping
-- Repositories and the products they make; $2 narrows to one repository, whose name GitHub compares without case.
SELECT json_build_object('schema_version', 1, 'generated_at', $1::text, 'repositories', coalesce((
    SELECT json_agg(json_build_object('repository', r.repository, 'products', r.products) ORDER BY r.repository)
      FROM (SELECT p.repository,
                   json_agg(json_build_object(
                       'product', p.product,
                       'display_name', p.display_name,
                       'driver_id', p.driver_id,
                       'environments', coalesce((
                           SELECT json_agg(json_build_object('environment', l ->> 'instance', 'context', l ->> 'context')
                                           ORDER BY n)
                             FROM jsonb_array_elements(coalesce(nullif(p.payload::jsonb -> 'lanes', 'null'), '[]'))
                                  WITH ORDINALITY AS lanes (l, n)), '[]'),
                       'preview', json_build_object(
                           'enabled', coalesce((p.payload::jsonb -> 'preview' ->> 'enabled')::boolean, false),
                           'context', coalesce(p.payload::jsonb -> 'preview' ->> 'context', '')))
                       ORDER BY p.product) AS products
              FROM launchplane_product_profiles p
             WHERE $2::text IS NULL OR lower(p.repository) = lower($2)
             GROUP BY p.repository) r), '[]'));

-- name: agent_every_code_summary
-- Counts and the latest requests of a repository; no titles, no bodies.
SELECT json_build_object(
           'repository', $1::text,
           'states', coalesce((
               SELECT json_object_agg(s.state, s.n ORDER BY s.state)
                 FROM (SELECT state, count(*) AS n FROM launchplane_every_code_work_requests
                        WHERE lower(repository) = lower($1) GROUP BY state) s), '{}'),
           'latest', coalesce((
               SELECT json_agg(json_build_object('request_id', w.request_id, 'source', w.source, 'state', w.state,
                                                 'issue_number', w.issue_number, 'trigger_label', w.trigger_label,
                                                 'updated_at', w.updated_at)
                               ORDER BY w.updated_at DESC, w.request_id)
                 FROM (SELECT * FROM launchplane_every_code_work_requests WHERE lower(repository) = lower($1)
                        ORDER BY updated_at DESC, request_id LIMIT 20) w), '[]'));

-- name: agent_preview_readiness
SELECT json_build_object(
           'repository', $1::text,
           'gates', coalesce((
               SELECT json_agg(json_build_object('gate_id', g.gate_id, 'request_id', g.request_id,
                                                 'issue_number', g.issue_number, 'pr_number', g.pr_number,
                                                 'head_sha', g.head_sha, 'status', g.status, 'updated_at', g.updated_at)
                               ORDER BY g.updated_at DESC, g.gate_id)
                 FROM (SELECT * FROM launchplane_every_code_preview_gates WHERE lower(repository) = lower($1)
                        ORDER BY updated_at DESC, gate_id LIMIT 50) g), '[]'));

-- name: agent_write_intent_insert
INSERT INTO launchplane_agent_write_intents
    (record_id, recorded_at, trace_id, intent, mode, status, authz_action, product, context, payload)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::json);
