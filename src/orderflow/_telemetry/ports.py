"""What the engine reports to a tracing and metrics system: the protocols, and an implementation that does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Span(Protocol):
    """A piece of work that is being traced."""

    @property
    def traceparent(self) -> str:
        """Its W3C traceparent, to which a later span can link; ``""`` without tracing."""

    def set(self, **attributes: str | int) -> None:
        """Add attributes. Never an order's data, never the message of an exception."""


class Telemetry(Protocol):
    """Traces and metrics of the engine."""

    def span(self, name: str, attributes: Mapping[str, str | int], link: str | None = None) -> AbstractContextManager[Span]:
        """Trace a ``decision``, ``effect``, ``poll`` or ``deadline``.

        Without ``link`` the span is a child of the current one. With ``link`` it starts a trace of its own, linked to that
        traceparent (``""``: linked to nothing).
        """

    def count_transition(self, lifecycle: str, source: str, target: str, origin: str, kind: str) -> None:
        """Count one step of an order."""


class _NoSpan:
    traceparent = ""

    def set(self, **attributes: str | int) -> None:
        """Do nothing."""


_NO_SPAN: AbstractContextManager[Span] = nullcontext(_NoSpan())


class NoTelemetry:
    """A ``Telemetry`` that does nothing, at next to no cost."""

    def span(self, name: str, attributes: Mapping[str, str | int], link: str | None = None) -> AbstractContextManager[Span]:
        """See ``Telemetry.span``."""
        return _NO_SPAN

    def count_transition(self, lifecycle: str, source: str, target: str, origin: str, kind: str) -> None:
        """See ``Telemetry.count_transition``."""
