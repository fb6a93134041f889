"""Fixtures every test may use. Fixtures of one area live in that area's conftest."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio only: the engine is asyncio, not trio."""
    return "asyncio"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-write", action="store_true", help="write tests/golden/*.txt anew instead of comparing")
