"""The dispatchers that the contract suite runs on, each on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.kit.dispatchers import LINES, Line, Process, line_of
from tests.kit.postgres import drop_schema, make_schema


@pytest.fixture(params=LINES)
async def line(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Line]:
    """Each dispatcher in turn, on an empty database."""
    async with line_of(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def pgqueuer(tmp_path: Path) -> AsyncIterator[Line]:
    """pgqueuer, on an empty database."""
    async with line_of("pgqueuer-postgres", tmp_path) as made:
        yield made


@pytest.fixture
async def process(line: Line) -> Process:
    """A worker on an empty database."""
    return await line.process()


@pytest.fixture
async def postgres_url() -> AsyncIterator[str]:
    """An empty PostgreSQL database."""
    name, url = await make_schema()
    yield url
    await drop_schema(name)
