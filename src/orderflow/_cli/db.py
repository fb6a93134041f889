"""``orderflow db``: show which schema a database has, upgrade it, prune old orders, declare a restore. No provider is called."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from orderflow._cli import show
from orderflow._cli.confirm import confirm, report_unconfirmed
from orderflow._cli.environment import name_settings, option_sources
from orderflow._cli.exit_codes import Exit, list_exits
from orderflow._cli.options import Actor, Duration, Json, Reason, Yes
from orderflow.errors import InvalidInput
from orderflow.provider import Name

if TYPE_CHECKING:
    from orderflow._app import Orderflow
    from orderflow._engine.restore import RestoreReport

Db = Annotated[str, Parameter(help="Database URL: sqlite:///orders.db or postgresql://host/database.", env_var="ORDERFLOW_DB")]

db = App(name="db", help="Upgrade a database; prune old orders; declare a restore.", help_format="plaintext", help_epilogue=list_exits())


@db.command(help_epilogue=list_exits(Exit.OPERATIONAL, failed="the database is not up to date"))
def status(*, db: Db, json: Json = False) -> Exit:
    """Show the schema version of a database and the newest that this orderflow knows.

    Example: orderflow db status --db sqlite:///orders.db
    """
    from orderflow._store.upgrade import read_schema  # noqa: PLC0415 - needs the stores

    with name_settings(option_sources(os.environ, db=db)):
        schema = asyncio.run(read_schema(db))
    if json:
        show.document({"known": schema.known, "found": schema.found, "current": schema.current})
    elif schema.current:
        show.line(f"up to date: schema version {schema.found}")
    elif schema.found > schema.known:
        show.line(f"too new: schema version {schema.found}, this orderflow knows {schema.known}; upgrade orderflow")
    else:
        version = f"has schema version {schema.found}" if schema.found else "has no tables of orderflow"
        show.line(f"out of date: {version}, this orderflow knows {schema.known}; run: orderflow db upgrade")
    return Exit.OK if schema.current else Exit.FAILED


@db.command(help_epilogue=list_exits(Exit.OPERATIONAL))
def upgrade(*, db: Db, json: Json = False) -> Exit:
    """Upgrade a database, an empty one included, and pgqueuer's tables in it.

    Several processes may do this at once. There is no way back.

    Example: orderflow db upgrade --db postgresql://host/database
    """
    from orderflow._dispatch import upgrade as upgrade_queue  # noqa: PLC0415 - needs the stores
    from orderflow._store.upgrade import upgrade as upgrade_schema  # noqa: PLC0415

    with name_settings(option_sources(os.environ, db=db)):
        before = asyncio.run(upgrade_schema(db))
        asyncio.run(upgrade_queue(db))
    if json:
        show.document({"before": before.found, "now": before.known})
    elif before.current:
        show.line(f"already up to date: schema version {before.known}")
    else:
        show.line(f"upgraded: from schema version {before.found} to {before.known}")
    return Exit.OK


@db.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed="not confirmed"))
def prune(
    *,
    db: Db,
    older_than: Duration,
    provider: str = "",
    export: Path | None = None,
    dry_run: bool = False,
    batch: Annotated[int, Parameter(show_default=True)] = 500,
    yes: Yes = False,
    json: Json = False,
) -> Exit:
    """Delete settled orders, with everything that is stored about them. There is no way back.

    Workers may run meanwhile. These stay, however old they are: an order that may
    still move, a provisional end that proof may still overrule, an order with a
    notification that is not sent yet.

    Example: orderflow db prune --older-than 90d --export old.jsonl --db sqlite:///orders.db

    Parameters
    ----------
    older_than:
        Only orders to which nothing has happened for so long: 90d, 12h, 30m.
    provider:
        Only orders of this provider.
    export:
        Append them whole to this file first, as JSON Lines. It holds personal data.
    dry_run:
        Show how many would be deleted; export and delete nothing.
    batch:
        How many are deleted in one transaction.
    """
    from orderflow._cli.open_database import ask_flow  # noqa: PLC0415 - needs the engine

    if export is not None and not export.absolute().parent.is_dir():
        raise InvalidInput("--export", f"the folder of {export} does not exist")
    if not dry_run and not confirm("Delete these orders? There is no way back; --dry-run shows how many.", yes=yes):
        return report_unconfirmed()

    async def run(flow: Orderflow) -> int:
        count = 0
        seconds = older_than.total_seconds()
        async for deleted in flow.prune(older_than=seconds, provider=Name(provider), batch=batch, export=export, dry_run=dry_run):
            count += len(deleted)
            if sys.stderr.isatty():
                print(f"\r{count} orders", end="", file=sys.stderr, flush=True)
        if count and sys.stderr.isatty():
            print(file=sys.stderr)
        return count

    _show_pruned(ask_flow(db, run), export, dry_run=dry_run, json=json)
    return Exit.OK


def _show_pruned(count: int, export: Path | None, *, dry_run: bool, json: bool) -> None:
    if json:
        show.document({"orders": count, "deleted": not dry_run, "export": str(export) if export and not dry_run else None})
        return
    orders = f"{count} order{'' if count == 1 else 's'}"
    exported = f", exported to {export}" if export and count else ""
    show.line(f"would be deleted: {orders}" if dry_run else f"deleted: {orders}{exported}")


@db.command(name="restored", help_epilogue=list_exits(Exit.OPERATIONAL, failed="not confirmed"))
def declare_restored(*, db: Db, actor: Actor, reason: Reason, dry_run: bool = False, yes: Yes = False, json: Json = False) -> Exit:
    """Declare that the database was restored from a backup, so that nothing is sent twice.

    A call that may be made only once and is owed may have been made since the
    backup: it is not made, and its order is in doubt. Everything open is polled
    first. Run it after the restore, before any process starts. It may be run again.

    Example: orderflow db restored --actor anna --reason "disk failure, backup of 03:00" --db sqlite:///orders.db

    Parameters
    ----------
    dry_run:
        Show what would be done, and change nothing.
    json:
        Print one JSON document, with the ids of all orders.
    """
    from orderflow._cli.open_database import ask_flow  # noqa: PLC0415 - needs the engine

    if not dry_run and not confirm("Put every order in doubt that is owed a call which may be made only once? See --dry-run.", yes=yes):
        return report_unconfirmed()
    try:
        report = ask_flow(db, lambda flow: flow.declare_restored(actor=actor, reason=reason, dry_run=dry_run))
    except InvalidInput as error:
        raise InvalidInput(f"--{error.field}", error.reason) from None
    _show_restored(report, dry_run=dry_run, json=json)
    return Exit.OK


def _show_restored(report: RestoreReport, *, dry_run: bool, json: bool) -> None:
    found = {"in_doubt": report.in_doubt, "repeatable": report.repeatable, "undecided": report.undecided, "polled": report.polled}
    if json:
        show.document({"done": not dry_run, **found})
        return
    if dry_run:
        show.line("nothing was changed; this would be done:")
    texts = ("put in doubt", "repeated, a minute later", "left to the worker that has the provider", "polled first")
    show.table(("orders", "what"), [(str(len(orders)), text) for orders, text in zip(found.values(), texts, strict=True)])
