-- When the hub received an entry, in milliseconds since the epoch. NULL where the hub did not know the time, and for
-- entries from before this column that are dated no later than this migration: those count when they say.
ALTER TABLE entry ADD COLUMN received INTEGER;

-- The earliest moment at which an entry can have been written, where the hub can prove one.
ALTER TABLE entry ADD COLUMN not_before INTEGER;

-- The same for the batch, never NULL from here on: the row of the greatest version has the newest receipt.
ALTER TABLE accepted ADD COLUMN received INTEGER;

-- The desk's clock as it was last heard: when that was by the hub's clock (`clock_offset` is what it was off then),
-- and the last time that both agreed while the hub held everything that the desk had written.
ALTER TABLE device ADD COLUMN clock_heard_at INTEGER;
ALTER TABLE device ADD COLUMN all_held_at INTEGER;
CREATE INDEX device_of_clock ON device (clock_heard_at) WHERE clock_heard_at IS NOT NULL;

-- Entries of the days to come were received before now, so they are of today at the latest. Now is the latest time
-- that this database knows, should the clock of this computer be behind.
CREATE TEMPORARY TABLE known_now AS
    SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000 AS at
    UNION ALL SELECT COALESCE(MAX(last_contact), 0) FROM device
    UNION ALL SELECT COALESCE(MAX(enrolled_at), 0) FROM device
    UNION ALL SELECT COALESCE(MAX(at), 0) FROM request
    UNION ALL SELECT COALESCE(MAX(at), 0) FROM quarantine;
UPDATE entry SET received = (SELECT MAX(at) FROM known_now)
WHERE day > (SELECT MAX(at) FROM known_now) / 86400000 + 1;
DROP TABLE known_now;
