"""What a page or a support person asks of an order, answered from its records and the table of its lifecycle. Pure."""

from __future__ import annotations

from orderflow._lifecycle.decide import is_in_doubt, is_left_by_person, is_settled, legal
from orderflow._lifecycle.guidance import fill_in
from orderflow._provider.protocol import Provider
from orderflow._store.records import OrderRecords
from orderflow.model import NOTIFY_LISTENER, OrderView, Origin, Pending

OVERDUE_SECONDS = 2.0
"""A worker takes what is due sooner than this, unless it is overloaded or the provider is paused."""


def build_view(provider: Provider, records: OrderRecords) -> OrderView:
    """The view of an order. Where this version of the lifecycle lacks its state or one of its facts, it is ``known=False``."""
    order, journal, pending = records
    table, snapshot = provider.table, order.snapshot
    info = table.states.get(snapshot.state)
    try:
        events, settled, known = legal(table, snapshot), is_settled(table, snapshot), info is not None
    except KeyError:  # the facts are those of another version
        events, settled, known = (), True, False
    in_doubt = is_in_doubt(table, snapshot.state)
    calls = [effect for effect in pending.effects if effect.name != NOTIFY_LISTENER]
    texts = provider.guidance.get(snapshot.state)
    return OrderView(
        order=order,
        journal=journal,
        pending=pending,
        known=known,
        settled=settled,
        proven=info is not None and info.proven,
        provisional=info is not None and info.provisional and not settled,
        in_doubt=in_doubt,
        needs_person=in_doubt and not calls and is_left_by_person(table, snapshot),
        commands=tuple(event for event in events if table.events[event] is Origin.COMMAND),
        operator_events=tuple(event for event in events if table.events[event] is Origin.OPERATOR),
        customer_text=texts.customer if texts else "",
        operator_text=fill_in(texts.operator, order, provider.guidance_values) if texts else "",
        states=tuple(table.states),
    )


def describe_overdue(pending: Pending, now: float) -> str:
    """What should move the order and is due for longest: "register_order has been due for 31 s"; "" where a worker may yet take it."""
    due = [(effect.run_at, effect.name) for effect in pending.effects if effect.name != NOTIFY_LISTENER]
    due += [(at, event) for event, at in pending.deadlines]
    if pending.next_poll_at is not None:
        due.append((pending.next_poll_at, "a poll"))
    at, what = min(due, default=(now, ""))
    return f"{what} has been due for {now - at:.0f} s" if now - at > OVERDUE_SECONDS else ""
