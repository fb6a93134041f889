-- Schema 6: the moment of sending. Schema 5 took each leased call for sent, so calls that it left under way stay in doubt.
ALTER TABLE of_effects ADD COLUMN sent boolean NOT NULL DEFAULT false;  -- the request was about to be sent, and its end is unknown
UPDATE of_effects SET sent = true WHERE owed AND in_flight AND name <> 'notify_listener';
