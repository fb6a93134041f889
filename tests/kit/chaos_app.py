"""The service whose workers test_chaos.py kills: ``orderflow worker tests.kit.chaos_app:flow``. No test lives here.

Its listeners take the next steps: on "registered" the order is completed, on "fulfilling" the customer pays.
"""

from __future__ import annotations

import os

import httpx
from attrs import evolve
from tests.kit.world import CCV_FAST, CCV_KEY, CONNECT_FAST, CONNECT_ID, CONNECT_SECRET, LINK_KEYS

from orderflow._app import Orderflow
from orderflow._provider.protocol import Provider
from orderflow._provider.timing import Timing
from orderflow._providers.ccv import Ccv
from orderflow._providers.ccv.wire import PREFIX
from orderflow._providers.connect import Connect
from orderflow._providers.connect.simulator import FULFILLED
from orderflow.model import StateEntered

LEASE = 3.0  # seconds of silence before another worker takes over


def make_timing(fast: Timing) -> Timing:
    far = dict.fromkeys(fast.durations, 900.0)  # no deadline may end an order because the machine is slow
    return evolve(fast, durations=far, poll_first=0.3, poll_cap=3.0, poll_interval=0.1, retry_attempts=12, retry_cap=2.0, lease=LEASE)


def build(db: str, connect: str, ccv: str, shop: str, *, dispatch: str, worker: bool) -> Orderflow:
    """The service on these addresses."""
    providers: list[Provider] = [
        Connect(
            f"{connect}/capi",
            f"{connect}/user",
            CONNECT_ID,
            CONNECT_SECRET,
            fulfilled_literals=[FULFILLED],
            return_pages=[f"{shop}/thanks"],
            timing=make_timing(CONNECT_FAST),
            timeout=2.0,
        ),
        Ccv(ccv + PREFIX, CCV_KEY, timing=make_timing(CCV_FAST), allow_http=True, timeout=2.0),
    ]
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
    db, connect, ccv, shop, dispatch = os.environ["CHAOS"].split("|")
    return build(db, connect, ccv, shop, dispatch=dispatch, worker=True)
