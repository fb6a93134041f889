"""The composition root: ``Orderflow``, which a service embeds. It wires providers, store, engine and receiver, and decides nothing."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from orderflow._clock import Clock, SystemClock
from orderflow._dispatch import make_dispatcher
from orderflow._dispatch.ports import Dispatcher
from orderflow._engine.commands import raise_if_refused
from orderflow._engine.engine import Engine
from orderflow._engine.inbox import provider_of
from orderflow._engine.lanes import WorkerLimits
from orderflow._engine.listeners import FlagHandler, Handler
from orderflow._engine.notifications import ListenerErrorHandler
from orderflow._engine.restore import RestoreReport
from orderflow._engine.retention import Export
from orderflow._engine.views import OrderView
from orderflow._engine.waiters import Wanted
from orderflow._engine.worker import Health
from orderflow._flagged import ORDER_FLAGGED, FailingNotification
from orderflow._inputs import check_name, require_text
from orderflow._provider.discovery import check_timings, resolve_providers
from orderflow._provider.protocol import Provider, name_of
from orderflow._provider.settings import check_seconds_of
from orderflow._providers import typed_calls
from orderflow._receiver.asgi import asgi_app
from orderflow._receiver.receiver import HttpReply, Receiver, check_request
from orderflow._receiver.signed_urls import SignedUrls
from orderflow._store.ports import Store
from orderflow._store.urls import make_store
from orderflow._telemetry.log import get_logger
from orderflow._telemetry.ports import Telemetry
from orderflow.errors import ConfigurationError, UnknownName
from orderflow.model import Decision, JournalRow, Listener, Message, Order, Pending, ProviderStanding, RefusalRow, Snapshot

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from orderflow._providers.typed_calls import AnyProvider, AnyState

F = TypeVar("F", bound=FlagHandler)
_log = get_logger(__name__)


class Orderflow:
    """Orders that are run by outside providers.

    Args:
        db: a database URL (``sqlite:///orders.db``, ``postgresql://host/database``), or a ``Store``.
        providers: configured providers; a name is looked up by entry point and called without arguments.
        public_url: where ``receiver()`` can be reached from outside. None: no redirects, callbacks or notices; polls alone find out.
        signing_keys: key id -> secret, for signing our public URLs; the first signs, all verify.
        worker: run effects, polls and deadlines in this process (else ``orderflow worker`` does in another).
        grace: seconds that calls in progress may go on at the end; then they are cancelled and given back.
        dispatch: what brings effects to the worker: ``local``, ``pgqueuer`` (PostgreSQL, many machines), or a ``Dispatcher``.
        fetch_interval: seconds between two looks at the database at most.
        limits: how much the worker carries out at once: calls and polls of each provider, notifications of each listener.
        on_listener_error: called when a listener failed, with the ``StateEntered`` and the exception, from the worker's event loop.
        telemetry: traces and metrics, such as ``orderflow.telemetry.OpenTelemetry()`` (extra ``otel``).
        clock, rng: time and randomness, for tests that must repeat.
        new_id: makes the part of an order's id behind its provider's name: 1 to 40 letters, digits or any of ``. _ ~``, each time another.

    Raises:
        ConfigurationError: a setting is missing, misspelt or contradicts another.
        SchemaError (on ``async with``): the database is newer, damaged or not ours.
    """

    def __init__(
        self,
        db: str | Store,
        providers: Sequence[AnyProvider],
        *,
        public_url: str | None = None,
        signing_keys: Mapping[str, str | bytes] | None = None,
        worker: bool = False,
        grace: float = 20.0,
        dispatch: str | Dispatcher = "local",
        fetch_interval: float = 1.0,
        limits: WorkerLimits | None = None,
        on_listener_error: ListenerErrorHandler | None = None,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        check_seconds_of(grace=grace, fetch_interval=fetch_interval)
        self._providers = resolve_providers(providers)
        check_timings(self._providers.values())
        self._store = make_store(db) if isinstance(db, str) else db
        self._urls = SignedUrls(public_url, signing_keys or {})
        self._engine = engine = Engine(
            store=self._store,
            providers=self._providers,
            urls=self._urls,
            dispatcher=make_dispatcher(dispatch, self._store) if isinstance(dispatch, str) else dispatch,
            clock=clock or SystemClock(),
            rng=rng or random.Random(),  # noqa: S311  jitter, no secret
            telemetry=telemetry,
            fetch_interval=fetch_interval,
            limits=limits,
            on_listener_error=on_listener_error,
            new_id=new_id or (lambda: secrets.token_hex(10)),
        )
        self._receiver = Receiver(
            inbox=engine.inbox,
            store=self._store,
            providers=self._providers,
            poll_requests=engine.poll_requests,
            clock=engine.clock,
            directory=engine.directory,
            urls=self._urls,
        )
        self._has_worker, self.grace, self._entered = worker, grace, False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ConfigurationError("Orderflow instances are single-use: make another one")
        self._entered = True
        for provider in self._providers.values():
            for warning in provider.warnings:
                _log.warning("provider.warning", provider=provider.name, warning=warning)
        try:
            await self._store.open()
            await self._engine.directory.refresh()
            if self._has_worker:
                await self._engine.worker.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._has_worker:
                await self._engine.worker.stop(self.grace)
        finally:  # also if the caller is cancelled while it waits
            await self._close()

    async def crash(self) -> None:
        """End as a killed process would: what is in flight is never answered. For tests; services use ``async with``."""
        if self._has_worker:
            await self._engine.worker.crash()

    def with_worker(self, *, grace: float | None = None) -> Self:
        """This flow with ``worker=True`` (and this ``grace``), whatever it was made with: ``async with flow.with_worker(): ...``."""
        if grace is not None:
            check_seconds_of(grace=grace)
            self.grace = grace
        self._has_worker = True
        return self

    @property
    def health(self) -> Health | None:
        """The health of this process's worker; None if it has none."""
        return self._engine.worker.health if self._has_worker else None

    async def _close(self) -> None:
        try:
            await self._store.close()
        finally:
            for provider in self._providers.values():
                await provider.close()

    # ── creating and sending ─────────────────────────────────────────────────────────────────────────────────────────────

    @typed_calls.create
    async def create(self, provider: Provider | str, /, *, key: str, **request: object) -> Order:
        """Create an order, in its initial state. Idempotent by ``key`` (1 to 200 characters), which is unique per provider.

        Raises:
            UnknownName: no such provider, or a payment method it does not know.
            InvalidInput: names field and reason, nothing was stored; KeyReused: the key was used for another request.
        """
        return await self._engine.commands.create(self._provider(provider), key, request)

    @typed_calls.send
    async def send(self, order_id: str, command: str, /, *, key: str | None = None, check: bool = False, **arguments: object) -> Decision:
        """Send a command to an order. Returns the decision, which may be ``Refused``. Idempotent by ``key`` if one is given.
        With ``check``, a ``Refused`` decision is raised. A key that was used before for the same gives ``Ignored``. What the provider
        answers later is never raised here: it moves the order.

        Raises:
            UnknownName: no such order or event. An event that is not a command is ``Refused``.
            CommandRefused: ``check`` is set, and the command is not legal now.
            InvalidInput: an argument is malformed; nothing was stored.
            KeyReused: the key was used for another command of this order, or with other arguments.
            OperationalError: the database failed; send it again with the same key. Without a key, look at the order first.
        """
        decision = await self._engine.commands.send(order_id, command, arguments, key=key)
        return raise_if_refused(order_id, command, decision) if check else decision

    @typed_calls.resolve
    async def resolve(self, order_id: str, event: str, /, *, actor: str, reason: str, **arguments: object) -> Decision:
        """Send an operator's declared event (``registration_resolved``, ``submission_given_up``, ...), recorded with who and why.

        Raises:
            UnknownName, InvalidInput: as ``send``.
        """
        return await self._engine.commands.resolve(order_id, event, arguments, actor=actor, reason=reason)

    async def override(
        self, order_id: str, target: AnyState, *, actor: str, reason: str, version: int, provider_id: str | None = None
    ) -> Decision:
        """Move an order to any state outside the table, if it is still at the version that was looked at; recorded with who and why.
        Deadlines and polls of the state begin, and its listeners are notified. ``provider_id`` corrects the order's id at the provider
        ("": it has none), until a poll has moved the order.

        Raises:
            UnknownName: no such order or state; InvalidInput: ``actor`` or ``reason`` is empty, or ``provider_id`` is no id.
        """
        return await self._engine.commands.override(order_id, target, actor=actor, reason=reason, version=version, provider_id=provider_id)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def order(self, order_id: str) -> Order:
        """The order as it stands. Raises UnknownName."""
        return await self._engine.lookups.order(order_id)

    async def find(self, provider: AnyProvider, provider_id: str) -> Order:
        """The order that has this id at the provider, as it stands. Raises UnknownName."""
        return await self._engine.lookups.find(self._provider(provider).name, provider_id)

    @typed_calls.orders
    async def orders(self, *, provider: Provider | str = "", state: str = "", limit: int = 100) -> list[Order]:
        """Up to ``limit`` (1 to 1,000,000) orders, the latest created first.
        Raises UnknownName where neither an order nor a lifecycle of this flow has the provider or the state.
        """
        return await self._engine.lookups.orders(name_of(provider), state, limit)

    async def stuck(self, *, limit: int = 100) -> list[Order]:
        """Orders that have been in their state for longer than its time budget, the longest first."""
        return await self._engine.lookups.stuck(limit)

    async def journal(self, order_id: str) -> list[JournalRow]:
        """The order's steps, oldest first. Raises UnknownName."""
        return await self._engine.lookups.journal(order_id)

    async def replay(self, order_id: str, version: int | None = None) -> Snapshot:
        """The order as it stood at a version, rebuilt from its journal; None: the last. Redacted data is gone from every version.

        Raises:
            UnknownName: no such order; InvalidInput: no such version; NotReplayable: an older orderflow did not record all its steps.
        """
        return await self._engine.lookups.replay(order_id, version)

    async def view(self, order_id: str) -> OrderView:
        """The order, its journal and what is still to come, read at one moment. Raises UnknownName."""
        return await self._engine.lookups.view(order_id)

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """What was refused or ignored, oldest first. Raises UnknownName."""
        return await self._engine.lookups.refusals(order_id)

    async def messages(self, order_id: str) -> list[Message]:
        """What the provider answered to calls and polls, the latest last. It may hold personal data. Raises UnknownName."""
        return await self._engine.lookups.messages(order_id)

    async def pending(self, order_id: str) -> Pending:
        """What is still to come for an order: owed effects, the next poll, armed deadlines. Raises UnknownName."""
        return await self._engine.lookups.pending(order_id)

    @typed_calls.states
    def states(self, provider: Provider | str) -> tuple[str, ...]:
        """The states of a provider's lifecycle. Raises UnknownName."""
        return tuple(self._provider(provider).table.states)

    async def legal(self, order_id: str) -> tuple[str, ...]:
        """The commands and operator events that would be applied now. Raises UnknownName."""
        return await self._engine.lookups.legal(order_id)

    async def customer_url(self, order_id: str) -> str:
        """Where to send the customer's browser; the same each time. Raises UnknownName; InvalidInput: it does not need one."""
        return await self._engine.lookups.customer_url(order_id, self._urls)

    async def refresh(self, order_id: str) -> None:
        """Bring the next poll forward. Raises UnknownName."""
        await self._engine.poll_requests.request(order_id)

    async def wait(self, order_id: str, until: AnyState | Collection[AnyState], timeout: float = 30.0, *, since: int = 0) -> Order:
        """Return when the order is in one of the states, or has passed it. ``since``: only states that it entered at this version or later.

        Raises:
            UnknownName: no such order or state.
            WaitTimeout: not within ``timeout`` seconds. At once: OutOfReach, no event leads there any more; OrderInDoubt, a person decides.
        """
        wanted = Wanted(until, timeout, since, None if self._has_worker else self._engine.clock)
        return await self._engine.waiters.wait_for_state(self._store, provider_of(self._providers, order_id), order_id, wanted)

    # ── old orders ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def prune(
        self,
        *,
        older_than: float,
        provider: AnyProvider | Literal[""] = "",
        batch: int = 500,
        export: Path | Export | None = None,
        dry_run: bool = False,
    ) -> AsyncGenerator[list[str], None]:
        """Delete settled orders to which nothing has happened for ``older_than`` seconds and nothing is owed, with all their rows.
        Yields the ids of each batch, one short transaction each, so that you can pace it; workers may run. ``export`` gets each batch,
        whole and durably, before it is deleted: a file to which JSON Lines are appended, or a function. A crash in between exports
        twice and loses nothing. With ``dry_run`` nothing is exported or deleted. A deleted order's key can be used for a new order.

        Raises:
            InvalidInput: a number is out of range; UnknownName: no such provider.
        """
        return self._engine.retention.prune(older_than, name_of(provider), batch, export, dry_run)

    async def redact(self, order_id: str, *, actor: str, reason: str) -> Decision:
        """Remove the personal data of a settled order: its data except the provider's id, and every note, detail and error.
        Steps, key and facts stay; who did it and why is a journal row. Name no person in the reason. Refused while the order may still
        move, something is owed, or one of its calls is in progress. Raises UnknownName; InvalidInput: ``actor`` or ``reason`` is empty.
        """
        return await self._engine.retention.redact(order_id, actor=require_text("actor", actor), reason=require_text("reason", reason))

    async def declare_restored(self, *, actor: str, reason: str, dry_run: bool = False) -> RestoreReport:
        """The database was restored from a backup: put in doubt what is owed once, and poll everything open first.
        Stop all processes before. It may be called again. With ``dry_run`` nothing is changed. Raises InvalidInput as ``redact``.
        """
        return await self._engine.restore.declare(actor=actor, reason=reason, dry_run=dry_run)

    # ── providers, listeners, the receiver ───────────────────────────────────────────────────────────────────────────────

    async def providers(self) -> list[ProviderStanding]:
        """The standing of each provider, by name: what is wrong with it, as all processes see it."""
        return await self._engine.standings.list()

    async def lift_standing(self, provider: AnyProvider, /, *, actor: str, reason: str) -> None:
        """Clear a provider's problem and throttle, so that every process tries a call at once. Who did it and why is kept and logged.
        Raises UnknownName: no such provider; InvalidInput: ``actor`` or ``reason`` is empty.
        """
        await self._engine.standings.lift(name_of(provider), actor=actor, reason=reason)

    @typed_calls.on_entered
    def on_entered(self, provider: Provider | str, state: str, handler: Handler | None = None) -> Any:
        """Run ``handler`` for every order that enters the state from now on: at least once, with a stable key.
        Without ``handler`` it is a decorator. Register it in every process with a worker. It should return within 0.8 of the provider's
        lease (48 s by default): one that raises or takes longer runs again, with the same key.

        Raises:
            UnknownName: no such provider or state; InvalidInput: ``handler`` is not a function of one argument.
        """
        table = self._provider(provider).table
        if check_name("state", "state", state) not in table.states:
            raise UnknownName(f"state of {table.name}", state, tuple(table.states))
        add = partial(self._engine.listeners.add, name_of(provider), state)
        return add if handler is None else add(handler)

    def on_flagged(self, handler: F) -> F:
        """Run ``handler`` for every order, of any provider, that is flagged from now on: a person should look at it. It is given an
        ``OrderFlagged``, once for each version and thing that is wrong, and runs as one of ``on_entered`` does. Also a decorator.
        Raises InvalidInput where ``handler`` is not a function of one argument.
        """
        for provider in self._providers:
            self._engine.listeners.add(provider, ORDER_FLAGGED, handler)
        return handler

    async def failing_notifications(self, *, limit: int = 100) -> list[FailingNotification]:
        """Notifications that are still owed after several failures of their listeners, those owed for longest first."""
        return await self._engine.lookups.failing_notifications(limit)

    async def listeners(self) -> list[Listener]:
        """Every listener that any process has or had, with the number of its pending notifications."""
        return await self._engine.directory.list()

    @typed_calls.remove_listener
    async def remove_listener(self, provider: Provider | str, state: str, *, actor: str, reason: str) -> int:
        """Remove a listener that the code no longer has, and end its pending notifications. Returns how many ended.
        A process that still has the listener adds it again when it starts. Raises UnknownName, InvalidInput.
        """
        return await self._engine.directory.remove(name_of(provider), state, actor=actor, reason=reason)

    def receiver(self) -> ASGIApp:
        """The ASGI app to mount at ``public_url``."""
        return asgi_app(self._receiver)

    async def handle_request(self, method: str, path: str, query: bytes = b"") -> HttpReply:
        """Handle one request, for frameworks that are not ASGI; ``path`` is relative to the mount point. Raises InvalidInput."""
        return await self._receiver.handle(*check_request(method, path, query))

    def _provider(self, provider: Provider | str) -> Provider:
        name = name_of(provider)
        if name not in self._providers:
            raise UnknownName("provider", name, tuple(self._providers))
        return self._providers[name]
