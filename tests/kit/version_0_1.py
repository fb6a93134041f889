"""A database as version 0.1 left it: its two migrations, and rows that it wrote for orders of the toy provider.

The rows were read out of a database of version 0.1. No test lives here.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from orderflow._store.migrations import migrations
from orderflow._store.urls import parse_database_url

THEN = 1_000_000.0
"""When all of it happened, in epoch seconds."""
THROTTLED_UNTIL = 4_000_000_000.0
"""Until when the provider ``other`` is not to be called."""
FACTS = '{"paid":false,"window":"open"}'

ROWS: dict[str, list[dict[str, Any]]] = {
    "of_orders": [
        {"id": f"toy-{key}", "provider": "toy", "key": key, "state": state, "version": version, "facts": FACTS, "data": data}
        | {"created_at": THEN, "entered_at": THEN}
        for key, state, version, data in (
            ("call", "preparing", 1, "{}"),  # its call was put off once, by a 429
            ("doubt", "sending", 2, "{}"),  # the worker that made its call was killed
            ("notify", "placed", 3, '{"provider_id":"T-notify"}'),  # its listener raised once
            ("poll", "waiting", 4, '{"provider_id":"T-poll"}'),  # a notice asked for a poll; a deadline has come
        )
    ],
    "of_journal": [
        {"order_id": f"toy-{key}", "version": version, "event": event, "origin": origin, "source": source, "target": target}
        | {"kind": "step", "at": THEN, "note": ""}
        for key, steps in (("call", 1), ("doubt", 2), ("notify", 3), ("poll", 4))
        for version, (event, origin, source, target) in enumerate(
            [
                ("order_it", "command", "drafted", "preparing"),
                ("prepared", "reply", "preparing", "sending"),
                ("order_placed", "reply", "sending", "placed"),
                ("came", "claim", "placed", "waiting"),
            ][:steps],
            1,
        )
    ],
    "of_refusals": [
        {"order_id": "toy-poll", "event": event, "state": "waiting", "reason": reason, "origin": "clock", "detail": detail}
        | {"version": 4, "count": 2, "first_at": THEN, "last_at": THEN + 1}
        for event, reason, detail in (("window_closed", "guard said no", "needs window is open"), ("reminded", "not legal here", ""))
    ],
    "of_effects": [
        {"order_id": f"toy-{key}", "version": version, "n": 0, "name": name, "provider": "toy", "about": about, "owed": owed}
        | {"attempt": 1, "in_flight": in_flight, "run_at": THEN + 60, "why": why, "spared": spared, "trace": ""}
        for key, version, name, about, owed, in_flight, why, spared in (
            ("call", 1, "make_ready", "", True, False, "429 from the provider", 1),
            ("doubt", 1, "make_ready", "", False, False, "", 0),
            ("doubt", 2, "place", "", True, True, "", 0),
            ("notify", 3, "tell_host", "placed", True, False, "the host raised", 0),
            ("poll", 3, "tell_host", "placed", False, False, "", 0),
        )
    ],
    "of_deadlines": [
        {"order_id": "toy-poll", "name": name, "provider": "toy", "version": 4, "due_at": due_at}
        for name, due_at in (("timed_out", THEN + 1000), ("reminded", THEN + 500))
    ],
    "of_reads": [
        {"order_id": "toy-notify", "provider": "toy", "next_at": THEN + 10, "last_at": 0.0, "noticed": False, "tries": 0},
        {"order_id": "toy-poll", "provider": "toy", "next_at": THEN + 2, "last_at": THEN, "noticed": True, "tries": 2},
        {"order_id": "toy-doubt", "provider": "toy", "next_at": None, "last_at": 0.0, "noticed": True, "tries": 0},
    ],
    "of_listeners": [{"provider": "toy", "state": "placed"}],
    "of_providers": [{"provider": "other", "blocked_until": THROTTLED_UNTIL}],
    "of_inbox": [
        {"origin": "create", "key": f"toy:{key}", "order_id": f"toy-{key}", "fingerprint": "content", "at": THEN}
        for key in ("call", "doubt", "notify", "poll")
    ]
    + [{"origin": "claim", "key": "t:1", "order_id": "toy-poll", "fingerprint": "", "at": THEN}],
}
POSTGRES_ONLY = {"of_reads": {"planned_at": THEN, "spacing": 2.0}}


async def make(url: str, *, version: int = 2) -> None:
    """Make the tables of this schema version in an empty database, and where it is 2, fill them."""
    scheme, location = parse_database_url(url)
    scripts = [(number, script) for number, script in migrations("sqlite" if scheme == "sqlite" else "postgres") if number <= version]
    await (_make_sqlite if scheme == "sqlite" else _make_postgres)(location, scripts, ROWS if version == 2 else {})


async def _make_sqlite(path: str, scripts: list[tuple[int, str]], tables: dict[str, list[dict[str, Any]]]) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")  # as version 0.1 did
        for number, script in scripts:
            connection.executescript(script)
            connection.execute("INSERT INTO of_schema (version) VALUES (?)", (number,))
        for table, rows in tables.items():
            for row in rows:
                marks = ", ".join("?" * len(row))
                connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


async def _make_postgres(url: str, scripts: list[tuple[int, str]], tables: dict[str, list[dict[str, Any]]]) -> None:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        for number, script in scripts:
            await connection.execute(script)
            await connection.execute("INSERT INTO of_schema (version) VALUES ($1)", number)
        for table, rows in tables.items():
            for row in (row | POSTGRES_ONLY.get(table, {}) for row in rows):
                marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
                await connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *row.values())
    finally:
        await connection.close()
