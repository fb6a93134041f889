"""The service whose workers test_chaos.py and the runbook's tests disturb: ``orderflow worker tests.kit.chaos_app:flow``. No test lives here.

Its listeners take the next steps: on "registered" the order is completed, on "fulfilling" the customer pays.
"""

from __future__ import annotations

import os

import httpx
from attrs import evolve, frozen
from tests.kit.world import CCV_FAST, CCV_KEY, CONNECT_FAST, CONNECT_ID, CONNECT_SECRET, LINK_KEYS

from orderflow._app import Orderflow
from orderflow._provider.protocol import Provider
from orderflow._provider.timing import Timing
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.wire import PREFIX
from orderflow._providers.connect import Connect
from orderflow._providers.connect.simulator import FULFILLED
from orderflow.model import StateEntered


@frozen
class Pace:
    """How fast the service gives up. ``lease``: seconds of silence before another worker takes over. ``timeout``: seconds of one call."""

    name: str
    lease: float
    timeout: float


FAST = Pace("fast", lease=3.0, timeout=2.0)
PATIENT = Pace("patient", lease=30.0, timeout=10.0)
"""A machine that is short of time puts no order in doubt."""
PACES = {pace.name: pace for pace in (FAST, PATIENT)}


def make_timing(fast: Timing, pace: Pace) -> Timing:
    """Short waits, and no deadline that ends an order."""
    far = dict.fromkeys(fast.durations, 900.0)  # no deadline may end an order because the machine is slow
    return evolve(fast, durations=far, poll_first=0.3, poll_cap=3.0, poll_interval=0.1, retry_attempts=12, retry_cap=2.0, lease=pace.lease)


def make_providers(connect: str, ccv: str, shop: str, pace: Pace) -> list[Provider]:
    """Both providers, at these simulators."""
    return [
        Connect(
            f"{connect}/capi",
            f"{connect}/user",
            CONNECT_ID,
            CONNECT_SECRET,
            fulfilled_literals=[FULFILLED],
            return_pages=[f"{shop}/thanks"],
            timing=make_timing(CONNECT_FAST, pace),
            timeout=pace.timeout,
        ),
        Ccv(ccv + PREFIX, CCV_KEY, timing=make_timing(CCV_FAST, pace), allow_http=True, timeout=pace.timeout),
    ]


def build(db: str, connect: str, ccv: str, shop: str, *, dispatch: str, worker: bool, pace: Pace = FAST) -> Orderflow:
    """The service on these addresses."""
    providers = make_providers(connect, ccv, shop, pace)
    flow = Orderflow(
        db, providers, public_url=f"{shop}/orders", signing_keys=LINK_KEYS, dispatch=dispatch, worker=worker, fetch_interval=0.2
    )

    async def complete(entered: StateEntered) -> None:
        if entered.order.snapshot.facts["by_sms"] or entered.order.snapshot.facts["url_allowed"] is False:
            await flow.send(entered.order.id, "complete_by_api", key=entered.key)
        else:
            await flow.send(entered.order.id, "complete_by_url", key=entered.key, return_url=f"{shop}/thanks")

    async def pay(entered: StateEntered) -> None:
        order = await flow.order(entered.order.id)
        if order.state == "fulfilling" and order.snapshot.facts["way"] == "url":
            async with httpx.AsyncClient(follow_redirects=True, trust_env=False, timeout=5.0) as browser:
                page = await browser.get(await flow.customer_url(order.id))
                if "/pay/" in page.url.path:
                    await browser.post(str(page.url), data={"action": "pay"})

    if worker:
        flow.on_entered("connect", "registered", complete)
        flow.on_entered("connect", "fulfilling", pay)
    return flow


def flow() -> Orderflow:
    """The service of a worker process. The test passes the addresses in the environment."""
    db, connect, ccv, shop, dispatch, pace = os.environ["CHAOS"].split("|")
    return build(db, connect, ccv, shop, dispatch=dispatch, worker=True, pace=PACES[pace])
