"""Simulators: status calls per second, compared with an empty Starlette app on the same server. Goal: at least half as many."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

GOAL = 0.5
REQUESTS = 2500
CONNECTIONS = 16
ROUNDS = 5
CREDENTIALS = {"client_id": "simulated-client", "client_secret": "simulated-secret", "grant_type": "client_credentials"}
PERSON = {"lastName": "Hansen", "postalCode": "0150", "emails": ["kari@example.org"]}
LINE = {"productSpecType": "coupon", "productSpecCode": "WEB", "productSpecNo": 7}


def run() -> list[dict[str, object]]:
    """Two rows: Connect's order status, CCV's status."""
    return asyncio.run(_run())


async def _run() -> list[dict[str, object]]:
    from orderflow._providers.ccv.simulator import CcvSimulator
    from orderflow._providers.connect.simulator import ConnectSimulator
    from orderflow.simulators import serve

    async def answer_at_once(_: Request) -> Response:
        return JSONResponse({"orderStatus": "Completed", "externalReference": "123456"})

    empty = Starlette(routes=[Route("/order/{order_id}/status", answer_at_once)])
    async with (
        ConnectSimulator() as connect,
        CcvSimulator() as ccv,
        serve(empty) as baseline,
        serve(connect.asgi) as connect_url,
        serve(ccv.asgi) as ccv_url,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        base = f"{ccv_url}/api/ordercompletion/reseller/order"
        key = httpx.BasicAuth("simulated-key", "")
        submitted = await http.post(base, json={"notifyCustomerByEmail": False, "order": {"a": 1}, "externalReference": "r"}, auth=key)
        token = (await http.post(f"{connect_url}/user/oauth/token", data=CREDENTIALS)).json()["access_token"]
        bearer = {"authorization": f"Bearer {token}", "accept": "application/json"}
        body = {"payer": PERSON, "orderLines": [LINE], "paymentMethod": "invoice"}
        number = (await http.post(f"{connect_url}/capi/v1/client/order", json=body, headers=bearer)).json()["orderId"]
        basic = {"authorization": "Basic c2ltdWxhdGVkLWtleTo="}
        calls: dict[str, tuple[str, Mapping[str, str]]] = {
            "baseline": (f"{baseline}/order/1/status", basic),
            "connect": (f"{connect_url}/capi/v1/client/order/status/{number}", bearer),
            "ccv": (f"{base}/{submitted.json()['orderId']}/status", basic),
        }
        rates: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):  # by turns, so that other load on the machine hits all of them
            for name, (url, headers) in calls.items():
                rates[name].append(await _rate(url, headers))
    names = {"connect": "Connect order status, simulated", "ccv": "CCV status, simulated"}
    return [_result(title, rates[name], rates["baseline"]) for name, title in names.items()]


def _result(title: str, rates: list[float], baseline: list[float]) -> dict[str, object]:
    ratio = statistics.median(rate / other for rate, other in zip(rates, baseline, strict=True))
    return {
        "name": title,
        "value": statistics.median(rates),
        "unit": "requests/s",
        "ratio": ratio,
        "goal": f">= {GOAL}x an empty Starlette app",
        "ok": ratio >= GOAL,
    }


async def _rate(url: str, headers: Mapping[str, str]) -> float:
    """Requests per second over kept connections. Raw sockets: the work of an HTTP client would hide that of the server."""
    target = httpx.URL(url)
    lines = [f"GET {target.raw_path.decode()} HTTP/1.1", f"host: {target.host}", *(f"{name}: {value}" for name, value in headers.items())]
    request = "\r\n".join([*lines, "", ""]).encode()
    started = time.perf_counter()
    each = REQUESTS // CONNECTIONS
    await asyncio.gather(*(_ask(target.host, target.port or 80, request, each) for _ in range(CONNECTIONS)))
    return each * CONNECTIONS / (time.perf_counter() - started)


async def _ask(host: str, port: int, request: bytes, times: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for _ in range(times):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        length: Any = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
    writer.close()
    await writer.wait_closed()
