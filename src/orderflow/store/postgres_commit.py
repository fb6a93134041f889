"""How decisions are written to PostgreSQL: one statement for one or many, which is one implicit transaction.

What may live here: the SQL of load and commit, and the arrays that feed it. Who shares a statement is postgres_group.py.

The order of the parts is the point. The order's row is locked *first*, and only where its version still is the one that was judged;
then what makes the event one of a kind is taken (its deadline deleted, its inbox key inserted); only behind both is anything else
written. With the inbox first, a lost race would still commit the inbox row and the retry would take its own event for a duplicate.
Who lost a race is missing from the answer, and has written nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from attrs import evolve, frozen

from orderflow.records import TELL_HOST, Commit, DueDeadline, InboxKey, Order, ReadAt, ReadForward, ReadPlan, Receipt
from orderflow.store import rows
from orderflow.vocabulary import FLAGGED, Applied

_FLAGGED = ", ".join(f"'{reason.value}'" for reason in sorted(FLAGGED))
# never EXISTS: for a batch the planner would rather hash the whole table than look each row up
_IS_FLAGGED = (
    f"(SELECT true FROM of_refusals r WHERE r.order_id = o.id AND r.version = o.version AND r.reason IN ({_FLAGGED}) LIMIT 1) IS NOT NULL"
)
SHOW = f"SELECT {rows.ORDER}, {_IS_FLAGGED} FROM of_orders o"
LOOK_ONE = (
    f"SELECT {rows.ORDER}, {_IS_FLAGGED}, EXISTS (SELECT FROM of_inbox i WHERE i.origin = $2 AND i.key = $3),"
    " EXISTS (SELECT FROM of_deadlines d WHERE d.order_id = $1 AND d.name = $4 AND d.version = $5) FROM of_orders o WHERE id = $1"
)
"""An order, whether the event was heard before, whether its deadline is still armed; no row: no such order."""
LOOK = (
    f"SELECT {', '.join(f'o.{name}' for name in rows.ORDER.split(', '))}, {_IS_FLAGGED},"
    " (SELECT true FROM of_inbox i WHERE i.origin = a.origin AND i.key = a.key) IS NOT NULL,"
    " (SELECT true FROM of_deadlines d WHERE d.order_id = a.id AND d.name = a.deadline AND d.version = a.armed) IS NOT NULL"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[]) WITH ORDINALITY AS a (id, origin, key, deadline, armed, n)"
    " LEFT JOIN of_orders o ON o.id = a.id ORDER BY a.n"
)
"""The same of many: one row an event, in their order; of NULLs, where there is no such order."""

MOVED, KEYED, REFUSED, ARMED, EFFECTS, READ = "moved", "keyed", "refused", "armed", "effects", "read"
PARTS = (MOVED, KEYED, REFUSED, ARMED, EFFECTS, READ)
"""What a commit may write beside locking its order; a statement holds only the parts that one of its commits needs."""

_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {  # one value a commit; NULL where this commit does not need the part
    "": (("id", "text"), ("version", "integer"), ("at", "double precision")),
    MOVED: (
        ("state", "text"),
        ("new_version", "integer"),
        ("facts", "json"),
        ("data", "json"),
        ("entered_at", "double precision"),
    ),
    KEYED: (("origin", "text"), ("key", "text")),
    REFUSED: (("event", "text"), ("said_by", "text"), ("in_state", "text"), ("reason", "text"), ("detail", "text")),
    ARMED: (("deadline", "text"), ("armed", "integer"), ("rearm", "boolean")),
    EFFECTS: (("done_version", "integer"), ("done_n", "integer"), ("drop_to", "integer")),
    READ: (("plan", "text"), ("next_at", "double precision"), ("tries", "integer"), ("spacing", "double precision"), ("provider", "text")),
}
_LISTS: tuple[tuple[str, str, str, tuple[str, ...], str], ...] = (  # any number of rows a commit: part, table, columns, their types, end
    (MOVED, "of_journal", rows.JOURNAL, ("text", "integer", "text", "text", "text", "text", "text", "double precision", "text"), ""),
    (
        MOVED,
        "of_effects",
        "order_id, version, n, name, about, provider, run_at, trace",
        ("text", "integer", "integer", "text", "text", "text", "double precision", "text"),
        "",
    ),
    (
        ARMED,
        "of_deadlines",
        "order_id, name, provider, version, due_at",
        ("text", "text", "text", "integer", "double precision"),
        " ON CONFLICT (order_id, name) DO UPDATE SET provider = excluded.provider, version = excluded.version, due_at = excluded.due_at",
    ),
)
_MINE = "(x.order_id IN (SELECT id FROM k)) IS TRUE"  # so spelt it is one hash look-up a row, never a join of two lists

_ALLOWED = "least(r.last_at, excluded.planned_at) + excluded.spacing"  # a clock that was ahead must not silence the reads
_READ_PLANNED = (
    "INSERT INTO of_reads AS r (order_id, provider, next_at, noticed, tries, planned_at, spacing) {source}"
    " ON CONFLICT (order_id) DO UPDATE SET planned_at = excluded.planned_at, spacing = excluded.spacing,"
    " noticed = r.noticed OR excluded.noticed, tries = CASE WHEN excluded.noticed THEN r.tries ELSE excluded.tries END,"
    " next_at = CASE WHEN NOT excluded.noticed"
    " THEN greatest(CASE WHEN r.noticed THEN excluded.planned_at ELSE excluded.next_at END, {allowed})"
    " WHEN r.next_at IS NOT NULL THEN least(r.next_at, greatest(excluded.planned_at, {allowed})) END"
)


def read_planned(source: str) -> str:
    """The statement that plans the reads of a SELECT; ``noticed`` in a new row says that it is one brought forward."""
    return _READ_PLANNED.format(source=source, allowed=_ALLOWED)


@frozen
class Write:
    """A judged event on its way into the database."""

    order: Order
    key: InboxKey | None
    commit: Commit
    deadline: DueDeadline | None
    after: Order
    values: dict[str, tuple[Any, ...]]  # part -> one value a column
    lists: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]  # journal, effects, deadlines

    @property
    def receipt(self) -> Receipt:
        """What its caller is answered once it is committed."""
        return Receipt(self.commit.decision, self.after)


def write_of(order: Order, key: InboxKey | None, commit: Commit, deadline: DueDeadline | None) -> Write:
    """Everything that one commit needs, dumped already: what cannot be dumped raises here, and hurts no other."""
    values: dict[str, tuple[Any, ...]] = {"": (order.id, order.version, commit.at)}
    after, journal, effects = order, [], []
    if isinstance(commit.decision, Applied):
        snapshot = commit.decision.snapshot
        entered = order.entered_at if snapshot.state == order.state else commit.at
        after = Order(order.id, order.provider, order.key, snapshot, order.created_at, entered)
        values[MOVED] = (snapshot.state, snapshot.version, rows.dump(snapshot.facts), rows.dump(snapshot.data), entered)
        journal = [(*row[:-1], carried(row[-1])) for row in map(rows.journal_values, commit.journal)]  # a note may quote the provider
        effects = [(order.id, one.version, one.n, one.name, one.about, order.provider, commit.at, one.trace) for one in commit.effects]
    if commit.refusal is not None:
        said = commit.refusal
        values[REFUSED] = (carried(said.event), said.origin.value, said.state, said.reason.value, carried(said.detail))
        after = evolve(after, flagged=order.flagged or said.reason in FLAGGED)
    if commit.deadlines is not None or deadline is not None:
        values[ARMED] = (*((deadline.name, deadline.version) if deadline else (None, None)), commit.deadlines is not None)
    if commit.effect_done is not None or commit.drop_effects:
        done = commit.effect_done
        values[EFFECTS] = (*((done.version, done.n) if done else (None, None)), order.version if commit.drop_effects else None)
    if commit.read is not None:
        values[READ] = (*_plan(commit.read), order.provider)
    if key is not None and commit.remember:
        values[KEYED] = (key.origin, carried(key.key))
    deadlines = [(order.id, name, order.provider, after.version, due) for name, due in commit.deadlines or ()]
    return Write(order, key, commit, deadline, after, values, (journal, effects, deadlines))


def _plan(plan: ReadPlan) -> tuple[Any, ...]:
    if isinstance(plan, ReadAt):
        return ("at", plan.at, plan.tries, plan.interval)
    if isinstance(plan, ReadForward):
        return ("forward", None, 0, plan.interval)
    return ("stop", None, 0, 0.0)


def carried(value: Any) -> Any:
    """A value as PostgreSQL's text can carry it: without NUL, without lone surrogates. A provider's words may hold either."""
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def together(writes: Sequence[Write]) -> tuple[str, list[Any]]:
    """The one statement that commits these, at most one an order, and its values. It answers with the ids of those that won.

    One write goes as plain values, several as an array a column: for one, arrays would cost more than all that it writes.
    """
    needed = set().union(*(write.values for write in writes))
    parts = tuple(part for part in PARTS if part in needed)
    if len(writes) == 1:
        (write,) = writes
        values = [value for part in ("", *parts) for value in write.values[part]]
        values += [value for listed in write.lists for row in listed for value in row]
        return statement(parts, tuple(map(len, write.lists))), values
    arrays: list[Any] = []
    for part in ("", *parts):
        blank = (None,) * len(_COLUMNS[part])
        arrays += _turned((write.values.get(part, blank) for write in writes), len(blank))
    for which, (part, _, _, types, _) in enumerate(_LISTS):
        if part in needed:
            arrays += _turned((row for write in writes for row in write.lists[which]), len(types))
    return statement(parts), arrays


def _turned(found: Iterable[tuple[Any, ...]], width: int) -> list[list[Any]]:
    columns = list(map(list, zip(*found, strict=True)))
    return columns or [[] for _ in range(width)]


@lru_cache
def statement(parts: tuple[str, ...], counts: tuple[int, ...] | None = None) -> str:
    """The statement with these parts (see the module's docstring for their order), fed with an array a column; or, where it is told
    how many rows each list has, with plain values of one commit."""
    given = [column for part in ("", *parts) for column in _COLUMNS[part]]
    names = ", ".join(name for name, _ in given)
    if counts is None:
        fed = f"SELECT * FROM unnest({_marks([kind for _, kind in given], 1, '[]')}) AS c ({names})"
    else:
        fed = f"SELECT * FROM (VALUES ({_marks([kind for _, kind in given], 1)})) AS c ({names})"
    steps = [
        f"c AS ({fed})",
        # by id: two batches that share orders queue up instead of locking each other out
        "l AS MATERIALIZED (SELECT c.* FROM (SELECT * FROM c ORDER BY id) c,"
        " LATERAL (SELECT FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) o)",
        *_taken(parts),
    ]
    for part in parts:
        steps += _written(part)
    steps += _listed(parts, counts, len(given) + 1)
    return f"WITH {', '.join(steps)} SELECT id FROM k"


def _listed(parts: tuple[str, ...], counts: tuple[int, ...] | None, after: int) -> list[str]:
    """The lists that have rows, their values numbered from ``after``."""
    steps: list[str] = []
    for which, (part, table, columns, types, end) in enumerate(_LISTS):
        if part not in parts or (counts is not None and not counts[which]):
            continue
        if counts is None:
            fed = f"unnest({_marks(types, after, '[]')})"
            after += len(types)
        else:
            fed = f"(VALUES {', '.join(f'({_marks(types, after + n * len(types))})' for n in range(counts[which]))})"
            after += counts[which] * len(types)
        chosen = f"SELECT {columns} FROM {fed} AS x ({columns}) WHERE {_MINE}"
        steps.append(f"x{which} AS (INSERT INTO {table} ({columns}) {chosen}{end})")
    return steps


def _marks(types: Sequence[str], first: int, suffix: str = "") -> str:
    return ", ".join(f"${n}::{kind}{suffix}" for n, kind in enumerate(types, first))


def _taken(parts: tuple[str, ...]) -> list[str]:
    """From the locked rows (l) to those whose event is one of a kind (k)."""
    steps, held = [], "l"
    if ARMED in parts:
        steps += [
            "d AS (DELETE FROM of_deadlines x USING l WHERE x.order_id = l.id AND x.name = l.deadline AND x.version = l.armed"
            " RETURNING x.order_id)",
            "g AS MATERIALIZED (SELECT * FROM l WHERE deadline IS NULL OR id IN (SELECT order_id FROM d))",
        ]
        held = "g"
    if KEYED in parts:
        steps += [
            f"i AS (INSERT INTO of_inbox (origin, key, order_id, at) SELECT origin, key, id, at FROM {held} WHERE key IS NOT NULL"
            " ON CONFLICT DO NOTHING RETURNING order_id)",
            f"k AS MATERIALIZED (SELECT * FROM {held} WHERE key IS NULL OR id IN (SELECT order_id FROM i))",
        ]
    else:
        steps.append(f"k AS MATERIALIZED (SELECT * FROM {held})")
    return steps


def _written(part: str) -> list[str]:
    """What a part writes for the rows in k, beside its lists."""
    if part == MOVED:
        return [
            "u AS (UPDATE of_orders o SET state = k.state, version = k.new_version, facts = k.facts, data = k.data,"
            " entered_at = k.entered_at FROM k WHERE o.id = k.id AND k.state IS NOT NULL)",
        ]
    if part == REFUSED:
        return [
            f"r AS (INSERT INTO of_refusals AS r ({rows.REFUSAL}) SELECT id, event, said_by, in_state, reason, detail, version, 1, at, at"
            " FROM k WHERE event IS NOT NULL ON CONFLICT (order_id, event, state, reason) DO UPDATE SET count = r.count + 1,"
            " last_at = excluded.last_at, version = excluded.version, detail = excluded.detail)"
        ]
    if part == ARMED:
        return ["f AS (DELETE FROM of_deadlines x USING k WHERE k.rearm AND x.order_id = k.id)"]
    if part == EFFECTS:
        return [
            "n AS (UPDATE of_effects x SET owed = false, in_flight = false FROM k"
            " WHERE x.order_id = k.id AND x.version = k.done_version AND x.n = k.done_n)",
            "o AS (UPDATE of_effects x SET owed = false FROM k"
            f" WHERE x.order_id = k.id AND x.version <= k.drop_to AND x.name <> '{TELL_HOST}')",
        ]
    if part == READ:
        source = "SELECT id, provider, next_at, plan = 'forward', tries, at, spacing FROM k WHERE plan IN ('at', 'forward')"
        return [
            f"p AS ({read_planned(source)})",
            "s AS (DELETE FROM of_reads x USING k WHERE x.order_id = k.id AND k.plan = 'stop')",
        ]
    return []  # KEYED: taken already
