"""The ``ports.Telemetry`` of an engine that nobody watches: it costs next to nothing, and notes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from orderflow.telemetry.ports import Span


class _Nothing:
    trace = ""

    def note(self, **about: str | int) -> None:
        """Nobody listens."""


_NOTHING: AbstractContextManager[Span] = nullcontext(_Nothing())


class NoTelemetry:
    """Watches nothing."""

    def span(self, name: str, about: Mapping[str, str | int], cause: str | None = None) -> AbstractContextManager[Span]:
        """See ``ports.Telemetry``."""
        return _NOTHING

    def stepped(self, lifecycle: str, source: str, target: str, origin: str, kind: str) -> None:
        """See ``ports.Telemetry``."""
