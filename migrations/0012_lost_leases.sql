-- How often workers lost an operation in a row, each without a checkpoint: what ends the workers that take it is told by that.

alter table launchplane_operations add column if not exists lost_leases integer not null default 0;
