"""The guard around a simulator's app: each request passes the control calls, the journal, the scenario header and the faults.
What may live here: this passage, and acting a fault out on the connection. No endpoint, no status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from attrs import define, field

from orderflow.errors import ConfigurationError
from orderflow.serving import ABORT, CLOSE, CLOSING
from orderflow.simulators.clock import SimClock
from orderflow.simulators.faults import Fault, Faults
from orderflow.simulators.journal import JOURNAL, ROW, Received, RequestJournal
from orderflow.simulators.scenario import HEADER, HTTP_SCENARIOS, TAGS, HeaderScenarios, UnknownScenario

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

CONTROL = "/_sim"
ROOT = "orderflow.root"
"""ASGI scope: where the simulator is mounted (empty, or ``/connect``), whatever is mounted inside of it."""
SLOW_PIECES = 8
STOCK: Mapping[str, tuple[bytes, bytes]] = {
    "garbage": (b"application/json", b'{"cut": \x00\xff'),
    "html": (b"text/html; charset=utf-8", b"<!doctype html><title>Sorry</title><h1>We will be right back</h1>"),
    "xml": (b"application/xml", b'<?xml version="1.0"?><error><message>internal</message></error>'),
    "empty": (b"application/json", b""),
}


@define
class _Answer:
    """What the app answered, held back so that a fault can spoil it."""

    status: int = 500
    headers: Headers = field(factory=list)
    body: bytes = b""

    async def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


@define
class Guard:
    """An app behind the journal and what is to go wrong; ``control`` answers below ``/_sim`` and is not recorded."""

    app: Asgi
    control: Asgi
    clock: SimClock
    faults: Faults
    journal: RequestJournal
    scenarios: HeaderScenarios
    tell: Callable[..., None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        root, method = scope.get("root_path", ""), scope["method"]
        path: str = scope["path"]
        if root and path.startswith(f"{root}/"):
            path = path[len(root) :]
        scope[ROOT] = root
        if path == CONTROL or path.startswith(f"{CONTROL}/"):
            await self.control(scope, receive, send)
            return
        body = await _read(receive)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        n = self.journal.enter(Received(self.clock.now(), method, path, query, headers, body))
        scope[JOURNAL], scope[ROW] = self.journal, n
        try:
            fault = self._fault(scope, n, headers.get(HEADER, ""), path, body)
        except UnknownScenario as unknown:
            answered: int | None = await _send(send, _lost(str(unknown)))
        else:
            answered = await self._exchange(fault, scope, body, receive, send)
        self.journal.amend(n, answered=answered)
        self.tell("request", n=n, method=method, path=path, answered=answered)

    def _fault(self, scope: Scope, n: int, header: str, path: str, body: bytes) -> Fault | None:
        """The header's mishap, else an armed one. The header may bring tags as well, which the endpoints read."""
        method: str = scope["method"]
        if header:
            told = self.scenarios.read(header, method, path, body)
            scope[TAGS] = told.tags
            self.journal.amend(n, played=f"header {header}")
            if told.fault is not None:
                return told.fault
        fault = self.faults.take(method, path)
        if fault is not None:
            self.journal.amend(n, played=f"armed {fault.kind}")
        return fault

    async def _exchange(self, fault: Fault | None, scope: Scope, body: bytes, receive: Receive, send: Send) -> int | None:
        if fault is None:
            return await _send(send, await self._act(scope, body, receive))
        if fault.kind == "status":
            return await _send(send, _told(fault, fault.status, fault.body))
        if fault.kind == "cut_before":
            await _cut(scope, receive, ABORT)
            return None
        if fault.kind == "hang":
            await _hang(scope, receive)
            return None
        if fault.kind == "delay":
            await _pause(scope, fault.seconds)
        answer = await self._act(scope, body, receive)
        return await _spoil(fault, answer, scope, receive, send)

    async def _act(self, scope: Scope, body: bytes, receive: Receive) -> _Answer:
        answer = _Answer()
        unread = [body]

        async def replay() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return await receive()

        await self.app(scope, replay, answer.take)
        return answer


async def _read(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _pause(scope: Scope, seconds: float) -> None:
    """Real seconds, cut short when the server stops: a caller that hung up must not hold the server open."""
    closing: asyncio.Event = scope.get("extensions", {}).get(CLOSING) or asyncio.Event()
    try:
        async with asyncio.timeout(seconds):
            await closing.wait()
    except TimeoutError:
        pass


async def _send(send: Send, answer: _Answer, body: bytes | None = None, *, more: bool = False) -> int:
    """Send an answer; ``body`` stands in for its body, with Content-Length still that of the whole."""
    headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
    # a 204 or 304 has no body and must not announce one
    if answer.body or answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if body is None else body, "more_body": more})
    return answer.status


async def _drip(scope: Scope, send: Send, answer: _Answer, seconds: float) -> int:
    size = max(1, -(-len(answer.body) // SLOW_PIECES))
    pieces = [answer.body[start : start + size] for start in range(0, len(answer.body), size)]
    await _send(send, answer, b"", more=True)
    for piece in pieces:
        await _pause(scope, seconds / len(pieces))
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
    return answer.status


async def _hang(scope: Scope, receive: Receive) -> None:
    """Stay silent until the caller hangs up or the server stops."""
    closing: asyncio.Event | None = scope.get("extensions", {}).get(CLOSING)
    if closing is None:
        raise ConfigurationError("silence needs a real socket: run the simulator under simkit.serve")
    gone = asyncio.ensure_future(_gone(receive))
    stopped = asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait({gone, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        stopped.cancel()
    # an ASGI app must answer; by now nobody listens
    scope["extensions"][ABORT]()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cut(scope: Scope, receive: Receive, how: str) -> None:
    cut = scope.get("extensions", {}).get(how)
    if cut is None:
        raise ConfigurationError("a cut connection needs a real socket: run the simulator under simkit.serve")
    cut()
    # stay until the server has noticed, else it takes our silence for a crash
    await _gone(receive)


def _lost(item: str) -> _Answer:
    """The simulator's own word, not the provider's: a scenario misspelt must not pass for success."""
    said = {"simulator": f"{HEADER}: nothing is called {item!r}", "http": list(HTTP_SCENARIOS), "more": f"{CONTROL}/scenarios"}
    return _Answer(400, [(b"content-type", b"application/json")], json.dumps(said).encode())


def _told(fault: Fault, status: int, body: bytes, media: bytes = b"application/json") -> _Answer:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fault.headers.items()]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", media))
    return _Answer(status, headers, body)


async def _spoil(fault: Fault, answer: _Answer, scope: Scope, receive: Receive, send: Send) -> int | None:
    """Answer after the provider has acted, as the fault would have it."""
    match fault.kind:
        case "cut_after":
            await _cut(scope, receive, ABORT)
            return None
        case "hang_after":
            await _hang(scope, receive)
            return None
        case "cut_body":
            await _send(send, answer, answer.body[: len(answer.body) // 2], more=True)
            await _cut(scope, receive, CLOSE)
            return answer.status
        case "slow":
            return await _drip(scope, send, answer, fault.seconds)
        case "status_after":
            return await _send(send, _told(fault, fault.status, fault.body))
        case "garbage" | "html" | "xml" | "empty":
            media, stock = STOCK[fault.kind]
            return await _send(send, _told(fault, 200, fault.body or stock, media))
    return await _send(send, answer)
