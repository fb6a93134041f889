"""Tables for these tests."""

from tests.kit.tables_fixtures import say, table

__all__ = ["say", "table"]
