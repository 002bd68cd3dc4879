-- Lists have numbers, so that an entry's key, which stands in each of its indexes, has some 6 bytes instead of some 45.
-- The number of a pass in the one sequence moves into a narrow table of its own: each fold gives its passes new numbers,
-- and the wide row, with its indexes, is written once for that.

ALTER TABLE list RENAME TO list_before;
DROP INDEX list_of_device;
CREATE TABLE list (
    id BIGINT PRIMARY KEY,
    venue TEXT NOT NULL,
    day BIGINT NOT NULL,
    writer BYTEA NOT NULL,
    device BYTEA NOT NULL,
    sequence BIGINT NOT NULL,
    head BYTEA NOT NULL,
    UNIQUE (venue, day, writer)
);
CREATE INDEX list_of_device ON list (device);
INSERT INTO list (id, venue, day, writer, device, sequence, head)
    SELECT ROW_NUMBER() OVER (ORDER BY venue, day, writer), venue, day, writer, device, sequence, head
    FROM list_before;
DROP TABLE list_before;
INSERT INTO ids (kind, next) SELECT 'list', COALESCE(MAX(id), 0) + 1 FROM list;

ALTER TABLE entry RENAME TO entry_before;
DROP INDEX entry_of_pass;
DROP INDEX entry_of_chip;
-- The key makes a repeat a no-op (invariant 2): a list is a venue, a day and a writer.
CREATE TABLE entry (
    list BIGINT NOT NULL,
    idx BIGINT NOT NULL,
    pass BIGINT,
    chip TEXT,
    -- As they came: a newer desk's fields are in them, and its seal is over them.
    bytes BYTEA NOT NULL,
    -- When the hub received it; NULL where it did not know the time.
    received BIGINT,
    -- The earliest moment at which it can have been written, where the hub can prove one.
    not_before BIGINT,
    -- To ask by: what the bytes say, and what the fold made of it. NULL where no pass is known.
    kind TEXT,
    activity BIGINT,
    reward BIGINT,
    points BIGINT,
    at BIGINT,
    outcome TEXT,
    PRIMARY KEY (list, idx)
);
CREATE INDEX entry_of_pass ON entry (pass) WHERE pass IS NOT NULL;
CREATE INDEX entry_of_chip ON entry (chip) WHERE chip IS NOT NULL;
-- There is no entry without a list; were there one, this would fail rather than lose it. SQLite reads the old table in
-- the order in which lists were just numbered, so the new one is filled from its beginning to its end.
INSERT INTO entry (list, idx, pass, chip, bytes, received, not_before, kind, activity, reward, points, at, outcome)
    SELECT (SELECT l.id FROM list l WHERE l.venue = e.venue AND l.day = e.day AND l.writer = e.writer),
        idx, pass, chip, bytes, received, not_before, kind, activity, reward, points, at, outcome
    FROM entry_before e;
DROP TABLE entry_before;

-- The number of each pass that has one, and whether it is on the deny list.
CREATE TABLE pass_version (
    pass BIGINT PRIMARY KEY,
    version BIGINT NOT NULL,
    denied BOOLEAN NOT NULL
);
INSERT INTO pass_version (pass, version, denied) SELECT id, version, NOT active FROM pass WHERE version > 0;
-- PostgreSQL: the passes that a transaction changed, as numbers with commas between, until they are numbered. One row for
-- each transaction.
CREATE TABLE pass_moved (
    passes TEXT NOT NULL
);
INSERT INTO pass_moved (passes) SELECT CAST(id AS TEXT) FROM pass WHERE version < 0;
DROP INDEX pass_of_version;
DROP INDEX pass_denied;
ALTER TABLE pass DROP COLUMN version;
CREATE INDEX pass_of_version ON pass_version (version);
CREATE INDEX pass_denied ON pass_version (version) WHERE denied;
