"""The worker: fetches due effects, polls and deadlines, and runs them. Woken by commits of this process, by what is due, and at an
interval.

Stopping drains. Nothing new is fetched, and what is in flight may finish within the grace. The rest is cancelled and given back: owed or
planned again now, or reported in doubt if it is unknown whether a once-effect's call arrived. Nothing stays leased, unless the database
is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen

from orderflow._clock import Clock
from orderflow._dispatch.ports import Dispatcher
from orderflow._engine.admission import Admission
from orderflow._engine.calls import RunningCalls
from orderflow._engine.deadlines import Deadlines
from orderflow._engine.in_flight import InFlight, run_guarded
from orderflow._engine.lanes import Lanes, RunningLane, effect_lane, has_full_lane, poll_lane
from orderflow._engine.listeners import ListenerDirectory, Listeners
from orderflow._engine.notifications import Notifier
from orderflow._engine.outbox import Outbox
from orderflow._engine.polling import Poller
from orderflow._engine.recent_commits import RecentCommits
from orderflow._engine.shared_standings import SharedStandings
from orderflow._provider.protocol import Provider
from orderflow._store.ports import Store
from orderflow._store.records import WorkerScope
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger

_log = get_logger(__name__)
_MIN_WAIT = 0.005
_MAX_DEADLINES = 32  # decided at once
_MAX_SKIPPED_DEADLINES = 1000
_MAX_LEASED = 500  # effects or polls leased at once
_GIVE_BACK_SECONDS = 5.0  # beyond the grace: a database that is away must not hold the process longer
_LAST_GIVE_BACK_SECONDS = 1.0  # at the very end, for items that still failed


@frozen
class Health:
    """The health of a worker.

    Attributes:
        seconds_since_fetch: seconds since it last asked the database for work, or since it started.
        database_ok: whether that fetch was answered; None if there was none yet.
        fetch_interval: seconds between two fetches at most, when all is well.
        in_flight: effects and polls that it holds leased, running or failed; after its end those that it could not give back.
        draining: it fetches nothing new.
        problems: providers with which something is wrong, as any process sees it, and what: a value of ``ProviderProblem``.
        failing_listeners: listeners of this process that failed the last time, as "provider state", and how often in a row.
        restored: the database lacks commits of this process: it was restored from a backup. Nothing is sent until that is declared.
    """

    seconds_since_fetch: float
    database_ok: bool | None
    fetch_interval: float
    in_flight: int
    draining: bool
    problems: Mapping[str, str] = field(factory=dict)
    failing_listeners: Mapping[str, int] = field(factory=dict)
    restored: bool = False


@frozen
class _Fetched:
    """What one fetch did.

    ``started``: items begun. ``failed``: to fetch again at once would spin. ``failed_deadlines``: deadlines that could not be decided.
    ``full``: a lane had no room.
    """

    started: int
    failed: bool = False
    failed_deadlines: int = 0
    full: bool = False


@define(eq=False, kw_only=True)
class Worker:
    """Runs what is owed until it is stopped."""

    _store: Store
    _providers: Mapping[str, Provider]
    _listeners: Listeners
    _directory: ListenerDirectory
    _admission: Admission
    _standings: SharedStandings
    _recent_commits: RecentCommits
    _dispatcher: Dispatcher
    _outbox: Outbox
    _poller: Poller
    _deadlines: Deadlines
    _notifier: Notifier
    _calls: RunningCalls
    _clock: Clock
    _wake: asyncio.Event
    _lanes: Lanes
    _fetch_interval: float = 1.0
    _in_flight: InFlight = field(init=False)
    _last: _Fetched = field(init=False, default=_Fetched(0))
    _idle_fetches: int = field(init=False, default=0)  # in a row, that started nothing although something was due
    _stopping: bool = field(init=False, default=False)
    _loop: asyncio.Task[None] | None = field(init=False, default=None)
    _loop_cancelled: bool = field(init=False, default=False)  # during a fetch: what it leased is unknown
    _fetched_at: float = field(init=False, default=0.0)  # by the event loop's clock
    _database_ok: bool | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._in_flight = InFlight(self._clock, self._wake_after)

    @property
    def health(self) -> Health:
        """Its health now; may be read from any thread."""
        age = self._loop.get_loop().time() - self._fetched_at if self._loop is not None else 0.0
        in_flight = len(self._in_flight) + self._loop_cancelled
        problems, failing = self._admission.problems, self._notifier.failing
        restored = self._recent_commits.restored
        return Health(age, self._database_ok, self._fetch_interval, in_flight, self._stopping, problems, failing, restored)

    # ── start and stop ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Work in the background from now on."""
        await self._dispatcher.open(self._wake.set)
        self._fetched_at = asyncio.get_running_loop().time()
        self._loop = asyncio.create_task(self._run(), name="orderflow-worker")

    async def stop(self, grace: float = 20.0) -> None:
        """Fetch nothing new, let what is in flight finish within ``grace`` seconds, cancel the rest and give it back."""
        self._stopping = True
        self._wake.set()
        await self._wait_for_tasks(grace)
        self._calls.cancel_all()
        now = asyncio.get_running_loop().time
        end = now() + _GIVE_BACK_SECONDS
        late = await self._wait_for_tasks(_GIVE_BACK_SECONDS)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=_LAST_GIVE_BACK_SECONDS)  # a listener may catch the cancellation and go on
        self._loop_cancelled = self._loop in late
        with suppress(TimeoutError):
            async with asyncio.timeout(max(_LAST_GIVE_BACK_SECONDS, end - now())):
                await self._in_flight.give_back_failed()
        if left := self.health.in_flight:  # another worker takes over when the leases have run out
            _log.error("worker.leases_left", count=left)
        await self._dispatcher.close()

    async def crash(self) -> None:
        """End as a killed process would: at once, writing nothing, every lease left to run out. For tests."""
        self._stopping = True
        tasks = self._tasks()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._in_flight.abandon_leases()
        await self._dispatcher.close()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        return self._in_flight.tasks | ({self._loop} if self._loop is not None else set())

    async def _wait_for_tasks(self, seconds: float) -> set[asyncio.Task[Any]]:
        """Wait for the loop and then for what it started. Returns the tasks that have not ended."""
        now = asyncio.get_running_loop().time
        end = now() + seconds
        if self._loop is not None:
            await asyncio.wait({self._loop}, timeout=seconds)
        if tasks := self._in_flight.tasks:
            await asyncio.wait(tasks, timeout=max(0.0, end - now()))
        return {task for task in self._tasks() if not task.done()}

    # ── the loop ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                await self._directory.refresh(self._fetch_interval)
                await self._standings.exchange(self._fetch_interval)
                await self._recent_commits.look(self._fetch_interval)
                self._last = _Fetched(0) if self._recent_commits.restored else await self._fetch()
                self._database_ok = True
            except Exception as error:  # noqa: BLE001  a database that is away for a moment must not end the worker
                _log.error("worker.fetch_failed", **exception_fields(error))
                self._last = _Fetched(0, failed=True, failed_deadlines=self._last.failed_deadlines)
                self._database_ok = False
                self._recent_commits.look_again()
            self._fetched_at = asyncio.get_running_loop().time()
            if self._last.started:
                self._idle_fetches = 0
            elif not self._stopping:
                await self._sleep()

    def scope(self) -> WorkerScope:
        """What this worker can take now."""
        now = self._clock.now()
        leases = {name: provider.timing.lease for name, provider in self._providers.items()}
        paused, admitted = self._admission.find_paused(now), self._admission.quotas(now)
        return self._lanes.scope(leases, self._listeners.pairs(), paused, admitted, self._in_flight.by_lane())

    async def _fetch(self) -> _Fetched:
        """Decide deadlines that are due, then start effects and polls as far as there is room."""
        # deadlines that failed the last time are fetched again, and must not hide those behind them
        deadlines = await self._deadlines.fetch(self.scope(), _MAX_DEADLINES + self._last.failed_deadlines)
        decided = sum(await asyncio.gather(*(run_guarded(self._deadlines.run, deadline) for deadline in deadlines)))
        failed = min(len(deadlines) - decided, _MAX_SKIPPED_DEADLINES)
        self._last = _Fetched(decided, decided < len(deadlines), failed)
        started = decided
        if not self._stopping:
            attempts = await self._outbox.fetch(self.scope(), _MAX_LEASED)
            for attempt in attempts:
                effect = attempt.effect
                self._in_flight.start(attempt, effect_lane(*effect.lane), effect.until, self._outbox.run, self._outbox.give_back)
            started += len(attempts)
        if not self._stopping:
            polls = await self._poller.fetch(self.scope(), _MAX_LEASED)
            for poll in polls:
                self._in_flight.start(poll, poll_lane(poll.provider), poll.until, self._poller.run, self._poller.give_back)
            started += len(polls)
        return _Fetched(started, decided < len(deadlines), failed, has_full_lane(self.scope()))

    def _wake_after(self, lane: RunningLane) -> None:
        """An item has ended. In a full lane there is room now, and after a notification its order's next one may be due."""
        if self._last.full or lane.kind == "notifications":
            self._wake.set()

    async def _sleep(self) -> None:
        """Wait until something may be due, at most for the fetch interval, or until woken."""
        wait = await self._seconds_until_due()
        sleeping = {asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._clock.sleep(wait))}
        try:
            await asyncio.wait(sleeping, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in sleeping:
                task.cancel()
        await asyncio.gather(*sleeping, return_exceptions=True)

    async def _seconds_until_due(self) -> float:
        next_resume_at = self._admission.next_resume_at(self._clock.now())
        try:
            due = await self._store.next_due(self.scope())
        except Exception as error:  # noqa: BLE001  as in _run
            _log.error("worker.fetch_failed", **exception_fields(error))
            due = None
        soonest = min((at for at in (due, next_resume_at) if at is not None), default=None)
        if soonest is None or self._last.failed:
            return self._fetch_interval
        left = soonest - self._clock.now()
        # what is due and was not leased is held by another worker, or has to wait: look ever less often
        self._idle_fetches = self._idle_fetches + 1 if left <= 0 else 0
        backoff: float = _MIN_WAIT * 2 ** min(self._idle_fetches, 20)
        return min(self._fetch_interval, max(left, backoff))
