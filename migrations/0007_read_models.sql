-- What the read models are composed of (facts/core.md 7.2, 7.4, 8.5): times, trust, lanes. The functions that return rows are
-- plain selects, so the planner puts them into the query that asks.

-- A caller's timestamp; null when it cannot be read as one. Without a zone it is UTC.
create or replace function launchplane_moment(stamp text) returns timestamptz language sql stable parallel safe as $$
  select case when stamp ~ '^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,9})?([Zz]|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?$'
    then case when substr(stamp, 9, 2)::int <= extract(day from make_date(substr(stamp, 1, 4)::int, substr(stamp, 6, 2)::int, 1) + interval '1 month - 1 day')
      then (stamp || case when substr(stamp, 12) ~ '[Zz+-]' then '' else 'Z' end)::timestamptz end end
$$;

-- Evidence is fresh for half an hour; what has no readable time is only recorded.
create or replace function launchplane_freshness(recorded_at text, is_verified boolean, at timestamptz) returns text
language sql stable parallel safe as $$
  select case when launchplane_moment(recorded_at) + interval '30 minutes' < at then 'stale'
              when launchplane_moment(recorded_at) is not null and is_verified then 'verified'
              else 'recorded' end
$$;

create or replace function launchplane_provenance(source_kind text, source_id text, recorded_at text, freshness text,
                                                  expires boolean, detail text) returns json
language sql stable parallel safe as $$
  select json_build_object(
    'source_kind', source_kind, 'source_record_id', coalesce(source_id, ''), 'recorded_at', coalesce(recorded_at, ''),
    'refreshed_at', '', 'freshness_status', freshness,
    'stale_after', case when expires then launchplane_utc(launchplane_moment(recorded_at) + interval '30 minutes') else '' end,
    'detail', detail)
$$;

-- The worst state present; fallback when there is none.
create or replace function launchplane_worst(states text[], fallback text) returns text language sql immutable parallel safe as $$
  select case when 'missing' = any(states) then 'missing' when 'stale' = any(states) then 'stale'
              when 'recorded' = any(states) then 'recorded' when 'verified' = any(states) then 'verified'
              when 'unsupported' = any(states) then 'unsupported' else fallback end
$$;

-- SQL's null for JSON's null, and an array for anything that is none.
create or replace function launchplane_value(j json) returns json language sql immutable parallel safe as $$
  select case when json_typeof(j) <> 'null' then j end
$$;
create or replace function launchplane_items(j json) returns json language sql immutable parallel safe as $$
  select case when json_typeof(j) = 'array' then j else '[]'::json end
$$;
create or replace function launchplane_keys(j json) returns json language sql immutable parallel safe as $$
  select coalesce(json_agg(k order by k), '[]'::json)
    from json_object_keys(case when json_typeof(j) = 'object' then j else '{}'::json end) k
$$;

-- Whether a caller's grants (server/auth/policy_grants.h) allow an action there.
create or replace function launchplane_granted(grants json, action text, product text, context text) returns boolean
language sql stable parallel safe as $$
  select exists (select from json_array_elements(launchplane_items(grants -> action)) g
                  where (g ->> 'products' is null or product ~ (g ->> 'products'))
                    and (g ->> 'contexts' is null or context ~ (g ->> 'contexts')))
$$;

-- The actions of a product's page (lane_context null) or of one lane's, each with why it cannot be used. everything: also the
-- known ones that the driver lacks.
create or replace function launchplane_actions(catalog json, grants json, product text, driver_id text, profile json,
                                               lane_context text, everything boolean) returns json
language sql stable parallel safe as $$
  with lanes as (
    select max(l ->> 'context') filter (where l ->> 'instance' = 'prod') as prod,
           max(l ->> 'context') filter (where l ->> 'instance' = 'testing') as testing
      from json_array_elements(launchplane_items(profile -> 'lanes')) l),
  offered as (
    select a, n, a ->> 'action_id' as id, (a ->> 'offered')::boolean as is_offered,
           a ->> 'scope' = 'preview' or a ->> 'action_id' like 'preview\_%' as is_preview,
           a ->> 'action_id' like 'prod\_%' as is_prod,
           coalesce(lane_context,
                    case when a ->> 'scope' = 'preview' or a ->> 'action_id' like 'preview\_%' then profile -> 'preview' ->> 'context'
                         when a ->> 'action_id' like 'testing\_%' then lanes.testing
                         when a ->> 'action_id' like 'prod\_%' then lanes.prod
                         else coalesce(lanes.prod, lanes.testing) end, '') as context,
           lanes.prod, lanes.testing
      from lanes, json_array_elements(launchplane_items(catalog -> driver_id -> 'actions')) with ordinality x(a, n)),
  judged as (
    select o.*, array_remove(array[
        case when not is_offered then 'the product''s driver does not offer it' end,
        case when is_preview and not coalesce((profile -> 'preview' ->> 'enabled')::boolean, false)
             then 'previews are not enabled for the product' end,
        case when is_prod and o.prod is null then 'the product has no prod lane' end,
        case when id in ('prod_promotion', 'prod_promotion_workflow') and a ->> 'route_path' like '/v1/drivers/generic-web/%'
                  and (o.prod is null or o.testing is null or o.prod <> o.testing)
             then 'promotion needs a testing and a prod lane in one context' end,
        case when is_offered and not launchplane_granted(grants, a ->> 'authz_action', product, o.context)
             then 'the caller''s grants do not allow ' || (a ->> 'authz_action') || ' here' end], null) as reasons
      from offered o where everything or is_offered)
  select coalesce(json_agg(json_build_object(
           'action_id', id, 'label', a -> 'label', 'description', a -> 'description', 'safety', a -> 'safety',
           'scope', a -> 'scope', 'method', a -> 'method', 'route_path', case when is_offered then a ->> 'route_path' else '' end,
           'authz_action', a -> 'authz_action', 'alternate_authz_actions', a -> 'alternate_authz_actions',
           'enabled', cardinality(reasons) = 0, 'disabled_reasons', to_json(reasons),
           'trust_state', case when is_offered then 'recorded' else 'unsupported' end) order by n), '[]'::json)
    from judged
$$;

-- Every lane of every product with the records that speak for it: its inventory, else its newest deployment.
create or replace function launchplane_lanes(at timestamptz)
returns table (product text, display_name text, repository text, driver_id text, profile json, profile_updated_at text,
               instance text, context text, lane json, place bigint, inventory json, deployment json, trust_state text,
               provenance json)
language sql stable parallel safe as $$
  select p.product, p.display_name, p.repository, p.driver_id, p.payload::json, p.updated_at,
         l.lane ->> 'instance', l.lane ->> 'context', l.lane, l.place, i.payload::json, d.payload::json,
         case when i.context is not null
              then launchplane_freshness(i.updated_at, coalesce((i.payload::json -> 'destination_health' ->> 'verified')::boolean, false), at)
              when d.record_id is not null
              then launchplane_freshness(coalesce(nullif(d.deploy_finished_at, ''), d.deploy_started_at),
                                         coalesce((d.payload::json -> 'destination_health' ->> 'verified')::boolean, false), at)
              else 'missing' end,
         case when i.context is not null
              then launchplane_provenance('record', i.deployment_record_id, i.updated_at,
                     launchplane_freshness(i.updated_at, coalesce((i.payload::json -> 'destination_health' ->> 'verified')::boolean, false), at),
                     true, 'environment inventory')
              when d.record_id is not null
              then launchplane_provenance('record', d.record_id, coalesce(nullif(d.deploy_finished_at, ''), d.deploy_started_at),
                     launchplane_freshness(coalesce(nullif(d.deploy_finished_at, ''), d.deploy_started_at),
                                           coalesce((d.payload::json -> 'destination_health' ->> 'verified')::boolean, false), at),
                     true, 'latest deployment')
              else launchplane_provenance('record', '', '', 'missing', false, 'neither inventory nor deployment is recorded') end
    from launchplane_product_profiles p
   cross join lateral json_array_elements(launchplane_items(p.payload::json -> 'lanes')) with ordinality l(lane, place)
    left join launchplane_inventory i on i.context = l.lane ->> 'context' and i.instance = l.lane ->> 'instance'
    left join lateral (select x.record_id, x.deploy_finished_at, x.deploy_started_at, x.payload
                         from launchplane_deployments x
                        where x.context = l.lane ->> 'context' and x.instance = l.lane ->> 'instance'
                        order by x.deploy_finished_at desc, x.deploy_started_at desc, x.record_id desc
                        limit 1) d on true
$$;

-- How a lane looks from outside: the newest public observation and the newest open incident.
create or replace function launchplane_public_ingress(product text, context text, instance text) returns table (document json)
language sql stable parallel safe as $$
  select json_build_object(
           'status', coalesce(o.status, 'missing'), 'failure_code', coalesce(o.doc ->> 'failure_code', ''),
           'observed_at', coalesce(o.observed_at, ''), 'record_id', coalesce(o.record_id, ''),
           'summary', coalesce(o.doc ->> 'summary', ''),
           'notification_sent', coalesce((o.doc ->> 'notification_sent')::boolean, false),
           'incident_status', coalesce(n.status, ''), 'incident_id', coalesce(n.incident_id, ''),
           'incident_opened_at', coalesce(n.opened_at, ''), 'trust_state', t.state,
           'provenance', launchplane_provenance('record', o.record_id, o.observed_at, t.state, false,
                                                case when o.record_id is null then 'nothing was observed' else 'public ingress observation' end))
    from (values (1)) one
    left join lateral (select x.record_id, x.status, x.observed_at, x.payload::json as doc
                         from launchplane_public_ingress_observations x
                        where x.product = $1 and x.context = $2 and x.instance = $3
                          and coalesce(x.payload::json ->> 'check_kind', 'public_http') = 'public_http'
                        order by x.observed_at desc, x.record_id desc limit 1) o on true
    left join lateral (select x.incident_id, x.status, x.opened_at
                         from launchplane_public_ingress_incidents x
                        where x.product = $1 and x.context = $2 and x.instance = $3 and x.status = 'open'
                          and coalesce(x.payload::json ->> 'check_kind', 'public_http') = 'public_http'
                        order by x.opened_at desc, x.incident_id desc limit 1) n on true
   cross join lateral (select case o.status when 'pass' then 'verified' when 'fail' then 'stale'
                                            when 'skipped' then 'unsupported' else 'missing' end as state) t
$$;

-- What makes a lane's target: the explicit provider row alone gives it an identity.
create or replace function launchplane_lane_target(context text, instance text, inventory json, deployment json)
returns table (document json)
language sql stable parallel safe as $$
  select json_build_object(
           'provider', coalesce(t.provider_id, 'dokploy'), 'target_type', coalesce(t.target_category, ''),
           'target_name', coalesce(t.display_name, ''), 'target_id', coalesce(t.target_id, ''),
           'provider_target_type', coalesce(t.provider_target_type, ''), 'target_id_recorded', t.context is not null,
           'artifact_manifest', (select m.payload from launchplane_artifact_manifests m
                                  where m.artifact_id = coalesce(inventory, deployment) -> 'artifact_identity' ->> 'artifact_id'),
           'expected_runtime_identity', coalesce(launchplane_value(inventory -> 'runtime_identity'),
                                                 launchplane_value(deployment -> 'runtime_identity')),
           'observed_runtime_identity', launchplane_value(coalesce(inventory, deployment) -> 'destination_health' -> 'observed_runtime_identity'),
           'runtime_identity_status', coalesce(coalesce(inventory, deployment) -> 'destination_health' ->> 'runtime_identity_status', 'unchecked'),
           'runtime_identity_detail', coalesce(coalesce(inventory, deployment) -> 'destination_health' ->> 'runtime_identity_detail', ''),
           'trust_state', case when t.context is null then 'missing' else 'recorded' end)
    from (values (1)) one
    left join launchplane_provider_targets t on t.context = $1 and t.instance = $2
$$;

-- The runtime environment of a lane, global to instance: names and counts, never values.
create or replace function launchplane_runtime_settings(context text, instance text) returns table (document json)
language sql stable parallel safe as $$
  select coalesce(json_agg(json_build_object(
           'scope', r.scope, 'context', r.context, 'instance', r.instance, 'env_keys', launchplane_keys(r.payload::json -> 'env'),
           'env_value_count', json_array_length(launchplane_keys(r.payload::json -> 'env')), 'updated_at', r.updated_at,
           'source_label', coalesce(r.payload::json ->> 'source_label', ''), 'trust_state', 'recorded')
           order by array_position(array['global', 'context', 'instance'], r.scope)), '[]'::json)
    from launchplane_runtime_environments r
   where (r.scope, r.context, r.instance) in (('global', '', ''), ('context', $1, ''), ('instance', $1, $2))
$$;

-- The secrets bound for a lane: metadata alone. Global credentials for providers are the platform's own and not shown.
create or replace function launchplane_lane_secrets(context text, instance text) returns table (document json)
language sql stable parallel safe as $$
  select coalesce(json_agg(json_build_object(
           'binding_id', b.binding_id, 'secret_id', b.secret_id, 'integration', b.integration,
           'binding_type', coalesce(b.payload::json ->> 'binding_type', 'env'), 'binding_key', b.binding_key,
           'context', b.context, 'instance', b.instance, 'status', b.status, 'updated_at', b.updated_at,
           'trust_state', case b.status when 'configured' then 'recorded' else 'disabled' end)
           order by b.binding_key, b.binding_id), '[]'::json)
    from launchplane_secret_bindings b
   where ((b.context = $1 and b.instance in ('', $2)) or (b.context = '' and b.integration = 'runtime_environment'))
     and b.integration not like 'retired:%'
$$;

-- Indexes of the lists and of what the read models look up (storage/list.sql, storage/product.sql).
create index if not exists launchplane_deployments_recent_idx
  on launchplane_deployments (deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_deployments_context_recent_idx
  on launchplane_deployments (context, deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_deployments_artifact_idx
  on launchplane_deployments (artifact_id, deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_deployments_failed_idx
  on launchplane_deployments (context, deploy_finished_at desc, deploy_started_at desc)
  where payload -> 'deploy' ->> 'status' = 'fail';
create index if not exists launchplane_promotions_recent_idx
  on launchplane_promotions (deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_promotions_context_recent_idx
  on launchplane_promotions (context, deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_promotions_destination_idx
  on launchplane_promotions (context, to_instance, deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_promotions_artifact_idx
  on launchplane_promotions (artifact_id, deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_backup_gates_recent_idx on launchplane_backup_gates (created_at desc);
create index if not exists launchplane_backup_gates_context_recent_idx on launchplane_backup_gates (context, created_at desc);
create index if not exists launchplane_preview_records_recent_idx on launchplane_preview_records (updated_at desc);
create index if not exists launchplane_preview_records_context_recent_idx
  on launchplane_preview_records (context, updated_at desc);
create index if not exists launchplane_preview_records_live_idx
  on launchplane_preview_records (context, anchor_repo, updated_at desc) where state <> 'destroyed';
create index if not exists launchplane_artifact_manifests_commit_idx
  on launchplane_artifact_manifests (source_commit, artifact_id desc);
create index if not exists launchplane_artifact_manifests_image_idx
  on launchplane_artifact_manifests (image_digest, artifact_id desc);
create index if not exists launchplane_operations_product_idx
  on launchplane_operations (product, created_at desc, operation_id desc);
create index if not exists launchplane_operations_failed_idx
  on launchplane_operations (product, created_at desc, operation_id desc) where status = 'fail';
create index if not exists launchplane_secrets_context_idx on launchplane_secrets (context, updated_at desc);
create index if not exists launchplane_secret_bindings_secret_idx on launchplane_secret_bindings (secret_id, updated_at desc);
create index if not exists launchplane_secret_bindings_context_idx on launchplane_secret_bindings (context, instance);
create index if not exists launchplane_promotions_to_idx
  on launchplane_promotions (to_instance, deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_promotions_from_idx
  on launchplane_promotions (from_instance, deploy_finished_at desc, deploy_started_at desc);
create index if not exists launchplane_backup_gates_status_idx on launchplane_backup_gates (status, created_at desc);
create index if not exists launchplane_preview_records_state_idx on launchplane_preview_records (state, updated_at desc);
create index if not exists launchplane_preview_records_repo_idx on launchplane_preview_records (anchor_repo, updated_at desc);
create index if not exists launchplane_artifact_manifests_repository_idx
  on launchplane_artifact_manifests (image_repository, artifact_id desc);
create index if not exists launchplane_secret_versions_newest_idx on launchplane_secret_versions (created_at desc, version_id desc);
