-- Tracked targets and the provider-neutral row that follows from them (facts/config-health.md 5.6). The projection, the
-- comparison and the guarded write stand here, so that no path can write one half and forget the other.

-- Target records are keyed by context and instance: that is what one operation at a time may work on, whatever product
-- asked for it.
CREATE UNIQUE INDEX IF NOT EXISTS launchplane_operations_active_place_key
    ON launchplane_operations (context, instance)
    WHERE holds_lane AND status IN ('pending', 'running');

-- What a row says about identity; times and labels do not count.
CREATE OR REPLACE FUNCTION launchplane_target_identity(target jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN target IS NULL THEN NULL ELSE jsonb_build_object(
        'provider_id', lower(coalesce(target ->> 'provider_id', '')),
        'target_category', coalesce(target ->> 'target_category', 'unknown'),
        'target_id', coalesce(target ->> 'target_id', ''),
        'display_name', coalesce(target ->> 'display_name', ''),
        'provider_target_type', coalesce(target ->> 'provider_target_type', ''),
        'provider_evidence', coalesce(nullif(target -> 'provider_evidence', 'null'), '{}')) END;

-- The provider row a complete Dokploy pair stands for; null when a half is missing.
CREATE OR REPLACE FUNCTION launchplane_target_projection(target jsonb, target_id jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN target IS NULL OR target_id IS NULL THEN NULL ELSE jsonb_build_object(
        'context', target ->> 'context',
        'instance', target ->> 'instance',
        'provider_id', 'dokploy',
        'target_category', coalesce(nullif(target ->> 'target_type', ''), 'compose'),
        'target_id', target_id ->> 'target_id',
        'display_name', coalesce(nullif(target ->> 'target_name', ''), target ->> 'instance'),
        'provider_target_type', coalesce(nullif(target ->> 'target_type', ''), 'compose'),
        'provider_evidence', CASE WHEN coalesce(target ->> 'project_name', '') = '' THEN '{}'::jsonb
                                  ELSE jsonb_build_object('project_name', target ->> 'project_name') END,
        'updated_at', greatest(target ->> 'updated_at', target_id ->> 'updated_at'),
        'source_label', coalesce(nullif(target ->> 'source_label', ''), target_id ->> 'source_label', '')) END;

-- The first way in which two rows differ, as the audit names it; null when they name the same thing.
CREATE OR REPLACE FUNCTION launchplane_target_difference(x jsonb, y jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT CASE
        WHEN i.x ->> 'provider_id' <> i.y ->> 'provider_id' OR i.x ->> 'target_id' <> i.y ->> 'target_id' THEN 'identity'
        WHEN i.x ->> 'target_category' <> i.y ->> 'target_category' THEN 'category'
        WHEN i.x ->> 'display_name' <> i.y ->> 'display_name' THEN 'display_name'
        WHEN i.x ->> 'provider_target_type' <> i.y ->> 'provider_target_type' THEN 'provider_target_type'
        WHEN i.x -> 'provider_evidence' <> i.y -> 'provider_evidence' THEN 'provider_evidence' END
        FROM (SELECT launchplane_target_identity(x) AS x, launchplane_target_identity(y) AS y) AS i);

-- Why this change of a lane's records is refused; null when it may be written. new_target and new_id null: that half
-- stays. expected: what the caller says is recorded now, in which case it may be replaced, unless it is out of date.
CREATE OR REPLACE FUNCTION launchplane_target_refusal(
    lane_context text, lane_instance text, new_target jsonb, new_id jsonb, expected jsonb) RETURNS text
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    old_target jsonb := (SELECT payload FROM launchplane_dokploy_targets WHERE context = lane_context AND instance = lane_instance);
    old_id jsonb := (SELECT payload FROM launchplane_dokploy_target_ids WHERE context = lane_context AND instance = lane_instance);
    recorded jsonb := (SELECT payload FROM launchplane_provider_targets WHERE context = lane_context AND instance = lane_instance);
    wanted jsonb := launchplane_target_projection(coalesce(new_target, old_target), coalesce(new_id, old_id));
    differs text := launchplane_target_difference(recorded, wanted);
BEGIN
    IF expected IS NOT NULL AND recorded IS NULL THEN
        RETURN 'expected_current_provider_target: nothing is recorded for this lane yet';
    END IF;
    IF expected IS NOT NULL AND launchplane_target_difference(recorded, expected) IS NOT NULL THEN
        RETURN 'expected_current_provider_target: another target is recorded for this lane';
    END IF;
    IF recorded IS NULL THEN
        RETURN NULL;
    END IF;
    IF wanted IS NULL THEN
        RETURN 'the recorded provider target of this lane has no complete Dokploy target and id behind it';
    END IF;
    IF differs IS NULL THEN
        RETURN NULL;
    END IF;
    IF expected IS NOT NULL
       AND launchplane_target_difference(recorded, launchplane_target_projection(old_target, old_id)) IS NULL
       AND old_target IS NOT NULL AND old_id IS NOT NULL THEN
        RETURN NULL;
    END IF;
    RETURN 'the recorded provider target of this lane has another ' || differs || '; it is not overwritten';
END
$$;

-- The dual write: refuses (SQLSTATE LP409), then writes the halves that are given, then the provider row that the pair
-- stands for. Returns that row, null while the pair is incomplete.
CREATE OR REPLACE FUNCTION launchplane_write_target(
    lane_context text, lane_instance text, new_target json, new_id json, expected json) RETURNS json
    LANGUAGE plpgsql AS $$
DECLARE
    refusal text;
    projected jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('launchplane_target'), hashtext(lane_context || '/' || lane_instance));
    refusal := launchplane_target_refusal(lane_context, lane_instance, new_target::jsonb, new_id::jsonb, expected::jsonb);
    IF refusal IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'LP409', MESSAGE = refusal;
    END IF;
    IF new_target IS NOT NULL THEN
        INSERT INTO launchplane_dokploy_targets (context, instance, updated_at, payload)
        VALUES (lane_context, lane_instance, new_target ->> 'updated_at', new_target)
        ON CONFLICT (context, instance) DO UPDATE SET updated_at = excluded.updated_at, payload = excluded.payload;
    END IF;
    IF new_id IS NOT NULL THEN
        INSERT INTO launchplane_dokploy_target_ids (context, instance, target_id, updated_at, payload)
        VALUES (lane_context, lane_instance, new_id ->> 'target_id', new_id ->> 'updated_at', new_id)
        ON CONFLICT (context, instance) DO UPDATE
           SET target_id = excluded.target_id, updated_at = excluded.updated_at, payload = excluded.payload;
    END IF;
    projected := launchplane_target_projection(
        (SELECT payload::jsonb FROM launchplane_dokploy_targets WHERE context = lane_context AND instance = lane_instance),
        (SELECT payload::jsonb FROM launchplane_dokploy_target_ids WHERE context = lane_context AND instance = lane_instance));
    IF projected IS NOT NULL THEN
        INSERT INTO launchplane_provider_targets
            (context, instance, provider_id, target_category, target_id, display_name, provider_target_type, updated_at, payload)
        VALUES (lane_context, lane_instance, projected ->> 'provider_id', projected ->> 'target_category',
                projected ->> 'target_id', projected ->> 'display_name', projected ->> 'provider_target_type',
                projected ->> 'updated_at', projected::json)
        ON CONFLICT (context, instance) DO UPDATE
           SET provider_id = excluded.provider_id, target_category = excluded.target_category,
               target_id = excluded.target_id, display_name = excluded.display_name,
               provider_target_type = excluded.provider_target_type, updated_at = excluded.updated_at,
               payload = excluded.payload;
    END IF;
    RETURN projected;
END
$$;

-- Every lane that has a half of a Dokploy pair or a provider row, judged. Null filters do not filter.
CREATE OR REPLACE FUNCTION launchplane_target_lanes(only_provider text, only_context text, only_instance text)
    RETURNS TABLE (context text, instance text, target jsonb, target_id jsonb, recorded jsonb, projected jsonb,
                   status text, severity text, detail text)
    LANGUAGE sql STABLE AS $$
    WITH lanes AS (
        SELECT t.context, t.instance FROM launchplane_dokploy_targets t
        UNION SELECT i.context, i.instance FROM launchplane_dokploy_target_ids i
        UNION SELECT p.context, p.instance FROM launchplane_provider_targets p
    ), rows AS (
        SELECT l.context, l.instance, t.payload::jsonb AS target, i.payload::jsonb AS target_id, p.payload::jsonb AS recorded,
               launchplane_target_projection(t.payload::jsonb, i.payload::jsonb) AS projected,
               lower(coalesce(p.provider_id, 'dokploy')) AS provider
          FROM lanes l
          LEFT JOIN launchplane_dokploy_targets t ON t.context = l.context AND t.instance = l.instance
          LEFT JOIN launchplane_dokploy_target_ids i ON i.context = l.context AND i.instance = l.instance
          LEFT JOIN launchplane_provider_targets p ON p.context = l.context AND p.instance = l.instance
         WHERE (only_context IS NULL OR l.context = only_context)
           AND (only_instance IS NULL OR l.instance = only_instance)
    ), judged AS (
        SELECT r.*, CASE
            WHEN r.recorded IS NOT NULL AND r.provider <> 'dokploy' AND r.target IS NULL AND r.target_id IS NULL THEN 'future_provider'
            WHEN r.target IS NULL AND r.target_id IS NULL THEN 'missing_dokploy_pair'
            WHEN r.target IS NULL THEN 'missing_dokploy_target'
            WHEN r.target_id IS NULL THEN 'missing_target_id'
            WHEN r.recorded IS NULL THEN 'missing_provider_target'
            ELSE coalesce(launchplane_target_difference(r.recorded, r.projected) || '_mismatch', 'complete') END AS status
          FROM rows r
         WHERE only_provider IS NULL OR r.provider = only_provider
            OR (only_provider = 'dokploy' AND (r.target IS NOT NULL OR r.target_id IS NOT NULL))
    )
    SELECT j.context, j.instance, j.target, j.target_id, j.recorded, j.projected, j.status,
           CASE j.status WHEN 'complete' THEN 'ok' WHEN 'future_provider' THEN 'warning' ELSE 'blocked' END,
           CASE j.status
               WHEN 'complete' THEN 'the provider target row agrees with the Dokploy target and id'
               WHEN 'future_provider' THEN 'the provider target row is of provider ' || j.provider
               WHEN 'missing_dokploy_pair' THEN 'there is a provider target row, but neither a Dokploy target nor an id'
               WHEN 'missing_dokploy_target' THEN 'there is a target id, but no Dokploy target'
               WHEN 'missing_target_id' THEN 'there is a Dokploy target, but no target id'
               WHEN 'missing_provider_target' THEN 'there are a Dokploy target and an id, but no provider target row'
               ELSE 'the provider target row has another ' || replace(j.status, '_mismatch', '') || ' than the Dokploy target and id' END
      FROM judged j
$$;

CREATE OR REPLACE FUNCTION launchplane_provider_target_audit(only_provider text, only_context text, only_instance text)
    RETURNS json LANGUAGE sql STABLE AS $$
    WITH lanes AS (
        SELECT * FROM launchplane_target_lanes(only_provider, only_context, only_instance)
    ), findings AS (
        SELECT l.context, l.instance, l.status, l.severity, l.detail, l.recorded, l.projected, 1 AS lanes FROM lanes l
        UNION ALL
        SELECT coalesce(only_context, ''), coalesce(only_instance, ''), 'no_matching_routes', 'blocked',
               'no lane matches the filters', NULL, NULL, 0
         WHERE coalesce(only_provider, only_context, only_instance) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM lanes)
    )
    SELECT json_build_object(
        'status', CASE WHEN count(*) FILTER (WHERE severity = 'blocked') > 0 THEN 'blocked' ELSE 'ok' END,
        'inspected_route_count', coalesce(sum(lanes), 0),
        'blocked_count', count(*) FILTER (WHERE severity = 'blocked'),
        'warning_count', count(*) FILTER (WHERE severity = 'warning'),
        'counts', (SELECT coalesce(json_object_agg(c.status, c.n ORDER BY c.status), '{}')
                     FROM (SELECT status, count(*) AS n FROM findings GROUP BY status) AS c),
        'findings', coalesce(json_agg(json_strip_nulls(json_build_object(
            'context', context, 'instance', instance, 'status', status, 'severity', severity, 'detail', detail,
            'physical_record', recorded, 'projected_record', projected)) ORDER BY context, instance), '[]'))
      FROM findings
$$;

-- What a backfill would do to each lane; writes nothing.
CREATE OR REPLACE FUNCTION launchplane_provider_target_backfill_items(only_provider text, only_context text, only_instance text)
    RETURNS TABLE (context text, instance text, status text, severity text, detail text, projected jsonb)
    LANGUAGE sql STABLE AS $$
    WITH lanes AS (SELECT * FROM launchplane_target_lanes(only_provider, only_context, only_instance)),
    judged AS (
        SELECT l.context, l.instance, l.detail, l.recorded, l.projected, CASE
            WHEN l.status = 'missing_provider_target' THEN 'would-create'
            WHEN l.status = 'complete' THEN 'skipped-exists'
            WHEN l.status = 'future_provider' THEN 'unsupported-provider'
            WHEN l.projected IS NULL THEN 'skipped-incomplete'
            ELSE 'skipped-conflict' END AS status
          FROM lanes l
    )
    SELECT j.context, j.instance, j.status,
           CASE WHEN j.status IN ('would-create', 'skipped-exists') THEN 'ok'
                WHEN j.status = 'unsupported-provider' THEN 'warning'
                WHEN j.status = 'skipped-incomplete' AND j.recorded IS NULL THEN 'warning'
                ELSE 'blocked' END,
           j.detail, CASE WHEN j.status = 'would-create' THEN j.projected END
      FROM judged j
    UNION ALL
    SELECT coalesce(only_context, ''), coalesce(only_instance, ''), 'no_matching_routes', 'blocked',
           'no lane matches the filters', NULL
     WHERE coalesce(only_provider, only_context, only_instance) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM lanes)
$$;

-- The report of a backfill. made: lanes ("context/instance") whose row was written; lost: those whose row appeared
-- between plan and write.
CREATE OR REPLACE FUNCTION launchplane_backfill_report(
    does_apply boolean, only_provider text, only_context text, only_instance text, made text[], lost text[])
    RETURNS json LANGUAGE sql STABLE AS $$
    WITH items AS (
        SELECT i.context, i.instance, i.detail, i.projected,
               CASE WHEN i.context || '/' || i.instance = ANY (made) THEN 'created'
                    WHEN i.context || '/' || i.instance = ANY (lost) THEN 'skipped-conflict'
                    ELSE i.status END AS status,
               CASE WHEN i.context || '/' || i.instance = ANY (lost) THEN 'blocked' ELSE i.severity END AS severity
          FROM launchplane_provider_target_backfill_items(only_provider, only_context, only_instance) AS i
    )
    SELECT json_build_object(
        'status', CASE WHEN count(*) FILTER (WHERE severity = 'blocked') > 0 THEN 'blocked' ELSE 'ok' END,
        'applied', does_apply AND count(*) FILTER (WHERE severity = 'blocked') = 0,
        'inspected_route_count', count(*) FILTER (WHERE status <> 'no_matching_routes'),
        'blocked_count', count(*) FILTER (WHERE severity = 'blocked'),
        'warning_count', count(*) FILTER (WHERE severity = 'warning'),
        'counts', (SELECT coalesce(json_object_agg(c.status, c.n ORDER BY c.status), '{}')
                     FROM (SELECT status, count(*) AS n FROM items GROUP BY status) AS c),
        'items', coalesce(json_agg(json_strip_nulls(json_build_object(
            'context', context, 'instance', instance, 'status', status, 'severity', severity, 'detail', detail,
            'projected_record', projected)) ORDER BY context, instance), '[]'))
      FROM items
$$;

-- Applies a backfill. All or nothing: with one blocked lane nothing is written. A row that appears meanwhile is a
-- conflict and undoes the rest.
CREATE OR REPLACE FUNCTION launchplane_write_backfill(only_provider text, only_context text, only_instance text)
    RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    lane record;
    made text[] := '{}';
    lost text[] := '{}';
BEGIN
    IF NOT EXISTS (SELECT 1 FROM launchplane_provider_target_backfill_items(only_provider, only_context, only_instance) AS i
                    WHERE i.severity = 'blocked') THEN
        BEGIN
            FOR lane IN SELECT * FROM launchplane_provider_target_backfill_items(only_provider, only_context, only_instance) AS i
                         WHERE i.status = 'would-create' ORDER BY i.context, i.instance LOOP
                INSERT INTO launchplane_provider_targets
                    (context, instance, provider_id, target_category, target_id, display_name, provider_target_type,
                     updated_at, payload)
                VALUES (lane.context, lane.instance, lane.projected ->> 'provider_id', lane.projected ->> 'target_category',
                        lane.projected ->> 'target_id', lane.projected ->> 'display_name',
                        lane.projected ->> 'provider_target_type', lane.projected ->> 'updated_at', lane.projected::json)
                ON CONFLICT (context, instance) DO NOTHING;
                IF NOT FOUND THEN
                    lost := lost || (lane.context || '/' || lane.instance);
                    RAISE EXCEPTION USING ERRCODE = 'LP409', MESSAGE = 'lost';
                END IF;
                made := made || (lane.context || '/' || lane.instance);
            END LOOP;
        EXCEPTION WHEN SQLSTATE 'LP409' THEN
            made := '{}';
        END;
    END IF;
    RETURN launchplane_backfill_report(true, only_provider, only_context, only_instance, made, lost);
END
$$;

-- A tracked target for people and workflows: environments by key alone.
CREATE OR REPLACE FUNCTION launchplane_target_summary(target jsonb, target_id jsonb) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((target - 'env') || jsonb_build_object(
        'target_id', coalesce(target_id ->> 'target_id', ''),
        'env_keys', (SELECT coalesce(jsonb_agg(k ORDER BY k), '[]')
                       FROM jsonb_object_keys(coalesce(nullif(target -> 'env', 'null'), '{}')) AS k),
        'env_value_count', (SELECT count(*) FROM jsonb_object_keys(coalesce(nullif(target -> 'env', 'null'), '{}')))))::json);

-- ---- moving a product between contexts (facts/config-health.md 6) ----

CREATE OR REPLACE FUNCTION launchplane_env_keys(payload jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (SELECT coalesce(jsonb_agg(k ORDER BY k), '[]') FROM jsonb_object_keys(coalesce(nullif(payload -> 'env', 'null'), '{}')) AS k);

CREATE OR REPLACE FUNCTION launchplane_in_context(payload jsonb, context text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN payload || jsonb_build_object('context', context);

-- What a cutover copies: one row a record, each with keys and counts alone. found: the target context has its twin.
CREATE OR REPLACE FUNCTION launchplane_cutover_items(source text, target text)
    RETURNS TABLE (family text, key text, found boolean, facts jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT 'runtime_environment_records', r.scope || ':' || r.instance,
           EXISTS (SELECT 1 FROM launchplane_runtime_environments o
                    WHERE o.scope = r.scope AND o.context = target AND o.instance = r.instance),
           jsonb_build_object('scope', r.scope, 'instance', r.instance, 'env_keys', launchplane_env_keys(r.payload::jsonb),
                              'env_value_count', jsonb_array_length(launchplane_env_keys(r.payload::jsonb)))
      FROM launchplane_runtime_environments r WHERE r.context = source AND r.scope <> 'global'
    UNION ALL
    SELECT 'managed_secret_records', s.scope || ':' || s.integration || ':' || s.name || ':' || s.instance,
           EXISTS (SELECT 1 FROM launchplane_secrets o
                    WHERE o.scope = s.scope AND o.integration = s.integration AND o.name = s.name
                      AND o.context = target AND o.instance = s.instance),
           jsonb_build_object('secret_id', s.secret_id, 'scope', s.scope, 'integration', s.integration, 'name', s.name,
                              'instance', s.instance, 'status', s.status,
                              'binding_keys', (SELECT coalesce(jsonb_agg(b.binding_key ORDER BY b.binding_key), '[]')
                                                 FROM launchplane_secret_bindings b WHERE b.secret_id = s.secret_id))
      FROM launchplane_secrets s WHERE s.context = source
    UNION ALL
    SELECT 'provider_targets', t.instance,
           EXISTS (SELECT 1 FROM launchplane_dokploy_targets o WHERE o.context = target AND o.instance = t.instance),
           jsonb_build_object('instance', t.instance, 'target_type', t.payload::jsonb ->> 'target_type',
                              'target_name', t.payload::jsonb ->> 'target_name',
                              'env_keys', launchplane_env_keys(t.payload::jsonb),
                              'env_value_count', jsonb_array_length(launchplane_env_keys(t.payload::jsonb)),
                              'domain_count', jsonb_array_length(coalesce(nullif(t.payload::jsonb -> 'domains', 'null'), '[]')))
      FROM launchplane_dokploy_targets t WHERE t.context = source
    UNION ALL
    SELECT 'provider_target_ids', i.instance,
           EXISTS (SELECT 1 FROM launchplane_dokploy_target_ids o WHERE o.context = target AND o.instance = i.instance),
           jsonb_build_object('instance', i.instance, 'target_id', i.target_id)
      FROM launchplane_dokploy_target_ids i WHERE i.context = source
    UNION ALL
    SELECT 'inventory_records', v.instance,
           EXISTS (SELECT 1 FROM launchplane_inventory o WHERE o.context = target AND o.instance = v.instance),
           jsonb_build_object('instance', v.instance, 'artifact_id', v.artifact_id)
      FROM launchplane_inventory v WHERE v.context = source
    UNION ALL
    SELECT 'release_tuple_records', u.channel,
           EXISTS (SELECT 1 FROM launchplane_release_tuples o WHERE o.context = target AND o.channel = u.channel),
           jsonb_build_object('channel', u.channel, 'tuple_id', target || '-' || u.channel || '-' || u.artifact_id)
      FROM launchplane_release_tuples u WHERE u.context = source
$$;

-- What a cutover writes of target records: per instance the halves that the target context lacks, null what it has.
CREATE OR REPLACE FUNCTION launchplane_cutover_targets(source text, target text)
    RETURNS TABLE (instance text, new_target jsonb, new_id jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT n.instance,
           CASE WHEN NOT EXISTS (SELECT 1 FROM launchplane_dokploy_targets o WHERE o.context = target AND o.instance = n.instance)
                THEN launchplane_in_context(t.payload::jsonb, target) END,
           CASE WHEN NOT EXISTS (SELECT 1 FROM launchplane_dokploy_target_ids o WHERE o.context = target AND o.instance = n.instance)
                THEN launchplane_in_context(i.payload::jsonb, target) END
      FROM (SELECT instance FROM launchplane_dokploy_targets WHERE context = source
            UNION SELECT instance FROM launchplane_dokploy_target_ids WHERE context = source) AS n
      LEFT JOIN launchplane_dokploy_targets t ON t.context = source AND t.instance = n.instance
      LEFT JOIN launchplane_dokploy_target_ids i ON i.context = source AND i.instance = n.instance
$$;

-- Provider target rows that stand against a move: out of date in the source, or other than what the copy would lead to.
CREATE OR REPLACE FUNCTION launchplane_cutover_blockers(source text, target text) RETURNS json
    LANGUAGE sql STABLE AS $$
    SELECT coalesce(json_agg(b.text ORDER BY b.text), '[]') FROM (
        SELECT l.context || '/' || l.instance || ': ' || l.detail AS text
          FROM launchplane_target_lanes(NULL, source, NULL) l
         WHERE l.severity = 'blocked' AND l.recorded IS NOT NULL
        UNION ALL
        SELECT target || '/' || c.instance || ': ' || r.refusal
          FROM launchplane_cutover_targets(source, target) c
         CROSS JOIN LATERAL (SELECT launchplane_target_refusal(target, c.instance, c.new_target, c.new_id, NULL) AS refusal) AS r
         WHERE r.refusal IS NOT NULL) AS b
$$;

CREATE OR REPLACE FUNCTION launchplane_cutover_plan(source text, target text) RETURNS json
    LANGUAGE sql STABLE AS $$
    WITH items AS (SELECT * FROM launchplane_cutover_items(source, target)),
    families(family, n) AS (VALUES ('runtime_environment_records', 1), ('managed_secret_records', 2), ('provider_targets', 3),
                                   ('provider_target_ids', 4), ('inventory_records', 5), ('release_tuple_records', 6))
    SELECT json_build_object(
        'groups', (SELECT json_object_agg(f.family, (
                       SELECT coalesce(json_agg(i.facts || jsonb_build_object('action', CASE WHEN i.found THEN 'skipped' ELSE 'created' END)
                                                ORDER BY i.key), '[]')
                         FROM items i WHERE i.family = f.family) ORDER BY f.n) FROM families f),
        'counts', (SELECT json_object_agg(f.family, (
                       SELECT json_build_object('created', count(*) FILTER (WHERE NOT i.found), 'skipped', count(*) FILTER (WHERE i.found))
                         FROM items i WHERE i.family = f.family) ORDER BY f.n) FROM families f),
        'blockers', launchplane_cutover_blockers(source, target))
$$;

-- What a cleanup does to each record of an old context.
CREATE OR REPLACE FUNCTION launchplane_cleanup_items(source text, target text)
    RETURNS TABLE (family text, key text, action text, facts jsonb)
    LANGUAGE sql STABLE AS $$
    SELECT i.family, i.key,
           CASE WHEN i.family = 'managed_secret_records' AND i.facts ->> 'status' = 'disabled'
                     AND NOT EXISTS (SELECT 1 FROM launchplane_secret_bindings b
                                      WHERE b.secret_id = i.facts ->> 'secret_id' AND b.status <> 'disabled') THEN 'skipped'
                WHEN i.family = 'managed_secret_records' THEN 'disabled'
                WHEN NOT i.found THEN 'blocked_missing_target'
                WHEN i.family IN ('provider_targets', 'provider_target_ids') AND EXISTS (
                    SELECT 1 FROM launchplane_target_lanes(NULL, source, i.facts ->> 'instance') l
                     WHERE l.recorded IS NOT NULL AND l.severity = 'blocked') THEN 'blocked_stale_provider_target'
                ELSE 'deleted' END, i.facts
      FROM launchplane_cutover_items(source, target) i
     WHERE i.family IN ('runtime_environment_records', 'managed_secret_records', 'provider_targets', 'provider_target_ids')
$$;

CREATE OR REPLACE FUNCTION launchplane_cleanup_plan(source text, target text) RETURNS json
    LANGUAGE sql STABLE AS $$
    WITH items AS (SELECT * FROM launchplane_cleanup_items(source, target)),
    families(family, n) AS (VALUES ('runtime_environment_records', 1), ('managed_secret_records', 2), ('provider_target_ids', 3),
                                   ('provider_targets', 4)),
    actions(action, n) AS (VALUES ('deleted', 1), ('disabled', 2), ('skipped', 3), ('blocked_missing_target', 4),
                                  ('blocked_stale_provider_target', 5))
    SELECT json_build_object(
        'blocked', EXISTS (SELECT 1 FROM items WHERE action LIKE 'blocked%'),
        'groups', (SELECT json_object_agg(f.family, (
                       SELECT coalesce(json_agg(i.facts || jsonb_build_object('action', i.action) ORDER BY i.key), '[]')
                         FROM items i WHERE i.family = f.family) ORDER BY f.n) FROM families f),
        'counts', (SELECT json_object_agg(a.action, (SELECT count(*) FROM items i WHERE i.action = a.action) ORDER BY a.n) FROM actions a),
        'preserved_records', json_build_object(
            'inventory_records', (SELECT count(*) FROM launchplane_inventory WHERE context = source),
            'release_tuple_records', (SELECT count(*) FROM launchplane_release_tuples WHERE context = source)))
$$;

-- One context as the audit shows it.
CREATE OR REPLACE FUNCTION launchplane_context_block(of_context text) RETURNS json
    LANGUAGE sql STABLE AS $$
    SELECT json_build_object(
        'context', of_context,
        'runtime_environment_records', (
            SELECT coalesce(json_agg(json_build_object(
                'scope', r.scope, 'context', r.context, 'instance', r.instance, 'updated_at', r.updated_at,
                'source_label', r.payload::jsonb ->> 'source_label', 'env_keys', launchplane_env_keys(r.payload::jsonb),
                'env_value_count', jsonb_array_length(launchplane_env_keys(r.payload::jsonb))) ORDER BY r.scope, r.instance), '[]')
              FROM launchplane_runtime_environments r WHERE r.context = of_context),
        'managed_secrets', (
            SELECT coalesce(json_agg(json_build_object(
                'secret_id', s.secret_id, 'scope', s.scope, 'integration', s.integration, 'name', s.name, 'context', s.context,
                'instance', s.instance, 'status', s.status, 'binding_key', b.binding_key, 'binding_status', b.status,
                'updated_at', s.updated_at) ORDER BY s.secret_id), '[]')
              FROM launchplane_secrets s
              LEFT JOIN LATERAL (SELECT o.binding_key, o.status FROM launchplane_secret_bindings o WHERE o.secret_id = s.secret_id
                                  ORDER BY o.updated_at DESC, o.binding_id DESC LIMIT 1) AS b ON true
             WHERE s.context = of_context),
        'targets', (
            SELECT coalesce(json_agg(launchplane_target_summary(t.payload::jsonb, i.payload::jsonb) ORDER BY t.instance), '[]')
              FROM launchplane_dokploy_targets t
              LEFT JOIN launchplane_dokploy_target_ids i ON i.context = t.context AND i.instance = t.instance
             WHERE t.context = of_context),
        'inventory', (
            SELECT coalesce(json_agg(json_build_object('instance', v.instance, 'artifact_id', v.artifact_id,
                'deployment_record_id', v.deployment_record_id, 'updated_at', v.updated_at) ORDER BY v.instance), '[]')
              FROM launchplane_inventory v WHERE v.context = of_context),
        'release_tuples', (
            SELECT coalesce(json_agg(json_build_object('channel', u.channel, 'tuple_id', u.tuple_id, 'artifact_id', u.artifact_id,
                'minted_at', u.minted_at) ORDER BY u.channel), '[]')
              FROM launchplane_release_tuples u WHERE u.context = of_context),
        'append_only_evidence_counts', json_build_object(
            'backup_gates', (SELECT count(*) FROM launchplane_backup_gates g WHERE g.context = of_context),
            'deployments', (SELECT count(*) FROM launchplane_deployments d WHERE d.context = of_context),
            'promotions', (SELECT count(*) FROM launchplane_promotions p WHERE p.context = of_context)))
$$;
