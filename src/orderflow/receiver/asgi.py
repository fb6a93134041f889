"""The ASGI app a service mounts: a thin coat around hear.py. It needs no lifespan, so it can be mounted anywhere."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from orderflow.receiver.receiver import Receiver


def asgi_app(receiver: Receiver) -> ASGIApp:
    """Redirects, callbacks and notifications of every provider, below wherever it is mounted."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError("the receiver speaks HTTP only")
        request = Request(scope, receive)
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        reply = await receiver.handle(request.method, path, scope.get("query_string", b""))
        await Response(reply.body, reply.status, dict(reply.headers))(scope, receive, send)

    return app


__all__ = ["asgi_app"]
