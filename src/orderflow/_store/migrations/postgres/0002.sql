-- Schema 2: what all processes share about a provider, and the trace that an effect's span links to.
CREATE TABLE of_providers (
    provider      text PRIMARY KEY,
    blocked_until double precision NOT NULL  -- the provider asked all processes to wait until then
);
ALTER TABLE of_effects ADD COLUMN spared integer NOT NULL DEFAULT 0;  -- attempts that do not count against the budget
ALTER TABLE of_effects ADD COLUMN trace text NOT NULL DEFAULT '';  -- W3C traceparent of the decision that owes it
