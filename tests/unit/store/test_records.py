"""Records are frozen: what was decided, leased or loaded is not changed by those who hold it."""

from __future__ import annotations

import inspect
from types import ModuleType
from typing import Any

import attrs
import pytest

from orderflow import model
from orderflow._store import records
from orderflow._store.records import WorkerScope


def record_classes(module: ModuleType) -> list[type]:
    """The attrs classes and named tuples that a module defines."""
    classes = [value for _, value in inspect.getmembers(module, inspect.isclass) if value.__module__ == module.__name__]
    return [value for value in classes if attrs.has(value) or hasattr(value, "_fields")]


def make(record: type) -> tuple[Any, list[str]]:
    """An instance whose values do not matter, and the names of its fields."""
    names = [field.name for field in attrs.fields(record)] if attrs.has(record) else list(record._fields)  # type: ignore[attr-defined]
    return record(**dict.fromkeys(names, "")), names


@pytest.mark.parametrize("record", [*record_classes(records), *record_classes(model)], ids=lambda record: record.__name__)
def test_no_field_can_be_set(record: type) -> None:
    instance, names = make(record)
    for name in names:
        with pytest.raises(AttributeError):
            setattr(instance, name, "other")
    with pytest.raises(AttributeError):
        instance.something_new = 1


def test_the_records_are_all_there() -> None:
    assert {"Commit", "InboxKey", "LeasedEffect", "OwedEffect", "Receipt"} <= {record.__name__ for record in record_classes(records)}
    assert {"JournalRow", "Order", "Pending", "Snapshot"} <= {record.__name__ for record in record_classes(model)}


def test_a_paused_provider_may_not_be_called() -> None:
    worker = WorkerScope(
        {"a": 1.0, "b": 1.0, "c": 1.0}, frozenset({("b", "sent"), ("d", "sent")}), frozenset({"b"}), {("c", ""): 2}, {"a": 0}
    )
    assert worker.effect_lanes(5) == {("a", ""): 5, ("b", "sent"): 5, ("c", ""): 2}
    assert worker.providers_to_poll(5) == {"c": 5}
    assert worker.effect_lanes(0) == worker.providers_to_poll(0) == {}
