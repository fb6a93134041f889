-- load, one
SELECT
    o.id, o.provider, o.key, o.state, o.version, o.facts, o.data, o.created_at, o.entered_at,
    (
        SELECT i.fingerprint FROM of_inbox i WHERE i.origin = event.origin AND i.key = event.key
    ) AS stored_fingerprint,
    false AS is_armed,
    false AS is_superseded
FROM (
    SELECT
        $1::text AS order_id, $2::text AS origin, $3::text AS key, $4::text AS deadline, $5::integer AS armed_by,
        $6::integer AS call_version, $7::integer AS call_n, $8::text AS call_names
) AS event
LEFT JOIN of_orders o ON o.id = event.order_id;

-- load, one, with deadlines
SELECT
    o.id, o.provider, o.key, o.state, o.version, o.facts, o.data, o.created_at, o.entered_at,
    (
        SELECT i.fingerprint FROM of_inbox i WHERE i.origin = event.origin AND i.key = event.key
    ) AS stored_fingerprint,
    (
        SELECT true FROM of_deadlines d
        WHERE d.order_id = event.order_id AND d.name = event.deadline AND d.version = event.armed_by
    ) IS NOT NULL AS is_armed,
    false AS is_superseded
FROM (
    SELECT
        $1::text AS order_id, $2::text AS origin, $3::text AS key, $4::text AS deadline, $5::integer AS armed_by,
        $6::integer AS call_version, $7::integer AS call_n, $8::text AS call_names
) AS event
LEFT JOIN of_orders o ON o.id = event.order_id;

-- load, one, with replies
SELECT
    o.id, o.provider, o.key, o.state, o.version, o.facts, o.data, o.created_at, o.entered_at,
    (
        SELECT i.fingerprint FROM of_inbox i WHERE i.origin = event.origin AND i.key = event.key
    ) AS stored_fingerprint,
    false AS is_armed,
    (
        SELECT true FROM of_effects e
        WHERE e.order_id = event.order_id AND e.version = event.call_version AND e.n = event.call_n AND e.owed
    ) IS NULL AND (
        SELECT true FROM of_effects e
        WHERE e.order_id = event.order_id AND e.version > event.call_version
            AND e.name = ANY (string_to_array(event.call_names, ','))
        LIMIT 1
    ) IS NOT NULL AS is_superseded
FROM (
    SELECT
        $1::text AS order_id, $2::text AS origin, $3::text AS key, $4::text AS deadline, $5::integer AS armed_by,
        $6::integer AS call_version, $7::integer AS call_n, $8::text AS call_names
) AS event
LEFT JOIN of_orders o ON o.id = event.order_id;

-- load, a batch
SELECT
    o.id, o.provider, o.key, o.state, o.version, o.facts, o.data, o.created_at, o.entered_at,
    (
        SELECT i.fingerprint FROM of_inbox i WHERE i.origin = event.origin AND i.key = event.key
    ) AS stored_fingerprint,
    false AS is_armed,
    false AS is_superseded
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::text[])
    WITH ORDINALITY AS event (order_id, origin, key, deadline, armed_by, call_version, call_n, call_names, position)
LEFT JOIN of_orders o ON o.id = event.order_id
ORDER BY event.position;

-- load, a batch, with deadlines
SELECT
    o.id, o.provider, o.key, o.state, o.version, o.facts, o.data, o.created_at, o.entered_at,
    (
        SELECT i.fingerprint FROM of_inbox i WHERE i.origin = event.origin AND i.key = event.key
    ) AS stored_fingerprint,
    (
        SELECT true FROM of_deadlines d
        WHERE d.order_id = event.order_id AND d.name = event.deadline AND d.version = event.armed_by
    ) IS NOT NULL AS is_armed,
    false AS is_superseded
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::text[])
    WITH ORDINALITY AS event (order_id, origin, key, deadline, armed_by, call_version, call_n, call_names, position)
LEFT JOIN of_orders o ON o.id = event.order_id
ORDER BY event.position;

-- load, a batch, with replies
SELECT
    o.id, o.provider, o.key, o.state, o.version, o.facts, o.data, o.created_at, o.entered_at,
    (
        SELECT i.fingerprint FROM of_inbox i WHERE i.origin = event.origin AND i.key = event.key
    ) AS stored_fingerprint,
    false AS is_armed,
    (
        SELECT true FROM of_effects e
        WHERE e.order_id = event.order_id AND e.version = event.call_version AND e.n = event.call_n AND e.owed
    ) IS NULL AND (
        SELECT true FROM of_effects e
        WHERE e.order_id = event.order_id AND e.version > event.call_version
            AND e.name = ANY (string_to_array(event.call_names, ','))
        LIMIT 1
    ) IS NOT NULL AS is_superseded
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::text[])
    WITH ORDINALITY AS event (order_id, origin, key, deadline, armed_by, call_version, call_n, call_names, position)
LEFT JOIN of_orders o ON o.id = event.order_id
ORDER BY event.position;

-- commit, one command that moves the order
WITH commits AS (
    SELECT
        $1::text AS id,
        $2::integer AS version,
        $3::double precision AS at
        , $4::text AS state
        , $5::integer AS new_version
        , $6::json AS facts
        , $7::json AS data
        , $8::boolean AS enters
        , $9::jsonb AS journal
        , $10::jsonb AS effects
        , $11::text AS origin
        , $12::text AS key
        , $13::text AS fingerprint
        , $14::text AS poll
        , $15::double precision AS next_at
        , $16::integer AS without_news
        , $17::double precision AS min_interval
        , $18::integer AS unusable
        , $19::double precision AS answered
)
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
, in_time AS NOT MATERIALIZED (SELECT * FROM locked)
, key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at)
    SELECT origin, key, id, fingerprint, at FROM in_time WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING order_id
)
, winners AS MATERIALIZED (
    SELECT * FROM in_time WHERE key IS NULL OR id IN (SELECT order_id FROM key_taken)
)
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
, effect_rows AS (
    INSERT INTO of_effects (order_id, provider, run_at, version, n, name, entered_state, trace, arguments)
    SELECT
        w.id, w.provider, w.at, (effect ->> 0)::integer, (effect ->> 1)::integer, effect ->> 2, effect ->> 3, effect ->> 4, effect ->> 5
    FROM winners w, jsonb_array_elements(w.effects) AS effect
)
, poll_planned AS (
    INSERT INTO of_polls AS p (order_id, provider, next_at, requested, without_news, planned_at, min_interval, unusable)
    SELECT id, provider, next_at, poll = 'sooner', without_news, at, min_interval, unusable
    FROM winners WHERE poll IN ('at', 'sooner')
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
SELECT id FROM winners;

-- commit, one event that is refused
WITH commits AS (
    SELECT
        $1::text AS id,
        $2::integer AS version,
        $3::double precision AS at
        , $4::text AS event
        , $5::text AS refused_origin
        , $6::text AS refused_state
        , $7::integer AS refused_version
        , $8::text AS reason
        , $9::text AS detail
)
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
, in_time AS NOT MATERIALIZED (SELECT * FROM locked)
, winners AS MATERIALIZED (SELECT * FROM in_time)
, refusal_rows AS (
    INSERT INTO of_refusals AS r (order_id, event, origin, state, reason, detail, version, count, first_at, last_at)
    SELECT id, event, refused_origin, refused_state, reason, detail, refused_version, 1, at, at
    FROM winners WHERE event IS NOT NULL
    ON CONFLICT (order_id, event, state, reason) DO UPDATE SET
        count = r.count + 1, last_at = excluded.last_at, version = excluded.version, detail = excluded.detail
)
SELECT id FROM winners;

-- commit, one reply with the provider's id and its message
WITH commits AS (
    SELECT
        $1::text AS id,
        $2::integer AS version,
        $3::double precision AS at
        , $4::text AS state
        , $5::integer AS new_version
        , $6::json AS facts
        , $7::json AS data
        , $8::boolean AS enters
        , $9::jsonb AS journal
        , $10::text AS taken_id
        , $11::text AS released_id
        , $12::text AS origin
        , $13::text AS key
        , $14::text AS fingerprint
        , $15::integer AS finished_version
        , $16::integer AS finished_n
        , $17::text AS source
        , $18::integer AS status
        , $19::text AS digest
        , $20::text AS content_type
        , $21::boolean AS truncated
        , $22::double precision AS answered_at
        , $23::text AS body
)
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
, in_time AS NOT MATERIALIZED (SELECT * FROM locked)
, key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at)
    SELECT origin, key, id, fingerprint, at FROM in_time WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING order_id
)
, winners AS MATERIALIZED (
    SELECT * FROM in_time WHERE key IS NULL OR id IN (SELECT order_id FROM key_taken)
)
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
, id_released AS (
    DELETE FROM of_provider_ids p
    USING winners w WHERE p.provider = w.provider AND p.provider_id = w.released_id AND p.order_id = w.id
)
, id_taken AS (
    INSERT INTO of_provider_ids (provider, provider_id, order_id)
    SELECT provider, taken_id, id FROM winners WHERE taken_id IS NOT NULL
)
, effect_finished AS (
    UPDATE of_effects e SET owed = false, in_flight = false
    FROM winners w WHERE e.order_id = w.id AND e.version = w.finished_version AND e.n = w.finished_n
)
, message_rows AS (
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
SELECT id FROM winners;

-- commit, one deadline
WITH commits AS (
    SELECT
        $1::text AS id,
        $2::integer AS version,
        $3::double precision AS at
        , $4::text AS state
        , $5::integer AS new_version
        , $6::json AS facts
        , $7::json AS data
        , $8::boolean AS enters
        , $9::jsonb AS journal
        , $10::text AS origin
        , $11::text AS key
        , $12::text AS fingerprint
        , $13::text AS deadline
        , $14::integer AS armed_by
        , $15::boolean AS replaces_deadlines
        , $16::jsonb AS deadlines
)
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
, deadline_taken AS (
    DELETE FROM of_deadlines d USING locked l
    WHERE d.order_id = l.id AND d.name = l.deadline AND d.version = l.armed_by
    RETURNING d.order_id
)
, in_time AS MATERIALIZED (
    SELECT * FROM locked WHERE deadline IS NULL OR id IN (SELECT order_id FROM deadline_taken)
)
, key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at)
    SELECT origin, key, id, fingerprint, at FROM in_time WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING order_id
)
, winners AS MATERIALIZED (
    SELECT * FROM in_time WHERE key IS NULL OR id IN (SELECT order_id FROM key_taken)
)
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
SELECT id FROM winners;

-- commit, one of everything
WITH commits AS (
    SELECT
        $1::text AS id,
        $2::integer AS version,
        $3::double precision AS at
        , $4::text AS state
        , $5::integer AS new_version
        , $6::json AS facts
        , $7::json AS data
        , $8::boolean AS enters
        , $9::jsonb AS journal
        , $10::jsonb AS effects
        , $11::text AS taken_id
        , $12::text AS released_id
        , $13::text AS origin
        , $14::text AS key
        , $15::text AS fingerprint
        , $16::text AS event
        , $17::text AS refused_origin
        , $18::text AS refused_state
        , $19::integer AS refused_version
        , $20::text AS reason
        , $21::text AS detail
        , $22::text AS deadline
        , $23::integer AS armed_by
        , $24::boolean AS replaces_deadlines
        , $25::jsonb AS deadlines
        , $26::integer AS finished_version
        , $27::integer AS finished_n
        , $28::integer AS cancelled_to
        , $29::text AS poll
        , $30::double precision AS next_at
        , $31::integer AS without_news
        , $32::double precision AS min_interval
        , $33::integer AS unusable
        , $34::double precision AS answered
        , $35::text AS source
        , $36::integer AS status
        , $37::text AS digest
        , $38::text AS content_type
        , $39::boolean AS truncated
        , $40::double precision AS answered_at
        , $41::text AS body
)
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
, deadline_taken AS (
    DELETE FROM of_deadlines d USING locked l
    WHERE d.order_id = l.id AND d.name = l.deadline AND d.version = l.armed_by
    RETURNING d.order_id
)
, in_time AS MATERIALIZED (
    SELECT * FROM locked WHERE deadline IS NULL OR id IN (SELECT order_id FROM deadline_taken)
)
, key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at)
    SELECT origin, key, id, fingerprint, at FROM in_time WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING order_id
)
, winners AS MATERIALIZED (
    SELECT * FROM in_time WHERE key IS NULL OR id IN (SELECT order_id FROM key_taken)
)
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
, id_released AS (
    DELETE FROM of_provider_ids p
    USING winners w WHERE p.provider = w.provider AND p.provider_id = w.released_id AND p.order_id = w.id
)
, id_taken AS (
    INSERT INTO of_provider_ids (provider, provider_id, order_id)
    SELECT provider, taken_id, id FROM winners WHERE taken_id IS NOT NULL
)
, effect_rows AS (
    INSERT INTO of_effects (order_id, provider, run_at, version, n, name, entered_state, trace, arguments)
    SELECT
        w.id, w.provider, w.at, (effect ->> 0)::integer, (effect ->> 1)::integer, effect ->> 2, effect ->> 3, effect ->> 4, effect ->> 5
    FROM winners w, jsonb_array_elements(w.effects) AS effect
)
, refusal_rows AS (
    INSERT INTO of_refusals AS r (order_id, event, origin, state, reason, detail, version, count, first_at, last_at)
    SELECT id, event, refused_origin, refused_state, reason, detail, refused_version, 1, at, at
    FROM winners WHERE event IS NOT NULL
    ON CONFLICT (order_id, event, state, reason) DO UPDATE SET
        count = r.count + 1, last_at = excluded.last_at, version = excluded.version, detail = excluded.detail
)
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
, effect_finished AS (
    UPDATE of_effects e SET owed = false, in_flight = false
    FROM winners w WHERE e.order_id = w.id AND e.version = w.finished_version AND e.n = w.finished_n
)
, effects_cancelled AS (
    UPDATE of_effects e SET owed = false
    FROM winners w WHERE e.order_id = w.id AND e.version <= w.cancelled_to AND e.name <> 'notify_listener'
)
, poll_planned AS (
    INSERT INTO of_polls AS p (order_id, provider, next_at, requested, without_news, planned_at, min_interval, unusable)
    SELECT id, provider, next_at, poll = 'sooner', without_news, at, min_interval, unusable
    FROM winners WHERE poll IN ('at', 'sooner')
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
, message_rows AS (
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
SELECT id FROM winners;

-- commit, a batch of commands
WITH commits AS (
    SELECT
        (value ->> 0)::text AS id,
        (value ->> 1)::integer AS version,
        (value ->> 2)::double precision AS at
        , (value ->> 3)::text AS state
        , (value ->> 4)::integer AS new_version
        , (value ->> 5)::json AS facts
        , (value ->> 6)::json AS data
        , (value ->> 7)::boolean AS enters
        , value -> 8 AS journal
        , value -> 9 AS effects
        , (value ->> 10)::text AS origin
        , (value ->> 11)::text AS key
        , (value ->> 12)::text AS fingerprint
        , (value ->> 13)::text AS poll
        , (value ->> 14)::double precision AS next_at
        , (value ->> 15)::integer AS without_news
        , (value ->> 16)::double precision AS min_interval
        , (value ->> 17)::integer AS unusable
        , (value ->> 18)::double precision AS answered
    FROM jsonb_array_elements($1::jsonb) AS document (value)
)
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
, in_time AS NOT MATERIALIZED (SELECT * FROM locked)
, key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at)
    SELECT origin, key, id, fingerprint, at FROM in_time WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING order_id
)
, winners AS MATERIALIZED (
    SELECT * FROM in_time WHERE key IS NULL OR id IN (SELECT order_id FROM key_taken)
)
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
, effect_rows AS (
    INSERT INTO of_effects (order_id, provider, run_at, version, n, name, entered_state, trace, arguments)
    SELECT
        w.id, w.provider, w.at, (effect ->> 0)::integer, (effect ->> 1)::integer, effect ->> 2, effect ->> 3, effect ->> 4, effect ->> 5
    FROM winners w, jsonb_array_elements(w.effects) AS effect
)
, poll_planned AS (
    INSERT INTO of_polls AS p (order_id, provider, next_at, requested, without_news, planned_at, min_interval, unusable)
    SELECT id, provider, next_at, poll = 'sooner', without_news, at, min_interval, unusable
    FROM winners WHERE poll IN ('at', 'sooner')
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
SELECT id FROM winners;

-- commit, a batch of everything
WITH commits AS (
    SELECT
        (value ->> 0)::text AS id,
        (value ->> 1)::integer AS version,
        (value ->> 2)::double precision AS at
        , (value ->> 3)::text AS state
        , (value ->> 4)::integer AS new_version
        , (value ->> 5)::json AS facts
        , (value ->> 6)::json AS data
        , (value ->> 7)::boolean AS enters
        , value -> 8 AS journal
        , value -> 9 AS effects
        , (value ->> 10)::text AS taken_id
        , (value ->> 11)::text AS released_id
        , (value ->> 12)::text AS origin
        , (value ->> 13)::text AS key
        , (value ->> 14)::text AS fingerprint
        , (value ->> 15)::text AS event
        , (value ->> 16)::text AS refused_origin
        , (value ->> 17)::text AS refused_state
        , (value ->> 18)::integer AS refused_version
        , (value ->> 19)::text AS reason
        , (value ->> 20)::text AS detail
        , (value ->> 21)::text AS deadline
        , (value ->> 22)::integer AS armed_by
        , (value ->> 23)::boolean AS replaces_deadlines
        , value -> 24 AS deadlines
        , (value ->> 25)::integer AS finished_version
        , (value ->> 26)::integer AS finished_n
        , (value ->> 27)::integer AS cancelled_to
        , (value ->> 28)::text AS poll
        , (value ->> 29)::double precision AS next_at
        , (value ->> 30)::integer AS without_news
        , (value ->> 31)::double precision AS min_interval
        , (value ->> 32)::integer AS unusable
        , (value ->> 33)::double precision AS answered
        , (value ->> 34)::text AS source
        , (value ->> 35)::integer AS status
        , (value ->> 36)::text AS digest
        , (value ->> 37)::text AS content_type
        , (value ->> 38)::boolean AS truncated
        , (value ->> 39)::double precision AS answered_at
        , (value ->> 40)::text AS body
    FROM jsonb_array_elements($1::jsonb) AS document (value)
)
, locked AS MATERIALIZED (
    SELECT c.*, o.provider
    FROM (SELECT * FROM commits ORDER BY id) AS c,
    LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) AS o
)
, deadline_taken AS (
    DELETE FROM of_deadlines d USING locked l
    WHERE d.order_id = l.id AND d.name = l.deadline AND d.version = l.armed_by
    RETURNING d.order_id
)
, in_time AS MATERIALIZED (
    SELECT * FROM locked WHERE deadline IS NULL OR id IN (SELECT order_id FROM deadline_taken)
)
, key_taken AS (
    INSERT INTO of_inbox (origin, key, order_id, fingerprint, at)
    SELECT origin, key, id, fingerprint, at FROM in_time WHERE key IS NOT NULL
    ON CONFLICT DO NOTHING
    RETURNING order_id
)
, winners AS MATERIALIZED (
    SELECT * FROM in_time WHERE key IS NULL OR id IN (SELECT order_id FROM key_taken)
)
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
, id_released AS (
    DELETE FROM of_provider_ids p
    USING winners w WHERE p.provider = w.provider AND p.provider_id = w.released_id AND p.order_id = w.id
)
, id_taken AS (
    INSERT INTO of_provider_ids (provider, provider_id, order_id)
    SELECT provider, taken_id, id FROM winners WHERE taken_id IS NOT NULL
)
, effect_rows AS (
    INSERT INTO of_effects (order_id, provider, run_at, version, n, name, entered_state, trace, arguments)
    SELECT
        w.id, w.provider, w.at, (effect ->> 0)::integer, (effect ->> 1)::integer, effect ->> 2, effect ->> 3, effect ->> 4, effect ->> 5
    FROM winners w, jsonb_array_elements(w.effects) AS effect
)
, refusal_rows AS (
    INSERT INTO of_refusals AS r (order_id, event, origin, state, reason, detail, version, count, first_at, last_at)
    SELECT id, event, refused_origin, refused_state, reason, detail, refused_version, 1, at, at
    FROM winners WHERE event IS NOT NULL
    ON CONFLICT (order_id, event, state, reason) DO UPDATE SET
        count = r.count + 1, last_at = excluded.last_at, version = excluded.version, detail = excluded.detail
)
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
, effect_finished AS (
    UPDATE of_effects e SET owed = false, in_flight = false
    FROM winners w WHERE e.order_id = w.id AND e.version = w.finished_version AND e.n = w.finished_n
)
, effects_cancelled AS (
    UPDATE of_effects e SET owed = false
    FROM winners w WHERE e.order_id = w.id AND e.version <= w.cancelled_to AND e.name <> 'notify_listener'
)
, poll_planned AS (
    INSERT INTO of_polls AS p (order_id, provider, next_at, requested, without_news, planned_at, min_interval, unusable)
    SELECT id, provider, next_at, poll = 'sooner', without_news, at, min_interval, unusable
    FROM winners WHERE poll IN ('at', 'sooner')
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
, message_rows AS (
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
SELECT id FROM winners;

