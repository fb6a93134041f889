"""The dispatchers that the contract suite runs on, each on a database of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.kit.dispatchers import BACKENDS, Backend, Process, open_backend
from tests.kit.postgres import drop_schema, make_schema


@pytest.fixture(params=BACKENDS)
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Each dispatcher in turn, on an empty database."""
    async with open_backend(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
async def pgqueuer(tmp_path: Path) -> AsyncIterator[Backend]:
    """pgqueuer, on an empty database."""
    async with open_backend("pgqueuer-postgres", tmp_path) as opened:
        yield opened


@pytest.fixture
async def process(backend: Backend) -> Process:
    """A worker on an empty database, of each dispatcher in turn."""
    return await backend.open_process()


@pytest.fixture
async def postgres_url() -> AsyncIterator[str]:
    """An empty PostgreSQL database."""
    schema, url = await make_schema()
    yield url
    await drop_schema(schema)
