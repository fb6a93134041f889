"""What one decision writes to PostgreSQL: from a ``Commit`` to the statement of commit.sql and its values. Pure: nothing is run here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from attrs import define

from orderflow._store import rows
from orderflow._store.postgres.queries import COMMIT_SQL
from orderflow._store.records import Commit, DueDeadline, InboxKey, PollAt, PollPlan, PollSooner, Receipt
from orderflow._store.sql import choose_parts
from orderflow.model import Applied, JournalRow, Message, Order

_VALUE = re.compile(r":(\w+)::(text|integer|double precision|boolean|jsonb?)\b")


def _blank_values(part: str) -> tuple[Any, ...]:
    """The values of a part in a batch, for a commit that does not need it: NULLs, and empty lists."""
    template = COMMIT_SQL["commit"]
    always = len(_VALUE.findall(choose_parts(template, ())))
    values = [() if kind == "jsonb" else None for _, kind in _VALUE.findall(choose_parts(template, (part,)))]
    return tuple(values[always if part else 0 :])


PART_COLUMNS = {
    "": ("id", "version", "at"),
    "moved": ("state", "new_version", "facts", "data", "enters", "journal"),
    "effects": ("effects",),
    "id_change": ("taken_id", "released_id"),
    "inbox": ("origin", "key", "fingerprint"),
    "refusal": ("event", "refused_origin", "refused_state", "refused_version", "reason", "detail"),
    "deadline": ("deadline", "armed_by"),
    "deadlines": ("replaces_deadlines", "deadlines"),
    "finished_effect": ("finished_version", "finished_n"),
    "cancelled_effects": ("cancelled_to",),
    "poll": ("poll", "next_at", "without_news", "min_interval", "unusable", "answered"),
    "message": ("source", "status", "digest", "content_type", "truncated", "answered_at", "body"),
}
"""The columns of each part of the statement, in the order in which ``plan_write`` gives their values."""


def check_columns(template: str) -> None:
    """Compare the columns of the statement with ``PART_COLUMNS``, because values find their columns by position.

    Raises:
        ValueError: they differ.
    """
    always = _VALUE.findall(choose_parts(template, ()))
    for part, expected in PART_COLUMNS.items():
        columns = _VALUE.findall(choose_parts(template, (part,)))[len(always) if part else 0 :]
        if tuple(name for name, _ in columns) != expected:
            raise ValueError(f"commit.sql: the columns of part {part!r} are not {', '.join(expected)}")


check_columns(COMMIT_SQL["commit"])

_NULL_VALUES = {part: _blank_values(part) for part in PART_COLUMNS}
"""All parts of the statement that have values, in the order of these."""


@define(eq=False)
class Write:
    """A decision on its way into the database.

    ``receipt`` is what the caller gets once the write is committed. ``values`` holds, for each part of the statement that this commit
    needs, one value a column. The part "" is always there.
    """

    order: Order
    commit: Commit
    receipt: Receipt
    values: dict[str, tuple[Any, ...]]


def plan_write(order: Order, key: InboxKey | None, commit: Commit, deadline: DueDeadline | None) -> Write:
    """Everything that one commit writes. Facts and data are dumped here, so that only the caller of a bad commit gets the error.

    Raises:
        TypeError, ValueError: facts or data are not JSON.
    """
    receipt = Receipt(commit.decision, order.state, order.version)
    values: dict[str, tuple[Any, ...]] = {"": (order.id, order.version, commit.at)}
    if isinstance(commit.decision, Applied):
        snapshot = commit.decision.snapshot
        receipt = Receipt(commit.decision, snapshot.state, snapshot.version)
        journal = [_journal_values(row) for row in commit.journal]
        facts, data = rows.dump_changes(order.snapshot, snapshot)
        values["moved"] = (snapshot.state, snapshot.version, facts, data, snapshot.state != order.state, journal)
    if commit.id_change is not None:
        values["id_change"] = (to_storable(commit.id_change.taken) or None, to_storable(commit.id_change.released) or None)
    if commit.effects:
        values["effects"] = (commit.effects,)
    if key is not None and commit.keep_key:
        values["inbox"] = (key.origin, to_storable(key.key), key.fingerprint if commit.keep_fingerprint else "")
    if commit.refusal is not None:
        row = commit.refusal
        values["refusal"] = (to_storable(row.event), row.origin, row.state, row.version, row.reason, to_storable(row.detail))
    if deadline is not None:
        values["deadline"] = (deadline.name, deadline.version)
    if commit.deadlines is not None:
        values["deadlines"] = (True, [(name, receipt.version, due_at) for name, due_at in commit.deadlines])
    values |= _call_values(order, commit)
    return Write(order, commit, receipt, values)


def _journal_values(row: JournalRow) -> tuple[Any, ...]:
    facts, data = rows.dump_step(row.facts), rows.dump_step(row.data)
    return (row.version, row.event, row.origin, row.source, row.target, row.kind, to_storable(row.note), facts, data)


def _call_values(order: Order, commit: Commit) -> dict[str, tuple[Any, ...]]:
    """The parts about calls and polls: what has ended, what comes, what was answered."""
    values: dict[str, tuple[Any, ...]] = {}
    if commit.finished_effect is not None:
        values["finished_effect"] = (commit.finished_effect.version, commit.finished_effect.n)
    if commit.cancel_effects:
        values["cancelled_effects"] = (order.version,)
    if commit.poll is not None:
        values["poll"] = _poll_values(commit.poll)
    if commit.message is not None:
        values["message"] = message_values(commit.message)
    return values


def _poll_values(plan: PollPlan) -> tuple[Any, ...]:
    if isinstance(plan, PollAt):
        return ("at", plan.at, plan.without_news, plan.interval, plan.unusable, plan.answered)
    if isinstance(plan, PollSooner):
        return ("sooner", None, 0, plan.interval, 0, None)
    return ("pause" if plan.remember else "stop", None, 0, 0.0, 0, None)


def message_values(message: Message) -> tuple[Any, ...]:
    """The columns of the part ``message``."""
    texts = map(to_storable, (message.source, message.status, rows.digest(message.body), message.content_type))
    return (*texts, message.truncated, message.at, to_storable(message.body))


def to_storable(value: Any) -> Any:
    """A value as PostgreSQL can store it: text loses NUL and lone surrogates, which a provider's answer may hold."""
    if not isinstance(value, str) or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def build_statement(writes: Sequence[Write]) -> tuple[str, Sequence[Any]]:
    """The one statement that commits these writes, at most one an order, and its values. It answers with the ids of the winners.

    One write goes as plain values. Several go as one JSON text, because an array a column would cost the client twice as much to encode.
    """
    if len(writes) == 1:
        needed = writes[0].values
        parts = tuple([part for part in _NULL_VALUES if part in needed])
        values = [value for part in parts for value in needed[part]]
        return commit_statement(parts, batch=False), [rows.dump(v) if isinstance(v, list | tuple) else v for v in values]
    in_use = set().union(*(write.values for write in writes))
    blanks = [(part, blank) for part, blank in _NULL_VALUES.items() if part in in_use]
    documents = []
    for write in writes:
        document: list[Any] = []
        for part, blank in blanks:
            document += write.values.get(part, blank)
        documents.append(document)
    return commit_statement(tuple([part for part, _ in blanks]), batch=True), (rows.dump(documents),)


@lru_cache
def commit_statement(parts: tuple[str, ...], *, batch: bool) -> str:
    """The statement with these parts: for a JSON array of commits, or for the plain values of one."""
    statement = choose_parts(COMMIT_SQL["commit"], (*parts, "batch") if batch else parts)
    positions = count(0 if batch else 1)

    def place(value: re.Match[str]) -> str:
        kind, position = value[2], next(positions)
        if not batch:
            return f"${position}::{kind}"
        return f"value -> {position}" if kind == "jsonb" else f"(value ->> {position})::{kind}"

    return _VALUE.sub(place, statement)


@lru_cache
def load_statement(*, batch: bool, deadline: bool, call: bool) -> str:
    """The statement that loads what a decision needs, for one event or for a batch; ``deadline``, ``call``: some event has one."""
    chosen = {"batch": batch, "deadline": deadline, "call": call}
    return choose_parts(COMMIT_SQL["load"], [part for part, is_chosen in chosen.items() if is_chosen])
