"""What an operator does outside any order, and what one has to say for it. What is done to an order goes through the door."""

from __future__ import annotations

from typing import Any

import structlog

from orderflow.engine.accept import Door
from orderflow.errors import InvalidInput, UnknownName
from orderflow.ports import Store
from orderflow.records import Listener
from orderflow.wirekit import check_json

_log = structlog.get_logger()
_BATCH = 1000  # tellings that end in one transaction


async def listeners(store: Store) -> list[Listener]:
    """See ``Orderflow.listeners``."""
    owed = await store.tellings()
    return [Listener(*pair, owed.get(pair, 0)) for pair in sorted(owed.keys() | await store.listeners())]


async def forget(door: Door, provider: str, state: str, *, by: str, reason: str) -> int:
    """See ``Orderflow.forget``."""
    why = f"forgotten by {said('by', by)}: {said('reason', reason)}"
    known = [(one.provider, one.state) for one in await listeners(door.store)]
    if (provider, state) not in known:
        raise UnknownName("listener", f"{provider} {state}", tuple(map(" ".join, known)))
    ended = 0
    while batch := await door.store.forget(provider, state, why, _BATCH):
        ended += batch
    _log.info("listener.forgotten", provider=provider, state=state, ended=ended)
    await door.meet_listeners()
    return ended


def said(field: str, value: Any) -> str:
    """A text that must not be missing.

    Raises:
        InvalidInput: it is.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(field, "required, as non-empty text")
    check_json(field, value)
    return value.strip()
