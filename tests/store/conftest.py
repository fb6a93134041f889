"""The stores that the contract suite runs on. A new store joins by one line in ``STORES``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from orderflow.ports import Store
from orderflow.store import store_at
from store.build import Another

STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda folder: store_at(f"sqlite:///{folder / 'orders.db'}"),
}


@pytest.fixture(params=STORES)
async def another(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Another]:
    """Opens a store on this test's database, as often as asked: each one stands for a process."""
    async with AsyncExitStack() as stack:

        async def open_store() -> Store:
            store = STORES[request.param](tmp_path)
            stack.push_async_callback(store.close)
            await store.open()
            return store

        yield open_store


@pytest.fixture
async def store(another: Another) -> Store:
    """An open store on an empty database."""
    return await another()
