-- Schema 6: what each step set. NULL: not recorded, as in rows of older versions; '': nothing.
ALTER TABLE of_journal ADD COLUMN facts TEXT;  -- JSON object
ALTER TABLE of_journal ADD COLUMN data TEXT;   -- JSON object, may hold personal data
