-- Keys of cards that cannot be faked. They leave this database sealed to one desk each, or not at all.

CREATE TABLE card_key_set (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 255),
    -- Masters of AES keys; none in a set of signatures alone.
    check_key BLOB,
    change_key BLOB,
    signing_seed BLOB NOT NULL,
    made_at INTEGER NOT NULL,
    retired_at INTEGER
) STRICT;

-- One row: another random number with every change of a set, or of what a desk may do with them.
CREATE TABLE card_keys_version (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;

-- Whether a desk makes cards, and the key to which its card keys are sealed, once it has said it.
ALTER TABLE device ADD COLUMN makes_cards INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device ADD COLUMN sealing_key BLOB;
