-- Schema 1. The row of an order is updated most. It has no secondary index, so that its updates stay on their page (HOT).
-- Journal and inbox only grow. Times are epoch seconds; to_timestamp(at) shows them.
-- json and not jsonb: it comes back as it was written, and a provider's text may hold what jsonb refuses.
CREATE TABLE of_schema (version integer NOT NULL);

CREATE TABLE of_orders (
    id         text PRIMARY KEY,
    provider   text NOT NULL,
    key        text NOT NULL,
    state      text NOT NULL,
    version    integer NOT NULL,
    facts      json NOT NULL,
    data       json NOT NULL,  -- holds personal data
    created_at double precision NOT NULL,
    entered_at double precision NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE of_journal (
    order_id text NOT NULL,
    version  integer NOT NULL,
    event    text NOT NULL,
    origin   text NOT NULL,
    source   text NOT NULL,
    target   text NOT NULL,
    kind     text NOT NULL,
    at       double precision NOT NULL,
    note     text NOT NULL,
    PRIMARY KEY (order_id, version)
);

CREATE TABLE of_refusals (
    order_id text NOT NULL,
    event    text NOT NULL,
    state    text NOT NULL,
    reason   text NOT NULL,
    origin   text NOT NULL,
    detail   text NOT NULL,
    version  integer NOT NULL,  -- of the order when it last happened
    count    integer NOT NULL,
    first_at double precision NOT NULL,
    last_at  double precision NOT NULL,
    PRIMARY KEY (order_id, event, state, reason)
) WITH (fillfactor = 70);

CREATE TABLE of_effects (
    order_id  text NOT NULL,
    version   integer NOT NULL,
    n         integer NOT NULL,
    name      text NOT NULL,
    provider  text NOT NULL,
    about     text NOT NULL DEFAULT '',         -- of a notification: the state that was entered
    owed      boolean NOT NULL DEFAULT true,
    attempt   integer NOT NULL DEFAULT 0,
    in_flight boolean NOT NULL DEFAULT false,   -- an attempt was begun and has not ended
    run_at    double precision NOT NULL,        -- when it is due, or when its lease ends
    why       text NOT NULL DEFAULT '',
    PRIMARY KEY (order_id, version, n)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX of_effects_due ON of_effects (run_at) WHERE owed;

CREATE TABLE of_deadlines (
    order_id text NOT NULL,
    name     text NOT NULL,
    provider text NOT NULL,
    version  integer NOT NULL,  -- of the order that armed it
    due_at   double precision NOT NULL,
    PRIMARY KEY (order_id, name)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX of_deadlines_due ON of_deadlines (due_at);

CREATE TABLE of_reads (
    order_id   text PRIMARY KEY,
    provider   text NOT NULL,
    next_at    double precision,                      -- NULL: none is planned yet
    last_at    double precision NOT NULL DEFAULT 0,   -- when the last one started
    noticed    boolean NOT NULL DEFAULT false,        -- requested since then
    tries      integer NOT NULL DEFAULT 0,            -- how many in a row brought no news
    planned_at double precision NOT NULL,             -- when the plan was made
    spacing    double precision NOT NULL              -- the least seconds between two polls
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX of_reads_due ON of_reads (next_at);
CREATE INDEX of_reads_oldest ON of_reads (provider, last_at);

CREATE TABLE of_listeners (
    provider text NOT NULL,
    state    text NOT NULL,
    PRIMARY KEY (provider, state)
);

CREATE TABLE of_inbox (
    origin      text NOT NULL,
    key         text NOT NULL,
    order_id    text NOT NULL,
    fingerprint text NOT NULL DEFAULT '',
    at          double precision NOT NULL,
    PRIMARY KEY (origin, key)
);
