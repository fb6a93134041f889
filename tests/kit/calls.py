"""Calls to providers: the one that the engine would make for an effect, whether an adapter marks when it is sent, and a provider that is
never polled. No test lives here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import evolve

from orderflow.model import Order
from orderflow.provider import BaseProvider, Call, Endpoint, Outcome, Provider, PublicUrls, ReadFailed, StatusRead


def call_for(provider: Provider, effect: str, order: Order) -> Call:
    """The first attempt of a call that is decided on the order as it stands."""
    data = order.snapshot.data
    declared = provider.table.effects.get(effect)
    arguments = {name: data[name] for name in declared.arguments if name in data} if declared else {}
    return Call(f"{order.id}:1:0", effect, order, arguments, version=1)


class MayNotSend(Exception):
    """What ``Call.mark_sending`` raises in ``check_moment_of_sending``."""


async def check_moment_of_sending(provider: Provider, call: Call, urls: PublicUrls, count_requests: Callable[[], int]) -> Outcome:
    """Carry out a call twice. A provider that says so must mark the moment of sending: first with a mark that is refused, and nothing of
    the call may be sent; then as it should be, with the mark just before the request.

    ``count_requests``: how many requests that carry this call out have arrived. Returns the outcome.
    """
    assert provider.marks_sending
    before, seen = count_requests(), list[int]()

    async def refuse() -> None:
        raise MayNotSend

    async def mark() -> None:
        seen.append(count_requests())

    try:
        outcome = await _perform(provider, call, urls, refuse)
    except MayNotSend:
        pass
    else:
        raise AssertionError(f"{call.effect} swallowed the refusal: {outcome}")
    assert count_requests() == before, f"{call.effect} was sent although that was refused"
    outcome = await _perform(provider, call, urls, mark)
    assert seen[0] == before, f"{call.effect} was sent before it was marked"
    assert count_requests() > before, f"{call.effect} was not sent"
    return outcome


async def _perform(provider: Provider, call: Call, urls: PublicUrls, mark: Callable[[], Awaitable[None]]) -> Outcome:
    return await provider.perform(evolve(call, mark=mark), urls)


class NeverPolled(BaseProvider):
    """The members of a provider whose orders have no page and no status, and which keeps no connection."""

    endpoints: tuple[Endpoint, ...] = ()

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        return None

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        return ReadFailed("it has none")

    async def close(self) -> None:
        pass
