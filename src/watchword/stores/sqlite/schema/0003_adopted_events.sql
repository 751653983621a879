-- Where an event came from that another store committed: it is taken over once.
ALTER TABLE audit ADD COLUMN place TEXT;

CREATE UNIQUE INDEX audit_place ON audit (place) WHERE place IS NOT NULL;
