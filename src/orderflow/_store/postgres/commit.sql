-- How decisions are loaded for and written to PostgreSQL. See ../sql.py for how this file is read, commit.py for who fills it in.
-- Each statement is one implicit transaction.

-- load --
-- What a decision needs: the order as it stands, and of its event: the fingerprint under which it is in the inbox already (NULL: it is
-- not), whether its deadline is still armed, and whether the effect that it reports had ended before, and a later one of the same kind
-- was requested.
-- $1 order id, $2 origin and $3 key of the event, $4 name of its deadline and $5 the version that armed it
-- (NULL: it has none), $6 version and $7 number of the effect that it reports, $8 the names of that kind, joined by commas (NULL: none).
-- Part "batch": arrays of these; one row an event, in their order. A row of NULLs: there is no such order.
-- A scalar subquery and never EXISTS: for a batch the planner would rather hash the whole table than look each row up.
SELECT
    o.id, o.provider, o.key, o.state, o.version, o.facts, o.data, o.created_at, o.entered_at,
    (
        SELECT i.fingerprint FROM of_inbox i WHERE i.origin = event.origin AND i.key = event.key
    ) AS stored_fingerprint,
    -- if deadline
    (
        SELECT true FROM of_deadlines d
        WHERE d.order_id = event.order_id AND d.name = event.deadline AND d.version = event.armed_by
    ) IS NOT NULL AS is_armed,
    -- else
    false AS is_armed,
    -- end
    -- if call
    (
        SELECT true FROM of_effects e
        WHERE e.order_id = event.order_id AND e.version = event.call_version AND e.n = event.call_n AND e.owed
    ) IS NULL AND (
        SELECT true FROM of_effects e
        WHERE e.order_id = event.order_id AND e.version > event.call_version
            AND e.name = ANY (string_to_array(event.call_names, ','))
        LIMIT 1
    ) IS NOT NULL AS is_superseded
    -- else
    false AS is_superseded
    -- end
-- if batch
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::text[])
    WITH ORDINALITY AS event (order_id, origin, key, deadline, armed_by, call_version, call_n, call_names, position)
LEFT JOIN of_orders o ON o.id = event.order_id
ORDER BY event.position
-- else
FROM (
    SELECT
        $1::text AS order_id, $2::text AS origin, $3::text AS key, $4::text AS deadline, $5::integer AS armed_by,
        $6::integer AS call_version, $7::integer AS call_n, $8::text AS call_names
) AS event
LEFT JOIN of_orders o ON o.id = event.order_id
-- end

-- poll_conflict --
-- Part: what planning a poll does to the plan that is there. ``requested`` in the new row: a poll is brought forward, not planned anew.
-- A clock that was ahead wrote a last_at that is not yet. least() keeps it from stopping the polls.
ON CONFLICT (order_id) DO UPDATE SET
    planned_at = excluded.planned_at,
    min_interval = excluded.min_interval,
    requested = p.requested OR excluded.requested,
    without_news = CASE WHEN excluded.requested THEN p.without_news ELSE excluded.without_news END,
    unusable = CASE WHEN excluded.requested THEN p.unusable ELSE excluded.unusable END,
    next_at = CASE
        WHEN NOT excluded.requested THEN greatest(
            CASE WHEN p.requested THEN excluded.planned_at ELSE excluded.next_at END,
            least(p.last_at, excluded.planned_at) + excluded.min_interval
        )
        WHEN p.next_at IS NOT NULL THEN least(
            p.next_at,
            greatest(excluded.planned_at, least(p.last_at, excluded.planned_at) + excluded.min_interval)
        )
    END

-- plan_poll --
-- Plan a poll outside a decision: $1 order, $2 when (NULL: bring it forward), $3 whether it is brought forward,
-- $4 polls without news, $5 now, $6 the least seconds between two polls, $7 polls that were answered and could not be used,
-- $8 when a poll began that is answered now (NULL: none is).
-- The lock on the order's row: whatever deletes the order must not miss the poll.
WITH locked AS MATERIALIZED (SELECT id, provider FROM of_orders WHERE id = $1 FOR KEY SHARE),
deadlines_released AS (
    UPDATE of_deadlines d SET decide_at = d.due_at FROM locked l WHERE d.order_id = l.id AND d.due_at <= $8
)
INSERT INTO of_polls AS p (order_id, provider, next_at, requested, without_news, planned_at, min_interval, unusable)
SELECT id, provider, $2, $3, $4, $5, $6, $7 FROM locked
{poll_conflict}
RETURNING 1

-- kept_messages --
-- Part: keep the messages of the table ``winners``, or count equal ones. One that did not come later is the same answer, written again.
-- Where an order then has more than 100, the oldest is dropped of the source that has the most. The statement does not see its new row.
-- So it looks at all others, and keeps 99 of them.
message_rows AS (
    INSERT INTO of_messages AS m (order_id, source, status, digest, content_type, truncated, count, at, last_at, body)
    SELECT id, source, status, digest, content_type, truncated, 1, answered_at, answered_at, body
    FROM winners WHERE source IS NOT NULL
    ON CONFLICT (order_id, source, status, digest) DO UPDATE SET
        count = m.count + (excluded.last_at > m.last_at)::integer,
        at = least(m.at, excluded.at),
        last_at = greatest(m.last_at, excluded.last_at)
)
, messages_dropped AS (
    DELETE FROM of_messages m
    USING winners w, LATERAL (
        SELECT source, status, digest, row_number() OVER (ORDER BY age, last_at DESC) AS place
        FROM (
            SELECT
                source, status, digest, last_at,
                (source = w.source)::integer + row_number() OVER (PARTITION BY source ORDER BY last_at DESC) AS age
            FROM of_messages
            WHERE order_id = w.id AND (source, status, digest) <> (w.source, w.status, w.digest)
        ) AS others
    ) AS old
    WHERE old.place > 99 AND m.order_id = w.id AND m.source = old.source AND m.status = old.status AND m.digest = old.digest
)

-- add_message --
-- Keep a message outside a decision: $1 order, then the columns of the message. None is kept for an order that is gone or was redacted.
-- The order's row is locked before, by ``lock_order``: this statement sees what was committed while the lock was waited for.
WITH winners AS (
    SELECT
        id, $2::text AS source, $3::integer AS status, $4::text AS digest, $5::text AS content_type,
        $6::boolean AS truncated, $7::double precision AS answered_at, $8::text AS body
    FROM of_orders
    WHERE id = $1 AND NOT EXISTS (SELECT FROM of_journal WHERE order_id = $1 AND kind = 'redaction')
)
, {kept_messages}
SELECT 1

-- commit --
-- Write what was decided for one order, or (part "batch") for several, at most one decision an order.
-- Answers with the ids of the orders whose decision was written. An order that is missing lost a race, and nothing was written for it.
--
-- The order of the steps matters. An order's row is locked first, and only where it is still at the version that the decision was made
-- on. Then the event's deadline and inbox key are taken. Only behind these is anything else written. With the inbox first, a lost race
-- would still commit the inbox row, and the next attempt would take its own event for a duplicate.
--
-- ``:name::type`` is one value of a commit: a parameter for one commit, a position in the commit's JSON array for a batch.
-- In a batch a value is NULL (a list is empty) where its commit does not need the part.
WITH commits AS (
    SELECT
        :id::text AS id,
        :version::integer AS version,
        :at::double precision AS at
        -- if moved
        , :state::text AS state
        , :new_version::integer AS new_version
        , :facts::json AS facts
        , :data::json AS data
        , :enters::boolean AS enters
        , :journal::jsonb AS journal
        -- end
        -- if effects
        , :effects::jsonb AS effects
        -- end
        -- if id_change
        , :taken_id::text AS taken_id
        , :released_id::text AS released_id
        -- end
        -- if inbox
        , :origin::text AS origin
        , :key::text AS key
        , :fingerprint::text AS fingerprint
        -- end
        -- if refusal
        , :event::text AS event
        , :refused_origin::text AS refused_origin
        , :refused_state::text AS refused_state
        , :refused_version::integer AS refused_version
        , :reason::text AS reason
        , :detail::text AS detail
        -- end
        -- if deadline
        , :deadline::text AS deadline
        , :armed_by::integer AS armed_by
        -- end
        -- if deadlines
        , :replaces_deadlines::boolean AS replaces_deadlines
        , :deadlines::jsonb AS deadlines
        -- end
        -- if finished_effect
        , :finished_version::integer AS finished_version
        , :finished_n::integer AS finished_n
        -- end
        -- if cancelled_effects
        , :cancelled_to::integer AS cancelled_to
        -- end
        -- if poll
        , :poll::text AS poll
        , :next_at::double precision AS next_at
        , :without_news::integer AS without_news
        , :min_interval::double precision AS min_interval
        , :unusable::integer AS unusable
        , :answered::double precision AS answered
        -- end
        -- if message
        , :source::text AS source
        , :status::integer AS status
        , :digest::text AS digest
        , :content_type::text AS content_type
        , :truncated::boolean AS truncated
        , :answered_at::double precision AS answered_at
        , :body::text AS body
        -- end
    -- if batch
    FROM jsonb_array_elements($1::jsonb) AS document (value)
    -- end
)
-- In the order of their ids: two batches that share orders then wait for each other, and never deadlock.
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
-- if deadline
, deadline_taken AS (
    DELETE FROM of_deadlines d USING locked l
    WHERE d.order_id = l.id AND d.name = l.deadline AND d.version = l.armed_by
    RETURNING d.order_id
)
, in_time AS MATERIALIZED (
    SELECT * FROM locked WHERE deadline IS NULL OR id IN (SELECT order_id FROM deadline_taken)
)
-- else
, in_time AS NOT MATERIALIZED (SELECT * FROM locked)
-- end
-- if inbox
, key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at)
    SELECT origin, key, id, fingerprint, at FROM in_time WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING order_id
)
, winners AS MATERIALIZED (
    SELECT * FROM in_time WHERE key IS NULL OR id IN (SELECT order_id FROM key_taken)
)
-- else
, winners AS MATERIALIZED (SELECT * FROM in_time)
-- end
-- if moved
, order_rows AS (
    UPDATE of_orders o SET
        state = w.state,
        version = w.new_version,
        facts = coalesce(w.facts, o.facts),
        data = coalesce(w.data, o.data),
        entered_at = CASE WHEN w.enters THEN w.at ELSE o.entered_at END
    FROM winners w
    WHERE o.id = w.id AND w.state IS NOT NULL
)
, journal_rows AS (
    INSERT INTO of_journal (order_id, version, event, origin, source, target, kind, at, note, facts, data)
    SELECT
        w.id, (step ->> 0)::integer, step ->> 1, step ->> 2, step ->> 3, step ->> 4, step ->> 5, w.at, step ->> 6, step ->> 7, step ->> 8
    FROM winners w, jsonb_array_elements(w.journal) AS step
)
-- end
-- if id_change
-- Without ON CONFLICT: an id that another order has fails the whole statement. Nothing is written then, and the decision is made anew.
, id_released AS (
    DELETE FROM of_provider_ids p
    USING winners w WHERE p.provider = w.provider AND p.provider_id = w.released_id AND p.order_id = w.id
)
, id_taken AS (
    INSERT INTO of_provider_ids (provider, provider_id, order_id)
    SELECT provider, taken_id, id FROM winners WHERE taken_id IS NOT NULL
)
-- end
-- if effects
, effect_rows AS (
    INSERT INTO of_effects (order_id, provider, run_at, version, n, name, entered_state, trace, arguments)
    SELECT
        w.id, w.provider, w.at, (effect ->> 0)::integer, (effect ->> 1)::integer, effect ->> 2, effect ->> 3, effect ->> 4, effect ->> 5
    FROM winners w, jsonb_array_elements(w.effects) AS effect
)
-- end
-- if refusal
, refusal_rows AS (
    INSERT INTO of_refusals AS r (order_id, event, origin, state, reason, detail, version, count, first_at, last_at)
    SELECT id, event, refused_origin, refused_state, reason, detail, refused_version, 1, at, at
    FROM winners WHERE event IS NOT NULL
    ON CONFLICT (order_id, event, state, reason) DO UPDATE SET
        count = r.count + 1, last_at = excluded.last_at, version = excluded.version, detail = excluded.detail
)
-- end
-- if deadlines
, deadlines_disarmed AS (
    DELETE FROM of_deadlines d USING winners w WHERE w.replaces_deadlines AND d.order_id = w.id
)
, deadlines_armed AS (
    INSERT INTO of_deadlines (order_id, provider, name, version, due_at)
    SELECT w.id, w.provider, armed ->> 0, (armed ->> 1)::integer, (armed ->> 2)::double precision
    FROM winners w, jsonb_array_elements(w.deadlines) AS armed
    ON CONFLICT (order_id, name) DO UPDATE SET
        provider = excluded.provider, version = excluded.version, due_at = excluded.due_at, decide_at = NULL
)
-- end
-- if finished_effect
, effect_finished AS (
    UPDATE of_effects e SET owed = false, in_flight = false
    FROM winners w WHERE e.order_id = w.id AND e.version = w.finished_version AND e.n = w.finished_n
)
-- end
-- if cancelled_effects
, effects_cancelled AS (
    UPDATE of_effects e SET owed = false
    FROM winners w WHERE e.order_id = w.id AND e.version <= w.cancelled_to AND e.name <> 'notify_listener'
)
-- end
-- if poll
, poll_planned AS (
    INSERT INTO of_polls AS p (order_id, provider, next_at, requested, without_news, planned_at, min_interval, unusable)
    SELECT id, provider, next_at, poll = 'sooner', without_news, at, min_interval, unusable
    FROM winners WHERE poll IN ('at', 'sooner')
    {poll_conflict}
)
, deadlines_released AS (
    UPDATE of_deadlines d SET decide_at = d.due_at FROM winners w WHERE d.order_id = w.id AND d.due_at <= w.answered
)
, poll_stopped AS (
    DELETE FROM of_polls p USING winners w WHERE p.order_id = w.id AND w.poll = 'stop'
)
, poll_paused AS (
    UPDATE of_polls p SET next_at = NULL, requested = false, without_news = 0, unusable = 0
    FROM winners w WHERE p.order_id = w.id AND w.poll = 'pause'
)
-- end
-- if message
, {kept_messages}
-- end
SELECT id FROM winners

-- provider_id_holders --
-- The orders of providers ($1) to which these ids of theirs ($2) belong.
SELECT p.provider, p.provider_id, p.order_id
FROM unnest($1::text[], $2::text[]) AS wanted (provider, provider_id)
JOIN of_provider_ids p ON p.provider = wanted.provider AND p.provider_id = wanted.provider_id

-- journal_row --
-- One step of an order ($1) by the version that it led to ($2): whether a write of unknown outcome was committed.
SELECT order_id, version, event, origin, source, target, kind, at, note, facts, data
FROM of_journal WHERE order_id = $1 AND version = $2
