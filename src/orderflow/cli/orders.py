"""``orderflow orders``: look at stored orders, resolve what is in doubt, override as a last resort. Calls no provider.

An order's data (payloads, personal data) is never printed; its state, facts, path and refusals are.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from cyclopts import App, Parameter

from orderflow.cli import finding, show
from orderflow.cli.exits import Exit
from orderflow.errors import InvalidInput

T = TypeVar("T")
Db = Annotated[str, Parameter(help="Database URL, e.g. sqlite:///orders.db.", env_var="ORDERFLOW_DB")]
Json = Annotated[bool, Parameter(help="Print one JSON document.", negative="")]

orders = App(name="orders", help="Look at stored orders; resolve or override them, audited.", help_format="plaintext")


@orders.command(name="list")
def list_(*, db: Db, provider: str = "", state: str = "", stuck: bool = False, limit: int = 100, json: Json = False) -> int:
    """List orders, the latest created first.

    Parameters
    ----------
    provider:
        Only this provider's.
    state:
        Only those in this state.
    stuck:
        Only those that outstayed their state's time budget, the longest first.
    limit:
        At most so many.
    """

    async def look(flow: Any) -> Any:
        if stuck:
            return [one for one in await flow.stuck(limit=limit) if provider in ("", one.provider) and state in ("", one.state)]
        return await flow.orders(provider=provider, state=state, limit=limit)

    if state:
        _known_state(state)
    found = _with_flow(db, look)
    if json:
        show.document([_order_json(one) for one in found])
        return Exit.OK
    rows = [(one.id, one.state, str(one.version), "flagged" if one.flagged else "", _moment(one.entered_at), one.key) for one in found]
    show.table(("order", "state", "version", "", "since (UTC)", "key"), rows)
    return Exit.OK


@orders.command(name="show")
def show_(order: str, /, *, db: Db, json: Json = False) -> int:
    """Show one order: where it stands, its path, what was refused, what may be done."""

    async def look(flow: Any) -> Any:
        found = await flow.order(order)
        return found, await flow.journal(order), await flow.refusals(order), await flow.legal(order)

    from orderflow.cli.demo.show import journal_json, journal_rows  # noqa: PLC0415 - needs the engine

    found, journal, refusals, legal = _with_flow(db, look)
    if json:
        show.document(
            {
                **_order_json(found),
                "facts": dict(found.snapshot.facts),
                "legal": list(legal),
                "journal": journal_json(journal),
                "refusals": [_refusal_json(row) for row in refusals],
            }
        )
        return Exit.OK
    flag = ", flagged" if found.flagged else ""
    show.line(f"{found.id}: {found.state} (version {found.version}{flag}) since {_moment(found.entered_at)} UTC")
    show.line(f"key {found.key}, provider's id {found.provider_id or 'not known'}")
    show.line("facts: " + ", ".join(f"{name} = {str(value).lower()}" for name, value in found.snapshot.facts.items()))
    show.line(f"legal now: {', '.join(legal) or 'nothing'}\n")
    show.table(("version", "at", "event", "origin", "source", "target", "kind", "note"), journal_rows(journal))
    if refusals:
        rows = [
            (row.reason.value, str(row.count), row.event, row.origin.value, row.state, _moment(row.last_at), row.detail) for row in refusals
        ]
        show.table(("not applied", "times", "event", "origin", "state", "last (UTC)", "detail"), rows, "")
    return Exit.OK


@orders.command
def draw(
    order: str,
    /,
    *,
    db: Db,
    format: Literal["svg", "png", "mermaid", "dot", "plantuml"] | None = None,  # noqa: A002 - the option's name
    out: Path | None = None,
) -> int:
    """Draw one order on its lifecycle: the walked path bold, what was not seen itself dashed, where it is filled.

    Parameters
    ----------
    format:
        How; by the suffix of --out if absent, else svg.
    out:
        The file to write; standard output if absent.
    """
    from orderflow.diagrams import draw as drawn  # noqa: PLC0415 - imported when a command runs
    from orderflow.diagrams import render, walk  # noqa: PLC0415
    from orderflow.diagrams.formats import kind_of  # noqa: PLC0415
    from orderflow.diagrams.layout import either  # noqa: PLC0415

    kind = format or (kind_of(out.name) if out else "svg")

    async def look(flow: Any) -> Any:
        found = await flow.order(order)
        return found, await flow.journal(order)

    found, journal = _with_flow(db, look)
    table = finding.find(found.provider)
    picture = render(table, kind, walk=walk(drawn(table), found.id, found.state, journal), layout=either)
    if out:
        out.write_bytes(picture)
        show.line(f"{out} written")
    elif kind == "png" and sys.stdout.isatty():
        raise InvalidInput("out", "a png is nothing for a terminal; name a file")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(picture)
    return Exit.OK


@orders.command
def resolve(order: str, event: str, /, *, db: Db, by: str, reason: str, order_id: str = "", json: Json = False) -> int:
    """Tell an order what an operator found out: one of its declared operator events.

    Parameters
    ----------
    event:
        E.g. submission_resolved or registration_given_up; `orders show` lists what is legal now.
    by:
        Who says so; kept in the journal.
    reason:
        Why; kept in the journal.
    order_id:
        The provider's id of the order, where the event names one.
    """
    arguments = {"order_id": order_id} if order_id else {}
    decision = _with_flow(db, lambda flow: flow.resolve(order, event, by=by, reason=reason, **arguments))
    return _decided(decision, json)


@orders.command
def override(order: str, target: str, /, *, db: Db, by: str, reason: str, version: int, json: Json = False) -> int:
    """Move an order to any state, outside the table. Audited; what the lifecycle still owed for it is dropped.

    Parameters
    ----------
    target:
        The state to put it in.
    by:
        Who decides so; kept in the journal.
    reason:
        Why; kept in the journal.
    version:
        The version that was looked at; refused if the order has moved since.
    """
    decision = _with_flow(db, lambda flow: flow.override(order, target, by=by, reason=reason, version=version))
    return _decided(decision, json)


def _with_flow(db: str, ask: Callable[[Any], Awaitable[T]]) -> T:
    import logging  # noqa: PLC0415 - the engine is imported when a command runs

    import structlog  # noqa: PLC0415

    from orderflow.app import Orderflow, provider_factories  # noqa: PLC0415
    from orderflow.store import store_at  # noqa: PLC0415

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

    async def asked() -> T:
        offline = [factory.offline() for factory in provider_factories().values() if hasattr(factory, "offline")]
        async with Orderflow(store_at(db, create=False), offline) as flow:
            return await ask(flow)

    return asyncio.run(asked())


def _known_state(state: str) -> None:
    from orderflow.app import provider_factories  # noqa: PLC0415
    from orderflow.errors import UnknownName  # noqa: PLC0415

    known = [one for factory in provider_factories().values() for one in getattr(factory, "table").states]  # noqa: B009
    if state not in known:
        raise UnknownName("state", state, tuple(dict.fromkeys(known)))


def _decided(decision: Any, json: bool) -> int:
    from orderflow.vocabulary import Applied  # noqa: PLC0415

    applied = isinstance(decision, Applied)
    if json:
        show.document(
            {"applied": True, "state": decision.snapshot.state, "version": decision.snapshot.version}
            if applied
            else {
                "applied": False,
                "state": decision.state,
                "reason": decision.reason.value,
                "detail": decision.detail,
                "legal": list(getattr(decision, "legal", ())),
            }
        )
    elif applied:
        show.line(f"applied: now {decision.snapshot.state} (version {decision.snapshot.version})")
    else:
        legal = ", ".join(getattr(decision, "legal", ())) or "nothing"
        detail = f" ({decision.detail})" if decision.detail else ""
        show.line(f"not applied: {decision.reason.value}{detail}; the order is {decision.state}, legal now: {legal}")
    return Exit.OK if applied else Exit.REFUSED


def _order_json(order: Any) -> dict[str, object]:
    return {
        "id": order.id,
        "provider": order.provider,
        "key": order.key,
        "provider_id": order.provider_id,
        "state": order.state,
        "version": order.version,
        "flagged": order.flagged,
        "created_at": order.created_at,
        "entered_at": order.entered_at,
    }


def _refusal_json(row: Any) -> dict[str, object]:
    return {
        "event": row.event,
        "origin": row.origin.value,
        "state": row.state,
        "reason": row.reason.value,
        "detail": row.detail,
        "count": row.count,
        "first_at": row.first_at,
        "last_at": row.last_at,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
