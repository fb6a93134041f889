"""How decisions are written to PostgreSQL: one statement for one or many, which is one implicit transaction.

What may live here: the SQL of load and commit, and the JSON that feeds it. Who shares a statement is postgres_group.py.

The order of the parts is the point. The order's row is locked *first*, and only where its version still is the one that was judged;
then what makes the event one of a kind is taken (its deadline deleted, its inbox key inserted); only behind both is anything else
written. With the inbox first, a lost race would still commit the inbox row and the retry would take its own event for a duplicate.
Who lost a race is missing from the answer, and has written nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from attrs import define, frozen

from orderflow.model import FLAGGING_REASONS, NOTIFY_LISTENER, Applied, Order
from orderflow.store import rows
from orderflow.store.records import Commit, DueDeadline, InboxKey, PollAt, PollPlan, PollSooner, Receipt

_FLAGGED = ", ".join(f"'{reason.value}'" for reason in sorted(FLAGGING_REASONS))
# never EXISTS: for a batch the planner would rather hash the whole table than look each row up
_IS_FLAGGED = (
    f"(SELECT true FROM of_refusals r WHERE r.order_id = o.id AND r.version = o.version AND r.reason IN ({_FLAGGED}) LIMIT 1) IS NOT NULL"
)
SHOW = f"SELECT {rows.ORDER}, {_IS_FLAGGED} FROM of_orders o"
_ORDER = ", ".join(f"o.{name}" for name in rows.ORDER.split(", "))
MOVED, KEYED, REFUSED, ARMED, EFFECTS, READ = "moved", "keyed", "refused", "armed", "effects", "read"
PARTS = (MOVED, KEYED, REFUSED, ARMED, EFFECTS, READ)
"""What a commit may write beside locking its order; a statement holds only the parts that one of its commits needs."""

_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {  # one value a commit; NULL where this commit does not need the part
    "": (("id", "text"), ("version", "integer"), ("at", "double precision")),
    MOVED: (("state", "text"), ("new_version", "integer"), ("facts", "json"), ("data", "json"), ("enters", "boolean")),
    KEYED: (("origin", "text"), ("key", "text")),
    REFUSED: (("event", "text"), ("said_by", "text"), ("in_state", "text"), ("reason", "text"), ("detail", "text")),
    ARMED: (("deadline", "text"), ("armed", "integer"), ("rearm", "boolean")),
    EFFECTS: (("done_version", "integer"), ("done_n", "integer"), ("drop_to", "integer")),
    READ: (("plan", "text"), ("next_at", "double precision"), ("without_news", "integer"), ("spacing", "double precision")),
}


@frozen
class _Listed:
    """Any number of rows a commit. ``columns``: what each row brings; ``own``: what it has of its order and commit."""

    part: str
    table: str
    columns: tuple[tuple[str, str], ...]
    own: tuple[tuple[str, str], ...]
    end: str = ""


_STEP = ("event", "origin", "source", "target", "kind", "note")
_LISTS = (
    _Listed(MOVED, "of_journal", (("version", "integer"), *((name, "text") for name in _STEP)), (("order_id", "k.id"), ("at", "k.at"))),
    _Listed(
        MOVED,
        "of_effects",
        (("version", "integer"), ("n", "integer"), ("name", "text"), ("entered_state", "text"), ("trace", "text")),
        (("order_id", "k.id"), ("provider", "k.provider"), ("run_at", "k.at")),
    ),
    _Listed(
        ARMED,
        "of_deadlines",
        (("name", "text"), ("version", "integer"), ("due_at", "double precision")),
        (("order_id", "k.id"), ("provider", "k.provider")),
        " ON CONFLICT (order_id, name) DO UPDATE SET provider = excluded.provider, version = excluded.version, due_at = excluded.due_at",
    ),
)


@lru_cache
def look(*, alone: bool, armed: bool) -> str:
    """The look at an order: its columns, whether the event was heard before, whether its deadline is still armed
    (asked only where one is ``armed``). ``alone``: of one, with plain values; else of many, with an array a column and one row an event,
    in their order. No row, or one of NULLs: there is no such order."""
    heard, still = "(SELECT true FROM of_inbox i WHERE i.origin = {} AND i.key = {}) IS NOT NULL", "false"
    if armed:
        still = "(SELECT true FROM of_deadlines d WHERE d.order_id = {} AND d.name = {} AND d.version = {}) IS NOT NULL"
    if alone:
        return f"SELECT {_ORDER}, {heard.format('$2', '$3')}, {still.format('$1', '$4', '$5')} FROM of_orders o WHERE id = $1"
    given = ["$1::text[]", "$2::text[]", "$3::text[]", *(["$4::text[]", "$5::integer[]"] if armed else [])]
    names = ["id", "origin", "key", *(["deadline", "armed"] if armed else [])]
    return (
        f"SELECT {_ORDER}, {heard.format('a.origin', 'a.key')}, {still.format('a.id', 'a.deadline', 'a.armed')}"
        f" FROM unnest({', '.join(given)}) WITH ORDINALITY AS a ({', '.join(names)}, n) LEFT JOIN of_orders o ON o.id = a.id ORDER BY a.n"
    )


_ALLOWED = "least(r.last_at, excluded.planned_at) + excluded.spacing"  # a clock that was ahead must not silence the reads
_READ_PLANNED = (
    "INSERT INTO of_polls AS r (order_id, provider, next_at, requested, without_news, planned_at, spacing) {source}"
    " ON CONFLICT (order_id) DO UPDATE SET planned_at = excluded.planned_at, spacing = excluded.spacing,"
    " requested = r.requested OR excluded.requested, without_news = CASE WHEN excluded.requested THEN r.without_news ELSE excluded.without_news END,"
    " next_at = CASE WHEN NOT excluded.requested"
    " THEN greatest(CASE WHEN r.requested THEN excluded.planned_at ELSE excluded.next_at END, {allowed})"
    " WHEN r.next_at IS NOT NULL THEN least(r.next_at, greatest(excluded.planned_at, {allowed})) END"
)


def read_planned(source: str) -> str:
    """The statement that plans the reads of a SELECT; ``requested`` in a new row says that it is one brought forward."""
    return _READ_PLANNED.format(source=source, allowed=_ALLOWED)


@define(eq=False)
class Write:
    """A judged event on its way into the database."""

    order: Order
    commit: Commit
    receipt: Receipt  # what its caller is answered once it is committed
    values: dict[str, tuple[Any, ...]]  # part -> one value a column
    lists: tuple[Sequence[tuple[Any, ...]], ...]  # the rows of each of _LISTS


def write_of(order: Order, key: InboxKey | None, commit: Commit, deadline: DueDeadline | None) -> Write:
    """Everything that one commit writes; facts and data are dumped already: what cannot be dumped raises here, and hurts no other."""
    values: dict[str, tuple[Any, ...]] = {"": (order.id, order.version, commit.at)}
    receipt = Receipt(commit.decision, order.state, order.version)
    journal: Sequence[tuple[Any, ...]] = ()
    if isinstance(commit.decision, Applied):
        snapshot = commit.decision.snapshot
        receipt = Receipt(commit.decision, snapshot.state, snapshot.version)
        values[MOVED] = (snapshot.state, snapshot.version, *rows.changed(order.snapshot, snapshot), snapshot.state != order.state)
        # a note may quote the provider
        journal = [(row.version, row.event, row.origin, row.source, row.target, row.kind, carried(row.note)) for row in commit.journal]
    if commit.refusal is not None:
        said = commit.refusal
        values[REFUSED] = (carried(said.event), said.origin, said.state, said.reason, carried(said.detail))
    if commit.deadlines is not None or deadline is not None:
        values[ARMED] = (*((deadline.name, deadline.version) if deadline else (None, None)), commit.deadlines is not None)
    if commit.finished_effect is not None or commit.cancel_effects:
        done = commit.finished_effect
        values[EFFECTS] = (*((done.version, done.n) if done else (None, None)), order.version if commit.cancel_effects else None)
    if commit.poll is not None:
        values[READ] = _plan(commit.poll)
    if key is not None and commit.keep_key:
        values[KEYED] = (key.origin, carried(key.key))
    owed = [(one.version, one.n, one.name, one.entered_state, one.trace) for one in commit.effects]
    deadlines = [(name, receipt.version, due) for name, due in commit.deadlines or ()]
    return Write(order, commit, receipt, values, (journal, owed, deadlines))


def _plan(plan: PollPlan) -> tuple[Any, ...]:
    if isinstance(plan, PollAt):
        return ("at", plan.at, plan.without_news, plan.interval)
    if isinstance(plan, PollSooner):
        return ("forward", None, 0, plan.interval)
    return ("stop", None, 0, 0.0)


def carried(value: Any) -> Any:
    """A value as PostgreSQL's text can carry it: without NUL, without lone surrogates. A provider's words may hold either."""
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def together(writes: Sequence[Write]) -> tuple[str, Sequence[Any]]:
    """The one statement that commits these, at most one an order, and its values. It answers with the ids of those that won.

    One goes as plain values; several as one JSON text, for an array a column would cost the client twice as much to encode.
    """
    needed = writes[0].values.keys() if len(writes) == 1 else set().union(*(write.values for write in writes))
    parts = tuple([part for part in PARTS if part in needed])
    if len(writes) == 1:
        (write,) = writes
        values = [value for part in ("", *parts) for value in write.values[part]]
        values += [value for listed in write.lists for row in listed for value in row]
        return statement(parts, tuple(map(len, write.lists))), values
    blanks = [(part, (None,) * len(_COLUMNS[part])) for part in ("", *parts)]
    documents = []
    for write in writes:
        document: list[Any] = []
        for part, blank in blanks:
            document += write.values.get(part, blank)
        document += write.lists
        documents.append(document)
    return statement(parts), (rows.dump(documents),)


@lru_cache
def statement(parts: tuple[str, ...], counts: tuple[int, ...] | None = None) -> str:
    """The statement with these parts (see the module's docstring for their order), fed with a JSON array of commits; or, where it is
    told how many rows each list has, with the plain values of one."""
    given = [column for part in ("", *parts) for column in _COLUMNS[part]]
    if counts is None:
        fed = [f"(v->>{n})::{kind} AS {name}" for n, (name, kind) in enumerate(given)]
        fed += [f"v->{n} AS list{which}" for which, n in enumerate(range(len(given), len(given) + len(_LISTS)))]
        steps = [
            f"c AS (SELECT {', '.join(fed)} FROM jsonb_array_elements($1::jsonb) AS e (v))",
            # by id: two batches that share orders queue up instead of locking each other out
            "l AS MATERIALIZED (SELECT c.*, o.provider FROM (SELECT * FROM c ORDER BY id) c,"
            " LATERAL (SELECT provider FROM of_orders o WHERE o.id = c.id AND o.version = c.version FOR UPDATE) o)",
        ]
    else:
        fed = [f"${n}::{kind} AS {name}" for n, (name, kind) in enumerate(given, 1)]
        steps = [f"l AS MATERIALIZED (SELECT {', '.join(fed)}, provider FROM of_orders o WHERE o.id = $1 AND o.version = $2 FOR UPDATE)"]
    steps += _taken(parts, alone=counts is not None)
    for part in parts:
        steps += _written(part)
    steps += _listed(parts, counts, len(given) + 1)
    return f"WITH {', '.join(steps)} SELECT id FROM k"


def _listed(parts: tuple[str, ...], counts: tuple[int, ...] | None, after: int) -> list[str]:
    """The lists: of each commit in k its own, or, where they are counted, those that have rows, their values numbered from ``after``."""
    steps: list[str] = []
    for which, listed in enumerate(_LISTS):
        if listed.part not in parts or (counts is not None and not counts[which]):
            continue
        names = [name for name, _ in listed.columns]
        if counts is None:
            brought = [f"(x->>{n})::{kind}" for n, (_, kind) in enumerate(listed.columns)]
            source = f"jsonb_array_elements(list{which}) AS e (x)"
        else:
            brought = [f"x.{name}" for name in names]
            marks = []
            for _ in range(counts[which]):
                marks.append(f"({', '.join(f'${n}::{kind}' for n, (_, kind) in enumerate(listed.columns, after))})")
                after += len(names)
            source = f"(VALUES {', '.join(marks)}) AS x ({', '.join(names)})"
        into = ", ".join([*(name for name, _ in listed.own), *names])
        chosen = ", ".join([*(value for _, value in listed.own), *brought])
        steps.append(f"x{which} AS (INSERT INTO {listed.table} ({into}) SELECT {chosen} FROM k, {source}{listed.end})")
    return steps


def _taken(parts: Sequence[str], *, alone: bool) -> list[str]:
    """From the locked rows (l) to those whose event is one of a kind (k); ``alone``: there is one, and it has what its parts say."""
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
            f"k AS MATERIALIZED (SELECT {held}.* FROM {held}, i)"
            if alone
            else f"k AS MATERIALIZED (SELECT * FROM {held} WHERE key IS NULL OR id IN (SELECT order_id FROM i))",
        ]
    else:
        steps.append(f"k AS MATERIALIZED (SELECT * FROM {held})")
    return steps


def _written(part: str) -> list[str]:
    """What a part writes for the rows in k, beside its lists."""
    if part == MOVED:
        return [
            "u AS (UPDATE of_orders o SET state = k.state, version = k.new_version, facts = coalesce(k.facts, o.facts),"
            " data = coalesce(k.data, o.data), entered_at = CASE WHEN k.enters THEN k.at ELSE o.entered_at END"
            " FROM k WHERE o.id = k.id AND k.state IS NOT NULL)",
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
            f" WHERE x.order_id = k.id AND x.version <= k.drop_to AND x.name <> '{NOTIFY_LISTENER}')",
        ]
    if part == READ:
        source = "SELECT id, provider, next_at, plan = 'forward', without_news, at, spacing FROM k WHERE plan IN ('at', 'forward')"
        return [
            f"p AS ({read_planned(source)})",
            "s AS (DELETE FROM of_polls x USING k WHERE x.order_id = k.id AND k.plan = 'stop')",
        ]
    return []  # KEYED: taken already
