-- Schema 6: the moment of sending. Schema 5 took each leased call for sent, so calls that it left under way stay in doubt.
ALTER TABLE of_effects ADD COLUMN sent INTEGER NOT NULL DEFAULT 0;  -- the request was about to be sent, and its end is unknown
UPDATE of_effects SET sent = 1 WHERE owed = 1 AND in_flight = 1 AND name <> 'notify_listener';
