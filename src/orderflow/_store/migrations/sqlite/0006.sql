-- Schema 6. The moment of sending: schema 5 took each leased call for sent, so calls that it left under way stay in doubt.
ALTER TABLE of_effects ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;  -- the request was about to be sent, and its end is unknown
UPDATE of_effects SET sent = 1 WHERE owed = 1 AND in_flight = 1 AND name <> 'notify_listener';

-- A provider's id belongs to one order. Where two orders share one already, the earlier keeps it.
CREATE TABLE of_provider_ids (
    provider    TEXT NOT NULL,
    provider_id TEXT NOT NULL,
    order_id    TEXT NOT NULL,
    PRIMARY KEY (provider, provider_id)
) WITHOUT ROWID;
INSERT INTO of_provider_ids (provider, provider_id, order_id)
SELECT provider, provider_id, id FROM (
    SELECT provider, provider_id, id, row_number() OVER (PARTITION BY provider, provider_id ORDER BY created_at, id) AS place
    FROM (SELECT provider, id, created_at, CAST(json_extract(data, '$.provider_id') AS TEXT) AS provider_id FROM of_orders) AS known
    WHERE provider_id IS NOT NULL
) AS ranked
WHERE place = 1;

-- What each step set, so that an order can be replayed. NULL: not recorded, as in rows of older versions; '': nothing.
ALTER TABLE of_journal ADD COLUMN facts TEXT;  -- JSON object
ALTER TABLE of_journal ADD COLUMN data TEXT;   -- JSON object, may hold personal data

-- A due deadline waits until a poll that began after it is answered.
ALTER TABLE of_deadlines ADD COLUMN decide_at REAL;  -- NULL: nothing was done yet; due_at: a poll was answered; later: it waits until then
DROP INDEX of_deadlines_due;
CREATE INDEX of_deadlines_due ON of_deadlines (coalesce(decide_at, due_at));

-- The standing of each provider, shared by all processes, and polls that were answered and could not be used.
ALTER TABLE of_providers ADD COLUMN problem TEXT NOT NULL DEFAULT '';  -- a value of ProviderProblem; '': none
ALTER TABLE of_providers ADD COLUMN status INTEGER;                   -- the HTTP status code that was answered last
ALTER TABLE of_providers ADD COLUMN since REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN seen_at REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN held_until REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_at REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_by TEXT NOT NULL DEFAULT '';
ALTER TABLE of_polls ADD COLUMN unusable INTEGER NOT NULL DEFAULT 0;  -- answers in a row that could not be used

-- Each lane, the calls of a provider or the notifications of one of its states, is leased by itself. A backlog of one hides no other.
DROP INDEX of_effects_due;
CREATE INDEX of_effects_due ON of_effects (provider, entered_state, run_at) WHERE owed = 1;
DROP INDEX of_polls_due;
CREATE INDEX of_polls_due ON of_polls (provider, next_at);

-- When a restore from a backup was declared last, and up to when orders were pruned.
CREATE TABLE of_maintenance (
    task    TEXT PRIMARY KEY,  -- 'restored' or 'pruned'
    at      REAL NOT NULL,     -- restored: when it was declared; pruned: to no deleted order had anything happened since
    done_by TEXT NOT NULL      -- restored: who, and why
) WITHOUT ROWID;

-- A key is used for one thing: the name of the command leaves it. Where two commands of an order shared a key, one of them keeps it.
UPDATE OR IGNORE of_inbox
SET key = order_id || ' ' || substr(key, length(order_id) + 2 + instr(substr(key, length(order_id) + 2), ':'))
WHERE origin = 'command' AND substr(key, 1, length(order_id) + 1) = order_id || ':';

-- Version 0.1 compared how a request was spelled. Without a fingerprint, a key matches any.
UPDATE of_inbox SET fingerprint = '' WHERE origin = 'create';
