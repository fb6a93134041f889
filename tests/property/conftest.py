"""What the laws are tried on: the table of every installed lifecycle, explored once."""

from __future__ import annotations

import pytest
from attrs import frozen
from tests.kit.lifecycle_fixtures import lifecycles

from orderflow._analysis.reachability import Moves, reachable
from orderflow._lifecycle.table import Table


@frozen
class Explored:
    """A table and every (state, facts) pair that its edges can bring about."""

    table: Table
    moves: Moves


def explore_all() -> list[Explored]:
    """One for each lifecycle."""
    return [Explored(lifecycle.table, reachable(lifecycle.table)) for lifecycle in lifecycles()]


@pytest.fixture(params=explore_all(), ids=lambda material: material.table.name, scope="session")
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
