-- A pass that a desk's request changed: sold, replaced, reported lost, linked with a chip. What a file says of its
-- cards and holder is older than that.
ALTER TABLE pass ADD COLUMN changed_at_desk INTEGER NOT NULL DEFAULT 0;

-- What the last file said of the card's state: where it says something else now, the file has seen more.
ALTER TABLE imported ADD COLUMN card_status TEXT;
