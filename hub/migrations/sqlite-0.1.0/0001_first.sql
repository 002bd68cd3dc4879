-- The hub's database. Days are days since 1970-01-01, times milliseconds since the epoch.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE venue (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL
) STRICT;

CREATE TABLE device (
    id BLOB PRIMARY KEY,
    venue TEXT NOT NULL REFERENCES venue (id),
    name TEXT NOT NULL,
    public_key BLOB NOT NULL UNIQUE,
    revoked_at INTEGER,
    enrolled_at INTEGER NOT NULL,
    last_contact INTEGER,
    software TEXT,
    clock_offset INTEGER,
    catalogue_version INTEGER NOT NULL DEFAULT 0,
    venue_version INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE invitation (
    token_hash BLOB PRIMARY KEY,
    venue TEXT NOT NULL REFERENCES venue (id),
    name TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT;

-- The catalogue. Every changed item takes the next number of `meta.catalogue`, so that a page can
-- end behind any item.
CREATE TABLE pass (
    id INTEGER PRIMARY KEY,
    record BLOB NOT NULL,
    opening_points INTEGER NOT NULL,
    active INTEGER NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE card (
    identification TEXT PRIMARY KEY,
    pass INTEGER NOT NULL REFERENCES pass (id)
) STRICT;
CREATE INDEX card_of_pass ON card (pass);

CREATE TABLE activity (
    id INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    venue TEXT NOT NULL REFERENCES venue (id),
    record BLOB NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE reward (
    id INTEGER PRIMARY KEY,
    reward_id TEXT NOT NULL UNIQUE,
    record BLOB NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

CREATE TABLE policy (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    record BLOB NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

-- The ledgers. The natural key makes a repeat a no-op (invariant 2).
CREATE TABLE entry (
    venue TEXT NOT NULL,
    day INTEGER NOT NULL,
    writer BLOB NOT NULL,
    idx INTEGER NOT NULL,
    pass INTEGER,
    chip TEXT,
    bytes BLOB NOT NULL,
    PRIMARY KEY (venue, day, writer, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_of_pass ON entry (pass) WHERE pass IS NOT NULL;
CREATE INDEX entry_of_chip ON entry (chip) WHERE chip IS NOT NULL;

CREATE TABLE list (
    venue TEXT NOT NULL,
    day INTEGER NOT NULL,
    writer BLOB NOT NULL,
    device BLOB NOT NULL REFERENCES device (id),
    sequence INTEGER NOT NULL,
    head BLOB NOT NULL,
    PRIMARY KEY (venue, day, writer)
) STRICT, WITHOUT ROWID;
CREATE INDEX list_of_device ON list (device);

-- What was accepted, in order: what the venue's other desks are sent, with its device's seal.
CREATE TABLE accepted (
    version INTEGER PRIMARY KEY AUTOINCREMENT,
    venue TEXT NOT NULL,
    day INTEGER NOT NULL,
    writer BLOB NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE INDEX accepted_of_venue ON accepted (venue, version);

CREATE TABLE quarantine (
    venue TEXT NOT NULL,
    day INTEGER NOT NULL,
    writer BLOB NOT NULL,
    first INTEGER NOT NULL,
    entries BLOB NOT NULL,
    signature BLOB NOT NULL,
    carried_by BLOB NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL,
    UNIQUE (venue, day, writer, first, entries, signature)
) STRICT;
