"""The client's access token: one for all calls of a process, refreshed early, fetched once however many ask (Connect A10).

An own small class and no ``httpx.Auth``: inside one, a lost *token* answer could not be told from a lost answer to the order call,
and the order call would count as in doubt although it was never sent.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlencode

from orderflow.errors import MalformedAnswer
from orderflow.provider.http import Answer, HttpClient, exchange, retry_after
from orderflow.provider.outcomes import NotExecuted, Signal
from orderflow.provider.wire import read
from orderflow.providers.connect.wire import TokenAnswer

CredentialsIn = Literal["basic", "body", "query"]
_DEFAULT_LIFE = 12 * 3600.0  # A10
_EARLY = 0.1  # refresh when this share of the life is left, so that no call starts with a token about to end


class OAuth2Client:
    """Client credentials against ``<login>/oauth/token``. Integrations differ in where they put them; all three are taken (C1, C2, C4)."""

    def __init__(
        self,
        client: HttpClient,
        login: str,
        client_id: str,
        client_secret: str,
        now: Callable[[], float],
        *,
        credentials_in: CredentialsIn = "basic",
    ) -> None:
        self._client = client
        self._url = f"{login}/oauth/token"
        self._id = client_id
        self._secret = client_secret
        self._now = now
        self._in = credentials_in
        self._lock = asyncio.Lock()
        self._token = ""
        self._until = 0.0
        self._fetches = 0  # that ended
        self._refusal: NotExecuted | None = None  # the last fetch's, where it failed

    def __repr__(self) -> str:
        return "Tokens(...)"

    async def token(self) -> str | NotExecuted:
        """The token, or why there is none: then nothing was sent."""
        asked_after = self._fetches
        async with self._lock:
            if self._token and self._now() < self._until:
                return self._token
            if self._refusal is not None and self._fetches > asked_after:
                return self._refusal  # a fetch failed while we waited: fifty calls must not wait for fifty timeouts in a row
            fetched = await self._fetch()
            self._fetches += 1
            self._refusal = fetched if isinstance(fetched, NotExecuted) else None
            return fetched

    def forget(self, token: str) -> None:
        """The provider did not take this token any more."""
        if token == self._token:
            self._token = ""

    async def _fetch(self) -> str | NotExecuted:
        form = {"grant_type": "client_credentials"}
        credentials = {"client_id": self._id, "client_secret": self._secret}
        headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
        params: dict[str, str] = {}
        if self._in == "basic":
            headers["Authorization"] = "Basic " + b64encode(f"{self._id}:{self._secret}".encode()).decode()
        elif self._in == "body":
            form |= credentials
        else:
            params = {**form, **credentials}
        content = urlencode(form).encode()
        answer = await exchange(self._client, "POST", self._url, headers=headers, content=content, params=params)
        if not isinstance(answer, Answer):
            return NotExecuted(f"no token: {answer.why}", signal=Signal.UNREACHABLE)
        if answer.status == 429:
            return NotExecuted("no token: 429 from the login server", retry_after(answer), Signal.THROTTLED)
        if answer.status != 200:
            refused = answer.status in (400, 401, 403)  # OAuth refuses credentials in several ways
            signal = Signal.UNAUTHORIZED if refused else Signal.UNREACHABLE if answer.status >= 500 else Signal.NONE
            return NotExecuted(f"no token: {answer.status} from the login server", signal=signal)
        try:
            granted = read(TokenAnswer, answer.json())
        except MalformedAnswer as error:
            return NotExecuted(f"no token: {error}")
        if not granted.access_token:
            return NotExecuted("no token: TokenAnswer: access_token: empty")
        life = float(granted.expires_in) if granted.expires_in is not None else _DEFAULT_LIFE
        self._token = granted.access_token
        self._until = self._now() + life * (1 - _EARLY)
        return self._token
