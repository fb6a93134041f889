-- Schema 2: what all processes share about a provider, and the trace that an effect's span links to.
CREATE TABLE of_providers (
    provider      TEXT PRIMARY KEY,
    blocked_until REAL NOT NULL  -- the provider asked all processes to wait until then
) WITHOUT ROWID;
ALTER TABLE of_effects ADD COLUMN spared INTEGER NOT NULL DEFAULT 0;  -- attempts that do not count against the budget
ALTER TABLE of_effects ADD COLUMN trace TEXT NOT NULL DEFAULT '';  -- W3C traceparent of the decision that owes it
