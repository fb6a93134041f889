-- Schema 4: what providers answered, for the person who resolves a doubt.
CREATE TABLE of_messages (
    order_id     text NOT NULL,
    source       text NOT NULL,     -- the effect whose call was answered, or poll
    status       integer NOT NULL,
    digest       text NOT NULL,     -- of the body: an equal one is counted and not stored again
    content_type text NOT NULL,
    truncated    boolean NOT NULL,
    count        integer NOT NULL,
    at           double precision NOT NULL,
    last_at      double precision NOT NULL,
    body         text NOT NULL,     -- may hold personal data
    PRIMARY KEY (order_id, source, status, digest)
) WITH (fillfactor = 70);
