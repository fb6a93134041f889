"""How an order is shown: as JSON values and as lines. Its data (payloads, personal data) is never part of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attrs import asdict

from orderflow._cli import show
from orderflow._cli.journal import moment_of
from orderflow._cli.tables import Row
from orderflow.model import (
    NOTIFY_LISTENER,
    Applied,
    Decision,
    Message,
    Order,
    OrderView,
    Pending,
    PendingEffect,
    RefusalRow,
    Refused,
)

REFUSAL_HEAD = ("not applied", "times", "event", "origin", "state")
_NOTHING_LEGAL = "no command and no operator event"


def order_json(order: Order) -> dict[str, object]:
    """An order without its facts."""
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


def print_order(view: OrderView, wait: str) -> None:
    """Print where an order stands, what a person can do, what it would take now and what is still to come.

    ``wait``: why it waits for the provider; "": it does not.
    """
    order = view.order
    flag = ", flagged: the provider reported something that a person should look at" if order.flagged else ""
    unknown = "not known: its state or facts belong to another version of the lifecycle, see orderflow diff"
    for text in (
        f"{order.id}: {order.state} (version {order.version}) since {moment_of(order.entered_at)} UTC{flag}",
        f"key: {order.key}",
        f"provider's id: {order.provider_id or 'not known'}",
        f"facts: {list_facts(order.snapshot.facts)}",
        *([f"what to do: {view.operator_text}"] if view.operator_text else []),
        f"legal now: {list_legal(legal_of(view)) if view.known else unknown}",
        *([wait] if wait else []),
        *_describe_pending(view.pending),
    ):
        show.paragraph(text, hanging="  ")


def list_facts(facts: Mapping[str, bool | str]) -> str:
    """Facts and their values, in words."""
    return ", ".join(f"{name} = {show.fact_value(value)}" for name, value in facts.items())


def legal_of(view: OrderView) -> tuple[str, ...]:
    """The commands and operator events that would be applied now."""
    return view.commands + view.operator_events


def answers_json(view: OrderView) -> dict[str, object]:
    """What a page asks of an order, and the texts for people."""
    names = ("settled", "proven", "provisional", "in_doubt", "needs_person", "customer_text", "operator_text")
    return {name: getattr(view, name) for name in names}


def print_resolutions(view: OrderView) -> None:
    """Print what a person can do for an order, and the command of each operator event."""
    show.paragraph(f"{view.order.id}: {view.order.state} (version {view.order.version}){', in doubt' if view.in_doubt else ''}")
    if view.operator_text:
        show.paragraph(view.operator_text, hanging="  ")
    for event in view.operator_events:
        show.paragraph(f"orderflow orders resolve {view.order.id} {event} --actor NAME --reason TEXT", hanging="    ")
    if not view.operator_events:
        show.line("no operator event is legal now")


def resolutions_json(view: OrderView) -> dict[str, object]:
    """What a person can do for an order."""
    order = view.order
    return {"id": order.id, "version": order.version, "state": order.state, **answers_json(view), "events": list(view.operator_events)}


def list_legal(legal: Sequence[str]) -> str:
    """What an order would take now, in words."""
    return ", ".join(legal) or _NOTHING_LEGAL


def owes_call(pending: Pending) -> bool:
    """Whether a call to the provider is still owed."""
    return any(effect.name != NOTIFY_LISTENER for effect in pending.effects)


def _describe_pending(pending: Pending) -> Iterator[str]:
    for effect in pending.effects:
        yield f"owed: {_describe_effect(effect)}"
    if pending.next_poll_at is not None:
        yield f"next poll: {moment_of(pending.next_poll_at)}"
    for event, at in pending.deadlines:
        yield f"deadline: {event} at {moment_of(at)}"


def _describe_effect(effect: PendingEffect) -> str:
    name = f"{effect.name} of {effect.entered_state}" if effect.entered_state else effect.name
    why = f" ({effect.why})" if effect.why else ""
    if effect.in_flight:
        return f"{name}, attempt {effect.attempt} in progress, its lease ends {moment_of(effect.run_at)}{why}"
    ended = f"attempt {effect.attempt} ended, " if effect.attempt else ""
    return f"{name}, {ended}due {moment_of(effect.run_at)}{why}"


def pending_json(pending: Pending) -> dict[str, object]:
    """What is still to come for an order."""
    effects = [{**asdict(effect, recurse=False), "key": str(effect.key)} for effect in pending.effects]
    deadlines = [{"event": event, "at": at} for event, at in pending.deadlines]
    return {"effects": effects, "next_poll_at": pending.next_poll_at, "deadlines": deadlines}


def refusal_row(row: RefusalRow) -> Row:
    """A refusal as a row under ``REFUSAL_HEAD``."""
    detail = f": {row.detail}" if row.detail else ""
    cells = (row.reason.value, str(row.count), row.event, row.origin.value, row.state)
    return Row(cells, (f"last at {moment_of(row.last_at)}{detail}",))


def refusal_json(row: RefusalRow) -> dict[str, object]:
    """A refusal as JSON values."""
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


def print_messages(messages: Sequence[Message], *, whole: bool) -> None:
    """Print what the provider answered, each body as it came; without ``whole`` only how many answers there are."""
    if not whole:
        show.paragraph(f"answers of the provider: {len(messages)}, shown with --messages; they may hold personal data", hanging="  ")
        return
    for n, message in enumerate(messages):
        if n:
            show.line()
        show.paragraph(_describe_message(message), hanging="  ")
        show.block(message.body or "(no body)", indent="    ")


def _describe_message(message: Message) -> str:
    times = f", {message.count} times since {moment_of(message.at)}" if message.count > 1 else ""
    cut = ", not the whole body" if message.truncated else ""
    return f"{message.source} answered {message.status} {message.content_type} at {moment_of(message.last_at)} UTC{times}{cut}"


def message_json(message: Message) -> dict[str, object]:
    """A message as JSON values."""
    values = asdict(message, recurse=False)
    del values["order_id"]
    return values


def print_decision(decision: Decision, *, as_json: bool) -> None:
    """Print what became of a command."""
    if isinstance(decision, Applied):
        now = decision.snapshot
        if as_json:
            show.document({"applied": True, "state": now.state, "version": now.version})
        else:
            show.line(f"applied: now {now.state} (version {now.version})")
        return
    legal = decision.legal if isinstance(decision, Refused) else ()
    if as_json:
        reason, detail = decision.reason.value, decision.detail
        show.document({"applied": False, "state": decision.state, "reason": reason, "detail": detail, "legal": list(legal)})
        return
    detail = f" ({decision.detail})" if decision.detail else ""
    show.paragraph(f"not applied: {decision.reason.value}{detail}; the order is {decision.state}, legal now: {list_legal(legal)}")
