"""Each scenario runs with both dispatchers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from tests.kit import postgres


@pytest.fixture(params=["local", "pgqueuer"])
def dispatch(request: pytest.FixtureRequest) -> str:
    """The dispatcher's name."""
    return str(request.param)


@pytest.fixture
def own() -> Iterator[Any]:
    """A PostgreSQL server of this test's own, which may be stopped."""
    server = postgres.server(f"orderflow-pg-run-{secrets.token_hex(4)}")
    yield server
    server.ensure_postgres_running()
    server.cleanup()
