"""The simulator's OAuth server (Connect A10, C1 to C4). Contains only: tokens and credentials."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orderflow._providers.connect.simulator.switches import ConnectSwitches
from orderflow.simulators import SimClock, mark_executed

SHORT: Final = "sim-short"
"""Magic client id: a token that lives ``SHORT_SECONDS``. Like the next, it needs no right secret."""
REVOKED: Final = "sim-revoked"
"""Magic client id: a token that the API refuses. (``sim-bad`` is just an unknown client.)"""
SHORT_SECONDS: Final = 5.0


@frozen
class Token:
    """A bearer token: of the client itself, or of a user. ``until`` is simulator time."""

    until: float
    user: str | None = None
    revoked: bool = False


class Tokens:
    """Access tokens; their lives are measured by the simulator's clock."""

    def __init__(self, switches: ConnectSwitches, clock: SimClock, client_id: str, client_secret: str) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self._switches = switches
        self._clock = clock
        self._tokens: dict[str, Token] = {}
        self._issued = 0

    def issue(self, user: str | None = None, *, seconds: float | None = None, revoked: bool = False) -> str:
        """A new token: of a user if one is named, else of the client."""
        self._issued += 1
        text = f"simulated-{'client' if user is None else 'user'}-token-{self._issued}"
        lifetime = self._switches.token_seconds if seconds is None else seconds
        self._tokens[text] = Token(self._clock.now() + lifetime, user, revoked)
        return text

    def expire(self) -> None:
        """Make all tokens issued so far invalid."""
        self._tokens.clear()

    def find_bearer(self, request: Request) -> Token | None:
        """The valid token that this request has; None without one."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(text) if scheme.lower() == "bearer" else None
        return token if token is not None and not token.revoked and token.until > self._clock.now() else None

    async def answer(self, request: Request) -> Response:
        """``POST /oauth/token``, client_credentials; credentials by Basic, in the body or in the query (C1, C2)."""
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))
        credentials = self._read_credentials(request, form)
        magic = next((name for name, _ in credentials if name in {SHORT, REVOKED}), None)
        known = any(_equal(name, self.client_id) and _equal(secret, self.client_secret) for name, secret in credentials)
        if not (magic or known):
            return JSONResponse({"error": "invalid_client"}, 401)
        if {**request.query_params, **form}.get("grant_type") != "client_credentials":
            return JSONResponse({"error": "unsupported_grant_type"}, 400)
        mark_executed(request.scope)
        seconds = SHORT_SECONDS if magic == SHORT else self._switches.token_seconds
        token = self.issue(seconds=seconds, revoked=magic == REVOKED)
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": int(seconds), "scope": "read"})

    def _read_credentials(self, request: Request, form: Mapping[str, str]) -> list[tuple[str, str]]:
        """The pairs of client id and secret in the places where the switch accepts them."""
        basic, query = _read_basic(request), request.query_params
        place = self._switches.token_credentials
        if place == "basic" or (place == "any" and basic):
            return basic
        fields = {"body": form, "query": query}.get(place, {**query, **form})
        return [(fields.get("client_id", ""), fields.get("client_secret", ""))]


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _read_basic(request: Request) -> list[tuple[str, str]]:
    """The pair as it is written, and form-decoded: RFC 6749 wants both parts form-encoded, but many clients do not do it."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return [("", "")]
    return [(name, secret), (unquote_plus(name), unquote_plus(secret))]
