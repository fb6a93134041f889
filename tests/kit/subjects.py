"""Both simulators, each as a ``Subject`` that answers one input at a time, to be learned back. No test lives here.

Everything runs in this process, on an event loop that runs only while an input is being sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from tests.kit.world import CONNECT_ID, CONNECT_SECRET, SHOP, ccv_request, connect_request

from orderflow._providers.ccv.simulator import CcvSimulator
from orderflow._providers.ccv.wire import PREFIX, SUBMIT
from orderflow._providers.connect.simulator import ConnectSimulator
from orderflow.simulators import SimClock


class CcvSubject:
    """CCV's simulator: ``submit``, ``status`` over HTTP, and what CCV itself does with the order: ``move <status>``."""

    def __init__(self, runner: asyncio.Runner, sim: CcvSimulator, http: httpx.AsyncClient) -> None:
        self._run, self._sim, self._http = runner.run, sim, http
        self._id = ""

    def reset(self) -> None:
        self._id = ""

    def send(self, input_name: str) -> str:
        return self._run(self._send(input_name))

    async def _send(self, input_name: str) -> str:
        if input_name == "submit":
            response = await self._http.post(PREFIX + SUBMIT, json={"order": ccv_request()["order"], "notifyCustomerByEmail": False})
            assert response.status_code == 201, response.text
            self._id = response.json()["orderId"]
            return "submitted"
        if input_name == "status":
            response = await self._http.get(f"{PREFIX}{SUBMIT}/{self._id or 'none'}/status")
            return response.json().get("orderStatus") or str(response.status_code)
        try:
            self._sim.transition(self._id, input_name.removeprefix("move "))
        except KeyError:
            return "no order"
        except ValueError:
            return "not possible"
        return "moved"


class ConnectSubject:
    """Connect's simulator as API and browser see it, for orders of one payment method."""

    def __init__(self, runner: asyncio.Runner, sim: ConnectSimulator, http: httpx.AsyncClient, method: str) -> None:
        self._run, self._sim, self._http, self._method = runner.run, sim, http, method
        self._bearer = {"authorization": f"Bearer {sim.tokens.issue(None)}", "accept": "application/json"}
        self._id = "0"

    def reset(self) -> None:
        self._id = "0"

    def send(self, input_name: str) -> str:
        return self._run(self._send(input_name))

    async def _send(self, input_name: str) -> str:
        client = "/capi/v1/client/order"
        if input_name == "register":
            response = await self._api("POST", client, connect_request(self._method)["order"])
            self._id = str(response.json()["orderId"])
            return "registered"
        if input_name == "status":
            response = await self._api("GET", f"{client}/status/{self._id}")
            return response.json()["orders"][0]["orderStatus"] if response.status_code == 200 else str(response.status_code)
        if input_name == "complete by API":
            response = await self._api("POST", f"{client}/fulfillment", {"orderId": int(self._id)})
            return response.json().get("fulfillmentStatus") or str(response.status_code)
        if input_name == "assign":
            response = await self._api("POST", f"{client}/{self._id}/user", {"credential": "kari@example.org"})
            return "assigned" if response.status_code == 200 else str(response.status_code)
        if input_name == "open URL":
            response = await self._http.get("/user/fulfillment", params={"orderId": self._id, "returnUrl": f"{SHOP}/back"})
        else:
            response = await self._http.post(f"/user/pay/{self._id}", data={"action": input_name.removeprefix("press ")})
        return _destination(response)

    async def _api(self, method: str, path: str, body: object = None) -> httpx.Response:
        return await self._http.request(method, path, json=body, headers=self._bearer)


def _destination(response: httpx.Response) -> str:
    """Where a browser is sent: to the payment page, or back with a status."""
    location = response.headers.get("location", "")
    if "/user/pay/" in location:
        return "to the payment page"
    return location.rpartition("fulfillmentStatus=")[2] or str(response.status_code)


@contextmanager
def ccv_simulator() -> Iterator[CcvSubject]:
    """The simulator with a clock that stands still: an order moves only by an input."""
    sim = CcvSimulator(api_key=None, clock=SimClock(start=0.0, manual=True))
    sim.script(None)
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(sim.asgi), base_url="http://ccv.invalid", trust_env=False)
        try:
            yield CcvSubject(runner, sim, http)
        finally:
            runner.run(http.aclose())
            runner.run(sim.close())


@contextmanager
def connect_simulator(method: str) -> Iterator[ConnectSubject]:
    """The simulator with a clock that stands still; an accepted order is fulfilled at once."""
    sim = ConnectSimulator(client_id=CONNECT_ID, client_secret=CONNECT_SECRET, clock=SimClock(start=0.0, manual=True), fulfil_delay=0.0)
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(sim.asgi), base_url="http://connect.invalid", trust_env=False)
        try:
            yield ConnectSubject(runner, sim, http, method)
        finally:
            runner.run(http.aclose())
            runner.run(sim.close())
