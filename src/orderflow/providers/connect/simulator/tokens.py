"""The simulator's OAuth server (Connect A10, C1 to C4). What may live here: tokens and credentials."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_plus

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orderflow.simulators import mark_executed

if TYPE_CHECKING:
    from orderflow.providers.connect.simulator.connect import ConnectSimulator


@frozen
class Token:
    """Who a bearer is: the client itself, or a user (``user`` is then set). ``until`` in simulator time."""

    until: float
    user: str | None = None
    revoked: bool = False


BAD, SHORT, REVOKED = "sim-bad", "sim-short", "sim-revoked"
SHORT_SECONDS = 5.0
"""Magic client ids (any secret will do): no token at all, one that lives 5 s, one that the API does not take."""


class Tokens:
    """Access tokens, their lives measured by the simulator's clock."""

    def __init__(self, sim: ConnectSimulator, client_id: str, client_secret: str) -> None:
        self.client_id = client_id
        self._sim = sim
        self.client_secret = client_secret
        self._tokens: dict[str, Token] = {}
        self._issued = 0

    def issue(self, user: str | None = None, *, seconds: float | None = None, revoked: bool = False) -> str:
        """A new token; for a user where one is named, else for the client."""
        self._issued += 1
        text = f"simulated-{'client' if user is None else 'user'}-token-{self._issued}"
        lifetime = self._sim.token_seconds if seconds is None else seconds
        self._tokens[text] = Token(self._sim.clock.now() + lifetime, user, revoked)
        return text

    def expire(self) -> None:
        """No token issued so far is good any more."""
        self._tokens.clear()

    def bearer(self, request: Request) -> Token | None:
        """Who sent this; None when nobody we know any more."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(text) if scheme.lower() == "bearer" else None
        return token if token is not None and not token.revoked and token.until > self._sim.clock.now() else None

    async def answer(self, request: Request) -> Response:
        """``POST /oauth/token``, client_credentials; credentials by Basic, in the body or in the query (C1, C2)."""
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        offered = self._offered(request, form)
        magic = next((name for name, _ in offered if name in {SHORT, REVOKED}), None)
        known = any(_same(name, self.client_id) and _same(secret, self.client_secret) for name, secret in offered)
        if not (magic or known):
            return JSONResponse({"error": "invalid_client"}, 401)
        if {**request.query_params, **form}.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        mark_executed(request.scope)
        seconds = SHORT_SECONDS if magic == SHORT else self._sim.token_seconds
        whole = {"token_type": "bearer", "expires_in": int(seconds), "scope": "read"}
        return JSONResponse({"access_token": self.issue(seconds=seconds, revoked=magic == REVOKED), **whole})

    def _offered(self, request: Request, form: Mapping[str, str]) -> list[tuple[str, str]]:
        """The pairs of client id and secret that the request brings where they may stand."""
        basic, query = _basic(request), request.query_params
        where = self._sim.token_credentials
        if where == "basic" or (where == "any" and basic):
            return basic
        told = {"body": form, "query": query}.get(where, {**query, **form})
        return [(told.get("client_id", ""), told.get("client_secret", ""))]


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _basic(request: Request) -> list[tuple[str, str]]:
    """The pair as it stands, and as OAuth has it (RFC 6749 wants both parts form-encoded, many clients do not)."""
    scheme, _, coded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        name, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return [("", "")]
    return [(name, secret), (unquote_plus(name), unquote_plus(secret))]
