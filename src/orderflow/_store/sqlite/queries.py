"""The statements of queries.sql, by name. They are read once, when this module is imported."""

from __future__ import annotations

from orderflow._store.sql import load_statements

assert __package__
SQL = load_statements(__package__, "queries.sql")
