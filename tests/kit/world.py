"""The world of the tests: canonical requests, fast timings, both simulators on sockets, and a flow for them. No test lives here.

    async with running(tmp_path) as world:
        order = await world.flow.create("ccv", key="k", **ccv_request())

It is ``orderflow.testing.SimulatedWorld``, with canaries as credentials and as personal data. Tests that need other simulators, several
flows or an application in another process use ``SimulatedWorld`` itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from attrs import define

from orderflow._app import Orderflow
from orderflow._providers.ccv import TIMING as CCV_TIMING
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect import TIMING as CONNECT_TIMING
from orderflow._providers.connect import Connect
from orderflow._providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow._testing.timing import fast_timing
from orderflow._testing.world import CALL_TIMEOUT, RunningSimulator, SimulatedWorld
from orderflow.model import PROVIDER_ID, Order, Snapshot

SHOP = "https://shop.example"
LINK_KEYS = {"k1": "a-link-key-of-tests-only"}
"""The signing keys of flows in tests."""

CCV_KEY = "ccv-api-key-canary"
CONNECT_ID, CONNECT_SECRET = "client-of-tests", "connect-secret-canary"

EMAIL, PHONE, NAME = "kari.canary@example.org", "+4790012345", "Canarysen"
CANARIES = (EMAIL, PHONE, NAME, CCV_KEY, CONNECT_SECRET, "simulated-client-token", "simulated-user-token")
"""Personal data of the canonical requests, and secrets: no error, note, log or repr may show one of these."""


PATIENCE = CALL_TIMEOUT
CCV_FAST = fast_timing(CCV_TIMING)
CONNECT_FAST = fast_timing(CONNECT_TIMING)


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
    """An order as an adapter gets it, without a store: drafted from ``request``, with ``data`` added."""
    draft = provider.draft(request)
    known = {PROVIDER_ID: provider_id} if provider_id is not None else {}
    snapshot = Snapshot(provider.table.initial, draft.facts, {**draft.data, **data, **known}, 0)
    return Order(f"{provider.name}-0", provider.name, "key", snapshot, 0.0, 0.0)


# ── providers and simulators ─────────────────────────────────────────────────────────────────────────────────────────────


class Users:
    """A TokenSource: ``now`` is the token of the user who is logged in."""

    def __init__(self, now: str | None = None) -> None:
        self.now = now

    async def token(self, order_id: str) -> str | None:
        return self.now


CCV_SWITCHES: Mapping[str, Any] = {"api_key": CCV_KEY, "step_seconds": 0.05, "allow_http_notifications": True}
CONNECT_SWITCHES: Mapping[str, Any] = {"client_id": CONNECT_ID, "client_secret": CONNECT_SECRET}


def ccv_sim(**switches: Any) -> CcvSimulator:
    """CCV's simulator, fast. Script or move its orders; ``faults`` and ``deliveries`` hold what goes wrong."""
    return CcvSimulator(**{**CCV_SWITCHES, **switches})


def connect_sim(**switches: Any) -> ConnectSimulator:
    """Connect's simulator. Script its orders; ``faults`` and ``deliveries`` hold what goes wrong."""
    return ConnectSimulator(**{**CONNECT_SWITCHES, **switches})


def ccv_at(base: str, **settings: Any) -> Ccv:
    """The provider ``ccv`` for a simulator served at ``base``."""
    settings = {"timing": CCV_FAST, "timeout": PATIENCE, "allow_http": True, **settings}
    return Ccv(f"{base}/api/ordercompletion/reseller", settings.pop("api_key", CCV_KEY), **settings)


def connect_at(base: str, **settings: Any) -> Connect:
    """The provider ``connect`` for a simulator served at ``base``."""
    settings = {"timing": CONNECT_FAST, "timeout": PATIENCE, "fulfilled_literals": (FULFILLED,), "return_pages": (SHOP,), **settings}
    api, login = f"{base}/capi", f"{base}/user"
    return Connect(api, login, settings.pop("client_id", CONNECT_ID), settings.pop("client_secret", CONNECT_SECRET), **settings)


async def start_ccv(world: SimulatedWorld, **options: Any) -> RunningSimulator[CcvSimulator]:
    """CCV's simulator in a world; ``options`` as for ``SimulatedWorld.start_simulator``."""
    return await world.start_simulator("ccv", **{**CCV_SWITCHES, **options})


async def start_connect(world: SimulatedWorld, **options: Any) -> RunningSimulator[ConnectSimulator]:
    """Connect's simulator in a world; ``options`` as for ``SimulatedWorld.start_simulator``."""
    return await world.start_simulator("connect", **{**CONNECT_SWITCHES, **options})


async def eventually(holds: Callable[[], object], seconds: float = 5.0) -> None:
    """Return once ``holds()`` is true: for what happens in a simulator, where no event can be awaited. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.002)


# ── the world ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@define
class World:
    """A flow and both simulators on sockets. ``public`` is where the receiver is mounted; ``http`` follows no redirects."""

    flow: Orderflow
    ccv: CcvSimulator
    connect: ConnectSimulator
    users: Users
    public: str
    http: httpx.AsyncClient

    async def path(self, order_id: str) -> list[str]:
        """The states of the order, the first one included."""
        journal = await self.flow.journal(order_id)
        return [journal[0].source, *(row.target for row in journal)] if journal else [(await self.flow.order(order_id)).state]


@asynccontextmanager
async def running(
    folder: Path,
    *,
    ccv: Mapping[str, Any] | None = None,
    connect: Mapping[str, Any] | None = None,
    ccv_switches: Mapping[str, Any] | None = None,
    connect_switches: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """A world whose database is ``folder / "orders.db"``; entered again with the same folder, it is a restart.

    ``ccv`` and ``connect`` are settings of the providers (``durations={"cancel_grace": 0.1}``), ``*_switches`` of the simulators,
    ``settings`` of ``Orderflow``.
    """
    users = Users()
    async with SimulatedWorld() as world, httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
        at_ccv = await start_ccv(world, **(ccv_switches or {}))
        at_connect = await start_connect(world, **(connect_switches or {}))
        connect = {"tokens": users, "return_pages": (SHOP,), **(connect or {})}
        providers = [at_ccv.provider(**(ccv or {})), at_connect.provider(**connect)]
        settings = {"signing_keys": LINK_KEYS, **settings}
        async with world.open_flow(f"sqlite:///{folder / 'orders.db'}", providers, **settings) as flow:
            yield World(flow, at_ccv.simulator, at_connect.simulator, users, world.application.receiver_url, http)
