"""The inbox race: eight writers, each as a process of its own, five orders, every event delivered three times, all at once.

If the inbox key were inserted before the order's row is locked, a lost race would leave its key behind. The retry would take its own event
for a duplicate, and the event would vanish. Every event must be applied once, or refused for a stated reason.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from attrs import evolve
from tests.kit.commits import NOW, SCOPE, move, new_order, stay
from tests.kit.postgres import drop_schema, make_schema

from orderflow._store.ports import Store
from orderflow._store.records import Commit, Decider, InboxKey
from orderflow._store.urls import make_store
from orderflow.model import Applied, Ignored, Order, Reason, Refused

pytestmark = pytest.mark.anyio
WRITERS, ORDERS, EVENTS, DELIVERIES = 8, 5, 1500, 3


@pytest.fixture
async def stores() -> AsyncIterator[list[Store]]:
    """One store for each writer, as if each were a process."""
    name, url = await make_schema()
    async with AsyncExitStack() as stack:
        opened = [make_store(url) for _ in range(WRITERS)]
        for store in opened:
            stack.push_async_callback(store.close)
            await store.open()
        yield opened
    await drop_schema(name)


def decider_of(event: int) -> Decider:
    """Two of three events move the order, and are named in its journal; the third is refused."""

    def decide(order: Order) -> Commit:
        if event % 3 == 0:
            return stay(Reason.NOT_LEGAL_HERE, event="barred")(order)
        commit = move("other" if order.state == "one" else "one", effects=["call"])(order)
        return evolve(commit, journal=(evolve(commit.journal[0], note=str(event)),))

    return decide


async def test_every_event_is_applied_once_or_refused_for_a_stated_reason(stores: list[Store]) -> None:
    orders = [await stores[0].create(new_order(str(n)), "content") for n in range(ORDERS)]
    rng = random.Random(7)
    deliveries = [event for event in range(EVENTS) for _ in range(DELIVERIES)]
    rng.shuffle(deliveries)
    decisions_of: dict[int, list[object]] = {event: [] for event in range(EVENTS)}

    async def write(store: Store, events: list[int]) -> None:
        async def commit(event: int) -> None:
            receipt = await store.commit(orders[event % ORDERS].id, InboxKey("reply", str(event)), decider_of(event))
            decisions_of[event].append(receipt.decision)

        for begin in range(0, len(events), 16):  # a few at a time, so that writers group their commits and still collide
            await asyncio.gather(*(commit(event) for event in events[begin : begin + 16]))

    await asyncio.gather(*(write(store, deliveries[n::WRITERS]) for n, store in enumerate(stores)))

    moving = [event for event in range(EVENTS) if event % 3]
    for event, decisions in decisions_of.items():
        first = [decision for decision in decisions if not (isinstance(decision, Ignored) and decision.reason is Reason.DUPLICATE)]
        assert len(decisions) == DELIVERIES
        assert [type(decision) for decision in first] == [Applied if event % 3 else Refused], (event, decisions)
    journals = [await stores[1].journal(order.id) for order in orders]
    assert Counter(row.note for journal in journals for row in journal) == Counter(map(str, moving))
    for order, journal in zip(orders, journals, strict=True):
        assert [row.version for row in journal] == list(range(1, len(journal) + 1))
        assert [row.source for row in journal[1:]] == [row.target for row in journal[:-1]]
        assert (await stores[2].load(order.id)).version == len(journal)
        refused = sum(row.count for row in await stores[3].refusals(order.id))
        assert refused == sum(event % ORDERS == orders.index(order) for event in range(0, EVENTS, 3))
    effects = await stores[4].lease_effects(NOW, SCOPE, 10 * EVENTS)
    assert len({str(effect.key) for effect in effects}) == len(effects) == len(moving)
