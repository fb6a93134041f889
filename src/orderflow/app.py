"""The composition root: ``Orderflow``, what a service embeds. It wires providers, store, engine and receiver, and decides nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import structlog

from orderflow.analysis.reachability import within_reach
from orderflow.clock import Clock, SystemClock
from orderflow.dispatch import dispatcher_of
from orderflow.dispatch.ports import Dispatcher
from orderflow.engine.inbox import Inbox
from orderflow.engine.listeners import LISTENER_REFRESH_SECONDS, Handler, Listeners, list_listeners, remove_listener
from orderflow.engine.retention import Export, Retention
from orderflow.engine.worker import Health, Worker
from orderflow.errors import ConfigurationError, InvalidInput, OutOfReach, UnknownName, WaitTimeout
from orderflow.inputs import check_json, require_text
from orderflow.lifecycle.decide import legal
from orderflow.model import PROVIDER_ID, Decision, Event, JournalRow, Listener, Order, Origin, Pending, RefusalRow, Snapshot
from orderflow.provider.discovery import resolve_providers
from orderflow.provider.protocol import Provider
from orderflow.provider.timing import check_timing
from orderflow.receiver.asgi import asgi_app
from orderflow.receiver.receiver import Receiver, Reply
from orderflow.receiver.signed_urls import SignedUrls
from orderflow.store.ports import Store
from orderflow.store.records import InboxKey
from orderflow.store.urls import make_store
from orderflow.telemetry.ports import Telemetry

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from orderflow.providers.ccv import names as ccv
    from orderflow.providers.connect import names as connect

    # known names complete in an editor; a third provider's are plain text
    Command = ccv.Command | connect.Command | str
    OperatorEvent = ccv.OperatorEvent | connect.OperatorEvent | str
    State = ccv.State | connect.State | str

_log = structlog.get_logger()
_LONGEST_KEY = 200
_LOOK_BENEATH = 0.5  # seconds between looks while waiting: another process may move the order


class Orderflow:
    """Orders whose lives outside providers run.

    Args:
        db: a database URL (``sqlite:///orders.db``), or a ``Store``.
        providers: configured providers; a name is looked up by entry point and called without arguments.
        public_url: where ``receiver()`` is reachable from outside; None: no redirects, callbacks or notifications, reads alone.
        signing_keys: key id -> secret, for signing our public URLs; the first signs, all verify.
        work: carry out effects, reads and deadlines in this process (else ``orderflow worker`` does in another).
        grace: for how many seconds, at the end, calls under way may go on; what is not answered then is cut and given back.
        dispatch: what brings effects to the worker: ``local``, ``pgqueuer`` (PostgreSQL, many machines), or a ``Dispatcher``.
        poll: the longest silence between two looks at the database, in seconds.
        telemetry: who watches, such as ``orderflow.telemetry.opentelemetry.OpenTelemetry()`` (extra ``otel``).
        clock, rng, new_id: time, randomness and order ids, for tests that must repeat.

    Raises (on ``async with``):
        ConfigurationError: a setting is missing or contradicts another.
        SchemaError: the database is newer, damaged or not ours.
    """

    def __init__(
        self,
        db: str | Store,
        providers: Sequence[Provider | str],
        *,
        public_url: str | None = None,
        signing_keys: Mapping[str, str | bytes] | None = None,
        worker: bool = False,
        grace: float = 20.0,
        dispatch: str | Dispatcher = "local",
        fetch_interval: float = 1.0,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._providers = resolve_providers(providers)
        self._store = make_store(db) if isinstance(db, str) else db
        self._links = SignedUrls(public_url, signing_keys or {})
        self._clock = clock or SystemClock()
        self._new_id = new_id or (lambda: secrets.token_hex(10))
        rng = rng or random.Random()  # noqa: S311  spreads reads, keeps no secret
        self._listeners = Listeners()
        self._inbox = Inbox(self._store, self._providers, self._listeners, self._clock, rng, telemetry=telemetry)
        self._receiver = Receiver(self._inbox, self._links)
        self._retention = Retention(self._inbox)
        dispatcher = dispatcher_of(dispatch, self._store) if isinstance(dispatch, str) else dispatch
        self._worker = Worker(self._inbox, self._links, dispatcher, rng, fetch_interval=fetch_interval)
        self._works, self._entered = worker, False
        self._grace = grace

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ConfigurationError("an Orderflow is entered once: make another one")
        self._entered = True
        for provider in self._providers.values():
            check_timing(provider.name, provider.table, provider.timing, getattr(provider, "timeout", None))
            for warning in getattr(provider, "warnings", ()):
                _log.warning("provider.limited", provider=provider.name, warning=warning)
        try:
            await self._store.open()
            await self._inbox.refresh_listeners()
            if self._works:
                await self._worker.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self._works:
                await self._worker.stop(self._grace)
        finally:  # who is cancelled a second time does not wait, but lets go
            await self._close()

    async def abandon(self) -> None:
        """End as a killed process would: what is in flight is never answered. For rehearsals; services use ``async with``."""
        if self._works:
            await self._worker.abandon()

    def working(self, *, grace: float | None = None) -> Self:
        """This flow with ``worker=True`` (and this ``grace``), whatever it was made with: ``async with flow.working(): ...``."""
        self._works, self._grace = True, self._grace if grace is None else grace
        return self

    @property
    def health(self) -> Health | None:
        """How the worker of this process is; None where it has none."""
        return self._worker.health if self._works else None

    async def _close(self) -> None:
        try:
            await self._store.close()
        finally:
            for provider in self._providers.values():
                await provider.close()

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, provider: str, /, *, key: str, **request: object) -> Order:
        """A new order, drafted; idempotent by ``key``, unique per provider (1 to 200 characters).

        Raises:
            UnknownName: no such provider, or a payment method it does not know.
            InvalidInput: names field and reason; nothing was stored.
            KeyReused: the key made an order from another request.
        """
        await self._inbox.refresh_listeners(LISTENER_REFRESH_SECONDS)
        found = self._provider(provider)
        _check_key(key)
        for name, value in request.items():
            check_json(name, value)
        draft = found.draft(request)
        canonical = json.dumps(request, sort_keys=True, default=lambda value: dict(value) if isinstance(value, Mapping) else str(value))
        now = self._clock.now()
        snapshot = Snapshot(found.table.initial, draft.facts, draft.data, 0)
        identity = self._new_id()
        if "-" in identity:  # ids are taken apart at their last hyphen
            raise ConfigurationError("an id must not contain a hyphen", "new_id")
        order = Order(f"{provider}-{identity}", provider, key, snapshot, now, now)
        return await self._store.create(order, hashlib.sha256(canonical.encode()).hexdigest())

    async def send(self, order_id: str, command: Command, /, *, key: str | None = None, **arguments: object) -> Decision:
        """A command; answers with the decision. Idempotent by ``key`` where one is given.

        Raises:
            UnknownName: no such order or event.
            InvalidInput: an argument is malformed; nothing was stored.
        """
        return await self._ask(order_id, command, Origin.COMMAND, arguments, key=key)

    async def resolve(self, order_id: str, event: OperatorEvent, /, *, by: str, reason: str, **arguments: object) -> Decision:
        """An operator's declared event (``registration_resolved``, ``submission_given_up``, ...), kept with who and why.

        Raises:
            UnknownName, InvalidInput: as ``tell``.
        """
        note = f"by {require_text('by', by)}: {require_text('reason', reason)}"
        return await self._ask(order_id, event, Origin.OPERATOR, arguments, note=note)

    async def override(self, order_id: str, target: State, *, by: str, reason: str, version: int) -> Decision:
        """Move an order outside the table, from the version that was looked at. Audited; arms deadlines and reads, tells the host.

        Raises:
            UnknownName: no such order or state.
        """
        await self._inbox.refresh_listeners()
        return (
            await self._inbox.override(order_id, target, by=require_text("by", by), reason=require_text("reason", reason), version=version)
        ).decision

    async def _ask(
        self,
        order_id: str,
        name: str,
        origin: Origin,
        arguments: Mapping[str, object],
        *,
        key: str | None = None,
        note: str = "",
    ) -> Decision:
        provider = self._inbox.provider_of(order_id)
        if name not in provider.table.events:
            known = tuple(event for event, by in provider.table.events.items() if by is origin)
            raise UnknownName(f"{origin.value} event of {provider.table.name}", name, known)
        if key is not None:
            _check_key(key)
        for argument, value in arguments.items():
            check_json(argument, value)
        if name in getattr(provider, "needs_public_url", ()) and self._links.url(provider.name, name) is None:
            raise InvalidInput("public_url", f"is not configured: nobody could come back from {name}")
        data = dict(provider.command(name, arguments))
        resolve_providers = data.pop(PROVIDER_ID, None)
        event = Event(name, origin, data, None if resolve_providers is None else str(resolve_providers), note)
        inbox = InboxKey(origin.value, f"{order_id}:{name}:{key}") if key is not None else None
        await self._inbox.refresh_listeners(LISTENER_REFRESH_SECONDS)
        return (await self._inbox.accept(order_id, event, inbox)).decision

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def order(self, order_id: str) -> Order:
        """The order as it stands.

        Raises:
            UnknownName: no such order.
        """
        return await self._store.load(order_id)

    async def orders(self, *, provider: str = "", state: str = "", limit: int = 100) -> list[Order]:
        """Orders, the latest created first."""
        return await self._store.orders(provider=provider, state=state, limit=limit)

    async def stuck(self, *, limit: int = 100) -> list[Order]:
        """Orders that have been in their state for longer than its time budget."""
        now = self._clock.now()
        found: list[Order] = []
        for provider in self._providers.values():
            for info in provider.table.states.values():
                if info.budget:
                    before = now - provider.timing.durations[info.budget]
                    found += await self._store.orders(provider=provider.name, state=info.value, entered_before=before, limit=limit)
        return sorted(found, key=lambda order: order.entered_at)[:limit]

    async def journal(self, order_id: str) -> list[JournalRow]:
        """The order's path, oldest first."""
        await self._store.load(order_id)
        return await self._store.journal(order_id)

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """What was refused or ignored."""
        await self._store.load(order_id)
        return await self._store.refusals(order_id)

    async def pending(self, order_id: str) -> Pending:
        """What is still to come for an order: effects owed, the next read, armed deadlines."""
        await self._store.load(order_id)
        return await self._store.pending(order_id)

    def states(self, provider: str) -> tuple[str, ...]:
        """The states of a provider's lifecycle.

        Raises:
            UnknownName: no such provider.
        """
        return tuple(self._provider(provider).table.states)

    async def legal(self, order_id: str) -> tuple[str, ...]:
        """The commands and operator events that would be applied now."""
        order = await self._store.load(order_id)
        return legal(self._inbox.provider_of(order_id).table, order.snapshot)

    async def customer_url(self, order_id: str) -> str:
        """Where to send the customer's browser; asking twice gives the same.

        Raises:
            InvalidInput: this order is not being completed by a URL.
        """
        order = await self._store.load(order_id)
        url = self._inbox.provider_of(order_id).customer_url(order, self._links)
        if url is None:
            raise InvalidInput("order", f"is {order.state} and not being completed by a URL")
        return url

    async def refresh(self, order_id: str) -> None:
        """Bring the next status read forward."""
        await self._inbox.bring_poll_forward(order_id)

    async def wait(self, order_id: str, until: State | Collection[str], timeout: float = 30.0) -> Order:
        """Return when the order is in one of the states.

        Raises:
            UnknownName: no such order or state.
            WaitTimeout: it was not reached in ``timeout`` seconds; OutOfReach, at once: no event leads there any more.
        """
        wanted = {until} if isinstance(until, str) else set(until)
        table = self._inbox.provider_of(order_id).table
        for state in wanted - table.states.keys():
            raise UnknownName(f"state of {table.name}", state, tuple(table.states))
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        with self._inbox.watching(order_id) as moved:
            while True:
                moved.clear()
                order = await self._store.load(order_id)
                if order.state in wanted:
                    return order
                if not within_reach(table, order.snapshot, wanted):
                    raise OutOfReach(order_id, " or ".join(sorted(wanted)), order.state)
                left = end - loop.time()
                if left <= 0:
                    raise WaitTimeout(order_id, " or ".join(sorted(wanted)), order.state, timeout)
                try:
                    async with asyncio.timeout(min(left, _LOOK_BENEATH)):
                        await moved.wait()
                except TimeoutError:
                    continue

    # ── old orders ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def prune(
        self, *, older_than: float, provider: str = "", batch: int = 500, export: Path | Export | None = None, dry_run: bool = False
    ) -> AsyncGenerator[list[str], None]:
        """Delete settled orders to which nothing has happened for ``older_than`` seconds and for which nothing is owed, with all that
        is kept of them. Yields the ids of each batch, one short transaction each, so that the host can pace it; workers may run.
        ``export`` gets each batch whole and durably before it is deleted: a file that JSON Lines are appended to, or a function. A
        crash in between exports twice, and loses nothing. With ``dry_run`` nothing is exported or deleted. A create with a deleted
        order's key makes a new order.

        Raises:
            InvalidInput: a number is out of range; UnknownName: no such provider.
        """
        return self._retention.prune(older_than, provider, batch, export, dry_run)

    async def redact(self, order_id: str, *, by: str, reason: str) -> Decision:
        """Remove the personal data of a settled order: its data but for the provider's id, every note, detail and error kept beside
        its path. The path, the caller's key and the facts stay; who did it and why is a journal row. Name no person in the reason.
        Refused as long as the order may still move, something is owed, or one of its calls is under way.

        Raises:
            UnknownName: no such order; InvalidInput: ``by`` or ``reason`` is empty.
        """
        return await self._retention.redact(order_id, by=require_text("by", by), reason=require_text("reason", reason))

    # ── being told, hearing ──────────────────────────────────────────────────────────────────────────────────────────────

    def on_entered(self, provider: str, state: State, handler: Handler) -> None:
        """Tell ``run`` of every order that enters the state from now on: at least once, with a stable key.
        Register it in every process that works. It should return within 0.8 of the provider's lease (48 s unless configured):
        one that raises or takes longer is told again, with the same key.

        Raises:
            UnknownName: no such provider or state.
        """
        table = self._provider(provider).table
        if state not in table.states:
            raise UnknownName(f"state of {table.name}", state, tuple(table.states))
        self._listeners.add(provider, state, handler)

    async def listeners(self) -> list[Listener]:
        """Of which states any process ever wanted to be told, and how many pending_notifications are owed."""
        return await list_listeners(self._store)

    async def remove_listener(self, provider: str, state: str, *, by: str, reason: str) -> int:
        """Forget a listener that is gone from the code, and end what it is owed: how many. A process that has it brings it back.

        Raises:
            UnknownName: nobody listens, nor did; InvalidInput: ``by`` or ``reason`` is empty.
        """
        removed = await remove_listener(self._store, provider, state, by=by, reason=reason)
        await self._inbox.refresh_listeners()
        return removed

    def receiver(self) -> ASGIApp:
        """The ASGI app to mount at ``public_url``."""
        return asgi_app(self._receiver)

    async def handle_request(self, method: str, path: str, query: bytes = b"") -> Reply:
        """One request to the receiver, for frameworks that are no ASGI; ``path`` is relative to the mount point."""
        return await self._receiver.handle(method, path, query)

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            raise UnknownName("provider", name, tuple(self._providers))
        return self._providers[name]


def _check_key(key: object) -> None:
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidInput("key", f"required, as text of 1 to {_LONGEST_KEY} characters")
    check_json("key", key)
