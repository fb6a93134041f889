"""OpenTelemetry with its real SDK, exporting into memory: the spans and metrics of an order's life, and what they never contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.kit.world import CANARIES, ccv_request, running

from orderflow._telemetry.opentelemetry import OpenTelemetry

pytestmark = pytest.mark.anyio


class RecordingSdk:
    """An SDK that keeps what is exported."""

    def __init__(self) -> None:
        self._spans, self._metrics = InMemorySpanExporter(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        meters = MeterProvider([self._metrics], shutdown_on_exit=False)
        self.tracer = tracers.get_tracer("the application")
        self.telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters)

    def spans(self, name: str = "", **attributes: object) -> list[ReadableSpan]:
        """Finished spans with this name and these attributes, by start."""
        expected = {f"orderflow.{key}": value for key, value in attributes.items()}
        spans = [
            span
            for span in self._spans.get_finished_spans()
            if span.name.startswith(f"orderflow {name}") and expected.items() <= dict(span.attributes or {}).items()
        ]
        return sorted(spans, key=lambda span: span.start_time or 0)

    def metrics(self) -> dict[str, list[Any]]:
        """The data points of every metric."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def dump(self) -> str:
        """Everything that was exported, as text."""
        return "".join(span.to_json() for span in self._spans.get_finished_spans()) + repr(self.metrics())


async def complete_order(folder: Path, sdk: RecordingSdk) -> str:
    """An order's whole life. Returns its id."""
    async with running(folder, telemetry=sdk.telemetry) as world:
        world.flow.on_entered("ccv", "Completed", lambda entered: None)
        order = await world.flow.create("ccv", key="k", **ccv_request(external_reference="k"))
        with sdk.tracer.start_as_current_span("the application's request"):
            await world.flow.send(order.id, "submit")
        await world.flow.wait(order.id, "Completed", 60)
    return order.id


async def test_each_effect_is_a_trace_of_its_own_that_links_to_the_decision_that_owes_it(tmp_path: Path) -> None:
    sdk = RecordingSdk()
    order_id = await complete_order(tmp_path, sdk)
    (submit,) = sdk.spans("decision", order_id=order_id, trigger="submit")
    assert submit.parent is not None, "a decision belongs to the trace of the request that caused it"
    assert submit.attributes is not None
    assert submit.attributes["orderflow.decision"] == "Applied"
    effects = sdk.spans("effect", order_id=order_id)
    assert effects
    decisions = {span.context.span_id: span for span in sdk.spans("decision")}
    for effect in effects:
        assert effect.parent is None
        (link,) = effect.links
        decision = decisions[link.context.span_id]
        assert (decision.attributes or {})["orderflow.order_id"] == order_id
        assert effect.context.trace_id != decision.context.trace_id
    replies = sdk.spans("decision", order_id=order_id, origin="reply")
    assert replies
    assert {span.parent.span_id for span in replies if span.parent} <= {span.context.span_id for span in effects}
    polls = sdk.spans("poll", order_id=order_id)
    assert polls
    assert all(span.parent is None for span in polls)


async def test_metrics_count_steps_and_time_spans_and_name_no_order(tmp_path: Path) -> None:
    sdk = RecordingSdk()
    order_id = await complete_order(tmp_path, sdk)
    metrics = sdk.metrics()
    steps = {
        (point.attributes["orderflow.source"], point.attributes["orderflow.target"]): point.value
        for point in metrics["orderflow.transitions"]
    }
    assert steps["drafted", "configuring"] == 1
    for name in ("decision", "effect", "poll"):
        points = metrics[f"orderflow.{name}.duration"]
        assert sum(point.count for point in points) == len(sdk.spans(name))
        assert order_id not in repr(points)


async def test_nothing_of_an_orders_data_and_no_secret_is_exported(tmp_path: Path) -> None:
    sdk = RecordingSdk()
    await complete_order(tmp_path, sdk)
    exported = sdk.dump()
    assert len(exported) > 1000
    assert not [canary for canary in CANARIES if canary in exported]


async def test_of_an_exception_only_its_type_is_exported(tmp_path: Path) -> None:
    sdk = RecordingSdk()
    with pytest.raises(ValueError, match="canary"), sdk.telemetry.span("effect", {"effect": "ring"}, "no traceparent"):
        raise ValueError("canary")
    (span,) = sdk.spans("effect")
    assert span.status.description == "ValueError"
    assert not span.links
    assert "canary" not in sdk.dump()
