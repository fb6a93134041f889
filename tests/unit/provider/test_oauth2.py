"""The OAuth 2.0 client by itself: its token record, the lifetime of a token, and what it shows.

How it behaves over a socket, and under load, is in tests/unit/providers/connect/test_access_token.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from orderflow._provider.oauth2 import OAuth2Client, TokenResponse
from orderflow._provider.outcomes import NotExecuted, Signal
from orderflow._provider.wire import parse_record
from orderflow.errors import MalformedAnswer

pytestmark = pytest.mark.anyio


class TokenServer:
    """A token endpoint without a socket. Each response has another token."""

    def __init__(self) -> None:
        self.body: dict[str, object] = {}
        self.status = 200
        self.requests: list[httpx.Request] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.status, json={"access_token": f"canary-{len(self.requests)}", **self.body})


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time


@pytest.fixture
def server() -> TokenServer:
    return TokenServer()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def client(server: TokenServer, clock: Clock) -> AsyncIterator[OAuth2Client]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as http:
        yield OAuth2Client(http, "https://login.example/token", "id", "canary-secret", clock.now, default_lifetime=100.0)


@pytest.mark.parametrize(("stated", "lifetime"), [({}, 100.0), ({"expires_in": 50}, 50.0), ({"expires_in": None}, 100.0)])
async def test_a_token_is_used_for_nine_tenths_of_its_lifetime(
    client: OAuth2Client, server: TokenServer, clock: Clock, stated: dict[str, object], lifetime: float
) -> None:
    server.body = stated
    assert await client.token() == "canary-1"
    clock.time += 0.9 * lifetime - 0.1
    assert await client.token() == "canary-1"
    clock.time += 0.2
    assert await client.token() == "canary-2"


async def test_a_refused_token_is_not_used_again(client: OAuth2Client) -> None:
    token = await client.token()
    assert isinstance(token, str)
    client.invalidate(token)
    assert await client.token() == "canary-2"
    client.invalidate(token)  # an old one: the new one stays
    assert await client.token() == "canary-2"


@pytest.mark.parametrize(
    ("status", "signal"),
    [
        *[(status, Signal.UNAUTHORIZED) for status in (400, 401, 403)],
        (429, Signal.THROTTLED),
        (503, Signal.UNREACHABLE),
        *[(status, Signal.NONE) for status in (201, 302, 404)],
    ],
)
async def test_any_status_but_200_means_not_executed(client: OAuth2Client, server: TokenServer, status: int, signal: Signal) -> None:
    server.status = status
    assert await client.token() == NotExecuted(f"no token: {status} from the token endpoint", signal=signal)
    server.status = 200
    assert await client.token() == "canary-2"


async def test_the_request_is_a_form_with_the_grant(client: OAuth2Client, server: TokenServer) -> None:
    await client.token()
    (request,) = server.requests
    assert (request.method, str(request.url), request.content) == ("POST", "https://login.example/token", b"grant_type=client_credentials")
    assert request.headers["Accept"] == "application/json"


def test_a_token_response_is_read() -> None:
    body = {"access_token": "canary", "token_type": "bearer", "expires_in": 43200, "tenant": 7}
    response = parse_record(TokenResponse, body)
    assert (response.access_token, response.token_type, response.expires_in, response.extra) == ("canary", "bearer", 43200, {"tenant": 7})
    with pytest.raises(MalformedAnswer, match="access_token: missing"):
        parse_record(TokenResponse, {"accessToken": "canary"})


async def test_no_repr_shows_a_secret(client: OAuth2Client) -> None:
    await client.token()
    assert "canary" not in repr(client) + repr(TokenResponse("canary"))
