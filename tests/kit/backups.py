"""Backups of whole databases, and restoring them in place while processes are connected. No test lives here."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import asyncpg

Restore = Callable[[], Awaitable[None]]
"""Makes the database again what it was at the backup."""


async def make_backup(url: str, folder: Path) -> Restore:
    """Back up the database of this URL; returns what restores it."""
    if url.startswith("sqlite"):
        return await _back_up_sqlite(Path(url.removeprefix("sqlite:///")), folder / "backup.db")
    return await _back_up_postgres(url)


async def _back_up_sqlite(live: Path, backup: Path) -> Restore:
    def copy(source: Path, target: Path) -> None:
        with closing(sqlite3.connect(source)) as reading, closing(sqlite3.connect(target)) as writing:
            reading.backup(writing)

    async def restore() -> None:
        await asyncio.to_thread(copy, backup, live)

    await asyncio.to_thread(copy, live, backup)
    return restore


async def _back_up_postgres(url: str) -> Restore:
    tables: dict[str, bytes] = {}
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            for (table,) in await connection.fetch("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"):
                content = BytesIO()
                await connection.copy_from_table(table, output=content, format="binary")
                tables[table] = content.getvalue()
    finally:
        await connection.close()

    async def restore() -> None:
        connection = await asyncpg.connect(url)
        try:
            async with connection.transaction():
                await connection.execute(f"TRUNCATE {', '.join(tables)}")
                for table, content in tables.items():
                    await connection.copy_to_table(table, source=BytesIO(content), format="binary")
        finally:
            await connection.close()

    return restore
