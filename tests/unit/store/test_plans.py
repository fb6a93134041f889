"""While orders live, no statement scans a table that grows. Rows are found by an index, and what is due by time without sorting.

The databases' own planners are asked. Every method of the store is called at least once, on an almost empty database. PostgreSQL keeps the
plan that it makes then. SQLite always makes that plan, because it is never asked to gather statistics. Listing orders is left out: it is
the one query that no index answers. So is what follows a restore: it looks at everything that is owed.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from tests.kit.commits import NOW, learn, move, new_order, scope, stay

from orderflow._store.ports import Store
from orderflow._store.postgres.store import PostgresStore
from orderflow._store.records import InboxKey, LeasedEffect, PollAt, PollSooner, StopPolling
from orderflow._store.sqlite.store import SqliteStore
from orderflow.model import NOTIFY_LISTENER, PROVIDER_ID, Message, Order, ProviderProblem, Reason

pytestmark = pytest.mark.anyio
GROWING = ("of_orders", "of_journal", "of_refusals", "of_messages", "of_effects", "of_deadlines", "of_polls", "of_inbox", "of_provider_ids")
SCOPE = scope("toy", "other", notifiable=[("toy", "sent"), ("other", "sent")])
BY_TIME = {"of_effects_due", "of_deadlines_due", "of_polls_due"}
"""Indexes that may be walked from their beginning until enough is found. Statements that look for what is due next must use these."""
TIMES = re.compile(r"\b(run_at|next_at|due_at|last_at)\b")
METHODS = frozenset(name for name in vars(Store) if not name.startswith("_")) - {
    "open",
    "close",
    "orders",
    "doubt_owed_calls",
    "list_open_work",
}

FILL = [
    f"INSERT INTO {table} SELECT {columns} FROM generate_series(1, 20000) n"
    for table, columns in {
        "of_orders": "'o' || n, 'toy', n, 'sent', 1, '{}', '{}', n, n",
        "of_journal": "'o' || n, 1, 'moved', 'reply', 'drafted', 'sent', 'step', n, '', '', ''",
        "of_refusals": "'o' || n, 'knocked', 'sent', 'late', 'claim', '', 1, 1, n, n",
        "of_messages": "'o' || n, 'call', 200, n, '', false, 1, n, n, ''",
        "of_effects": "'o' || n, 1, 0, 'call', 'toy', '', n % 10 = 0, 1, false, n",
        "of_deadlines": "'o' || n, 'late', 'toy', 1, n",
        "of_polls": "'o' || n, 'toy', n, 0, false, 0, 0, 0",
        "of_inbox": "'command', n, 'o' || n, '', n",
        "of_provider_ids": "'toy', n, 'o' || n",
    }.items()
]


class RecordedStore:
    """A store, and the names of the methods that were called."""

    def __init__(self, store: Store) -> None:
        self.store, self.called = store, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self.store, name)


Also = Callable[[LeasedEffect], Awaitable[object]]


async def call_every_method(store: Store, also: Also) -> None:
    """An order's life and end. ``also`` calls what only this store has, with an effect that is leased."""
    recorded = RecordedStore(store)
    checked = cast(Store, recorded)
    order = await _live(checked)
    await _work(checked, order, also)
    await _end(checked, order)
    assert METHODS - recorded.called == set()


async def _live(store: Store) -> Order:
    order = await store.create(new_order(), "content")
    await store.create(new_order(), "content")
    deadlines = (("late", NOW), ("later", NOW + 5))
    sent = move("sent", effects=["register", NOTIFY_LISTENER], entered_state="sent", deadlines=deadlines, poll=PollAt(NOW, 0, 1.0))
    await store.commit(order.id, InboxKey("command", "a"), sent)
    await store.commit(order.id, InboxKey("claim", "b"), stay(Reason.ANOMALY, poll=PollSooner(1.0)))
    others = [await store.create(new_order(name), "content") for name in "xyz"]
    await asyncio.gather(*(store.commit(other.id, InboxKey("command", other.id), sent) for other in others))  # as a batch
    await store.next_due(SCOPE)
    (due, *_) = [due for due in await store.due_deadlines(NOW, SCOPE, 10) if due.order_id == order.id]
    await store.poll_before_deadline(due, NOW, NOW + 60, 1.0)
    await store.commit(order.id, None, stay(Reason.NO_NEWS, recorded=False, poll=PollAt(NOW + 9, 1, 1.0, answered=NOW)))
    await store.postpone_deadline(due, NOW + 1)
    await store.commit(order.id, InboxKey("clock", "c"), move("sent"), due)
    await store.commit(order.id, None, learn("N-1"))
    await asyncio.gather(*(store.commit(other.id, None, learn("N-1")) for other in others))
    await store.create(new_order("known", data={PROVIDER_ID: "N-3"}), "content")
    await store.find_by_provider_id("toy", "N-1")
    return order


async def _work(store: Store, order: Order, also: Also) -> None:
    answer = Message(order.id, "register", 503, "text/html", "busy", False, NOW, NOW)
    call, notification = [effect for effect in await store.lease_effects(NOW, SCOPE, 10) if effect.key.order_id == order.id]
    await store.lease_effects(NOW, SCOPE, 10, among=[call.key, notification.key])
    await also(call)
    await store.mark_sending(call, NOW)
    await store.retry_effect(call, NOW, "busy")
    await store.retry_effect(call, NOW, "busy", message=answer)
    await store.finish_effect(notification)
    await store.finish_effect(notification, message=answer)
    await store.add_message(answer)
    await store.add_listeners([("toy", "sent")])
    await store.remove_listener("toy", "sent", "not needed any more", 10)
    await store.throttle("toy", NOW)
    await store.failing_notifications(3, 10)
    for query in (store.listeners, store.pending_notifications, store.read_standings):
        await query()
    for _ in range(2):
        await store.report_problem("toy", ProviderProblem.DOES_NOT_ANSWER, 503, NOW, NOW + 10)
    await store.end_problem("toy", ProviderProblem.DOES_NOT_ANSWER, NOW)
    await store.lift_standing("toy", NOW, "kim: ticket 7")
    await store.lease_polls(NOW + 5, SCOPE, 10)
    for plan in (PollAt(NOW, 0, 1.0), PollSooner(1.0), StopPolling()):
        await store.plan_poll(order.id, NOW, plan)
        await store.plan_poll(order.id, NOW, plan, answer)
    await store.bring_polls_forward("toy", NOW, 1.0, 10)
    await store.commit(
        order.id, InboxKey("reply", "d"), move("done", finished_effect=call.key, cancel_effects=True, poll=StopPolling(), message=answer)
    )


async def _end(store: Store, order: Order) -> None:
    for query in (store.load, store.load_records, store.journal, store.refusals, store.messages, store.pending):
        await query(order.id)
    inactive, _ = await store.list_inactive(NOW + 1000, "", 10)
    await store.redact(inactive[0], (await store.journal(order.id))[-1])
    await store.find_kept([order.id, "toy-gone"])
    await store.delete(inactive, NOW + 1000)
    await store.sweep_inbox(("", ""), 10)


async def test_sqlite_finds_everything_by_an_index(tmp_path: Path) -> None:
    statements: list[str] = []
    store = SqliteStore(tmp_path / "orders.db", boundary=statements.append)
    await store.open()
    try:
        await store._read(lambda connection: connection.set_trace_callback(statements.append))

        async def nothing_more(_effect: LeasedEffect) -> None: ...

        await call_every_method(store, nothing_more)
        queries = {text for text in statements if re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)", text)}
        growing = sorted(text for text in queries if any(table in text for table in GROWING))
        plans = await store._read(
            lambda connection: {text: connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in growing}
        )
    finally:
        await store.close()
    assert len(plans) > 30
    assert [(step, text) for text, plan in plans.items() for step in sqlite_scans(text, [step for *_, step in plan])] == []


def sqlite_scans(text: str, steps: list[str]) -> Iterator[str]:
    """The steps of a plan that look at all rows of a table, or that do not use the order of an index by time."""
    by_time = re.search(r"_at\)? <= |min\(at\)", text) and not re.search(r"(?<!\.)order_id = |\(order_id, version, n\) IN", text)
    for step in steps:
        index = re.search(r"INDEX (\w+)", step)
        scans = step.startswith("SCAN") and not re.search(r"CONSTANT ROW|VIRTUAL TABLE|SCAN \(", step)  # these are no tables of ours
        otherwise = by_time and step.startswith("SEARCH of_") and (index is None or index[1] not in BY_TIME)
        sorts = by_time and step == "USE TEMP B-TREE FOR ORDER BY"
        if (scans and (index is None or index[1] not in BY_TIME)) or otherwise or sorts:
            yield step


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
async def test_postgres_finds_everything_by_an_index(postgres_url: str, *, full: bool) -> None:
    statements: set[str] = set()

    async def record(statement: str) -> None:
        statements.add(statement)

    store = PostgresStore(postgres_url, boundary=record)
    await store.open()
    try:

        async def call_the_others(effect: LeasedEffect) -> None:
            await store.find_overdue(NOW, SCOPE, 10)
            await store.find_waiting([effect.key])

        statements.clear()
        await call_every_method(store, call_the_others)
        growing = sorted(text for text in statements if any(table in text for table in GROWING))
        if full:
            for fill in FILL:
                await store.pool.fetch(fill)
            await store.pool.fetch(f"ANALYZE {', '.join(GROWING)}")
        plans = {text: await store.pool.run(lambda session, text=text: _explain(session.connection, text)) for text in growing}
    finally:
        await store.close()
    assert len(plans) > 25
    assert [(node, text) for text, plan in plans.items() for node in postgres_scans(plan)] == []


async def _explain(connection: Any, text: str) -> dict[str, Any]:
    """The plan that a process makes: once, for any values."""
    parameters = (await connection.prepare(text)).get_parameters()
    await connection.execute(f"PREPARE planned AS {text}")
    try:
        nulls = f"({', '.join(['NULL'] * len(parameters))})" if parameters else ""
        explained = await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE planned{nulls}")
    finally:
        await connection.execute("DEALLOCATE planned")
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def postgres_scans(node: dict[str, Any], limited: bool = False) -> Iterator[str]:
    """The nodes that look at all rows of a table that grows, or that sort everything due to find the first."""
    kind, index = node["Node Type"], node.get("Index Name")
    scans = kind == "Bitmap Index Scan" or (node.get("Relation Name") in GROWING and kind not in ("ModifyTable", "Bitmap Heap Scan"))
    if scans and "Index Cond" not in node and index not in BY_TIME:
        yield f"{kind} {node.get('Relation Name', '')} {index or ''}"
    if limited and kind.endswith("Sort") and TIMES.search(" ".join(node["Sort Key"])) and not merges_lanes(node):
        yield f"{kind} by {node['Sort Key']}"
    for child in node.get("Plans", ()):
        yield from postgres_scans(child, limited or kind == "Limit")


def merges_lanes(node: dict[str, Any]) -> bool:
    """Whether every table beneath a node is read beneath a limit of its own: the node sees few rows of each lane."""
    if node["Node Type"] == "Limit":
        return True
    return node.get("Relation Name") not in GROWING and all(merges_lanes(child) for child in node.get("Plans", ()))
