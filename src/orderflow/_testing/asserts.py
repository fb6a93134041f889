"""Assertions about an order's path, for sync and async tests. Contains only: what raises AssertionError, with the path in it.

``assert_path(flow.journal(order.id), ["drafted", ..., "fulfilled"])``; ``...`` stands for any states, or none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Sequence
from itertools import pairwise
from types import EllipsisType
from typing import TYPE_CHECKING, overload

from orderflow._app import Orderflow
from orderflow._blocking import SyncOrderflow
from orderflow.errors import WaitTimeout
from orderflow.model import JournalRow, Order, RefusalRow
from orderflow.simulators import SimClock

if TYPE_CHECKING:
    from orderflow._providers.typed_calls import AnyState

_WAIT_BETWEEN_ADVANCES = 0.1  # seconds of real time
_FIRST_ADVANCE = 1.0  # seconds of a clock that stands still
_MAX_ADVANCE = 86_400.0


def path_of(journal: Iterable[JournalRow]) -> list[str]:
    """The states of a journal, the first one included; empty where the order has not moved."""
    rows = list(journal)
    return [rows[0].source, *(row.target for row in rows)] if rows else []


def assert_path(journal: Iterable[JournalRow], expected: Sequence[str | EllipsisType]) -> None:
    """The order has passed exactly these states, in this order, and no version is missing.

    Raises:
        AssertionError: it has not; with the path.
        TypeError: for an ``Order``, which knows its state only.
    """
    if isinstance(journal, Order):
        raise TypeError("an order knows its state only: give flow.journal(order.id)")
    rows = list(journal)
    _assert_no_gap(rows)
    if not _matches(path_of(rows), list(expected)):
        wanted = " -> ".join("..." if state is ... else str(state) for state in expected)
        raise AssertionError(f"expected the path {wanted}\n{_describe(rows)}")


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
    """The order reaches one of the states ``to``, by a path without gaps, and is not flagged.

    It is given ``within`` seconds of real time. A ``clock`` that stands still is advanced meanwhile, in growing steps of at most a day.
    Returns the order; to be awaited with an ``Orderflow``.

    Raises:
        AssertionError: it does not; with the path, and what was refused.
        UnknownName: one of the states does not exist.
    """
    order_id = order if isinstance(order, str) else order.id
    if isinstance(flow, Orderflow):
        return _assert_converges(flow, order_id, to, within, clock)
    late: WaitTimeout | None = None
    since = flow.order(order_id).version
    for seconds in _waits(within, clock):
        try:
            reached = flow.wait(order_id, to, timeout=seconds, since=since)
        except WaitTimeout as error:
            late = error
        else:
            return _assert_sound(reached, flow.journal(order_id), flow.refusals(order_id))
    raise AssertionError(f"{late}\n{_describe(flow.journal(order_id), flow.refusals(order_id))}")


async def _assert_converges(
    flow: Orderflow, order_id: str, to: AnyState | Collection[AnyState], within: float, clock: SimClock | None
) -> Order:
    late: WaitTimeout | None = None
    since = (await flow.order(order_id)).version
    for seconds in _waits(within, clock):
        try:
            reached = await flow.wait(order_id, to, timeout=seconds, since=since)
        except WaitTimeout as error:
            late = error
        else:
            return _assert_sound(reached, await flow.journal(order_id), await flow.refusals(order_id))
    raise AssertionError(f"{late}\n{_describe(await flow.journal(order_id), await flow.refusals(order_id))}")


def _waits(within: float, clock: SimClock | None) -> Iterable[float]:
    """How long to wait each time. A clock that stands still is advanced before each wait but the first."""
    if clock is None or not clock.manual:
        yield within
        return
    advance = _FIRST_ADVANCE
    for n in range(max(1, round(within / _WAIT_BETWEEN_ADVANCES))):
        if n:
            clock.advance(advance)
            advance = min(advance * 2, _MAX_ADVANCE)
        yield _WAIT_BETWEEN_ADVANCES


def _assert_sound(order: Order, journal: list[JournalRow], refusals: list[RefusalRow]) -> Order:
    _assert_no_gap(journal)
    if order.flagged:
        raise AssertionError(
            f"{order.id} is {order.state} and flagged: the provider reported a contradiction\n{_describe(journal, refusals)}"
        )
    return order


def _assert_no_gap(rows: list[JournalRow]) -> None:
    for row, following in pairwise(rows):
        if row.target != following.source or row.version + 1 != following.version:
            raise AssertionError(f"version {following.version} does not follow version {row.version}\n{_describe(rows)}")


def _matches(path: list[str], expected: list[str | EllipsisType]) -> bool:
    if not expected:
        return not path
    head, *rest = expected
    if head is ...:
        return any(_matches(path[n:], rest) for n in range(len(path) + 1))
    return bool(path) and path[0] == head and _matches(path[1:], rest)


def _describe(rows: list[JournalRow], refusals: Iterable[RefusalRow] = ()) -> str:
    lines = [f"the path was {' -> '.join(path_of(rows)) or 'empty: the order never moved'}"]
    lines += [f"  {row.version:>3} {row.source} -> {row.target}  by {row.event} ({row.origin}, {row.kind})" for row in rows]
    lines += [f"  rejected in {row.state}: {row.event}, {row.reason} ({row.count} times)" for row in refusals]
    return "\n".join(lines)
