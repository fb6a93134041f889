"""The control calls below ``/_sim``: what a test in any language may do to a simulator, over HTTP.

Contains only: these calls, a class for each part of a simulator that they need. pages.py has the pages for people.
Bodies and answers are JSON; json_calls.py has the errors.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from types import NoneType
from typing import Any, Final, get_args

import attrs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from orderflow._serving import CLOSING, end_on_shutdown
from orderflow._simulators.clock import SimClock
from orderflow._simulators.deliveries import Deliveries, DeliveryFaultKind
from orderflow._simulators.events import EventLog, SimulatorEvent
from orderflow._simulators.faults import KINDS, STATUS_CODES, WITH_STATUS, Fault, Faults, matches
from orderflow._simulators.hosts import is_from_another_site
from orderflow._simulators.journal import RecordedRequest, RequestJournal
from orderflow._simulators.json_calls import json_route, read_object
from orderflow._simulators.near_misses import find_near_misses
from orderflow._simulators.operations import Operation, openapi_document
from orderflow._simulators.playback import Asgi, Receive, Scope, Send
from orderflow._simulators.scenario import HTTP_SCENARIOS, ErrorResponse, make_fault
from orderflow._simulators.switches import Switchboard
from orderflow._simulators.views import Magic, SimulatedOrders
from orderflow.errors import InvalidInput

_PERIOD: Final = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_DELIVERY_KINDS: Final = get_args(DeliveryFaultKind)
_FAULT_FIELDS: Final = (*(field.name for field in attrs.fields(Fault)), "retry_after")
_FIELD_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "match": (str,),
    "status": (int,),
    "headers": (dict,),
    "body": (str,),
    "seconds": (int, float),
    "times": (int, NoneType),
    "chance": (int, float),
    "retry_after": (int, float, str),
}


def control_app(routes: Iterable[Route]) -> Asgi:
    """The ASGI app of these routes below ``/_sim``. A request that a browser sends for another site's page gets a 403."""
    app = Starlette(routes=[Mount("/_sim", routes=list(routes))])

    async def reject_other_sites(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in {"GET", "HEAD"} and is_from_another_site(scope):
            await JSONResponse({"error": "not from another site"}, 403)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return reject_other_sites


class TimeCalls:
    """``/clock`` and ``/reset``. ``advance`` moves the whole simulator forward, ``reset`` empties it."""

    def __init__(self, clock: SimClock, advance: Callable[[float], Awaitable[None]], reset: Callable[[], None]) -> None:
        self._clock = clock
        self._advance = advance
        self._reset = reset

    def routes(self) -> list[Route]:
        """Every call."""
        return [
            json_route("GET", "/clock", self._show),
            json_route("POST", "/clock", self._set),
            json_route("POST", "/reset", self._reset_all),
        ]

    async def _show(self, _: Request) -> object:
        return {"now": self._clock.now(), "manual": self._clock.manual}

    async def _set(self, request: Request) -> object:
        body = await read_object(request, ("advance", "manual"))
        seconds = parse_period(body["advance"]) if "advance" in body else None
        if "manual" in body:
            if not isinstance(body["manual"], bool):
                raise InvalidInput("manual", "must be true or false")
            self._clock.set_manual(body["manual"])
        if seconds is not None:
            await self._advance(seconds)
        return await self._show(request)

    async def _reset_all(self, _: Request) -> object:
        self._reset()
        return {"reset": True}


def parse_period(period: object) -> float:
    """Seconds of a number, or of an ISO 8601 duration such as ``PT30M`` or ``P1DT2H``. Raises InvalidInput."""
    if isinstance(period, int | float) and not isinstance(period, bool) and 0 <= period < float("inf"):
        return float(period)
    parts = _PERIOD.fullmatch(period) if isinstance(period, str) else None
    if parts is None or not any(parts.groups()):
        raise InvalidInput("advance", "must be seconds or an ISO 8601 duration such as PT30M")
    return sum(float(part or 0) * scale for part, scale in zip(parts.groups(), (86400, 3600, 60, 1), strict=True))


class OrderCalls:
    """``/orders``: show them and move them."""

    def __init__(self, orders: SimulatedOrders, wait_until_idle: Callable[[], Awaitable[None]]) -> None:
        self._orders = orders
        self._wait_until_idle = wait_until_idle

    def routes(self) -> list[Route]:
        """Every call."""
        return [
            json_route("GET", "/orders", self._list),
            json_route("GET", "/orders/{order_id}", self._show),
            json_route("POST", "/orders/{order_id}/transition", self._move),
        ]

    async def _list(self, _: Request) -> object:
        return {"orders": [attrs.asdict(view) for view in self._orders.order_views()]}

    async def _show(self, request: Request) -> object:
        order_id = request.path_params["order_id"]
        views = {view.id: view for view in self._orders.order_views()}
        return attrs.asdict(views[order_id])

    async def _move(self, request: Request) -> object:
        body = await read_object(request, ("to", "force"))
        if not isinstance(body.get("to"), str):
            raise InvalidInput("to", "must be text")
        self._orders.transition(request.path_params["order_id"], body["to"], force=body.get("force") is True)
        await self._wait_until_idle()
        return await self._show(request)


class RequestCalls:
    """``/requests``: the journal."""

    def __init__(self, journal: RequestJournal) -> None:
        self._journal = journal

    def routes(self) -> list[Route]:
        """Every call."""
        return [json_route("GET", "/requests", self._list), json_route("DELETE", "/requests", self._clear)]

    async def _list(self, request: Request) -> object:
        query = request.query_params
        if near := query.get("near"):
            body = json.loads(query["body"]) if "body" in query else None
            misses = find_near_misses(self._journal.rows, near, body)
            return {"near": [{"score": miss.score, "differs": miss.differs, "request": _request_as_json(miss.row)} for miss in misses]}
        match = query.get("match", "")
        return {"requests": [_request_as_json(row) for row in self._journal.rows if matches(match, row.method, row.path)]}

    async def _clear(self, _: Request) -> object:
        self._journal.clear()
        return {"requests": []}


def _request_as_json(row: RecordedRequest) -> dict[str, object]:
    return {**attrs.asdict(row), "headers": dict(row.headers), "body": row.body.decode("utf-8", "replace")}


class FaultCalls:
    """``/faults``: arm faults and clear them."""

    def __init__(self, faults: Faults, error_response: ErrorResponse) -> None:
        self._faults = faults
        self._error_response = error_response

    def routes(self) -> list[Route]:
        """Every call."""
        return [
            json_route("GET", "/faults", self._list),
            json_route("POST", "/faults", self._arm),
            json_route("DELETE", "/faults", self._clear),
        ]

    async def _list(self, _: Request) -> object:
        armed = [{**attrs.asdict(fault), "body": fault.body.decode("utf-8", "replace")} for fault in self._faults.armed]
        return {"faults": armed, "kinds": list(KINDS)}

    async def _arm(self, request: Request) -> object:
        self._faults.arm(read_fault(await read_object(request, _FAULT_FIELDS), self._error_response))
        return await self._list(request)

    async def _clear(self, request: Request) -> object:
        self._faults.clear()
        return await self._list(request)


def read_fault(fields: Mapping[str, Any], error_response: ErrorResponse) -> Fault:
    """A fault from JSON: the fields of ``Fault``, and ``retry_after`` for that header.

    Without ``kind`` it is a ``status``. The ``status`` kinds get the provider's error body and headers where none are given.
    Raises InvalidInput.
    """
    _check_types(fields)
    given = {"kind": "status", "status": 500, **fields}
    if given["kind"] not in KINDS:
        raise InvalidInput("kind", f"must be one of {', '.join(KINDS)}")
    if given["kind"] in WITH_STATUS and given["status"] not in STATUS_CODES:
        raise InvalidInput("status", "must be a status code")
    fault = make_fault(given["kind"], given["status"], error_response)
    headers = {**fault.headers, **given.pop("headers", {})}
    if "retry_after" in given:
        headers["retry-after"] = given.pop("retry_after")
    body = given.pop("body").encode() if "body" in given else fault.body
    return attrs.evolve(fault, **given, body=body, headers={name: str(value) for name, value in headers.items()})


def _check_types(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        types = _FIELD_TYPES.get(name, (object,))
        if not isinstance(value, types) or isinstance(value, bool):
            raise InvalidInput(name, f"must be {' or '.join(type_.__name__ for type_ in types)}")


class DeliveryCalls:
    """``/deliveries``: the sent callbacks and notifications, and their faults."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries

    def routes(self) -> list[Route]:
        """Every call."""
        return [
            json_route("GET", "/deliveries", self._list),
            json_route("POST", "/deliveries", self._arm),
            json_route("DELETE", "/deliveries", self._clear),
        ]

    async def _list(self, _: Request) -> object:
        return {"deliveries": [attrs.asdict(row) for row in self._deliveries.rows], "armed": self._deliveries.armed}

    async def _arm(self, request: Request) -> object:
        body = await read_object(request, ("kind", "match", "times", "seconds", "chance"))
        if body.get("kind") not in _DELIVERY_KINDS:
            raise InvalidInput("kind", f"must be one of {', '.join(_DELIVERY_KINDS)}")
        _check_types(body)
        self._deliveries.arm(**body)
        return await self._list(request)

    async def _clear(self, request: Request) -> object:
        self._deliveries.clear()
        return await self._list(request)


class SwitchCalls:
    """``/switches`` and ``/scenarios``: what may be asked of the simulator."""

    def __init__(self, switchboard: Switchboard, magic: tuple[Magic, ...]) -> None:
        self._switchboard = switchboard
        self._magic = magic

    def routes(self) -> list[Route]:
        """Every call."""
        return [
            json_route("GET", "/switches", self._list),
            json_route("POST", "/switches", self._set),
            json_route("GET", "/scenarios", self._list_scenarios),
        ]

    async def _list(self, _: Request) -> object:
        return {"switches": self._switchboard.switches()}

    async def _set(self, request: Request) -> object:
        for name, value in (await read_object(request)).items():
            self._switchboard.set_switch(name, value)
        return await self._list(request)

    async def _list_scenarios(self, _: Request) -> object:
        return {"header": dict(HTTP_SCENARIOS), "values": [attrs.asdict(magic) for magic in self._magic]}


class DescriptionCalls:
    """``/openapi.json``: the operations that the simulator answers."""

    def __init__(
        self, name: str, operations: Callable[[], Iterable[Operation]], schemes: Callable[[], Mapping[str, dict[str, Any]]]
    ) -> None:
        self._name = name
        self._operations = operations
        self._schemes = schemes

    def routes(self) -> list[Route]:
        """The one call."""
        return [json_route("GET", "/openapi.json", self._describe)]

    async def _describe(self, request: Request) -> object:
        document = openapi_document(self._name, self._operations(), self._schemes())
        root = request.scope["root_path"].removesuffix("/_sim")
        return {**document, "servers": [{"url": root or "/"}]}


class EventCalls:
    """``/events``: a feed of server-sent events, resumed after the client's ``Last-Event-ID``."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    def routes(self) -> list[Route]:
        """The one call."""
        return [Route("/events", self._follow, methods=["GET"])]

    async def _follow(self, request: Request) -> Response:
        last = request.headers.get("last-event-id", request.query_params.get("after", "0"))
        events = self._events.follow(int(last) if last.isdigit() else 0)
        lines = _format_events(end_on_shutdown(events, request.scope.get("extensions", {}).get(CLOSING)))
        return StreamingResponse(lines, media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _format_events(events: AsyncIterator[SimulatorEvent]) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for event in events:
        data = json.dumps({"at": event.at, **event.data})
        yield f"id: {event.n}\nevent: {event.kind}\ndata: {data}\n\n"
