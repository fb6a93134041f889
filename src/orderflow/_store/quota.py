"""Leasing due work of several providers, of each no more than its quota. The engine's admission says how large a quota is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from attrs import evolve

from orderflow._store.records import WorkerScope
from orderflow._telemetry.exceptions import exception_fields

T = TypeVar("T")
_log = structlog.get_logger()


async def lease_within_quota(scope: WorkerScope, limit: int, lease: Callable[[WorkerScope, int], Awaitable[list[T]]]) -> list[T]:
    """Up to ``limit`` of what ``lease`` leases within the scope, and of no provider more than its quota.

    A provider whose quota is less than ``limit`` is leased from separately. These come first: their work need not wait behind that of
    other providers, and their quotas limit no other provider. All other providers, and all notifications, are leased together.
    """
    limited = {provider: quota for provider, quota in scope.quotas.items() if quota < limit}
    shares = [(WorkerScope({provider: scope.leases[provider]}, frozenset()), quota) for provider, quota in limited.items()]
    others = evolve(scope, paused=scope.paused | limited.keys(), quotas={})
    if others.notifiable or others.callable_providers:
        shares.append((others, limit))
    leased: list[T] = []
    for share, quota in shares:
        try:
            leased += await lease(share, min(quota, limit - len(leased)))
        except Exception as error:
            if not leased:
                raise
            _log.warning("worker.fetch_incomplete", **exception_fields(error))  # what is leased already must be carried out
            break
        if len(leased) >= limit:
            break
    return leased
