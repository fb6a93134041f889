"""The receiver: handles a request to one of our endpoints. It checks the token, hands the claim to the inbox, and brings the next poll
forward.

No web framework here. A reply never shows whether an order exists or whether a claim was new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from attrs import define, field, frozen

from orderflow._clock import Clock
from orderflow._engine.inbox import Inbox
from orderflow._engine.listeners import LISTENER_REFRESH_SECONDS, ListenerDirectory
from orderflow._engine.polling import PollRequests
from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._provider.protocol import Provider
from orderflow._receiver.poll_quota import PollQuota
from orderflow._receiver.signed_urls import SignedUrls
from orderflow._receiver.single_flight import SingleFlight, TooManyRequests
from orderflow._store.ports import Store
from orderflow._store.records import InboxKey
from orderflow._telemetry.exceptions import exception_fields
from orderflow._telemetry.log import get_logger
from orderflow.errors import InvalidInput, OperationalError, UnknownName
from orderflow.model import Event, Ignored, Order, Origin, Reason

_log = get_logger(__name__)
_MAX_QUERY_BYTES = 8192
_MAX_FIELDS = 100
_MAX_WINDOW = 0.25  # seconds in which equal requests share one execution
_MAX_AT_ONCE = 500  # orders whose polls are brought forward by one execution of a shared notice
_MAX_SHOWN = 100  # characters of a name that a provider's code returns wrongly
_MAX_SECONDS = 5.0  # for which a browser or the provider waits for our database
_RETRY_SECONDS = "10"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TEXT = {**_HEADERS, "Content-Type": "text/plain; charset=utf-8"}
_BUSY = b"We cannot look at your order just now. Nothing is lost. This page tries again in a few seconds."


@frozen
class HttpReply:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


NOT_FOUND = HttpReply(404, _HEADERS)
DONE = HttpReply(204, _HEADERS)
THANKS = HttpReply(200, _TEXT, b"Thank you. You can close this page.")
UNAVAILABLE = HttpReply(503, {**_TEXT, "Retry-After": _RETRY_SECONDS, "Refresh": _RETRY_SECONDS}, _BUSY)  # browsers obey Refresh


def check_request(method: object, path: object, query: object) -> tuple[str, str, bytes]:
    """A request that a framework hands over.

    Raises:
        InvalidInput: method or path is no text, or the query is no bytes.
    """
    if not (isinstance(method, str) and isinstance(path, str) and isinstance(query, bytes)):
        raise InvalidInput("request", "must be a method and a path as text, and a query as bytes")
    return method, path, query


@define(eq=False, kw_only=True)
class Receiver:
    """Handles requests to the endpoints of all providers."""

    _inbox: Inbox
    _store: Store
    _providers: Mapping[str, Provider]
    _poll_requests: PollRequests
    _directory: ListenerDirectory
    _urls: SignedUrls
    _clock: Clock
    _single_flight: SingleFlight[HttpReply] = field(init=False, factory=SingleFlight)
    _quota: PollQuota = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._quota = PollQuota({name: provider.timing for name, provider in self._providers.items()})

    async def handle(self, method: str, path: str, query: bytes) -> HttpReply:
        """Handle one request. ``path`` ends in provider, purpose and token; where the receiver is mounted may stand before them."""
        parts = path.strip("/").split("/")
        endpoint = self._find_endpoint(parts[-3:-1], shared=False) or self._find_endpoint(parts[-2:], shared=True)
        if endpoint is None:
            return NOT_FOUND
        if method not in endpoint.methods:
            return HttpReply(405, {**_HEADERS, "Allow": ", ".join(endpoint.methods)})
        provider, token = self._providers[parts[-2 if endpoint.shared else -3]], parts[-1]
        window = min(provider.timing.poll_interval, _MAX_WINDOW)
        if endpoint.shared:
            if self._urls.url(provider.name, endpoint.purpose) is None:  # without a public URL there is none that could be called
                return NOT_FOUND
            key = (provider.name, endpoint.purpose)
            reply = self._single_flight.do(key, window, lambda callers: self._handle_shared(provider, callers))
            return await _wait_for_reply(provider, reply)
        order_id = self._urls.order_of(provider.name, endpoint.purpose, token)
        if order_id is None:
            return NOT_FOUND
        claim = _parse_claim(provider, endpoint, query)
        reply = self._single_flight.do(
            (token, claim), window, lambda _callers: self._handle_claim(endpoint, order_id, token, claim), pace=token
        )
        return await _wait_for_reply(provider, reply)

    def _find_endpoint(self, names: list[str], *, shared: bool) -> Endpoint | None:
        """The endpoint with these names of provider and purpose."""
        provider = self._providers.get(names[0]) if len(names) > 1 else None
        endpoints = provider.endpoints if provider else ()
        return next((endpoint for endpoint in endpoints if endpoint.purpose == names[1] and endpoint.shared == shared), None)

    async def _handle_shared(self, provider: Provider, callers: int) -> HttpReply:
        limit = min(provider.timing.notice_fanout * callers, _MAX_AT_ONCE)
        if granted := self._quota.take_several(provider.name, limit, self._clock.now()):
            await self._poll_requests.request_oldest(provider, granted)
        return DONE

    async def _handle_claim(self, endpoint: Endpoint, order_id: str, token: str, claim: Claim) -> HttpReply:
        try:
            await self._accept(await self._store.load(order_id), token, claim)
            if endpoint.find_page is None:
                return DONE
            page = _find_page(endpoint, await self._store.load(order_id), claim)
        except UnknownName:  # we signed its URL, and it was deleted since
            return NOT_FOUND if endpoint.find_page is None else THANKS  # as for an order that has no page: it shows nothing
        return THANKS if page is None else HttpReply(303, {**_HEADERS, "Location": page})

    async def _accept(self, order: Order, token: str, claim: Claim) -> None:
        """Hand the claim to the inbox. Where it is no news, it brings the order's poll forward, within the quota."""
        may_poll = self._quota.take(order.provider, order.id, order.version, self._clock.now())
        if claim.event is None:
            if may_poll:
                await self._poll_requests.request(order.id)
            return
        await self._directory.refresh(LISTENER_REFRESH_SECONDS)
        key = InboxKey(Origin.CLAIM.value, f"{token}:{claim.value}")
        receipt = await self._inbox.accept(order.id, Event(claim.event, Origin.CLAIM), key, may_poll=may_poll)
        if may_poll and isinstance(receipt.decision, Ignored) and receipt.decision.reason is Reason.DUPLICATE:
            await self._poll_requests.request(order.id)


async def _wait_for_reply(provider: Provider, reply: Awaitable[HttpReply]) -> HttpReply:
    """The reply, or a 503 if the database is away, or too much waits at this URL. What was begun goes on: a claim may still be stored."""
    try:
        async with asyncio.timeout(_MAX_SECONDS):
            return await reply
    except TooManyRequests:  # not logged: a flood must not fill the log
        return UNAVAILABLE
    except (OperationalError, TimeoutError) as error:
        _log.error("receiver.database_away", provider=provider.name, error=str(error) or f"no answer within {_MAX_SECONDS:g} s")
        return UNAVAILABLE


def _parse_claim(provider: Provider, endpoint: Endpoint, query: bytes) -> Claim:
    """What a request claims. If the provider's code raises or returns what is no claim, nothing is claimed: the poll still finds out."""
    try:
        claim: Any = endpoint.parse_claim(_parse_query(query))
    except Exception as error:  # noqa: BLE001  a customer who comes back must not see a bug of a provider
        _log.error("endpoint.raised", provider=provider.name, purpose=endpoint.purpose, **exception_fields(error))
        return Claim(None)
    problem = _find_claim_problem(provider, claim)
    if problem:
        _log.error("endpoint.claim_invalid", provider=provider.name, purpose=endpoint.purpose, problem=problem)
        return Claim(None)
    return claim  # type: ignore[no-any-return]


def _find_claim_problem(provider: Provider, claim: Any) -> str:
    if not isinstance(claim, Claim) or not isinstance(claim.event, str | None) or not isinstance(claim.value, str):
        return "it is no Claim of an event's name and a text"
    if claim.event is not None and provider.table.events.get(claim.event) is not Origin.CLAIM:
        return f"{claim.event[:_MAX_SHOWN]!r} is no claim of {provider.table.name}"
    return ""


def _find_page(endpoint: Endpoint, order: Order, claim: Claim) -> str | None:
    assert endpoint.find_page is not None
    try:
        return endpoint.find_page(order, claim)
    except Exception as error:  # noqa: BLE001  as above; our own page is shown
        _log.error("endpoint.raised", order_id=order.id, purpose=endpoint.purpose, **exception_fields(error))
        return None


def _parse_query(query: bytes) -> list[tuple[str, str]]:
    """The raw pairs. A query that is too long or malformed becomes one oversized pair, which every endpoint finds unclear."""
    text = query.decode("utf-8", "replace")
    if len(query) <= _MAX_QUERY_BYTES:
        try:
            return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError:
            pass
    return [("oversized", "x" * _MAX_QUERY_BYTES)]
