"""Work that is counted, not timed: how many functions are called. A call that would take for ever is stopped."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class TooMuchWork(AssertionError):
    """More functions were called than were allowed."""


def count_calls(work: Callable[[], T], limit: int) -> tuple[T, int]:
    """Do some work. Returns its result and how many functions, generators and comprehensions it called.

    Raises:
        TooMuchWork: they are more than ``limit``.
    """
    calls = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1
            if calls > limit:
                sys.setprofile(None)
                raise TooMuchWork(f"more than {limit} calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        result = work()
    finally:
        sys.setprofile(before)
    return result, calls
