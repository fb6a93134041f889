"""The moment of sending. What is cut off before it was certainly not executed, and what is cut off behind it is in doubt.

A call that takes too long is cancelled by its worker. ``before_sending`` marks the cancellation if nothing had been sent by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

_MARK = "orderflow: cancelled before anything was sent"


@contextmanager
def before_sending() -> Iterator[None]:
    """Around what an adapter waits for before it sends a request: an access token, or a look-up."""
    try:
        yield
    except asyncio.CancelledError as error:
        error.add_note(_MARK)
        raise


def is_unsent(error: BaseException | None) -> bool:
    """Whether an exception was caused by a cancellation before anything was sent. ``asyncio.timeout`` names it as the cause."""
    while error is not None:
        if _MARK in getattr(error, "__notes__", ()):
            return True
        error = error.__cause__
    return False
