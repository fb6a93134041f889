"""What a new order or one decision writes to SQLite, inside the writer's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from orderflow._store import rows
from orderflow._store.ports import make_used_id_error
from orderflow._store.records import MAX_MESSAGES, Commit, InboxKey, PollAt, PollPlan, PollSooner, Receipt
from orderflow._store.sqlite.queries import SQL
from orderflow._store.sqlite.reading import load_order
from orderflow.errors import InvalidInput, KeyReused
from orderflow.model import PROVIDER_ID, Applied, Message, Order, Snapshot


class LostRace(Exception):
    """The order moved between load and write. Impossible behind the writer's lock; the transaction would be tried again alone."""


def create_order(connection: sqlite3.Connection, order: Order, fingerprint: str, deadlines: Sequence[tuple[str, float]]) -> Order:
    """See ``Store.create``."""
    create_key = f"{order.provider}:{order.key}"
    created = connection.execute(SQL["created_order"], (create_key,)).fetchone()
    if created is not None:
        order_id, created_with = created
        if created_with not in ("", fingerprint):
            raise KeyReused(order.key)
        return load_order(connection, order_id)
    if connection.execute(SQL["order_exists"], (order.id,)).fetchone():
        raise make_used_id_error()
    connection.execute(SQL["add_create_key"], (create_key, order.id, fingerprint, order.created_at))
    connection.execute(SQL["add_order"], rows.order_values(order))
    connection.execute(SQL["add_creation_row"], (order.id,))
    arm_deadlines(connection, order, order.version, deadlines)
    if order.provider_id is not None:
        if holder := find_holder(connection, order.provider, order.provider_id):
            raise InvalidInput(PROVIDER_ID, f"belongs to the order {holder}")
        take_provider_id(connection, order, order.provider_id)
    return order


def apply(connection: sqlite3.Connection, order: Order, key: InboxKey | None, commit: Commit, deadline: str = "") -> Receipt:
    """Write a commit whole. ``deadline``: the name of the deadline that brought the event.

    Raises:
        LostRace: the order is not at the version that the decision was made on.
    """
    snapshot = order.snapshot
    if isinstance(commit.decision, Applied):
        snapshot = commit.decision.snapshot
        _move_order(connection, order, snapshot, commit)
    receipt = Receipt(commit.decision, snapshot.state, snapshot.version)
    if commit.effects:
        connection.executemany(SQL["add_effect"], [(order.id, order.provider, commit.at, *effect) for effect in commit.effects])
    if commit.refusal is not None:
        connection.execute(SQL["add_refusal"], rows.refusal_values(commit.refusal))
    if commit.deadlines is not None:
        connection.execute(SQL["disarm_deadlines"], (order.id,))
        arm_deadlines(connection, order, receipt.version, commit.deadlines)
    elif deadline:
        connection.execute(SQL["disarm_deadline"], (order.id, deadline))
    if commit.finished_effect is not None:
        effect = commit.finished_effect
        connection.execute(SQL["end_effect"], (effect.order_id, effect.version, effect.n))
    if commit.cancel_effects:
        connection.execute(SQL["cancel_effects"], (order.id, order.snapshot.version))
    if commit.poll is not None:
        plan_poll(connection, order, commit.at, commit.poll)
    if key is not None and commit.keep_key:
        fingerprint = key.fingerprint if commit.keep_fingerprint else ""
        connection.execute(SQL["add_inbox_key"], (key.origin, key.key, order.id, fingerprint, commit.at))
    add_message(connection, commit.message)
    return receipt


def plan_taken_id(connection: sqlite3.Connection, order: Order, commit: Commit) -> Commit:
    """The commit itself, or what is written instead where it gives the order an id that another order has."""
    change = commit.id_change
    if change is None:
        return commit
    holder = find_holder(connection, order.provider, change.taken)
    return commit if holder is None else change.plan_taken(holder)


def find_holder(connection: sqlite3.Connection, provider: str, provider_id: str) -> str | None:
    """The id of the order to which a provider's id belongs."""
    row = connection.execute(SQL["provider_id_holder"], (provider, provider_id)).fetchone()
    return str(row[0]) if row else None


def take_provider_id(connection: sqlite3.Connection, order: Order, provider_id: str) -> None:
    """From now on the provider's id belongs to this order."""
    connection.execute(SQL["take_provider_id"], (order.provider, provider_id, order.id))


def add_message(connection: sqlite3.Connection, message: Message | None) -> None:
    """Keep a message, if there is one; see ``Store.add_message``."""
    if message is None:
        return
    values = {
        "order_id": message.order_id,
        "source": message.source,
        "status": message.status,
        "digest": rows.digest(message.body),
        "content_type": message.content_type,
        "truncated": message.truncated,
        "at": message.at,
        "body": message.body,
    }
    connection.execute(SQL["add_message"], values)
    connection.execute(SQL["drop_messages"], {"order_id": message.order_id, "kept": MAX_MESSAGES})


def arm_deadlines(connection: sqlite3.Connection, order: Order, version: int, deadlines: Iterable[tuple[str, float]]) -> None:
    """Arm deadlines (events, and when each is due) of an order that is at ``version``."""
    armed = [(order.id, name, order.provider, version, due_at) for name, due_at in deadlines]
    connection.executemany(SQL["arm_deadline"], armed)


def _move_order(connection: sqlite3.Connection, order: Order, snapshot: Snapshot, commit: Commit) -> None:
    before = order.snapshot
    entered_at = order.entered_at if snapshot.state == before.state else commit.at
    facts, data = rows.dump_changes(before, snapshot)
    values = (snapshot.state, snapshot.version, facts, data, entered_at, order.id, before.version)
    if connection.execute(SQL["move_order"], values).rowcount != 1:
        raise LostRace
    connection.executemany(SQL["add_journal_row"], [rows.journal_values(row) for row in commit.journal])
    if commit.id_change is not None:
        connection.execute(SQL["release_provider_id"], (order.provider, commit.id_change.released, order.id))
        if commit.id_change.taken:
            take_provider_id(connection, order, commit.id_change.taken)


def plan_poll(connection: sqlite3.Connection, order: Order, now: float, plan: PollPlan) -> None:
    """Write a poll plan; records.py says what each means."""
    values = {"order_id": order.id, "provider": order.provider, "now": now}
    if isinstance(plan, PollAt):
        values |= {"at": plan.at, "without_news": plan.without_news, "interval": plan.interval, "unusable": plan.unusable}
        connection.execute(SQL["plan_poll"], values)
        if plan.answered is not None:
            connection.execute(SQL["release_deadlines"], {"order_id": order.id, "answered": plan.answered})
    elif isinstance(plan, PollSooner):
        connection.execute(SQL["bring_poll_forward"], values | {"interval": plan.interval})
    else:
        connection.execute(SQL["pause_polling" if plan.remember else "stop_polling"], values)
