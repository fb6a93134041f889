"""One HTTP request and what its end proves, against sockets that misbehave in every way."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from orderflow._provider.http import (
    MAX_RESPONSE_BYTES,
    HttpResponse,
    NeverSent,
    ResponseLost,
    check_poll_response,
    make_client,
    outcome_of_response,
    retry_after_seconds,
    send_request,
)
from orderflow._provider.outcomes import InDoubt, NotExecuted, ProviderAnswer, ReadFailed, Rejected, Signal, Succeeded
from orderflow.errors import MalformedAnswer

pytestmark = pytest.mark.anyio

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with make_client(5.0) as http_client:
        yield http_client


@asynccontextmanager
async def serving(peer: Peer) -> AsyncIterator[str]:
    """A TCP server that runs ``peer`` for each connection and then closes it. Yields its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"


def answering(*chunks: bytes) -> Peer:
    """Read a request, send these chunks, close."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()

    return peer


def _response(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    size = b"Content-Length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"HTTP/1.1 " + status, size, *headers, b"", body])


async def test_a_whole_response_is_whole(client: httpx.AsyncClient) -> None:
    async with serving(answering(_response(b'{"a": 1}', b"X-Y: z", status=b"418 Teapot"))) as url:
        response = await send_request(client, "POST", url, headers={}, content=b"{}")
    assert isinstance(response, HttpResponse)
    assert (response.status, response.headers["x-y"], response.json()) == (418, "z", {"a": 1})
    assert repr(response) == "HttpResponse(status=418)"


@pytest.mark.parametrize(
    ("chunks", "why"),
    [
        ((), "RemoteProtocolError"),
        ((b"SSH-2.0-OpenSSH\r\n",), "RemoteProtocolError"),
        ((b"HTTP/1.1 200 OK\r\nContent-Le",), "RemoteProtocolError"),
        ((_response(b'{"orderId"', length=40),), "RemoteProtocolError"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",), "RemoteProtocolError"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",), "RemoteProtocolError"),
        ((_response(b"not gzip", b"Content-Encoding: gzip"),), "the body cannot be decoded"),
        ((_response(gzip.compress(b"{}")[:-9], b"Content-Encoding: gzip"),), "the body cannot be decoded"),
        ((_response(b"{}", b"Content-Encoding: br"),), "the body cannot be decoded"),
        ((_response(gzip.compress(gzip.compress(b"{}")), b"Content-Encoding: gzip, gzip"),), "the body cannot be decoded"),
        ((_response(b" " * (MAX_RESPONSE_BYTES + 1)),), "the response is too large"),
        ((_response(gzip.compress(b" " * (MAX_RESPONSE_BYTES + 1)), b"Content-Encoding: gzip"),), "the response is too large"),
    ],
)
async def test_a_request_whose_response_is_cut_or_garbled_was_sent(client: httpx.AsyncClient, chunks: tuple[bytes, ...], why: str) -> None:
    async with serving(answering(*chunks)) as url:
        assert await send_request(client, "POST", url, headers={}, content=b"{}") == ResponseLost(why)


@pytest.mark.parametrize(
    ("chunks", "status", "body"),
    [
        ((_response(b'{"orderId": "A', length=40),), 200, b'{"orderId": "A'),
        ((b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nwor",), 201, b"hellowor"),
        ((_response(b"not gzip", b"Content-Encoding: gzip"),), 200, b"not gzip"),
        ((_response(gzip.compress(b'{"orderId": "A"}')[:-9], b"Content-Encoding: gzip"),), 200, b'{"orderId": "A"}'),
        ((_response(b" " * (MAX_RESPONSE_BYTES + 1)),), 200, None),
    ],
    ids=["cut", "cut between chunks", "garbled", "compressed and cut", "too large"],
)
async def test_the_part_of_a_response_that_arrived_is_kept(
    client: httpx.AsyncClient, chunks: tuple[bytes, ...], status: int, body: bytes | None
) -> None:
    """The id that a person will look for may be in it."""
    async with serving(answering(*chunks)) as url:
        result = await send_request(client, "POST", url, headers={}, content=b"{}")
    assert isinstance(result, ResponseLost)
    assert result.answer is not None
    assert (result.answer.status, result.answer.whole) == (status, False)
    assert len(result.answer.body) > MAX_RESPONSE_BYTES if body is None else result.answer.body == body
    assert outcome_of_response(result, lambda _: Succeeded("never")).answer == result.answer
    poll = check_poll_response(result)
    assert isinstance(poll, ReadFailed)
    assert poll.answer == result.answer


def test_an_outcome_carries_the_answer_whatever_it_is() -> None:
    for status in (200, 201, 204, 302, 400, 401, 403, 404, 407, 408, 425, 429, 500, 503):
        response = HttpResponse(status, {"Content-Type": "application/json"}, b'{"orderReference": "A1"}')

        def refuse(response: HttpResponse) -> Succeeded:
            raise MalformedAnswer("no order id")

        for accept in (refuse, lambda _: Succeeded("done")):
            answer = outcome_of_response(response, accept).answer
            assert answer == ProviderAnswer(status, "application/json", b'{"orderReference": "A1"}')
        poll = check_poll_response(response)
        assert poll.answer == ProviderAnswer(status, "application/json", b'{"orderReference": "A1"}')


def test_an_answer_that_an_adapter_set_itself_stays() -> None:
    own = ProviderAnswer(202, "", b"of the first call")
    assert outcome_of_response(HttpResponse(200, {}, b"{}"), lambda _: Succeeded("done", answer=own)).answer is own


def test_what_was_never_sent_has_no_answer() -> None:
    assert outcome_of_response(NeverSent("ConnectError"), lambda _: Succeeded("never")).answer is None
    poll = check_poll_response(NeverSent("ConnectError"))
    assert isinstance(poll, ReadFailed)
    assert poll.answer is None


async def test_a_response_that_does_not_come_in_time_is_lost() -> None:
    over = asyncio.Event()

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    async with make_client(0.1) as impatient, serving(stay_silent) as url:
        assert await send_request(impatient, "GET", url, headers={}) == ResponseLost("ReadTimeout")
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
async def test_a_request_to_an_unreachable_url_was_never_sent(client: httpx.AsyncClient, url: str) -> None:
    result = await send_request(client, "POST", url, headers={"Accept": "application/json"}, content=b"{}")
    assert isinstance(result, NeverSent)
    assert type(outcome_of_response(result, lambda _: Succeeded("x"))) is NotExecuted


async def test_a_request_to_a_server_without_tls_was_never_sent(client: httpx.AsyncClient) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(_response(b"{}", status=b"400 Bad Request"))

    async with serving(plain) as url:
        assert await send_request(client, "POST", url.replace("http:", "https:"), headers={}) == NeverSent("ConnectError")


@pytest.mark.parametrize("value", ["two\r\nlines", "nul\0", "tøken", "tab\t", "€", "\ud800"])
async def test_a_request_with_a_header_that_cannot_be_sent_was_never_sent(client: httpx.AsyncClient, value: str) -> None:
    received: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(await reader.read(1))

    async with serving(receive) as url:
        result = await send_request(client, "POST", url, headers={"Authorization": f"Bearer {value}"})
    assert isinstance(result, NeverSent)
    assert value not in repr(result)
    assert received == []


async def test_no_redirect_is_followed(client: httpx.AsyncClient) -> None:
    redirect = _response(b"", b"Location: http://127.0.0.1:1/elsewhere", status=b"307 Temporary")
    async with serving(answering(redirect)) as url:
        response = await send_request(client, "POST", url, headers={"Authorization": "Bearer x"})
    assert isinstance(response, HttpResponse)
    assert response.status == 307


NO_URLS = [
    b"mailto:someone",
    b"a:b:c",
    b"http://xn--a",
    b"http://[::1",
    b"http://[::ffff:999.1.1.1]",
    b"http://1.2.3.999",
    b"http://a:" + b"9" * 5000,
    b"http://\xed\xa0\x80/",
    b"x" * 70_000,
    b"",
]


@pytest.mark.parametrize("location", NO_URLS, ids=lambda location: location[:20])
@pytest.mark.parametrize("status", [b"201 Created", b"302 Found"])
async def test_a_location_that_is_no_url_does_not_make_a_request_unsent(client: httpx.AsyncClient, location: bytes, status: bytes) -> None:
    answer = _response(b"{}", b"Location: " + location, status=status)
    async with serving(answering(answer)) as url:
        response = await send_request(client, "POST", url, headers={})
    assert isinstance(response, HttpResponse)
    assert response.status == int(status[:3])


@pytest.mark.parametrize("location", NO_URLS, ids=lambda location: location[:20])
async def test_with_a_client_of_the_application_such_an_answer_counts_as_lost_at_most(location: bytes) -> None:
    """The library reads the header of a redirect though it does not follow it, and raises."""
    answer = _response(b"{}", b"Location: " + location, status=b"302 Found")
    async with httpx.AsyncClient(trust_env=False) as own, serving(answering(answer)) as url:
        response = await send_request(own, "POST", url, headers={})
    assert isinstance(response, HttpResponse | ResponseLost)


@pytest.mark.parametrize("url", ["http://[::1", "http://xn--a", "http://a:99999999999/", "http://a/\x00", "http://\ud800/"], ids=ascii)
async def test_a_request_to_what_is_no_url_was_never_sent(client: httpx.AsyncClient, url: str) -> None:
    assert isinstance(await send_request(client, "POST", url, headers={}), NeverSent)


async def test_a_request_with_parameters_that_cannot_be_sent_was_never_sent(client: httpx.AsyncClient) -> None:
    assert isinstance(await send_request(client, "GET", "http://a/", headers={}, params={"a": "\ud800"}), NeverSent)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with make_client(5.0) as client, serving(answering(_response(b"{}"))) as url:
        assert isinstance(await send_request(client, "GET", url, headers={}), HttpResponse)


async def test_a_request_that_waits_for_a_connection_of_a_full_pool_was_never_sent() -> None:
    over = asyncio.Event()

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()

    limits, timeout = httpx.Limits(max_connections=1), httpx.Timeout(5.0, pool=0.05)
    async with httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as narrow_client, serving(stay_silent) as url:
        first = asyncio.create_task(send_request(narrow_client, "GET", url, headers={}))
        await asyncio.sleep(0)
        assert await send_request(narrow_client, "GET", url, headers={}) == NeverSent("PoolTimeout")
        over.set()
        assert isinstance(await first, ResponseLost)


@pytest.mark.parametrize("body", [b"", b" ", b"<x/>", b"<!doctype html>", b"{", b'"\xff', b"-NaN", b"[infinity]", b"[" * 100_000])
def test_a_body_that_is_not_json_is_malformed(body: bytes) -> None:
    response = HttpResponse(200, {}, body)
    with pytest.raises(MalformedAnswer, match=r"^not JSON$"):
        response.json()

    def accept(response: HttpResponse) -> Succeeded:
        return Succeeded(str(response.json()))

    assert outcome_of_response(response, accept) == InDoubt("200 with an unusable body: not JSON")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *[(status, Succeeded) for status in (200, 201, 202, 204, 299)],
        *[(status, InDoubt) for status in (100, 300, 301, 302, 307, 308, 408, 500, 501, 502, 503, 504, 529, 600, 999)],
        *[(status, Rejected) for status in (400, 402, 403, 404, 405, 409, 410, 413, 415, 422, 451)],
        *[(status, NotExecuted) for status in (401, 407, 425, 429, 511)],
    ],
)
def test_what_each_status_proves_of_an_effect(status: int, expected: type) -> None:
    assert type(outcome_of_response(HttpResponse(status, {}, b""), lambda _: Succeeded("done"))) is expected


RESULTS = (*(HttpResponse(status, {}, b"{}") for status in range(100, 1000)), NeverSent("ConnectError"), ResponseLost("ReadTimeout"))


def test_every_end_of_a_request_signals_whether_the_provider_was_reachable_and_whether_it_throttles() -> None:
    for result in RESULTS:
        status = result.status or 0
        outcome, poll = outcome_of_response(result, lambda _: Succeeded("done")), check_poll_response(result)
        if isinstance(outcome, NotExecuted):
            assert (outcome.signal is Signal.THROTTLED, outcome.signal is Signal.UNREACHABLE) == (status == 429, status == 0)
        if isinstance(poll, ReadFailed):
            assert (poll.signal is Signal.THROTTLED, poll.signal is Signal.UNREACHABLE) == (
                status == 429,
                status == 0 or (status >= 500 and status != 511),
            )


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 403, 404, 429, 500])
def test_a_poll_accepts_200_and_no_other_status(status: int) -> None:
    assert isinstance(check_poll_response(HttpResponse(status, {}, b"{}")), ReadFailed)


_NOW, _LATER = "Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:29:30 GMT"
ODD_DATES = [
    "Wed, 21 Oct 99999999999999999999 07:28:00 GMT",
    f"Wed, 21 Oct {'9' * 5000} 07:28:00 GMT",
    f"Wed, {'9' * 5000} Oct 2026 07:28:00 GMT",
    f"Wed, 21 Oct 2026 {'9' * 30}:28:00 GMT",
    f"Wed, 21 Oct 2026 07:28:00 +{'9' * 30}",
    "Wed, 21 Oct 2026 07:28:00 +9999",
    "0 0 0 0",
    ",",
]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": " 7 "}, 7.0),
        ({"X-RateLimit-Reset": "60"}, None),  # what it means belongs to each provider
        ({"Retry-After": "3", "X-RateLimit-Reset": "60"}, 3.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "9" * 400}, 3600.0),
        ({"Retry-After": _LATER, "Date": _NOW}, 90.0),
        ({"Retry-After": _NOW, "Date": _LATER}, 0.0),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT", "Date": _NOW}, 3600.0),
        ({"Retry-After": "Wed, 99 Oct 2026 07:28:00 GMT", "Date": _NOW}, None),
        ({"Retry-After": _LATER, "Date": "Wed, 21 Oct 2026 07:28:00 -0000"}, 90.0),  # a date without a zone is UTC
        *[({"Retry-After": odd, "Date": _NOW}, None) for odd in ODD_DATES],
        ({"Retry-After": "Sat, 01 Jan 0001 00:00:00 +2359", "Date": "Fri, 31 Dec 9999 23:59:59 -2359"}, 0.0),
        *[({"Retry-After": odd}, None) for odd in ("", "-1", "soon", "1.5.1", "1e3", "\u0667")],
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, 3600.0),  # without a Date our clock counts
        ({"Retry-After": "Wed, 21 Oct 2020 07:28:00 GMT", "Date": "soon"}, 0.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    response = HttpResponse(429, headers, b"")
    assert retry_after_seconds(response) == seconds
    outcome = outcome_of_response(response, lambda _: Succeeded("x"))
    assert outcome == NotExecuted("429 from the provider", seconds, signal=Signal.THROTTLED)


@pytest.mark.parametrize(
    ("content_type", "body", "refused"),
    [
        ("application/json", b'{"message": "no"}', True),
        ("application/json", b"[]", True),
        ("", b"", True),
        ("text/plain", b" \n", True),
        ("text/html", b"<html><h1>Access denied</h1></html>", False),
        ("application/json", b"<html>", False),
        ("text/plain", b"upstream connect error", False),
        ("text/plain", b'"just a text"', False),
        ("application/json", b"[" * 200_000, False),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_only_json_or_no_body_can_be_the_providers_own_refusal(status: int, content_type: str, body: bytes, refused: bool) -> None:
    response = HttpResponse(status, {"Content-Type": content_type}, body)
    expected = Rejected(f"{status} from the provider") if refused else NotExecuted(f"{status} from another server", signal=Signal.FOREIGN)
    assert outcome_of_response(response, lambda _: Succeeded("done")) == expected


@pytest.mark.parametrize(
    ("status", "content_type", "body", "signal"),
    [
        (200, "text/html; charset=utf-8", b"", Signal.FOREIGN),
        (200, "application/json", b" <login>", Signal.FOREIGN),
        (302, "", b"<a>moved</a>", Signal.FOREIGN),
        (403, "TEXT/HTML", b"denied", Signal.FOREIGN),
        (407, "", b"", Signal.FOREIGN),
        (511, "", b"", Signal.FOREIGN),
        (404, "application/json", b"{}", Signal.NONE),
        (401, "text/html", b"<html>", Signal.UNAUTHORIZED),
        (502, "text/html", b"<html>", Signal.UNREACHABLE),
        (200, "application/json", b"\xef\xbb\xbf<html>", Signal.FOREIGN),
        (404, "text/html", b'{"message": "no such order"}', Signal.NONE),
    ],
)
def test_a_page_in_answer_to_a_poll_is_another_servers(status: int, content_type: str, body: bytes, signal: Signal) -> None:
    response = check_poll_response(HttpResponse(status, {"Content-Type": content_type}, body))
    assert isinstance(response, ReadFailed)
    assert response.signal is signal


@pytest.mark.parametrize("content_type", ["text/html", "text/html; charset=UTF-8", "text/plain", ""])
def test_json_is_no_page_whatever_its_type(content_type: str) -> None:
    response = HttpResponse(200, {"Content-Type": content_type}, b'{"orders": []}')
    assert check_poll_response(response) is response


BODIES = {
    "cut": _response(b"<html>", b"Content-Type: text/html", status=b"@", length=500),
    "encoded": _response(b"\x0b\x02\x80h", b"Content-Encoding: br", status=b"@"),
    "too large": _response(b" " * (MAX_RESPONSE_BYTES + 1), b"Retry-After: 7", status=b"@"),
}


@pytest.mark.parametrize("lost", BODIES)
@pytest.mark.parametrize(
    ("status", "outcome", "signal"),
    [
        (401, NotExecuted, Signal.UNAUTHORIZED),
        (429, NotExecuted, Signal.THROTTLED),
        (425, NotExecuted, Signal.NONE),
        (407, NotExecuted, Signal.FOREIGN),
        (511, NotExecuted, Signal.FOREIGN),
        *[(status, NotExecuted, None) for status in (400, 403, 404, 422)],
        *[(status, InDoubt, None) for status in (200, 201, 302, 408, 500, 503)],
    ],
)
async def test_what_the_status_alone_proves_needs_no_body(
    client: httpx.AsyncClient, lost: str, status: int, outcome: type, signal: Signal | None
) -> None:
    async with serving(answering(BODIES[lost].replace(b"@", b"%d X" % status))) as url:
        result = await send_request(client, "POST", url, headers={}, content=b"{}")
    assert isinstance(result, ResponseLost)
    assert result.status == status
    decided, poll = outcome_of_response(result, lambda _: Succeeded("never")), check_poll_response(result)
    assert type(decided) is outcome
    assert isinstance(poll, ReadFailed)
    assert decided.answer == poll.answer == result.answer
    assert decided.answer is not None
    assert (decided.answer.status, decided.answer.whole) == (status, False)
    if isinstance(decided, NotExecuted):
        unnamed = Signal.FOREIGN if lost == "cut" else Signal.UNREACHABLE  # it is a page, or nothing can be told
        assert decided.signal is (unnamed if signal is None else signal)
        assert poll.signal is (Signal.UNREACHABLE if decided.signal is Signal.NONE and lost != "cut" else poll.signal)
        assert decided.retry_after == (7.0 if lost == "too large" and status != 401 else None)
    if status == 429:
        assert (poll.signal, poll.retry_after) == (Signal.THROTTLED, decided.retry_after)  # type: ignore[union-attr]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "elsewhere"),
    [
        (b"https://sso.example/login", True),
        (b"//sso.example/", True),
        (b"/login", False),
        (b"http://127.0.0.1:1/x", False),
        (b"https://[", False),
        (b"", False),
    ],
)
async def test_a_redirect_to_another_host_is_another_servers(
    client: httpx.AsyncClient, status: int, location: bytes, elsewhere: bool
) -> None:
    async with serving(answering(_response(b"", b"Location: " + location, status=b"%d X" % status))) as url:
        result = await send_request(client, "POST", url, headers={}, content=b"{}")
    outcome, poll = outcome_of_response(result, lambda _: Succeeded("never")), check_poll_response(result)
    assert isinstance(poll, ReadFailed)
    if elsewhere and status != 303:  # a 303 may follow an act
        assert outcome == NotExecuted(f"{status} from another server", signal=Signal.FOREIGN)
        assert poll.signal is Signal.FOREIGN
    else:
        assert isinstance(outcome, InDoubt)
        assert poll.signal is Signal.NONE


def test_a_provider_says_itself_what_its_headers_mean() -> None:
    response = HttpResponse(429, {"X-Quota": "7"}, b"")
    for result in (response, ResponseLost("ReadError", part=response)):
        outcome = outcome_of_response(result, lambda _: Succeeded("x"), seconds_to_wait=lambda seen: float(seen.headers["X-Quota"]))
        poll = check_poll_response(result, lambda seen: float(seen.headers["X-Quota"]))
        assert outcome == NotExecuted("429 from the provider", 7.0, signal=Signal.THROTTLED)
        assert poll == ReadFailed("429 from the provider", 7.0, signal=Signal.THROTTLED)
