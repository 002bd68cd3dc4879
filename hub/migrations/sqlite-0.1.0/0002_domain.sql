-- Card systems, coupons, policies per venue, limited stock, requests, the sealed parts of records.

ALTER TABLE venue ADD COLUMN organiser TEXT;

-- The hub itself writes corrections: it is a device, and not a desk.
ALTER TABLE device ADD COLUMN is_hub INTEGER NOT NULL DEFAULT 0;

CREATE TABLE card_system (
    id INTEGER PRIMARY KEY,
    record BLOB NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

-- Where people must live to be granted a coupon is no business of the desks.
CREATE TABLE coupon (
    id INTEGER PRIMARY KEY,
    coupon_id TEXT NOT NULL UNIQUE,
    record BLOB NOT NULL,
    residence TEXT NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

-- One policy for each venue: its own, or a copy of the default one (`meta.policy`).
DROP TABLE policy;
CREATE TABLE policy (
    venue TEXT PRIMARY KEY REFERENCES venue (id),
    own INTEGER NOT NULL,
    record BLOB NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

-- Standard and reduced subscriptions (museumPASS) look the same at the desk: only the hub knows.
ALTER TABLE pass ADD COLUMN subscription TEXT;
ALTER TABLE pass ADD COLUMN postal_code TEXT;

-- The sealed part of a record, and the key that its card locks hold, so that a new card can be given
-- a lock. A version of its own: sealed parts are sent behind everything else.
CREATE TABLE holder (
    pass INTEGER PRIMARY KEY REFERENCES pass (id),
    content_key BLOB NOT NULL,
    sealed BLOB NOT NULL,
    version INTEGER NOT NULL UNIQUE
) STRICT;

-- Limited stock. `total` is the contract's `maxAvailableUnits`.
CREATE TABLE stock (
    reward INTEGER PRIMARY KEY REFERENCES reward (id),
    total INTEGER NOT NULL
) STRICT;

CREATE TABLE stock_grant (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    reward INTEGER NOT NULL REFERENCES stock (reward),
    device BLOB NOT NULL REFERENCES device (id),
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    state TEXT NOT NULL,
    stated_used TEXT,
    used_at_write_off TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX stock_grant_of_reward ON stock_grant (reward);
CREATE INDEX stock_grant_of_device ON stock_grant (device);

-- Which entry handed out which unit, and whether it stands.
CREATE TABLE unit_use (
    venue TEXT NOT NULL,
    day INTEGER NOT NULL,
    writer BLOB NOT NULL,
    idx INTEGER NOT NULL,
    reward INTEGER NOT NULL,
    grant_id INTEGER NOT NULL,
    unit INTEGER NOT NULL,
    stands INTEGER NOT NULL,
    PRIMARY KEY (venue, day, writer, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX unit_use_of_reward ON unit_use (reward);

-- Rows of catalogue files as they were last taken, by their printed numbers: an unchanged row must
-- not undo what desks have asked since.
CREATE TABLE imported (
    number TEXT PRIMARY KEY,
    row_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What was asked and answered: a repeat is answered the same. Nothing of its contents is kept.
CREATE TABLE request (
    id BLOB PRIMARY KEY,
    device BLOB NOT NULL,
    kind TEXT NOT NULL,
    refused TEXT,
    at INTEGER NOT NULL,
    -- What was paid at the desk for a registration that was done.
    paid_cents INTEGER
) STRICT, WITHOUT ROWID;
