-- Schema 6: the standing of each provider, shared by all processes, and polls that were answered and could not be used.
ALTER TABLE of_providers ADD COLUMN problem TEXT NOT NULL DEFAULT '';  -- a value of ProviderProblem; '': none
ALTER TABLE of_providers ADD COLUMN status INTEGER;                   -- the HTTP status code that was answered last
ALTER TABLE of_providers ADD COLUMN since REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN seen_at REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN held_until REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_at REAL NOT NULL DEFAULT 0;
ALTER TABLE of_providers ADD COLUMN lifted_by TEXT NOT NULL DEFAULT '';
ALTER TABLE of_polls ADD COLUMN unusable INTEGER NOT NULL DEFAULT 0;  -- answers in a row that could not be used
