"""Damages rows of a test's database, as a torn page or a person with an UPDATE does. No test lives here."""

from __future__ import annotations

import sqlite3
from contextlib import closing


async def run_sql(url: str, statement: str) -> None:
    """Run one statement on the database of this URL, beside the store."""
    if url.startswith("sqlite:///"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(statement)
        return
    import asyncpg  # needs the extra

    postgres = await asyncpg.connect(url)
    try:
        await postgres.execute(statement)
    finally:
        await postgres.close()
