-- The journal: an append-only, hash-chained record of everything done and found.
-- Written for SQLite 3.31 and later (no STRICT, no RETURNING): long-lived jump hosts have old libraries.

CREATE TABLE entry (
    id          INTEGER PRIMARY KEY CHECK (id > 0),                    -- 1, 2, 3 … without a gap
    at          TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??.??????Z'), -- when it was written, UTC
    engineer    TEXT NOT NULL CHECK (engineer <> ''),
    origin      TEXT NOT NULL,                                        -- host and circumstances of the login
    session     TEXT NOT NULL,                                        -- one opening of the journal by one process
    environment TEXT NOT NULL,                                        -- empty when about none
    kind        TEXT NOT NULL CHECK (kind <> ''),
    subject     TEXT NOT NULL,
    text        TEXT NOT NULL,
    data        TEXT NOT NULL,                                        -- canonical JSON
    act         TEXT NOT NULL,                                        -- joins the begin and the end of one act
    ref         INTEGER REFERENCES entry (id),                        -- the entry this one is about
    prev_hash   TEXT NOT NULL CHECK (length(prev_hash) = 64),
    hash        TEXT NOT NULL UNIQUE CHECK (length(hash) = 64)
);

CREATE INDEX entry_environment ON entry (environment, id);
CREATE INDEX entry_kind ON entry (kind, id);
CREATE INDEX entry_act ON entry (act, kind);

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE ON entry
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an entry is never changed');
END;

CREATE TRIGGER entry_is_never_removed BEFORE DELETE ON entry
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an entry is never removed');
END;

-- Holds the chain against a faulty program; a person with the file in hand is found by its verification.
-- It also stops INSERT OR REPLACE, which removes rows without firing the trigger above.
CREATE TRIGGER entry_follows_the_last BEFORE INSERT ON entry
WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM entry)
  OR NEW.prev_hash IS NOT coalesce(
         (SELECT hash FROM entry ORDER BY id DESC LIMIT 1),
         '0000000000000000000000000000000000000000000000000000000000000000')
BEGIN
    SELECT RAISE(ABORT, 'the journal is append-only: an entry follows the last one');
END;
