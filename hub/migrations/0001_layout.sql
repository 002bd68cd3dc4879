-- The hub's database, for both engines. Days are days since 1970-01-01, times milliseconds since the epoch.
-- BIGINT, BYTEA and BOOLEAN are what PostgreSQL calls them; SQLite is told INTEGER, BLOB and INTEGER.
--
-- `version` is the number of a row in the one sequence that desks are told. A negative one is not numbered yet: rows
-- are written so on PostgreSQL, in their order, and numbered after the commit.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value BYTEA NOT NULL
);

-- How far the one sequence has come. One row, written by whoever holds the numbering lock.
CREATE TABLE counter (
    id BIGINT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counter (id, value) VALUES (1, 0);

-- The next serial number of each kind of thing.
CREATE TABLE ids (
    kind TEXT PRIMARY KEY,
    next BIGINT NOT NULL
);

-- Each start of a hub process opens a run: a version is a pair of a run's id and a number.
CREATE TABLE run (
    number BIGINT PRIMARY KEY,
    id BIGINT NOT NULL UNIQUE,
    begins BIGINT NOT NULL,
    opened_at BIGINT NOT NULL
);

-- When it was found that this database had been restored from an older copy, and which run was not known.
CREATE TABLE restored (
    found_at BIGINT NOT NULL,
    run BIGINT NOT NULL,
    PRIMARY KEY (found_at, run)
);

-- Desks that have not stated their grants since the restore: while there is one, nothing limited is granted.
CREATE TABLE hold (
    device BYTEA PRIMARY KEY,
    since BIGINT NOT NULL
);

-- What another process changed, for a server on SQLite, which cannot listen.
CREATE TABLE news (
    id BIGINT PRIMARY KEY,
    told TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE venue (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    time_zone TEXT NOT NULL,
    organiser TEXT
);

CREATE TABLE device (
    id BYTEA PRIMARY KEY,
    venue TEXT NOT NULL REFERENCES venue (id),
    name TEXT NOT NULL,
    public_key BYTEA NOT NULL UNIQUE,
    revoked_at BIGINT,
    enrolled_at BIGINT NOT NULL,
    last_contact BIGINT,
    software TEXT,
    clock_offset BIGINT,
    clock_heard_at BIGINT,
    all_held_at BIGINT,
    catalogue_version BIGINT NOT NULL DEFAULT 0,
    venue_version BIGINT NOT NULL DEFAULT 0,
    -- The hub itself writes corrections: it is a device, and not a desk.
    is_hub BOOLEAN NOT NULL DEFAULT FALSE,
    makes_cards BOOLEAN NOT NULL DEFAULT FALSE,
    sealing_key BYTEA,
    run BIGINT,
    run_before BIGINT,
    used_twice_since BIGINT,
    used_twice_at BIGINT,
    sent_again_at BIGINT,
    sent_again BIGINT
);
CREATE INDEX device_of_clock ON device (clock_heard_at) WHERE clock_heard_at IS NOT NULL;

CREATE TABLE invitation (
    token_hash BYTEA PRIMARY KEY,
    venue TEXT NOT NULL REFERENCES venue (id),
    name TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

-- The catalogue.
CREATE TABLE pass (
    id BIGINT PRIMARY KEY,
    record BYTEA NOT NULL,
    opening_points BIGINT NOT NULL,
    active BOOLEAN NOT NULL,
    version BIGINT NOT NULL,
    -- To ask by. Of the record's account:
    points BIGINT NOT NULL,
    debt BIGINT NOT NULL,
    -- The postal code of where the holder lives, as it is known now, and the year of birth: never in the catalogue.
    municipality TEXT,
    birth_year BIGINT,
    -- Standard and reduced subscriptions (museumPASS) look the same at the desk: only the hub knows.
    subscription TEXT,
    changed_at_desk BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX pass_of_version ON pass (version);
CREATE INDEX pass_denied ON pass (version) WHERE NOT active;
CREATE INDEX pass_in_debt ON pass (debt) WHERE debt > 0;

CREATE TABLE card (
    identification TEXT PRIMARY KEY,
    pass BIGINT NOT NULL
);
CREATE INDEX card_of_pass ON card (pass);

CREATE TABLE activity (
    id BIGINT PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    venue TEXT NOT NULL REFERENCES venue (id),
    record BYTEA NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX activity_of_version ON activity (version);

CREATE TABLE reward (
    id BIGINT PRIMARY KEY,
    reward_id TEXT NOT NULL UNIQUE,
    record BYTEA NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX reward_of_version ON reward (version);

CREATE TABLE card_system (
    id BIGINT PRIMARY KEY,
    record BYTEA NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX card_system_of_version ON card_system (version);

CREATE TABLE coupon (
    id BIGINT PRIMARY KEY,
    coupon_id TEXT NOT NULL UNIQUE,
    record BYTEA NOT NULL,
    -- Where people must live to be granted it: no business of the desks.
    residence TEXT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX coupon_of_version ON coupon (version);

-- One policy for each venue: its own, or a copy of the default one (`meta.policy`).
CREATE TABLE policy (
    venue TEXT PRIMARY KEY REFERENCES venue (id),
    own BOOLEAN NOT NULL,
    record BYTEA NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX policy_of_version ON policy (version);

-- The sealed part of a record, and the key that its card locks hold, so that a new card can be given a lock.
CREATE TABLE holder (
    pass BIGINT PRIMARY KEY,
    content_key BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX holder_of_version ON holder (version);

-- Rows of catalogue files as they were last taken, by their printed numbers: an unchanged row must not undo what
-- desks have asked since.
CREATE TABLE imported (
    number TEXT PRIMARY KEY,
    row_hash BYTEA NOT NULL,
    card_status TEXT
);

-- Limited stock. `total` is the contract's `maxAvailableUnits`.
CREATE TABLE stock (
    reward BIGINT PRIMARY KEY,
    total BIGINT NOT NULL
);

CREATE TABLE stock_grant (
    id BIGINT PRIMARY KEY,
    reward BIGINT NOT NULL REFERENCES stock (reward),
    device BYTEA NOT NULL REFERENCES device (id),
    first BIGINT NOT NULL,
    count BIGINT NOT NULL,
    state TEXT NOT NULL,
    stated_used TEXT,
    used_at_write_off TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX stock_grant_of_reward ON stock_grant (reward);
CREATE INDEX stock_grant_of_device ON stock_grant (device);

-- Which entry handed out which unit, and whether it stands.
CREATE TABLE unit_use (
    venue TEXT NOT NULL,
    day BIGINT NOT NULL,
    writer BYTEA NOT NULL,
    idx BIGINT NOT NULL,
    reward BIGINT NOT NULL,
    grant_id BIGINT NOT NULL,
    unit BIGINT NOT NULL,
    stands BOOLEAN NOT NULL,
    PRIMARY KEY (venue, day, writer, idx)
);
CREATE INDEX unit_use_of_reward ON unit_use (reward);

-- The ledgers. The natural key makes a repeat a no-op (invariant 2).
CREATE TABLE entry (
    venue TEXT NOT NULL,
    day BIGINT NOT NULL,
    writer BYTEA NOT NULL,
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
    PRIMARY KEY (venue, day, writer, idx)
);
CREATE INDEX entry_of_pass ON entry (pass) WHERE pass IS NOT NULL;
CREATE INDEX entry_of_chip ON entry (chip) WHERE chip IS NOT NULL;

CREATE TABLE list (
    venue TEXT NOT NULL,
    day BIGINT NOT NULL,
    writer BYTEA NOT NULL,
    device BYTEA NOT NULL,
    sequence BIGINT NOT NULL,
    head BYTEA NOT NULL,
    PRIMARY KEY (venue, day, writer)
);
CREATE INDEX list_of_device ON list (device);

-- What was accepted: what the venue's other desks are sent, in the order of its numbers, with its device's seal.
CREATE TABLE accepted (
    venue TEXT NOT NULL,
    day BIGINT NOT NULL,
    writer BYTEA NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    signature BYTEA NOT NULL,
    received BIGINT,
    version BIGINT NOT NULL,
    PRIMARY KEY (venue, day, writer, first)
);
CREATE INDEX accepted_of_venue ON accepted (venue, version);
CREATE INDEX accepted_of_version ON accepted (version);

CREATE TABLE quarantine (
    venue TEXT NOT NULL,
    day BIGINT NOT NULL,
    writer BYTEA NOT NULL,
    first BIGINT NOT NULL,
    -- SHA-256 of entries and signature: what comes again is set apart once.
    hash BYTEA NOT NULL,
    entries BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    carried_by BYTEA NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (venue, day, writer, first, hash)
);

-- What was asked and answered: a repeat is answered the same. Nothing of its contents is kept.
CREATE TABLE request (
    id BYTEA PRIMARY KEY,
    device BYTEA NOT NULL,
    kind TEXT NOT NULL,
    refused TEXT,
    at BIGINT NOT NULL,
    -- What was paid at the desk for a registration that was done.
    paid_cents BIGINT
);

-- Keys of cards that cannot be faked. They leave this database sealed to one desk each, or not at all.
CREATE TABLE card_key_set (
    number BIGINT PRIMARY KEY,
    -- Masters of AES keys; none in a set of signatures alone.
    check_key BYTEA,
    change_key BYTEA,
    signing_seed BYTEA NOT NULL,
    made_at BIGINT NOT NULL,
    retired_at BIGINT
);

-- One row: another random number with every change of a set, or of what a desk may do with them.
CREATE TABLE card_keys_version (
    id BIGINT PRIMARY KEY,
    version BIGINT NOT NULL
);
