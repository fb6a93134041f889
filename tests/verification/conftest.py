"""Tables for these tests."""

from tests.kit.lifecycle_fixtures import lifecycle
from tests.kit.tables_fixtures import say, table

__all__ = ["lifecycle", "say", "table"]
