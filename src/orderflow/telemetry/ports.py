"""Who watches the engine at work."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol


class Span(Protocol):
    """Something that is going on, watched."""

    @property
    def trace(self) -> str:
        """Its W3C traceparent, by which a later span can link to it; "" where nobody watches."""

    def note(self, **about: str | int) -> None:
        """Say more about it. Never an order's data, never an exception's message."""


class Telemetry(Protocol):
    """Who watches the engine at work."""

    def span(self, name: str, about: Mapping[str, str | int], cause: str | None = None) -> AbstractContextManager[Span]:
        """Watch a ``decision``, ``effect``, ``read`` or ``deadline``: part of what is going on here, or (``cause``: the traceparent
        of what led to it, "" where that is unknown) a trace of its own that links to it."""

    def stepped(self, lifecycle: str, source: str, target: str, origin: str, kind: str) -> None:
        """An order took a step."""
