"""Traces and metrics by OpenTelemetry (extra ``otel``): ``Orderflow(..., telemetry=OpenTelemetry())``.

Only OpenTelemetry's API is needed here; the application chooses the SDK and where it exports to.

An order lives for days, so no trace spans its life. Each decision, effect, poll and deadline is a span of its own, and the span of an
effect
*links* to the decision that owes it. Spans carry our order id, metrics do not. Neither carries an order's data or the message of an
exception.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from orderflow._distribution import read_version
from orderflow._telemetry.ports import Span

_NOT_IN_METRICS = frozenset({"orderflow.order_id", "orderflow.attempt"})  # each value would make a time series of its own


class OpenTelemetry:
    """A ``Telemetry``. Histograms ``orderflow.<span>.duration`` (seconds) and the counter ``orderflow.transitions``.

    Args:
        tracer_provider, meter_provider: default to the global ones.
    """

    def __init__(self, *, tracer_provider: trace.TracerProvider | None = None, meter_provider: metrics.MeterProvider | None = None) -> None:
        release = read_version()
        self._tracer = trace.get_tracer("orderflow", release, tracer_provider)
        meter = metrics.get_meter("orderflow", release, meter_provider)
        self._durations = {
            name: meter.create_histogram(f"orderflow.{name}.duration", "s", f"how long a {name} took")
            for name in ("decision", "effect", "poll", "deadline")
        }
        self._transitions = meter.create_counter("orderflow.transitions", "1", "steps taken by orders")

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str | int], link: str | None = None) -> Iterator[Span]:
        """See ``Telemetry.span``."""
        linked = _parse_traceparent(link or "")
        prefixed = {f"orderflow.{key}": value for key, value in attributes.items()}
        with self._tracer.start_as_current_span(
            f"orderflow {name}",
            context=None if link is None else Context(),
            links=[Link(linked)] if linked else [],
            attributes=prefixed,
            record_exception=False,
            set_status_on_exception=False,
        ) as current:
            span = _Span(current, prefixed)
            started = perf_counter()
            try:
                yield span
            except BaseException as error:
                span.set(error=type(error).__name__)
                current.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
            finally:
                labels = {key: value for key, value in span.attributes.items() if key not in _NOT_IN_METRICS}
                self._durations[name].record(perf_counter() - started, labels)

    def count_transition(self, lifecycle: str, source: str, target: str, origin: str, kind: str) -> None:
        """See ``Telemetry.count_transition``."""
        labels = {"lifecycle": lifecycle, "source": source, "target": target, "origin": origin, "kind": kind}
        self._transitions.add(1, {f"orderflow.{key}": value for key, value in labels.items()})


class _Span:
    """A ``Span``; ``attributes`` are those set so far."""

    def __init__(self, span: trace.Span, attributes: dict[str, str | int]) -> None:
        self._span = span
        self.attributes = attributes

    @property
    def traceparent(self) -> str:
        """See ``Span.traceparent``."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else ""

    def set(self, **attributes: str | int) -> None:
        """See ``Span.set``."""
        for key, value in attributes.items():
            self.attributes[f"orderflow.{key}"] = value
            self._span.set_attribute(f"orderflow.{key}", value)


def _parse_traceparent(traceparent: str) -> SpanContext | None:
    """The span context of a W3C traceparent; None if it is not one."""
    try:
        form, trace_id, span_id, flags = traceparent.split("-")
        context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    except ValueError:
        return None
    return context if form == "00" and context.is_valid else None
