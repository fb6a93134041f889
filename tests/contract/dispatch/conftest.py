"""The dispatchers and databases of the dispatch tests."""

from tests.kit.dispatch_fixtures import backend, pgqueuer, postgres_url, process

__all__ = ["backend", "pgqueuer", "postgres_url", "process"]
