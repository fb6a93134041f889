-- Schema 4: what providers answered, for the person who resolves a doubt.
CREATE TABLE of_messages (
    order_id     TEXT NOT NULL,
    source       TEXT NOT NULL,     -- the effect whose call was answered, or poll
    status       INTEGER NOT NULL,
    digest       TEXT NOT NULL,     -- of the body: an equal one is counted and not stored again
    content_type TEXT NOT NULL,
    truncated    INTEGER NOT NULL,
    count        INTEGER NOT NULL,
    at           REAL NOT NULL,
    last_at      REAL NOT NULL,
    body         TEXT NOT NULL,     -- may hold personal data; it is last because it may be long
    PRIMARY KEY (order_id, source, status, digest)
);
