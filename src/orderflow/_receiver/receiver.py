"""The receiver: handles a request to one of our endpoints. It checks the token, hands the claim to the inbox, and brings the next poll
forward.

No web framework here. A reply never shows whether an order exists or whether a claim was new.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from attrs import define, field, frozen

from orderflow._engine.inbox import Inbox
from orderflow._engine.listeners import LISTENER_REFRESH_SECONDS, ListenerDirectory
from orderflow._engine.polling import PollRequests
from orderflow._provider.endpoints import Claim, Endpoint
from orderflow._provider.protocol import Provider
from orderflow._receiver.signed_urls import SignedUrls
from orderflow._receiver.single_flight import SingleFlight
from orderflow._store.ports import Store
from orderflow._store.records import InboxKey
from orderflow.errors import UnknownName
from orderflow.model import Event, Ignored, Origin, Reason

_MAX_QUERY_BYTES = 8192
_MAX_FIELDS = 100
_MAX_WINDOW = 0.25  # seconds in which equal requests share one execution
_MAX_AT_ONCE = 500  # orders whose polls are brought forward by one execution of a shared notice
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_THANKS = b"Thank you. You can close this page."


@frozen
class HttpReply:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


NOT_FOUND = HttpReply(404, _HEADERS)
DONE = HttpReply(204, _HEADERS)


@define(eq=False, kw_only=True)
class Receiver:
    """Handles requests to the endpoints of all providers."""

    _inbox: Inbox
    _store: Store
    _providers: Mapping[str, Provider]
    _poll_requests: PollRequests
    _directory: ListenerDirectory
    _urls: SignedUrls
    _single_flight: SingleFlight[HttpReply] = field(init=False, factory=SingleFlight)

    async def handle(self, method: str, path: str, query: bytes) -> HttpReply:
        """Handle one request; ``path`` is relative to where the receiver is mounted."""
        provider_name, _, rest = path.strip("/").partition("/")
        purpose, _, token = rest.partition("/")
        provider = self._providers.get(provider_name)
        endpoint = next((endpoint for endpoint in provider.endpoints if endpoint.purpose == purpose), None) if provider else None
        if provider is None or endpoint is None or endpoint.shared == bool(token):
            return NOT_FOUND
        if method not in endpoint.methods:
            return HttpReply(405, {**_HEADERS, "Allow": ", ".join(endpoint.methods)})
        window = min(provider.timing.poll_interval, _MAX_WINDOW)
        if endpoint.shared:
            return await self._single_flight.do((provider_name, purpose), window, lambda callers: self._handle_shared(provider, callers))
        order_id = self._urls.order_of(provider_name, purpose, token)
        if order_id is None:
            return NOT_FOUND
        claim = endpoint.parse_claim(_parse_query(query))
        return await self._single_flight.do((token, claim), window, lambda _callers: self._handle_claim(endpoint, order_id, token, claim))

    async def _handle_shared(self, provider: Provider, callers: int) -> HttpReply:
        limit = min(provider.timing.notice_fanout * callers, _MAX_AT_ONCE)
        await self._poll_requests.request_oldest(provider, limit)
        return DONE

    async def _handle_claim(self, endpoint: Endpoint, order_id: str, token: str, claim: Claim) -> HttpReply:
        try:
            await self._accept(order_id, token, claim)
            if endpoint.find_page is None:
                return DONE
            page = endpoint.find_page(await self._store.load(order_id), claim)
        except UnknownName:  # we signed its URL, and it was deleted since
            return NOT_FOUND
        if page is not None:
            return HttpReply(303, {**_HEADERS, "Location": page})
        return HttpReply(200, {**_HEADERS, "Content-Type": "text/plain; charset=utf-8"}, _THANKS)

    async def _accept(self, order_id: str, token: str, claim: Claim) -> None:
        if claim.event is None:
            await self._poll_requests.request(order_id)
            return
        await self._directory.refresh(LISTENER_REFRESH_SECONDS)
        key = InboxKey(Origin.CLAIM.value, f"{token}:{claim.value}")
        receipt = await self._inbox.accept(order_id, Event(claim.event, Origin.CLAIM), key)
        if isinstance(receipt.decision, Ignored) and receipt.decision.reason is Reason.DUPLICATE:
            await self._poll_requests.request(order_id)


def _parse_query(query: bytes) -> list[tuple[str, str]]:
    """The raw pairs. A query that is too long or malformed becomes one oversized pair, which every endpoint finds unclear."""
    text = query.decode("utf-8", "replace")
    if len(query) <= _MAX_QUERY_BYTES:
        try:
            return parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError:
            pass
    return [("oversized", "x" * _MAX_QUERY_BYTES)]
