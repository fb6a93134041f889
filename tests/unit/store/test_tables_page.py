"""The reference page of the tables names each table and column that the databases have, and no other."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import defaultdict
from pathlib import Path

from tests.kit.prose import ROOT

from orderflow._store.sqlite.store import SqliteStore

PAGE = ROOT / "docs/reference/tables.md"


def read_page() -> dict[str, set[str]]:
    """The columns by table: the code spans in the first cells of each section's table."""
    columns: dict[str, set[str]] = defaultdict(set)
    table = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            table = line.removeprefix("## ")
        elif table and line.startswith("| `"):
            columns[table] |= set(re.findall(r"`(\w+)`", line.split("|")[1]))
    return columns


async def create_tables(path: Path) -> None:
    """Open a store there once."""
    store = SqliteStore(path)
    await store.open()
    await store.close()


def test_the_page_has_the_tables_and_columns_of_the_database(tmp_path: Path) -> None:
    asyncio.run(create_tables(tmp_path / "orders.db"))
    connection = sqlite3.connect(tmp_path / "orders.db")
    query = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
    stored: dict[str, set[str]] = defaultdict(set)
    for table, column in connection.execute(query):
        stored[table].add(column)
    connection.close()
    assert read_page() == stored


def test_the_overview_lists_each_section() -> None:
    overview = re.findall(r"^\| `(of_\w+)` \|", PAGE.read_text(), re.M)
    assert sorted(overview) == sorted(read_page())
