"""What a request to one of our endpoints does: check the token, tell the inbox what is claimed, bring the read forward. No web framework.

Answers never tell whether an order exists, nor whether a claim was new: a scanner learns nothing, a provider is content.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from attrs import frozen

from orderflow.engine.inbox import Inbox
from orderflow.engine.listeners import LISTENER_REFRESH_SECONDS
from orderflow.errors import UnknownName
from orderflow.model import Event, Ignored, Origin, Reason
from orderflow.provider.endpoints import Claim, Endpoint
from orderflow.provider.protocol import Provider
from orderflow.receiver.signed_urls import SignedUrls
from orderflow.receiver.single_flight import SingleFlight
from orderflow.store.records import InboxKey

_LONGEST_QUERY = 8192
_MOST_FIELDS = 100
_LONGEST_BEAT = 0.25  # seconds between two hearings of the same words; who says them meanwhile waits
_MOST_AT_ONCE = 500  # orders that shared notices of one beat bring forward, however many they are
_MANNERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_THANKS = b"Thank you. You can close this page."


@frozen
class Reply:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


NOT_FOUND = Reply(404, _MANNERS)
DONE = Reply(204, _MANNERS)


class Receiver:
    """Hears requests for all endpoints of all providers."""

    def __init__(self, inbox: Inbox, links: SignedUrls) -> None:
        self._inbox = inbox
        self._links = links
        self._crowd: SingleFlight[Reply] = SingleFlight()

    async def handle(self, method: str, path: str, query: bytes) -> Reply:
        """One request; ``path`` is relative to where the receiver is mounted."""
        provider_name, _, rest = path.strip("/").partition("/")
        purpose, _, token = rest.partition("/")
        provider = self._inbox.providers.get(provider_name)
        inlet = next((inlet for inlet in provider.endpoints if inlet.purpose == purpose), None) if provider else None
        if provider is None or inlet is None or inlet.shared == bool(token):
            return NOT_FOUND
        if method not in inlet.methods:
            return Reply(405, {**_MANNERS, "Allow": ", ".join(inlet.methods)})
        beat = min(provider.timing.poll_interval, _LONGEST_BEAT)
        if inlet.shared:
            return await self._crowd.join((provider_name, purpose), beat, lambda heard: self._hear_of_some(provider, heard))
        order_id = self._links.order_of(provider_name, purpose, token)
        if order_id is None:
            return NOT_FOUND
        claimed = inlet.understand(_parameters(query))
        return await self._crowd.join((token, claimed), beat, lambda _heard: self._hear_order(provider, inlet, order_id, token, claimed))

    async def _hear_of_some(self, provider: Provider, heard: int) -> Reply:
        timing = provider.timing
        most = min(timing.notice_fanout * heard, _MOST_AT_ONCE)
        await self._inbox.store.bring_polls_forward(provider.name, self._inbox.clock.now(), timing.poll_interval, most)
        self._inbox.wake.set()
        return DONE

    async def _hear_order(self, provider: Provider, inlet: Endpoint, order_id: str, token: str, claimed: Claim) -> Reply:
        try:
            if claimed.event is None:
                await self._inbox.bring_poll_forward(order_id)
            else:
                await self._inbox.refresh_listeners(LISTENER_REFRESH_SECONDS)
                key = InboxKey(Origin.CLAIM.value, f"{token}:{claimed.value}")
                receipt = await self._inbox.accept(order_id, Event(claimed.event, Origin.CLAIM), key)
                if isinstance(receipt.decision, Ignored) and receipt.decision.reason is Reason.DUPLICATE:
                    await self._inbox.bring_poll_forward(order_id)
            page = (await self._inbox.store.load(order_id)).snapshot.data.get(inlet.page) if inlet.page else None
        except UnknownName:  # signed by us, and gone since
            return NOT_FOUND
        if isinstance(page, str):
            return Reply(303, {**_MANNERS, "Location": page})
        if inlet.page:
            return Reply(200, {**_MANNERS, "Content-Type": "text/plain; charset=utf-8"}, _THANKS)
        return DONE


def _parameters(query: bytes) -> list[tuple[str, str]]:
    """The raw pairs; what cannot be taken apart becomes one oversized pair, which every inlet finds unclear."""
    text = query.decode("utf-8", "replace")
    if len(query) <= _LONGEST_QUERY:
        try:
            return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
        except ValueError:
            pass
    return [("oversized", "x" * _LONGEST_QUERY)]
