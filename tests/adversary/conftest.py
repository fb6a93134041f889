"""The databases of the adversary's tests, and logs as they were."""

from collections.abc import Iterator

import pytest
import structlog
from tests.kit.store_fixtures import another, postgres_url, store, url

__all__ = ["another", "postgres_url", "store", "url"]


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """The command line configures the logs of its process."""
    yield
    structlog.reset_defaults()
