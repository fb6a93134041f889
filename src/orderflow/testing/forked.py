"""A life in a forked child, killed at a boundary, from a process that survives: ``lived``. What the boundaries are is boundaries.py."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from attrs import field, frozen

from orderflow.testing.boundaries import Boundaries, kill

PRELOAD = [
    "pytest",
    "orderflow.testing.boundaries",
    "orderflow.providers.ccv",
    "orderflow.providers.connect",
    "orderflow.store.postgres.store",
]
"""What the children find imported: they are forked from a process that has nothing else (what is not installed is left out)."""

Life = Callable[..., Coroutine[Any, Any, object]]


@frozen
class Lived:
    """What became of a life: the labels it passed, in order, and whether it was killed."""

    passed: tuple[str, ...] = field(repr=False)
    killed: bool

    @property
    def points(self) -> tuple[str, ...]:
        """Each label once, in order of its first passing: where to kill."""
        return tuple(dict.fromkeys(self.passed))


def lived(life: Life, *args: object, crash_at: int | str | None = None) -> Lived:
    """Run ``life(boundaries, *args)``, a coroutine function of a module, in a forked child; killed (SIGKILL) at ``crash_at``.

    Without ``crash_at`` it is the counting run, and also the restart after a crash. What the child prints goes where this process
    prints to; blocks until it has ended.

    Raises:
        RuntimeError: it ended neither well nor by the kill: an exception of the life, which the child has printed.
    """
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(PRELOAD)
    told, telling = processes.Pipe(duplex=False)
    child = processes.Process(target=_live, args=(life, args, crash_at, telling), daemon=True)
    child.start()
    telling.close()
    passed: list[str] = []
    with told:
        while True:
            try:
                passed.append(told.recv())
            except EOFError:
                break
    child.join()
    code, ended = child.exitcode, Lived(tuple(passed), child.exitcode == -signal.SIGKILL)
    child.close()
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the life ended with exit code {code}")
    return ended


def _live(life: Life, args: tuple[object, ...], crash_at: int | str | None, telling: Any) -> None:
    asyncio.run(life(Boundaries(crash_at, kill, telling.send), *args))


__all__ = ["PRELOAD", "Lived", "lived"]
