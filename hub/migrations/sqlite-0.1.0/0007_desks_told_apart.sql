-- A desk whose folder was copied: two daemons with one key. Each start of a daemon is a run with a random
-- number; a run that comes back after another one began, or lives beside it, belongs to a copy.
ALTER TABLE device ADD COLUMN run INTEGER;
ALTER TABLE device ADD COLUMN run_before INTEGER;
ALTER TABLE device ADD COLUMN used_twice_since INTEGER;
ALTER TABLE device ADD COLUMN used_twice_at INTEGER;

-- A hub that was restored from an older copy is sent again what it had lost: when, and how many entries.
ALTER TABLE device ADD COLUMN sent_again_at INTEGER;
ALTER TABLE device ADD COLUMN sent_again INTEGER;
