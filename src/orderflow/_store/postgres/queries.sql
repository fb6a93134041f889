-- The statements of the PostgreSQL store, but for those of a commit (commit.sql). See ../sql.py for how this file is read.
-- Times are epoch seconds. Rows are locked in the order of their keys wherever several are: two statements then wait and never deadlock.
-- A scalar subquery stands where EXISTS would make the planner hash a whole table.

-- orders --
-- Part: orders as they stand, and whether each is flagged: a person should look at a refusal of its present version.
SELECT
    id, provider, key, state, version, facts, data, created_at, entered_at,
    (
        SELECT true FROM of_refusals r
        WHERE r.order_id = o.id AND r.version = o.version AND r.reason IN ('anomaly', 'not ours', 'unknown status', 'no usable answer')
        LIMIT 1
    ) IS NOT NULL
FROM of_orders o

-- load_orders --
-- The orders with these ids ($1), all in one look-up.
{orders}
WHERE id = ANY($1)

-- order_of_provider_id --
-- The order of a provider ($1) to which the provider's id ($2) belongs.
{orders}
WHERE id = (SELECT p.order_id FROM of_provider_ids p WHERE p.provider = $1 AND p.provider_id = $2)

-- list_orders --
-- $1 provider and $2 state ("": any), $3 entered before (NULL: whenever), $4 limit. The longest in their state first, or the newest.
{orders}
WHERE ($1 = '' OR provider = $1) AND ($2 = '' OR state = $2) AND ($3::double precision IS NULL OR entered_at < $3)
ORDER BY CASE WHEN $3::double precision IS NULL THEN -created_at ELSE entered_at END, id
LIMIT $4

-- allow_table_scan --
-- Listing orders is the one query that no index answers.
SET LOCAL enable_seqscan = on

-- create_order --
-- Take the order's create key ($1), and only then store the order: $2 id, $3 fingerprint, $4 created at, $5.. its other columns,
-- $12 the provider's id (NULL: it is not known), $13 the events of its deadlines and $14 when each is due.
-- Version 0 of its journal is its creation: from here it can be replayed.
WITH key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at) VALUES ('create', $1, $2, $3, $4)
    ON CONFLICT DO NOTHING
    RETURNING order_id
),
order_row AS (
    INSERT INTO of_orders (id, provider, key, state, version, facts, data, created_at, entered_at)
    SELECT order_id, $5, $6, $7, $8, $9, $10, $4, $11 FROM key_taken
    RETURNING id, state, facts, data, created_at
),
journal_row AS (
    INSERT INTO of_journal (order_id, version, event, origin, source, target, kind, at, note, facts, data)
    SELECT id, 0, 'create', 'command', '', state, 'created', created_at, '', facts, data FROM order_row
),
id_taken AS (
    INSERT INTO of_provider_ids (provider, provider_id, order_id) SELECT $5, $12::text, order_id FROM key_taken WHERE $12 IS NOT NULL
),
deadlines_armed AS (
    INSERT INTO of_deadlines (order_id, provider, name, version, due_at)
    SELECT order_row.id, $5, armed.name, $8, armed.due_at
    FROM order_row, unnest($13::text[], $14::double precision[]) AS armed (name, due_at)
)
SELECT order_id FROM key_taken

-- created_order --
-- The order that a create key ($1) made, and the fingerprint of the request.
SELECT order_id, fingerprint FROM of_inbox WHERE origin = 'create' AND key = $1

-- journal --
-- The steps of an order ($1) from a version ($2) on, the oldest first.
SELECT order_id, version, event, origin, source, target, kind, at, note, facts, data
FROM of_journal WHERE order_id = $1 AND version >= $2 ORDER BY version

-- refusals --
-- What was refused or ignored for an order, the oldest first.
SELECT order_id, event, origin, state, reason, detail, version, count, first_at, last_at
FROM of_refusals WHERE order_id = $1 ORDER BY first_at, event

-- messages --
-- What the provider answered for an order, the latest last.
SELECT order_id, source, status, content_type, body, truncated, at, last_at, count
FROM of_messages WHERE order_id = $1 ORDER BY last_at, at, source, status, digest

-- lock_order --
-- Before a message is kept outside a decision: one writer of an order's messages at a time.
SELECT 1 FROM of_orders WHERE id = $1 FOR NO KEY UPDATE

-- owed_effects --
-- The effects that are still owed for an order.
SELECT order_id, version, n, name, entered_state, attempt, in_flight, run_at, why
FROM of_effects WHERE order_id = $1 AND owed ORDER BY version, n

-- next_poll --
-- When an order is polled next.
SELECT next_at FROM of_polls WHERE order_id = $1

-- armed_deadlines --
-- The deadlines of an order, the soonest first.
SELECT name, due_at FROM of_deadlines WHERE order_id = $1 ORDER BY due_at, name

-- is_next --
-- Part: a call, or a notification whose order owes no earlier one to a listener that the worker has: $1 providers and $2 states of those.
(entered_state = '' OR NOT EXISTS (
    SELECT FROM of_effects earlier
    WHERE earlier.order_id = of_effects.order_id AND (earlier.version, earlier.n) < (of_effects.version, of_effects.n) AND earlier.owed
        AND (earlier.provider, earlier.entered_state) IN (SELECT * FROM unnest($1::text[], $2::text[]))
))

-- lease_due --
-- Part: lease the effects of the table ``due``. What an earlier attempt sent stays marked.
UPDATE of_effects x SET attempt = x.attempt + 1, in_flight = true, run_at = due.lease_end
FROM due
WHERE x.order_id = due.order_id AND x.version = due.version AND x.n = due.n
RETURNING
    x.order_id, x.version, x.n, x.name, x.provider, x.attempt, x.sent, x.entered_state, x.uncounted_attempts, x.trace, x.run_at,
    x.arguments, due.in_flight, due.run_at

-- lease_effects --
-- Lease up to $8 effects that are due at $7, those due for longest. $3 to $6 are the lanes: provider, state, the most effects of the lane, and
-- for how many seconds. What another worker locks is skipped.
WITH due AS MATERIALIZED (
    SELECT effect.*, $7 + lane.lease AS lease_end
    FROM unnest($3::text[], $4::text[], $5::integer[], $6::double precision[]) AS lane (provider, state, most, lease),
    LATERAL (
        SELECT order_id, version, n, run_at, in_flight FROM of_effects
        WHERE owed AND provider = lane.provider AND entered_state = lane.state AND run_at <= $7::double precision AND {is_next}
        ORDER BY run_at LIMIT lane.most FOR UPDATE SKIP LOCKED
    ) AS effect
    ORDER BY effect.run_at LIMIT $8
)
{lease_due}

-- lease_effects_among --
-- The same for the effects with these keys only: $9 order ids, $10 versions, $11 numbers.
WITH due AS MATERIALIZED (
    SELECT effect.*, $7 + lane.lease AS lease_end
    FROM unnest($3::text[], $4::text[], $5::integer[], $6::double precision[]) AS lane (provider, state, most, lease),
    LATERAL (
        SELECT effect.order_id, effect.version, effect.n, effect.run_at, effect.in_flight
        FROM (
            SELECT * FROM unnest($9::text[], $10::integer[], $11::integer[]) AS wanted (order_id, version, n) ORDER BY 1, 2, 3
        ) AS wanted,
        LATERAL (
            SELECT order_id, version, n, run_at, in_flight FROM of_effects
            WHERE order_id = wanted.order_id AND version = wanted.version AND n = wanted.n
                AND owed AND provider = lane.provider AND entered_state = lane.state AND run_at <= $7::double precision AND {is_next}
            FOR UPDATE SKIP LOCKED
        ) AS effect
        LIMIT lane.most
    ) AS effect
    LIMIT $8
)
{lease_due}

-- overdue_effects --
-- Up to $8 effects of the lanes that are due since before $7, those due for longest first. The values are those of lease_effects.
SELECT effect.order_id, effect.version, effect.n, effect.attempt, lane.provider, lane.state
FROM unnest($3::text[], $4::text[], $5::integer[], $6::double precision[]) AS lane (provider, state, most, lease),
LATERAL (
    SELECT order_id, version, n, attempt, run_at FROM of_effects
    WHERE owed AND provider = lane.provider AND entered_state = lane.state AND run_at <= $7::double precision AND {is_next}
    ORDER BY run_at LIMIT lane.most
) AS effect
ORDER BY effect.run_at LIMIT $8

-- waiting_effects --
-- Those of the effects with these keys that are owed and not leased: $1 order ids, $2 versions, $3 numbers.
SELECT order_id, version, n, attempt, run_at
FROM unnest($1::text[], $2::integer[], $3::integer[]) AS wanted (order_id, version, n)
JOIN of_effects USING (order_id, version, n)
WHERE owed AND NOT in_flight

-- mark_sending --
-- The requests of these attempts are about to be sent: $1 order ids, $2 versions, $3 numbers, $4 attempts, $5 when each was asked for.
-- One is missing in the answer: another attempt began, its effect is not owed any more, or its lease is over.
WITH locked AS MATERIALIZED (
    SELECT effect.order_id, effect.version, effect.n
    FROM (
        SELECT * FROM unnest($1::text[], $2::integer[], $3::integer[], $4::integer[], $5::double precision[])
            AS wanted (order_id, version, n, attempt, now)
        ORDER BY 1, 2, 3
    ) AS wanted,
    LATERAL (
        SELECT order_id, version, n FROM of_effects
        WHERE order_id = wanted.order_id AND version = wanted.version AND n = wanted.n
            AND attempt = wanted.attempt AND owed AND in_flight AND run_at > wanted.now
        FOR UPDATE
    ) AS effect
)
UPDATE of_effects x SET sent = true
FROM locked
WHERE x.order_id = locked.order_id AND x.version = locked.version AND x.n = locked.n
RETURNING x.order_id, x.version, x.n, x.attempt

-- retry_effect --
-- After an attempt ($4) the effect is due again at $5, because of $6; $7 is 1 where the attempt does not count. $8: whether it or an
-- earlier one may have been executed.
UPDATE of_effects SET in_flight = false, sent = $8, run_at = $5, why = $6, uncounted_attempts = uncounted_attempts + $7
WHERE order_id = $1 AND version = $2 AND n = $3 AND attempt = $4 AND owed

-- finish_effect --
-- An effect ends with its attempt $4, without an event; $5 says why.
UPDATE of_effects SET in_flight = false, owed = false, why = $5
WHERE order_id = $1 AND version = $2 AND n = $3 AND attempt = $4 AND owed

-- lease_polls --
-- Lease up to $2 polls that are due at $1. $3 to $5 are providers, the most polls of each, and for how many seconds. What another worker
-- locks is skipped.
WITH due AS MATERIALIZED (
    SELECT poll.*, $1 + lane.lease AS lease_end
    FROM unnest($3::text[], $4::integer[], $5::double precision[]) AS lane (provider, most, lease),
    LATERAL (
        SELECT order_id, next_at FROM of_polls
        WHERE provider = lane.provider AND next_at <= $1::double precision
        ORDER BY next_at LIMIT lane.most FOR UPDATE SKIP LOCKED
    ) AS poll
    ORDER BY poll.next_at LIMIT $2
)
UPDATE of_polls x SET next_at = due.lease_end, last_at = $1, requested = false
FROM due
WHERE x.order_id = due.order_id
RETURNING x.order_id, x.provider, x.without_news, x.next_at, x.unusable, due.next_at

-- stop_polling --
-- No poll can move the order any more.
DELETE FROM of_polls WHERE order_id = $1

-- pause_polling --
-- No poll is planned any more. The time of the last one is kept.
UPDATE of_polls SET next_at = NULL, requested = false, without_news = 0, unusable = 0 WHERE order_id = $1

-- bring_polls_forward --
-- Provider $1 sent one notice for all its orders: bring forward the $2 polls that were made longest ago. $3 now, $4 the least seconds
-- between two polls.
WITH oldest AS MATERIALIZED (
    SELECT order_id FROM of_polls WHERE provider = $1 AND next_at IS NOT NULL ORDER BY last_at LIMIT $2
),
locked AS MATERIALIZED (
    SELECT p.order_id FROM of_polls p JOIN oldest USING (order_id) ORDER BY p.order_id FOR UPDATE OF p
)
UPDATE of_polls p SET requested = true, next_at = least(p.next_at, greatest($3, least(p.last_at, $3) + $4))
FROM locked
WHERE p.order_id = locked.order_id AND p.next_at IS NOT NULL
RETURNING 1

-- throttle --
-- Provider $1 asked all processes to wait until $2. An earlier moment changes nothing.
INSERT INTO of_providers AS p (provider, throttled_until) VALUES ($1, $2)
ON CONFLICT (provider) DO UPDATE SET throttled_until = greatest(p.throttled_until, excluded.throttled_until)

-- read_standings --
-- What all processes share about each provider.
SELECT provider, throttled_until, problem, status, since, seen_at, held_until, lifted_at, lifted_by FROM of_providers

-- begin_problem --
-- A process sees problem $2 of provider $1, with the HTTP status code $3, at $4, and makes no calls until $5. It answers with no row where
-- the problem stands there already, and where an answer after $4 has ended one.
INSERT INTO of_providers AS p (provider, throttled_until, problem, status, since, seen_at, held_until)
VALUES ($1, 0, $2, $3, $4, $4, $5)
ON CONFLICT (provider) DO UPDATE SET
    problem = excluded.problem,
    status = excluded.status,
    since = excluded.since,
    seen_at = excluded.seen_at,
    held_until = excluded.held_until
WHERE p.problem <> excluded.problem AND (p.problem <> '' OR p.seen_at <= excluded.seen_at)
RETURNING 1

-- continue_problem --
-- A process sees the problem that stands there; the values are those of begin_problem.
UPDATE of_providers SET status = $3, seen_at = greatest(seen_at, $4), held_until = greatest(held_until, $5)
WHERE provider = $1 AND problem = $2

-- end_problem --
-- An answer has ended problem $2 of provider $1 at $3. No row: another one stands there, or none.
UPDATE of_providers SET problem = '', status = NULL, since = 0, seen_at = $3, held_until = 0
WHERE provider = $1 AND problem = $2
RETURNING 1

-- lift_standing --
-- An operator, $3, has calls to provider $1 tried at once, at $2, whatever was wrong.
INSERT INTO of_providers (provider, throttled_until, seen_at, lifted_at, lifted_by) VALUES ($1, 0, $2, $2, $3)
ON CONFLICT (provider) DO UPDATE SET
    throttled_until = 0, problem = '', status = NULL, since = 0, seen_at = excluded.seen_at, held_until = 0,
    lifted_at = excluded.lifted_at, lifted_by = excluded.lifted_by

-- due_deadlines --
-- Up to $3 deadlines that have come at $1 and do not wait, of providers $2; whether a poll should be answered first, and whether none was.
SELECT
    order_id, name, provider, version,
    coalesce((SELECT o.state FROM of_orders o WHERE o.id = d.order_id), ''),
    decide_at IS NULL AND (SELECT true FROM of_polls p WHERE p.order_id = d.order_id AND p.next_at IS NOT NULL) IS NOT NULL,
    coalesce(decide_at > due_at, false)
FROM of_deadlines d
WHERE coalesce(decide_at, due_at) <= $1 AND provider = ANY($2::text[])
ORDER BY coalesce(decide_at, due_at) LIMIT $3

-- poll_before_deadline --
-- The deadline of order $1 with name $2 that version $3 armed has come: it waits until $5 at most, and the order's planned poll is wanted
-- now ($4), but not within $6 seconds of the last. Nothing happens where it has waited before.
-- The order's row is locked first, as commits do.
WITH locked AS MATERIALIZED (SELECT id FROM of_orders WHERE id = $1 FOR UPDATE),
polled AS (
    UPDATE of_polls p SET requested = true, next_at = least(p.next_at, greatest($4, least(p.last_at, $4) + $6))
    FROM locked l
    WHERE p.order_id = l.id AND p.next_at IS NOT NULL AND (
        SELECT true FROM of_deadlines d WHERE d.order_id = $1 AND d.name = $2 AND d.version = $3 AND d.decide_at IS NULL
    ) IS NOT NULL
    RETURNING p.order_id
)
UPDATE of_deadlines d SET decide_at = $5
FROM polled
WHERE d.order_id = polled.order_id AND d.name = $2 AND d.version = $3 AND d.decide_at IS NULL

-- postpone_deadline --
-- A deadline (order $1, name $2, armed by version $3) that cannot be decided now comes again at $4.
UPDATE of_deadlines SET due_at = $4, decide_at = NULL WHERE order_id = $1 AND name = $2 AND version = $3

-- next_due --
-- When the next effect of lanes $3 and $4, poll of providers $5 or deadline of providers $6 is due.
SELECT least(
    (
        SELECT min(effect.run_at)
        FROM unnest($3::text[], $4::text[]) AS lane (provider, state),
        LATERAL (
            SELECT run_at FROM of_effects
            WHERE owed AND provider = lane.provider AND entered_state = lane.state AND {is_next}
            ORDER BY run_at LIMIT 1
        ) AS effect
    ),
    (
        SELECT min(poll.next_at)
        FROM unnest($5::text[]) AS lane (provider),
        LATERAL (
            SELECT next_at FROM of_polls WHERE provider = lane.provider AND next_at IS NOT NULL ORDER BY next_at LIMIT 1
        ) AS poll
    ),
    (SELECT coalesce(decide_at, due_at) FROM of_deadlines WHERE provider = ANY($6::text[]) ORDER BY 1 LIMIT 1)
)

-- add_listeners --
-- Some process handles the entering of these states: $1 providers, $2 states.
INSERT INTO of_listeners (provider, state) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING

-- listeners --
-- Every provider and state for which some process has, or had, a listener.
SELECT provider, state FROM of_listeners

-- pending_notifications --
-- How many notifications are owed, by provider and state.
SELECT provider, entered_state, count(*) FROM of_effects WHERE owed AND name = 'notify_listener' GROUP BY 1, 2

-- failing_notifications --
-- Up to $2 notifications that are owed after $1 failures or more, and when the order came to the version that they are about.
SELECT
    e.order_id, e.provider, e.entered_state, e.attempt - e.uncounted_attempts - e.in_flight::integer AS failures, e.why, e.arguments,
    coalesce((SELECT j.at FROM of_journal j WHERE j.order_id = e.order_id AND j.version = e.version), 0) AS at
FROM of_effects e
WHERE e.owed AND e.name = 'notify_listener' AND e.attempt - e.uncounted_attempts - e.in_flight::integer >= $1::integer
ORDER BY at, e.order_id, e.version, e.n LIMIT $2

-- remove_listener --
-- Remove the listener of provider $1 and state $2, and end up to $4 of its notifications; $3 says why.
-- They are found by provider and state, and locked by key. To find them by key would walk all effects that ever were.
WITH removed AS (DELETE FROM of_listeners WHERE provider = $1 AND state = $2),
page AS MATERIALIZED (
    SELECT order_id, version, n FROM of_effects
    WHERE owed AND name = 'notify_listener' AND provider = $1 AND entered_state = $2
    LIMIT $4
),
locked AS MATERIALIZED (
    SELECT e.order_id, e.version, e.n FROM of_effects e JOIN page USING (order_id, version, n)
    WHERE e.owed
    ORDER BY e.order_id, e.version, e.n FOR UPDATE OF e
)
UPDATE of_effects x SET owed = false, why = $3
FROM locked
WHERE x.order_id = locked.order_id AND x.version = locked.version AND x.n = locked.n
RETURNING 1

-- end_of_page --
-- The last of the next $2 + 1 order ids behind $1; no row: there are fewer.
SELECT id FROM of_orders WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2

-- inactive --
-- Part: nothing has happened to the order ``o`` since $1, nothing is owed for it, and none of its calls is under way.
o.entered_at < $1
AND NOT EXISTS (SELECT FROM of_journal j WHERE j.order_id = o.id AND j.at >= $1)
AND NOT EXISTS (SELECT FROM of_refusals r WHERE r.order_id = o.id AND r.last_at >= $1)
AND NOT EXISTS (SELECT FROM of_effects e WHERE e.order_id = o.id AND (e.owed OR (e.in_flight AND e.run_at >= $1)))

-- list_inactive --
-- The inactive orders of one page: ids behind $2, up to $3 ("": to the end), of provider $4 ("": any).
{orders}
WHERE o.id > $2 AND ($3 = '' OR o.id <= $3) AND ($4 = '' OR o.provider = $4) AND {inactive}
ORDER BY o.id

-- lock_orders --
-- Lock the orders $1 that are still at the versions $2.
SELECT o.id
FROM (SELECT * FROM unnest($1::text[], $2::integer[]) AS wanted (id, version) ORDER BY 1) AS wanted,
LATERAL (SELECT id FROM of_orders o WHERE o.id = wanted.id AND o.version = wanted.version FOR UPDATE) AS o

-- delete_orders --
-- Delete those of the orders $2 (with the provider's ids $3) that are still inactive since $1, with all their rows and the keys that
-- created them.
WITH gone AS MATERIALIZED (
    SELECT o.id, o.provider, o.key, wanted.provider_id
    FROM unnest($2::text[], $3::text[]) AS wanted (id, provider_id),
    LATERAL (SELECT * FROM of_orders o WHERE o.id = wanted.id AND {inactive}) AS o
),
journal_gone AS (DELETE FROM of_journal x USING gone WHERE x.order_id = gone.id),
refusals_gone AS (DELETE FROM of_refusals x USING gone WHERE x.order_id = gone.id),
messages_gone AS (DELETE FROM of_messages x USING gone WHERE x.order_id = gone.id),
effects_gone AS (DELETE FROM of_effects x USING gone WHERE x.order_id = gone.id),
deadlines_gone AS (DELETE FROM of_deadlines x USING gone WHERE x.order_id = gone.id),
polls_gone AS (DELETE FROM of_polls x USING gone WHERE x.order_id = gone.id),
provider_ids_gone AS (
    DELETE FROM of_provider_ids x USING gone
    WHERE x.provider = gone.provider AND x.provider_id = gone.provider_id AND x.order_id = gone.id
),
keys_gone AS (DELETE FROM of_inbox x USING gone WHERE x.origin = 'create' AND x.key = gone.provider || ':' || gone.key)
DELETE FROM of_orders x USING gone WHERE x.id = gone.id

-- remaining_orders --
-- Which of these orders ($1) are still there.
SELECT id FROM of_orders WHERE id = ANY($1::text[])

-- sweep_inbox --
-- Walk the next $3 inbox rows behind the origin $1 and key $2, and delete those whose order is gone. Answers with the last row of a
-- full page.
WITH page AS MATERIALIZED (
    SELECT origin, key, order_id FROM of_inbox WHERE (origin, key) > ($1, $2) ORDER BY origin, key LIMIT $3
),
gone AS (
    DELETE FROM of_inbox x USING page p
    WHERE x.origin = p.origin AND x.key = p.key AND NOT EXISTS (SELECT FROM of_orders o WHERE o.id = p.order_id)
)
SELECT origin, key FROM page ORDER BY origin, key OFFSET $3 - 1

-- unfinished_effect --
-- An effect of order $1 that is owed, or whose call is still under way at $2.
SELECT name FROM of_effects WHERE order_id = $1 AND (owed OR (in_flight AND run_at > $2)) LIMIT 1

-- redact_order --
-- Replace the data of order $1.
UPDATE of_orders SET version = $2, data = $3::json WHERE id = $1

-- redact_texts --
-- Empty what may be personal beside order $1: notes, data of steps, details, why effects ended, and the fingerprints of its create key
-- ($2) and of its commands. These are found by a walk over the commands that had a key, because no index finds them by order.
-- What the provider answered goes whole.
WITH messages AS (DELETE FROM of_messages WHERE order_id = $1),
steps AS (UPDATE of_journal SET note = '', data = '' WHERE order_id = $1 AND (note <> '' OR data <> '')),
details AS (UPDATE of_refusals SET detail = '' WHERE order_id = $1),
effects AS (UPDATE of_effects SET why = '', arguments = '' WHERE order_id = $1),
command_keys AS (UPDATE of_inbox SET fingerprint = '' WHERE origin = 'command' AND order_id = $1 AND fingerprint <> '')
UPDATE of_inbox SET fingerprint = '' WHERE origin = 'create' AND key = $2

-- add_journal_row --
-- One journal row outside a commit.
INSERT INTO of_journal (order_id, version, event, origin, source, target, kind, at, note, facts, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)

-- our_columns --
-- The tables and columns of orderflow in the connection's schema.
SELECT c.relname, a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND c.relkind IN ('r', 'p') AND c.relname LIKE 'of\_%'
    AND a.attnum > 0 AND NOT a.attisdropped

-- current_schema --
-- The schema in which tables are made; NULL: the search_path names none that exists.
SELECT current_schema()

-- schema_version --
-- The newest migration that has run.
SELECT max(version) FROM of_schema

-- lock_schema --
-- One process migrates at a time. Schemas of one database do not wait for each other.
SELECT pg_advisory_xact_lock(hashtext('orderflow ' || current_schema()))

-- add_schema_version --
-- A migration has run.
INSERT INTO of_schema (version) VALUES ($1)

-- doubt_owed_calls --
-- After a restore, each owed call may have been executed since the backup. No attempt holds one any more; the next may begin at $1.
WITH locked AS MATERIALIZED (
    SELECT order_id, version, n FROM of_effects WHERE owed AND name <> 'notify_listener' ORDER BY order_id, version, n FOR UPDATE
)
UPDATE of_effects e SET
    sent = true, in_flight = false, attempt = e.attempt + 1, uncounted_attempts = e.uncounted_attempts + 1, run_at = greatest(e.run_at, $1)
FROM locked l
WHERE e.order_id = l.order_id AND e.version = l.version AND e.n = l.n AND e.owed

-- poll_all_open --
-- Every planned poll is due at $1.
WITH locked AS MATERIALIZED (SELECT order_id FROM of_polls WHERE next_at IS NOT NULL ORDER BY order_id FOR UPDATE)
UPDATE of_polls p SET requested = true, next_at = least(p.next_at, $1)
FROM locked l
WHERE p.order_id = l.order_id AND p.next_at IS NOT NULL

-- reset_deadlines --
-- A poll that was answered before the backup releases no deadline any more.
WITH locked AS MATERIALIZED (SELECT order_id, name FROM of_deadlines WHERE decide_at IS NOT NULL ORDER BY order_id, name FOR UPDATE)
UPDATE of_deadlines d SET decide_at = NULL
FROM locked l
WHERE d.order_id = l.order_id AND d.name = l.name

-- note_maintenance --
-- The latest time $2 of task $1, and who did it ($3).
INSERT INTO of_maintenance AS m (task, at, done_by) VALUES ($1, $2, $3)
ON CONFLICT (task) DO UPDATE SET at = greatest(m.at, excluded.at), done_by = excluded.done_by

-- maintenance --
-- When each task was done last.
SELECT task, at FROM of_maintenance

-- owed_calls --
-- Every call that is owed.
SELECT order_id, version, n, name, provider, attempt
FROM of_effects WHERE owed AND name <> 'notify_listener' ORDER BY order_id, version, n

-- planned_polls --
-- Every order that is polled.
SELECT order_id FROM of_polls WHERE next_at IS NOT NULL ORDER BY order_id

-- versions --
-- The versions of those of the orders $1 that are there.
SELECT id, version FROM of_orders WHERE id = ANY ($1::text[])
