"""``orderflow orders``: look at stored orders, resolve what is in doubt, override as a last resort. Calls no provider."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from orderflow._cli import lifecycle_lookup, show
from orderflow._cli import order_view as view
from orderflow._cli.confirm import confirm, report_unconfirmed
from orderflow._cli.exit_codes import BROKEN_DECLARATION, Exit, list_exits
from orderflow._cli.journal import journal_json, print_journal
from orderflow._cli.open_database import ask_flow
from orderflow._cli.options import Actor, Db, Json, Reason, Yes
from orderflow._cli.order_list import NO_LIMIT, Failing, load_stuck, print_list
from orderflow._cli.provider_view import describe_wait, standing_json
from orderflow.errors import InvalidInput, UnknownName
from orderflow.model import Applied, Refused
from orderflow.model import Reason as RefusalReason
from orderflow.provider import Name

if TYPE_CHECKING:
    from orderflow._app import Orderflow
    from orderflow.model import Decision, Order

_NOT_RECORDED = "an older orderflow did not record what the order's steps set"

orders = App(
    name="orders",
    help="Look at stored orders; resolve, override or redact them.",
    help_format="plaintext",
    help_epilogue=list_exits(),
)


@orders.command(name="list", help_epilogue=list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed=BROKEN_DECLARATION))
def list_(
    *,
    db: Db,
    provider: str = "",
    state: str = "",
    stuck: bool = False,
    limit: Annotated[int, Parameter(show_default=True)] = 100,
    json: Json = False,
) -> Exit:
    """List orders, the latest created first.

    Example: orderflow orders list --state submission_in_doubt --db sqlite:///orders.db

    Parameters
    ----------
    provider:
        Only orders of this provider.
    state:
        Only orders in this state.
    stuck:
        Only orders that have been in their state for longer than its time budget, the longest first, and orders whose notifications keep
        failing, with the failure.
    limit:
        At most so many, 1 or more.
    """
    if not 1 <= limit <= NO_LIMIT:
        raise InvalidInput("--limit", f"must be between 1 and {NO_LIMIT}")

    async def load(flow: Orderflow) -> tuple[list[Order], Failing | None]:
        if stuck:
            return await load_stuck(flow, provider, state, limit)
        try:
            return await flow.orders(provider=Name(provider), state=state, limit=limit), None
        except UnknownName:  # the flow knows only providers that can be made offline; all names are checked below
            return [], None

    listed, failing = ask_flow(db, load)
    if not listed:
        _check_filters(provider, state)
    print_list(listed, failing, as_json=json, filtered=bool(provider or state or stuck))
    return Exit.OK


def _check_filters(provider: str, state: str) -> None:
    """Check names that no order matched. A stored order may well have a provider or state that is not installed here.

    Raises:
        UnknownName: no installed provider has this name, or none of them has this state.
    """
    names = lifecycle_lookup.names()
    if provider and provider not in names:
        raise UnknownName("provider", provider, names)
    if state:
        known = [name for lifecycle in ([provider] if provider else names) for name in lifecycle_lookup.find(lifecycle).states]
        if state not in known:
            raise UnknownName(f"state of {provider}" if provider else "state", state, tuple(dict.fromkeys(known)))


@orders.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL))
def find(provider: str, provider_id: str, /, *, db: Db, json: Json = False) -> Exit:
    """Find the order that has an id at its provider.

    Example: orderflow orders find ccv ORD-77 --db sqlite:///orders.db

    Parameters
    ----------
    provider:
        The provider's name.
    provider_id:
        The id that the provider gave the order.
    """
    print_list([ask_flow(db, lambda flow: flow.find(Name(provider), provider_id))], as_json=json, filtered=True)
    return Exit.OK


@orders.command(name="show", help_epilogue=list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed=_NOT_RECORDED))
def show_(order: str, /, *, db: Db, version: int | None = None, messages: bool = False, json: Json = False) -> Exit:
    """Show one order: its state, facts and journal, what is legal now, what is to come, what was refused.

    With --version: how it stood then, rebuilt from its journal. The data of an
    order (payloads, personal data) is never shown, and what the provider answered
    only with --messages.

    Example: orderflow orders show ccv-1b27 --db sqlite:///orders.db

    Parameters
    ----------
    order:
        The order's id.
    version:
        Show only its state and facts at this version, and the steps that led there; 0: as it was created.
    messages:
        Also what the provider answered to calls and polls, the latest last. It may hold personal data.
    """
    if version is not None:
        return _show_version(order, db, version, as_json=json)

    async def load(flow: Orderflow) -> Any:
        shown = await flow.view(order)
        (standing,) = [standing for standing in await flow.providers() if standing.provider == shown.order.provider]
        return shown, await flow.refusals(order), await flow.messages(order), standing

    shown, refusals, answers, standing = ask_flow(db, load)
    if json:
        show.document(
            {
                **view.order_json(shown.order),
                **view.answers_json(shown),
                "facts": dict(shown.order.snapshot.facts),
                "legal": list(view.legal_of(shown)) if shown.known else None,
                "pending": view.pending_json(shown.pending),
                "provider_standing": standing_json(standing),
                "journal": journal_json(shown.journal),
                "refusals": [view.refusal_json(row) for row in refusals],
                "message_count": len(answers),
                **({"messages": [view.message_json(message) for message in answers]} if messages else {}),
            }
        )
        return Exit.OK
    view.print_order(shown, describe_wait(standing) if view.owes_call(shown.pending) else "")
    show.line()
    print_journal(shown.journal)
    if refusals:
        show.line()
        show.table(view.REFUSAL_HEAD, [view.refusal_row(row) for row in refusals])
    if answers:
        show.line()
        view.print_messages(answers, whole=messages)
    return Exit.OK


def _show_version(order: str, db: str, version: int, *, as_json: bool) -> Exit:
    async def load(flow: Orderflow) -> Any:
        return await flow.replay(order, version), await flow.journal(order)

    snapshot, journal = ask_flow(db, load)
    steps = [row for row in journal if row.version <= version]
    if as_json:
        facts = dict(snapshot.facts)
        show.document({"id": order, "state": snapshot.state, "version": version, "facts": facts, "journal": journal_json(steps)})
        return Exit.OK
    for text in (f"{order}: {snapshot.state} at version {version}", f"facts: {view.list_facts(snapshot.facts)}"):
        show.paragraph(text, hanging="  ")
    if steps:
        show.line()
        print_journal(steps)
    return Exit.OK


@orders.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.OPERATIONAL, failed=BROKEN_DECLARATION))
def draw(
    order: str,
    /,
    *,
    db: Db,
    format: Literal["svg", "png", "mermaid", "dot", "plantuml"] | None = None,  # noqa: A002 - the option's name
    out: Path | None = None,
) -> Exit:
    """Draw one order on its lifecycle.

    The arrows that it took are bold. Inferred steps, jumps and overrides are
    dashed. The current state is filled.

    Example: orderflow orders draw ccv-1b27 --out order.svg --db sqlite:///orders.db

    Parameters
    ----------
    order:
        The order's id.
    format:
        The format; if absent, that of the suffix of --out, or svg.
    out:
        The file to write; standard output if absent.
    """
    from orderflow._diagrams.formats import find_format  # noqa: PLC0415
    from orderflow._diagrams.layout import run_any_graphviz  # noqa: PLC0415
    from orderflow.diagrams import build_drawing, render, trace_order  # noqa: PLC0415 - imported when a command runs

    kind = format or (find_format(out.name) if out else "svg")

    async def load(flow: Orderflow) -> Any:
        return await flow.order(order), await flow.journal(order)

    stored, journal = ask_flow(db, load)
    table = lifecycle_lookup.find(stored.provider)
    path = trace_order(build_drawing(table), stored.id, stored.state, journal)
    picture = render(table, kind, path=path, layout=run_any_graphviz)
    if out:
        out.write_bytes(picture)
        show.line(f"{out} written")
    elif kind == "png" and sys.stdout.isatty():
        raise InvalidInput("--out", "required for png, which a terminal cannot show")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(picture)
    return Exit.OK


@orders.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.REFUSED, Exit.OPERATIONAL))
def resolve(
    order: str,
    event: str | None = None,
    /,
    *,
    db: Db,
    actor: Actor = "",
    reason: Reason = "",
    set_: Annotated[list[str] | None, Parameter(name="--set", negative=())] = None,
    json: Json = False,
) -> Exit:
    """Resolve a doubt: send an order one of its declared operator events, with --actor and --reason.

    Without EVENT: say what a person can do for this order, and list the events.

    Example: orderflow orders resolve ccv-1b27 submission_resolved --set order_id=77 --actor anna --reason "CCV found it"

    Parameters
    ----------
    order:
        The order's id.
    event:
        The event, such as submission_resolved or registration_given_up.
    set_:
        An argument of the event: --set order_id=77 gives a text, --set NAME:=JSON a number, true or a list. May be given again.
    """
    if event is None:
        return _list_resolutions(order, db, json, ignored=bool(actor or reason or set_))
    arguments = _parse_arguments(set_ or [])

    async def send(flow: Orderflow) -> Decision:
        try:
            return await flow.resolve(order, Name(event), actor=actor, reason=reason, **arguments)
        except InvalidInput as error:
            stored, legal = await flow.order(order), await flow.legal(order)
            if error.field in ("actor", "reason"):
                raise InvalidInput(f"--{error.field}", error.reason) from None
            if event in legal:
                raise InvalidInput(f"--set {error.field}", error.reason) from None
            return Refused(RefusalReason.NOT_LEGAL_HERE, stored.state, legal=legal)  # no argument would make it legal

    return _report(ask_flow(db, send), json)


def _list_resolutions(order: str, db: str, as_json: bool, *, ignored: bool) -> Exit:
    if ignored:
        raise InvalidInput("EVENT", "required with --actor, --reason or --set")
    resolvable = ask_flow(db, lambda flow: flow.view(order))
    if as_json:
        show.document(view.resolutions_json(resolvable))
    else:
        view.print_resolutions(resolvable)
    return Exit.OK


@orders.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.REFUSED, Exit.OPERATIONAL, failed="not confirmed"))
def override(
    order: str,
    target: str,
    /,
    *,
    db: Db,
    actor: Actor,
    reason: Reason,
    version: int,
    provider_id: str | None = None,
    yes: Yes = False,
    json: Json = False,
) -> Exit:
    """Move an order to any state, outside its lifecycle.

    Effects that the order is still owed are dropped. The journal keeps who did it
    and why.

    Example: orderflow orders override ccv-1b27 Closed --version 4 --actor anna --reason "the merchant called"

    Parameters
    ----------
    order:
        The order's id.
    target:
        The state to put it in.
    version:
        The version that you looked at; refused if the order has moved since.
    provider_id:
        The right id of the order at its provider, where a wrong one is stored; --provider-id "" removes it. Refused once a poll has
        moved the order, and where the id belongs to another order.
    """
    if not confirm(f"Move {order} to {target}, outside its lifecycle, and drop what it is owed?", yes=yes):
        return report_unconfirmed()

    async def send(flow: Orderflow) -> Decision:
        return await flow.override(order, Name(target), actor=actor, reason=reason, version=version, provider_id=provider_id)

    return _report(ask_flow(db, send), json)


@orders.command(help_epilogue=list_exits(Exit.NOT_FOUND, Exit.REFUSED, Exit.OPERATIONAL, failed="not confirmed"))
def redact(order: str, /, *, db: Db, actor: Actor, reason: Reason, yes: Yes = False, json: Json = False) -> Exit:
    """Remove the personal data of a settled order. This cannot be undone.

    Its journal, key and provider's id stay. Name no person in --reason.

    Example: orderflow orders redact ccv-1b27 --actor anna --reason "ticket 7"

    Parameters
    ----------
    order:
        The order's id.
    """
    if not confirm(f"Remove the personal data of {order}? This cannot be undone.", yes=yes):
        return report_unconfirmed()
    return _report(ask_flow(db, lambda flow: flow.redact(order, actor=actor, reason=reason)), json)


def _parse_arguments(settings: list[str]) -> dict[str, object]:
    """The arguments that ``NAME=TEXT`` and ``NAME:=JSON`` give.

    Raises:
        InvalidInput: one has another form, or is given twice.
    """
    from orderflow._provider.wire import parse_json  # noqa: PLC0415
    from orderflow.errors import MalformedAnswer  # noqa: PLC0415 - imported when a command runs

    arguments: dict[str, object] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        plain = name.removesuffix(":")
        if not (plain and equals) or plain in ("actor", "reason"):
            raise InvalidInput("--set", "must be NAME=TEXT or NAME:=JSON; who and why are --actor and --reason")
        if plain in arguments:
            raise InvalidInput(f"--set {plain}", "is given twice")
        try:
            arguments[plain] = value if plain == name else parse_json(value, is_exact=True)
        except MalformedAnswer:
            raise InvalidInput(f"--set {plain}", "is not JSON") from None
    return arguments


def _report(decision: Decision, as_json: bool) -> Exit:
    """Print a decision; returns its exit code."""
    view.print_decision(decision, as_json=as_json)
    return Exit.OK if isinstance(decision, Applied) else Exit.REFUSED
