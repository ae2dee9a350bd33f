-- An operation's checkpoints move its row within its page (storage/operation.sql): leave room for some of them, so that no
-- index has to follow.
alter table launchplane_operations set (fillfactor = 60);
