"""The databases of the adversary's tests."""

from tests.kit.store_fixtures import another, postgres_url, store, url

__all__ = ["another", "postgres_url", "store", "url"]
