"""Taking what is due of several providers, each within its room. Only that lives here; how much room there is, manners.py says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from attrs import evolve

from orderflow.store.records import WorkerScope
from orderflow.telemetry.exceptions import exception_fields

T = TypeVar("T")
_log = structlog.get_logger()


async def lease_within_quota(scope: WorkerScope, limit: int, take: Callable[[WorkerScope, int], Awaitable[list[T]]]) -> list[T]:
    """At most ``limit`` of what ``take`` finds within the scope, and of no provider more than its room.

    Providers with less room than ``limit`` are asked for one by one and first, so that they need not queue up behind the others, nor
    the others be as careful as they are; then all others are asked for together, and whom the host is to be told of.
    """
    narrow = {name: room for name, room in scope.quotas.items() if room < limit}
    shares = [(WorkerScope({name: scope.leases[name]}, frozenset()), room) for name, room in narrow.items()]
    rest = evolve(scope, paused=scope.paused | narrow.keys(), quotas={})
    if rest.notifiable or rest.leases.keys() - rest.paused:
        shares.append((rest, limit))
    found: list[T] = []
    for share, room in shares:
        try:
            found += await take(share, min(room, limit - len(found)))
        except Exception as error:
            if not found:
                raise
            _log.warning(
                "worker.fetch_incomplete", **exception_fields(error)
            )  # what was taken must be carried out; the next look meets it again
            break
        if len(found) >= limit:
            break
    return found
