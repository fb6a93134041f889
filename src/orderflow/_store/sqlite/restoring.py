"""What a restore from a backup needs of SQLite. ``doubt_owed_calls`` runs inside the writer's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from orderflow._store import rows
from orderflow._store.records import RESTORED, KeptCommits, OpenWork
from orderflow._store.sqlite.queries import SQL


def doubt_owed_calls(connection: sqlite3.Connection, now: float, until: float, by: str) -> None:
    """See ``Store.doubt_owed_calls``."""
    connection.execute(SQL["doubt_owed_calls"], {"until": until})
    connection.execute(SQL["poll_all_open"], {"now": now})
    connection.execute(SQL["reset_deadlines"])
    connection.execute(SQL["note_maintenance"], (RESTORED, now, by))


def list_open_work(connection: sqlite3.Connection) -> OpenWork:
    """See ``Store.list_open_work``."""
    calls = tuple(map(rows.read_owed_call, connection.execute(SQL["owed_calls"])))
    return OpenWork(calls, tuple(row[0] for row in connection.execute(SQL["planned_polls"])))


def find_kept(connection: sqlite3.Connection, order_ids: Sequence[str]) -> KeptCommits:
    """See ``Store.find_kept``."""
    versions = connection.execute(SQL["versions"], (rows.dump(list(order_ids)),)).fetchall()
    return KeptCommits(dict(versions), dict(connection.execute(SQL["maintenance"]).fetchall()))
