"""The provider ``ccv``: its settings, its requests and commands, and the way from effects to the adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Self

from orderflow._inputs import check_id, get_flag, get_object, get_text, reject_unknown
from orderflow._lifecycle.decide import is_settled
from orderflow._lifecycle.guidance import Guidance, GuidanceValues
from orderflow._lifecycle.table import Table
from orderflow._provider.call import Call
from orderflow._provider.endpoints import Endpoint
from orderflow._provider.http import HttpClient, longest_timeout, make_client
from orderflow._provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow._provider.protocol import BaseProvider, Draft, PublicUrls
from orderflow._provider.settings import check_base_url, check_secret
from orderflow._provider.timing import Timing, merge_timing
from orderflow._provider.wire import to_json
from orderflow._providers.ccv import names, wire
from orderflow._providers.ccv.adapter import PRODUCTS, Adapter, basic_authorization
from orderflow._providers.ccv.endpoints import ENDPOINTS, PER_ORDER, SHARED
from orderflow._providers.ccv.guidance import GUIDANCE, VALUES
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.ccv.wire.values import in_utc
from orderflow.errors import ConfigurationError, InvalidInput, UnknownName
from orderflow.model import PROVIDER_ID, Order

DAY: Final = 86400.0
TIMING: Final = Timing(
    durations={
        "draft_timeout": 30 * DAY,
        "recovery_window": 30 * DAY,
        "configuring_budget": 6 * 3600.0,
        "submitting_budget": 6 * 3600.0,
        "in_doubt_budget": DAY,
        "processing_budget": DAY,
        "incomplete_budget": 14 * DAY,
        "awaiting_payment_budget": 7 * DAY,
        "screening_budget": 14 * DAY,
        "new_budget": 14 * DAY,
        "fulfillment_budget": 30 * DAY,
    },
    poll_first=30.0,
    poll_cap=6 * 3600.0,
    poll_interval=10.0,
)
"""Our own times: CCV's pages state no time limit and no rate limit."""

_SCREENED_PRODUCTS = frozenset({"psp_standalone", "terminal_package"})
_METHODS: Final = "paymentMethods"
_TEXTS = ("external_reference", "notification_url")
_NOT_IN_PATH = "/\\?#"
_PLACEHOLDER: Final[Mapping[str, object]] = {"": ""}
"""Stands for the order when a request is checked before the order exists."""


class Ccv(BaseProvider):
    """The provider ``ccv``.

    Args:
        base_url: scheme, host and path prefix. The pages state none.
        api_key: sent as the user name of HTTP Basic.
        authorization: a whole Authorization header instead of the key.
        id_names: the fields of the submit's answer in which the id of the order is looked for, in this order. The pages show no answer.
            ``order.orderId`` is a field of ``order``.
        notifications: the notification URL: one for each ``order``, one ``shared`` by all, or ``off``. There is no other endpoint.
        timing, durations: the timing, and single durations that replace the timing's. What a timing does not give is as in ``TIMING``.
        client: the HTTP client to use, with timeouts of its own.
        timeout: seconds to wait for a connection or for the next bytes; less than 0.8 of the lease. Not used where a client is given.
        allow_http: notification URLs may be plain http. Only for a simulator on this machine.

    Raises:
        ConfigurationError: names the setting at fault; shows no value.
    """

    name: names.ProviderName = "ccv"
    marks_sending: bool = True
    table: Table = CcvLifecycle.table
    endpoints: tuple[Endpoint, ...] = ()
    guidance: Mapping[str, Guidance] = GUIDANCE
    guidance_values: GuidanceValues = VALUES

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        authorization: str = "",
        id_names: Sequence[str] = wire.ID_NAMES,
        notifications: Literal["order", "shared", "off"] = "order",
        timing: Timing = TIMING,
        durations: Mapping[str, float] | None = None,
        client: HttpClient | None = None,
        timeout: float = 20.0,
        allow_http: bool = False,
    ) -> None:
        self.timing: Timing = merge_timing(TIMING, timing, durations)
        if notifications not in ENDPOINTS:
            raise ConfigurationError("must be order, shared or off", "notifications")
        self._notifications = notifications
        self.endpoints = ENDPOINTS[notifications]
        self._allow_http = allow_http
        header = check_secret("authorization", authorization) or basic_authorization(check_secret("api_key", api_key))
        if not header.isascii():
            raise ConfigurationError("must be in ASCII", "authorization")
        http = client or make_client(timeout)
        self.timeout: float | None = longest_timeout(http)
        submit_client = client or make_client(timeout, keep_alive=False)
        self._adapter = Adapter(http, submit_client, check_base_url("base_url", base_url), header, _check_id_names(id_names))

    @classmethod
    def offline(cls) -> Self:
        """For looking at stored orders and correcting them. It cannot call CCV."""
        return cls("http://offline.invalid", notifications="off")

    def __repr__(self) -> str:
        return "Ccv(...)"

    def draft(self, request: Mapping[str, object]) -> Draft:
        """Check a create request (``names.CreateRequest``) and derive its facts.

        Raises:
            InvalidInput: names the field at fault.
        """
        reject_unknown(request, names.CreateRequest.__annotations__)
        start_order = wire.parse_request(wire.StartOrder, get_object(request, "order"))
        products = _parse_products(request.get("products"))
        notify_by_email = get_flag(request, "notify_customer_by_email", True)
        statuses = request.get("notify_on_status")
        if statuses is None:
            statuses = ()
        if not isinstance(statuses, list | tuple):
            raise InvalidInput("notify_on_status", "must be a list of statuses")
        texts = {name: get_text(request, name) for name in _TEXTS if request.get(name) is not None}
        notification = wire.StatusNotification(texts.get("notification_url"), tuple(statuses))
        wire.Submit(notify_by_email, _PLACEHOLDER, None, notification).check(allow_http=self._allow_http)
        data: dict[str, object] = {
            "start_order": to_json(start_order),
            "products": products,
            "notify_customer_by_email": notify_by_email,
            "notify_on_status": list(statuses),
            **texts,
        }
        kinds = {product["kind"] for product in products}
        facts = {
            "pays_now": get_flag(request, "pays_now"),
            "screened": get_flag(request, "screened", bool(kinds & _SCREENED_PRODUCTS)),
            "activates": get_flag(request, "activates"),
        }
        return Draft({**self.table.defaults(), **facts}, data, _understood(data) | facts)

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """Check the arguments of a command or an operator event (names.py). Only ``submission_resolved`` takes any.

        Raises:
            InvalidInput: names the argument at fault.
        """
        if command == "submission_resolved":
            reject_unknown(arguments, names.SubmissionResolved.__annotations__)
            return {PROVIDER_ID: _check_order_id("order_id", arguments.get("order_id"))}
        reject_unknown(arguments, ())
        return {}

    def check_provider_id(self, value: object) -> str:
        """CCV's id of an order. It is opaque, and stands in a path.

        Raises:
            InvalidInput: it cannot.
        """
        return _check_order_id(PROVIDER_ID, value)

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        """Carry out one of the lifecycle's effects."""
        match call.effect:
            case "configure_order":
                return await self._adapter.configure(call)
            case "submit_order":
                return await self._adapter.submit(call, self._notification_url(call.order, urls))
            case _:
                raise UnknownName("effect", call.effect, tuple(self.table.effects))

    def _notification_url(self, order: Order, urls: PublicUrls) -> str | None:
        chosen = order.snapshot.data.get("notification_url")
        if chosen is not None:
            return str(chosen)
        if self._notifications == "off":
            return None
        shared = self._notifications == "shared"
        url = urls.url(self.name, SHARED) if shared else urls.url(self.name, PER_ORDER, order.id)
        # CCV calls https URLs only (D1); without notifications the polls suffice
        return url if url is None or self._allow_http or url.startswith("https://") else None

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        """The page that CCV named in its answer to the submit, until the order is over. None where it named none: it sends an email."""
        url = order.snapshot.data.get("checkout_url")
        return url if isinstance(url, str) and not is_settled(self.table, order.snapshot) else None

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """Poll the order's status (D2)."""
        return await self._adapter.fetch_status(order)

    async def close(self) -> None:
        """Close connections."""
        await self._adapter.close()


def _check_order_id(field: str, value: object) -> str:
    order_id = check_id(field, value)
    if order_id in (".", "..") or any(character in order_id for character in _NOT_IN_PATH):
        raise InvalidInput(field, f"must be one id that can stand in a path, without any of {' '.join(_NOT_IN_PATH)}")
    return order_id


def _check_id_names(id_names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(id_names, str) or not id_names or not all(isinstance(name, str) and name for name in id_names):
        raise ConfigurationError("must be a list with at least one name of a field", "id_names")
    return tuple(id_names)


def _understood(data: Mapping[str, object]) -> dict[str, object]:
    """What a request means: a moment in whatever offset, and sets of statuses and payment methods in whatever order."""
    start_order, products, statuses = data["start_order"], data["products"], data["notify_on_status"]
    assert isinstance(start_order, Mapping)
    assert isinstance(products, list)
    assert isinstance(statuses, list)
    return {
        **data,
        "start_order": {**start_order, "orderDate": in_utc(str(start_order["orderDate"]))},
        "products": [{**product, "fields": _without_order(product["fields"])} for product in products],
        "notify_on_status": sorted(set(statuses or wire.ORDER_STATUSES)),
    }


def _without_order(fields: Mapping[str, object]) -> dict[str, object]:
    methods = fields.get(_METHODS)
    return {**fields, _METHODS: sorted(map(str, methods))} if isinstance(methods, list) else dict(fields)


def _parse_products(given: object) -> list[dict[str, object]]:
    """The products of a create request, each as its kind and the checked fields of its call."""
    if given is None or given in ([], ()):
        raise InvalidInput("products", "required, as a list with at least one product")
    if not isinstance(given, list | tuple):
        raise InvalidInput("products", f"must be a list of products, got {type(given).__name__}")
    return [_parse_product(f"products[{index}]", product) for index, product in enumerate(given)]


def _parse_product(path: str, product: object) -> dict[str, object]:
    kind = product.get("kind") if isinstance(product, Mapping) else None
    if not isinstance(product, Mapping) or not isinstance(kind, str) or kind not in PRODUCTS:
        raise InvalidInput(f"{path}.kind", f"must be one of {', '.join(PRODUCTS)}")
    body = {**product, "order": _PLACEHOLDER}
    del body["kind"]
    try:
        fields = to_json(wire.parse_request(PRODUCTS[kind][0], body))
    except InvalidInput as error:
        raise InvalidInput(f"{path}.{error.field}", error.reason) from None
    del fields["order"]  # each call gets the order that the call before answered with
    return {"kind": kind, "fields": fields}
