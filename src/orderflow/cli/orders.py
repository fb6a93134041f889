"""``orderflow orders``: look at stored orders, resolve what is in doubt, override as a last resort. Calls no provider.

An order's data (payloads, personal data) is never printed; its state, facts, path, refusals and what is still to come are.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from orderflow.cli import finding, show
from orderflow.cli.exits import Exit
from orderflow.cli.stored import Db, Json, with_flow
from orderflow.errors import InvalidInput

if TYPE_CHECKING:
    from orderflow.app import Orderflow
    from orderflow.model import Decision, Order, Pending, RefusalRow

_MOST = 1_000_000
_WIDTH = 100

orders = App(name="orders", help="Look at stored orders; resolve, override or redact them, audited.", help_format="plaintext")


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
        At most so many, 1 or more.
    """
    if not 1 <= limit <= _MOST:
        raise InvalidInput("--limit", f"must be between 1 and {_MOST}")

    from orderflow.provider import Name  # noqa: PLC0415 - imported when a command runs

    async def look(flow: Orderflow) -> list[Order]:
        if stuck:
            return [one for one in await flow.stuck(limit=limit) if provider in ("", one.provider) and state in ("", one.state)]
        return await flow.orders(provider=Name(provider), state=state, limit=limit)

    if state:
        _known_state(state)
    found = with_flow(db, look)
    if json:
        show.document([_order_json(one) for one in found])
        return Exit.OK
    rows = [(one.id, one.state, str(one.version), "flagged" if one.flagged else "", _moment(one.entered_at), one.key) for one in found]
    show.table(("order", "state", "version", "", "since (UTC)", "key"), rows)
    return Exit.OK


@orders.command(name="show")
def show_(order: str, /, *, db: Db, json: Json = False) -> int:
    """Show one order: where it stands, its path, what was refused, what is still to come, what may be done."""

    async def look(flow: Orderflow) -> Any:
        found = await flow.order(order)
        return found, await flow.journal(order), await flow.refusals(order), await _legal(flow, order), await flow.pending(order)

    from orderflow.cli.demo.show import journal_json, journal_rows  # noqa: PLC0415 - needs the engine

    found, journal, refusals, legal, pending = with_flow(db, look)
    if json:
        show.document(
            {
                **_order_json(found),
                "facts": dict(found.snapshot.facts),
                "legal": None if legal is None else list(legal),
                "pending": _pending_json(pending),
                "journal": journal_json(journal),
                "refusals": [_refusal_json(row) for row in refusals],
            }
        )
        return Exit.OK
    flag = ", flagged" if found.flagged else ""
    show.line(f"{found.id}: {found.state} (version {found.version}{flag}) since {_moment(found.entered_at)} UTC")
    show.line(f"key {found.key}, provider's id {found.provider_id or 'not known'}")
    facts = "facts: " + ", ".join(f"{name} = {str(value).lower()}" for name, value in found.snapshot.facts.items())
    show.line("\n".join(wrap(facts, _WIDTH, subsequent_indent="  ")))
    unknown = "not known: its state or facts are of another version of the lifecycle, see orderflow diff"
    show.line(f"legal now: {unknown if legal is None else _may(legal)}")
    for line in _coming(pending):
        show.line(line)
    show.line("")
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

    async def look(flow: Orderflow) -> Any:
        found = await flow.order(order)
        return found, await flow.journal(order)

    found, journal = with_flow(db, look)
    table = finding.find(found.provider)
    picture = render(table, kind, walk=walk(drawn(table), found.id, found.state, journal), layout=either)
    if out:
        out.write_bytes(picture)
        show.line(f"{out} written")
    elif kind == "png" and sys.stdout.isatty():
        raise InvalidInput("--out", "a png is nothing for a terminal; name a file")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(picture)
    return Exit.OK


@orders.command
def resolve(
    order: str,
    event: str,
    /,
    *,
    db: Db,
    by: str,
    reason: str,
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    json: Json = False,
) -> int:
    """Tell an order what an operator found out: one of its declared operator events.

    Parameters
    ----------
    event:
        E.g. submission_resolved or registration_given_up; `orders show` lists what is legal now.
    by:
        Who says so; kept in the journal.
    reason:
        Why; kept in the journal.
    set_:
        An argument of the event: --set order_id=77 names the provider's order, as text; --set NAME:=JSON gives a number, true or a
        list. May be given again.
    """
    from orderflow.model import Reason, Refused  # noqa: PLC0415 - imported when a command runs
    from orderflow.provider import Name  # noqa: PLC0415

    arguments = _arguments(set_ or [])

    async def tell(flow: Orderflow) -> Decision:
        try:
            return await flow.resolve(order, Name(event), by=by, reason=reason, **arguments)
        except InvalidInput as error:
            found, may = await flow.order(order), await flow.legal(order)
            if error.field in ("by", "reason"):
                raise InvalidInput(f"--{error.field}", error.reason) from None
            if event in may:
                raise InvalidInput(f"--set {error.field}", error.reason) from None
            return Refused(Reason.NOT_LEGAL_HERE, found.state, legal=may)  # asking for arguments would lead nowhere

    return _decided(with_flow(db, tell), json)


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
    from orderflow.provider import Name  # noqa: PLC0415 - imported when a command runs

    decision = with_flow(db, lambda flow: flow.override(order, Name(target), by=by, reason=reason, version=version))
    return _decided(decision, json)


@orders.command
def redact(order: str, /, *, db: Db, by: str, reason: str, json: Json = False) -> int:
    """Remove the personal data of a settled order; its path, key and provider's id stay. There is no way back.

    Parameters
    ----------
    by:
        Who asks for it; kept in the journal.
    reason:
        Why, e.g. a ticket's number; kept in the journal. Name no person.
    """
    return _decided(with_flow(db, lambda flow: flow.redact(order, by=by, reason=reason)), json)


def _arguments(settings: list[str]) -> dict[str, object]:
    from orderflow.errors import MalformedAnswer  # noqa: PLC0415 - imported when a command runs
    from orderflow.provider.wire import parse_json  # noqa: PLC0415

    arguments: dict[str, object] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        plain = name.removesuffix(":")
        if not (plain and equals) or plain in ("by", "reason"):
            raise InvalidInput("--set", "must be NAME=TEXT or NAME:=JSON; who and why are --by and --reason")
        if plain in arguments:
            raise InvalidInput(f"--set {plain}", "is given twice")
        try:
            arguments[plain] = value if plain == name else parse_json(value)
        except MalformedAnswer:
            raise InvalidInput(f"--set {plain}", "is no JSON") from None
    return arguments


def _known_state(state: str) -> None:
    from orderflow.errors import UnknownName  # noqa: PLC0415
    from orderflow.provider.discovery import find_provider_factories  # noqa: PLC0415 - imported when a command runs

    known = [one for factory in find_provider_factories().values() for one in getattr(factory, "table").states]  # noqa: B009
    if state not in known:
        raise UnknownName("state", state, tuple(dict.fromkeys(known)))


async def _legal(flow: Orderflow, order: str) -> tuple[str, ...] | None:
    try:
        return await flow.legal(order)
    except KeyError:  # in a state, or without a fact, that this version of its lifecycle wants
        return None


def _may(legal: tuple[str, ...]) -> str:
    return ", ".join(legal) or "no command and no operator event"


def _coming(pending: Pending) -> list[str]:
    """What is owed, read and awaited, a line each."""
    lines = []
    for one in pending.effects:
        what = f"{one.name} of {one.entered_state}" if one.entered_state else one.name
        if one.in_flight:
            tried = f"attempt {one.attempt} under way, or lost at {_moment(one.run_at)}"
        else:
            tried = f"{'attempt ' + str(one.attempt) + ' ended, ' if one.attempt else ''}due {_moment(one.run_at)}"
        lines.append(f"owed: {what}, {tried}" + (f" ({one.why})" if one.why else ""))
    if pending.read_at is not None:
        lines.append(f"next read: {_moment(pending.read_at)}")
    return lines + [f"deadline: {name} at {_moment(at)}" for name, at in pending.deadlines]


def _pending_json(pending: Pending) -> dict[str, object]:
    from attrs import asdict  # noqa: PLC0415 - imported when a command runs

    effects = [{**asdict(one, recurse=False), "key": str(one.key)} for one in pending.effects]
    return {"effects": effects, "read_at": pending.read_at, "deadlines": [{"event": name, "at": at} for name, at in pending.deadlines]}


def _decided(decision: Decision, json: bool) -> int:
    from orderflow.model import Applied  # noqa: PLC0415

    if isinstance(decision, Applied):
        now = decision.snapshot
        if json:
            show.document({"applied": True, "state": now.state, "version": now.version})
        else:
            show.line(f"applied: now {now.state} (version {now.version})")
        return Exit.OK
    if json:
        show.document(
            {
                "applied": False,
                "state": decision.state,
                "reason": decision.reason.value,
                "detail": decision.detail,
                "legal": list(getattr(decision, "legal", ())),
            }
        )
    else:
        detail = f" ({decision.detail})" if decision.detail else ""
        legal = _may(getattr(decision, "legal", ()))
        show.line(f"not applied: {decision.reason.value}{detail}; the order is {decision.state}, legal now: {legal}")
    return Exit.REFUSED


def _order_json(order: Order) -> dict[str, object]:
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


def _refusal_json(row: RefusalRow) -> dict[str, object]:
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
