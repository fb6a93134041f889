"""One HTTP request, and what is known after it: a response, certainly never sent, or the response lost. Knows no provider.

The exceptions of the HTTP library are mapped here and nowhere else. They are recognised by class name, so that any client with the
interface of ``httpx.AsyncClient`` can be used.
"""

from __future__ import annotations

import math
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpx
from attrs import evolve, field, frozen

from orderflow._provider.call import Call
from orderflow._provider.http_policy import decode_body, quiet_logs
from orderflow._provider.outcomes import InDoubt, NotExecuted, Outcome, ProviderAnswer, ReadFailed, Rejected, Signal, StatusRead
from orderflow._provider.retry_after import read_retry_after
from orderflow._provider.wire import parse_json
from orderflow.errors import MalformedAnswer

MAX_RESPONSE_BYTES = 2 * 1024 * 1024
_PROXY_AUTHENTICATION, _REQUEST_TIMEOUT, _TOO_EARLY, _NETWORK_AUTHENTICATION = 407, 408, 425, 511
_MOVED = frozenset({301, 302, 307, 308})
_NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "LocalProtocolError", "PoolTimeout", "ProxyError", "UnsupportedProtocol"})
_LOST = frozenset({"HTTPError", "InvalidURL", "UnicodeError"})  # the last two, which a Location can cause: our own URL is checked before

AnyOutcome = TypeVar("AnyOutcome", bound=Outcome | StatusRead | ReadFailed)


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
    """A response. ``repr`` shows neither headers nor body: a body may quote what we sent."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(default="", repr=False, eq=False, kw_only=True)  # of the request

    def json(self) -> object:
        """The body as JSON, read as ``parse_json`` reads it. The content type does not matter.

        Raises:
            MalformedAnswer: it is not JSON.
        """
        return parse_json(self.body)

    @property
    def answer(self) -> ProviderAnswer:
        """This response as it is kept with the order."""
        return ProviderAnswer(self.status, str(self.headers.get("Content-Type", "")), self.body)


@frozen
class NeverSent:
    """The request certainly did not reach the provider."""

    why: str

    @property
    def status(self) -> None:
        """There is none."""

    @property
    def answer(self) -> None:
        """There is none."""


@frozen
class ResponseLost:
    """The request was sent, and no whole response arrived.

    ``part``: status, headers and what arrived of the body, where the status arrived. The status may prove enough, and the body may hold the
    id that is sought.
    """

    why: str
    part: HttpResponse | None = field(default=None, repr=False, eq=False, kw_only=True)

    @property
    def status(self) -> int | None:
        """The status code, if it arrived."""
        return None if self.part is None else self.part.status

    @property
    def answer(self) -> ProviderAnswer | None:
        """What arrived, as it is kept with the order."""
        return None if self.part is None else evolve(self.part.answer, whole=False)


RequestResult = HttpResponse | NeverSent | ResponseLost


def make_client(timeout: float, *, keep_alive: bool = True) -> httpx.AsyncClient:
    """An HTTP client without redirects and cookies, and without proxies, certificates or credentials from the environment.

    ``timeout``: seconds to wait for a connection, or for the next bytes. ``keep_alive=False``: each request gets a new
    connection. Use it for what must not be sent twice: the other side may close a used connection just as a request is written, and then
    it is unknown whether the request arrived.
    """
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=20 if keep_alive else 0)
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))  # a cookie would tie one customer's call to another's
    hooks = {"response": [_drop_odd_redirect]}
    return httpx.AsyncClient(timeout=timeout, limits=limits, cookies=no_cookies, follow_redirects=False, trust_env=False, event_hooks=hooks)


async def _drop_odd_redirect(response: httpx.Response) -> None:
    """Remove a redirect that does not lead to a web page. The library parses it though nothing is followed, and raises where it cannot."""
    location = response.headers.get("Location", "")
    if 300 <= response.status_code < 400 and not _is_web_address(location):
        response.headers.pop("Location", None)


def _is_web_address(text: str) -> bool:
    try:
        scheme, host = httpx.URL(text).scheme, httpx.URL(text).host
    except (httpx.InvalidURL, ValueError):
        return False
    return scheme in ("http", "https", "") and host != ""


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
    call: Call | None = None,
) -> RequestResult:
    """Send one request, once. At most ``MAX_RESPONSE_BYTES`` of the response are read, and its body expands no further.

    ``call``: the call that the request carries out. Its moment of sending is marked; a look-up for it has none.
    """
    if not all(map(is_header_value, headers.values())):
        return NeverSent("a header that is not plain ASCII")
    try:
        _ = httpx.URL(url, params=dict(params or {})).host  # whose encoding is looked at here only
    except (httpx.InvalidURL, ValueError) as error:
        return NeverSent(type(error).__name__)
    if call is not None:
        await call.mark_sending()
    streaming = client.stream(
        method,
        url,
        content=content or None,
        params=dict(params) if params else None,
        headers={"Accept-Encoding": "identity", **headers},
        follow_redirects=False,
    )
    response, body = None, bytearray()
    try:
        with quiet_logs():
            async with streaming as response:
                if response.is_stream_consumed:  # no socket is behind it: httpx.MockTransport
                    return HttpResponse(response.status_code, response.headers, response.content, url=url)
                async for chunk in response.aiter_raw():  # decoded by the library, one chunk could expand to gigabytes
                    body += chunk
                    if len(body) > MAX_RESPONSE_BYTES:
                        break
        return _whole_response(response, body, url)
    except Exception as error:
        result = _result_of_error(error)
        if result is None:
            raise
        if isinstance(result, ResponseLost) and response is not None:
            return evolve(result, part=HttpResponse(response.status_code, response.headers, _decode(response, body)[0], url=url))
        return result


def _whole_response(response: Any, raw: bytearray, url: str) -> HttpResponse | ResponseLost:
    """A response that was read to its end, or up to the limit."""
    body, decoded = _decode(response, raw)
    whole = HttpResponse(response.status_code, response.headers, body, url=url)
    if max(len(raw), len(body)) > MAX_RESPONSE_BYTES:
        return ResponseLost("the response is too large", part=whole)
    return whole if decoded else ResponseLost("the body cannot be decoded", part=whole)


def _decode(response: Any, raw: bytearray) -> tuple[bytes, bool]:
    return decode_body(bytes(raw), response.headers.get("Content-Encoding", "").strip().lower(), MAX_RESPONSE_BYTES)


def _result_of_error(error: Exception) -> NeverSent | ResponseLost | None:
    """What an exception of the HTTP library proves. None: it is not one of the HTTP library's."""
    names = {base.__name__ for base in type(error).__mro__}
    if names & _NEVER_SENT:
        return NeverSent(type(error).__name__)
    return ResponseLost(type(error).__name__) if names & _LOST else None


def retry_after_seconds(response: HttpResponse) -> float | None:
    """Seconds to wait by ``Retry-After``, at most an hour. None where it cannot be understood.

    A date is compared with the response's own ``Date``, so that our clock does not matter. Only without one it does.
    """
    return read_retry_after(response.headers)


SecondsToWait = Callable[[HttpResponse], float | None]
"""How long a response asks us to wait; None: it does not say. What a header of a quota means belongs to each provider."""


def has_json_or_no_body(response: HttpResponse) -> bool:
    """Whether an error can be the provider's own where the form of its errors is not documented. A page of HTML or a text never is."""
    return not response.body.strip() or _is_json(response)


def with_answer(outcome: AnyOutcome, result: RequestResult) -> AnyOutcome:
    """The outcome with what the provider answered, so that it is kept with the order. One that has an answer already keeps it.

    Not for the answers of a token endpoint: they hold secrets.
    """
    return outcome if outcome.answer is not None or result.answer is None else evolve(outcome, answer=result.answer)


def outcome_of_response(
    result: RequestResult,
    accept: Callable[[HttpResponse], Outcome],
    is_refusal: Callable[[HttpResponse], bool] = has_json_or_no_body,
    seconds_to_wait: SecondsToWait = retry_after_seconds,
) -> Outcome:
    """What a request proves about the effect it was sent for. The outcome carries the answer.

    Args:
        result: the result of the request.
        accept: turns a 2xx response into an outcome; where it raises ``MalformedAnswer``, the effect is in doubt.
        is_refusal: whether a 4xx response has the form of the provider's own errors. Any other was answered by another server, such as a
            proxy or a firewall, and the provider did not act.
        seconds_to_wait: how long a response asks us to wait. Give one that reads the headers that the provider documents.
    """
    return with_answer(_outcome_of_result(result, accept, is_refusal, seconds_to_wait), result)


def _outcome_of_result(
    result: RequestResult,
    accept: Callable[[HttpResponse], Outcome],
    is_refusal: Callable[[HttpResponse], bool],
    seconds_to_wait: SecondsToWait,
) -> Outcome:
    if isinstance(result, NeverSent):
        return NotExecuted(f"never sent: {result.why}", signal=Signal.UNREACHABLE)
    response = part_of(result)
    wait = None if response is None else seconds_to_wait(response)
    decided = None if response is None else _decide_by_status(response, wait)
    if decided is not None:
        return decided
    if isinstance(result, ResponseLost):
        return _outcome_without_body(result, wait)
    if 200 <= result.status < 300:
        try:
            return accept(result)
        except MalformedAnswer as error:
            return InDoubt(f"{result.status} with an unusable body: {error}")
    if _is_client_error(result.status):
        if is_refusal(result):
            return Rejected(f"{result.status} from the provider")
        return NotExecuted(f"{result.status} from another server", wait, Signal.FOREIGN)
    return InDoubt(f"{result.status} from the provider")


def part_of(result: RequestResult) -> HttpResponse | None:
    """What arrived of a response, whole or not. None where not even a status arrived."""
    if isinstance(result, HttpResponse):
        return result
    return result.part if isinstance(result, ResponseLost) else None


def _decide_by_status(response: HttpResponse, wait: float | None) -> NotExecuted | None:
    """What the status proves of an effect, whatever the body is. None: nothing."""
    if response.status == 429:
        return NotExecuted("429 from the provider", wait, Signal.THROTTLED)
    if response.status == 401:
        return NotExecuted("401 from the provider", signal=Signal.UNAUTHORIZED)
    if response.status == _TOO_EARLY:
        return NotExecuted("425 from the provider", wait)
    if _is_from_between(response):
        return NotExecuted(f"{response.status} from another server", wait, Signal.FOREIGN)
    return None


def _outcome_without_body(lost: ResponseLost, wait: float | None) -> Outcome:
    """A 4xx is a refusal or comes from another server. Only the body tells which, but in neither case did the provider act."""
    if lost.part is None or not _is_client_error(lost.part.status):
        return InDoubt(f"sent, no usable answer: {lost.why}")
    signal = Signal.FOREIGN if is_page(lost.part) else Signal.UNREACHABLE
    return NotExecuted(f"{lost.status} without a usable body: {lost.why}", wait, signal)


def _is_client_error(status: int) -> bool:
    return 400 <= status < 500 and status != _REQUEST_TIMEOUT


def _is_from_between(response: HttpResponse) -> bool:
    """Whether a server between us and the provider answered: one that wants a login, or that sends us to another host.

    A 303 is not counted: a server may send it after it has acted.
    """
    if response.status in (_PROXY_AUTHENTICATION, _NETWORK_AUTHENTICATION):
        return True
    if response.status not in _MOVED or not response.url:
        return False
    try:
        there, here = urlsplit(response.headers.get("Location", "")).hostname, urlsplit(response.url).hostname
    except ValueError:
        return False
    return there is not None and there != here


def check_poll_response(result: RequestResult, seconds_to_wait: SecondsToWait = retry_after_seconds) -> HttpResponse | ReadFailed:
    """The response to a status poll where it is a 200, else why the poll failed, with the answer.

    ``seconds_to_wait``: as for ``outcome_of_response``.
    Give what you make of the response its answer too: ``with_answer(StatusRead(...), response)``.
    """
    checked = _check_poll_result(result, seconds_to_wait)
    return with_answer(checked, result) if isinstance(checked, ReadFailed) else checked


def _check_poll_result(result: RequestResult, seconds_to_wait: SecondsToWait) -> HttpResponse | ReadFailed:
    if isinstance(result, NeverSent):
        return ReadFailed(result.why, signal=Signal.UNREACHABLE)
    response = part_of(result)
    if response is not None and response.status == 429:
        return ReadFailed("429 from the provider", seconds_to_wait(response), Signal.THROTTLED)
    if isinstance(result, ResponseLost):
        signal = Signal.NONE if response is None or response.status == 200 else _signal_of(response)
        return ReadFailed(result.why, signal=Signal.UNREACHABLE if signal is Signal.NONE else signal)
    if result.status != 200:
        return ReadFailed(f"{result.status} from the provider", seconds_to_wait(result), _signal_of(result))
    if is_page(result):
        return ReadFailed("a page of another server", signal=Signal.FOREIGN)
    return result


def _signal_of(response: HttpResponse) -> Signal:
    if response.status == 401:
        return Signal.UNAUTHORIZED
    if _is_from_between(response):
        return Signal.FOREIGN
    if response.status >= 500:
        return Signal.UNREACHABLE
    return Signal.FOREIGN if is_page(response) else Signal.NONE


def is_page(response: HttpResponse) -> bool:
    """Whether a response is a page for a browser, so that another server sent it. The body decides: JSON never is, whatever its type."""
    if response.body.removeprefix(BOM_UTF8).lstrip().startswith(b"<"):
        return True
    return "html" in response.headers.get("Content-Type", "").lower() and not _is_json(response)


def _is_json(response: HttpResponse) -> bool:
    try:
        return isinstance(response.json(), dict | list)
    except MalformedAnswer:
        return False
