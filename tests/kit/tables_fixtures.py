"""The table of every lifecycle that is installed, and a way to print."""

from __future__ import annotations

import pytest

from orderflow._lifecycle.table import Table
from orderflow._providers.ccv.lifecycle import CcvLifecycle
from orderflow._providers.connect.lifecycle import ConnectLifecycle

TABLES = (CcvLifecycle.table, ConnectLifecycle.table)


@pytest.fixture(params=TABLES, ids=lambda table: table.name)
def table(request: pytest.FixtureRequest) -> Table:
    """Each table in turn."""
    return request.param


@pytest.fixture
def say(capsys):
    """Print past pytest's capture: the numbers are part of the claim."""

    def out(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="")

    return out
