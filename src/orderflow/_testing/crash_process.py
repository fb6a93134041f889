"""A run in a forked child that is killed at a crash point, from a process that survives: ``run_process``."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Coroutine
from importlib.metadata import entry_points
from typing import Any

from attrs import field, frozen

from orderflow._testing.crash_points import CrashPoints, kill

Story = Callable[..., Coroutine[Any, Any, object]]


@frozen
class ProcessRun:
    """What became of a run: the labels it passed, in order, and whether it was killed."""

    passed: tuple[str, ...] = field(repr=False)
    killed: bool

    @property
    def points(self) -> tuple[str, ...]:
        """Each label once, in the order of its first passing: where to kill."""
        return tuple(dict.fromkeys(self.passed))


def modules_to_preload() -> list[str]:
    """The modules that children are forked with: the installed providers, a store, and pytest."""
    providers = sorted(entry.value.partition(":")[0] for entry in entry_points(group="orderflow.providers"))
    return ["pytest", "orderflow._testing.crash_points", *providers, "orderflow._store.postgres.store"]


def run_process(story: Story, *args: object, crash_at: int | str | None = None) -> ProcessRun:
    """Run ``story(crash_points, *args)``, a coroutine function of a module, in a forked child; kill it (SIGKILL) at ``crash_at``.

    Without ``crash_at`` it is the first run, which lists the points, and also the restart after a crash. What the child prints is printed
    here. Blocks until the child has ended.

    Raises:
        RuntimeError: the child failed: it has printed the exception.
    """
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(modules_to_preload())
    receiving, sending = processes.Pipe(duplex=False)
    child = processes.Process(target=_run_child, args=(story, args, crash_at, sending), daemon=True)
    child.start()
    sending.close()
    passed: list[str] = []
    with receiving:
        while True:
            try:
                passed.append(receiving.recv())
            except EOFError:
                break
    child.join()
    code = child.exitcode
    child.close()
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the story ended with exit code {code}")
    return ProcessRun(tuple(passed), killed=code == -signal.SIGKILL)


def _run_child(story: Story, args: tuple[object, ...], crash_at: int | str | None, sending: Any) -> None:
    asyncio.run(story(CrashPoints(crash_at, kill, sending.send), *args))


__all__ = ["ProcessRun", "modules_to_preload", "run_process"]
