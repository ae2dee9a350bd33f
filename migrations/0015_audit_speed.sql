-- Giving a leaf its position costs less.

-- Nobody asks for the entries of an operation by this index; the operation's own events tell its story.
drop index if exists launchplane_audit_entries_operation_idx;

-- Asked once for a statement, not for each row.
drop trigger if exists launchplane_audit_pending_kept on launchplane_audit_pending;
create or replace function launchplane_audit_keep_pending() returns trigger language plpgsql as $$
begin
  if current_setting('launchplane.audit_sequencing', true) = 'on' then
    return null;
  end if;
  raise exception '% is append-only', tg_table_name using errcode = 'restrict_violation';
end
$$;
create or replace trigger launchplane_audit_pending_kept
  before delete on launchplane_audit_pending
  for each statement execute function launchplane_audit_keep_pending();
