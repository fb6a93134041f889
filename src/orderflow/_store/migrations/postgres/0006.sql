-- Schema 6: the standing of each provider, shared by all processes, and polls that were answered and could not be used.
ALTER TABLE of_providers ADD COLUMN problem text NOT NULL DEFAULT '';  -- a value of ProviderProblem; '': none
ALTER TABLE of_providers ADD COLUMN status integer;                   -- the HTTP status code that was answered last
ALTER TABLE of_providers ADD COLUMN since double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN seen_at double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN held_until double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_at double precision NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_by text NOT NULL DEFAULT '';
ALTER TABLE of_polls ADD COLUMN unusable integer NOT NULL DEFAULT 0;  -- answers in a row that could not be used
