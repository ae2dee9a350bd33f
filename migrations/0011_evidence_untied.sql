-- The functions and triggers of 0007 without ties to the tables' shapes: a column may change its type, a table may go.

drop function if exists launchplane_inventory_from(launchplane_deployments, text, text, text);

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
