"""The application's and the operator's way in: creating orders, commands, operator events, overrides.

Contains only: checks of what the application passes, before anything is stored. The inbox decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from orderflow._clock import Clock
from orderflow._engine.commit import plan_entry_deadlines
from orderflow._engine.decider import Command
from orderflow._engine.fingerprint import fingerprint
from orderflow._engine.inbox import Inbox, provider_of
from orderflow._engine.listeners import LISTENER_REFRESH_SECONDS, ListenerDirectory
from orderflow._engine.recent_commits import RecentCommits
from orderflow._inputs import MAX_VERSION, check_json, check_key, check_name, check_whole, require_text, to_json_data
from orderflow._provider.protocol import DoesNotFit, Provider, PublicUrls
from orderflow._store.ports import Store
from orderflow._store.records import InboxKey
from orderflow.errors import CommandRefused, ConfigurationError, InvalidInput, KeyReused, UnknownName
from orderflow.model import PROVIDER_ID, REDACTED, Decision, Event, Order, Origin, Refused, Snapshot

_MAX_UNIQUE_LENGTH = 40
_UNIQUE = re.compile(rf"[A-Za-z0-9._~]{{1,{_MAX_UNIQUE_LENGTH}}}")  # no hyphen: the provider's name ends at an order id's last one


class Commands:
    """Checks requests and commands, and hands them on.

    Args:
        new_id: makes the unique part of an order's id. It goes into URLs, and to providers.
    """

    def __init__(
        self,
        *,
        inbox: Inbox,
        store: Store,
        providers: Mapping[str, Provider],
        directory: ListenerDirectory,
        recent_commits: RecentCommits,
        urls: PublicUrls,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._inbox = inbox
        self._store = store
        self._providers = providers
        self._directory = directory
        self._recent_commits = recent_commits
        self._urls = urls
        self._clock = clock
        self._new_id = new_id

    async def create(self, provider: Provider, key: str, request: Mapping[str, object]) -> Order:
        """Store a new order in its initial state, or return the order that this key created.

        Raises:
            InvalidInput, UnknownName: the key or the request is malformed.
            KeyReused: the key was used for another request.
            ConfigurationError: ``new_id`` returned an id that no order can have, or that another order has.
        """
        await self._refresh()
        check_key(key)
        for name, value in request.items():
            check_json(name, value)
        draft = provider.draft(request)
        snapshot = Snapshot(provider.table.initial, draft.facts, _check_data(draft.data), 0)
        now = self._clock.now()
        order = Order(self._make_id(provider), provider.name, key, snapshot, now, now)
        content = fingerprint(request if draft.understood is None else draft.understood)
        deadlines = plan_entry_deadlines(provider.table, provider.timing, order.state, now)
        created = await self._store.create(order, content, deadlines)
        self._recent_commits.add(created.id, created.version, created.created_at)
        return created

    async def _refresh(self) -> None:
        """Every few seconds: learn the listeners of others, and compare the last commits with the database."""
        await self._directory.refresh(LISTENER_REFRESH_SECONDS)
        await self._recent_commits.look(LISTENER_REFRESH_SECONDS)

    def _make_id(self, provider: Provider) -> str:
        unique = self._new_id()
        if not isinstance(unique, str) or not _UNIQUE.fullmatch(unique):
            raise ConfigurationError(f"an id must have 1 to {_MAX_UNIQUE_LENGTH} letters of a-z and A-Z, digits or any of . _ ~", "new_id")
        order_id = f"{provider.name}-{unique}"
        if len(order_id) > provider.order_id_max:
            most = provider.order_id_max - len(provider.name) - 1
            raise ConfigurationError(f"an id for {provider.name} must have at most {most} characters", "new_id")
        return order_id

    async def send(
        self,
        order_id: str,
        name: str,
        arguments: Mapping[str, object],
        *,
        origin: Origin = Origin.COMMAND,
        key: str | None = None,
        note: str = "",
    ) -> Decision:
        """Send a command or an operator event to an order, and return the decision.

        Raises:
            UnknownName: no such order or event.
            InvalidInput: the key or an argument is malformed, or the command needs a public URL and there is none.
            KeyReused: the key was used for another command, or with other arguments.
        """
        provider = provider_of(self._providers, order_id)
        if check_name("event", f"{origin.value} event", name) not in provider.table.events:
            known = tuple(event for event, declared in provider.table.events.items() if declared is origin)
            raise UnknownName(f"{origin.value} event of {provider.table.name}", name, known)
        if key is not None:
            check_key(key)
        for argument, value in arguments.items():
            check_json(argument, value)
        if name in provider.needs_public_url and self._urls.url(provider.name, name) is None:
            raise InvalidInput("public_url", f"is required for {name} (the browser is redirected back to it)")
        data = provider.command(name, arguments)
        content = fingerprint({"event": name, "data": data}) if key is not None else ""
        event = _make_event(provider, name, origin, note, data)
        command = Command(event, partial(_fit, provider, event, data))
        inbox_key = None if key is None else InboxKey(origin.value, f"{order_id} {key}", content)
        await self._refresh()
        try:
            return (await self._inbox.accept_command(order_id, provider, command, inbox_key)).decision
        except KeyReused:
            raise KeyReused(key or "") from None  # the caller's spelling

    async def resolve(self, order_id: str, name: str, arguments: Mapping[str, object], *, actor: str, reason: str) -> Decision:
        """Send an operator event; actor and reason are kept in the journal.

        Raises:
            UnknownName, InvalidInput: as ``send``; also where the actor or the reason is empty.
        """
        note = f"by {require_text('actor', actor)}: {require_text('reason', reason)}"
        return await self.send(order_id, name, arguments, origin=Origin.OPERATOR, note=note)

    async def override(
        self, order_id: str, target: str, *, actor: str, reason: str, version: int, provider_id: str | None = None
    ) -> Decision:
        """Move an order to any state, if it is still at this version. ``provider_id``: as in ``Inbox.override``.

        Raises:
            UnknownName: no such order or state.
            InvalidInput: ``actor`` or ``reason`` is empty, ``version`` is no number, or ``provider_id`` is no id.
        """
        check_name("target", "state", target)
        if provider_id:
            provider_id = provider_of(self._providers, order_id).check_provider_id(provider_id)
        actor, reason = require_text("actor", actor), require_text("reason", reason)
        version = check_whole("version", version, 0, MAX_VERSION)
        await self._directory.refresh()
        return (await self._inbox.override(order_id, target, actor=actor, reason=reason, version=version, provider_id=provider_id)).decision


def _make_event(provider: Provider, name: str, origin: Origin, note: str, data: Mapping[str, object]) -> Event:
    """An event with a provider's data, and with the provider's id of the order if the data names one.

    Raises:
        InvalidInput: what the provider made of the arguments is not JSON, or its id is no id.
    """
    kept = _check_data(data)
    provider_id = kept.pop(PROVIDER_ID, None)
    return Event(name, origin, kept, None if provider_id is None else provider.check_provider_id(str(provider_id)), note)


def _check_data(data: Mapping[str, object]) -> dict[str, object]:
    """A provider's data as it is stored.

    Raises:
        InvalidInput: it is not JSON, or has a name that marks redacted orders.
    """
    if REDACTED in data:
        raise InvalidInput(REDACTED, "is a reserved name: a provider's data must not have it")
    return to_json_data(data)


def _fit(provider: Provider, event: Event, data: Mapping[str, object], order: Order) -> Event | DoesNotFit:
    """The event as the provider fits it to the order. Pure, if the provider keeps to its contract."""
    fitted = provider.fit_command(event.name, data, order)
    if isinstance(fitted, DoesNotFit):
        return fitted
    return event if fitted is data else _make_event(provider, event.name, event.origin, event.note, fitted)


def raise_if_refused(order_id: str, command: str, decision: Decision) -> Decision:
    """The decision, if it is not ``Refused``.

    Raises:
        CommandRefused: it is.
    """
    if isinstance(decision, Refused):
        raise CommandRefused(order_id, command, decision.state, decision.reason.value, decision.legal, detail=decision.detail)
    return decision
