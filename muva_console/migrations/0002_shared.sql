-- Where this journal is a copy of one that several jump hosts share: of which, and up to where.

CREATE TABLE shared (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    journal   TEXT NOT NULL,                    -- the identity of the shared one
    confirmed INTEGER NOT NULL CHECK (confirmed >= 0) -- entries after this one wait to be sent
);
