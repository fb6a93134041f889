"""The command ``diff``: what differs between two printed lifecycles, and which stored orders the new one would not carry on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from attrs import asdict
from cyclopts import Parameter

from orderflow._analysis.diff import BrokenOrders, CellDiff, LifecycleDiff, PrintedLifecycle, compare, find_broken
from orderflow._cli import show
from orderflow._cli.exit_codes import Exit
from orderflow._cli.open_database import ask_store
from orderflow.errors import InvalidInput
from orderflow.model import Order

Db = Annotated[str | None, Parameter(help="Database URL: name the stored orders that would break.", env_var="ORDERFLOW_DB")]
Json = Annotated[bool, Parameter(name="--json", help="Print one JSON document.", negative="")]


def diff(old: Path, new: Path, /, *, db: Db = None, as_json: Json = False) -> Exit:
    """Compare two files that `orderflow lifecycles --json` printed.

    It compares states, events, facts, edges, and the target of every event in
    every state. With a database it finds the stored orders that would break: those
    in a removed state, and those that an event would no longer move.

    Example: orderflow diff old.json new.json --db sqlite:///orders.db

    Parameters
    ----------
    old:
        The file that the current version printed.
    new:
        The file that the next version printed.
    """
    before, after = _load("OLD", old), _load("NEW", new)
    diffs = [compare(name, before.get(name), after.get(name)) for name in dict.fromkeys([*before, *after])]
    broken: list[BrokenOrders] = []
    for name, lifecycle in before.items() if db else ():
        broken += find_broken(name, _load_orders(db or "", name), lifecycle, after.get(name))
    if as_json:
        show.document({"lifecycles": [_to_json(each) for each in diffs], "broken": [asdict(each) for each in broken]})
    else:
        _print(diffs, broken, asked=db is not None)
    return Exit.FAILED if broken else Exit.OK


def _load(argument: str, path: Path) -> dict[str, PrintedLifecycle]:
    """Every lifecycle of a file, by name.

    Raises:
        InvalidInput: there is no such file, or it is not what ``orderflow lifecycles --json`` prints.
    """
    if not path.is_file():
        raise InvalidInput(argument, f"{path} is no file; to write one: orderflow lifecycles NAME --json > FILE")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        described = document if isinstance(document, list) else [document]
        return {each["lifecycle"]: PrintedLifecycle.parse(each) for each in described}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InvalidInput(argument, f"{path} is not what `orderflow lifecycles --json` prints") from None


def _to_json(each: LifecycleDiff) -> dict[str, Any]:
    head = {"lifecycle": each.lifecycle, "change": each.change}
    if not each.parts:
        return head
    parts = {name: asdict(part) for name, part in each.parts.items()}
    return {**head, **parts, "cells": [asdict(cell) for cell in each.cells], "illegal": each.illegal}


def _print(diffs: list[LifecycleDiff], broken: list[BrokenOrders], *, asked: bool) -> None:
    for each in diffs:
        show.line(f"{each.lifecycle}: {'no difference' if each.change == 'none' else each.change}")
        rows = [(part, how, name) for part, names in each.parts.items() for how, changed in asdict(names).items() for name in changed]
        if rows:
            show.table(("part", "change", "which"), rows)
        if each.cells:
            cells = [(cell.event, cell.state, cell.old or "no", cell.new or "no", _when(cell)) for cell in each.cells]
            show.table(("event", "in", "was", "is", "under"), cells)
        if each.illegal:
            show.line(f"legal no more where they were: {', '.join(each.illegal)}")
    if broken:
        reasons = [(each.lifecycle, each.state, str(each.count), each.why, each.orders[0]) for each in broken]
        show.table(("lifecycle", "state", "orders", "why", "e.g."), reasons)
    elif asked:
        show.line("stored orders: none is broken")


def _when(cell: CellDiff) -> str:
    """The facts of the first combination, and how many more there are."""
    if not cell.when:
        return ""
    first = ", ".join(f"{name} = {str(value).lower()}" for name, value in cell.when[0].items())
    return first if len(cell.when) == 1 else f"{first}, or {len(cell.when) - 1} more"


def _load_orders(db: str, provider: str) -> Sequence[Order]:
    return ask_store(db, lambda store: store.orders(provider=provider, limit=2**62))
