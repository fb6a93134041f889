"""Connect (Mediaconnect/Unite) orders: the manifest. ``connect(...)`` is what a service configures; lifecycle.py is what to read first."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, get_args
from urllib.parse import unquote, urlencode, urlsplit

from attrs import evolve

from orderflow.clock import Clock
from orderflow.errors import ConfigurationError, InvalidInput, UnknownName
from orderflow.inputs import json_object, only, optional_flag, required_text
from orderflow.lifecycle.table import Table
from orderflow.model import PROVIDER_ID, Order
from orderflow.provider.endpoints import Endpoint
from orderflow.provider.http import HttpClient, base_url, longest_silence, new_client, secret
from orderflow.provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow.provider.protocol import Draft, PublicUrls, TokenSource
from orderflow.provider.timing import Timing
from orderflow.provider.wire import read_input, write
from orderflow.providers.connect import wire
from orderflow.providers.connect.adapter import Adapter
from orderflow.providers.connect.endpoints import CALLBACK, ENDPOINTS, ERROR, RETURN
from orderflow.providers.connect.lifecycle import ConnectLifecycle
from orderflow.providers.connect.methods import Ways, ways
from orderflow.providers.connect.tokens import CredentialsIn, OAuth2Client

DAY = 86400.0
TIMING = Timing(
    durations={
        "completion_timeout": 7 * DAY,
        "return_timeout": 2 * 3600.0,
        "cancel_grace": 120.0,
        "proof_timeout": DAY,
        "recovery_window": 14 * DAY,
        "registering_budget": 3600.0,
        "fulfilling_budget": DAY,
        "in_doubt_budget": DAY,
        "paid_budget": DAY,
        "fulfilled_budget": 7 * DAY,
        "assigning_budget": 3600.0,
    },
    poll_first=2.0,
    poll_cap=3600.0,
    poll_interval=1.0,
)
"""Ours: Connect documents no expiry of an order."""

CALLS_PER_SECOND, CALLS_PER_MINUTE = 100.0, 2000.0
"""What Connect allows a client, all its processes together (A12)."""

_LONGEST_ID = 20
_NOTHING_TO_PAY = ("invoice", "free")
_ASSIGN = ("credential", "is_send_message", "override_client_id", "return_url", "error_url", "link_lifetime")


class Connect:
    """The provider ``connect``.

    ``api`` and ``login``: base URLs of apiServer (``.../capi``) and loginServer (``.../user``). ``credentials_in``: where the
    token request carries client id and secret. ``fulfilled_literals``: the orderStatus words that prove fulfilment; none is
    documented, and with none nothing is ever proven. ``return_pages``: the shop's pages a browser may be sent on to (exact scheme
    and host, path by prefix). ``tokens``: the host's source of users' tokens, for orders in user mode. ``ways``: overrides of methods.py.
    ``rate_share``: how much of what Connect allows a client this process may use; with four worker processes, a quarter. ``timeout``:
    seconds of silence after which a call is given up; less than 0.8 of the lease. A ``client`` brings its own.

    Raises:
        ConfigurationError: an argument is malformed; names it, and shows no secret.
    """

    name: ClassVar[str] = "connect"
    table: ClassVar[Table] = ConnectLifecycle.table
    endpoints: ClassVar[tuple[Endpoint, ...]] = ENDPOINTS
    needs_public_url: ClassVar[tuple[str, ...]] = ("complete_by_url",)
    """Commands after which the customer's browser comes back to us: they need a public URL of ours (A1 step 6)."""

    def __init__(
        self,
        api: str,
        login: str,
        client_id: str,
        client_secret: str,
        *,
        credentials_in: CredentialsIn = "basic",
        fulfilled_literals: Sequence[str] = (),
        return_pages: Sequence[str] = (),
        tokens: TokenSource | None = None,
        ways: Mapping[tuple[str, bool], Ways] | None = None,
        timing: Timing = TIMING,
        durations: Mapping[str, float] | None = None,
        rate_share: float = 1.0,
        client: HttpClient | None = None,
        timeout: float = 20.0,
        clock: Clock | None = None,
    ) -> None:
        if not rate_share > 0:
            raise ConfigurationError("must be more than 0; 1 is all that Connect allows a client", "rate_share")
        self.timing = evolve(
            timing,
            durations={**TIMING.durations, **timing.durations, **(durations or {})},
            calls_per_second=min(timing.calls_per_second, rate_share * CALLS_PER_SECOND),
            calls_per_minute=min(timing.calls_per_minute, rate_share * CALLS_PER_MINUTE),
        )
        for name, given in (("fulfilled_literals", fulfilled_literals), ("return_pages", return_pages)):
            if isinstance(given, str):
                raise ConfigurationError("must be a list, not one text", name)
        if credentials_in not in get_args(CredentialsIn):
            raise ConfigurationError(f"must be one of {', '.join(get_args(CredentialsIn))}", "credentials_in")
        if "preliminary" in fulfilled_literals:
            raise ConfigurationError("'preliminary' is what an unpaid order is (A4)", "fulfilled_literals")
        self.fulfilled_literals = tuple(fulfilled_literals)
        self._login = base_url("login", login)
        self._client_id = secret("client_id", client_id)
        self._return_pages = tuple(base_url("return_pages", page) for page in return_pages)
        self._users = tokens
        self._ways = ways
        http = client or new_client(timeout)
        self.timeout: float | None = longest_silence(http)
        now = clock.now if clock is not None else time.time
        grants = OAuth2Client(http, self._login, client_id, secret("client_secret", client_secret), now, credentials_in=credentials_in)
        self._adapter = Adapter(http, base_url("api", api), grants, tokens, self.fulfilled_literals)

    @classmethod
    def offline(cls) -> Self:
        """For looking at and correcting stored orders: it has no way to call Connect."""
        return cls("http://offline.invalid", "http://offline.invalid", "", "")

    def __repr__(self) -> str:
        return "Connect(...)"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the configuration cannot do, to be said aloud at start-up."""
        if not self.fulfilled_literals:
            return ("connect: no fulfilled_literals: no read can prove that an order is fulfilled",)
        return ()

    def draft(self, request: Mapping[str, object]) -> Draft:
        """A create request: ``order`` (Register order's body, A5), ``user_mode`` (a user is logged in), ``digital`` (content that
        needs a user's access).

        Raises:
            InvalidInput: names field and reason.
            UnknownName: a payment method that neither the table nor the configuration knows.
        """
        only(request, ("order", "user_mode", "digital"))
        order = wire.order_request(json_object(request, "order"))
        user_mode = optional_flag(request, "user_mode")
        if user_mode and self._users is None:
            raise InvalidInput("user_mode", "needs a TokenSource in the configuration")
        if not order.payment_method:
            raise InvalidInput("order.paymentMethod", "required")
        allowed = ways(order.payment_method, order.prepaid, self._ways)
        facts = {
            "by_sms": order.payment_method == "sms" and not order.prepaid,
            "to_pay": not order.prepaid and order.payment_method not in _NOTHING_TO_PAY,
            "url_allowed": allowed.url,
            "api_allowed": allowed.api,
            "user_mode": user_mode,
            "needs_user": optional_flag(request, "digital") and not user_mode,
        }
        return Draft({**self.table.defaults(), **facts}, {"request": write(order)})

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """``complete_by_url`` takes ``return_url`` and perhaps ``error_url``, pages of the shop; ``assign_user`` takes Assign user's
        fields in snake case (A9); ``registration_resolved`` takes ``order_id``, Connect's. No other command takes anything.

        Raises:
            InvalidInput: names field and reason.
        """
        if command == "complete_by_url":
            only(arguments, ("return_url", "error_url"))
            page = self._page("return_url", required_text(arguments, "return_url"))
            error_page = self._page("error_url", arguments["error_url"]) if "error_url" in arguments else page
            return {"return_page": page, "error_page": error_page}
        if command == "assign_user":
            return {"assignment": _assignment(arguments)}
        if command == "registration_resolved":
            only(arguments, ("order_id",))
            found = required_text(arguments, "order_id")
            if not (found.isascii() and found.isdigit()) or len(found) > _LONGEST_ID:
                raise InvalidInput("order_id", "must be a whole number")
            return {PROVIDER_ID: str(int(found))}  # as Connect's answers have it
        only(arguments, ())
        return {}

    def _page(self, field: str, url: object) -> str:
        """A page of the shop, absolute and on the allowlist: else we would be an open redirect (A1, A11)."""
        if not isinstance(url, str):
            raise InvalidInput(field, "must be text")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise InvalidInput(field, "not a URL") from None
        odd = any(c.isspace() or not c.isprintable() or c == "\\" for c in url) or "@" in parts.netloc
        if not url.isascii():
            raise InvalidInput(field, "must be in ASCII, everything else percent-encoded")  # it becomes a Location header
        if odd or parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(field, "must be an absolute http or https URL")
        for allowed in self._return_pages:
            page = urlsplit(allowed)
            same = (page.scheme, page.hostname, page.port) == (parts.scheme, parts.hostname, port)
            below = parts.path == page.path or parts.path.startswith(page.path.rstrip("/") + "/")
            if same and below and ".." not in unquote(parts.path).split("/"):  # browsers climb by %2e%2e as well
                return url
        raise InvalidInput(field, "is not on the list of return_pages")

    async def perform(self, effect: str, order: Order, links: PublicUrls) -> Outcome:
        """Carry out one of the lifecycle's effects."""
        if effect == "register_order":
            return await self._adapter.register(order)
        if effect == "fulfill_by_sms":
            return await self._adapter.fulfill(order, links.url(self.name, CALLBACK, order.id))
        if effect == "fulfill_order":
            return await self._adapter.fulfill(order, None)
        if effect == "assign_to_user":
            return await self._adapter.assign(order)
        if effect == "search_order":
            return await self._adapter.search(order)
        raise UnknownName("effect", effect, tuple(self.table.effects))

    def customer_url(self, order: Order, links: PublicUrls) -> str | None:
        """The fulfillment URL (A5, C1), once the order is to be completed by it."""
        return_url = links.url(self.name, RETURN, order.id)
        if order.snapshot.facts["way"] != "url" or order.provider_id is None or return_url is None:
            return None
        query = {
            "clientId": self._client_id,
            "orderId": order.provider_id,
            "returnUrl": return_url,
            "errorUrl": links.url(self.name, ERROR, order.id) or return_url,
        }
        return f"{self._login}/fulfillment?{urlencode(query)}"

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """Read the order's status."""
        return await self._adapter.fetch_status(order)

    async def close(self) -> None:
        """Release connections."""
        await self._adapter.close()


def _assignment(arguments: Mapping[str, object]) -> dict[str, Any]:
    only(arguments, _ASSIGN)
    spelled = {_camel(name): value for name, value in arguments.items()}
    return write(read_input(wire.AssignRequest, spelled).checked())


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


__all__ = ["TIMING", "Connect", "Ways"]
