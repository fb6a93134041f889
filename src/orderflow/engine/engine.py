"""The parts of the engine, wired together. Nothing is decided here."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

from attrs import frozen

from orderflow.clock import Clock
from orderflow.dispatch.ports import Dispatcher
from orderflow.engine.admission import Admission
from orderflow.engine.calls import RunningCalls
from orderflow.engine.deadlines import Deadlines
from orderflow.engine.inbox import Inbox
from orderflow.engine.listeners import ListenerDirectory, Listeners
from orderflow.engine.notifications import Notifier
from orderflow.engine.outbox import Outbox
from orderflow.engine.polling import Poller, PollRequests
from orderflow.engine.retention import Retention
from orderflow.engine.waiters import Waiters
from orderflow.engine.worker import Worker
from orderflow.provider.protocol import Provider, PublicUrls
from orderflow.store.ports import Store
from orderflow.telemetry.ports import NoTelemetry, Telemetry


@frozen
class Engine:
    """Every part of one process's engine."""

    store: Store
    providers: Mapping[str, Provider]
    clock: Clock
    listeners: Listeners
    directory: ListenerDirectory
    waiters: Waiters
    admission: Admission
    inbox: Inbox
    outbox: Outbox
    poller: Poller
    poll_requests: PollRequests
    deadlines: Deadlines
    retention: Retention
    worker: Worker
    wake: asyncio.Event


def build_engine(
    *,
    store: Store,
    providers: Mapping[str, Provider],
    urls: PublicUrls,
    dispatcher: Dispatcher,
    clock: Clock,
    rng: random.Random,
    telemetry: Telemetry | None = None,
    fetch_interval: float = 1.0,
) -> Engine:
    """Wire the engine over a store and providers; nothing is opened or started."""
    telemetry = telemetry or NoTelemetry()
    wake, listeners, waiters, calls = asyncio.Event(), Listeners(), Waiters(), RunningCalls()
    directory = ListenerDirectory(store=store, listeners=listeners, clock=clock)
    admission = Admission({name: provider.timing for name, provider in providers.items()}, wake.set)
    inbox = Inbox(
        store=store,
        providers=providers,
        listeners=listeners,
        waiters=waiters,
        wake=wake,
        clock=clock,
        rng=rng,
        telemetry=telemetry,
    )
    outbox = Outbox(
        inbox=inbox,
        store=store,
        providers=providers,
        urls=urls,
        dispatcher=dispatcher,
        notifier=Notifier(store=store, listeners=listeners, calls=calls),
        admission=admission,
        calls=calls,
        clock=clock,
        wake=wake,
        telemetry=telemetry,
    )
    poller = Poller(
        inbox=inbox,
        store=store,
        providers=providers,
        admission=admission,
        calls=calls,
        clock=clock,
        rng=rng,
        wake=wake,
        telemetry=telemetry,
    )
    deadlines = Deadlines(inbox=inbox, store=store, clock=clock, telemetry=telemetry)
    worker = Worker(
        store=store,
        providers=providers,
        listeners=listeners,
        directory=directory,
        admission=admission,
        dispatcher=dispatcher,
        outbox=outbox,
        poller=poller,
        deadlines=deadlines,
        calls=calls,
        clock=clock,
        wake=wake,
        fetch_interval=fetch_interval,
    )
    return Engine(
        store=store,
        providers=providers,
        clock=clock,
        listeners=listeners,
        directory=directory,
        waiters=waiters,
        admission=admission,
        inbox=inbox,
        outbox=outbox,
        poller=poller,
        poll_requests=PollRequests(store=store, providers=providers, clock=clock, wake=wake),
        deadlines=deadlines,
        retention=Retention(store=store, providers=providers, clock=clock),
        worker=worker,
        wake=wake,
    )
