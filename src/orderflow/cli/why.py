"""``orderflow why``: what an order may take now and what it may not, and what stands in the way. Reads the database, calls nobody."""

from __future__ import annotations

from textwrap import shorten
from typing import Annotated, Any

from cyclopts import Parameter

from orderflow.analysis.explain import Explanation, Missing, Path, explain_event, shortest_path_to_settled
from orderflow.cli import finding, show
from orderflow.cli.exits import Exit
from orderflow.cli.stored import Db, look

_CELL = 56  # beside event and origin: a table of 100 columns
Json = Annotated[bool, Parameter(name="--json", help="Print one JSON document.", negative="")]


def why(order: str, event: str | None = None, /, *, db: Db, as_json: Json = False) -> Exit:
    """Say of each event whether the order would take it now; of one event also what is missing, and the way there.

    Parameters
    ----------
    event:
        Only this one, in full.
    """
    found = look(db, lambda store: store.load(order))
    table = finding.find(found.provider)
    answers = [explain_event(table, found.snapshot, name) for name in ([event] if event else table.events)]
    way = shortest_path_to_settled(table, found.snapshot)
    if as_json:
        where: dict[str, Any] = {"order": found.id, "lifecycle": table.name, "state": found.state, "version": found.version}
        show.document({**where, "to_settled": _path(way), "events": [_event(one) for one in answers]})
        return Exit.OK
    show.line(f"{found.id}: {found.state} (version {found.version})")
    show.line(f"shortest way to a settled state: {_way(way, 'it is settled: nothing but an operator moves it')}\n")
    if event:
        _print(answers[0])
        return Exit.OK
    rows = [(one.event, str(one.origin), _answer(one)) for one in sorted(answers, key=lambda one: not one.target)]
    show.table(("event", "origin", "now"), rows)
    show.line(f"\nwhat is missing for one of them, and the way there: orderflow why {found.id} EVENT")
    return Exit.OK


def _print(one: Explanation) -> None:
    """One event in full."""
    show.line(f"{one.event} ({one.origin}): {f'legal: -> {one.target}' if one.target else 'no'}")
    if not one.target:
        show.line(f"because: {_because(one)}")
    show.line(f"way: {_onward(one)}")


def _answer(one: Explanation) -> str:
    """In one cell of a table."""
    if one.target:
        return f"legal: -> {one.target}"
    if one.guard:
        return shorten(f"no: needs {one.guard}", _CELL, placeholder=" ...")
    told = f"no: only from {one.sources[0]}"
    for n, state in enumerate(one.sources[1:], 2):
        rest = f" and {len(one.sources) - n} more" if n < len(one.sources) else ""
        if len(told) + len(state) + 2 + len(rest or " and 9 more") > _CELL:
            return f"{told} and {len(one.sources) - n + 1} more"
        told += f", {state}"
    return told


def _because(one: Explanation) -> str:
    if not one.guard:
        return f"only from {', '.join(one.sources)}"
    return f"needs {one.guard}: {'; '.join(_lacks(missing) for missing in one.missing)}"


def _lacks(missing: Missing) -> str:
    setters = dict.fromkeys(f"{edge.event} ({edge.origin})" for edge in missing.setters)
    source = f"set by {', '.join(setters)}" if setters else "given at create"
    return f"{missing.fact} is {_said(missing.now)}, not {_said(missing.needed)}, which is {source}"


def _said(value: bool | str) -> str:
    return str(value).lower() if isinstance(value, bool) else value


def _onward(one: Explanation) -> str:
    return _way(one.path, "") if one.path is not None else "none"


def _way(path: Path | None, none_needed: str) -> str:
    if path is None:
        return "none"
    return " > ".join(f"{edge.event} ({edge.origin})" for edge in path) or none_needed


def _path(path: Path | None) -> list[dict[str, str]] | None:
    if path is None:
        return None
    return [{"event": edge.event, "origin": str(edge.origin), "source": edge.source, "target": edge.target} for edge in path]


def _event(one: Explanation) -> dict[str, Any]:
    return {
        "event": one.event,
        "origin": str(one.origin),
        "legal": bool(one.target),
        "target": one.target or None,
        "guard": one.guard,
        "missing": [
            {
                "fact": missing.fact,
                "now": missing.now,
                "needed": missing.needed,
                "set_by": [{"event": edge.event, "origin": str(edge.origin), "source": edge.source} for edge in missing.setters],
            }
            for missing in one.missing
        ],
        "sources": list(one.sources),
        "path": _path(one.path),
    }
