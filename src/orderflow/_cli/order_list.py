"""``orderflow orders list``: which orders are stuck, and how a list is printed. Options do not belong here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from attrs import asdict

from orderflow._cli import show
from orderflow._cli.journal import moment_of
from orderflow._cli.order_view import order_json
from orderflow._cli.tables import Row
from orderflow.errors import UnknownName, UnreadableRow

if TYPE_CHECKING:
    from orderflow._app import Orderflow
    from orderflow._flagged import FailingNotification
    from orderflow.model import Order

Failing = Mapping[str, Sequence["FailingNotification"]]
"""The notifications that keep failing, by order."""

NO_LIMIT = 1_000_000
"""The most orders that are listed."""


async def load_stuck(flow: Orderflow, provider: str, state: str, limit: int) -> tuple[list[Order], Failing]:
    """Orders beyond the time budget of their state, the longest first, and behind them others whose notifications keep failing."""
    failing: dict[str, list[FailingNotification]] = {}
    for notification in await flow.failing_notifications(limit=NO_LIMIT):
        failing.setdefault(notification.order_id, []).append(notification)

    def is_wanted(order: Order) -> bool:
        return provider in ("", order.provider) and state in ("", order.state)

    listed = {order.id: order for order in await flow.stuck(limit=NO_LIMIT) if is_wanted(order)}
    for order_id in (order_id for order_id in failing if order_id not in listed):
        if len(listed) >= limit:
            break
        with suppress(UnknownName, UnreadableRow):  # deleted meanwhile; damaged
            order = await flow.order(order_id)
            if is_wanted(order):
                listed[order_id] = order
    return list(listed.values())[:limit], failing


def print_list(listed: Sequence[Order], failing: Failing | None = None, *, as_json: bool, filtered: bool) -> None:
    """Print orders; with ``failing`` each with its notifications that keep failing."""
    if as_json:
        show.document([order_json(order) | _failing_json(order, failing) for order in listed])
    elif listed:
        show.table(("order", "state", "since (UTC)", "flag", "key"), [_make_row(order, failing or {}) for order in listed])
    else:
        show.line("no order matches" if filtered else "no orders")


def _failing_json(order: Order, failing: Failing | None) -> dict[str, object]:
    return {} if failing is None else {"failing_notifications": [asdict(one) for one in failing.get(order.id, ())]}


def _make_row(order: Order, failing: Failing) -> Row:
    notes = [
        f"its listener of {one.state} fails, {one.failures} times since {moment_of(one.since)} UTC: {one.why}"
        for one in failing.get(order.id, ())
    ]
    cells = (order.id, order.state, moment_of(order.entered_at), "flagged" if order.flagged else "", order.key)
    return Row(cells, tuple(notes))
