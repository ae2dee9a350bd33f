-- Storing evidence costs less: what it asks of the inventory it replaces has columns of its own, and the statement that keeps
-- the replaced version itself spares the trigger.

-- Documents of up to 4 KB stay in the row as they are; compressing them cost more than all indexes together.
alter table launchplane_deployments set (toast_tuple_target = 4080);
alter table launchplane_record_versions set (toast_tuple_target = 4080);

-- What the payload says of the deploy's times and the last bootstrap. Null: not known, look there. kept: how many replaced
-- versions writers have kept themselves.
alter table launchplane_inventory
  add column if not exists deploy_started_at text,
  add column if not exists deploy_finished_at text,
  add column if not exists bootstrap_record_id text,
  add column if not exists kept bigint not null default 0;

-- A writer that counts kept up has kept the replaced version and says what the new payload holds. Of all others the triggers
-- keep the version, and what the columns said is forgotten.
create or replace function launchplane_inventory_forget() returns trigger language plpgsql as $$
begin
  new.deploy_started_at := null;
  new.deploy_finished_at := null;
  new.bootstrap_record_id := null;
  return new;
end
$$;

create or replace trigger launchplane_inventory_forget before update on launchplane_inventory
  for each row when (new.kept = old.kept) execute function launchplane_inventory_forget();
create or replace trigger launchplane_inventory_versions after update on launchplane_inventory
  for each row when (new.kept = old.kept) execute function launchplane_keep_version('inventory');
