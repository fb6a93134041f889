"""What tests of several areas share: canonical requests, fast timings, and a world on real sockets. No test lives here.

A ``World`` is an ``Orderflow`` on a database of its own, both simulators and the receiver, each on a socket:

    async with running(tmp_path) as world:
        order = await world.flow.create("ccv", key="k", **ccv_request())
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define, evolve
from starlette.applications import Starlette
from starlette.routing import Mount

from orderflow.app import Orderflow
from orderflow.model import PROVIDER_ID, Order, Snapshot
from orderflow.provider.timing import Timing
from orderflow.providers.ccv import TIMING as CCV_TIMING
from orderflow.providers.ccv import Ccv
from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.connect import TIMING as CONNECT_TIMING
from orderflow.providers.connect import Connect
from orderflow.providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow.simulators import serve

SHOP = "https://shop.example"
MOUNT = "/shop/orders"
LINK_KEYS = {"k1": "a-link-key-of-tests-only"}
CCV_KEY = "ccv-api-key-canary"
CONNECT_ID, CONNECT_SECRET = "client-of-tests", "connect-secret-canary"

EMAIL, PHONE, NAME = "kari.canary@example.org", "+4790012345", "Canarysen"
CANARIES = (EMAIL, PHONE, NAME, CCV_KEY, CONNECT_SECRET, "simulated-client-token", "simulated-user-token")
"""Personal data of the canonical requests, and secrets: no error, note, log or repr may show one of these."""


def _fast(timing: Timing) -> Timing:
    """Reads, retries and leases in hundredths of a second; deadlines far off unless a test brings one near."""
    return evolve(
        timing,
        durations=dict.fromkeys(timing.durations, 60.0),
        poll_first=0.03,
        poll_cap=0.2,
        poll_interval=0.01,
        retry_attempts=4,
        retry_first=0.01,
        retry_cap=0.05,
        lease=5.0,
    )


PATIENCE = 3.0  # seconds without a byte, after which a call is given up; a lease outlasts it
CCV_FAST = _fast(CCV_TIMING)
CONNECT_FAST = _fast(CONNECT_TIMING)


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def ccv_request(*kinds: str, **more: Any) -> dict[str, Any]:
    """A create request of CCV with one product per kind (default: one sales package); ``more`` are its other arguments."""
    return {
        "order": {
            "orderDate": "2026-11-21T10:00:00Z",
            "cartUrl": f"{SHOP}/cart",
            "storeUrl": f"{SHOP}/",
            "statusUrl": f"{SHOP}/status",
            "storeInformation": {"cocNumber": "12345678", "cocRegistry": "Kvk"},
            "companyContactPerson": {"lastName": NAME, "emailAddress": EMAIL, "phoneNumber": PHONE},
        },
        "products": [{"kind": kind, **_PRODUCTS[kind]} for kind in kinds or ("sales_package",)],
        "notify_customer_by_email": False,
        **more,
    }


_PRICING = {"period": "OneOff", "excludingTax": 1, "singleExcludingTax": 1, "includingTax": 1.21}
_PRODUCTS: Mapping[str, dict[str, Any]] = {
    "sales_package": {
        "isPurchased": True,
        "packageName": "Online Payments",
        "sku": "op",
        "periodPricingDetails": [{**_PRICING, "taxAmountsPerTaxRate": [{"taxRate": 21, "taxAmount": 0.21}]}],
    },
    "psp_standalone": {"url": SHOP, "paymentMethods": ["ideal"]},
    "terminal_package": {
        "terminalPackageType": "Smart",
        "transactionFee": 0.05,
        **{f"{when}Price{tax}Tax": 1 for when in ("oneOff", "monthly") for tax in ("Including", "Excluding")},
        "oneOffTaxAmount": 1,
        "oneOffTaxRate": 21,
        "monthlyPriceTaxAmount": 1,
        "monthlyPriceTaxRate": 21,
    },
}


def connect_request(
    method: str = "invoice",
    *,
    prepaid: bool = False,
    user_mode: bool = False,
    digital: bool = False,
    external_id: str | None = None,
    amount: float = 295,
    **order: Any,
) -> dict[str, Any]:
    """A create request of Connect; ``order`` adds fields of Register order, in Connect's spelling."""
    body: dict[str, Any] = {
        "payer": {"lastName": NAME, "postalCode": "0150", "emails": [EMAIL], "phoneNumbers": [PHONE]},
        "orderLines": [{"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7, "unitPrice": amount}],
        "paymentMethod": method,
        "orderAmount": amount,
        "prepaid": prepaid,
        **({"paymentInfo": {"transactionId": "t-1"}} if prepaid else {}),
        **({"externalOrderId": external_id} if external_id else {}),
        **order,
    }
    return {"order": body, "user_mode": user_mode, "digital": digital}


def order_of(provider: Ccv | Connect, request: Mapping[str, Any], *, provider_id: str | None = None, **data: Any) -> Order:
    """An order as an adapter meets it, without a store: drafted from ``request``, with ``data`` added."""
    draft = provider.draft(request)
    known = {PROVIDER_ID: provider_id} if provider_id is not None else {}
    snapshot = Snapshot(provider.table.initial, draft.facts, {**draft.data, **data, **known}, 0)
    return Order(f"{provider.name}-0", provider.name, "key", snapshot, 0.0, 0.0)


# ── providers and simulators ─────────────────────────────────────────────────────────────────────────────────────────────


class Users:
    """A TokenSource: ``now`` is what it answers with."""

    def __init__(self, now: str | None = None) -> None:
        self.now = now

    async def token(self, order_id: str) -> str | None:
        return self.now


def ccv_sim(**switches: Any) -> CcvSimulator:
    """CCV, in a hurry; ``script`` or ``move`` its orders, ``faults`` and ``deliveries`` hold what goes wrong."""
    return CcvSimulator(**{"api_key": CCV_KEY, "step_seconds": 0.05, "allow_http_notifications": True, **switches})


def connect_sim(**switches: Any) -> ConnectSimulator:
    """Connect; ``script`` its orders, ``faults`` and ``deliveries`` hold what goes wrong."""
    return ConnectSimulator(**{"client_id": CONNECT_ID, "client_secret": CONNECT_SECRET, **switches})


def ccv_at(base: str, **settings: Any) -> Ccv:
    """The provider ``ccv`` against a simulator served at ``base``."""
    settings = {"timing": CCV_FAST, "timeout": PATIENCE, "allow_http": True, **settings}
    return Ccv(f"{base}/api/ordercompletion/reseller", settings.pop("api_key", CCV_KEY), **settings)


def connect_at(base: str, **settings: Any) -> Connect:
    """The provider ``connect`` against a simulator served at ``base``."""
    settings = {"timing": CONNECT_FAST, "timeout": PATIENCE, "fulfilled_literals": (FULFILLED,), "return_pages": (SHOP,), **settings}
    api, login = f"{base}/capi", f"{base}/user"
    return Connect(api, login, settings.pop("client_id", CONNECT_ID), settings.pop("client_secret", CONNECT_SECRET), **settings)


async def eventually(holds: Callable[[], object], seconds: float = 5.0) -> None:
    """Return once ``holds()``: for what happens in a simulator, where no event tells. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.002)


# ── a world ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@define
class World:
    """Everything on sockets. ``public`` is where the receiver is mounted; ``http`` follows no redirects."""

    flow: Orderflow
    ccv: CcvSimulator
    connect: ConnectSimulator
    users: Users
    public: str
    http: httpx.AsyncClient

    async def path(self, order_id: str) -> list[str]:
        """The states the order has passed, the first included."""
        journal = await self.flow.journal(order_id)
        return [journal[0].source, *(row.target for row in journal)] if journal else [(await self.flow.order(order_id)).state]


@asynccontextmanager
async def running(
    where: Path,
    *,
    worker: bool = True,
    ccv: Mapping[str, Any] | None = None,
    connect: Mapping[str, Any] | None = None,
    ccv_switches: Mapping[str, Any] | None = None,
    connect_switches: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """A world whose database is ``where / "orders.db"``; entering it again over the same directory is a restart.

    ``ccv`` and ``connect`` are settings of the providers (``durations={"cancel_grace": 0.1}``), ``*_switches`` of the
    simulators, ``settings`` of ``Orderflow``.
    """
    mounted: list[Any] = []

    async def front(scope: Any, receive: Any, send: Any) -> None:
        await mounted[0](scope, receive, send)

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        http = await enter(httpx.AsyncClient(timeout=5.0, trust_env=False))
        sims = await enter(ccv_sim(**(ccv_switches or {}))), await enter(connect_sim(**(connect_switches or {})))
        bases = [await enter(serve(sim.asgi)) for sim in sims]
        public = await enter(serve(front)) + MOUNT
        users = Users()
        providers = [ccv_at(bases[0], **(ccv or {})), connect_at(bases[1], **{"tokens": users, **(connect or {})})]
        settings = {"public_url": public, "signing_keys": LINK_KEYS, **settings}
        flow = Orderflow(f"sqlite:///{where / 'orders.db'}", providers, worker=worker, **settings)
        mounted.append(Starlette(routes=[Mount(MOUNT, flow.receiver())]))
        await enter(flow)
        yield World(flow, *sims, users, public, http)
