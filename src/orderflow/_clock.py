"""Time as a parameter: the ``Clock`` protocol and the system's clock."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """The time, and waiting for it to pass."""

    def now(self) -> float:
        """Epoch seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds."""


class SystemClock:
    """Wall-clock time."""

    def now(self) -> float:
        """See ``Clock.now``."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """See ``Clock.sleep``."""
        await asyncio.sleep(seconds)
