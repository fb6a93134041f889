"""Assertions over an order's path, for sync and async tests. What may live here: what raises AssertionError, with the path in it.

``assert_path(flow.journal(order.id), ["drafted", ..., "fulfilled"])``; ``...`` stands for any states, or none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Sequence
from itertools import pairwise
from types import EllipsisType
from typing import TYPE_CHECKING, overload

from orderflow.app import Orderflow
from orderflow.blocking import SyncOrderflow
from orderflow.errors import WaitTimeout
from orderflow.model import JournalRow, Order, RefusalRow
from orderflow.simulators import SimClock

if TYPE_CHECKING:
    from orderflow.providers.signatures import AnyState

_TRY = 0.1  # seconds of real time between two pushes of a standing clock
_FIRST_PUSH = 1.0
_LONGEST_PUSH = 86_400.0


def path_of(journal: Iterable[JournalRow]) -> list[str]:
    """The states an order has passed, the first included; empty where it has not moved."""
    rows = list(journal)
    return [rows[0].source, *(row.target for row in rows)] if rows else []


def assert_path(journal: Iterable[JournalRow], expected: Sequence[str | EllipsisType]) -> None:
    """The order passed exactly these states, in this order, every step joined to the one before.

    Raises AssertionError, with the path in it; TypeError for an ``Order``, which knows its state only.
    """
    if isinstance(journal, Order):
        raise TypeError("an order knows its state only: give flow.journal(order.id)")
    rows = list(journal)
    _joined(rows)
    passed = path_of(rows)
    if not _fits(passed, list(expected)):
        wanted = " -> ".join("..." if state is ... else str(state) for state in expected)
        raise AssertionError(f"expected the path {wanted}\n{_told(rows)}")


@overload
def assert_converges(
    flow: SyncOrderflow, order: Order | str, to: AnyState | Collection[AnyState], *, within: float = ..., clock: SimClock | None = ...
) -> Order: ...
@overload
def assert_converges(
    flow: Orderflow, order: Order | str, to: AnyState | Collection[AnyState], *, within: float = ..., clock: SimClock | None = ...
) -> Awaitable[Order]: ...
def assert_converges(
    flow: SyncOrderflow | Orderflow,
    order: Order | str,
    to: AnyState | Collection[AnyState],
    *,
    within: float = 10.0,
    clock: SimClock | None = None,
) -> Order | Awaitable[Order]:
    """The order comes to one of the states ``to`` in ``within`` seconds of real time, by a path without gaps, and nothing the
    provider said is left for a person to look at. To be awaited with an ``Orderflow``. A standing ``clock`` is pushed on
    meanwhile, in growing steps of at most a day. Answers with the order.

    Raises AssertionError, with the path and what was refused; UnknownName for a state that is none.
    """
    order_id = order if isinstance(order, str) else order.id
    if isinstance(flow, Orderflow):
        return _converges(flow, order_id, to, within, clock)
    late: WaitTimeout | None = None
    for push in _pushes(within, clock):
        try:
            found = flow.wait(order_id, to, timeout=push)
        except WaitTimeout as error:
            late = error
        else:
            return _settled(found, flow.journal(order_id), flow.refusals(order_id))
    raise AssertionError(f"{late}\n{_told(flow.journal(order_id), flow.refusals(order_id))}")


async def _converges(flow: Orderflow, order_id: str, to: AnyState | Collection[AnyState], within: float, clock: SimClock | None) -> Order:
    late: WaitTimeout | None = None
    for push in _pushes(within, clock):
        try:
            found = await flow.wait(order_id, to, timeout=push)
        except WaitTimeout as error:
            late = error
        else:
            return _settled(found, await flow.journal(order_id), await flow.refusals(order_id))
    raise AssertionError(f"{late}\n{_told(await flow.journal(order_id), await flow.refusals(order_id))}")


def _pushes(within: float, clock: SimClock | None) -> Iterable[float]:
    """How long to wait each time; a standing clock is pushed before each but the first."""
    if clock is None or not clock.manual:
        yield within
        return
    push = _FIRST_PUSH
    for n in range(max(1, round(within / _TRY))):
        if n:
            clock.advance(push)
            push = min(push * 2, _LONGEST_PUSH)
        yield _TRY


def _settled(order: Order, journal: list[JournalRow], refusals: list[RefusalRow]) -> Order:
    _joined(journal)
    if order.flagged:
        raise AssertionError(f"{order.id} is {order.state}, and the provider said what contradicts that\n{_told(journal, refusals)}")
    return order


def _joined(rows: list[JournalRow]) -> None:
    for before, after in pairwise(rows):
        if before.target != after.source or before.version + 1 != after.version:
            raise AssertionError(f"version {after.version} does not follow version {before.version}\n{_told(rows)}")


def _fits(passed: list[str], expected: list[str | EllipsisType]) -> bool:
    if not expected:
        return not passed
    head, *rest = expected
    if head is ...:
        return any(_fits(passed[n:], rest) for n in range(len(passed) + 1))
    return bool(passed) and passed[0] == head and _fits(passed[1:], rest)


def _told(rows: list[JournalRow], refusals: Iterable[RefusalRow] = ()) -> str:
    lines = [f"the path was {' -> '.join(path_of(rows)) or 'empty: the order never moved'}"]
    lines += [f"  {row.version:>3} {row.source} -> {row.target}  by {row.event} ({row.origin}, {row.kind})" for row in rows]
    lines += [f"  not taken in {row.state}: {row.event}, {row.reason} ({row.count} times)" for row in refusals]
    return "\n".join(lines)
