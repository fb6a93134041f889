"""The same engine for code that does not await (Django, Flask): an event loop in a background thread, method for method."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import wait
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, Unpack

from orderflow._app import Orderflow
from orderflow._clock import Clock
from orderflow._dispatch.ports import Dispatcher
from orderflow._engine.lanes import WorkerLimits
from orderflow._engine.listeners import FlagHandler, Handler
from orderflow._engine.notifications import ListenerErrorHandler
from orderflow._engine.restore import RestoreReport
from orderflow._engine.retention import Export
from orderflow._engine.views import OrderView
from orderflow._engine.worker import Health
from orderflow._flagged import FailingNotification
from orderflow._provider.protocol import Name, Provider, name_of
from orderflow._providers import typed_calls
from orderflow._receiver.receiver import HttpReply
from orderflow._store.ports import Store
from orderflow._telemetry.ports import Telemetry
from orderflow.errors import ConfigurationError, NotOpen
from orderflow.model import Decision, JournalRow, Listener, Message, Order, Pending, ProviderStanding, RefusalRow, Snapshot

if TYPE_CHECKING:
    from orderflow._providers.typed_calls import AnyProvider, AnyState

F = TypeVar("F", bound=FlagHandler)
T = TypeVar("T")
_THREAD_CHECK_SECONDS = 1.0  # between two looks at whether the thread that runs a call is still there
_ENDED = "closed: the flow's event loop has ended"


class Options(TypedDict, total=False):
    """The keyword arguments of ``Orderflow``, which explains them."""

    public_url: str | None
    signing_keys: Mapping[str, str | bytes] | None
    worker: bool
    grace: float
    dispatch: str | Dispatcher
    fetch_interval: float
    limits: WorkerLimits | None
    on_listener_error: ListenerErrorHandler | None
    telemetry: Telemetry | None
    clock: Clock | None
    rng: random.Random | None
    new_id: Callable[[], str] | None


class SyncOrderflow:
    """``Orderflow`` without ``await``. Thread-safe; ``worker=True`` works in the background thread. Arguments and errors as there."""

    def __init__(self, db: str | Store, providers: Sequence[AnyProvider], **options: Unpack[Options]) -> None:
        self._flow = Orderflow(db, providers, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="orderflow", daemon=True)
        self._pid = os.getpid()  # of the process that opened it

    def __enter__(self) -> Self:
        if self._thread.ident is not None:
            raise ConfigurationError("SyncOrderflow instances are single-use: make another one")
        self._pid = os.getpid()
        self._thread.start()
        try:
            self._run(self._flow.__aenter__())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._pid != os.getpid():  # a fork inside the block: the flow is the other process's to close
            return
        try:
            self._run(self._flow.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def _run(self, call: Coroutine[Any, Any, T]) -> T:
        """Run a call in the background thread and wait for its end.

        Raises:
            NotOpen: it would never end: the flow is not open, or the caller may not wait here.
        """
        if why := self._why_unusable():
            call.close()
            raise NotOpen(why)
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        while not wait({future}, _THREAD_CHECK_SECONDS).done:
            if not self._thread.is_alive():
                future.cancel()
                raise NotOpen(_ENDED)
        return future.result()

    def _why_unusable(self) -> str:
        """Why a call would wait for ever; "" if it would not."""
        if self._pid != os.getpid():
            return "opened in another process, which then forked: enter the flow in each process, after the fork"
        if threading.current_thread() is self._thread:
            return "called on the flow's own event loop: await the method of async_flow there, or do it in a plain function"
        if self._thread.ident is None:
            return "not open: use the flow inside its `with` block"
        return "" if self._thread.is_alive() else _ENDED

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(_cancel_tasks())  # otherwise threads that wait for a result would wait for ever
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    @property
    def async_flow(self) -> Orderflow:
        """The flow that this one runs: for ``orderflow worker``, which has a loop of its own. Not to be entered twice."""
        return self._flow

    @property
    def health(self) -> Health | None:
        """See ``Orderflow.health``."""
        return self._flow.health

    @typed_calls.create
    def create(self, provider: Provider | str, /, *, key: str, **request: object) -> Order:
        """See ``Orderflow.create``."""
        return self._run(self._flow.create(_name(provider), key=key, **request))

    @typed_calls.send
    def send(self, order_id: str, command: str, /, *, key: str | None = None, check: bool = False, **arguments: object) -> Decision:
        """See ``Orderflow.send``."""
        return self._run(self._flow.send(order_id, Name(command), key=key, check=check, **arguments))

    @typed_calls.resolve
    def resolve(self, order_id: str, event: str, /, *, actor: str, reason: str, **arguments: object) -> Decision:
        """See ``Orderflow.resolve``."""
        return self._run(self._flow.resolve(order_id, Name(event), actor=actor, reason=reason, **arguments))

    def override(
        self, order_id: str, target: AnyState, *, actor: str, reason: str, version: int, provider_id: str | None = None
    ) -> Decision:
        """See ``Orderflow.override``."""
        return self._run(self._flow.override(order_id, target, actor=actor, reason=reason, version=version, provider_id=provider_id))

    def order(self, order_id: str) -> Order:
        """See ``Orderflow.order``."""
        return self._run(self._flow.order(order_id))

    def find(self, provider: AnyProvider, provider_id: str) -> Order:
        """See ``Orderflow.find``."""
        return self._run(self._flow.find(provider, provider_id))

    @typed_calls.orders
    def orders(self, *, provider: Provider | str = "", state: str = "", limit: int = 100) -> list[Order]:
        """See ``Orderflow.orders``."""
        return self._run(self._flow.orders(provider=_name(provider), state=state, limit=limit))

    def stuck(self, *, limit: int = 100) -> list[Order]:
        """See ``Orderflow.stuck``."""
        return self._run(self._flow.stuck(limit=limit))

    def journal(self, order_id: str) -> list[JournalRow]:
        """See ``Orderflow.journal``."""
        return self._run(self._flow.journal(order_id))

    def replay(self, order_id: str, version: int | None = None) -> Snapshot:
        """See ``Orderflow.replay``."""
        return self._run(self._flow.replay(order_id, version))

    def view(self, order_id: str) -> OrderView:
        """See ``Orderflow.view``."""
        return self._run(self._flow.view(order_id))

    def refusals(self, order_id: str) -> list[RefusalRow]:
        """See ``Orderflow.refusals``."""
        return self._run(self._flow.refusals(order_id))

    def messages(self, order_id: str) -> list[Message]:
        """See ``Orderflow.messages``."""
        return self._run(self._flow.messages(order_id))

    def pending(self, order_id: str) -> Pending:
        """See ``Orderflow.pending``."""
        return self._run(self._flow.pending(order_id))

    def prune(
        self,
        *,
        older_than: float,
        provider: AnyProvider | Literal[""] = "",
        batch: int = 500,
        export: Path | Export | None = None,
        dry_run: bool = False,
    ) -> Iterator[list[str]]:
        """See ``Orderflow.prune``."""
        batches = self._flow.prune(older_than=older_than, provider=provider, batch=batch, export=export, dry_run=dry_run)

        async def fetch_batch() -> list[str] | None:
            return await anext(batches, None)

        try:
            while (orders := self._run(fetch_batch())) is not None:
                yield orders
        finally:
            self._run(batches.aclose())

    def redact(self, order_id: str, *, actor: str, reason: str) -> Decision:
        """See ``Orderflow.redact``."""
        return self._run(self._flow.redact(order_id, actor=actor, reason=reason))

    def declare_restored(self, *, actor: str, reason: str, dry_run: bool = False) -> RestoreReport:
        """See ``Orderflow.declare_restored``."""
        return self._run(self._flow.declare_restored(actor=actor, reason=reason, dry_run=dry_run))

    def legal(self, order_id: str) -> tuple[str, ...]:
        """See ``Orderflow.legal``."""
        return self._run(self._flow.legal(order_id))

    @typed_calls.states
    def states(self, provider: Provider | str) -> tuple[str, ...]:
        """See ``Orderflow.states``."""
        return self._flow.states(_name(provider))

    def customer_url(self, order_id: str) -> str:
        """See ``Orderflow.customer_url``."""
        return self._run(self._flow.customer_url(order_id))

    def refresh(self, order_id: str) -> None:
        """See ``Orderflow.refresh``."""
        self._run(self._flow.refresh(order_id))

    def wait(self, order_id: str, until: AnyState | Collection[AnyState], timeout: float = 30.0, *, since: int = 0) -> Order:
        """See ``Orderflow.wait``."""
        return self._run(self._flow.wait(order_id, until, timeout, since=since))

    def providers(self) -> list[ProviderStanding]:
        """See ``Orderflow.providers``."""
        return self._run(self._flow.providers())

    def lift_standing(self, provider: AnyProvider, /, *, actor: str, reason: str) -> None:
        """See ``Orderflow.lift_standing``."""
        self._run(self._flow.lift_standing(provider, actor=actor, reason=reason))

    def listeners(self) -> list[Listener]:
        """See ``Orderflow.listeners``."""
        return self._run(self._flow.listeners())

    @typed_calls.remove_listener
    def remove_listener(self, provider: Provider | str, state: str, *, actor: str, reason: str) -> int:
        """See ``Orderflow.remove_listener``."""
        return self._run(self._flow.remove_listener(_name(provider), state, actor=actor, reason=reason))

    @typed_calls.on_entered
    def on_entered(self, provider: Provider | str, state: str, handler: Handler | None = None) -> Any:
        """See ``Orderflow.on_entered``; a plain function runs in a thread."""
        if handler is None:
            return self._flow.on_entered(_name(provider), state)
        return self._flow.on_entered(_name(provider), state, handler)

    def on_flagged(self, handler: F) -> F:
        """See ``Orderflow.on_flagged``; a plain function runs in a thread."""
        return self._flow.on_flagged(handler)

    def failing_notifications(self, *, limit: int = 100) -> list[FailingNotification]:
        """See ``Orderflow.failing_notifications``."""
        return self._run(self._flow.failing_notifications(limit=limit))

    def handle_request(self, method: str, path: str, query: bytes = b"") -> HttpReply:
        """See ``Orderflow.handle_request``: for the view that receives redirects, callbacks and notifications."""
        return self._run(self._flow.handle_request(method, path, query))


def _name(provider: Provider | str) -> Name:
    return Name(name_of(provider))


async def _cancel_tasks() -> None:
    await asyncio.sleep(0)  # calls that were submitted while the loop stopped become tasks now
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def sync(db: str | Store, providers: Sequence[AnyProvider], **options: Unpack[Options]) -> SyncOrderflow:
    """Make a flow without ``await``: ``with orderflow.sync(db, providers, worker=True) as flow: ...``. Arguments as in ``Orderflow``."""
    return SyncOrderflow(db, providers, **options)
