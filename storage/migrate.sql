-- What the migration runner asks of a database. The schema is the connection's current one.

-- name: migrate_tables
select c.relname
  from pg_class c
 where c.relnamespace = current_schema()::regnamespace
   and c.relkind in ('r', 'p')
   and (starts_with(c.relname, 'launchplane_') or c.relname = 'alembic_version')
 order by c.relname;

-- name: migrate_columns
select c.relname, a.attname
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = current_schema()::regnamespace
   and c.relkind in ('r', 'p')
   and starts_with(c.relname, 'launchplane_')
   and a.attnum > 0
   and not a.attisdropped;

-- name: migrate_lock
select pg_try_advisory_xact_lock(7305614028319563);

-- name: migrate_patience
select set_config('statement_timeout', '15min', true), set_config('lock_timeout', '10s', true);

-- name: migrate_create_table
create table if not exists launchplane_schema_migrations (
  number integer not null primary key,
  name text not null,
  checksum text not null,
  applied_at timestamptz not null default now()
);

-- name: migrate_applied
select number, name, checksum, to_char(applied_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  from launchplane_schema_migrations
 order by number;

-- name: migrate_record
insert into launchplane_schema_migrations (number, name, checksum) values ($1, $2, $3);

-- name: migrate_create_alembic_version
create table if not exists alembic_version (
  version_num varchar(32) not null,
  constraint alembic_version_pkc primary key (version_num)
);
