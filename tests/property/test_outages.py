"""No sequence of outages, foreign pages and lost answers ends an order in ``refused``, and none of an order's doubts lacks a request.

Real adapters, engine and store, and the simulators behind them, in virtual time with the shipped timing. Hypothesis draws how each request
ends; only the provider's own no is never drawn. When all of that is over, every order has gone on or waits for a person.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.kit.inline_store import InlineStore
from tests.kit.virtual_time import VirtualClock, run_virtually
from tests.kit.world import CCV_KEY, CONNECT_ID, CONNECT_SECRET, ccv_request, connect_request

from orderflow import Ccv, Connect, Orderflow
from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.connect.simulator import FULFILLED, ConnectSimulator
from orderflow.model import JournalRow, Order
from orderflow.provider import Name

HOUR = 3600.0
HOURS = 60
"""How long a life is watched: longer than the longest budget of a state in which a call is owed."""

COMMANDS = ("register", "complete_by_api", "assign_user", "submit")
SEND_AGAIN = ("registration_not_found", "fulfillment_not_found", "assignment_not_found", "submission_not_found")
PAGE = b"<html><body>Access denied. Ray ID 7</body></html>"

NOT_CONNECTED = {"refused": httpx.ConnectError, "no route": httpx.ConnectTimeout, "pool full": httpx.PoolTimeout}
CUT_OFF = {"reset": httpx.ReadError, "disconnected": httpx.RemoteProtocolError, "silent": httpx.ReadTimeout, "unsent": httpx.WriteError}
PAGES = tuple(f"page {status}" for status in (200, 400, 403, 404, 405, 407, 413, 451, 502, 503, 504))
ERRORS = tuple(f"error {status}" for status in (401, 404, 405, 408, 409, 413, 422, 425, 429, 451, 500, 502, 503))
AFTER_ACTING = ("lost", "cut", "garbage", "empty", "another shape")
MISHAPS = ("", "", "", *NOT_CONNECTED, *CUT_OFF, *PAGES, *ERRORS, *AFTER_ACTING)
LOGIN_MISHAPS = (*MISHAPS, "error 400", "error 403")
"""What the login server says is not the provider's no, in whatever form."""

Mishaps = Mapping[str, list[str]]
"""How requests end, by their sort: ``login``, or the method."""


class Storm(httpx.AsyncBaseTransport):
    """The network to one provider: each request ends as the next mishap of its sort says; when there are no more, as it should.

    ``log`` holds each request but polls: when, method and path, and whether it may have left.
    """

    def __init__(self, app: Any, mishaps: Mishaps) -> None:
        self._inner = httpx.ASGITransport(app=app)
        self._mishaps = {sort: iter(drawn) for sort, drawn in mishaps.items()}
        self.log: list[tuple[float, str, bool]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sort = "login" if request.url.path.startswith("/user/") else request.method
        mishap = next(self._mishaps[sort], "")
        if request.method != "GET":
            now = asyncio.get_running_loop().time()
            self.log.append((now, f"{request.method} {request.url.path}", mishap not in NOT_CONNECTED))
        if mishap in NOT_CONNECTED:
            raise NOT_CONNECTED[mishap]("drawn", request=request)
        if mishap in CUT_OFF:
            raise CUT_OFF[mishap]("drawn", request=request)
        kind, _, status = mishap.partition(" ")
        if kind == "page":
            return httpx.Response(int(status), headers={"Content-Type": "text/html"}, content=PAGE, request=request)
        if kind == "error":
            return httpx.Response(int(status), json={"error": "drawn"}, request=request)
        response = await self._inner.handle_async_request(request)
        return await _spoil(mishap, request, response)


async def _spoil(mishap: str, request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """What is left of an answer; the provider has acted."""
    body, headers = await response.aread(), response.headers
    match mishap:
        case "lost":
            raise httpx.ReadError("drawn", request=request)
        case "cut":
            body = body[: len(body) // 2]
        case "garbage":
            body = b"\xff<<" + body
        case "empty":
            body = b""
        case "another shape":
            body = b'[{"answer": null}]'
    headers = {"Content-Type": headers.get("Content-Type", "application/json")}
    return httpx.Response(response.status_code, headers=headers, content=body, request=request)


def path_of(kind: str, order: Order) -> str:
    """The request that carries out a call of this kind."""
    return {
        "registration": "POST /capi/v1/client/order",
        "fulfillment": "POST /capi/v1/client/order/fulfillment",
        "assignment": f"POST /capi/v1/client/order/{order.provider_id}/user",
        "submission": "POST /api/ordercompletion/reseller/order",
    }[kind]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


async def live(flow: Orderflow, order: Order, sends_again: list[bool]) -> None:
    """Send each command as soon as it is legal. A person who finds an order in doubt has it sent again, or leaves it."""
    answers = iter(sends_again)
    for _ in range(HOURS):
        for name in await flow.legal(order.id):
            if name in COMMANDS:
                arguments = {"credential": "kari@example.org"} if name == "assign_user" else {}
                await flow.send(order.id, Name(name), **arguments)
                break
            if name in SEND_AGAIN and next(answers, False):
                await flow.resolve(order.id, Name(name), actor="kim", reason="it is not there")
                break
        await asyncio.sleep(HOUR)


async def live_through(method: str, connect_mishaps: Mishaps, ccv_mishaps: Mishaps, sends_again: list[bool]) -> None:
    clock = VirtualClock()
    async with AsyncExitStack() as stack:
        connect_sim = await stack.enter_async_context(ConnectSimulator(clock=clock, client_id=CONNECT_ID, client_secret=CONNECT_SECRET))
        ccv_sim = await stack.enter_async_context(CcvSimulator(clock=clock, api_key=CCV_KEY))
        storms = {"connect": Storm(connect_sim.asgi, connect_mishaps), "ccv": Storm(ccv_sim.asgi, ccv_mishaps)}
        clients = {name: await stack.enter_async_context(httpx.AsyncClient(transport=storm)) for name, storm in storms.items()}
        api, login, base = "http://connect/capi", "http://connect/user", "http://ccv/api/ordercompletion/reseller"
        literals = [FULFILLED]
        connect = Connect(api, login, CONNECT_ID, CONNECT_SECRET, fulfilled_literals=literals, client=clients["connect"], clock=clock)
        providers = [connect, Ccv(base, CCV_KEY, client=clients["ccv"], notifications="off")]
        flow = Orderflow(InlineStore(), providers, worker=True, fetch_interval=HOUR, clock=clock, rng=random.Random(1), grace=0.0)
        await stack.enter_async_context(flow)
        orders = [
            await flow.create(connect, key="c", **connect_request(method, digital=True)),
            await flow.create("ccv", key="v", **ccv_request()),
        ]
        await asyncio.gather(*(live(flow, order, sends_again) for order in orders))
        for order in orders:
            check_life(await flow.order(order.id), await flow.journal(order.id), storms[order.provider])


def check_life(order: Order, journal: list[JournalRow], storm: Storm) -> None:
    assert order.state != "refused"
    for row in journal:
        kind, _, ending = row.event.partition("_")
        assert ending != "refused", row
        if ending == "answer_lost":
            before = [(path, may_have_left) for at, path, may_have_left in storm.log if at <= row.at]
            begun = (path_of(kind, order), True)
            # what is repeatable is repeated: the request that may have arrived need not be the last
            assert begun in before if kind == "fulfillment" else before[-1] == begun, row
    # nothing is forgotten: each call has ended, one way or the other
    assert order.state not in ("registering", "configuring", "submitting", "fulfilling", "assigning"), journal


DRAWN = st.lists(st.sampled_from(MISHAPS), max_size=8)
STORMS = st.fixed_dictionaries({"login": st.lists(st.sampled_from(LOGIN_MISHAPS), max_size=8), "POST": DRAWN, "PATCH": DRAWN, "GET": DRAWN})

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # a life takes half a second: shrinking a failure would take minutes


@given(st.sampled_from(["invoice", "sms", "free"]), STORMS, STORMS, st.lists(st.booleans(), max_size=6))
@settings(deadline=None, max_examples=25, phases=PHASES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_no_outage_ends_an_order_in_refused_and_each_doubt_has_a_request(
    method: str, connect_mishaps: Mishaps, ccv_mishaps: Mishaps, sends_again: list[bool]
) -> None:
    run_virtually(live_through(method, connect_mishaps, ccv_mishaps, sends_again))
