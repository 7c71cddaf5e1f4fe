-- The journal that several jump hosts share: the same entries, in one chain, as each host's own copy has them.
-- Applied by the console's own migration engine to the database that [journal] url leads to.

CREATE SCHEMA muva_journal;

CREATE TABLE muva_journal.identity (
    one  integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    name uuid NOT NULL DEFAULT gen_random_uuid()       -- tells this journal from any other
);
INSERT INTO muva_journal.identity DEFAULT VALUES;

CREATE TABLE muva_journal.entry (
    id          bigint PRIMARY KEY CHECK (id > 0),     -- 1, 2, 3 … without a gap
    at          text NOT NULL,
    engineer    text NOT NULL CHECK (engineer <> ''),
    origin      text NOT NULL,
    session     text NOT NULL,
    environment text NOT NULL,
    kind        text NOT NULL CHECK (kind <> ''),
    subject     text NOT NULL,
    text        text NOT NULL,
    data        text NOT NULL,
    act         text NOT NULL,
    ref         bigint REFERENCES muva_journal.entry (id),
    prev_hash   text NOT NULL CHECK (length(prev_hash) = 64),
    hash        text NOT NULL UNIQUE CHECK (length(hash) = 64),
    content     text NOT NULL UNIQUE CHECK (length(content) = 64)  -- of what it says, wherever it stands
);

CREATE FUNCTION muva_journal.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: an entry is never changed or removed';
END;
$$;

CREATE TRIGGER entry_is_never_changed BEFORE UPDATE OR DELETE ON muva_journal.entry
    FOR EACH ROW EXECUTE FUNCTION muva_journal.refuse();

CREATE TRIGGER entries_are_never_removed BEFORE TRUNCATE ON muva_journal.entry
    FOR EACH STATEMENT EXECUTE FUNCTION muva_journal.refuse();

CREATE FUNCTION muva_journal.follow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    last record;
BEGIN
    SELECT id, hash INTO last FROM muva_journal.entry ORDER BY id DESC LIMIT 1;
    IF NEW.id <> coalesce(last.id, 0) + 1 OR NEW.prev_hash <> coalesce(last.hash, repeat('0', 64)) THEN
        RAISE EXCEPTION 'the journal is append-only: an entry follows the last one';
    END IF;
    RETURN NEW;
END;
$$;

CREATE TRIGGER entry_follows_the_last BEFORE INSERT ON muva_journal.entry
    FOR EACH ROW EXECUTE FUNCTION muva_journal.follow();
