"""The control calls below ``/_sim``: everything a test may do to a simulator, over HTTP. What may live here: these calls and
the reading of their bodies. The pages for people are ``pages.py``'s.

All bodies and answers are JSON; a body that makes no sense is 400 ``{"error": ...}``, an order nobody knows 404, a move the
provider would not make 409. A request that a browser sends from another site is 403.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from orderflow.errors import InvalidInput, UnknownName
from orderflow.serving import CLOSING, until
from orderflow.simulators.events import Event
from orderflow.simulators.faults import KINDS, Fault, matches
from orderflow.simulators.journal import Received
from orderflow.simulators.operations import document
from orderflow.simulators.pages import Pages
from orderflow.simulators.scenario import HTTP_SCENARIOS, http_fault

if TYPE_CHECKING:
    from orderflow.simulators.simulator import Simulator

Act = Callable[[Request], Awaitable[object]]
PERIOD = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
DELIVERIES = ("drop", "duplicate", "delay")


def seconds_of(period: object) -> float:
    """Seconds of a number, or of an ISO 8601 duration such as ``PT30M`` or ``P1DT2H``. Raises InvalidInput."""
    if isinstance(period, int | float) and not isinstance(period, bool) and 0 <= period < float("inf"):
        return float(period)
    found = PERIOD.fullmatch(period) if isinstance(period, str) else None
    if found is None or not any(found.groups()):
        raise InvalidInput("advance", "must be seconds or an ISO 8601 duration such as PT30M")
    return sum(float(part or 0) * scale for part, scale in zip(found.groups(), (86400, 3600, 60, 1), strict=True))


class Control:
    """The app below ``/_sim``: pages and control calls of one simulator."""

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        calls: tuple[tuple[str, str, Act], ...] = (
            ("POST", "/reset", self._reset),
            ("GET", "/clock", self._clock),
            ("POST", "/clock", self._turn_clock),
            ("GET", "/orders", self._orders),
            ("GET", "/orders/{order_id}", self._order),
            ("POST", "/orders/{order_id}/transition", self._transition),
            ("GET", "/requests", self._requests),
            ("DELETE", "/requests", self._forget_requests),
            ("GET", "/faults", self._faults),
            ("POST", "/faults", self._arm),
            ("DELETE", "/faults", self._disarm),
            ("GET", "/deliveries", self._deliveries),
            ("POST", "/deliveries", self._arm_delivery),
            ("DELETE", "/deliveries", self._disarm_deliveries),
            ("GET", "/scenarios", self._scenarios),
            ("GET", "/switches", self._switches),
            ("POST", "/switches", self._turn),
            ("GET", "/openapi.json", self._openapi),
        )
        routes = [Route(path, _answering(act), methods=[method]) for method, path, act in calls]
        routes.append(Route("/events", self._events, methods=["GET"]))
        app = Starlette(routes=[Mount("/_sim", routes=[*routes, *Pages(sim).routes()])])

        async def own_site_only(scope: Any, receive: Any, send: Any) -> None:
            # a page somewhere in the web must not be able to press our buttons
            if scope["method"] not in {"GET", "HEAD"} and dict(scope["headers"]).get(b"sec-fetch-site") == b"cross-site":
                await JSONResponse({"error": "not from another site"}, 403)(scope, receive, send)
            else:
                await app(scope, receive, send)

        self.asgi = own_site_only

    # ---------------------------------------------------------------- the whole

    async def _reset(self, _: Request) -> object:
        self._sim.reset()
        return {"reset": True}

    async def _clock(self, _: Request) -> object:
        return {"now": self._sim.clock.now(), "manual": self._sim.clock.manual}

    async def _turn_clock(self, request: Request) -> object:
        body = await _body(request, "advance", "manual")
        period = seconds_of(body["advance"]) if "advance" in body else None
        if "manual" in body:
            if not isinstance(body["manual"], bool):
                raise InvalidInput("manual", "must be true or false")
            self._sim.clock.stand(body["manual"])
        if period is not None:
            await self._sim.advance(period)
        return await self._clock(request)

    async def _scenarios(self, _: Request) -> object:
        return {"header": dict(HTTP_SCENARIOS), "values": [attrs.asdict(magic) for magic in self._sim.MAGIC]}

    async def _switches(self, _: Request) -> object:
        return {"switches": self._sim.switches()}

    async def _turn(self, request: Request) -> object:
        for name, value in (await _body(request)).items():
            self._sim.turn(name, value)
        return await self._switches(request)

    async def _openapi(self, request: Request) -> object:
        made = document(self._sim.NAME, self._sim.operations(), self._sim.schemes())
        root = request.scope["root_path"].removesuffix("/_sim")
        return {**made, "servers": [{"url": root or "/"}]}

    async def _events(self, request: Request) -> Response:
        last = request.headers.get("last-event-id", request.query_params.get("after", "0"))
        after = int(last) if last.isdigit() else 0
        feed = until(request.scope.get("extensions", {}).get(CLOSING), self._sim.events.follow(after))
        headers = {"cache-control": "no-store"}
        return StreamingResponse(_lines(feed), media_type="text/event-stream", headers=headers)

    # ---------------------------------------------------------------- orders

    async def _orders(self, _: Request) -> object:
        return {"orders": [attrs.asdict(view) for view in self._sim.views()]}

    async def _order(self, request: Request) -> object:
        wanted = request.path_params["order_id"]
        return next((attrs.asdict(view) for view in self._sim.views() if view.id == wanted), None) or _unknown(wanted)

    async def _transition(self, request: Request) -> object:
        body = await _body(request, "to", "force")
        if not isinstance(body.get("to"), str):
            raise InvalidInput("to", "must be text")
        self._sim.transition(request.path_params["order_id"], body["to"], force=body.get("force") is True)
        await self._sim.quiet()
        return await self._order(request)

    # ---------------------------------------------------------------- requests

    async def _requests(self, request: Request) -> object:
        query = request.query_params
        if near := query.get("near"):
            body = json.loads(query["body"]) if "body" in query else None
            found = self._sim.journal.near(near, body)
            return {"near": [{"score": one.score, "differs": one.differs, "request": _row(one.row)} for one in found]}
        match = query.get("match", "")
        return {"requests": [_row(row) for row in self._sim.journal.rows if matches(match, row.method, row.path)]}

    async def _forget_requests(self, _: Request) -> object:
        self._sim.journal.clear()
        return {"requests": []}

    # ---------------------------------------------------------------- mishaps

    async def _faults(self, _: Request) -> object:
        armed = [{**attrs.asdict(fault), "body": fault.body.decode("utf-8", "replace")} for fault in self._sim.faults.armed]
        return {"faults": armed, "kinds": list(KINDS)}

    async def _arm(self, request: Request) -> object:
        self._sim.faults.arm(fault_of(await _body(request), self._sim))
        return await self._faults(request)

    async def _disarm(self, request: Request) -> object:
        self._sim.faults.clear()
        return await self._faults(request)

    async def _deliveries(self, _: Request) -> object:
        return {"deliveries": [attrs.asdict(row) for row in self._sim.deliveries.rows], "armed": self._sim.deliveries.armed}

    async def _arm_delivery(self, request: Request) -> object:
        body = await _body(request, "kind", "match", "times", "seconds", "chance")
        if body.get("kind") not in DELIVERIES:
            raise InvalidInput("kind", f"must be one of {', '.join(DELIVERIES)}")
        self._sim.deliveries.arm(**body)
        return await self._deliveries(request)

    async def _disarm_deliveries(self, request: Request) -> object:
        self._sim.deliveries.clear()
        return await self._deliveries(request)


def fault_of(told: Mapping[str, Any], sim: Simulator) -> Fault:
    """A fault as a control call tells it: a scenario's name under ``scenario`` (``429``, ``reset-after-commit``), or ``kind``
    with its fields; ``status`` alone means kind ``status``; ``retry_after`` adds that header. Raises InvalidInput."""
    given = dict(told)
    scenario, retry_after = given.pop("scenario", None), given.pop("retry_after", None)
    named = http_fault(str(scenario), sim.refusal) if scenario is not None else None
    if scenario is not None and named is None:
        raise InvalidInput("scenario", f"must be one of {', '.join(HTTP_SCENARIOS)}")
    if named is None and "kind" not in given:
        headers, body = sim.refusal(given.get("status", 500))
        named = Fault("", "status", headers=headers, body=body)
    if isinstance(given.get("body"), str):
        given["body"] = given["body"].encode()
    if retry_after is not None:
        base = named.headers if named else {}
        given["headers"] = {**base, **given.get("headers", {}), "retry-after": str(retry_after)}
    try:
        return attrs.evolve(named, **given) if named is not None else Fault(**{"match": "", **given})
    except (TypeError, ValueError) as wrong:
        raise InvalidInput("fault", str(wrong)) from None


def _answering(act: Act) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await act(request))
        except KeyError as unknown:
            return JSONResponse({"error": f"no order {unknown.args[0]!r}"}, 404)
        except (InvalidInput, UnknownName) as wrong:
            return JSONResponse({"error": str(wrong)}, 400)
        except json.JSONDecodeError:
            return JSONResponse({"error": "body: not JSON"}, 400)
        except ValueError as illegal:
            return JSONResponse({"error": str(illegal)}, 409)

    return endpoint


async def _body(request: Request, *names: str) -> dict[str, Any]:
    body = json.loads(await request.body() or b"{}")
    if not isinstance(body, dict):
        raise InvalidInput("body", "must be an object")
    if names and (strange := sorted(set(body) - set(names))):
        raise InvalidInput(strange[0], f"must be one of {', '.join(names)}")
    return body


def _unknown(order_id: str) -> object:
    raise KeyError(order_id)


def _row(row: Received) -> dict[str, object]:
    shown = attrs.asdict(row)
    return {**shown, "headers": dict(row.headers), "body": row.body.decode("utf-8", "replace")}


async def _lines(feed: AsyncIterator[Event]) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    async for event in feed:
        data = json.dumps({"at": event.at, **event.data})
        yield f"id: {event.n}\nevent: {event.kind}\ndata: {data}\n\n"
