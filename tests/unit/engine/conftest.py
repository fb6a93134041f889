"""The bench of each test, and no logs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from tests.kit.postgres import drop_schema, make_schema
from tests.kit.toy import Bench, open_bench


@pytest.fixture(autouse=True)
def no_logs() -> Iterator[None]:
    """To format a traceback takes a tenth of a second. That would hide a loop that spins."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An engine over an empty database, under a clock that stands still."""
    async with open_bench(tmp_path) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgres"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'orders.db'}"
        return
    schema, schema_url = await make_schema()
    yield schema_url
    await drop_schema(schema)
