"""A provider that orderflow does not know: a small warehouse. Lifecycle, adapter, endpoint and a simulator of its own, in one file.

It is a package outside: nothing in orderflow names it, an entry point in the group ``orderflow.providers`` does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow.errors import InvalidInput, MalformedAnswer, UnknownName
from orderflow.lifecycle import Cause, Flag, Lifecycle, Origin, State, Table, assumed, documented, edge, reading, repeatable
from orderflow.model import Order
from orderflow.provider import (
    BaseProvider,
    Call,
    Claim,
    Draft,
    Endpoint,
    HttpResponse,
    Name,
    Outcome,
    PublicUrls,
    ReadFailed,
    StatusRead,
    Succeeded,
    Timing,
    check_base_url,
    check_poll_response,
    make_client,
    outcome_of_response,
    send_request,
)
from orderflow.simulators import Simulator, mark_executed

command, reply, observation, claim, clock, operator = Origin
customer, carrier, employee, us, time = Cause


# fmt: off
class WarehouseLifecycle(Lifecycle, name="warehouse"):
    drafted = State(initial=True)
    placing = State()
    unknown = State()
    picking = State(deadlines={"picking_late": "picking_time"})
    packed  = State()
    shipped = State(proven=True, final=True)
    refused = State(final=True)

    late = Flag()
    place_order = repeatable(kind="placement", successes=["placed"])

    place                 = edge(command, drafted.to(placing), effects=[place_order], cause=us, evidence=documented("W1"), label="place")
    placed                = edge(reply, placing.to(picking), cause=carrier, evidence=documented("W1: PUT may be repeated"), label="placed")
    placement_refused     = edge(reply, placing.to(refused), cause=carrier, evidence=documented("W1: 4xx"), label="refused")
    placement_undelivered = edge(reply, placing.to(drafted), cause=us, evidence=assumed("W1"), label="never sent")
    placement_answer_lost = edge(reply, placing.to(unknown), cause=us, evidence=assumed("W1"), label="answer lost")
    placement_resolved    = edge(operator, unknown.to(picking), cause=employee, evidence=assumed("W1"), label="found")
    picking_late          = edge(clock, picking.to(picking), cond=~late, sets={"late": True}, cause=time, evidence=assumed("W"), label="late")
    seen_packed           = edge(observation, picking.to(packed), cause=employee, evidence=documented("W2"), label="packed")
    seen_shipped          = edge(observation, packed.to(shipped), cause=carrier, evidence=documented("W2"), label="shipped")

    readings = {
        "picking": reading(consistent=[picking]),
        "packed": reading(consistent=[packed], proves=packed),
        "shipped": reading(consistent=[shipped], proves=shipped),
    }
# fmt: on


class Warehouse(BaseProvider):
    """The provider ``warehouse``; configured by the environment variable WAREHOUSE_URL."""

    name: Name = Name("warehouse")
    marks_sending: bool = True
    table: Table = WarehouseLifecycle.table
    endpoints: tuple[Endpoint, ...] = (Endpoint("hook", ("POST",), lambda parameters: Claim(None)),)
    timing: Timing = Timing({"picking_time": 0.05}, poll_first=600.0, poll_cap=600.0, poll_interval=0.01, retry_first=0.01)

    def __init__(self) -> None:
        self._client = make_client(5.0)
        self._base = check_base_url("WAREHOUSE_URL", os.environ["WAREHOUSE_URL"])

    def draft(self, request: Mapping[str, object]) -> Draft:
        items = request.get("items")
        if not isinstance(items, list) or not items:
            raise InvalidInput("items", "required, as a list")
        return Draft(self.table.defaults(), {"items": items})

    def command(self, command: str, arguments: Mapping[str, object]) -> Mapping[str, object]:
        if arguments:
            raise InvalidInput(next(iter(arguments)), "unknown argument")
        return {}

    async def perform(self, call: Call, urls: PublicUrls) -> Outcome:
        if call.effect != "place_order":
            raise UnknownName("effect", call.effect)
        order = call.order
        body = {"items": order.snapshot.data["items"], "hook": urls.url(self.name, "hook", order.id)}
        url, content = f"{self._base}/orders/{order.id}", json.dumps(body).encode()
        result = await send_request(self._client, "PUT", url, headers={}, content=content, call=call)
        return outcome_of_response(result, lambda response: Succeeded("placed", provider_id=_text(response, "number")))

    def customer_url(self, order: Order, urls: PublicUrls) -> str | None:
        return None

    async def fetch_status(self, order: Order) -> StatusRead | ReadFailed:
        result = await send_request(self._client, "GET", f"{self._base}/orders/{order.provider_id}", headers={})
        response = check_poll_response(result)
        return response if isinstance(response, ReadFailed) else StatusRead(_text(response, "state"))

    async def close(self) -> None:
        await self._client.aclose()


def _text(response: HttpResponse, name: str) -> str:
    body = response.json()
    if not isinstance(body, dict) or not isinstance(body.get(name), str):
        raise MalformedAnswer(f"{name}: missing")
    return str(body[name])


class WarehouseSimulator(Simulator):
    """The warehouse's side: the same PUT is the same order; ``move`` posts to the hook."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: dict[str, dict[str, Any]] = {}
        paths = [Route("/orders/{id}", self._put, methods=["PUT"]), Route("/orders/{id}", self._get, methods=["GET"])]
        self.asgi = self.wrap(Starlette(routes=paths))

    async def _put(self, request: Request) -> Response:
        mark_executed(request.scope)
        number = f"W-{request.path_params['id']}"
        self.orders.setdefault(number, {"state": "picking", **await request.json()})
        return JSONResponse({"number": number})

    async def _get(self, request: Request) -> Response:
        order = self.orders.get(request.path_params["id"])
        return JSONResponse({}, 404) if order is None else JSONResponse({"state": order["state"]})

    async def move(self, number: str, state: str) -> None:
        self.orders[number]["state"] = state
        await self.deliveries.send("POST", self.orders[number]["hook"])


__all__ = ["Warehouse", "WarehouseLifecycle", "WarehouseSimulator"]
