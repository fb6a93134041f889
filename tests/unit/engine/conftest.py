"""The engine of each test."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from tests.kit.toy import Bench
from tests.kit.toy import bench as new_bench


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Drawing a traceback takes a tenth of a second: enough to make a loop that spins look patient."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An engine over an empty database, under a clock that stands still."""
    async with new_bench(tmp_path) as made:
        yield made
