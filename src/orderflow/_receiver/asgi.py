"""The receiver as an ASGI app. It needs no lifespan, so it can be mounted anywhere."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orderflow._receiver.receiver import Receiver


def asgi_app(receiver: Receiver) -> ASGIApp:
    """An ASGI app for the endpoints of every provider, wherever it is mounted."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # anybody may send one: it is refused, as ASGI wants it, with a 403
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise NotImplementedError("the receiver speaks HTTP only")
        request = Request(scope, receive)
        reply = await receiver.handle(request.method, scope["path"], scope.get("query_string", b""))
        await Response(reply.body, reply.status, dict(reply.headers))(scope, receive, send)

    return app
