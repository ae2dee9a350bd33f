-- The audit log (docs/audit.md). A writer inserts an entry without a position, a row of its own, in the transaction of the
-- change it tells of: no writer waits for another. The sequencer gives committed entries positions without gaps; an entry that
-- commits late is still pending then and is found by the next round.

create table if not exists launchplane_audit_pending (
  entry_id bigint generated always as identity primary key,
  leaf json not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 10000);

-- leaf is json, not jsonb: its text is hashed as it is. hashes: of the leaf, then of each complete subtree that ends with it,
-- from small to large (RFC 6962); 32 bytes each.
create table if not exists launchplane_audit_entries (
  position bigint not null primary key check (position >= 0),
  leaf json not null,
  hashes bytea not null check (octet_length(hashes) >= 32 and octet_length(hashes) % 32 = 0)
);
create index if not exists launchplane_audit_entries_product_idx on launchplane_audit_entries ((leaf ->> 'product'), position);
create index if not exists launchplane_audit_entries_action_idx on launchplane_audit_entries ((leaf ->> 'action'), position);
create index if not exists launchplane_audit_entries_at_idx on launchplane_audit_entries ((leaf ->> 'at'), position);

-- Public keys that have signed. sealed: the private one, if it was made here, under the service's master key.
create table if not exists launchplane_audit_keys (
  key_id text not null primary key,
  origin text not null,
  public_key text not null,
  source text not null check (source in ('generated', 'setting')),
  sealed text check ((sealed is not null) = (source = 'generated')),
  created_at timestamptz not null default now()
);

-- note is the signed text of a checkpoint of the first size entries.
create table if not exists launchplane_audit_checkpoints (
  size bigint not null primary key check (size > 0),
  key_id text not null references launchplane_audit_keys,
  note text not null
);

-- The sequencer takes entries out of the pending table; by any other hand that is refused.
create or replace function launchplane_audit_keep_pending() returns trigger language plpgsql as $$
begin
  if current_setting('launchplane.audit_sequencing', true) = 'on' then
    return old;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;

create or replace trigger launchplane_audit_pending_kept
  before delete on launchplane_audit_pending
  for each row execute function launchplane_audit_keep_pending();
create or replace trigger launchplane_audit_pending_append_only
  before update on launchplane_audit_pending
  for each row execute function launchplane_refuse_change();
create or replace trigger launchplane_audit_pending_whole
  before truncate on launchplane_audit_pending
  for each statement execute function launchplane_refuse_change();
create or replace trigger launchplane_audit_entries_append_only
  before update or delete on launchplane_audit_entries
  for each row execute function launchplane_refuse_change();
create or replace trigger launchplane_audit_entries_whole
  before truncate on launchplane_audit_entries
  for each statement execute function launchplane_refuse_change();
create or replace trigger launchplane_audit_checkpoints_append_only
  before update or delete on launchplane_audit_checkpoints
  for each row execute function launchplane_refuse_change();
create or replace trigger launchplane_audit_checkpoints_whole
  before truncate on launchplane_audit_checkpoints
  for each statement execute function launchplane_refuse_change();
create or replace trigger launchplane_audit_keys_append_only
  before update or delete on launchplane_audit_keys
  for each row execute function launchplane_refuse_change();
create or replace trigger launchplane_audit_keys_whole
  before truncate on launchplane_audit_keys
  for each statement execute function launchplane_refuse_change();
