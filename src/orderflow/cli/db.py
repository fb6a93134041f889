"""``orderflow db``: which schema a database has, and bringing it up to date. Forward only; no order is looked at."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import App, Parameter

from orderflow.cli import show
from orderflow.cli.exits import Exit

Db = Annotated[str, Parameter(help="Database URL: sqlite:///orders.db or postgresql://host/database.", env_var="ORDERFLOW_DB")]
Json = Annotated[bool, Parameter(help="Print one JSON document.", negative="")]

db = App(name="db", help="Say which schema a database has; bring it up to date.", help_format="plaintext")


@db.command
def status(*, db: Db, json: Json = False) -> int:
    """Say which schema version a database has and which this orderflow knows. Exit code 1: they differ."""
    from orderflow.store.versions import schema_at  # noqa: PLC0415 - needs the stores

    schema = asyncio.run(schema_at(db))
    if json:
        show.document({"known": schema.known, "found": schema.found, "current": schema.current})
    elif schema.current:
        show.line(f"up to date: schema version {schema.found}")
    elif schema.found > schema.known:
        show.line(f"too new: schema version {schema.found}, this orderflow knows {schema.known}; upgrade orderflow")
    else:
        found = f"has schema version {schema.found}" if schema.found else "has no tables of orderflow"
        show.line(f"out of date: {found}, this orderflow knows {schema.known}; run: orderflow db upgrade")
    return Exit.OK if schema.current else Exit.FAILED


@db.command
def upgrade(*, db: Db, json: Json = False) -> int:
    """Bring a database up to date, an empty one included. Several at once are safe; there is no way back."""
    from orderflow.store.versions import upgrade as bring_up  # noqa: PLC0415 - needs the stores

    before = asyncio.run(bring_up(db))
    if json:
        show.document({"before": before.found, "now": before.known})
    elif before.current:
        show.line(f"already up to date: schema version {before.known}")
    else:
        show.line(f"upgraded: from schema version {before.found} to {before.known}")
    return Exit.OK
