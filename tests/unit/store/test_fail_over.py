"""A fail-over of PostgreSQL: one connection that shows it replaces all, and what the driver raises undoes no work."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from tests.kit.commits import move, new_order
from tests.kit.store_fixtures import open_postgres

from orderflow._store.postgres.pool import ConnectionLost, Session
from orderflow.model import Applied

pytestmark = pytest.mark.anyio


async def test_connections_that_lead_to_a_server_that_became_read_only_are_replaced(postgres_url: str) -> None:
    """After a fail-over the open connections lead to a standby, new ones to the new primary."""
    async with open_postgres(postgres_url, patience=30.0) as store:
        order = await store.create(new_order("before"), "content")
        sessions = [await store.pool.acquire() for _ in range(8)]
        for session in sessions:
            await session.connection.execute("SET default_transaction_read_only = on")
        for session in sessions:
            await store.pool.release(session)
        created = await asyncio.gather(*(store.create(new_order(str(n)), "content") for n in range(20)))
        receipts = await asyncio.gather(*(store.commit(new.id, None, move("sent")) for new in (order, *created)))
        assert all(isinstance(receipt.decision, Applied) for receipt in receipts)


FAIL_OVERS = {
    "read only": "SET default_transaction_read_only = on",
    "shut down": "SELECT pg_terminate_backend(pg_backend_pid())",
}


@pytest.mark.parametrize("how", FAIL_OVERS)
async def test_the_first_connection_that_shows_a_fail_over_replaces_all(postgres_url: str, how: str) -> None:
    """No other connection to that server is tried. One that is borrowed meanwhile is replaced before its next work."""
    async with open_postgres(postgres_url, connections=8) as store:
        order = await store.create(new_order(), "content")
        held = store.pool.borrow()
        pid = "SELECT pg_backend_pid()"
        before = {(await held.run_once(lambda session: session.fetch(pid)))[0][0]}
        sessions = [await store.pool.acquire() for _ in range(6)]
        before |= {(await session.fetch(pid))[0][0] for session in sessions}
        for session in sessions[:-1]:
            await store.pool.release(session)
        in_use, generation = sessions[-1], store.pool.generation
        try:
            await store.pool.run_once(lambda session: fail_over(session, order.id, how))
        except ConnectionLost:
            pass
        else:
            pytest.fail("the connection was not lost")
        assert store.pool.generation == generation + 1
        await store.pool.release(in_use)
        after = {(await held.run_once(lambda session: session.fetch(pid)))[0][0]}
        sessions = [await store.pool.acquire() for _ in range(7)]
        after |= {(await session.fetch(pid))[0][0] for session in sessions}
        for session in sessions:
            await store.pool.release(session)
        await held.release()
        assert before.isdisjoint(after)
        assert len(after) == 8
        store.pool.replace_all(in_use, OSError())  # it is older than the last replacement, and says nothing of the new server
        assert store.pool.generation == generation + 1


async def fail_over(session: Session, order_id: str, how: str) -> None:
    await session.fetch(FAIL_OVERS[how])
    await session.fetch("UPDATE of_orders SET version = version WHERE id = $1", order_id)


@pytest.mark.parametrize("error", [asyncpg.InterfaceError("odd"), asyncpg.InternalClientError("odd"), asyncpg.AdminShutdownError("odd")])
async def test_an_error_of_the_driver_while_a_connection_is_given_back_undoes_no_work(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The connection is closed, the order that was made is returned, and the pool has as many connections as before."""
    raised = 0

    async def release(self: Any, connection: Any, **options: Any) -> None:
        nonlocal raised
        if raised < 3:
            raised += 1
            raise error
        await original(self, connection, **options)

    original = asyncpg.Pool.release
    async with open_postgres(postgres_url, connections=1) as store:
        monkeypatch.setattr(asyncpg.Pool, "release", release)
        async with asyncio.timeout(60):
            orders = [await store.create(new_order(str(n)), "content") for n in range(5)]
            receipts = [await store.commit(order.id, None, move("sent")) for order in orders]
        assert raised == 3
        assert [receipt.version for receipt in receipts] == [1] * 5
