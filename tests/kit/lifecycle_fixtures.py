"""What the lifecycle tests share: the installed lifecycles, and a way to declare one from a few lines of text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import statemachine

from orderflow._lifecycle import properties
from orderflow._lifecycle.declare import Lifecycle, State, assumed, documented, edge, inferred, once, reading, repeatable
from orderflow._lifecycle.facts import Fact, Flag
from orderflow._lifecycle.table import Table
from orderflow.model import Cause, Origin

Declare = Callable[[str], type[Lifecycle]]


def lifecycles() -> list[type[Lifecycle]]:
    """The lifecycle of every provider that is installed: the class that its package's lifecycle.py declares."""
    declared: list[type[Lifecycle]] = []
    for entry in sorted(entry_points(group="orderflow.providers"), key=lambda entry: entry.name):
        names = vars(import_module(f"{entry.module}.lifecycle"))
        declared += [c for c in names.values() if isinstance(c, type) and issubclass(c, Lifecycle) and c is not Lifecycle]
    return declared


@pytest.fixture(params=lifecycles(), ids=lambda lifecycle: lifecycle.table.name)
def lifecycle(request: pytest.FixtureRequest) -> type[Lifecycle]:
    """Each lifecycle in turn."""
    return request.param


@pytest.fixture
def table(lifecycle: type[Lifecycle]) -> Table:
    """The compiled table of each lifecycle in turn."""
    return lifecycle.table


@pytest.fixture
def golden() -> Path:
    """Where the reviewed matrices are."""
    return Path(__file__).parents[1] / "golden"


@pytest.fixture
def declare() -> Declare:
    """Declares a lifecycle from the text of a class body, in which ``e`` is edge() with cause, evidence and label given."""

    def from_text(body: str) -> type[Lifecycle]:
        names: dict[str, object] = {
            **{origin.value: origin for origin in Origin},
            "Fact": Fact,
            "Flag": Flag,
            "Lifecycle": Lifecycle,
            "State": State,
            "statemachine": statemachine,
            "e": partial(edge, cause=Cause.US, evidence=assumed("a test"), label="moves"),
            "documented": documented,
            "inferred": inferred,
            "assumed": assumed,
            "once": once,
            "p": properties,
            "reading": reading,
            "repeatable": repeatable,
            "elsewhere": Flag(),
        }
        exec("class Seeded(Lifecycle, name='seeded'):\n" + textwrap.indent(textwrap.dedent(body), "    "), names)
        return names["Seeded"]  # type: ignore[return-value]

    return from_text
