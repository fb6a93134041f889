"""What CCV's notification means: that there may be news, and nothing else (D1: no body, anyone could call it)."""

from __future__ import annotations

from collections.abc import Sequence

from orderflow.provider.endpoints import Claim, Endpoint

PER_ORDER = "notification"
SHARED = "notifications"


def _news(_parameters: Sequence[tuple[str, str]]) -> Claim:
    return Claim(None)


ENDPOINTS = (
    Endpoint(PER_ORDER, ("POST",), _news),
    Endpoint(SHARED, ("POST",), _news, shared=True),
)
"""A path per order by default; the shared one where CCV allow-lists a single URL."""
