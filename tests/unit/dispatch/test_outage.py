"""PostgreSQL goes away under pgqueuer's jobs: lost jobs are found again, and a commit that is repeated enqueues once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from tests.kit.commits import LEASE, NOW, SCOPE, move, new_order
from tests.kit.dispatchers import Backend
from tests.kit.postgres import behind_proxy, pg_ctl, server

from orderflow._dispatch.pgqueuer import SWEEP_DELAY, SWEEP_INTERVAL, PgqueuerDispatcher
from orderflow._store.postgres.commit import Write
from orderflow._store.postgres.pool import Session
from orderflow._store.postgres.store import PostgresStore

pytestmark = pytest.mark.anyio
SWEPT = NOW + SWEEP_DELAY + SWEEP_INTERVAL


@pytest.fixture
def postgres() -> Iterator[Any]:
    """A server that may be stopped."""
    own = server(f"orderflow-pg-own-{secrets.token_hex(4)}")
    yield own
    own.ensure_postgres_running()
    own.cleanup()


async def test_a_crash_of_the_server_empties_the_queue_and_loses_no_effect(postgres: Any) -> None:
    async with AsyncExitStack() as stack:
        backend = Backend(postgres.get_uri(), "pgqueuer", stack)
        worker, other = await backend.open_process(), await backend.open_process()
        await worker.owe("register", "announce", "print")
        (leased,) = await worker.take(limit=1)
        await asyncio.to_thread(pg_ctl, postgres, "-m", "immediate", "stop")
        await asyncio.to_thread(postgres.ensure_postgres_running)
        assert await backend.jobs() == []
        await worker.finish(leased)
        swept = [*await worker.take_names(SWEPT), *await other.take_names(SWEPT)]
        assert sorted([leased.name, *swept]) == ["announce", "print", "register"]
        assert await other.take_names(SWEPT + LEASE - 1) == []


async def test_a_commit_whose_answer_is_lost_enqueues_once(postgres: Any) -> None:
    async with behind_proxy(postgres.get_uri()) as (proxy, url):

        class CuttingDispatcher(PgqueuerDispatcher):
            async def in_transaction(self, session: Session, writes: Sequence[Write]) -> None:
                await super().in_transaction(session, writes)
                proxy.cut = not proxy.cuts  # the next message is COMMIT

        store = PostgresStore(url)
        dispatcher = CuttingDispatcher(store)
        await store.open()
        try:
            order = await store.create(new_order(), "content")
            receipt = await store.commit(order.id, None, move("sent", effects=["register"]))
            assert (proxy.cuts, receipt.version) == (1, 1)
            assert [effect.name for effect in await dispatcher.take(NOW, SCOPE, 10)] == ["register"]
            assert await dispatcher.take(SWEPT, SCOPE, 10) == []
        finally:
            await dispatcher.close()
            await store.close()
