"""Leasing from a queue that knows no lanes, of each lane no more than its quota."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from attrs import evolve

from orderflow._store.records import Lane, WorkerScope
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger


class InLane(Protocol):
    """What belongs to a lane."""

    @property
    def lane(self) -> Lane: ...


T = TypeVar("T", bound=InLane)
_log = get_logger(__name__)


async def lease_within_quotas(scope: WorkerScope, limit: int, lease: Callable[[WorkerScope, int], Awaitable[list[T]]]) -> list[T]:
    """Up to ``limit`` of what ``lease`` leases within the scope, and of no lane more than its quota.

    At most as many are leased at once as the smallest quota allows. A lane whose quota is used up is left out of the scope then. So there
    are at most as many turns as lanes, and one turn where less is due than any quota.
    """
    leased: list[T] = []
    quotas = dict(scope.quotas)
    while lanes := evolve(scope, quotas=quotas).effect_lanes(limit - len(leased)):
        most = min(lanes.values())
        try:
            batch = await lease(evolve(scope, quotas=dict(quotas)), most)
        except Exception as error:
            if not leased:
                raise
            _log.warning("worker.fetch_incomplete", **exception_fields(error))  # what is leased already must be carried out
            break
        leased += batch
        if len(batch) < most:
            break
        for item in batch:
            if item.lane in quotas:
                quotas[item.lane] -= 1
    return leased
