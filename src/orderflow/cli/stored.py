"""Looking at a database from the command line: it is opened, asked, closed, never created; no provider is called."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

from cyclopts import Parameter

from orderflow.cli.given import as_given
from orderflow.store.ports import Store
from orderflow.store.urls import make_store

if TYPE_CHECKING:
    from orderflow.app import Orderflow

T = TypeVar("T")
Db = Annotated[str, Parameter(help="Database URL, e.g. sqlite:///orders.db.", env_var="ORDERFLOW_DB")]
Json = Annotated[bool, Parameter(help="Print one JSON document.", negative="")]


def look(db: str, ask: Callable[[Store], Awaitable[T]]) -> T:
    """What ``ask`` answers, asked of the store alone.

    Raises:
        ConfigurationError, SchemaError, OperationalError: there is no such database, or it is not ours.
    """

    async def asked() -> T:
        store = make_store(db, create=False)
        await store.open()
        try:
            return await ask(store)
        finally:
            await store.close()

    with as_given(os.environ, db=db):
        return asyncio.run(asked())


def with_flow(db: str, ask: Callable[[Orderflow], Awaitable[T]]) -> T:
    """What ``ask`` answers, asked of an engine that carries nothing out, with every provider found that can be made offline.

    Raises:
        As ``look``, and whatever the engine raises.
    """
    import structlog  # noqa: PLC0415 - the engine is imported when a command asks it

    from orderflow.app import Orderflow  # noqa: PLC0415
    from orderflow.provider.discovery import make_offline_providers  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    async def asked() -> T:
        async with Orderflow(make_store(db, create=False), make_offline_providers()) as flow:
            return await ask(flow)

    with as_given(os.environ, db=db):
        return asyncio.run(asked())
