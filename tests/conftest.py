"""Fixtures every test may use. Fixtures of one area live in that area's conftest."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio only: the engine is asyncio, not trio."""
    return "asyncio"
