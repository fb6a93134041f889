"""Fixtures every test may use. Fixtures of one area live in that area's conftest."""

import pytest
from hypothesis import HealthCheck, settings

# No test measures time: CI is slow and shared.
settings.register_profile("orderflow", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("orderflow")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio only: the engine is asyncio, not trio."""
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-write", action="store_true", help="write tests/golden/*.txt anew instead of comparing")
