"""Traces and metrics: the ``Telemetry`` that ``Orderflow`` reports to, and its OpenTelemetry implementation (extra ``otel``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orderflow._telemetry.ports import NoTelemetry, Span, Telemetry

if TYPE_CHECKING:
    from orderflow._telemetry.opentelemetry import OpenTelemetry

__all__ = ["NoTelemetry", "OpenTelemetry", "Span", "Telemetry"]


def __getattr__(name: str) -> Any:
    if name == "OpenTelemetry":  # needs the extra
        from orderflow._telemetry.opentelemetry import OpenTelemetry  # noqa: PLC0415

        return OpenTelemetry
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
