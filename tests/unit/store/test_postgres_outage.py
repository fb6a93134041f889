"""PostgreSQL goes away: crashes and comes back, stays away, or commits and cannot say so. On a server and a wire of our own."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import define, field
from tests.kit.commits import move, new_order
from tests.kit.postgres import pg_ctl, server

from orderflow.errors import OperationalError
from orderflow.model import Applied
from orderflow.store.postgres.store import PostgresStore
from orderflow.store.records import InboxKey

pytestmark = pytest.mark.anyio


@pytest.fixture
def own() -> Any:
    """A server that may be stopped."""
    own = server(f"orderflow-pg-own-{secrets.token_hex(4)}")
    yield own
    own.ensure_postgres_running()
    own.cleanup()


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url, **settings)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def test_a_crash_of_the_server_loses_nothing_and_doubles_nothing(own: Any) -> None:
    """Forty writers go on as it is stopped at once and started again: each commit they were told of stands, once."""
    async with opened(own.get_uri(), patience=30.0) as store:
        orders = [await store.create(new_order(str(n)), "content") for n in range(40)]
        told = dict.fromkeys((order.id for order in orders), 0)
        back, halfway = asyncio.Event(), asyncio.Event()

        async def writer(order_id: str) -> None:
            while not back.is_set():
                receipt = await store.commit(order_id, None, move("one" if told[order_id] % 2 else "other"))
                assert isinstance(receipt.decision, Applied)
                told[order_id] += 1
                assert receipt.version == told[order_id]
                if told[order_id] == 10:
                    halfway.set()

        writers = asyncio.gather(*(writer(order.id) for order in orders))
        await halfway.wait()
        for _ in range(2):
            await asyncio.to_thread(pg_ctl, own, "-m", "immediate", "stop")
            await asyncio.to_thread(own.ensure_postgres_running)
            before = sum(told.values())
            while sum(told.values()) < before + 80:
                await asyncio.sleep(0.01)
        back.set()
        await writers
        for order in orders:
            assert [row.version for row in await store.journal(order.id)] == list(range(1, told[order.id] + 1))


async def test_a_server_that_stays_away_is_told_within_the_patience(own: Any) -> None:
    async with opened(own.get_uri(), patience=0.5) as store:
        order = await store.create(new_order(), "content")
        await asyncio.to_thread(pg_ctl, own, "-m", "immediate", "stop")
        uses = (store.commit(order.id, None, move("sent")), store.load(order.id), store.create(new_order("b"), "content"))
        async with asyncio.timeout(10):
            ended = await asyncio.gather(*uses, return_exceptions=True)
        assert [type(end) for end in ended] == [OperationalError] * 3
        assert all("not reachable" in str(end) for end in ended), ended
        with pytest.raises(OperationalError, match="not reachable"):
            await PostgresStore(own.get_uri(), patience=0.1).open()
        await asyncio.to_thread(own.ensure_postgres_running)
        assert (await store.commit(order.id, None, move("sent"))).version == 1


@define
class Wire:
    """A wire to the server that can be cut: the server's next answer to a statement that is being watched never arrives."""

    upstream: str
    cut: bool = False
    cuts: int = 0
    _tasks: set[asyncio.Task[None]] = field(factory=set)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(self.upstream)
        folder = parse_qs(parts.query)["host"][0]
        server_reader, server_writer = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")

        async def back() -> None:
            while data := await server_reader.read(65536):
                if self.cut:
                    self.cut, self.cuts = False, self.cuts + 1
                    break
                writer.write(data)
            writer.transport.abort()

        answering = asyncio.create_task(back())
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                server_writer.write(data)
        server_writer.close()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        writer.close()


@asynccontextmanager
async def wired(upstream: str) -> AsyncIterator[tuple[Wire, str]]:
    wire = Wire(upstream)
    listening = await asyncio.start_server(wire.carry, "127.0.0.1")
    port = listening.sockets[0].getsockname()[1]
    parts = urlsplit(upstream)
    try:
        yield wire, f"postgresql://postgres@127.0.0.1:{port}{parts.path}?sslmode=disable"
    finally:
        listening.close()
        await asyncio.sleep(0.05)  # let the wires see their ends


@pytest.mark.parametrize("key", [InboxKey("command", "k"), None], ids=["key", "no key"])
@pytest.mark.parametrize("prepared", [True, False], ids=["committed", "not committed"])
async def test_a_commit_whose_answer_is_lost_is_made_once_and_told_as_it_was(own: Any, key: InboxKey | None, prepared: bool) -> None:
    """Prepared before, the answer that is lost is the commit's; else it is the preparation's, and nothing was committed."""
    async with wired(own.get_uri()) as (wire, url):
        watching = False

        async def boundary(statement: str) -> None:
            nonlocal watching
            if watching and "of_journal" in statement:
                watching, wire.cut = False, True

        async with opened(url, connections=1, boundary=boundary) as store:
            order = await store.create(new_order(), "content")
            before = 0
            if prepared:
                await store.commit(order.id, InboxKey("command", "first") if key else None, move("first"))
                before = 1
            watching = True
            receipt = await store.commit(order.id, key, move("sent", effects=["call"]))
            assert wire.cuts == 1
            assert isinstance(receipt.decision, Applied)
            assert (receipt.version, receipt.state) == (before + 1, "sent")
            assert [row.target for row in await store.journal(order.id)] == ["first"] * before + ["sent"]
            found = await store.load(order.id)
            assert (found.state, found.version) == (receipt.state, receipt.version)
