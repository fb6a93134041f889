"""The engine of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.toy import Bench
from engine.toy import bench as new_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """An engine over an empty database, under a clock that stands still."""
    async with new_bench(tmp_path) as made:
        yield made
