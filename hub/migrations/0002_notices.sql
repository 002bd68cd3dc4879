-- What the hub states to desks, signed, so that they can tell it again where this database is put back from an older
-- copy: revoked devices, used invitations, enrolled desks.
CREATE TABLE notice (
    -- SHA-256 of the notice: what is stated again is stated once.
    id BYTEA PRIMARY KEY,
    -- Whose desks are told; NULL where all are.
    venue TEXT,
    notice BYTEA NOT NULL,
    signature BYTEA NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX notice_of_version ON notice (version);

-- Devices that were revoked and that this database does not know, for it is an older copy.
CREATE TABLE revoked (
    device BYTEA PRIMARY KEY
);
