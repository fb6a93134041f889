"""What a page or a support person asks of an order, answered from its records and the table of its lifecycle. Pure."""

from __future__ import annotations

from attrs import field, frozen

from orderflow._lifecycle.decide import is_in_doubt, is_left_by_person, is_settled, legal
from orderflow._lifecycle.guidance import fill_in
from orderflow._provider.protocol import Provider
from orderflow._store.records import OrderRecords
from orderflow.errors import UnknownName
from orderflow.model import NOTIFY_LISTENER, JournalRow, Order, Origin, Pending

OVERDUE_SECONDS = 2.0
"""A worker takes what is due sooner than this, unless it is overloaded or the provider is paused."""


@frozen
class OrderView:
    """An order, its journal and what is still to come, all of one moment, with what a page or a support person asks of them.

    Attributes:
        journal: its steps, the oldest first.
        known: its state and facts are those of this version of its lifecycle. Otherwise no event is legal, and it counts as settled.
        settled: only an operator can still move it.
        proven: its state was proven by the provider, or is an operator's decision.
        provisional: it is over, but a later proof may still overrule this end.
        in_doubt: a call was made, and it is unknown whether the provider acted.
        needs_person: it is in doubt, and only an operator's event ends that.
        commands, operator_events: what would be applied now, in declared order.
        customer_text, operator_text: what the provider's guidance says of its state; "" without guidance. Plain text: escape it in HTML.
        states: all states of its lifecycle.
    """

    order: Order
    journal: tuple[JournalRow, ...]
    pending: Pending
    known: bool
    settled: bool
    proven: bool
    provisional: bool
    in_doubt: bool
    needs_person: bool
    commands: tuple[str, ...]
    operator_events: tuple[str, ...]
    customer_text: str
    operator_text: str
    states: tuple[str, ...] = field(repr=False)

    def has_passed(self, state: str, since: int = 0) -> bool:
        """Whether it is in this state, or entered it at the version ``since`` or later. A state that was left in the commit that
        entered it counts.

        Raises:
            UnknownName: the lifecycle has no such state, and the order never had it.
        """
        entered = {row.target for row in self.journal if row.version >= since} | {self.order.state}
        if since <= 0 and self.journal:
            entered.add(self.journal[0].source)
        if state not in entered and state not in self.states:
            raise UnknownName(f"state of {self.order.provider}", state, self.states)
        return state in entered


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
