"""Waits between attempts to reach the database."""

from __future__ import annotations

import asyncio

_MIN_WAIT, _MAX_WAIT_SECONDS = 0.05, 1.0  # seconds between two attempts


class Backoff:
    """Waits between attempts, longer each time, until the patience (seconds) is over."""

    def __init__(self, patience: float) -> None:
        self._wait = _MIN_WAIT
        self._end = asyncio.get_running_loop().time() + patience

    async def wait(self) -> bool:
        """Wait a little. False: the patience is over."""
        left = self._end - asyncio.get_running_loop().time()
        if left <= 0:
            return False
        await asyncio.sleep(min(self._wait, left))
        self._wait = min(_MAX_WAIT_SECONDS, 2 * self._wait)
        return True
