"""No statement that runs while orders live looks at all of a table that grows: each finds its rows by an index, and what is due by time,
unsorted. The planners say so themselves.

Every method of the store is called at least once, on an almost empty database: the plan made then is the one that is kept (PostgreSQL),
or the one that is always made (SQLite, which is never asked to gather statistics). Left out is what lists orders, the one question no
index answers.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.kit.commits import NOW, move, new_order, scope, stay

from orderflow.model import NOTIFY_LISTENER, Reason
from orderflow.store.ports import Store
from orderflow.store.postgres.store import PostgresStore
from orderflow.store.records import InboxKey, LeasedEffect, PollAt, PollSooner, StopPolling
from orderflow.store.sqlite.store import SqliteStore

pytestmark = pytest.mark.anyio
GROWS = ("of_orders", "of_journal", "of_refusals", "of_effects", "of_deadlines", "of_polls", "of_inbox")
SCOPE = scope("toy", "other", notifiable=[("toy", "sent"), ("other", "sent")])
IN_ORDER = {"of_effects_due", "of_deadlines_due", "of_polls_due"}
"""May be walked from their beginning, by time, until enough is found: what looks for the next that is due must use these."""
TIMES = re.compile(r"\b(run_at|next_at|due_at|last_at)\b")

FILL = [
    f"INSERT INTO {table} SELECT {columns} FROM generate_series(1, 20000) n"
    for table, columns in {
        "of_orders": "'o' || n, 'toy', n, 'sent', 1, '{}', '{}', n, n",
        "of_journal": "'o' || n, 1, 'moved', 'reply', 'drafted', 'sent', 'step', n, ''",
        "of_refusals": "'o' || n, 'knocked', 'sent', 'late', 'claim', '', 1, 1, n, n",
        "of_effects": "'o' || n, 1, 0, 'call', 'toy', '', n % 10 = 0, 1, false, n",
        "of_deadlines": "'o' || n, 'late', 'toy', 1, n",
        "of_polls": "'o' || n, 'toy', n, 0, false, 0, 0, 0",
        "of_inbox": "'command', n, 'o' || n, '', n",
    }.items()
]


ASKED = frozenset(name for name in vars(Store) if not name.startswith("_")) - {"open", "close", "orders"}


class Noted:
    """A store, and the names of the methods that were asked for."""

    def __init__(self, store: Store) -> None:
        self.store, self.names = store, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return getattr(self.store, name)


async def _lived(store: Store, also: Callable[[Store, LeasedEffect], Awaitable[object]]) -> None:
    """An order's life and end, through every method that there is."""
    noted = Noted(store)
    await _live(cast(Store, noted), also)
    assert ASKED - noted.names == set()


async def _live(store: Store, also: Callable[[Store, LeasedEffect], Awaitable[object]]) -> None:
    order = await store.create(new_order(), "content")
    await store.create(new_order(), "content")
    deadlines = (("late", NOW), ("later", NOW + 5))
    sent = move("sent", effects=["register", NOTIFY_LISTENER], entered_state="sent", deadlines=deadlines, poll=PollAt(NOW, 0, 1.0))
    await store.commit(order.id, InboxKey("command", "a"), sent)
    await store.commit(order.id, InboxKey("claim", "b"), stay(Reason.ANOMALY, poll=PollSooner(1.0)))
    many = [await store.create(new_order(name), "content") for name in "xyz"]
    await asyncio.gather(*(store.commit(one.id, InboxKey("command", one.id), sent) for one in many))  # as one statement, where it can
    await store.next_due(SCOPE)
    (due, *_) = [found for found in await store.due_deadlines(NOW, SCOPE, 10) if found.order_id == order.id]
    await store.commit(order.id, InboxKey("clock", "c"), move("sent"), due)
    effects = [effect for effect in await store.lease_effects(NOW, SCOPE, 10) if effect.key.order_id == order.id]
    await store.lease_effects(NOW, SCOPE, 10, among=[effect.key for effect in effects])
    await also(store, effects[0])
    await store.retry_effect(effects[0], NOW, "busy")
    await store.finish_effect(effects[1])
    again = effects[0]
    await store.add_listeners([("toy", "sent")])
    await store.remove_listener("toy", "sent", "nobody listens", 10)
    await store.throttle("toy", NOW)
    for look in (store.listeners, store.pending_notifications, store.throttled_until):
        await look()
    await store.lease_polls(NOW + 5, SCOPE, 10)
    for plan in (PollAt(NOW, 0, 1.0), PollSooner(1.0), StopPolling()):
        await store.plan_poll(order.id, NOW, plan)
    await store.bring_polls_forward("toy", NOW, 1.0, 10)
    await store.commit(order.id, InboxKey("reply", "d"), move("done", finished_effect=again.key, cancel_effects=True, poll=StopPolling()))
    for ask in (store.load, store.journal, store.refusals, store.pending):
        await ask(order.id)
    found, _ = await store.list_inactive(NOW + 1000, "", 10)
    await store.redact(found[0], (await store.journal(order.id))[-1])
    await store.delete(found, NOW + 1000)
    await store.sweep_inbox(("", ""), 10)


async def test_sqlite_finds_everything_by_an_index(tmp_path: Path) -> None:
    statements: list[str] = []
    store = SqliteStore(tmp_path / "orders.db", boundary=statements.append)
    await store.open()
    try:
        await store._read(lambda connection: connection.set_trace_callback(statements.append))

        async def nothing_more(_store: Store, _effect: LeasedEffect) -> None: ...

        await _lived(store, nothing_more)
        asked = {text for text in statements if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)", text)}
        hot = sorted(text for text in asked if any(table in text for table in GROWS))
        plans = await store._read(lambda connection: {text: connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in hot})
    finally:
        await store.close()
    assert len(plans) > 30
    assert [(step, text) for text, plan in plans.items() for step in _too_much(text, [step for *_, step in plan])] == []


def _too_much(text: str, steps: list[str]) -> Iterator[str]:
    by_time = re.search(r"_at <= |min\(at\)", text) and "order_id = " not in text
    for step in steps:
        index = re.search(r"INDEX (\w+)", step)
        walked = step.startswith("SCAN") and not re.search(r"CONSTANT ROW|VIRTUAL TABLE", step)
        looked_up_otherwise = by_time and step.startswith("SEARCH of_") and (index is None or index[1] not in IN_ORDER)
        sorted_whole = by_time and step == "USE TEMP B-TREE FOR ORDER BY"
        if (walked and (index is None or index[1] not in IN_ORDER)) or looked_up_otherwise or sorted_whole:
            yield step


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
async def test_postgres_finds_everything_by_an_index(postgres_url: str, *, full: bool) -> None:
    statements: set[str] = set()

    async def noted(statement: str) -> None:
        statements.add(statement)

    store = PostgresStore(postgres_url, boundary=noted)
    await store.open()
    try:

        async def more(_store: Store, effect: LeasedEffect) -> None:
            await store.find_overdue(NOW, SCOPE, 10)
            await store.find_waiting([effect.key])

        statements.clear()
        await _lived(store, more)
        hot = sorted(text for text in statements if any(table in text for table in GROWS))
        if full:
            for fill in FILL:
                await store.pool.fetch(fill)
            await store.pool.fetch(f"ANALYZE {', '.join(GROWS)}")
        plans = {text: await store.pool.run(lambda session, text=text: _plan(session.connection, text)) for text in hot}
    finally:
        await store.close()
    assert len(plans) > 25
    assert [(node, text) for text, plan in plans.items() for node in _whole(plan)] == []


async def _plan(connection: Any, text: str) -> dict[str, Any]:
    """As it is planned for a process: once, for any values."""
    wanted = (await connection.prepare(text)).get_parameters()
    await connection.execute(f"PREPARE planned AS {text}")
    try:
        nulls = f"({', '.join(['NULL'] * len(wanted))})" if wanted else ""
        found = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE planned{nulls}")
    finally:
        await connection.execute("DEALLOCATE planned")
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def _whole(node: dict[str, Any], limited: bool = False) -> Iterator[str]:
    """The nodes that look at all rows of a table that grows, or sort all that is due to find the first."""
    kind, index = node["Node Type"], node.get("Index Name")
    scans = kind == "Bitmap Index Scan" or (node.get("Relation Name") in GROWS and kind not in ("ModifyTable", "Bitmap Heap Scan"))
    if scans and "Index Cond" not in node and index not in IN_ORDER:
        yield f"{kind} {node.get('Relation Name', '')} {index or ''}"
    if limited and kind.endswith("Sort") and TIMES.search(" ".join(node["Sort Key"])):
        yield f"{kind} by {node['Sort Key']}"
    for child in node.get("Plans", ()):
        yield from _whole(child, limited or kind == "Limit")
