-- Schema 3: names only. Tables, columns and stored words are now the ones that code and documentation use.
ALTER TABLE of_reads RENAME TO of_polls;
ALTER TABLE of_polls RENAME COLUMN noticed TO requested;
ALTER TABLE of_polls RENAME COLUMN tries TO without_news;
DROP INDEX of_reads_due;
DROP INDEX of_reads_oldest;
CREATE INDEX of_polls_due ON of_polls (next_at);
CREATE INDEX of_polls_oldest ON of_polls (provider, last_at);

ALTER TABLE of_effects RENAME COLUMN about TO entered_state;
ALTER TABLE of_effects RENAME COLUMN spared TO uncounted_attempts;
UPDATE of_effects SET name = 'notify_listener' WHERE name = 'tell_host';

ALTER TABLE of_providers RENAME COLUMN blocked_until TO throttled_until;

UPDATE of_refusals SET reason = 'guard failed' WHERE reason = 'guard said no';

-- Version 0.1 called this event of Connect's lifecycle nobody_came. A deadline whose event is unknown would never come.
UPDATE of_deadlines SET name = 'no_return' WHERE name = 'nobody_came' AND provider = 'connect';
UPDATE of_journal SET event = 'no_return' WHERE event = 'nobody_came' AND order_id IN (SELECT id FROM of_orders WHERE provider = 'connect');
UPDATE of_refusals SET event = 'no_return' WHERE event = 'nobody_came' AND order_id IN (SELECT id FROM of_orders WHERE provider = 'connect');
