-- Schema 1. The row of an order is updated most, and has no secondary index. Journal and inbox only grow. Times are epoch seconds.
CREATE TABLE of_schema (version INTEGER NOT NULL);

CREATE TABLE of_orders (
    id         TEXT PRIMARY KEY,
    provider   TEXT NOT NULL,
    key        TEXT NOT NULL,
    state      TEXT NOT NULL,
    version    INTEGER NOT NULL,
    facts      TEXT NOT NULL,  -- JSON object
    data       TEXT NOT NULL,  -- JSON object, holds personal data
    created_at REAL NOT NULL,
    entered_at REAL NOT NULL
);

CREATE TABLE of_journal (
    order_id TEXT NOT NULL,
    version  INTEGER NOT NULL,
    event    TEXT NOT NULL,
    origin   TEXT NOT NULL,
    source   TEXT NOT NULL,
    target   TEXT NOT NULL,
    kind     TEXT NOT NULL,
    at       REAL NOT NULL,
    note     TEXT NOT NULL,
    PRIMARY KEY (order_id, version)
) WITHOUT ROWID;

CREATE TABLE of_refusals (
    order_id TEXT NOT NULL,
    event    TEXT NOT NULL,
    state    TEXT NOT NULL,
    reason   TEXT NOT NULL,
    origin   TEXT NOT NULL,
    detail   TEXT NOT NULL,
    version  INTEGER NOT NULL,  -- of the order when it last happened
    count    INTEGER NOT NULL,
    first_at REAL NOT NULL,
    last_at  REAL NOT NULL,
    PRIMARY KEY (order_id, event, state, reason)
) WITHOUT ROWID;

CREATE TABLE of_effects (
    order_id  TEXT NOT NULL,
    version   INTEGER NOT NULL,
    n         INTEGER NOT NULL,
    name      TEXT NOT NULL,
    provider  TEXT NOT NULL,
    about     TEXT NOT NULL DEFAULT '',    -- of a notification: the state that was entered
    owed      INTEGER NOT NULL DEFAULT 1,
    attempt   INTEGER NOT NULL DEFAULT 0,
    in_flight INTEGER NOT NULL DEFAULT 0,  -- an attempt was begun and has not ended
    run_at    REAL NOT NULL,               -- when it is due, or when its lease ends
    why       TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (order_id, version, n)
) WITHOUT ROWID;
CREATE INDEX of_effects_due ON of_effects (run_at) WHERE owed = 1;

CREATE TABLE of_deadlines (
    order_id TEXT NOT NULL,
    name     TEXT NOT NULL,
    provider TEXT NOT NULL,
    version  INTEGER NOT NULL,  -- of the order that armed it
    due_at   REAL NOT NULL,
    PRIMARY KEY (order_id, name)
) WITHOUT ROWID;
CREATE INDEX of_deadlines_due ON of_deadlines (due_at);

CREATE TABLE of_reads (
    order_id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    next_at  REAL,                        -- NULL: none is planned yet
    last_at  REAL NOT NULL DEFAULT 0,     -- when the last one started
    noticed  INTEGER NOT NULL DEFAULT 0,  -- requested since then
    tries    INTEGER NOT NULL DEFAULT 0   -- how many in a row brought no news
) WITHOUT ROWID;
CREATE INDEX of_reads_due ON of_reads (next_at);
CREATE INDEX of_reads_oldest ON of_reads (provider, last_at);

CREATE TABLE of_listeners (
    provider TEXT NOT NULL,
    state    TEXT NOT NULL,
    PRIMARY KEY (provider, state)
) WITHOUT ROWID;

CREATE TABLE of_inbox (
    origin      TEXT NOT NULL,
    key         TEXT NOT NULL,
    order_id    TEXT NOT NULL,
    fingerprint TEXT NOT NULL DEFAULT '',
    at          REAL NOT NULL,
    PRIMARY KEY (origin, key)
) WITHOUT ROWID;
