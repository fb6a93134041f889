"""An OAuth 2.0 client for the client-credentials grant (RFC 6749, section 4.4). Knows no provider.

One access token serves all calls of a process. It is fetched once, however many calls wait for it, and refreshed before it ends.

Only ``access_token`` decides. Any other field of the answer may be missing or of any type. Whatever goes wrong here ends in
``NotExecuted``: the call that needs the token was not sent.

Why not ``httpx.Auth``: inside it, a lost answer to the token request looks like a lost answer to the call itself. The call would be in
doubt, although it was never sent.
"""

from __future__ import annotations

import asyncio
import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import urlencode

from attrs import field, frozen

from orderflow._provider.http import (
    HttpClient,
    HttpResponse,
    NeverSent,
    RequestResult,
    ResponseLost,
    SecondsToWait,
    is_header_value,
    is_page,
    part_of,
    retry_after_seconds,
    send_request,
)
from orderflow._provider.outcomes import NotExecuted, Signal
from orderflow._provider.wire import json_name, parse_record
from orderflow.errors import MalformedAnswer

CredentialsIn = Literal["basic", "body", "query"]
_REFRESH_EARLY = 0.1  # refresh when this share of the lifetime is left, so that no call starts with a token that is about to end
_PASSING_ERRORS = ("temporarily_unavailable", "server_error")  # the login server's own trouble (RFC 6749, section 4.1.2.1)
_LONGEST_LIFETIME = 366 * 86400.0  # a longer one is a mistake, such as milliseconds or a moment in time


@frozen(repr=False)
class TokenResponse:
    """The body of a successful token response (RFC 6749, section 5.1). ``expires_in`` in seconds, as a number or as its text."""

    access_token: str = field(metadata=json_name("access_token"))
    token_type: str | None = field(default=None, metadata=json_name("token_type"))
    expires_in: object = field(default=None, metadata=json_name("expires_in"))
    refresh_token: str | None = field(default=None, metadata=json_name("refresh_token"))
    scope: str | None = None
    extra: Mapping[str, object] = field(factory=dict)


class OAuth2Client:
    """Access tokens from one token endpoint.

    ``credentials_in``: where the token request carries client id and secret: HTTP Basic, the form, or the query. ``default_lifetime``:
    how many seconds a token is valid whose response does not state it. ``now``: the time in epoch seconds. ``timeout``: after how many
    seconds a token request is given up, however slowly its answer comes; less than a call may take. ``seconds_to_wait``: as for
    ``outcome_of_response``.
    """

    def __init__(
        self,
        client: HttpClient,
        token_url: str,
        client_id: str,
        client_secret: str,
        now: Callable[[], float],
        *,
        credentials_in: CredentialsIn = "basic",
        default_lifetime: float = 3600.0,
        timeout: float = 10.0,
        seconds_to_wait: SecondsToWait = retry_after_seconds,
    ) -> None:
        self._client = client
        self._token_url = token_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._now = now
        self._credentials_in = credentials_in
        self._default_lifetime = default_lifetime
        self._timeout = timeout
        self._seconds_to_wait = seconds_to_wait
        self._lock = asyncio.Lock()
        self._token = ""
        self._valid_until = 0.0
        self._fetches = 0  # how many have ended
        self._last_failure: NotExecuted | None = None  # of the last fetch; None where it succeeded

    def __repr__(self) -> str:
        return "OAuth2Client(...)"

    async def token(self) -> str | NotExecuted:
        """A valid access token, or why there is none. In that case the call for which it is needed was not sent."""
        fetches_before = self._fetches
        async with self._lock:
            if self._token and self._now() < self._valid_until:
                return self._token
            if self._last_failure is not None and self._fetches > fetches_before:
                return self._last_failure  # it failed while this call waited: fifty calls must not wait for fifty timeouts in a row
            token = await self._fetch()
            self._fetches += 1
            self._last_failure = token if isinstance(token, NotExecuted) else None
            return token

    def invalidate(self, token: str) -> None:
        """Fetch a new token next time: the provider refused this one."""
        if token == self._token:
            self._token = ""

    async def _fetch(self) -> str | NotExecuted:
        try:
            async with asyncio.timeout(self._timeout):
                result = await self._request_token()
            return self._accept(result)
        except MalformedAnswer as error:
            return NotExecuted(f"no token: {error}", signal=Signal.LOGIN_SERVER)
        except TimeoutError:
            return NotExecuted(f"no token: no whole answer within {self._timeout:g} s", signal=Signal.LOGIN_SERVER)
        except Exception as error:  # noqa: BLE001  whatever it is, the call for which the token is needed was not sent
            return NotExecuted(f"no token: {type(error).__name__}", signal=Signal.LOGIN_SERVER)

    def _accept(self, result: RequestResult) -> str | NotExecuted:
        """Keep the token that a response grants, or say why there is none."""
        if not isinstance(result, HttpResponse) or not 200 <= result.status < 300:
            return _failure_of(result, self._seconds_to_wait)
        granted = parse_record(TokenResponse, result.json())
        token = granted.access_token.strip()
        if not token or not is_header_value(token):
            raise MalformedAnswer("TokenResponse: access_token: empty, or no value of a header")
        lifetime = _lifetime_seconds(granted.expires_in, self._default_lifetime)
        self._token = token
        self._valid_until = self._now() + lifetime * (1 - _REFRESH_EARLY)
        return token

    async def _request_token(self) -> RequestResult:
        form = {"grant_type": "client_credentials"}
        credentials = {"client_id": self._client_id, "client_secret": self._client_secret}
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        params: dict[str, str] = {}
        if self._credentials_in == "basic":
            headers["Authorization"] = "Basic " + b64encode(f"{self._client_id}:{self._client_secret}".encode()).decode()
        elif self._credentials_in == "body":
            form |= credentials
        else:
            params = {**form, **credentials}
        content = urlencode(form).encode()
        return await send_request(self._client, "POST", self._token_url, headers=headers, content=content, params=params)


def _lifetime_seconds(stated: object, default: float) -> float:
    """The lifetime that a response states, as a number or its text; the default where it cannot be one."""
    if isinstance(stated, bool) or not isinstance(stated, int | float | str):
        return default
    try:
        seconds = float(stated)
    except (ValueError, OverflowError):
        return default
    return seconds if math.isfinite(seconds) and 0 < seconds <= _LONGEST_LIFETIME else default


def _failure_of(result: RequestResult, seconds_to_wait: SecondsToWait) -> NotExecuted:
    """Why a token request without a whole 2xx failed."""
    if isinstance(result, NeverSent) or (isinstance(result, ResponseLost) and (result.status is None or 200 <= result.status < 300)):
        return NotExecuted(f"no token: {result.why}", signal=Signal.LOGIN_SERVER)
    response = part_of(result)
    assert response is not None
    why, wait = f"no token: {response.status} from the token endpoint", seconds_to_wait(response)
    return NotExecuted(why, wait, _signal_of(response), status=response.status)


def _signal_of(response: HttpResponse) -> Signal:
    """Who is at fault where the token endpoint answered with no 2xx. Servers refuse credentials with 400, 401 or 403."""
    if response.status == 429:
        return Signal.THROTTLED
    if response.status not in (400, 401, 403):
        return Signal.LOGIN_SERVER
    if is_page(response):
        return Signal.FOREIGN
    return Signal.LOGIN_SERVER if _error_of(response) in _PASSING_ERRORS else Signal.UNAUTHORIZED


def _error_of(response: HttpResponse) -> str:
    """The ``error`` of an error response (RFC 6749, section 5.2); empty where there is none."""
    try:
        answer = response.json()
    except MalformedAnswer:
        return ""
    error = answer.get("error") if isinstance(answer, Mapping) else None
    return error if isinstance(error, str) else ""
