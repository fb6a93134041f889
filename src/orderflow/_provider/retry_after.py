"""How long a response asks us to wait, as HTTP says it. What other headers mean belongs to each provider."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from orderflow._clock import SystemClock

_MAX_RETRY_AFTER = 3600.0
_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, at most an hour. None where it cannot be understood.

    A date is compared with the response's own ``Date``, so that our clock does not matter. Only without one it does.
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return min(float(value), _MAX_RETRY_AFTER)
    until = _http_date(value)
    if until is None:
        return None
    now = _http_date(headers.get("Date", "")) or datetime.fromtimestamp(SystemClock().now(), UTC)
    return min(max((until - now).total_seconds(), 0.0), _MAX_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # a year or an offset of many digits
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
