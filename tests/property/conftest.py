"""What the laws are tried on: the table of every lifecycle that is installed, explored once."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

import pytest
from attrs import frozen

from orderflow.analysis.reachability import Moves, reachable
from orderflow.lifecycle.declare import Lifecycle
from orderflow.lifecycle.table import Table


@frozen
class Explored:
    """A table and every (state, facts) pair that its edges can bring about."""

    table: Table
    moves: Moves


def explored() -> list[Explored]:
    """One for each provider room's lifecycle."""
    found: list[type[Lifecycle]] = []
    for entry in sorted(entry_points(group="orderflow.providers"), key=lambda entry: entry.name):
        room = vars(import_module(f"{entry.module}.lifecycle"))
        found += [c for c in room.values() if isinstance(c, type) and issubclass(c, Lifecycle) and c is not Lifecycle]
    return [Explored(lifecycle.table, reachable(lifecycle.table)) for lifecycle in found]


@pytest.fixture(params=explored(), ids=lambda material: material.table.name, scope="session")
def material(request: pytest.FixtureRequest) -> Explored:
    """Each lifecycle in turn."""
    return request.param


@pytest.fixture
def say(capsys):
    """Print a count past pytest's capture: the numbers are part of the claim."""

    def out(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="")

    return out
