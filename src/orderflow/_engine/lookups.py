"""Lookups: what callers ask of stored orders. Contains only: the checks of ids, filters and limits, and the questions to the store."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from attrs import define

from orderflow._clock import Clock
from orderflow._engine.inbox import provider_of
from orderflow._engine.notifications import KEEPS_FAILING
from orderflow._engine.replay import replay_order
from orderflow._engine.stuck import find_stuck
from orderflow._engine.views import OrderView, build_view
from orderflow._flagged import FailingNotification
from orderflow._inputs import MAX_COUNT, check_id, check_name, check_order_id, check_whole
from orderflow._lifecycle.decide import legal
from orderflow._provider.protocol import Provider, PublicUrls
from orderflow._store.ports import Store
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import PROVIDER_ID, JournalRow, Message, Order, Pending, RefusalRow, Snapshot


@define(eq=False, kw_only=True)
class Lookups:
    """Reads orders. Each method that takes an order's id raises ``UnknownName`` where there is no such order."""

    _store: Store
    _providers: Mapping[str, Provider]
    _clock: Clock

    async def order(self, order_id: str) -> Order:
        """See ``Orderflow.order``."""
        return await self._store.load(check_order_id(order_id))

    async def find(self, provider: str, provider_id: str) -> Order:
        """See ``Orderflow.find``."""
        text = check_id(PROVIDER_ID, provider_id)
        with suppress(InvalidInput):  # an id that the provider cannot have given may be stored all the same, by an older version
            text = self._providers[provider].check_provider_id(text)
        return await self._store.find_by_provider_id(provider, text)

    async def orders(self, provider: str, state: str, limit: int) -> list[Order]:
        """See ``Orderflow.orders``."""
        check_name("state", "state", state)
        check_whole("limit", limit, 1, MAX_COUNT)
        orders = await self._store.orders(provider=provider, state=state, limit=limit)
        if not orders:
            self._check_filters(provider, state)
        return orders

    def _check_filters(self, provider: str, state: str) -> None:
        """Check names that no order has. A stored order may well have a provider or state that this process does not know.

        Raises:
            UnknownName: this process knows no such provider, or none with such a state.
        """
        if provider and provider not in self._providers:
            raise UnknownName("provider", provider, tuple(self._providers))
        tables = [known.table for name, known in self._providers.items() if provider in ("", name)]
        states = dict.fromkeys(known for table in tables for known in table.states)
        if state and state not in states:
            raise UnknownName(f"state of {provider}" if provider else "state", state, tuple(states))

    async def stuck(self, limit: int) -> list[Order]:
        """See ``Orderflow.stuck``."""
        check_whole("limit", limit, 1, MAX_COUNT)
        return await find_stuck(self._store, self._providers.values(), self._clock.now(), limit)

    async def failing_notifications(self, limit: int) -> list[FailingNotification]:
        """See ``Orderflow.failing_notifications``."""
        check_whole("limit", limit, 1, MAX_COUNT)
        return await self._store.failing_notifications(KEEPS_FAILING, limit)

    async def journal(self, order_id: str) -> list[JournalRow]:
        """See ``Orderflow.journal``."""
        await self.order(order_id)
        return await self._store.journal(order_id)

    async def replay(self, order_id: str, version: int | None) -> Snapshot:
        """See ``Orderflow.replay``."""
        return await replay_order(self._store, check_order_id(order_id), version)

    async def view(self, order_id: str) -> OrderView:
        """See ``Orderflow.view``."""
        records = await self._store.load_records(check_order_id(order_id))
        provider = records.order.provider
        if provider not in self._providers:
            raise UnknownName("provider", provider, tuple(self._providers))
        return build_view(self._providers[provider], records)

    async def refusals(self, order_id: str) -> list[RefusalRow]:
        """See ``Orderflow.refusals``."""
        await self.order(order_id)
        return await self._store.refusals(order_id)

    async def messages(self, order_id: str) -> list[Message]:
        """See ``Orderflow.messages``."""
        await self.order(order_id)
        return await self._store.messages(order_id)

    async def pending(self, order_id: str) -> Pending:
        """See ``Orderflow.pending``."""
        await self.order(order_id)
        return await self._store.pending(order_id)

    async def customer_url(self, order_id: str, urls: PublicUrls) -> str:
        """See ``Orderflow.customer_url``."""
        order = await self.order(order_id)
        url = provider_of(self._providers, order_id).customer_url(order, urls)
        if url is None:
            raise InvalidInput("order", f"is {order.state} and not being completed by a URL")
        return url

    async def legal(self, order_id: str) -> tuple[str, ...]:
        """See ``Orderflow.legal``."""
        order = await self.order(order_id)
        return legal(provider_of(self._providers, order_id).table, order.snapshot)
