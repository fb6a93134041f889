-- Schema 5: what each call is made with.
ALTER TABLE of_effects ADD COLUMN arguments TEXT NOT NULL DEFAULT '';  -- JSON object, may hold personal data; '': it has none
