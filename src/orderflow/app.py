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

from orderflow.clock import SystemClock
from orderflow.discovery import check_durations, named
from orderflow.dispatch import dispatcher_of
from orderflow.engine.accept import MEET, Door
from orderflow.engine.hosts import Hosts, Run
from orderflow.engine.operators import forget, listeners, said
from orderflow.engine.retention import Export, Retention
from orderflow.engine.work import Health, Worker
from orderflow.errors import ConfigurationError, InvalidInput, OutOfReach, UnknownName, WaitTimeout
from orderflow.lifecycle.decide import legal
from orderflow.lifecycle.explore import within_reach
from orderflow.ports import Clock, Dispatcher, Provider, Store, Telemetry
from orderflow.receiver import receiver
from orderflow.receiver.hear import Ears, Reply
from orderflow.receiver.links import SignedLinks
from orderflow.records import PROVIDER_ID, InboxKey, JournalRow, Listener, Order, Pending, RefusalRow
from orderflow.store import store_at
from orderflow.vocabulary import Decision, Event, Origin, Snapshot
from orderflow.wirekit import check_json

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
        link_keys: key id -> secret, for signing our public URLs; the first signs, all verify.
        work: carry out effects, reads and deadlines in this process (else ``orderflow work`` does in another).
        grace: for how many seconds, at the end, calls under way may go on; what is not answered then is cut and given back.
        dispatch: what brings effects to the worker: ``local``, ``pgqueuer`` (PostgreSQL, many machines), or a ``Dispatcher``.
        poll: the longest silence between two looks at the database, in seconds.
        telemetry: who watches, such as ``orderflow.otel.OpenTelemetry()`` (extra ``otel``).
        clock, dice, new_id: time, randomness and order ids, for tests that must repeat.

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
        link_keys: Mapping[str, str | bytes] | None = None,
        work: bool = False,
        grace: float = 20.0,
        dispatch: str | Dispatcher = "local",
        poll: float = 1.0,
        telemetry: Telemetry | None = None,
        clock: Clock | None = None,
        dice: random.Random | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._providers = named(providers)
        self._store = store_at(db) if isinstance(db, str) else db
        self._links = SignedLinks(public_url, link_keys or {})
        self._clock = clock or SystemClock()
        self._new_id = new_id or (lambda: secrets.token_hex(10))
        dice = dice or random.Random()  # noqa: S311  spreads reads, keeps no secret
        self._hosts = Hosts()
        self._door = Door(self._store, self._providers, self._hosts, self._clock, dice, telemetry=telemetry)
        self._ears = Ears(self._door, self._links)
        self._retention = Retention(self._door)
        dispatcher = dispatcher_of(dispatch, self._store) if isinstance(dispatch, str) else dispatch
        self._worker = Worker(self._door, self._links, dispatcher, dice, poll=poll)
        self._works, self._entered = work, False
        self._grace = grace

    async def __aenter__(self) -> Self:
        if self._entered:
            raise ConfigurationError("an Orderflow is entered once: make another one")
        self._entered = True
        for provider in self._providers.values():
            check_durations(provider)
            for warning in getattr(provider, "warnings", ()):
                _log.warning("provider.limited", provider=provider.name, warning=warning)
        try:
            await self._store.open()
            await self._door.meet_listeners()
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
        """This flow with ``work=True`` (and this ``grace``), whatever it was made with: ``async with flow.working(): ...``."""
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
        await self._door.meet_listeners(MEET)
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
            raise ConfigurationError("new_id: an id must not contain a hyphen")
        order = Order(f"{provider}-{identity}", provider, key, snapshot, now, now)
        return await self._store.create(order, hashlib.sha256(canonical.encode()).hexdigest())

    async def tell(self, order_id: str, command: Command, /, *, key: str | None = None, **arguments: object) -> Decision:
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
        note = f"by {said('by', by)}: {said('reason', reason)}"
        return await self._ask(order_id, event, Origin.OPERATOR, arguments, note=note)

    async def override(self, order_id: str, target: State, *, by: str, reason: str, version: int) -> Decision:
        """Move an order outside the table, from the version that was looked at. Audited; arms deadlines and reads, tells the host.

        Raises:
            UnknownName: no such order or state.
        """
        await self._door.meet_listeners()
        return (await self._door.override(order_id, target, by=said("by", by), reason=said("reason", reason), version=version)).decision

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
        provider = self._door.provider_of(order_id)
        if name not in provider.table.events:
            known = tuple(event for event, by in provider.table.events.items() if by is origin)
            raise UnknownName(f"{origin.value} event of {provider.table.name}", name, known)
        if key is not None:
            _check_key(key)
        for argument, value in arguments.items():
            check_json(argument, value)
        if name in getattr(provider, "returning", ()) and self._links.url(provider.name, name) is None:
            raise InvalidInput("public_url", f"is not configured: nobody could come back from {name}")
        data = dict(provider.command(name, arguments))
        named = data.pop(PROVIDER_ID, None)
        event = Event(name, origin, data, None if named is None else str(named), note)
        inbox = InboxKey(origin.value, f"{order_id}:{name}:{key}") if key is not None else None
        await self._door.meet_listeners(MEET)
        return (await self._door.tell(order_id, event, inbox)).decision

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
        return legal(self._door.provider_of(order_id).table, order.snapshot)

    async def fulfillment_url(self, order_id: str) -> str:
        """Where to send the customer's browser; asking twice gives the same.

        Raises:
            InvalidInput: this order is not being completed by a URL.
        """
        order = await self._store.load(order_id)
        url = self._door.provider_of(order_id).customer_url(order, self._links)
        if url is None:
            raise InvalidInput("order", f"is {order.state} and not being completed by a URL")
        return url

    async def refresh(self, order_id: str) -> None:
        """Bring the next status read forward."""
        await self._door.notice(order_id)

    async def wait(self, order_id: str, until: State | Collection[str], timeout: float = 30.0) -> Order:
        """Return when the order is in one of the states.

        Raises:
            UnknownName: no such order or state.
            WaitTimeout: it was not reached in ``timeout`` seconds; OutOfReach, at once: no event leads there any more.
        """
        wanted = {until} if isinstance(until, str) else set(until)
        table = self._door.provider_of(order_id).table
        for state in wanted - table.states.keys():
            raise UnknownName(f"state of {table.name}", state, tuple(table.states))
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        with self._door.watching(order_id) as moved:
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
        return await self._retention.redact(order_id, by=said("by", by), reason=said("reason", reason))

    # ── being told, hearing ──────────────────────────────────────────────────────────────────────────────────────────────

    def on(self, provider: str, *, entered: State, run: Run) -> None:
        """Tell ``run`` of every order that enters the state from now on: at least once, with a stable key.
        Register it in every process that works. It should return within 0.8 of the provider's lease (48 s unless configured):
        one that raises or takes longer is told again, with the same key.

        Raises:
            UnknownName: no such provider or state.
        """
        table = self._provider(provider).table
        if entered not in table.states:
            raise UnknownName(f"state of {table.name}", entered, tuple(table.states))
        self._hosts.on(provider, entered, run)

    async def listeners(self) -> list[Listener]:
        """Of which states any process ever wanted to be told, and how many tellings are owed."""
        return await listeners(self._store)

    async def forget(self, provider: str, state: str, *, by: str, reason: str) -> int:
        """Forget a listener that is gone from the code, and end what it is owed: so many tellings. A process that has it brings it back.

        Raises:
            UnknownName: nobody listens, nor did; InvalidInput: ``by`` or ``reason`` is empty.
        """
        return await forget(self._door, provider, state, by=by, reason=reason)

    def receiver(self) -> ASGIApp:
        """The ASGI app to mount at ``public_url``."""
        return receiver(self._ears)

    async def hear(self, method: str, path: str, query: bytes = b"") -> Reply:
        """One request to the receiver, for frameworks that are no ASGI; ``path`` is relative to the mount point."""
        return await self._ears.hear(method, path, query)

    def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            raise UnknownName("provider", name, tuple(self._providers))
        return self._providers[name]


def _check_key(key: object) -> None:
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY:
        raise InvalidInput("key", f"required, as text of 1 to {_LONGEST_KEY} characters")
    check_json("key", key)
