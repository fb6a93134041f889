"""Lifecycles for these tests."""

from tests.kit.lifecycle_fixtures import declare, golden, lifecycle, table

__all__ = ["declare", "golden", "lifecycle", "table"]
