"""Watching every decision that engines of this process make, for tools such as test coverage. In production there is no watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orderflow._lifecycle.table import Table
from orderflow.model import Decision, Event, Observation, Snapshot

Watcher = Callable[[Table, Snapshot, Event | Observation, Decision], None]
"""Called with the lifecycle, the order before the decision, what was decided about, and the decision; again after a lost race."""

_watchers: list[Watcher] = []


@contextmanager
def watch_decisions(watcher: Watcher) -> Iterator[None]:
    """Call ``watcher`` for every decision within the block, by any engine of this process, in any thread."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def are_watched() -> bool:
    """Whether there is a watcher."""
    return bool(_watchers)


def report_decision(table: Table, snapshot: Snapshot, subject: Event | Observation, decision: Decision) -> None:
    """Call every watcher."""
    for watcher in _watchers:
        watcher(table, snapshot, subject, decision)


__all__ = ["Watcher", "are_watched", "report_decision", "watch_decisions"]
