-- What all processes share about a provider, and the trace that an effect's span links back to.
CREATE TABLE of_providers (
    provider      text PRIMARY KEY,
    blocked_until double precision NOT NULL  -- the provider asked all of us to wait until then
);
ALTER TABLE of_effects ADD COLUMN spared integer NOT NULL DEFAULT 0;  -- attempts that do not count against the budget
ALTER TABLE of_effects ADD COLUMN trace text NOT NULL DEFAULT '';  -- W3C traceparent of the transition that owes it
