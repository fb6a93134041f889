"""Traces and metrics by OpenTelemetry (extra ``otel``): ``Orderflow(..., telemetry=OpenTelemetry())``. Only the API is needed here;
which SDK exports where is the host's configuration.

An order lives for days, so no trace spans its life: each decision, effect, read and deadline is a span of its own, and an effect's span
*links* to the decision that owes it. Spans name orders by our id; metrics name none. Nothing of an order's data, and no exception's
message, is ever recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from time import perf_counter

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags

from orderflow.telemetry.ports import Span

_NAMED_ONCE = frozenset({"orderflow.order_id", "orderflow.attempt"})  # would make a time series an order


class OpenTelemetry:
    """A ``ports.Telemetry``. Histograms ``orderflow.<span>.duration`` (seconds) and the counter ``orderflow.transitions``.

    Args:
        tracer_provider, meter_provider: default to the global ones.
    """

    def __init__(self, *, tracer_provider: trace.TracerProvider | None = None, meter_provider: metrics.MeterProvider | None = None) -> None:
        release = version("orderflow")
        self._tracer = trace.get_tracer("orderflow", release, tracer_provider)
        meter = metrics.get_meter("orderflow", release, meter_provider)
        self._durations = {
            name: meter.create_histogram(f"orderflow.{name}.duration", "s", f"how long a {name} took")
            for name in ("decision", "effect", "read", "deadline")
        }
        self._transitions = meter.create_counter("orderflow.transitions", "1", "steps that orders took")

    @contextmanager
    def span(self, name: str, about: Mapping[str, str | int], cause: str | None = None) -> Iterator[Span]:
        """See ``ports.Telemetry``."""
        of_its_own = cause is not None
        with self._tracer.start_as_current_span(
            f"orderflow {name}",
            context=Context() if of_its_own else None,
            links=[Link(found)] if (found := _context_of(cause or "")) else [],
            attributes={f"orderflow.{key}": value for key, value in about.items()},
            record_exception=False,
            set_status_on_exception=False,
        ) as current:
            span = _Span(current, {f"orderflow.{key}": value for key, value in about.items()})
            began = perf_counter()
            try:
                yield span
            except BaseException as error:
                span.note(error=type(error).__name__)
                current.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
            finally:
                known = {key: value for key, value in span.about.items() if key not in _NAMED_ONCE}
                self._durations[name].record(perf_counter() - began, known)

    def stepped(self, lifecycle: str, source: str, target: str, origin: str, kind: str) -> None:
        """See ``ports.Telemetry``."""
        about = {"lifecycle": lifecycle, "source": source, "target": target, "origin": origin, "kind": kind}
        self._transitions.add(1, {f"orderflow.{key}": value for key, value in about.items()})


class _Span:
    """A ``ports.Span``; ``about`` is what is known of it so far."""

    def __init__(self, span: trace.Span, about: dict[str, str | int]) -> None:
        self._span = span
        self.about = about

    @property
    def trace(self) -> str:
        """See ``ports.Span``."""
        found = self._span.get_span_context()
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}" if found.is_valid else ""

    def note(self, **about: str | int) -> None:
        """See ``ports.Span``."""
        for key, value in about.items():
            self.about[f"orderflow.{key}"] = value
            self._span.set_attribute(f"orderflow.{key}", value)


def _context_of(traceparent: str) -> SpanContext | None:
    """What a W3C traceparent names; None where it is none."""
    try:
        form, trace_id, span_id, flags = traceparent.split("-")
        found = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    except ValueError:
        return None
    return found if form == "00" and found.is_valid else None
