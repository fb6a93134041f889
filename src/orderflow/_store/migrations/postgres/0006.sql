-- Schema 6. The moment of sending: schema 5 took each leased call for sent, so calls that it left under way stay in doubt.
ALTER TABLE of_effects ADD COLUMN sent boolean NOT NULL DEFAULT false;  -- the request was about to be sent, and its end is unknown
UPDATE of_effects SET sent = true WHERE owed AND in_flight AND name <> 'notify_listener';

-- A provider's id belongs to one order. Where two orders share one already, the earlier keeps it.
CREATE TABLE of_provider_ids (
    provider    text NOT NULL,
    provider_id text NOT NULL,
    order_id    text NOT NULL,
    PRIMARY KEY (provider, provider_id)
);
-- Data may hold escapes that ->> refuses: NUL and lone surrogates. They are removed before. An id longer than an index takes is left out.
INSERT INTO of_provider_ids (provider, provider_id, order_id)
SELECT provider, provider_id, id FROM (
    SELECT provider, provider_id, id, row_number() OVER (PARTITION BY provider, provider_id ORDER BY created_at, id) AS place
    FROM (
        SELECT
            provider, id, created_at,
            regexp_replace(data::text, '((?:\\\\)+)|\\u(?:0000|d[89a-f][0-9a-f]{2})', '\1', 'gi')::json ->> 'provider_id' AS provider_id
        FROM of_orders
        WHERE data::text LIKE '%"provider_id"%'
    ) AS known
    WHERE length(provider_id) <= 500
) AS ranked
WHERE place = 1;

-- What each step set, so that an order can be replayed. NULL: not recorded, as in rows of older versions; '': nothing.
ALTER TABLE of_journal ADD COLUMN facts text;  -- JSON object
ALTER TABLE of_journal ADD COLUMN data text;   -- JSON object, may hold personal data

-- A due deadline waits until a poll that began after it is answered.
ALTER TABLE of_deadlines ADD COLUMN decide_at double precision;  -- NULL: nothing was done yet; due_at: a poll was answered; later: it waits until then
DROP INDEX of_deadlines_due;
CREATE INDEX of_deadlines_due ON of_deadlines (coalesce(decide_at, due_at));

-- The standing of each provider, shared by all processes, and polls that were answered and could not be used.
ALTER TABLE of_providers ADD COLUMN problem text NOT NULL DEFAULT '';  -- a value of ProviderProblem; '': none
ALTER TABLE of_providers ADD COLUMN status integer;                   -- the HTTP status code that was answered last
ALTER TABLE of_providers ADD COLUMN since double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN seen_at double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN held_until double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_at double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_by text NOT NULL DEFAULT '';
ALTER TABLE of_polls ADD COLUMN unusable integer NOT NULL DEFAULT 0;  -- answers in a row that could not be used

-- Each lane, the calls of a provider or the notifications of one of its states, is leased by itself. A backlog of one hides no other.
DROP INDEX of_effects_due;
CREATE INDEX of_effects_due ON of_effects (provider, entered_state, run_at) WHERE owed;
DROP INDEX of_polls_due;
CREATE INDEX of_polls_due ON of_polls (provider, next_at);

-- When a restore from a backup was declared last, and up to when orders were pruned.
CREATE TABLE of_maintenance (
    task    text PRIMARY KEY,           -- 'restored' or 'pruned'
    at      double precision NOT NULL,  -- restored: when it was declared; pruned: to no deleted order had anything happened since
    done_by text NOT NULL               -- restored: who, and why
);

-- A key is used for one thing: the name of the command leaves it. Where two commands of an order shared a key, the first keeps it.
UPDATE of_inbox i SET key = renamed.key FROM (
    SELECT origin, former, key, row_number() OVER (PARTITION BY key ORDER BY at, former) AS place
    FROM (
        SELECT
            origin, key AS former, at,
            order_id || ' ' || substr(key, length(order_id) + 2 + strpos(substr(key, length(order_id) + 2), ':')) AS key
        FROM of_inbox WHERE origin = 'command' AND starts_with(key, order_id || ':')
    ) AS old
) AS renamed
WHERE i.origin = renamed.origin AND i.key = renamed.former AND renamed.place = 1;

-- Version 0.1 compared how a request was spelled. Without a fingerprint, a key matches any.
UPDATE of_inbox SET fingerprint = '' WHERE origin = 'create';
