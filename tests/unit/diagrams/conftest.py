"""Lifecycles to draw: the two registered ones, and small ones for one case each."""

from pathlib import Path

import pytest

from orderflow._cli import lifecycle_lookup
from orderflow._lifecycle.table import Table

REGISTERED = ("ccv", "connect")


@pytest.fixture(params=REGISTERED)
def registered(request: pytest.FixtureRequest) -> Table:
    return lifecycle_lookup.find(request.param)


@pytest.fixture
def ccv() -> Table:
    return lifecycle_lookup.find("ccv")


@pytest.fixture
def connect() -> Table:
    return lifecycle_lookup.find("connect")


@pytest.fixture(scope="session")
def small() -> dict[str, Table]:
    """The tables of tests/kit/lifecycles.py, by name in lower case."""
    path = Path(__file__).parents[2] / "kit" / "lifecycles.py"
    return {name.lower(): lifecycle_lookup.find(f"{path}:{name}") for name in ("Fan", "Hostile")}
