"""The parts of the engine, wired together. Nothing is decided here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from orderflow._clock import Clock
from orderflow._dispatch.ports import Dispatcher
from orderflow._engine.admission import Admission
from orderflow._engine.calls import RunningCalls
from orderflow._engine.commands import Commands
from orderflow._engine.deadlines import Deadlines
from orderflow._engine.inbox import Inbox
from orderflow._engine.lanes import Lanes, WorkerLimits
from orderflow._engine.listener_threads import ListenerThreads
from orderflow._engine.listeners import ListenerDirectory, Listeners
from orderflow._engine.lookups import Lookups
from orderflow._engine.notifications import ListenerErrorHandler, Notifier
from orderflow._engine.outbox import Outbox
from orderflow._engine.polling import Poller, PollRequests
from orderflow._engine.recent_commits import RecentCommits
from orderflow._engine.restore import Restore
from orderflow._engine.retention import Retention
from orderflow._engine.shared_standings import SharedStandings
from orderflow._engine.waiters import Waiters
from orderflow._engine.worker import Worker
from orderflow._provider.protocol import Provider, PublicUrls
from orderflow._store.ports import Store
from orderflow._telemetry.ports import NoTelemetry, Telemetry


class Engine:
    """Every part of one process's engine, wired over a store and providers. Making it opens and starts nothing.

    Args:
        urls: our public URLs.
        new_id: makes the unique part of an order's id.
        fetch_interval: the longest time, in seconds, between two looks at the database.
        limits: how much the worker carries out at once.
        on_listener_error: called when a listener failed.
    """

    def __init__(
        self,
        *,
        store: Store,
        providers: Mapping[str, Provider],
        urls: PublicUrls,
        dispatcher: Dispatcher,
        clock: Clock,
        rng: random.Random,
        new_id: Callable[[], str],
        telemetry: Telemetry | None = None,
        fetch_interval: float = 1.0,
        limits: WorkerLimits | None = None,
        on_listener_error: ListenerErrorHandler | None = None,
    ) -> None:
        telemetry = telemetry or NoTelemetry()
        self.store, self.providers, self.clock = store, providers, clock
        self.wake, self.waiters = asyncio.Event(), Waiters()
        threads = ListenerThreads(self.wake.set)
        self.listeners = Listeners(threads)
        self._calls = RunningCalls()
        self.directory = ListenerDirectory(store=store, listeners=self.listeners, clock=clock)
        self.admission = Admission({name: provider.timing for name, provider in providers.items()}, self.wake.set)
        self.standings = SharedStandings(store=store, admission=self.admission, names=providers.keys(), clock=clock)
        self.recent_commits = RecentCommits(store=store, clock=clock)
        self.inbox = Inbox(
            store=store,
            providers=providers,
            listeners=self.listeners,
            waiters=self.waiters,
            recent_commits=self.recent_commits,
            wake=self.wake,
            clock=clock,
            rng=rng,
            telemetry=telemetry,
        )
        self.commands = self._build_commands(urls, new_id)
        self.poll_requests = PollRequests(store=store, providers=providers, clock=clock, wake=self.wake)
        self.notifier = Notifier(store=store, listeners=self.listeners, calls=self._calls, on_error=on_listener_error)
        self.outbox = self._build_outbox(urls, dispatcher, telemetry)
        self.poller = self._build_poller(rng, telemetry)
        self.deadlines = Deadlines(inbox=self.inbox, store=store, providers=providers, clock=clock, telemetry=telemetry)
        self.lookups = Lookups(store=store, providers=providers, clock=clock)
        self.retention = Retention(store=store, providers=providers, clock=clock)
        self.restore = Restore(store=store, providers=providers, outbox=self.outbox, clock=clock)
        self.worker = self._build_worker(dispatcher, fetch_interval, Lanes(limits or WorkerLimits(), threads.count_given_up))

    def _build_commands(self, urls: PublicUrls, new_id: Callable[[], str]) -> Commands:
        return Commands(
            inbox=self.inbox,
            store=self.store,
            providers=self.providers,
            directory=self.directory,
            recent_commits=self.recent_commits,
            urls=urls,
            clock=self.clock,
            new_id=new_id,
        )

    def _build_outbox(self, urls: PublicUrls, dispatcher: Dispatcher, telemetry: Telemetry) -> Outbox:
        return Outbox(
            inbox=self.inbox,
            store=self.store,
            providers=self.providers,
            urls=urls,
            dispatcher=dispatcher,
            notifier=self.notifier,
            admission=self.admission,
            calls=self._calls,
            recent_commits=self.recent_commits,
            clock=self.clock,
            wake=self.wake,
            telemetry=telemetry,
        )

    def _build_poller(self, rng: random.Random, telemetry: Telemetry) -> Poller:
        return Poller(
            inbox=self.inbox,
            store=self.store,
            providers=self.providers,
            admission=self.admission,
            calls=self._calls,
            clock=self.clock,
            rng=rng,
            wake=self.wake,
            telemetry=telemetry,
        )

    def _build_worker(self, dispatcher: Dispatcher, fetch_interval: float, lanes: Lanes) -> Worker:
        return Worker(
            store=self.store,
            providers=self.providers,
            listeners=self.listeners,
            directory=self.directory,
            admission=self.admission,
            standings=self.standings,
            recent_commits=self.recent_commits,
            dispatcher=dispatcher,
            outbox=self.outbox,
            poller=self.poller,
            deadlines=self.deadlines,
            calls=self._calls,
            clock=self.clock,
            wake=self.wake,
            notifier=self.notifier,
            lanes=lanes,
            fetch_interval=fetch_interval,
        )
