"""Whether the database still has the last commits of this process.

If it lacks one, it was restored from a backup, or replaced by a replica that lagged behind. What it says to be owed may have been carried
out, and must not be sent again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from math import inf
from typing import NamedTuple

from attrs import define, field

from orderflow._clock import Clock
from orderflow._store.ports import Store
from orderflow._store.records import PRUNED, RESTORED, KeptCommits
from orderflow._telemetry.log import get_logger
from orderflow.model import Order

_log = get_logger(__name__)
_MOST = 256  # orders that are remembered
REMEDY = "stop all processes, run: orderflow db restored"


class _Commit(NamedTuple):
    """The version that an order had after a commit, and when that was."""

    version: int
    at: float


@define(eq=False, kw_only=True)
class RecentCommits:
    """Remembers the last commits of this process, and compares them with the database.

    ``restored``: the database lacks one of them, and no operator has declared the restore since.
    """

    _store: Store
    _clock: Clock
    restored: bool = field(init=False, default=False)
    _commits: OrderedDict[str, _Commit] = field(init=False, factory=OrderedDict)  # by order, the latest last
    _looked_at: float = field(init=False, default=-inf)
    _declared_at: float | None = field(init=False, default=None)  # the last declared restore that is known here; None: not asked yet
    _looking: asyncio.Lock = field(init=False, factory=asyncio.Lock)

    def add(self, order_id: str, version: int, at: float) -> None:
        """This process has committed that an order is at a version. ``at``: the time in its journal, by which it is pruned."""
        self._commits[order_id] = _Commit(version, at)
        self._commits.move_to_end(order_id)
        if len(self._commits) > _MOST:
            self._commits.popitem(last=False)

    def forget(self) -> None:
        """Remember nothing: the database is meant to be another one now."""
        self._commits.clear()
        self.restored = False

    def version_of(self, order_id: str) -> int:
        """The version of an order after the last commit that is remembered; 0: none is."""
        commit = self._commits.get(order_id)
        return 0 if commit is None else commit.version

    def contradict(self, order: Order, version: int) -> bool:
        """Whether nothing may be sent for an order that was loaded just now.

        ``version``: what ``version_of`` returned before it was loaded. Meanwhile this process may have committed something newer.
        """
        if order.version < version:
            self._report(order.id)
        return self.restored

    async def look(self, interval: float = 0.0) -> None:
        """Compare with the database, at most once an ``interval``. Callers that come meanwhile wait for the answer.

        Raises:
            OperationalError: the database is away. The next call looks again.
        """
        if 0 <= self._clock.now() - self._looked_at < interval:
            return
        async with self._looking:
            if 0 <= self._clock.now() - self._looked_at < interval:
                return
            if self._commits or self.restored or self._declared_at is None:
                commits = dict(self._commits)
                self._compare(commits, await self._store.find_kept(list(commits)))
            self._looked_at = self._clock.now()

    def look_again(self) -> None:
        """The database was away: it may be another one now. The next ``look`` does not wait for its interval."""
        self._looked_at = -inf

    def _compare(self, commits: Mapping[str, _Commit], kept: KeptCommits) -> None:
        declared_at = kept.maintenance.get(RESTORED, -inf)
        if self._declared_at is None:
            self._declared_at = declared_at
        if declared_at > self._declared_at:
            self._declared_at = declared_at
            self.forget()
            _log.info("database.restore_declared")
            return
        pruned_before = kept.maintenance.get(PRUNED, -inf)
        for order_id, commit in commits.items():
            version = kept.versions.get(order_id)
            is_lost = commit.at >= pruned_before if version is None else version < commit.version
            if is_lost:
                self._report(order_id)

    def _report(self, order_id: str) -> None:
        """Once: an order lacks a commit."""
        if not self.restored:
            self.restored = True
            _log.error("database.lacks_commits", order_id=order_id, remedy=REMEDY)
