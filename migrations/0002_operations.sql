-- Durable operations: the engine's own tables (storage/operation.h says what the columns mean).
--
-- An operation that is not finished has a next wake-up, always: the checks below are what keeps work from being forgotten.

create table if not exists launchplane_operations (
  operation_id text not null primary key,
  kind text not null,
  product text not null default '',
  context text not null default '',
  instance text not null default '',
  holds_lane boolean not null default false,
  idempotency_scope text not null default '',
  idempotency_key text,
  request_fingerprint text not null default '',
  status text not null check (status in ('pending', 'running', 'pass', 'fail', 'cancelled')),
  phase text not null default '',
  public_phase text not null default 'created',
  request json not null,
  state json not null default '{}',
  result json,
  error_code text not null default '',
  error_message text not null default '',
  attempt integer not null default 0,
  phase_attempt integer not null default 0,
  failures integer not null default 0,
  phase_started_at timestamptz,
  phase_deadline_at timestamptz,
  next_run_at timestamptz,
  lease_owner text not null default '',
  lease_expires_at timestamptz,
  heartbeat_at timestamptz,
  fence bigint not null default 0,
  cancel_requested_at timestamptz,
  cancel_requested_by text not null default '',
  cancel_reason text not null default '',
  deployment_record_id text not null default '',
  release_tuple_id text not null default '',
  actor json not null default '{}',
  trace_id text not null default '',
  traceparent text not null default '',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz,
  constraint launchplane_operations_wakes_up
    check ((status in ('pending', 'running')) = (next_run_at is not null)),
  constraint launchplane_operations_finishes
    check ((status in ('pass', 'fail', 'cancelled')) = (finished_at is not null)),
  constraint launchplane_operations_idempotency_key
    unique (kind, idempotency_scope, idempotency_key)
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

create unique index if not exists launchplane_operations_active_lane_key
  on launchplane_operations (product, context, instance)
  where holds_lane and status in ('pending', 'running');
create index if not exists launchplane_operations_due_idx
  on launchplane_operations (next_run_at, operation_id)
  where status in ('pending', 'running');
create index if not exists launchplane_operations_created_idx
  on launchplane_operations (created_at desc, operation_id desc);
create index if not exists launchplane_operations_lane_idx
  on launchplane_operations (product, context, instance, created_at desc, operation_id desc);

-- What happened to an operation, in order. Append-only.

create table if not exists launchplane_operation_events (
  operation_id text not null,
  seq bigint not null,
  at timestamptz not null default now(),
  event text not null,
  phase text not null default '',
  detail json not null default '{}',
  primary key (operation_id, seq)
);

create or replace function launchplane_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;

create or replace trigger launchplane_operation_events_append_only
  before update or delete on launchplane_operation_events
  for each row execute function launchplane_refuse_change();

-- Operations of the two tables that came before. Finished ones are copied as they are. A pending one goes on here: nothing
-- had been done for it, and an operation without a phase begins at its kind's first. Of a running one nobody knows how far
-- it came: it ends as failed and asks for an operator, as does a pending one whose lane another one holds.

create or replace function pg_temp.launchplane_time(text) returns timestamptz language plpgsql as $$
begin
  return nullif($1, '')::timestamptz;
exception when others then
  return null;
end
$$;

with old as (
  select 'odoo_stable_target_replacement' as kind, operation_id, product, context, instance, idempotency_scope as scope,
         idempotency_key, status, phase, created_at, updated_at, attempt, payload::jsonb as doc
    from launchplane_odoo_stable_target_replacement_operations
  union all
  select 'odoo_stable_bootstrap', operation_id, product, context, instance,
         concat_ws('/', product, context, instance), idempotency_key, status, phase, created_at, updated_at, attempt,
         payload::jsonb
    from launchplane_odoo_stable_bootstrap_operations
), ranked as (
  select old.*,
         row_number() over (partition by kind, scope, idempotency_key order by created_at desc, operation_id desc) as key_rank,
         row_number() over (partition by product, context, instance, status = 'pending'
                            order by created_at, operation_id) as lane_rank
    from old
), judged as (
  select ranked.*,
         status = 'pending' and lane_rank = 1 as goes_on,
         status not in ('pass', 'fail', 'cancelled') and not (status = 'pending' and lane_rank = 1) as needs_operator,
         coalesce(pg_temp.launchplane_time(created_at), now()) as created,
         coalesce(pg_temp.launchplane_time(updated_at), now()) as updated
    from ranked
)
insert into launchplane_operations (
  operation_id, kind, product, context, instance, holds_lane, idempotency_scope, idempotency_key, request_fingerprint,
  status, phase, public_phase, request, result, error_code, error_message, attempt, next_run_at, deployment_record_id,
  release_tuple_id, trace_id, created_at, updated_at, started_at, finished_at)
select operation_id, kind, product, context, instance, true, scope,
       case when key_rank = 1 then nullif(idempotency_key, '') end,
       coalesce(doc ->> 'request_fingerprint', ''),
       case when goes_on then 'pending' when needs_operator then 'fail' else status end,
       '',
       case when goes_on then 'created' when needs_operator then 'failed' else phase end,
       coalesce(nullif(doc -> 'request', 'null'), '{}')::json,
       nullif(doc -> 'result', 'null')::json,
       case when needs_operator then 'operation_reconciliation_required' else coalesce(doc ->> 'error_code', '') end,
       case when needs_operator
            then 'The operation was under way when the database was taken over; how far it came is not known. Check the '
                 || 'target at the provider, then submit a new operation.'
            else coalesce(doc ->> 'error_message', '') end,
       attempt,
       case when goes_on then now() end,
       coalesce(doc ->> 'deployment_record_id', ''),
       coalesce(doc ->> 'release_tuple_id', ''),
       coalesce(doc ->> 'runner_trace_id', ''),
       created, updated,
       pg_temp.launchplane_time(doc ->> 'started_at'),
       case when not goes_on then coalesce(pg_temp.launchplane_time(doc ->> 'finished_at'), updated) end
  from judged
on conflict do nothing;

drop function pg_temp.launchplane_time(text);

insert into launchplane_operation_events (operation_id, seq, event, detail)
select operation_id, 1, 'taken_over', json_build_object('status', status)
  from launchplane_operations
 where kind in ('odoo_stable_target_replacement', 'odoo_stable_bootstrap')
on conflict do nothing;
