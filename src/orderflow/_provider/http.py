"""One HTTP request, and what is known after it: a response, certainly never sent, or the response lost. Knows no provider.

The exceptions of the HTTP library are mapped here and nowhere else. They are recognised by class name, so that any client with the
interface of ``httpx.AsyncClient`` can be used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import httpx
from attrs import field, frozen

from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected, Signal
from orderflow._provider.wire import parse_json
from orderflow.errors import MalformedAnswer

MAX_RESPONSE_BYTES = 2 * 1024 * 1024
_MAX_RETRY_AFTER = 3600.0
_NEVER_SENT = frozenset(
    {"ConnectError", "ConnectTimeout", "InvalidURL", "LocalProtocolError", "PoolTimeout", "ProxyError", "UnsupportedProtocol"}
)


class HttpClient(Protocol):
    """The part of ``httpx.AsyncClient`` that adapters use."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None,
        params: dict[str, str] | None,
        headers: dict[str, str],
        follow_redirects: bool,
    ) -> AbstractAsyncContextManager[Any]:
        """See ``httpx.AsyncClient.stream``."""

    async def aclose(self) -> None:
        """See ``httpx.AsyncClient.aclose``."""


@frozen
class HttpResponse:
    """A whole response. ``repr`` shows neither headers nor body: a body may quote what we sent."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> object:
        """The body as JSON.

        Raises:
            MalformedAnswer: it is not JSON.
        """
        return parse_json(self.body)


@frozen
class NeverSent:
    """The request certainly did not reach the provider."""

    why: str


@frozen
class ResponseLost:
    """The request was sent, and no whole response arrived."""

    why: str


RequestResult = HttpResponse | NeverSent | ResponseLost


def make_client(timeout: float) -> httpx.AsyncClient:
    """An HTTP client without redirects, and without proxies, certificates or credentials from the environment.

    ``timeout``: seconds to wait for a connection, or for the next bytes.
    """
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)


def longest_timeout(client: HttpClient) -> float | None:
    """The longest of a client's timeouts in seconds, ``inf`` where one is off. None where the client does not show them."""
    timeout = getattr(client, "timeout", None)
    if not isinstance(timeout, httpx.Timeout):
        return None
    return max(math.inf if seconds is None else seconds for seconds in timeout.as_dict().values())


def is_header_value(value: str) -> bool:
    """Whether a text can be sent as the value of a header. HTTP clients raise on any other, and quote it."""
    return value.isascii() and value.isprintable()


async def send_request(
    client: HttpClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes = b"",
    params: Mapping[str, str] | None = None,
) -> RequestResult:
    """Send one request, once."""
    if not all(map(is_header_value, headers.values())):
        return NeverSent("a header that is not plain ASCII")
    streaming = client.stream(
        method,
        url,
        content=content or None,
        params=dict(params) if params else None,
        headers=dict(headers),
        follow_redirects=False,
    )
    try:
        async with streaming as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    return ResponseLost("the response is too large")
            return HttpResponse(response.status_code, response.headers, bytes(body))
    except Exception as error:
        result = _result_of_error(error)
        if result is None:
            raise
        return result


def _result_of_error(error: Exception) -> NeverSent | ResponseLost | None:
    """What an exception of the HTTP library proves. None: it is not one of the HTTP library's."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & _NEVER_SENT:
        return NeverSent(type(error).__name__)
    return ResponseLost(type(error).__name__) if "HTTPError" in names else None


def outcome_of_response(result: RequestResult, accept: Callable[[HttpResponse], Outcome]) -> Outcome:
    """What a request proves about the effect it was sent for.

    ``accept`` turns a 2xx response into an outcome; where it raises ``MalformedAnswer``, the effect is in doubt.
    """
    if isinstance(result, NeverSent):
        return NotExecuted(f"never sent: {result.why}", signal=Signal.UNREACHABLE)
    if isinstance(result, ResponseLost):
        return InDoubt(f"sent, no usable answer: {result.why}")
    if 200 <= result.status < 300:
        try:
            return accept(result)
        except MalformedAnswer as error:
            return InDoubt(f"{result.status} with an unusable body: {error}")
    if result.status == 429:
        return NotExecuted("429 from the provider", retry_after_seconds(result), Signal.THROTTLED)
    if result.status == 401:
        return NotExecuted("401 from the provider", signal=Signal.UNAUTHORIZED)
    if 400 <= result.status < 500 and result.status != 408:
        return Rejected(f"{result.status} from the provider")
    return InDoubt(f"{result.status} from the provider")


def check_poll_response(result: RequestResult) -> HttpResponse | ReadFailed:
    """The response to a status poll where it is a 200, else why the poll failed."""
    if isinstance(result, NeverSent | ResponseLost):
        return ReadFailed(result.why, signal=Signal.UNREACHABLE)
    if result.status == 429:
        return ReadFailed("429 from the provider", retry_after_seconds(result), Signal.THROTTLED)
    if result.status != 200:
        return ReadFailed(f"{result.status} from the provider", signal=_signal_of_status(result.status))
    return result


def retry_after_seconds(response: HttpResponse) -> float | None:
    """Seconds to wait by ``Retry-After`` or ``X-RateLimit-Reset``, at most an hour. None where neither is a whole number."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        value = response.headers.get(name, "")
        if value.isascii() and value.isdigit():
            return min(float(value), _MAX_RETRY_AFTER)
    return None


def _signal_of_status(status: int) -> Signal:
    if status == 401:
        return Signal.UNAUTHORIZED
    return Signal.UNREACHABLE if status >= 500 else Signal.NONE
