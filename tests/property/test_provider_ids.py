"""Whatever providers and operators name, and in whichever order, no two orders of a provider share one of its ids."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kit.inline_store import InlineStore
from tests.kit.toy import Bench, open_bench

from orderflow.model import PROVIDER_ID, Observation, Origin

ORDERS = 3
IDS = st.sampled_from(["1", "2", "3"])
STEPS = st.one_of(
    st.tuples(st.just("placed"), IDS),
    st.tuples(st.just("found"), IDS),
    st.tuples(st.just("found by a person"), IDS),
    st.tuples(st.just("observed"), IDS),
    st.tuples(st.just("corrected"), st.one_of(IDS, st.just(""))),
    st.tuples(st.just("reopened"), st.none()),
    st.tuples(st.just("deleted"), st.none()),
)


@given(st.lists(st.tuples(st.integers(0, ORDERS - 1), STEPS), max_size=25))
@settings(deadline=None, max_examples=80)
def test_no_two_orders_ever_share_a_providers_id(steps: list[tuple[int, tuple[str, str | None]]]) -> None:
    asyncio.run(_take(steps))


async def _take(steps: list[tuple[int, tuple[str, str | None]]]) -> None:
    store = InlineStore()
    async with open_bench(Path(), store=store) as bench:
        for key in range(ORDERS):
            await bench.create(str(key), state="in_doubt")
        for n, (key, (step, provider_id)) in enumerate(steps):
            await _take_step(bench, f"toy-{key}", step, provider_id, n)
            orders = {order.id: order.provider_id for order in await store.orders() if order.provider_id}
            rows = store.connection.execute("SELECT order_id, provider_id FROM of_provider_ids").fetchall()
            assert len(set(orders.values())) == len(orders)
            assert sorted(orders.items()) == sorted(rows)


async def _take_step(bench: Bench, order_id: str, step: str, provider_id: str | None, n: int) -> None:
    order = await bench.store.load(order_id)
    match step:
        case "placed" | "found":
            event = "order_placed" if step == "placed" else "placement_found"
            await bench.accept(order_id, event, Origin.REPLY, provider_id=provider_id)
        case "found by a person":
            await bench.accept(order_id, "placement_resolved", Origin.OPERATOR, provider_id=provider_id)
        case "observed":
            observation = Observation("packed", order.version, {PROVIDER_ID: provider_id})
            await bench.engine.inbox.accept_observation(order_id, observation, 0, f"poll-{n}")
        case "corrected":
            await bench.override(order_id, "placed", provider_id=provider_id)
        case "reopened":
            await bench.override(order_id, "in_doubt")
        case "deleted":
            bench.clock.advance(100)
            await bench.store.delete([order], bench.clock.now())
            if order_id not in {order.id for order in await bench.store.orders()}:
                await bench.create(order.key, state="in_doubt")
