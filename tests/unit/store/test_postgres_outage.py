"""PostgreSQL crashes and comes back, stays away, or commits and its answer is lost. On a server and a proxy of our own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.kit.commits import move, new_order
from tests.kit.postgres import behind_proxy, pg_ctl, server
from tests.kit.store_fixtures import open_postgres

from orderflow._store.postgres.store import PostgresStore
from orderflow._store.records import InboxKey
from orderflow.errors import OperationalError
from orderflow.model import Applied

pytestmark = pytest.mark.anyio


@pytest.fixture
def own() -> Any:
    """A server that may be stopped."""
    own = server(f"orderflow-pg-own-{secrets.token_hex(4)}")
    yield own
    own.ensure_postgres_running()
    own.cleanup()


async def test_a_crash_of_the_server_loses_nothing_and_doubles_nothing(own: Any) -> None:
    """Forty writers go on while it is stopped at once and started again: each commit that returned is there, once."""
    async with open_postgres(own.get_uri(), patience=30.0) as store:
        orders = [await store.create(new_order(str(n)), "content") for n in range(40)]
        committed = dict.fromkeys((order.id for order in orders), 0)
        back, halfway = asyncio.Event(), asyncio.Event()

        async def writer(order_id: str) -> None:
            while not back.is_set():
                receipt = await store.commit(order_id, None, move("one" if committed[order_id] % 2 else "other"))
                assert isinstance(receipt.decision, Applied)
                committed[order_id] += 1
                assert receipt.version == committed[order_id]
                if committed[order_id] == 10:
                    halfway.set()

        writers = asyncio.gather(*(writer(order.id) for order in orders))
        await halfway.wait()
        for _ in range(2):
            await asyncio.to_thread(pg_ctl, own, "-m", "immediate", "stop")
            await asyncio.to_thread(own.ensure_postgres_running)
            before = sum(committed.values())
            while sum(committed.values()) < before + 80:
                await asyncio.sleep(0.01)
        back.set()
        await writers
        for order in orders:
            assert [row.version for row in await store.journal(order.id)] == list(range(1, committed[order.id] + 1))


async def test_a_lock_that_is_not_had_within_the_roles_lock_timeout_is_waited_for_again(postgres_url: str) -> None:
    async with open_postgres(f"{postgres_url}&lock_timeout=50", patience=60.0) as store, open_postgres(postgres_url) as other:
        order = await store.create(new_order(), "content")
        session = await other.pool.acquire()
        async with session.connection.transaction():
            await session.fetch("SELECT 1 FROM of_orders WHERE id = $1 FOR UPDATE", order.id)
            committing = asyncio.create_task(store.commit(order.id, None, move("sent")))
            await asyncio.sleep(0.5)
            assert not committing.done()
        await other.pool.release(session)
        assert (await committing).version == 1


async def test_a_server_that_stays_away_is_reported_within_the_patience(own: Any) -> None:
    async with open_postgres(own.get_uri(), patience=0.5) as store:
        order = await store.create(new_order(), "content")
        await asyncio.to_thread(pg_ctl, own, "-m", "immediate", "stop")
        uses = (store.commit(order.id, None, move("sent")), store.load(order.id), store.create(new_order("b"), "content"))
        async with asyncio.timeout(10):
            results = await asyncio.gather(*uses, return_exceptions=True)
        assert [type(result) for result in results] == [OperationalError] * 3
        assert all("not reachable" in str(result) for result in results), results
        with pytest.raises(OperationalError, match="not reachable"):
            await PostgresStore(own.get_uri(), patience=0.1).open()
        await asyncio.to_thread(own.ensure_postgres_running)
        assert (await store.commit(order.id, None, move("sent"))).version == 1


async def test_callers_of_one_order_wait_for_a_server_as_long_as_one_caller(own: Any) -> None:
    patience = 1.5
    async with open_postgres(own.get_uri(), patience=patience) as store:
        order = await store.create(new_order(), "content")
        await asyncio.to_thread(pg_ctl, own, "-m", "immediate", "stop")
        begun, waits = time.monotonic(), []

        async def use(ask: Coroutine[Any, Any, Any]) -> None:
            with pytest.raises(OperationalError, match="not reachable"):
                await ask
            waits.append(time.monotonic() - begun)

        await asyncio.gather(
            *(use(store.commit(order.id, InboxKey("command", str(n)), move("sent"))) for n in range(5)),
            use(store.load(order.id)),
        )
        assert max(waits) < 2 * patience, waits
        await asyncio.to_thread(own.ensure_postgres_running)
        sent = await asyncio.gather(*(store.commit(order.id, InboxKey("command", str(n)), move("sent")) for n in range(3)))
        assert [receipt.version for receipt in sent] == [1, 2, 3]


@pytest.mark.parametrize("key", [InboxKey("command", "k"), None], ids=["key", "no key"])
@pytest.mark.parametrize("prepared", [True, False], ids=["committed", "not committed"])
async def test_a_commit_whose_answer_is_lost_is_made_once_and_reported_as_it_was(own: Any, key: InboxKey | None, prepared: bool) -> None:
    """Where the statement was prepared before, the lost answer is the commit's. Else it is the preparation's, and nothing was committed."""
    async with behind_proxy(own.get_uri()) as (proxy, url):
        watching = False

        async def boundary(statement: str) -> None:
            nonlocal watching
            if watching and "of_journal" in statement:
                watching, proxy.cut = False, True

        async with open_postgres(url, connections=1, boundary=boundary) as store:
            order = await store.create(new_order(), "content")
            before = 0
            if prepared:
                await store.commit(order.id, InboxKey("command", "first") if key else None, move("first"))
                before = 1
            watching = True
            receipt = await store.commit(order.id, key, move("sent", effects=["call"]))
            assert proxy.cuts == 1
            assert isinstance(receipt.decision, Applied)
            assert (receipt.version, receipt.state) == (before + 1, "sent")
            assert [row.target for row in await store.journal(order.id)] == ["first"] * before + ["sent"]
            stored = await store.load(order.id)
            assert (stored.state, stored.version) == (receipt.state, receipt.version)
