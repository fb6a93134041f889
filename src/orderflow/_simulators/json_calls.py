"""JSON over HTTP for the control calls. Contains only: bodies in, answers and errors out; no call."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orderflow.errors import InvalidInput, UnknownName


def json_route(method: str, path: str, call: Callable[[Request], Awaitable[object]]) -> Route:
    """A route that answers with the JSON that ``call`` returns.

    Errors become ``{"error": ...}``: InvalidInput, UnknownName and a body that is not JSON with 400, KeyError (an unknown order) with
    404, ValueError (a move the provider would not make) with 409.
    """

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await call(request))
        except KeyError as unknown:
            return JSONResponse({"error": f"no order {unknown.args[0]!r}"}, 404)
        except (InvalidInput, UnknownName) as invalid:
            return JSONResponse({"error": str(invalid)}, 400)
        except json.JSONDecodeError:
            return JSONResponse({"error": "body: not JSON"}, 400)
        except ValueError as illegal:
            return JSONResponse({"error": str(illegal)}, 409)

    return Route(path, endpoint, methods=[method])


async def read_object(request: Request, names: Collection[str] = ()) -> dict[str, Any]:
    """The body as an object that has no other fields than ``names`` (empty: any). Raises InvalidInput or JSONDecodeError."""
    body = json.loads(await request.body() or b"{}")
    if not isinstance(body, dict):
        raise InvalidInput("body", "must be an object")
    if names and (unknown := sorted(set(body) - set(names))):
        raise InvalidInput(unknown[0], f"must be one of {', '.join(names)}")
    return body
