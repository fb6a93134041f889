"""One HTTP call and what its end proves: answered, certainly never sent, or cut. Shared by adapters; knows no provider.

Foreign exceptions are mapped here and nowhere else. They are told apart by name, so any client with httpx's interface will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from attrs import field, frozen

from orderflow.errors import ConfigurationError, MalformedAnswer
from orderflow.provider.outcomes import InDoubt, NotExecuted, Outcome, ReadFailed, Rejected, Signal
from orderflow.provider.wire import loads

MOST_BYTES = 2 * 1024 * 1024
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "LocalProtocolError", "ProxyError"})


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
        """As httpx's."""

    async def aclose(self) -> None:
        """As httpx's."""


@frozen
class Answer:
    """A whole answer. Bodies are never shown: they may quote what we sent."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> object:
        """The body as JSON.

        Raises:
            MalformedAnswer: it is XML, HTML, empty, cut, or otherwise no JSON.
        """
        return loads(self.body)


@frozen
class NeverSent:
    """The call certainly did not reach the provider."""

    why: str


@frozen
class Cut:
    """The call was sent and its answer did not come, or not whole."""

    why: str


def base_url(name: str, url: object) -> str:
    """A configured base URL, without its trailing slash.

    Raises:
        ConfigurationError: it is no absolute http or https URL of a host, or carries what would be lost or leak (user, query).
    """
    if not isinstance(url, str):  # of a variable that is not set, most likely
        raise ConfigurationError("must be text", name)
    try:
        parts = urlsplit(url)
        port = parts.port  # raises where it is out of range
    except ValueError:
        raise ConfigurationError("not a URL", name) from None
    plain = url.isascii() and url.isprintable() and " " not in url and port != 0
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or "xn--." in f"{parts.hostname}.":
        raise ConfigurationError("must be an absolute http or https URL in ASCII", name)
    if "@" in parts.netloc or "?" in url or "#" in url:
        raise ConfigurationError("must carry no user, query or fragment", name)
    return url.rstrip("/")


def secret(name: str, given: object) -> str:
    """A configured key, secret or header, as it is.

    Raises:
        ConfigurationError: it is no text, or has white space at an end or something unprintable: most likely the end of a file's line.
    """
    if not isinstance(given, str):
        raise ConfigurationError("must be text", name)
    if given != given.strip() or not given.isprintable():
        raise ConfigurationError("must have no white space at its ends and nothing unprintable, such as a line's end", name)
    return given


def longest_silence(client: HttpClient) -> float | None:
    """For how many seconds a call of this client waits for its connection, or for the next bytes, at most; None where it does not tell."""
    timeout = getattr(client, "timeout", None)
    if not isinstance(timeout, httpx.Timeout):
        return None
    return max(math.inf if seconds is None else seconds for seconds in timeout.as_dict().values())


def new_client(timeout: float) -> httpx.AsyncClient:
    """A client with explicit manners: own timeouts, no redirects, no proxies or certificates from the environment."""
    return httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)


def sendable(value: str) -> bool:
    """Whether it may stand in a header: clients would raise, quoting it."""
    return value.isascii() and value.isprintable()


async def exchange(
    client: HttpClient,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    content: bytes = b"",
    params: Mapping[str, str] | None = None,
) -> Answer | NeverSent | Cut:
    """Send one request, once, and say what became of it."""
    if not all(map(sendable, headers.values())):
        return NeverSent("a header that is not plain ASCII")
    sending = client.stream(
        method,
        url,
        content=content or None,
        params=dict(params) if params else None,
        headers=dict(headers),
        follow_redirects=False,
    )
    try:
        async with sending as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    return Cut("the answer is too large")
            return Answer(response.status_code, response.headers, bytes(body))
    except Exception as error:
        names = {base.__name__ for base in type(error).__mro__}
        if "HTTPError" not in names and "InvalidURL" not in names:
            raise
        if names & _NEVER_SENT or "InvalidURL" in names:
            return NeverSent(type(error).__name__)
        return Cut(type(error).__name__)


def outcome_of(answer: Answer | NeverSent | Cut, accept: Callable[[Answer], Outcome]) -> Outcome:
    """DESIGN rule 7: not executed, refused, or in doubt. ``accept`` judges a 2xx; its MalformedAnswer means in doubt."""
    if isinstance(answer, NeverSent):
        return NotExecuted(f"never sent: {answer.why}", signal=Signal.UNREACHABLE)
    if isinstance(answer, Cut):
        return InDoubt(f"sent, no usable answer: {answer.why}")
    if 200 <= answer.status < 300:
        try:
            return accept(answer)
        except MalformedAnswer as error:
            return InDoubt(f"{answer.status} with an unusable body: {error}")
    if answer.status == 429:
        return NotExecuted("429 from the provider", retry_after(answer), Signal.THROTTLED)
    if answer.status == 401:
        return NotExecuted("401 from the provider", signal=Signal.UNAUTHORIZED)
    if 400 <= answer.status < 500 and answer.status != 408:
        return Rejected(f"{answer.status} from the provider")
    return InDoubt(f"{answer.status} from the provider")


def unread_of(answer: Answer | NeverSent | Cut) -> ReadFailed | Answer:
    """A read's answer where it is a 200, else why there is none."""
    if isinstance(answer, NeverSent | Cut):
        return ReadFailed(answer.why, signal=Signal.UNREACHABLE)
    if answer.status == 429:
        return ReadFailed("429 from the provider", retry_after(answer), Signal.THROTTLED)
    if answer.status != 200:
        return ReadFailed(f"{answer.status} from the provider", signal=_signal_of(answer.status))
    return answer


def retry_after(answer: Answer) -> float | None:
    """Seconds to wait by ``Retry-After`` or Connect's ``X-RateLimit-Reset`` (A12: seconds left); None where neither says."""
    for name in ("Retry-After", "X-RateLimit-Reset"):
        value = answer.headers.get(name, "")
        if value.isascii() and value.isdigit():
            return min(float(value), 3600.0)
    return None


def _signal_of(status: int) -> Signal:
    if status == 401:
        return Signal.UNAUTHORIZED
    return Signal.UNREACHABLE if status >= 500 else Signal.NONE
