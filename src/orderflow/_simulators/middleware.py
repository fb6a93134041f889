"""The ASGI middleware around a simulator's app: control calls, journal, scenario header, faults. Contains only: this passage."""

from __future__ import annotations

import json
from functools import partial
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from attrs import frozen

from orderflow._simulators.clock import SimClock
from orderflow._simulators.events import EventLog
from orderflow._simulators.faults import Fault, Faults
from orderflow._simulators.hosts import is_own_host
from orderflow._simulators.journal import JOURNAL, ROW, RecordedRequest, RequestJournal
from orderflow._simulators.markup import control_headers
from orderflow._simulators.playback import JSON, Asgi, BufferedResponse, Connection, Message, Receive, Scope, Send, play
from orderflow._simulators.scenario import HEADER, HTTP_SCENARIOS, TAGS, HeaderScenarios, UnknownScenario

CONTROL: Final = "/_sim"
ROOT: Final = "orderflow.root"
"""ASGI scope: the path at which the simulator is mounted (empty, or ``/connect``), whatever is mounted inside it."""


@frozen
class SimulatorMiddleware:
    """Passes each request to ``app`` through the journal and the faults. ``control`` answers below ``/_sim``, unrecorded."""

    app: Asgi
    control: Asgi
    clock: SimClock
    faults: Faults
    journal: RequestJournal
    scenarios: HeaderScenarios
    events: EventLog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        root: str = scope.get("root_path", "")
        path: str = scope["path"]
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        scope[ROOT] = root
        if not is_own_host(scope):
            await Connection(scope, receive, _add_headers(send)).send(_reject_host())
            return
        if path == CONTROL or path.startswith(f"{CONTROL}/"):
            await self.control(scope, receive, _add_headers(send))
            return
        request = await self._record(scope, path, receive)
        connection = Connection(scope, receive, send)
        try:
            fault = self._choose_fault(scope, request)
        except UnknownScenario as unknown:
            status: int | None = await connection.send(_reject_scenario(str(unknown)))
        else:
            status = await self._answer(fault, request, connection)
        self.journal.update(request.n, answered=status)
        self.events.record("request", n=request.n, method=request.method, path=path, answered=status)

    async def _record(self, scope: Scope, path: str, receive: Receive) -> RecordedRequest:
        """Read the request and add it to the journal."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        body = await _read_body(receive)
        request = self.journal.add(RecordedRequest(self.clock.now(), scope["method"], path, query, headers, body))
        scope[JOURNAL], scope[ROW] = self.journal, request.n
        return request

    def _choose_fault(self, scope: Scope, request: RecordedRequest) -> Fault | None:
        """The header's fault, else an armed one. The header's tags go into the scope, where the endpoints read them."""
        if header := request.headers.get(HEADER, ""):
            scenario = self.scenarios.read(header, request.method, request.path, request.body)
            scope[TAGS] = scenario.tags
            self.journal.update(request.n, played=f"header {header}")
            if scenario.fault is not None:
                return scenario.fault
        fault = self.faults.take(request.method, request.path)
        if fault is not None:
            self.journal.update(request.n, played=f"armed {fault.kind}")
        return fault

    async def _answer(self, fault: Fault | None, request: RecordedRequest, connection: Connection) -> int | None:
        call_app = partial(self._call_app, request, connection)
        return await connection.send(await call_app()) if fault is None else await play(fault, connection, call_app)

    async def _call_app(self, request: RecordedRequest, connection: Connection) -> BufferedResponse:
        response = BufferedResponse()
        unread = [request.body]

        async def receive() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return await connection.receive()

        scope = connection.scope
        mounted_at = scope.get("endpoint")
        await self.app(scope, receive, response.receive)
        # Starlette sets another "endpoint" if it finds a route
        without_route = response.status == HTTPStatus.NOT_FOUND and scope.get("endpoint") is mounted_at
        if request.path == "/" and request.method in {"GET", "HEAD"} and without_route:
            return BufferedResponse(303, [(b"location", quote(f"{scope[ROOT]}{CONTROL}/").encode())])
        return response


def _add_headers(send: Send) -> Send:
    """A ``send`` that adds the headers which keep a browser from doing more with an answer than showing it."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            names = {name.lower() for name, _ in own}
            added = [(name.encode(), value.encode()) for name, value in control_headers().items() if name.encode() not in names]
            message = {**message, "headers": [*own, *added]}
        await send(message)

    return send_with_headers


def _reject_host() -> BufferedResponse:
    body = {"simulator": "it listens on this machine only, and answers to localhost and IP addresses, to no other Host"}
    return BufferedResponse(421, [(b"content-type", JSON)], json.dumps(body).encode())


async def _read_body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


def _reject_scenario(item: str) -> BufferedResponse:
    """The simulator's own answer, not the provider's: a misspelt scenario must not pass for success."""
    body = {"simulator": f"{HEADER}: unknown item {item!r}", "http": list(HTTP_SCENARIOS), "more": f"{CONTROL}/scenarios"}
    return BufferedResponse(400, [(b"content-type", JSON)], json.dumps(body).encode())
