"""CCV reseller orders: the manifest. ``ccv(...)`` is what a service configures; lifecycle.py is what to read first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from attrs import evolve

from orderflow.errors import ConfigurationError, InvalidInput, UnknownName
from orderflow.inputs import json_object, only, optional_flag, required_text
from orderflow.lifecycle.table import Table
from orderflow.model import PROVIDER_ID, Order
from orderflow.provider.endpoints import Endpoint
from orderflow.provider.http import HttpClient, longest_silence, new_client, secret
from orderflow.provider.http import base_url as checked_base
from orderflow.provider.outcomes import Outcome, ReadFailed, StatusRead
from orderflow.provider.protocol import Draft, PublicUrls
from orderflow.provider.timing import Timing
from orderflow.provider.wire import write
from orderflow.providers.ccv import wire
from orderflow.providers.ccv.adapter import PRODUCTS, Adapter, basic
from orderflow.providers.ccv.endpoints import ENDPOINTS, PER_ORDER, SHARED
from orderflow.providers.ccv.lifecycle import CcvLifecycle

DAY = 86400.0
TIMING = Timing(
    durations={
        "recovery_window": 30 * DAY,
        "configuring_budget": 3600.0,
        "submitting_budget": 3600.0,
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
"""Ours: CCV documents no time limit and no allowed rate of reads."""

_REQUEST = (
    "order",
    "products",
    "notify_customer_by_email",
    "external_reference",
    "notification_url",
    "notify_on_status",
    "pays_now",
    "screened",
    "activates",
)


class Ccv:
    """The provider ``ccv``.

    ``base_url``: scheme, host and path prefix; none is documented. ``api_key``: sent as HTTP Basic user name unless
    ``authorization`` gives a whole header value. ``notifications``: a URL per order, one shared, or off.
    ``allow_http`` lets notification URLs be plain http: for a simulator on loopback only. ``timeout``: seconds of silence after which a
    call is given up; less than 0.8 of the lease. A ``client`` brings its own.

    Raises:
        ConfigurationError: an argument is malformed; names it, and shows no value.
    """

    name: ClassVar[str] = "ccv"
    table: ClassVar[Table] = CcvLifecycle.table
    endpoints: ClassVar[tuple[Endpoint, ...]] = ENDPOINTS

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        authorization: str = "",
        notifications: Literal["order", "shared", "off"] = "order",
        timing: Timing = TIMING,
        durations: Mapping[str, float] | None = None,
        client: HttpClient | None = None,
        timeout: float = 20.0,
        allow_http: bool = False,
    ) -> None:
        self.timing = evolve(timing, durations={**TIMING.durations, **timing.durations, **(durations or {})})
        if notifications not in ("order", "shared", "off"):
            raise ConfigurationError("must be order, shared or off", "notifications")
        self._notifications = notifications
        self._allow_http = allow_http
        header = secret("authorization", authorization) or basic(secret("api_key", api_key))
        if not header.isascii():
            raise ConfigurationError("must be in ASCII", "authorization")
        http = client or new_client(timeout)
        self.timeout: float | None = longest_silence(http)
        self._adapter = Adapter(http, checked_base("base_url", base_url), header)

    @classmethod
    def offline(cls) -> Self:
        """For looking at and correcting stored orders: it has no way to call CCV."""
        return cls("http://offline.invalid", notifications="off")

    def __repr__(self) -> str:
        return "Ccv(...)"

    def draft(self, request: Mapping[str, object]) -> Draft:
        """A create request: ``order`` (startorder's fields, D3), ``products`` (each {"kind": "sales_package" | "terminal_package" |
        "psp_standalone", and that call's fields}), ``notify_customer_by_email``; optional ``external_reference``,
        ``notification_url``, ``notify_on_status``, and the expectations ``pays_now``, ``screened``, ``activates``.

        Raises:
            InvalidInput: names field and reason.
        """
        only(request, _REQUEST)
        start = wire.given(wire.StartOrder, json_object(request, "order"))
        products = self._products(request.get("products"))
        email = optional_flag(request, "notify_customer_by_email", True)
        statuses = request.get("notify_on_status", [])
        if not isinstance(statuses, list | tuple):
            raise InvalidInput("notify_on_status", "must be a list of statuses")
        data: dict[str, object] = {
            "start_order": write(start),
            "products": products,
            "notify_customer_by_email": email,
            "notify_on_status": list(statuses),
        }
        for name in ("external_reference", "notification_url"):
            if request.get(name) is not None:
                data[name] = required_text(request, name)
        notice = wire.StatusNotification(data.get("notification_url"), tuple(statuses))  # type: ignore[arg-type]
        wire.Submit(email, {"": ""}, None, notice).check(allow_http=self._allow_http)
        kinds = {product["kind"] for product in products}
        facts = {
            "pays_now": optional_flag(request, "pays_now"),
            "screened": optional_flag(request, "screened", bool(kinds & {"psp_standalone", "terminal_package"})),
            "activates": optional_flag(request, "activates"),
        }
        return Draft({**self.table.defaults(), **facts}, data)

    def _products(self, given: object) -> list[dict[str, object]]:
        if not isinstance(given, list | tuple) or not given:
            raise InvalidInput("products", "required, as a list with at least one product")
        products: list[dict[str, object]] = []
        for n, product in enumerate(given):
            path = f"products[{n}]"
            if not isinstance(product, Mapping) or not isinstance(product.get("kind"), str) or product["kind"] not in PRODUCTS:
                raise InvalidInput(f"{path}.kind", f"must be one of {', '.join(PRODUCTS)}")
            fields = {name: value for name, value in product.items() if name != "kind"}
            kind = str(product["kind"])
            try:
                # the order itself is filled in by the call before
                written = write(wire.given(PRODUCTS[kind][0], {**fields, "order": {"": ""}}))
            except InvalidInput as error:
                raise InvalidInput(f"{path}.{error.field}", error.reason) from None
            del written["order"]
            products.append({"kind": kind, "fields": written})
        return products

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        """``submission_resolved`` takes ``order_id``, CCV's; no other command takes anything.

        Raises:
            InvalidInput: names field and reason.
        """
        if command == "submission_resolved":
            only(arguments, ("order_id",))
            return {PROVIDER_ID: required_text(arguments, "order_id")}
        only(arguments, ())
        return {}

    async def perform(self, effect: str, order: Order, links: PublicUrls) -> Outcome:
        """Carry out ``configure_order`` or ``submit_order``."""
        if effect == "configure_order":
            return await self._adapter.configure(order)
        if effect == "submit_order":
            return await self._adapter.submit(order, self._notification_url(order, links))
        raise UnknownName("effect", effect, tuple(self.table.effects))

    def _notification_url(self, order: Order, links: PublicUrls) -> str | None:
        chosen = order.snapshot.data.get("notification_url")
        if chosen is not None:
            return str(chosen)
        if self._notifications == "off":
            return None
        shared = self._notifications == "shared"
        url = links.url(self.name, SHARED) if shared else links.url(self.name, PER_ORDER, order.id)
        # CCV calls nothing but https; without a notification the reads suffice
        return url if url is None or self._allow_http or url.startswith("https://") else None

    def customer_url(self, order: Order, links: PublicUrls) -> str | None:
        """None: CCV mails the customer (D1)."""
        return None

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        """Read the order's status."""
        return await self._adapter.fetch_status(order)

    async def close(self) -> None:
        """Release connections."""
        await self._adapter.close()


__all__ = ["TIMING", "Ccv"]
