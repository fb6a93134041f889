"""One HTTP call and what its end proves, against sockets that misbehave in every way."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from orderflow.errors import ConfigurationError, MalformedAnswer
from orderflow.provider.http import MOST_BYTES, Answer, Cut, NeverSent, base_url, exchange, new_client, outcome_of, retry_after, unread_of
from orderflow.provider.outcomes import InDoubt, NotExecuted, ReadFailed, Rejected, Signal, Succeeded

pytestmark = pytest.mark.anyio

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with new_client(5.0) as made:
        yield made


@asynccontextmanager
async def listening(peer: Peer) -> AsyncIterator[str]:
    """A bare TCP server that does as ``peer`` says and then closes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


def saying(*pieces: bytes) -> Peer:
    """Hear a request out, then say this and hang up."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return peer


def _answer(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    size = b"Content-Length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"HTTP/1.1 " + status, size, *headers, b"", body])


async def test_a_whole_answer_is_whole(client: httpx.AsyncClient) -> None:
    async with listening(saying(_answer(b'{"a": 1}', b"X-Y: z", status=b"418 Teapot"))) as url:
        answer = await exchange(client, "POST", url, headers={}, content=b"{}")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["x-y"], answer.json()) == (418, "z", {"a": 1})
    assert repr(answer) == "Answer(status=418)"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ((), "RemoteProtocolError"),
        ((b"SSH-2.0-OpenSSH\r\n",), "RemoteProtocolError"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "RemoteProtocolError"),
        ((_answer(b'{"orderId"', length=40),), "RemoteProtocolError"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",), "RemoteProtocolError"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), "RemoteProtocolError"),
        ((_answer(b"not gzip", b"Content-Encoding: gzip"),), "DecodingError"),
        ((_answer(b" " * (MOST_BYTES + 1)),), "the answer is too large"),
        ((_answer(gzip.compress(b" " * (MOST_BYTES + 1)), b"Content-Encoding: gzip"),), "the answer is too large"),
    ],
)
async def test_an_answer_cut_or_garbled_was_sent(client: httpx.AsyncClient, said: tuple[bytes, ...], why: str) -> None:
    async with listening(saying(*said)) as url:
        assert await exchange(client, "POST", url, headers={}, content=b"{}") == Cut(why)


async def test_silence_is_cut() -> None:
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async with new_client(0.1) as hasty, listening(silent) as url:
        assert await exchange(hasty, "GET", url, headers={}) == Cut("ReadTimeout")
        over.set()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/closed-port",
        "http://no-such-host.invalid/",
        f"http://{'a' * 70}.invalid/",
        f"http://{'a.' * 200}invalid/",
        "http://exa mple/",
        "http://[::1/",
        "http:///no-host",
        "//no-scheme.invalid/",
        "relative",
        "",
        "ftp://127.0.0.1/",
        "file:///etc/listeners",
        "http://127.0.0.1/\x00",
        f"http://127.0.0.1/{'x' * 70_000}",
        "http://ex\ud800ample/",
    ],
)
async def test_what_cannot_be_reached_was_never_sent(client: httpx.AsyncClient, url: str) -> None:
    outcome = await exchange(client, "POST", url, headers={"Accept": "application/json"}, content=b"{}")
    assert isinstance(outcome, NeverSent)
    assert type(outcome_of(outcome, lambda _: Succeeded("x"))) is NotExecuted


async def test_a_server_that_speaks_no_tls_was_never_told_anything(client: httpx.AsyncClient) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(_answer(b"{}", status=b"400 Bad Request"))

    async with listening(plain) as url:
        assert await exchange(client, "POST", url.replace("http:", "https:"), headers={}) == NeverSent("ConnectError")


@pytest.mark.parametrize("value", ["two\r\nlines", "nul\0", "tøken", "tab\t", "€", "\ud800"])
async def test_a_header_that_no_client_could_send_was_never_sent(client: httpx.AsyncClient, value: str) -> None:
    heard: list[bytes] = []

    async def ear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1))

    async with listening(ear) as url:
        outcome = await exchange(client, "POST", url, headers={"Authorization": f"Bearer {value}"})
    assert isinstance(outcome, NeverSent)
    assert value not in repr(outcome)
    assert heard == []


async def test_no_redirect_is_followed(client: httpx.AsyncClient) -> None:
    moved = _answer(b"", b"Location: http://127.0.0.1:1/elsewhere", status=b"307 Temporary")
    async with listening(saying(moved)) as url:
        answer = await exchange(client, "POST", url, headers={"Authorization": "Bearer x"})
    assert isinstance(answer, Answer)
    assert answer.status == 307


async def test_proxies_and_netrc_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with new_client(5.0) as client, listening(saying(_answer(b"{}"))) as url:
        assert isinstance(await exchange(client, "GET", url, headers={}), Answer)


async def test_a_pool_without_a_free_connection_sent_nothing() -> None:
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    limits, timeout = httpx.Limits(max_connections=1), httpx.Timeout(5.0, pool=0.05)
    async with httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as narrow, listening(silent) as url:
        first = asyncio.create_task(exchange(narrow, "GET", url, headers={}))
        await asyncio.sleep(0)
        assert await exchange(narrow, "GET", url, headers={}) == NeverSent("PoolTimeout")
        over.set()
        assert isinstance(await first, Cut)


@pytest.mark.parametrize("body", [b"", b" ", b"<x/>", b"<!doctype html>", b"{", b'"\xff"', b"NaN", b"[Infinity]", b"[" * 100_000])
def test_no_json_is_malformed(body: bytes) -> None:
    answer = Answer(200, {}, body)
    with pytest.raises(MalformedAnswer, match=r"^not JSON$"):
        answer.json()

    def take(whole: Answer) -> Succeeded:
        return Succeeded(str(whole.json()))

    assert outcome_of(answer, take) == InDoubt("200 with an unusable body: not JSON")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *[(status, Succeeded) for status in (200, 201, 202, 204, 299)],
        *[(status, InDoubt) for status in (100, 300, 301, 302, 307, 308, 408, 500, 501, 502, 503, 504, 529, 600, 999)],
        *[(status, Rejected) for status in (400, 402, 403, 404, 405, 409, 410, 413, 415, 422, 425, 451)],
        *[(status, NotExecuted) for status in (401, 429)],
    ],
)
def test_what_each_status_proves_of_an_effect(status: int, expected: type) -> None:
    assert type(outcome_of(Answer(status, {}, b""), lambda _: Succeeded("done"))) is expected


def test_every_end_says_whether_the_provider_was_there_and_whether_it_had_enough() -> None:
    for answer in (*(Answer(status, {}, b"{}") for status in range(100, 1000)), NeverSent("ConnectError"), Cut("ReadTimeout")):
        status = answer.status if isinstance(answer, Answer) else 0
        outcome, unread = outcome_of(answer, lambda _: Succeeded("done")), unread_of(answer)
        if isinstance(outcome, NotExecuted):
            assert (outcome.signal is Signal.THROTTLED, outcome.signal is Signal.UNREACHABLE) == (status == 429, status == 0)
        if isinstance(unread, ReadFailed):
            assert (unread.signal is Signal.THROTTLED, unread.signal is Signal.UNREACHABLE) == (status == 429, status == 0 or status >= 500)


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 403, 404, 429, 500])
def test_a_read_takes_200_and_nothing_else(status: int) -> None:
    assert isinstance(unread_of(Answer(status, {}, b"{}")), ReadFailed)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"X-RateLimit-Reset": "60"}, 60.0),
        ({"Retry-After": "3", "X-RateLimit-Reset": "60"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "9" * 400}, 3600.0),
        *[({"Retry-After": odd}, None) for odd in ("", "-1", "soon", "1.5", "\u0667", "Wed, 21 Oct 2026 07:28:00 GMT")],
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(Answer(429, headers, b"")) == seconds
    assert outcome_of(Answer(429, headers, b""), lambda _: Succeeded("x")) == NotExecuted(
        "429 from the provider", seconds, signal=Signal.THROTTLED
    )


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/capi", "https://connect.example", "https://[::1]:443/user/"])
def test_a_base_url_is_kept_without_its_slash(url: str) -> None:
    assert base_url("api", url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        *("", "connect.example", "/capi", "//connect.example", "ftp://connect.example"),
        *("http://", "http://[::1", "http://xn--/", "http://x.xn--/", "http://exämple/", "http://ex ample/"),
        *("http://x:99999/", "http://x:0/", "http://x:port/", "http://x/\n", "http://x\0/"),
        *("https://user@x/", "https://user:canary@x/", "https://x/?key=canary", "https://x/#part"),
    ],
)
def test_a_base_url_that_leads_nowhere_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^api: ") as refused:
        base_url("api", url)
    assert "canary" not in str(refused.value)
