"""Our public URLs: ``<public>/<provider>/<purpose>/<key id>.<order>.<signature>``.

The token is HMAC-SHA256 over provider, purpose and order, in the path (query strings end in logs and referrers). It authorises a claim,
which proves nothing, and an earlier poll. So it needs no expiry and survives many notifications. Two keys at once allow rotation: the first
signs, all verify.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from orderflow._provider.settings import check_base_url, check_secret
from orderflow.errors import ConfigurationError

_MIN_KEY_BYTES = 16


class SignedUrls:
    """Makes and checks tokens. ``keys``: key id -> secret (at least 16 bytes), the first one signs.

    Raises:
        ConfigurationError: there is no key, a key is short or has white space at an end, or a key id is not letters and digits. Or the
            public URL is not absolute, or has a user, query or fragment.
    """

    def __init__(self, public_url: str | None, keys: Mapping[str, str | bytes]) -> None:
        self._public = check_base_url("public_url", public_url) if public_url else None
        self._keys = {kid: key if isinstance(key, bytes) else check_secret("signing_keys", key).encode() for kid, key in keys.items()}
        if self._public is not None and not self._keys:
            raise ConfigurationError("needed to sign our public URLs", "signing_keys")
        for kid, key in self._keys.items():
            if not (kid.isascii() and kid.isalnum()) or len(key) < _MIN_KEY_BYTES:
                raise ConfigurationError(f"a key id is letters and digits, a key at least {_MIN_KEY_BYTES} bytes", "signing_keys")

    def __repr__(self) -> str:
        return "SignedUrls(...)"

    def url(self, provider: str, purpose: str, order_id: str = "") -> str | None:
        """See ``PublicUrls.url``."""
        if self._public is None:
            return None
        base = f"{self._public}/{provider}/{purpose}"
        return f"{base}/{self._token(provider, purpose, order_id)}" if order_id else base

    def order_of(self, provider: str, purpose: str, token: str) -> str | None:
        """The order for which a token was signed; None if we did not sign it."""
        kid, _, rest = token.partition(".")
        order_id, _, signature = rest.rpartition(".")
        key = self._keys.get(kid)
        if key is None or not order_id:
            return None
        expected = _signature(key, provider, purpose, order_id)
        return order_id if hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")) else None

    def _token(self, provider: str, purpose: str, order_id: str) -> str:
        kid, key = next(iter(self._keys.items()))
        return f"{kid}.{order_id}.{_signature(key, provider, purpose, order_id)}"


def _signature(key: bytes, provider: str, purpose: str, order_id: str) -> str:
    digest = hmac.digest(key, "\0".join((provider, purpose, order_id)).encode("utf-8", "replace"), sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")
