-- What lists of the audit log go by stands in columns: five indexes on expressions parsed each leaf eight times. The sequencer
-- fills them; `launchplane audit verify` holds them against the leaf.

alter table launchplane_audit_entries
  add column if not exists at text,
  add column if not exists product text,
  add column if not exists action text,
  add column if not exists deployment_record_id text,
  add column if not exists promotion_record_id text;

-- Entries that came without: of a process of an earlier release, and leaves that only PostgreSQL could read.
create or replace function launchplane_audit_file() returns trigger language plpgsql as $$
begin
  new.at := new.leaf ->> 'at';
  new.product := new.leaf ->> 'product';
  new.action := new.leaf ->> 'action';
  new.deployment_record_id := new.leaf -> 'records' ->> 'deployment_record_id';
  new.promotion_record_id := new.leaf -> 'records' ->> 'promotion_record_id';
  return new;
end
$$;
create or replace trigger launchplane_audit_entries_filed
  before insert on launchplane_audit_entries
  for each row when (new.at is null) execute function launchplane_audit_file();

alter table launchplane_audit_entries disable trigger launchplane_audit_entries_append_only;
update launchplane_audit_entries
   set at = leaf ->> 'at', product = leaf ->> 'product', action = leaf ->> 'action',
       deployment_record_id = leaf -> 'records' ->> 'deployment_record_id',
       promotion_record_id = leaf -> 'records' ->> 'promotion_record_id'
 where at is null;
alter table launchplane_audit_entries enable trigger launchplane_audit_entries_append_only;

drop index if exists launchplane_audit_entries_product_idx, launchplane_audit_entries_action_idx,
  launchplane_audit_entries_at_idx, launchplane_audit_entries_promotion_idx, launchplane_audit_entries_deployment_idx;
create index if not exists launchplane_audit_entries_by_product_idx on launchplane_audit_entries (product, position);
create index if not exists launchplane_audit_entries_by_action_idx on launchplane_audit_entries (action, position);
create index if not exists launchplane_audit_entries_by_time_idx on launchplane_audit_entries (at, position);
create index if not exists launchplane_audit_entries_by_promotion_idx
  on launchplane_audit_entries (promotion_record_id, position) where promotion_record_id is not null;
create index if not exists launchplane_audit_entries_by_deployment_idx
  on launchplane_audit_entries (deployment_record_id, position) where deployment_record_id is not null;
