"""The provider ``connect``: its settings, its requests and commands, and the way from effects to the adapter."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final, Self, get_args
from urllib.parse import urlencode

from attrs import evolve

from orderflow._clock import Clock
from orderflow._inputs import check_id, get_flag, get_object, get_text, reject_unknown
from orderflow._lifecycle.decide import is_settled
from orderflow._lifecycle.guidance import Guidance, GuidanceValues
from orderflow._lifecycle.table import Table
from orderflow._provider.call import Call
from orderflow._provider.endpoints import Endpoint
from orderflow._provider.http import HttpClient, longest_timeout, make_client
from orderflow._provider.oauth2 import CredentialsIn, OAuth2Client
from orderflow._provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow._provider.pages import check_page
from orderflow._provider.protocol import BaseProvider, DoesNotFit, Draft, PublicUrls, TokenSource
from orderflow._provider.settings import check_base_url, check_secret
from orderflow._provider.timing import TOKEN_SHARE, Timing, merge_timing
from orderflow._provider.wire import camel_case, parse_input, to_json
from orderflow._providers.connect import names, wire
from orderflow._providers.connect.adapter import Adapter, seconds_to_wait
from orderflow._providers.connect.endpoints import CALLBACK, ENDPOINTS, ERROR, RETURN
from orderflow._providers.connect.guidance import GUIDANCE, VALUES
from orderflow._providers.connect.lifecycle import ConnectLifecycle
from orderflow._providers.connect.methods import Overrides, find_ways
from orderflow.errors import ConfigurationError, InvalidInput, UnknownName
from orderflow.model import PROVIDER_ID, Order

DAY: Final = 86400.0
TIMING: Final = Timing(
    durations={
        "draft_timeout": 30 * DAY,
        "completion_timeout": 7 * DAY,
        "return_timeout": 2 * 3600.0,
        "cancel_grace": 120.0,
        "proof_timeout": DAY,
        "recovery_window": 14 * DAY,
        "registering_budget": 6 * 3600.0,
        "fulfilling_budget": DAY,
        "in_doubt_budget": DAY,
        "paid_budget": DAY,
        "fulfilled_budget": 7 * DAY,
        "assigning_budget": 6 * 3600.0,
    },
    poll_first=2.0,
    poll_cap=3600.0,
    poll_interval=1.0,
)
"""Our own times: Connect's pages state no expiry of an order."""

CALLS_PER_SECOND, CALLS_PER_MINUTE = 100.0, 2000.0
"""Connect's rate limits for one client, all its processes together (A12)."""

TOKEN_LIFETIME: Final = 12 * 3600.0
"""The default lifetime of an access token in seconds (A10)."""

_ORDER_ID_MAX = 20
_PAYABLE = ("fulfilling", "confirming", "cancelled", "error", "unknown")  # the last three, until their window is closed
_NEEDS_ORDER_ID = ("complete_by_url", "complete_by_api", "assign_user")
_NOTHING_TO_PAY = ("invoice", "free")


class Connect(BaseProvider):
    """The provider ``connect``.

    Args:
        api, login: base URLs of apiServer (``.../capi``) and loginServer (``.../user``; on the test host ``.../login``).
        client_id, client_secret: the credentials of the client.
        credentials_in: where the token request carries them: ``basic``, ``body`` or ``query``.
        fulfilled_literals: the values of orderStatus that prove fulfilment. The pages document none, and without one nothing is proven.
        return_pages: the application's pages that a browser may be sent on to: the same scheme, host and port, at or below the path.
        tokens: the source of users' tokens, for orders in user mode.
        ways: rows that replace those of methods.py.
        timing, durations: the timing, and single durations that replace the timing's. What a timing does not give is as in ``TIMING``.
        rate_share: this process's share of Connect's rate limits. With four worker processes, 0.25.
        client: the HTTP client to use, with timeouts of its own.
        timeout: seconds to wait for a connection or for the next bytes; less than 0.8 of the lease. Not used where a client is given.
        clock: the time, for tests.

    Raises:
        ConfigurationError: names the setting at fault; shows no secret.
    """

    name: names.ProviderName = "connect"
    table: Table = ConnectLifecycle.table
    endpoints: tuple[Endpoint, ...] = ENDPOINTS
    order_id_max: int = wire.EXTERNAL_ORDER_ID_MAX
    guidance: Mapping[str, Guidance] = GUIDANCE
    guidance_values: GuidanceValues = VALUES
    needs_public_url: tuple[str, ...] = ("complete_by_url",)  # the browser comes back to us (A1 step 6)
    marks_sending: bool = True

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
        ways: Overrides | None = None,
        timing: Timing = TIMING,
        durations: Mapping[str, float] | None = None,
        rate_share: float = 1.0,
        client: HttpClient | None = None,
        timeout: float = 20.0,
        clock: Clock | None = None,
    ) -> None:
        _check_choices(rate_share, credentials_in, fulfilled_literals, return_pages)
        merged = merge_timing(TIMING, timing, durations)
        self.timing: Timing = evolve(
            merged,
            calls_per_second=min(merged.calls_per_second, rate_share * CALLS_PER_SECOND),
            calls_per_minute=min(merged.calls_per_minute, rate_share * CALLS_PER_MINUTE),
        )
        self.fulfilled_literals: tuple[str, ...] = tuple(fulfilled_literals)
        self._login = check_base_url("login", login)
        self._client_id = check_secret("client_id", client_id)
        self._return_pages = tuple(check_base_url("return_pages", page) for page in return_pages)
        self._users = tokens
        self._ways = ways
        http = client or make_client(timeout)
        self.timeout: float | None = longest_timeout(http)
        access_tokens = OAuth2Client(
            http,
            f"{self._login}/oauth/token",
            client_id,
            check_secret("client_secret", client_secret),
            clock.now if clock is not None else time.time,
            credentials_in=credentials_in,
            default_lifetime=TOKEN_LIFETIME,
            timeout=TOKEN_SHARE * self.timing.lease,
            seconds_to_wait=seconds_to_wait,
        )
        order_client = client or make_client(timeout, keep_alive=False)
        base_url = check_base_url("api", api)
        literals = self.fulfilled_literals
        self._adapter = Adapter(http, order_client, base_url, access_tokens, users=tokens, fulfilled_literals=literals)

    @classmethod
    def offline(cls) -> Self:
        """For looking at stored orders and correcting them. It cannot call Connect."""
        return cls("http://offline.invalid", "http://offline.invalid", "", "")

    def __repr__(self) -> str:
        return "Connect(...)"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What cannot work with these settings. Logged at start-up."""
        if not self.fulfilled_literals:
            return ("connect: no fulfilled_literals: no poll can prove that an order is fulfilled",)
        return ()

    def draft(self, request: Mapping[str, object]) -> Draft:
        """Check a create request (``names.CreateRequest``) and derive its facts.

        Raises:
            InvalidInput: names the field at fault.
            UnknownName: neither methods.py nor ``ways`` has the payment method.
        """
        reject_unknown(request, names.CreateRequest.__annotations__)
        order = wire.parse_order_request(get_object(request, "order"))
        user_mode = get_flag(request, "user_mode")
        if user_mode and self._users is None:
            raise InvalidInput("user_mode", "needs a TokenSource in the configuration")
        if not order.payment_method:
            raise InvalidInput("order.paymentMethod", "required")
        ways = find_ways(order.payment_method, order.prepaid, self._ways)
        digital = get_flag(request, "digital")
        facts = {
            "by_sms": order.payment_method == "sms" and not order.prepaid,
            "to_pay": not order.prepaid and order.payment_method not in _NOTHING_TO_PAY,
            "url_allowed": ways.url,
            "api_allowed": ways.api,
            "user_mode": user_mode,
            "needs_user": digital and not user_mode,
        }
        body = to_json(order)
        understood = {"order": body, "user_mode": user_mode, "digital": digital}
        return Draft({**self.table.defaults(), **facts}, {"request": body}, understood)

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Check the arguments of a command or an operator event (names.py). Most take none.

        Raises:
            InvalidInput: names the argument at fault.
        """
        match command:
            case "complete_by_url":
                return self._pages_of(arguments)
            case "assign_user":
                return {"assignment": _assignment_of(arguments)}
            case "registration_resolved":
                return {PROVIDER_ID: _order_id_of(arguments)}
            case _:
                reject_unknown(arguments, ())
                return {}

    def fit_command(self, command: str, data: Mapping[str, object], order: Order) -> Mapping[str, object] | DoesNotFit:
        """The data as it is. An order without an id at Connect, as after an override, cannot be completed or assigned."""
        if command in _NEEDS_ORDER_ID and order.provider_id is None:
            return DoesNotFit("its orderId at Connect is not known; an override can name it")
        return data

    def check_provider_id(self, value: object) -> str:
        """Connect's id of an order, written as in Connect's answers: a whole number without leading zeros.

        Raises:
            InvalidInput: it is none.
        """
        return _check_order_id(PROVIDER_ID, value)

    def _pages_of(self, arguments: Mapping[str, object]) -> Mapping[str, object]:
        reject_unknown(arguments, names.CompleteByUrl.__annotations__)
        page = check_page("return_url", get_text(arguments, "return_url"), self._return_pages)
        error_url = arguments.get("error_url")
        error_page = page if error_url is None else check_page("error_url", error_url, self._return_pages)
        return {"return_page": page, "error_page": error_page}

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        """Carry out one of the lifecycle's effects."""
        match call.effect:
            case "register_order":
                return await self._adapter.register(call)
            case "fulfill_by_sms":
                return await self._adapter.fulfill(call, urls.url(self.name, CALLBACK, call.order.id))
            case "fulfill_order":
                return await self._adapter.fulfill(call, None)
            case "assign_to_user":
                return await self._adapter.assign(call)
            case "search_order":
                return await self._adapter.search(call)
            case _:
                raise UnknownName("effect", call.effect, tuple(self.table.effects))

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        """The fulfillment URL (A5, C1), while a payment by it counts. None once it is proven or over."""
        return_url = urls.url(self.name, RETURN, order.id)
        if order.state not in _PAYABLE or is_settled(self.table, order.snapshot):
            return None
        if order.snapshot.facts["way"] != "url" or order.provider_id is None or return_url is None:
            return None
        query = {
            "clientId": self._client_id,
            "orderId": order.provider_id,
            "returnUrl": return_url,
            "errorUrl": urls.url(self.name, ERROR, order.id) or return_url,
        }
        return f"{self._login}/fulfillment?{urlencode(query)}"

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """Poll the order's status (A4)."""
        return await self._adapter.fetch_status(order)

    async def close(self) -> None:
        """Close connections."""
        await self._adapter.close()


def _check_choices(rate_share: float, credentials_in: str, fulfilled_literals: Sequence[str], return_pages: Sequence[str]) -> None:
    if not rate_share > 0:
        raise ConfigurationError("must be more than 0; 1 is all that Connect allows a client", "rate_share")
    for name, value in (("fulfilled_literals", fulfilled_literals), ("return_pages", return_pages)):
        if isinstance(value, str):
            raise ConfigurationError("must be a list, not one text", name)
    if credentials_in not in get_args(CredentialsIn):
        raise ConfigurationError(f"must be one of {', '.join(get_args(CredentialsIn))}", "credentials_in")
    if "preliminary" in fulfilled_literals:
        raise ConfigurationError("'preliminary' is the status of an unpaid order (A4)", "fulfilled_literals")


def _assignment_of(arguments: Mapping[str, object]) -> Mapping[str, object]:
    reject_unknown(arguments, names.AssignUser.__annotations__)
    given = {camel_case(name): value for name, value in arguments.items() if value is not None}
    body = {"isSendMessage": False, **given}  # the pages state no default, so ours is sent
    return to_json(parse_input(wire.AssignRequest, body).check())


def _order_id_of(arguments: Mapping[str, object]) -> str:
    reject_unknown(arguments, names.RegistrationResolved.__annotations__)
    return _check_order_id("order_id", arguments.get("order_id"))


def _check_order_id(field: str, value: object) -> str:
    order_id = check_id(field, value)
    if not (order_id.isascii() and order_id.isdigit()) or len(order_id) > _ORDER_ID_MAX or int(order_id) == 0:
        raise InvalidInput(field, "must be a whole number above 0")
    return str(int(order_id))
