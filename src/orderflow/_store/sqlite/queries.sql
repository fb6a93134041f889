-- The statements of the SQLite store. See ../sql.py for how this file is read.
-- Times are epoch seconds. A list is one value, a JSON array: a statement has the same text for lists of any length.

-- orders --
-- Part: orders as they stand, and whether each is flagged: a person should look at a refusal of its present version.
SELECT
    id, provider, key, state, version, facts, data, created_at, entered_at,
    EXISTS (
        SELECT 1 FROM of_refusals r
        WHERE r.order_id = o.id AND r.version = o.version AND r.reason IN ('anomaly', 'not ours', 'unknown status', 'no usable answer')
    )
FROM of_orders o

-- load_order --
-- One order as it stands.
{orders}
WHERE id = ?

-- load_orders --
-- The orders with these ids (a list), all in one look-up.
{orders}
WHERE id IN (SELECT value FROM json_each(?))

-- order_of_provider_id --
-- The order of a provider to which the provider's id belongs.
{orders}
WHERE id = (SELECT p.order_id FROM of_provider_ids p WHERE p.provider = ? AND p.provider_id = ?)

-- list_orders --
-- Orders of a provider and a state ("": any): those entered before a time, the longest in their state first, or all, the newest first.
{orders}
WHERE (:provider = '' OR provider = :provider) AND (:state = '' OR state = :state) AND (:before IS NULL OR entered_at < :before)
ORDER BY CASE WHEN :before IS NULL THEN -created_at ELSE entered_at END, id
LIMIT :limit

-- created_order --
-- The order that a create key made, and the fingerprint of the request.
SELECT order_id, fingerprint FROM of_inbox WHERE origin = 'create' AND key = ?

-- add_create_key --
-- The key by which a second request to create the same order is recognised.
INSERT INTO of_inbox (origin, key, order_id, fingerprint, at) VALUES ('create', ?, ?, ?, ?)

-- add_order --
-- A new order.
INSERT INTO of_orders (id, provider, key, state, version, facts, data, created_at, entered_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- add_creation_row --
-- Version 0 in the journal of a new order: from here it can be replayed.
INSERT INTO of_journal (order_id, version, event, origin, source, target, kind, at, note, facts, data)
SELECT id, 0, 'create', 'command', '', state, 'created', created_at, '', facts, data FROM of_orders WHERE id = ?

-- journal --
-- The steps of an order from a version on, the oldest first.
SELECT order_id, version, event, origin, source, target, kind, at, note, facts, data
FROM of_journal WHERE order_id = ? AND version >= ? ORDER BY version

-- refusals --
-- What was refused or ignored for an order, the oldest first.
SELECT order_id, event, origin, state, reason, detail, version, count, first_at, last_at
FROM of_refusals WHERE order_id = ? ORDER BY first_at, event

-- messages --
-- What the provider answered for an order, the latest last.
SELECT order_id, source, status, content_type, body, truncated, at, last_at, count
FROM of_messages WHERE order_id = ? ORDER BY last_at, at, source, status, digest

-- owed_effects --
-- The effects that are still owed for an order.
SELECT order_id, version, n, name, entered_state, attempt, in_flight, run_at, why
FROM of_effects WHERE order_id = ? AND owed = 1 ORDER BY version, n

-- next_poll --
-- When an order is polled next.
SELECT next_at FROM of_polls WHERE order_id = ?

-- armed_deadlines --
-- The deadlines of an order, the soonest first.
SELECT name, due_at FROM of_deadlines WHERE order_id = ? ORDER BY due_at, name

-- load_for_event --
-- What a decision needs: the order, and the fingerprint under which its event (origin, key) is in the inbox already.
SELECT
    id, provider, key, state, version, facts, data, created_at, entered_at,
    (SELECT i.fingerprint FROM of_inbox i WHERE i.origin = ? AND i.key = ?)
FROM of_orders WHERE id = ?

-- load_for_deadline --
-- The same for an event that a deadline (name, version that armed it) brings, and whether that is still armed.
SELECT
    id, provider, key, state, version, facts, data, created_at, entered_at,
    (SELECT i.fingerprint FROM of_inbox i WHERE i.origin = ? AND i.key = ?),
    EXISTS (SELECT 1 FROM of_deadlines d WHERE d.order_id = o.id AND d.name = ? AND d.version = ?)
FROM of_orders o WHERE id = ?

-- is_superseded --
-- Whether an effect has ended, and the order was given a later one of the same kind. :names is a list.
SELECT
    NOT EXISTS (SELECT 1 FROM of_effects WHERE order_id = :order_id AND version = :version AND n = :n AND owed = 1)
    AND EXISTS (SELECT 1 FROM of_effects WHERE order_id = :order_id AND version > :version AND name IN (SELECT value FROM json_each(:names)))

-- move_order --
-- The order after its steps; NULL for facts or data: not changed. No row: it is not at the expected version any more.
UPDATE of_orders SET state = ?, version = ?, facts = coalesce(?, facts), data = coalesce(?, data), entered_at = ?
WHERE id = ? AND version = ?

-- provider_id_holder --
-- The order of a provider to which the provider's id belongs, by its id.
SELECT order_id FROM of_provider_ids WHERE provider = ? AND provider_id = ?

-- take_provider_id --
-- A provider's id belongs to an order from now on.
INSERT INTO of_provider_ids (provider, provider_id, order_id) VALUES (?, ?, ?)

-- release_provider_id --
-- An order gives up the provider's id that it had.
DELETE FROM of_provider_ids WHERE provider = ? AND provider_id = ? AND order_id = ?

-- add_journal_row --
-- One step.
INSERT INTO of_journal (order_id, version, event, origin, source, target, kind, at, note, facts, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- add_effect --
-- An effect is owed. The notification of a flag may be there already: it stays as it is.
INSERT INTO of_effects (order_id, provider, run_at, version, n, name, entered_state, trace, arguments)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING

-- end_effect --
-- The event of this commit is what the effect brought about.
UPDATE of_effects SET owed = 0, in_flight = 0 WHERE order_id = ? AND version = ? AND n = ?

-- cancel_effects --
-- What the lifecycle owes up to a version is not wanted any more; notifications are.
UPDATE of_effects SET owed = 0 WHERE order_id = ? AND version <= ? AND name <> 'notify_listener'

-- add_refusal --
-- Count a refused or ignored event.
INSERT INTO of_refusals (order_id, event, origin, state, reason, detail, version, count, first_at, last_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (order_id, event, state, reason) DO UPDATE SET
    count = count + 1, last_at = excluded.last_at, version = excluded.version, detail = excluded.detail

-- disarm_deadlines --
-- New deadlines replace all.
DELETE FROM of_deadlines WHERE order_id = ?

-- disarm_deadline --
-- A deadline goes with the decision about it.
DELETE FROM of_deadlines WHERE order_id = ? AND name = ?

-- arm_deadline --
-- A deadline, and the version that armed it.
INSERT OR REPLACE INTO of_deadlines (order_id, name, provider, version, due_at) VALUES (?, ?, ?, ?, ?)

-- add_inbox_key --
-- The key by which a second event is recognised as a duplicate.
INSERT INTO of_inbox (origin, key, order_id, fingerprint, at) VALUES (?, ?, ?, ?, ?)

-- add_message --
-- Keep an answer of the provider, or count an equal one. One that did not come later is the same answer, written again.
-- None is kept for an order that is gone or was redacted.
INSERT INTO of_messages (order_id, source, status, digest, content_type, truncated, count, at, last_at, body)
SELECT id, :source, :status, :digest, :content_type, :truncated, 1, :at, :at, :body
FROM of_orders
WHERE id = :order_id AND NOT EXISTS (SELECT 1 FROM of_journal WHERE order_id = :order_id AND kind = 'redaction')
ON CONFLICT (order_id, source, status, digest) DO UPDATE SET
    count = count + (excluded.last_at > last_at),
    at = min(at, excluded.at),
    last_at = max(last_at, excluded.last_at)

-- drop_messages --
-- Where an order has more messages than are kept: drop the oldest of the source that has the most.
DELETE FROM of_messages WHERE rowid IN (
    SELECT id FROM (
        SELECT rowid AS id, last_at, row_number() OVER (PARTITION BY source ORDER BY last_at DESC) AS age
        FROM of_messages WHERE order_id = :order_id
    )
    ORDER BY age, last_at DESC LIMIT -1 OFFSET :kept
)

-- plan_poll --
-- Poll at a time, or at once where a poll was requested meanwhile, but not within the interval of the last poll.
-- A worker whose clock is ahead writes a last_at that is not yet. min() keeps it from stopping the polls.
INSERT INTO of_polls (order_id, provider, next_at, without_news, unusable) VALUES (:order_id, :provider, :at, :without_news, :unusable)
ON CONFLICT (order_id) DO UPDATE SET
    without_news = :without_news,
    unusable = :unusable,
    next_at = max(CASE requested WHEN 1 THEN :now ELSE :at END, min(last_at, :now) + :interval)

-- bring_poll_forward --
-- Poll as soon as the interval since the last poll allows; remember the request where no poll is planned yet.
INSERT INTO of_polls (order_id, provider, requested) VALUES (:order_id, :provider, 1)
ON CONFLICT (order_id) DO UPDATE SET
    requested = 1,
    next_at = min(next_at, max(:now, min(last_at, :now) + :interval))

-- stop_polling --
-- No poll can move the order any more.
DELETE FROM of_polls WHERE order_id = :order_id

-- pause_polling --
-- No poll is planned any more. The time of the last one is kept.
UPDATE of_polls SET next_at = NULL, requested = 0, without_news = 0, unusable = 0 WHERE order_id = :order_id

-- is_next --
-- Part: a call, or a notification whose order owes no earlier one to a listener that the worker has. :states are the states of its listeners.
(entered_state = '' OR NOT EXISTS (
    SELECT 1 FROM of_effects AS earlier
    WHERE earlier.order_id = of_effects.order_id AND (earlier.version, earlier.n) < (of_effects.version, of_effects.n) AND earlier.owed = 1
        AND earlier.entered_state <> '' AND earlier.entered_state IN (SELECT value FROM json_each(:states))
))

-- due_effects --
-- Effects of one lane that are due, those due for longest first.
SELECT order_id, version, n, name, provider, attempt, sent, entered_state, uncounted_attempts, trace, arguments, in_flight, run_at
FROM of_effects
WHERE owed = 1 AND provider = :provider AND entered_state = :state AND run_at <= :now AND {is_next}
ORDER BY run_at LIMIT :limit

-- due_effects_among --
-- The same, of the effects with these keys only. :keys is a list of triples.
SELECT order_id, version, n, name, provider, attempt, sent, entered_state, uncounted_attempts, trace, arguments, in_flight, run_at
FROM of_effects
WHERE owed = 1 AND provider = :provider AND entered_state = :state AND run_at <= :now AND {is_next} AND (order_id, version, n) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:keys)
)
ORDER BY run_at LIMIT :limit

-- lease_effect --
-- An attempt begins. What an earlier one sent stays marked.
UPDATE of_effects SET attempt = attempt + 1, in_flight = 1, run_at = ? WHERE order_id = ? AND version = ? AND n = ?

-- mark_sending --
-- The request of an attempt is about to be sent. No row: another attempt began, the effect is not owed any more, or the lease is over.
UPDATE of_effects SET sent = 1
WHERE order_id = ? AND version = ? AND n = ? AND attempt = ? AND owed = 1 AND in_flight = 1 AND run_at > ?

-- retry_effect --
-- The effect is due again; whether this attempt or an earlier one may have been executed.
UPDATE of_effects SET in_flight = 0, sent = ?, run_at = ?, why = ?, uncounted_attempts = uncounted_attempts + ?
WHERE order_id = ? AND version = ? AND n = ? AND attempt = ? AND owed = 1

-- finish_effect --
-- An effect ends without an event.
UPDATE of_effects SET in_flight = 0, owed = 0, why = ?
WHERE order_id = ? AND version = ? AND n = ? AND attempt = ? AND owed = 1

-- due_polls --
-- Polls of one provider that are due.
SELECT order_id, provider, without_news, unusable, next_at FROM of_polls
WHERE provider = :provider AND next_at <= :now
ORDER BY next_at, last_at LIMIT :limit

-- lease_poll --
-- A poll begins.
UPDATE of_polls SET next_at = ?, last_at = ?, requested = 0 WHERE order_id = ?

-- bring_polls_forward --
-- One notice for all orders of a provider: bring forward the polls that were made longest ago.
UPDATE of_polls SET requested = 1, next_at = min(next_at, max(:now, min(last_at, :now) + :interval))
WHERE order_id IN (SELECT order_id FROM of_polls WHERE provider = :provider AND next_at IS NOT NULL ORDER BY last_at LIMIT :limit)

-- throttle --
-- A provider asked all processes to wait. An earlier moment changes nothing.
INSERT INTO of_providers (provider, throttled_until) VALUES (?, ?)
ON CONFLICT (provider) DO UPDATE SET throttled_until = max(throttled_until, excluded.throttled_until)

-- read_standings --
-- What all processes share about each provider.
SELECT provider, throttled_until, problem, status, since, seen_at, held_until, lifted_at, lifted_by FROM of_providers

-- begin_problem --
-- A process saw a problem, last at :at. No row is changed where it stands there already, and where an answer after :at has ended one.
INSERT INTO of_providers (provider, throttled_until, problem, status, since, seen_at, held_until)
VALUES (:provider, 0, :problem, :status, :at, :at, :held_until)
ON CONFLICT (provider) DO UPDATE SET
    problem = excluded.problem,
    status = excluded.status,
    since = excluded.since,
    seen_at = excluded.seen_at,
    held_until = excluded.held_until
WHERE problem <> excluded.problem AND (problem <> '' OR seen_at <= excluded.seen_at)

-- continue_problem --
-- A process sees the problem that stands there.
UPDATE of_providers SET status = :status, seen_at = max(seen_at, :at), held_until = max(held_until, :held_until)
WHERE provider = :provider AND problem = :problem

-- end_problem --
-- An answer has ended the problem. No row: another one stands there, or none.
UPDATE of_providers SET problem = '', status = NULL, since = 0, seen_at = ?, held_until = 0 WHERE provider = ? AND problem = ?

-- lift_standing --
-- An operator has calls tried at once, whatever was wrong.
INSERT INTO of_providers (provider, throttled_until, seen_at, lifted_at, lifted_by) VALUES (?, 0, ?, ?, ?)
ON CONFLICT (provider) DO UPDATE SET
    throttled_until = 0, problem = '', status = NULL, since = 0, seen_at = excluded.seen_at, held_until = 0,
    lifted_at = excluded.lifted_at, lifted_by = excluded.lifted_by

-- due_deadlines --
-- Deadlines of a list of providers that have come and do not wait; whether a poll should be answered first, and whether none was.
SELECT
    order_id, name, provider, version,
    coalesce((SELECT o.state FROM of_orders o WHERE o.id = of_deadlines.order_id), ''),
    decide_at IS NULL AND EXISTS (SELECT 1 FROM of_polls p WHERE p.order_id = of_deadlines.order_id AND p.next_at IS NOT NULL),
    coalesce(decide_at > due_at, 0)
FROM of_deadlines
WHERE coalesce(decide_at, due_at) <= :now AND provider IN (SELECT value FROM json_each(:providers))
ORDER BY coalesce(decide_at, due_at) LIMIT :limit

-- bring_poll_before_deadline_forward --
-- A deadline has come: the order's planned poll is wanted now, unless the deadline has waited for one before.
UPDATE of_polls SET requested = 1, next_at = min(next_at, max(:now, min(last_at, :now) + :interval))
WHERE order_id = :order_id AND next_at IS NOT NULL AND EXISTS (
    SELECT 1 FROM of_deadlines d
    WHERE d.order_id = :order_id AND d.name = :name AND d.version = :version AND d.decide_at IS NULL
)

-- let_deadline_wait --
-- The deadline waits until that poll is answered, but not longer than until :until.
UPDATE of_deadlines SET decide_at = :until WHERE order_id = :order_id AND name = :name AND version = :version

-- release_deadlines --
-- A poll that began at :answered is answered: deadlines that were due by then need not wait.
UPDATE of_deadlines SET decide_at = due_at WHERE order_id = :order_id AND due_at <= :answered

-- postpone_deadline --
-- A deadline that cannot be decided now comes again.
UPDATE of_deadlines SET due_at = ?, decide_at = NULL WHERE order_id = ? AND name = ? AND version = ?

-- next_due_effect --
-- When the next effect of one lane is due.
SELECT run_at FROM of_effects WHERE owed = 1 AND provider = :provider AND entered_state = :state AND {is_next} ORDER BY run_at LIMIT 1

-- next_due_poll --
-- When the next poll of one provider is due.
SELECT min(next_at) FROM of_polls WHERE provider = :provider

-- next_due_deadline --
-- When the next deadline of a list of providers is due.
SELECT min(coalesce(decide_at, due_at)) FROM of_deadlines WHERE provider IN (SELECT value FROM json_each(:providers))

-- add_listener --
-- Some process handles the entering of this state.
INSERT OR IGNORE INTO of_listeners (provider, state) VALUES (?, ?)

-- listeners --
-- Every provider and state for which some process has, or had, a listener.
SELECT provider, state FROM of_listeners

-- pending_notifications --
-- How many notifications are owed, by provider and state.
SELECT provider, entered_state, count(*) FROM of_effects WHERE owed = 1 AND name = 'notify_listener' GROUP BY 1, 2

-- failing_notifications --
-- Notifications that are owed after several failures, and when the order came to the version that they are about.
SELECT
    e.order_id, e.provider, e.entered_state, e.attempt - e.uncounted_attempts - e.in_flight AS failures, e.why, e.arguments,
    coalesce((SELECT j.at FROM of_journal j WHERE j.order_id = e.order_id AND j.version = e.version), 0) AS at
FROM of_effects e
WHERE e.owed = 1 AND e.name = 'notify_listener' AND e.attempt - e.uncounted_attempts - e.in_flight >= :failures
ORDER BY at, e.order_id, e.version, e.n LIMIT :limit

-- remove_listener --
-- No process handles the entering of this state any more.
DELETE FROM of_listeners WHERE provider = ? AND state = ?

-- end_notifications --
-- End notifications of a removed listener.
UPDATE of_effects SET owed = 0, why = :why
WHERE (order_id, version, n) IN (
    SELECT order_id, version, n FROM of_effects
    WHERE owed = 1 AND name = 'notify_listener' AND provider = :provider AND entered_state = :state
    LIMIT :limit
)

-- end_of_page --
-- The last of the next ids behind an id; no row: there are fewer.
SELECT id FROM of_orders WHERE id > ? ORDER BY id LIMIT 1 OFFSET ?

-- inactive --
-- Part: nothing has happened to the order ``o`` since :before, nothing is owed for it, and none of its calls is under way.
o.entered_at < :before
AND NOT EXISTS (SELECT 1 FROM of_journal j WHERE j.order_id = o.id AND j.at >= :before)
AND NOT EXISTS (SELECT 1 FROM of_refusals r WHERE r.order_id = o.id AND r.last_at >= :before)
AND NOT EXISTS (SELECT 1 FROM of_effects e WHERE e.order_id = o.id AND (e.owed = 1 OR (e.in_flight = 1 AND e.run_at >= :before)))

-- list_inactive --
-- The inactive orders of one page: ids behind :after, up to :last ("": to the end), of a provider ("": any).
{orders}
WHERE o.id > :after AND (:last = '' OR o.id <= :last) AND (:provider = '' OR o.provider = :provider) AND {inactive}
ORDER BY o.id

-- delete_order --
-- An order, where it has not moved and is still inactive.
DELETE FROM of_orders AS o WHERE o.id = :id AND o.version = :version AND {inactive}

-- delete_journal --
-- With its order.
DELETE FROM of_journal WHERE order_id = ?

-- delete_refusals --
-- With their order.
DELETE FROM of_refusals WHERE order_id = ?

-- delete_messages --
-- With their order, or with its personal data.
DELETE FROM of_messages WHERE order_id = ?

-- delete_effects --
-- With their order.
DELETE FROM of_effects WHERE order_id = ?

-- delete_poll --
-- With its order.
DELETE FROM of_polls WHERE order_id = ?

-- delete_create_key --
-- With its order: the key may make another one.
DELETE FROM of_inbox WHERE origin = 'create' AND key = ?

-- order_exists --
-- Whether an order is there.
SELECT 1 FROM of_orders WHERE id = ?

-- inbox_page --
-- The next rows of the inbox behind an origin and key.
SELECT origin, key, order_id FROM of_inbox WHERE (origin, key) > (?, ?) ORDER BY origin, key LIMIT ?

-- delete_orphaned_key --
-- An inbox row whose order is gone.
DELETE FROM of_inbox WHERE origin = ? AND key = ? AND NOT EXISTS (SELECT 1 FROM of_orders WHERE id = ?)

-- unfinished_effect --
-- An effect of an order that is owed, or whose call is still under way at a time.
SELECT name FROM of_effects WHERE order_id = ? AND (owed = 1 OR (in_flight = 1 AND run_at > ?)) LIMIT 1

-- redact_order --
-- Replace the data of an order. No row: it is not at the expected version any more.
UPDATE of_orders SET version = ?, data = ? WHERE id = ? AND version = ?

-- redact_notes --
-- Empty what may be personal.
UPDATE of_journal SET note = '', data = '' WHERE order_id = ?

-- redact_details --
-- Empty what may be personal.
UPDATE of_refusals SET detail = '' WHERE order_id = ?

-- redact_effects --
-- Empty what may be personal.
UPDATE of_effects SET why = '', arguments = '' WHERE order_id = ?

-- redact_create_key --
-- The fingerprint of a request is made of personal data.
UPDATE of_inbox SET fingerprint = '' WHERE origin = 'create' AND key = ?

-- redact_command_keys --
-- So are those of commands. Their keys begin with the order's id, but only SQLite could find them by that: both stores walk the commands
-- that had a key.
UPDATE of_inbox SET fingerprint = '' WHERE origin = 'command' AND order_id = ? AND fingerprint <> ''

-- doubt_owed_calls --
-- After a restore, each owed call may have been executed since the backup. No attempt holds one any more; the next may begin at :until.
UPDATE of_effects SET
    sent = 1, in_flight = 0, attempt = attempt + 1, uncounted_attempts = uncounted_attempts + 1, run_at = max(run_at, :until)
WHERE owed = 1 AND name <> 'notify_listener'

-- poll_all_open --
-- Every planned poll is due now.
UPDATE of_polls SET requested = 1, next_at = min(next_at, :now) WHERE next_at IS NOT NULL

-- reset_deadlines --
-- A poll that was answered before the backup releases no deadline any more.
UPDATE of_deadlines SET decide_at = NULL WHERE decide_at IS NOT NULL

-- note_maintenance --
-- The latest time of a task, and who did it.
INSERT INTO of_maintenance (task, at, done_by) VALUES (?, ?, ?)
ON CONFLICT (task) DO UPDATE SET at = max(at, excluded.at), done_by = excluded.done_by

-- maintenance --
-- When each task was done last.
SELECT task, at FROM of_maintenance

-- owed_calls --
-- Every call that is owed.
SELECT order_id, version, n, name, provider, attempt
FROM of_effects WHERE owed = 1 AND name <> 'notify_listener' ORDER BY order_id, version, n

-- planned_polls --
-- Every order that is polled.
SELECT order_id FROM of_polls WHERE next_at IS NOT NULL ORDER BY order_id

-- versions --
-- The versions of those of these orders (a list) that are there.
SELECT id, version FROM of_orders WHERE id IN (SELECT value FROM json_each(?))

-- our_tables --
-- The tables of this file.
SELECT name FROM sqlite_master WHERE type = 'table'

-- our_columns --
-- The tables of orderflow, and their columns.
SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name LIKE 'of\_%' ESCAPE '\'

-- schema_version --
-- The newest migration that has run.
SELECT max(version) FROM of_schema

-- add_schema_version --
-- A migration has run.
INSERT INTO of_schema (version) VALUES (?)
