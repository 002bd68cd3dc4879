-- A pass that a desk's request changed: sold, replaced, reported lost, linked with a chip. What a file says of its
-- cards and holder is older than that.
ALTER TABLE pass ADD COLUMN changed_at_desk INTEGER NOT NULL DEFAULT 0;
