"""Threads for plain functions of the application. A function that never returns holds its own thread and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from orderflow._store.records import Lane


class _Returned(NamedTuple):
    result: object
    error: BaseException | None


class ListenerThreads:
    """Runs each call in a daemon thread of its own, so that the process can end while one hangs. ``on_end``: a thread that was given up
    has ended."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._given_up: Counter[Lane] = Counter()

    def count_given_up(self, lane: Lane) -> int:
        """How many threads of a lane still run although their time is over: they cannot be cancelled."""
        return self._given_up[lane]

    async def run(self, lane: Lane, function: Callable[[], object]) -> object:
        """Call ``function`` in a thread, with the context variables of the caller. Returns its result.

        Raises:
            BaseException: what the function raised, whatever its type.
        """
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        ended: asyncio.Future[_Returned] = loop.create_future()

        def finish(returned: _Returned) -> None:
            if not ended.done():
                ended.set_result(returned)
            elif self._given_up[lane]:
                self._given_up[lane] -= 1
                self._on_end()

        def work() -> None:
            try:
                returned = _Returned(context.run(function), None)
            except BaseException as error:  # noqa: BLE001  SystemExit and StopIteration too: they end the call and nothing else
                returned = _Returned(None, error)
            with suppress(RuntimeError):  # the event loop is closed: the worker has ended
                loop.call_soon_threadsafe(finish, returned)

        threading.Thread(target=work, name=f"orderflow-listener-{lane[0]}-{lane[1]}", daemon=True).start()
        try:
            result, error = await ended
        except asyncio.CancelledError:
            if ended.cancelled():  # else the thread has ended in the same moment
                self._given_up[lane] += 1
            raise
        if error is not None:
            raise error
        return result
