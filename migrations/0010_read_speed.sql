-- What the read models ask often, faster: actions by a function that keeps its plan, and indexes.

-- As in 0007. PL/pgSQL keeps the plan for the session; an SQL function of this size is planned anew with each call.
create or replace function launchplane_actions(catalog json, grants json, product text, driver_id text, profile json,
                                               lane_context text, everything boolean) returns json
language plpgsql stable parallel safe as $$
declare
  actions constant json := launchplane_items(catalog -> driver_id -> 'actions');
  lanes constant json := launchplane_items(profile -> 'lanes');
  preview constant json := profile -> 'preview';
  previews_enabled constant boolean := coalesce((preview ->> 'enabled')::boolean, false);
  prod text;
  testing text;
begin
  select max(l ->> 'context') filter (where l ->> 'instance' = 'prod'),
         max(l ->> 'context') filter (where l ->> 'instance' = 'testing')
    into prod, testing
    from json_array_elements(lanes) l;
  return (
    with allowed as materialized (
      select g.key as action, c.products, c.contexts
        from json_each(grants) g,
             json_to_recordset(launchplane_items(g.value)) as c(products text, contexts text)),
    known as (
      select x.n, c.*
        from json_array_elements(actions) with ordinality x(a, n),
             json_to_record(x.a) as c(action_id text, label json, description json, safety json, scope text, method json,
                                      route_path text, authz_action text, alternate_authz_actions json, offered boolean)
       where everything or c.offered),
    offered as (
      select k.*, k.scope = 'preview' or k.action_id like 'preview\_%' as is_preview from known k),
    placed as (
      select o.*,
             coalesce(lane_context,
                      case when o.is_preview then preview ->> 'context'
                           when o.action_id like 'testing\_%' then testing
                           when o.action_id like 'prod\_%' then prod
                           else coalesce(prod, testing) end, '') as context
        from offered o),
    judged as (
      select p.*, array_remove(array[
          case when not p.offered then 'the product''s driver does not offer it' end,
          case when p.is_preview and not previews_enabled then 'previews are not enabled for the product' end,
          case when p.action_id like 'prod\_%' and prod is null then 'the product has no prod lane' end,
          case when p.action_id in ('prod_promotion', 'prod_promotion_workflow') and p.route_path like '/v1/drivers/generic-web/%'
                    and (prod is null or testing is null or prod <> testing)
               then 'promotion needs a testing and a prod lane in one context' end,
          case when p.offered and not exists (select from allowed g
                                               where g.action = p.authz_action
                                                 and (g.products is null or launchplane_actions.product ~ g.products)
                                                 and (g.contexts is null or p.context ~ g.contexts))
               then 'the caller''s grants do not allow ' || p.authz_action || ' here' end], null) as reasons
        from placed p)
    select coalesce(json_agg(json_build_object(
             'action_id', j.action_id, 'label', j.label, 'description', j.description, 'safety', j.safety,
             'scope', j.scope, 'method', j.method, 'route_path', case when j.offered then j.route_path else '' end,
             'authz_action', j.authz_action, 'alternate_authz_actions', j.alternate_authz_actions,
             'enabled', cardinality(j.reasons) = 0, 'disabled_reasons', to_json(j.reasons),
             'trust_state', case when j.offered then 'recorded' else 'unsupported' end) order by j.n), '[]'::json)
      from judged j);
end
$$;

-- Who wrote a record: the entry of the audit log that names it. Positions go up, so the newest is found first.
create index if not exists launchplane_audit_entries_promotion_idx
  on launchplane_audit_entries ((leaf -> 'records' ->> 'promotion_record_id'), position)
  where leaf -> 'records' ->> 'promotion_record_id' is not null;
create index if not exists launchplane_audit_entries_deployment_idx
  on launchplane_audit_entries ((leaf -> 'records' ->> 'deployment_record_id'), position)
  where leaf -> 'records' ->> 'deployment_record_id' is not null;
create index if not exists launchplane_audit_entries_operation_idx
  on launchplane_audit_entries ((leaf -> 'operation' ->> 'operation_id'), position)
  where leaf -> 'operation' ->> 'operation_id' is not null;

-- What agents ask of a repository.
create index if not exists launchplane_every_code_work_requests_repository_idx
  on launchplane_every_code_work_requests (lower(repository), updated_at desc, request_id);
create index if not exists launchplane_every_code_preview_gates_repository_idx
  on launchplane_every_code_preview_gates (lower(repository), updated_at desc, gate_id);
