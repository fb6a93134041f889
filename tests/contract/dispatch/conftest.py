"""The dispatchers and databases of the dispatch tests."""

from tests.kit.dispatch_fixtures import line, pgqueuer, postgres_url, process

__all__ = ["line", "pgqueuer", "postgres_url", "process"]
