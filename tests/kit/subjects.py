"""Both simulators, each as a ``Subject`` that answers one word at a time, to be learned back. No test here.

All of it runs in this process, on an event loop that turns only while a word is being said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from tests.kit.world import CONNECT_ID, CONNECT_SECRET, SHOP, ccv_request, connect_request

from orderflow.providers.ccv.simulator import CcvSimulator
from orderflow.providers.ccv.wire import PREFIX, SUBMIT
from orderflow.providers.connect.simulator import ConnectSimulator
from orderflow.simulators import SimClock


class CcvSubject:
    """CCV's simulator: ``submit``, ``status`` over HTTP, and what CCV itself does with the order: ``move <status>``."""

    def __init__(self, runner: asyncio.Runner, sim: CcvSimulator, http: httpx.AsyncClient) -> None:
        self._run, self._sim, self._http = runner.run, sim, http
        self._id = ""

    def start(self) -> None:
        self._id = ""

    def say(self, word: str) -> str:
        return self._run(self._say(word))

    async def _say(self, word: str) -> str:
        if word == "submit":
            made = await self._http.post(PREFIX + SUBMIT, json={"order": ccv_request()["order"], "notifyCustomerByEmail": False})
            assert made.status_code == 201, made.text
            self._id = made.json()["orderId"]
            return "submitted"
        if word == "status":
            seen = await self._http.get(f"{PREFIX}{SUBMIT}/{self._id or 'none'}/status")
            return seen.json().get("orderStatus") or str(seen.status_code)
        try:
            self._sim.move(self._id, word.removeprefix("move "))
        except KeyError:
            return "no order"
        except ValueError:
            return "not so"
        return "moved"


class ConnectSubject:
    """Connect's simulator as API and browser see it, for orders of one payment method."""

    def __init__(self, runner: asyncio.Runner, sim: ConnectSimulator, http: httpx.AsyncClient, method: str) -> None:
        self._run, self._sim, self._http, self._method = runner.run, sim, http, method
        self._bearer = {"authorization": f"Bearer {sim.tokens.issue(None)}", "accept": "application/json"}
        self._id = "0"

    def start(self) -> None:
        self._id = "0"

    def say(self, word: str) -> str:
        return self._run(self._say(word))

    async def _say(self, word: str) -> str:
        client = "/capi/v1/client/order"
        if word == "register":
            made = await self._api("POST", client, connect_request(self._method)["order"])
            self._id = str(made.json()["orderId"])
            return "registered"
        if word == "status":
            seen = await self._api("GET", f"{client}/status/{self._id}")
            return seen.json()["orders"][0]["orderStatus"] if seen.status_code == 200 else str(seen.status_code)
        if word == "complete by API":
            done = await self._api("POST", f"{client}/fulfillment", {"orderId": int(self._id)})
            return done.json().get("fulfillmentStatus") or str(done.status_code)
        if word == "assign":
            given = await self._api("POST", f"{client}/{self._id}/user", {"credential": "kari@example.org"})
            return "assigned" if given.status_code == 200 else str(given.status_code)
        if word == "open URL":
            gone = await self._http.get("/user/fulfillment", params={"orderId": self._id, "returnUrl": f"{SHOP}/back"})
        else:
            gone = await self._http.post(f"/user/pay/{self._id}", data={"action": word.removeprefix("press ")})
        return _where(gone)

    async def _api(self, method: str, path: str, body: object = None) -> httpx.Response:
        return await self._http.request(method, path, json=body, headers=self._bearer)


def _where(answer: httpx.Response) -> str:
    goes = answer.headers.get("location", "")
    if "/user/pay/" in goes:
        return "to the payment page"
    return goes.rpartition("fulfillmentStatus=")[2] or str(answer.status_code)


@contextmanager
def ccv_simulator() -> Iterator[CcvSubject]:
    """The simulator with a clock that stands: nothing moves unless it is said."""
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
    """The simulator with a clock that stands; what is accepted is fulfilled at once."""
    sim = ConnectSimulator(client_id=CONNECT_ID, client_secret=CONNECT_SECRET, clock=SimClock(start=0.0, manual=True), fulfil_delay=0.0)
    with asyncio.Runner() as runner:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(sim.asgi), base_url="http://connect.invalid", trust_env=False)
        try:
            yield ConnectSubject(runner, sim, http, method)
        finally:
            runner.run(http.aclose())
            runner.run(sim.close())
