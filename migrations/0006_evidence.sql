-- Evidence: which of two pieces is the later one, what an upsert replaced, and which preview an anchor has.

-- Times are the producers' own texts and are compared as texts (facts/core.md 8.2).

-- Of one record: what is stored is a later state than what comes. A state without times is earlier than one with.
create or replace function launchplane_is_later(stored_started text, stored_finished text, started text, finished text)
    returns boolean language sql immutable parallel safe
    return (stored_started collate "C", stored_finished collate "C") > (started, finished);

-- Of two deployments of a lane: the first certainly came after the second. Without times nobody knows.
create or replace function launchplane_came_after(started text, finished text, other_started text, other_finished text)
    returns boolean language sql immutable parallel safe
    return started <> '' and other_started <> ''
           and (started collate "C" > other_started
                or (started = other_started and finished <> '' and other_finished <> ''
                    and finished collate "C" > other_finished));

-- What the answer tells when accepted evidence did not become the current state.
create or replace function launchplane_evidence_note(verdict text) returns json
    language sql immutable parallel safe
    return case verdict
        when 'older' then json_build_object('outcome', 'older_than_stored',
             'detail', 'a later state of this record is stored already; nothing was changed')
        when 'behind' then json_build_object('outcome', 'inventory_kept',
             'detail', 'the record is stored; the inventory names a later deployment of the lane and was kept')
        end;

-- The inventory a stored deployment establishes (facts/core.md 6.4).
create or replace function launchplane_inventory_from(
        context text, instance text, source_git_ref text, record_id text, payload json, updated_at text,
        promotion_record_id text, promoted_from_instance text)
    returns json language sql immutable parallel safe
    return json_build_object(
        'schema_version', 1,
        'context', context,
        'instance', instance,
        'artifact_identity', payload -> 'artifact_identity',
        'source_git_ref', source_git_ref,
        'deploy', payload -> 'deploy',
        'post_deploy_update', coalesce(payload -> 'post_deploy_update',
            json_build_object('attempted', false, 'status', 'skipped', 'detail', '', 'evidence', json_build_object())),
        'destination_health', coalesce(payload -> 'destination_health',
            json_build_object('verified', false, 'urls', json_build_array(), 'timeout_seconds', null, 'status', 'skipped',
                              'runtime_identity_status', 'unchecked', 'runtime_identity_detail', '',
                              'observed_runtime_identity', null)),
        'updated_at', updated_at,
        'deployment_record_id', record_id,
        'promotion_record_id', promotion_record_id,
        'promoted_from_instance', promoted_from_instance,
        'runtime_identity', payload -> 'runtime_identity',
        'bootstrap_record_id', '');

-- A new inventory with what stays of the one before: the last bootstrap attempt, and the promotion while the deployment is
-- still the one that it established.
create or replace function launchplane_inventory_over(
        fresh json, bootstrap_record_id text, promotion_record_id text, promoted_from_instance text)
    returns json language sql immutable parallel safe
    return case when coalesce(bootstrap_record_id, '') = '' and coalesce(promotion_record_id, '') = '' then fresh
                else (fresh::jsonb || jsonb_strip_nulls(jsonb_build_object(
                          'bootstrap_record_id', nullif(bootstrap_record_id, ''),
                          'promotion_record_id', nullif(promotion_record_id, ''),
                          'promoted_from_instance', nullif(promoted_from_instance, ''))))::json
           end;

-- ---- what an upsert replaced ----

-- Current records are replaced in place; what they said before is kept here. Append-only.
create table if not exists launchplane_record_versions (
  version_id bigint generated always as identity primary key,
  family text not null,
  record_key text not null,
  replaced_at timestamptz not null default clock_timestamp(),
  payload json not null
);
create index if not exists launchplane_record_versions_key_idx
  on launchplane_record_versions (family, record_key, version_id desc);

create or replace trigger launchplane_record_versions_append_only
  before update or delete on launchplane_record_versions
  for each row execute function launchplane_refuse_change();

-- The triggers compare inside the function: one with a condition would tie the type of the payload column.
create or replace function launchplane_keep_version() returns trigger language plpgsql as $$
declare
  record_key text;
begin
  if old.payload::text is not distinct from new.payload::text then
    return null;
  end if;
  if tg_argv[0] in ('deployment', 'promotion', 'backup_gate') then
    record_key := old.record_id;
  elsif tg_argv[0] = 'inventory' then
    record_key := old.context || '/' || old.instance;
  elsif tg_argv[0] = 'release_tuple' then
    record_key := old.context || '/' || old.channel;
  elsif tg_argv[0] = 'preview' then
    record_key := old.preview_id;
  else
    record_key := old.generation_id;
  end if;
  insert into launchplane_record_versions (family, record_key, payload) values (tg_argv[0], record_key, old.payload::json);
  return null;
end
$$;

create or replace trigger launchplane_deployments_versions after update on launchplane_deployments
  for each row execute function launchplane_keep_version('deployment');
create or replace trigger launchplane_promotions_versions after update on launchplane_promotions
  for each row execute function launchplane_keep_version('promotion');
create or replace trigger launchplane_backup_gates_versions after update on launchplane_backup_gates
  for each row execute function launchplane_keep_version('backup_gate');
create or replace trigger launchplane_inventory_versions after update on launchplane_inventory
  for each row execute function launchplane_keep_version('inventory');
create or replace trigger launchplane_release_tuples_versions after update on launchplane_release_tuples
  for each row execute function launchplane_keep_version('release_tuple');
create or replace trigger launchplane_preview_records_versions after update on launchplane_preview_records
  for each row execute function launchplane_keep_version('preview');
create or replace trigger launchplane_preview_generations_versions after update on launchplane_preview_generations
  for each row execute function launchplane_keep_version('preview_generation');

-- ---- one preview per anchor ----

-- A pull request has one preview, whatever comes in at once: evidence locks the anchor's row first. Of a database that holds
-- several for one anchor the newest counts.
create table if not exists launchplane_preview_anchors (
  context text not null,
  anchor_repo text not null,
  anchor_pr_number integer not null,
  preview_id text not null unique,
  primary key (context, anchor_repo, anchor_pr_number)
);
insert into launchplane_preview_anchors (context, anchor_repo, anchor_pr_number, preview_id)
select distinct on (context, anchor_repo, anchor_pr_number) context, anchor_repo, anchor_pr_number, preview_id
  from launchplane_preview_records
 order by context, anchor_repo, anchor_pr_number, updated_at desc, preview_id desc
on conflict do nothing;
