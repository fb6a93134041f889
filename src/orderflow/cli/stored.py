"""Looking at a database from the command line, without an engine: it is opened, asked, closed, never created."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from orderflow.ports import Store
from orderflow.store import store_at

T = TypeVar("T")


def look(db: str, ask: Callable[[Store], Awaitable[T]]) -> T:
    """What ``ask`` answers.

    Raises:
        ConfigurationError, SchemaError, OperationalError: there is no such database, or it is not ours.
    """

    async def asked() -> T:
        store = store_at(db, create=False)
        await store.open()
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(asked())
