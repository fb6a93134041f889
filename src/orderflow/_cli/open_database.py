"""Asking a database from the command line. It is opened, asked and closed, never created; no provider is called."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from orderflow._cli.environment import name_settings, option_sources
from orderflow._cli.logs import configure_errors
from orderflow._store.ports import Store
from orderflow._store.urls import make_store

if TYPE_CHECKING:
    from orderflow._app import Orderflow

T = TypeVar("T")


def ask_store(db: str, ask: Callable[[Store], Awaitable[T]]) -> T:
    """What ``ask`` returns, given the store of this URL.

    Raises:
        ConfigurationError, SchemaError, OperationalError: there is no such database, or it is not orderflow's.
    """

    configure_errors()

    async def run() -> T:
        store = make_store(db, create=False)
        await store.open()
        try:
            return await ask(store)
        finally:
            await store.close()

    with name_settings(option_sources(os.environ, db=db)):
        return asyncio.run(run())


def ask_flow(db: str, ask: Callable[[Orderflow], Awaitable[T]]) -> T:
    """What ``ask`` returns, given an ``Orderflow`` without a worker. It has every installed provider that can be made offline.

    Raises:
        As ``ask_store``, and what ``ask`` raises.
    """
    from orderflow._app import Orderflow  # noqa: PLC0415 - the engine is imported when a command needs it
    from orderflow._provider.discovery import make_offline_providers  # noqa: PLC0415

    configure_errors()

    async def run() -> T:
        offline = make_offline_providers()
        async with Orderflow(make_store(db, create=False), offline) as flow:
            return await ask(flow)

    with name_settings(option_sources(os.environ, db=db)):
        return asyncio.run(run())
