"""Replay: how an order stood at a version, rebuilt from its journal. Contains only: the pure function, and the one that loads the rows."""

from __future__ import annotations

from collections.abc import Sequence

from orderflow._store.ports import Store
from orderflow.errors import InvalidInput, NotReplayable
from orderflow.model import JournalRow, Snapshot, StepKind


async def replay_order(store: Store, order_id: str, version: int | None) -> Snapshot:
    """See ``Orderflow.replay``."""
    await store.load(order_id)
    return replay(order_id, await store.journal(order_id, creation=True), version)


def replay(order_id: str, rows: Sequence[JournalRow], version: int | None = None) -> Snapshot:
    """The order at a version; None: the last. ``rows``: its journal from its creation on. Pure.

    Raises:
        InvalidInput: the journal does not reach to this version; NotReplayable: a row up to it is missing, or lacks what its step set.
    """
    last = rows[-1].version if rows else 0
    if version is None:
        version = last
    if type(version) is not int or not 0 <= version <= last:
        raise InvalidInput("version", f"must be a whole number between 0 and {last}, the last of order {order_id}")
    facts: dict[str, bool | str] = {}
    data: dict[str, object] = {}
    for n in range(version + 1):
        row = rows[n] if n < len(rows) else None
        if row is None or row.version != n or row.facts is None or row.data is None:
            raise NotReplayable(order_id, n)
        facts.update(row.facts)
        data = dict(row.data) if row.kind == StepKind.REDACTION else {**data, **row.data}
        if row.kind == StepKind.OVERRIDE:  # it may take the provider's id away, and sets no other None
            data = {name: value for name, value in data.items() if value is not None or name not in row.data}
    return Snapshot(rows[version].target, facts, data, version)
