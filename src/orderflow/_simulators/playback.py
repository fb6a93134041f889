"""Carries a fault out on a connection. Contains only: buffered responses, the connection of one request, and ``play``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from attrs import define, field, frozen

from orderflow._serving import ABORT, CLOSE, CLOSING
from orderflow._simulators.faults import Fault
from orderflow.errors import ConfigurationError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

SLOW_PIECES: Final = 8
JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"
STOCK: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "status-html": (HTML, b"<!doctype html><title>Error</title><h1>Error</h1>"),
    "garbage": (JSON, b'{"cut": \x00\xff'),
    "html": (HTML, b"<!doctype html><title>Sorry</title><h1>We will be right back</h1>"),
    "xml": (b"application/xml", b'<?xml version="1.0"?><error><message>internal</message></error>'),
}
"""The content type and the body of an answer that a fault makes, by kind; all other kinds answer with JSON and no body."""


@define
class BufferedResponse:
    """The whole response of an ASGI app, held back so that a fault can replace it or send only a part of it."""

    status: int = 500
    headers: Headers = field(factory=list)
    body: bytes = b""

    async def receive(self, message: Message) -> None:
        """Add a message of the app: its ``send``."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


def make_response(fault: Fault) -> BufferedResponse:
    """The answer that a fault makes by itself. Kinds without a status code answer with 200."""
    media, stock = STOCK.get(fault.kind, (JSON, b""))
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fault.headers.items()]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", media))
    status = fault.status if fault.kind.startswith("status") else 200
    return BufferedResponse(status, headers, b"" if fault.kind == "status-empty" else fault.body or stock)


@frozen
class Connection:
    """The connection of one request. Each ``send`` returns the status code that was sent."""

    scope: Scope
    receive: Receive
    _send: Send

    async def send(self, response: BufferedResponse) -> int:
        """Send the whole response."""
        await self._start(response)
        await self._send({"type": "http.response.body", "body": response.body, "more_body": False})
        return response.status

    async def send_half(self, response: BufferedResponse) -> int:
        """Send half of the body, below the Content-Length of the whole, and close the connection."""
        await self._start(response)
        await self._send({"type": "http.response.body", "body": response.body[: len(response.body) // 2], "more_body": True})
        await self._break(CLOSE)
        return response.status

    async def send_slowly(self, response: BufferedResponse, seconds: float) -> int:
        """Send the body in pieces over so many real seconds."""
        size = max(1, -(-len(response.body) // SLOW_PIECES))
        pieces = [response.body[start : start + size] for start in range(0, len(response.body), size)]
        await self._start(response)
        await self._send({"type": "http.response.body", "body": b"", "more_body": True})
        for piece in pieces:
            await self.pause(seconds / len(pieces))
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        return response.status

    async def pause(self, seconds: float) -> None:
        """Wait real seconds; less if the server stops: a client that hung up must not keep it from stopping."""
        closing = self._closing() or asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await closing.wait()
        except TimeoutError:
            pass

    async def reset(self) -> None:
        """Reset the connection. Raises ConfigurationError without a socket."""
        await self._break(ABORT)

    async def hang(self) -> None:
        """Send nothing until the client hangs up or the server stops. Raises ConfigurationError without a socket."""
        closing = self._closing()
        if closing is None:
            raise ConfigurationError("a request that is never answered needs a socket: run the simulator under orderflow.simulators.serve")
        gone = asyncio.ensure_future(self._wait_for_disconnect())
        stopped = asyncio.ensure_future(closing.wait())
        try:
            await asyncio.wait({gone, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            stopped.cancel()
        # an ASGI app must answer; the client is gone, so that closing is enough
        self.scope["extensions"][ABORT]()

    async def _start(self, response: BufferedResponse) -> None:
        headers = [(name, value) for name, value in response.headers if name.lower() != b"content-length"]
        # a 204 or 304 has no body and must not announce one
        if response.body or response.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(response.body)))
        await self._send({"type": "http.response.start", "status": response.status, "headers": headers})

    async def _break(self, extension: str) -> None:
        break_connection = self.scope.get("extensions", {}).get(extension)
        if break_connection is None:
            raise ConfigurationError("a broken connection needs a socket: run the simulator under orderflow.simulators.serve")
        break_connection()
        # stay until the server has noticed, else it takes the missing answer for a crash of the app
        await self._wait_for_disconnect()

    async def _wait_for_disconnect(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def _closing(self) -> asyncio.Event | None:
        event: asyncio.Event | None = self.scope.get("extensions", {}).get(CLOSING)
        return event


async def play(fault: Fault, connection: Connection, call_app: Callable[[], Awaitable[BufferedResponse]]) -> int | None:
    """Answer a request as the fault demands. ``call_app`` lets the provider act and returns its response.

    Returns the status code that was sent; None if none was sent.
    """
    match fault.kind:
        case "status" | "status-html" | "status-empty":
            return await connection.send(make_response(fault))
        case "reset":
            await connection.reset()
            return None
        case "timeout":
            await connection.hang()
            return None
        case "delay":
            await connection.pause(fault.seconds)
            return await connection.send(await call_app())
    response = await call_app()
    match fault.kind:
        case "reset-after-commit":
            await connection.reset()
            return None
        case "timeout-after-commit":
            await connection.hang()
            return None
        case "cut-body":
            return await connection.send_half(response)
        case "slow":
            return await connection.send_slowly(response, fault.seconds)
    return await connection.send(make_response(fault))
