"""``orderflow why``: which events an order would take now, and what is missing for the others. Reads the database, calls no provider."""

from __future__ import annotations

from typing import Any

from orderflow._analysis.explain import Explanation, Missing, Path, explain_event, shortest_path_to_settled
from orderflow._cli import lifecycle_lookup, show
from orderflow._cli.exit_codes import Exit
from orderflow._cli.open_database import ask_store
from orderflow._cli.options import Db, Json
from orderflow._inputs import check_order_id

_SOURCES_SHOWN = 3


def why(order: str, event: str | None = None, /, *, db: Db, json: Json = False) -> Exit:
    """Explain why an order would take an event now, or would not.

    Without EVENT: each event in one line. With EVENT: what is missing for it, and
    the shortest way to where the order would take it.

    Example: orderflow why ccv-1b27 submit --db sqlite:///orders.db

    Parameters
    ----------
    order:
        The order's id.
    event:
        Only this event, in full.
    """
    stored = ask_store(db, lambda store: store.load(check_order_id(order)))
    table = lifecycle_lookup.find(stored.provider)
    answers = [explain_event(table, stored.snapshot, name) for name in (table.events if event is None else [event])]
    to_end = shortest_path_to_settled(table, stored.snapshot)
    if json:
        where: dict[str, Any] = {"order": stored.id, "lifecycle": table.name, "state": stored.state, "version": stored.version}
        show.document({**where, "to_settled": _path_json(to_end), "events": [_event_json(answer) for answer in answers]})
        return Exit.OK
    show.line(f"{stored.id}: {stored.state} (version {stored.version})")
    way = _describe_path(to_end) or "it is settled, only an operator can move it"
    show.paragraph(f"shortest way to a settled state: {way}", hanging="  ")
    show.line()
    if event is not None:
        _print_event(answers[0])
        return Exit.OK
    answers.sort(key=lambda answer: not answer.target)
    show.table(("event", "origin", "now"), [(answer.event, str(answer.origin), _summarise(answer)) for answer in answers])
    show.line()
    show.paragraph(f"What is missing for one of them, and the way there: orderflow why {stored.id} EVENT", hanging="  ")
    return Exit.OK


def _print_event(answer: Explanation) -> None:
    show.line(f"{answer.event} ({answer.origin}): {f'legal: -> {answer.target}' if answer.target else 'no'}")
    if not answer.target:
        show.paragraph(f"because: {_describe_obstacle(answer)}", hanging="  ")
    show.paragraph(f"way: {_describe_path(answer.path)}", hanging="  ")


def _summarise(answer: Explanation) -> str:
    if answer.target:
        return f"legal: -> {answer.target}"
    if answer.guard:
        return f"no: needs {answer.guard}"
    more = len(answer.sources) - _SOURCES_SHOWN
    return f"no: only from {', '.join(answer.sources[:_SOURCES_SHOWN])}" + (f" and {more} more" if more > 0 else "")


def _describe_obstacle(answer: Explanation) -> str:
    if not answer.guard:
        return f"only from {', '.join(answer.sources)}"
    return f"needs {answer.guard}: {'; '.join(_describe_missing(missing) for missing in answer.missing)}"


def _describe_missing(missing: Missing) -> str:
    setters = dict.fromkeys(f"{edge.event} ({edge.origin})" for edge in missing.setters)
    source = f"set by {', '.join(setters)}" if setters else "given at create"
    return f"{missing.fact} is {show.fact_value(missing.now)}, not {show.fact_value(missing.needed)}, which is {source}"


def _describe_path(path: Path | None) -> str:
    """The events of a path; "none" if there is no path; "" if no step is needed."""
    return "none" if path is None else " > ".join(f"{edge.event} ({edge.origin})" for edge in path)


def _path_json(path: Path | None) -> list[dict[str, str]] | None:
    if path is None:
        return None
    return [{"event": edge.event, "origin": str(edge.origin), "source": edge.source, "target": edge.target} for edge in path]


def _event_json(answer: Explanation) -> dict[str, Any]:
    return {
        "event": answer.event,
        "origin": str(answer.origin),
        "legal": bool(answer.target),
        "target": answer.target or None,
        "guard": answer.guard,
        "missing": [
            {
                "fact": missing.fact,
                "now": missing.now,
                "needed": missing.needed,
                "set_by": [{"event": edge.event, "origin": str(edge.origin), "source": edge.source} for edge in missing.setters],
            }
            for missing in answer.missing
        ],
        "sources": list(answer.sources),
        "path": _path_json(answer.path),
    }
