"""Taking what is due of several providers, each within its room. Only that lives here; how much room there is, manners.py says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from attrs import evolve

from orderflow.engine.trouble import trouble
from orderflow.records import Scope

T = TypeVar("T")
_log = structlog.get_logger()


async def in_shares(scope: Scope, limit: int, take: Callable[[Scope, int], Awaitable[list[T]]]) -> list[T]:
    """At most ``limit`` of what ``take`` finds within the scope, and of no provider more than its room.

    Providers with less room than ``limit`` are asked for one by one and first, so that they need not queue up behind the others, nor
    the others be as careful as they are; then all others are asked for together, and whom the host is to be told of.
    """
    narrow = {name: room for name, room in scope.rooms.items() if room < limit}
    shares = [(Scope({name: scope.leases[name]}, frozenset()), room) for name, room in narrow.items()]
    rest = evolve(scope, silent=scope.silent | narrow.keys(), rooms={})
    if rest.heard or rest.leases.keys() - rest.silent:
        shares.append((rest, limit))
    found: list[T] = []
    for share, room in shares:
        try:
            found += await take(share, min(room, limit - len(found)))
        except Exception as error:
            if not found:
                raise
            _log.warning("worker.look_cut_short", **trouble(error))  # what was taken must be carried out; the next look meets it again
            break
        if len(found) >= limit:
            break
    return found
