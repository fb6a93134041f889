"""The stores that the contract suite runs on. A new store joins by one line in ``DATABASES``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.kit.pgbouncer import pgbouncer
from tests.kit.postgres import drop_schema, make_schema

from orderflow._store.ports import Store
from orderflow._store.postgres.store import PostgresStore
from orderflow._store.urls import make_store


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[str]:
    yield f"sqlite:///{folder / 'orders.db'}"


@asynccontextmanager
async def _postgres(_folder: Path) -> AsyncIterator[str]:
    name, url = await make_schema()
    yield url
    await drop_schema(name)


DATABASES: dict[str, Callable[[Path], AbstractAsyncContextManager[str]]] = {"sqlite": _sqlite, "postgres": _postgres}
"""Name -> makes an empty database for one test; its URL."""
_ALL = {**DATABASES, "pgbouncer": pgbouncer}


@asynccontextmanager
async def open_postgres(url: str, **settings: Any) -> AsyncIterator[PostgresStore]:
    """A store on PostgreSQL, open."""
    store = PostgresStore(url, **settings)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


Another = Callable[[], Awaitable[Store]]


@pytest.fixture
async def postgres_url(tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty PostgreSQL database."""
    async with _postgres(tmp_path) as url:
        yield url


@pytest.fixture(params=[*DATABASES, pytest.param("pgbouncer", marks=pytest.mark.slow)])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database, for each database."""
    async with _ALL[request.param](tmp_path) as url:
        yield url


@pytest.fixture
async def another(url: str) -> AsyncIterator[Another]:
    """Opens a store on this test's database, as often as it is called: each one stands for a process."""
    async with AsyncExitStack() as stack:

        async def open_store() -> Store:
            store = make_store(url)
            stack.push_async_callback(store.close)
            await store.open()
            return store

        yield open_store


@pytest.fixture
async def store(another: Another) -> Store:
    """An open store on an empty database."""
    return await another()
