"""The OAuth 2.0 client by itself: its token record, the lifetime of a token, and what it shows.

How it behaves over a socket, and under load, is in tests/unit/providers/connect/test_access_token.py.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable

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


@pytest.mark.parametrize(
    ("stated", "lifetime"),
    [
        ({}, 100.0),
        *[({"expires_in": value}, 50.0) for value in (50, 50.0, "50", " 50.0 ", "5e1")],
        *[({"expires_in": value}, 100.0) for value in (None, "soon", "", "nan", "inf", "1e999", True, [50], {"s": 50})],
        *[({"expires_in": value}, 100.0) for value in (0, -5, -0.5, 10**400, 1e300, 4102444800, 43200_000_000)],
        ({"expires_in": 50, "scope": ["read", "write"], "token_type": 7, "refresh_token": {}}, 50.0),
    ],
    ids=str,
)
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
        *[(status, Signal.LOGIN_SERVER) for status in (302, 404, 503)],
    ],
)
async def test_any_status_but_a_success_means_not_executed(client: OAuth2Client, server: TokenServer, status: int, signal: Signal) -> None:
    server.status = status
    outcome = await client.token()
    assert outcome == NotExecuted(f"no token: {status} from the token endpoint", signal=signal)
    assert isinstance(outcome, NotExecuted)
    assert outcome.status == status
    server.status = 200
    assert await client.token() == "canary-2"


@pytest.mark.parametrize(
    ("status", "headers", "body", "signal", "wait"),
    [
        *[(status, {"Content-Type": "text/html"}, b"<html>canary</html>", Signal.FOREIGN, None) for status in (400, 401, 403)],
        (403, {}, b"\n<!doctype html>canary", Signal.FOREIGN, None),
        (401, {"Content-Type": "text/html"}, b'{"error": "invalid_client"}', Signal.UNAUTHORIZED, None),
        (400, {}, b'{"error": "invalid_client", "error_description": "canary\xff"}', Signal.UNAUTHORIZED, None),
        (401, {}, b"", Signal.UNAUTHORIZED, None),
        (400, {}, b'{"error": ["temporarily_unavailable"]}', Signal.UNAUTHORIZED, None),
        (400, {"Retry-After": "9"}, b'{"error": "temporarily_unavailable"}', Signal.LOGIN_SERVER, 9.0),
        (400, {}, b'{"error": "server_error"}', Signal.LOGIN_SERVER, None),
        (503, {"Retry-After": "120"}, b"<html>", Signal.LOGIN_SERVER, 120.0),
        (429, {"Retry-After": "7"}, b"<html>", Signal.THROTTLED, 7.0),
        (429, {"X-RateLimit-Reset": "1795993688"}, b"{}", Signal.THROTTLED, None),
    ],
)
async def test_who_is_at_fault_where_there_is_no_token(
    status: int, headers: dict[str, str], body: bytes, signal: Signal, wait: float | None
) -> None:
    answer = httpx.Response(status, headers=headers, content=body)
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as http:
        outcome = await OAuth2Client(http, "https://login.example/token", "id", "canary-secret", time.time).token()
    assert outcome == NotExecuted(f"no token: {status} from the token endpoint", wait, signal)


@pytest.mark.parametrize("status", [200, 201, 203])
async def test_any_success_with_a_token_is_taken(client: OAuth2Client, server: TokenServer, status: int) -> None:
    server.status = status
    assert await client.token() == "canary-1"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>canary</html>",
        b"[]",
        b"null",
        b'"canary"',
        b"[" * 100_000,
        b"{}",
        *[
            json.dumps({"access_token": token}).encode()
            for token in ("", "  ", None, 7, ["canary"], "\ud800", "a\r\nX: canary", "t\u00f8ken", "\0")
        ],
        b'{"access_token": "canary", "expires_in": ' + b"1" * 5000 + b"}",
        b"x" * (3 * 1024 * 1024),
    ],
    ids=lambda body: body[:40],
)
async def test_an_answer_without_a_usable_token_means_not_executed(body: bytes) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body))) as http:
        outcome = await OAuth2Client(http, "https://login.example/token", "id", "canary-secret", time.time).token()
    assert isinstance(outcome, NotExecuted)
    assert outcome.signal is Signal.LOGIN_SERVER
    assert "canary" not in outcome.why


@pytest.mark.parametrize(
    "error",
    [
        ValueError("canary"),
        KeyError("canary"),
        TimeoutError("canary"),
        OSError("canary"),
        httpx.ReadError("canary"),
        httpx.InvalidURL("canary"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_the_token_endpoint_raises_means_not_executed(error: Exception) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as http:
        outcome = await OAuth2Client(http, "https://login.example/token", "id", "canary-secret", time.time).token()
    assert isinstance(outcome, NotExecuted)
    assert outcome.signal is Signal.LOGIN_SERVER
    assert "canary" not in outcome.why


class Dripping(httpx.AsyncByteStream):
    """A body that comes a byte at a time, and has no end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)


@pytest.fixture
async def slow() -> AsyncIterator[Callable[[float], OAuth2Client]]:
    """Makes clients of a token endpoint that never finishes its answer."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=Dripping()))) as http:
        yield lambda timeout: OAuth2Client(http, "https://login.example/token", "id", "secret", time.time, timeout=timeout)


async def test_a_token_request_ends_however_slowly_its_answer_comes(slow: Callable[[float], OAuth2Client]) -> None:
    assert await slow(0.1).token() == NotExecuted("no token: no whole answer within 0.1 s", signal=Signal.LOGIN_SERVER)


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
