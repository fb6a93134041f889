"""PostgreSQL behind PgBouncer, in each mode: it is recognised, orders live, and what does not pass through it is said at the opening."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import evolve
from tests.kit.pgbouncer import STARTUP_PARAMETERS, pgbouncer
from tests.kit.toy import TIMING, Toy

from orderflow import ConfigurationError, Orderflow
from orderflow._store.postgres.store import PostgresStore

pytestmark = pytest.mark.anyio
ORDERS = 20


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("ignored", ["", STARTUP_PARAMETERS], ids=["refuses our settings", "ignores our settings"])
@pytest.mark.parametrize("dispatch", ["local", "pgqueuer"])
async def test_orders_live_behind_pgbouncer(tmp_path: Path, mode: str, ignored: str, dispatch: str) -> None:
    toy = Toy(timing=evolve(TIMING, poll_first=60.0, poll_cap=60.0))
    async with (
        pgbouncer(tmp_path, mode=mode, ignored=ignored) as url,
        Orderflow(url, [toy], worker=True, fetch_interval=0.1, grace=1.0, dispatch=dispatch) as flow,
        Orderflow(url, [toy]) as other,
    ):
        orders = [await other.create("toy", key=str(n)) for n in range(ORDERS)]
        await asyncio.gather(*((flow, other)[n % 2].send(order.id, "order_it") for n, order in enumerate(orders)))
        lived = await asyncio.gather(*(flow.wait(order.id, "placed", 60) for order in orders))
        assert [order.state for order in lived] == ["placed"] * ORDERS
        assert toy.count_calls("place") == ORDERS
        store = flow._store
        assert isinstance(store, PostgresStore)
        assert store.pool.is_pooled


async def test_a_search_path_that_does_not_pass_is_refused_with_the_remedy(tmp_path: Path) -> None:
    async with pgbouncer(tmp_path) as url:
        with pytest.raises(ConfigurationError, match="ALTER ROLE name SET search_path"):
            async with Orderflow(f"{url}&search_path=orders", [Toy()]):
                pass


async def test_no_statement_meets_the_answer_of_another(tmp_path: Path) -> None:
    """Three connections serve many clients, each of which prepares other statements."""
    async with pgbouncer(tmp_path) as url, Orderflow(url, [Toy()]) as one, Orderflow(url, [Toy()]) as two:
        orders = [await one.create("toy", key=str(n)) for n in range(10)]
        for _ in range(20):
            asked = [ask(order.id) for order in orders for flow in (one, two) for ask in (flow.journal, flow.pending, flow.messages)]
            loaded = [flow.order(order.id) for order in orders for flow in (one, two)]
            answers = await asyncio.gather(*loaded, *asked)
            assert answers[: len(loaded)] == [order for order in orders for _ in range(2)]
